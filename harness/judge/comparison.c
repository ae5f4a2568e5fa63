/* harness/judge/comparison.c -- see comparison.h. */
#include "harness/judge/comparison.h"

#include "core/files/mapped.h"
#include "harness/judge/captured.h"
#include "harness/judge/forced.h"

#include <string.h>

static core_status open_yardstick(har_yardstick *yard, har_foreign *dump,
                                  const char *golden, const char *path,
                                  const char *asked)
{
    const char *numerics = NULL;
    har_forcing forcing;
    CORE_TRY(har_forced_read(&forcing, dump));
    CORE_FAIL_IF(forcing != HAR_FED_NOTHING && !har_yardstick_is_bundle(golden),
                 CORE_E_INPUT, HAR_FORCED_WANTS_BUNDLE, path);
    CORE_TRY(har_foreign_against(dump, golden, asked, &numerics));
    CORE_TRY(har_yardstick_open(yard, golden, numerics,
                                strcmp(dump->numerics, "exact") == 0));
    return har_yardstick_force(yard, forcing);
}

core_status har_comparison_make(har_comparison *out, const char *golden,
                                const char *dump,
                                const har_foreign_options *with,
                                const char *numerics, bool forced_routing)
{
    CORE_TRY(har_foreign_open(&out->dump, dump, with));
    CORE_TRY(open_yardstick(&out->yard, &out->dump, golden, dump, numerics));
    CORE_TRY(har_namemap_suits(with->map, &out->yard.spec));
    CORE_TRY(har_captured_check(&out->dump, &out->yard));
    CORE_TRY(har_foreign_place(&out->dump, &out->yard, with));
    CORE_TRY(har_forced_check(&out->dump, &out->yard));
    CORE_TRY(har_judge_make(&out->judged, &out->yard, &out->dump, with->map,
                            forced_routing));
    return core_mapped_check();
}

void har_comparison_free(har_comparison *comparison)
{
    har_judge_free(&comparison->judged);
    har_yardstick_close(&comparison->yard);
    har_foreign_close(&comparison->dump);
}
