/* harness/verify/gradwatch.c -- see gradwatch.h. */
#include "harness/verify/gradwatch.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static core_status take(har_gradwatch *w)
{
    void *p = NULL;
    int64_t most = 0;
    CORE_TRY(core_alloc(&p, w->list->n, sizeof *w->seen, "gradients seen"));
    w->seen = p;
    CORE_TRY(core_alloc(&p, w->list->n, sizeof *w->tensor, "gradients seen"));
    w->tensor = p;
    CORE_TRY(core_alloc(&p, CORE_N_TAP_KINDS * w->spec->n_l, sizeof(int32_t),
                        "gradients seen"));
    w->of_tap = p;
    CORE_TRY(core_alloc(&p, core_weight_count(w->spec), sizeof(int32_t),
                        "gradients seen"));
    w->of_weight = p;
    for (int64_t i = 0; i < w->list->n; i++) {
        int64_t n_row, n_col;
        core_grad_shape(w->spec, w->list->grad[i], w->n_token, &n_row, &n_col);
        most = n_row > most ? n_row : most;
    }
    CORE_TRY(core_alloc(&p, most, sizeof *w->rows, "rows of gradients"));
    w->rows = p;
    return CORE_OK;
}

static int32_t *number_of(const har_gradwatch *w, core_grad grad)
{
    if (grad.is_weight)
        return &w->of_weight[core_weight_index(w->spec, grad.weight)];
    return &w->of_tap[grad.tap.kind * w->spec->n_l + grad.tap.layer];
}

core_status har_gradwatch_open(har_gradwatch *out, const core_spec *spec,
                               const har_gradlist *list, const core_st *file,
                               int64_t n_token)
{
    *out = (har_gradwatch){
        .spec = spec, .list = list, .file = file, .n_token = n_token};
    CORE_TRY(take(out));
    for (int64_t i = 0; i < CORE_N_TAP_KINDS * spec->n_l; i++)
        out->of_tap[i] = -1;
    for (int64_t i = 0; i < list->n; i++) {
        char name[CORE_GRAD_NAME_BYTES];
        out->tensor[i] =
            core_st_find(file, core_grad_name(list->grad[i], name));
        CORE_FAIL_IF(out->tensor[i] == NULL, CORE_E_INTERNAL, "%s: expected %s",
                     core_st_path(file), name);
        *number_of(out, list->grad[i]) = (int32_t)i;
        out->seen[i] =
            (har_grad_seen){.first = -1, .least = HUGE_VAL, .most = -HUGE_VAL};
    }
    return CORE_OK;
}

void har_gradwatch_close(har_gradwatch *w)
{
    free(w->seen);
    free(w->tensor);
    free(w->of_tap);
    free(w->of_weight);
    free(w->rows);
    *w = (har_gradwatch){0};
}

/* An element that is not what it ought to be, in a bit. */
static void note(har_grad_seen *seen, int64_t at, double expected, double found)
{
    seen->n_different++;
    seen->n_poison += isnan(found) ? 1 : 0;
    if (seen->first < 0 || at < seen->first) {
        seen->first = at;
        seen->expected = expected;
        seen->found = found;
    }
    if (fabs(expected) < 0x1p-8) /* its rounding would be seen in a ratio */
        return;
    const double ratio = found / expected;
    seen->least = ratio < seen->least ? ratio : seen->least;
    seen->most = ratio > seen->most ? ratio : seen->most;
}

static void compare(har_grad_seen *seen, const core_st_tensor *t,
                    const par_grad_piece *piece, const int64_t *rows)
{
    const int64_t n_row = t->shape[0], n_col = t->shape[1];
    const double *expected = t->data;
    for (int64_t i = 0; i < piece->n_row; i++)
        for (int64_t c = 0; c < piece->n_col; c++) {
            const int64_t col = piece->col0 + c;
            const double found = piece->values[i * piece->ld + c];
            if (rows[i] < 0 || rows[i] >= n_row || col >= n_col) {
                note(seen, 0, 0.0, found); /* nowhere: cover.h says so, too */
                continue;
            }
            const int64_t at = rows[i] * n_col + col;
            if (memcmp(&expected[at], &found, sizeof found) != 0)
                note(seen, at, expected[at], found);
        }
}

static void observe(void *self, const par_grad_piece *piece)
{
    har_gradwatch *w = self;
    const int32_t number = *number_of(w, piece->grad);
    core_assert(number >= 0); /* the list has all that can be shown */
    har_grad_seen *seen = &w->seen[number];
    const core_st_tensor *t = w->tensor[number];
    for (int64_t i = 0; i < piece->n_row && piece->row_ids == NULL; i++)
        w->rows[i] = piece->row0 + i;
    const par_piece as_tap = {.values = (double *)piece->values, /* only read */
                              .ld = piece->ld,
                              .row_ids = piece->row_ids != NULL ? piece->row_ids
                                                                : w->rows,
                              .n_row = piece->n_row,
                              .col0 = piece->col0,
                              .n_col = piece->n_col,
                              .n_owners = piece->n_owners,
                              .i_owner = piece->i_owner};
    har_cover_add(&seen->cover, &as_tap, t->shape[0]);
    compare(seen, t, piece, as_tap.row_ids);
}

par_grad_observer har_gradwatch_observer(har_gradwatch *watch)
{
    return (par_grad_observer){.self = watch, .observe = observe};
}
