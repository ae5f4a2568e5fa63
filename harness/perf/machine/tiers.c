/* harness/perf/machine/tiers.c -- how far apart the ranks of a stage's groups are.
 *
 * Groups of neighbours tile a stage (tp; cp, tp ranks apart; ep and etp with
 * scope=stage), so it is
 * enough to look at the borders of nodes: is one inside a group?  With
 * scope=replica a group has ranks of several stages, but they ascend: it is
 * as far apart as its first and last.
 *
 * Trap: a search asks this for every stage of every plan, so nothing here looks
 * at each rank.
 */
#include "harness/perf/machine/tiers.h"

har_mesh har_mesh_of(const par_plan *k)
{
    return (har_mesh){.dp = k->dp,
                      .pp = k->pp,
                      .cp = k->cp,
                      .vpp = k->vpp,
                      .tp = k->tp,
                      .ep = k->ep,
                      .etp = k->etp,
                      .scope = k->scope};
}

int har_tier_between(const har_machine *m, int first, int last)
{
    int tier = 0;
    while (tier + 1 < m->n_link &&
           first / m->link[tier].n_gpu != last / m->link[tier].n_gpu)
        tier++;
    return tier;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

/* Ranks [first, first + n) in groups of `each`: does a border between nodes lie
 * inside a group?  If the first two do not, no other does: they are all a node
 * apart. */
static bool is_cut(int first, int n, int each, int node)
{
    const int at = node - first % node;
    return each > 1 && ((at < n && at % each != 0) ||
                        (at + node < n && (at + node) % each != 0));
}

static int of_neighbours(const har_machine *m, int first, int n, int each)
{
    int tier = 0;
    while (tier + 1 < m->n_link && is_cut(first, n, each, m->link[tier].n_gpu))
        tier++;
    return tier;
}

/* Ranks that have the same rows. */
static int of_row(const har_mesh *k)
{
    return k->cp * k->tp;
}

/* scope=replica: the rank that is number i of the expert scope of replica d. */
static int rank_of(const har_mesh *k, int d, int i)
{
    const int n = of_row(k);
    return (i / n * k->dp + d) * n + i % n;
}

static int etp_of_replica(const har_machine *m, const har_mesh *k, int stage,
                          int d)
{
    const int end = (stage + 1) * of_row(k);
    int tier = 0;
    for (int i = stage * of_row(k) / k->etp * k->etp; i < end; i += k->etp)
        tier = most(tier, har_tier_between(m, rank_of(k, d, i),
                                           rank_of(k, d, i + k->etp - 1)));
    return tier;
}

static void of_replicas(const har_machine *m, const har_mesh *k, int stage,
                        int *tier)
{
    const int last = k->pp * of_row(k) - 1;
    for (int d = 0; d < k->dp; d++) {
        tier[CORE_AXIS_EP] =
            most(tier[CORE_AXIS_EP],
                 har_tier_between(m, rank_of(k, d, 0), rank_of(k, d, last)));
        if (k->etp > 1)
            tier[CORE_AXIS_ETP] =
                most(tier[CORE_AXIS_ETP], etp_of_replica(m, k, stage, d));
        if (k->etp == 1 && tier[CORE_AXIS_EP] == m->n_link - 1)
            break;
    }
}

void har_stage_tiers(const har_machine *m, const har_mesh *k, int stage,
                     int *tier)
{
    const int n = k->dp * of_row(k), first = stage * n;
    for (int axis = 0; axis < CORE_N_AXES; axis++)
        tier[axis] = 0;
    tier[CORE_AXIS_TP] = of_neighbours(m, first, n, k->tp);
    if (k->cp > 1)
        tier[CORE_AXIS_CP] = of_neighbours(m, first, n, of_row(k));
    /* sends: from each rank to the one n further, or of the first stage */
    if (stage + 1 < k->pp)
        tier[CORE_AXIS_PP] = har_tier_between(m, first, first + 2 * n - 1);
    else if (k->vpp > 1)
        tier[CORE_AXIS_PP] = har_tier_between(m, 0, first + n - 1);
    if (k->scope == PAR_SCOPE_REPLICA) {
        of_replicas(m, k, stage, tier);
        return;
    }
    tier[CORE_AXIS_EP] = of_neighbours(m, first, n, k->ep * k->etp);
    tier[CORE_AXIS_ETP] = of_neighbours(m, first, n, k->etp);
}

int har_experts_near(const har_machine *m, const har_mesh *k)
{
    const int node = m->n_link > 0 ? m->link[0].n_gpu : 1;
    /* with scope=replica the members of other stages may lie anywhere */
    const int n =
        k->scope == PAR_SCOPE_REPLICA && of_row(k) < node ? of_row(k) : node;
    return n > k->etp ? n / k->etp : 1;
}
