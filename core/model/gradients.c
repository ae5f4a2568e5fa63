/* core/model/gradients.c -- see gradients.h. */
#include "core/model/gradients.h"

#include "core/model/spec_impl.h"
#include "core/numbers/rng.h"

#include <stdio.h>

/* Those of a layer, in the order in which they are made: the feed-forward part
 * backwards, then the mixer.  Of RECV it is what came home from the experts. */
static const core_tap_kind OF_LAYER[] = {
    CORE_TAP_OUT,         CORE_TAP_EXPERT_OUT,    CORE_TAP_EXPERT_ACT,
    CORE_TAP_EXPERT_GATE, CORE_TAP_EXPERT_UP,     CORE_TAP_RECV,
    CORE_TAP_TOPK_WEIGHT, CORE_TAP_ROUTER_LOGITS, CORE_TAP_MLP_ACT,
    CORE_TAP_MLP_GATE,    CORE_TAP_MLP_UP,        CORE_TAP_FFN_NORM,
    CORE_TAP_MID,         CORE_TAP_CONTEXT,       CORE_TAP_V,
    CORE_TAP_K_ROPE,      CORE_TAP_Q_ROPE,        CORE_TAP_K,
    CORE_TAP_Q,           CORE_TAP_ATTN_NORM,     CORE_TAP_IN};

enum { N_OF_LAYER = sizeof OF_LAYER / sizeof OF_LAYER[0] };

core_grad core_grad_of_tap(core_tap_kind kind, int layer)
{
    return (core_grad){.tap = {kind, layer}};
}

core_grad core_grad_of_weight(core_weight id)
{
    return (core_grad){.is_weight = true, .weight = id};
}

bool core_grad_exists(const core_spec *spec, core_tap tap)
{
    bool is_made = tap.kind == CORE_TAP_FINAL_NORM;
    for (int i = 0; i < N_OF_LAYER; i++)
        is_made |= tap.kind == OF_LAYER[i];
    return is_made && core_tap_exists(spec, tap);
}

int64_t core_grad_taps(const core_spec *spec, core_tap *out, int64_t capacity)
{
    int64_t n = 0;
    for (int l = (int)spec->n_l; l >= 0; l--)
        for (int i = 0; i < (l < (int)spec->n_l ? N_OF_LAYER : 1); i++) {
            const core_tap tap = l < (int)spec->n_l
                                     ? (core_tap){OF_LAYER[i], l}
                                     : (core_tap){CORE_TAP_FINAL_NORM, 0};
            if (!core_grad_exists(spec, tap))
                continue;
            if (n < capacity)
                out[n] = tap;
            n++;
        }
    return n;
}

void core_grad_shape(const core_spec *spec, core_grad grad, int64_t n_token,
                     int64_t *n_row, int64_t *n_col)
{
    if (grad.is_weight) {
        core_weight_shape(spec, grad.weight, n_row, n_col);
        return;
    }
    *n_row = core_tap_n_rows(spec, grad.tap, n_token);
    *n_col = core_tap_cols(spec, grad.tap);
}

const char *core_grad_name(core_grad grad, char name[CORE_GRAD_NAME_BYTES])
{
    char of[CORE_NAME_BYTES];
    snprintf(name, CORE_GRAD_NAME_BYTES, "grad.%s%s",
             grad.is_weight ? "weight." : "",
             grad.is_weight ? core_weight_name(grad.weight, of)
                            : core_tap_name(grad.tap, of));
    return name;
}

double core_grad_loss(const core_spec *spec, uint64_t seed, int64_t token,
                      int64_t v)
{
    static const uint64_t stream = UINT64_C(0x6c6f73732e77); /* "loss.w" */
    const core_rng_block bits =
        core_rng(seed, stream, (uint64_t)(token * spec->n_v + v));
    return (2 * (int)(bits.word[0] >> 21) - 2047) * CORE_STEP_ACT;
}

void core_grad_store(core_numerics numerics, double *x, int64_t n)
{
    core_assert(numerics == CORE_EXACT || numerics == CORE_FP64);
    if (numerics == CORE_EXACT && n > 0)
        core_snap(x, n, CORE_STEP_GRAD);
}

/* The model with all settings that gradients are known for, and no other.    */
static core_spec known_part(const core_spec *s)
{
    core_spec k = core__spec_blank();
    memcpy(k.name, s->name, sizeof k.name);
    k.family = s->family;
    k.n_l = s->n_l, k.n_d = s->n_d, k.n_v = s->n_v;
    k.n_h = s->n_h, k.n_g = s->n_g, k.n_dh = s->n_dh;
    k.n_e = s->n_e, k.n_k = s->n_k, k.n_f = s->n_f;
    k.n_f_shared = s->n_f_shared, k.n_f_dense = s->n_f_dense;
    memcpy(k.ffn, s->ffn, sizeof k.ffn);
    k.norm_eps = s->norm_eps;
    k.rope.theta = s->rope.theta;
    k.gated = s->gated;
    k.act = s->act == CORE_ACT_GELU ? s->act : CORE_ACT_SILU;
    k.renormalise = s->renormalise;
    k.tied = s->tied;
    k.bias_qkv = s->bias_qkv, k.bias_o = s->bias_o;
    k.bias_router = s->bias_router, k.bias_ffn = s->bias_ffn;
    k.capacity = s->capacity;
    k.capacity.dropped = CORE_DROPPED_ZERO;
    k.twin_expert = s->twin_expert;
    return k;
}

core_status core_grad_check(const core_spec *spec)
{
    const core_spec known = known_part(spec);
    const char *path = spec->n_h == 0 ? "heads" : NULL;
    if (path == NULL)
        path = core__spec_difference(spec, &known);
    for (int l = 0; path == NULL && l < (int)spec->n_l; l++)
        if (!core_spec_has_ffn(spec, l))
            path = "ffn";
    CORE_FAIL_IF(path != NULL, CORE_E_USAGE,
                 "--grad: %s: no gradient is known for what it says of '%s'; "
                 "models of the seed's family have all",
                 spec->name, path);
    return CORE_OK;
}
