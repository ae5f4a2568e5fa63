/* harness/perf/predict/load_source.h -- where the rows of experts of a prediction come
 * from, as said on the command line.
 *
 *   routing     drawn, drawn:SEED, expected: from the popularity
 *               measured:FILE: the choices in a file of taps (measured.h)
 *   popularity  what har_demand_parse takes, or taps:FILE: the shares of every
 *               layer of such a file, for a batch of any shape
 */
#ifndef HAR_PERF_LOAD_SOURCE_H
#define HAR_PERF_LOAD_SOURCE_H

#include "harness/perf/cost/measured.h"
#include "harness/perf/predict/predict.h"

typedef struct har_load_source {
    const char *routing;    /* borrowed                                       */
    har_demand demand;
    bool all_ranks;         /* false: expected                                */
    bool is_measured;
    har_measured measured;  /* of measured: or taps:                          */
    double *by_layer;       /* owned: of taps:                                */
    har_load load;          /* owned: of the plan last shown                  */
} har_load_source;

/* prompt: of a file of taps, or NULL.  Errors: E_USAGE; those of
 * har_demand_parse and har_measured_open.  Free with har_load_source_close,
 * whatever was returned; start with {0}.    [local] */
CORE_NODISCARD core_status har_load_source_open(har_load_source *source,
                                                const core_spec *spec,
                                                const char *routing,
                                                const char *popularity,
                                                const int64_t *prompt);
void har_load_source_close(har_load_source *source);

/* The share of each expert, of a file of taps the mean over the layers: for what
 * serves all layers.  share: [spec->n_e]    [local] */
void har_load_source_shares(const har_load_source *source,
                            const core_spec *spec, double *share);

/* Set demand, load and all_ranks of a case whose plan and batch are set.  The
 * case borrows them until the next call.  Errors: E_INPUT for another batch
 * than was measured, E_MEMORY.    [local] */
CORE_NODISCARD core_status har_load_source_apply(har_load_source *source,
                                                 har_predict_case *what);

#endif
