/* harness/perf/cost/model.c -- ticks, layers and the operators all models have.
 *
 * The walk is that of the schedule: in tick k of a round, stage s works on
 * micro-batch k - s.  scope=stage: a stage without one does nothing.
 * scope=replica: every rank takes part in every pair of every tick.
 *
 * Nothing here knows how an operator is computed, only the shapes that the
 * layout gives it.  Trap: an operator without rows is no record, but a product
 * whose K is elsewhere is one: it writes zeros.
 */
#include "harness/perf/cost/impl.h"

#include <stdlib.h>

/* --- records --- */

core_cost har__record(const har__walk *w, core_cost_kind kind,
                      core_tap_kind tap)
{
    return (core_cost){.kind = kind,
                       .op = w->op,
                       .tap = {tap, core_tap_is_global(tap) ? 0 : w->layer},
                       .stage = w->lay->stage,
                       .rank = w->lay->rank,
                       .round = w->round,
                       .mb = w->mb,
                       .tick = w->tick,
                       .n_token = w->n};
}

void har__put(har__walk *w, const core_cost *cost)
{
    if (!core_cost_is_empty(cost))
        w->reader->put(w->reader->self, cost);
}

core_cost har__gemm(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                    int64_t k, bool has_bias)
{
    core_cost cost = har__record(w, CORE_COST_GEMM, tap);
    cost.m = m;
    cost.n = n;
    cost.k = k;
    cost.flops = 2 * m * n * k + (has_bias ? m * n : 0);
    cost.weights = m > 0 ? n * k + (has_bias ? n : 0) : 0;
    cost.read = n > 0 ? m * k : 0;
    cost.written = m * n;
    return cost;
}

void har__put_gemm(har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t k, bool has_bias)
{
    const core_cost cost = har__gemm(w, tap, m, n, k, has_bias);
    har__put(w, &cost);
}

core_cost har__rows(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                    int64_t flops)
{
    core_cost cost = har__record(w, CORE_COST_ELEMENTWISE, tap);
    cost.m = m;
    cost.n = n;
    cost.flops = m * n * flops;
    cost.read = cost.written = m * n;
    return cost;
}

void har__put_rows(har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t flops)
{
    const core_cost cost = har__rows(w, tap, m, n, flops);
    har__put(w, &cost);
}

core_cost har__rms(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t n_weight)
{
    const int64_t n_scale = n_weight > 0 ? 2 : 1; /* / rms, * weight */
    core_cost cost = har__rows(w, tap, m, n,
                               CORE_FLOPS_SQUARES + n_scale * CORE_FLOPS_SCALE);
    cost.weights = m > 0 ? n_weight : 0;
    return cost;
}

core_cost har__as_kv(core_cost cost)
{
    cost.kv_read += cost.read;
    cost.kv_written += cost.written;
    cost.read = cost.written = 0;
    return cost;
}

void har__put_all_reduce(har__walk *w, core_tap_kind tap, int64_t n)
{
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, tap);
    cost.collective = CORE_ALL_REDUCE;
    cost.axis = CORE_AXIS_TP;
    cost.group = w->lay->plan.tp;
    cost.in = cost.out = n;
    cost.sent = har__all_reduce_sends(w->lay->plan.tp, w->lay->t, n);
    har__put(w, &cost);
}

void har__put_sum(har__walk *w, core_tap_kind tap, int64_t n_col, bool has_bias)
{
    har__put_all_reduce(w, tap, w->n * n_col);
    if (!has_bias)
        return;
    core_cost bias = har__rows(w, tap, w->n, n_col, CORE_FLOPS_ADD);
    bias.weights = w->n > 0 ? n_col : 0;
    har__put(w, &bias);
}

void har__put_activation(har__walk *w, core_tap_kind tap, int64_t m, int64_t n)
{
    core_cost cost = har__rows(w, tap, m, n, CORE_FLOPS_FUNCTION);
    if (w->spec->gated) {
        cost.flops += m * n * CORE_FLOPS_SCALE;
        cost.read *= 2;
    }
    har__put(w, &cost);
}

bool har__has_weight(const har__walk *w, core_weight_kind kind)
{
    const core_weight id = {kind, w->layer, 0};
    return core_weight_exists(w->spec, id);
}

static void put_norm(har__walk *w, core_tap_kind tap)
{
    const int64_t n_d = w->spec->n_d;
    w->op = par_operator_name(PAR_OP_NORM);
    core_cost cost = har__rms(w, tap, w->n, n_d, n_d);
    if (w->spec->norm == CORE_NORM_LAYER) {
        cost.flops = w->n * n_d * CORE_FLOPS_LAYERNORM;
        cost.weights *= 2;
    }
    har__put(w, &cost);
}

/* --- sections --- */

/* Do two layers have the same records, but for their numbers?  All that a spec
 * says of single layers.                                                     */
static bool is_like(const core_spec *spec, int a, int b)
{
    return spec->ffn[a] == spec->ffn[b] && spec->mixer[a] == spec->mixer[b] &&
           spec->no_rope[a] == spec->no_rope[b] &&
           spec->span[a] == spec->span[b];
}

static void find_like(har__walk *w)
{
    for (int l = 0; l < (int)w->spec->n_l; l++)
        for (w->like[l] = 0; !is_like(w->spec, w->like[l], l);)
            w->like[l]++;
}

bool har__has(har__walk *w, har_cost_part part)
{
    const bool is_end = part == HAR_COST_EMBED || part == HAR_COST_HEAD;
    if (!w->has_sections)
        return false;
    const har_cost_section section = {.part = part,
                                      .like = is_end ? 0 : w->like[w->layer],
                                      .n_row = w->n_row,
                                      .layer = is_end ? 0 : w->layer,
                                      .mb = w->mb,
                                      .tick = w->tick};
    return w->reader->has(w->reader->self, &section);
}

void har__end(har__walk *w)
{
    if (w->has_sections)
        w->reader->ends(w->reader->self);
}

/* --- a layer --- */

/* x += scale * y, or with one flop x += y. */
static void put_add(har__walk *w, core_tap_kind tap, int64_t flops)
{
    core_cost cost = har__rows(w, tap, w->n, w->spec->n_d, flops);
    cost.read *= 2;
    har__put(w, &cost);
}

/* A shared expert times the sigmoid of one more logit. */
static void put_shared_score(har__walk *w)
{
    const int64_t n_d = w->spec->n_d;
    har__put_gemm(w, CORE_TAP_SHARED_LOGIT, w->n, 1, n_d, false);
    core_cost cost =
        har__rows(w, CORE_TAP_SHARED_WEIGHTED, w->n, n_d, CORE_FLOPS_SCALE);
    cost.flops += w->n * CORE_FLOPS_FUNCTION;
    cost.read += w->n;
    cost.written += w->n;
    har__put(w, &cost);
}

static void put_mlp(har__walk *w, int64_t n_f)
{
    const int tp = w->lay->plan.tp, t = w->lay->t;
    const int64_t n_d = w->spec->n_d;
    const int64_t mine =
        core_split_first(n_f, tp, t + 1) - core_split_first(n_f, tp, t);
    w->op = par_operator_name(PAR_OP_MLP);
    if (w->spec->gated)
        har__put_gemm(w, CORE_TAP_MLP_GATE, w->n, mine, n_d,
                      har__has_weight(w, CORE_W_MLP_GATE_BIAS));
    har__put_gemm(w, CORE_TAP_MLP_UP, w->n, mine, n_d,
                  har__has_weight(w, CORE_W_MLP_UP_BIAS));
    har__put_activation(w, CORE_TAP_MLP_ACT, w->n, mine);
    har__put_gemm(w, CORE_TAP_MLP_OUT, w->n, n_d, mine, false);
    har__put_sum(w, CORE_TAP_MLP_OUT, n_d, har__has_weight(w, CORE_W_MLP_DOWN_BIAS));
    if (core_spec_has_shared_gate(w->spec, w->layer))
        put_shared_score(w);
}

static void put_mixer(har__walk *w)
{
    if (w->spec->n_h == 0)
        return;
    put_norm(w, CORE_TAP_ATTN_NORM);
    if (core_spec_has_mamba(w->spec, w->layer))
        har__put_mamba(w);
    else
        har__put_attention(w);
    put_add(w, CORE_TAP_MID, CORE_FLOPS_SCALE + CORE_FLOPS_ADD);
}

/* From the experts on. */
static void put_rest(har__walk *w)
{
    int64_t n_f;
    if (core_spec_has_mlp(w->spec, w->layer, &n_f)) {
        put_mlp(w, n_f);
        if (core_spec_is_moe(w->spec, w->layer))
            put_add(w, CORE_TAP_FFN_OUT, CORE_FLOPS_ADD);
    }
    put_add(w, CORE_TAP_OUT, CORE_FLOPS_SCALE + CORE_FLOPS_ADD);
}

void har__put_layer(har__walk *w, int pair)
{
    if (!har__has(w, HAR_COST_MIXER)) {
        put_mixer(w);
        put_norm(w, CORE_TAP_FFN_NORM);
        har__end(w);
    }
    if (core_spec_is_moe(w->spec, w->layer) && pair >= 0)
        har__put_pair(w, pair, true);
    if (!har__has(w, HAR_COST_MLP)) {
        put_rest(w);
        har__end(w);
    }
}

/* --- the two ends --- */

/* Tokens whose row of the embedding is mine. */
static int64_t n_own_ids(const har__walk *w)
{
    const core_batch *batch = w->request->batch;
    const int64_t v0 = w->lay->first_vocab[w->lay->t];
    const int64_t v1 = w->lay->first_vocab[w->lay->t + 1];
    if (batch->ids == NULL)
        return w->n * (v1 - v0) / w->spec->n_v;
    int64_t n = 0;
    for (int64_t i = 0; i < w->n; i++) {
        const int64_t id = batch->ids[w->row0 * batch->n_t + i];
        n += id >= v0 && id < v1;
    }
    return n;
}

void har__put_embed(har__walk *w)
{
    const int64_t n_d = w->spec->n_d;
    if (w->spec->n_h == 0 || har__has(w, HAR_COST_EMBED))
        return;
    w->op = par_operator_name(PAR_OP_EMBED);
    core_cost look_up = har__rows(w, CORE_TAP_EMBED, w->n, n_d, 0);
    look_up.read = 0;
    look_up.weights = n_own_ids(w) * n_d;
    har__put(w, &look_up);
    har__put_all_reduce(w, CORE_TAP_EMBED, w->n * n_d);
    har__put_rows(w, CORE_TAP_EMBED, w->n, n_d, CORE_FLOPS_SCALE);
    har__end(w);
}

void har__put_head(har__walk *w)
{
    const int64_t n_v =
        w->lay->first_vocab[w->lay->t + 1] - w->lay->first_vocab[w->lay->t];
    if (w->spec->n_h == 0 || har__has(w, HAR_COST_HEAD))
        return;
    put_norm(w, CORE_TAP_FINAL_NORM);
    w->op = par_operator_name(PAR_OP_HEAD);
    const core_weight bias = {CORE_W_HEAD_BIAS, 0, 0};
    core_cost cost = har__gemm(w, CORE_TAP_LOGITS, w->n, n_v, w->spec->n_d,
                               core_weight_exists(w->spec, bias));
    cost.flops += w->n * n_v * CORE_FLOPS_SCALE;
    har__put(w, &cost);
    har__end(w);
}

void har__put_stage(har__walk *w, core_collective collective, int layer)
{
    const int64_t n = w->n * w->spec->n_d;
    w->op = "pipeline";
    w->layer = layer;
    core_cost cost =
        har__record(w, CORE_COST_COLLECTIVE,
                    collective == CORE_SEND ? CORE_TAP_OUT : CORE_TAP_IN);
    cost.collective = collective;
    cost.axis = CORE_AXIS_PP;
    cost.group = w->lay->plan.pp;
    if (collective == CORE_SEND)
        cost.in = cost.sent = n;
    else
        cost.out = n;
    har__put(w, &cost);
}

/* --- ticks --- */

static void set_tick(har__walk *w, int round, int tick)
{
    const par_plan *plan = &w->lay->plan;
    const core_batch *batch = w->request->batch;
    const int mb = tick - w->lay->stage;
    int64_t row1 = 0, t0, t1;
    w->round = round;
    w->tick_of_round = tick;
    w->tick = (int64_t)round * (plan->mb + plan->pp - 1) + tick;
    w->mb = mb >= 0 && mb < plan->mb ? mb : -1;
    w->row0 = 0;
    if (w->mb >= 0)
        par_layout_rows(plan, batch->n_b, round, w->lay->d, mb, &w->row0,
                        &row1);
    w->n_row = row1 - w->row0;
    w->n = w->n_row * batch->n_t;
    par_layout_slice(w->lay, w->n, &t0, &t1);
    w->n_slice = t1 - t0;
}

static void put_tick(har__walk *w)
{
    const par_layout *lay = w->lay;
    const int first = lay->first_layer[lay->stage];
    const int end = lay->first_layer[lay->stage + 1];
    int pair = 0;
    if (w->mb >= 0) {
        if (lay->stage > 0)
            har__put_stage(w, CORE_RECEIVE, first);
        else
            har__put_embed(w);
        for (w->layer = first; w->layer < end; w->layer++) {
            har__put_layer(w, pair);
            pair += core_spec_is_moe(w->spec, w->layer) ? 1 : 0;
        }
    }
    if (lay->plan.scope == PAR_SCOPE_REPLICA)
        for (; pair < lay->n_pair; pair++)
            har__put_pair(w, pair, false);
    if (w->mb >= 0 && lay->stage == lay->plan.pp - 1)
        har__put_head(w);
    if (w->mb >= 0 && lay->next_rank >= 0)
        har__put_stage(w, CORE_SEND, end - 1);
}

static void take(har__walk *w, core_arena *arena)
{
    const par_layout *lay = w->lay;
    w->sees = core_arena_take(arena, w->request->batch->n_t, 1);
    w->to = core_arena_i64(arena, lay->ep_group.n);
    w->from = core_arena_i64(arena, lay->ep_group.n);
    w->bucket =
        core_arena_i64(arena, (int64_t)lay->plan.pp * lay->n_my_expert);
    w->like = core_arena_take(arena, w->spec->n_l, sizeof *w->like);
    har__take_pairs(w, arena);
}

core_status har_cost_walk(const har_cost_case *request,
                          const par_layout *layout, core_arena *arena,
                          const har_cost_reader *reader)
{
    const par_plan *plan = &layout->plan;
    const core_batch *batch = request->batch;
    core_arena need = core_arena_measure();
    har__walk w = {.request = request,
                   .spec = request->spec,
                   .lay = layout,
                   .reader = reader,
                   .has_sections = reader->has != NULL && batch->ids == NULL &&
                                   batch->mask == NULL};
    take(&w, &need);
    CORE_TRY(core_arena_room(arena, &need));
    take(&w, arena);
    find_like(&w);
    for (int round = 0; round < plan->rounds; round++)
        for (int tick = 0; tick < plan->mb + plan->pp - 1; tick++) {
            set_tick(&w, round, tick);
            put_tick(&w);
        }
    return CORE_OK;
}

core_status har_cost_rank(const har_cost_case *request, int rank,
                          void (*put)(void *self, const core_cost *cost),
                          void *self)
{
    core_arena arena = core_arena_measure(), work = arena;
    const har_cost_reader reader = {.self = self, .put = put};
    par_layout layout;
    CORE_TRY(
        par_layout_make(&layout, &arena, request->spec, request->plan, rank));
    const core_status status =
        har_cost_walk(request, &layout, &work, &reader);
    core_arena_free(&work);
    core_arena_free(&arena);
    return status;
}
