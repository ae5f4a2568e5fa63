/* core/model/operators/o_groups.c -- groups of heads that are alike. */
#include "core/model/spec_impl.h"

core_status core__check_o_groups(const core_spec *spec)
{
    const core_o_groups *o = &spec->o_groups;
    CORE_TRY(core__check_size(spec, "o_groups.groups", o->n, 0, spec->n_h));
    if (o->n == 0)
        return CORE_OK;
    CORE_TRY(
        core__check_size(spec, "o_groups.rank", o->n_r, 1, INT32_MAX / o->n));
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++) {
        const core_heads h = core_spec_heads_of(spec, kind);
        CORE_FAIL_IF(h.n_h % o->n != 0, CORE_E_SPEC,
                     "%s: heads %lld, not a multiple of o_groups.groups %lld",
                     spec->name, (long long)h.n_h, (long long)o->n);
    }
    return CORE_OK;
}
