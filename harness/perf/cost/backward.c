/* harness/perf/cost/backward.c -- see backward.h.
 *
 * Micro-batches from the last to the first, layers from the last to the first.
 * Of a norm's output the gradient is Partial over tp until it has been summed,
 * before feed-forward part and mixer alike; nothing is summed behind a product
 * that a reduction completed on the way there.
 */
#include "harness/perf/cost/backward.h"

#include "harness/perf/cost/memory.h"
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static core_cost transfer(const har__walk *w, core_collective collective,
                          core_axis axis, int group)
{
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, CORE_TAP_OUT);
    cost.collective = collective;
    cost.axis = axis;
    cost.group = group;
    return cost;
}

/* Of n elements over a group, of which this rank is number me. */
static core_cost sum_over(const har__walk *w, core_axis axis, int n_member,
                          int me, int64_t n)
{
    core_cost cost = transfer(w, CORE_ALL_REDUCE, axis, n_member);
    cost.in = cost.out = n;
    cost.sent = har__all_reduce_sends(n_member, me, n);
    return cost;
}

static void put_sum(har__walk *w, int64_t n)
{
    har__put(w, sum_over(w, CORE_AXIS_TP, w->lay->plan.tp, w->lay->t, n));
}

/* Back from what all tokens were gathered for: a part of their sum is mine. */
static void put_scatter(har__walk *w)
{
    core_cost cost =
        transfer(w, CORE_REDUCE_SCATTER, CORE_AXIS_TP, w->lay->plan.tp);
    cost.in = w->n * w->spec->n_d;
    cost.out = w->n_s * w->spec->n_d;
    cost.sent = cost.in - cost.out;
    har__put(w, cost);
}

/* The gradient of a norm's output, whole, of the tokens whose stream I have. */
static void put_whole(har__walk *w)
{
    if (w->lay->plan.sp)
        put_scatter(w);
    else
        put_sum(w, w->n * w->spec->n_d);
}

/* With sp, of all tokens: back through a sum that was scattered. */
static void put_gathered(har__walk *w)
{
    if (w->lay->plan.sp)
        har__put_gather(w, CORE_TAP_OUT, w->spec->n_d, CORE_COST_VALUES);
}

/* --- context parallel --- */

/* What a transfer of the way there is on the way back. */
static void put_mirrored(void *self, const core_cost *there)
{
    har__walk *w = self;
    core_cost back = *there;
    if (there->kind != CORE_COST_COLLECTIVE || there->axis != CORE_AXIS_CP)
        return;
    back.op = w->op;
    if (there->collective == CORE_ALL_GATHER)
        back.collective = CORE_REDUCE_SCATTER;
    if (there->collective == CORE_RING) { /* keys again, and their gradients */
        back.in *= 2;
        back.out *= 2;
        back.sent *= 2;
    } else {
        back.in = there->out;
        back.out = there->in;
        back.sent = back.in - back.in / there->group;
    }
    har__put(w, back);
}

static void put_context(har__walk *w)
{
    const int mixer = core_spec_mixer(w->spec, w->layer);
    const har_cost_reader mirror = {.self = w, .put = put_mirrored};
    har__walk there = *w;
    there.reader = &mirror;
    if (w->lay->plan.cp > 1 && mixer < CORE_N_MIXERS)
        har__mixer_row[mixer]->put(&there);
}

/* --- a layer --- */

/* Kv heads that several tensor ranks read: their gradients are summed. */
static int64_t shared_columns(const har__walk *w)
{
    const par_heads *h = har__heads(w);
    int64_t n = 0;
    int index;
    for (int64_t g = 0; g < h->all.n_g; g++)
        n += par_layout_kv_owners(w->lay, &h->all, g, 0, &index) > 1;
    return n * (h->all.n_dh + h->all.n_dv);
}

static void put_layer(har__walk *w, int l)
{
    const core_spec *spec = w->spec;
    const par_layout *lay = w->lay;
    const bool has_mlp = core_spec_n_mlp(spec, l) > 0;
    w->layer = l;
    if (l == (int)spec->n_l - 1)
        put_whole(w);
    else if (lay->local_layer[l + 1] < 0) {
        core_cost cost = transfer(w, CORE_RECEIVE, CORE_AXIS_PP, lay->plan.pp);
        cost.out = w->n_s * spec->n_d;
        har__put(w, cost);
    }
    if (core_spec_has_ffn(spec, l)) {
        if (has_mlp)
            put_gathered(w);
        if (core_spec_is_moe(spec, l))
            har__put_pair_back(w, l, true);
        if (has_mlp || !lay->plan.sp)
            put_whole(w);
    }
    if (core_spec_mixer(spec, l) < CORE_N_MIXERS) {
        put_gathered(w);
        put_context(w);
        if (core_spec_has_attention(spec, l))
            put_sum(w, w->n * shared_columns(w));
        put_whole(w);
    }
    if (l == 0)
        put_gathered(w);
    else if (lay->local_layer[l - 1] < 0) {
        core_cost cost = transfer(w, CORE_SEND, CORE_AXIS_PP, lay->plan.pp);
        cost.in = cost.sent = w->n_s * spec->n_d;
        har__put(w, cost);
    }
}

static void put_micro_batch(har__walk *w, int round, int mb)
{
    const par_layout *lay = w->lay;
    const core_batch *batch = w->request->batch;
    int64_t row1, t0, t1;
    w->round = round;
    w->mb = mb;
    par_layout_rows(&lay->plan, batch->n_b, round, lay->d, mb, &w->row0, &row1);
    w->n_row = row1 - w->row0;
    w->n = w->n_row * par_layout_n_t(&lay->plan, lay->c, batch->n_t);
    par_layout_slice(lay, w->n, &t0, &t1);
    w->n_slice = t1 - t0;
    w->n_s = lay->plan.sp ? w->n_slice : w->n;
    for (int l = (int)w->spec->n_l - 1; l >= 0; l--) {
        if (lay->local_layer[l] >= 0)
            put_layer(w, l);
        else if (lay->plan.scope == PAR_SCOPE_REPLICA &&
                 core_spec_is_moe(w->spec, l))
            har__put_pair_back(w, l, false);
        w->tick++;
    }
}

/* --- weights --- */

/* Ranks that have the same columns of expert e of a layer, and which of them I am. */
static int holders(const par_layout *lay, int layer, int e, int *me)
{
    const par_experts *x = &lay->experts[layer];
    const bool by_stage = lay->plan.scope == PAR_SCOPE_STAGE;
    int n = 0;
    *me = 0;
    for (int r = 0; r < lay->size; r++) {
        const par_place at = par_layout_place(&lay->plan, r);
        if (!par_experts_has(x, e, at.ep_i) || at.etp_i != lay->etp_i ||
            (by_stage && at.stage != lay->stage))
            continue;
        if (r == lay->rank)
            *me = n;
        n++;
    }
    return n;
}

/* A weight that is no expert's: over the slices of a tensor group where each has
 * part of the tokens, over replicas, a tied table over its two owners.        */
static void put_weight(har__walk *w, core_weight_kind kind, int layer)
{
    const par_layout *lay = w->lay;
    const par_plan *plan = &lay->plan;
    const int64_t n =
        har_cost_weight_elements(w->spec, lay, kind, layer);
    const bool is_router =
        kind == CORE_W_ROUTER || kind == CORE_W_ROUTER_BIAS;
    const bool is_norm = kind == CORE_W_ATTN_NORM ||
                         kind == CORE_W_FFN_NORM || kind == CORE_W_FINAL_NORM;
    w->layer = layer;
    if (n == 0)
        return;
    if (is_router || (is_norm && plan->sp))
        put_sum(w, n);
    har__put(w, sum_over(w, CORE_AXIS_DP, plan->dp * plan->cp,
                         lay->d * plan->cp + lay->c, n));
    if (kind == CORE_W_EMBED && w->spec->tied)
        har__put(w, sum_over(w, CORE_AXIS_ENDS, plan->pp > 1 ? 2 : 1,
                             lay->stage == 0 ? 0 : 1, n));
}

/* Weights of a slot in all layers of mine, or with scope=replica in all. */
static void put_expert(har__walk *w, int slot)
{
    const bool everywhere = w->lay->plan.scope == PAR_SCOPE_REPLICA;
    for (int l = 0; l < (int)w->spec->n_l; l++) {
        const bool has = everywhere || w->lay->local_layer[l] >= 0;
        int me;
        const int n_holder =
            holders(w->lay, l, w->lay->experts[l].mine[slot], &me);
        w->layer = l;
        for (int k = 0; has && k < (int)CORE_N_WEIGHT_KINDS; k++) {
            const core_weight_kind kind = (core_weight_kind)k;
            const int64_t n =
                core_weight_scope_of(kind) == CORE_SCOPE_EXPERT
                    ? har_cost_weight_elements(w->spec, w->lay, kind, l)
                    : 0;
            if (n > 0)
                har__put(w, sum_over(w, CORE_AXIS_EDP, n_holder, me, n));
        }
    }
}

static void put_weights(har__walk *w)
{
    const par_layout *lay = w->lay;
    const core_spec *spec = w->spec;
    const bool is_last = lay->stage == lay->plan.pp - 1;
    w->op = "gradients";
    w->mb = -1;
    if (lay->stage == 0 || (is_last && spec->tied))
        put_weight(w, CORE_W_EMBED, 0);
    for (int k = CORE_W_FINAL_NORM; is_last && k < CORE_N_WEIGHT_KINDS; k++)
        if (!(k == CORE_W_HEAD && spec->tied))
            put_weight(w, (core_weight_kind)k, 0);
    for (int i = 0; i < lay->n_my_layer; i++)
        for (int k = 0; k < (int)CORE_N_WEIGHT_KINDS; k++)
            if (core_weight_scope_of((core_weight_kind)k) == CORE_SCOPE_LAYER)
                put_weight(w, (core_weight_kind)k, lay->my_layer[i]);
    for (int i = 0; i < lay->n_my_expert; i++)
        put_expert(w, i);
}

/* --- a pass --- */

core_status har_cost_backward(const har_cost_case *request,
                              const par_layout *layout, core_arena *arena,
                              const har_cost_reader *reader)
{
    core_arena need = core_arena_measure();
    har__walk w = {.request = request,
                   .spec = request->spec,
                   .lay = layout,
                   .reader = reader,
                   .op = "backward"};
    har__take_walk(&w, &need);
    CORE_TRY(core_arena_room(arena, &need));
    har__take_walk(&w, arena);
    for (int round = layout->plan.rounds - 1; round >= 0; round--)
        for (int mb = layout->plan.mb - 1; mb >= 0; mb--)
            put_micro_batch(&w, round, mb);
    put_weights(&w);
    return CORE_OK;
}

static void set_product(core_cost *c, int64_t m, int64_t n, int64_t k)
{
    c->m = m;
    c->n = n;
    c->k = k;
    c->flops = 2 * m * n * k;
    c->written = m * n;
}

void har_cost_products_back(const core_cost *there, core_cost back[2])
{
    const bool is_grouped = there->kind == CORE_COST_GROUPED_GEMM;
    const int64_t m = there->m, k = there->k;
    const int64_t n = there->n_pair > 0 /* keys that a query sees, in the mean */
                          ? (there->n_pair + m - 1) / m
                          : there->n;
    const int64_t n_group = is_grouped && m > 0 ? there->n_expert : 1;
    const int64_t rows = (m + n_group - 1) / n_group;
    back[0] = back[1] = *there;
    set_product(&back[0], m, k, n);
    back[0].weights = there->weights > 0 ? n_group * n * k : 0;
    back[0].read = m * n;
    set_product(&back[1], n_group * n, k, rows);
    back[1].m_max = is_grouped ? n : 0;
    back[1].weights = 0;
    for (int i = 0; i < 2; i++)
        back[i].kv_read = back[i].n_pair = 0;
    back[1].read = m * (n + k);
}
