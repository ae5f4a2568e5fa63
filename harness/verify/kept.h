/* harness/verify/kept.h -- what was found at the first tap that differs.
 *
 * Forced mode replaces what was found, so a rank keeps the rows that differ of
 * the earliest tap at which it sees any, up to a megabyte: enough to say what
 * the difference looks like.
 */
#ifndef HAR_KEPT_H
#define HAR_KEPT_H

#include <stdint.h>

/* All 0: nothing yet.                                                        */
typedef struct har_kept {
    int64_t i_tap;       /* of the watch; says nothing while n == 0           */
    int64_t col0, n_col; /* of all rows; pieces of other columns are left */
    int64_t n, room;     /* rows                                              */
    int64_t *row;        /* [room] owned                                      */
    double *values;      /* [room, n_col] owned                               */
} har_kept;

/* Keep a row of tap i_tap, values or ints [n_col], unless an earlier tap is
 * kept or there is no room (or memory) for it. [local] */
void har_kept_row(har_kept *kept, int64_t i_tap, int64_t row, int64_t col0,
                  int64_t n_col, const double *values, const int64_t *ints);
void har_kept_free(har_kept *kept);

#endif
