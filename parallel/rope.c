/* parallel/rope.c -- what the position of a token does to queries and keys.
 *
 * Local to a head, so nothing is reduced.  Positions are those of the row,
 * wherever its tokens are.
 */
#include "parallel/forward_impl.h"

/* The position of token i, or of the last complete run of tokens there. */
static int64_t place(int64_t i, int64_t run)
{
    if (run == 0)
        return i;
    return i + 1 < run ? 0 : (i + 1) / run * run - run;
}

typedef struct turning {
    double way;  /* 1, or -1 for the other way round                          */
    int64_t run; /* 0, or of digests                                          */
    bool paired; /* neighbours, or halves                                     */
} turning;

static turning forwards(const par_model *m, int l)
{
    return (turning){.way = 1.0,
                     .paired = par__heads_of(m, l)->all.rope.interleaved};
}

static void turn(par_model *m, double *x, int64_t ld, int64_t n_head,
                 int64_t stride, turning how, core_tap tap)
{
    const core_heads *heads = &par__heads_of(m, tap.layer)->all;
    const int64_t half = heads->n_rot / 2;
    const int kind = m->spec->head_kind[tap.layer];
    const int64_t step = how.paired ? 2 : 1, to_b = how.paired ? 1 : half;
    par__cost_rows(m, tap, m->now.n, n_head * 2 * half, CORE_FLOPS_ROTATE)
        ->n_head = n_head;
    for (int64_t i = 0; i < m->now.n; i++) {
        const int64_t t = place(par__place(m, i), how.run);
        const double *cos_j = m->work.rope[kind].cos_tj + t * half;
        const double *sin_j = m->work.rope[kind].sin_tj + t * half;
        for (int64_t h = 0; h < n_head; h++) {
            double *r = x + i * ld + h * stride;
            for (int64_t j = 0; j < half; j++) {
                double *a = r + j * step, *b = a + to_b;
                const double a_j = *a, b_j = *b, s = how.way * sin_j[j];
                *a = a_j * cos_j[j] - b_j * s;
                *b = b_j * cos_j[j] + a_j * s;
            }
        }
    }
}

void par__rope(par_model *m, double *x, int64_t ld, int64_t n_head,
               int64_t stride, core_tap tap)
{
    turn(m, x, ld, n_head, stride, forwards(m, tap.layer), tap);
}

void par__rope_pairs(par_model *m, double *x, int64_t ld, int64_t n_head,
                     int64_t stride, bool paired, core_tap tap)
{
    turn(m, x, ld, n_head, stride, (turning){.way = 1.0, .paired = paired},
         tap);
}

void par__rope_back(par_model *m, double *x, int64_t ld, int64_t n_head,
                    int64_t stride, core_tap tap)
{
    turning how = forwards(m, tap.layer);
    how.way = -1.0;
    turn(m, x, ld, n_head, stride, how, tap);
}

void par__rope_digests(par_model *m, double *x, int64_t ld, core_tap tap)
{
    turning how = forwards(m, tap.layer);
    how.run = core_spec_digest_run(m->spec, tap.layer);
    turn(m, x, ld, 1, ld, how, tap);
}

void par__temper(par_model *m, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh;
    const int64_t n_q = mine->n_h * n_dh;
    if (!(m->spec->temper_scale > 0.0))
        return;
    const core_tap tap = par__tap(CORE_TAP_Q_TEMPER, l);
    par__cost_rows(m, tap, m->now.n, n_q, CORE_FLOPS_SCALE);
    for (int64_t i = 0; i < m->now.n; i++) {
        const double heat = core_temper(m->spec, par__place(m, i));
        for (int64_t c = 0; c < n_q; c++)
            m->work.q[i * n_q + c] *= heat;
    }
    par__tap_heads(m, tap, m->work.q, n_dh);
}
