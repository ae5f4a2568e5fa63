/* parallel/qk_norm.c -- norms of queries and keys, and their clamp.
 *
 * Over each head: every rank has whole heads, nothing is reduced.  Over all
 * heads together: a rank has the squares of its own heads, Partial over tp; one
 * all-reduce makes the sums of q and k whole before anything is divided.  Trap:
 * a kv head that two ranks own is in the sum once, from its first owner.
 */
#include "parallel/forward_impl.h"

#include <math.h>

static int64_t n_kv(const par_model *m)
{
    return m->layout->kv1 - m->layout->kv0;
}

static int64_t n_heads(const par_model *m)
{
    const par_layout *lay = m->layout;
    return lay->first_head[lay->t + 1] - lay->first_head[lay->t];
}

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
    const int64_t n_dh = m->spec->n_dh;
    par__rms_rows(m, x, n_dh, x, n_dh, m->now.n * n_head, n_dh, weight,
                  m->spec->norm_eps, tap);
}

static double head_square(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t c = 0; c < n; c++)
        sum += x[c] * x[c];
    return sum;
}

/* square[i] = sums of squares over all query heads, over all kv heads. */
static void sum_squares(par_model *m, int l)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int64_t n_dh = m->spec->n_dh, n_q = n_heads(m) * n_dh;
    const int64_t n_k = n_kv(m) * n_dh;
    for (int64_t i = 0; i < m->now.n; i++) {
        w->square[2 * i] = head_square(w->q + i * n_q, n_q);
        w->square[2 * i + 1] = 0.0;
    }
    for (int64_t g = lay->kv0; g < lay->kv1; g++) {
        const double *k = w->k + (g - lay->kv0) * n_dh;
        int i_owner;
        par_layout_kv_owners(lay, m->spec, g, lay->t, &i_owner);
        for (int64_t i = 0; i_owner == 0 && i < m->now.n; i++)
            w->square[2 * i + 1] += head_square(k + i * n_k, n_dh);
    }
    par__reduce_tp(m, w->square, 2 * m->now.n);
    for (int64_t i = 0; m->numerics == CORE_EXACT && i < 2 * m->now.n; i++)
        par__check(m,
                   par__tap(i % 2 == 0 ? CORE_TAP_Q_NORM : CORE_TAP_K_NORM, l),
                   sqrt(w->square[i]), sqrt(w->square[i]), CORE_STEP_ACT,
                   CORE_STEP_ACT);
}

static void all_norm(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const int64_t n_q = n_heads(m) * spec->n_dh, n_k = n_kv(m) * spec->n_dh;
    sum_squares(m, l);
    for (int64_t i = 0; i < m->now.n; i++) {
        par__rms_apply(w->q + i * n_q, w->q + i * n_q, layer->q_norm, n_q,
                       w->square[2 * i], (double)(spec->n_h * spec->n_dh),
                       spec->norm_eps);
        par__rms_apply(w->k + i * n_k, w->k + i * n_k, layer->k_norm, n_k,
                       w->square[2 * i + 1], (double)(spec->n_g * spec->n_dh),
                       spec->norm_eps);
    }
}

void par__qk_norm(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_qk_norm kind = m->spec->qk_norm;
    const int64_t n_dh = m->spec->n_dh;
    const core_tap q_tap = par__tap(CORE_TAP_Q_NORM, l);
    const core_tap k_tap = par__tap(CORE_TAP_K_NORM, l);
    if (kind != CORE_QK_NORM_HEAD && kind != CORE_QK_NORM_ALL)
        return;
    if (kind == CORE_QK_NORM_ALL) {
        all_norm(m, layer, l);
    } else {
        head_norm(m, w->q, n_heads(m), layer->q_norm, q_tap);
        head_norm(m, w->k, n_kv(m), layer->k_norm, k_tap);
    }
    par__clip(m, w->q, m->now.n * n_heads(m) * n_dh);
    par__tap_heads(m, q_tap, w->q, n_dh);
    par__clip(m, w->k, m->now.n * n_kv(m) * n_dh);
    par__tap_kv(m, k_tap, w->k);
}

void par__qk_norm_roped(par_model *m, int l)
{
    par_work *w = &m->work;
    const core_tap q_tap = par__tap(CORE_TAP_Q_ROPE_NORM, l);
    const core_tap k_tap = par__tap(CORE_TAP_K_ROPE_NORM, l);
    if (m->spec->qk_norm != CORE_QK_NORM_ROPED)
        return;
    head_norm(m, w->q, n_heads(m), NULL, q_tap);
    par__tap_heads(m, q_tap, w->q, m->spec->n_dh);
    head_norm(m, w->k, n_kv(m), NULL, k_tap);
    par__tap_kv(m, k_tap, w->k);
}
