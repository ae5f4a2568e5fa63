/* core/model/operators/deltanet.c -- sizes of a gated delta rule. */
#include "core/model/spec_impl.h"

#include <math.h>

core_status core__check_deltanet(const core_spec *spec)
{
    const core_deltanet *net = &spec->deltanet;
    const int64_t most = 1 << 20;
    if (!core__any_mixer(spec, CORE_MIXER_DELTANET))
        return CORE_OK;
    CORE_TRY(core__check_size(spec, "deltanet.key_size", net->n_dk, 1, most));
    CORE_TRY(core__check_size(spec, "deltanet.value_size", net->n_dv, 1, most));
    CORE_TRY(core__check_size(spec, "deltanet.key_heads", net->n_kh, 1,
                              INT32_MAX / net->n_dk));
    CORE_TRY(core__check_size(spec, "deltanet.value_heads", net->n_vh, 1,
                              INT32_MAX / net->n_dv));
    CORE_TRY(core__check_size(spec, "deltanet.conv", net->n_conv, 1, most));
    CORE_TRY(
        core__check_size(spec, "deltanet.dt_rank", net->n_dt_rank, 0, most));
    CORE_TRY(core__check_size(spec, "deltanet.gate_rank", net->n_gate_rank, 0,
                              most));
    CORE_FAIL_IF(net->n_vh % net->n_kh != 0, CORE_E_SPEC,
                 "%s: deltanet.value_heads %lld, not a multiple of "
                 "deltanet.key_heads %lld",
                 spec->name, (long long)net->n_vh, (long long)net->n_kh);
    CORE_FAIL_IF(!(net->floor <= 0.0 && isfinite(net->floor)), CORE_E_SPEC,
                 "%s: deltanet.floor %g, expected 0 or a negative number",
                 spec->name, net->floor);
    CORE_FAIL_IF(net->by_row && net->n_vh > INT32_MAX / net->n_dk, CORE_E_SPEC,
                 "%s: deltanet.value_heads %lld: too many of key_size %lld",
                 spec->name, (long long)net->n_vh, (long long)net->n_dk);
    return CORE_OK;
}
