/* parallel/router.c -- who goes where: scores, choices, weights, slots.
 *
 * Replicated over tp, on all tokens of the micro-batch, because capacity is
 * decided on the whole token group.  Ties go to the lowest expert.  A weight is
 * taken before anything is dropped.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_weight(const void *a, const void *b)
{
    const par_slot_key *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return (x->choice > y->choice) - (x->choice < y->choice);
}

/* Slots of the choices of tokens [i0, i1): one capacity domain.  An expert is
 * chosen at most once by a token, so choice order is token order.            */
static void deal_slots(par_model *m, int64_t i0, int64_t i1)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const int64_t n_k = spec->n_k, n_choice = (i1 - i0) * n_k;
    const int64_t capacity = core_spec_capacity(spec, i1 - i0);
    for (int64_t c = 0; c < n_choice; c++)
        w->key[c] = (par_slot_key){.weight = w->weight[i0 * n_k + c],
                                   .choice = i0 * n_k + c};
    if (spec->capacity.priority == CORE_PRIORITY_PROB && n_choice > 0)
        qsort(w->key, (size_t)n_choice, sizeof *w->key, by_weight);
    memset(w->expert_count, 0, (size_t)spec->n_e * sizeof *w->expert_count);
    for (int64_t c = 0; c < n_choice; c++) {
        const int64_t choice = w->key[c].choice;
        const int64_t slot = w->expert_count[w->idx[choice]]++;
        w->slot[choice] = slot < capacity ? slot : -1;
    }
}

/* The domains "group" and "batch" are the micro-batch: the plan allows "batch"
 * only where the whole batch is one.                                         */
static void slots(par_model *m)
{
    const int64_t n = m->now.n, n_t = m->batch->n_t;
    const bool by_row = m->spec->capacity.domain == CORE_DOMAIN_SEQUENCE;
    const int64_t step = by_row ? n_t : n;
    for (int64_t i = 0; i < n; i += step)
        deal_slots(m, i, i + step);
}

/* probs, where the router has a score for every expert. */
static void score_all(par_model *m, int l)
{
    par_work *w = &m->work;
    const int64_t n = m->now.n, n_e = m->spec->n_e;
    if (m->spec->router != CORE_ROUTER_SOFTMAX)
        for (int64_t i = 0; i < n * n_e; i++)
            w->probs[i] = core_router_score(m->spec->router, w->logits_e[i]);
    else
        for (int64_t i = 0; i < n; i++)
            par__softmax(m, w->logits_e + i * n_e, w->probs + i * n_e, n_e);
    par__tap_replicated(m, par__tap(CORE_TAP_ROUTER_PROBS, l), w->probs);
}

static bool has_scores(const core_spec *spec)
{
    return core_router_scores_all(spec->router);
}

/* The experts of every token: a row of the table for its id. */
static void look_up(par_model *m, const double *table)
{
    par_work *w = &m->work;
    const int64_t n_k = m->spec->n_k;
    for (int64_t i = 0; i < m->now.n; i++) {
        const double *row = table + m->batch->ids[w->token_id[i]] * n_k;
        for (int64_t j = 0; j < n_k; j++)
            w->idx[i * n_k + j] = (int64_t)row[j];
    }
}

/* Everything between the logits and the slots: one operator. */
static void count_routing(par_model *m, const par_layer *layer, int l)
{
    static const int64_t score_flops[] = {
        [CORE_ROUTER_SOFTMAX] = CORE_FLOPS_SOFTMAX,
        [CORE_ROUTER_SOFTMAX_TOP] = 0, /* K scores per token: left out        */
        [CORE_ROUTER_SIGMOID] = CORE_FLOPS_FUNCTION,
        [CORE_ROUTER_SQRT_SOFTPLUS] = CORE_FLOPS_FUNCTION,
        [CORE_ROUTER_SPARSEMIXER] = 2 * CORE_FLOPS_SOFTMAX};
    const core_spec *spec = m->spec;
    const int64_t n = m->now.n, n_e = spec->n_e, n_k = spec->n_k;
    const int64_t n_search = layer->table == NULL ? n_k : 0;
    core_cost *cost = par__cost_rows(m, par__tap(CORE_TAP_SLOT, l), n, n_e,
                                     score_flops[spec->router] + n_search);
    cost->k = n_k;
    cost->written = (has_scores(spec) ? n * n_e : 0) + 3 * n * n_k;
    if (n > 0)
        cost->weights = (layer->correction != NULL ? n_e : 0) +
                        (layer->expert_scale != NULL ? n_e : 0);
    if (layer->table != NULL)
        cost->weights += n * n_k;
}

/* What the router reads of all tokens: xn, or the stream normed for it alone and
 * divided by the root of its width.                                          */
static const double *router_input(par_model *m, const par_layer *layer, int l)
{
    const core_tap tap = par__tap(CORE_TAP_ROUTER_IN, l);
    const int64_t n_d = m->spec->n_d, n = m->now.n;
    const double root = sqrt((double)n_d);
    double *in = m->work.router_in;
    if (layer->router_norm == NULL)
        return m->work.xn;
    par__enter(m, PAR_OP_ROUTER, tap);
    par__rms_rows(m, in, n_d, m->now.x, n_d, n, n_d, layer->router_norm,
                  m->spec->norm_eps, tap);
    m->cost.record.flops += CORE_FLOPS_SCALE * n * n_d;
    for (int64_t i = 0; i < n * n_d; i++)
        in[i] /= root;
    par__tap_replicated(m, tap, in);
    return in;
}

void par__route(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const int64_t n = m->now.n, n_e = spec->n_e, n_k = spec->n_k;
    const core_tap tap = par__tap(CORE_TAP_ROUTER_LOGITS, l);
    const double *in = router_input(m, layer, l);
    par__enter(m, PAR_OP_ROUTER, tap);
    par__linear(m, w->logits_e, n_e, in, spec->n_d, n, &layer->router, tap);
    par__add_bias(m, w->logits_e, n, n_e, layer->router.bias);
    par__tap_replicated(m, tap, w->logits_e);

    count_routing(m, layer, l);
    if (has_scores(spec))
        score_all(m, l);
    const double *score = has_scores(spec) ? w->probs : w->logits_e;
    if (layer->table != NULL)
        look_up(m, layer->table);
    for (int64_t i = 0; layer->table == NULL && i < n; i++)
        par__choose(m, score + i * n_e, layer->correction, w->idx + i * n_k);
    par__tap_ints(m, par__tap(CORE_TAP_TOPK_IDX, l), w->idx);
    for (int64_t i = 0; i < n; i++)
        par__weigh(m, w->logits_e + i * n_e, w->probs + i * n_e,
                   w->idx + i * n_k, layer->expert_scale, w->weight + i * n_k);
    par__tap_replicated(m, par__tap(CORE_TAP_TOPK_WEIGHT, l), w->weight);

    slots(m);
    par__tap_ints(m, par__tap(CORE_TAP_SLOT, l), w->slot);
}
