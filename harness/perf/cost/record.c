/* harness/perf/cost/record.c -- see record.h.
 *
 * Trap: an operator without rows is no record, but a product whose K is
 * elsewhere is one: it writes zeros.
 */
#include "harness/perf/cost/record.h"

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

core_cost har__rms(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t n_weight)
{
    const int64_t n_scale = n_weight > 0 ? 2 : 1; /* / rms, * weight */
    core_cost cost = har__rows(w, tap, m, n,
                               CORE_FLOPS_SQUARES + n_scale * CORE_FLOPS_SCALE);
    cost.weights = m > 0 ? n_weight : 0;
    return cost;
}

void har__put_norm(har__walk *w, core_tap_kind tap)
{
    const int64_t n_d = w->spec->n_d;
    w->op = par_operator_name(PAR_OP_NORM);
    core_cost cost = har__rms(w, tap, w->n_s, n_d, n_d);
    if (w->spec->norm == CORE_NORM_LAYER) {
        cost.flops = w->n_s * n_d * CORE_FLOPS_LAYERNORM;
        cost.weights *= 2;
    }
    har__put(w, cost);
}

void har__put_norm_all(har__walk *w, core_tap_kind tap)
{
    har__put_norm(w, tap);
    if (w->lay->plan.sp)
        har__put_gather(w, tap, w->spec->n_d, CORE_COST_VALUES);
}

int64_t har__block_pairs(const har__walk *w)
{
    const int64_t n_t = w->request->batch->n_t;
    int64_t n = 0;
    for (int64_t i0 = 0, i1; i0 < n_t; i0 = i1) {
        i1 = i0 + HAR_QUERY_BLOCK < n_t ? i0 + HAR_QUERY_BLOCK : n_t;
        n += (i1 - i0) * i1;
    }
    return w->n_row * n;
}

core_cost har__rotation(const har__walk *w, core_tap_kind tap, int64_t n_head)
{
    core_cost cost = har__rows(w, tap, w->n, n_head * har__heads(w)->all.n_rot,
                               CORE_FLOPS_ROTATE);
    cost.n_head = n_head;
    return cost;
}

void har__put(har__walk *w, core_cost cost)
{
    if (!core_cost_is_empty(&cost))
        w->reader->put(w->reader->self, &cost);
}

void har__put_kv(har__walk *w, core_cost cost)
{
    cost.kv_written += cost.written;
    cost.written = 0;
    if (cost.kind != CORE_COST_GEMM) {
        cost.kv_read += cost.read;
        cost.read = 0;
    }
    har__put(w, cost);
}

static core_cost all_reduce(const har__walk *w, core_tap_kind tap, int64_t n)
{
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, tap);
    cost.collective = CORE_ALL_REDUCE;
    cost.axis = CORE_AXIS_TP;
    cost.group = w->lay->plan.tp;
    cost.in = cost.out = n;
    cost.sent = har__all_reduce_sends(w->lay->plan.tp, w->lay->t, n);
    return cost;
}

void har__put_all_reduce(har__walk *w, core_tap_kind tap, int64_t n)
{
    har__put(w, all_reduce(w, tap, n));
}

void har__put_gather(har__walk *w, core_tap_kind tap, int64_t n_col,
                     core_cost_type type)
{
    const par_layout *lay = w->lay;
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, tap);
    cost.collective = CORE_ALL_GATHER;
    cost.axis = CORE_AXIS_TP;
    cost.group = lay->plan.tp;
    cost.type = type;
    cost.in = w->n_slice * n_col;
    cost.out = w->n * n_col;
    cost.sent = har__all_gather_sends(lay->plan.tp, lay->t, cost.in, cost.out);
    har__put(w, cost);
}

static core_cost reduce_scatter(const har__walk *w, core_tap_kind tap,
                                int64_t n_col)
{
    core_cost cost = har__record(w, CORE_COST_COLLECTIVE, tap);
    cost.collective = CORE_REDUCE_SCATTER;
    cost.axis = CORE_AXIS_TP;
    cost.group = w->lay->plan.tp;
    cost.in = w->n_sum * n_col;
    cost.out = w->n_sum_s * n_col;
    cost.sent = cost.in - cost.out;
    return cost;
}

/* One for all micro-batches whose sums are one. */
static void put_sum(har__walk *w, core_tap_kind tap, int64_t n_col)
{
    if (w->n_sum < 0)
        return;
    core_cost cost = w->lay->plan.sp ? reduce_scatter(w, tap, n_col)
                                     : all_reduce(w, tap, w->n_sum * n_col);
    cost.n_token = w->n_sum;
    har__put(w, cost);
}

void har__put_sum(har__walk *w, core_tap_kind tap, int64_t n_col, bool has_bias)
{
    put_sum(w, tap, n_col);
    if (!has_bias)
        return;
    core_cost bias = har__rows(w, tap, w->n_s, n_col, CORE_FLOPS_ADD);
    bias.weights = w->n_s > 0 ? n_col : 0;
    har__put(w, bias);
}

void har__put_gate(har__walk *w, core_tap_kind tap, int64_t n)
{
    core_cost cost =
        har__rows(w, tap, w->n, n, CORE_FLOPS_FUNCTION + CORE_FLOPS_SCALE);
    cost.read *= 2;
    har__put(w, cost);
}

void har__put_activation(har__walk *w, core_tap_kind tap, int64_t m, int64_t n)
{
    core_cost cost = har__rows(w, tap, m, n, CORE_FLOPS_FUNCTION);
    if (w->spec->gated) {
        cost.flops += m * n * CORE_FLOPS_SCALE;
        cost.read *= 2;
    }
    har__put(w, cost);
}

bool har__has_weight(const har__walk *w, core_weight_kind kind)
{
    const core_weight id = {kind, w->layer, 0};
    return core_weight_exists(w->spec, id);
}

/* --- sections --- */

bool har_cost_is_of_flow(har_cost_part part)
{
    return part > HAR_COST_PACK && part != HAR_COST_COMBINE &&
           part != HAR_COST_LAYER;
}

har_cost_section har__section_of(const har__walk *w, har_cost_part part,
                                 int64_t n_flow, const int64_t *sent)
{
    const bool is_end = part == HAR_COST_EMBED || part == HAR_COST_HEAD;
    return (har_cost_section){.part = part,
                              .like = is_end ? 0 : w->like[w->layer],
                              .n_row = w->n_row,
                              .n_flow = n_flow,
                              .is_of_flow = har_cost_is_of_flow(part),
                              .sent = sent,
                              .layer = is_end ? 0 : w->layer,
                              .mb = w->mb,
                              .tick = w->tick};
}

bool har__has(har__walk *w, har_cost_part part)
{
    return har__has_flow(w, part, 0, NULL);
}

bool har__has_flow(har__walk *w, har_cost_part part, int64_t n_flow,
                   const int64_t *sent)
{
    if (!w->has_sections)
        return false;
    const har_cost_section section = har__section_of(w, part, n_flow, sent);
    return w->reader->has(w->reader->self, &section);
}

bool har__has_products(har__walk *w, const har_cost_rows *rows)
{
    har_cost_section section = har__section_of(w, HAR_COST_PRODUCTS, 0, NULL);
    section.rows = *rows;
    return w->reader->has(w->reader->self, &section);
}

void har__end(har__walk *w)
{
    if (w->has_sections)
        w->reader->ends(w->reader->self);
}

/* --- of one that was made --- */

int64_t har_cost_bytes(const core_cost *cost, int64_t value_bytes)
{
    return (cost->weights + cost->read + cost->written + cost->kv_read +
            cost->kv_written) *
           value_bytes;
}

int64_t har_cost_sent_bytes(const core_cost *cost, int64_t value_bytes)
{
    const int64_t word_bytes = sizeof(int64_t);
    return cost->sent *
           (cost->type == CORE_COST_WORDS ? word_bytes : value_bytes);
}
