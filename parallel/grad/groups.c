/* parallel/grad/groups.c -- the groups that only gradients have.
 *
 * Replicas of a tensor rank, the two owners of a tied embedding, and for every
 * expert all ranks that hold its very columns: copies inside a scope, copies
 * that a placement makes, and in scope=replica one in every replica.  Trap: dp
 * is no group of experts, because ranks of different d may hold different ones.
 */
#include "parallel/grad/grad_impl.h"

#include <string.h>

/* Of groups' ids.  Those of layouts are kinds 0 to 3 (layout.c), 8 and 9 are of
 * hosts (comm_hosts.c); experts may be more than there are ranks, so they come
 * last.                                                                      */
enum { KIND_DP = 4, KIND_ENDS = 5, KIND_EXPERT = 10 };

/* Is a rank there in the same group as me? */
typedef bool member(const par_layout *mine, const par_place *at, int expert);

static bool is_replica(const par_layout *mine, const par_place *at, int expert)
{
    (void)expert;
    return at->stage == mine->stage && at->c == mine->c && at->t == mine->t;
}

static bool is_end(const par_layout *mine, const par_place *at, int expert)
{
    (void)expert;
    return (at->stage == 0 || at->stage == mine->plan.pp - 1) &&
           at->d == mine->d && at->c == mine->c && at->t == mine->t;
}

/* With my columns of the expert. */
static bool is_holder(const par_layout *mine, const par_place *at, int expert)
{
    if (at->etp_i != mine->etp_i ||
        (mine->plan.scope == PAR_SCOPE_STAGE && at->stage != mine->stage))
        return false;
    /* The experts are of all layers: backward.c. */
    return par_experts_has(mine->experts, expert, at->ep_i);
}

/* Their ranks, ascending; how many. */
static int list(const par_layout *lay, member *is_in, int expert, int *rank)
{
    int n = 0;
    for (int r = 0; r < lay->size; r++) {
        const par_place at = par_layout_place(&lay->plan, r);
        if (!is_in(lay, &at, expert))
            continue;
        if (rank != NULL)
            rank[n] = r;
        n++;
    }
    return n;
}

static par_group group_of(const par_layout *lay, core_arena *arena,
                          const char *name, int kind, int64_t number,
                          member *is_in, int expert)
{
    const int n = list(lay, is_in, expert, NULL);
    int *rank = core_arena_take(arena, n, sizeof *rank);
    par_group g = {.id = (int)(1 + (int64_t)kind * lay->size + number),
                   .n = n,
                   .me = -1,
                   .rank = rank};
    strncpy(g.name, name, sizeof g.name - 1);
    if (rank == NULL)
        return g;
    list(lay, is_in, expert, rank);
    for (int i = 0; i < n; i++)
        if (rank[i] == lay->rank)
            g.me = i;
    return g;
}

static par_group expert_group(const par_layout *lay, core_arena *arena,
                              const core_spec *spec, int expert)
{
    const bool by_stage = lay->plan.scope == PAR_SCOPE_STAGE;
    const int64_t number =
        ((by_stage ? lay->stage : 0) * spec->n_e + expert) * lay->plan.etp +
        lay->etp_i;
    return group_of(lay, arena, "expert", KIND_EXPERT, number, is_holder,
                    expert);
}

void par__grad_groups_make(par__grad_groups *out, core_arena *arena,
                           const par_layout *layout, const core_spec *spec)
{
    const int tp = layout->plan.tp;
    out->dp = group_of(layout, arena, "dp", KIND_DP,
                       (int64_t)layout->stage * tp + layout->t, is_replica, -1);
    out->ends = group_of(layout, arena, "ends", KIND_ENDS,
                         (int64_t)layout->d * tp + layout->t, is_end, -1);
    out->expert =
        core_arena_take(arena, layout->n_my_expert, sizeof *out->expert);
    for (int i = 0; i < layout->n_my_expert; i++) {
        const par_group g =
            expert_group(layout, arena, spec, layout->experts->mine[i]);
        if (out->expert != NULL)
            out->expert[i] = g;
    }
}
