/* harness/judge/drops.c -- which tokens a rounding may drop in place of others.
 *
 * Capacity drops the last of an expert's claims.  Who is last may depend on a
 * rounding: by weight, where the weights on both sides of the cut are within
 * their tolerances of each other (equal ones above all); by either priority,
 * where a certified flip took a claim away or brought one, which moves the cut
 * by one.  A row of such a token that differs is set aside with what follows
 * it, as after a flip.  Trap: only rows that differ; the others are as good as
 * any.
 */
#include "harness/judge/judge_impl.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A token that wants a slot of an expert. */
typedef struct claim {
    int64_t token;
    double weight, tolerance;
} claim;

static int by_weight(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

/* --- the claims of one expert in one domain --- */

typedef struct claims {
    claim *at;
    int64_t n, n_flip; /* flips that took one away or brought one             */
    int64_t capacity;
} claims;

static int64_t position_of(const int64_t *ids, int64_t n, int64_t expert)
{
    for (int64_t k = 0; k < n; k++)
        if (ids[k] == expert)
            return k;
    return -1;
}

static void gather(har__pass *p, claims *c, int64_t t0, int64_t t1,
                   int64_t expert)
{
    const har__routing *r = &p->routing;
    const har_yard_tap *weight = har_yardstick_find(
        p->yard, r->part, (core_tap){CORE_TAP_TOPK_WEIGHT, r->layer});
    c->n = c->n_flip = 0;
    for (int64_t t = t0; t < t1; t++) {
        har__golden_ids(r->idx, t, p->ids);
        const int64_t k = position_of(p->ids, r->n_k, expert);
        const int64_t found =
            r->is_known[t] ? position_of(r->found + t * r->n_k, r->n_k, expert)
                           : k;
        c->n_flip += (k < 0) != (found < 0);
        if (k >= 0)
            c->at[c->n++] =
                (claim){t, core_st_value(weight->data, t * r->n_k + k),
                        har_yardstick_allowed(weight, t)};
    }
}

/* Mark the tokens whose claim may be on either side of the cut. */
static void mark(const claims *c, bool by_prob, bool *may_move)
{
    double kept = (double)INFINITY, dropped = -(double)INFINITY;
    for (int64_t i = 0; i < c->n; i++) {
        const claim *a = &c->at[i];
        if (i < c->capacity)
            kept = fmin(kept, a->weight - a->tolerance);
        else
            dropped = fmax(dropped, a->weight + a->tolerance);
    }
    for (int64_t i = 0; i < c->n; i++) {
        const claim *a = &c->at[i];
        const bool near = i < c->capacity ? a->weight - a->tolerance <= dropped
                                          : a->weight + a->tolerance >= kept;
        const bool moved = i >= c->capacity - c->n_flip &&
                           i < c->capacity + c->n_flip &&
                           c->n + c->n_flip > c->capacity;
        may_move[a->token] |= moved || (by_prob && c->n > c->capacity && near);
    }
}

/* --- a layer --- */

static void mark_domain(har__pass *p, claims *c, int64_t t0, int64_t t1)
{
    const core_spec *spec = &p->yard->spec;
    const bool by_prob = spec->capacity.priority == CORE_PRIORITY_PROB;
    c->capacity = core_spec_capacity(spec, t1 - t0);
    for (int64_t e = 0; e < spec->n_e; e++) {
        gather(p, c, t0, t1, e);
        if (by_prob)
            qsort(c->at, (size_t)c->n, sizeof *c->at, by_weight);
        mark(c, by_prob, p->routing.may_move);
    }
}

core_status har__drops_enter(har__pass *p)
{
    har__routing *r = &p->routing;
    const har_yard_part *part = &p->yard->part[r->part];
    const core_capacity *rule = &p->yard->spec.capacity;
    const int64_t n_t = part->n_t, n_token = part->n_b * n_t;
    void *memory = NULL;
    free(r->may_move);
    r->may_move = NULL;
    if (r->idx == NULL || rule->rule == CORE_CAPACITY_NONE ||
        har_yardstick_find(p->yard, r->part,
                           (core_tap){CORE_TAP_TOPK_WEIGHT, r->layer}) == NULL)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory, n_token, sizeof(bool), "tokens"));
    r->may_move = memory;
    memset(memory, 0, (size_t)n_token * sizeof(bool));
    CORE_TRY(core_alloc(&memory, n_token, sizeof(claim), "claims"));
    claims c = {.at = memory};
    if (rule->domain == CORE_DOMAIN_SEQUENCE)
        for (int64_t b = 0; b < part->n_b; b++)
            mark_domain(p, &c, b * n_t, (b + 1) * n_t);
    else if (rule->domain == CORE_DOMAIN_GROUP && p->yard->n_group > 0 &&
             p->yard->first_row[p->yard->n_group] <= part->n_b)
        for (int64_t i = 0; i < p->yard->n_group; i++)
            mark_domain(p, &c, p->yard->first_row[i] * n_t,
                        p->yard->first_row[i + 1] * n_t);
    else
        mark_domain(p, &c, 0, n_token);
    free(memory);
    return CORE_OK;
}

bool har__drops_excuse(har__pass *p, const har_yard_tap *tap, int64_t row)
{
    const har__routing *r = &p->routing;
    const core_tap at = tap->name.tap;
    return tap->name.is_tap && r->may_move != NULL && at.layer == r->layer &&
           at.kind > CORE_TAP_SLOT && r->may_move[row / tap->extent.n_k];
}
