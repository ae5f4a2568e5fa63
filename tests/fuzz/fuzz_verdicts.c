/* tests/fuzz/fuzz_verdicts.c -- the input as a report of verify --json, which a
 * page shows.
 */
#include "harness/page/sheet_impl.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    json_t *verdicts = NULL;
    core_message_clear();
    const core_status status =
        har__verdicts_read(&verdicts, fuzz_file("report.json", data, n_bytes));
    if (status == CORE_OK)
        (void)har__verdicts_has(verdicts, "tp=2");
    else
        fuzz_expect_line(status);
    json_decref(verdicts);
    return 0;
}
