/* harness/verify/gradfile.c -- see gradfile.h. */
#include "harness/verify/gradfile.h"

#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

core_status har_gradlist_make(har_gradlist *out, const core_spec *spec)
{
    const int64_t n_tap = core_grad_taps(spec, NULL, 0);
    const int64_t n_weight = core_weight_count(spec);
    void *grad = NULL, *tap = NULL, *weight = NULL;
    core_status status = core_alloc(&grad, n_tap + n_weight, sizeof(core_grad),
                                    "the list of gradients");
    if (status == CORE_OK)
        status = core_alloc(&tap, n_tap, sizeof(core_tap), "the list of taps");
    if (status == CORE_OK)
        status = core_alloc(&weight, n_weight, sizeof(core_weight),
                            "the list of weights");
    if (status == CORE_OK) {
        const core_tap *taps = tap;
        const core_weight *weights = weight;
        *out = (har_gradlist){grad, n_tap + n_weight};
        core_grad_taps(spec, tap, n_tap);
        core_weight_list(spec, weight);
        for (int64_t i = 0; i < n_tap; i++)
            out->grad[i] = core_grad_of_tap(taps[i].kind, taps[i].layer);
        for (int64_t i = 0; i < n_weight; i++)
            out->grad[n_tap + i] = core_grad_of_weight(weights[i]);
        grad = NULL;
    }
    free(grad);
    free(tap);
    free(weight);
    return status;
}

void har_gradlist_free(har_gradlist *list)
{
    free(list->grad);
    *list = (har_gradlist){0};
}

/* Every gradient, then the slots of every layer that has them. */
typedef struct contents {
    core_st_tensor *tensor;
    char (*name)[CORE_GRAD_NAME_BYTES];
    int64_t n;
} contents;

static bool has_slots(const core_spec *spec, int layer)
{
    return core_tap_exists(spec, (core_tap){CORE_TAP_SLOT, layer});
}

static void add(contents *c, int64_t n_row, int64_t n_col)
{
    c->tensor[c->n] = (core_st_tensor){.name = c->name[c->n],
                                       .dtype = CORE_DTYPE_F64,
                                       .n_dim = 2,
                                       .shape = {n_row, n_col}};
    c->n++;
}

static core_status list_contents(contents *out, const core_spec *spec,
                                 const har_gradlist *list, int64_t n_token)
{
    void *tensor = NULL, *name = NULL;
    const int64_t most = list->n + spec->n_l;
    CORE_TRY(core_alloc(&tensor, most, sizeof(core_st_tensor), "tensors"));
    const core_status status =
        core_alloc(&name, most, CORE_GRAD_NAME_BYTES, "names of tensors");
    *out = (contents){tensor, name, 0};
    if (status != CORE_OK)
        return status;
    for (int64_t i = 0; i < list->n; i++) {
        int64_t n_row, n_col;
        core_grad_shape(spec, list->grad[i], n_token, &n_row, &n_col);
        core_grad_name(list->grad[i], out->name[out->n]);
        add(out, n_row, n_col);
    }
    for (int l = 0; l < (int)spec->n_l; l++) {
        if (!has_slots(spec, l))
            continue;
        snprintf(out->name[out->n], CORE_GRAD_NAME_BYTES, "slot.layers.%d", l);
        add(out, n_token, spec->n_k);
    }
    return CORE_OK;
}

size_t har_gradfile_bytes(const core_spec *spec, int64_t n_token)
{
    size_t n = 0;
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
            const core_grad grad = core_grad_of_tap((core_tap_kind)k, l);
            int64_t n_row, n_col;
            if (!core_grad_exists(spec, grad.tap))
                continue;
            core_grad_shape(spec, grad, n_token, &n_row, &n_col);
            n += (size_t)(n_row * n_col);
        }
    return (n + (size_t)core_spec_parameters(spec)) * sizeof(double);
}

/* --- writing --- */

static double *room_at(void *self, core_grad grad)
{
    char name[CORE_GRAD_NAME_BYTES];
    const core_st_tensor *t = core_st_find(self, core_grad_name(grad, name));
    core_assert(t != NULL);
    return t->data;
}

static void keep_slots(void *self, int layer, const double *slot)
{
    char name[CORE_GRAD_NAME_BYTES];
    snprintf(name, sizeof name, "slot.layers.%d", layer);
    const core_st_tensor *t = core_st_find(self, name);
    core_assert(t != NULL);
    memcpy(t->data, slot, (size_t)t->n * sizeof *slot);
}

static core_status fill(core_st *file, ref_model *model,
                        const har_gradpass *pass, ref_stats *stats)
{
    const ref_grad_room room = {file, room_at, keep_slots};
    CORE_TRY(ref_gradients(model, pass->batch, pass->groups, pass->dealt,
                           pass->seed, &room, stats));
    return core_st_commit(file);
}

core_status har_gradfile_write(const char *path, const core_spec *spec,
                               const har_gradlist *list, ref_model *model,
                               const har_gradpass *pass, ref_stats *stats)
{
    contents c = {0};
    core_st *file = NULL;
    core_status status =
        list_contents(&c, spec, list, pass->batch->n_b * pass->batch->n_t);
    if (status == CORE_OK)
        status = core_st_create(&file, path, c.tensor, c.n, NULL);
    if (status == CORE_OK)
        status = fill(file, model, pass, stats);
    core_st_close(file);
    free(c.tensor);
    free(c.name);
    return status;
}

void har_gradfile_live(const core_st *file, int layer, int64_t n_choice,
                       uint8_t *live)
{
    char name[CORE_GRAD_NAME_BYTES];
    snprintf(name, sizeof name, "slot.layers.%d", layer);
    const core_st_tensor *t = core_st_find(file, name);
    for (int64_t c = 0; c < n_choice; c++)
        live[c] = t != NULL && core_st_value(t, c) >= 0.0;
}
