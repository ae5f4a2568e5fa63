/* harness/verify/report.h -- what verify says, for people and for machines. */
#ifndef HAR_REPORT_H
#define HAR_REPORT_H

#include "harness/verify/estimate.h"
#include "harness/verify/verify.h"

#include <stdio.h>

enum { HAR_MAX_PLANS = 16, HAR_MAX_NUMERICS = 8 };

typedef struct har_report {
    const char *model;          /* as the user named it                        */
    const core_spec *spec;
    const char *origin;         /* of the weights                              */
    bool is_checkpoint;
    bool is_shortened;          /* --layers                                    */
    uint64_t seed;
    int64_t n_b, n_t;
    bool batch_was_chosen;      /* no --batch given                            */
    bool is_padded;             /* --padding                                   */
    const har_decode *decode;   /* --decode; NULL: one pass                    */
    bool allows_partial;        /* --allow-partial                             */
    int n_plan, n_numerics;
    int n_pass;                 /* --passes, of each case; 1: one              */
    const char *machine;        /* --machine, of moves; NULL: none             */
    double drift;               /* --drift, of the prompts between them        */
    const par_plan *plan;       /* [n_plan]                                    */
    const core_numerics *numerics; /* [n_numerics]                             */
    const har_estimate *estimate;  /* [n_plan], of the first numerics          */
    const har_case_result *result; /* [n_plan * n_numerics * n_pass]           */
    double seconds;             /* the whole run                               */
} har_report;

/* The worst verdict, and the case it is from (the first that fails).  [local] */
har_verdict har_report_verdict(const har_report *report,
                               const har_case_result **first);

/* What the run ends with: OK, E_DIFFERS or E_UNPROVEN.                [local] */
core_status har_report_status(const har_report *report);

/* The word of the last line: "VERIFIED", "PARTIAL" ...                       */
const char *har_report_word(har_verdict verdict);

/* 25-40 lines of text, more for differences.                          [local] */
void har_report_text(const har_report *report, FILE *out);

/* Schema "moeparity.verify/1" into a file that appears when complete.
 * Errors: E_FILE, E_SPACE, E_MEMORY.                                  [local] */
CORE_NODISCARD core_status har_report_json(const har_report *report,
                                           const char *path);

#endif
