/* harness/perf/predict/figures.h -- the headline figures of a prediction, by
 * name.
 *
 * One list serves the report, its JSON and the requirements, so that a name
 * means one thing.
 */
#ifndef HAR_PERF_FIGURES_H
#define HAR_PERF_FIGURES_H

#include "harness/perf/predict/predict.h"

#include <stdio.h>

typedef struct har_figure {
    const char *key, *unit; /* unit "": a share                               */
    const char *meaning;
    har_range range;
    bool exists; /* false: the model has no such thing             */
} har_figure;

/* Figure i of a prediction; false beyond the last.    [local] */
bool har_figure_at(har_figure *out, const har_prediction *p, int i);

/* "uniform, drawn", "measured in FILE"; "" for a model without experts or a
 * case that names no popularity.  Returns text.    [local] */
enum { HAR_ROUTING_TEXT = 600 };
const char *har_routing_text(char text[HAR_ROUTING_TEXT],
                             const har_predict_case *request);

/* "products", "links nvlink" ...; and what would make it smaller.  Both return
 * text.    [local] */
enum { HAR_DOUBT_TEXT = 200 };
const char *har_doubt_name(char text[HAR_DOUBT_TEXT], const har_doubt *doubt,
                           const har_machine *machine);
const char *har_doubt_remedy(char text[HAR_DOUBT_TEXT], const har_doubt *doubt,
                             const har_machine *machine);

/* The report: headlines with definitions, stages, operators.                 */
void har_predict_write(FILE *out, const har_predict_case *request,
                       const har_machine *machine, const har_prediction *p);

/* The same for machines, into a file.  Errors: E_FILE, E_MEMORY.    [local] */
CORE_NODISCARD core_status har_predict_json(const char *path,
                                            const har_predict_case *request,
                                            const har_machine *machine,
                                            const har_prediction *p);

/* Hold a prediction against the requirements of a YAML file, a line each:
 *     latency_ms: "< 50"
 *     communication: "< 20%"
 * *met: all of them.  A requirement whose name has several meanings is not met.
 * Errors: E_FILE, E_FORMAT as FILE:LINE:COLUMN.    [local] */
CORE_NODISCARD core_status har_require(FILE *out, const char *path,
                                       const har_prediction *p, bool *met);

/* The predicted timeline, a track per GPU.  E_FILE, E_MEMORY.         [local]
 */
CORE_NODISCARD core_status har_predict_trace(const char *path,
                                             har_predictor *predictor,
                                             int n_gpu);

#endif
