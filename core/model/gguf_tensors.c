/* core/model/gguf_tensors.c -- the tensors of a GGUF file under the names that
 * the model's family has for them.
 *
 * A tensor keeps its bytes; its shape, and how values lie in them, is said
 * beside it.  One that means no weight of the model keeps its own name, by
 * which it is refused when the weights are opened.  Traps: a vector may come as
 * a matrix of one row, a convolution without its middle dimension; keys and
 * values of latent attention come as two tensors of what is one matrix here.
 */
#include "core/model/gguf_impl.h"
#include "core/model/gguf_model.h"

#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensor {
    core_st_tensor view;
    core_repack how;
    char name[CORE_FILE_TENSOR_BYTES];
} tensor;

/* What the folder owns. */
typedef struct owned {
    core_gguf *file;
    tensor *tensors;
} owned;

static void close_owned(void *self)
{
    owned *o = self;
    core_gguf_close(o->file);
    free(o->tensors);
    free(o);
}

/* "blk.LAYER.rest"; -1 and the whole name, where it is none of a layer. */
static int64_t layer_of(const char *name, const char **rest)
{
    static const char BLK[] = "blk.";
    char *end;
    *rest = name;
    if (strncmp(name, BLK, 4) != 0 || name[4] < '0' || name[4] > '9')
        return -1;
    const long layer = strtol(name + 4, &end, 10);
    if (*end != '.' || layer > INT32_MAX)
        return -1;
    *rest = end + 1;
    return layer;
}

/* The shape that a layout has for the same values. */
static void reshape(core_st_tensor *view, core_layout layout)
{
    int n_dim = 0;
    for (int d = 0; d < view->n_dim; d++)
        if (view->shape[d] != 1)
            view->shape[n_dim++] = view->shape[d];
    if (n_dim == 0)
        view->shape[n_dim++] = 1;
    view->n_dim = n_dim;
    if (layout == CORE_LAYOUT_MATRIX && n_dim == 1) {
        view->shape[1] = view->shape[0];
        view->shape[0] = 1;
        view->n_dim = 2;
    }
    if (layout == CORE_LAYOUT_CONV && n_dim == 2) {
        view->shape[2] = view->shape[1];
        view->shape[1] = 1;
        view->n_dim = 3;
    }
    if (layout == CORE_LAYOUT_PER_HEAD && n_dim == 1) {
        view->shape[2] = view->shape[0];
        view->shape[0] = view->shape[1] = view->shape[3] = 1;
        view->n_dim = 4;
    }
}

static void set_plain(core_st_tensor *view, core_packed_kind kind)
{
    view->dtype = kind == CORE_PACKED_F16    ? CORE_DTYPE_F16
                  : kind == CORE_PACKED_BF16 ? CORE_DTYPE_BF16
                                             : CORE_DTYPE_F32;
}

static bool is_plain(const core_repack *how)
{
    return how->order == CORE_ORDER_SAME && how->as == CORE_STORED_AS_IT_IS &&
           core_packed_format_of(how->kind)->values == 1;
}

/* Two tensors, [heads, columns, rows] and [heads, rows, columns], as one. */
static core_status join_heads(tensor *t, const core_gguf *file, int64_t layer,
                              const core_spec *spec)
{
    const core_gguf_tensor *value =
        core__gguf_layer_tensor(file, layer, "attn_v_b.weight");
    core_st_tensor *v = &t->view;
    CORE_FAIL_IF(value == NULL || v->n_dim != 3 || value->n_dim != 3 ||
                     value->shape[0] != v->shape[0] ||
                     value->shape[2] != v->shape[1] || v->shape[0] != spec->n_h,
                 CORE_E_WEIGHTS,
                 "%s: blk.%lld: attn_k_b and attn_v_b are no two parts of "
                 "%lld heads",
                 core_gguf_path(file), (long long)layer, (long long)spec->n_h);
    t->how.head = v->shape[2];
    t->how.other = value->data;
    t->how.other_kind = value->kind;
    t->how.other_head = value->shape[1];
    v->n += value->n;
    v->bytes += value->bytes;
    v->shape[2] = v->shape[1];
    v->shape[0] = spec->n_h * (t->how.head + t->how.other_head);
    v->shape[1] = v->shape[2];
    v->n_dim = 2;
    return CORE_OK;
}

static bool is_query_or_key(core_weight_kind kind)
{
    return kind == CORE_W_Q || kind == CORE_W_K || kind == CORE_W_Q_BIAS ||
           kind == CORE_W_K_BIAS;
}

static bool is_norm(core_weight_kind kind)
{
    return kind == CORE_W_ATTN_NORM || kind == CORE_W_FFN_NORM ||
           kind == CORE_W_Q_NORM || kind == CORE_W_K_NORM ||
           kind == CORE_W_FINAL_NORM;
}

/* How the heads of values of a delta net lie; of queries, keys and values in
 * one tensor, the last rows. */
static core_order tiles_of(const core_spec *spec, core_weight_kind kind,
                           core_repack *how)
{
    how->head = spec->deltanet.n_dv;
    how->n_head = spec->deltanet.n_vh;
    how->n_group = spec->deltanet.n_kh;
    switch (kind) {
    case CORE_W_DELTANET_Q:
    case CORE_W_DELTANET_Q_CONV:
    case CORE_W_DELTANET_GATE:
        return CORE_ORDER_TILED_ROWS;
    case CORE_W_DELTANET_BETA:
    case CORE_W_DELTANET_DT:
    case CORE_W_DELTANET_DT_BIAS:
    case CORE_W_DELTANET_A_LOG:
        how->head = 1;
        return CORE_ORDER_TILED_ROWS;
    case CORE_W_DELTANET_OUT:
        return CORE_ORDER_TILED_COLUMNS;
    default:
        return CORE_ORDER_SAME;
    }
}

/* A tensor that has not as many rows or columns stays as it lies, in this and
 * the next: its shape is refused when the weights are opened.                */
static void set_tiles(tensor *t, const core_spec *spec, core_weight_kind kind)
{
    const core_order order = tiles_of(spec, kind, &t->how);
    const int64_t n = t->how.n_head * t->how.head;
    const int64_t n_row = t->view.shape[0];
    if (order == CORE_ORDER_TILED_COLUMNS ? t->view.n / n_row == n : n_row >= n)
        t->how.order = order;
}

static void set_pairs(tensor *t, const core_spec *spec)
{
    if (t->view.shape[0] % spec->n_dh == 0) {
        t->how.order = CORE_ORDER_PAIRS;
        t->how.head = spec->n_dh;
    }
}

/* The last layers of a file may be some that predict further tokens. */
static bool looks_ahead(const core_gguf *file, int64_t layer)
{
    const int n_layer = core__gguf_layers(file);
    double n_ahead = 0.0;
    (void)core__gguf_value(file, "nextn_predict_layers", &n_ahead);
    return layer < n_layer && (double)layer >= n_layer - n_ahead;
}

static core_status name_tensor(tensor *t, const core_gguf *file,
                               const core__gguf_arch *arch,
                               const core_spec *spec, int64_t layer,
                               const char *rest)
{
    core__gguf_meaning m;
    if (layer >= spec->n_l) /* no layer of ours */
        snprintf(t->name, sizeof t->name, "%s.layers.%lld.%.100s",
                 looks_ahead(file, layer) ? "mtp" : "model", (long long)layer,
                 rest);
    if (layer >= spec->n_l || !core__gguf_meaning_of(spec, layer, rest, &m))
        return CORE_OK;
    const core_weight id = {m.kind, layer < 0 ? 0 : (int)layer, m.expert};
    char name[CORE_FILE_TENSOR_BYTES];
    const core_layout layout = core_file_tensor_in(spec, id, m.way, name);
    if (layout == CORE_LAYOUT_NONE)
        return CORE_OK;
    memcpy(t->name, name, sizeof name);
    t->how.order = m.order;
    t->how.as =
        arch->plus_one && is_norm(m.kind) ? CORE_STORED_AS_PLUS_ONE : m.as;
    if (m.order == CORE_ORDER_HEADS)
        return join_heads(t, file, layer, spec);
    reshape(&t->view, layout);
    if (arch->pairs && is_query_or_key(m.kind))
        set_pairs(t, spec);
    if (arch->tiled)
        set_tiles(t, spec, m.kind);
    return CORE_OK;
}

static core_status translate(tensor *t, const core_gguf *file,
                             const core__gguf_arch *arch, const core_spec *spec,
                             const core_gguf_tensor *g)
{
    const char *rest;
    const int64_t layer = layer_of(g->name, &rest);
    t->view = (core_st_tensor){.name = t->name,
                               .n_dim = g->n_dim,
                               .n = g->n,
                               .bytes = g->bytes,
                               .data = (void *)g->data};
    memcpy(t->view.shape, g->shape, sizeof g->shape);
    t->how = (core_repack){.kind = g->kind};
    set_plain(&t->view, g->kind);
    snprintf(t->name, sizeof t->name, "%.150s", g->name);
    return name_tensor(t, file, arch, spec, layer, rest);
}

/* Part of what another name stands for, or nothing of the model's. */
static bool is_passed_over(const core_gguf *file, const char *name)
{
    const char *rest;
    const int64_t layer = layer_of(name, &rest);
    if (strcmp(name, "rope_freqs.weight") == 0)
        return true; /* the spec has what it says */
    return layer >= 0 && strcmp(rest, "attn_v_b.weight") == 0 &&
           core__gguf_layer_tensor(file, layer, "attn_k_b.weight") != NULL;
}

static core_status fill(owned *o, core_st_place *places, int64_t *n,
                        const core_spec *spec)
{
    const core__gguf_arch *arch = NULL;
    CORE_TRY(core__gguf_arch_of(&arch, o->file));
    for (int64_t i = 0; i < core_gguf_count(o->file); i++) {
        const core_gguf_tensor *g = core_gguf_at(o->file, i);
        tensor *t = &o->tensors[i];
        if (is_passed_over(o->file, g->name))
            continue;
        CORE_TRY(translate(t, o->file, arch, spec, g));
        places[(*n)++] = (core_st_place){g->path, &t->view,
                                         is_plain(&t->how) ? NULL : &t->how};
    }
    return CORE_OK;
}

static core_status make_places(owned *o, core_st_folder **out,
                               const core_spec *spec, const char *path)
{
    void *memory = NULL;
    int64_t n = 0;
    CORE_TRY(core_gguf_open(&o->file, path));
    const int64_t most = core_gguf_count(o->file) + 1;
    CORE_TRY(core_alloc(&memory, most, sizeof *o->tensors, path));
    o->tensors = memory;
    CORE_TRY(core_alloc(&memory, most, sizeof(core_st_place), path));
    core_status status = fill(o, memory, &n, spec);
    if (status == CORE_OK)
        status = core_st_folder_of(out, memory, n, core_gguf_files(o->file), o,
                                   close_owned);
    if (status != CORE_OK)
        free(memory);
    return status;
}

core_status core_model_files_open(core_st_folder **out, const core_spec *spec,
                                  const char *path)
{
    if (!core_gguf_is_one(path))
        return core_st_folder_open(out, path);
    owned *o = calloc(1, sizeof *o);
    CORE_FAIL_IF(o == NULL, CORE_E_MEMORY, "no memory to open %s", path);
    const core_status status = make_places(o, out, spec, path);
    if (status != CORE_OK)
        close_owned(o);
    return status;
}
