/* harness/judge/judge_impl.h -- private: one pass over the taps. */
#ifndef HAR_JUDGE_IMPL_H
#define HAR_JUDGE_IMPL_H

#include "golden/slope.h"
#include "harness/judge/judge.h"
#include "harness/verify/compare.h"

/* No tap comes as late as this: nothing of the token is set aside.           */
#define HAR__NEVER INT64_MAX

/* The routing of the layer at hand, and what follows from it.                */
typedef struct har__routing {
    int part, layer;     /* -1 before the first                               */
    int64_t n_k;
    const har_yard_tap *idx; /* NULL: the layer has none                      */
    int64_t *found;      /* [tokens * K] experts of the dump                  */
    bool *is_known;      /* [tokens] found[] holds them                       */
    int64_t *from;       /* [tokens] first tap (its moment) set aside         */
    int64_t room;        /* tokens * K that found[] has room for              */
    int64_t *open_from;  /* [tokens] moment from which other keys may have been
                          * chosen: keys.c                                    */
    bool *may_move;      /* [tokens] drops.c; NULL: nothing is dropped, or not
                          * yet looked at                                     */
    bool is_marked;      /* looked at, in this layer                          */
} har__routing;

typedef struct har__pass {
    har_judgement *judged;
    const har_yardstick *yard;
    har_foreign *dump;
    const har_namemap *map;
    /* one row of the widest tap */
    double *expected, *found, *tmp;
    int64_t *ids;        /* two rows                                          */
    double *error, *bound; /* of the grade                                    */
    har_precision grade; /* of the tap at hand                                */
    gold_slope slope;    /* of the tap at hand                                */
    int *owner;          /* piece of each element, -1: none                   */
    double sum_allowed;  /* of the squares of a tap's rms tolerances          */
    har__routing routing;
    bool is_trial;       /* verdicts are all that is asked for                */
} har__pass;

/* As har_judge_make, of verdicts alone: what a tap looks like, and small
 * mistakes, are not looked for.  Errors: E_MEMORY.                   [local] */
CORE_NODISCARD core_status har__judge_trial(har_judgement *out,
                                            const har_yardstick *yard,
                                            har_foreign *dump,
                                            const har_namemap *map,
                                            bool forced_routing);

/* Assemble row `source` of the dump's tap into found[] and owner[]: the number
 * of elements that nobody holds.  `row` is the golden's.             [local] */
int64_t har__read_row(har__pass *pass, int64_t i_tap, int64_t row,
                      int64_t source);

/* Does the dump have the token's place, but no readable choices there?
 *                                                                    [local] */
bool har__is_silent(const har__pass *pass, int64_t i_tap, int64_t row);

/* The spot of a row that is in found[], nothing wrong with it yet.   [local] */
har_spot har__blank_spot(const har__pass *pass, int64_t i_tap, int64_t row);

/* Judge the row in found[] against expected[]: false if it is bad.  Its errors
 * are added to sum.                                                  [local] */
bool har__judge_row(har__pass *pass, int64_t i_tap, int64_t row, har_spot *spot,
                    har_diff *sum);

/* Take the row in found[] into the grade of the tap; the tap's bits if its
 * errors look like rounding, else 0.                                 [local] */
void har__grade_row(har__pass *pass, const har_yard_tap *tap, double allowed);
double har__grade_bits(const har__pass *pass, const har_yard_tap *tap);

/* Begin the slopes of a tap (E_MEMORY); take the row in found[] into them; say
 * how large they are and, if they are too large, what is wrong.      [local] */
CORE_NODISCARD core_status har__slope_enter(har__pass *pass,
                                            const har_yard_tap *tap);
void har__slope_row(har__pass *pass, const har_yard_tap *tap, int64_t row);
void har__slope_judge(const har__pass *pass, const har_yard_tap *tap,
                      har_tap_judgement *judged);

/* When a tap is computed: comparable with har__routing.from and open_from.
 *                                                                    [local] */
static inline int64_t har__moment(const har_yard_tap *tap)
{
    const core_tap at = tap->name.tap;
    if (!tap->name.is_tap || at.kind == CORE_TAP_EMBED)
        return -1;
    if (core_tap_is_global(at.kind))
        return HAR__NEVER - 1;
    return (int64_t)at.layer * CORE_N_TAP_KINDS + (int64_t)at.kind;
}

/* The queries of the layer at hand whose keys could have been others; does it
 * touch the row?                                                     [local] */
void har__keys_enter(har__pass *pass);
bool har__keys_are_open(const har__pass *pass, const har_yard_tap *tap,
                        int64_t row);

/* Go to the routing of this tap's part and layer.  Errors: E_MEMORY. [local] */
CORE_NODISCARD core_status har__routing_enter(har__pass *pass,
                                              const har_yard_tap *tap);

/* Judge one token of a topk_idx tap, whose row is in found[]; *spot tells the
 * flip.  Returns true unless it is a flip without a certificate.     [local] */
bool har__routing_judge(har__pass *pass, int64_t i_tap, int64_t token,
                        har_spot *spot);

/* Is the row set aside?                                              [local] */
bool har__routing_excludes(const har__pass *pass, const har_yard_tap *tap,
                           int64_t row);

/* Set a token aside from this tap on (behind 0) or from the next one (1), and
 * what follows from it.                                              [local] */
void har__set_aside(har__pass *pass, const har_yard_tap *tap, int64_t token,
                    int64_t behind);

/* Mark the tokens of the layer at hand whose drop a rounding may decide, once
 * its choices are known.  Errors: E_MEMORY.                          [local] */
CORE_NODISCARD core_status har__drops_enter(har__pass *pass);

/* May this row differ because its token was dropped, or was not?     [local] */
bool har__drops_excuse(har__pass *pass, const har_yard_tap *tap, int64_t row);

/* Is the row one that is expected of the dump and judged?            [local] */
bool har__wants(const har__pass *pass, int64_t i_tap, int64_t row);

/* Put the weights, or the experts, in found[] into the order of the golden's
 * experts; other taps as they are.  False: weights of other experts. [local] */
bool har__by_expert(har__pass *pass, const har_yard_tap *tap, int64_t row);

/* The numerics of the yardstick; CORE_FP32 if it says none.          [local] */
core_numerics har__numerics(const har_yardstick *yard);

/* Put a row as it is compared into found[] and expected[]; false: it is not
 * compared.                                                          [local] */
bool har__read_judged(har__pass *pass, int64_t i_tap, int64_t row);

/* Look for mistakes smaller than roundings, once all taps are judged.
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har__mistakes(har__pass *pass);

/* Say what the tap, whose routing is at hand, looks like.  Errors: E_MEMORY.
 *                                                                    [local] */
CORE_NODISCARD core_status har__diagnose(har__pass *pass, int64_t i_tap);

/* The golden's experts of a token.                                   [local] */
void har__golden_ids(const har_yard_tap *idx, int64_t token, int64_t *out);

/* Row of the dump that holds the golden's row: choices follow their expert.
 *                                                                    [local] */
int64_t har__source_row(har__pass *pass, const har_yard_tap *tap, int64_t row);

#endif
