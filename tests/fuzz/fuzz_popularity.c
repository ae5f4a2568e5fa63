/* tests/fuzz/fuzz_popularity.c -- the input as a popularity of experts, in a
 * file: shares of what is read add up to 1.
 */
#include "harness/perf/cost/demand.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdlib.h>

enum { N_E = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static har_demand demand;
    double sum = 0;
    core_message_clear();
    const core_status status =
        har_demand_parse(&demand, fuzz_file("shares", data, n_bytes), N_E);
    if (status != CORE_OK) {
        fuzz_expect_line(status);
        return 0;
    }
    for (int e = 0; e < N_E; e++)
        sum += demand.share[e];
    if (!(fabs(sum - 1) < 1e-9))
        abort();
    return 0;
}
