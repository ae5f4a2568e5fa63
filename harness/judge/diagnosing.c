/* harness/judge/diagnosing.c -- what a tap that fails looks like.
 *
 * Its rows are put together once more, and those that are wrong are handed to
 * the signatures with the golden's other taps.  A bundle says from which
 * weights it was made: then the model is there too, and can be run with other
 * settings.
 */
#include "core/base/arena.h"
#include "harness/judge/judge_impl.h"
#include "harness/judge/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
    const har_yardstick *yard;
    const har_yard_tap *tap;
    har__model *model;
} source;

static void expected(void *self, int64_t row, double *out)
{
    har_yardstick_row(((const source *)self)->tap, row, out);
}

static const har_yard_tap *find(const source *from, core_tap tap)
{
    return har_yardstick_find(from->yard, from->tap->part, tap);
}

/* Taps that the golden does not hold are the model's, of the same layer. */
static int64_t n_col_of(void *self, core_tap tap)
{
    const source *from = self;
    const core_spec *spec = &from->yard->spec;
    const har_yard_tap *other = find(from, tap);
    if (other != NULL)
        return other->extent.n_col;
    return tap.layer == from->tap->name.tap.layer && spec->n_l > 0 &&
                   core_tap_exists(spec, tap) &&
                   har__model_tap(from->model, tap) != NULL
               ? core_tap_cols(spec, tap)
               : 0;
}

static void read(void *self, core_tap tap, int64_t row, double *out)
{
    const source *from = self;
    const har_yard_tap *other = find(from, tap);
    if (other != NULL) {
        har_yardstick_row(other, row, out);
        return;
    }
    const int64_t n = core_tap_cols(&from->yard->spec, tap);
    memcpy(out, har__model_tap(from->model, tap) + row * n,
           (size_t)n * sizeof *out);
}

static bool otherwise(void *self, const core_spec *spec, double *out)
{
    const source *from = self;
    return har__model_run(from->model, spec, from->tap->name.tap, out);
}

/* --- the rows that are wrong --- */

typedef struct rows {
    int64_t n, room, n_seen;
    int64_t *row;
    double *found, *allowed;
} rows;

static core_status make_rows(rows *out, int64_t n_row, int64_t n_col)
{
    const int64_t most = (INT64_C(1) << 17) / n_col;
    void *p = NULL;
    memset(out, 0, sizeof *out);
    out->room = n_row < most ? n_row : most;
    CORE_TRY(core_alloc(&p, out->room, sizeof(int64_t), "rows"));
    out->row = p;
    CORE_TRY(core_alloc(&p, out->room, sizeof(double), "tolerances"));
    out->allowed = p;
    CORE_TRY(core_alloc(&p, out->room * n_col, sizeof(double), "rows"));
    out->found = p;
    return CORE_OK;
}

static void free_rows(rows *r)
{
    free(r->row);
    free(r->allowed);
    free(r->found);
}

static bool is_wrong(const har__pass *p, int64_t n_col, double allowed)
{
    for (int64_t j = 0; j < n_col; j++)
        if (!(fabs(p->found[j] - p->expected[j]) <= allowed))
            return true;
    return false;
}

/* The row as it is compared, in found[] and expected[]; false: it is not. */
bool har__read_judged(har__pass *p, int64_t i_tap, int64_t row)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    if (!har__wants(p, i_tap, row) || har__routing_excludes(p, tap, row) ||
        har__keys_are_open(p, tap, row))
        return false;
    har_yardstick_row(tap, row, p->expected);
    return har__read_row(p, i_tap, row, har__source_row(p, tap, row)) == 0 &&
           har__by_expert(p, tap, row);
}

static void collect(har__pass *p, int64_t i_tap, rows *out)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const har_yard_part *part = &p->yard->part[tap->part];
    const int64_t n_col = tap->extent.n_col;
    const int64_t n_row = part->n_b * part->n_t * tap->extent.n_k;
    for (int64_t row = 0; row < n_row && out->n < out->room; row++) {
        if (!har__read_judged(p, i_tap, row))
            continue;
        const double allowed = har_yardstick_allowed(tap, row);
        out->n_seen++;
        if (!is_wrong(p, n_col, allowed))
            continue;
        memcpy(out->found + out->n * n_col, p->found,
               (size_t)n_col * sizeof *p->found);
        out->allowed[out->n] = allowed;
        out->row[out->n++] = row;
    }
}

/* --- looking at them --- */

core_numerics har__numerics(const har_yardstick *yard)
{
    return yard->numerics[0] != '\0' ? yard->kind
                                     : CORE_FP32; /* a plain file: none */
}

static void look(har__pass *p, const har_yard_tap *tap, const rows *wrong)
{
    const har_yardstick *yard = p->yard;
    const har_yard_part *part = &yard->part[tap->part];
    const core_numerics numerics = har__numerics(yard);
    har__model model;
    source from = {yard, tap, &model};
    har__model_open(&model, yard, numerics);
    const har_scene scene = {
        .is_tap = tap->name.is_tap,
        .tap = tap->name.tap,
        .n_b = part->n_b,
        .n_t = part->n_t,
        .n_row = part->n_b * part->n_t * tap->extent.n_k,
        .n_col = tap->extent.n_col,
        .n_found = wrong->n,
        .n_found_col = tap->extent.n_col,
        .n_seen = wrong->n_seen,
        .row = wrong->row,
        .found = wrong->found,
        .allowed = wrong->allowed,
        .numerics = tap->name.is_tap
                        ? core_tap_numerics(numerics, tap->name.tap.kind)
                        : numerics,
        .spec = yard->spec.n_l > 0 ? &yard->spec : NULL,
        .weights = model.weights,
        .self = &from,
        .expected = expected,
        .n_col_of = n_col_of,
        .read = read,
        .otherwise =
            tap->name.is_tap && model.weights != NULL ? otherwise : NULL};
    har_diagnose(&p->judged->diagnosis, &scene);
    har__model_close(&model);
}

core_status har__diagnose(har__pass *p, int64_t i_tap)
{
    const har_yard_tap *tap = &p->yard->tap[i_tap];
    const har_yard_part *part = &p->yard->part[tap->part];
    rows wrong;
    core_status status = make_rows(
        &wrong, part->n_b * part->n_t * tap->extent.n_k, tap->extent.n_col);
    p->judged->diagnosed = i_tap;
    if (status == CORE_OK) {
        collect(p, i_tap, &wrong);
        if (wrong.n > 0)
            look(p, tap, &wrong);
    }
    free_rows(&wrong);
    return status;
}
