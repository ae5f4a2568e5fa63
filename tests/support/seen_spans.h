/* tests/support/seen_spans.h -- how many spans a timeline has, and its end. */
#ifndef TEST_SEEN_SPANS_H
#define TEST_SEEN_SPANS_H

#include "harness/perf/predict/predict.h"

#include <math.h>

typedef struct seen_spans {
    double n_span, end;
} seen_spans;

/* For har_predict_spans, self: seen_spans. */
static inline void see_span(void *self, const har_span *span)
{
    seen_spans *s = self;
    s->n_span++;
    s->end = fmax(s->end, span->end);
}

#endif
