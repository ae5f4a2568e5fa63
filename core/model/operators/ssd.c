/* core/model/operators/ssd.c -- sizes and limits of Mamba-2's state space. */
#include "core/model/spec_impl.h"

#include <math.h>

core_status core__check_ssd(const core_spec *spec)
{
    const core_ssd *s = &spec->ssd;
    if (!core__any_mixer(spec, CORE_MIXER_SSD))
        return CORE_OK;
    CORE_TRY(core__check_size(spec, "ssd.heads", s->n_h, 1, 1 << 20));
    CORE_TRY(core__check_size(spec, "ssd.head_size", s->n_p, 1, 1 << 10));
    CORE_TRY(core__check_size(spec, "ssd.state", s->n_s, 1, 1 << 20));
    CORE_TRY(core__check_size(spec, "ssd.groups", s->n_g, 1, s->n_h));
    CORE_TRY(core__check_size(spec, "ssd.conv", s->n_conv, 1, 1 << 20));
    CORE_FAIL_IF(s->n_h % s->n_g != 0, CORE_E_SPEC,
                 "%s: ssd.heads %lld, not a multiple of ssd.groups %lld",
                 spec->name, (long long)s->n_h, (long long)s->n_g);
    CORE_FAIL_IF(!(s->least >= 0.0 && isfinite(s->least)), CORE_E_SPEC,
                 "%s: ssd.least_step %g, expected 0 or a positive number",
                 spec->name, s->least);
    CORE_FAIL_IF(!(s->most == 0.0 || s->most >= s->least) || !isfinite(s->most),
                 CORE_E_SPEC,
                 "%s: ssd.most_step %g, expected 0, or at least ssd.least_step "
                 "%g",
                 spec->name, s->most, s->least);
    return CORE_OK;
}
