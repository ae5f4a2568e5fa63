/* core/weights/grid.c -- the grid of a tensor in exact mode. */
#include "core/weights/weights_impl.h"

#include <math.h>

double core__weight_grid(double max_magnitude)
{
    if (!isfinite(max_magnitude))
        return 0.0;
    if (max_magnitude == 0.0)
        return 1.0; /* any step holds a tensor of zeros */
    return ldexp(1.0, ilogb(max_magnitude) - (CORE_WEIGHT_BITS - 1));
}
