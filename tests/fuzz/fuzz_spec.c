/* tests/fuzz/fuzz_spec.c -- the input as a model in our own form: what is read
 * is written again, and read as the same.
 */
#include "core/model/spec.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_back(const core_spec *spec)
{
    char *text = NULL;
    size_t n = 0;
    core_spec again;
    FILE *out = open_memstream(&text, &n);
    if (out == NULL)
        abort();
    core_spec_write_yaml(spec, out);
    fclose(out);
    if (core_spec_parse_yaml(&again, text, "own form") != CORE_OK ||
        memcmp(spec, &again, sizeof again) != 0)
        abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char *text = fuzz_text(data, n_bytes);
    core_spec spec;
    core_message_clear();
    const core_status status = core_spec_parse_yaml(&spec, text, "input");
    if (status == CORE_OK)
        read_back(&spec);
    else
        fuzz_expect_line(status);
    free(text);
    return 0;
}
