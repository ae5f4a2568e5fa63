/* core/numbers/numerics.c -- rounding at taps, and the condition that makes it
 * enough.
 *
 * Adding 1.5 * 2^52 steps to a number moves its unit to the last place of the
 * sum: the addition itself rounds to the grid, half to even, and subtracting
 * brings the number back.  Two additions per element, and the zero that comes
 * out is +0.0 whatever its sign was.  Traps: it holds only for magnitudes up to
 * 2^51 steps, so a block whose sum of magnitudes is larger (or NaN) takes the
 * slow way; the compiler must not simplify it (no fast-math).  A NaN has to
 * survive the maximum over rows, which a plain comparison would forget.
 *
 * Types of 16 bits are rounded in the bits of the double: by way of float it
 * would be rounded twice, and a value just above a tie would become the tie.
 */
#include "core/numbers/numerics.h"

#include <math.h>
#include <string.h>

enum { SNAP_BLOCK = 512 }; /* stays in the first cache between its passes */

core_numerics core_numerics_plain(int i)
{
    static const core_numerics plain[CORE_N_PLAIN_NUMERICS] = {
        CORE_EXACT, CORE_FP64, CORE_FP32, CORE_FP16, CORE_BF16};
    core_assert(i >= 0 && i < CORE_N_PLAIN_NUMERICS);
    return plain[i];
}

core_rounding core_numerics_at(core_numerics numerics, core_slot slot)
{
    const unsigned mask = (1U << CORE_SLOT_BITS) - 1;
    return (core_rounding)((unsigned)numerics >> (CORE_SLOT_BITS * slot) &
                           mask);
}

core_numerics core_numerics_of(core_numerics numerics, core_slot slot)
{
    unsigned all = 0;
    for (int i = 0; i < CORE_N_SLOTS; i++)
        all |= CORE_IN_SLOT(
            i, (unsigned)core_numerics_at(
                   numerics, i >= CORE_SLOT_ACC ? CORE_SLOT_ACC : slot));
    return (core_numerics)all;
}

/* Has every value of type b in it. */
static bool holds(core_rounding a, core_rounding b)
{
    return a == b || a == CORE_ROUND_F64 ||
           (a == CORE_ROUND_F32 && b != CORE_ROUND_F64);
}

bool core_rounds_again(core_numerics numerics, core_slot slot)
{
    return !holds(core_numerics_at(numerics, slot),
                  core_numerics_at(numerics, CORE_SLOT_OUT));
}

bool core_rounds_operands(core_numerics numerics)
{
    return core_rounds_again(numerics, CORE_SLOT_ACT) ||
           core_rounds_again(numerics, CORE_SLOT_KV) ||
           core_rounds_again(numerics, CORE_SLOT_QP) ||
           core_rounds_again(numerics, CORE_SLOT_ROUTER);
}

bool core_stores_context_sum(core_numerics numerics)
{
    return core_numerics_at(numerics, CORE_SLOT_CTX) !=
           core_numerics_at(numerics, CORE_SLOT_ACC);
}

core_numerics core_context_prob(core_numerics numerics)
{
    return core_numerics_of(numerics, core_stores_context_sum(numerics)
                                          ? CORE_SLOT_ACC
                                          : CORE_SLOT_QP);
}

bool core_uses_floats(core_numerics numerics)
{
    return core_numerics_at(numerics, CORE_SLOT_ACC) == CORE_ROUND_F32;
}

bool core_has_bounds(core_numerics numerics)
{
    return numerics != CORE_EXACT;
}

static double roundoff_at(core_numerics numerics, core_slot slot)
{
    static const double roundoff[CORE_N_ROUNDINGS] = {
        [CORE_ROUND_GRID] = 0.0,    [CORE_ROUND_F64] = 0x1p-53,
        [CORE_ROUND_F32] = 0x1p-24, [CORE_ROUND_F16] = 0x1p-11,
        [CORE_ROUND_BF16] = 0x1p-8,
    };
    return roundoff[core_numerics_at(numerics, slot)];
}

double core_sum_roundoff(core_numerics numerics)
{
    return roundoff_at(numerics, CORE_SLOT_ACC);
}

double core_store_roundoff(core_numerics numerics)
{
    return roundoff_at(numerics, CORE_SLOT_OUT);
}

double core_coarsest_roundoff(core_numerics numerics)
{
    double largest = 0.0;
    for (int slot = 0; slot < CORE_N_SLOTS; slot++)
        largest = fmax(largest, roundoff_at(numerics, (core_slot)slot));
    return largest;
}

double core_store_least(core_numerics numerics)
{
    return core_numerics_at(numerics, CORE_SLOT_OUT) == CORE_ROUND_F16 ? 0x1p-25
                                                                       : 0.0;
}

double core_store_error(core_numerics numerics, double y)
{
    const double u = core_store_roundoff(numerics);
    return 2.0 * (u * fabs(y) * (1.0 + u) + core_store_least(numerics));
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
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) /* so many side by side */
        for (int j = 0; j < 8; j++)
            x[i + j] = (double)(float)x[i + j];
    for (; i < n; i++)
        x[i] = (double)(float)x[i];
}

/* A type of 16 bits: bits of its mantissa that are stored, its smallest normal
 * number, the distance of those below it, and the first power of two above all.
 */
typedef struct narrow {
    int bits;
    double normal, unit, beyond;
} narrow;

static const narrow BF16 = {7, 0x1p-126, 0x1p-133, 0x1p128};
static const narrow F16 = {10, 0x1p-14, 0x1p-24, 0x1p16};

/* So many of a double's 52 bits, half to even: half a unit, less one where the
 * last bit that stays is even, carries into it.  The carry may run into the
 * exponent, as it should.                                                    */
static inline double cut_bits(double x, narrow type)
{
    const int cut = 52 - type.bits;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += (UINT64_C(1) << (cut - 1)) - 1 + (bits >> cut & 1);
    bits &= ~((UINT64_C(1) << cut) - 1);
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline double to_narrow(double x, narrow type)
{
    if (fabs(x) < type.normal)
        return copysign(rint(x / type.unit) * type.unit, x);
    const double y = cut_bits(x, type);
    if (fabs(y) < type.beyond)
        return y;
    return x == x ? copysign(HUGE_VAL, x) : x;
}

/* 0 of zero, and of a number that cutting leaves among the normal ones. */
static inline double is_special(double x, narrow type)
{
    const double m = fabs(x);
    const double small = m < type.normal ? m : 0.0;
    return m < type.beyond / 2.0 ? small : 1.0;
}

/* Blocks of plain numbers, nearly all of them, without a branch. */
static inline void round_to_narrow(double *x, int64_t n, narrow type)
{
    for (int64_t first = 0; first < n; first += SNAP_BLOCK) {
        const int64_t n_block = n - first < SNAP_BLOCK ? n - first : SNAP_BLOCK;
        double *block = x + first;
        double special[4] = {0.0};
        int64_t j = 0;
        for (; j + 4 <= n_block; j += 4)
            for (int k = 0; k < 4; k++)
                special[k] += is_special(block[j + k], type);
        for (; j < n_block; j++)
            special[0] += is_special(block[j], type);
        if (special[0] + special[1] + special[2] + special[3] == 0.0) {
            for (int64_t i = 0; i < n_block; i++)
                block[i] = cut_bits(block[i], type);
        } else {
            for (int64_t i = 0; i < n_block; i++)
                block[i] = to_narrow(block[i], type);
        }
    }
}

static void round_to_bf16(double *x, int64_t n)
{
    round_to_narrow(x, n, BF16);
}

static void round_to_f16(double *x, int64_t n)
{
    round_to_narrow(x, n, F16);
}

void core_store(core_numerics numerics, core_grid grid, double *x, int64_t n)
{
    switch (core_numerics_at(numerics, grid == CORE_GRID_EXP ? CORE_SLOT_ACC
                                                             : CORE_SLOT_OUT)) {
    case CORE_ROUND_GRID:
        core_snap(x, n, grid_step(grid));
        break;
    case CORE_ROUND_F64:
        break;
    case CORE_ROUND_F32:
        round_to_f32(x, n);
        break;
    case CORE_ROUND_F16:
        round_to_f16(x, n);
        break;
    case CORE_ROUND_BF16:
        round_to_bf16(x, n);
        break;
    case CORE_N_ROUNDINGS:
        core_assert(grid == CORE_GRID_INT); /* no such numerics */
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

double core_largest(const double *x, int64_t n)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs(x[i]) <= largest))
            largest = fabs(x[i]);
        if (largest != largest)
            break;
    }
    return largest;
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
