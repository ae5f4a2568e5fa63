/* ref/router.c -- which experts a token goes to, with what weight and slot.
 *
 * Everything here is discrete data or stems from complete, stored values, so
 * it is reproduced exactly or it is wrong.  Traps: ties go to the lowest
 * expert index; weights come from the softmax over ALL experts and are fixed
 * before anything is dropped; capacity counts all tokens of the domain,
 * padding included; a domain may be empty.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void ref__softmax(core_numerics numerics, double *p, const double *logits,
                  int64_t n)
{
    for (int64_t e = 0; e < n; e++)
        p[e] = logits[e];
    (void)ref__softmax_row(numerics, p, 0, n, NULL, 1.0);
}

void ref__top_k(int64_t *idx, const double *p, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < k; i++) {
        int64_t best = -1;
        for (int64_t e = 0; e < n; e++) {
            bool taken = false;
            for (int64_t j = 0; j < i; j++)
                taken = taken || idx[j] == e;
            if (!taken && (best < 0 || p[e] > p[best]))
                best = e;
        }
        idx[i] = best;
    }
}

/* One (token, choice) that wants a slot of an expert. */
typedef struct claim {
    double weight;
    int64_t choice;
} claim;

static int by_weight(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

/* Slots of the domain of tokens [t0, t1), in order of position. */
static void slots_by_position(const core_spec *spec, int64_t t0, int64_t t1,
                              const int64_t *idx, int64_t *slot,
                              int64_t *n_claim)
{
    const int64_t capacity = core_spec_capacity(spec, t1 - t0);
    for (int64_t e = 0; e < spec->n_e; e++)
        n_claim[e] = 0;
    for (int64_t c = t0 * spec->n_k; c < t1 * spec->n_k; c++) {
        const int64_t i = n_claim[idx[c]]++;
        slot[c] = i < capacity ? i : -1;
    }
}

/* The same, larger weights first; a token names an expert at most once, so
 * the order of choices is the order of tokens.                               */
static void slots_by_weight(const core_spec *spec, int64_t t0, int64_t t1,
                            const int64_t *idx, const double *weight,
                            int64_t *slot, claim *claims)
{
    const int64_t capacity = core_spec_capacity(spec, t1 - t0);
    for (int64_t e = 0; e < spec->n_e; e++) {
        size_t n = 0;
        for (int64_t c = t0 * spec->n_k; c < t1 * spec->n_k; c++)
            if (idx[c] == e)
                claims[n++] = (claim){weight[c], c};
        qsort(claims, n, sizeof *claims, by_weight);
        for (size_t i = 0; i < n; i++)
            slot[claims[i].choice] = (int64_t)i < capacity ? (int64_t)i : -1;
    }
}

void ref__slots(const core_spec *spec, const core_batch *batch,
                const core_groups *groups, const int64_t *idx,
                const double *weight, int64_t *slot, void *work)
{
    const int64_t whole[] = {0, batch->n_b};
    const int64_t *first_row = whole;
    int64_t n_domain = 1;
    if (spec->capacity.domain == CORE_DOMAIN_SEQUENCE) {
        n_domain = batch->n_b;
    } else if (spec->capacity.domain == CORE_DOMAIN_GROUP && groups != NULL) {
        n_domain = groups->n;
        first_row = groups->first_row;
    }
    for (int64_t i = 0; i < n_domain; i++) {
        const bool rows = spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
        const int64_t t0 = (rows ? i : first_row[i]) * batch->n_t;
        const int64_t t1 = (rows ? i + 1 : first_row[i + 1]) * batch->n_t;
        if (spec->capacity.priority == CORE_PRIORITY_PROB)
            slots_by_weight(spec, t0, t1, idx, weight, slot, work);
        else
            slots_by_position(spec, t0, t1, idx, slot, work);
    }
}

size_t ref__slots_bytes(const core_spec *spec, int64_t n)
{
    const size_t count = (size_t)spec->n_e * sizeof(int64_t);
    const size_t claims = (size_t)(n * spec->n_k) * sizeof(claim);
    return count > claims ? count : claims;
}

/* w [K] of one token from its probabilities and choices. */
static void token_weights(const ref__run *run, const double *p,
                          const int64_t *idx, double *w)
{
    const int64_t n_k = run->spec->n_k;
    double sum = 0.0;
    for (int64_t k = 0; k < n_k; k++) {
        w[k] = p[idx[k]];
        sum += w[k];
    }
    for (int64_t k = 0; run->spec->renormalise && k < n_k; k++)
        w[k] /= sum;
    core_store(run->numerics, CORE_GRID_PROB, w, n_k);
}

static void put_probs(const ref__run *run, int layer, const ref__routing *ro)
{
    const int64_t n_e = run->spec->n_e;
    float *bound = ref__bound_buffer(run, CORE_TAP_ROUTER_PROBS, layer);
    for (int64_t t = 0; bound != NULL && t < run->n; t++)
        ref__bound_softmax(bound + t * n_e, ro->logits + t * n_e,
                           ro->probs + t * n_e, n_e);
    ref__put(run, CORE_TAP_ROUTER_PROBS, layer, ro->probs, bound);
}

/* Renormalised: a quotient by a sum of K.  Else p itself, one store each. */
static void put_weights(const ref__run *run, int layer, const ref__routing *ro)
{
    const int64_t n_k = run->spec->n_k;
    float *bound = ref__bound_buffer(run, CORE_TAP_TOPK_WEIGHT, layer);
    if (bound != NULL)
        ref__bound_relative(bound, ro->weight, run->n * n_k,
                            run->spec->renormalise ? (double)n_k + 2.0 : 2.0);
    ref__put(run, CORE_TAP_TOPK_WEIGHT, layer, ro->weight, bound);
}

/* Experts of all tokens, or those of the pass whose routing is taken over. */
static void choose(const ref__run *run, int layer, ref__routing *ro)
{
    const int64_t n_e = run->spec->n_e, n_k = run->spec->n_k;
    const int64_t *forced = ref__forced_ints(run, CORE_TAP_TOPK_IDX, layer);
    if (forced != NULL)
        memcpy(ro->idx, forced, (size_t)(run->n * n_k) * sizeof *forced);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const double *p = ro->probs + t * n_e;
        if (forced == NULL)
            ref__top_k(ro->idx + t * n_k, p, n_e, n_k);
        token_weights(run, p, ro->idx + t * n_k, ro->weight + t * n_k);
    }
}

void ref__router(ref__run *run, int layer, ref__routing *ro, void *work)
{
    const core_spec *spec = run->spec;
    const int64_t n_e = spec->n_e;
    const ref__rows xn = ref__measure(run, run->xn, run->n, spec->n_d);
    ref__linear(run, &xn, CORE_W_ROUTER, layer, CORE_TAP_ROUTER_LOGITS,
                ro->logits);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        ref__softmax(run->numerics, ro->probs + t * n_e, ro->logits + t * n_e,
                     n_e);
    put_probs(run, layer, ro);
    choose(run, layer, ro);
    const int64_t *forced = ref__forced_ints(run, CORE_TAP_SLOT, layer);
    if (forced != NULL)
        memcpy(ro->slot, forced, (size_t)(run->n * spec->n_k) * sizeof *forced);
    else
        ref__slots(spec, run->batch, run->groups, ro->idx, ro->weight, ro->slot,
                   work);
    ref__put_ints(run, CORE_TAP_TOPK_IDX, layer, ro->idx);
    put_weights(run, layer, ro);
    ref__put_ints(run, CORE_TAP_SLOT, layer, ro->slot);
}
