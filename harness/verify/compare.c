/* harness/verify/compare.c -- the element rule, and what is remembered of a tensor.
 *
 * Traps that respected comparators fell into, and that shaped this one:
 *   - a tolerance relative to the value accepts zeros: `allowed` is given from
 *     outside and never depends on what was found;
 *   - `if (error > allowed) fail` lets NaN pass: every test here is written as
 *     "good only if";
 *   - an infinite allowance accepts everything: it is a failure;
 *   - a norm over the tensor hides one wrong row: elements are judged one by
 *     one, norms are only reported.
 */
#include "harness/verify/compare.h"

#include <math.h>
#include <string.h>

void har_diff_init(har_diff *diff)
{
    memset(diff, 0, sizeof *diff);
    diff->first.row = INT64_MAX;
    diff->worst.row = -1;
    diff->worst_score = 0.0;
    diff->ratio_low = INFINITY;
    diff->ratio_high = -INFINITY;
}

static bool same_bits(double a, double b)
{
    return !isnan(a) && memcmp(&a, &b, sizeof a) == 0;
}

static bool is_good(har_rule_kind kind, const har_element *e)
{
    if (kind == HAR_RULE_BITS)
        return same_bits(e->expected, e->found);
    if (!isfinite(e->expected) || !isfinite(e->found))
        return isinf(e->expected) && same_bits(e->expected, e->found);
    if (kind == HAR_RULE_DRIFT)
        return true;
    return isfinite(e->allowed) && fabs(e->found - e->expected) <= e->allowed;
}

/* How bad an element is, for choosing the worst. */
static double score(const har_element *e)
{
    if (same_bits(e->expected, e->found))
        return 0.0;
    if (!isfinite(e->expected) || !isfinite(e->found))
        return INFINITY;
    const double error = fabs(e->found - e->expected);
    return e->allowed > 0.0 ? error / e->allowed : error;
}

bool har_element_is_before(const har_element *a, const har_element *b)
{
    return a->row < b->row || (a->row == b->row && a->col < b->col);
}

static void remember_bad(har_diff *diff, const har_element *e)
{
    diff->n_bad++;
    if (isnan(e->found) && !isnan(e->expected))
        diff->n_nan++;
    if (diff->n_bad == 1 || har_element_is_before(e, &diff->first))
        diff->first = *e;
    if (e->expected != 0.0) { /* NaN ratios leave the range empty or NaN */
        const double ratio = e->found / e->expected;
        diff->n_ratio++;
        diff->ratio_low =
            isnan(ratio) || ratio < diff->ratio_low ? ratio : diff->ratio_low;
        diff->ratio_high =
            isnan(ratio) || ratio > diff->ratio_high ? ratio : diff->ratio_high;
    }
}

/* One element; returns false if it is bad. */
static bool see(har_diff *diff, har_rule_kind kind, const har_element *e)
{
    const bool good = is_good(kind, e);
    const double s = score(e);
    diff->n++;
    if (isfinite(e->expected) && isfinite(e->found)) {
        const double error = e->found - e->expected;
        diff->sum_sq_error += error * error;
        diff->sum_sq_expected += e->expected * e->expected;
    }
    if (diff->worst.row < 0 || s > diff->worst_score) {
        diff->worst_score = s;
        diff->worst = *e;
    }
    if (!good)
        remember_bad(diff, e);
    else if (e->allowed > 0.0 && s > 0.5 && kind != HAR_RULE_DRIFT)
        diff->n_marginal++;
    return good;
}

/* Most rows hold nothing to remember: equal bits, or errors below half their
 * bound and below the worst so far.  If so, count the row and return true;
 * whatever is odd (NaN and infinities too: no sum of them is finite) is left to
 * the element rule above, diff untouched.                                    */
static bool is_plain_row(har_diff *diff, har_rule_kind kind, int64_t n,
                         const double *expected, const double *found,
                         const double *bound)
{
    double error_sq = 0.0, expected_sq = 0.0, bounds = 0.0, worst = 0.0;
    bool good = true;
    if (diff->worst.row < 0 || kind == HAR_RULE_TOLERANCE)
        return false;
    if (kind == HAR_RULE_BITS)
        good = memcmp(expected, found, (size_t)n * sizeof *found) == 0;
    for (int64_t j = 0; good && j < n; j++) {
        const double error = fabs(found[j] - expected[j]);
        const double allowed = kind == HAR_RULE_BOUND ? bound[j] : 1.0;
        const double ratio = error > 0.0 ? error / allowed : 0.0;
        worst = ratio > worst ? ratio : worst;
        good &= kind != HAR_RULE_BOUND || error <= 0.5 * allowed;
        bounds += allowed;
        error_sq += error * error;
        expected_sq += expected[j] * expected[j];
    }
    if (!good || !(worst <= diff->worst_score) ||
        !isfinite(error_sq + expected_sq + bounds))
        return false;
    diff->n += n;
    diff->sum_sq_error += error_sq;
    diff->sum_sq_expected += expected_sq;
    return true;
}

void har_diff_row(har_diff *diff, har_rule rule, int64_t row, int64_t col0,
                  int64_t n, const double *expected, const double *found,
                  const double *bound)
{
    bool good = true;
    if (is_plain_row(diff, rule.kind, n, expected, found, bound))
        return;
    for (int64_t j = 0; j < n; j++) {
        har_element e = {row, col0 + j, expected[j], found[j], 0.0};
        if (rule.kind == HAR_RULE_BOUND)
            e.allowed = bound[j];
        else if (rule.kind == HAR_RULE_TOLERANCE)
            e.allowed = rule.tolerance;
        good &= see(diff, rule.kind, &e);
    }
    diff->n_bad_rows += good ? 0 : 1;
}

void har_diff_row_ints(har_diff *diff, int64_t row, int64_t col0, int64_t n,
                       const int64_t *expected, const int64_t *found)
{
    bool good = true;
    for (int64_t j = 0; j < n; j++) {
        har_element e = {row, col0 + j, (double)expected[j], (double)found[j],
                         0.0};
        /* beyond 2^53 two integers may share a double: say so in the value */
        if (expected[j] != found[j] && same_bits(e.expected, e.found))
            e.found = NAN;
        good &= see(diff, HAR_RULE_BITS, &e);
    }
    diff->n_bad_rows += good ? 0 : 1;
}

/* How often x occurs in a[0..k), and where last. */
static int64_t count_id(const int64_t *a, int64_t k, int64_t x, int64_t *at)
{
    int64_t n = 0;
    for (int64_t i = 0; i < k; i++) {
        if (a[i] == x) {
            n++;
            *at = i;
        }
    }
    return n;
}

void har_diff_row_topk(har_diff *diff, har_rule rule, int64_t row, int64_t k,
                       const int64_t *expected_id, const int64_t *found_id,
                       const double *expected_w, const double *found_w)
{
    bool good = true;
    for (int64_t j = 0; j < k; j++) {
        int64_t at = 0, own = 0;
        const int64_t n_there = count_id(found_id, k, expected_id[j], &at);
        const int64_t n_here = count_id(expected_id, k, expected_id[j], &own);
        const bool is_there = n_there == n_here;
        har_element e = {row, j, (double)expected_id[j],
                         (double)(is_there ? expected_id[j] : found_id[j]),
                         0.0};
        har_rule_kind kind = HAR_RULE_BITS;
        if (!is_there && same_bits(e.expected, e.found))
            e.found = NAN; /* the id is there, but another number of times */
        if (is_there && expected_w != NULL) {
            e.expected = expected_w[j];
            e.found = found_w[at];
            e.allowed = rule.kind == HAR_RULE_TOLERANCE ? rule.tolerance : 0.0;
            kind = rule.kind;
        }
        good &= see(diff, kind, &e);
    }
    diff->n_bad_rows += good ? 0 : 1;
}

bool har_diff_ratio(const har_diff *diff, double *ratio)
{
    if (diff->n_ratio < 2 || diff->n_ratio != diff->n_bad || diff->n_nan > 0)
        return false;
    const double width = diff->ratio_high - diff->ratio_low;
    if (!(isfinite(diff->ratio_low) && isfinite(diff->ratio_high) &&
          width <= 1e-9 * fabs(diff->ratio_high)))
        return false;
    *ratio = diff->ratio_high;
    return true;
}

double har_diff_relative_rms(const har_diff *diff)
{
    if (diff->sum_sq_error == 0.0)
        return 0.0;
    return sqrt(diff->sum_sq_error / diff->sum_sq_expected);
}
