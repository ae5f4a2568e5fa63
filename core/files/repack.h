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
    CORE_ORDER_LOG,   /* x is stored as -exp(x)                               */
    CORE_ORDER_HEADS, /* two tensors, of each head first rows of the one
                       * (stored [heads, columns, rows]), then of the other
                       * ([heads, rows, columns])                             */
} core_order;

typedef struct core_repack {
    core_packed_kind kind; /* of the tensor's data                            */
    core_order order;
    int64_t head; /* PAIRS: rows of a head; HEADS: those of the first tensor  */
    const void *other; /* HEADS: the second one, its kind, its rows of a head */
    core_packed_kind other_kind;
    int64_t other_head;
} core_repack;

/* out[i] = value first + i, i < n, of the tensor as its shape says.  A vector
 * has rows of one value.                                             [local] */
void core_repack_read(const core_st_tensor *tensor, const core_repack *how,
                      int64_t first, int64_t n, double *out);

/* How many values of a row share bytes that no shard may cut.  Rows of HEADS
 * are cut between heads, where blocks end, too.                      [local] */
int64_t core_repack_block(const core_repack *how);

#endif
