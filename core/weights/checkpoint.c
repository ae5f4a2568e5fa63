/* core/weights/checkpoint.c -- weights in a Hugging Face checkpoint folder.
 *
 * Everything is checked when the folder is opened: each tensor that the spec
 * wants is found under its family's name (file_tensor.c), with its shape
 * and a type that we read (checkpoint_view.c), and nothing is left over;
 * reading a rectangle then cannot fail.  Traps: a tied head may or may not be
 * stored; old files carry the rotary frequencies, which are not weights; the
 * index of a sharded checkpoint may promise what a shard does not hold; a
 * quantised tensor comes with a second one that holds its scales, in whatever
 * shard.
 */
#include "core/weights/weights_impl.h"

#include "core/base/arena.h"
#include "core/model/gguf_model.h"
#include "core/weights/checkpoint_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAY_UNKNOWN = -1 };

typedef struct checkpoint {
    const char *path; /* of the folder; borrowed while opening                */
    core_st_folder *folder;
    core_quant *quant; /* NULL: the folder says nothing of it                 */
    const char *inner, *outer; /* of names: what is a part of a larger model  */
    int64_t n_other; /* tensors of its other parts                            */
    int way[CORE_MAX_LAYERS]; /* in which the experts of a layer are written  */
    int64_t n_view;
    core__view *views; /* [core_weight_count], into the files                 */
} checkpoint;

/* --- matching the spec ------------------------------------------------------
 */

/* Does way `way` name tensors that are there, and with the shapes it says? */
static void try_way(const checkpoint *c, const core_spec *spec, int layer,
                    int way, bool *is_there, bool *fits)
{
    *is_there = *fits = true;
    for (int k = 0; k < CORE_N_WEIGHT_KINDS && *is_there; k++) {
        const core_weight id = {(core_weight_kind)k, layer, 0};
        char name[CORE_FILE_TENSOR_BYTES];
        int64_t shape[2];
        if (core_weight_scope_of(id.kind) != CORE_SCOPE_EXPERT ||
            !core_weight_exists(spec, id))
            continue;
        const core_layout layout = core_file_tensor_in(spec, id, way, name);
        *is_there = layout != CORE_LAYOUT_NONE;
        if (!*is_there)
            break;
        const core__stored s =
            core__stored_find(c->folder, spec, c->quant, name);
        *is_there = s.codes.tensor != NULL;
        core_weight_shape(spec, id, &shape[0], &shape[1]);
        *fits =
            *fits && *is_there && core__view_fits(&s, layout, shape, spec->n_e);
    }
    *fits = *fits && *is_there;
}

/* The first way whose tensors fit, else the first whose tensors are there. */
static int choose_way(const checkpoint *c, const core_spec *spec, int layer)
{
    int best = WAY_UNKNOWN;
    for (int way = 0; way < core_file_ways(); way++) {
        bool is_there, fits;
        try_way(c, spec, layer, way, &is_there, &fits);
        if (fits)
            return way;
        if (is_there && best == WAY_UNKNOWN)
            best = way;
    }
    return best == WAY_UNKNOWN ? 0 : best;
}

static core_layout where_is(checkpoint *c, const core_spec *spec,
                            core_weight id, char name[CORE_FILE_TENSOR_BYTES])
{
    if (core_weight_scope_of(id.kind) != CORE_SCOPE_EXPERT)
        return core_file_tensor(spec, id, name);
    int *way = &c->way[id.layer];
    if (*way == WAY_UNKNOWN)
        *way = choose_way(c, spec, id.layer);
    return core_file_tensor_in(spec, id, *way, name);
}

/* A tensor is missing: which of the layer's experts are there? */
static core_status missing(const checkpoint *c, const core_spec *spec,
                           core_weight id, const char *name)
{
    char experts[CORE_FILE_TENSOR_BYTES] = "", shape[CORE_ST_SHAPE_BYTES];
    if (core_weight_scope_of(id.kind) == CORE_SCOPE_EXPERT)
        core_file_experts(spec, id.layer, experts);
    const int64_t i = core_st_folder_from(c->folder, experts);
    const core_st_tensor *found = i < core_st_folder_count(c->folder)
                                      ? core_st_folder_at(c->folder, i).tensor
                                      : NULL;
    CORE_FAIL_IF(experts[0] == '\0' || found == NULL ||
                     strncmp(found->name, experts, strlen(experts)) != 0,
                 CORE_E_WEIGHTS, "%s: %s: missing", c->path, name);
    CORE_FAIL(CORE_E_WEIGHTS, "%s: %s: missing; there is %s [%s]", c->path,
              name, found->name,
              core_st_shape_text(shape, found->shape, found->n_dim));
}

/* Row r of a table names K different experts. */
static core_status check_row(const core_spec *spec, const core__view *view,
                             int64_t r, const double *row)
{
    for (int64_t k = 0; k < view->n_col; k++) {
        bool twice = false;
        for (int64_t j = 0; j < k; j++)
            twice |= row[j] == row[k];
        const bool good = row[k] >= 0.0 && row[k] < (double)spec->n_e &&
                          row[k] == (double)(int64_t)row[k];
        CORE_FAIL_IF(
            twice || !good, CORE_E_WEIGHTS,
            "%s: %s: row %lld names expert %g%s, expected different ones "
            "below %lld",
            view->stored.codes.path,
            view->stored.codes.tensor->name, (long long)r, row[k],
            twice ? " twice" : "", (long long)spec->n_e);
    }
    return CORE_OK;
}

/* A tensor of whole numbers. */
static core_status check_index(const core_spec *spec, const core__view *view)
{
    void *row = NULL;
    const core_st_tensor *t = view->stored.codes.tensor;
    CORE_FAIL_IF(t->dtype != CORE_DTYPE_I64 && t->dtype != CORE_DTYPE_I32 &&
                     t->dtype != CORE_DTYPE_F32,
                 CORE_E_WEIGHTS, "%s: %s: element type %s, expected I64 or I32",
                 view->stored.codes.path, t->name,
                 core_dtype_name(t->dtype));
    CORE_TRY(core_alloc(&row, view->n_col, sizeof(double), "a row"));
    core_status status = CORE_OK;
    for (int64_t r = 0; status == CORE_OK && r < view->n_row; r++) {
        core__view_read(view, r, r + 1, 0, view->n_col, row, view->n_col);
        status = check_row(spec, view, r, row);
    }
    free(row);
    return status;
}

static core_status match(checkpoint *c, const core_spec *spec, core_weight id,
                         core__view *view)
{
    char name[CORE_FILE_TENSOR_BYTES];
    const core_layout layout = where_is(c, spec, id, name);
    CORE_FAIL_IF(layout == CORE_LAYOUT_NONE, CORE_E_WEIGHTS,
                 "%s: no checkpoint format has the tensor %s of model %s",
                 c->path, core_weight_name(id, name), spec->name);
    int64_t shape[2];
    core_weight_shape(spec, id, &shape[0], &shape[1]);
    core__stored stored = core__stored_find(c->folder, spec, c->quant, name);
    if (stored.codes.tensor == NULL)
        return missing(c, spec, id, name);
    const bool routed = core_weight_scope_of(id.kind) == CORE_SCOPE_EXPERT;
    const bool is_matrix = shape[0] > 1;
    const bool is_index = core_weight_is_index(id.kind);
    if (!is_index)
        CORE_TRY(core__stored_check(&stored, c->quant, routed && is_matrix));
    CORE_TRY(core__view_make_in_blocks(view, &stored, layout,
                                       core_file_blocks(spec, id.kind), shape,
                                       id.expert, spec->n_e));
    return is_index ? check_index(spec, view) : CORE_OK;
}

static core_status match_all(checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, c->n_view, sizeof(core_weight), "weights"));
    core_weight *id = memory;
    core_weight_list(spec, id);
    core_status status = CORE_OK;
    for (int64_t i = 0; i < c->n_view && status == CORE_OK; i++)
        status = match(c, spec, id[i], &c->views[i]);
    free(memory);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const core_st_tensor *const *ta = a, *const *tb = b;
    return strcmp((*ta)->name, (*tb)->name);
}

/* A tensor of the files that is no weight of ours, and may be there. */
static bool is_tolerated(checkpoint *c, const core_spec *spec, const char *name)
{
    char inner[CORE_FILE_TENSOR_BYTES];
    const size_t n = strlen(c->outer);
    if (core_file_is_other_part(name)) {
        c->n_other++;
        return true;
    }
    if (strncmp(name, c->outer, n) == 0) {
        snprintf(inner, sizeof inner, "%s%s", c->inner, name + n);
        name = inner;
    }
    return core_file_is_tolerated(spec, name) ||
           (c->quant != NULL && core__stored_is_beside(name));
}

static core_status refuse_unknown(checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    CORE_TRY(
        core_alloc(&memory, 4 * c->n_view, sizeof(core_st_tensor *), "names"));
    const core_st_tensor **known = memory;
    size_t n_known = 0;
    for (int64_t i = 0; i < c->n_view; i++) {
        const core__stored *s = &c->views[i].stored;
        const core_st_tensor *parts[4] = {s->codes.tensor, s->scale, s->second,
                                          s->extent};
        for (int p = 0; p < 4; p++)
            if (parts[p] != NULL)
                known[n_known++] = parts[p];
    }
    qsort(known, n_known, sizeof *known, compare_names);
    core_st_place unknown = {NULL, NULL, NULL};
    for (int64_t i = 0;
         i < core_st_folder_count(c->folder) && unknown.tensor == NULL; i++) {
        const core_st_place place = core_st_folder_at(c->folder, i);
        const char *name = place.tensor->name;
        if (!is_tolerated(c, spec, name) &&
            !bsearch(&place.tensor, known, n_known, sizeof *known,
                     compare_names))
            unknown = place;
    }
    free(memory);
    CORE_FAIL_IF(unknown.tensor != NULL, CORE_E_WEIGHTS,
                 "%s: %s: unknown tensor, the spec has no place for it",
                 unknown.path, unknown.tensor->name);
    return CORE_OK;
}

/* --- the source -------------------------------------------------------------
 */

static void checkpoint_close(void *self)
{
    checkpoint *c = self;
    core_st_folder_close(c->folder);
    core_quant_close(c->quant);
    free(c->views);
    free(c);
}

static double checkpoint_step(const void *self, const core_spec *spec,
                              core_weight id)
{
    const checkpoint *c = self;
    return core__weight_grid(
        core__view_largest(&c->views[core_weight_index(spec, id)]));
}

static core_block checkpoint_block(const void *self, const core_spec *spec,
                                   core_weight id)
{
    const checkpoint *c = self;
    return core__view_block(&c->views[core_weight_index(spec, id)]);
}

static const core_operand_format *
checkpoint_operand(const void *self, const core_spec *spec, core_weight id)
{
    const checkpoint *c = self;
    const core__view *view = &c->views[core_weight_index(spec, id)];
    return view->quantises_operand ? &view->operand : NULL;
}

static void checkpoint_read(const void *self, const core_spec *spec,
                            core_weight id, int64_t r0, int64_t r1, int64_t c0,
                            int64_t c1, double *out, int64_t ld)
{
    const checkpoint *c = self;
    core__view_read(&c->views[core_weight_index(spec, id)], r0, r1, c0, c1, out,
                    ld);
}

/* The first place at which the files have the model's first tensor. */
static void find_text_part(checkpoint *c, const core_spec *spec)
{
    const core_weight first = {spec->n_h > 0 ? CORE_W_EMBED : CORE_W_FFN_NORM,
                               0, 0};
    char name[CORE_FILE_TENSOR_BYTES];
    (void)core_file_tensor(spec, first, name);
    for (int i = 0; core_file_nesting(i, &c->inner, &c->outer); i++) {
        core_st_folder_nest(c->folder, c->inner, c->outer);
        if (core_st_folder_find(c->folder, name).tensor != NULL)
            return;
    }
    (void)core_file_nesting(0, &c->inner, &c->outer);
    core_st_folder_nest(c->folder, c->inner, c->outer);
}

static core_status quantise_operands(checkpoint *c)
{
    bool any = false;
    for (int64_t i = 0; i < c->n_view; i++) {
        CORE_TRY(core__view_quantise_operand(&c->views[i]));
        any |= c->views[i].quantises_operand;
    }
    CORE_FAIL_IF(!any, CORE_E_USAGE,
                 "--act-quant: %s: nothing there says that what is multiplied "
                 "with a weight is quantised",
                 c->path);
    return CORE_OK;
}

static core_status open_checkpoint(checkpoint *c, const core_spec *spec,
                                   bool act_quant)
{
    void *memory = NULL;
    CORE_TRY(core_model_files_open(&c->folder, spec, c->path));
    if (!core_gguf_is_one(c->path))
        CORE_TRY(core_quant_open(&c->quant, c->path));
    find_text_part(c, spec);
    for (int l = 0; l < CORE_MAX_LAYERS; l++)
        c->way[l] = WAY_UNKNOWN;
    c->n_view = core_weight_count(spec);
    CORE_TRY(core_alloc(&memory, c->n_view, sizeof *c->views, "tensors"));
    c->views = memory;
    CORE_TRY(match_all(c, spec));
    CORE_TRY(refuse_unknown(c, spec));
    return act_quant ? quantise_operands(c) : CORE_OK;
}

/* The format of a weight; NULL: it is plain. */
static const char *format_of(const core__stored *s)
{
    if (s->codes.how != NULL && core_repack_block(s->codes.how) > 1)
        return core_packed_format_of(s->codes.how->kind)->name;
    return s->kind != CORE_BLOCK_NONE ? core_block_format_of(s->kind)->name
                                      : NULL;
}

/* The first quantised weight, NULL: there is none. */
static const core__stored *find_quantised(const checkpoint *c)
{
    for (int64_t i = 0; i < c->n_view; i++)
        if (format_of(&c->views[i].stored) != NULL)
            return &c->views[i].stored;
    return NULL;
}

/* All parts together fit: the folder's name is cut. */
static void say_origin(const checkpoint *c, const char *folder, bool act_quant,
                       char origin[CORE_ORIGIN_BYTES])
{
    const int n_file = core_st_folder_files(c->folder);
    const int n_unread = core_st_folder_unread(c->folder);
    const core__stored *coded = find_quantised(c);
    int n = snprintf(origin, CORE_ORIGIN_BYTES, "checkpoint %.150s, %d file%s",
                     folder, n_file, n_file == 1 ? "" : "s");
    if (coded != NULL)
        n += snprintf(origin + n, (size_t)(CORE_ORIGIN_BYTES - n), "; %s%s",
                      format_of(coded),
                      act_quant ? ", activations quantised"
                      : coded->act.how != CORE_ACT_QUANT_NONE
                          ? ", activations as they are"
                          : "");
    if (n_unread > 0)
        n += snprintf(origin + n, (size_t)(CORE_ORIGIN_BYTES - n),
                      "; %d more that the index does not name %s not read",
                      n_unread, n_unread == 1 ? "is" : "are");
    if (c->n_other > 0)
        snprintf(origin + n, (size_t)(CORE_ORIGIN_BYTES - n),
                 "; tensors of other parts (vision, audio) left out: %lld",
                 (long long)c->n_other);
}

core_status core_weights_open_checkpoint(core_weights **out,
                                         const core_spec *spec,
                                         const char *folder, bool act_quant)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(checkpoint), "checkpoint"));
    checkpoint *c = memory;
    *c = (checkpoint){.path = folder};
    const core_status status = open_checkpoint(c, spec, act_quant);
    if (status != CORE_OK) {
        checkpoint_close(c);
        return status;
    }
    c->path = NULL;
    char origin[CORE_ORIGIN_BYTES];
    say_origin(c, folder, act_quant, origin);
    const core__weight_source source = {
        .self = c,
        .close = checkpoint_close,
        .step = checkpoint_step,
        .block = checkpoint_block,
        .operand = act_quant ? checkpoint_operand : NULL,
        .read = checkpoint_read};
    return core__weights_make(out, spec, source, origin);
}
