/* core/model/operators/hyper.c -- what hyper-connections expect of a model. */
#include "core/model/spec_impl.h"

/* Their sums take the place of the scaled one. */
core_status core__check_hyper(const core_spec *spec)
{
    const core_hyper *h = &spec->hyper;
    CORE_TRY(core__check_size(spec, "hyper.streams", h->n, 0, CORE_HYPER_MOST));
    if (h->n == 0)
        return CORE_OK;
    CORE_TRY(core__check_size(spec, "hyper.rounds", h->n_round, 1, 1000));
    CORE_FAIL_IF(!(h->eps > 0.0 && h->eps < 1.0), CORE_E_SPEC,
                 "%s: hyper.eps %g, expected more than 0, less than 1",
                 spec->name, h->eps);
    CORE_FAIL_IF(spec->residual_scale != 1.0 || spec->layer_scale ||
                     spec->router_norm || spec->branch_norm ||
                     spec->norm == CORE_NORM_LAYER,
                 CORE_E_SPEC,
                 "%s: hyper.streams go with no scale.residual, layer_scale, "
                 "router.norm, branch_norm or norm layer",
                 spec->name);
    return CORE_OK;
}
