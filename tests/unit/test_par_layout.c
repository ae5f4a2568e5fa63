/* tests/unit/test_par_layout.c -- all layouts of a plan fit together.
 *
 * A few hundred random legal (model, plan) pairs; the loop index is the seed.
 * The layouts of all ranks are made, and ownership is counted element by
 * element: each must have exactly the declared number of owners.  Expected
 * values come from the text of LAYOUTS.md, not from the functions under
 * test.
 */
#include "parallel/layout.h"
#include "parallel/turns.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_RANDOM = 300, MAX_RANK = 48 };

typedef struct world {
    core_spec spec;
    par_plan plan;
    int n;
    par_layout *rank; /* [n] */
    core_arena *arena;
} world;

static void open_world(world *w)
{
    w->n = par_plan_world(&w->plan);
    w->rank = calloc((size_t)w->n, sizeof *w->rank);
    w->arena = calloc((size_t)w->n, sizeof *w->arena);
    ck_assert(w->rank != NULL && w->arena != NULL);
    for (int r = 0; r < w->n; r++) {
        w->arena[r] = core_arena_measure();
        ck_assert(par_layout_make(&w->rank[r], &w->arena[r], &w->spec, &w->plan,
                                  r) == CORE_OK);
    }
}

static void close_world(world *w)
{
    for (int r = 0; r < w->n; r++)
        core_arena_free(&w->arena[r]);
    free(w->arena);
    free(w->rank);
}

/* --- random legal pairs --------------------------------------------------- */

static uint64_t random_state;

/* Uniform in [lo, hi] (splitmix64; the tiny bias does not matter here). */
static int any(int lo, int hi)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return lo + (int)(z % (uint64_t)(hi - lo + 1));
}

static int any_divisor(int n)
{
    int d = any(1, n);
    while (n % d != 0)
        d--;
    return d;
}

static void random_spec(core_spec *s)
{
    memset(s, 0, sizeof *s);
    s->n_l = any(1, 9);
    s->n_g = any(1, 5);
    s->n_h = s->n_g * any(1, 4);
    s->n_dh = 4;
    s->n_d = any(3, 40);
    s->n_e = any(1, 30);
    s->n_k = 1;
    s->n_f = any(3, 20);
    s->n_v = any(20, 50);
    for (int l = 0; l < s->n_l; l++)
        s->ffn[l] = any(0, 3) == 0 ? CORE_FFN_DENSE : CORE_FFN_MOE;
    if (any(0, 9) == 0) { /* a single sub-layer */
        s->n_l = 1;
        s->n_h = s->n_g = s->n_dh = s->n_v = 0;
    }
}

static void random_stages(par_plan *p, int n_l)
{
    p->n_stage = p->pp * p->vpp;
    for (int i = 0; i < p->n_stage; i++)
        p->stage_layers[i] = 1;
    for (int l = p->n_stage; l < n_l; l++)
        p->stage_layers[any(0, p->n_stage - 1)]++;
}

static void random_placement(par_plan *p, int n_e)
{
    p->n_placed = n_e;
    for (int e = 0; e < n_e; e++) {
        const int most = p->ep < 4 ? p->ep : 4;
        const int n = any(0, 2) == 0 ? any(1, most) : 1;
        const int first = any(0, p->ep - 1);
        p->n_replica[e] = (uint8_t)n;
        for (int i = 0; i < n; i++)
            p->replica[e][i] = (uint16_t)((first + p->ep - i) % p->ep);
    }
}

/* Each layer begins with another expert. */
static void random_physical(par_plan *p, const core_spec *s)
{
    const int n_e = (int)s->n_e;
    const int n_slot = any((n_e + p->ep - 1) / p->ep, n_e);
    p->n_mapped = core_spec_count_moe(s, 0, (int)s->n_l);
    p->n_physical = p->n_mapped > 0 ? p->ep * n_slot : 0;
    for (int i = 0; i < p->n_mapped; i++)
        for (int k = 0, first = any(0, n_e - 1); k < p->n_physical; k++)
            p->physical[i * p->n_physical + k] = (uint16_t)((first + k) % n_e);
}

static void random_plan(par_plan *p, const core_spec *s)
{
    memset(p, 0, sizeof *p);
    p->tp = any_divisor(s->n_h > 0 ? (int)s->n_h : any(1, 6));
    p->pp = any(1, (int)s->n_l < 4 ? (int)s->n_l : 4);
    p->vpp = p->pp > 1 ? any(1, (int)s->n_l / p->pp) : 1;
    p->dp = any(1, 4);
    p->cp = s->n_h > 0 ? any(1, 3) : 1;
    p->scope = any(0, 1) ? PAR_SCOPE_REPLICA : PAR_SCOPE_STAGE;
    const bool by_stage = p->scope == PAR_SCOPE_STAGE;
    const int n_scope = (by_stage ? p->dp : p->pp) * p->cp * p->tp;
    const int n_set = by_stage ? any_divisor(n_scope) : n_scope;
    p->ep = any_divisor(n_set);
    p->etp = n_set / p->ep;
    p->mb = any(1, 4);
    p->batch_reduce = 1;
    p->rounds = any(1, 3);
    if (any(0, 1))
        random_stages(p, (int)s->n_l);
    const int how = any(0, 3);
    if (how < 2)
        random_placement(p, (int)s->n_e);
    if (how == 2)
        random_physical(p, s);
}

/* Draw until the pair is legal and small. */
static void random_world(world *w, int seed)
{
    random_state = (uint64_t)seed * 1000003u;
    for (int i = 0; i < 1000; i++) {
        random_spec(&w->spec);
        random_plan(&w->plan, &w->spec);
        core_message_clear();
        if (par_plan_world(&w->plan) <= MAX_RANK &&
            par_plan_check(&w->plan, &w->spec) == CORE_OK)
            return;
    }
    ck_abort_msg("no legal pair for seed %d: %s", seed, core_message());
}

/* --- properties ----------------------------------------------------------- */

/* Which of the expert scopes a rank is in. */
static int scope_of(const par_layout *l)
{
    return l->plan.scope == PAR_SCOPE_STAGE ? l->stage : l->d;
}

static void check_meshes(const world *w)
{
    const par_plan *p = &w->plan;
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        ck_assert_int_eq(l->rank, r);
        ck_assert_int_eq(l->size, w->n);
        ck_assert(l->stage >= 0 && l->stage < p->pp);
        ck_assert(l->d >= 0 && l->d < p->dp && l->t >= 0 && l->t < p->tp);
        ck_assert(l->c >= 0 && l->c < p->cp);
        ck_assert_int_eq(
            ((l->stage * p->dp + l->d) * p->cp + l->c) * p->tp + l->t, r);
        ck_assert(l->ep_i >= 0 && l->ep_i < p->ep);
        ck_assert(l->etp_i >= 0 && l->etp_i < p->etp);
        ck_assert(l->edp_i >= 0 && l->edp_i < l->edp);
        if (p->scope == PAR_SCOPE_REPLICA)
            ck_assert_int_eq(l->edp, 1);
        else
            ck_assert_int_eq(l->edp * p->ep * p->etp,
                             p->dp * p->cp * p->tp);
        int n_twin = 0; /* others with my expert coordinates */
        for (int o = 0; o < r; o++) {
            const par_layout *k = &w->rank[o];
            n_twin += scope_of(k) == scope_of(l) && k->edp_i == l->edp_i &&
                      k->ep_i == l->ep_i && k->etp_i == l->etp_i;
        }
        ck_assert_int_eq(n_twin, 0);
    }
}

/* Inside a scope the expert number grows with the rank, etp fastest. */
static void check_expert_order(const world *w)
{
    const par_plan *p = &w->plan;
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        int n_before = 0;
        for (int o = 0; o < r; o++)
            n_before += scope_of(&w->rank[o]) == scope_of(l);
        ck_assert_int_eq((l->edp_i * p->ep + l->ep_i) * p->etp + l->etp_i,
                         n_before);
    }
}

static void check_neighbours(const world *w)
{
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        const bool goes_round = w->plan.vpp > 1;
        ck_assert_int_eq(l->prev_rank == -1, l->stage == 0 && !goes_round);
        ck_assert_int_eq(l->next_rank == -1,
                         l->stage == w->plan.pp - 1 && !goes_round);
        if (l->next_rank == -1)
            continue;
        const par_layout *k = &w->rank[l->next_rank];
        ck_assert_int_eq(k->prev_rank, r);
        ck_assert_int_eq(k->stage, (l->stage + 1) % w->plan.pp);
        ck_assert_int_eq(k->d, l->d);
        ck_assert_int_eq(k->t, l->t);
    }
}

static void check_layers(const world *w)
{
    const par_plan *p = &w->plan;
    for (int layer = 0; layer < w->spec.n_l; layer++) {
        int n_owner = 0;
        for (int r = 0; r < w->n; r++) {
            const par_layout *l = &w->rank[r];
            bool is_mine = false;
            for (int part = l->stage; part < p->pp * p->vpp; part += p->pp)
                is_mine |= layer >= l->first_layer[part] &&
                           layer < l->first_layer[part + 1];
            n_owner += is_mine;
            ck_assert_int_eq(l->local_layer[layer] >= 0, is_mine);
            if (is_mine)
                ck_assert_int_eq(l->my_layer[l->local_layer[layer]], layer);
        }
        ck_assert_int_eq(n_owner, p->dp * p->cp * p->tp);
    }
    int n_pair = 0, n_part = p->pp * p->vpp;
    const int *first = w->rank[0].first_layer;
    for (int s = 0; s < n_part; s++) {
        const int n = first[s + 1] - first[s];
        ck_assert_int_ge(n, 1);
        if (p->n_stage > 0)
            ck_assert_int_eq(n, p->stage_layers[s]);
        else
            ck_assert_int_eq(n, (int)w->spec.n_l / n_part +
                                    (s < w->spec.n_l % n_part));
        int n_moe = 0;
        for (int i = first[s]; i < first[s + 1]; i++)
            n_moe += w->spec.ffn[i] == CORE_FFN_MOE;
        n_pair = n_moe > n_pair ? n_moe : n_pair;
    }
    for (int r = 0; r < w->n; r++) {
        ck_assert_int_eq(w->rank[r].n_pair, n_pair);
        ck_assert_int_eq(memcmp(w->rank[r].first_layer, first,
                                sizeof(int) * ((size_t)n_part + 1)), 0);
        int n_mine = 0;
        for (int i = 0; i < w->spec.n_l; i++)
            n_mine += w->rank[r].local_layer[i] >= 0;
        ck_assert_int_eq(w->rank[r].n_my_layer, n_mine);
    }
}

/* Every stage takes every run once with each of its chunks; what a stage takes
 * it had from the one before a turn earlier, and stage 0 its next chunk from the
 * last.  Turns end with the last of them.                                    */
static void check_turns(const par_plan *p, int n_run)
{
    enum { MOST = 400 };
    const int n = par_turns(p, n_run), n_part = p->pp * p->vpp;
    int at[MOST];
    ck_assert_int_le(n_run * n_part, MOST);
    for (int i = 0; i < n_run * n_part; i++)
        at[i] = -1;
    for (int stage = 0; stage < p->pp; stage++)
        for (int turn = 0; turn < n; turn++) {
            const par_turn t = par_turn_of(p, n_run, stage, turn);
            if (t.run < 0)
                continue;
            ck_assert(t.run < n_run && t.chunk >= 0 && t.chunk < p->vpp);
            const int part = par_virtual_stage(p, stage, t.chunk);
            ck_assert_int_eq(part % p->pp, stage);
            ck_assert_int_eq(at[part * n_run + t.run], -1);
            at[part * n_run + t.run] = turn;
        }
    int last = 0;
    for (int part = 0; part < n_part; part++)
        for (int run = 0; run < n_run; run++) {
            const int turn = at[part * n_run + run];
            ck_assert_int_ge(turn, 0);
            if (part > 0)
                ck_assert_int_eq(turn, at[(part - 1) * n_run + run] + 1);
            last = turn > last ? turn : last;
        }
    ck_assert_int_eq(n, last + 1);
}

/* As many turns as there is work for a stage, and what fills the pipeline. */
START_TEST(test_turns)
{
    par_plan p = {.pp = 1 + _i % 4, .vpp = 1 + _i / 4};
    for (int n_run = 1; n_run < 9; n_run++) {
        check_turns(&p, n_run);
        if (n_run % p.pp == 0 || p.vpp == 1)
            ck_assert_int_eq(par_turns(&p, n_run), n_run * p.vpp + p.pp - 1);
    }
}
END_TEST

/* Each of n elements has one owner in every tensor group; parts differ by at
 * most one and the longer ones come first. */
static void check_split(const int64_t *first, int n_part, int64_t n)
{
    ck_assert_int_eq(first[0], 0);
    ck_assert_int_eq(first[n_part], n);
    for (int i = 0; i < n_part; i++)
        ck_assert_int_eq(first[i + 1] - first[i],
                         n / n_part + (i < n % n_part));
}

static void check_tensor_axes(const world *w)
{
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        check_split(l->first_vocab, w->plan.tp, w->spec.n_v);
        check_split(l->first_f, w->plan.etp, w->spec.n_f);
    }
}

static void check_kv_heads(const world *w)
{
    const core_spec *s = &w->spec;
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        const par_heads *mine = &l->heads[0];
        const int64_t h0 = mine->h0, h1 = h0 + mine->n_h;
        ck_assert_int_eq(h0, core_split_first(s->n_h, w->plan.tp, l->t));
        ck_assert_int_eq(h1, core_split_first(s->n_h, w->plan.tp, l->t + 1));
        if (h0 == h1) {
            ck_assert_int_eq(mine->n_kv, 0);
            continue;
        }
        /* exactly the kv heads that my query heads read */
        ck_assert_int_eq(mine->kv0, h0 * s->n_g / s->n_h);
        ck_assert_int_eq(mine->kv0 + mine->n_kv - 1,
                         (h1 - 1) * s->n_g / s->n_h);
        for (int64_t g = 0; g < s->n_g; g++) {
            int n_owner = 0, n_before = 0, index;
            for (int t = 0; t < w->plan.tp; t++) {
                const par_heads *k = &w->rank[l->tp_group.rank[t]].heads[0];
                const bool owns = g >= k->kv0 && g < k->kv0 + k->n_kv;
                n_owner += owns;
                n_before += owns && t < l->t;
            }
            ck_assert_int_ge(n_owner, 1);
            ck_assert_int_eq(
                par_layout_kv_owners(l, &mine->all, g, l->t, &index), n_owner);
            const bool is_mine = g >= mine->kv0 && g < mine->kv0 + mine->n_kv;
            ck_assert_int_eq(index, is_mine ? n_before : -1);
        }
    }
}

/* The logical expert of physical expert p of a layer. */
static int logical(const world *w, int layer, int p)
{
    const int i = core_spec_count_moe(&w->spec, 0, layer);
    return w->plan.physical[i * w->plan.n_physical + p];
}

static int declared_replicas(const world *w, int layer, int64_t e)
{
    int n = 0;
    if (w->plan.n_mapped == 0)
        return w->plan.n_placed == 0 ? 1 : w->plan.n_replica[e];
    for (int p = 0; p < w->plan.n_physical; p++)
        n += logical(w, layer, p) == e;
    return n;
}

/* ep index of the declared replica number i. */
static int declared_holder(const world *w, int layer, int64_t e, int i)
{
    const int n_slot = w->plan.n_physical / w->plan.ep;
    if (w->plan.n_mapped == 0)
        return w->plan.replica[e][i];
    for (int p = 0; p < w->plan.n_physical; p++)
        if (logical(w, layer, p) == e && i-- == 0)
            return p / n_slot;
    return -1;
}

/* Contiguous: the first E mod ep ranks hold one expert more. */
static int contiguous(const world *w, int64_t e)
{
    const int64_t q = w->spec.n_e / w->plan.ep, n = w->spec.n_e % w->plan.ep;
    return (int)(e < n * (q + 1) ? e / (q + 1) : n + (e - n * (q + 1)) / q);
}

static void check_experts(const world *w, int layer)
{
    const int n_scope = w->plan.scope == PAR_SCOPE_STAGE ? w->plan.pp
                                                         : w->plan.dp;
    for (int64_t e = 0; e < w->spec.n_e; e++)
        for (int64_t f = 0; f < w->spec.n_f; f++) {
            int n_owner = 0;
            for (int r = 0; r < w->n; r++) {
                const par_layout *l = &w->rank[r];
                n_owner += l->experts[layer].slot[e] >= 0 &&
                           f >= l->first_f[l->etp_i] &&
                           f < l->first_f[l->etp_i + 1];
            }
            ck_assert_int_eq(n_owner, declared_replicas(w, layer, e) *
                                          w->rank[0].edp * n_scope);
        }
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        const par_experts *x = &l->experts[layer];
        int n_mine = 0;
        for (int e = 0; e < w->spec.n_e; e++) {
            if (x->slot[e] < 0)
                continue;
            ck_assert_int_eq(x->mine[x->slot[e]], e);
            ck_assert_int_ge(x->entry[x->slot[e]], x->replica_first[e]);
            ck_assert_int_lt(x->entry[x->slot[e]], x->replica_first[e + 1]);
            ck_assert_int_eq(x->replica_ep[x->entry[x->slot[e]]], l->ep_i);
            ck_assert(w->plan.n_mapped > 0 || x->slot[e] == n_mine);
            n_mine++;
            if (w->plan.n_placed == 0 && w->plan.n_mapped == 0)
                ck_assert_int_eq(contiguous(w, e), l->ep_i);
        }
        ck_assert_int_eq(n_mine, l->n_my_expert);
        for (int i = 0; w->plan.n_mapped > 0 && i < n_mine; i++)
            ck_assert_int_eq(x->mine[i],
                             logical(w, layer, l->ep_i * n_mine + i));
    }
}

/* Is expert e of `token`, asked for by l, served by the declared replica, and
 * do its etp ranks all have the expert? */
static bool is_served(const world *w, const par_layout *l, int layer, int64_t e,
                      int64_t token)
{
    const int ep_i = par_layout_holder(l, layer, e, token), etp = w->plan.etp;
    const int n = declared_replicas(w, layer, e);
    if ((w->plan.n_placed > 0 || w->plan.n_mapped > 0) &&
        ep_i != declared_holder(w, layer, e, (int)(token % n)))
        return false;
    for (int i = 0; i < etp; i++) {
        const par_layout *k = &w->rank[l->ep_group.rank[ep_i * etp + i]];
        if (k->experts[layer].slot[e] < 0 || k->etp_i != i)
            return false;
    }
    return true;
}

/* Whoever is asked to serve an expert has it, all etp columns of it, in the
 * asker's own ep group; and the replicas take turns.  (One assertion a rank:
 * Check writes a mark for each.) */
static void check_holders(const world *w, int layer)
{
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        int n_wrong = 0;
        for (int64_t e = 0; e < w->spec.n_e; e++) {
            int n_holder = 0;
            for (int i = 0; i < l->ep_group.n; i++)
                n_holder +=
                    w->rank[l->ep_group.rank[i]].experts[layer].slot[e] >= 0;
            n_wrong += n_holder != w->plan.etp * declared_replicas(w, layer, e);
            for (int64_t token = 0; token < 9; token++)
                n_wrong += !is_served(w, l, layer, e, token);
        }
        ck_assert_int_eq(n_wrong, 0);
    }
}

static void check_rows(const world *w, int64_t n_b)
{
    const par_plan *p = &w->plan;
    core_groups groups;
    ck_assert(par_layout_groups(&groups, p, n_b) == CORE_OK);
    ck_assert_int_eq(groups.n, p->rounds * p->dp * p->mb);
    int64_t next = 0, part = 0;
    for (int round = 0; round < p->rounds; round++)
        for (int d = 0; d < p->dp; d++)
            for (int m = 0; m < p->mb; m++, part++) {
                int64_t row0, row1;
                par_layout_rows(p, n_b, round, d, m, &row0, &row1);
                ck_assert_int_eq(row0, next);
                ck_assert_int_eq(row1 - row0,
                                 n_b / groups.n + (part < n_b % groups.n));
                ck_assert_int_eq(groups.first_row[part], row0);
                next = row1;
            }
    ck_assert_int_eq(next, n_b);
    ck_assert_int_eq(groups.first_row[groups.n], n_b);
    core_groups_free(&groups);
}

static void check_slices(const world *w, int64_t n_t)
{
    for (int r = 0; r < w->n; r++) {
        const par_group *group = &w->rank[r].tp_group;
        int64_t next = 0;
        for (int t = 0; t < group->n; t++) {
            int64_t t0, t1;
            par_layout_slice(&w->rank[group->rank[t]], n_t, &t0, &t1);
            ck_assert_int_eq(t0, next);
            ck_assert_int_ge(t1, t0);
            next = t1;
        }
        ck_assert_int_eq(next, n_t);
    }
}

static const par_group *group_of(const par_layout *l, int kind)
{
    const par_group *const groups[] = {&l->tp_group, &l->ep_group,
                                       &l->etp_group, &l->cp_group};
    return groups[kind];
}

static bool same_members(const par_group *a, const par_group *b)
{
    return a->n == b->n &&
           memcmp(a->rank, b->rank, sizeof(int) * (size_t)a->n) == 0;
}

static void check_groups(const world *w)
{
    static const char *const names[] = {"tp", "ep", "etp", "cp"};
    for (int r = 0; r < w->n; r++)
        for (int kind = 0; kind < 4; kind++) {
            const par_group *g = group_of(&w->rank[r], kind);
            ck_assert_str_eq(g->name, names[kind]);
            ck_assert(g->me >= 0 && g->me < g->n);
            ck_assert_int_eq(g->rank[g->me], r);
            ck_assert_int_ne(g->id, 0);
            for (int i = 0; i < g->n; i++) {
                ck_assert(g->rank[i] >= 0 && g->rank[i] < w->n);
                const par_group *o = group_of(&w->rank[g->rank[i]], kind);
                ck_assert_int_eq(o->id, g->id);
                ck_assert(same_members(o, g));
                ck_assert_int_eq(o->me, i);
            }
            for (int o = 0; o < w->n; o++) /* an id means one kind and list */
                for (int k = 0; k < 4; k++) {
                    const par_group *h = group_of(&w->rank[o], k);
                    if (h->id == g->id)
                        ck_assert(k == kind && same_members(h, g));
                }
        }
}

static void check_group_members(const world *w)
{
    for (int r = 0; r < w->n; r++) {
        const par_layout *l = &w->rank[r];
        ck_assert_int_eq(l->tp_group.n, w->plan.tp);
        ck_assert_int_eq(l->tp_group.me, l->t);
        ck_assert_int_eq(l->ep_group.n, w->plan.ep * w->plan.etp);
        ck_assert_int_eq(l->ep_group.me, l->ep_i * w->plan.etp + l->etp_i);
        ck_assert_int_eq(l->etp_group.n, w->plan.etp);
        ck_assert_int_eq(l->etp_group.me, l->etp_i);
        for (int t = 0; t < w->plan.tp; t++) {
            const par_layout *k = &w->rank[l->tp_group.rank[t]];
            ck_assert(k->stage == l->stage && k->d == l->d && k->c == l->c &&
                      k->t == t);
        }
        ck_assert_int_eq(l->cp_group.n, w->plan.cp);
        ck_assert_int_eq(l->cp_group.me, l->c);
        for (int c = 0; c < w->plan.cp; c++) {
            const par_layout *k = &w->rank[l->cp_group.rank[c]];
            ck_assert(k->stage == l->stage && k->d == l->d && k->c == c &&
                      k->t == l->t);
        }
        for (int i = 0; i < l->ep_group.n; i++) {
            const par_layout *k = &w->rank[l->ep_group.rank[i]];
            ck_assert(scope_of(k) == scope_of(l) && k->edp_i == l->edp_i);
        }
        for (int i = 0; i < l->etp_group.n; i++) {
            const par_layout *k = &w->rank[l->etp_group.rank[i]];
            ck_assert(scope_of(k) == scope_of(l) && k->edp_i == l->edp_i &&
                      k->ep_i == l->ep_i);
        }
    }
}

/* Every token is one rank's, each rank has them in order, and about as many keys
 * before its queries as any other. */
START_TEST(test_parts_of_rows)
{
    const par_plan plan = {.cp = 1 + _i % 5};
    for (int64_t n_t = 0; n_t < 40; n_t++) {
        int n_owner[2 * 40] = {0};
        int64_t least = INT64_MAX, most = 0;
        for (int c = 0; c < plan.cp; c++) {
            const int64_t n = par_layout_n_t(&plan, c, n_t);
            int64_t n_key = 0, before = -1;
            for (int64_t i = 0; i < 2 * n; i++) {
                const int64_t token = par_layout_token(&plan, c, n_t, i);
                ck_assert(token > before && token < 2 * n_t);
                before = token;
                n_owner[token]++;
                n_key += i < n ? token + 1 : 0;
            }
            least = n_key < least ? n_key : least;
            most = n_key > most ? n_key : most;
        }
        for (int64_t i = 0; i < 2 * n_t; i++)
            ck_assert_int_eq(n_owner[i], 1);
        /* parts differ by a token, which has at most n_t keys; or two */
        ck_assert_int_le(most - least, 2 * n_t);
    }
}
END_TEST

/* Heads of a tensor rank are dealt out one after the other, as many to each, with
 * the kv heads that they read.                                               */
START_TEST(test_dealt_heads)
{
    const int tp = 1 + _i % 3, cp = 1 + _i / 3;
    for (int64_t n_g = 1; n_g <= 6; n_g++) {
        const core_heads all = {.n_h = 12L * cp, .n_g = n_g};
        par_layout l = {.plan = {.tp = tp, .cp = cp}, .t = _i % tp};
        l.heads[0] = par_layout_heads(&all, tp, l.t);
        int64_t next = l.heads[0].h0;
        for (int c = 0; c < cp; c++) {
            const par_heads mine = par_layout_dealt(&l, 0, c);
            ck_assert_int_eq(mine.h0, next);
            ck_assert_int_eq(mine.n_h, all.n_h / tp / cp);
            ck_assert_int_eq(mine.kv0, mine.h0 * n_g / all.n_h);
            next += mine.n_h;
            ck_assert_int_eq(mine.kv0 + mine.n_kv - 1,
                             (next - 1) * n_g / all.n_h);
        }
        ck_assert_int_eq(next, l.heads[0].h0 + l.heads[0].n_h);
    }
}
END_TEST

START_TEST(test_random_plan)
{
    world *w = calloc(1, sizeof *w);
    ck_assert_ptr_nonnull(w);
    random_world(w, _i);
    open_world(w);
    check_meshes(w);
    check_expert_order(w);
    check_neighbours(w);
    check_layers(w);
    check_tensor_axes(w);
    check_kv_heads(w);
    for (int layer = 0; layer < (int)w->spec.n_l; layer++) {
        if (w->plan.n_mapped > 0 ? !core_spec_is_moe(&w->spec, layer)
                                 : layer > 0)
            continue;
        check_experts(w, layer);
        check_holders(w, layer);
    }
    check_groups(w);
    check_group_members(w);
    for (int64_t n = 0; n < 20; n += 3) {
        check_rows(w, n);
        check_slices(w, n);
    }
    close_world(w);
    free(w);
}
END_TEST

/* The draws reach every corner that the properties are about. */
START_TEST(test_draws_are_diverse)
{
    world *w = calloc(1, sizeof *w);
    ck_assert_ptr_nonnull(w);
    int n_replica = 0, n_edp = 0, n_etp = 0, n_shared_kv = 0, n_uneven = 0;
    int n_placed = 0, n_mapped = 0, n_sublayer = 0, n_virtual = 0;
    for (int seed = 0; seed < N_RANDOM; seed++) {
        random_world(w, seed);
        const par_plan *p = &w->plan;
        const int n_set = p->ep * p->etp;
        n_replica += p->scope == PAR_SCOPE_REPLICA && p->pp > 1;
        n_edp += p->scope == PAR_SCOPE_STAGE && p->dp * p->cp * p->tp > n_set &&
                 p->ep > 1;
        n_etp += p->etp > 1 && p->ep > 1;
        n_shared_kv += w->spec.n_g % p->tp != 0;
        n_uneven += w->spec.n_e % p->ep != 0;
        n_placed += p->n_placed > 0 && p->ep > 1;
        n_mapped += p->n_mapped > 1 && p->ep > 1;
        n_sublayer += w->spec.n_h == 0;
        n_virtual += p->vpp > 1;
    }
    ck_assert_int_gt(n_replica, 20);
    ck_assert_int_gt(n_edp, 20);
    ck_assert_int_gt(n_etp, 20);
    ck_assert_int_gt(n_shared_kv, 20);
    ck_assert_int_gt(n_uneven, 20);
    ck_assert_int_gt(n_placed, 20);
    ck_assert_int_gt(n_mapped, 20);
    ck_assert_int_gt(n_sublayer, 10);
    ck_assert_int_gt(n_virtual, 20);
    free(w);
}
END_TEST

/* --- by hand: the pictures of LAYOUTS.md ---------------------------------- */

static void seed_world(world *w, const char *text)
{
    memset(w, 0, sizeof *w);
    w->spec.n_l = w->spec.n_h = w->spec.n_g = 16;
    w->spec.n_d = 128;
    w->spec.n_e = 64;
    w->spec.n_f = 256;
    w->spec.n_v = 512;
    ck_assert(par_plan_parse(&w->plan, text) == CORE_OK);
    ck_assert_msg(par_plan_check(&w->plan, &w->spec) == CORE_OK, "%s",
                  core_message());
    open_world(w);
}

static void check_members(const par_group *g, const int *rank, int n)
{
    ck_assert_int_eq(g->n, n);
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(g->rank[i], rank[i]);
}

START_TEST(test_seed_32)
{
    static const int tp[] = {12, 13, 14, 15};
    static const int ep[] = {4,  5,  6,  7,  12, 13, 14, 15,
                             20, 21, 22, 23, 28, 29, 30, 31};
    world *w = calloc(1, sizeof *w);
    seed_world(w, "seed-32");
    const par_layout *l = &w->rank[13]; /* stage 1, replica 1, t 1 */
    ck_assert(l->stage == 1 && l->d == 1 && l->t == 1);
    ck_assert(l->ep_i == 5 && l->etp_i == 0 && l->edp_i == 0 && l->edp == 1);
    check_members(&l->tp_group, tp, 4);
    check_members(&l->ep_group, ep, 16);
    ck_assert_int_eq(l->n_my_expert, 4);
    ck_assert_int_eq(l->experts->mine[0], 20);
    ck_assert_int_eq(l->n_pair, 4);
    ck_assert_int_eq(l->prev_rank, 5);
    ck_assert_int_eq(l->next_rank, 21);
    close_world(w);
    free(w);
}
END_TEST

START_TEST(test_seed_32_stage)
{
    static const int ep[] = {8, 9, 10, 11, 12, 13, 14, 15};
    world *w = calloc(1, sizeof *w);
    seed_world(w, "seed-32-stage");
    const par_layout *l = &w->rank[13];
    ck_assert(l->ep_i == 5 && l->etp_i == 0 && l->edp_i == 0 && l->edp == 1);
    check_members(&l->ep_group, ep, 8);
    ck_assert_int_eq(l->n_my_expert, 8);
    ck_assert_int_eq(l->experts->mine[0], 40);
    close_world(w);
    free(w);
}
END_TEST

static const struct {
    int n_h, n_g, tp, t;
    int64_t kv0, kv1;
    int64_t g;
    int n_owner, index;
} kv_rows[] = {
    {10, 5, 2, 0, 0, 3, 2, 2, 0}, /* kv head 2 straddles the border */
    {10, 5, 2, 1, 2, 5, 2, 2, 1},
    {10, 5, 10, 7, 3, 4, 3, 2, 1}, /* fewer kv heads than ranks */
    {12, 3, 4, 1, 0, 2, 0, 2, 1},
    {12, 3, 4, 2, 1, 3, 2, 2, 0},
    {12, 3, 6, 3, 1, 2, 2, 2, -1},
    {16, 16, 4, 2, 8, 12, 8, 1, 0}, /* one kv head per query head */
};

START_TEST(test_kv_by_hand)
{
    char text[32];
    world *w = calloc(1, sizeof *w);
    w->spec.n_l = w->spec.n_e = w->spec.n_f = 1;
    w->spec.n_v = 100;
    w->spec.n_h = kv_rows[_i].n_h;
    w->spec.n_g = kv_rows[_i].n_g;
    snprintf(text, sizeof text, "tp=%d", kv_rows[_i].tp);
    ck_assert(par_plan_parse(&w->plan, text) == CORE_OK);
    open_world(w);
    const par_layout *l = &w->rank[kv_rows[_i].t];
    int index;
    const par_heads *mine = &l->heads[0];
    ck_assert_int_eq(mine->kv0, kv_rows[_i].kv0);
    ck_assert_int_eq(mine->kv0 + mine->n_kv, kv_rows[_i].kv1);
    ck_assert_int_eq(par_layout_kv_owners(l, &mine->all, kv_rows[_i].g,
                                          kv_rows[_i].t, &index),
                     kv_rows[_i].n_owner);
    ck_assert_int_eq(index, kv_rows[_i].index);
    close_world(w);
    free(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("par_layout");
    TCase *t = tcase_create("layout");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_random_plan, 0, N_RANDOM);
    tcase_add_loop_test(t, test_parts_of_rows, 0, 5);
    tcase_add_loop_test(t, test_dealt_heads, 0, 12);
    tcase_add_loop_test(t, test_turns, 0, 16);
    tcase_add_test(t, test_draws_are_diverse);
    tcase_add_test(t, test_seed_32);
    tcase_add_test(t, test_seed_32_stage);
    tcase_add_loop_test(t, test_kv_by_hand, 0,
                        (int)(sizeof kv_rows / sizeof kv_rows[0]));
    suite_add_tcase(s, t);
    return check_main(s);
}
