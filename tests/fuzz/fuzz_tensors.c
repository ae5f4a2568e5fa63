/* tests/fuzz/fuzz_tensors.c -- the input as a safetensors file: what opens can
 * be read to its last byte, as a batch and as a file of taps too.
 */
#include "core/files/safetensors.h"
#include "core/pass/batch.h"
#include "core/pass/tapfile.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void read_all(const core_st *file)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < core_st_count(file); i++) {
        const core_st_tensor *tensor = core_st_at(file, i);
        if (core_st_find(file, tensor->name) != tensor)
            abort();
        const unsigned char *bytes = tensor->data;
        int64_t n = (int64_t)core_dtype_bytes(tensor->dtype);
        for (int d = 0; d < tensor->n_dim; d++)
            n *= tensor->shape[d];
        for (int64_t k = 0; k < n; k++)
            sum += bytes[k];
    }
    if (sum == UINT64_MAX) /* so that the bytes are read */
        abort();
}

static void read_batch(const core_spec *spec, const core_st *file,
                       const char *prefix)
{
    core_batch batch;
    core_message_clear();
    const core_status status = core_batch_read(&batch, spec, file, prefix);
    if (status == CORE_OK)
        core_batch_free(&batch);
    else
        fuzz_expect_line(status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    const char *path = fuzz_file("x.safetensors", data, n_bytes);
    core_spec spec;
    core_st *file = NULL;
    core_tapfile *taps = NULL;
    if (core_spec_open(&spec, "shadow-b", NULL) != CORE_OK)
        abort();
    core_message_clear();
    core_status status = core_st_open(&file, path);
    if (status != CORE_OK) {
        fuzz_expect_line(status);
        return 0;
    }
    read_all(file);
    read_batch(&spec, file, "");
    read_batch(&spec, file, "p0.");
    core_st_close(file);
    core_message_clear();
    status = core_tapfile_open(&taps, path, &spec, false, false);
    if (status != CORE_OK)
        fuzz_expect_line(status);
    core_tapfile_close(taps);
    return 0;
}
