/* harness/program/inspect.c -- what a safetensors or GGUF file or a folder of
 * the former holds.
 */
#include "core/base/printable.h"
#include "core/files/gguf.h"
#include "core/files/st_folder.h"
#include "harness/program/command.h"
#include "harness/program/inspect_gguf.h"

#include <string.h>
#include <sys/stat.h>

static void check_path(const void *self, struct argp_state *state)
{
    if (*(const char *const *)self == NULL)
        argp_error(state, "expected a file or a folder");
}

static void write_tensor(const core_st_tensor *t, const char *file)
{
    char name[CORE_PRINTABLE_BYTES];
    printf("%-40s %-8s [", core_printable(name, sizeof name, t->name),
           core_dtype_name(t->dtype));
    for (int d = 0; d < t->n_dim; d++)
        printf("%s%lld", d > 0 ? "," : "", (long long)t->shape[d]);
    fputs(file != NULL ? "] " : "]", stdout);
    core_print(stdout, file != NULL ? file : "");
    putchar('\n');
}

static core_status inspect_file(const char *path)
{
    core_st *file = NULL;
    const char *key, *value;
    size_t bytes = 0;
    CORE_TRY(core_st_open(&file, path));
    for (int64_t i = 0; core_st_metadata_at(file, i, &key, &value); i++) {
        fputs("# ", stdout);
        core_print(stdout, key);
        fputs(": ", stdout);
        core_print(stdout, value);
        putchar('\n');
    }
    for (int64_t i = 0; i < core_st_count(file); i++) {
        write_tensor(core_st_at(file, i), NULL);
        bytes += core_st_at(file, i)->bytes;
    }
    printf("# %lld tensors, %zu bytes\n", (long long)core_st_count(file),
           bytes);
    core_st_close(file);
    return CORE_OK;
}

static core_status inspect_folder(const char *path)
{
    core_st_folder *folder = NULL;
    size_t bytes = 0;
    CORE_TRY(core_st_folder_open(&folder, path));
    const int64_t n = core_st_folder_count(folder);
    for (int64_t i = 0; i < n; i++) {
        const core_st_place at = core_st_folder_at(folder, i);
        const char *slash = strrchr(at.path, '/');
        write_tensor(at.tensor, slash + 1);
        bytes += at.tensor->bytes;
    }
    const int n_unread = core_st_folder_unread(folder);
    if (n_unread > 0)
        printf("# %d files that the index does not name are not read\n",
               n_unread);
    printf("# %lld tensors in %d files, %zu bytes\n", (long long)n,
           core_st_folder_files(folder), bytes);
    core_st_folder_close(folder);
    return CORE_OK;
}

static const har_command_line line = {
    "inspect", "FILE|FOLDER",
    "Lists the metadata and the tensors of a safetensors or GGUF file, or the "
    "tensors of a checkpoint folder, each with the file that the index finds "
    "it in.\v" HAR_EXIT_CODES,
    check_path};

int har_cmd_inspect(int argc, char **argv)
{
    const char *path = NULL;
    struct stat info;
    const har_option options[] = {{.text = &path}, {0}};
    har_parse(&line, options, &path, argc, argv);
    const bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    return har_end(folder                   ? inspect_folder(path)
                   : core_gguf_is_one(path) ? har_inspect_gguf(path)
                                            : inspect_file(path));
}
