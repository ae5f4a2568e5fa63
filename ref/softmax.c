/* ref/softmax.c -- scores of one row to probabilities.
 *
 * Two passes: the exponentials are stored before they are summed.
 */
#include "ref/ref_impl.h"

#include <math.h>

int64_t ref__softmax_row(core_numerics numerics, double *s, int64_t lo,
                         int64_t hi, const uint8_t *mask, double scale,
                         double sink)
{
    double max = sink, sum = 0.0;
    int64_t n_visible = 0;
    for (int64_t j = lo; j < hi; j++) {
        if (mask != NULL && mask[j] == 0)
            continue;
        s[j] *= scale;
        max = s[j] > max ? s[j] : max;
        n_visible++;
    }
    for (int64_t j = lo; j < hi; j++)
        s[j] = mask != NULL && mask[j] == 0 ? 0.0 : exp(s[j] - max);
    if (n_visible == 0)
        return 0;
    core_store(numerics, CORE_GRID_EXP, s + lo, hi - lo);
    double e_sink = exp(sink - max); /* 0 without a sink */
    core_store(numerics, CORE_GRID_EXP, &e_sink, 1);
    for (int64_t j = lo; j < hi; j++)
        sum += s[j];
    sum += e_sink;
    for (int64_t j = lo; j < hi; j++)
        s[j] /= sum;
    core_store(numerics, CORE_GRID_PROB, s + lo, hi - lo);
    return n_visible;
}
