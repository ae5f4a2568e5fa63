/* harness/perf/search/plan_file.h -- a plan that a search or a run has found. */
#ifndef HAR_PERF_PLAN_FILE_H
#define HAR_PERF_PLAN_FILE_H

#include "parallel/plan.h"

/* The plan as a YAML file that verify takes; complete or not there at all.
 *   note  a comment for its first line                                [local]
 * Errors: E_FILE, E_SPACE. */
CORE_NODISCARD core_status har_plan_write(const par_plan *plan,
                                          const char *note, const char *path);

#endif
