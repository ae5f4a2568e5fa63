/* core/model/operators/mamba.c -- sizes of a state space. */
#include "core/model/spec_impl.h"

core_status core__check_mamba(const core_spec *spec)
{
    if (!core__any_mixer(spec, CORE_MIXER_MAMBA))
        return CORE_OK;
    const int64_t most = INT32_MAX;
    CORE_TRY(
        core__check_size(spec, "mamba.channels", spec->mamba.n_c, 1, most));
    CORE_TRY(
        core__check_size(spec, "mamba.state", spec->mamba.n_s, 1, 1 << 20));
    CORE_TRY(
        core__check_size(spec, "mamba.conv", spec->mamba.n_conv, 1, 1 << 20));
    return core__check_size(spec, "mamba.dt_rank", spec->mamba.n_r, 1, 1 << 20);
}
