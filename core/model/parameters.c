/* core/model/parameters.c -- how many parameters a model has.
 *
 * Counted over the list of weights, so that what exists is said in one place.
 * Trap: `gated` changes the number of matrices of every feed-forward part,
 * dense layers and shared experts included.
 */
#include "core/model/weight_list.h"

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
    int64_t n = tensor_elements(spec, CORE_W_EMBED, 0);
    for (int k = CORE_W_FINAL_NORM; k < CORE_N_WEIGHT_KINDS; k++)
        if (!(spec->tied && k == CORE_W_HEAD))
            n += tensor_elements(spec, (core_weight_kind)k, 0);
    for (int l = 0; l < (int)spec->n_l; l++) {
        for (int k = CORE_W_ATTN_NORM; k < CORE_W_FINAL_NORM; k++) {
            const core_weight_kind kind = (core_weight_kind)k;
            const bool many = core_weight_scope_of(kind) == CORE_SCOPE_EXPERT;
            n += tensor_elements(spec, kind, l) * (many ? n_e_used : 1);
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
