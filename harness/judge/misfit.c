/* harness/judge/misfit.c -- see misfit.h.
 *
 * A reading is an order of axes, where the columns stand, and how many there
 * are.  It fits if it leaves less than a hundredth of the golden's squares
 * unexplained.  Traps: where a tensor reads the same in two orders, that is no
 * news; a shard in which all columns are padding fits anything.
 */
#include "harness/judge/misfit.h"

#include <stdio.h>
#include <string.h>

enum { LAST = 2, MIDDLE = 1, FIRST = 0 };

typedef struct reading {
    har_axes axes;
    int columns;   /* FIRST, MIDDLE or LAST of the dimensions             */
    int64_t n_col; /* of the whole tap, padding included                  */
    har_place place;
    int64_t n_inner; /* MIDDLE: extent of what stands behind the columns    */
} reading;

/* The tensor's shape with the columns last; false if they cannot stand there.
 */
static bool shape_of(const har_misfit *m, reading *r,
                     int64_t shape[CORE_ST_MAX_DIM + 1])
{
    const core_st_tensor *t = m->tensor;
    const int n = t->n_dim;
    memcpy(shape, t->shape, sizeof t->shape);
    if (r->columns == LAST)
        return n > 0;
    if (n < 2 || (r->columns == MIDDLE && n != 3))
        return false;
    r->n_inner = t->shape[n - 1];
    const int at = r->columns == MIDDLE ? 1 : 0;
    memmove(shape + at, shape + at + 1, (size_t)(n - 1 - at) * sizeof *shape);
    shape[n - 1] = t->shape[at];
    return true;
}

static double value_at(const har_misfit *m, const reading *r, int64_t local,
                       int64_t col)
{
    const int64_t width = r->place.c.end - r->place.c.begin;
    const int64_t i = r->columns == LAST ? local * width + col
                      : r->columns == FIRST
                          ? col * r->place.n_row + local
                          : (local / r->n_inner * width + col) * r->n_inner +
                                local % r->n_inner;
    return core_st_value(m->tensor, i);
}

/* Do the values leave at most a hundredth unexplained?  NaN does not fit. */
static bool explains(const har_misfit *m, const reading *r)
{
    const har_yard_tap *tap = m->tap;
    const int64_t n_col = tap->extent.n_col;
    const int64_t n_row = tap->data->n / n_col;
    const int64_t end = r->place.c.end < n_col ? r->place.c.end : n_col;
    const bool is_float = core_dtype_is_float(tap->data->dtype);
    double error = 0.0, size = 0.0;
    for (int64_t row = 0; row < n_row; row++) {
        const int64_t local = har_place_row(&r->place, row);
        if (local < 0 || !har_yardstick_is_real(&m->yard->part[tap->part],
                                                row / tap->extent.n_k))
            continue;
        for (int64_t j = r->place.c.begin; j < end; j++) {
            const double want = core_st_value(tap->data, row * n_col + j);
            const double d = value_at(m, r, local, j - r->place.c.begin) - want;
            error += is_float ? d * d : d != 0.0;
            size += is_float ? want * want : 1.0;
        }
    }
    return size > 0.0 && error <= 0.01 * size;
}

/* Is it a reading of the tensor at all, and does it fit? */
static bool fits(const har_misfit *m, reading *r)
{
    int64_t shape[CORE_ST_MAX_DIM + 1];
    char unused[HAR_PLACE_TEXT];
    har_extent whole = m->tap->extent;
    whole.n_col = r->n_col;
    return shape_of(m, r, shape) &&
           har_place_make(&r->place, whole, shape, m->tensor->n_dim, r->axes,
                          m->slice, m->claim, unused) &&
           explains(m, r);
}

/* Columns that there must be in all: the slice says it, or the shape. */
static int64_t all_columns(const har_misfit *m, int columns)
{
    const core_st_tensor *t = m->tensor;
    const har_slice *s = m->slice;
    const har_range c = s == NULL  ? (har_range){0, -1}
                        : s->n > 0 ? s->at[s->n - 1]
                                   : s->c;
    const int at = columns == LAST ? t->n_dim - 1 : columns == MIDDLE ? 1 : 0;
    const int64_t n = c.end >= 0 ? c.end : t->shape[at];
    return n > m->n_col ? n : m->n_col;
}

static void describe(char text[HAR_MISFIT_TEXT], const har_misfit *m,
                     const reading *r)
{
    const bool sbh = r->axes == HAR_AXES_SBH;
    const char *const outer = sbh ? "positions" : "rows";
    const char *const inner = sbh ? "rows" : "positions";
    const int64_t n_col = m->tap->extent.n_col;
    size_t n = 0;
    if (r->columns == LAST && r->axes == m->axes)
        n = (size_t)snprintf(text, HAR_MISFIT_TEXT,
                             r->place.c.begin == 0
                                 ? "its first %lld columns fit the golden"
                                 : "its columns up to %lld fit the golden",
                             (long long)n_col);
    else
        n = (size_t)snprintf(text, HAR_MISFIT_TEXT,
                             "its values fit the golden as [%s, %s, %s]",
                             r->columns == FIRST ? "columns" : outer,
                             r->columns == FIRST    ? outer
                             : r->columns == MIDDLE ? "columns"
                                                    : inner,
                             r->columns == LAST ? "columns" : inner);
    if (r->columns != LAST)
        n += (size_t)snprintf(text + n, HAR_MISFIT_TEXT - n,
                              ": write it with the columns last");
    else if (r->axes != m->axes)
        n += (size_t)snprintf(text + n, HAR_MISFIT_TEXT - n, ": say axes %s",
                              sbh ? "sbh" : "bsh");
    if (r->n_col > m->n_col)
        snprintf(text + n, HAR_MISFIT_TEXT - n,
                 "; if the others are padding, say padded:%.60s %lld",
                 m->tensor->name, (long long)r->n_col);
}

bool har_misfit_text(char text[HAR_MISFIT_TEXT], const har_misfit *m)
{
    static const int columns[] = {LAST, FIRST, MIDDLE};
    const har_axes other =
        m->axes == HAR_AXES_BSH ? HAR_AXES_SBH : HAR_AXES_BSH;
    reading declared = {m->axes, LAST, m->n_col, {.n_row = 0}, 0};
    if (m->tensor->n_dim == 0 || fits(m, &declared))
        return false;
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 2; k++) {
            reading r = {.axes = k == 0 ? m->axes : other,
                         .columns = columns[i],
                         .n_col = all_columns(m, columns[i])};
            if ((r.columns != LAST && m->slice != NULL) || !fits(m, &r))
                continue;
            describe(text, m, &r);
            return true;
        }
    }
    return false;
}
