/* ref/latent.c -- queries, keys and values of latent attention.
 *
 * Keys and values of all heads are rebuilt from one short vector per token; a
 * rotated part of the key is beside it and the same for every head.  Here both
 * are spelt out, a key [key part | rotated part] and a value for each head, and
 * the attention that follows is the ordinary one with G = H.  Traps: the
 * rotated elements are the LAST of a head; the latent norms have an eps of
 * their own; only the two compressing projections have a bias; a layer without
 * rope has the shared part of the key too, as it was projected.
 */
#include "ref/ref_impl.h"

#include <string.h>

static const double LATENT_EPS = 1e-6;

typedef struct latent {
    double *kv_a;      /* [N, Rkv + Dr]                                       */
    double *kv_a_norm; /* [N, Rkv]                                            */
    double *kv_b;      /* [N, H*(Dn + Dv)]                                    */
    double *k_rope;    /* [N, Dr]                                             */
} latent;

static latent take(ref__run *run, int64_t n_rot, int64_t n_kv_b)
{
    const core_spec *spec = run->spec;
    core_arena *a = &run->arena;
    const int64_t n = run->n;
    return (latent){
        .kv_a = core_arena_f64(a, n * (spec->n_kv_rank + n_rot)),
        .kv_a_norm = core_arena_f64(a, n * spec->n_kv_rank),
        .kv_b = core_arena_f64(a, n * n_kv_b),
        .k_rope = core_arena_f64(a, n * n_rot),
    };
}

void ref__short_query(ref__run *run, int layer, double eps, double *q_a,
                      double *q)
{
    const core_spec *spec = run->spec;
    const int64_t n_q = spec->n_q_rank;
    ref__rows x = ref__measure(run, run->xn, run->n, spec->n_d);
    if (n_q > 0) {
        ref__linear(run, &x, CORE_W_Q_A, layer, CORE_TAP_Q_A, q_a);
        const ref__norm norm = {.x = q_a,
                                .ld_x = n_q,
                                .y = q_a,
                                .n_part = 1,
                                .n = n_q,
                                .weight = CORE_W_Q_A_NORM,
                                .eps = eps};
        ref__rmsnorm(run, layer, CORE_TAP_Q_A_NORM, &norm);
        x = ref__measure(run, q_a, run->n, n_q);
    }
    ref__linear(run, &x, CORE_W_Q, layer, CORE_TAP_Q, q);
}

static void compressed(ref__run *run, int layer, const latent *la,
                       int64_t n_rot)
{
    const core_spec *spec = run->spec;
    const int64_t n_kv = spec->n_kv_rank;
    const ref__rows xn = ref__measure(run, run->xn, run->n, spec->n_d);
    ref__linear(run, &xn, CORE_W_KV_A, layer, CORE_TAP_KV_A, la->kv_a);
    const ref__norm norm = {.x = la->kv_a,
                            .ld_x = n_kv + n_rot,
                            .y = la->kv_a_norm,
                            .n_part = 1,
                            .n = n_kv,
                            .weight = CORE_W_KV_A_NORM,
                            .eps = LATENT_EPS};
    ref__rmsnorm(run, layer, CORE_TAP_KV_A_NORM, &norm);
    const ref__rows x = ref__measure(run, la->kv_a_norm, run->n, n_kv);
    ref__linear(run, &x, CORE_W_KV_B, layer, CORE_TAP_KV_B, la->kv_b);
    for (int64_t t = 0; t < run->n; t++)
        memcpy(la->k_rope + t * n_rot, la->kv_a + t * (n_kv + n_rot) + n_kv,
               (size_t)n_rot * sizeof *la->k_rope);
}

/* A key and a value for every token and head. */
static void spell_out(const ref__run *run, const latent *la,
                      const ref__heads *heads)
{
    const core_heads *size = &heads->size;
    const int64_t n_rot = size->n_rot, n_dn = size->n_dh - n_rot;
    const int64_t n_dv = size->n_dv;
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < run->n * size->n_g; i++) {
        const double *kv = la->kv_b + i * (n_dn + n_dv);
        double *k = heads->k + i * size->n_dh;
        memcpy(k, kv, (size_t)n_dn * sizeof *k);
        memcpy(k + n_dn, la->k_rope + i / size->n_g * n_rot,
               (size_t)n_rot * sizeof *k);
        memcpy(heads->v + i * n_dv, kv + n_dn, (size_t)n_dv * sizeof *kv);
    }
}

void ref__latent(ref__run *run, int layer, const ref__heads *heads, bool dry)
{
    const core_heads *size = &heads->size;
    const int64_t n_rot = size->n_rot, n_dn = size->n_dh - n_rot;
    const latent la = take(run, n_rot, size->n_h * (n_dn + size->n_dv));
    if (dry)
        return;
    ref__short_query(run, layer, LATENT_EPS, heads->q_a, heads->q);
    compressed(run, layer, &la, n_rot);
    if (core_spec_has_rope(run->spec, layer)) {
        ref__rope(run, layer, CORE_TAP_Q_ROPE, heads->q, size->n_h, size->n_dh,
                  n_dn);
        ref__rope(run, layer, CORE_TAP_K_ROPE, la.k_rope, 1, n_rot, 0);
    }
    spell_out(run, &la, heads);
}
