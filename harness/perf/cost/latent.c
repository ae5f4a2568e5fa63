/* harness/perf/cost/latent.c -- keys and values from one latent (kv_b).
 *
 * Trap: in the records latents become keys and values per head before attention
 * (kv_b, and a copy of the rotated part to every head).  A decoding step has
 * them absorbed: each head's query goes through the half of kv_b that makes
 * keys, all heads ask the cached latents (kv_rank + rope), and what they find
 * goes through the half that makes values.  The two halves are the product of
 * the kv_b record, other operands.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* One latent, made on every rank of the tensor group, and its norm. */
static void put_compressed(har__walk *w, core_tap_kind tap,
                           core_tap_kind norm_tap, int64_t n_col,
                           int64_t n_normed, core_weight_kind bias)
{
    w->op = par_operator_name(PAR_OP_LATENT);
    har__put(w, har__gemm(w, tap, w->n, n_col, w->spec->n_d,
                          har__has_weight(w, bias)));
    har__put(w, har__rms(w, norm_tap, w->n, n_normed, n_normed));
    w->op = par_operator_name(PAR_OP_QKV);
}

static void put_latent(har__walk *w)
{
    const core_spec *spec = w->spec;
    const par_heads *heads = har__heads(w);
    const int64_t n_h = heads->n_h, n_rot = heads->all.n_rot;
    const int64_t n_dh = heads->all.n_dh, n_kv_rank = spec->n_kv_rank;
    w->op = par_operator_name(PAR_OP_QKV);
    if (spec->n_q_rank > 0)
        put_compressed(w, CORE_TAP_Q_A, CORE_TAP_Q_A_NORM, spec->n_q_rank,
                       spec->n_q_rank, CORE_W_Q_A_BIAS);
    har__put(w,
             har__gemm(w, CORE_TAP_Q, w->n, n_h * n_dh,
                       spec->n_q_rank > 0 ? spec->n_q_rank : spec->n_d, false));
    put_compressed(w, CORE_TAP_KV_A, CORE_TAP_KV_A_NORM, n_kv_rank + n_rot,
                   n_kv_rank, CORE_W_KV_A_BIAS);
    har__put_kv(w, har__gemm(w, CORE_TAP_KV_B, w->n,
                             n_h * (n_dh - n_rot + heads->all.n_dv), n_kv_rank,
                             false));
    const bool has_rope = core_spec_has_rope(spec, w->layer);
    if (has_rope)
        har__put(w, har__rotation(w, CORE_TAP_Q_ROPE, n_h));
    w->op = par_operator_name(PAR_OP_LATENT);
    if (has_rope)
        har__put(w, har__rotation(w, CORE_TAP_K_ROPE, 1));
    har__put_kv(w, har__rows(w, has_rope ? CORE_TAP_K_ROPE : CORE_TAP_KV_A,
                             w->n, n_h * n_dh, 0));
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    return id.kind == CORE_W_KV_B
               ? har__split_heads(&lay->heads[spec->head_kind[id.layer]])
               : HAR__WHOLE;
}

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    (void)n_kv_head;
    return spec->n_kv_rank + core_spec_heads(spec, layer).n_rot;
}

static void decode(har__step *step, const core_spec *s, const core_cost *c,
                   int64_t n_key)
{
    const double rank = (double)s->n_kv_rank,
                 cached = (double)kept(s, c->tap.layer, 0);
    const double m = (double)c->m, weights = (double)c->weights;
    if (c->kind == CORE_COST_ATTENTION) {
        const double queries = (double)(c->m * c->n_head);
        step->flops =
            queries * (double)n_key *
            (CORE_FLOPS_SOFTMAX + CORE_FLOPS_MULTIPLY_ADD * (cached + rank));
        step->elements =
            weights + m * (double)n_key * cached + queries * (cached + rank);
        step->n_shared = s->n_kv_rank;
    } else if (c->tap.kind == CORE_TAP_KV_B) {
        const core_heads heads = core_spec_heads(s, c->tap.layer);
        const double wide = (double)(heads.n_dh - heads.n_rot),
                     n_dv = (double)heads.n_dv;
        const double n_h = (double)c->n / (wide + n_dv);
        step->elements = weights + m * n_h * ((wide + rank) + (rank + n_dv));
    } else if ((c->tap.kind == CORE_TAP_K_ROPE ||
                c->tap.kind == CORE_TAP_KV_A) &&
               c->kv_written > 0) {
        step->elements = 2 * m * cached; /* into the cache */
    }
}

static void probe(har_dice *d, core_spec *s)
{
    s->n_g = s->n_h;
    s->n_kv_rank = har_dice_between(d, 8, 128);
    s->n_q_rank = har_dice_one_in(d, 2) ? 0 : har_dice_between(d, 8, 128);
    s->n_dv = har_dice_between(d, 4, 48);
    s->n_rot = 2 * har_dice_between(d, 1, (double)s->n_dh / 2 - 1);
}

const har__operator har__projection_latent = {.put = put_latent,
                                              .split = split,
                                              .kept = kept,
                                              .decode = decode,
                                              .probe = probe};
