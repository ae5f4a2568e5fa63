/* harness/verify/kept.c -- see kept.h.
 *
 * Micro-batches pass one after another, so an earlier tap may come later: it
 * takes the place of what was kept.
 */
#include "harness/verify/kept.h"

#include <stdlib.h>
#include <string.h>

static const int64_t max_elements = INT64_C(1) << 17;

static void begin(har_kept *kept, int64_t i_tap, int64_t col0, int64_t n_col)
{
    har_kept_free(kept);
    const int64_t room = max_elements / n_col;
    kept->row = malloc((size_t)room * sizeof *kept->row);
    kept->values = malloc((size_t)(room * n_col) * sizeof *kept->values);
    kept->room = kept->row != NULL && kept->values != NULL ? room : 0;
    kept->i_tap = i_tap;
    kept->col0 = col0;
    kept->n_col = n_col;
}

void har_kept_row(har_kept *kept, int64_t i_tap, int64_t row, int64_t col0,
                  int64_t n_col, const double *values, const int64_t *ints)
{
    if (kept->n == 0 || i_tap < kept->i_tap)
        begin(kept, i_tap, col0, n_col);
    if (i_tap != kept->i_tap || col0 != kept->col0 || n_col != kept->n_col ||
        kept->n == kept->room)
        return;
    double *to = kept->values + kept->n * n_col;
    for (int64_t j = 0; j < n_col; j++)
        to[j] = values != NULL ? values[j] : (double)ints[j];
    kept->row[kept->n++] = row;
}

void har_kept_free(har_kept *kept)
{
    free(kept->row);
    free(kept->values);
    memset(kept, 0, sizeof *kept);
}
