/* harness/verify/cover.h -- was every element computed, by as many ranks as declared?
 *
 * Each rank adds a hash of the coordinates of what it shows; owner 0 of a piece
 * also adds what its n_owners - 1 copies must cancel.  Sums over all ranks are
 * then known in advance whatever the partition is, so the check needs neither
 * a table of owners nor any partition code:
 *   once    = sum of hash(row, col) over owners 0       must be the whole tap
 *   balance = copies declared by owner 0 minus the copies shown   must be 0
 *   replica = the same with the hash of the values      must be 0
 * hash(row, col) is a product R(row) * C(col), so a piece costs rows + columns.
 * Sums are kept per block of rows, so that a failure can say where.
 */
#ifndef HAR_COVER_H
#define HAR_COVER_H

#include "parallel/forward.h"

enum { HAR_COVER_BLOCKS = 64 };

typedef struct har_cover {
    uint64_t once[HAR_COVER_BLOCKS];
    uint64_t balance[HAR_COVER_BLOCKS];
    uint64_t replica[HAR_COVER_BLOCKS];
    uint64_t n_owned[HAR_COVER_BLOCKS]; /* elements that owners 0 show        */
} har_cover;

/* The block of a row of a tap of n_row rows.                          [local] */
int har_cover_block(int64_t row, int64_t n_row);

/* Add a piece as it was computed.                                     [local] */
void har_cover_add(har_cover *cover, const par_piece *piece, int64_t n_row);

/* What `once` must sum to, over the rows with live[row] (NULL: all).  [local] */
void har_cover_expect(uint64_t once[HAR_COVER_BLOCKS], const uint8_t *live,
                      int64_t n_row, int64_t n_col);

#endif
