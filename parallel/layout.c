/* parallel/layout.c -- from a plan and a rank to ranges and groups.
 *
 * The whole file is arithmetic on four small formulas: the rank of (stage, d,
 * t), the number of a rank inside its expert scope, the split rule of
 * core_split, and the floor rule of kv heads.  Traps: in scope=replica the
 * ranks of a scope are not contiguous; edp is counted inside a scope and is 1
 * there although every expert exists dp times; kv heads overlap between
 * neighbours when they do not divide; a group's id must be the same on all its
 * members, so it is made from the group's coordinates, never from the order of
 * calls.
 *
 * Everything that a measure run needs (sizes) is computed without the arrays.
 */
#include "parallel/layout.h"
#include "parallel/turns.h"

#include <string.h>

static int *take_ints(core_arena *arena, int64_t n)
{
    return core_arena_take(arena, n, sizeof(int));
}

/* --- coordinates ---------------------------------------------------------- */

static int rank_at(const par_plan *plan, int stage, int d, int c, int t)
{
    return ((stage * plan->dp + d) * plan->cp + c) * plan->tp + t;
}

/* The rank that is number `index` in the expert scope of l->rank. */
static int scope_rank(const par_layout *l, int index)
{
    const par_plan *p = &l->plan;
    const int t = index % p->tp, c = index / p->tp % p->cp;
    const int at = index / p->tp / p->cp;
    return p->scope == PAR_SCOPE_STAGE ? rank_at(p, l->stage, at, c, t)
                                       : rank_at(p, at, l->d, c, t);
}

par_place par_layout_place(const par_plan *plan, int rank)
{
    par_place at = {.t = rank % plan->tp,
                    .c = rank / plan->tp % plan->cp,
                    .d = rank / plan->tp / plan->cp % plan->dp,
                    .stage = rank / plan->tp / plan->cp / plan->dp};
    const bool by_stage = plan->scope == PAR_SCOPE_STAGE;
    const int index =
        ((by_stage ? at.d : at.stage) * plan->cp + at.c) * plan->tp + at.t;
    at.etp_i = index % plan->etp;
    at.ep_i = index / plan->etp % plan->ep;
    at.edp_i = index / plan->etp / plan->ep;
    return at;
}

/* My place in the stage before or behind; virtual stages go round about. */
static int neighbour(const par_layout *l, int step)
{
    const par_plan *p = &l->plan;
    const int stage = l->stage + step;
    if (p->vpp == 1 && (stage < 0 || stage == p->pp))
        return -1;
    return rank_at(p, (stage + p->pp) % p->pp, l->d, l->c, l->t);
}

static void set_coordinates(par_layout *l)
{
    const par_plan *p = &l->plan;
    const par_place at = par_layout_place(p, l->rank);
    l->stage = at.stage;
    l->d = at.d;
    l->c = at.c;
    l->t = at.t;
    l->ep_i = at.ep_i;
    l->etp_i = at.etp_i;
    l->edp_i = at.edp_i;

    const int n_scope =
        (p->scope == PAR_SCOPE_STAGE ? p->dp : p->pp) * p->cp * p->tp;
    l->edp = n_scope / (p->ep * p->etp);

    l->prev_rank = neighbour(l, -1);
    l->next_rank = neighbour(l, 1);
}

/* --- layers and split axes ------------------------------------------------ */

/* first_layer of all virtual stages, and what follows from their lengths. */
static void set_parts(par_layout *l, core_arena *arena, const core_spec *spec)
{
    const par_plan *p = &l->plan;
    const int n_part = par_plan_parts(p);
    int first = 0;
    l->first_layer = take_ints(arena, n_part + 1);
    l->n_pair = 0;
    for (int part = 0; part < n_part; part++) {
        const int end = first + par_plan_layers(p, spec->n_l, part);
        const int n_moe = core_spec_count_moe(spec, first, end);
        if (l->first_layer != NULL) {
            l->first_layer[part] = first;
            l->first_layer[part + 1] = end;
        }
        if (n_moe > l->n_pair)
            l->n_pair = n_moe;
        first = end;
    }
}

static void set_layers(par_layout *l, core_arena *arena, const core_spec *spec)
{
    const par_plan *p = &l->plan;
    set_parts(l, arena, spec);
    l->my_layer = take_ints(arena, spec->n_l);
    l->local_layer = take_ints(arena, spec->n_l);
    l->n_my_layer = 0;
    if (l->local_layer == NULL)
        return;
    for (int i = 0; i < (int)spec->n_l; i++)
        l->local_layer[i] = -1;
    for (int chunk = 0; chunk < p->vpp; chunk++) {
        const int part = par_virtual_stage(p, l->stage, chunk);
        for (int i = l->first_layer[part]; i < l->first_layer[part + 1]; i++) {
            l->local_layer[i] = l->n_my_layer;
            l->my_layer[l->n_my_layer++] = i;
        }
    }
}

static int64_t *split_axis(core_arena *arena, int64_t n, int n_part)
{
    int64_t *first = core_arena_i64(arena, n_part + 1);
    if (first != NULL)
        core_split(n, n_part, first);
    return first;
}

par_heads par_layout_heads(const core_heads *all, int tp, int t)
{
    par_heads part = {.all = *all};
    if (all->n_h == 0)
        return part;
    const int64_t h1 = core_split_first(all->n_h, tp, t + 1);
    part.h0 = core_split_first(all->n_h, tp, t);
    part.n_h = h1 - part.h0;
    if (part.n_h == 0) /* more ranks than heads: no layer has attention */
        return part;
    part.kv0 = part.h0 * all->n_g / all->n_h;
    part.n_kv = (h1 - 1) * all->n_g / all->n_h + 1 - part.kv0;
    return part;
}

/* --- experts -------------------------------------------------------------- */

/* Experts that a placed plan gives to an ep index. */
static int count_placed(const par_plan *plan, int ep_i)
{
    int n = 0;
    for (int e = 0; e < plan->n_placed; e++)
        for (int i = 0; i < plan->n_replica[e]; i++)
            if (plan->replica[e][i] == ep_i) {
                n++;
                break;
            }
    return n;
}

static int n_replicas(const par_plan *plan, int64_t e)
{
    return plan->n_placed == 0 ? 1 : plan->n_replica[e];
}

static int n_contiguous(const par_layout *l, int64_t n_e)
{
    return (int)(core_split_first(n_e, l->plan.ep, l->ep_i + 1) -
                 core_split_first(n_e, l->plan.ep, l->ep_i));
}

/* Where the plan places experts of all layers. */
static void set_placed(const par_layout *l, par_experts *x, int64_t n_e)
{
    const par_plan *p = &l->plan;
    int n_entry = 0, n_mine = 0, holder = -1; /* of experts before `end` */
    int64_t end = 0;
    for (int64_t e = 0; e < n_e; e++) {
        x->replica_first[e] = n_entry;
        x->slot[e] = -1;
        while (e == end)
            end = core_split_first(n_e, p->ep, ++holder + 1);
        for (int i = 0; i < n_replicas(p, e); i++, n_entry++) {
            x->replica_ep[n_entry] =
                p->n_placed == 0 ? holder : p->replica[e][i];
            if (x->replica_ep[n_entry] != l->ep_i)
                continue;
            x->slot[e] = n_mine;
            x->mine[n_mine] = (int)e;
            x->entry[n_mine++] = n_entry;
        }
    }
    x->replica_first[n_e] = n_entry;
}

/* The i-th layer with experts, from its physical ones: copies of an expert are
 * in their order.                                                            */
static void set_physical(const par_layout *l, par_experts *x, int64_t n_e,
                         int i)
{
    const int n = l->plan.n_physical, n_slot = l->n_my_expert;
    const uint16_t *logical = l->plan.physical + (int64_t)i * n;
    int *first = x->replica_first;
    memset(first, 0, (size_t)(n_e + 1) * sizeof *first);
    for (int p = 0; p < n; p++)
        first[logical[p] + 1]++;
    for (int64_t e = 0; e < n_e; e++) {
        first[e + 1] += first[e];
        x->slot[e] = -1;
    }
    for (int p = 0; p < n; p++) {
        const int e = logical[p], at = first[e]++;
        x->replica_ep[at] = p / n_slot;
        if (p / n_slot != l->ep_i)
            continue;
        x->slot[e] = p % n_slot;
        x->mine[p % n_slot] = e;
        x->entry[p % n_slot] = at;
    }
    for (int64_t e = n_e; e > 0; e--)
        first[e] = first[e - 1];
    first[0] = 0;
}

static par_experts take_experts(core_arena *arena, int64_t n_e, int64_t n_all,
                                int n_mine)
{
    par_experts x;
    x.replica_first = take_ints(arena, n_e + 1);
    x.replica_ep = take_ints(arena, n_all);
    x.mine = take_ints(arena, n_mine);
    x.entry = take_ints(arena, n_mine);
    x.slot = take_ints(arena, n_e);
    return x;
}

/* Which of the tables is a layer's; without experts that of another layer. */
static int table_of(const par_plan *plan, const core_spec *spec, int layer)
{
    const int n = core_spec_count_moe(spec, 0, layer + 1);
    return plan->n_mapped > 0 && n > 0 ? n - 1 : 0;
}

static void fill_experts(par_layout *l, const core_spec *spec)
{
    if (l->plan.n_mapped == 0)
        set_placed(l, l->experts, spec->n_e);
    for (int layer = 0; l->plan.n_mapped > 0 && layer < (int)spec->n_l; layer++)
        if (core_spec_is_moe(spec, layer))
            set_physical(l, &l->experts[layer], spec->n_e,
                         table_of(&l->plan, spec, layer));
}

static void set_experts(par_layout *l, core_arena *arena, const core_spec *spec)
{
    const par_plan *p = &l->plan;
    const int64_t n_all = par_plan_stored(p, spec->n_e);
    int n_table = 0;
    par_experts x;
    l->n_my_expert = p->n_mapped > 0   ? p->n_physical / p->ep
                     : p->n_placed > 0 ? count_placed(p, l->ep_i)
                                       : n_contiguous(l, spec->n_e);
    l->experts = core_arena_take(arena, spec->n_l, sizeof *l->experts);
    for (int layer = 0; layer < (int)spec->n_l; layer++) {
        if (table_of(p, spec, layer) == n_table) {
            x = take_experts(arena, spec->n_e, n_all, l->n_my_expert);
            n_table++;
        }
        if (l->experts != NULL)
            l->experts[layer] = x;
    }
    if (l->experts != NULL)
        fill_experts(l, spec);
}

void par_layout_rearrange(par_layout *layout, const core_spec *spec,
                          const uint16_t *physical)
{
    par_plan *p = &layout->plan;
    memcpy(p->physical, physical,
           (size_t)(p->n_mapped * p->n_physical) * sizeof *physical);
    fill_experts(layout, spec);
}

/* --- groups --------------------------------------------------------------- */

/* Ids: 0 is the world; kind k (0 to 3) uses 1 + k*size + number, and there are
 * never more groups of a kind than ranks. */
static int *make_group(par_group *group, const par_layout *l, core_arena *arena,
                       const char *name, int kind, int number, int n, int me)
{
    int *rank = take_ints(arena, n);
    *group = (par_group){
        .id = 1 + kind * l->size + number, .n = n, .me = me, .rank = rank};
    strncpy(group->name, name, sizeof group->name - 1);
    return rank;
}

static void set_groups(par_layout *l, core_arena *arena)
{
    const par_plan *p = &l->plan;
    const int row = l->stage * p->dp + l->d; /* who has the same rows */
    int *tp_rank = make_group(&l->tp_group, l, arena, "tp", 0,
                              row * p->cp + l->c, p->tp, l->t);
    int *cp_rank = make_group(&l->cp_group, l, arena, "cp", 3,
                              row * p->tp + l->t, p->cp, l->c);
    const int scope = p->scope == PAR_SCOPE_STAGE ? l->stage : l->d;
    const int set = scope * l->edp + l->edp_i;
    const int n_set = p->ep * p->etp;
    const int me = l->ep_i * p->etp + l->etp_i;
    int *ep_rank = make_group(&l->ep_group, l, arena, "ep", 1, set, n_set, me);
    int *etp_rank = make_group(&l->etp_group, l, arena, "etp", 2,
                               set * p->ep + l->ep_i, p->etp, l->etp_i);
    if (tp_rank == NULL)
        return;

    for (int t = 0; t < p->tp; t++)
        tp_rank[t] = rank_at(p, l->stage, l->d, l->c, t);
    for (int c = 0; c < p->cp; c++)
        cp_rank[c] = rank_at(p, l->stage, l->d, c, l->t);
    for (int i = 0; i < n_set; i++)
        ep_rank[i] = scope_rank(l, l->edp_i * n_set + i);
    for (int i = 0; i < p->etp; i++)
        etp_rank[i] = ep_rank[l->ep_i * p->etp + i];
}

/* From the plan, size and rank of a layout. */
static void lay_out(par_layout *l, core_arena *arena, const core_spec *spec)
{
    const par_plan *p = &l->plan;
    set_coordinates(l);
    set_layers(l, arena, spec);
    l->first_vocab = split_axis(arena, spec->n_v, p->tp);
    l->first_f = split_axis(arena, spec->n_f, p->etp);
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++) {
        const core_heads all = core_spec_heads_of(spec, kind);
        l->heads[kind] = par_layout_heads(&all, p->tp, l->t);
    }
    set_experts(l, arena, spec);
    set_groups(l, arena);
}

/* --- interface ------------------------------------------------------------ */

core_status par_layout_make(par_layout *out, core_arena *arena,
                            const core_spec *spec, const par_plan *plan,
                            int rank)
{
    core_arena need = core_arena_measure();
    /* a plan is mostly room: only what follows it is emptied */
    memset((char *)out + sizeof out->plan, 0, sizeof *out - sizeof out->plan);
    par_plan_copy(&out->plan, plan);
    out->size = par_plan_world(plan);
    out->rank = rank;
    core_assert(rank >= 0 && rank < out->size);
    lay_out(out, &need, spec);
    CORE_TRY(core_arena_room(arena, &need));
    lay_out(out, arena, spec);
    return CORE_OK;
}

void par_layout_rows(const par_plan *plan, int64_t n_b, int round, int d, int m,
                     int64_t *row0, int64_t *row1)
{
    const int64_t n_part = (int64_t)plan->rounds * plan->dp * plan->mb;
    const int64_t part = ((int64_t)round * plan->dp + d) * plan->mb + m;
    *row0 = core_split_first(n_b, n_part, part);
    *row1 = core_split_first(n_b, n_part, part + 1);
}

int par_layout_runs(const par_plan *plan, int c, int64_t n_t, par_run run[2])
{
    const int n_part = 2 * plan->cp;
    for (int k = 0; k < 2; k++) {
        const int part = k == 0 ? c : n_part - 1 - c;
        const int64_t end = core_split_first(n_t, n_part, part + 1);
        run[k].i0 = core_split_first(n_t, n_part, part);
        run[k].n = end - run[k].i0;
    }
    if (run[0].i0 + run[0].n < run[1].i0)
        return 2;
    run[0].n += run[1].n;
    run[1] = (par_run){run[0].i0 + run[0].n, 0};
    return 1;
}

int64_t par_layout_n_t(const par_plan *plan, int c, int64_t n_t)
{
    par_run run[2];
    par_layout_runs(plan, c, n_t, run);
    return run[0].n + run[1].n;
}

int64_t par_layout_token(const par_plan *plan, int c, int64_t n_t, int64_t i)
{
    par_run run[2];
    par_layout_runs(plan, c, n_t, run);
    const int64_t n = run[0].n + run[1].n, at = i % n;
    const int64_t position =
        at < run[0].n ? run[0].i0 + at : run[1].i0 + at - run[0].n;
    return i / n * n_t + position;
}

core_status par_layout_groups(core_groups *out, const par_plan *plan,
                              int64_t n_b)
{
    const int64_t n_part = (int64_t)plan->rounds * plan->dp * plan->mb;
    void *first = NULL;
    CORE_TRY(core_alloc(&first, n_part + 1, sizeof(int64_t), "token groups"));
    core_split(n_b, n_part, first);
    *out = (core_groups){.n = n_part, .first_row = first};
    return CORE_OK;
}

void par_layout_slice(const par_layout *layout, int64_t n_t, int64_t *t0,
                      int64_t *t1)
{
    *t0 = core_split_first(n_t, layout->plan.tp, layout->t);
    *t1 = core_split_first(n_t, layout->plan.tp, layout->t + 1);
}

bool par_experts_has(const par_experts *x, int64_t e, int ep_i)
{
    for (int i = x->replica_first[e]; i < x->replica_first[e + 1]; i++)
        if (x->replica_ep[i] == ep_i)
            return true;
    return false;
}

int par_layout_holder(const par_layout *layout, int layer, int64_t e,
                      int64_t token)
{
    const par_experts *x = &layout->experts[layer];
    const int first = x->replica_first[e];
    const int n = x->replica_first[e + 1] - first;
    return x->replica_ep[first + (int)(token % n)];
}

par_heads par_layout_dealt(const par_layout *layout, int kind, int c)
{
    const par_plan *p = &layout->plan;
    return par_layout_heads(&layout->heads[kind].all, p->tp * p->cp,
                            layout->t * p->cp + c);
}

int par_layout_kv_owners(const par_layout *layout, const core_heads *heads,
                         int64_t g, int t, int *index)
{
    int n_owner = 0;
    *index = -1;
    for (int i = 0; i < layout->plan.tp; i++) {
        const par_heads part = par_layout_heads(heads, layout->plan.tp, i);
        if (g < part.kv0 || g >= part.kv0 + part.n_kv)
            continue;
        if (i == t)
            *index = n_owner;
        n_owner++;
    }
    return n_owner;
}
