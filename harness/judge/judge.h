/* harness/judge/judge.h -- a foreign dump, judged row by row.
 *
 * Every token row of every tap has a bound; what is told is observed / bound of
 * the row, at its worst element or of its root mean square, never a figure over
 * a tensor alone.  Errors that all rows share are small in each: over a tap they
 * may reach HAR_TAP_SHARE of the rows' tolerances.  Where rows might be half or
 * twice themselves and pass, a tap that does not fail is undecided.  Chosen
 * experts are compared as sets.  A flip, another set, is excused only with a
 * certificate: the golden's own scores were so close that the tolerance of that
 * token's router logits may decide between them.  What such a token decides
 * afterwards, and what the later tokens of its row see of it, is set aside and
 * counted.
 */
#ifndef HAR_JUDGE_H
#define HAR_JUDGE_H

#include "harness/diagnose/diagnose.h"
#include "harness/judge/figures.h"
#include "harness/judge/foreign.h"
#include "harness/judge/misfit.h"
#include "harness/verify/verdict.h"

enum { HAR_TAP_SPOTS = 3, HAR_WORST_ROWS = 12, HAR_MAX_LEANS = 32 };

#define HAR_TAP_SHARE 0.4 /* of the rms tolerances, over all rows             */
#define HAR_BLIND 0.5      /* tolerance over its row from which it is blind   */
#define HAR_MAY_BLIND 0.1  /* share of the rows before a tap is undecided     */

/* A row of a tap, at its worst element.                                      */
typedef struct har_spot {
    int64_t i_tap, row, b, t, col;
    int64_t head, expert; /* -1: the tap has none, or it is not known         */
    double expected, found, allowed;
    double rms, allowed_rms; /* of the row, where it has such a tolerance     */
    double ratio;         /* observed / bound; infinite where nothing is
                           * allowed or a value is not finite                 */
    int file;             /* whose element it is                              */
} har_spot;

typedef struct har_tap_judgement {
    har_verdict verdict;
    bool is_judged;       /* else nothing could be compared, see problem      */
    int64_t n_row;        /* rows that were expected of the dump              */
    int64_t n_judged, n_failed, n_marginal;
    int64_t n_excluded;   /* set aside after a certified flip                 */
    int64_t n_missing;    /* rows with an element that no file holds          */
    int64_t n_silent;     /* choices not captured, or unreadable              */
    int64_t n_blind;      /* rows that a half or twice themselves might pass  */
    bool is_undecided;    /* no FAIL, and too many of its rows are blind or
                           * set aside                                        */
    double width;         /* rms of its tolerances over its own, 0: has none  */
    double ratio;         /* of the worst row                                 */
    double tap_ratio;     /* rms error of all rows / what a tap may have      */
    double slope_ratio;   /* the largest slope of a column / what one may have,
                           * 0: not looked at                                 */
    double relative_rms;
    double bits;          /* FAIL, but its errors look like rounding to so many
                           * bits: PRECISION; else 0                          */
    int n_spot;
    har_spot spot[HAR_TAP_SPOTS]; /* rows, the worst first                    */
    har_spot first_bad;   /* if n_failed > 0                                  */
    char problem[200];
} har_tap_judgement;

/* The choices of one layer.                                                  */
typedef struct har_layer_routing {
    int part, layer;
    int64_t n_token;      /* compared                                         */
    int64_t n_same, n_certified, n_uncertified, n_excluded;
    int64_t n_expert;
    int64_t *load;        /* [2][n_expert]: the golden's, the dump's          */
} har_layer_routing;

/* How the dump leans towards a mistake that is smaller than roundings, at all
 * taps of a kind together.                                                   */
typedef struct har_lean {
    const char *what;    /* "gelu by tanh for erf"                            */
    core_tap_kind kind;
    double lean, sigmas; /* its share, and by how many of its own errors      */
    double reach;        /* sigmas that roundings may make                    */
    bool is_found;
} har_lean;

typedef struct har_judgement {
    const har_yardstick *yard; /* borrowed                                    */
    const har_foreign *dump;   /* borrowed                                    */
    const char *map_name;      /* borrowed; "" for none                       */
    bool forced_routing;
    har_verdict verdict;
    int64_t n_tap;
    har_tap_judgement *tap;    /* [yard->n_tap]; owned                        */
    int64_t n_judged, n_passed, n_marginal, n_failed; /* taps                 */
    int64_t n_undecided;       /* taps whose tolerances cannot tell           */
    bool is_imprecise;         /* FAIL by such taps only: PRECISION           */
    double widest; /* tolerance of a row over its largest magnitude, 0: none  */
    int64_t widest_tap;
    int64_t first;             /* failing in execution order, -1: none        */
    int64_t diagnosed;         /* the first with wrong values, -1: none       */
    har_diagnosis diagnosis;   /* of that tap                                 */
    int n_lean;
    har_lean lean[HAR_MAX_LEANS]; /* of a forced dump in which nothing else
                                * fails, by mistake and in execution order    */
    int64_t n_choice, n_same;  /* compared, those that agree                  */
    int64_t n_certified, n_uncertified; /* flips                              */
    int64_t n_moved_drops;     /* tokens that a rounding dropped, or kept     */
    int64_t n_open;            /* rows that other keys may have made          */
    int64_t n_excluded;        /* rows set aside, of all taps                 */
    int64_t n_silent;          /* choices of a token that nobody recorded     */
    int64_t n_padding;         /* tokens that are no real ones: not judged    */
    int64_t n_note;            /* findings that fail nothing                  */
    har_figures figures;       /* of the logits' rows that are whole, set aside
                                * or not                                      */
    int n_routing;
    har_layer_routing *routing; /* owned                                      */
    char misfit[HAR_MISFIT_TEXT]; /* how the first failing tap would fit; ""  */
    double **token_ratio;      /* [part][B*T] worst of all taps, < 0: none    */
    int n_worst;
    har_spot worst[HAR_WORST_ROWS]; /* of all taps, the worst first           */
    const struct har_explanation *explanation; /* explain.h; borrowed; NULL:
                                                * not asked for               */
} har_judgement;

/* Errors: E_MEMORY.  Adds findings to the dump.  Free with har_judge_free.
 *                                                                    [local] */
CORE_NODISCARD core_status har_judge_make(har_judgement *out,
                                          const har_yardstick *yard,
                                          har_foreign *dump,
                                          const har_namemap *map,
                                          bool forced_routing);
void har_judge_free(har_judgement *judged);

/* "rank 3 (tp 1, dp 0)" or the file's name.                          [local] */
const char *har_judge_owner(const har_judgement *judged, int file);

#endif
