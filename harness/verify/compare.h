/* harness/verify/compare.h -- is a found number the expected one?
 *
 * The comparator of everything: taps against the reference, dump against dump.
 * It judges element by element and never divides by what it is given, so a zero
 * tensor, a wrong row among many and a NaN are as visible as anything else.
 * A check passes only if (error <= allowed): NaN always fails, on both sides
 * too.  tests/unit/test_har_compare.c is the list of what it must catch.
 */
#ifndef HAR_COMPARE_H
#define HAR_COMPARE_H

#include "core/base/status.h"

#include <stdint.h>

typedef enum har_rule_kind {
    HAR_RULE_BITS,      /* the same 64 bits, and no NaN                        */
    HAR_RULE_BOUND,     /* |found - expected| <= bound of the element          */
    HAR_RULE_TOLERANCE, /* |found - expected| <= tolerance                     */
    HAR_RULE_DRIFT,     /* only measured; non-finite values still fail         */
} har_rule_kind;

typedef struct har_rule {
    har_rule_kind kind;
    double tolerance;   /* of HAR_RULE_TOLERANCE                               */
} har_rule;

typedef struct har_element {
    int64_t row, col;
    double expected, found, allowed;
} har_element;

/* By row, then by column.                                            [local] */
bool har_element_is_before(const har_element *a, const har_element *b);

/* What was seen of one tensor.  Rows may arrive in any order and in pieces.   */
typedef struct har_diff {
    int64_t n;               /* elements compared                              */
    int64_t n_bad;           /* of them, not accepted                          */
    int64_t n_bad_rows;      /* row pieces with a bad element                  */
    int64_t n_nan;           /* NaN found where none is expected               */
    int64_t n_marginal;      /* accepted, but over half of what is allowed     */
    har_element first;       /* bad element with the lowest (row, col)         */
    har_element worst;       /* bad or not: the largest score                  */
    double worst_score;      /* error / allowed; error where nothing is allowed;
                              * infinite for non-finite mismatches             */
    double sum_sq_error;     /* over finite pairs                              */
    double sum_sq_expected;
    int64_t n_ratio;         /* bad elements with expected != 0                */
    double ratio_low, ratio_high; /* smallest and largest found / expected     */
} har_diff;

void har_diff_init(har_diff *diff);

/* Compare columns [col0, col0+n) of a row.  bound: [n] for HAR_RULE_BOUND,
 * else NULL.                                                          [local] */
void har_diff_row(har_diff *diff, har_rule rule, int64_t row, int64_t col0,
                  int64_t n, const double *expected, const double *found,
                  const double *bound);

/* The same for discrete data, always exact.                           [local] */
void har_diff_row_ints(har_diff *diff, int64_t row, int64_t col0, int64_t n,
                       const int64_t *expected, const int64_t *found);

/* Chosen experts are a set: compare the k ids of a row as sets, and every
 * weight with that of the same expert (NULL, NULL: ids only).         [local] */
void har_diff_row_topk(har_diff *diff, har_rule rule, int64_t row, int64_t k,
                       const int64_t *expected_id, const int64_t *found_id,
                       const double *expected_w, const double *found_w);

/* True if every bad element is the same multiple of what was expected.        */
bool har_diff_ratio(const har_diff *diff, double *ratio);

/* sqrt(sum of squared errors / sum of squared expected); 0 if both are 0.     */
double har_diff_relative_rms(const har_diff *diff);

#endif
