/* tests/fuzz/fuzz_spec.c -- the input as a model in our own form: what is read
 * is written again, and read as the same.
 */
#include "core/model/spec.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char *text = fuzz_text(data, n_bytes);
    core_spec spec;
    core_message_clear();
    const core_status status = core_spec_parse_yaml(&spec, text, "input");
    if (status == CORE_OK)
        fuzz_read_back(&spec);
    else
        fuzz_expect_line(status);
    free(text);
    return 0;
}
