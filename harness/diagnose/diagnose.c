/* harness/diagnose/diagnose.c -- trying signatures one by one, see diagnose.h.
 *
 * A case is cut down to rows that differ and, when a guess is judged, to columns
 * in which any of them does: a mistake of one rank shows in its part alone.
 * Traps: a guess that predicts the expected values explains nothing, and one that
 * was fitted to every row fits much; so those with less to fit are preferred, and
 * what is left is held against rounding element by element.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_ELEMENTS = 6 }; /* fewer are no evidence                           */

/* A larger tap is not read whole: no moves are looked for.                   */
static const int64_t max_whole = INT64_C(1) << 22;

/* --- the signatures --- */

typedef struct signature {
    const char *name;
    har__try *try_it;
    int n_fitted; /* 0 nothing, 1 a number or some names, 2 a map or a number of
                   * each part, 3 a number of each row or column             */
} signature;

static const signature signatures[] = {
    {"nonfinite", har__try_nonfinite, 0},
    {"zeros", har__try_zeros, 0},
    {"maximum", har__try_maximum, 0},
    {"rounded", har__try_rounded, 0},
    {"truncated", har__try_truncated, 0},
    {"ratio", har__try_ratio, 1},
    {"row_ratios", har__try_row_ratios, 3},
    {"column_ratios", har__try_column_ratios, 3},
    {"bias", har__try_bias, 1},
    {"same_offset", har__try_same_offset, 2},
    {"addend", har__try_addend, 1},
    {"other_tap", har__try_other_tap, 0},
    {"shift", har__try_shift, 0},
    {"sequence_first", har__try_sequence_first, 0},
    {"reversed", har__try_reversed, 0},
    {"batch_rows", har__try_batch_rows, 1},
    {"stale", har__try_stale, 2},
    {"rows", har__try_rows, 2},
    {"transposed", har__try_transposed, 0},
    {"axes", har__try_axes, 0},
    {"roll", har__try_roll, 1},
    {"columns", har__try_columns, 2},
    {"act", har__try_act, 0},
    {"gate_up", har__try_gate_up, 0},
    {"norm_weight", har__try_norm_weight, 0},
    {"eps", har__try_eps, 0},
    {"norm_kind", har__try_norm_kind, 0},
    {"norm_share", har__try_norm_share, 0},
    {"pairs", har__try_pairs, 0},
    {"position", har__try_position, 1},
    {"rope_sign", har__try_rope_sign, 0},
    {"theta", har__try_theta, 0},
    {"scores", har__try_scores, 0},
    {"renormalised", har__try_renormalised, 0},
    {"ids", har__try_ids, 1},
    {"combine", har__try_combine, 0},
    {"mask", har__try_mask, 0},
    {"score_scale", har__try_score_scale, 0},
    {"kv_heads", har__try_kv_heads, 0},
    {"weights", har__try_weights, 1},
    {"input", har__try_input, 0},
    {"untransposed", har__try_untransposed, 0},
    {"parts", har__try_parts, 2},
    {"setting", har__try_setting, 1},
};

enum { N_SIGNATURE = sizeof signatures / sizeof *signatures };

const char *har_signature_name(int i)
{
    return i >= 0 && i < N_SIGNATURE ? signatures[i].name : NULL;
}

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

static void free_rooms(har__case *c)
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

typedef struct buffers { /* the case's own, to be written                    */
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

static void make_case(har__case *c, const har_scene *s)
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

/* --- words --- */

static void say_where(const har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const har_scene *s = c->scene;
    int64_t first = 0, last = c->n_col - 1;
    int used = 0;
    text[0] = '\0';
    if (c->n < s->n_seen)
        used = snprintf(text, HAR_LIKENESS_TEXT, "in %lld of %lld rows",
                        (long long)c->n, (long long)s->n_seen);
    if (c->n_bad_col == c->n_col)
        return;
    while (!c->is_bad[first])
        first++;
    while (!c->is_bad[last])
        last--;
    const char *comma = used > 0 ? ", " : "in ";
    if (last - first + 1 == c->n_bad_col)
        snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                 "%scolumns %lld to %lld", comma, (long long)(s->col0 + first),
                 (long long)(s->col0 + last));
    else
        snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                 "%s%lld of %lld columns", comma, (long long)c->n_bad_col,
                 (long long)c->n_col);
}

/* --- all of them --- */

/* Numbers of experts and slots are not computed: they have their own.        */
static bool is_for(const signature *s, const har__case *c)
{
    const bool is_int =
        c->scene->is_tap && core_tap_grid(c->scene->tap.kind) == CORE_GRID_INT;
    return !is_int || s->try_it == har__try_ids;
}

static void try_all(har_diagnosis *out, har__case *c)
{
    int n_fitted = INT32_MAX;
    for (int i = 0; i < N_SIGNATURE; i++) {
        char text[HAR_LIKENESS_TEXT] = "";
        if (signatures[i].n_fitted > n_fitted || !is_for(&signatures[i], c))
            continue;
        memset(c->skip, 0, (size_t)c->n * sizeof *c->skip);
        if (!signatures[i].try_it(c, text))
            continue;
        if (signatures[i].n_fitted < n_fitted)
            out->n = 0;
        n_fitted = signatures[i].n_fitted;
        if (out->n == HAR_MAX_LIKENESSES)
            continue;
        har_likeness *l = &out->likeness[out->n++];
        l->signature = i;
        l->explained = c->explained;
        memcpy(l->text, text, sizeof text);
    }
}

void har_diagnose(har_diagnosis *out, const har_scene *scene)
{
    har__case c;
    memset(out, 0, sizeof *out);
    make_case(&c, scene);
    if (c.n > 0) {
        try_all(out, &c);
        say_where(&c, out->where);
    }
    free_rooms(&c);
}
