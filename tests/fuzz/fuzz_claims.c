/* tests/fuzz/fuzz_claims.c -- the input as a claims file, whose plan is then
 * audited.
 */
#include "harness/perf/audit/audit.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static har_claims claims;
    core_message_clear();
    const core_status status =
        har_claims_read(&claims, fuzz_file("claims.yaml", data, n_bytes), NULL);
    if (status != CORE_OK)
        fuzz_expect_line(status);
    return 0;
}
