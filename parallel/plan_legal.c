/* parallel/plan_legal.c -- all legal plans of a model, and the nearest ones.
 *
 * The enumeration walks the divisors of the number of ranks and lets the
 * predicate of plan_check.c decide.  Distance between two plans: the sum over
 * tp, cp, pp, vpp, dp, ep, etp of |log2 of the ratio|, plus 1 if the scope
 * differs, and 1 if the kind of cp does.  Near a plan with a cp are those with
 * the same, of its kind and with keys gathered, and those without; near one with
 * virtual stages those with as many, half as many, and so on.
 * With n ranks dp = n (and nothing else) is always legal, so there is always a
 * nearest plan with as many ranks.
 */
#include "parallel/plan_keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct visitor {
    void (*visit)(void *self, const par_plan *plan);
    void *self;
} visitor;

/* All expert meshes with one set of the experts on ep*etp ranks of n_scope. */
static void each_expert_mesh(par_plan *plan, const core_spec *spec,
                             int64_t n_scope, const visitor *v)
{
    char why[200];
    for (int ep = 1; ep <= n_scope && ep <= PAR_MAX_EXPERTS; ep++) {
        if (n_scope % ep != 0)
            continue;
        for (int etp = 1; etp <= n_scope / ep; etp++) {
            if (n_scope / ep % etp != 0)
                continue;
            plan->ep = ep;
            plan->etp = etp;
            if (!par__plan_is_legal(plan, spec, why, sizeof why))
                continue;
            par_plan_format(plan, plan->text);
            v->visit(v->self, plan);
        }
    }
}

static void each_scope(par_plan *plan, const core_spec *spec, const visitor *v)
{
    plan->scope = PAR_SCOPE_STAGE;
    each_expert_mesh(plan, spec, (int64_t)plan->dp * plan->cp * plan->tp, v);
    plan->scope = PAR_SCOPE_REPLICA;
    each_expert_mesh(plan, spec, (int64_t)plan->pp * plan->cp * plan->tp, v);
}

/* Those with this cp and vpp, on n_rank ranks without that cp. */
static void each_with(const core_spec *spec, int cp, par_cp_kind kind, int vpp,
                      int n_rank, const visitor *v)
{
    const int most = CORE_MAX_LAYERS / vpp;
    par_plan plan;
    par__plan_unit(&plan);
    plan.cp = cp;
    plan.cp_kind = kind;
    plan.vpp = vpp;
    for (int tp = 1; tp <= n_rank; tp++) {
        if (n_rank % tp != 0)
            continue;
        for (int pp = 1; pp <= n_rank / tp && pp <= most; pp++) {
            if (n_rank / tp % pp != 0)
                continue;
            plan.tp = tp;
            plan.pp = pp;
            plan.dp = n_rank / tp / pp;
            each_scope(&plan, spec, v);
        }
    }
}

void par_plan_each_legal(const core_spec *spec, int n_rank,
                         void (*visit)(void *self, const par_plan *plan),
                         void *self)
{
    const visitor v = {visit, self};
    each_with(spec, 1, PAR_CP_GATHER, 1, n_rank, &v);
}

void par_plan_each_legal_cp(const core_spec *spec, int n_rank, int cp,
                            par_cp_kind kind,
                            void (*visit)(void *self, const par_plan *plan),
                            void *self)
{
    const visitor v = {visit, self};
    each_with(spec, cp, kind, 1, n_rank / cp, &v);
}

/* --- nearest -------------------------------------------------------------- */

enum { N_NEAREST = 3 };

typedef struct nearest {
    const par_plan *wanted;
    int n;
    double distance[N_NEAREST]; /* ascending                                  */
    par_plan plan[N_NEAREST];
} nearest;

static double log_ratio(int a, int b)
{
    return fabs(log2((double)a / (double)b));
}

static double distance(const par_plan *a, const par_plan *b)
{
    return log_ratio(a->tp, b->tp) + log_ratio(a->cp, b->cp) +
           log_ratio(a->pp, b->pp) + log_ratio(a->vpp, b->vpp) +
           log_ratio(a->dp, b->dp) +
           log_ratio(a->ep, b->ep) + log_ratio(a->etp, b->etp) +
           (a->scope != b->scope ? 1.0 : 0.0) +
           (a->cp_kind != b->cp_kind ? 1.0 : 0.0);
}

/* Insert into the sorted short list; the earlier of two equals stays first. */
static void consider(void *self, const par_plan *plan)
{
    nearest *best = self;
    const double d = distance(plan, best->wanted);
    int at = best->n;
    while (at > 0 && d < best->distance[at - 1])
        at--;
    if (at == N_NEAREST)
        return;
    const int last = best->n < N_NEAREST ? best->n++ : N_NEAREST - 1;
    for (int i = last; i > at; i--) {
        best->distance[i] = best->distance[i - 1];
        best->plan[i] = best->plan[i - 1];
    }
    best->distance[at] = d;
    best->plan[at] = *plan;
}

/* A number that the walk over divisors can take. */
static int world_or_zero(const par_plan *p)
{
    if (p->dp < 1 || p->cp < 1 || p->pp < 1 || p->vpp < 1 || p->tp < 1 ||
        p->ep < 1 || p->etp < 1)
        return 0;
    const int64_t n_stage = (int64_t)p->dp * p->cp * p->tp;
    return n_stage > INT32_MAX / p->pp ? 0 : (int)(n_stage * p->pp);
}

/* The largest divisor of n that is at most `wanted`. */
static int nearest_divisor(int n, int wanted)
{
    int divisor = wanted < n ? wanted : n;
    while (divisor > 1 && n % divisor != 0)
        divisor--;
    return divisor < 1 ? 1 : divisor;
}

void par__plan_nearest(const par_plan *plan, const core_spec *spec, char *out,
                       size_t out_bytes)
{
    nearest best = {.wanted = plan};
    out[0] = '\0';
    const int n_rank = world_or_zero(plan);
    const visitor v = {consider, &best};
    for (int vpp = plan->vpp; vpp >= 1; vpp /= 2) {
        const int n = n_rank / (plan->cp > 1 ? plan->cp : 1);
        if (plan->cp > 1)
            each_with(spec, plan->cp, plan->cp_kind, vpp, n, &v);
        if (plan->cp > 1 && plan->cp_kind != PAR_CP_GATHER)
            each_with(spec, plan->cp, PAR_CP_GATHER, vpp, n, &v);
        each_with(spec, 1, PAR_CP_GATHER, vpp, n_rank, &v);
    }
    for (int i = 0; i < best.n; i++) {
        /* the rest of what was asked for, so that the line can be pasted */
        char text[PAR_PLAN_TEXT];
        best.plan[i].sp = plan->sp;
        best.plan[i].overlap = plan->overlap;
        best.plan[i].mb = plan->mb > 0 ? plan->mb : 1;
        best.plan[i].batch_reduce =
            nearest_divisor(best.plan[i].mb, plan->batch_reduce);
        best.plan[i].rounds = plan->rounds > 0 ? plan->rounds : 1;
        par_plan_format(&best.plan[i], text);
        const size_t n = strlen(out);
        snprintf(out + n, out_bytes - n, "%s%s", i > 0 ? " | " : "", text);
    }
}
