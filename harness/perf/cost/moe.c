/* harness/perf/cost/moe.c -- router, dispatch, experts, combine.
 *
 * What a rank has to do here depends on the others: rows come from every member
 * of its expert group, each of which works on its own micro-batch and, in
 * scope=replica, on its own stage's layer.  So the walk asks for each member
 * what it is at in this tick, and what the load says it sends.
 *
 * The etp ranks of an expert get the same rows; each completes and returns its
 * share of every source's block, [n i / etp, n (i+1) / etp).
 */
#include "harness/perf/cost/record.h"
#include "parallel/turns.h"

#include <string.h>

/* --- what is known before the first pair --- */

static void find_pairs(har__walk *w)
{
    const par_layout *lay = w->lay;
    for (int part = 0; part < par_plan_parts(&lay->plan); part++) {
        int *layer = w->pair_layer + part * lay->n_pair, n = 0;
        for (int l = lay->first_layer[part]; l < lay->first_layer[part + 1];
             l++)
            if (core_spec_is_moe(w->spec, l))
                layer[n++] = l;
        while (n < lay->n_pair)
            layer[n++] = -1;
    }
}

static void find_members(har__walk *w)
{
    const par_layout *lay = w->lay;
    const int n_slice = lay->plan.cp * lay->plan.tp;
    for (int i = 0; i < lay->ep_group.n; i++) {
        const int replica = lay->ep_group.rank[i] / n_slice;
        w->member[i] = (har__member){.stage = replica / lay->plan.dp,
                                     .d = replica % lay->plan.dp,
                                     .slice = lay->ep_group.rank[i] % n_slice};
    }
}

void har__take_pairs(har__walk *w, core_arena *arena)
{
    const par_layout *lay = w->lay;
    const int64_t n_pair = (int64_t)par_plan_parts(&lay->plan) * lay->n_pair;
    w->to_ep = core_arena_i64(arena, lay->plan.ep);
    w->pair_layer = core_arena_take(arena, n_pair, sizeof *w->pair_layer);
    w->member = core_arena_take(arena, lay->ep_group.n, sizeof *w->member);
    w->at = core_arena_take(arena, lay->plan.pp, sizeof *w->at);
    if (w->at == NULL)
        return;
    find_pairs(w);
    find_members(w);
}

void har__reach_tick(har__walk *w)
{
    const par_plan *plan = &w->lay->plan;
    const int n_lane = par_plan_lanes(plan), n_run = par_runs(plan, n_lane);
    const int turn = w->tick_of_round / n_lane, lane = w->tick_of_round % n_lane;
    for (int stage = 0; stage < plan->pp; stage++) {
        const int chunk = par_turn_of(plan, n_run, stage, turn).chunk;
        w->at[stage] =
            (har__at){.mb = par_lane_mb(plan, n_lane, stage, turn, lane),
                      .part = par_virtual_stage(plan, stage, chunk)};
    }
}

/* --- the flow of a pair --- */

/* The MoE layer that pair `pair` of a virtual stage serves, or -1. */
static int pair_layer(const har__walk *w, int part, int pair)
{
    return w->pair_layer[part * w->lay->n_pair + pair];
}

/* What a member dispatches: rows by entry of a layer. */
typedef struct sent {
    const uint64_t *load; /* NULL: nothing                                    */
    int layer;
} sent;

/* In this pair of this tick. */
static sent sent_by(const har__walk *w, const har__member *member, int pair)
{
    const par_plan *plan = &w->lay->plan;
    const har__at *at = &w->at[member->stage];
    const int layer = pair_layer(w, at->part, pair);
    if (layer < 0 || at->mb < 0)
        return (sent){NULL, 0};
    return (sent){
        har_load_at(w->request->load, layer,
                    ((int64_t)w->round * plan->dp + member->d) * plan->mb +
                        at->mb,
                    member->slice),
        layer};
}

/* Rows that I send to each member. */
static void find_to(har__walk *w, sent mine)
{
    const par_layout *lay = w->lay;
    const par_experts *x = &lay->experts[mine.layer];
    const int n_entry = x->replica_first[w->spec->n_e];
    memset(w->to_ep, 0, (size_t)lay->plan.ep * sizeof *w->to_ep);
    for (int i = 0; mine.load != NULL && i < n_entry; i++)
        w->to_ep[x->replica_ep[i]] += (int64_t)mine.load[i];
    for (int i = 0; i < lay->ep_group.n; i++)
        w->to[i] = w->to_ep[i / lay->plan.etp];
}

/* Rows that a member sends for my experts, by stage and expert too. */
static int64_t add_from(const har__walk *w, sent from, int stage)
{
    const int *entry = w->lay->experts[from.layer].entry;
    int64_t *bucket = w->bucket + (int64_t)stage * w->lay->n_my_expert;
    int64_t n = 0;
    for (int i = 0; from.load != NULL && i < w->lay->n_my_expert; i++) {
        const int64_t rows = (int64_t)from.load[entry[i]];
        bucket[i] += rows;
        n += rows;
    }
    return n;
}

static int64_t sum(const int64_t *n, int n_member)
{
    int64_t total = 0;
    for (int i = 0; i < n_member; i++)
        total += n[i];
    return total;
}

/* Rows of a block that etp rank i completes. */
static int64_t share(const har__walk *w, int64_t n, int i)
{
    const int etp = w->lay->plan.etp;
    return etp == 1 ? n : n * (i + 1) / etp - n * i / etp;
}

static int64_t n_completed(const har__walk *w)
{
    int64_t n = 0;
    for (int i = 0; i < w->lay->ep_group.n; i++)
        n += share(w, w->from[i], w->lay->etp_i);
    return n;
}

/* What a pair comes to for this rank. */
static void sum_up(har__walk *w)
{
    const par_group *group = &w->lay->ep_group;
    w->n_to = sum(w->to, group->n);
    w->n_from = sum(w->from, group->n);
    w->n_stays = w->to[group->me];
    w->n_completed = n_completed(w);
    w->n_keeps = share(w, w->from[group->me], w->lay->etp_i);
    w->n_back = 0;
    for (int i = 0; i < group->n; i++)
        w->n_back += share(w, w->to[i], i % w->lay->plan.etp);
}

/* Rows of all members of my group for every expert, by the stages of its members:
 * from a rank of the group before me, or added up now.                       */
static const int64_t *gathered(const har__walk *w, int pair)
{
    har_gathered *g = w->reader->gathered;
    const int64_t n_entry = w->request->load->n_entry;
    const int64_t n = g->n_stage * n_entry;
    const int64_t at = w->tick * w->lay->n_pair + pair;
    int64_t *rows = g->rows + at * n;
    if (g->group != w->lay->ep_group.id)
        memset(g->known, 0, (size_t)g->n_pair);
    g->group = w->lay->ep_group.id;
    if (g->known[at])
        return rows;
    g->known[at] = true;
    memset(rows, 0, (size_t)n * sizeof *rows);
    for (int i = 0; i < w->lay->ep_group.n; i++) {
        const sent from = sent_by(w, &w->member[i], pair);
        int64_t *to = rows + w->member[i].stage % g->n_stage * n_entry;
        for (int64_t e = 0; from.load != NULL && e < n_entry; e++)
            to[e] += (int64_t)from.load[e];
    }
    return rows;
}

/* The same where experts are whole: sums are all that is asked for. */
static void find_gathered(har__walk *w, int pair, sent mine)
{
    const par_layout *lay = w->lay;
    const int64_t n_entry = w->request->load->n_entry;
    const int64_t *rows = gathered(w, pair);
    const int n_stage = w->reader->gathered->n_stage;
    const int stage0 = n_stage == 1 ? lay->stage : 0;
    w->n_to = w->n_from = w->n_stays = 0;
    for (int64_t e = 0; mine.load != NULL && e < n_entry; e++)
        w->n_to += (int64_t)mine.load[e];
    for (int i = 0; mine.load != NULL && i < lay->n_my_expert; i++)
        w->n_stays += (int64_t)mine.load[lay->experts[mine.layer].entry[i]];
    for (int s = 0; s < n_stage; s++) {
        const int layer = pair_layer(w, w->at[stage0 + s].part, pair);
        int64_t *bucket = w->bucket + (stage0 + s) * lay->n_my_expert;
        for (int i = 0; layer >= 0 && i < lay->n_my_expert; i++) {
            bucket[i] = rows[s * n_entry + lay->experts[layer].entry[i]];
            w->n_from += bucket[i];
        }
    }
    w->n_completed = w->n_from;
    w->n_keeps = w->n_stays;
    w->n_back = w->n_to;
}

/* Fill bucket and the sums of a pair. */
static void find_flow(har__walk *w, int pair, bool sends)
{
    const par_layout *lay = w->lay;
    const sent mine = sends ? sent_by(w, &w->member[lay->ep_group.me], pair)
                            : (sent){NULL, 0};
    memset(w->bucket, 0,
           (size_t)lay->plan.pp * (size_t)lay->n_my_expert * sizeof *w->bucket);
    if (w->reader->gathered != NULL && lay->plan.etp == 1) {
        find_gathered(w, pair, mine);
        return;
    }
    find_to(w, mine);
    for (int i = 0; i < lay->ep_group.n; i++)
        w->from[i] = add_from(w, sent_by(w, &w->member[i], pair),
                              w->member[i].stage);
    sum_up(w);
}

static int stage_of(const par_layout *lay, int layer)
{
    int part = 0;
    while (lay->first_layer[part + 1] <= layer)
        part++;
    return part % lay->plan.pp;
}

/* The same on the way back, where all members are at the same layer, each in
 * its own stage, and at the same micro-batch of their own.                    */
static void find_flow_back(har__walk *w, int layer, bool sends)
{
    const par_layout *lay = w->lay;
    const par_plan *plan = &lay->plan;
    memset(w->bucket, 0,
           (size_t)plan->pp * (size_t)lay->n_my_expert * sizeof *w->bucket);
    if (!sends)
        find_to(w, (sent){NULL, layer});
    for (int i = 0; i < lay->ep_group.n; i++) {
        const par_place at = par_layout_place(plan, lay->ep_group.rank[i]);
        const uint64_t *load = har_load_at(
            w->request->load, layer,
            ((int64_t)w->round * plan->dp + at.d) * plan->mb + w->mb,
            (int64_t)at.c * plan->tp + at.t);
        const bool has = stage_of(lay, layer) == at.stage;
        if (sends && lay->ep_group.rank[i] == lay->rank)
            find_to(w, (sent){load, layer});
        w->from[i] = add_from(w, (sent){has ? load : NULL, layer}, at.stage);
    }
}

/* --- transfers --- */

/* in and out count what stays on this rank, `stays`, too. */
static void put_exchange(har__walk *w, core_tap_kind tap, core_cost_type type,
                         int64_t in, int64_t out, int64_t stays)
{
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, tap);
    cost.collective = CORE_ALL_TO_ALL;
    cost.axis = CORE_AXIS_EP;
    cost.group = w->lay->ep_group.n;
    cost.type = type;
    cost.in = in;
    cost.out = out;
    cost.sent = in - stays;
    har__put(w, cost);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What leaves this rank: counts, metadata, rows. */
static void find_leaving(const har__walk *w, int64_t out[3])
{
    out[0] = w->lay->ep_group.n - 1;
    out[1] = HAR__META_WORDS * (w->n_to - w->n_stays);
    out[2] = core_spec_n_de(w->spec) * (w->n_to - w->n_stays);
}

/* And rows on their way back. */
static int64_t n_returned(const har__walk *w)
{
    return core_spec_n_de(w->spec) * (w->n_completed - w->n_keeps);
}

static void put_dispatch(har__walk *w)
{
    const int n = w->lay->ep_group.n;
    const int64_t n_d = core_spec_n_de(w->spec), to = w->n_to,
                  from = w->n_from, stays = w->n_stays;
    int64_t leaves[3];
    find_leaving(w, leaves);
    if (har__has_flow(w, HAR_COST_DISPATCH, larger(to, from), leaves))
        return;
    put_exchange(w, CORE_TAP_RECV, CORE_COST_WORDS, n, n, 1);
    put_exchange(w, CORE_TAP_RECV, CORE_COST_WORDS, HAR__META_WORDS * to,
                 HAR__META_WORDS * from, HAR__META_WORDS * stays);
    put_exchange(w, CORE_TAP_RECV, CORE_COST_VALUES, n_d * to, n_d * from,
                 n_d * stays);
    har__end(w);
}

static void put_return(har__walk *w)
{
    const int64_t n_d = core_spec_n_de(w->spec), in = w->n_completed;
    const int64_t leaves[] = {n_returned(w)};
    w->op = par_operator_name(PAR_OP_DISPATCH);
    if (har__has_flow(w, HAR_COST_RETURN, larger(in, w->n_back), leaves))
        return;
    put_exchange(w, CORE_TAP_BACK, CORE_COST_VALUES, n_d * in,
                 n_d * w->n_back, n_d * w->n_keeps);
    har__end(w);
}

/* --- computing --- */

/* Choices of my tokens, those of all, their slots. */
static void put_slots(har__walk *w, core_cost choosing)
{
    const int64_t n_k = w->spec->n_k;
    if (!w->lay->plan.sp && w->lay->plan.cp == 1) {
        choosing.written += w->n * n_k;
        har__put(w, choosing);
        return;
    }
    har__put(w, choosing);
    if (w->lay->plan.sp) {
        har__put_gather(w, CORE_TAP_SLOT, n_k, CORE_COST_WORDS);
        har__put_gather(w, CORE_TAP_SLOT, n_k, CORE_COST_VALUES);
    }
    har__put_context(w, CORE_TAP_SLOT, n_k, CORE_COST_WORDS);
    har__put_context(w, CORE_TAP_SLOT, n_k, CORE_COST_VALUES);
    har__put(w, har__rows(w, CORE_TAP_SLOT, w->n_row * w->request->batch->n_t,
                          n_k, 0));
}

void har__put_router(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n = w->n_s, n_e = spec->n_e, n_k = spec->n_k;
    const core_tap probs = {CORE_TAP_ROUTER_PROBS, w->layer};
    const bool looks_up = core_spec_by_table(spec, w->layer);
    int64_t flops = looks_up ? 0 : n_k; /* a search for each of the K */
    switch (spec->router) {
    case CORE_ROUTER_SOFTMAX:
        flops += CORE_FLOPS_SOFTMAX;
        break;
    case CORE_ROUTER_SIGMOID:
    case CORE_ROUTER_SQRT_SOFTPLUS:
        flops += CORE_FLOPS_FUNCTION;
        break;
    case CORE_ROUTER_SPARSEMIXER:
        flops += 2 * CORE_FLOPS_SOFTMAX;
        break;
    case CORE_ROUTER_SOFTMAX_TOP:
        break;
    }
    w->op = par_operator_name(PAR_OP_ROUTER);
    if (spec->router_norm) {
        core_cost norm =
            har__rms(w, CORE_TAP_ROUTER_IN, n, spec->n_d, spec->n_d);
        norm.flops += n * spec->n_d * CORE_FLOPS_SCALE;
        har__put(w, norm);
    }
    har__put(w, har__gemm(w, CORE_TAP_ROUTER_LOGITS, n, n_e, spec->n_d,
                          har__has_weight(w, CORE_W_ROUTER_BIAS)));
    core_cost cost = har__rows(w, CORE_TAP_SLOT, n, n_e, flops);
    cost.k = n_k;
    cost.written = n * (2 * n_k + (core_tap_exists(spec, probs) ? n_e : 0));
    if (n > 0)
        cost.weights = (har__has_weight(w, CORE_W_CORRECTION) ? n_e : 0) +
                       (spec->expert_scale ? n_e : 0);
    if (looks_up)
        cost.weights += n * n_k;
    put_slots(w, cost);
}

/* My kept choices become rows to send, of the experts' width. */
static void put_pack(har__walk *w, int64_t n_kept)
{
    const int64_t n_de = w->spec->n_de;
    if (har__has_flow(w, HAR_COST_PACK, n_kept, NULL))
        return;
    if (n_de > 0)
        har__put(w, har__gemm(w, CORE_TAP_NARROW, w->n_slice, n_de,
                              w->spec->n_d, w->spec->bias_mlp));
    har__put(w, har__rows(w, CORE_TAP_RECV, n_kept, core_spec_n_de(w->spec),
                          w->spec->weigh_input ? CORE_FLOPS_SCALE : 0));
    har__end(w);
}

static har_cost_rows rows_of_experts(const har__walk *w)
{
    har_cost_rows rows = {.m = 0};
    for (int i = 0; i < w->lay->plan.pp * w->lay->n_my_expert; i++) {
        const int64_t m = w->bucket[i];
        rows.m += m;
        rows.m_max = m > rows.m_max ? m : rows.m_max;
        rows.n_expert += m > 0;
    }
    return rows;
}

/* One product for every expert that has rows; n outputs, k inputs. */
static void put_grouped(har__walk *w, const har_cost_rows *rows,
                        core_tap_kind tap, int64_t n, int64_t k, bool has_bias)
{
    core_cost cost = har__record(w, CORE_COST_GROUPED_GEMM, tap);
    cost.n = n;
    cost.k = k;
    cost.m = rows->m;
    cost.m_max = rows->m_max;
    cost.n_expert = rows->n_expert;
    cost.flops = 2 * cost.m * n * k + (has_bias ? cost.m * n : 0);
    cost.weights = cost.n_expert * (n * k + (has_bias ? n : 0));
    cost.read = cost.m * k;
    cost.written = cost.m * n;
    har__put(w, cost);
}

static void put_sort(har__walk *w)
{
    har__put(w, har__rows(w, CORE_TAP_RECV, w->n_from,
                          core_spec_n_de(w->spec), 0));
}

static void put_gate_and_up(har__walk *w, const har_cost_rows *rows, int64_t n_f)
{
    const core_spec *spec = w->spec;
    const int64_t n_d = core_spec_n_de(spec);
    if (spec->gated)
        put_grouped(w, rows, CORE_TAP_EXPERT_GATE, n_f, n_d, spec->bias_ffn);
    put_grouped(w, rows, CORE_TAP_EXPERT_UP, n_f, n_d, spec->bias_ffn);
}

static void put_down(har__walk *w, const har_cost_rows *rows, int64_t n_f)
{
    put_grouped(w, rows, CORE_TAP_EXPERT_OUT, core_spec_n_de(w->spec), n_f,
                false);
}

/* Inner columns of my part of an expert. */
static int64_t n_inner(const par_layout *lay)
{
    return lay->first_f[lay->etp_i + 1] - lay->first_f[lay->etp_i];
}

static void put_experts(har__walk *w)
{
    const int64_t n = w->n_from, n_f = n_inner(w->lay);
    const har_cost_rows rows = rows_of_experts(w);
    w->op = par_operator_name(PAR_OP_EXPERT);
    if (!har__has_flow(w, HAR_COST_SORT, n, NULL)) {
        put_sort(w);
        har__end(w);
    }
    put_gate_and_up(w, &rows, n_f);
    if (!har__has_flow(w, HAR_COST_ACTIVATION, n, NULL)) {
        har__put_activation(w, CORE_TAP_EXPERT_ACT, n, n_f);
        har__end(w);
    }
    put_down(w, &rows, n_f);
}

/* Parts of K made whole over etp; then the bias, a row of it for each row. */
static void put_completion(har__walk *w)
{
    const par_layout *lay = w->lay;
    const int64_t n_d = core_spec_n_de(w->spec), mine = w->n_completed;
    const int64_t n = w->n_from;
    w->op = par_operator_name(PAR_OP_DISPATCH);
    har__put(w,
             har__rows(w, CORE_TAP_EXPERT_OUT, n, n_d, 0)); /* put in order */
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, CORE_TAP_EXPERT_OUT);
    cost.collective = CORE_REDUCE_SCATTER;
    cost.axis = CORE_AXIS_ETP;
    cost.group = lay->plan.etp;
    cost.in = n * n_d;
    cost.out = mine * n_d;
    cost.sent = cost.in - cost.out;
    har__put(w, cost);
    if (w->spec->bias_ffn) {
        core_cost bias =
            har__rows(w, CORE_TAP_EXPERT_OUT, mine, n_d, CORE_FLOPS_ADD);
        bias.weights = mine * n_d;
        har__put(w, bias);
    }
}

/* From when rows are there to when they are ready to go back.  With one part of
 * an expert putting them in order is a matter of their number alone. */
static void put_work(har__walk *w)
{
    const bool is_section = w->lay->plan.etp == 1;
    put_experts(w);
    if (is_section && har__has_flow(w, HAR_COST_ORDER, w->n_from, NULL))
        return;
    put_completion(w);
    if (is_section)
        har__end(w);
}

/* The same where order does not count: what depends on the number of rows, and
 * the products. */
static void put_work_joined(har__walk *w)
{
    const int64_t n_f = n_inner(w->lay);
    const har_cost_rows rows = rows_of_experts(w);
    if (!har__has_flow(w, HAR_COST_ROWS, rows.m, NULL)) {
        w->op = par_operator_name(PAR_OP_EXPERT);
        put_sort(w);
        har__put_activation(w, CORE_TAP_EXPERT_ACT, rows.m, n_f);
        put_completion(w);
        har__end(w);
    }
    if (rows.m > 0 && !har__has_products(w, &rows)) {
        w->op = par_operator_name(PAR_OP_EXPERT);
        put_gate_and_up(w, &rows, n_f);
        put_down(w, &rows, n_f);
        har__end(w);
    }
}

static void put_combine(har__walk *w, int64_t n_kept)
{
    const core_spec *spec = w->spec;
    const int64_t n_d = spec->n_d, n_de = core_spec_n_de(spec);
    const bool widens = spec->n_de > 0;
    const bool passes = spec->capacity.dropped == CORE_DROPPED_PASSTHROUGH;
    const int64_t n_added = passes ? w->n_slice * spec->n_k : n_kept;
    w->op = par_operator_name(PAR_OP_COMBINE);
    if (har__has_flow(w, HAR_COST_COMBINE, n_kept, NULL))
        return;
    core_cost cost = har__rows(w, CORE_TAP_COMBINE, w->n_slice, n_de, 0);
    cost.read = n_added * n_de;
    cost.flops = n_added * n_de * CORE_FLOPS_MULTIPLY_ADD;
    har__put(w, cost);
    if (widens && spec->norm_de)
        har__put(w, har__rms(w, CORE_TAP_WIDE_NORM, w->n_slice, n_de, n_de));
    if (widens)
        har__put(w,
                 har__gemm(w, CORE_TAP_WIDE, w->n_slice, n_d, n_de,
                           spec->bias_mlp));
    if (!w->lay->plan.sp)
        har__put_gather(w, widens ? CORE_TAP_WIDE : CORE_TAP_COMBINE, n_d,
                        CORE_COST_VALUES);
    har__end(w);
}

/* A pair is named after a layer that it serves, my own stage's if there is one.
 */
static int name_pair(const har__walk *w, int pair)
{
    int layer = pair_layer(w, w->part, pair);
    for (int part = 0; layer < 0 && part < par_plan_parts(&w->lay->plan);
         part++)
        layer = pair_layer(w, part, pair);
    return layer;
}

static void put_flow(har__walk *w, int layer, bool sends)
{
    const int own = w->layer;
    const int64_t n_kept = w->n_to / w->lay->plan.etp; /* each to all parts */
    if (sends && w->spec->branch_norm)
        har__put_norm(w, CORE_TAP_MOE_NORM);
    w->layer = layer;
    w->op = par_operator_name(PAR_OP_DISPATCH);
    if (sends)
        put_pack(w, n_kept);
    put_dispatch(w);
    if (sends && har__runs_beside(w)) {
        w->layer = own;
        har__put_mlp(w);
        w->layer = layer;
    }
    if (w->joins)
        put_work_joined(w);
    else
        put_work(w);
    put_return(w);
    w->layer = own;
    if (sends)
        put_combine(w, n_kept);
    if (sends && w->spec->branch_norm)
        har__put_norm(w, CORE_TAP_MOE_POST);
}

void har__put_flow(har__walk *w, int layer, bool sends)
{
    sum_up(w);
    put_flow(w, layer, sends);
}

bool har__has_layer(har__walk *w, int pair)
{
    const har_cost_reader *reader = w->reader;
    find_flow(w, pair, true);
    if (reader->has_layer == NULL || w->spec->branch_norm ||
        har__runs_beside(w))
        return false;
    har_cost_layer layer = {
        .section = har__section_of(w, HAR_COST_LAYER, 0, NULL),
        .n_kept = w->n_to,
        .n_most = larger(w->n_to, w->n_from)};
    layer.section.rows = rows_of_experts(w);
    find_leaving(w, layer.sent_out);
    layer.sent_back[0] = n_returned(w);
    return reader->has_layer(reader->self, &layer);
}

void har__put_found_pair(har__walk *w, int pair)
{
    put_flow(w, name_pair(w, pair), true);
}

void har__put_pair(har__walk *w, int pair, bool sends)
{
    find_flow(w, pair, sends);
    put_flow(w, name_pair(w, pair), sends);
}

/* Rows of a block that a column part returns on the way back. */
static int64_t share_back(const har__walk *w, int64_t n, int i)
{
    return core_split_first(n, w->lay->plan.etp, i + 1) -
           core_split_first(n, w->lay->plan.etp, i);
}

/* Rows of gradients to the experts, with their expert and choice; home again,
 * once they are whole over etp.                                              */
void har__put_pair_back(har__walk *w, int layer, bool sends)
{
    enum { META_BACK = 2 };
    const par_layout *lay = w->lay;
    const int n = lay->ep_group.n, me = lay->ep_group.me;
    find_flow_back(w, layer, sends);
    const int64_t n_d = core_spec_n_de(w->spec), to = sum(w->to, n),
                  from = sum(w->from, n), stays = w->to[me];
    int64_t in = 0, out = 0;
    w->layer = layer;
    put_exchange(w, CORE_TAP_OUT, CORE_COST_WORDS, n, n, 1);
    put_exchange(w, CORE_TAP_OUT, CORE_COST_WORDS, META_BACK * to,
                 META_BACK * from, META_BACK * stays);
    put_exchange(w, CORE_TAP_OUT, CORE_COST_VALUES, n_d * to, n_d * from,
                 n_d * stays);
    core_cost whole = har__record(w, CORE_COST_COLLECTIVE, CORE_TAP_OUT);
    whole.collective = CORE_ALL_REDUCE;
    whole.axis = CORE_AXIS_ETP;
    whole.group = lay->plan.etp;
    whole.in = whole.out = from * n_d;
    whole.sent =
        har__all_reduce_sends(lay->plan.etp, lay->etp_i, from * n_d);
    har__put(w, whole);
    for (int i = 0; i < n; i++) {
        in += share_back(w, w->from[i], lay->etp_i);
        out += share_back(w, w->to[i], i % lay->plan.etp);
    }
    put_exchange(w, CORE_TAP_OUT, CORE_COST_VALUES, n_d * in, n_d * out,
                 n_d * share_back(w, w->from[me], lay->etp_i));
}
