/* tests/fuzz/fuzz_launch.c -- the input as a launch line: whatever it says, it is
 * a legal plan of the model, or refused in one line.
 */
#include "harness/systems/systems.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_plan(const par_plan *plan, const core_spec *spec)
{
    par_plan again;
    if (par_plan_check(plan, spec) != CORE_OK ||
        par_plan_parse(&again, plan->text) != CORE_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const char *const name = "input";
    char *text = malloc(n_bytes + 1);
    const char *const texts[] = {text};
    const har_import what = {.n_text = 1, .text = texts, .name = &name,
                             .system = HAR_N_SYSTEMS};
    core_spec spec;
    par_plan plan;
    if (text == NULL || core_spec_open(&spec, "seed-mini", NULL) != CORE_OK)
        abort();
    spec.capacity.rule = CORE_CAPACITY_NONE;
    memcpy(text, data, n_bytes);
    text[n_bytes] = '\0';
    core_message_clear();
    FILE *report = fopen("/dev/null", "w");
    const core_status status = har_system_import(&plan, report, &what, &spec);
    if (report != NULL)
        fclose(report);
    if (status == CORE_OK)
        check_plan(&plan, &spec);
    else if (core_message()[0] == '\0' || strchr(core_message(), '\n') != NULL)
        abort();
    free(text);
    return 0;
}
