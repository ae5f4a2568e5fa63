/* harness/verify/pieces.h -- what a rank shows, held against the reference.
 *
 * The observer of a distributed pass.  Every rank has the reference's tap file
 * mapped and compares its own pieces in place, by global coordinates; it knows
 * nothing of plans.  A piece is compared first and may then be replaced:
 *   HAR_FREE            nothing is replaced: the real run
 *   HAR_FORCED          every tap is replaced, so that each operator is judged
 *                       on correct inputs
 *   HAR_FORCED_ROUTING  only experts, weights and slots are replaced; values are
 *                       measured, not judged (the drift of fp32, bf16)
 * In an exercise the reference's experts and weights are dealt: they are taken
 * over without being judged, all else goes by the mode.
 */
#ifndef HAR_PIECES_H
#define HAR_PIECES_H

#include "core/pass/tapfile.h"
#include "harness/verify/compare.h"
#include "harness/verify/cover.h"
#include "harness/verify/kept.h"
#include "harness/verify/lattice.h"
#include "harness/verify/precision.h"
#include "harness/verify/reach.h"
#include "parallel/forward.h"

typedef enum har_mode { HAR_FREE, HAR_FORCED, HAR_FORCED_ROUTING } har_mode;

const char *har_mode_name(har_mode mode); /* "free", "forced", ... */

typedef struct har_tap_watch {
    core_tap tap;
    int64_t n_row, n_col;
    bool is_int;
    const core_st_tensor *expected;
    const core_st_tensor *bound; /* NULL unless judged by a bound             */
    har_diff diff;
    har_precision grade;             /* where judged by a bound               */
    int64_t n_marginal;          /* so too: of diff, less those that storing
                                  * alone explains                            */
    int first_round, first_mb;   /* of diff.first                             */
    int64_t n_outside;           /* elements beyond the tap's rows or columns */
    int64_t n_unwritten;         /* sums over NaN or infinity at this operator */
    int64_t n_flip;              /* tokens that chose other experts, ...      */
    int64_t n_flip_excused;      /* ... with a certificate                    */
    double flip_margin;          /* the largest margin among them             */
    har_lattice lattice;
    har_cover *cover; /* of the watch's, which owns them                      */
} har_tap_watch;

typedef struct har_watch {
    const core_spec *spec;
    core_numerics numerics;
    har_mode mode;
    int64_t n_token;
    int64_t n_tap;
    har_tap_watch *tap;          /* [n_tap] in execution order, and one more
                                  * for what is not among them                */
    har_cover *cover; /* [n_tap + 1] memory of its own: a rank that shows few
                       * taps touches little of it                            */
    int *index;                  /* [n_l * CORE_N_TAP_KINDS] into tap         */
    int64_t n_scratch;
    double *expected_row, *bound_row, *error_row, *stored_row; /* [n_scratch] */
    int64_t *expected_ints;      /* [n_scratch]                               */
    double *score;               /* [n_score_row, E] router logits last shown */
    int64_t *score_row;          /* their rows                                */
    int64_t n_score_row, score_capacity;
    har_kept kept;               /* of the first tap that differs, HAR_FORCED */
    double *flip_room;           /* to judge a flip in                        */
    /* to be set after opening, borrowed */
    const double *correction;    /* [n_l, E] of the router; NULL: none        */
    const har_precision *honest; /* [n_tap] what drawn roundings make; NULL:
                                  * none                                      */
    har_reach *reach;            /* what took part; NULL: nobody asks         */
    bool is_exercise;
} har_watch;

/* Watch a pass over n_token tokens against a finished reference file.  Borrows
 * spec and file.  Errors: E_MEMORY, E_FORMAT if a tap is missing.    [local] */
CORE_NODISCARD core_status har_watch_open(har_watch **out,
                                          const core_spec *spec,
                                          core_numerics numerics, har_mode mode,
                                          const core_tapfile *file,
                                          int64_t n_token);
void har_watch_close(har_watch *watch); /* accepts NULL */

/* The observer to hand to par_model_open.                                    */
par_observer har_watch_observer(har_watch *watch);

/* What is watched of a tap; NULL: the model has none such.           [local] */
const har_tap_watch *har_watch_tap(const har_watch *watch, core_tap tap);

/* The operator took in what nobody has written.                      [local] */
void har_watch_unwritten(har_watch *watch, core_tap tap);

/* One row of a reference tensor, as doubles.                         [local] */
void har_reference_row(const core_st_tensor *tensor, int64_t row, int64_t col0,
                       int64_t n, int64_t n_col, double *out);

#endif
