/* core/spec.c -- questions about a model that its plain data answers.
 *
 * Nothing here knows a file format or a preset.  The traps: `gated` changes the
 * number of matrices of every feed-forward part, dense layers and shared
 * experts included; a Switch layer (n_h == 0) has neither attention nor
 * embedding; the capacity formula is evaluated left to right in double, which
 * for factor 1.1 gives 111 slots where exact arithmetic would give 110.
 */
#include "core/spec.h"

#include "core/weights.h"

#include <math.h>

bool core_spec_is_moe(const core_spec *spec, int layer)
{
    return spec->ffn[layer] == CORE_FFN_MOE;
}

bool core_spec_has_mlp(const core_spec *spec, int layer, int64_t *n_f)
{
    *n_f = core_spec_is_moe(spec, layer) ? spec->n_f_shared : spec->n_f_dense;
    return *n_f > 0;
}

int core_spec_count_moe(const core_spec *spec, int first, int end)
{
    int n = 0;
    for (int l = first; l < end; l++)
        n += core_spec_is_moe(spec, l) ? 1 : 0;
    return n;
}

static int64_t tensor_elements(const core_spec *spec, core_weight_kind kind,
                               int layer)
{
    const core_weight id = {kind, layer, 0};
    if (!core_weight_exists(spec, id))
        return 0;
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    return n_row * n_col;
}

/* Parameters when every MoE layer uses n_e_used of its experts. */
static int64_t count_parameters(const core_spec *spec, int64_t n_e_used)
{
    int64_t n = tensor_elements(spec, CORE_W_EMBED, 0) +
                tensor_elements(spec, CORE_W_FINAL_NORM, 0);
    if (!spec->tied)
        n += tensor_elements(spec, CORE_W_HEAD, 0);
    for (int l = 0; l < (int)spec->n_l; l++) {
        for (int k = CORE_W_ATTN_NORM; k <= CORE_W_MLP_DOWN_BIAS; k++) {
            const bool is_expert =
                k >= CORE_W_EXPERT_GATE && k <= CORE_W_EXPERT_DOWN_BIAS;
            n += tensor_elements(spec, (core_weight_kind)k, l) *
                 (is_expert ? n_e_used : 1);
        }
    }
    return n;
}

int64_t core_spec_parameters(const core_spec *spec)
{
    return count_parameters(spec, spec->n_e);
}

int64_t core_spec_active_parameters(const core_spec *spec)
{
    return count_parameters(spec, spec->n_k);
}

int64_t core_spec_capacity(const core_spec *spec, int64_t n_t)
{
    const core_capacity *c = &spec->capacity;
    if (c->rule == CORE_CAPACITY_NONE)
        return INT64_MAX;
    if (c->rule == CORE_CAPACITY_ABSOLUTE)
        return c->absolute;
    const double slots =
        ceil((double)n_t * (double)spec->n_k / (double)spec->n_e * c->factor);
    return slots < 0x1p62 ? (int64_t)slots : INT64_MAX;
}
