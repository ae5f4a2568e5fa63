/* core/weights.c -- which tensors a model has, and asking a source for them.
 *
 * The index of a tensor counts only the tensors that exist, layer by layer and
 * in the order of CORE_WEIGHT_LIST, the experts' kinds expert by expert.  A
 * tied head has no index of its own: it IS the embedding, with one step and
 * one stream of numbers, and every question about it is asked of EMBED.
 */
#include "core/weights_impl.h"

#include "core/arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAME_FORMAT[CORE_N_WEIGHT_KINDS] = {
#define NAME_ROW(kind, name) name,
    CORE_WEIGHT_LIST(NAME_ROW)
#undef NAME_ROW
};

static bool is_global(core_weight_kind kind)
{
    return kind == CORE_W_EMBED || kind == CORE_W_FINAL_NORM ||
           kind == CORE_W_HEAD;
}

static bool is_expert(core_weight_kind kind)
{
    return kind >= CORE_W_EXPERT_GATE && kind <= CORE_W_EXPERT_DOWN_BIAS;
}

static bool kind_exists(const core_spec *spec, core_weight_kind kind, int layer)
{
    const bool attention = spec->n_h > 0;
    int64_t n_f;
    switch (kind) {
    case CORE_W_EMBED:
    case CORE_W_FINAL_NORM:
    case CORE_W_HEAD:
    case CORE_W_ATTN_NORM:
    case CORE_W_Q:
    case CORE_W_K:
    case CORE_W_V:
    case CORE_W_O:
        return attention;
    case CORE_W_Q_BIAS:
    case CORE_W_K_BIAS:
    case CORE_W_V_BIAS:
        return attention && spec->bias_qkv;
    case CORE_W_O_BIAS:
        return attention && spec->bias_o;
    case CORE_W_FFN_NORM:
        return true;
    case CORE_W_ROUTER:
    case CORE_W_EXPERT_UP:
    case CORE_W_EXPERT_DOWN:
        return core_spec_is_moe(spec, layer);
    case CORE_W_EXPERT_GATE:
        return core_spec_is_moe(spec, layer) && spec->gated;
    case CORE_W_ROUTER_BIAS:
        return core_spec_is_moe(spec, layer) && spec->bias_router;
    case CORE_W_EXPERT_GATE_BIAS:
        return core_spec_is_moe(spec, layer) && spec->gated && spec->bias_ffn;
    case CORE_W_EXPERT_UP_BIAS:
    case CORE_W_EXPERT_DOWN_BIAS:
        return core_spec_is_moe(spec, layer) && spec->bias_ffn;
    case CORE_W_MLP_UP:
    case CORE_W_MLP_DOWN:
        return core_spec_has_mlp(spec, layer, &n_f);
    case CORE_W_MLP_GATE:
        return core_spec_has_mlp(spec, layer, &n_f) && spec->gated;
    case CORE_W_MLP_GATE_BIAS:
        return core_spec_has_mlp(spec, layer, &n_f) && spec->gated &&
               spec->bias_ffn;
    case CORE_W_MLP_UP_BIAS:
    case CORE_W_MLP_DOWN_BIAS:
        return core_spec_has_mlp(spec, layer, &n_f) && spec->bias_ffn;
    case CORE_N_WEIGHT_KINDS:
        break;
    }
    return false;
}

bool core_weight_exists(const core_spec *spec, core_weight id)
{
    if (is_global(id.kind) ? id.layer != 0
                           : id.layer < 0 || id.layer >= spec->n_l)
        return false;
    if (is_expert(id.kind) ? id.expert < 0 || id.expert >= spec->n_e
                           : id.expert != 0)
        return false;
    return kind_exists(spec, id.kind, id.layer);
}

void core_weight_shape(const core_spec *spec, core_weight id, int64_t *n_row,
                       int64_t *n_col)
{
    const int64_t q = spec->n_h * spec->n_dh, kv = spec->n_g * spec->n_dh;
    int64_t f_mlp = 0;
    if (!is_global(id.kind))
        (void)core_spec_has_mlp(spec, id.layer, &f_mlp);
    const int64_t d = spec->n_d, f = spec->n_f;
    const int64_t shape[CORE_N_WEIGHT_KINDS][2] = {
        [CORE_W_EMBED] = {spec->n_v, d},
        [CORE_W_ATTN_NORM] = {1, d},
        [CORE_W_Q] = {q, d},
        [CORE_W_K] = {kv, d},
        [CORE_W_V] = {kv, d},
        [CORE_W_O] = {d, q},
        [CORE_W_Q_BIAS] = {1, q},
        [CORE_W_K_BIAS] = {1, kv},
        [CORE_W_V_BIAS] = {1, kv},
        [CORE_W_O_BIAS] = {1, d},
        [CORE_W_FFN_NORM] = {1, d},
        [CORE_W_ROUTER] = {spec->n_e, d},
        [CORE_W_ROUTER_BIAS] = {1, spec->n_e},
        [CORE_W_EXPERT_GATE] = {f, d},
        [CORE_W_EXPERT_UP] = {f, d},
        [CORE_W_EXPERT_DOWN] = {d, f},
        [CORE_W_EXPERT_GATE_BIAS] = {1, f},
        [CORE_W_EXPERT_UP_BIAS] = {1, f},
        [CORE_W_EXPERT_DOWN_BIAS] = {1, d},
        [CORE_W_MLP_GATE] = {f_mlp, d},
        [CORE_W_MLP_UP] = {f_mlp, d},
        [CORE_W_MLP_DOWN] = {d, f_mlp},
        [CORE_W_MLP_GATE_BIAS] = {1, f_mlp},
        [CORE_W_MLP_UP_BIAS] = {1, f_mlp},
        [CORE_W_MLP_DOWN_BIAS] = {1, d},
        [CORE_W_FINAL_NORM] = {1, d},
        [CORE_W_HEAD] = {spec->n_v, d},
    };
    *n_row = shape[id.kind][0];
    *n_col = shape[id.kind][1];
}

const char *core_weight_name(core_weight id, char name[CORE_NAME_BYTES])
{
    snprintf(name, CORE_NAME_BYTES, NAME_FORMAT[id.kind], id.layer, id.expert);
    return name;
}

/* Tensors of one layer before `id` (kinds in order, experts within a run of
 * expert kinds outermost), or of the whole layer for kind FINAL_NORM. */
static int64_t index_in_layer(const core_spec *spec, core_weight id)
{
    int64_t n_before = 0, n_expert = 0, n_in_expert = 0;
    for (int k = CORE_W_ATTN_NORM; k < CORE_W_FINAL_NORM; k++) {
        const core_weight_kind kind = (core_weight_kind)k;
        if (!kind_exists(spec, kind, id.layer))
            continue;
        n_expert += is_expert(kind) ? 1 : 0;
        if (kind < id.kind && is_expert(kind))
            n_in_expert++;
        else if (kind < id.kind)
            n_before++;
    }
    if (is_expert(id.kind))
        return n_before + id.expert * n_expert + n_in_expert;
    if (id.kind > CORE_W_EXPERT_DOWN_BIAS)
        n_before += n_expert * spec->n_e;
    return n_before;
}

static int64_t layer_count(const core_spec *spec, int layer)
{
    return index_in_layer(spec, (core_weight){CORE_W_FINAL_NORM, layer, 0});
}

int64_t core_weight_count(const core_spec *spec)
{
    int64_t n = 0;
    for (int l = 0; l < (int)spec->n_l; l++)
        n += layer_count(spec, l);
    return n + (spec->n_h > 0 ? (spec->tied ? 2 : 3) : 0);
}

int64_t core_weight_index(const core_spec *spec, core_weight id)
{
    core_assert(core_weight_exists(spec, id));
    if (id.kind == CORE_W_EMBED || (id.kind == CORE_W_HEAD && spec->tied))
        return 0;
    int64_t n = spec->n_h > 0 ? 1 : 0;
    const int end = is_global(id.kind) ? (int)spec->n_l : id.layer;
    for (int l = 0; l < end; l++)
        n += layer_count(spec, l);
    if (is_global(id.kind))
        return n + (id.kind == CORE_W_HEAD ? 1 : 0);
    return n + index_in_layer(spec, id);
}

struct core_weights {
    core_spec spec;
    core__weight_source source;
    core_numerics numerics;
    double *steps; /* [core_weight_count], NULL unless prepared for exact     */
    char origin[CORE_ORIGIN_BYTES];
};

core_status core__weights_make(core_weights **out, const core_spec *spec,
                               core__weight_source source, const char *origin)
{
    void *memory = NULL;
    const core_status status =
        core_alloc(&memory, 1, sizeof(core_weights), "weights");
    if (status != CORE_OK) {
        source.close(source.self);
        return status;
    }
    core_weights *weights = memory;
    *weights = (core_weights){.spec = *spec,
                              .source = source,
                              .numerics = CORE_FP64,
                              .steps = NULL};
    snprintf(weights->origin, sizeof weights->origin, "%s", origin);
    *out = weights;
    return CORE_OK;
}

void core_weights_close(core_weights *weights)
{
    if (weights == NULL)
        return;
    weights->source.close(weights->source.self);
    free(weights->steps);
    free(weights);
}

double core__weight_grid(double max_magnitude)
{
    if (!isfinite(max_magnitude))
        return 0.0;
    if (max_magnitude == 0.0)
        return 1.0; /* any step holds a tensor of zeros */
    return ldexp(1.0, ilogb(max_magnitude) - (CORE_WEIGHT_BITS - 1));
}

static core_status derive_step(const core_weights *weights, double *steps,
                               core_weight id)
{
    const core_spec *spec = &weights->spec;
    if (!core_weight_exists(spec, id))
        return CORE_OK;
    char name[CORE_NAME_BYTES];
    const double step = weights->source.step(weights->source.self, spec, id);
    CORE_FAIL_IF(!(step > 0.0), CORE_E_WEIGHTS,
                 "%s: %s: an element is not finite", weights->origin,
                 core_weight_name(id, name));
    steps[core_weight_index(spec, id)] = step;
    return CORE_OK;
}

static core_status derive_steps(const core_weights *weights, double *steps)
{
    const core_spec *spec = &weights->spec;
    CORE_TRY(derive_step(weights, steps, (core_weight){CORE_W_EMBED, 0, 0}));
    CORE_TRY(
        derive_step(weights, steps, (core_weight){CORE_W_FINAL_NORM, 0, 0}));
    if (!spec->tied)
        CORE_TRY(derive_step(weights, steps, (core_weight){CORE_W_HEAD, 0, 0}));
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = CORE_W_ATTN_NORM; k < CORE_W_FINAL_NORM; k++) {
            const core_weight_kind kind = (core_weight_kind)k;
            const int n_e = is_expert(kind) ? (int)spec->n_e : 1;
            for (int e = 0; e < n_e; e++)
                CORE_TRY(
                    derive_step(weights, steps, (core_weight){kind, l, e}));
        }
    return CORE_OK;
}

/* The steps to use from now on, in fresh memory; NULL unless exact. */
static core_status make_steps(const core_weights *weights,
                              core_numerics numerics, const double *steps,
                              double **out)
{
    *out = NULL;
    if (numerics != CORE_EXACT)
        return CORE_OK;
    void *memory = NULL;
    const int64_t n = core_weight_count(&weights->spec);
    CORE_TRY(core_alloc(&memory, n, sizeof(double), "weight steps"));
    core_status status = CORE_OK;
    if (steps != NULL)
        memcpy(memory, steps, (size_t)n * sizeof(double));
    else
        status = derive_steps(weights, memory);
    if (status == CORE_OK)
        *out = memory;
    else
        free(memory);
    return status;
}

core_status core_weights_prepare(core_weights *weights, core_numerics numerics,
                                 const double *steps)
{
    double *fresh;
    CORE_TRY(make_steps(weights, numerics, steps, &fresh));
    free(weights->steps);
    weights->steps = fresh;
    weights->numerics = numerics;
    return CORE_OK;
}

const double *core_weights_steps(const core_weights *weights)
{
    return weights->steps;
}

double core_weights_step(const core_weights *weights, core_weight id)
{
    core_assert(weights->steps != NULL);
    return weights->steps[core_weight_index(&weights->spec, id)];
}

/* The numerics of a run, applied to values as the source has them. */
static void convert(const core_weights *weights, core_weight id, double *out,
                    int64_t n)
{
    if (weights->source.is_dyadic && weights->numerics != CORE_BF16)
        return; /* 11 bits: on the grid, and a float */
    if (weights->numerics == CORE_EXACT)
        core_snap(out, n, core_weights_step(weights, id));
    else
        core_store(weights->numerics, CORE_GRID_ACT, out, n);
}

void core_weights_read(const core_weights *weights, core_weight id, int64_t r0,
                       int64_t r1, int64_t c0, int64_t c1, double *out,
                       int64_t ld)
{
    const core_spec *spec = &weights->spec;
    int64_t n_row, n_col;
    core_assert(core_weight_exists(spec, id));
    core_weight_shape(spec, id, &n_row, &n_col);
    core_assert(0 <= r0 && r0 <= r1 && r1 <= n_row);
    core_assert(0 <= c0 && c0 <= c1 && c1 <= n_col && c1 - c0 <= ld);
    if (id.kind == CORE_W_HEAD && spec->tied)
        id.kind = CORE_W_EMBED;
    if (r0 == r1 || c0 == c1)
        return;
    weights->source.read(weights->source.self, spec, id, r0, r1, c0, c1, out,
                         ld);
    for (int64_t r = 0; r < r1 - r0; r++)
        convert(weights, id, out + r * ld, c1 - c0);
}

const char *core_weights_origin(const core_weights *weights)
{
    return weights->origin;
}
