/* harness/perf/machine/record_decode.c -- see record_decode.h.
 *
 * Trap: in the records latents become keys and values per head before attention
 * (kv_b, and a copy of the rotated part to every head); absorbed, neither is
 * made, and what is cached is the latent.
 */
#include "harness/perf/machine/record_decode.h"

#include <math.h>

int64_t har__decode_keys(const har_timer *t, int layer)
{
    return t->n_kv - core_spec_first_key(t->spec, layer, t->n_kv - 1);
}

static double keys(const har_timer *t, const core_cost *c)
{
    return (double)har__decode_keys(t, c->tap.layer);
}

/* Elements of a cached latent. */
static double latent(const core_spec *s)
{
    return (double)(s->n_kv_rank + core_spec_n_rot(s));
}

double har__kv_heads(const har_timer *t, const core_cost *c)
{
    const core_spec *s = t->spec;
    const double columns = (double)(s->n_dh + core_spec_n_dv(s));
    const double n = (double)c->kv_read / ((double)c->m * columns);
    return fmin(fmax(1, rint(n)), (double)c->n_head);
}

har_time har__decode_time(const har_timer *t, const core_cost *c)
{
    const core_spec *s = t->spec;
    if (core_spec_is_mla(s)) {
        const har_latent a = {.n_row = (double)c->m,
                              .n_key = keys(t, c),
                              .n_h = (double)c->n_head,
                              .n_latent = (double)s->n_kv_rank,
                              .n_rot = (double)core_spec_n_rot(s)};
        return har_time_latent(t->machine, t->dtype, &a);
    }
    const har_attention a = {.n_row = (double)c->m,
                             .n_t = keys(t, c),
                             .n_h = (double)c->n_head,
                             .n_g = har__kv_heads(t, c),
                             .n_dh = (double)c->k,
                             .kv_share = 1};
    return har_time_decode(t->machine, t->dtype, &a);
}

/* --- attention --- */

static double attention_flops(const har_timer *t, const core_cost *c)
{
    const core_spec *s = t->spec;
    if (!core_spec_is_mla(s))
        return (double)c->flops * keys(t, c);
    const double each =
        CORE_FLOPS_SOFTMAX +
        CORE_FLOPS_MULTIPLY_ADD * (latent(s) + (double)s->n_kv_rank);
    return (double)(c->m * c->n_head) * keys(t, c) * each;
}

static double attention_elements(const har_timer *t, const core_cost *c)
{
    const core_spec *s = t->spec;
    if (!core_spec_is_mla(s))
        return (double)(c->weights + c->read + c->written) +
               (double)c->kv_read * keys(t, c);
    const double queries = (double)(c->m * c->n_head);
    return (double)c->weights + (double)c->m * keys(t, c) * latent(s) +
           queries * (latent(s) + (double)s->n_kv_rank);
}

/* --- latents --- */

/* The two halves of kv_b: queries into latents, latents into values. */
static double absorbed_elements(const har_timer *t, const core_cost *c)
{
    const core_spec *s = t->spec;
    const double wide = (double)(s->n_dh - core_spec_n_rot(s)),
                 n_dv = (double)core_spec_n_dv(s), rank = (double)s->n_kv_rank;
    const double n_h = (double)c->n / (wide + n_dv);
    return (double)c->weights +
           (double)c->m * n_h * ((wide + rank) + (rank + n_dv));
}

static bool is_latent_copy(const har_timer *t, const core_cost *c)
{
    return core_spec_is_mla(t->spec) && c->tap.kind == CORE_TAP_K_ROPE &&
           c->kv_written > 0;
}

/* --- mamba --- */

static bool is_convolution(const core_cost *c)
{
    return c->kind == CORE_COST_ELEMENTWISE && c->tap.kind == CORE_TAP_MAMBA_ACT;
}

static bool is_scan(const core_cost *c)
{
    return c->kind == CORE_COST_ELEMENTWISE && c->tap.kind == CORE_TAP_MAMBA_Y;
}

double har__decode_flops(const har_timer *t, const core_cost *c)
{
    const core_mamba *mamba = &t->spec->mamba;
    if (c->kind == CORE_COST_ATTENTION)
        return attention_flops(t, c);
    if (is_convolution(c))
        return (double)(c->flops + CORE_FLOPS_MULTIPLY_ADD * c->m * c->n *
                                       (mamba->n_conv - 1));
    return (double)c->flops;
}

double har__decode_elements(const har_timer *t, const core_cost *c)
{
    const core_mamba *mamba = &t->spec->mamba;
    const double own = (double)(c->weights + c->read + c->written + c->kv_read +
                                c->kv_written);
    if (c->kind == CORE_COST_ATTENTION)
        return attention_elements(t, c);
    if (c->tap.kind == CORE_TAP_KV_B)
        return absorbed_elements(t, c);
    if (is_latent_copy(t, c))
        return 2 * (double)c->m * latent(t->spec); /* into the cache */
    if (is_convolution(c))
        return own + 2 * (double)(c->m * c->n * (mamba->n_conv - 1));
    if (is_scan(c))
        return own + 2 * (double)(c->m * c->n * mamba->n_s);
    return own;
}
