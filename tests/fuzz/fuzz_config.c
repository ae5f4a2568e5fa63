/* tests/fuzz/fuzz_config.c -- the input as config.json: whatever it says, it is
 * a model that can be written in our own form, or refused in one line.
 */
#include "core/model/config.h"
#include "tests/fuzz/fuzz.h"

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
    const core_config_ignore ignore = {{"a_key"}, 1};
    core_spec spec;
    core_config_facts facts;
    fuzz_write("config.json", data, n_bytes);
    core_message_clear();
    const core_status status =
        core_config_open(&spec, &facts, &ignore, fuzz_folder());
    if (status == CORE_OK)
        read_back(&spec);
    else if (core_message()[0] == '\0' || strchr(core_message(), '\n') != NULL)
        abort();
    return 0;
}
