/* harness/diagnose/move_rows.c -- rows at the wrong place.
 *
 * Where a rule says which row should have been found (shifted, reversed, axes
 * exchanged), it is tried on all rows.  Else the row that was found is looked
 * for among all: it must be one only, and then the map from rows to rows is
 * described.  A row without a source under a rule is left out.
 */
#include "harness/diagnose/impl.h"

#include "core/pass/batch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- tokens --- */

/* Rows are tokens of a batch that is known. */
static bool has_tokens(const har__case *c)
{
    const har_scene *s = c->scene;
    return c->whole != NULL && s->n_b > 0 && s->n_t > 0 &&
           s->n_row == s->n_b * s->n_t * har__n_choice(c);
}

/* Row and position of the batch of row i of the tap, and back. */
typedef struct place {
    int64_t b, t, k;
} place;

static place place_of(const har__case *c, int64_t row)
{
    const int64_t k = har__n_choice(c), token = row / k;
    return (place){token / c->scene->n_t, token % c->scene->n_t, row % k};
}

static int64_t row_of(const har__case *c, place p)
{
    const har_scene *s = c->scene;
    if (p.b < 0 || p.b >= s->n_b || p.t < 0 || p.t >= s->n_t)
        return -1;
    return (p.b * s->n_t + p.t) * har__n_choice(c) + p.k;
}

static void take_row(har__case *c, int64_t i, int64_t source)
{
    const har_scene *s = c->scene;
    memcpy(c->guess + i * c->n_col, c->whole + source * s->n_col + s->col0,
           (size_t)c->n_col * sizeof *c->guess);
}

/* --- rules --- */

/* Place that is found at p; a place outside the batch: nothing is known. */
typedef place rule(const har__case *c, place p, int64_t by);

static bool obeys(har__case *c, rule *from, int64_t by)
{
    if (!has_tokens(c) || c->n < 2)
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t source = row_of(c, from(c, place_of(c, c->row[i]), by));
        c->skip[i] = source < 0;
        if (source >= 0)
            take_row(c, i, source);
    }
    return har__accepts(c);
}

static place shifted(const har__case *c, place p, int64_t by)
{
    (void)c;
    return (place){p.b, p.t - by, p.k};
}

bool har__try_shift(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const int64_t most = c->scene->n_t < 64 ? c->scene->n_t / 2 : 32;
    for (int64_t by = 1; by <= most; by++)
        for (int sign = 1; sign >= -1; sign -= 2)
            if (obeys(c, shifted, sign * by)) {
                snprintf(text, HAR_LIKENESS_TEXT,
                         "shifted by %lld position%s: found are the values of "
                         "%s one%s",
                         (long long)by, by == 1 ? "" : "s",
                         sign > 0 ? "an earlier" : "a later",
                         by == 1 ? "" : " that far away");
                return true;
            }
    return false;
}

/* [T, B, ...] where [B, T, ...] was to be, in each of `n` groups of rows. */
static place sequence_first(const har__case *c, place p, int64_t n)
{
    const int64_t n_b = c->scene->n_b, n_t = c->scene->n_t;
    int64_t i = 0;
    while (core_split_first(n_b, n, i + 1) <= p.b)
        i++;
    const int64_t b0 = core_split_first(n_b, n, i);
    const int64_t n_in_group = core_split_first(n_b, n, i + 1) - b0;
    const int64_t at = (p.b - b0) * n_t + p.t;
    return (place){b0 + at % n_in_group, at / n_in_group, p.k};
}

/* [B, T, ...] read as if it were [T, B, ...]. */
static place batch_first(const har__case *c, place p, int64_t n)
{
    (void)n;
    const int64_t at = p.t * c->scene->n_b + p.b;
    return (place){at / c->scene->n_t, at % c->scene->n_t, p.k};
}

bool har__try_sequence_first(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    snprintf(text, HAR_LIKENESS_TEXT,
             "batch first, taken for sequence first (bsh for sbh)");
    if (c->scene->n_b > 1 && c->scene->n_b != c->scene->n_t &&
        obeys(c, batch_first, 0))
        return true;
    for (int64_t n = 1; n < c->scene->n_b; n++)
        if (obeys(c, sequence_first, n)) {
            snprintf(text, HAR_LIKENESS_TEXT,
                     "sequence first: rows of the batch and positions are "
                     "exchanged (sbh for bsh)%s",
                     n > 1 ? " within each group of rows" : "");
            return true;
        }
    return false;
}

static place mirrored(const har__case *c, place p, int64_t by)
{
    (void)by;
    return (place){p.b, c->scene->n_t - 1 - p.t, p.k};
}

bool har__try_reversed(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    snprintf(text, HAR_LIKENESS_TEXT, "positions are in reverse order");
    return obeys(c, mirrored, 0);
}

/* --- looking for rows --- */

/* Sum of squares between what row i holds and a row of the tap; infinite beyond
 * rounding. */
static double distance(const har__case *c, int64_t i, int64_t source)
{
    const double *there = c->whole + source * c->scene->n_col + c->scene->col0;
    double sum = 0.0;
    for (int64_t j = 0; j < c->n_col; j++) {
        const double error = c->found[i * c->n_col + j] - there[j];
        if (!c->is_bad[j])
            continue;
        if (!(fabs(error) <= c->tolerance[i]))
            return INFINITY;
        sum += error * error;
    }
    return sum;
}

/* Do two rows of the tap hold the same? */
static bool are_same(const har__case *c, int64_t a, int64_t b)
{
    const int64_t n = c->scene->n_col;
    return memcmp(c->whole + a * n, c->whole + b * n,
                  (size_t)n * sizeof *c->whole) == 0;
}

/* Is source in the same position as row? */
static bool is_there(const har__case *c, int64_t source, int64_t row)
{
    return has_tokens(c) && place_of(c, source).t == place_of(c, row).t;
}

/* The row that row i holds, -1: none.  It must be nearer than any other by far,
 * unless both are the same: then it is the one in row i's position.          */
static int64_t look_for(const har__case *c, int64_t i)
{
    double best = INFINITY, second = INFINITY;
    int64_t at = -1;
    for (int64_t r = 0; r < c->scene->n_row; r++) {
        const double d = distance(c, i, r);
        if (isinf(d))
            continue;
        if (at >= 0 && are_same(c, at, r)) {
            at = is_there(c, r, c->row[i]) ? r : at;
            continue;
        }
        second = fmin(second, fmax(d, best));
        at = d < best ? r : at;
        best = fmin(best, d);
    }
    return har__is_clear(best, second) ? at : -1;
}

/* Fill source[]; true if nearly every row was found elsewhere. */
static bool find_rows(har__case *c)
{
    enum { MIN_COLUMNS = 3 };
    const int64_t most_pairs = INT64_C(1) << 28;
    if (c->has_source < 0) {
        int64_t n = 0;
        c->has_source = 0;
        if (c->whole == NULL || c->n_bad_col < MIN_COLUMNS ||
            c->scene->n_row > most_pairs / c->n)
            return false;
        for (int64_t i = 0; i < c->n; i++) {
            c->source[i] = look_for(c, i);
            n += c->source[i] >= 0;
        }
        c->has_source = n > 0 && 20 * n >= 19 * c->n;
    }
    if (c->has_source == 0)
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        c->skip[i] = c->source[i] < 0;
        if (c->source[i] >= 0)
            take_row(c, i, c->source[i]);
    }
    return har__accepts(c);
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Is no row found twice? */
static bool is_one_to_one(har__case *c)
{
    int64_t *sorted = (int64_t *)har__room(c, c->n);
    if (sorted == NULL)
        return false;
    memcpy(sorted, c->source, (size_t)c->n * sizeof *sorted);
    qsort(sorted, (size_t)c->n, sizeof *sorted, by_value);
    for (int64_t i = 1; i < c->n; i++)
        if (sorted[i] == sorted[i - 1])
            return false;
    return true;
}

/* "row 1, position 3"; of a tap of choices with the choice. */
static const char *say_row(const har__case *c, int64_t row, char text[96])
{
    if (!has_tokens(c)) {
        snprintf(text, 96, "row %lld", (long long)row);
        return text;
    }
    const place p = place_of(c, row);
    if (har__n_choice(c) == 1)
        snprintf(text, 96, "row %lld position %lld", (long long)p.b,
                 (long long)p.t);
    else
        snprintf(text, 96, "row %lld position %lld choice %lld", (long long)p.b,
                 (long long)p.t, (long long)p.k);
    return text;
}

/* Whole rows of the batch changed places: b alone, and always to the same. */
bool har__try_batch_rows(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    if (!has_tokens(c) || c->scene->n_b < 2 || c->scene->n_t < 2 ||
        !find_rows(c))
        return false;
    int64_t *of = (int64_t *)har__room(c, c->scene->n_b);
    if (of == NULL)
        return false;
    for (int64_t b = 0; b < c->scene->n_b; b++)
        of[b] = -1;
    int64_t used = 0;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->source[i] < 0)
            continue;
        const place to = place_of(c, c->row[i]);
        const place from = place_of(c, c->source[i]);
        if (from.t != to.t || from.k != to.k ||
            (of[to.b] >= 0 && of[to.b] != from.b))
            return false;
        if (of[to.b] < 0 && used < HAR_LIKENESS_TEXT / 2) {
            used +=
                snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                         "%s%lld holds %lld",
                         used == 0 ? "rows of the batch are exchanged: " : ", ",
                         (long long)to.b, (long long)from.b);
        }
        of[to.b] = from.b;
    }
    return true;
}

bool har__try_stale(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    char here[96], there[96];
    if (!find_rows(c) || (c->n > 1 && is_one_to_one(c)))
        return false;
    int64_t i = 0;
    while (c->source[i] < 0)
        i++;
    snprintf(text, HAR_LIKENESS_TEXT,
             "rows hold what other rows hold too, as if stale or repeated: %s "
             "that of %s",
             say_row(c, c->row[i], here), say_row(c, c->source[i], there));
    return true;
}

bool har__try_rows(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    char here[96], there[96];
    if (c->n < 2 || !find_rows(c) || !is_one_to_one(c))
        return false;
    int64_t i = 0;
    while (c->source[i] < 0)
        i++;
    snprintf(text, HAR_LIKENESS_TEXT, "rows are permuted: %s holds that of %s",
             say_row(c, c->row[i], here), say_row(c, c->source[i], there));
    return true;
}
