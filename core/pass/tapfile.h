/* core/pass/tapfile.h -- a safetensors file that holds the taps of a run.
 *
 * Made with room for every tap, then filled in place, whole taps by the
 * reference or pieces by ranks that map the same file.  Tensors are named
 * PREFIX + tap name ("p0.layers.3.attn_out"), shaped [B, T, cols] for coarse
 * token taps except the router's ([N, E], [N, K]), [rows, cols] else; F64 in
 * exact and fp64 numerics, F32 in fp32 and bf16; INT taps I64.  A run with
 * bounds also has PREFIX + "bound/" + tap name, F32.
 */
#ifndef CORE_TAPFILE_H
#define CORE_TAPFILE_H

#include "core/files/safetensors.h"
#include "core/model/taps.h"
#include "core/pass/batch.h"

typedef struct core_tapfile core_tapfile;

/* One forward pass of a file: its name prefix ("" or "p0." ...) and shape.   */
typedef struct core_tapfile_part {
    const char *prefix;
    int64_t n_b, n_t;
    const core_batch *batch; /* its input_ids / attention_mask / hidden_in are
                              * stored along; NULL: not                       */
} core_tapfile_part;

/* metadata: pairs key, value, ..., NULL; may be NULL.                [local] */
CORE_NODISCARD core_status
core_tapfile_create(core_tapfile **out, const char *path, const core_spec *spec,
                    core_numerics numerics, bool coarse_only, bool bounds,
                    const core_tapfile_part *parts, int n_part,
                    const char *const *metadata);

/* Map an existing file: writable = true while its creator fills it, false for
 * a finished one.  Every tap the spec has must be there (only the coarse ones
 * if coarse_only) with its shape.                                    [local] */
CORE_NODISCARD core_status core_tapfile_open(core_tapfile **out,
                                             const char *path,
                                             const core_spec *spec,
                                             bool coarse_only, bool writable);
CORE_NODISCARD core_status core_tapfile_commit(core_tapfile *file);
void core_tapfile_close(core_tapfile *file); /* accepts NULL */

/* dtype, n_dim and shape of a tap's tensor for a batch [n_b, n_t]; real is the
 * type of values, INT taps are I64.  No name, no data.               [local] */
core_st_tensor core_tapfile_tensor(const core_spec *spec, core_tap tap,
                                   int64_t n_b, int64_t n_t, core_dtype real);

const core_st *core_tapfile_st(const core_tapfile *file);
const char *core_tapfile_path(const core_tapfile *file);

/* Threads that share the rows of a large piece from now on; one at first.
 *                                                                    [local] */
void core_tapfile_set_threads(core_tapfile *file, int n_threads);
int core_tapfile_threads(const core_tapfile *file);

/* The tensor of a tap (or of its bound); NULL if the file does not hold it.  */
const core_st_tensor *core_tapfile_find(const core_tapfile *file,
                                        const char *prefix, core_tap tap,
                                        bool bound);

/* A sink for ref_forward that fills part `prefix` of the file; the sink
 * borrows file and prefix.  Free the returned sink's self with free().       */
CORE_NODISCARD core_status core_tapfile_sink(core_tap_sink *out,
                                             core_tapfile *file,
                                             const char *prefix);

/* Store a piece: rows row_ids[0..n_row) (NULL: row0, row0+1, ...) x columns
 * [col0, col0 + n_col); values or ints with row stride ld.  Taps the file does
 * not hold are ignored.                                              [local] */
void core_tapfile_put(core_tapfile *file, const char *prefix, core_tap tap,
                      const double *values, const int64_t *ints, int64_t ld,
                      const int64_t *row_ids, int64_t row0, int64_t n_row,
                      int64_t col0, int64_t n_col);

#endif
