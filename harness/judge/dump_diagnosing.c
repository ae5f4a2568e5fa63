/* harness/judge/dump_diagnosing.c -- what the first tap that differs looks
 * like.
 *
 * Two files say nothing of the model: only signatures that need no more than
 * values, and other taps of the same layer, are tried.  Experts and their
 * weights are left out, whose order means nothing.
 */
#include "core/base/arena.h"
#include "harness/judge/dump.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
    const core_st *file;
    const har_dump_tap *tap;
} source;

static int64_t n_cols(const core_st_tensor *t)
{
    return t->n_dim > 0 ? t->shape[t->n_dim - 1] : 1;
}

static const core_st_tensor *find(const source *from, const char *body)
{
    char name[2 * HAR_DUMP_NAME];
    snprintf(name, sizeof name, "%.*s%s", from->tap->parsed.prefix_bytes,
             from->tap->name, body);
    return core_st_find(from->file, name);
}

static const core_st_tensor *find_tap(const source *from, core_tap tap)
{
    char body[CORE_NAME_BYTES];
    return find(from, core_tap_name(tap, body));
}

static void expected(void *self, int64_t row, double *out)
{
    const core_st_tensor *t = ((const source *)self)->tap->a;
    core_st_read(t, row * n_cols(t), n_cols(t), out);
}

static int64_t n_col_of(void *self, core_tap tap)
{
    const source *from = self;
    const core_st_tensor *t = find_tap(from, tap), *mine = from->tap->a;
    return t != NULL && t->n / n_cols(t) == mine->n / n_cols(mine) ? n_cols(t)
                                                                   : 0;
}

static void read(void *self, core_tap tap, int64_t row, double *out)
{
    const core_st_tensor *t = find_tap(self, tap);
    core_st_read(t, row * n_cols(t), n_cols(t), out);
}

/* Positions of a row of the batch; 0: not known. */
static int64_t n_position(const source *from)
{
    const core_st_tensor *t = find(from, "logits");
    return t != NULL && t->n_dim == 3 ? t->shape[1] : 0;
}

static core_status look(har_dump *dump, const core_st *file,
                        const har_dump_tap *tap)
{
    const int64_t n_col = n_cols(tap->a), n_all = tap->a->n / n_col;
    const int64_t most = (INT64_C(1) << 17) / n_col;
    const int64_t n_row = n_all < most ? n_all : most;
    source from = {file, tap};
    const int64_t n_t = n_position(&from);
    void *rows = NULL, *found = NULL, *allowed = NULL;
    core_status status = core_alloc(&rows, n_row, sizeof(int64_t), "rows");
    if (status == CORE_OK)
        status = core_alloc(&found, n_row * n_col, sizeof(double), "rows");
    if (status == CORE_OK)
        status = core_alloc(&allowed, n_row, sizeof(double), "tolerances");
    if (status == CORE_OK) {
        core_st_read(tap->b, 0, n_row * n_col, found);
        for (int64_t i = 0; i < n_row; i++) {
            ((int64_t *)rows)[i] = i;
            ((double *)allowed)[i] = tap->rule.tolerance;
        }
        const har_scene scene = {
            .is_tap = tap->parsed.is_tap,
            .tap = tap->parsed.tap,
            .n_b = n_t > 0 && n_all % n_t == 0 ? n_all / n_t : 0,
            .n_t = n_t,
            .n_row = n_all,
            .n_col = n_col,
            .n_found = n_row,
            .n_found_col = n_col,
            .n_seen = n_row,
            .row = rows,
            .found = found,
            .allowed = allowed,
            .numerics =
                tap->rule.kind == HAR_RULE_BITS ? CORE_EXACT : CORE_FP32,
            .self = &from,
            .expected = expected,
            .n_col_of = n_col_of,
            .read = read};
        har_diagnose(&dump->diagnosis, &scene);
    }
    free(rows);
    free(found);
    free(allowed);
    return status;
}

core_status har_dump_diagnose(har_dump *dump, const core_st *a)
{
    for (int64_t i = 0; i < dump->n_tap; i++) {
        const har_dump_tap *t = &dump->tap[i];
        const bool is_chosen =
            t->parsed.is_tap && (t->parsed.tap.kind == CORE_TAP_TOPK_IDX ||
                                 t->parsed.tap.kind == CORE_TAP_TOPK_WEIGHT);
        if (t->diff.n_bad == 0)
            continue;
        dump->diagnosed = i;
        return is_chosen || t->n_excluded > 0 ? CORE_OK : look(dump, a, t);
    }
    return CORE_OK;
}
