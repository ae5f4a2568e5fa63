/* harness/verify/gradwatch.h -- gradients of a rank against the reference's.
 *
 * Bit for bit, in place, by the coordinates that come with a piece.  What was
 * shown is counted as taps are: cover.h.
 */
#ifndef HAR_GRADWATCH_H
#define HAR_GRADWATCH_H

#include "harness/verify/cover.h"
#include "harness/verify/gradfile.h"
#include "parallel/backward.h"

/* What one rank saw of one gradient. */
typedef struct har_grad_seen {
    int64_t n_different, n_poison;
    int64_t first; /* row * n_col + col of the first different element, or -1 */
    double expected, found; /* there                                        */
    double least, most;     /* found / expected of different ones not near zero;
                             * least > most: none                                 */
    har_cover cover;
} har_grad_seen;

typedef struct har_gradwatch {
    const core_spec *spec;
    const har_gradlist *list;
    const core_st *file;
    int64_t n_token;
    har_grad_seen *seen;           /* [list->n]                              */
    const core_st_tensor **tensor; /* [list->n]                              */
    int32_t *of_tap, *of_weight;   /* numbers in the list, or -1             */
    int64_t *rows;                 /* [most rows] of a piece without ids     */
} har_gradwatch;

/* Borrows all.  Errors: E_MEMORY.                                    [local] */
CORE_NODISCARD core_status har_gradwatch_open(har_gradwatch *out,
                                              const core_spec *spec,
                                              const har_gradlist *list,
                                              const core_st *file,
                                              int64_t n_token);
void har_gradwatch_close(har_gradwatch *watch);
par_grad_observer har_gradwatch_observer(har_gradwatch *watch);

#endif
