/* core/numbers/numerics.c -- rounding at taps, and the condition that makes it enough.
 *
 * Adding 1.5 * 2^52 steps to a number moves its unit to the last place of the
 * sum: the addition itself rounds to the grid, half to even, and subtracting
 * brings the number back.  Two additions per element, and the zero that comes
 * out is +0.0 whatever its sign was.  Traps: it holds only for magnitudes up to
 * 2^51 steps, so a block whose sum of magnitudes is larger (or NaN) takes the
 * slow way; the compiler must not simplify it (no fast-math).  A NaN has to
 * survive the maximum over rows, which a plain comparison would forget.
 *
 * bf16 is rounded in the bits of the double: by way of float it would be
 * rounded twice, and a value just above a tie would become the tie.
 */
#include "core/numbers/numerics.h"

#include <math.h>
#include <string.h>

enum { SNAP_BLOCK = 512 }; /* stays in the first cache between its passes */

static const char *const names[CORE_N_NUMERICS] = {"exact", "fp64", "fp32",
                                                   "bf16"};

const char *core_numerics_name(core_numerics numerics)
{
    core_assert((unsigned)numerics < CORE_N_NUMERICS);
    return names[numerics];
}

core_status core_numerics_parse(core_numerics *out, const char *text)
{
    core_dtype type = CORE_N_DTYPES, mine;
    const bool is_type = core_dtype_of_word(&type, text);
    for (int i = 0; i < CORE_N_NUMERICS; i++) {
        if (strcmp(text, names[i]) == 0 ||
            (is_type && core_dtype_of_word(&mine, names[i]) && mine == type)) {
            *out = (core_numerics)i;
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_USAGE,
              "numerics: expected exact, fp64, fp32 or bf16, found '%s'", text);
}

bool core_uses_floats(core_numerics numerics)
{
    return numerics == CORE_FP32 || numerics == CORE_BF16;
}

bool core_has_bounds(core_numerics numerics)
{
    return numerics != CORE_EXACT;
}

double core_sum_roundoff(core_numerics numerics)
{
    if (numerics == CORE_FP64)
        return 0x1p-53;
    return core_uses_floats(numerics) ? 0x1p-24 : 0.0;
}

double core_store_roundoff(core_numerics numerics)
{
    return numerics == CORE_BF16 ? 0x1p-8 : core_sum_roundoff(numerics);
}

double core_store_error(core_numerics numerics, double y)
{
    const double u = core_store_roundoff(numerics);
    return 2.0 * u * fabs(y) * (1.0 + u);
}

core_dtype core_numerics_dtype(core_numerics numerics)
{
    return core_uses_floats(numerics) ? CORE_DTYPE_F32 : CORE_DTYPE_F64;
}

/* The step of a grid in exact mode (any but INT). */
static double grid_step(core_grid grid)
{
    core_assert(grid != CORE_GRID_INT);
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

static void round_to_f32(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)(float)x[i];
}

/* 8 of a double's 53 bits, half to even: half a unit, less one where the last
 * bit that stays is even, carries into it.  The carry may run into the
 * exponent, as it should.  Below the normal range of bf16 the unit is 2^-133.
 */
static double to_bf16(double x)
{
    enum { CUT = 52 - 7 };
    if (fabs(x) < 0x1p-126)
        return copysign(rint(x * 0x1p133) * 0x1p-133, x);
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += (UINT64_C(1) << (CUT - 1)) - 1 + (bits >> CUT & 1);
    bits &= ~((UINT64_C(1) << CUT) - 1);
    double y;
    memcpy(&y, &bits, sizeof y);
    if (fabs(y) < 0x1p128)
        return y;
    return x == x ? copysign(HUGE_VAL, x) : x;
}

static void round_to_bf16(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = to_bf16(x[i]);
}

void core_store(core_numerics numerics, core_grid grid, double *x, int64_t n)
{
    switch (numerics) {
    case CORE_EXACT:
        core_snap(x, n, grid_step(grid));
        break;
    case CORE_FP64:
        break;
    case CORE_FP32:
        round_to_f32(x, n);
        break;
    case CORE_BF16:
        if (grid == CORE_GRID_EXP)
            round_to_f32(x, n);
        else
            round_to_bf16(x, n);
        break;
    case CORE_N_NUMERICS:
        core_assert(numerics != CORE_N_NUMERICS);
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
