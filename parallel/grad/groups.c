/* parallel/grad/groups.c -- the groups that only gradients have.
 *
 * Replicas of a tensor rank, the two owners of a tied embedding, and for every
 * expert all ranks that hold its very columns: copies inside a scope, copies
 * that a placement makes, and in scope=replica one in every replica.  Trap: dp
 * is no group of experts, because ranks of different d may hold different ones.
 */
#include "parallel/grad/grad_impl.h"

#include <string.h>

/* Group ids from here on: those of the forward pass are kinds 0, 1 and 2.    */
enum { KIND_DP = 3, KIND_ENDS = 4, KIND_EXPERT = 5 };

static par_group group_of(const par_layout *lay, const char *name, int kind,
                          int64_t number, int *rank, int n)
{
    par_group g = {.id = (int)(1 + (int64_t)kind * lay->size + number),
                   .n = n,
                   .me = -1,
                   .rank = rank};
    strncpy(g.name, name, sizeof g.name - 1);
    for (int i = 0; rank != NULL && i < n; i++)
        if (rank[i] == lay->rank)
            g.me = i;
    return g;
}

static int rank_at(const par_plan *p, int stage, int d, int t)
{
    return (stage * p->dp + d) * p->tp + t;
}

static par_group replicas(const par_layout *lay, core_arena *arena)
{
    const par_plan *p = &lay->plan;
    int *rank = core_arena_take(arena, p->dp, sizeof *rank);
    for (int d = 0; rank != NULL && d < p->dp; d++)
        rank[d] = rank_at(p, lay->stage, d, lay->t);
    return group_of(lay, "dp", KIND_DP, (int64_t)lay->stage * p->tp + lay->t,
                    rank, p->dp);
}

static par_group first_and_last(const par_layout *lay, core_arena *arena)
{
    const par_plan *p = &lay->plan;
    const int n = p->pp > 1 ? 2 : 1;
    int *rank = core_arena_take(arena, n, sizeof *rank);
    for (int i = 0; rank != NULL && i < n; i++)
        rank[i] = rank_at(p, i * (p->pp - 1), lay->d, lay->t);
    return group_of(lay, "ends", KIND_ENDS, (int64_t)lay->d * p->tp + lay->t,
                    rank, n);
}

/* Where rank r is on the expert mesh; false: in a scope whose layers are
 * others.
 */
static bool expert_place(const par_layout *lay, int r, int *ep_i, int *etp_i)
{
    const par_plan *p = &lay->plan;
    const int t = r % p->tp, d = r / p->tp % p->dp, stage = r / p->tp / p->dp;
    const bool by_stage = p->scope == PAR_SCOPE_STAGE;
    const int number = (by_stage ? d : stage) * p->tp + t;
    *etp_i = number % p->etp;
    *ep_i = number / p->etp % p->ep;
    return !by_stage || stage == lay->stage;
}

static bool has_holder(const par_layout *lay, int expert, int ep_i)
{
    for (int i = lay->replica_first[expert]; i < lay->replica_first[expert + 1];
         i++)
        if (lay->replica_ep[i] == ep_i)
            return true;
    return false;
}

/* Ranks in ascending order; counted first. */
static int holders(const par_layout *lay, int expert, int *rank)
{
    int n = 0, ep_i, etp_i;
    for (int r = 0; r < lay->size; r++) {
        if (!expert_place(lay, r, &ep_i, &etp_i) || etp_i != lay->etp_i ||
            !has_holder(lay, expert, ep_i))
            continue;
        if (rank != NULL)
            rank[n] = r;
        n++;
    }
    return n;
}

static par_group expert_group(const par_layout *lay, core_arena *arena,
                              const core_spec *spec, int expert)
{
    const bool by_stage = lay->plan.scope == PAR_SCOPE_STAGE;
    const int n = holders(lay, expert, NULL);
    int *rank = core_arena_take(arena, n, sizeof *rank);
    if (rank != NULL)
        holders(lay, expert, rank);
    return group_of(lay, "expert", KIND_EXPERT,
                    ((by_stage ? lay->stage : 0) * spec->n_e + expert) *
                            lay->plan.etp +
                        lay->etp_i,
                    rank, n);
}

void par__grad_groups_make(par__grad_groups *out, core_arena *arena,
                           const par_layout *layout, const core_spec *spec)
{
    out->dp = replicas(layout, arena);
    out->ends = first_and_last(layout, arena);
    out->expert =
        core_arena_take(arena, layout->n_my_expert, sizeof *out->expert);
    for (int i = 0; i < layout->n_my_expert; i++) {
        const par_group g =
            expert_group(layout, arena, spec, layout->my_expert[i]);
        if (out->expert != NULL)
            out->expert[i] = g;
    }
}
