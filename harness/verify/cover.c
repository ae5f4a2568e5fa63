/* harness/verify/cover.c -- sums of coordinate hashes, see cover.h.
 *
 * All arithmetic wraps; a sum that ought to be zero and is not by accident zero
 * has a chance of 2^-64 per block.  R and C come from the same finaliser with
 * different salts, odd, so that no factor annihilates the other.
 */
#include "harness/verify/cover.h"

#include <string.h>

static uint64_t mix(uint64_t x) /* splitmix64's finaliser */
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t row_hash(int64_t row)
{
    return mix((uint64_t)row * 2 + UINT64_C(0x9e3779b97f4a7c15)) | 1;
}

static uint64_t col_hash(int64_t col)
{
    return mix((uint64_t)col * 2 + UINT64_C(0xd1b54a32d192ed03)) | 1;
}

int har_cover_block(int64_t row, int64_t n_row)
{
    return n_row <= HAR_COVER_BLOCKS ? (int)row
                                     : (int)(row * HAR_COVER_BLOCKS / n_row);
}

static uint64_t element_bits(const par_piece *piece, int64_t i)
{
    uint64_t bits;
    if (piece->ints != NULL)
        memcpy(&bits, &piece->ints[i], sizeof bits);
    else
        memcpy(&bits, &piece->values[i], sizeof bits);
    return bits;
}

static uint64_t value_hash(const par_piece *piece, int64_t i_row)
{
    uint64_t sum = 0;
    for (int64_t j = 0; j < piece->n_col; j++)
        sum += mix(element_bits(piece, i_row * piece->ld + j) +
                   col_hash(piece->col0 + j));
    return sum;
}

void har_cover_add(har_cover *cover, const par_piece *piece, int64_t n_row)
{
    const bool is_first = piece->i_owner == 0;
    const uint64_t copies =
        is_first ? (uint64_t)piece->n_owners - 1 : ~UINT64_C(0); /* or -1 */
    uint64_t cols = 0;
    for (int64_t j = 0; j < piece->n_col; j++)
        cols += col_hash(piece->col0 + j);
    for (int64_t i = 0; i < piece->n_row; i++) {
        const int64_t row = piece->row_ids[i];
        if (row < 0 || row >= n_row)
            continue; /* the comparator reports it; it covers nothing */
        const int block = har_cover_block(row, n_row);
        const uint64_t here = row_hash(row) * cols;
        if (is_first) {
            cover->once[block] += here;
            cover->n_owned[block] += (uint64_t)piece->n_col;
        }
        cover->balance[block] += copies * here;
        if (piece->n_owners > 1)
            cover->replica[block] +=
                copies * row_hash(row) * value_hash(piece, i);
    }
}

void har_cover_expect(uint64_t once[HAR_COVER_BLOCKS], const uint8_t *live,
                      int64_t n_row, int64_t n_col)
{
    uint64_t cols = 0;
    for (int64_t j = 0; j < n_col; j++)
        cols += col_hash(j);
    memset(once, 0, HAR_COVER_BLOCKS * sizeof *once);
    for (int64_t row = 0; row < n_row; row++)
        if (live == NULL || live[row])
            once[har_cover_block(row, n_row)] += row_hash(row) * cols;
}
