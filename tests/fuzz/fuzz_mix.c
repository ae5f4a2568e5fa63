/* tests/fuzz/fuzz_mix.c -- the input as lengths of requests, and as limits. */
#include "harness/perf/predict/mix.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static har_mix mix;
    har_slo slo;
    char word[256] = "";
    core_message_clear();
    core_status status =
        har_mix_read(&mix, "--serve", fuzz_file("mix.csv", data, n_bytes));
    if (status != CORE_OK)
        fuzz_expect_line(status);
    else if (!(mix.input >= 1 && mix.output >= 2 && mix.keys < HUGE_VAL))
        abort();
    memcpy(word, data, n_bytes < sizeof word - 1 ? n_bytes : sizeof word - 1);
    core_message_clear();
    status = har_slo_parse(&slo, "--slo", word);
    if (status == CORE_OK && !(slo.ttft > 0 && slo.tpot > 0))
        abort();
    return 0;
}
