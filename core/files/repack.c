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

/* Where element `i` of heads in the order of their groups lies. */
static int64_t place_in_tiles(const core_repack *how, int64_t i)
{
    const int64_t of_group = how->n_head / how->n_group, h = i / how->head;
    const int64_t tile = h % of_group * how->n_group + h / of_group;
    return tile * how->head + i % how->head;
}

/* Values [c0, c1) of a row whose columns are heads. */
static void read_tiles(const core_st_tensor *t, const core_repack *how,
                       int64_t row, int64_t n_col, int64_t c0, int64_t c1,
                       double *out)
{
    while (c0 < c1) {
        const int64_t end = (c0 / how->head + 1) * how->head;
        const int64_t n = (end < c1 ? end : c1) - c0;
        core_packed_read(how->kind, t->data,
                         row * n_col + place_in_tiles(how, c0), n, out);
        out += n;
        c0 += n;
    }
}

/* Where a row of `t` lies in the file. */
static int64_t place_of_row(const core_st_tensor *t, const core_repack *how,
                            int64_t row)
{
    if (how->order == CORE_ORDER_PAIRS)
        return row_of_pairs(row, how->head);
    const int64_t before = t->shape[0] - how->n_head * how->head;
    return row < before ? row : before + place_in_tiles(how, row - before);
}

static void read_row(const core_st_tensor *t, const core_repack *how,
                     int64_t row, int64_t n_col, int64_t c0, int64_t c1,
                     double *out)
{
    if (how->order == CORE_ORDER_HEADS)
        read_heads(t, how, row, c0, c1, out);
    else if (how->order == CORE_ORDER_TILED_COLUMNS)
        read_tiles(t, how, row, n_col, c0, c1, out);
    else
        core_packed_read(how->kind, t->data,
                         place_of_row(t, how, row) * n_col + c0, c1 - c0, out);
}

static void read_stored(const core_st_tensor *tensor, const core_repack *how,
                        int64_t first, int64_t n, double *out)
{
    const int64_t n_col = tensor->n / tensor->shape[0];
    if (how->order == CORE_ORDER_SAME) {
        core_packed_read(how->kind, tensor->data, first, n, out);
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

void core_repack_read(const core_st_tensor *tensor, const core_repack *how,
                      int64_t first, int64_t n, double *out)
{
    read_stored(tensor, how, first, n, out);
    for (int64_t i = 0; how->as == CORE_STORED_AS_DECAY && i < n; i++)
        out[i] = log(-out[i]);
    for (int64_t i = 0; how->as == CORE_STORED_AS_PLUS_ONE && i < n; i++)
        out[i] -= 1.0;
}

int64_t core_repack_block(const core_repack *how)
{
    const core_packed_kind kind =
        how->order == CORE_ORDER_HEADS ? how->other_kind : how->kind;
    const int64_t n = core_packed_format_of(kind)->values;
    return how->order == CORE_ORDER_TILED_COLUMNS && how->head % n != 0
               ? how->head * how->n_head
               : n;
}
