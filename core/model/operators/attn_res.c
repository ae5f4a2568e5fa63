/* core/model/operators/attn_res.c -- what attention residuals expect of a
 * model.
 */
#include "core/model/spec_impl.h"

bool core_spec_looks_alike(const core_spec *spec, int a, int b)
{
    const core_attn_res *r = &spec->attn_res;
    return r->n_block == 0 ||
           (core_attn_res_begun(r, a) == core_attn_res_begun(r, b) &&
            core_attn_res_begun(r, a + 1) == core_attn_res_begun(r, b + 1));
}

/* Their sums take the place of the scaled one, and every layer has both parts.
 */
core_status core__check_attn_res(const core_spec *spec)
{
    const int64_t n_block = spec->attn_res.n_block;
    CORE_TRY(core__check_size(spec, "attention_residual.block", n_block, 0,
                              CORE_MAX_LAYERS));
    if (n_block == 0)
        return CORE_OK;
    CORE_FAIL_IF(spec->hyper.n > 0, CORE_E_SPEC,
                 "%s: attention_residual.block does not go with hyper.streams",
                 spec->name);
    CORE_FAIL_IF(spec->residual_scale != 1.0, CORE_E_SPEC,
                 "%s: scale.residual %g does not go with "
                 "attention_residual.block",
                 spec->name, spec->residual_scale);
    CORE_FAIL_IF(spec->post_norm || spec->layer_scale || spec->router_norm ||
                     spec->branch_norm,
                 CORE_E_SPEC,
                 "%s: post_norm, layer_scale, router.norm and branch_norm do "
                 "not go with attention_residual.block",
                 spec->name);
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(core_spec_mixer(spec, l) == CORE_N_MIXERS ||
                         !core_spec_has_ffn(spec, l),
                     CORE_E_SPEC,
                     "%s: attention_residual.block: layer %d has one part "
                     "alone",
                     spec->name, l);
    return CORE_OK;
}
