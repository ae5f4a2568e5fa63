/* parallel/vocab.c -- the two ends of the network, Shard(vocabulary) over tp.
 *
 * Embedding: a rank knows the rows of its own tokens; for the others it adds
 * zeros, and the sum over the tensor group is the embedding, of the tokens
 * whose stream it has, scaled once it is whole.  Head: every rank makes the
 * logits of its own tokens; they are never gathered.
 */
#include "parallel/forward_impl.h"

#include <string.h>

/* The row of a token; true if it is mine. */
static bool embed_row(const par_model *m, double *out, const par_shard *table,
                      int64_t id)
{
    const int64_t row = id - table->r0, n_d = table->n_col;
    if (row < 0 || row >= table->n_row) {
        memset(out, 0, (size_t)n_d * sizeof *out);
        return false;
    }
    if (table->w64 != NULL) {
        memcpy(out, table->w64 + row * n_d, (size_t)n_d * sizeof *out);
    } else if (table->w32 != NULL) {
        for (int64_t d = 0; d < n_d; d++)
            out[d] = (double)table->w32[row * n_d + d];
    } else {
        core_weights_read(m->weights, table->id, id, id + 1, 0, n_d, out, n_d);
    }
    return true;
}

/* A token's part of the stream is its embedding, as often as there is room: the
 * embeddings lie at the beginning, so from the last one on.                  */
static void spread(par_model *m)
{
    const int64_t n_d = m->spec->n_d, n = core_spec_n_x(m->spec) / n_d;
    double *x = m->now.x;
    for (int64_t i = m->now.n_s - 1; n > 1 && i >= 0; i--)
        for (int64_t j = n - 1; j >= 0; j--)
            memmove(x + (i * n + j) * n_d, x + i * n_d,
                    (size_t)n_d * sizeof *x);
}

/* x of the first stage; a Switch layer is given it. */
void par__embed(par_model *m)
{
    const core_batch *batch = m->batch;
    const int64_t n_d = m->spec->n_d, n = m->now.n, n_x = m->now.n_s * n_d;
    const int64_t *token = m->work.token_id;
    double *out = m->work.out;
    if (m->spec->n_h == 0) {
        if (n_x > 0)
            memcpy(m->now.x, batch->hidden + token[m->now.s0] * n_d,
                   (size_t)n_x * sizeof *m->now.x);
        return;
    }
    const core_tap tap = par__tap(CORE_TAP_EMBED, 0);
    par__enter(m, PAR_OP_EMBED, tap);
    core_cost *cost = par__cost_rows(m, tap, n, n_d, 0);
    cost->read = 0;
    int64_t n_row = 0;
#pragma omp parallel for num_threads(par__threads(m, n * n_d))                  \
    reduction(+ : n_row)
    for (int64_t i = 0; i < n; i++)
        n_row += embed_row(m, out + i * n_d, &m->embed, batch->ids[token[i]]);
    cost->weights = n_row * n_d;
    par__leave_partial(m, out, NULL, tap);
}

void par__embedded(par_model *m)
{
    const core_tap tap = par__tap(CORE_TAP_EMBED, 0);
    const int64_t n_d = m->spec->n_d, n_x = m->now.n_s * n_d;
    const double *out = par__mine(m, m->work.out);
    par__enter(m, PAR_OP_EMBED, tap);
    par__cost_rows(m, tap, m->now.n_s, n_d, CORE_FLOPS_SCALE);
#pragma omp parallel for num_threads(par__threads(m, n_x))
    for (int64_t i = 0; i < n_x; i++)
        m->now.x[i] = out[i] * m->spec->embed_scale;
    par__tap_stream(m, tap, m->now.x);
    spread(m);
}

/* Of my tokens [i0, i0 + n); a shard's weights are counted once. */
static void make_logits(par_model *m, int64_t i0, int64_t n, core_tap tap)
{
    const core_spec *spec = m->spec;
    const int64_t n_v = m->head.n_row, n_all = n * n_v;
    double *logits = m->work.logits;
    core_cost *cost = &m->cost.record;
    const int64_t weights = cost->weights;
    par__product(m, logits, n_v, m->work.xn + i0 * spec->n_d, spec->n_d, n,
                 &m->head, tap);
    par__add_bias(m, logits, n, n_v, m->head.bias);
    if (i0 > 0)
        cost->weights = weights;
    cost->flops += CORE_FLOPS_SCALE * n_all;
#pragma omp parallel for num_threads(par__threads(m, n_all))
    for (int64_t i = 0; i < n_all; i++)
        logits[i] /= spec->logits_divisor;
    if (!(spec->logits_cap > 0.0))
        return;
    cost->flops += CORE_FLOPS_FUNCTION * n_all;
#pragma omp parallel for num_threads(par__threads(m, n_all))
    for (int64_t i = 0; i < n_all; i++)
        logits[i] = core_capped(logits[i], spec->logits_cap);
}

/* Logits of some tokens at a time: of all they would be what is widest. */
void par__head(par_model *m)
{
    if (m->spec->n_h == 0)
        return;
    par_work *w = &m->work;
    const core_tap tap = par__tap(CORE_TAP_LOGITS, 0);
    const int64_t n = m->now.n, n_v = m->head.n_row;
    const int64_t most =
        par__rows_at_a_time(w->wide, m->layout->first_vocab[1]);
    const double *x = par__enter_part(m, m->around_head, 0, PAR_PART_HEAD);
    par__norm_all(m, x, &m->final_norm, par__tap(CORE_TAP_FINAL_NORM, 0));
    par__enter(m, PAR_OP_HEAD, tap);
    par__cost(m, CORE_COST_GEMM, tap);
    for (int64_t i0 = 0; i0 == 0 || i0 < n; i0 += most) {
        const int64_t n_i = n - i0 < most ? n - i0 : most;
        make_logits(m, i0, n_i, tap);
        par__tap_some(m, tap, w->logits, i0, n_i, m->head.r0, n_v);
        if (m->step != NULL)
            par__best_tokens(m, w->logits, i0, n_i);
    }
    if (m->step != NULL)
        par__pick_tokens(m);
}
