/* golden/tolerance.c -- how far may a correct implementation be off, and how
 * close was the router's decision?
 *
 * The tolerance of a row is GOLD__FACTOR times the largest deviation that
 * drawn passes showed in it, plus one unit in the last place of its largest
 * element, which a rounding that no draw met may turn.  Of few elements, each
 * turned seldom, the draws may have met none: then the deviation is that of the
 * tap's rows in general, in proportion to how far their values go.
 * docs/golden.md has the argument; compute.c runs the passes.  What the numerics
 * can resolve is asked of core_store itself, so that numerics added later need
 * nothing here.
 */
#include "golden/golden_impl.h"

#include "core/base/arena.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

double gold__roundoff(core_numerics numerics)
{
    enum { DOUBLE_BITS = 53 };
    if (numerics == CORE_EXACT)
        return 0.0;
    for (int e = 1; e < DOUBLE_BITS; e++) {
        double x = 1.0 + ldexp(1.0, -e);
        core_store(numerics, CORE_GRID_ACT, &x, 1);
        if (x == 1.0) /* half a unit: the tie went to even */
            return ldexp(1.0, -e);
    }
    return 0.0;
}

bool gold__rounds(core_numerics numerics)
{
    return core_coarsest_roundoff(numerics) > core_store_roundoff(CORE_FP64);
}

bool gold__rounds_operands(const gold_case *gold, core_numerics numerics)
{
    return gold->act_quant || core_rounds_operands(numerics);
}

bool gold__turns_operands(const gold_case *gold, core_numerics numerics)
{
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++)
        if (gold__roundoff(core_tap_numerics(numerics, (core_tap_kind)kind)) >
            gold__roundoff(CORE_FP32))
            return false;
    return gold__rounds_operands(gold, numerics);
}

double gold__largest_of(const gold__tap *tap, int64_t row)
{
    return core_largest(tap->v + row * tap->n_col, tap->n_col);
}

/* How far a row's values go where what they are made of goes a given way: as
 * its largest value; but of shares of a sum W, w moves by w (1 - w / W) of what
 * its logarithm does, most where two are equal.                             */
static double reach_of(const gold__tap *tap, int64_t row)
{
    const double *v = tap->v + row * tap->n_col;
    if (!tap->is_shares)
        return gold__largest_of(tap, row);
    double sum = 0.0, reach = 0.0;
    for (int64_t c = 0; c < tap->n_col; c++)
        sum += v[c];
    for (int64_t c = 0; sum > 0.0 && c < tap->n_col; c++)
        reach = fmax(reach, v[c] * (1.0 - v[c] / sum));
    return reach;
}

/* The rms over the rows of their deviations, over that of their reaches, each
 * over the row's largest value.                                              */
static double usual_share(const gold__tap *tap, const double *deviation)
{
    double deviations = 0.0, reaches = 0.0;
    for (int64_t r = 0; r < tap->n_row; r++) {
        const double largest = gold__largest_of(tap, r);
        if (largest == 0.0)
            continue;
        const double reach = reach_of(tap, r) / largest;
        deviations += deviation[r] / largest * (deviation[r] / largest);
        reaches += reach * reach;
    }
    return reaches > 0.0 ? sqrt(deviations / reaches) : 0.0;
}

/* The least float that is no less. */
static float rounded_up(double x)
{
    const float stored = (float)x;
    return (double)stored < x ? nextafterf(stored, FLT_MAX) : stored;
}

void gold__tolerance(float *out, const gold__tap *tap, int forcing, bool rms,
                     double roundoff)
{
    const gold__spread *spread = &tap->spread[forcing];
    const double *deviation = rms ? spread->rms : spread->largest;
    const double share = rms ? 1.0 / sqrt((double)tap->n_col) : 1.0;
    const double usual = usual_share(tap, deviation);
    for (int64_t r = 0; r < tap->n_row; r++) {
        const double largest = gold__largest_of(tap, r);
        const double tolerance =
            GOLD__FACTOR * fmax(deviation[r], usual * reach_of(tap, r)) +
            2.0 * roundoff * largest * share;
        out[r] = rounded_up(tolerance);
    }
}

float gold__slope_tolerance(const gold__tap *tap, int forcing, double roundoff)
{
    return rounded_up(fmax(GOLD__SLOPE_FACTOR * tap->spread[forcing].slope,
                           GOLD__LEAST_UNITS * 2.0 * roundoff));
}

/* margin[] of one layer's choices, from the scores that were compared. */
static core_status layer_margins(gold__tap *chosen, const gold__taps *taps,
                                 const core_spec *spec,
                                 const core_weights *weights)
{
    const int layer = chosen->tap.layer;
    const gold__tap *row =
        gold__taps_find(taps, (core_tap){CORE_TAP_ROUTER_PROBS, layer});
    if (row == NULL)
        row = gold__taps_find(taps, (core_tap){CORE_TAP_ROUTER_LOGITS, layer});
    void *margin = NULL, *scratch = NULL, *kept = NULL;
    const int64_t n_e = spec->n_e, n_g = spec->n_group;
    core_status status =
        core_alloc(&margin, chosen->n_row, sizeof(double), "margins");
    if (status == CORE_OK)
        status = core_alloc(&scratch, 2 * n_e + n_g, sizeof(double), "scores");
    if (status == CORE_OK)
        status = core_alloc(&kept, n_g + 1, sizeof(int64_t), "groups");
    if (status == CORE_OK) {
        const core_weight bias = {CORE_W_CORRECTION, layer, 0};
        double *correction = core_weight_exists(spec, bias) ? scratch : NULL;
        if (correction != NULL)
            core_weights_read(weights, bias, 0, 1, 0, n_e, correction, n_e);
        chosen->margin = margin;
        for (int64_t t = 0; t < chosen->n_row; t++)
            chosen->margin[t] =
                core_spec_by_table(spec, layer) /* no other expert is near */
                    ? HUGE_VAL
                    : ref_routing_margin(spec, row->v + t * n_e, correction,
                                         chosen->ints + t * chosen->n_col,
                                         (double *)scratch + n_e, kept);
        margin = NULL;
    }
    free(margin);
    free(scratch);
    free(kept);
    return status;
}

core_status gold__routing_margins(gold__taps *taps, const core_spec *spec,
                                  const core_weights *weights)
{
    for (int64_t i = 0; i < taps->n; i++)
        if (taps->at[i].tap.kind == CORE_TAP_TOPK_IDX)
            CORE_TRY(layer_margins(&taps->at[i], taps, spec, weights));
    return CORE_OK;
}
