/* harness/perf/cost/measured.h -- the routing of a run, read from its file of taps.
 *
 * `layers.N.topk_idx` says which experts every token of a pass chose.  From it
 * follow, for any plan of a batch of that shape, the rows of every layer, token
 * group, slice of tokens and expert; choices without a slot are lost by the
 * plan's own token groups, whatever plan the file was made with.
 */
#ifndef HAR_PERF_MEASURED_H
#define HAR_PERF_MEASURED_H

#include "core/files/safetensors.h"
#include "harness/perf/cost/load.h"

typedef struct har_measured {
    const core_spec *spec;  /* borrowed                                       */
    core_st *file;          /* owned                                          */
    char prefix[64];        /* of the pass in the file: "", "p0."             */
    int64_t n_token;
    int64_t n_b, n_t;       /* rows, tokens of each; 0: the file has choices
                             * only, which do not say it                      */
} har_measured;

/* Open a file that `run --out` or `golden make` wrote, or of choices alone, and
 * check the choices of every layer: integers [N, K], different experts of the
 * model.  A capacity with
 * priority `prob` needs `layers.N.topk_weight` too.
 *   prompt  NULL: the only one of the file; else the N of pN
 * Errors: E_FILE, E_FORMAT, E_INPUT with file and tensor; E_USAGE where there
 * are several prompts.  Free with har_measured_close.    [local] */
CORE_NODISCARD core_status har_measured_open(har_measured *out,
                                             const char *path,
                                             const core_spec *spec,
                                             const int64_t *prompt);
void har_measured_close(har_measured *measured); /* accepts {0}               */

/* Make the load of a plan that is legal for the model; har_load_free(out).
 * Errors: E_INPUT if the batch is not the file's; E_MEMORY.    [local] */
CORE_NODISCARD core_status har_measured_load(const har_measured *measured,
                                             const par_plan *plan, int64_t n_b,
                                             int64_t n_t, har_load *out);

/* Shares of the choices by layer and expert, before anything is dropped;
 * share [n_layer, n_e], zero for dense layers.    [local] */
void har_measured_shares(const har_measured *measured, double *share);

#endif
