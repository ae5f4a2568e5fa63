/* core/pass/tapfile_put.c -- filling a tap file, by pieces or by whole taps.
 *
 * A copy and a change of type, nothing else: a piece lands where its global
 * rows and columns say.  Ranks write disjoint pieces of one shared mapping, so
 * there is nothing to lock.  A piece outside its tap is a bug of the caller and
 * would land in a neighbour's tensor: asserted.  Threads share the rows of a piece:
 * the pages of a new file are made as they are written, which takes longer than
 * the copy.
 */
#include "core/pass/tapfile.h"

#include "core/base/arena.h"

#include <string.h>

enum { WORTH_THREADS = 1 << 16 }; /* elements */

void core_tapfile_put(core_tapfile *file, const char *prefix, core_tap tap,
                      const double *values, const int64_t *ints, int64_t ld,
                      const int64_t *row_ids, int64_t row0, int64_t n_row,
                      int64_t col0, int64_t n_col)
{
    const core_st_tensor *tensor = core_tapfile_find(file, prefix, tap, false);
    if (tensor == NULL || n_row == 0 || n_col == 0)
        return;
    const bool is_int = tensor->dtype == CORE_DTYPE_I64;
    core_assert((values == NULL) == is_int && (ints != NULL) == is_int);
    const int64_t n_tensor_col = tensor->shape[tensor->n_dim - 1];
    core_assert(col0 >= 0 && n_col > 0 && n_col <= n_tensor_col - col0);
    const int64_t n_tensor_row = tensor->n / n_tensor_col;
    const size_t elem_bytes = core_dtype_bytes(tensor->dtype);
    const int n_thread =
        n_row * n_col < WORTH_THREADS ? 1 : core_tapfile_threads(file);
#pragma omp parallel for num_threads(n_thread)
    for (int64_t r = 0; r < n_row; r++) {
        const int64_t row = row_ids != NULL ? row_ids[r] : row0 + r;
        core_assert(row >= 0 && row < n_tensor_row);
        char *out = (char *)tensor->data +
                    (size_t)(row * n_tensor_col + col0) * elem_bytes;
        if (is_int)
            memcpy(out, ints + r * ld, (size_t)n_col * elem_bytes);
        else
            core_dtype_from_f64(out, values + r * ld, tensor->dtype, n_col);
    }
}

/* self of the sink */
typedef struct file_sink {
    core_tapfile *file; /* borrowed, as is the prefix */
    const char *prefix;
} file_sink;

static bool sink_wants(void *self, core_tap tap)
{
    const file_sink *sink = self;
    return core_tapfile_find(sink->file, sink->prefix, tap, false) != NULL;
}

static void sink_put(void *self, core_tap tap, const double *values,
                     const int64_t *ints, const float *bound)
{
    const file_sink *sink = self;
    const core_st_tensor *tensor =
        core_tapfile_find(sink->file, sink->prefix, tap, false);
    if (tensor == NULL || tensor->n == 0)
        return;
    const int64_t n_col = tensor->shape[tensor->n_dim - 1];
    core_tapfile_put(sink->file, sink->prefix, tap, values, ints, n_col, NULL,
                     0, tensor->n / n_col, 0, n_col);
    const core_st_tensor *bounds =
        core_tapfile_find(sink->file, sink->prefix, tap, true);
    if (bounds != NULL && bound != NULL)
        memcpy(bounds->data, bound, bounds->bytes);
}

core_status core_tapfile_sink(core_tap_sink *out, core_tapfile *file,
                              const char *prefix)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(file_sink), "a tap sink"));
    file_sink *sink = memory;
    *sink = (file_sink){.file = file, .prefix = prefix};
    *out = (core_tap_sink){.self = sink, .put = sink_put, .wants = sink_wants};
    return CORE_OK;
}
