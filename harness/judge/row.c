/* harness/judge/row.c -- one row of a tap: put together, then judged.
 *
 * A row is assembled from the pieces that hold it, so no tap is ever whole in
 * memory and every element has an owner to name.  Traps: of an element that two
 * ranks hold the worse copy is judged, and both must be within the tolerance of
 * each other, because BLAS makes other bits of a row with other rows beside it
 * (in exact they must be the same); a value that is not finite is counted even
 * where the row is set aside; weights follow their expert, not their column, and
 * where nobody says which expert, their size.
 */
#include "harness/judge/judge_impl.h"

#include <math.h>
#include <string.h>

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

bool har__wants(const har__pass *p, int64_t i_tap, int64_t row)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const har_yard_part *part = &p->yard->part[tap->part];
    const int64_t token = row / tap->extent.n_k;
    return p->dump->wanted[tap->part][token] &&
           har_yardstick_is_real(part, token);
}

/* --- putting a row together --- */

static void tell_difference(har__pass *p, har_piece *piece, int64_t row,
                            int64_t col, const har_piece *other, double there,
                            double here)
{
    const har_yard_tap *tap = &p->yard->tap[piece->i_tap];
    const int64_t token = row / tap->extent.n_k;
    if (piece->has_differed)
        return;
    piece->has_differed = true;
    har_foreign_find(p->dump, HAR_FOUND_REPLICA, piece->i_tap, piece->file,
                     piece->tensor->name,
                     "row %lld, position %lld, column %lld: expected %.9g as "
                     "on %s, found %.9g; the golden has %.9g",
                     (long long)(token / tap->extent.n_t),
                     (long long)(token % tap->extent.n_t), (long long)col,
                     there, p->dump->file[other->file].owner, here,
                     p->expected[col]);
}

/* The copy of an element that a piece has beside the one in found[]. */
static void take_copy(har__pass *p, int64_t i_piece, int64_t row, int64_t col,
                      double x)
{
    har_piece *piece = &p->dump->piece[i_piece];
    const double allowed =
        har_yardstick_allowed(&p->yard->tap[piece->i_tap], row);
    const double there = p->found[col], golden = p->expected[col];
    if (!(fabs(x - there) <= allowed)) {
        tell_difference(p, piece, row, col, &p->dump->piece[p->owner[col]],
                        there, x);
    } else if (fabs(x - golden) > fabs(there - golden)) {
        p->found[col] = x;
        p->owner[col] = (int)i_piece;
    }
}

/* Columns of one piece's row into found[]. */
static void take_columns(har__pass *p, int64_t i_piece, int64_t row,
                         const double *values)
{
    har_piece *piece = &p->dump->piece[i_piece];
    const int64_t n_col = p->yard->tap[piece->i_tap].extent.n_col;
    const int64_t c0 = piece->place.c.begin;
    for (int64_t j = c0; j < piece->place.c.end && j < n_col; j++) {
        const double x = values[j - c0];
        if (p->owner[j] < 0) {
            p->owner[j] = (int)i_piece;
            p->found[j] = x;
        } else if (!same_bits(x, p->found[j])) {
            take_copy(p, i_piece, row, j, x);
        }
        if (isfinite(x) || (isinf(x) && same_bits(x, p->expected[j])))
            continue;
        if (piece->n_nonfinite++ == 0) {
            piece->bad_row = row;
            piece->bad_col = j;
            piece->bad_value = x;
        }
    }
}

/* The experts of a token, of one piece; in which order does not matter. */
static void take_choices(har__pass *p, int64_t i_piece, int64_t row,
                         int64_t local)
{
    har_piece *piece = &p->dump->piece[i_piece];
    const int64_t n_k = piece->chosen.n_k;
    double *ids = p->tmp, bad = 0.0;
    har_chosen_row(&piece->chosen, piece->tensor, local, ids, &bad);
    for (int64_t k = 0; k < n_k; k++) {
        if (ids[k] == HAR_NOT_CAPTURED)
            return;
        if (ids[k] != HAR_UNREADABLE)
            continue;
        if (piece->n_unreadable++ == 0) {
            piece->bad_row = row;
            piece->bad_value = bad;
        }
        return;
    }
    if (p->owner[0] >= 0 && har_chosen_same(ids, p->found, n_k))
        return;
    for (int64_t k = 0; k < n_k; k++) {
        if (p->owner[k] >= 0) {
            tell_difference(p, piece, row, k, &p->dump->piece[p->owner[k]],
                            p->found[k], ids[k]);
            continue;
        }
        p->owner[k] = (int)i_piece;
        p->found[k] = ids[k];
    }
}

static bool is_weight(const har_yard_tap *tap)
{
    return tap->name.is_tap && tap->name.tap.kind == CORE_TAP_TOPK_WEIGHT;
}

/* Is every weight of one among those of the other?  Two ranks may list a token's
 * experts in another order.                                                  */
static bool same_weights(const double *a, const double *b, int64_t n,
                         double allowed)
{
    for (int64_t i = 0; i < n; i++) {
        bool in_a = false, in_b = false;
        for (int64_t j = 0; j < n; j++) {
            in_a |= fabs(a[j] - b[i]) <= allowed;
            in_b |= fabs(b[j] - a[i]) <= allowed;
        }
        if (!in_a || !in_b)
            return false;
    }
    return true;
}

bool har__is_silent(const har__pass *p, int64_t i_tap, int64_t row)
{
    const har_extent *e = &p->yard->tap[i_tap].extent;
    int64_t begin, end;
    har_foreign_pieces(p->dump, i_tap, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const har_piece *piece = &p->dump->piece[i];
        const bool is_last = piece->is_short && row % e->n_t == e->n_t - 1;
        /* a short piece is told by the position before */
        if (har_place_row(&piece->place, row - (is_last ? 1 : 0)) >= 0)
            return true;
    }
    return false;
}

int64_t har__read_row(har__pass *p, int64_t i_tap, int64_t row, int64_t source)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const int64_t n_col = tap->extent.n_col;
    int64_t begin, end, n_missing = 0;
    for (int64_t j = 0; j < n_col; j++)
        p->owner[j] = -1;
    har_foreign_pieces(p->dump, i_tap, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const har_piece *piece = &p->dump->piece[i];
        const int64_t local = har_place_row(&piece->place, source);
        const int64_t width = piece->place.c.end - piece->place.c.begin;
        if (local < 0)
            continue;
        if (piece->chosen.n_k > 0) {
            take_choices(p, i, row, local);
            continue;
        }
        core_st_read(piece->tensor, local * width, width, p->tmp);
        if (is_weight(tap) && width == n_col && p->owner[0] >= 0 &&
            same_weights(p->tmp, p->found, n_col,
                         har_yardstick_allowed(tap, row)))
            continue;
        take_columns(p, i, row, p->tmp);
    }
    for (int64_t j = 0; j < n_col; j++)
        n_missing += p->owner[j] < 0;
    return n_missing;
}

/* --- judging a row --- */

har_spot har__blank_spot(const har__pass *p, int64_t i_tap, int64_t row)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const int64_t token = row / tap->extent.n_k;
    return (har_spot){.i_tap = i_tap,
                      .row = row,
                      .b = token / tap->extent.n_t,
                      .t = token % tap->extent.n_t,
                      .head = -1,
                      .expert = -1,
                      .file = p->dump->piece[p->owner[0]].file};
}

static int64_t head_of(const har__pass *p, const har_yard_tap *tap, int64_t col)
{
    const int64_t n =
        tap->name.is_tap ? core_tap_heads(&p->yard->spec, tap->name.tap) : 0;
    if (n == 0 || tap->extent.n_col % n != 0)
        return -1;
    return col / (tap->extent.n_col / n);
}

/* The expert that a row of a choice, or a column of the router, is about. */
static int64_t expert_of(har__pass *p, const har_yard_tap *tap, int64_t row,
                         int64_t col)
{
    const core_tap_kind kind = tap->name.tap.kind;
    if (!tap->name.is_tap || p->routing.idx == NULL)
        return -1;
    if (kind == CORE_TAP_ROUTER_LOGITS || kind == CORE_TAP_ROUTER_PROBS)
        return col;
    const int64_t n_k = p->routing.n_k;
    const bool by_row = tap->extent.n_k > 1 && tap->extent.n_k == n_k;
    if (!by_row && kind != CORE_TAP_TOPK_WEIGHT && kind != CORE_TAP_SLOT)
        return -1;
    har__golden_ids(p->routing.idx, row / tap->extent.n_k, p->ids);
    return by_row ? p->ids[row % n_k] : col < n_k ? p->ids[col] : -1;
}

/* Weights of experts that are known: they follow their expert. */
static bool holds_weights(const har__pass *p, const har_yard_tap *tap,
                          int64_t row)
{
    const har__routing *r = &p->routing;
    return is_weight(tap) && r->idx != NULL &&
           r->is_known[row / tap->extent.n_k] && r->n_k == tap->extent.n_col;
}

/* The largest first. */
static void sort(double *x, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        const double key = x[i];
        int64_t at = i;
        for (; at > 0 && x[at - 1] < key; at--)
            x[at] = x[at - 1];
        x[at] = key;
    }
}

/* Compare found[] with expected[]; weights follow their expert. */
static har_diff compare_row(har__pass *p, const har_yard_tap *tap, int64_t row,
                            double allowed)
{
    const har__routing *r = &p->routing;
    har_diff diff;
    const har_rule rule = {tap->tolerance != NULL || tap->flat_tolerance > 0.0
                               ? HAR_RULE_TOLERANCE
                               : HAR_RULE_BITS,
                           allowed};
    const bool is_known =
        r->idx != NULL && r->is_known[row / tap->extent.n_k];
    har_diff_init(&diff);
    if (is_weight(tap) && !is_known && !p->judged->forced_routing) {
        sort(p->expected, tap->extent.n_col);
        sort(p->found, tap->extent.n_col);
    }
    if (holds_weights(p, tap, row)) {
        har__golden_ids(r->idx, row, p->ids);
        har_diff_row_topk(&diff, rule, row, r->n_k, p->ids,
                          r->found + row * r->n_k, p->expected, p->found);
    } else {
        har_diff_row(&diff, rule, row, 0, tap->extent.n_col, p->expected,
                     p->found, NULL);
    }
    return diff;
}

/* The root mean square error of the row: false if it is too large. */
static bool judge_rms(har__pass *p, const har_yard_tap *tap, int64_t row,
                      const har_diff *diff, har_spot *spot)
{
    const double n = (double)tap->extent.n_col;
    spot->allowed_rms = har_yardstick_allowed_rms(tap, row);
    spot->rms = sqrt(diff->sum_sq_error / n);
    if (tap->rms_tolerance == NULL)
        return true;
    p->sum_allowed += n * spot->allowed_rms * spot->allowed_rms;
    if (spot->rms == 0.0)
        return true;
    const double ratio = spot->rms / spot->allowed_rms;
    spot->ratio = ratio <= spot->ratio ? spot->ratio : ratio;
    return ratio <= 1.0;
}

/* Judge the row in found[]: false if it is bad. */
bool har__judge_row(har__pass *p, int64_t i_tap, int64_t row, har_spot *spot,
                    har_diff *sum)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const double allowed = har_yardstick_allowed(tap, row);
    const har_diff diff = compare_row(p, tap, row, allowed);
    const har_element *e =
        diff.n_bad > 0 && !(diff.worst_score > 0.0) ? &diff.first : &diff.worst;
    spot->col = e->col;
    spot->expected = e->expected;
    spot->found = e->found;
    spot->allowed = e->allowed;
    spot->ratio = diff.worst_score;
    if (diff.n_bad > 0 && !(e->allowed > 0.0 && diff.worst_score > 1.0))
        spot->ratio = (double)INFINITY;
    spot->head = head_of(p, tap, e->col);
    spot->expert = expert_of(p, tap, row, e->col);
    spot->file = p->dump->piece[p->owner[e->col]].file;
    if (!is_weight(tap))
        har__grade_row(p, tap, allowed);
    sum->sum_sq_error += diff.sum_sq_error;
    sum->sum_sq_expected += diff.sum_sq_expected;
    return judge_rms(p, tap, row, &diff, spot) && diff.n_bad == 0;
}

/* The golden's experts in any order become those in its order; others stay in
 * theirs, which may tell what they are instead. */
static void sort_ids(har__pass *p, int64_t n_k)
{
    for (int64_t j = 0; j < n_k; j++) {
        int64_t k = 0;
        while (k < n_k && p->found[k] != p->expected[j])
            k++;
        if (k == n_k)
            return;
    }
    memcpy(p->found, p->expected, (size_t)n_k * sizeof *p->found);
}

bool har__by_expert(har__pass *p, const har_yard_tap *tap, int64_t row)
{
    const har__routing *r = &p->routing;
    if (tap->name.is_tap && tap->name.tap.kind == CORE_TAP_TOPK_IDX)
        sort_ids(p, tap->extent.n_col);
    if (!holds_weights(p, tap, row))
        return !is_weight(tap) || p->judged->forced_routing;
    har__golden_ids(r->idx, row, p->ids);
    memcpy(p->tmp, p->found, (size_t)r->n_k * sizeof *p->tmp);
    for (int64_t j = 0; j < r->n_k; j++) {
        int64_t at = 0;
        while (at < r->n_k && r->found[row * r->n_k + at] != p->ids[j])
            at++;
        if (at == r->n_k)
            return false;
        p->found[j] = p->tmp[at];
    }
    return true;
}
