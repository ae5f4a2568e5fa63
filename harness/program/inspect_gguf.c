/* harness/program/inspect_gguf.c -- see inspect_gguf.h. */
#include "harness/program/inspect_gguf.h"

#include "core/base/printable.h"
#include "core/files/gguf.h"
#include "harness/words/words.h"

#include <string.h>

enum { MAX_TEXT = 60, MAX_LIST = 8 };

/* Of a text: its beginning. */
static void write_text(const char *text, size_t n)
{
    char start[MAX_TEXT + 1] = "";
    memcpy(start, text, n < MAX_TEXT ? n : MAX_TEXT);
    core_print(stdout, start);
    if (n > MAX_TEXT)
        printf("... (%zu bytes)", n);
}

static void write_key(const core_gguf_key *key)
{
    double x;
    size_t n = 0;
    const char *text = core_gguf_text(key, &n);
    printf("# %s: ", key->name);
    if (text != NULL)
        write_text(text, n);
    if (key->is_list)
        printf("%lld %s ", (long long)key->n, core_gguf_type_name(key->type));
    for (int64_t i = 0; i < MAX_LIST && core_gguf_number(key, i, &x); i++)
        printf("%s%.10g", i > 0 ? "," : "", x);
    printf("%s\n", key->is_list && key->n > MAX_LIST ? ",..." : "");
}

core_status har_inspect_gguf(const char *path)
{
    core_gguf *file = NULL;
    size_t bytes = 0;
    CORE_TRY(core_gguf_open(&file, path));
    for (int64_t i = 0; i < core_gguf_keys(file); i++)
        write_key(core_gguf_key_at(file, i));
    for (int64_t i = 0; i < core_gguf_count(file); i++) {
        const core_gguf_tensor *t = core_gguf_at(file, i);
        const char *slash = strrchr(t->path, '/');
        printf("%-40s %-8s [", t->name, core_packed_format_of(t->kind)->name);
        for (int d = 0; d < t->n_dim; d++)
            printf("%s%lld", d > 0 ? "," : "", (long long)t->shape[d]);
        printf("]%s%s\n", core_gguf_files(file) > 1 ? " " : "",
               core_gguf_files(file) == 1 ? ""
               : slash != NULL            ? slash + 1
                                          : t->path);
        bytes += t->bytes;
    }
    printf("# %lld tensors in %d file%s, %zu bytes\n",
           (long long)core_gguf_count(file), core_gguf_files(file),
           core_gguf_files(file) == 1 ? "" : "s", bytes);
    core_gguf_close(file);
    return CORE_OK;
}

core_status har_gguf_write_stored(FILE *out, const char *path)
{
    core_gguf *file = NULL;
    size_t bytes[CORE_N_PACKED_KINDS] = {0};
    char size[16];
    CORE_TRY(core_gguf_open(&file, path));
    for (int64_t i = 0; i < core_gguf_count(file); i++)
        bytes[core_gguf_at(file, i)->kind] += core_gguf_at(file, i)->bytes;
    fprintf(out, "stored     GGUF:");
    for (int k = 0, n = 0; k < CORE_N_PACKED_KINDS; k++)
        if (bytes[k] > 0)
            fprintf(out, "%s %s %s", n++ > 0 ? "," : "",
                    core_packed_format_of((core_packed_kind)k)->name,
                    har_format_bytes(bytes[k], size));
    fprintf(out, "\n");
    core_gguf_close(file);
    return CORE_OK;
}
