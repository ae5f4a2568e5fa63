/* core/model/operators/block_index.c -- what a choice of blocks expects. */
#include "core/model/spec_impl.h"

core_status core__check_block_index(const core_spec *spec)
{
    const core_block_index *index = &spec->block_index;
    const int64_t most = INT32_MAX;
    CORE_TRY(core__check_size(spec, "block_index.head_size", index->n_dh, 0,
                              most / spec->n_h));
    if (index->n_dh == 0)
        return CORE_OK;
    CORE_FAIL_IF(!core__any_chosen(spec), CORE_E_SPEC,
                 "%s: block_index, but no layer has sight chosen", spec->name);
    CORE_FAIL_IF(core_spec_projection(spec) != CORE_PROJECTION_QKV, CORE_E_SPEC,
                 "%s: block_index needs keys of kv heads, not latent ones",
                 spec->name);
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++)
        CORE_TRY(core__check_size(spec, "block_index.head_size", index->n_dh,
                                  core_spec_heads_of(spec, kind).n_rot,
                                  spec->n_d));
    CORE_TRY(core__check_size(spec, "block_index.keys", index->n_key, 1, most));
    return core__check_size(spec, "block_index.local", index->n_local, 1,
                            spec->n_seen - 1);
}
