/* core/model/operators/shortconv.c -- sizes of a gated convolution. */
#include "core/model/spec_impl.h"

core_status core__check_shortconv(const core_spec *spec)
{
    if (!core__any_mixer(spec, CORE_MIXER_SHORTCONV))
        return CORE_OK;
    return core__check_size(spec, "shortconv.conv", spec->shortconv.n_conv, 1,
                            1 << 20);
}
