/* parallel/softmax.c -- the softmax of a row that one rank has whole.
 *
 * Exponentials are stored before they are summed.  Attention's own (heads.c)
 * differs: of its row not everything is seen, and a sink takes part.
 */
#include "parallel/forward_impl.h"

#include <math.h>

void par__softmax(const par_model *m, const double *x, double *p, int64_t n)
{
    double largest = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (int64_t i = 0; i < n; i++)
        p[i] = exp(x[i] - largest);
    core_store(m->numerics, CORE_GRID_EXP, p, n);
    for (int64_t i = 0; i < n; i++)
        sum += p[i];
    for (int64_t i = 0; i < n; i++)
        p[i] /= sum;
}
