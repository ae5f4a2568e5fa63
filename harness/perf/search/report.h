/* harness/perf/search/report.h -- a search in words, a table and JSON. */
#ifndef HAR_PERF_SEARCH_REPORT_H
#define HAR_PERF_SEARCH_REPORT_H

#include "harness/perf/predict/predict.h"
#include "harness/perf/search/cost.h"
#include "harness/perf/search/placement.h"

enum { HAR_MAX_MARKS = 16 };

/* What har_predict says of a plan: a replay of its schedule, not a formula. */
typedef struct har_checked {
    har_range latency, tokens_per_s, memory;
    double balance; /* of the expert ranks' rows                              */
} har_checked;

/* The prediction of a shape, with intervals; the popularity of the estimate
 * counts.  Errors: E_MEMORY, E_USAGE as har_predict.                 [local] */
CORE_NODISCARD core_status har_search_check(const har_quick *estimate,
                                            const har_shape *shape,
                                            har_checked *out);

/* The same of a plan, which may have a placement; all_ranks: replay every rank
 * and micro-batch.
 *   quick  what the closed form says of its shape
 * Errors: E_MEMORY, E_USAGE as har_predict.                          [local] */
CORE_NODISCARD core_status har_search_check_plan(const har_quick *estimate,
                                                 const par_plan *plan,
                                                 const har_figures *quick,
                                                 bool all_ranks,
                                                 har_checked *out);

/* The har_search_replay of an estimate: `replay` is its member, valid as long
 * as the object stays where it is.  Borrows estimate.  Free also after an
 * error.  Errors: E_MEMORY.                                          [local] */
typedef struct har_replayer {
    har_search_replay replay;
    const har_quick *estimate;
    har_predictor *predictor[HAR_SEARCH_THREADS]; /* owned                    */
} har_replayer;
CORE_NODISCARD core_status har_replayer_make(har_replayer *out,
                                             const har_quick *estimate);
void har_replayer_free(har_replayer *replayer);

enum { HAR_MAX_CHECKED = 128 };

typedef struct har_mark { /* a plan to be held against the best */
    char name[PAR_PLAN_TEXT];
    har_search_point point;
    har_checked checked; /* if it fits                                       */
    bool fits;           /* memory; else it has no times                      */
    char refused[160];   /* why it is no plan of the model; else empty        */
} har_mark;

/* What people take without a search: one degree is as large as there are GPUs. */
enum { HAR_N_USUAL = 3 };

typedef struct har_placed { /* experts dealt by popularity */
    par_plan plan;
    har_checked before, after; /* every rank replayed                         */
    har_ep_balance contiguous, dealt;
    int n_spare; /* copies more that a GPU has room for               */
} har_placed;

/* Deal the experts of a plan of ep > 1 by the popularity of the estimate, with
 * copies as far as room_bytes of a GPU's memory go, and replay both placements.
 * Errors: E_MEMORY, E_USAGE as har_predict.                          [local] */
CORE_NODISCARD core_status har_search_place(const har_quick *estimate,
                                            const har_search_point *point,
                                            double room_bytes,
                                            har_placed *out);

typedef struct har_search_view { /* borrows everything */
    const har_search_case *request;
    const har_quick *estimate;
    const har_search_result *result;
    const har_search_point *best;
    const har_checked *checked; /* [n_front], the first HAR_MAX_CHECKED */
    const har_mark *mark;
    int n_mark;
    const har_mark *usual;      /* [HAR_N_USUAL] on as many GPUs as the best;
                                 * without `checked`                       */
    const har_placed *placed; /* NULL: not asked for */
    const char *system;       /* whose plans alone are asked for, or NULL */
} har_search_view;

void har_search_write_text(FILE *out, const har_search_view *view);

/* Errors: E_FILE, E_SPACE, E_MEMORY.                                 [local] */
CORE_NODISCARD core_status har_search_write_json(const har_search_view *view,
                                                 const char *path);

#endif
