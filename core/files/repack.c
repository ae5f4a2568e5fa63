/* core/files/repack.c -- see repack.h.
 *
 * Trap: of the pair of rows i and i + head/2 that rotary embedding turns
 * together, a file in the order of pairs has the first as row 2i of the head
 * and the second as row 2i + 1.
 */
#include "core/files/repack.h"

#include <math.h>

/* Where row `row` of heads of `head` rows lies. */
static int64_t row_of_pairs(int64_t row, int64_t head)
{
    const int64_t half = head / 2, i = row % head;
    return row - i + (i < half ? 2 * i : 2 * (i - half) + 1);
}

/* Values [c0, c1) of a row of heads from two tensors. */
static void read_heads(const core_st_tensor *t, const core_repack *how,
                       int64_t row, int64_t c0, int64_t c1, double *out)
{
    const int64_t n_col = t->shape[1], all = how->head + how->other_head;
    const int64_t head = row / all, i = row % all;
    if (i >= how->head) {
        const int64_t at = head * how->other_head + i - how->head;
        core_packed_read(how->other_kind, how->other, at * n_col + c0, c1 - c0,
                         out);
        return;
    }
    for (int64_t c = c0; c < c1; c++)
        core_packed_read(how->kind, t->data, (head * n_col + c) * how->head + i,
                         1, out + c - c0);
}

static void read_row(const core_st_tensor *t, const core_repack *how,
                     int64_t row, int64_t n_col, int64_t c0, int64_t c1,
                     double *out)
{
    if (how->order == CORE_ORDER_HEADS)
        read_heads(t, how, row, c0, c1, out);
    else
        core_packed_read(how->kind, t->data,
                         row_of_pairs(row, how->head) * n_col + c0, c1 - c0,
                         out);
}

void core_repack_read(const core_st_tensor *tensor, const core_repack *how,
                      int64_t first, int64_t n, double *out)
{
    const int64_t n_col = tensor->n_dim > 1 ? tensor->shape[1] : 1;
    if (how->order == CORE_ORDER_SAME || how->order == CORE_ORDER_LOG) {
        core_packed_read(how->kind, tensor->data, first, n, out);
        for (int64_t i = 0; how->order == CORE_ORDER_LOG && i < n; i++)
            out[i] = log(-out[i]);
        return;
    }
    while (n > 0) {
        const int64_t c0 = first % n_col;
        const int64_t c1 = c0 + n < n_col ? c0 + n : n_col;
        read_row(tensor, how, first / n_col, n_col, c0, c1, out);
        out += c1 - c0;
        first += c1 - c0;
        n -= c1 - c0;
    }
}

int64_t core_repack_block(const core_repack *how)
{
    return core_packed_format_of(
               how->order == CORE_ORDER_HEADS ? how->other_kind : how->kind)
        ->values;
}
