/* harness/judge/place.c -- see place.h.
 *
 * A tensor with three dimensions says how its rows fall apart into batch and
 * positions; one with two does not, so there the place must say it: [n, c] is
 * read as n_b x n_t (x n_k) in the stated order of axes.  Traps: Megatron's
 * flattened rows are sequence-major, so the same [n, c] holds other tokens; a
 * range of token ids is a range of neither rows nor positions; a token listed
 * twice would let the second value go unseen.
 */
#include "harness/judge/place.h"

#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const har_range ALL = {0, -1};

/* One range at *text, moved behind it; ":" is ALL. */
static bool read_range(const char **text, har_range *out)
{
    char *end = NULL;
    *out = ALL;
    if (**text == ':' && ((*text)[1] == ',' || (*text)[1] == '\0')) {
        (*text)++;
        return true;
    }
    if (**text < '0' || **text > '9')
        return false;
    out->begin = strtoll(*text, &end, 10);
    if (*end != ':' || end[1] < '0' || end[1] > '9')
        return false;
    out->end = strtoll(end + 1, &end, 10);
    *text = end;
    return out->begin < out->end && out->end < INT64_MAX;
}

bool har_range_parse(har_range *out, const char *text)
{
    return read_range(&text, out) && *text == '\0' && out->end >= 0;
}

bool har_axes_parse(har_axes *out, const char *text)
{
    *out = strcmp(text, "sbh") == 0 ? HAR_AXES_SBH : HAR_AXES_BSH;
    return *out == HAR_AXES_SBH || strcmp(text, "bsh") == 0;
}

/* The named range that "b=" ... starts, NULL for none. */
static har_range *named(har_slice *slice, const char *text)
{
    if (text[0] == '\0' || text[1] != '=')
        return NULL;
    return text[0] == 'b'   ? &slice->b
           : text[0] == 't' ? &slice->t
           : text[0] == 'c' ? &slice->c
                            : NULL;
}

/* All ranges of the text; false where it goes wrong. */
static bool read_slice(har_slice *slice, const char *text)
{
    bool seen[3] = {false, false, false};
    const bool by_name = named(slice, text) != NULL;
    for (int i = 0; i < 3; i++) {
        har_range *range = by_name ? named(slice, text) : &slice->at[i];
        const int which = !by_name             ? i
                          : range == &slice->b ? 0
                          : range == &slice->t ? 1
                                               : 2;
        if (range == NULL || seen[which])
            return false;
        seen[which] = true;
        text += by_name ? 2 : 0;
        if (!read_range(&text, range))
            return false;
        slice->n += by_name ? 0 : 1;
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
    return false;
}

core_status har_slice_parse(har_slice *out, const char *text, const char *where)
{
    har_slice slice = {0, {ALL, ALL, ALL}, ALL, ALL, ALL};
    CORE_FAIL_IF(!read_slice(&slice, text), CORE_E_FORMAT,
                 "%s: expected ranges such as '0:4,0:16,8:16' or "
                 "'b=0:4,c=8:16', found '%.80s'",
                 where, text);
    *out = slice;
    return CORE_OK;
}

/* A range with its missing end filled in; false if it leaves [0, n). */
static bool settle(har_range *range, int64_t n, const char *what,
                   char problem[HAR_PLACE_TEXT])
{
    if (range->end < 0)
        *range = (har_range){0, n};
    if (range->end <= n)
        return true;
    snprintf(problem, HAR_PLACE_TEXT,
             "expected %s within 0:%lld, found %lld:%lld", what, (long long)n,
             (long long)range->begin, (long long)range->end);
    return false;
}

static bool wrong_shape(const int64_t *shape, int n_dim, const int64_t *wanted,
                        int n_wanted, char problem[HAR_PLACE_TEXT])
{
    char want[CORE_ST_SHAPE_BYTES], have[CORE_ST_SHAPE_BYTES];
    snprintf(problem, HAR_PLACE_TEXT, "expected shape [%.70s], found [%.70s]",
             core_st_shape_text(want, wanted, n_wanted),
             core_st_shape_text(have, shape, n_dim));
    return false;
}

static int64_t length(har_range range)
{
    return range.end - range.begin;
}

/* Copy the ranges of a slice into the place by the tensor's dimensions. */
static bool take_slice(har_place *p, const har_slice *slice, int n_dim,
                       char problem[HAR_PLACE_TEXT])
{
    const bool sbh = p->axes == HAR_AXES_SBH;
    if (slice->n == 0) {
        p->b = slice->b.end >= 0 ? slice->b : p->b;
        p->c = slice->c;
        p->t = slice->t.end >= 0 ? slice->t : p->t;
        return true;
    }
    if (slice->n != n_dim) {
        snprintf(problem, HAR_PLACE_TEXT,
                 "expected a range for each of %d dimensions, found %d", n_dim,
                 slice->n);
        return false;
    }
    p->c = slice->at[slice->n - 1];
    if (n_dim == 3) {
        const har_range b = slice->at[sbh ? 1 : 0], t = slice->at[sbh ? 0 : 1];
        p->b = b.end >= 0 ? b : p->b;
        p->t = t.end >= 0 ? t : p->t;
    } else if (slice->at[0].end >= 0) { /* ":" leaves all rows, by the axes */
        p->is_flat = true;
        p->row0 = slice->at[0].begin;
        p->n_row = length(slice->at[0]);
    }
    return true;
}

static int64_t whole_rows(har_extent whole)
{
    return whole.n_b * whole.n_t * whole.n_k;
}

/* Do shape and place agree?  Two dimensions hold all rows in one. */
static bool check_shape(har_place *p, const int64_t *shape, int n_dim,
                        char problem[HAR_PLACE_TEXT])
{
    const int64_t n_b = length(p->b), n_t = length(p->t);
    const bool sbh = p->axes == HAR_AXES_SBH;
    const int64_t three[3] = {sbh ? n_t : n_b, sbh ? n_b : n_t, length(p->c)};
    if (!p->is_flat)
        p->n_row = n_b * n_t * p->whole.n_k;
    const int64_t two[2] = {p->n_row, three[2]};
    const int64_t *wanted = n_dim == 3 && p->whole.n_k == 1 ? three : two;
    const int n_wanted = wanted == three ? 3 : 2;
    if (n_dim == n_wanted &&
        memcmp(shape, wanted, (size_t)n_dim * sizeof *shape) == 0)
        return true;
    return wrong_shape(shape, n_dim, wanted, n_wanted, problem);
}

bool har_place_make(har_place *out, har_extent whole, const int64_t *shape,
                    int n_dim, har_axes axes, const har_slice *slice,
                    const har_claim *claim, char problem[HAR_PLACE_TEXT])
{
    har_place p = {.whole = whole, .axes = axes, .b = ALL, .t = ALL, .c = ALL};
    har_range flat = {0, 0};
    if (claim != NULL) {
        p.b = claim->b;
        p.t = claim->t;
    }
    if (slice != NULL && !take_slice(&p, slice, n_dim, problem))
        return false;
    if (p.is_flat)
        flat = (har_range){p.row0, p.row0 + p.n_row};
    if (!settle(&p.b, whole.n_b, "rows of the batch", problem) ||
        !settle(&p.t, whole.n_t, "positions", problem) ||
        !settle(&p.c, whole.n_col, "columns", problem) ||
        !settle(&flat, whole_rows(whole), "token ids", problem) ||
        !check_shape(&p, shape, n_dim, problem))
        return false;
    *out = p;
    return true;
}

/* Fill local[] from the ids, which need not be aligned; false for an id
 * outside, or one given twice. */
static bool list_rows(har_place *p, const core_st_tensor *ids,
                      char problem[HAR_PLACE_TEXT])
{
    const int64_t n = whole_rows(p->whole);
    for (int64_t i = 0; i < n; i++)
        p->local[i] = -1;
    for (int64_t i = 0; i < ids->n; i++) {
        int64_t id;
        memcpy(&id, (const char *)ids->data + (size_t)i * sizeof id, sizeof id);
        if (id == -1)
            continue;
        if (id < 0 || id >= n) {
            snprintf(problem, HAR_PLACE_TEXT,
                     "expected token ids within 0:%lld, found %lld in row %lld",
                     (long long)n, (long long)id, (long long)i);
            return false;
        }
        if (p->local[id] >= 0) {
            snprintf(problem, HAR_PLACE_TEXT,
                     "expected a token id once, found %lld in rows %lld and "
                     "%lld",
                     (long long)id, (long long)p->local[id], (long long)i);
            return false;
        }
        p->local[id] = i;
    }
    return true;
}

core_status har_place_make_listed(har_place *out, har_extent whole,
                                  const int64_t *shape, int n_dim,
                                  const core_st_tensor *ids,
                                  const har_slice *slice, bool *fits,
                                  char problem[HAR_PLACE_TEXT])
{
    har_place p = {.whole = whole, .n_row = 1, .c = ALL};
    void *local = NULL;
    *fits = false;
    if (slice != NULL)
        p.c = slice->n == 1 ? slice->at[0] : slice->c;
    if (!settle(&p.c, whole.n_col, "columns", problem))
        return CORE_OK;
    for (int i = 0; i + 1 < n_dim; i++)
        p.n_row *= shape[i];
    const int64_t wanted[2] = {ids->n, length(p.c)};
    if (n_dim < 2 || p.n_row != ids->n || shape[n_dim - 1] != wanted[1]) {
        wrong_shape(shape, n_dim, wanted, 2, problem);
        return CORE_OK;
    }
    CORE_TRY(core_alloc(&local, whole_rows(whole), sizeof *p.local, "rows"));
    p.local = local;
    *fits = list_rows(&p, ids, problem);
    if (*fits)
        *out = p;
    else
        free(local);
    return CORE_OK;
}

void har_place_free(har_place *place)
{
    free(place->local);
    place->local = NULL;
}

int64_t har_place_row(const har_place *p, int64_t row)
{
    if (p->local != NULL)
        return p->local[row];
    if (p->is_flat)
        return row >= p->row0 && row < p->row0 + p->n_row ? row - p->row0 : -1;
    const int64_t n_k = p->whole.n_k, token = row / n_k;
    const int64_t b = token / p->whole.n_t, t = token % p->whole.n_t;
    if (b < p->b.begin || b >= p->b.end || t < p->t.begin || t >= p->t.end)
        return -1;
    const int64_t local =
        p->axes == HAR_AXES_SBH
            ? (t - p->t.begin) * length(p->b) + (b - p->b.begin)
            : (b - p->b.begin) * length(p->t) + (t - p->t.begin);
    return local * n_k + row % n_k;
}
