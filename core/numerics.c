/* core/numerics.c -- rounding at taps, and the condition that makes it enough.
 *
 * Adding 1.5 * 2^52 steps to a number moves its unit to the last place of the
 * sum: the addition itself rounds to the grid, half to even, and subtracting
 * brings the number back.  Two additions per element, and the zero that comes
 * out is +0.0 whatever its sign was.  Traps: it holds only for magnitudes up to
 * 2^51 steps, so a block whose sum of magnitudes is larger (or NaN) takes the
 * slow way; the compiler must not simplify it (no fast-math).  A NaN has to
 * survive the maximum over rows, which a plain comparison would forget.
 */
#include "core/numerics.h"

#include <math.h>
#include <string.h>

enum { SNAP_BLOCK = 512 }; /* stays in the first cache between its passes */

static const char *const names[] = {"exact", "fp64", "fp32"};

const char *core_numerics_name(core_numerics numerics)
{
    core_assert((unsigned)numerics <= CORE_FP32);
    return names[numerics];
}

core_status core_numerics_parse(core_numerics *out, const char *text)
{
    for (int i = 0; i <= CORE_FP32; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (core_numerics)i;
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_USAGE,
              "numerics: expected exact, fp64 or fp32, found '%s'", text);
}

double core_grid_step(core_grid grid)
{
    core_assert(grid == CORE_GRID_ACT || grid == CORE_GRID_PROB);
    return grid == CORE_GRID_ACT ? CORE_STEP_ACT : CORE_STEP_PROB;
}

/* Any x: from 2^52 steps on everything is a multiple already. */
static double snap_one(double x, double step)
{
    if (fabs(x) < 0x1p52 * step)
        return rint(x / step) * step + 0.0;
    return x;
}

/* Eight sums, so that an addition need not wait for the one before it. */
static double sum_of_magnitudes(const double *x, int64_t n)
{
    double sum[8] = {0.0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; j++)
            sum[j] += fabs(x[i + j]);
    }
    for (; i < n; i++)
        sum[0] += fabs(x[i]);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) +
           ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

void core_snap(double *x, int64_t n, double step)
{
    int exponent;
    core_assert(frexp(step, &exponent) == 0.5 && exponent > -900 &&
                exponent < 900);
    const double shift = 0x1.8p52 * step;
    for (int64_t first = 0; first < n; first += SNAP_BLOCK) {
        const int64_t n_block = n - first < SNAP_BLOCK ? n - first : SNAP_BLOCK;
        double *block = x + first;
        if (sum_of_magnitudes(block, n_block) <= 0x1p51 * step) {
            for (int64_t i = 0; i < n_block; i++)
                block[i] = (block[i] + shift) - shift;
        } else {
            for (int64_t i = 0; i < n_block; i++)
                block[i] = snap_one(block[i], step);
        }
    }
}

void core_store(core_numerics numerics, core_grid grid, double *x, int64_t n)
{
    switch (numerics) {
    case CORE_EXACT:
        core_snap(x, n, core_grid_step(grid));
        break;
    case CORE_FP64:
        break;
    case CORE_FP32:
        for (int64_t i = 0; i < n; i++)
            x[i] = (double)(float)x[i];
        break;
    }
}

static double sum_of_squares(const double *x, int64_t n)
{
    double sum[8] = {0.0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; j++)
            sum[j] += x[i + j] * x[i + j];
    }
    double total = ((sum[0] + sum[4]) + (sum[1] + sum[5])) +
                   ((sum[2] + sum[6]) + (sum[3] + sum[7]));
    for (; i < n; i++)
        total += x[i] * x[i];
    return total;
}

double core_max_row_norm(const double *x, int64_t n_row, int64_t n_col,
                         int64_t ld)
{
    double largest = 0.0;
    for (int64_t r = 0; r < n_row; r++) {
        const double square = sum_of_squares(x + r * ld, n_col);
        if (!(square <= largest))
            largest = square;
        if (largest != largest)
            break;
    }
    return sqrt(largest);
}

bool core_product_is_exact(double norm_x, double norm_w, double step_x,
                           double step_w)
{
    return (norm_x / step_x) * (norm_w / step_w) <= 0x1p53;
}
