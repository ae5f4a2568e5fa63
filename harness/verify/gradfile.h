/* harness/verify/gradfile.h -- the reference's gradients as a file.
 *
 * safetensors, F64: core_grad_name of every gradient; "slot.layers.N" [N*K] of
 * the choices, -1 for those without a row.
 */
#ifndef HAR_GRADFILE_H
#define HAR_GRADFILE_H

#include "core/files/safetensors.h"
#include "ref/gradients.h"

/* What a pass back gives, in the order in which reports name it. */
typedef struct har_gradlist {
    core_grad *grad; /* [n]                                                   */
    int64_t n;
} har_gradlist;
CORE_NODISCARD core_status har_gradlist_make(har_gradlist *out,
                                             const core_spec *spec);
void har_gradlist_free(har_gradlist *list);

size_t har_gradfile_bytes(const core_spec *spec, int64_t n_token);

/* Both passes of the reference, as of ref_gradients.                         */
typedef struct har_gradpass {
    const core_batch *batch;
    const core_groups *groups;
    const ref_dealt *dealt; /* or NULL                                        */
    uint64_t seed;
} har_gradpass;

/* Into a file.  Errors: those of ref_gradients, core_st_create and
 * core_st_commit.                                                    [local] */
CORE_NODISCARD core_status har_gradfile_write(
    const char *path, const core_spec *spec, const har_gradlist *list,
    ref_model *model, const har_gradpass *pass, ref_stats *stats);

/* live [N*K]: does choice c of the layer have a row?                 [local] */
void har_gradfile_live(const core_st *file, int layer, int64_t n_choice,
                       uint8_t *live);

#endif
