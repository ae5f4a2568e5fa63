/* tests/fuzz/fuzz_config.c -- the input as config.json: whatever it says, it is
 * a model that can be written in our own form, or refused in one line.
 */
#include "core/model/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    const core_overrides overrides = {.key = {"a_key"}, .n_key = 1};
    core_spec spec;
    core_config_facts facts;
    fuzz_write("config.json", data, n_bytes);
    core_message_clear();
    const core_status status =
        core_config_open(&spec, &facts, &overrides, fuzz_folder());
    if (status == CORE_OK)
        fuzz_read_back(&spec);
    else
        fuzz_expect_line(status);
    return 0;
}
