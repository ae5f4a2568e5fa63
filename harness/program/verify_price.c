/* harness/program/verify_price.c -- see verify_price.h. */
#include "harness/program/verify_price.h"

#include "core/base/arena.h"
#include "harness/perf/search/dealing.h"

#include <stdlib.h>

typedef struct priced {
    har_dealing dealing;
    har_price price;
} priced;

struct har_pricing {
    har_machine machine;
    priced plan[];
};

static double products(const void *self, const double *load, const int *logical)
{
    return har_dealing_seconds(self, load, logical);
}

static double move(const void *self, int64_t n_expert)
{
    return har_dealing_move_seconds(self, n_expert);
}

static core_status price_plan(har_pricing *p, const core_spec *spec,
                              const par_plan *plan, int i)
{
    priced *one = &p->plan[i];
    CORE_FAIL_IF(har_dealer_parts(plan) != 1, CORE_E_USAGE,
                 "--machine: expected an ep index to be one GPU, found %d ranks "
                 "of each (etp, and copies of all experts)",
                 har_dealer_parts(plan));
    one->dealing = (har_dealing){.spec = spec,
                                 .machine = &p->machine,
                                 .dtype = CORE_DTYPE_F16,
                                 .deal = {.n_e = (int)spec->n_e,
                                          .n_gpu = plan->ep,
                                          .n_slot =
                                              plan->n_physical / plan->ep}};
    one->price =
        (har_price){&one->dealing, products, move, har_dealing_pays};
    return CORE_OK;
}

core_status har_pricing_make(har_pricing **out, const char *machine,
                             const core_spec *spec, const par_plan *plan,
                             int n_plan)
{
    void *memory = NULL;
    *out = NULL;
    if (machine == NULL)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory,
                        (int64_t)sizeof(har_pricing) +
                            n_plan * (int64_t)sizeof(priced),
                        1, "prices of moves"));
    har_pricing *p = memory;
    core_status status = har_machine_open(&p->machine, machine);
    for (int i = 0; i < n_plan && status == CORE_OK; i++)
        status = price_plan(p, spec, &plan[i], i);
    if (status == CORE_OK)
        *out = p;
    else
        free(p);
    return status;
}

const har_price *har_pricing_of(const har_pricing *pricing, int i)
{
    return pricing != NULL ? &pricing->plan[i].price : NULL;
}
