/* golden/taps.c -- the taps of a reference pass, kept in memory.
 *
 * Besides what a bundle shows, the scores that the router compared and the
 * slots are kept: margins are made of the first, and a drawn pass takes its
 * routing from the second.  Where draws are forced the bundle shows what they
 * were forced with, too: other people's code is fed it; and where keys are
 * chosen, which, and how close that was (harness/judge/keys.c).  Trap: a
 * deviation that is NaN must not be lost by a comparison, so everything that is
 * not finite counts as infinite.
 */
#include "golden/golden_impl.h"

#include "core/base/arena.h"
#include "core/base/wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Is the tap needed although the bundle may not show it? */
static bool is_internal(const core_spec *spec, core_tap_kind kind)
{
    return kind == CORE_TAP_ROUTER_PROBS ||
           core_tap_grid(kind) == CORE_GRID_INT ||
           (kind == CORE_TAP_FFN_NORM && spec->n_h == 0);
}

int gold__n_forcings(const core_spec *spec)
{
    return spec->n_h > 0 ? GOLD__FORCINGS : 1;
}

/* Rows of zeros. */
static core_status take_rows(double **out, int64_t n_row, const char *name)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_row, sizeof **out, name));
    *out = memory;
    memset(memory, 0, (size_t)n_row * sizeof **out);
    return CORE_OK;
}

static core_status take(gold__tap *t, const core_spec *spec, int64_t n_token,
                        bool with_spread)
{
    char name[CORE_NAME_BYTES];
    void *memory = NULL;
    core_tap_name(t->tap, name);
    t->n_row = core_tap_n_rows(spec, t->tap, n_token);
    t->n_col = core_tap_cols(spec, t->tap);
    const int64_t n = t->n_row * t->n_col;
    if (core_tap_grid(t->tap.kind) == CORE_GRID_INT) {
        CORE_TRY(core_alloc(&memory, n, sizeof *t->ints, name));
        t->ints = memory;
        return CORE_OK;
    }
    CORE_TRY(core_alloc(&memory, n, sizeof *t->v, name));
    t->v = memory;
    if (!with_spread || !t->is_output)
        return CORE_OK;
    for (int i = 0; i < gold__n_forcings(spec); i++) {
        CORE_TRY(take_rows(&t->spread[i].largest, t->n_row, name));
        CORE_TRY(take_rows(&t->spread[i].rms, t->n_row, name));
    }
    return CORE_OK;
}

core_status gold__taps_make(gold__taps *out, const core_spec *spec,
                            int64_t n_token, bool all, bool with_spread)
{
    const int64_t n_all = core_taps(spec, NULL, 0);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_all, sizeof(core_tap), "the list of taps"));
    core_tap *list = memory;
    core_taps(spec, list, n_all);
    out->n = 0;
    core_status status =
        core_alloc(&memory, n_all, sizeof *out->at, "the taps of a pass");
    out->at = status == CORE_OK ? memory : NULL;
    for (int64_t i = 0; i < n_all && status == CORE_OK; i++) {
        const bool is_output =
            all || core_tap_is_coarse(list[i].kind) ||
            (spec->n_h == 0 && list[i].kind == CORE_TAP_FFN_NORM) ||
            list[i].kind == CORE_TAP_EDGE || list[i].kind == CORE_TAP_SEEN ||
            (with_spread && ref_is_forced(REF_BLOCK, list[i].kind));
        if (!is_output && !is_internal(spec, list[i].kind))
            continue;
        out->at[out->n] = (gold__tap){
            .tap = list[i],
            .is_output = is_output,
            .is_shares =
                list[i].kind == CORE_TAP_TOPK_WEIGHT && spec->renormalise,
        };
        status = take(&out->at[out->n++], spec, n_token, with_spread);
    }
    free(list);
    if (status != CORE_OK)
        gold__taps_free(out);
    return status;
}

void gold__taps_free(gold__taps *taps)
{
    for (int64_t i = 0; i < taps->n; i++) {
        free(taps->at[i].v);
        free(taps->at[i].ints);
        for (int k = 0; k < GOLD__FORCINGS; k++) {
            free(taps->at[i].spread[k].largest);
            free(taps->at[i].spread[k].rms);
        }
        free(taps->at[i].margin);
    }
    free(taps->at);
    *taps = (gold__taps){0, NULL};
}

gold__tap *gold__taps_find(const gold__taps *taps, core_tap tap)
{
    for (int64_t i = 0; i < taps->n; i++)
        if (taps->at[i].tap.kind == tap.kind &&
            taps->at[i].tap.layer == tap.layer)
            return &taps->at[i];
    return NULL;
}

static bool keeps(void *self, core_tap tap)
{
    return gold__taps_find(self, tap) != NULL;
}

static void keep(void *self, core_tap tap, const double *values,
                 const int64_t *ints, const float *bound)
{
    (void)bound;
    const gold__tap *t = gold__taps_find(self, tap);
    const size_t n = (size_t)(t->n_row * t->n_col);
    if (t->ints != NULL)
        memcpy(t->ints, ints, n * sizeof *ints);
    else
        memcpy(t->v, values, n * sizeof *values);
}

core_tap_sink gold__taps_sink(gold__taps *taps)
{
    return (core_tap_sink){.self = taps, .put = keep, .wants = keeps};
}

static bool measures(void *self, core_tap tap)
{
    const gold__measuring *m = self;
    const gold__tap *t = gold__taps_find(m->taps, tap);
    return t != NULL && t->spread[m->forcing].largest != NULL;
}

/* The largest deviation of a row and their root mean square, infinite if one is
 * not finite.  The maximum forgets a NaN, the sum does not.                  */
CORE_WIDE static void measure_row(const double *found, const double *honest,
                                  int64_t n, double *largest, double *rms)
{
    enum { LANES = 4 }; /* no element waits for the one before it             */
    double sums[LANES] = {0.0}, mosts[LANES] = {0.0};
    int64_t whole = n - n % LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = fabs(found[i + j] - honest[i + j]);
            mosts[j] = d > mosts[j] ? d : mosts[j];
            sums[j] += d * d;
        }
    double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]), most = 0.0;
    for (int j = 0; j < LANES; j++)
        most = mosts[j] > most ? mosts[j] : most;
    for (int64_t i = whole; i < n; i++) {
        const double d = fabs(found[i] - honest[i]);
        most = d > most ? d : most;
        sum += d * d;
    }
    for (int64_t i = 0; !isfinite(sum) && i < n; i++)
        if (!isfinite(found[i] - honest[i]))
            most = HUGE_VAL;
    *largest = most;
    *rms = isfinite(sum) ? sqrt(sum / (double)n) : HUGE_VAL;
}

/* The largest slope of the tap.  Errors: E_MEMORY, which counts as infinite: a
 * sink cannot fail, and gold__taps_are_finite will. */
static void measure_slope(const gold__measuring *m, const gold__tap *t,
                          const double *values, double *largest)
{
    const gold__tap *idx =
        gold__taps_find(m->taps, (core_tap){CORE_TAP_TOPK_IDX, t->tap.layer});
    const int64_t per_token = core_tap_n_rows(m->spec, t->tap, 1);
    gold_slope slope;
    if (gold_slope_make(&slope, m->spec, t->tap) != CORE_OK) {
        core_message_clear();
#pragma omp critical(gold_spread)
        *largest = HUGE_VAL;
        return;
    }
    for (int64_t r = 0; r < t->n_row; r++)
        gold_slope_add(&slope, r,
                       idx != NULL && idx->ints != NULL
                           ? idx->ints + r / per_token * m->spec->n_k
                           : NULL,
                       t->v + r * t->n_col, values + r * t->n_col);
    const double steepest = gold_slope_largest(&slope).slope;
#pragma omp critical(gold_spread)
    *largest = fmax(*largest, steepest);
    gold_slope_free(&slope);
}

static void measure_leaning(gold__measuring *m, const gold__tap *t,
                            const double *values)
{
    const gold_direction *d = gold_directions_find(m->directions, t->tap);
    for (int64_t r = 0; d != NULL && r < t->n_row; r++)
        gold_leaning_add(&m->leaning, d, r, t->v + r * t->n_col,
                         values + r * t->n_col);
}

/* Rows measured a few at a time: what all draws share is raised seldom. */
static void measure(void *self, core_tap tap, const double *values,
                    const int64_t *ints, const float *bound)
{
    enum { ROWS = 64 };
    (void)ints;
    (void)bound;
    gold__measuring *m = self;
    gold__tap *t = gold__taps_find(m->taps, tap);
    gold__spread *spread = &t->spread[m->forcing];
    const double weight = m->turns_operands ? 1.0 / GOLD__FACTOR : 1.0;
    double largest[ROWS], rms[ROWS];
    for (int64_t r0 = 0; r0 < t->n_row; r0 += ROWS) {
        const int64_t n = r0 + ROWS < t->n_row ? ROWS : t->n_row - r0;
        for (int64_t r = 0; r < n; r++) {
            const int64_t at = (r0 + r) * t->n_col;
            measure_row(values + at, t->v + at, t->n_col, &largest[r], &rms[r]);
        }
#pragma omp critical(gold_spread)
        for (int64_t r = 0; r < n; r++) {
            double *most = &spread->largest[r0 + r],
                   *usual = &spread->rms[r0 + r];
            *most = fmax(*most, weight * largest[r]);
            *usual = fmax(*usual, weight * rms[r]);
        }
    }
    if (m->directions == NULL)
        return;
    measure_slope(m, t, values, &spread->slope);
    measure_leaning(m, t, values);
}

core_tap_sink gold__spread_sink(gold__measuring *self)
{
    return (core_tap_sink){.self = self, .put = measure, .wants = measures};
}

core_status gold__taps_are_finite(const gold__taps *taps)
{
    for (int64_t i = 0; i < taps->n; i++) {
        const gold__tap *t = &taps->at[i];
        char name[CORE_NAME_BYTES];
        for (int64_t j = 0; t->v != NULL && j < t->n_row * t->n_col; j++)
            CORE_FAIL_IF(!isfinite(t->v[j]), CORE_E_INPUT,
                         "%s: row %lld, column %lld is %g: a golden wants "
                         "finite values",
                         core_tap_name(t->tap, name), (long long)(j / t->n_col),
                         (long long)(j % t->n_col), t->v[j]);
        const double *free_ones = t->spread[REF_FREE].largest;
        for (int64_t r = 0; free_ones != NULL && r < t->n_row; r++)
            CORE_FAIL_IF(!isfinite(free_ones[r]), CORE_E_INPUT,
                         "%s: row %lld overflows in a pass that rounds "
                         "otherwise",
                         core_tap_name(t->tap, name), (long long)r);
        for (int f = REF_LAYER; f < GOLD__FORCINGS; f++)
            CORE_FAIL_IF(!isfinite(t->spread[f].slope), CORE_E_MEMORY,
                         "%s: its slopes cannot be measured",
                         core_tap_name(t->tap, name));
    }
    return CORE_OK;
}
