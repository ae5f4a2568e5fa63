/* parallel/shared_gate.c -- a shared expert's output times sigmoid(xn . g).
 *
 * A rank makes the logits of the tokens whose stream it has, and multiplies
 * when the sum of the expert's output is whole.
 */
#include "parallel/forward_impl.h"

typedef struct buffers {
    double *logit, *score; /* [n_s]                                           */
} buffers;

static void *make(par_model *m, int l)
{
    const par_shard gate = par__rows(m, CORE_W_SHARED_GATE, l, 0, PAR_END);
    return par__keep(&m->shards, &gate, sizeof gate);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const buffers b = {.logit = par__fresh_f64(w, w->n),
                       .score = par__fresh_f64(w, w->n)};
    (void)spec, (void)lay;
    return par__keep_buffers(w, &b, sizeof b);
}

static void run(par_model *m, const void *gate, int l, double *out)
{
    const buffers *b = m->work.shared[CORE_SHARED_SHARED_GATE];
    const int64_t n_d = m->spec->n_d, n = m->now.n_s;
    const core_tap tap = par__tap(CORE_TAP_SHARED_LOGIT, l);
    par__linear(m, b->logit, 1, par__mine(m, m->work.xn), n_d, n, gate, tap);
    par__tap_stream(m, tap, b->logit);
    out = par__mine(m, out);
    core_cost *cost = par__cost_rows(m, par__tap(CORE_TAP_SHARED_WEIGHTED, l),
                                     n, n_d, CORE_FLOPS_SCALE);
    cost->flops += CORE_FLOPS_FUNCTION * n;
    cost->read += n;
    cost->written += n;
    for (int64_t i = 0; i < n; i++)
        b->score[i] = core_sigmoid(b->logit[i]);
    par__tap_stream(m, par__tap(CORE_TAP_SHARED_SCORE, l), b->score);
    for (int64_t i = 0; i < n; i++)
        for (int64_t d = 0; d < n_d; d++)
            out[i * n_d + d] *= b->score[i];
    par__tap_stream(m, par__tap(CORE_TAP_SHARED_WEIGHTED, l), out);
}

const par__entry par__shared_gate = {.make = make, .carve = carve, .run = run};
