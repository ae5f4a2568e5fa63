/* harness/verify/overflow.c -- see overflow.h.
 *
 * What overflows may lie layers after what is too large, so all weights up to
 * there are looked at.  That reads them once more; it is done for an error
 * only.
 */
#include "harness/verify/overflow.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>

static const double BEYOND = 1e15; /* no weight and no setting is meant so */

/* --- the sink --- */

static bool are_finite(const double *values, const float *bound, int64_t n)
{
    bool finite = true;
    for (int64_t i = 0; values != NULL && i < n; i++)
        finite &= isfinite(values[i]) != 0;
    for (int64_t i = 0; bound != NULL && i < n; i++)
        finite &= isfinite(bound[i]) != 0;
    return finite;
}

static void put(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound)
{
    har_overflow *o = self;
    const int64_t n =
        core_tap_n_rows(o->spec, tap, o->n_token) * core_tap_cols(o->spec, tap);
    if (!o->is_found && !are_finite(values, bound, n)) {
        o->is_found = true;
        o->tap = tap;
    }
    o->to.put(o->to.self, tap, values, ints, bound);
}

static bool wants(void *self, core_tap tap)
{
    const har_overflow *o = self;
    return o->to.wants == NULL || o->to.wants(o->to.self, tap);
}

core_tap_sink har_overflow_sink(har_overflow *self)
{
    return (core_tap_sink){self, put, wants};
}

/* --- whose fault --- */

typedef struct largest {
    core_weight weight;
    int64_t row, col;
    double value, magnitude; /* a NaN counts as infinite */
} largest;

static core_status look_at(largest *found, const core_spec *spec,
                           const core_weights *weights, core_weight id)
{
    int64_t n_row, n_col;
    void *memory;
    core_weight_shape(spec, id, &n_row, &n_col);
    CORE_TRY(core_alloc(&memory, n_col, sizeof(double), "a row"));
    const double *row = memory;
    for (int64_t r = 0; r < n_row; r++) {
        core_weights_read(weights, id, r, r + 1, 0, n_col, memory, n_col);
        for (int64_t c = 0; c < n_col; c++) {
            const double size = isnan(row[c]) ? HUGE_VAL : fabs(row[c]);
            if (size > found->magnitude)
                *found = (largest){id, r, c, row[c], size};
        }
    }
    free(memory);
    return CORE_OK;
}

static core_status find_largest(largest *found, const core_spec *spec,
                                const core_weights *weights, core_tap tap)
{
    const int64_t n = core_weight_count(spec);
    void *memory;
    CORE_TRY(core_alloc(&memory, n, sizeof(core_weight), "list of weights"));
    const core_weight *id = memory;
    core_weight_list(spec, memory);
    core_status status = CORE_OK;
    for (int64_t i = 0; i < n && status == CORE_OK; i++)
        if (core_tap_is_global(tap.kind) || id[i].layer <= tap.layer)
            status = look_at(found, spec, weights, id[i]);
    free(memory);
    return status;
}

core_status har_overflow_error(const core_spec *spec,
                               const core_weights *weights,
                               core_numerics numerics, core_tap tap)
{
    char at[CORE_NAME_BYTES], name[CORE_NAME_BYTES];
    const core_numerics_text text = core_numerics_name(numerics);
    const char *setting, *how = text.text;
    double value;
    largest found = {.magnitude = BEYOND};
    core_tap_name(tap, at);
    CORE_FAIL_IF(core_spec_beyond(spec, BEYOND, &setting, &value), CORE_E_SPEC,
                 "%s: %s overflows in the reference (%s): %s is %g", spec->name,
                 at, how, setting, value);
    CORE_TRY(find_largest(&found, spec, weights, tap));
    CORE_FAIL_IF(found.magnitude > BEYOND, CORE_E_WEIGHTS,
                 "%s: %s overflows in the reference (%s): %s holds %g at row "
                 "%lld, column %lld",
                 core_weights_origin(weights), at, how,
                 core_weight_name(found.weight, name), found.value,
                 (long long)found.row, (long long)found.col);
    CORE_FAIL(
        CORE_E_INPUT,
        "%s: %s overflows in the reference (%s), though no setting and no "
        "weight is beyond %g",
        spec->name, at, how, BEYOND);
}
