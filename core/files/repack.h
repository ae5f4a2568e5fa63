/* core/files/repack.h -- values of a tensor whose bytes another program has
 * packed into blocks or rearranged.
 */
#ifndef CORE_REPACK_H
#define CORE_REPACK_H

#include "core/files/safetensors.h"
#include "core/numbers/packed.h"

typedef enum core_order {
    CORE_ORDER_SAME,
    CORE_ORDER_PAIRS, /* rows of a head: of each pair that turns together, the
                       * halves lie side by side                              */
    CORE_ORDER_HEADS, /* two tensors, of each head first rows of the one
                       * (stored [heads, columns, rows]), then of the other
                       * ([heads, rows, columns])                             */
    CORE_ORDER_TILED_ROWS,    /* the last rows are n_head heads: of each of
                               * n_group groups the first, then of each the
                               * second, ..                                   */
    CORE_ORDER_TILED_COLUMNS, /* so are all columns                           */
} core_order;

/* As what a value x is stored. */
typedef enum core_stored_as {
    CORE_STORED_AS_IT_IS,
    CORE_STORED_AS_DECAY,    /* -exp(x)                                       */
    CORE_STORED_AS_PLUS_ONE, /* 1 + x                                         */
} core_stored_as;

typedef struct core_repack {
    core_packed_kind kind; /* of the tensor's data                            */
    core_order order;
    core_stored_as as;
    int64_t head; /* its rows or columns; HEADS: rows of the first tensor     */
    int64_t n_head, n_group; /* TILED                                         */
    const void *other; /* HEADS: the second one, its kind, its rows of a head */
    core_packed_kind other_kind;
    int64_t other_head;
} core_repack;

/* out[i] = value first + i, i < n, of the tensor as its shape says.  A vector
 * has rows of one value.                                             [local] */
void core_repack_read(const core_st_tensor *tensor, const core_repack *how,
                      int64_t first, int64_t n, double *out);

/* How many values of a row share bytes that no shard may cut.  Rows of HEADS
 * are cut between heads, where blocks end, too; a row of TILED_COLUMNS is not
 * cut where a block holds parts of several heads.                    [local] */
int64_t core_repack_block(const core_repack *how);

#endif
