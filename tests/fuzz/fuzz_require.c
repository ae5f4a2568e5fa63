/* tests/fuzz/fuzz_require.c -- the input as requirements of a prediction. */
#include "harness/perf/predict/figures.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const har_prediction prediction = {.n_gpu = 8, .n_stage = 1};
    bool met;
    FILE *out = fopen("/dev/null", "w");
    if (out == NULL)
        abort();
    core_message_clear();
    const core_status status = har_require(
        out, fuzz_file("require.yaml", data, n_bytes), &prediction, &met);
    fclose(out);
    if (status != CORE_OK)
        fuzz_expect_line(status);
    return 0;
}
