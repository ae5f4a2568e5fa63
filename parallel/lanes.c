/* parallel/lanes.c -- how many micro-batches a stage works on together.
 *
 * As the plan says, one, or those whose exchanges overlap or whose sums over tp
 * are one; more where that saves
 * work and changes nothing: in exact mode, where sums may be in any order, and experts whose weights do not
 * stay would be made anew for each.  Their budget must have room for them beside
 * weights that stay.
 */
#include "parallel/forward_impl.h"

static bool is_watched(const par_model *m)
{
    return m->options.tick != NULL || m->options.cost != NULL;
}

/* Lanes that what kept weights leave of the budget has room for; one needs no
 * more than there always is.                                                 */
static int most_lanes(const par_model *m, const par_room *of)
{
    const size_t kept = m->shards.size_bytes;
    const size_t budget = m->options.lane_budget_bytes;
    const size_t room =
        par__work_bytes(m->spec, m->layout, 1, of) +
        (budget > kept ? budget - kept : 0);
    int n = m->layout->plan.mb;
    while (n > 1 &&
           par__work_bytes(m->spec, m->layout, n, of) > room)
        n--;
    return n;
}

int par__lanes(par_model *m, const par_room *room)
{
    enum { SAVES, LESS, N }; /* of all ranks */
    if (m->options.order == PAR_ORDER_LAYERS)
        return m->layout->plan.mb;
    const int n_own = par_plan_lanes(&m->layout->plan);
    if (m->options.order == PAR_ORDER_PLAN || is_watched(m) ||
        m->numerics != CORE_EXACT || n_own > 1)
        return n_own;
    double v[N] = {[SAVES] = m->n_moe > 0 && !m->keeps.experts,
                   [LESS] = -most_lanes(m, room)};
    par_all_reduce(m->comm, &m->comm->world, v, N, PAR_MAX, CORE_FP64);
    return v[SAVES] > 0.0 ? (int)-v[LESS] : 1;
}

par__pairs par__pairs_of(const par_model *m, int n_lane)
{
    const par_plan *plan = &m->layout->plan;
    if (m->options.order == PAR_ORDER_LAYERS || n_lane != par_plan_lanes(plan))
        return PAR_PAIRS_JOINED;
    return (plan->overlap & PAR_OVERLAP_DISPATCH) != 0 ? PAR_PAIRS_CROSSED
                                                       : PAR_PAIRS_IN_TURN;
}
