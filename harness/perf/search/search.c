/* harness/perf/search/search.c -- enumerate, prune, time, keep the front.
 *
 * The front is front.c's.  Memory is asked before time, because it is
 * cheap and most plans of a large model fail it.  Micro-batches: of all numbers
 * that give the same rows per micro-batch only the smallest is a candidate, the
 * others have empty parts. Threads take plans one after another and write to
 * the plan's own place, so the result does not depend on their number.  Traps:
 * a NaN must lose every comparison; a par_plan is 84 KB, so candidates are kept
 * as shapes.
 */
#include "harness/perf/search/replay.h"

#include "core/base/arena.h"

#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* --- shapes --- */

void har_shape_plan(const har_shape *shape, par_plan *out)
{
    memset(out, 0, offsetof(par_plan, physical));
    out->dp = shape->dp;
    out->cp = har_shape_cp(shape);
    out->cp_kind = shape->cp_kind;
    out->pp = shape->pp;
    out->vpp = har_shape_vpp(shape);
    out->tp = shape->tp;
    out->ep = shape->ep;
    out->etp = shape->etp;
    out->batch_reduce = 1;
    out->mb = shape->mb;
    out->rounds = 1;
    out->scope = shape->scope;
    out->sp = shape->sp == 1;
    par_plan_format(out, out->text);
}

void har_shape_of(const par_plan *plan, har_shape *out)
{
    *out = (har_shape){.dp = plan->dp,
                       .pp = plan->pp,
                       .tp = plan->tp,
                       .ep = plan->ep,
                       .etp = plan->etp,
                       .mb = plan->mb,
                       .scope = plan->scope,
                       .sp = plan->sp,
                       .vpp = plan->vpp,
                       .cp = plan->cp,
                       .cp_kind = plan->cp_kind};
}

/* --- candidates --- */

typedef struct candidates {
    const har_search_case *request;
    har_search_point *point;
    int64_t n, room, n_legal, n_barred;
    bool failed;
} candidates;

static void keep(candidates *c, const har_shape *shape)
{
    if (c->failed)
        return;
    har_search_point *more =
        core_grow(c->point, &c->room, c->n + 1, sizeof *more, "plans");
    c->failed = more == NULL;
    if (c->failed)
        return;
    c->point = more;
    c->point[c->n++] = (har_search_point){.shape = *shape};
}

static bool is_allowed(const har_search_case *request, const par_plan *plan)
{
    return request->allows == NULL ||
           request->allows(request->allows_self, plan);
}

/* Is a shape that differs from an allowed plan in sp or vpp a candidate, too? */
static bool takes(const har_search_case *request, const har_shape *shape)
{
    par_plan plan;
    if (request->allows == NULL) /* a plan is 84 KB */
        return true;
    har_shape_plan(shape, &plan);
    return is_allowed(request, &plan);
}

/* Is the plan with sp, too?  It exchanges as much, but holds less. */
static bool takes_sp(const har_search_case *request, har_shape shape)
{
    shape.sp = 1;
    return request->has_sp && shape.tp > 1 && takes(request, &shape);
}

static void keep_twins(candidates *c, har_shape shape, bool has_sp)
{
    keep(c, &shape);
    shape.sp = 1;
    if (has_sp)
        keep(c, &shape);
}

/* A shape in every number of virtual stages, each without and with sp. */
static void keep_all(candidates *c, har_shape shape, bool has_sp)
{
    const int n_l = (int)c->request->spec->n_l, pp = shape.pp;
    keep_twins(c, shape, has_sp);
    if (!c->request->has_vpp || pp == 1 || shape.mb % pp != 0)
        return;
    for (shape.vpp = 2; pp * shape.vpp <= n_l; shape.vpp++)
        if (n_l % (pp * shape.vpp) == 0 && takes(c->request, &shape))
            keep_twins(c, shape, has_sp);
}

static void add_plan(void *self, const par_plan *plan)
{
    candidates *c = self;
    const int64_t n_b = c->request->n_b;
    const int64_t rows = (n_b + plan->dp - 1) / plan->dp;
    const bool whole = c->request->spec->capacity.domain == CORE_DOMAIN_BATCH;
    const har_search_case *request = c->request;
    har_shape shape;
    c->n_legal++;
    if (!is_allowed(request, plan)) {
        c->n_barred++;
        return;
    }
    if (plan->dp > n_b || (whole && plan->dp > 1))
        return;
    har_shape_of(plan, &shape);
    const bool has_sp = takes_sp(request, shape);
    for (int64_t r = rows, last = 0; r >= 1; r--) {
        const int64_t mb = (rows + r - 1) / r;
        if (mb == last)
            continue;
        last = mb;
        shape.mb = (int)mb;
        if (plan->cp == 1 || r < plan->cp)
            keep_all(c, shape, has_sp);
        if (whole)
            break;
    }
}

static int64_t n_divisor(int n)
{
    int64_t count = 0;
    for (int i = 1; i <= n; i++)
        count += n % i == 0;
    return count;
}

/* ep * etp divides n_scope: the meshes that par_plan_each_legal looks at. */
static int64_t n_expert_mesh(int n_scope)
{
    int64_t count = 0;
    for (int ep = 1; ep <= n_scope; ep++)
        if (n_scope % ep == 0)
            count += n_divisor(n_scope / ep);
    return count;
}

static int64_t n_mesh(int n_gpu, int cp)
{
    const int n = n_gpu / cp;
    int64_t count = 0;
    for (int tp = 1; tp <= n; tp++)
        for (int pp = 1; n % tp == 0 && pp <= n / tp; pp++)
            if (n / tp % pp == 0)
                count +=
                    n_expert_mesh(n_gpu / pp) + n_expert_mesh(tp * cp * pp);
    return count;
}

/* Plans of n GPUs that cut rows over cp of them. */
static void collect_cp(candidates *c, int n, int cp, har_search_result *out)
{
    for (par_cp_kind kind = PAR_CP_GATHER; kind < PAR_N_CP_KINDS; kind++) {
        out->n_illegal += n_mesh(n, cp);
        par_plan_each_legal_cp(c->request->spec, n, cp, kind, add_plan, c);
    }
}

static core_status collect(candidates *c, har_search_result *out)
{
    for (int n = c->request->n_gpu0; n <= c->request->n_gpu1; n++) {
        out->n_illegal += n_mesh(n, 1);
        par_plan_each_legal(c->request->spec, n, add_plan, c);
        const int64_t most_cp = c->request->n_t / HAR_LEAST_TOKENS;
        for (int cp = 2; cp <= n && cp <= most_cp; cp++)
            if (n % cp == 0)
                collect_cp(c, n, cp, out);
    }
    out->n_illegal -= c->n_legal;
    out->n_barred = c->n_barred;
    CORE_FAIL_IF(c->failed, CORE_E_MEMORY, "no memory for %lld plans",
                 (long long)c->n);
    return CORE_OK;
}

/* --- search --- */

static void price(const har_search_case *request, har_search_point *point)
{
    const har_search_cost *cost = request->cost;
    cost->memory(cost->self, &point->shape, &point->figures);
    if (point->figures.memory <= request->memory_bytes)
        cost->time(cost->self, omp_get_thread_num(), &point->shape,
                   &point->figures);
}

static bool is_good(const har_search_case *request, const har_figures *f)
{
    return (request->most_latency == 0 ||
            f->latency <= request->most_latency) &&
           (request->least_tokens_per_s == 0 ||
            f->tokens_per_s >= request->least_tokens_per_s);
}

/* Does a point take the place of its twin without sp? */
static bool is_better(const har_search_case *request, const har_figures *with,
                      const har_figures *without)
{
    if (!(without->memory <= request->memory_bytes))
        return with->memory < without->memory;
    return with->memory <= request->memory_bytes &&
           with->latency < without->latency;
}

/* One of each two twins, which follow each other. */
static void keep_better(const har_search_case *request, candidates *c)
{
    int64_t n = 0;
    for (int64_t i = 0; i < c->n; i++) {
        const har_search_point *p = &c->point[i];
        if (p->shape.sp == 0)
            c->point[n++] = *p;
        else if (is_better(request, &p->figures, &c->point[n - 1].figures))
            c->point[n - 1] = *p;
    }
    c->n = n;
}

/* Move the plans that fit memory to the front of the list. */
static void keep_small(const har_search_case *request, candidates *c,
                       har_search_result *out)
{
    int64_t n = 0;
    out->least_memory = INFINITY;
    out->n_plan = c->n;
    for (int64_t i = 0; i < c->n; i++) {
        const har_figures *f = &c->point[i].figures;
        out->least_memory = fmin(out->least_memory, f->memory);
        if (f->memory <= request->memory_bytes)
            c->point[n++] = c->point[i];
    }
    c->n = n;
}

/* Move the good plans to the front of the list, of them only those that had the
 * last word; count all. */
static int64_t sift(const har_search_case *request, candidates *c,
                    har_search_result *out)
{
    int64_t n = 0;
    out->least_latency = INFINITY;
    for (int64_t i = 0; i < c->n; i++) {
        const har_figures *f = &c->point[i].figures;
        if (!(f->memory <= request->memory_bytes))
            continue;
        out->least_latency = fmin(out->least_latency, f->latency);
        if (!is_good(request, f)) {
            out->n_missed++;
            continue;
        }
        out->n_good++;
        if (request->replay == NULL || c->point[i].is_replayed)
            c->point[n++] = c->point[i];
    }
    out->n_large = out->n_plan - out->n_missed - out->n_good;
    return n;
}

core_status har_search_run(har_search_result *out,
                           const har_search_case *request)
{
    *out = (har_search_result){0};
    candidates c = {.request = request};
    const double start = omp_get_wtime();
    const core_status status = collect(&c, out);
    out->front = c.point;
    CORE_TRY(status);
#pragma omp parallel for schedule(dynamic, 64) num_threads(request->n_thread)
    for (int64_t i = 0; i < c.n; i++)
        price(request, &c.point[i]);
    out->n_priced = c.n;
    keep_better(request, &c);
    keep_small(request, &c, out);
    out->seconds = omp_get_wtime() - start;
    if (request->replay != NULL)
        CORE_TRY(har__search_replay(out, request, c.point, c.n));
    out->replay_seconds = omp_get_wtime() - start - out->seconds;
    out->n_front = (int)har_search_front(c.point, sift(request, &c, out));
    return CORE_OK;
}

void har_search_free(har_search_result *result)
{
    free(result->front);
    *result = (har_search_result){0};
}

/* The more the better. */
static double merit(const har_search_point *p, har_objective objective)
{
    switch (objective) {
    case HAR_OBJECTIVE_TOKENS:
        return p->figures.tokens_per_s;
    case HAR_OBJECTIVE_TOKENS_PER_GPU:
    case HAR_OBJECTIVE_COST: /* every GPU has the same price */
        return p->figures.tokens_per_s / har_shape_world(&p->shape);
    default:
        return -p->figures.latency;
    }
}

const har_search_point *har_search_best(const har_search_result *result,
                                        const har_search_case *request)
{
    const har_search_point *best = result->n_front > 0 ? result->front : NULL;
    for (int i = 1; i < result->n_front; i++)
        if (merit(&result->front[i], request->objective) >
            merit(best, request->objective))
            best = &result->front[i];
    return best;
}

double har_search_price(double price, const har_search_point *point)
{
    static const double HOUR = 3600, MILLION = 1e6;
    return price / HOUR * har_shape_world(&point->shape) * MILLION /
           point->figures.tokens_per_s;
}

bool har_search_is_seed(const core_spec *spec)
{
    return strcmp(spec->name, "seed-30b") == 0 ||
           strcmp(spec->name, "seed-mini") == 0;
}

const char *har_term_text(har_search_term term)
{
    static const char *const text[HAR_N_TERM] = {
        "arithmetic",         "weights and memory", "launches, small operators",
        "tensor collectives", "expert all-to-all",  "sends between stages",
        "pipeline bubble"};
    return text[term];
}

har_search_term har_term_largest(const har_figures *figures)
{
    int most = 0;
    for (int i = 1; i < HAR_N_TERM; i++)
        if (figures->term[i] > figures->term[most])
            most = i;
    return (har_search_term)most;
}
