/* tests/fuzz/fuzz_plan.c -- the input as a plan, in a string and in a file:
 * what is read has a text that is read as the same plan.
 */
#include "parallel/plan.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void try(const char *plan_text)
{
    char text[PAR_PLAN_TEXT], again_text[PAR_PLAN_TEXT];
    par_plan plan, again;
    core_message_clear();
    const core_status status = par_plan_parse(&plan, plan_text);
    if (status != CORE_OK) {
        fuzz_expect_line(status);
        return;
    }
    par_plan_format(&plan, text);
    if (par_plan_parse(&again, text) != CORE_OK)
        abort();
    par_plan_format(&again, again_text);
    if (strcmp(text, again_text) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    char *text = fuzz_text(data, n_bytes);
    if (strchr(text, '/') == NULL)
        try(text);
    try(fuzz_file("plan.yaml", data, n_bytes));
    free(text);
    return 0;
}
