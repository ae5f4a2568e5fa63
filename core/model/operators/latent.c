/* core/model/operators/latent.c -- what latent attention expects of a model. */
#include "core/model/spec_impl.h"

/* Latent attention has one kv head per query head, and none of the forms of
 * queries and keys that other families add. */
core_status core__check_latent(const core_spec *spec)
{
    const int64_t most = INT32_MAX;
    CORE_TRY(
        core__check_size(spec, "latent.query_rank", spec->n_q_rank, 0, most));
    CORE_TRY(
        core__check_size(spec, "latent.kv_rank", spec->n_kv_rank, 0, most));
    if (spec->n_kv_rank == 0) {
        CORE_FAIL_IF(spec->n_q_rank > 0 && !spec->one_kv, CORE_E_SPEC,
                     "%s: latent.query_rank needs latent.kv_rank", spec->name);
        return CORE_OK;
    }
    CORE_FAIL_IF(core_spec_head_kinds(spec) > 1, CORE_E_SPEC,
                 "%s: latent attention has heads of one kind", spec->name);
    const core_heads h = core_spec_heads_of(spec, 0);
    CORE_FAIL_IF(spec->n_g != spec->n_h, CORE_E_SPEC,
                 "%s: kv_heads %lld, latent attention expects %lld", spec->name,
                 (long long)spec->n_g, (long long)spec->n_h);
    CORE_FAIL_IF(h.n_rot == h.n_dh, CORE_E_SPEC,
                 "%s: rotated %lld, latent attention expects less than "
                 "head_size %lld",
                 spec->name, (long long)spec->n_dh, (long long)spec->n_dh);
    CORE_FAIL_IF(spec->qk_norm != CORE_QK_NORM_NONE || spec->sinks ||
                     spec->clip_qkv > 0.0 || spec->temper_scale > 0.0 ||
                     spec->value_scale > 0.0,
                 CORE_E_SPEC,
                 "%s: latent attention has no qk_norm, clip, sinks, "
                 "temperature or scale of values",
                 spec->name);
    return CORE_OK;
}
