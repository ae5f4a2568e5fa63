/* parallel/grad/cost.c -- a record of cost for each transfer of the way back
 * (docs/cost-records.md).
 */
#include "parallel/grad/grad_impl.h"

static core_axis axis_of(const par__back *b, const par_group *group)
{
    const par_layout *lay = b->layout;
    return group == &lay->tp_group      ? CORE_AXIS_TP
           : group == &lay->ep_group    ? CORE_AXIS_EP
           : group == &lay->etp_group   ? CORE_AXIS_ETP
           : group == &b->groups.dp     ? CORE_AXIS_DP
           : group == &b->groups.ends   ? CORE_AXIS_ENDS
                                        : CORE_AXIS_EDP;
}

core_cost par__g_transfer(const par__back *b, core_collective collective,
                          const par_group *group, int64_t in, int64_t out)
{
    return (core_cost){.kind = CORE_COST_COLLECTIVE,
                       .op = b->mb < 0 ? "gradients" : "backward",
                       .tap = {CORE_TAP_OUT, b->at},
                       .stage = b->layout->stage,
                       .rank = b->layout->rank,
                       .round = b->round,
                       .mb = b->mb,
                       .tick = b->tick,
                       .n_token = b->n,
                       .collective = collective,
                       .axis = group != NULL ? axis_of(b, group) : CORE_AXIS_PP,
                       .group = group != NULL ? group->n : b->layout->plan.pp,
                       .in = in,
                       .out = out};
}

void par__g_count(par__back *b, par_grad_axis axis, core_cost transfer,
                  int64_t bytes)
{
    transfer.sent = bytes / (int64_t)sizeof(double);
    b->stats->n_sent[axis] += transfer.sent;
    if (b->observer->cost != NULL)
        b->observer->cost(b->observer->self, &transfer);
}
