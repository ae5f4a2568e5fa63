/* core/weights/weights.h -- weights as a function of (tensor, rectangle).
 *
 * Every tensor of core/model/weight_list.h is a matrix [rows, cols] of doubles.
 * A shard is a rectangle of it; whoever wants one reads one, and nothing bigger
 * is ever made.  Two sources answer: procedural
 * (a counter-based generator of seed, tensor name and global element index) and
 * a checkpoint folder (mmap).
 */
#ifndef CORE_WEIGHTS_H
#define CORE_WEIGHTS_H

#include "core/model/weight_list.h"
#include "core/numbers/operand_format.h"
#include "core/numbers/numerics.h"

typedef struct core_weights core_weights; /* opaque; read-only once prepared,
                                           * then safe to use from threads    */

CORE_NODISCARD core_status core_weights_open_procedural(core_weights **out,
                                                        const core_spec *spec,
                                                        uint64_t seed);

/* Map the safetensors files of a checkpoint folder and check that every tensor
 * the spec wants is there with its shape, and that nothing unknown is.
 *   act_quant  products quantise what they read beside a quantised weight, as
 *              the files say that engines do (core_weights_operand)    [local]
 * Errors: E_FILE, E_FORMAT, E_WEIGHTS naming file and tensor; with act_quant
 * E_USAGE if the files say it of no weight, E_WEIGHTS if a scale is missing, or
 * they say what is not emulated.                                             */
CORE_NODISCARD core_status core_weights_open_checkpoint(core_weights **out,
                                                        const core_spec *spec,
                                                        const char *folder,
                                                        bool act_quant);
void core_weights_close(core_weights *weights); /* accepts NULL */

/* Choose the numerics of what core_weights_read returns.  For exact mode the
 * step of every tensor is needed, derived from the whole tensor:
 *   steps == NULL  derive them here (procedural: known; checkpoint: one scan)
 *   else           [core_weight_count] steps that another process derived.
 * May be called again with other numerics.  Not thread-safe.         [local] */
CORE_NODISCARD core_status core_weights_prepare(core_weights *weights,
                                                core_numerics numerics,
                                                const double *steps);

/* The steps in use, [core_weight_count]; NULL unless prepared for exact.     */
const double *core_weights_steps(const core_weights *weights);
double core_weights_step(const core_weights *weights, core_weight id);

/* Blocks of values that share a scale in the files: a shard begins at multiples
 * of their rows and columns, as engines have it that keep codes and scales.  1
 * and 1 where values are plain, where a scale belongs to a row or to all, and
 * after core_weights_cut_blocks.                                     [local] */
typedef struct core_block {
    int64_t rows, cols;
} core_block;
core_block core_weights_block(const core_weights *weights, core_weight id);
/* From now on shards may begin anywhere: of what has been dequantised.       */
void core_weights_cut_blocks(core_weights *weights);

/* Do products quantise what they read?  How beside this weight; NULL: not at
 * all.                                                               [local] */
bool core_weights_quantises(const core_weights *weights);
const core_operand_format *core_weights_operand(const core_weights *weights,
                                                core_weight id);

/* out[(r-r0)*ld + (c-c0)] = W[r, c] for r in [r0, r1), c in [c0, c1).
 * Values are those of the numerics prepared for.  Cannot fail.       [local] */
void core_weights_read(const core_weights *weights, core_weight id, int64_t r0,
                       int64_t r1, int64_t c0, int64_t c1, double *out,
                       int64_t ld);

/* Can the weights of a tensor be multiplied without being read?  In exact mode
 * those that are made faster than memory gives them, on processors that have
 * the vectors for it; else read them.                                [local] */
bool core_weights_multiplies(const core_weights *weights, core_weight id);

/* y[i*ldy + r-r0] = sum over c of x[i*ldx + c-c0] W[r, c], i < n, r in [r0, r1), c
 * in [c0, c1): the sum of whatever order, so right only where it is exact.
 * Returns the largest norm of a row of the rectangle.                [local] */
double core_weights_multiply(const core_weights *weights, core_weight id,
                             int64_t r0, int64_t r1, int64_t c0, int64_t c1,
                             const double *x, int64_t ldx, int64_t n, double *y,
                             int64_t ldy);

/* Write the model as a checkpoint folder (made if it is not there): F32 values
 * as core_weights_read returns them, in the tensors of the spec's family, and a
 * config.json of model_type "moeparity" that holds the spec.  A GPU program can
 * load the tensors, core_weights_open_checkpoint both.               [local]
 * Errors: E_FILE, E_SPACE; E_WEIGHTS for a tensor without a name in the family. */
CORE_NODISCARD core_status core_weights_export(const core_weights *weights,
                                               const char *folder);

/* One line on where the weights come from, for reports.              [local] */
const char *core_weights_origin(const core_weights *weights);

#endif
