/* harness/program/golden_check.h -- what `golden check` does, in a scratch folder. */
#ifndef HAR_GOLDEN_CHECK_H
#define HAR_GOLDEN_CHECK_H

#include "golden/golden.h"

typedef struct har_golden_check {
    int n_folder;
    const char *const *folder; /* to look in and below                       */
    const char *scratch;       /* an empty folder for what is computed       */
    const char *model;         /* where the bundles' checkpoint is, or NULL  */
    core_overrides overrides; /* the keys alone                             */
} har_golden_check;

/* Threads and memory for the passes of a bundle.                     [local] */
gold_options har_golden_options(const gold_case *gold);

/* Check every golden found, one line each on stdout; self is a
 * har_golden_check.  Errors: E_DIFFERS or worse once all were looked at.
 *                                                                    [local] */
CORE_NODISCARD core_status har_golden_check_run(void *self);

#endif
