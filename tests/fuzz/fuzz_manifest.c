/* tests/fuzz/fuzz_manifest.c -- the input as the manifest of a golden bundle,
 * for both that read it.
 */
#include "golden/golden.h"
#include "harness/judge/yardstick.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static har_yardstick yard;
    gold_case gold;
    fuzz_write("manifest.json", data, n_bytes);
    core_message_clear();
    core_status status = gold_open(&gold, fuzz_folder());
    if (status == CORE_OK)
        gold_close(&gold);
    else if (status != CORE_E_DIFFERS)
        fuzz_expect_line(status);
    core_message_clear();
    status = har_yardstick_open(&yard, fuzz_folder(), "fp32", false);
    if (status == CORE_OK)
        har_yardstick_close(&yard);
    else
        fuzz_expect_line(status);
    return 0;
}
