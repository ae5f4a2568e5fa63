/* harness/verify/impl.h -- shared by files of this room that are one job. */
#ifndef HAR_VERIFY_IMPL_H
#define HAR_VERIFY_IMPL_H

#include "harness/verify/report.h"

#include <jansson.h>

/* ---- report.c ------------------------------------------------------------ */

/* Cases of a plan: its numerics, each in all passes.                 [local] */
int har__n_case(const har_report *r);

/* ---- report_pass.c ------------------------------------------------------- */

/* What pass p of a case found.                                       [local] */
void har__report_pass(const har_report *r, const har_case_result *c, int p,
                      FILE *out);

/* Is pass p the forced repetition of a free one that differs?        [local] */
bool har__explains(const har_case_result *c, int p);

/* ---- report_grad.c ------------------------------------------------------- */

/* What the pass back of a case found, if there was one; as JSON, null if not. */
void har__report_grad(const har_case_result *c, FILE *out);
json_t *har__grad_object(const har_case_result *c);

/* ---- verdict_detail.c ---------------------------------------------------- */

/* The score to maximise; a NaN must not get lost in a maximum.       [local] */
double har__score(const har_diff *diff);

/* Which ranks have something bad, of every tap.            [collective, world]
 */
void har__merge_rank_sets(har_pass *pass, par_comm *comm,
                          const har_watch *watch);

/* The first and the worst element of tap i, and whose.     [collective, world]
 * Errors, agreed: E_MEMORY.                                                  */
CORE_NODISCARD core_status har__merge_details(har_pass *pass, par_comm *comm,
                                              const har_watch *watch,
                                              int64_t i);

/* Which rows of tap i are not covered once, or have unequal copies.
 * live: the rows it ought to have, NULL: all.              [collective, world]
 */
void har__merge_blocks(har_pass *pass, par_comm *comm, int64_t i,
                       const har_tap_watch *w, const uint8_t *live);

#endif
