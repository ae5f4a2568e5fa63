/* harness/perf/cost/attention.c -- attention, split by heads.
 *
 * Keys and values are whatever the scores are made with and taken from: the
 * buffers that a projection writes and changes, and that attention reads once
 * for every row.
 *
 * The emulation makes scores for blocks of 64 queries against every key that
 * one of them may need, so it multiplies more than the (query, key) pairs that
 * count; flops says what is multiplied, n_pair what counts.  Trap: a query that
 * sees no key (padding) attends to all keys of its row, which widens its block.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

#include <string.h>

static const har__operator *const PROJECTIONS[CORE_N_PROJECTIONS] = {
#define PROJECTION(kind, name) &har__projection_##name,
    CORE_PROJECTION_LIST(PROJECTION)
#undef PROJECTION
};

static const har__operator *const CHOOSERS[CORE_N_CHOOSERS] = {
#define CHOOSER(kind, name) &har__chooser_##name,
    CORE_CHOOSER_LIST(CHOOSER)
#undef CHOOSER
};

/* NULL: the layer does not choose. */
static const har__operator *chooser(const core_spec *spec, int layer)
{
    const core_chooser kind = core_spec_chooser(spec, layer);
    return kind < CORE_N_CHOOSERS ? CHOOSERS[kind] : NULL;
}

static const har__operator *projection(const core_spec *spec)
{
    return PROJECTIONS[core_spec_projection(spec)];
}

/* Which queries of the row see a key at all? */
static void find_sees(har__walk *w, int64_t row)
{
    const core_batch *batch = w->request->batch;
    const uint8_t *mask =
        batch->mask != NULL ? batch->mask + row * batch->n_t : NULL;
    const int64_t run = core_spec_digest_run(w->spec, w->layer);
    if (mask == NULL) { /* each its own, at least */
        memset(w->sees, true, (size_t)batch->n_t);
        return;
    }
    for (int64_t i = 0; i < batch->n_t; i++) {
        int64_t j = core_spec_first_key(w->spec, w->layer, i);
        while (j <= i && mask[j] == 0)
            j++;
        w->sees[i] = j <= i || (run > 0 && i + 1 >= run);
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Keys that query i attends to, of which it is given at most so many; of digests
 * where there are some, beside those of its window.                          */
static int64_t n_pairs(const har__walk *w, int64_t i, int64_t most)
{
    const int64_t n = i + 1 - core_spec_first_key(w->spec, w->layer, i);
    const int64_t run = core_spec_digest_run(w->spec, w->layer);
    return run > 0 ? n + least((i + 1) / run, most) : least(n, most);
}

/* Add the work of one head on a run of queries of n_alike rows like the one
 * seen to the record. */
static void add_run(const har__walk *w, core_cost *cost, int64_t n_alike,
                    const par_run *queries)
{
    const int64_t n_t = w->request->batch->n_t,
                  width = cost->k + har__heads(w)->all.n_dv;
    const core_seen seen = core_spec_seen(w->spec, w->layer);
    const int64_t most = seen.n_set > 0 ? seen.n_key * seen.n_wide : n_t;
    const int64_t run = core_spec_digest_run(w->spec, w->layer);
    const int64_t end = queries->i0 + queries->n;
    /* first keys ascend: is the last one's first, and none hidden or left out? */
    const bool is_whole = w->request->batch->mask == NULL && run == 0 &&
                          most >= n_t &&
                          core_spec_first_key(w->spec, w->layer, end - 1) == 0;
    for (int64_t i0 = queries->i0; i0 < end; i0 += HAR_QUERY_BLOCK) {
        const int64_t i1 =
            i0 + HAR_QUERY_BLOCK < end ? i0 + HAR_QUERY_BLOCK : end;
        int64_t n_key = i1 - core_spec_first_key(w->spec, w->layer, i0) +
                        (run > 0 ? i1 / run : 0);
        if (is_whole) { /* query i sees the keys 0 .. i */
            const int64_t n = (i1 - i0) * (i0 + 1 + i1) / 2;
            cost->n_pair += n_alike * n;
            cost->flops += n_alike * CORE_FLOPS_SOFTMAX * n;
        }
        for (int64_t i = i0; i < i1 && !is_whole; i++) {
            if (!w->sees[i]) {
                n_key = run > 0 ? n_key : n_t;
                continue;
            }
            const int64_t n = n_pairs(w, i, most);
            cost->n_pair += n_alike * n;
            cost->flops += n_alike * CORE_FLOPS_SOFTMAX * n;
        }
        cost->flops +=
            n_alike * CORE_FLOPS_MULTIPLY_ADD * (i1 - i0) * n_key * width;
    }
}

static bool is_dealt(const har__walk *w)
{
    return w->lay->plan.cp > 1 && w->lay->plan.cp_kind == PAR_CP_ULYSSES;
}

/* What attention is given of other ranks' tokens: its *n queries, those of a row
 * in runs, and its heads.                                                    */
static par_heads put_rows(har__walk *w, int64_t *n, int *n_run, par_run run[2])
{
    const int64_t n_t = w->request->batch->n_t;
    const par_plan *plan = &w->lay->plan;
    const par_heads *heads = har__heads(w);
    const int64_t n_k = heads->n_kv * heads->all.n_dh;
    const int64_t n_v = w->spec->one_kv ? 0 : heads->n_kv * heads->all.n_dv;
    *n = w->n;
    *n_run = par_layout_runs(plan, w->lay->c, n_t, run);
    if (is_dealt(w)) {
        *n = w->n_row * n_t;
        *n_run = 1;
        run[0] = (par_run){0, n_t};
        return har__put_dealt(w);
    }
    if (plan->cp > 1 && plan->cp_kind == PAR_CP_RING) {
        har__put_ring(w, CORE_TAP_CONTEXT, n_k + n_v);
        return *heads;
    }
    har__put_context(w, CORE_TAP_CONTEXT, n_k, CORE_COST_VALUES);
    if (n_v > 0)
        har__put_context(w, CORE_TAP_CONTEXT, n_v, CORE_COST_VALUES);
    return *heads;
}

static void put_heads(har__walk *w)
{
    const core_batch *batch = w->request->batch;
    int64_t n;
    int n_run;
    par_run run_of[2];
    w->op = par_operator_name(PAR_OP_ATTENTION);
    const par_heads heads = put_rows(w, &n, &n_run, run_of);
    const int64_t n_h = heads.n_h;
    const int64_t n_dh = heads.all.n_dh, n_dv = heads.all.n_dv;
    core_cost cost = har__record(w, CORE_COST_ATTENTION, CORE_TAP_CONTEXT);
    cost.m = n;
    cost.n = batch->n_t;
    cost.k = n_dh;
    cost.n_head = n_h;
    /* without a mask all rows are alike */
    const int64_t n_alike = batch->mask != NULL ? 1 : w->n_row;
    for (int64_t b = 0; b < w->n_row; b += n_alike) {
        find_sees(w, w->row0 + b);
        for (int r = 0; r < n_run; r++)
            add_run(w, &cost, n_alike, &run_of[r]);
    }
    cost.flops *= n_h;
    cost.n_pair *= n_h;
    cost.weights = heads.all.sinks && n > 0 ? n_h : 0;
    cost.read = n * n_h * n_dh;
    cost.written = n * n_h * n_dv;
    cost.kv_read = w->n_row * batch->n_t * heads.n_kv * (n_dh + n_dv);
    const int64_t run = core_spec_digest_run(w->spec, w->layer);
    if (run > 0)
        cost.kv_read += w->n_row * (batch->n_t / run) * n_dh;
    har__put(w, cost);
    if (is_dealt(w))
        har__put_dealt_back(w);
}

static void put_gate(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n_h = har__heads(w)->n_h;
    const int64_t n = n_h * har__heads(w)->all.n_dv;
    const int64_t n_score = spec->gate_per_head ? n_h : n;
    har__put(w, har__gemm(w, CORE_TAP_CONTEXT_GATE, w->n, n_score, spec->n_d,
                          har__has_weight(w, CORE_W_CONTEXT_GATE_BIAS)));
    har__put(w, har__rows(w, CORE_TAP_CONTEXT_SCORE, w->n, n_score,
                          CORE_FLOPS_FUNCTION));
    core_cost cost =
        har__rows(w, CORE_TAP_CONTEXT_GATED, w->n, n, CORE_FLOPS_SCALE);
    cost.read += w->n * n_score;
    har__put(w, cost);
}

/* A product for each group of heads of mine, in one record; the columns that
 * they give. */
static int64_t put_groups(har__walk *w)
{
    const core_o_groups *o = &w->spec->o_groups;
    const par_heads *heads = har__heads(w);
    const int64_t n_in = heads->n_h * heads->all.n_dv;
    const int64_t n = o->n * heads->n_h / heads->all.n_h;
    core_cost cost = har__gemm(w, CORE_TAP_O_A, n * w->n, o->n_r,
                               n > 0 ? n_in / n : 0, false);
    cost.weights *= n;
    har__put(w, cost);
    return n * o->n_r;
}

static void put_attention(har__walk *w)
{
    const core_spec *spec = w->spec;
    const par_heads *heads = har__heads(w);
    projection(spec)->put(w);
    if (chooser(spec, w->layer) != NULL)
        chooser(spec, w->layer)->put(w);
    put_heads(w);
    if (spec->context_gate)
        put_gate(w);
    if (spec->one_kv)
        har__put(w, har__rotation(w, CORE_TAP_CONTEXT_BACK, heads->n_h));
    w->op = par_operator_name(PAR_OP_ATTN_OUT);
    const int64_t n_given =
        spec->o_groups.n > 0 ? put_groups(w) : heads->n_h * heads->all.n_dv;
    har__put(w, har__gemm(w, CORE_TAP_ATTN_OUT, w->n, spec->n_d, n_given,
                          false));
    har__put_sum(w, CORE_TAP_ATTN_OUT, spec->n_d, spec->bias_o);
}

/* --- beside its records --- */

static har__split split_by(const har__operator *op, const core_spec *spec,
                           const par_layout *lay, core_weight id)
{
    return op != NULL && op->split != NULL ? op->split(spec, lay, id)
                                           : HAR__WHOLE;
}

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    if (id.kind == CORE_W_Q || id.kind == CORE_W_O || id.kind == CORE_W_SINKS ||
        id.kind == CORE_W_O_A ||
        id.kind == CORE_W_CONTEXT_GATE || id.kind == CORE_W_CONTEXT_GATE_BIAS)
        return har__split_heads(&lay->heads[spec->head_kind[id.layer]]);
    const har__split mine = split_by(chooser(spec, id.layer), spec, lay, id);
    return mine.all > 1 ? mine : split_by(projection(spec), spec, lay, id);
}

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    const har__operator *op = chooser(spec, layer);
    return projection(spec)->kept(spec, layer, n_kv_head) +
           (op != NULL ? op->kept(spec, layer, n_kv_head) : 0);
}

static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    const har__operator *op = chooser(spec, c->tap.layer);
    projection(spec)->decode(step, spec, c, n_key);
    if (op != NULL)
        op->decode(step, spec, c, n_key);
}

static void probe(har_dice *d, core_spec *s)
{
    s->n_dh = 2 * har_dice_between(d, 4, 48);
    s->n_g = har_dice_between(d, 1, 6);
    s->n_h = s->n_g * har_dice_between(d, 1, 4);
    int i = CORE_N_PROJECTIONS - 1;
    while (i > 0 && (PROJECTIONS[i]->probe == NULL || !har_dice_one_in(d, 4)))
        i--;
    PROJECTIONS[i]->probe(d, s);
    s->bias_qkv = har_dice_one_in(d, 3);
    s->bias_o = har_dice_one_in(d, 3);
    s->context_gate = har_dice_one_in(d, 4);
}

const har__operator har__mixer_attention = {.put = put_attention,
                                            .split = split,
                                            .kept = kept,
                                            .decode = decode,
                                            .probe = probe};
