/* parallel/mla.c -- latent attention: keys and values out of one short vector.
 *
 * What compresses (q_a, kv_a) and the norms of the latents are Replicate: every
 * rank of the tensor group makes the same latents from the whole xn, and the
 * rotated key, one head that all share, with them.  What expands (q, kv_b) is
 * Shard(head).  So nothing is reduced before the output projection.
 *
 * Traps: the latent norms have an eps of their own; of a head the LAST Dr
 * elements are rotated; the rows of kv_b go head by head, key part then value.
 */
#include "parallel/forward_impl.h"

#include <string.h>

static const double LATENT_EPS = 1e-6;

static int64_t n_heads(const par_model *m)
{
    const par_layout *lay = m->layout;
    return lay->first_head[lay->t + 1] - lay->first_head[lay->t];
}

/* y = x W^T + b, whole on every rank. */
static void compress(par_model *m, double *y, const par_shard *w,
                     const double *bias, core_tap tap)
{
    const int64_t n_d = m->spec->n_d, n = m->now.n;
    par__enter(m, PAR_OP_LATENT, tap);
    par__linear(m, y, w->n_row, m->work.xn, n_d, n, w, tap);
    par__add_bias(m, y, n, w->n_row, bias);
    par__tap_replicated(m, tap, y);
}

static void queries(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const par_latent *latent = &layer->latent;
    const int64_t n_r = spec->n_q_rank, n = m->now.n;
    const core_tap norm = par__tap(CORE_TAP_Q_A_NORM, l);
    const core_tap tap = par__tap(CORE_TAP_Q, l);
    const double *x = w->xn;
    int64_t n_x = spec->n_d;
    if (n_r > 0) {
        compress(m, w->latent.q_a, &latent->q_a, latent->q_a_bias,
                 par__tap(CORE_TAP_Q_A, l));
        par__rms_rows(m, w->latent.q_a_norm, n_r, w->latent.q_a, n_r, n, n_r,
                      latent->q_a_norm, LATENT_EPS, norm);
        par__tap_replicated(m, norm, w->latent.q_a_norm);
        x = w->latent.q_a_norm;
        n_x = n_r;
    }
    par__enter(m, PAR_OP_QKV, tap);
    par__linear(m, w->q, layer->q.n_row, x, n_x, n, &layer->q, tap);
    par__tap_heads(m, tap, w->q, spec->n_dh);
}

static void keys_and_values(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const par_latent *latent = &layer->latent;
    const int64_t n_r = spec->n_kv_rank, n = m->now.n;
    const int64_t n_rot = core_spec_n_rot(spec), ld = n_r + n_rot;
    const core_tap norm = par__tap(CORE_TAP_KV_A_NORM, l);
    const core_tap tap = par__tap(CORE_TAP_KV_B, l);
    compress(m, w->latent.kv_a, &latent->kv_a, latent->kv_a_bias,
             par__tap(CORE_TAP_KV_A, l));
    par__rms_rows(m, w->latent.kv_a_norm, n_r, w->latent.kv_a, ld, n, n_r,
                  latent->kv_a_norm, LATENT_EPS, norm);
    par__tap_replicated(m, norm, w->latent.kv_a_norm);
    par__enter(m, PAR_OP_QKV, tap);
    par__linear(m, w->latent.kv_b, latent->kv_b.n_row, w->latent.kv_a_norm, n_r,
                n, &latent->kv_b, tap);
    par__cost_is_kv(m);
    par__tap_heads(m, tap, w->latent.kv_b,
                   spec->n_dh - n_rot + core_spec_n_dv(spec));
}

/* w->k: the key part of each of my heads, then the rotated key of all. */
static void assemble_keys(par_model *m)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const int64_t n_dh = spec->n_dh, n_rot = core_spec_n_rot(spec);
    const int64_t n_part = n_dh - n_rot, n_h = n_heads(m);
    const int64_t stride = n_part + core_spec_n_dv(spec);
    for (int64_t i = 0; i < m->now.n; i++)
        for (int64_t h = 0; h < n_h; h++) {
            double *k = w->k + (i * n_h + h) * n_dh;
            memcpy(k, w->latent.kv_b + (i * n_h + h) * stride,
                   (size_t)n_part * sizeof *k);
            memcpy(k + n_part, w->latent.k_rope + i * n_rot,
                   (size_t)n_rot * sizeof *k);
        }
}

void par__latent(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const int64_t n_dh = spec->n_dh, n_rot = core_spec_n_rot(spec);
    const int64_t n_r = spec->n_kv_rank;
    const core_tap k_tap = par__tap(CORE_TAP_K_ROPE, l);
    queries(m, layer, l);
    keys_and_values(m, layer, l);
    const core_tap q_tap = par__tap(CORE_TAP_Q_ROPE, l);
    par__rope(m, w->q + n_dh - n_rot, n_heads(m) * n_dh, n_heads(m), n_dh,
              q_tap);
    par__tap_heads(m, q_tap, w->q, n_dh);
    for (int64_t i = 0; i < m->now.n; i++)
        memcpy(w->latent.k_rope + i * n_rot,
               w->latent.kv_a + i * (n_r + n_rot) + n_r,
               (size_t)n_rot * sizeof(double));
    par__enter(m, PAR_OP_LATENT, k_tap);
    par__rope(m, w->latent.k_rope, n_rot, 1, n_rot, k_tap);
    par__tap_replicated(m, k_tap, w->latent.k_rope);
    par__cost_rows(m, k_tap, m->now.n, n_heads(m) * n_dh, 0);
    par__cost_is_kv(m);
    assemble_keys(m);
}
