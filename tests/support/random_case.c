/* tests/support/random_case.c -- dice for models, plans and batches.
 *
 * Sizes are small and divide badly on purpose.  A plan is thrown until
 * par_plan_check takes it; the degrees are thrown from small numbers, so that
 * takes a few dozen throws.
 */
#include "tests/support/random_case.h"

#include "core/rng.h"

#include <stdio.h>
#include <string.h>

typedef struct dice {
    uint64_t seed, n_thrown;
} dice;

/* Uniform in [low, high]. */
static int64_t roll(dice *d, int64_t low, int64_t high)
{
    return low + (int64_t)core_rng_below(d->seed, 0x7e57, d->n_thrown++,
                                         (uint64_t)(high - low + 1));
}

static bool one_in(dice *d, int64_t n) { return roll(d, 1, n) == 1; }

static void roll_capacity(dice *d, core_capacity *c)
{
    c->rule = one_in(d, 3) ? CORE_CAPACITY_NONE : CORE_CAPACITY_FACTOR;
    c->domain = one_in(d, 3) ? CORE_DOMAIN_SEQUENCE : CORE_DOMAIN_GROUP;
    c->priority = one_in(d, 2) ? CORE_PRIORITY_PROB : CORE_PRIORITY_POSITION;
    c->dropped = CORE_DROPPED_ZERO;
    c->factor = 0.7 + 0.1 * (double)roll(d, 0, 9);
}

static void roll_spec(dice *d, core_spec *spec)
{
    if (core_spec_open(spec, "shadow-a", NULL) != CORE_OK)
        core_assert(!"the preset shadow-a opens");
    snprintf(spec->name, sizeof spec->name, "random-%llu",
             (unsigned long long)d->seed);
    spec->n_l = roll(d, 1, 5);
    spec->n_d = 2 * roll(d, 8, 25);
    spec->n_g = roll(d, 1, 4);
    spec->n_h = spec->n_g * roll(d, 1, 3);
    spec->n_dh = 2 * roll(d, 2, 6);
    spec->n_e = roll(d, 2, 13);
    spec->n_k = roll(d, 1, spec->n_e < 4 ? spec->n_e : 4);
    spec->n_f = roll(d, 7, 30);
    spec->n_v = roll(d, 19, 70);
    spec->n_f_shared = one_in(d, 2) ? roll(d, 7, 20) : 0;
    spec->n_f_dense = 0;
    memset(spec->ffn, CORE_FFN_MOE, sizeof spec->ffn);
    for (int l = 0; l < spec->n_l && spec->n_l > 1; l++)
        if (one_in(d, 5)) {
            spec->ffn[l] = CORE_FFN_DENSE;
            spec->n_f_dense = spec->n_f_dense ? spec->n_f_dense : roll(d, 9, 25);
        }
    spec->sliding_window = one_in(d, 4) ? roll(d, 2, 8) : 0;
    spec->gated = one_in(d, 2);
    spec->act = spec->gated ? CORE_ACT_SILU : CORE_ACT_GELU;
    spec->renormalise = spec->n_k > 1 && one_in(d, 2);
    spec->tied = one_in(d, 2);
    spec->bias_qkv = one_in(d, 2);
    spec->bias_o = one_in(d, 2);
    spec->bias_router = one_in(d, 2);
    spec->bias_ffn = one_in(d, 2);
    /* of two experts, twins would leave nothing to choose */
    spec->twin_expert =
        spec->n_e > 2 && one_in(d, 2) ? (int)roll(d, 0, spec->n_e - 2) : -1;
    roll_capacity(d, &spec->capacity);
}

static void roll_plan(dice *d, par_plan *plan)
{
    *plan = (par_plan){.dp = (int)roll(d, 1, 3), .pp = (int)roll(d, 1, 3),
                       .tp = (int)roll(d, 1, 4), .ep = (int)roll(d, 1, 6),
                       .etp = (int)roll(d, 1, 2), .mb = (int)roll(d, 1, 3),
                       .rounds = one_in(d, 4) ? 2 : 1};
    plan->scope = one_in(d, 2) ? PAR_SCOPE_REPLICA : PAR_SCOPE_STAGE;
    par_plan_format(plan, plan->text);
}

void random_case_make(random_case *out, uint64_t seed, int max_rank)
{
    dice d = {seed, 0};
    *out = (random_case){.seed = seed};
    roll_spec(&d, &out->spec);
    core_status status = CORE_E_PLAN;
    while (status != CORE_OK || par_plan_world(&out->plan) > max_rank) {
        roll_plan(&d, &out->plan);
        status = par_plan_check(&out->plan, &out->spec);
        core_message_clear();
    }
    const int n_part = out->plan.rounds * out->plan.dp * out->plan.mb;
    out->n_b = n_part + roll(&d, -1, 2); /* one less: an empty part */
    out->n_b = out->n_b < 1 ? 1 : out->n_b;
    out->n_t = roll(&d, 5, 13);
}
