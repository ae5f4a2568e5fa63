/* golden/slope.c -- see slope.h.
 *
 * Traps: a row of zeros, of a token that was dropped, has no size to measure
 * by; a deviation that is not finite must not be lost by a comparison.
 */
#include "golden/slope.h"

#include "core/base/arena.h"
#include "core/base/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of so many cells the largest slope is hardly ever much larger than it was
 * before: docs/golden.md.                                                    */
enum { MIN_CELLS = 256 };

static bool is_behind_experts(const core_spec *spec, core_tap tap)
{
    return core_tap_row_kind(tap.kind) == CORE_ROWS_CHOICE ||
           (tap.kind == CORE_TAP_FFN_OUT && core_spec_is_moe(spec, tap.layer));
}

static int64_t n_group(const core_spec *spec, core_tap tap)
{
    return is_behind_experts(spec, tap) ? spec->n_e : 1;
}

CORE_WIDE double gold_mean_square(const double *honest, int64_t n)
{
    enum { LANES = 8 }; /* no addition waits for the one before it            */
    double sum[LANES] = {0.0};
    const double share = 1.0 / (double)n;
    int64_t c = 0;
    for (; c + LANES <= n; c += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += share * honest[c + j] * honest[c + j];
    for (; c < n; c++)
        sum[0] += share * honest[c] * honest[c];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) +
           ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

bool gold_has_slope(const core_spec *spec, core_tap tap)
{
    return core_tap_grid(tap.kind) != CORE_GRID_INT &&
           n_group(spec, tap) * core_tap_cols(spec, tap) >= MIN_CELLS;
}

core_status gold_slope_make(gold_slope *out, const core_spec *spec,
                            core_tap tap)
{
    void *memory = NULL;
    *out = (gold_slope){.tap = tap};
    if (!gold_has_slope(spec, tap))
        return CORE_OK;
    const int64_t n = n_group(spec, tap) * core_tap_cols(spec, tap);
    CORE_TRY(core_alloc(&memory, 2 * n, sizeof *out->sum, "slopes"));
    memset(memory, 0, 2 * (size_t)n * sizeof *out->sum);
    *out = (gold_slope){tap, n_group(spec, tap), core_tap_cols(spec, tap),
                        spec->n_k, memory};
    return CORE_OK;
}

void gold_slope_free(gold_slope *slope)
{
    free(slope->sum);
    *slope = (gold_slope){.sum = NULL};
}

/* Into a group; a number that is no expert's, of a golden that somebody edited,
 * into none. */
CORE_WIDE static void add(gold_slope *s, int64_t group, double square,
                          const double *honest, const double *found)
{
    if (group < 0 || group >= s->n_group)
        return;
    double *sum = s->sum + 2 * group * s->n_col;
    for (int64_t c = 0; c < s->n_col; c++, sum += 2) {
        const double scale = 1.0 / (square + honest[c] * honest[c]);
        sum[0] += scale * (found[c] - honest[c]) * honest[c];
        sum[1] += scale * honest[c] * honest[c];
    }
}

void gold_slope_add(gold_slope *s, int64_t row, const int64_t *ids,
                    const double *honest, const double *found)
{
    const double square = gold_mean_square(honest, s->n_col);
    if (s->n_group == 0 || square == 0.0)
        return;
    if (s->n_group == 1) {
        add(s, 0, square, honest, found);
    } else if (ids == NULL) {
        return;
    } else if (core_tap_row_kind(s->tap.kind) == CORE_ROWS_CHOICE) {
        add(s, ids[row % s->n_k], square, honest, found);
    } else {
        for (int64_t k = 0; k < s->n_k; k++)
            add(s, ids[k], square, honest, found);
    }
}

gold_cell gold_slope_largest(const gold_slope *s)
{
    gold_cell worst = {.slope = 0.0};
    for (int64_t i = 0; i < s->n_group * s->n_col; i++) {
        const double *sum = s->sum + 2 * i;
        const double slope = fabs(sum[0]) / sqrt(sum[1]);
        if (sum[1] > 0.0 && !(slope <= worst.slope))
            worst = (gold_cell){isfinite(slope) ? slope : HUGE_VAL,
                                sum[0] / sum[1], i / s->n_col, i % s->n_col};
    }
    return worst;
}
