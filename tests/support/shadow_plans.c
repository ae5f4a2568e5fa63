/* tests/support/shadow_plans.c -- the table of shadow_plans.h.
 *
 * shadow-a has 7 layers, 10 query heads on 5 kv heads, 20 experts, top-3;
 * shadow-b 5 layers, 12 query heads on 3 kv heads, 26 experts, top-1, capacity.
 */
#include "tests/support/shadow_plans.h"

#include <stddef.h>

#define A "shadow-a"
#define B "shadow-b"

static const shadow_plan plans[] = {
    {A, "everything-uneven", "tp=2,pp=3,dp=6,ep=4,mb=5,stages=3/2/2", 31, 11,
     NULL},
    {A, "kv-heads-one-each", "tp=5,ep=5,mb=2", 3, 11, NULL},
    {A, "kv-heads-shared", "tp=10,ep=5,etp=2", 2, 11,
     "6 of 2970 weight rectangles unmet"}, /* biases of one etp rank */
    {A, "replica-rounds", "tp=2,pp=2,ep=2,etp=2,scope=replica,mb=3,rounds=2", 7,
     11, NULL},
    {A, "more-parts-than-rows", "pp=3,dp=2,ep=2,mb=4", 5, 11,
     "3 of 8 token groups empty"},
    {A, "replica-uneven-stages",
     "tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2,stages=2/4/1,rounds=3", 9, 11,
     NULL},
    {A, "replica-dp", "tp=2,pp=2,dp=2,ep=4,scope=replica,mb=3,stages=5/2", 8,
     11, NULL},
    {A, "hot-experts",
     "tp=2,dp=2,ep=4,mb=2,placement="
     "0+3/1/2/3/0/1/2+0+1/3/0/1/2/3/3/2/1/0/0+1+2+3/2/1/3",
     6, 11, NULL},
    {A, "physical-experts",
     "tp=2,pp=2,ep=4,scope=replica,mb=2,physical="
     "0/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/0/1/2/3+"
     "16/15/14/13/12/11/10/9/8/7/6/5/4/3/2/1/0/19/18/17/16/15/14/13+"
     "10/11/12/13/14/15/16/17/18/19/0/1/2/3/4/5/6/7/8/9/10/11/12/13+"
     "10/9/8/7/6/5/4/3/2/1/0/19/18/17/16/15/14/13/12/11/10/9/8/7+"
     "0/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/0/1/2/3+"
     "4/3/2/1/0/19/18/17/16/15/14/13/12/11/10/9/8/7/6/5/4/3/2/1+"
     "10/11/12/13/14/15/16/17/18/19/0/1/2/3/4/5/6/7/8/9/10/11/12/13",
     6, 11, NULL},
    {A, "edp-only", "tp=2,dp=3,ep=2,rounds=2", 13, 11, NULL},

    {B, "heads-twice-kv", "tp=6,ep=2,etp=3,mb=7", 16, 13, NULL},
    {B, "two-stages", "tp=6,pp=2,ep=2,etp=3,mb=7", 17, 13, NULL},
    {B, "kv-heads-straddled", "tp=4,ep=2,rounds=3,mb=2", 11, 13, NULL},
    {B, "uneven-experts", "tp=2,pp=2,dp=2,ep=4,mb=3", 7, 13, NULL},
    {B, "replica-dp",
     "tp=2,pp=3,dp=2,ep=3,etp=2,scope=replica,mb=4,stages=1/3/1", 9, 13, NULL},
    {B, "replica-hot-experts",
     "tp=3,pp=2,ep=6,scope=replica,mb=2,rounds=2,placement="
     "0/1/2/3/4/5/0+5/1/2/3/4/5/5/4/3/2/1/0/0+2+4/3/1/2/5/4/0/3",
     6, 13, NULL},
    {B, "physical-experts",
     "tp=2,pp=2,dp=2,ep=4,mb=3,physical="
     "0/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/0/1/2/3/4/5+"
     "22/21/20/19/18/17/16/15/14/13/12/11/10/9/8/7/6/5/4/3/2/1/0/25/24/23/22/21/20/19/18/17+"
     "10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/0/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15+"
     "16/15/14/13/12/11/10/9/8/7/6/5/4/3/2/1/0/25/24/23/22/21/20/19/18/17/16/15/14/13/12/11",
     9, 13, NULL},
    {B, "experts-over-data", "dp=5,ep=5,mb=2", 8, 13,
     "1 of 5 replicas empty, 39 of 403 weight rectangles unmet"},
};

const shadow_plan *shadow_plan_at(int i)
{
    const int n = (int)(sizeof plans / sizeof plans[0]);
    return i >= 0 && i < n ? &plans[i] : NULL;
}
