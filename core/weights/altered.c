/* core/weights/altered.c -- see altered.h.
 *
 * Values come from core_weights_read of the inner ones, so they are those of
 * the numerics already, and rounding them once more changes nothing; in exact
 * mode both of two tensors that are mixed keep one step, the finer.
 */
#include "core/weights/altered.h"

#include "core/base/arena.h"
#include "core/weights/weights_impl.h"

#include <math.h>
#include <stdlib.h>

typedef struct altered {
    const core_weights *inner; /* borrowed                                    */
    core_alteration how;
} altered;

/* Gate for up and up for gate; any other as it is. */
static core_weight_kind swapped(core_weight_kind kind)
{
    switch ((int)kind) {
    case CORE_W_EXPERT_GATE:
        return CORE_W_EXPERT_UP;
    case CORE_W_EXPERT_UP:
        return CORE_W_EXPERT_GATE;
    case CORE_W_EXPERT_GATE_BIAS:
        return CORE_W_EXPERT_UP_BIAS;
    case CORE_W_EXPERT_UP_BIAS:
        return CORE_W_EXPERT_GATE_BIAS;
    case CORE_W_MLP_GATE:
        return CORE_W_MLP_UP;
    case CORE_W_MLP_UP:
        return CORE_W_MLP_GATE;
    case CORE_W_MLP_GATE_BIAS:
        return CORE_W_MLP_UP_BIAS;
    case CORE_W_MLP_UP_BIAS:
        return CORE_W_MLP_GATE_BIAS;
    default:
        return kind;
    }
}

static bool is_gate(core_weight_kind kind)
{
    return kind == CORE_W_EXPERT_GATE || kind == CORE_W_EXPERT_GATE_BIAS;
}

static bool is_expert(core_weight_kind kind)
{
    return core_weight_scope_of(kind) == CORE_SCOPE_EXPERT;
}

static double element(const altered *a, core_weight id, int64_t r, int64_t c)
{
    double value = 0.0;
    core_weights_read(a->inner, id, r, r + 1, c, c + 1, &value, 1);
    return value;
}

/* Neuron f of gate or up, n of each: the place in the other order. */
static double neuron(const altered *a, core_weight id, bool is_bias, int64_t f,
                     int64_t n, int64_t c)
{
    const bool gate = is_gate(id.kind);
    const int64_t at = a->how == CORE_ALTER_EXPERTS_HALVED
                           ? f + (gate ? 0 : n)  /* of gate, up, gate, up    */
                           : 2 * f + (gate ? 0 : 1); /* of halves             */
    const bool from_gate =
        a->how == CORE_ALTER_EXPERTS_HALVED ? at % 2 == 0 : at < n;
    const int64_t from = a->how == CORE_ALTER_EXPERTS_HALVED ? at / 2 : at % n;
    id.kind = gate == from_gate ? id.kind : swapped(id.kind);
    return is_bias ? element(a, id, 0, from) : element(a, id, from, c);
}

static double altered_element(const altered *a, const core_spec *spec,
                              core_weight id, int64_t r, int64_t c)
{
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    if (a->how != CORE_ALTER_EXPERTS_TURNED) {
        const bool is_bias = n_row == 1;
        return neuron(a, id, is_bias, is_bias ? c : r, is_bias ? n_col : n_row,
                      c);
    }
    const int64_t at = c * n_row + r;
    return element(a, id, at / n_col, at % n_col);
}

/* Which tensor it is read from whole; *mixed: from several places. */
static core_weight source_of(const altered *a, const core_spec *spec,
                             core_weight id, bool *mixed)
{
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    *mixed = false;
    switch (a->how) {
    case CORE_ALTER_EXPERTS_SWAPPED:
    case CORE_ALTER_MLPS_SWAPPED:
        if (is_expert(id.kind) == (a->how == CORE_ALTER_EXPERTS_SWAPPED))
            id.kind = swapped(id.kind);
        break;
    case CORE_ALTER_EXPERTS_HALVED:
    case CORE_ALTER_EXPERTS_WOVEN:
        *mixed = is_expert(id.kind) && swapped(id.kind) != id.kind;
        break;
    case CORE_ALTER_EXPERTS_TURNED:
        *mixed = is_expert(id.kind) && n_row > 1;
        break;
    case CORE_ALTER_NOTHING:
    case CORE_N_ALTERATIONS:
        break;
    }
    return id;
}

static void altered_read(const void *self, const core_spec *spec,
                         core_weight id, int64_t r0, int64_t r1, int64_t c0,
                         int64_t c1, double *out, int64_t ld)
{
    const altered *a = self;
    bool mixed;
    const core_weight from = source_of(a, spec, id, &mixed);
    if (!mixed) {
        core_weights_read(a->inner, from, r0, r1, c0, c1, out, ld);
        return;
    }
    for (int64_t r = r0; r < r1; r++)
        for (int64_t c = c0; c < c1; c++)
            out[(r - r0) * ld + c - c0] = altered_element(a, spec, id, r, c);
}

static double altered_step(const void *self, const core_spec *spec,
                           core_weight id)
{
    const altered *a = self;
    bool mixed;
    const core_weight from = source_of(a, spec, id, &mixed);
    core_weight second = from;
    if (mixed && a->how != CORE_ALTER_EXPERTS_TURNED)
        second.kind = swapped(from.kind);
    return fmin(core_weights_step(a->inner, from),
                core_weights_step(a->inner, second));
}

bool core_alteration_applies(core_alteration how, const core_spec *spec)
{
    bool any_mlp = false;
    for (int l = 0; l < (int)spec->n_l; l++)
        any_mlp |= core_spec_n_mlp(spec, l) > 0;
    return how == CORE_ALTER_MLPS_SWAPPED ? spec->gated && any_mlp
                                          : spec->gated && spec->n_e > 0;
}

core_status core_weights_alter(core_weights **out, const core_weights *inner,
                               core_alteration how)
{
    const core_spec *spec = core__weights_spec(inner);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(altered), "altered weights"));
    altered *a = memory;
    *a = (altered){inner, how};
    const core__weight_source source = {.self = a,
                                        .close = free,
                                        .step = altered_step,
                                        .read = altered_read};
    core_weights *weights = NULL;
    CORE_TRY(core__weights_make(&weights, spec, source,
                                core_weights_origin(inner)));
    const core_status status = core_weights_prepare(
        weights, core__weights_numerics(inner), NULL);
    if (status == CORE_OK)
        *out = weights;
    else
        core_weights_close(weights);
    return status;
}
