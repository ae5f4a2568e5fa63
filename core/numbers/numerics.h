/* core/numbers/numerics.h -- the ways to compute, and what "store at a tap"
 * means.
 *
 * exact: every stored value lies on a binary grid, every sum is representable
 *        in a double, so no order and no partition can change a bit.
 * fp64:  doubles, nothing rounded.
 * fp32:  doubles that hold fp32 values: rounded at every tap.
 * fp16, bf16: doubles that hold values of the type, weights too; sums are
 *        fp32's, and so are the exponentials of a softmax.
 *
 * Engines mix these: weights of one type, a cache of another, sums of a third.
 * So a numerics is a rounding for each of a few slots, packed into one number:
 * it is compared with ==, and the five above are numerics whose slots agree.
 * docs/numerics.md has the argument.
 */
#ifndef CORE_NUMERICS_H
#define CORE_NUMERICS_H

#include "core/numbers/dtype.h"

#include <stdint.h>

typedef enum core_rounding {
    CORE_ROUND_GRID, /* exact mode's, in every slot or in none                */
    CORE_ROUND_F64,
    CORE_ROUND_F32,
    CORE_ROUND_F16,
    CORE_ROUND_BF16,
    CORE_N_ROUNDINGS
} core_rounding;

/* enumerator, word, the slot whose rounding it has if none is stated.  What
 * reads a value rounds it as it reads it, what writes it as it writes it:
 *   w         matrices, as they are read (the router's: router)
 *   act       what a product with them reads, beside them
 *   residual  the stream: embedding, a layer's input, middle and output
 *   out       every other tap; the vectors that norms and biases read
 *   kv        what the two products of attention read of a cache: k and v
 *   qp        what meets it: q, and p unless ctx stores
 *   router    its weights, its operand and its logits; those of the shared
 *             expert's score, too
 *   prob      probabilities, weights of the chosen experts, that score
 *   acc       sums and functions: fp64 if a slot is, else fp32
 *   ctx       the sum of p v: as other sums, or stored in 16 bits after each
 *             key, in order, relative to the largest p so far              */
#define CORE_SLOT_LIST(X)                                                      \
    X(W, "w", W)                                                               \
    X(ACT, "act", W)                                                           \
    X(RESIDUAL, "residual", ACT)                                               \
    X(OUT, "out", RESIDUAL)                                                    \
    X(KV, "kv", ACT)                                                           \
    X(QP, "qp", KV)                                                            \
    X(ROUTER, "router", OUT)                                                   \
    X(PROB, "prob", ROUTER)                                                    \
    X(ACC, "acc", ACC)                                                         \
    X(CTX, "ctx", ACC)

typedef enum core_slot {
#define CORE_SLOT_ENUM(slot, word, from) CORE_SLOT_##slot,
    CORE_SLOT_LIST(CORE_SLOT_ENUM)
#undef CORE_SLOT_ENUM
    CORE_N_SLOTS
} core_slot;

enum { CORE_SLOT_BITS = 3 };

/* A rounding in its slot; the same in all of them; in all but the last two, the
 * sums, which are fp32.                                                      */
#define CORE_IN_SLOT(slot, rounding) ((rounding) << (CORE_SLOT_BITS * (slot)))
#define CORE_ALL_SLOTS(rounding) ((rounding) * 0x9249249)
#define CORE_FP32_SUMS(rounding)                                               \
    ((rounding) * 0x249249 | CORE_IN_SLOT(CORE_SLOT_ACC, CORE_ROUND_F32) |     \
     CORE_IN_SLOT(CORE_SLOT_CTX, CORE_ROUND_F32))

typedef enum core_numerics {
    CORE_EXACT = CORE_ALL_SLOTS(CORE_ROUND_GRID),
    CORE_FP64 = CORE_ALL_SLOTS(CORE_ROUND_F64),
    CORE_FP32 = CORE_ALL_SLOTS(CORE_ROUND_F32),
    CORE_FP16 = CORE_FP32_SUMS(CORE_ROUND_F16),
    CORE_BF16 = CORE_FP32_SUMS(CORE_ROUND_BF16),
} core_numerics;

/* The five, in this order.                                           [local] */
enum { CORE_N_PLAIN_NUMERICS = 5 };
core_numerics core_numerics_plain(int i);

/* Its rounding in a slot.                                            [local] */
core_rounding core_numerics_at(core_numerics numerics, core_slot slot);

/* The numerics of what belongs to one slot: its rounding in all, the sums of
 * `numerics`.                                                        [local] */
core_numerics core_numerics_of(core_numerics numerics, core_slot slot);

/* Does reading in that slot's rounding change what was stored in out's?  Is
 * there such a slot?                                                 [local] */
bool core_rounds_again(core_numerics numerics, core_slot slot);
bool core_rounds_operands(core_numerics numerics);

/* Is the sum of a context stored after each term?  What stores its
 * probabilities: qp, or, where that sum is, which takes them one by one, none
 * but acc.                                                           [local] */
bool core_stores_context_sum(core_numerics numerics);
core_numerics core_context_prob(core_numerics numerics);

/* What a tap holds; in exact mode each kind has its own step.  EXP is no tap:
 * the exponentials of a softmax, which has PROB's step, and the type of sums.
 */
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

/* Names: a plain one, a profile, or the slots that differ from their defaults,
 * "w=bf16+kv=fp16"; the shortest that there is.  Parsed, it gives the same
 * numerics.  Use the text within the expression that calls, or keep the struct.
 *                                                                    [local] */
enum { CORE_NUMERICS_BYTES = 128 };
typedef struct core_numerics_text {
    char text[CORE_NUMERICS_BYTES];
} core_numerics_text;
core_numerics_text core_numerics_name(core_numerics numerics);

/* A name without = and +, for files: "w-bf16_kv-fp16".               [local] */
core_numerics_text core_numerics_file(const char *name);

/* A name, or one that further words refine: "llama-default+w=f16".  Plain ones
 * are also known by other words for these types.  CORE_E_USAGE names the word
 * and those that are known.                                          [local] */
CORE_NODISCARD core_status core_numerics_parse(core_numerics *out,
                                               const char *text);

/* Names that may be refined, and what they stand for, both NULL at the end.
 *                                                                    [local] */
typedef struct core_profile {
    const char *name, *words;
} core_profile;
extern const core_profile core_profiles[];

/* Products and sums of the emulation are those of floats.            [local] */
bool core_uses_floats(core_numerics numerics);

/* All but exact: results depend on the order of sums and are judged by bounds.
 * [local] */
bool core_has_bounds(core_numerics numerics);

/* Unit roundoff of one addition or product, and of storing in out, which in
 * fp64 and fp32 is the last rounding of what is computed; 0 in exact, which
 * rounds to a grid.                                                  [local] */
double core_sum_roundoff(core_numerics numerics);
double core_store_roundoff(core_numerics numerics);

/* The largest roundoff of storing in any slot.                       [local] */
double core_coarsest_roundoff(core_numerics numerics);

/* By how much storing in out may move a value in any case, near zero.  0 where
 * that is no more than a float's smallest.                           [local] */
double core_store_least(core_numerics numerics);

/* By how much two results that are the same before they are stored to y may
 * differ after it: 2 (u_store |y| (1 + u_store) + least).            [local] */
double core_store_error(core_numerics numerics, double y);

/* The type of a slot; exact has none.                                [local] */
core_dtype core_numerics_type(core_numerics numerics, core_slot slot);

/* The type in which files hold the values of a run.  16-bit values are kept as
 * F32, which holds them exactly and which every reader knows.        [local] */
core_dtype core_numerics_dtype(core_numerics numerics);

/* Round x[0..n) to multiples of step, half to even; never leaves a -0.0.
 * step is a power of two.                                            [local] */
void core_snap(double *x, int64_t n, double step);

/* What storing at a tap of out does to x[0..n): exact snaps to the grid's step,
 * others round to the type in one step (EXP: to that of sums), half to even.
 *                                                                    [local] */
void core_store(core_numerics numerics, core_grid grid, double *x, int64_t n);

/* Largest magnitude of x[0..n); NaN if one of them is.               [local] */
double core_largest(const double *x, int64_t n);

/* Largest euclidean norm of the rows of x [n_row, n_col], row stride ld.     */
double core_max_row_norm(const double *x, int64_t n_row, int64_t n_col,
                         int64_t ld);

/* True if every partial sum of every product x.w is exact in double whatever
 * the order: norm2(x) * norm2(w) / (step_x * step_w) <= 2^53 (Cauchy-Schwarz
 * bounds the sum of magnitudes).  NaN is not exact.                  [local] */
bool core_product_is_exact(double norm_x, double norm_w, double step_x,
                           double step_w);

#endif
