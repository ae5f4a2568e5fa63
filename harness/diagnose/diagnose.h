/* harness/diagnose/diagnose.h -- a tap differs: what does the difference look
 * like?
 *
 * Known mistakes leave signatures: every value twice, rows shifted by one, the
 * rotation of other pairs.  Each signature is a hypothesis that predicts from
 * what should have been found what was found instead, and it is told only if
 * what was found bears it out: at most 1 % of the difference (its sum of
 * squares) is left, and no element by more than rounding explains.  Of several
 * that do, those that were fitted least are told.  Nothing is told without
 * evidence, so most differences have no diagnosis.
 */
#ifndef HAR_DIAGNOSE_H
#define HAR_DIAGNOSE_H

#include "core/model/taps.h"
#include "core/weights/weights.h"

/* Ranks that a sum, or rows and columns of a tap, may be dealt to. */
enum { HAR_MAX_DEGREES = 4 };
typedef struct har_degree {
    const char *name; /* "tp"; borrowed                                       */
    int64_t n;        /* 1 says nothing                                       */
} har_degree;

/* What is known of a tap that differs.  Borrows everything.                  */
typedef struct har_scene {
    bool is_tap; /* else `tap` says nothing                                   */
    core_tap tap;
    int64_t n_b, n_t;     /* rows and positions of the batch; 0: not known    */
    int64_t n_row, n_col; /* of the whole tap                                 */
    /* What was found: some rows, those that differ among them, and of them
     * columns [col0, col0 + n_found_col).                                    */
    int64_t n_found, col0, n_found_col;
    int64_t n_seen;         /* rows that were looked at, right ones too       */
    const int64_t *row;     /* [n_found]                                      */
    const double *found;    /* [n_found, n_found_col]                         */
    const double *allowed;  /* [n_found] largest error of an element that is
                             * no fault; 0: none is                           */
    core_numerics numerics; /* of both sides                                  */
    const core_spec *spec;  /* NULL: not known                                */
    const core_weights *weights; /* prepared for those numerics; NULL: not
                                  * known                                     */
    int n_degree;
    har_degree degree[HAR_MAX_DEGREES];
    /* Row of the tap as it should be; of any other tap likewise, which has that
     * many columns, 0 if it is not known.                                    */
    void *self;
    void (*expected)(void *self, int64_t row, double *out);
    int64_t (*n_col_of)(void *self, core_tap tap);
    void (*read)(void *self, core_tap tap, int64_t row, double *out);
    /* The whole tap of a pass of the model with other settings, [n_row, n_col];
     * false: it cannot be run.  NULL: the model is not at hand.              */
    bool (*otherwise)(void *self, const core_spec *spec, double *out);
} har_scene;

enum { HAR_MAX_LIKENESSES = 3, HAR_LIKENESS_TEXT = 200 };

/* One signature that fits.                                                   */
typedef struct har_likeness {
    int signature;    /* har_signature_name                                   */
    double explained; /* share of the difference, 0.99 to 1                   */
    char text[HAR_LIKENESS_TEXT]; /* "every value is twice what it should be" */
} har_likeness;

/* No pointers in it: ranks send it to each other.                            */
typedef struct har_diagnosis {
    int n; /* 0: nothing fits                                                 */
    har_likeness likeness[HAR_MAX_LIKENESSES];
    char where[HAR_LIKENESS_TEXT]; /* "in 11 of 22 rows, columns 30 to 59"; ""
                                    * everywhere                              */
} har_diagnosis;

/* Without memory for it there is no diagnosis.                       [local] */
void har_diagnose(har_diagnosis *out, const har_scene *scene);

/* Signature i's name for reports: "ratio"; NULL after the last.      [local] */
const char *har_signature_name(int i);

#endif
