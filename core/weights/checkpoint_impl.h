/* core/weights/checkpoint_impl.h -- private to checkpoint_*.c and checkpoint.c:
 * where a tensor of ours lies in the files of a family.
 */
#ifndef CORE_CHECKPOINT_IMPL_H
#define CORE_CHECKPOINT_IMPL_H

#include "core/weights/stored.h"
#include "core/weights/weights.h"

/* A layout for given sizes: the shape of the tensor, and where element (r, c)
 * of the weight lies in it. */
typedef struct core__pattern {
    int n_dim;
    int64_t shape[4];
    int64_t offset, row_step, col_step;
} core__pattern;

/* Of a weight [shape[0], shape[1]] of expert e of n_e.               [local] */
core__pattern core__pattern_of(core_layout layout, const int64_t shape[2],
                               int64_t e, int64_t n_e);
/* Its first dimension where the tensor holds other weights' blocks, too.     */
void core__pattern_widen(core__pattern *p, core_blocks blocks);
/* Where element (r, c) of a weight [shape[0], shape[1]] lies.                */
int64_t core__pattern_at(const core__pattern *p, core_blocks blocks,
                         const int64_t shape[2], int64_t r, int64_t c);

/* A weight in a file: element (r, c) is value offset + r*row_step + c*col_step
 * of the tensor.                                                             */
typedef struct core__view {
    core__stored stored;
    int64_t n_row, n_col;
    int64_t offset, row_step, col_step;
    core_blocks blocks; /* r, of a vector c, as core_file_blocks says         */
    core_operand_format
        operand; /* of what is multiplied with it, if quantises_operand   */
    bool quantises_operand;
} core__view;

/* Is that the shape of a tensor of such a layout?                    [local] */
bool core__view_fits(const core__stored *stored, core_layout layout,
                     const int64_t shape[2], int64_t n_e);

/* The view of a weight [n_row, n_col] (of expert e of n_e) in a tensor that has
 * been checked.
 * Errors: E_WEIGHTS naming file and tensor: shape, or blocks that lie across
 * gate and up.                                                       [local] */
CORE_NODISCARD core_status core__view_make(core__view *out,
                                           const core__stored *stored,
                                           core_layout layout,
                                           const int64_t shape[2], int e,
                                           int64_t n_e);
/* The same in a tensor that may hold blocks of other weights, too.           */
CORE_NODISCARD core_status core__view_make_in_blocks(
    core__view *out, const core__stored *stored, core_layout layout,
    core_blocks blocks, const int64_t shape[2], int e, int64_t n_e);

/* As core_weights_read, for this weight.                             [local] */
void core__view_read(const core__view *view, int64_t r0, int64_t r1, int64_t c0,
                     int64_t c1, double *out, int64_t ld);

/* As core_weights_block, for this weight.                                    */
core_block core__view_block(const core__view *view);

/* From now on what is multiplied with the weight is quantised as the files say,
 * if they say it.
 * Errors: E_WEIGHTS naming file and tensor: no scale; a kind that is not
 * emulated.                                                          [local] */
CORE_NODISCARD core_status core__view_quantise_operand(core__view *view);

/* Largest magnitude of all elements; not finite if one of them is not.       */
double core__view_largest(const core__view *view);

#endif
