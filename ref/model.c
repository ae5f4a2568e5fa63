/* ref/model.c -- opening a model: weights resident, or a tile at a time.
 *
 * If all weights fit the caller's budget as doubles they are read once, here;
 * otherwise every product reads its weight a tile of rows at a time, and an
 * expert nobody chose is never read.  Both ways the same rows are handed out,
 * so the rest of ref/ does not know which it was.
 */
#include "ref/ref_impl.h"

#include <stdlib.h>

enum {
    ROW_CHUNK = 512,
    TILE_DOUBLES = 4 << 20,   /* 32 MB                                        */
    GROUP_DOUBLES = 64 << 20, /* 512 MB                                       */
    READ_DOUBLES = 1 << 18,   /* of one step of the parallel loading          */
};

/* The tensors of a model, in the order of their numbers. */
typedef struct tensors {
    core_weight *id;
    int64_t n;
} tensors;

/* Rows [r0, r1) of a tensor [n_row, n_col], and their largest norm once they
 * are read. */
typedef struct piece {
    int64_t tensor, r0, r1, n_row, n_col;
    double norm;
} piece;

static core_status list_tensors(tensors *out, const core_spec *spec)
{
    const int64_t n = core_weight_count(spec);
    void *p;
    CORE_TRY(core_alloc(&p, n, sizeof(core_weight), "the list of weights"));
    *out = (tensors){.id = p, .n = n};
    core_weight_list(spec, out->id);
    return CORE_OK;
}

/* Cut the tensors into pieces; out may be NULL, to count them only. */
static int64_t cut(const core_spec *spec, const tensors *all, piece *out)
{
    int64_t n = 0;
    for (int64_t i = 0; i < all->n; i++) {
        int64_t n_row, n_col;
        core_weight_shape(spec, all->id[i], &n_row, &n_col);
        const int64_t step = n_col < READ_DOUBLES ? READ_DOUBLES / n_col : 1;
        for (int64_t r0 = 0; r0 < n_row; r0 += step, n++) {
            const int64_t r1 = r0 + step < n_row ? r0 + step : n_row;
            if (out != NULL)
                out[n] = (piece){i, r0, r1, n_row, n_col, 0.0};
        }
    }
    return n;
}

/* For one parallel loop over the pieces of all tensors: a loop for each of
 * thousands of small tensors would spend its time at their ends.             */
static core_status cut_all(piece **out, int64_t *n, const core_spec *spec,
                           const tensors *all)
{
    *n = cut(spec, all, NULL);
    void *memory;
    CORE_TRY(core_alloc(&memory, *n, sizeof(piece), "pieces of weights"));
    *out = memory;
    cut(spec, all, *out);
    return CORE_OK;
}

static core_status read_tensors(ref_model *m, const tensors *all)
{
    piece *pieces;
    int64_t n_piece;
    CORE_TRY(cut_all(&pieces, &n_piece, m->spec, all));
#pragma omp parallel for schedule(dynamic) num_threads(m->options.n_threads)
    for (int64_t i = 0; i < n_piece; i++) {
        piece *p = &pieces[i];
        const int64_t stride = ref__row_stride(p->n_col);
        double *rows = m->tensor[p->tensor] + p->r0 * stride;
        core_weights_read(m->weights, all->id[p->tensor], p->r0, p->r1, 0,
                          p->n_col, rows, stride);
        if (m->numerics == CORE_EXACT)
            p->norm = core_max_row_norm(rows, p->r1 - p->r0, p->n_col, stride);
    }
    for (int64_t i = 0; i < all->n; i++)
        m->max_norm[i] = 0.0;
    for (int64_t i = 0; i < n_piece; i++) {
        double *norm = &m->max_norm[pieces[i].tensor];
        *norm = ref__worse(*norm, pieces[i].norm);
    }
    free(pieces);
    return CORE_OK;
}

/* Room for one tensor. */
static int64_t tensor_doubles(const core_spec *spec, core_weight id)
{
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    return n_row * ref__row_stride(n_col);
}

static int64_t all_doubles(const core_spec *spec, const tensors *all)
{
    int64_t total = 0;
    for (int64_t i = 0; i < all->n; i++)
        total += tensor_doubles(spec, all->id[i]);
    return total;
}

size_t ref_resident_bytes(const core_spec *spec, bool is_drawn)
{
    const size_t each = sizeof(double) + (is_drawn ? sizeof(float) : 0);
    tensors all;
    if (list_tensors(&all, spec) != CORE_OK) {
        core_message_clear();
        return SIZE_MAX;
    }
    const int64_t n = all_doubles(spec, &all);
    free(all.id);
    return (size_t)n * each;
}

/* Room for all tensors, if they fit. */
static core_status make_room(ref_model *m, const tensors *all)
{
    const int64_t total = all_doubles(m->spec, all);
    if ((size_t)total > m->options.weight_budget_bytes / sizeof(double))
        return CORE_OK;
    (void)core_arena_f64(&m->arena, total);
    CORE_TRY_CTX(core_arena_make(&m->arena), "making weights resident");
    m->storage = core_arena_f64(&m->arena, total);
    m->n_stored = total;
    void *p;
    CORE_TRY(core_alloc(&p, all->n, sizeof(double *), "weight pointers"));
    m->tensor = p;
    CORE_TRY(core_alloc(&p, all->n, sizeof(double), "weight norms"));
    m->max_norm = p;
    double *next = m->storage;
    for (int64_t i = 0; i < all->n; i++) {
        m->tensor[i] = next;
        next += tensor_doubles(m->spec, all->id[i]);
    }
    return CORE_OK;
}

ref_model ref__model_init(const core_spec *spec)
{
    return (ref_model){
        .spec = spec,
        .arena = core_arena_measure(),
        .work = core_arena_measure(),
        .row_chunk = ROW_CHUNK,
        .tile_rows = REF__MAX_TILE,
        .tile_doubles = TILE_DOUBLES,
        .group_doubles = GROUP_DOUBLES,
    };
}

core_status ref_model_reopen(ref_model *m, const core_spec *spec,
                             const core_weights *weights,
                             core_numerics numerics, const ref_options *options)
{
    core_assert(options->n_threads >= 1);
    m->spec = spec;
    m->weights = weights;
    m->numerics = numerics;
    m->options = *options;
    m->has_floats = false;
    tensors all;
    CORE_TRY(list_tensors(&all, spec));
    core_status status = CORE_OK;
    if (m->storage == NULL)
        status = make_room(m, &all);
    if (status == CORE_OK && m->storage != NULL)
        status = read_tensors(m, &all);
    free(all.id);
    return status;
}

core_status ref_model_open(ref_model **out, const core_spec *spec,
                           const core_weights *weights, core_numerics numerics,
                           const ref_options *options)
{
    void *p;
    CORE_TRY(core_alloc(&p, 1, sizeof(ref_model), "the reference model"));
    ref_model *m = p;
    *m = ref__model_init(spec);
    const core_status status =
        ref_model_reopen(m, spec, weights, numerics, options);
    if (status != CORE_OK) {
        ref_model_close(m);
        return status;
    }
    *out = m;
    return CORE_OK;
}

void ref_model_close(ref_model *model)
{
    if (model == NULL)
        return;
    core_arena_free(&model->arena);
    core_arena_free(&model->work);
    free(model->floats);
    free(model->tensor);
    free(model->max_norm);
    free(model);
}

const double *ref__weight_rows(const ref_model *model, core_weight id,
                               int64_t r0, int64_t r1, double *scratch)
{
    int64_t n_row, n_k;
    core_weight_shape(model->spec, id, &n_row, &n_k);
    core_assert(r0 >= 0 && r0 <= r1 && r1 <= n_row);
    const int64_t stride = ref__row_stride(n_k);
    if (model->storage != NULL)
        return model->tensor[core_weight_index(model->spec, id)] + r0 * stride;
    core_weights_read(model->weights, id, r0, r1, 0, n_k, scratch, stride);
    return scratch;
}

const float *ref__weight_floats(const ref_model *model, core_weight id,
                                int64_t r0)
{
    if (!model->has_floats)
        return NULL;
    const double *rows = model->tensor[core_weight_index(model->spec, id)];
    return model->floats + (rows - model->storage) + r0;
}

static core_status transpose_tensors(ref_model *m, const tensors *all)
{
    piece *pieces;
    int64_t n_piece;
    CORE_TRY(cut_all(&pieces, &n_piece, m->spec, all));
#pragma omp parallel for schedule(dynamic) num_threads(m->options.n_threads)
    for (int64_t i = 0; i < n_piece; i++) {
        const piece *p = &pieces[i];
        const int64_t stride = ref__row_stride(p->n_col);
        const double *tensor = m->tensor[p->tensor];
        ref__to_floats_transposed(m->floats + (tensor - m->storage) + p->r0,
                                  p->n_row, tensor + p->r0 * stride, stride,
                                  p->r1 - p->r0, p->n_col);
    }
    free(pieces);
    return CORE_OK;
}

core_status ref__make_floats(ref_model *m)
{
    if (m->storage == NULL || m->has_floats)
        return CORE_OK;
    if (m->floats == NULL) {
        void *p;
        CORE_TRY(
            core_alloc(&p, m->n_stored, sizeof(float), "weights as floats"));
        m->floats = p;
    }
    tensors all;
    CORE_TRY(list_tensors(&all, m->spec));
    const core_status status = transpose_tensors(m, &all);
    m->has_floats = status == CORE_OK;
    free(all.id);
    return status;
}

/* Rows whole pages apart fall into the same few sets of the first cache, and
 * dgemm, which packs sixteen of them at a time, would fetch each line anew.  */
int64_t ref__row_stride(int64_t n_k)
{
    enum { PAGE_DOUBLES = 512, LINE_DOUBLES = 8 };
    return n_k % PAGE_DOUBLES == 0 ? n_k + LINE_DOUBLES : n_k;
}

int64_t ref__max_tile_rows(const ref_model *model, int64_t n_k)
{
    int64_t n = model->tile_doubles / ref__row_stride(n_k);
    n = n < 1 ? 1 : n;
    return n < model->tile_rows ? n : model->tile_rows;
}

int64_t ref__tile_rows(const ref_model *model, int64_t n_out, int64_t n_k)
{
    const int64_t most = ref__max_tile_rows(model, n_k);
    const int64_t n_tile = (n_out + most - 1) / most;
    const int64_t rows = (n_out + n_tile - 1) / n_tile;
    const int64_t whole = (rows + 7) / 8 * 8; /* dgemm likes whole registers */
    return whole <= most ? whole : rows;
}
