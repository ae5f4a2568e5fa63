/* harness/judge/explain.h -- which other model is it that a wrong dump is of?
 *
 * A free dump that fails is judged once more against what other models
 * (others.h) give on the golden's batch: each alone, then two together.  One
 * explains the dump if no tap of it fails then: nothing less is told as an
 * explanation, so a dump that is no such model has none.  Rows are held to the
 * golden's tolerances, which grow with the row where the other model's is
 * larger.
 */
#ifndef HAR_EXPLAIN_H
#define HAR_EXPLAIN_H

#include "harness/judge/judge.h"
#include "harness/judge/others.h"

enum { HAR_MAX_EXPLANATIONS = 3, HAR_WHY_NOT_TEXT = 600 };

/* A model, and how far a dump is from it.                                    */
typedef struct har_explained {
    char text[HAR_OTHER_TEXT]; /* "router.scale=1 and norm_eps=1e-05"         */
    double ratio;              /* observed / bound of the worst row           */
    int64_t first;             /* first tap that fails, -1: none              */
} har_explained;

typedef struct har_explanation {
    char why_not[HAR_WHY_NOT_TEXT]; /* nothing could be tried; else ""        */
    int64_t n_single, n_pair;       /* models that were tried                 */
    bool is_cut;                    /* more were left out: it would take long */
    int n;
    har_explained found[HAR_MAX_EXPLANATIONS]; /* the nearest first           */
    bool has_nearest; /* none explains it, but one does its first failing tap */
    har_explained nearest;
} har_explanation;

/* Explain what `judged` says of the dump.
 *   model     where the golden's checkpoint lies, NULL: beside the bundle
 *   progress  NULL, or told the share that is done now and then
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har_explain(har_explanation *out,
                                       const har_judgement *judged,
                                       har_foreign *dump,
                                       const har_namemap *map,
                                       const char *model,
                                       void (*progress)(void *self, double done),
                                       void *progress_self);

#endif
