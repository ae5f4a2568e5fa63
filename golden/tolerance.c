/* golden/tolerance.c -- how far may a correct implementation be off that runs
 * free, and how close was the router's decision?
 *
 * The tolerance of a row is GOLD__FACTOR times the largest deviation that
 * perturbed passes showed in it, plus one unit in the last place for the two
 * numbers being stored.  docs/golden.md has the argument; compute.c runs the
 * passes.  What the numerics can resolve is asked of core_store itself, so that
 * numerics added later need nothing here.
 */
#include "golden/golden_impl.h"

#include <float.h>
#include <math.h>

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

void gold__tolerance(float *out, const gold__tap *tap, double roundoff)
{
    for (int64_t r = 0; r < tap->n_row; r++) {
        double largest = 0.0;
        for (int64_t c = 0; c < tap->n_col; c++)
            largest = fmax(largest, fabs(tap->v[r * tap->n_col + c]));
        const double tolerance =
            GOLD__FACTOR * tap->drift[r] + 2.0 * roundoff * largest;
        const float stored = (float)tolerance;
        out[r] =
            (double)stored < tolerance ? nextafterf(stored, FLT_MAX) : stored;
    }
}

void gold__routing_margin(double *out, const gold__taps *taps, int layer)
{
    const gold__tap *score =
        gold__taps_find(taps, (core_tap){CORE_TAP_ROUTER_PROBS, layer});
    const gold__tap *chosen =
        gold__taps_find(taps, (core_tap){CORE_TAP_TOPK_IDX, layer});
    const int64_t n_e = score->n_col, n_k = chosen->n_col;
    for (int64_t t = 0; t < score->n_row; t++) {
        const double *s = score->v + t * n_e;
        const int64_t *idx = chosen->ints + t * n_k;
        double last = HUGE_VAL, first = -HUGE_VAL;
        for (int64_t e = 0; e < n_e; e++) {
            bool is_chosen = false;
            for (int64_t k = 0; k < n_k; k++)
                is_chosen = is_chosen || idx[k] == e;
            if (is_chosen)
                last = fmin(last, s[e]);
            else
                first = fmax(first, s[e]);
        }
        out[t] = last - first;
    }
}
