/* harness/diagnose/move_columns.c -- columns, or elements, at the wrong place.
 *
 * Axes exchanged in memory, columns shifted, heads or experts in another order.
 * A map of columns that no rule gives is looked for column by column: each must
 * be one column only, in two rows at least.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- axes --- */

/* Where element i of a dump in other axes comes from: an index of the tap. */
typedef struct axes {
    int64_t n_row, n_col, n_t, n_head;
} axes;
typedef int64_t rule(const axes *a, int64_t i);

/* [columns, rows] */
static int64_t columns_first(const axes *a, int64_t i)
{
    return i % a->n_row * a->n_col + i / a->n_row;
}

/* [B, columns, T] */
static int64_t positions_last(const axes *a, int64_t i)
{
    const int64_t n = a->n_t * a->n_col, b = i / n;
    return b * n + i % n % a->n_t * a->n_col + i % n / a->n_t;
}

/* [B, heads, T, head size] */
static int64_t heads_first(const axes *a, int64_t i)
{
    const int64_t n = a->n_t * a->n_col, n_d = a->n_col / a->n_head;
    const int64_t h = i % n / (a->n_t * n_d), t = i % n / n_d % a->n_t;
    return i / n * n + t * a->n_col + h * n_d + i % n_d;
}

/* [..., head size, heads] */
static int64_t heads_last(const axes *a, int64_t i)
{
    const int64_t j = i % a->n_col, n_d = a->n_col / a->n_head;
    return i - j + j % a->n_head * n_d + j / a->n_head;
}

static bool obeys(har__case *c, const axes *a, rule *from)
{
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++)
            c->guess[i * c->n_col + j] =
                c->whole[from(a, c->row[i] * a->n_col + c->scene->col0 + j)];
    return har__accepts(c);
}

static axes axes_of(const har__case *c)
{
    const har_scene *s = c->scene;
    const bool has_tokens = s->n_b > 0 && s->n_row == s->n_b * s->n_t;
    const int64_t n_head =
        s->spec != NULL && s->is_tap ? core_tap_heads(s->spec, s->tap) : 0;
    return (axes){s->n_row, s->n_col, has_tokens ? s->n_t : 0,
                  n_head > 1 && s->n_col % n_head == 0 ? n_head : 0};
}

bool har__try_transposed(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const axes a = axes_of(c);
    if (c->whole == NULL || a.n_row < 2 || a.n_col < 2)
        return false;
    if (obeys(c, &a, columns_first)) {
        snprintf(text, HAR_LIKENESS_TEXT,
                 "transposed: [columns, tokens] for [tokens, columns]");
        return true;
    }
    snprintf(text, HAR_LIKENESS_TEXT,
             "transposed: [rows, columns, positions] for [rows, positions, "
             "columns]");
    return a.n_t > 1 && a.n_t < a.n_row && obeys(c, &a, positions_last);
}

bool har__try_axes(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const axes a = axes_of(c);
    if (c->whole == NULL || a.n_head == 0)
        return false;
    if (a.n_t > 1 && obeys(c, &a, heads_first)) {
        snprintf(text, HAR_LIKENESS_TEXT,
                 "heads before positions: [rows, heads, positions, head size] "
                 "for [rows, positions, heads, head size]");
        return true;
    }
    snprintf(text, HAR_LIKENESS_TEXT,
             "heads interleaved: [head size, heads] for [heads, head size]");
    return obeys(c, &a, heads_last);
}

/* --- columns --- */

/* Whole rows of the case as they should be. */
static const double *read_rows(har__case *c)
{
    const har_scene *s = c->scene;
    double *out = har__room(c, c->n * s->n_col);
    for (int64_t i = 0; out != NULL && i < c->n; i++)
        s->expected(s->self, c->row[i], out + i * s->n_col);
    return out;
}

/* Sum of squares between what column j holds and the tap's column `from`;
 * infinite beyond rounding. */
static double distance(const har__case *c, const double *rows, int64_t j,
                       int64_t from)
{
    double sum = 0.0;
    for (int64_t i = 0; i < c->n; i++) {
        const double error =
            c->found[i * c->n_col + j] - rows[i * c->scene->n_col + from];
        if (!(fabs(error) <= c->tolerance[i]))
            return INFINITY;
        sum += error * error;
    }
    return sum;
}

static void take_column(har__case *c, const double *rows, int64_t j,
                        int64_t from)
{
    for (int64_t i = 0; i < c->n; i++)
        c->guess[i * c->n_col + j] = rows[i * c->scene->n_col + from];
}

/* All bad columns hold those `by` before them, around the end or, of one in ten
 * at most, of nobody knows what. */
static bool is_rolled(har__case *c, const double *rows, int64_t by, bool around)
{
    const int64_t n = c->scene->n_col;
    int64_t n_lost = 0;
    for (int64_t j = 0; j < c->n_col; j++) {
        const int64_t from = c->scene->col0 + j - by;
        const bool is_inside = from >= 0 && from < n;
        if (!c->is_bad[j])
            continue;
        if (is_inside || around) {
            const int64_t at = (from + n) % n;
            if (isinf(distance(c, rows, j, at)))
                return false;
            take_column(c, rows, j, at);
            continue;
        }
        n_lost++;
        for (int64_t i = 0; i < c->n; i++)
            c->guess[i * c->n_col + j] = c->found[i * c->n_col + j];
    }
    return 10 * n_lost <= c->n_bad_col && har__accepts(c);
}

static void say_roll(const har__case *c, int64_t by, char *text)
{
    const axes a = axes_of(c);
    const int64_t width = a.n_head > 0 ? a.n_col / a.n_head : 1;
    const bool is_heads = width > 1 && by % width == 0;
    const int64_t unit = is_heads ? width : 1;
    const int64_t col0 = c->scene->col0 / unit, n = (by > 0 ? by : -by) / unit;
    snprintf(text, HAR_LIKENESS_TEXT,
             "%s are shifted by %lld: %s %lld holds that of %lld",
             is_heads ? "heads" : "columns", (long long)n,
             is_heads ? "head" : "column", (long long)(col0 + (by > 0 ? n : 0)),
             (long long)(col0 + (by > 0 ? 0 : n)));
}

bool har__try_roll(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const double *rows = c->n_bad_col > 2 ? read_rows(c) : NULL;
    const int64_t n = c->scene->n_col;
    for (int64_t i = 2; rows != NULL && i < 2 * n; i++) { /* 1, -1, 2, ... */
        const int64_t by = i % 2 == 0 ? i / 2 : -(i / 2);
        if (!is_rolled(c, rows, by, true) && !is_rolled(c, rows, by, false))
            continue;
        say_roll(c, by, text);
        return true;
    }
    return false;
}

static bool are_same(const har__case *c, const double *rows, int64_t a,
                     int64_t b)
{
    const int64_t n = c->scene->n_col;
    for (int64_t i = 0; i < c->n; i++)
        if (rows[i * n + a] != rows[i * n + b])
            return false;
    return true;
}

/* The column that j holds, the first of those that are the same; -1: none that
 * is nearer than any other by far. */
static int64_t look_for(const har__case *c, const double *rows, int64_t j)
{
    double best = INFINITY, second = INFINITY;
    int64_t at = -1;
    for (int64_t from = 0; from < c->scene->n_col; from++) {
        const double d = distance(c, rows, j, from);
        if (isinf(d) || (at >= 0 && are_same(c, rows, at, from)))
            continue;
        second = fmin(second, fmax(d, best));
        at = d < best ? from : at;
        best = fmin(best, d);
    }
    return har__is_clear(best, second) ? at : -1;
}

/* "heads are permuted: 0 holds that of 3, 1 ...".  False: columns of a block do
 * not stay together. */
static bool say_blocks(const har__case *c, const int64_t *source, int64_t width,
                       const char *what, char *text)
{
    int used = snprintf(text, HAR_LIKENESS_TEXT, "%s are permuted:", what);
    int n = 0;
    for (int64_t j = 0; j < c->n_col; j++) {
        const int64_t col = c->scene->col0 + j, from = source[j];
        if (from < 0)
            continue;
        if (from % width != col % width)
            return false;
        if (col % width == 0 && from != col && n++ < 6)
            used +=
                snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                         "%s %lld holds that of %lld", n > 1 ? "," : "",
                         (long long)(col / width), (long long)(from / width));
    }
    if (n > 6)
        snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used, ", ...");
    return n > 0;
}

static void say_columns(const har__case *c, const int64_t *source, char *text)
{
    const axes a = axes_of(c);
    if (a.n_head > 0 &&
        say_blocks(c, source, a.n_col / a.n_head, "heads", text))
        return;
    const bool is_router = har__is_kind(c, CORE_TAP_ROUTER_LOGITS) ||
                           har__is_kind(c, CORE_TAP_ROUTER_PROBS);
    (void)say_blocks(c, source, 1, is_router ? "experts" : "columns", text);
}

bool har__try_columns(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const int64_t most = INT64_C(1) << 24; /* pairs of columns                */
    int64_t n = 0;
    if (c->n < 2 || c->n_bad_col < 2 || c->scene->n_col > most / c->n_bad_col)
        return false;
    const double *rows = read_rows(c);
    int64_t *source = (int64_t *)har__room(c, c->n_col);
    if (rows == NULL || source == NULL)
        return false;
    for (int64_t j = 0; j < c->n_col; j++) {
        source[j] = c->is_bad[j] ? look_for(c, rows, j) : -1;
        n += source[j] >= 0;
        if (c->is_bad[j] && source[j] < 0)
            return false;
        if (source[j] >= 0)
            take_column(c, rows, j, source[j]);
    }
    if (n == 0 || !har__accepts(c))
        return false;
    say_columns(c, source, text);
    return true;
}
