/* ref/router.c -- which experts the tokens go to, with what weight and slot.
 *
 * Everything here is discrete data or stems from complete, stored values, so
 * it is reproduced exactly or it is wrong.  One token's choice is
 * router_scores.c.  Traps: weights are fixed before anything is dropped;
 * capacity counts all tokens of the domain, padding included; a domain may be
 * empty.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Tokens that compete for slots, in this order: n of them from `first` on, or
 * as they are listed.                                                        */
typedef struct domain {
    int64_t n, first;
    const int64_t *token; /* [n], or NULL                                     */
} domain;

/* One (token, choice) that wants a slot of an expert. */
typedef struct claim {
    double weight;
    int64_t i; /* of the domain's choices                                     */
} claim;

/* Which of the batch's choices the domain's choice i is. */
static int64_t choice_of(const core_spec *spec, const domain *d, int64_t i)
{
    const int64_t t = i / spec->n_k;
    return (d->token != NULL ? d->token[t] : d->first + t) * spec->n_k +
           i % spec->n_k;
}

static int by_weight(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

/* Slots of a domain, in order of position. */
static void slots_by_position(const core_spec *spec, const domain *d,
                              const int64_t *idx, int64_t *slot,
                              int64_t *n_claim)
{
    const int64_t capacity = core_spec_capacity(spec, d->n);
    for (int64_t e = 0; e < spec->n_e; e++)
        n_claim[e] = 0;
    for (int64_t i = 0; i < d->n * spec->n_k; i++) {
        const int64_t c = choice_of(spec, d, i);
        const int64_t taken = n_claim[idx[c]]++;
        slot[c] = taken < capacity ? taken : -1;
    }
}

/* The same, larger weights first; a token names an expert at most once, so
 * the order of choices is the order of tokens.                               */
static void slots_by_weight(const core_spec *spec, const domain *d,
                            const int64_t *idx, const double *weight,
                            int64_t *slot, claim *claims)
{
    const int64_t capacity = core_spec_capacity(spec, d->n);
    for (int64_t e = 0; e < spec->n_e; e++) {
        size_t n = 0;
        for (int64_t i = 0; i < d->n * spec->n_k; i++) {
            const int64_t c = choice_of(spec, d, i);
            if (idx[c] == e)
                claims[n++] = (claim){weight[c], i};
        }
        qsort(claims, n, sizeof *claims, by_weight);
        for (size_t i = 0; i < n; i++)
            slot[choice_of(spec, d, claims[i].i)] =
                (int64_t)i < capacity ? (int64_t)i : -1;
    }
}

static bool is_listed(const core_groups *groups)
{
    return groups != NULL && groups->first != NULL;
}

/* Domain i of the rule; lists are the domains of any. */
static domain domain_of(const core_spec *spec, const core_batch *batch,
                        const core_groups *groups, int64_t i)
{
    const int64_t n_t = batch->n_t;
    if (is_listed(groups))
        return (domain){.n = groups->first[i + 1] - groups->first[i],
                        .token = groups->token + groups->first[i]};
    if (spec->capacity.domain == CORE_DOMAIN_SEQUENCE)
        return (domain){.n = n_t, .first = i * n_t};
    if (spec->capacity.domain != CORE_DOMAIN_GROUP || groups == NULL)
        return (domain){.n = batch->n_b * n_t};
    const int64_t row0 = groups->first_row[i], row1 = groups->first_row[i + 1];
    return (domain){.n = (row1 - row0) * n_t, .first = row0 * n_t};
}

void ref__slots(const core_spec *spec, const core_batch *batch,
                const core_groups *groups, const int64_t *idx,
                const double *weight, int64_t *slot, void *work)
{
    int64_t n_domain = 1;
    if (is_listed(groups))
        n_domain = groups->n;
    else if (spec->capacity.domain == CORE_DOMAIN_SEQUENCE)
        n_domain = batch->n_b;
    else if (spec->capacity.domain == CORE_DOMAIN_GROUP && groups != NULL)
        n_domain = groups->n;
    for (int64_t i = 0; i < n_domain; i++) {
        const domain d = domain_of(spec, batch, groups, i);
        if (spec->capacity.priority == CORE_PRIORITY_PROB)
            slots_by_weight(spec, &d, idx, weight, slot, work);
        else
            slots_by_position(spec, &d, idx, slot, work);
    }
}

size_t ref__slots_bytes(const core_spec *spec, int64_t n)
{
    const size_t count = (size_t)spec->n_e * sizeof(int64_t);
    const size_t claims = (size_t)(n * spec->n_k) * sizeof(claim);
    return count > claims ? count : claims;
}

ref__routing ref__routing_take(ref__run *run, int layer)
{
    const core_spec *spec = run->spec;
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_c = n * spec->n_k;
    const core_tap probs = {CORE_TAP_ROUTER_PROBS, layer};
    ref__routing ro = {
        .logits = core_arena_f64(a, n * spec->n_e),
        .weight = core_arena_f64(a, n_c),
        .idx = core_arena_i64(a, n_c),
        .slot = core_arena_i64(a, n_c),
        .score =
            core_arena_f64(a, run->n_threads * (spec->n_e + spec->n_group)),
        .kept = core_arena_i64(a, run->n_threads * spec->n_group),
        .by_table = core_spec_by_table(spec, layer),
    };
    if (core_tap_exists(spec, probs))
        ro.probs = core_arena_f64(a, n * spec->n_e);
    if (spec->correction && !ro.by_table)
        ro.correction = core_arena_f64(a, spec->n_e);
    if (spec->expert_scale)
        ro.expert_scale = core_arena_f64(a, spec->n_e);
    if (spec->router_norm)
        ro.in = core_arena_f64(a, n * spec->n_d);
    return ro;
}

static void put_probs(const ref__run *run, int layer, const ref__routing *ro)
{
    const int64_t n_e = run->spec->n_e;
    const ref__roundoff u = ref__u(run, CORE_TAP_ROUTER_PROBS);
    float *bound = ref__bound_buffer(run, CORE_TAP_ROUTER_PROBS, layer);
    if (bound != NULL && run->spec->router == CORE_ROUTER_SQRT_SOFTPLUS)
        for (int64_t i = 0; i < run->n * n_e; i++)
            ref__bound_sqrt_softplus(u, bound + i, ro->logits[i], ro->probs[i]);
    else if (bound != NULL && run->spec->router == CORE_ROUTER_SIGMOID)
        ref__bound_relative(u, bound, ro->probs, run->n * n_e,
                            REF__ROUNDS_SIGMOID);
    else
        for (int64_t t = 0; bound != NULL && t < run->n; t++)
            ref__bound_softmax(u, bound + t * n_e, ro->logits + t * n_e,
                               ro->probs + t * n_e, n_e);
    ref__put(run, CORE_TAP_ROUTER_PROBS, layer, ro->probs, bound);
}

/* Roundings of p[idx] on its way to a weight: none, or a quotient by a sum of
 * K and what is added to it, one for the expert's, two for the scale of all. */
static double weight_rounds(const core_spec *spec)
{
    double n = spec->renormalise ? (double)spec->n_k : 0.0;
    n += spec->renormalise && core_spec_sum_eps(spec) > 0.0 ? 1.0 : 0.0;
    n += spec->expert_scale ? 1.0 : 0.0;
    return n + (spec->routed_scale != 1.0 ? 2.0 : 0.0);
}

static void bound_weights(const ref__run *run, const ref__routing *ro,
                          int64_t t, float *bound)
{
    const core_spec *spec = run->spec;
    const int64_t n_e = spec->n_e, n_k = spec->n_k;
    const double *logits = ro->logits + t * n_e, *w = ro->weight + t * n_k;
    const int64_t *idx = ro->idx + t * n_k;
    const ref__roundoff u = ref__u(run, CORE_TAP_TOPK_WEIGHT);
    switch (spec->router) {
    case CORE_ROUTER_SOFTMAX:
    case CORE_ROUTER_SIGMOID:
    case CORE_ROUTER_SQRT_SOFTPLUS:
        ref__bound_relative(u, bound, w, n_k, weight_rounds(spec));
        break;
    case CORE_ROUTER_SOFTMAX_TOP:
        ref__bound_softmax_top(u, bound, logits, idx, w, n_k,
                               spec->routed_scale);
        break;
    case CORE_ROUTER_SPARSEMIXER:
        ref__bound_sparsemixer(u, bound, logits, idx, w, n_e, spec->jitter,
                               spec->routed_scale);
        break;
    }
}

static void put_weights(const ref__run *run, int layer, const ref__routing *ro)
{
    float *bound = ref__bound_buffer(run, CORE_TAP_TOPK_WEIGHT, layer);
    for (int64_t t = 0; bound != NULL && run->dealt == NULL && t < run->n; t++)
        bound_weights(run, ro, t, bound + t * run->spec->n_k);
    if (bound != NULL && run->dealt != NULL)
        memset(bound, 0, (size_t)(run->n * run->spec->n_k) * sizeof *bound);
    ref__put(run, CORE_TAP_TOPK_WEIGHT, layer, ro->weight, bound);
}

static void drawn_scores(const ref__run *run, int layer, const double *logits,
                         double *p)
{
    const core_spec *spec = run->spec;
    const ref__drawn drawn =
        ref__draw_operator(run, CORE_TAP_ROUTER_PROBS, layer);
    if (spec->router == CORE_ROUTER_SOFTMAX)
        ref__drawn_softmax(&drawn, p, logits, spec->n_e);
    else
        for (int64_t e = 0; e < spec->n_e; e++)
            p[e] = ref__drawn_score(spec->router, logits[e]);
    core_store(core_tap_numerics(run->numerics, CORE_TAP_ROUTER_PROBS),
               CORE_GRID_PROB, p, spec->n_e);
}

static void drawn_weights(const ref__run *run, int layer, const double *logits,
                          const double *p, const int64_t *idx,
                          const double *expert_scale, double *w)
{
    const ref__drawn drawn =
        ref__draw_operator(run, CORE_TAP_TOPK_WEIGHT, layer);
    ref__drawn_weigh(run->spec, &drawn, logits, p, idx, expert_scale, w);
    core_store(core_tap_numerics(run->numerics, CORE_TAP_TOPK_WEIGHT),
               CORE_GRID_PROB, w, run->spec->n_k);
}

/* Experts by the tokens' ids; the weights lend themselves for a row. */
static void look_up(const ref__run *run, int layer, ref__routing *ro)
{
    const core_weight id = {CORE_W_EXPERT_TABLE, layer, 0};
    const int64_t n_k = run->spec->n_k;
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t v = run->batch->ids[t];
        double *row = ro->weight + t * n_k;
        core_weights_read(run->model->weights, id, v, v + 1, 0, n_k, row, n_k);
        for (int64_t k = 0; k < n_k; k++)
            ro->idx[t * n_k + k] = (int64_t)row[k];
    }
}

/* Experts of all tokens, or those of the pass whose routing is taken over. */
static void choose(const ref__run *run, int layer, ref__routing *ro)
{
    const core_spec *spec = run->spec;
    const int64_t n_e = spec->n_e, n_k = spec->n_k, n_g = spec->n_group;
    const core_numerics numerics =
        core_tap_numerics(run->numerics, CORE_TAP_TOPK_WEIGHT);
    const bool forced =
        ref__forced_ints(run, CORE_TAP_TOPK_IDX, layer, ro->idx);
    const bool chooses = !forced && !ro->by_table;
    const ref_otherwise how = run->model->options.otherwise;
    if (!forced && ro->by_table)
        look_up(run, layer, ro);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t thread = omp_get_thread_num();
        const double *logits = ro->logits + t * n_e;
        const double *p = ro->probs != NULL ? ro->probs + t * n_e : NULL;
        double *score = ro->score + thread * (n_e + n_g);
        int64_t *idx = ro->idx + t * n_k;
        if (chooses)
            ref__route_choose(spec, logits, p, ro->correction, idx, score,
                              ro->kept + thread * n_g);
        if (chooses && how == REF_LAST_OF_EQUAL)
            ref__top_k_last(idx, p != NULL ? score : logits, n_e, n_k);
        if (chooses && ro->correction != NULL && how == REF_CORRECTION_WEIGHS)
            p = score;
        if (run->draw != NULL)
            drawn_weights(run, layer, logits, p, idx, ro->expert_scale,
                          ro->weight + t * n_k);
        else
            ref__route_weigh(spec, numerics, logits, p, idx, ro->expert_scale,
                             ro->weight + t * n_k);
    }
}

static void take_dealt(const ref__run *run, ref__routing *ro)
{
    const size_t n = (size_t)(run->n * run->spec->n_k);
    memcpy(ro->idx, run->dealt->expert, n * sizeof *ro->idx);
    memcpy(ro->weight, run->dealt->weight, n * sizeof *ro->weight);
}

/* What the router reads: the stream, normed for it alone, or xn. */
static const double *input(ref__run *run, int layer, const ref__routing *ro)
{
    const int64_t n_d = run->spec->n_d;
    if (ro->in == NULL)
        return run->xn;
    const ref__norm norm = {.x = run->x,
                            .ld_x = n_d,
                            .y = ro->in,
                            .n_part = 1,
                            .n = n_d,
                            .weight = CORE_W_ROUTER_NORM,
                            .eps = run->spec->norm_eps,
                            .over = sqrt((double)n_d)};
    ref__rmsnorm(run, layer, CORE_TAP_ROUTER_IN, &norm);
    return ro->in;
}

void ref__router(ref__run *run, int layer, ref__routing *ro, void *work)
{
    const core_spec *spec = run->spec;
    const int64_t n_e = spec->n_e;
    const core_numerics numerics =
        core_tap_numerics(run->numerics, CORE_TAP_ROUTER_PROBS);
    const ref__rows in = ref__measure_as(
        run, CORE_SLOT_ROUTER, input(run, layer, ro), run->n, spec->n_d);
    ref__linear(run, &in, CORE_W_ROUTER, layer, CORE_TAP_ROUTER_LOGITS,
                ro->logits);
    if (ro->correction != NULL)
        ref__read_vector(run, CORE_W_CORRECTION, layer, ro->correction);
    if (ro->expert_scale != NULL)
        ref__read_vector(run, CORE_W_EXPERT_SCALE, layer, ro->expert_scale);
    if (ro->probs != NULL) {
#pragma omp parallel for num_threads(run->n_threads)
        for (int64_t t = 0; t < run->n; t++)
            if (run->draw != NULL)
                drawn_scores(run, layer, ro->logits + t * n_e,
                             ro->probs + t * n_e);
            else
                ref__route_scores(spec, numerics, ro->logits + t * n_e,
                                  ro->probs + t * n_e);
        put_probs(run, layer, ro);
    }
    if (run->dealt != NULL)
        take_dealt(run, ro);
    else
        choose(run, layer, ro);
    if (!ref__forced_ints(run, CORE_TAP_SLOT, layer, ro->slot))
        ref__slots(spec, run->batch, run->groups, ro->idx, ro->weight, ro->slot,
                   work);
    ref__put_ints(run, CORE_TAP_TOPK_IDX, layer, ro->idx);
    put_weights(run, layer, ro);
    ref__put_ints(run, CORE_TAP_SLOT, layer, ro->slot);
}
