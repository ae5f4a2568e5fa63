/* harness/perf/predict/trace.c -- the predicted timeline for Perfetto. */
#include "harness/launch/outfile.h"
#include "harness/perf/cost/trace.h"
#include "harness/perf/predict/figures.h"

static void write_span(void *self, const har_span *s)
{
    const bool moves = s->kind == CORE_COST_COLLECTIVE;
    const har_trace_arg args[] = {{"layer", NULL, s->layer},
                                  {"micro_batch", NULL, s->mb},
                                  {"tick", NULL, (double)s->tick}};
    char name[96];
    snprintf(name, sizeof name, "%s %s", s->op,
             moves ? core_collective_name(s->collective)
                   : core_cost_kind_name(s->kind));
    const har_trace_event event = {.track = s->rank,
                                   .name = name,
                                   .category = core_cost_kind_name(s->kind),
                                   .start_us = s->start * 1e6,
                                   .dur_us = (s->end - s->start) * 1e6,
                                   .n_arg = 3,
                                   .arg = args};
    har_trace_put(self, &event);
}

core_status har_predict_trace(const char *path, har_predictor *predictor,
                              int n_gpu)
{
    har_outfile file;
    CORE_TRY(har_outfile_open(&file, path));
    har_trace_begin(file.file, "predicted");
    for (int rank = 0; rank < n_gpu; rank++) {
        char name[32];
        snprintf(name, sizeof name, "GPU %d", rank);
        har_trace_track(file.file, 0, rank, name);
    }
    const core_status status =
        har_predict_spans(predictor, write_span, file.file);
    if (status != CORE_OK) {
        har_outfile_drop(&file);
        return status;
    }
    har_trace_end(file.file);
    return har_outfile_commit(&file);
}
