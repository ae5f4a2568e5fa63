/* harness/program/verify_price.h -- what moves between the passes of verify take on
 * a machine, priced as `rebalance` does.  (The rates of verify and those of
 * machines cannot be seen from one file.)
 */
#ifndef HAR_PROGRAM_VERIFY_PRICE_H
#define HAR_PROGRAM_VERIFY_PRICE_H

#include "harness/verify/dealer.h"

typedef struct har_pricing har_pricing;

/* Of plans that har_dealer_plan has made, each ep index a GPU; machine NULL:
 * *out = NULL.  Borrows the spec.  Errors: those of har_machine_open; E_USAGE,
 * E_MEMORY.  Free with free().                                       [local] */
CORE_NODISCARD core_status har_pricing_make(har_pricing **out,
                                            const char *machine,
                                            const core_spec *spec,
                                            const par_plan *plan, int n_plan);

/* Of plan i, as long as the pricing lives; of NULL: NULL.            [local] */
const har_price *har_pricing_of(const har_pricing *pricing, int i);

#endif
