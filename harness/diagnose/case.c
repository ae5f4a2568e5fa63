/* harness/diagnose/case.c -- a case, and how a guess is judged.
 *
 * A case is cut down to rows that differ and, when a guess is judged, to
 * columns in which any of them does: a mistake of one rank shows in its part
 * alone. Traps: a guess that predicts the expected values explains nothing; and
 * what is left is held against rounding element by element, or a sum would hide
 * it.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_ELEMENTS = 6 }; /* fewer are no evidence                           */

/* A larger tap is not read whole: no moves are looked for.                   */
static const int64_t max_whole = INT64_C(1) << 22;

/* --- buffers --- */

struct har__room {
    struct har__room *next;
    double values[];
};

double *har__room(har__case *c, int64_t n)
{
    struct har__room *room =
        malloc(sizeof *room + (size_t)n * sizeof *room->values);
    if (room == NULL) {
        c->is_full = true;
        return NULL;
    }
    room->next = c->room;
    c->room = room;
    return room->values;
}

void har__case_free(har__case *c)
{
    while (c->room != NULL) {
        struct har__room *next = c->room->next;
        free(c->room);
        c->room = next;
    }
}

/* --- other values --- */

bool har__is_kind(const har__case *c, core_tap_kind kind)
{
    return c->scene->spec != NULL && c->scene->is_tap &&
           c->scene->tap.kind == kind;
}

int64_t har__n_choice(const har__case *c)
{
    const har_scene *s = c->scene;
    return s->is_tap && s->spec != NULL &&
                   core_tap_row_kind(s->tap.kind) == CORE_ROWS_CHOICE
               ? s->spec->n_k
               : 1;
}

core_tap har__beside(const har__case *c, core_tap_kind kind)
{
    return (core_tap){kind, c->scene->tap.layer};
}

const double *har__tap_rows(har__case *c, core_tap tap)
{
    const har_scene *s = c->scene;
    const int64_t n_col = s->n_col_of(s->self, tap);
    if (n_col <= 0 || c->n > max_whole / n_col)
        return NULL;
    double *out = har__room(c, c->n * n_col);
    for (int64_t i = 0; out != NULL && i < c->n; i++)
        s->read(s->self, tap, c->row[i], out + i * n_col);
    return out;
}

const double *har__tap_whole(har__case *c, core_tap tap)
{
    const har_scene *s = c->scene;
    const int64_t n_col = s->n_col_of(s->self, tap);
    const int64_t n_row =
        s->n_b * s->n_t *
        (core_tap_row_kind(tap.kind) == CORE_ROWS_CHOICE ? s->spec->n_k : 1);
    if (n_col <= 0 || n_row <= 0 || n_row > max_whole / n_col)
        return NULL;
    double *out = har__room(c, n_row * n_col);
    for (int64_t i = 0; out != NULL && i < n_row; i++)
        s->read(s->self, tap, i, out + i * n_col);
    return out;
}

const double *har__weight_of(har__case *c, core_weight weight)
{
    const har_scene *s = c->scene;
    int64_t n_row, n_col;
    if (s->weights == NULL || s->spec == NULL ||
        !core_weight_exists(s->spec, weight))
        return NULL;
    core_weight_shape(s->spec, weight, &n_row, &n_col);
    double *out = har__room(c, n_row * n_col);
    if (out != NULL)
        core_weights_read(s->weights, weight, 0, n_row, 0, n_col, out, n_col);
    return out;
}

void har__store(har__case *c)
{
    core_store(c->scene->numerics, core_tap_grid(c->scene->tap.kind), c->guess,
               c->n * c->n_col);
}

/* --- judging a guess --- */

/* What rounding may leave of a guess in row i: the larger, the more.         */
static double left_over(const har__case *c, int64_t i)
{
    double expected = 0.0, guess = 0.0;
    for (int64_t j = 0; j < c->n_col; j++)
        if (c->is_bad[j]) {
            expected = fmax(expected, fabs(c->expected[i * c->n_col + j]));
            guess = fmax(guess, fabs(c->guess[i * c->n_col + j]));
        }
    return c->tolerance[i] *
           (guess > expected && expected > 0.0 ? guess / expected : 1.0);
}

bool har__accepts(har__case *c)
{
    double before = 0.0, after = 0.0;
    int64_t n_element = 0, n_row = 0;
    for (int64_t i = 0; i < c->n; i++) {
        if (c->skip[i])
            continue;
        const double most = left_over(c, i);
        n_row++;
        for (int64_t j = 0; j < c->n_col; j++) {
            const int64_t at = i * c->n_col + j;
            if (!c->is_bad[j])
                continue;
            const double was = c->found[at] - c->expected[at];
            const double is = c->found[at] - c->guess[at];
            if (!(fabs(is) <= most))
                return false;
            before += was * was;
            after += is * is;
            n_element++;
        }
    }
    if (2 * n_row < c->n || n_element < MIN_ELEMENTS ||
        !(after <= 0.01 * before))
        return false;
    c->explained = 1.0 - after / before;
    return true;
}

bool har__is_expected(const har__case *c)
{
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++) {
            const int64_t at = i * c->n_col + j;
            if (!(fabs(c->guess[at] - c->expected[at]) <= c->tolerance[i]))
                return false;
        }
    return true;
}

bool har__is_clear(double best, double second)
{
    return isfinite(best) && best <= 0.01 * second && second > 0.0;
}

/* --- the case --- */

/* What storing may part two right values by, integers by nothing. */
static double grain(const har_scene *s, double largest)
{
    const core_grid grid =
        s->is_tap ? core_tap_grid(s->tap.kind) : CORE_GRID_ACT;
    if (grid == CORE_GRID_INT)
        return 0.0;
    if (s->numerics != CORE_EXACT)
        return core_store_roundoff(s->numerics) * largest;
    return grid == CORE_GRID_PROB ? CORE_STEP_PROB : CORE_STEP_ACT;
}

static bool differs(const har_scene *s, int64_t i, int64_t j,
                    const double *expected)
{
    const double was = s->found[i * s->n_found_col + j] - expected[s->col0 + j];
    return !(fabs(was) <= s->allowed[i]);
}

typedef struct buffers { /* the case's own, to be written                     */
    int64_t *row, *source;
    double *found, *expected, *tolerance, *guess, *line;
    bool *is_bad, *skip;
} buffers;

/* Take over row i if it differs. */
static void take_row(har__case *c, const buffers *b, int64_t i)
{
    const har_scene *s = c->scene;
    double largest = 0.0;
    bool any = false;
    s->expected(s->self, s->row[i], b->line);
    for (int64_t j = 0; j < c->n_col; j++) {
        const bool bad = differs(s, i, j, b->line);
        any |= bad;
        b->is_bad[j] |= bad;
        largest = fmax(largest, fabs(b->line[s->col0 + j]));
    }
    if (!any)
        return;
    const size_t bytes = (size_t)c->n_col * sizeof(double);
    memcpy(b->expected + c->n * c->n_col, b->line + s->col0, bytes);
    memcpy(b->found + c->n * c->n_col, s->found + i * c->n_col, bytes);
    b->row[c->n] = s->row[i];
    b->tolerance[c->n++] = 2.0 * (s->allowed[i] + grain(s, largest));
}

static const double *read_whole(har__case *c)
{
    const har_scene *s = c->scene;
    if (s->n_row > max_whole / s->n_col)
        return NULL;
    double *out = har__room(c, s->n_row * s->n_col);
    for (int64_t i = 0; out != NULL && i < s->n_row; i++)
        s->expected(s->self, i, out + i * s->n_col);
    return out;
}

static void *room_of(har__case *c, int64_t n, size_t bytes)
{
    void *p = har__room(c, (n * (int64_t)bytes + 7) / 8);
    if (p != NULL)
        memset(p, 0, (size_t)n * bytes);
    return p;
}

void har__case_make(har__case *c, const har_scene *s)
{
    const int64_t n = s->n_found, n_col = s->n_found_col;
    memset(c, 0, sizeof *c);
    c->scene = s;
    c->n_col = n_col;
    c->has_source = c->is_product = -1;
    const buffers b = {.row = room_of(c, n, sizeof(int64_t)),
                       .source = room_of(c, n, sizeof(int64_t)),
                       .found = har__room(c, n * n_col),
                       .expected = har__room(c, n * n_col),
                       .tolerance = har__room(c, n),
                       .guess = har__room(c, n * n_col),
                       .line = har__room(c, s->n_col),
                       .is_bad = room_of(c, n_col, sizeof(bool)),
                       .skip = room_of(c, n, sizeof(bool))};
    if (c->is_full)
        return;
    c->row = b.row;
    c->source = b.source;
    c->found = b.found;
    c->expected = b.expected;
    c->tolerance = b.tolerance;
    c->guess = b.guess;
    c->is_bad = b.is_bad;
    c->skip = b.skip;
    for (int64_t i = 0; i < n; i++)
        take_row(c, &b, i);
    for (int64_t j = 0; j < n_col; j++)
        c->n_bad_col += c->is_bad[j];
    c->whole = read_whole(c);
}
