/* harness/perf/predict/trace.c -- the predicted timeline for Perfetto. */
#include "harness/launch/outfile.h"
#include "harness/perf/cost/trace.h"
#include "harness/perf/predict/figures.h"

#include <stdlib.h>
#include <string.h>

typedef struct writing {
    FILE *file;
    int n_gpu;
    bool *has_second; /* [n_gpu] tracks of what goes on                       */
} writing;

/* Of a rank; what goes on beside its computing is on a track of its own. */
static int track_of(writing *w, const har_span *s)
{
    char name[48];
    if (!s->goes_on)
        return s->rank;
    if (!w->has_second[s->rank]) {
        snprintf(name, sizeof name, "GPU %d, under way", s->rank);
        har_trace_track(w->file, 0, w->n_gpu + s->rank, name);
        w->has_second[s->rank] = true;
    }
    return w->n_gpu + s->rank;
}

static void write_span(void *self, const har_span *s)
{
    writing *w = self;
    const bool moves = s->kind == CORE_COST_COLLECTIVE;
    const har_trace_arg args[] = {{"layer", NULL, s->layer},
                                  {"micro_batch", NULL, s->mb},
                                  {"tick", NULL, (double)s->tick}};
    char name[96];
    snprintf(name, sizeof name, "%s %s", s->op,
             moves ? core_collective_name(s->collective)
                   : core_cost_kind_name(s->kind));
    const har_trace_event event = {.track = track_of(w, s),
                                   .name = name,
                                   .category = core_cost_kind_name(s->kind),
                                   .start_us = s->start * 1e6,
                                   .dur_us = (s->end - s->start) * 1e6,
                                   .n_arg = 3,
                                   .arg = args};
    har_trace_put(w->file, &event);
}

core_status har_predict_trace(const char *path, har_predictor *predictor,
                              int n_gpu)
{
    har_outfile file;
    void *memory;
    CORE_TRY(core_alloc(&memory, n_gpu, sizeof(bool), "tracks"));
    memset(memory, 0, (size_t)n_gpu * sizeof(bool));
    core_status status = har_outfile_open(&file, path);
    if (status != CORE_OK) {
        free(memory);
        return status;
    }
    har_trace_begin(file.file, "predicted");
    for (int rank = 0; rank < n_gpu; rank++) {
        char name[32];
        snprintf(name, sizeof name, "GPU %d", rank);
        har_trace_track(file.file, 0, rank, name);
    }
    writing w = {file.file, n_gpu, memory};
    status = har_predict_spans(predictor, write_span, &w);
    free(memory);
    if (status != CORE_OK) {
        har_outfile_drop(&file);
        return status;
    }
    har_trace_end(file.file);
    return har_outfile_commit(&file);
}
