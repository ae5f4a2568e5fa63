/* harness/program/inspect.c -- what a safetensors file holds. */
#include "core/files/safetensors.h"
#include "harness/program/command.h"

static void check_path(const void *self, struct argp_state *state)
{
    if (*(const char *const *)self == NULL)
        argp_error(state, "expected a file");
}

static void write_file(const core_st *file)
{
    const char *key, *value;
    size_t bytes = 0;
    for (int64_t i = 0; core_st_metadata_at(file, i, &key, &value); i++)
        printf("# %s: %s\n", key, value);
    for (int64_t i = 0; i < core_st_count(file); i++) {
        const core_st_tensor *t = core_st_at(file, i);
        printf("%-40s %-8s [", t->name, core_dtype_name(t->dtype));
        for (int d = 0; d < t->n_dim; d++)
            printf("%s%lld", d > 0 ? "," : "", (long long)t->shape[d]);
        printf("]\n");
        bytes += t->bytes;
    }
    printf("# %lld tensors, %zu bytes\n", (long long)core_st_count(file),
           bytes);
}

static const har_command_line line = {
    "inspect", "FILE",
    "Lists the metadata and the tensors of a "
    "safetensors file.\v" HAR_EXIT_CODES,
    check_path};

int har_cmd_inspect(int argc, char **argv)
{
    const char *path = NULL;
    core_st *file = NULL;
    const har_option options[] = {{.text = &path}, {0}};
    har_parse(&line, options, &path, argc, argv);
    const core_status status = core_st_open(&file, path);
    if (status == CORE_OK)
        write_file(file);
    core_st_close(file);
    return har_end(status);
}
