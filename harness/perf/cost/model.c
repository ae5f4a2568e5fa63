/* harness/perf/cost/model.c -- ticks, layers and the operators all models have.
 *
 * The walk is that of the schedule (parallel/turns.h), a micro-batch in a turn:
 * a tick.  scope=stage: a stage without one does nothing.
 * scope=replica: every rank takes part in every pair of every tick.
 *
 * Nothing here knows how an operator is computed, only the shapes that the
 * layout gives it.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"
#include "parallel/turns.h"

/* --- a layer --- */

static const har__connection *connection(const har__walk *w)
{
    return har__connection_row[core_spec_connection(w->spec)];
}

static void put_enter(har__walk *w, har__part part)
{
    if (connection(w) != NULL)
        connection(w)->enter(w, part);
}

/* x += scale * y, or with one flop x += y. */
static void put_add(har__walk *w, core_tap_kind tap, int64_t flops)
{
    core_cost cost = har__rows(w, tap, w->n_s, w->spec->n_d, flops);
    cost.read *= 2;
    har__put(w, cost);
}

/* The layer's output: times a number of its own, too. */
static void put_out(har__walk *w)
{
    const bool is_scaled = w->spec->layer_scale;
    core_cost cost = har__rows(w, CORE_TAP_OUT, w->n_s, w->spec->n_d,
                               CORE_FLOPS_SCALE + CORE_FLOPS_ADD +
                                   (is_scaled ? CORE_FLOPS_SCALE : 0));
    cost.read *= 2;
    cost.weights = is_scaled && w->n_s > 0 ? 1 : 0;
    har__put(w, cost);
}

static void put_leave(har__walk *w, core_tap_kind tap)
{
    if (connection(w) != NULL)
        connection(w)->leave(w, tap);
    else if (tap == CORE_TAP_OUT)
        put_out(w);
    else
        put_add(w, tap, CORE_FLOPS_SCALE + CORE_FLOPS_ADD);
}

static void put_mixer(har__walk *w)
{
    const int mixer = core_spec_mixer(w->spec, w->layer);
    if (mixer == CORE_N_MIXERS)
        return;
    put_enter(w, HAR__MIXER_PART);
    har__put_norm_all(w, CORE_TAP_ATTN_NORM);
    har__mixer_row[mixer]->put(w);
    if (w->spec->post_norm)
        har__put_norm(w, CORE_TAP_ATTN_POST);
    put_leave(w, core_spec_has_ffn(w->spec, w->layer) ? CORE_TAP_MID
                                                      : CORE_TAP_OUT);
}

/* Up to the normed input, which experts read of my own tokens alone. */
static void put_entry(har__walk *w)
{
    if (!core_spec_has_ffn(w->spec, w->layer))
        return;
    put_enter(w, HAR__FFN_PART);
    if (core_spec_n_mlp(w->spec, w->layer) > 0)
        har__put_norm_all(w, CORE_TAP_FFN_NORM);
    else
        har__put_norm(w, CORE_TAP_FFN_NORM);
}

/* From the experts on; with_mlp: it was not put before. */
static void put_rest(har__walk *w, bool with_mlp)
{
    const int64_t n_f = core_spec_n_mlp(w->spec, w->layer);
    if (!core_spec_has_ffn(w->spec, w->layer))
        return;
    if (n_f > 0) {
        if (with_mlp)
            har__put_mlp(w);
        if (core_spec_is_moe(w->spec, w->layer) && w->spec->branch_norm)
            har__put_norm(w, CORE_TAP_MLP_POST);
        w->op = par_operator_name(PAR_OP_MLP);
        if (core_spec_is_moe(w->spec, w->layer))
            put_add(w, CORE_TAP_FFN_OUT, CORE_FLOPS_ADD);
    }
    if (w->spec->post_norm)
        har__put_norm(w, CORE_TAP_FFN_POST);
    put_leave(w, CORE_TAP_OUT);
}

void har__put_layer(har__walk *w, int pair)
{
    const bool has_pair = core_spec_is_moe(w->spec, w->layer) && pair >= 0;
    const bool asks = w->joins && has_pair;
    if (asks && har__has_layer(w, pair))
        return;
    if (!har__has(w, HAR_COST_MIXER)) {
        put_mixer(w);
        put_entry(w);
        if (core_spec_is_moe(w->spec, w->layer))
            har__put_router(w);
        har__end(w);
    }
    if (asks)
        har__put_found_pair(w, pair);
    else if (has_pair)
        har__put_pair(w, pair, true);
    if (!har__has(w, HAR_COST_MLP)) {
        put_rest(w, !har__runs_beside(w) || !has_pair);
        har__end(w);
    }
    if (asks && w->reader->layer_ends != NULL)
        w->reader->layer_ends(w->reader->self);
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
        const int64_t id = batch->ids[w->row0 * batch->n_t +
                                      par_layout_token(&w->lay->plan, w->lay->c,
                                                       batch->n_t, i)];
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
    har__put(w, look_up);
    har__put_sum(w, CORE_TAP_EMBED, n_d, false);
    har__put(w, har__rows(w, CORE_TAP_EMBED, w->n_s, n_d, CORE_FLOPS_SCALE));
    har__end(w);
}

void har__put_head(har__walk *w)
{
    const int64_t n_v =
        w->lay->first_vocab[w->lay->t + 1] - w->lay->first_vocab[w->lay->t];
    if (w->spec->n_h == 0 || har__has(w, HAR_COST_HEAD))
        return;
    put_enter(w, HAR__HEAD_PART);
    har__put_norm_all(w, CORE_TAP_FINAL_NORM);
    w->op = par_operator_name(PAR_OP_HEAD);
    const core_weight bias = {CORE_W_HEAD_BIAS, 0, 0};
    core_cost cost = har__gemm(w, CORE_TAP_LOGITS, w->n, n_v, w->spec->n_d,
                               core_weight_exists(w->spec, bias));
    cost.flops += w->n * n_v * CORE_FLOPS_SCALE;
    if (w->spec->logits_cap > 0.0)
        cost.flops += w->n * n_v * CORE_FLOPS_FUNCTION;
    har__put(w, cost);
    har__end(w);
}

void har__put_stage(har__walk *w, core_collective collective, int layer)
{
    const int into = collective == CORE_SEND ? layer + 1 : layer;
    const int64_t n =
        w->n_s * core_spec_n_x(w->spec) + w->n * core_spec_kept(w->spec, into);
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
    har__put(w, cost);
}

/* --- ticks --- */

/* All that a spec says of single layers. */
bool har__is_like(const core_spec *spec, int a, int b)
{
    return spec->ffn[a] == spec->ffn[b] && spec->mixer[a] == spec->mixer[b] &&
           spec->no_rope[a] == spec->no_rope[b] &&
           spec->head_kind[a] == spec->head_kind[b] &&
           spec->span[a] == spec->span[b] && spec->sight[a] == spec->sight[b] &&
           spec->by_table[a] == spec->by_table[b] &&
           spec->digest[a] == spec->digest[b] &&
           core_spec_looks_alike(spec, a, b);
}

static void find_like(har__walk *w)
{
    for (int l = 0; l < (int)w->spec->n_l; l++)
        for (w->like[l] = 0; !har__is_like(w->spec, w->like[l], l);)
            w->like[l]++;
}

/* My tokens of a micro-batch; *n_s: those whose part of the stream I have. */
static int64_t tokens_of(const har__walk *w, int mb, int64_t *n_s)
{
    const par_plan *plan = &w->lay->plan;
    const core_batch *batch = w->request->batch;
    int64_t row0, row1, t0, t1;
    par_layout_rows(plan, batch->n_b, w->round, w->lay->d, mb, &row0, &row1);
    const int64_t n =
        (row1 - row0) * par_layout_n_t(plan, w->lay->c, batch->n_t);
    par_layout_slice(w->lay, n, &t0, &t1);
    *n_s = plan->sp ? t1 - t0 : n;
    return n;
}

/* Sums over tp are one collective for batch_reduce micro-batches. */
static void set_sums(har__walk *w)
{
    const int n_sum = w->lay->plan.batch_reduce;
    w->n_sum = w->mb % n_sum == 0 ? 0 : -1;
    w->n_sum_s = 0;
    for (int i = 0; w->n_sum >= 0 && i < n_sum; i++) {
        int64_t n_s;
        w->n_sum += tokens_of(w, w->mb + i, &n_s);
        w->n_sum_s += n_s;
    }
}

static void set_tick(har__walk *w, int round, int tick)
{
    const int n_lane = par_plan_lanes(&w->lay->plan);
    const par_plan *plan = &w->lay->plan;
    const core_batch *batch = w->request->batch;
    const int stage = w->lay->stage;
    const int n_run = par_runs(plan, n_lane);
    const par_turn turn = par_turn_of(plan, n_run, stage, tick / n_lane);
    int64_t row1 = 0, t0, t1;
    w->round = round;
    w->tick_of_round = tick;
    w->tick = (int64_t)round * par_ticks(plan) + tick;
    w->mb = par_lane_mb(plan, n_lane, stage, tick / n_lane, tick % n_lane);
    w->part = par_virtual_stage(plan, stage, turn.chunk);
    w->row0 = 0;
    if (w->mb >= 0)
        par_layout_rows(plan, batch->n_b, round, w->lay->d, w->mb, &w->row0,
                        &row1);
    w->n_row = row1 - w->row0;
    w->n = w->n_row * par_layout_n_t(plan, w->lay->c, batch->n_t);
    par_layout_slice(w->lay, w->n, &t0, &t1);
    w->n_slice = t1 - t0;
    w->n_s = plan->sp ? w->n_slice : w->n;
    if (w->mb >= 0)
        set_sums(w);
}

static void put_tick(har__walk *w)
{
    const par_layout *lay = w->lay;
    const int first = lay->first_layer[w->part];
    const int end = lay->first_layer[w->part + 1];
    int pair = 0;
    if (w->mb >= 0) {
        if (w->part > 0)
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
    if (w->mb >= 0 && w->part == par_plan_parts(&lay->plan) - 1)
        har__put_head(w);
    else if (w->mb >= 0)
        har__put_stage(w, CORE_SEND, end - 1);
}

static void take_gathered(har_gathered *g, const har_load *load,
                          core_arena *arena)
{
    g->rows = core_arena_i64(arena, g->n_pair * g->n_stage * load->n_entry);
    g->known = core_arena_take(arena, g->n_pair, sizeof *g->known);
}

core_status har_gathered_make(har_gathered *g, const har_load *load,
                              const par_layout *lay)
{
    core_arena need = core_arena_measure();
    g->group = -1;
    g->n_stage = lay->plan.scope == PAR_SCOPE_REPLICA ? lay->plan.pp : 1;
    g->n_pair =
        (int64_t)lay->plan.rounds * par_ticks(&lay->plan) * lay->n_pair;
    take_gathered(g, load, &need);
    CORE_TRY(core_arena_room(&g->arena, &need));
    take_gathered(g, load, &g->arena);
    return CORE_OK;
}

void har__take_walk(har__walk *w, core_arena *arena)
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
                   .has_sections = reader->has != NULL && plan->cp == 1 &&
                                   plan->batch_reduce == 1 &&
                                   batch->ids == NULL && batch->mask == NULL};
    w.joins = w.has_sections && reader->joins && plan->etp == 1;
    har__take_walk(&w, &need);
    CORE_TRY(core_arena_room(arena, &need));
    har__take_walk(&w, arena);
    find_like(&w);
    for (int round = 0; round < plan->rounds; round++)
        for (int tick = 0; tick < par_ticks(plan); tick++) {
            set_tick(&w, round, tick);
            har__reach_tick(&w);
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
