/* harness/judge/other_yard.h -- the golden's yardstick with the values of
 * another model.
 *
 * Rows keep the golden's tolerances, times as much as the other model's row is
 * larger.
 */
#ifndef HAR_OTHER_YARD_H
#define HAR_OTHER_YARD_H

#include "golden/other.h"
#include "harness/judge/yardstick.h"

typedef struct har__other_yard {
    har_yardstick yard; /* borrows the golden's but for what follows          */
    har_yard_tap *tap;  /* owned, as all below                                */
    core_st_tensor *data, *tolerance, *rms, *margin;
    float *bound; /* all rows' tolerances                                     */
} har__other_yard;

/* The first n_tap taps of the golden, as the other model has them; borrows
 * both.  Free with har__other_yard_free, always.
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har__other_yard_make(har__other_yard *out,
                                                const har_yardstick *golden,
                                                int64_t n_tap,
                                                const gold_other *other);
void har__other_yard_free(har__other_yard *yard);

#endif
