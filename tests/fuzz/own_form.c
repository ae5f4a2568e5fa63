/* tests/fuzz/own_form.c -- a model that was read can be written in our own form,
 * and read as the same.
 */
#include "core/model/spec.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

void fuzz_read_back(const core_spec *spec)
{
    char *text = NULL;
    core_spec again;
    if (core_spec_yaml(&text, spec) != CORE_OK ||
        core_spec_parse_yaml(&again, text, "own form") != CORE_OK ||
        memcmp(spec, &again, sizeof again) != 0)
        abort();
    free(text);
}
