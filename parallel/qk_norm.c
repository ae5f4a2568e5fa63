/* parallel/qk_norm.c -- norms of queries and keys, and their clamp.
 *
 * Over each head: every rank has whole heads, nothing is reduced.  Over all
 * heads together: a rank has the squares of its own heads, Partial over tp; one
 * all-reduce makes the sums of q and k whole before anything is divided.  Trap:
 * a kv head that two ranks own is in the sum once, from its first owner.
 */
#include "parallel/forward_impl.h"

#include <math.h>

/* Comparisons that keep a NaN. */
static double clamped(double x, double c)
{
    return x > c ? c : x < -c ? -c : x;
}

void par__clip(const par_model *m, double *values, int64_t n)
{
    const double c = m->spec->clip_qkv;
    for (int64_t i = 0; c > 0.0 && i < n; i++)
        values[i] = clamped(values[i], c);
}

static void head_norm(par_model *m, double *x, int64_t n_head,
                      const double *weight, core_tap tap)
{
    const int64_t n_dh = par__heads_of(m, tap.layer)->all.n_dh;
    par__rms_rows(m, x, n_dh, x, n_dh, m->now.n * n_head, n_dh, weight,
                  m->spec->norm_eps, tap);
}

/* square[i] = sums of squares over all query heads, over all kv heads. */
static void sum_squares(par_model *m, int l)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh, n_q = mine->n_h * n_dh;
    const int64_t n_k = mine->n_kv * n_dh;
    core_cost *cost = par__cost_rows(m, par__tap(CORE_TAP_Q_NORM, l), m->now.n,
                                     n_q, CORE_FLOPS_SQUARES);
    cost->written = 2 * m->now.n;
    for (int64_t i = 0; i < m->now.n; i++) {
        w->square[2 * i] = par__sum_of_squares(w->q + i * n_q, n_q);
        w->square[2 * i + 1] = 0.0;
    }
    for (int64_t g = mine->kv0; g < mine->kv0 + mine->n_kv; g++) {
        const double *k = w->k + (g - mine->kv0) * n_dh;
        int i_owner;
        par_layout_kv_owners(lay, &mine->all, g, lay->t, &i_owner);
        if (i_owner != 0)
            continue;
        for (int64_t i = 0; i < m->now.n; i++)
            w->square[2 * i + 1] += par__sum_of_squares(k + i * n_k, n_dh);
        cost->flops += CORE_FLOPS_SQUARES * m->now.n * n_dh;
        cost->kv_read += m->now.n * n_dh;
    }
    par__reduce_tp(m, w->square, 2 * m->now.n);
    for (int64_t i = 0; m->numerics == CORE_EXACT && i < 2 * m->now.n; i++)
        par__check(m,
                   par__tap(i % 2 == 0 ? CORE_TAP_Q_NORM : CORE_TAP_K_NORM, l),
                   sqrt(w->square[i]), sqrt(w->square[i]), CORE_STEP_ACT,
                   CORE_STEP_ACT);
}

/* n_col columns of x, of n_all that all ranks have; square: [n, 2]. */
static void apply_all(par_model *m, double *x, const double *square,
                      const double *weight, int64_t n_col, int64_t n_all,
                      core_tap tap)
{
    const int64_t n = m->now.n;
    par__cost_rows(m, tap, n, n_col, 2 * CORE_FLOPS_SCALE)->weights =
        n > 0 ? n_col : 0;
    for (int64_t i = 0; i < n; i++)
        par__rms_apply(x + i * n_col, x + i * n_col, weight, n_col,
                       square[2 * i], (double)n_all, m->spec->norm_eps);
}

void par__qk_norm(par_model *m, const double *q_norm, const double *k_norm,
                  int l)
{
    par_work *w = &m->work;
    const core_qk_norm kind = m->spec->qk_norm;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh;
    const core_tap q_tap = par__tap(CORE_TAP_Q_NORM, l);
    const core_tap k_tap = par__tap(CORE_TAP_K_NORM, l);
    if (kind != CORE_QK_NORM_HEAD && kind != CORE_QK_NORM_ALL)
        return;
    if (kind == CORE_QK_NORM_ALL)
        sum_squares(m, l);
    if (kind == CORE_QK_NORM_ALL)
        apply_all(m, w->q, w->square, q_norm, mine->n_h * n_dh,
                  mine->all.n_h * n_dh, q_tap);
    else
        head_norm(m, w->q, mine->n_h, q_norm, q_tap);
    par__clip(m, w->q, m->now.n * mine->n_h * n_dh);
    par__tap_heads(m, q_tap, w->q, n_dh);
    if (kind == CORE_QK_NORM_ALL)
        apply_all(m, w->k, w->square + 1, k_norm, mine->n_kv * n_dh,
                  mine->all.n_g * n_dh, k_tap);
    else
        head_norm(m, w->k, mine->n_kv, k_norm, k_tap);
    par__clip(m, w->k, m->now.n * mine->n_kv * n_dh);
    par__tap_kv(m, k_tap, w->k, n_dh);
}

void par__qk_norm_roped(par_model *m, const double *q_norm,
                        const double *k_norm, int l)
{
    par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh;
    const core_tap q_tap = par__tap(CORE_TAP_Q_ROPE_NORM, l);
    const core_tap k_tap = par__tap(CORE_TAP_K_ROPE_NORM, l);
    const core_qk_norm kind = m->spec->qk_norm;
    if (kind != CORE_QK_NORM_ROPED && kind != CORE_QK_NORM_AFTER)
        return;
    head_norm(m, w->q, mine->n_h, q_norm, q_tap);
    par__tap_heads(m, q_tap, w->q, n_dh);
    head_norm(m, w->k, mine->n_kv, k_norm, k_tap);
    par__tap_kv(m, k_tap, w->k, n_dh);
}
