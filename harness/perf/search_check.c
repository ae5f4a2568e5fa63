/* harness/perf/search_check.c -- the plans that a search shows, predicted.
 *
 * The closed form of search_cost.c ranks; har_predict replays the schedule of
 * what is shown, with intervals.  A reader sees both, so that a choice that the
 * two disagree on cannot pass unnoticed.
 */
#include "harness/perf/search_report.h"

#include <string.h>

core_status har_search_check(const har_quick *e, const har_shape *shape,
                             har_checked *out)
{
    par_plan plan;
    har_predictor *predictor = NULL;
    har_demand demand = {.text = "popularity", .n_e = (int)e->spec->n_e};
    har_prediction prediction;
    har_shape_plan(shape, &plan);
    if (e->share != NULL)
        memcpy(demand.share, e->share, (size_t)demand.n_e * sizeof *e->share);
    const har_predict_case request = {.spec = e->spec,
                                      .plan = &plan,
                                      .n_b = e->n_b,
                                      .n_t = e->n_t,
                                      .is_decode = e->n_kv > 0,
                                      .n_kv = e->n_kv,
                                      .dtype = e->dtype,
                                      .overlap = HAR_OVERLAP_NONE,
                                      .algorithm = HAR_LIBRARY,
                                      .demand =
                                          e->share != NULL ? &demand : NULL};
    CORE_TRY(har_predictor_make(&predictor, e->machine));
    const core_status status = har_predict(predictor, &request, &prediction);
    har_predictor_free(predictor);
    CORE_TRY(status);
    out->latency = prediction.latency;
    out->tokens_per_s = prediction.tokens_per_s;
    out->memory =
        (har_range){prediction.memory, prediction.memory, prediction.memory};
    return CORE_OK;
}
