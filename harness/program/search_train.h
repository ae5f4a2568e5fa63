/* harness/program/search_train.h -- `search --train`. */
#ifndef HAR_SEARCH_TRAIN_H
#define HAR_SEARCH_TRAIN_H

#include "harness/perf/search/cost.h"
#include "harness/program/train_options.h"

/* Search, report, and write files, where paths are not NULL.  Borrows all.
 * Errors: E_USAGE, E_PLAN, E_MEMORY; those of the files.             [local] */
CORE_NODISCARD core_status har_search_train(const har_train_words *words,
                                            const har_quick *work,
                                            har_search_case *request,
                                            const char *json,
                                            const char *write);

#endif
