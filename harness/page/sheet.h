/* harness/page/sheet.h -- one page about a plan on a machine, for a person who
 * decides whether to rent the GPUs.
 *
 * docs/report.md says what each section shows.  Everything predicted comes from
 * har_predict, so the page has the figures that `predict` prints.
 */
#ifndef HAR_PAGE_SHEET_H
#define HAR_PAGE_SHEET_H

#include "harness/perf/predict/question.h"

typedef struct har_sheet_ask { /* borrows everything                          */
    har_setup *setup;          /* legal, library collectives, all ranks; its
                                * load is applied here, plan after plan       */
    const char *verify;        /* a file that verify --json wrote, or NULL    */
    const char *claims;        /* a claims file of audit, or NULL             */
    int n_gpu0, n_gpu1;        /* numbers of GPUs whose plans are searched    */
    void (*progress)(void *self, const char *what); /* what begins now        */
    void *self;
} har_sheet_ask;

/* Predict, search, audit and write the page.
 * Errors: those of har_predict, har_claims_read, har_audit_run; E_FILE and
 * E_FORMAT naming the file of verdicts; E_PROGRAM of gnuplot; E_MEMORY.  What
 * was written to out is then half a page.    [local] */
CORE_NODISCARD core_status har_sheet_write(FILE *out, const har_sheet_ask *ask);

#endif
