/* core/model/operators/indexer.c -- what the indexer expects of a model. */
#include "core/model/spec_impl.h"

core_status core__check_indexer(const core_spec *spec)
{
    const core_indexer *index = &spec->indexer;
    if (index->n_h == 0)
        return core__check_size(spec, "indexer.size", index->n_dh, 0, 0);
    CORE_FAIL_IF(spec->n_seen == 0, CORE_E_SPEC,
                 "%s: indexer.heads %lld, but no layer chooses keys",
                 spec->name, (long long)index->n_h);
    CORE_FAIL_IF(spec->n_q_rank == 0, CORE_E_SPEC,
                 "%s: the indexer expects latent.query_rank", spec->name);
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(core_spec_seen(spec, l).n_set > 0 &&
                         core_spec_first_key(spec, l, INT32_MAX) > 0,
                     CORE_E_SPEC,
                     "%s: layer %d has a window, the indexer chooses among all "
                     "earlier keys",
                     spec->name, l);
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(core_spec_chooser(spec, l) == CORE_CHOOSER_INDEXER &&
                         !core_spec_has_rope(spec, l),
                     CORE_E_SPEC,
                     "%s: layer %d has no rope, the indexer expects it",
                     spec->name, l);
    const int64_t n_rot = core_spec_heads_of(spec, 0).n_rot;
    CORE_TRY(
        core__check_size(spec, "indexer.size", index->n_dh, n_rot, INT32_MAX));
    return core__check_size(spec, "indexer.heads", index->n_h, 1,
                            INT32_MAX / index->n_dh);
}
