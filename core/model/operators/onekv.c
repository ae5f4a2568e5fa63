/* core/model/operators/onekv.c -- what one vector for keys and values expects
 * of a model.
 */
#include "core/model/spec_impl.h"

core_status core__check_onekv(const core_spec *spec)
{
    if (!spec->one_kv)
        return CORE_OK;
    CORE_TRY(core__check_size(spec, "onekv.query_rank", spec->n_q_rank, 1,
                              INT32_MAX));
    CORE_FAIL_IF(spec->n_kv_rank > 0, CORE_E_SPEC,
                 "%s: latent.kv_rank does not go with onekv", spec->name);
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++) {
        const core_heads h = core_spec_heads_of(spec, kind);
        CORE_FAIL_IF(h.n_g != 1, CORE_E_SPEC,
                     "%s: kv_heads %lld, onekv expects 1", spec->name,
                     (long long)h.n_g);
        CORE_FAIL_IF(h.n_dv != h.n_dh, CORE_E_SPEC,
                     "%s: value_size %lld, onekv expects head_size %lld",
                     spec->name, (long long)h.n_dv, (long long)h.n_dh);
    }
    CORE_FAIL_IF(
        spec->qk_norm != CORE_QK_NORM_NONE || spec->clip_qkv > 0.0 ||
            spec->temper_scale > 0.0 || spec->value_scale > 0.0 ||
            spec->context_gate || spec->bias_qkv || spec->v_is_k ||
            spec->value_norm,
        CORE_E_SPEC,
        "%s: onekv has no qk_norm, clip, temperature, gate or bias, and "
        "no scale or norm of values, of its own",
        spec->name);
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(core_spec_has_attention(spec, l) &&
                         !core_spec_has_rope(spec, l),
                     CORE_E_SPEC, "%s: layer %d has no rope, onekv expects it",
                     spec->name, l);
    return CORE_OK;
}
