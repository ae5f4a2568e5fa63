/* core/model/operators/shortconv.c -- sizes of a gated convolution. */
#include "core/model/spec_impl.h"

core_status core__check_shortconv(const core_spec *spec)
{
    bool any = false;
    for (int l = 0; l < (int)spec->n_l; l++)
        any = any || core_spec_mixer(spec, l) == CORE_MIXER_SHORTCONV;
    return any ? core__check_size(spec, "shortconv.conv",
                                  spec->shortconv.n_conv, 1, 1 << 20)
               : CORE_OK;
}
