/* harness/judge/comparison.h -- a foreign dump held against a yardstick, from two
 * paths to a judgement.
 */
#ifndef HAR_JUDGE_COMPARISON_H
#define HAR_JUDGE_COMPARISON_H

#include "harness/judge/judge.h"

typedef struct har_comparison {
    har_foreign dump;
    har_yardstick yard;
    har_judgement judged; /* borrows the others                               */
} har_comparison;

/* Judge the dump against a golden bundle or a file of taps; numerics: which file
 * of a bundle, NULL: as the dump says.  Start with {0}; free it whatever was
 * returned.  A dump that differs is OK with a verdict.              [local]
 * Errors: those of har_foreign_open, har_yardstick_open, har_judge_make; E_INPUT
 * for a dump that does not fit.                                              */
CORE_NODISCARD core_status har_comparison_make(har_comparison *out,
                                               const char *golden,
                                               const char *dump,
                                               const har_foreign_options *with,
                                               const char *numerics,
                                               bool forced_routing);
void har_comparison_free(har_comparison *comparison);

/* What refuses a dump that was forced by no bundle; takes the dump's name.   */
#define HAR_FORCED_WANTS_BUNDLE                                                \
    "%s: says that it was forced: expected the bundle that fed it as GOLDEN"

#endif
