/* harness/perf/search/train.h -- which plan trains a model best.
 *
 * A har_search_cost whose figures are those of a step of training
 * (predict/train.h): latency is the step, tokens_per_s those of one GPU, so that
 * the front has short steps of many GPUs and the good use of few.  Every plan
 * is laid out from records: a thousandth of a second, not the closed form's
 * hundred-thousandth.
 */
#ifndef HAR_PERF_SEARCH_TRAIN_H
#define HAR_PERF_SEARCH_TRAIN_H

#include "harness/perf/predict/train.h"
#include "harness/perf/search/search.h"

#include <stdio.h>

typedef struct har_train_search {
    har_predict_case what;     /* without plan; borrows spec and demand       */
    har_train_case train;      /* without what                                */
    const har_machine *machine;
    int n_thread;              /* at most HAR_SEARCH_THREADS                  */
    har_predictor *predictor[HAR_SEARCH_THREADS]; /* owned                    */
    core_status status;        /* the first error: plans have then no figures */
} har_train_search;

/* The predictors of a search whose other members are set.  Free it also after
 * an error.  Errors: E_MEMORY.                                       [local] */
CORE_NODISCARD core_status har_train_search_make(har_train_search *search);
void har_train_search_free(har_train_search *search);

/* The members of a har_search_cost; self is a har_train_search.  Memory says all
 * figures, time has nothing to add.                                  [local] */
void har_train_search_memory(void *self, const har_shape *shape,
                             har_figures *out);
void har_train_search_time(void *self, int thread, const har_shape *shape,
                           har_figures *out);

/* Only scope=stage: what trains.  The member `allows` of a search.   [local] */
bool har_train_search_allows(const void *self, const par_plan *plan);

/* The report; the same for machines.  Errors: E_FILE, E_MEMORY.       [local] */
void har_train_search_write(FILE *out, const har_train_search *search,
                            const har_search_case *request,
                            const har_search_result *result);
CORE_NODISCARD core_status har_train_search_json(
    const char *path, const har_train_search *search,
    const har_search_result *result);

#endif
