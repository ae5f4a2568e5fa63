/* core/pass/tapfile.c -- which tensors a tap file holds, made and checked.
 *
 * One function says the shape of a tap's tensor; creating a file lists what it
 * says, opening one compares with what it says.  Space is reserved as zeros, so
 * the rows of dropped choices need not be written.  Traps: a file may hold
 * several parts, and opening is told the model only, so the parts are found by
 * the first tap that has both B and T in its shape; a bound ends in the name of
 * its tap and must not be taken for a part.
 */
#include "core/pass/tapfile.h"

#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSOR_NAME_BYTES = 160 };

struct core_tapfile {
    core_st *st;
    int n_thread; /* that put pieces into it                                  */
};

/* The list under construction, with the memory of its names. */
typedef struct tensor_list {
    core_st_tensor *tensors;
    char (*names)[TENSOR_NAME_BYTES];
    int64_t n;
} tensor_list;

static bool is_router_tap(core_tap_kind kind)
{
    return kind == CORE_TAP_ROUTER_LOGITS || kind == CORE_TAP_TOPK_IDX ||
           kind == CORE_TAP_TOPK_WEIGHT;
}

/* Is the tensor [B, T, cols], as transformers shapes it? */
static bool is_batched(core_tap_kind kind)
{
    return core_tap_is_coarse(kind) && !is_router_tap(kind);
}

core_st_tensor core_tapfile_tensor(const core_spec *spec, core_tap tap,
                                   int64_t n_b, int64_t n_t, core_dtype real)
{
    const bool is_int = core_tap_grid(tap.kind) == CORE_GRID_INT;
    core_st_tensor tensor = {.dtype = is_int ? CORE_DTYPE_I64 : real};
    if (is_batched(tap.kind)) {
        tensor.shape[tensor.n_dim++] = n_b;
        tensor.shape[tensor.n_dim++] = n_t;
    } else {
        tensor.shape[tensor.n_dim++] = core_tap_n_rows(spec, tap, n_b * n_t);
    }
    tensor.shape[tensor.n_dim++] = core_tap_cols(spec, tap);
    return tensor;
}

/* PREFIX + "bound/" + name; false if that is longer than any of ours. */
static bool format_name(char name[TENSOR_NAME_BYTES], const char *prefix,
                        bool bound, const char *rest)
{
    const int length = snprintf(name, TENSOR_NAME_BYTES, "%s%s%s", prefix,
                                bound ? "bound/" : "", rest);
    return length >= 0 && length < TENSOR_NAME_BYTES;
}

static void append(tensor_list *list, core_st_tensor tensor, const char *prefix,
                   bool bound, const char *rest)
{
    char *name = list->names[list->n];
    core_assert(format_name(name, prefix, bound, rest));
    tensor.name = name;
    list->tensors[list->n++] = tensor;
}

static void append_inputs(tensor_list *list, const core_spec *spec,
                          const core_tapfile_part *part)
{
    const core_batch *batch = part->batch;
    if (batch == NULL)
        return;
    core_assert(batch->n_b == part->n_b && batch->n_t == part->n_t);
    core_st_tensor tensor = {
        .dtype = CORE_DTYPE_I64, .n_dim = 2, .shape = {part->n_b, part->n_t}};
    if (batch->ids != NULL)
        append(list, tensor, part->prefix, false, "input_ids");
    if (batch->mask != NULL)
        append(list, tensor, part->prefix, false, "attention_mask");
    tensor.dtype = CORE_DTYPE_F64;
    tensor.n_dim = 3;
    tensor.shape[2] = spec->n_d;
    if (batch->hidden != NULL)
        append(list, tensor, part->prefix, false, "hidden_in");
}

static void append_part(tensor_list *list, const core_spec *spec,
                        const core_tap *taps, int64_t n_tap, core_dtype real,
                        bool coarse_only, bool bounds,
                        const core_tapfile_part *part)
{
    append_inputs(list, spec, part);
    for (int64_t i = 0; i < n_tap; i++) {
        if (coarse_only && !core_tap_is_coarse(taps[i].kind))
            continue;
        core_st_tensor tensor =
            core_tapfile_tensor(spec, taps[i], part->n_b, part->n_t, real);
        char name[CORE_NAME_BYTES];
        core_tap_name(taps[i], name);
        append(list, tensor, part->prefix, false, name);
        if (bounds && tensor.dtype != CORE_DTYPE_I64) {
            tensor.dtype = CORE_DTYPE_F32;
            append(list, tensor, part->prefix, true, name);
        }
    }
}

/* All taps of the model; free() *out. */
static core_status list_taps(const core_spec *spec, core_tap **out,
                             int64_t *n_tap)
{
    *n_tap = core_taps(spec, NULL, 0);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, *n_tap, sizeof **out, "the list of taps"));
    *out = memory;
    core_taps(spec, *out, *n_tap);
    return CORE_OK;
}

static const core_st_tensor *find_input(const core_st *st, const char *prefix,
                                        const char *input)
{
    char name[TENSOR_NAME_BYTES];
    core_assert(format_name(name, prefix, false, input));
    return core_st_find(st, name);
}

static void write_inputs(const core_st *st, const core_tapfile_part *part)
{
    const core_batch *batch = part->batch;
    const core_st_tensor *ids = find_input(st, part->prefix, "input_ids");
    const core_st_tensor *mask = find_input(st, part->prefix, "attention_mask");
    const core_st_tensor *hidden = find_input(st, part->prefix, "hidden_in");
    if (ids != NULL && ids->bytes > 0)
        memcpy(ids->data, batch->ids, ids->bytes);
    for (int64_t i = 0; mask != NULL && i < mask->n; i++)
        ((int64_t *)mask->data)[i] = batch->mask[i];
    if (hidden != NULL && hidden->bytes > 0)
        memcpy(hidden->data, batch->hidden, hidden->bytes);
}

/* A handle for st, which it owns from now on, error or not. */
static core_status wrap(core_tapfile **out, core_st *st)
{
    core_tapfile *file = malloc(sizeof *file);
    if (file == NULL) {
        core_st_close(st);
        CORE_FAIL(CORE_E_MEMORY, "no memory to open a tap file");
    }
    *file = (core_tapfile){.st = st, .n_thread = 1};
    *out = file;
    return CORE_OK;
}

core_status core_tapfile_create(core_tapfile **out, const char *path,
                                const core_spec *spec, core_numerics numerics,
                                bool coarse_only, bool bounds,
                                const core_tapfile_part *parts, int n_part,
                                const char *const *metadata)
{
    core_tap *taps = NULL;
    int64_t n_tap = 0;
    tensor_list list = {0};
    void *memory = NULL;
    core_st *st = NULL;
    core_status status = list_taps(spec, &taps, &n_tap);
    const int64_t n_max = n_part * (2 * n_tap + 3); /* 3 inputs */
    if (status == CORE_OK)
        status = core_alloc(&memory, n_max, sizeof *list.tensors, path);
    if (status == CORE_OK) {
        list.tensors = memory;
        status = core_alloc(&memory, n_max, sizeof *list.names, path);
    }
    if (status == CORE_OK) {
        list.names = memory;
        const core_dtype real = core_numerics_dtype(numerics);
        for (int i = 0; i < n_part; i++)
            append_part(&list, spec, taps, n_tap, real, coarse_only, bounds,
                        &parts[i]);
        status = core_st_create(&st, path, list.tensors, list.n, metadata);
    }
    free(list.names);
    free(list.tensors);
    free(taps);
    CORE_TRY(status);
    for (int i = 0; i < n_part; i++)
        write_inputs(st, &parts[i]);
    return wrap(out, st);
}

static bool same_shape(const core_st_tensor *a, const core_st_tensor *b)
{
    return a->n_dim == b->n_dim &&
           memcmp(a->shape, b->shape, (size_t)a->n_dim * sizeof a->shape[0]) ==
               0;
}

static core_status check_tap(const core_st *st, const core_spec *spec,
                             const char *prefix, core_tap tap, int64_t n_b,
                             int64_t n_t)
{
    char tap_name[CORE_NAME_BYTES], name[TENSOR_NAME_BYTES];
    const bool fits =
        format_name(name, prefix, false, core_tap_name(tap, tap_name));
    const core_st_tensor *found = fits ? core_st_find(st, name) : NULL;
    CORE_FAIL_IF(found == NULL, CORE_E_FORMAT, "%s: tap '%s%s' is missing",
                 core_st_path(st), prefix, tap_name);
    const core_st_tensor want =
        core_tapfile_tensor(spec, tap, n_b, n_t, CORE_DTYPE_F64);
    char want_text[CORE_ST_SHAPE_BYTES], found_text[CORE_ST_SHAPE_BYTES];
    CORE_FAIL_IF(!same_shape(found, &want), CORE_E_FORMAT,
                 "%s: tap '%s': expected shape [%s], found [%s]",
                 core_st_path(st), name,
                 core_st_shape_text(want_text, want.shape, want.n_dim),
                 core_st_shape_text(found_text, found->shape, found->n_dim));
    const bool is_right = want.dtype == CORE_DTYPE_I64
                              ? found->dtype == CORE_DTYPE_I64
                              : core_dtype_is_float(found->dtype);
    CORE_FAIL_IF(!is_right, CORE_E_FORMAT,
                 "%s: tap '%s': expected dtype %s, found %s", core_st_path(st),
                 name, want.dtype == CORE_DTYPE_I64 ? "I64" : "F64 or F32",
                 core_dtype_name(found->dtype));
    return CORE_OK;
}

/* Every tap of the part whose anchor tensor (a batched tap) this is. */
static core_status check_part(const core_st *st, const core_spec *spec,
                              const core_tap *taps, int64_t n_tap,
                              bool coarse_only, const core_st_tensor *anchor,
                              size_t n_prefix)
{
    char prefix[TENSOR_NAME_BYTES];
    CORE_FAIL_IF(n_prefix >= sizeof prefix, CORE_E_FORMAT,
                 "%s: tap '%.60s...': its prefix is too long", core_st_path(st),
                 anchor->name);
    memcpy(prefix, anchor->name, n_prefix);
    prefix[n_prefix] = '\0';
    CORE_FAIL_IF(anchor->n_dim != 3, CORE_E_FORMAT,
                 "%s: tap '%s': expected 3 dimensions, found %d",
                 core_st_path(st), anchor->name, anchor->n_dim);
    for (int64_t i = 0; i < n_tap; i++) {
        if (!coarse_only || core_tap_is_coarse(taps[i].kind))
            CORE_TRY(check_tap(st, spec, prefix, taps[i], anchor->shape[0],
                               anchor->shape[1]));
    }
    return CORE_OK;
}

static core_status check_taps(const core_st *st, const core_spec *spec,
                              const core_tap *taps, int64_t n_tap,
                              bool coarse_only)
{
    int64_t first = 0;
    while (first < n_tap && !is_batched(taps[first].kind))
        first++;
    core_assert(first < n_tap);
    char anchor[CORE_NAME_BYTES];
    const size_t n_anchor = strlen(core_tap_name(taps[first], anchor));
    int64_t n_found = 0;
    for (int64_t i = 0; i < core_st_count(st); i++) {
        const core_st_tensor *tensor = core_st_at(st, i);
        const size_t n_name = strlen(tensor->name);
        if (n_name < n_anchor)
            continue;
        const size_t n_prefix = n_name - n_anchor;
        if (strcmp(tensor->name + n_prefix, anchor) != 0 ||
            (n_prefix > 0 && tensor->name[n_prefix - 1] != '.'))
            continue;
        CORE_TRY(
            check_part(st, spec, taps, n_tap, coarse_only, tensor, n_prefix));
        n_found++;
    }
    CORE_FAIL_IF(n_found == 0, CORE_E_FORMAT, "%s: tap '%s' is missing",
                 core_st_path(st), anchor);
    return CORE_OK;
}

core_status core_tapfile_open(core_tapfile **out, const char *path,
                              const core_spec *spec, bool coarse_only,
                              bool writable)
{
    core_tap *taps = NULL;
    int64_t n_tap = 0;
    CORE_TRY(list_taps(spec, &taps, &n_tap));
    core_st *st = NULL;
    core_status status =
        writable ? core_st_attach(&st, path) : core_st_follow(&st, path);
    if (status == CORE_OK)
        status = check_taps(st, spec, taps, n_tap, coarse_only);
    free(taps);
    if (status != CORE_OK) {
        core_st_close(st);
        return status;
    }
    return wrap(out, st);
}

core_status core_tapfile_commit(core_tapfile *file)
{
    return core_st_commit(file->st);
}

void core_tapfile_close(core_tapfile *file)
{
    if (file == NULL)
        return;
    core_st_close(file->st);
    free(file);
}

void core_tapfile_set_threads(core_tapfile *file, int n_threads)
{
    file->n_thread = n_threads;
}

int core_tapfile_threads(const core_tapfile *file)
{
    return file->n_thread;
}

const core_st *core_tapfile_st(const core_tapfile *file)
{
    return file->st;
}

const char *core_tapfile_path(const core_tapfile *file)
{
    return core_st_path(file->st);
}

const core_st_tensor *core_tapfile_find(const core_tapfile *file,
                                        const char *prefix, core_tap tap,
                                        bool bound)
{
    char tap_name[CORE_NAME_BYTES], name[TENSOR_NAME_BYTES];
    if (!format_name(name, prefix, bound, core_tap_name(tap, tap_name)))
        return NULL;
    return core_st_find(file->st, name);
}
