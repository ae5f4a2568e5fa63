/* tests/cli/shadow_plan_list.c -- the table of shadow_plans.h for scripts. */
#include "tests/support/shadow_plans.h"

#include <inttypes.h>
#include <stdio.h>

int main(void)
{
    for (int i = 0; shadow_plan_at(i) != NULL; i++) {
        const shadow_plan *p = shadow_plan_at(i);
        printf("%s %s %s %" PRId64 "x%" PRId64 " %s\n", p->model, p->name,
               p->plan, p->n_b, p->n_t, p->left != NULL ? p->left : "");
    }
    return 0;
}
