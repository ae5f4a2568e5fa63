/* harness/perf/predict/types.c -- the types that a case computes and keeps in.
 */
#include "harness/perf/predict/predict.h"

#include <stdio.h>

core_dtype har_predict_type(const har_predict_case *r, core_slot slot)
{
    return r->numerics == CORE_EXACT ? r->dtype
                                     : core_numerics_type(r->numerics, slot);
}

core_numerics_text har_predict_types(const har_predict_case *r)
{
    core_numerics_text out = core_numerics_name(r->numerics);
    for (int i = 0; i < CORE_N_PLAIN_NUMERICS; i++)
        if (r->numerics == core_numerics_plain(i))
            snprintf(out.text, sizeof out.text, "%s",
                     core_dtype_name(r->dtype));
    return out;
}
