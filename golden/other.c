/* golden/other.c -- see other.h. */
#include "golden/other.h"

#include "core/base/arena.h"
#include "golden/golden_impl.h"

#include <stdlib.h>

struct gold_other {
    gold__taps taps;
};

static core_status run(gold_other *other, const gold_case *gold,
                       const core_spec *spec, const core_weights *weights,
                       core_numerics numerics, ref_otherwise otherwise)
{
    const ref_options options = {.n_threads = 1,
                                 .weight_budget_bytes = (size_t)1 << 28,
                                 .otherwise = otherwise};
    const core_groups groups = {.n = gold->n_group,
                                .first_row = gold->first_row};
    const core_tap_sink sink = gold__taps_sink(&other->taps);
    ref_model *model = NULL;
    CORE_TRY(gold__taps_make(&other->taps, spec,
                             gold->batch.n_b * gold->batch.n_t, gold->all_taps,
                             gold__rounds(numerics)));
    CORE_TRY(ref_model_open(&model, spec, weights, numerics, &options));
    const core_status status =
        ref_forward(model, &gold->batch, &groups, &sink, NULL);
    ref_model_close(model);
    CORE_TRY(status);
    CORE_TRY(gold__taps_are_finite(&other->taps));
    return gold__routing_margins(&other->taps, spec, weights);
}

core_status gold_other_make(gold_other **out, const gold_case *gold,
                            const core_spec *spec, const core_weights *weights,
                            core_numerics numerics, ref_otherwise otherwise)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(gold_other), "another model"));
    gold_other *other = memory;
    *other = (gold_other){.taps = {0, NULL}};
    const core_status status =
        run(other, gold, spec, weights, numerics, otherwise);
    if (status == CORE_OK)
        *out = other;
    else
        gold_other_free(other);
    return status;
}

void gold_other_free(gold_other *other)
{
    if (other == NULL)
        return;
    gold__taps_free(&other->taps);
    free(other);
}

bool gold_other_find(gold_other_tap *out, const gold_other *other, core_tap tap)
{
    const gold__tap *t = gold__taps_find(&other->taps, tap);
    if (t == NULL || !t->is_output)
        return false;
    *out = (gold_other_tap){t->n_row, t->n_col, t->v, t->ints, t->margin};
    return true;
}
