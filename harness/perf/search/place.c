/* harness/perf/search/place.c -- the experts of a plan, dealt by what they get.
 *
 * Dealt by the rows that find a slot, not by what was asked for: where capacity
 * drops choices, the most popular experts are all as full as they may be.  What
 * the placement is worth is the replay's word, on every rank.
 */
#include "harness/perf/search/report.h"

#include <math.h>

/* Bytes of one more expert on every GPU: in all layers that a rank serves. */
static double copy_bytes(const har_quick *e, const har_shape *shape)
{
    const core_spec *s = e->spec;
    const int n_l = (int)s->n_l;
    const double layers =
        shape->scope == PAR_SCOPE_REPLICA ? n_l : ceil((double)n_l / shape->pp);
    return layers * (s->gated ? 3 : 2) * (double)core_spec_n_de(s) *
           ceil((double)s->n_f / shape->etp) *
           core_types_expert_bytes(&e->types);
}

core_status har_search_place(const har_quick *e, const har_search_point *point,
                             double room_bytes, har_placed *out)
{
    const har_shape *shape = &point->shape;
    const int n_e = (int)e->spec->n_e;
    const double most = ceil((double)n_e / shape->ep);
    double load[PAR_MAX_EXPERTS];
    out->n_spare =
        (int)fmax(0, fmin(most, floor(room_bytes / copy_bytes(e, shape))));
    har_quick_load(e, shape, load);
    har_shape_plan(shape, &out->plan);
    out->contiguous = har_ep_balance_of(&out->plan, load, n_e);
    CORE_TRY(har_search_check_plan(e, &out->plan, &point->figures, true,
                                   &out->before));
    har_place_experts(&out->plan, load, n_e, out->n_spare);
    out->dealt = har_ep_balance_of(&out->plan, load, n_e);
    CORE_TRY(par_plan_check(&out->plan, e->spec));
    return har_search_check_plan(e, &out->plan, &point->figures, true,
                                 &out->after);
}
