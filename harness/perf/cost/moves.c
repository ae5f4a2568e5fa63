/* harness/perf/cost/moves.c -- see moves.h.
 *
 * From the two maps alone.  An ep index that lacks an expert gets it from one of
 * those that have it: the q-th ep index from number q mod (copies) of them, in
 * their order.
 */
#include "harness/perf/cost/moves.h"

#include "harness/perf/cost/memory.h"

/* A layer's physical experts. */
typedef struct map {
    const uint16_t *logical; /* [n_ep * n_slot]                               */
    int n_ep, n_slot;
} map;

static bool has(const map *m, int ep_i, int expert)
{
    for (int slot = 0; slot < m->n_slot; slot++)
        if (m->logical[ep_i * m->n_slot + slot] == expert)
            return true;
    return false;
}

/* Which ep index sends an expert to ep index q, which lacks it. */
static int source(const map *m, int q, int expert)
{
    int n_copy = 0, number = 0;
    for (int i = 0; i < m->n_ep; i++)
        n_copy += has(m, i, expert);
    for (int i = 0; i < m->n_ep; i++)
        if (has(m, i, expert) && number++ == q % n_copy)
            return i;
    return -1;
}

/* Experts that ep index `me` gives and gets. */
static void count(const map *before, const map *after, int me, int64_t *n_given,
                  int64_t *n_got)
{
    *n_given = *n_got = 0;
    for (int p = 0; p < after->n_ep * after->n_slot; p++) {
        const int q = p / after->n_slot, expert = after->logical[p];
        if (has(before, q, expert))
            continue;
        *n_got += q == me;
        *n_given += source(before, q, expert) == me;
    }
}

/* Weights and biases of an expert that a rank has. */
static int64_t expert_elements(const core_spec *spec, const par_layout *lay,
                               int layer)
{
    int64_t n = 0;
    for (int k = 0; k < (int)CORE_N_WEIGHT_KINDS; k++)
        if (core_weight_scope_of((core_weight_kind)k) == CORE_SCOPE_EXPERT)
            n += har_cost_weight_elements(spec, lay, (core_weight_kind)k, layer);
    return n;
}

void har_cost_moves(const core_spec *spec, const par_layout *lay,
                    const uint16_t *after, const har_cost_reader *reader)
{
    const int64_t n_norm = 3; /* a number for each matrix goes along */
    const int n = lay->plan.n_physical;
    for (int l = 0, i = 0; l < (int)spec->n_l; l++) {
        if (!core_spec_is_moe(spec, l))
            continue;
        const map old = {lay->plan.physical + (int64_t)i * n, lay->plan.ep,
                         n / lay->plan.ep};
        const map new = {after + (int64_t)i * n, old.n_ep, old.n_slot};
        int64_t n_given, n_got;
        i++;
        if (lay->plan.scope == PAR_SCOPE_STAGE && lay->local_layer[l] < 0)
            continue;
        count(&old, &new, lay->ep_i, &n_given, &n_got);
        const int64_t elements = expert_elements(spec, lay, l);
        const core_cost cost = {.kind = CORE_COST_COLLECTIVE,
                                .op = "moving experts",
                                .tap = {CORE_TAP_EXPERT_OUT, l},
                                .stage = lay->stage,
                                .rank = lay->rank,
                                .mb = -1,
                                .tick = -1,
                                .collective = CORE_ALL_TO_ALL,
                                .axis = CORE_AXIS_EP,
                                .group = lay->plan.ep * lay->plan.etp,
                                .in = n_given * elements,
                                .out = n_got * elements,
                                .sent = n_given * (elements + n_norm)};
        reader->put(reader->self, &cost);
    }
}
