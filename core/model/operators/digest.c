/* core/model/operators/digest.c -- what digests expect of a model. */
#include "core/model/spec_impl.h"

int64_t core_spec_digest_run(const core_spec *spec, int layer)
{
    if (!core_spec_has_attention(spec, layer))
        return 0;
    switch ((core_digest)spec->digest[layer]) {
    case CORE_DIGEST_ALL:
        return spec->digests.n_all;
    case CORE_DIGEST_BEST:
        return spec->digests.n_best;
    case CORE_DIGEST_NONE:
        break;
    }
    return 0;
}

int64_t core_spec_digest_vectors(const core_spec *spec, int layer)
{
    return spec->digest[layer] == CORE_DIGEST_BEST ? 2 : 1;
}

static core_status check_layer(const core_spec *spec, int l)
{
    const core_digests *d = &spec->digests;
    const bool picks = spec->digest[l] == CORE_DIGEST_BEST;
    CORE_FAIL_IF(!spec->one_kv || !core_spec_heads(spec, l).sinks, CORE_E_SPEC,
                 "%s: layer %d: digests need onekv and attention.sinks",
                 spec->name, l);
    CORE_FAIL_IF(
        picks != (spec->sight[l] == CORE_SIGHT_CHOSEN) ||
            (picks && core_spec_chooser(spec, l) != CORE_CHOOSER_PICKER),
        CORE_E_SPEC,
        "%s: layer %d: digests that are picked go with sight chosen, "
        "and no indexer",
        spec->name, l);
    CORE_TRY(core__check_size(spec, picks ? "digests.best" : "digests.all",
                              core_spec_digest_run(spec, l), 1, 1 << 20));
    if (!picks)
        return CORE_OK;
    const int64_t n_rot = core_spec_heads(spec, l).n_rot;
    CORE_TRY(
        core__check_size(spec, "digests.scorer_heads", d->n_ph, 1, INT32_MAX));
    return core__check_size(spec, "digests.scorer_size", d->n_pd, n_rot,
                            INT32_MAX / d->n_ph);
}

core_status core__check_digest(const core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++)
        if (spec->digest[l] != CORE_DIGEST_NONE &&
            core_spec_has_attention(spec, l))
            CORE_TRY(check_layer(spec, l));
        else
            CORE_FAIL_IF(spec->one_kv && spec->sight[l] != CORE_SIGHT_SPAN,
                         CORE_E_SPEC,
                         "%s: layer %d: with onekv only digests are chosen",
                         spec->name, l);
    return CORE_OK;
}
