/* tests/fuzz/fuzz_gguf.c -- a GGUF file: what opens can be read to its last
 * value, as a file and as a model.
 */
#include "core/model/gguf_model.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_VALUES = 1 << 16, MOST_LISTED = 64 };

static double values[MOST_VALUES];

static void read_keys(const core_gguf *file)
{
    double x;
    size_t n = 0;
    for (int64_t i = 0; i < core_gguf_keys(file); i++) {
        const core_gguf_key *key = core_gguf_key_at(file, i);
        if (core_gguf_find_key(file, key->name) != key)
            abort();
        for (int64_t k = 0; k < MOST_LISTED; k++)
            (void)core_gguf_number(key, k, &x);
        (void)core_gguf_number(key, key->n - 1, &x);
        const char *text = core_gguf_text(key, &n);
        if (text != NULL && n > 0 && text[n - 1] == '\xff')
            values[0] = 1.0;
    }
}

static void read_tensors(const core_gguf *file)
{
    for (int64_t i = 0; i < core_gguf_count(file); i++) {
        const core_gguf_tensor *t = core_gguf_at(file, i);
        if (core_gguf_find(file, t->name) != t)
            abort();
        if (t->n <= MOST_VALUES)
            core_packed_read(t->kind, t->data, 0, t->n, values);
    }
}

static void read_model(const char *path)
{
    core_spec spec;
    core_config_facts facts;
    core_st_folder *files = NULL;
    core_status status = core_gguf_spec(&spec, &facts, NULL, path);
    if (status == CORE_OK)
        status = core_model_files_open(&files, &spec, path);
    if (status != CORE_OK) {
        fuzz_expect_line(status);
        return;
    }
    for (int64_t i = 0; i < core_st_folder_count(files); i++) {
        const core_st_place at = core_st_folder_at(files, i);
        if (at.how != NULL && at.tensor->n <= MOST_VALUES)
            core_repack_read(at.tensor, at.how, 0, at.tensor->n, values);
    }
    core_st_folder_close(files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    core_gguf *file = NULL;
    const char *path = fuzz_file("x-00001-of-00001.gguf", data, n_bytes);
    core_message_clear();
    const core_status status = core_gguf_open(&file, path);
    if (status != CORE_OK) {
        fuzz_expect_line(status);
        return 0;
    }
    read_keys(file);
    read_tensors(file);
    core_gguf_close(file);
    core_message_clear();
    read_model(path);
    return 0;
}
