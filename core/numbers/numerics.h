/* core/numbers/numerics.h -- the ways to compute, and what "store at a tap" means.
 *
 * exact: every stored value lies on a binary grid, every sum is representable
 *        in a double, so no order and no partition can change a bit.
 * fp64:  doubles, nothing rounded.
 * fp32:  doubles that hold fp32 values: rounded at every tap.
 * bf16:  doubles that hold bf16 values, weights too; sums are fp32's, and so
 *        are the exponentials of a softmax.
 * docs/numerics.md has the argument.
 */
#ifndef CORE_NUMERICS_H
#define CORE_NUMERICS_H

#include "core/numbers/dtype.h"

#include <stdint.h>

typedef enum core_numerics {
    CORE_EXACT,
    CORE_FP64,
    CORE_FP32,
    CORE_BF16,
    CORE_N_NUMERICS
} core_numerics;

/* What a tap holds; in exact mode each kind has its own step.  EXP is no tap:
 * the exponentials of a softmax, which has PROB's step, and fp32 in bf16.    */
typedef enum core_grid {
    CORE_GRID_ACT,
    CORE_GRID_PROB,
    CORE_GRID_EXP,
    CORE_GRID_INT
} core_grid;

#define CORE_STEP_ACT 0x1p-10   /* activations                                */
#define CORE_STEP_PROB 0x1p-20  /* exponentials and probabilities             */
#define CORE_STEP_TABLE 0x1p-14 /* cos and sin of RoPE                        */
#define CORE_WEIGHT_BITS 11     /* of a weight tensor's largest magnitude     */

/* "exact", "fp64", "fp32", "bf16"; read with other words for these types, too.
 * [local] */
const char *core_numerics_name(core_numerics numerics);
CORE_NODISCARD core_status core_numerics_parse(core_numerics *out,
                                               const char *text);

/* fp32 and bf16: products and sums of the emulation are those of floats.
 * [local] */
bool core_uses_floats(core_numerics numerics);

/* All but exact: results depend on the order of sums and are judged by bounds.
 * [local] */
bool core_has_bounds(core_numerics numerics);

/* Unit roundoff of one addition or product, and of storing at a tap, which in
 * fp64 and fp32 is the last rounding of what is computed; 0 in exact, which
 * rounds to a grid.                                                  [local] */
double core_sum_roundoff(core_numerics numerics);
double core_store_roundoff(core_numerics numerics);

/* By how much two results that are the same before they are stored to y may
 * differ after it: 2 u_store |y| (1 + u_store).                      [local] */
double core_store_error(core_numerics numerics, double y);

/* The type in which files hold the values of a run.  bf16 values are kept as
 * F32, which holds them exactly and which every reader knows.        [local] */
core_dtype core_numerics_dtype(core_numerics numerics);

/* Round x[0..n) to multiples of step, half to even; never leaves a -0.0.
 * step is a power of two.                                            [local] */
void core_snap(double *x, int64_t n, double step);

/* What storing at a tap does to x[0..n): exact snaps to the grid's step,
 * fp64 nothing, fp32 rounds to fp32, bf16 to bf16 in one step (EXP: to fp32);
 * half to even.                                                      [local] */
void core_store(core_numerics numerics, core_grid grid, double *x, int64_t n);

/* Largest euclidean norm of the rows of x [n_row, n_col], row stride ld.     */
double core_max_row_norm(const double *x, int64_t n_row, int64_t n_col,
                         int64_t ld);

/* True if every partial sum of every product x.w is exact in double whatever
 * the order: norm2(x) * norm2(w) / (step_x * step_w) <= 2^53 (Cauchy-Schwarz
 * bounds the sum of magnitudes).  NaN is not exact.                  [local] */
bool core_product_is_exact(double norm_x, double norm_w, double step_x,
                           double step_w);

#endif
