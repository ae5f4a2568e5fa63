/* harness/verify/diagnosing.c -- see diagnosing.h.
 *
 * All that should be there is in the reference's file, so a signature may look
 * at every other tap.
 */
#include "harness/verify/diagnosing.h"

#include <math.h>
#include <stdlib.h>

typedef struct source {
    const har_watch *watch;
    const har_tap_watch *tap;
} source;

static void read_row(const har_tap_watch *tap, int64_t row, double *out)
{
    har_reference_row(tap->expected, row, 0, tap->n_col, tap->n_col, out);
}

static void expected(void *self, int64_t row, double *out)
{
    read_row(((const source *)self)->tap, row, out);
}

static int64_t n_col_of(void *self, core_tap tap)
{
    const har_tap_watch *w = har_watch_tap(((const source *)self)->watch, tap);
    return w != NULL ? w->n_col : 0;
}

static void read(void *self, core_tap tap, int64_t row, double *out)
{
    read_row(har_watch_tap(((const source *)self)->watch, tap), row, out);
}

/* allowed[i]: the largest bound of the row, 0 without bounds. */
static void read_allowed(const har_watch *watch, const har_tap_watch *tap,
                         double *allowed)
{
    const har_kept *kept = &watch->kept;
    for (int64_t i = 0; i < kept->n; i++) {
        allowed[i] = 0.0;
        if (tap->bound == NULL)
            continue;
        har_reference_row(tap->bound, kept->row[i], kept->col0, kept->n_col,
                          tap->n_col, watch->bound_row);
        for (int64_t j = 0; j < kept->n_col; j++)
            allowed[i] = fmax(allowed[i], watch->bound_row[j]);
    }
}

static void add_degree(har_scene *scene, const char *name, int n)
{
    if (n > 1)
        scene->degree[scene->n_degree++] = (har_degree){name, n};
}

static void look(har_diagnosis *out, const har_watch *watch,
                 const core_weights *weights, const par_plan *plan, int64_t n_t)
{
    const har_kept *kept = &watch->kept;
    const har_tap_watch *tap = &watch->tap[kept->i_tap];
    source from = {watch, tap};
    double *allowed = malloc((size_t)kept->n * sizeof *allowed);
    if (allowed == NULL)
        return;
    read_allowed(watch, tap, allowed);
    har_scene scene = {
        .is_tap = true,
        .tap = tap->tap,
        .n_b = watch->n_token / n_t,
        .n_t = n_t,
        .n_row = tap->n_row,
        .n_col = tap->n_col,
        .n_found = kept->n,
        .col0 = kept->col0,
        .n_found_col = kept->n_col,
        .n_seen = kept->n == kept->room ? kept->n : tap->diff.n / kept->n_col,
        .row = kept->row,
        .found = kept->values,
        .allowed = allowed,
        .numerics = core_tap_numerics(watch->numerics, tap->tap.kind),
        .spec = watch->spec,
        .weights = weights,
        .self = &from,
        .expected = expected,
        .n_col_of = n_col_of,
        .read = read};
    add_degree(&scene, "tp", plan->tp);
    add_degree(&scene, "ep", plan->ep);
    add_degree(&scene, "etp", plan->etp);
    har_diagnose(out, &scene);
    free(allowed);
}

void har_pass_diagnose(har_pass *pass, par_comm *comm, const har_watch *watch,
                       const core_weights *weights, const par_plan *plan,
                       int64_t n_t)
{
    if (pass->mode != HAR_FORCED || pass->first < 0 ||
        pass->tap[pass->first].first_rank < 0)
        return;
    const int rank = pass->tap[pass->first].first_rank;
    par_at(comm, "diagnosis", 0);
    if (comm->rank == rank && watch->kept.n > 0 &&
        watch->kept.i_tap == pass->first)
        look(&pass->diagnosis, watch, weights, plan, n_t);
    par_broadcast(comm, &comm->world, &pass->diagnosis,
                  (int64_t)sizeof pass->diagnosis, rank);
}
