/* parallel/router.c -- who goes where: scores, choices, weights, slots.
 *
 * Made for the tokens whose stream a rank has; then all choices of the micro-
 * batch are on every rank of a tensor group, because capacity is decided on the
 * whole token group.  Ties go to the lowest expert.  A weight is taken before
 * anything is dropped.
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
        w->key[c] = (par_slot_key){.weight = w->every.weight[i0 * n_k + c],
                                   .choice = i0 * n_k + c};
    if (spec->capacity.priority == CORE_PRIORITY_PROB && n_choice > 0)
        qsort(w->key, (size_t)n_choice, sizeof *w->key, by_weight);
    memset(w->expert_count, 0, (size_t)spec->n_e * sizeof *w->expert_count);
    for (int64_t c = 0; c < n_choice; c++) {
        const int64_t choice = w->key[c].choice;
        const int64_t slot = w->expert_count[w->every.idx[choice]]++;
        w->every.slot[choice] = slot < capacity ? slot : -1;
    }
}

/* The domains "group" and "batch" are the micro-batch: the plan allows "batch"
 * only where the whole batch is one.  A row is what a step has of it.        */
static void slots(par_model *m)
{
    if (m->spec->capacity.domain != CORE_DOMAIN_SEQUENCE) {
        deal_slots(m, 0, m->now.n_all);
        return;
    }
    for (int64_t b = 0; b < m->now.n_row; b++) {
        const par_run row = par__row_tokens(m, b);
        deal_slots(m, row.i0, row.i0 + row.n);
    }
}

/* probs, where the router has a score for every expert. */
static void score_all(par_model *m, int l)
{
    par_work *w = &m->work;
    const int64_t n = m->now.n_s, n_e = m->spec->n_e;
    if (m->spec->router != CORE_ROUTER_SOFTMAX)
        for (int64_t i = 0; i < n * n_e; i++)
            w->probs[i] = core_router_score(m->spec->router, w->logits_e[i]);
    else
        for (int64_t i = 0; i < n; i++)
            par__softmax(m, w->logits_e + i * n_e, w->probs + i * n_e, n_e);
    par__tap_stream(m, par__tap(CORE_TAP_ROUTER_PROBS, l), w->probs);
}

static bool has_scores(const core_spec *spec)
{
    return core_router_scores_all(spec->router);
}

/* The experts of every token: a row of the table for its id. */
static void look_up(par_model *m, const double *table, int64_t *idx)
{
    const int64_t n_k = m->spec->n_k, *id = m->work.token_id + m->now.s0;
    for (int64_t i = 0; i < m->now.n_s; i++) {
        const double *row = table + m->batch->ids[id[i]] * n_k;
        for (int64_t j = 0; j < n_k; j++)
            idx[i * n_k + j] = (int64_t)row[j];
    }
}

/* Everything between the logits and the choices: one operator. */
static void count_routing(par_model *m, const par_layer *layer, int l)
{
    static const int64_t score_flops[] = {
        [CORE_ROUTER_SOFTMAX] = CORE_FLOPS_SOFTMAX,
        [CORE_ROUTER_SOFTMAX_TOP] = 0, /* K scores per token: left out        */
        [CORE_ROUTER_SIGMOID] = CORE_FLOPS_FUNCTION,
        [CORE_ROUTER_SQRT_SOFTPLUS] = CORE_FLOPS_FUNCTION,
        [CORE_ROUTER_SPARSEMIXER] = 2 * CORE_FLOPS_SOFTMAX};
    const core_spec *spec = m->spec;
    const int64_t n = m->now.n_s, n_e = spec->n_e, n_k = spec->n_k;
    const int64_t n_search = layer->table == NULL ? n_k : 0;
    core_cost *cost = par__cost_rows(m, par__tap(CORE_TAP_SLOT, l), n, n_e,
                                     score_flops[spec->router] + n_search);
    cost->k = n_k;
    cost->written = (has_scores(spec) ? n * n_e : 0) + 2 * n * n_k;
    if (n > 0)
        cost->weights = (layer->correction != NULL ? n_e : 0) +
                        (layer->expert_scale != NULL ? n_e : 0);
    if (layer->table != NULL)
        cost->weights += n * n_k;
}

/* What the router reads of my tokens: xn, or the stream normed for it alone and
 * divided by the root of its width.                                          */
static const double *router_input(par_model *m, const par_layer *layer, int l)
{
    const core_tap tap = par__tap(CORE_TAP_ROUTER_IN, l);
    const int64_t n_d = m->spec->n_d, n = m->now.n_s;
    const double root = sqrt((double)n_d);
    double *in = m->work.router_in;
    if (layer->router_norm == NULL)
        return par__mine(m, m->work.xn);
    par__enter(m, PAR_OP_ROUTER, tap);
    par__rms_rows(m, in, n_d, m->now.x, n_d, n, n_d, layer->router_norm,
                  m->spec->norm_eps, tap);
    m->cost.record.flops += CORE_FLOPS_SCALE * n * n_d;
    for (int64_t i = 0; i < n * n_d; i++)
        in[i] /= root;
    par__tap_stream(m, tap, in);
    return in;
}

/* Which of all tokens is number i of the token group. */
static int64_t token_of_group(const par_model *m, int64_t i)
{
    return m->step != NULL ? m->work.token_id[i]
                           : m->now.row0 * m->batch->n_t + i;
}

/* End the run where a choice that came from another rank is no expert. */
static void check_choices(const par_model *m, core_tap tap)
{
    const int64_t n_k = m->spec->n_k, *idx = m->work.every.idx;
    char name[CORE_NAME_BYTES];
    for (int64_t c = 0; c < m->now.n_all * n_k; c++)
        if (idx[c] < 0 || idx[c] >= m->spec->n_e)
            par_abort(m->comm, CORE_E_DIFFERS,
                      "rank %d: %s: choice %lld of token %lld is no expert: %s",
                      m->comm->rank, core_tap_name(tap, name),
                      (long long)(c % n_k),
                      (long long)token_of_group(m, c / n_k),
                      par__is_poison(idx[c]) ? "never written" : "corrupt");
}

/* The choices of my tokens become those of all, and get their slots: part of
 * the record that is open, but for a gathering.                              */
static void slots_of_all(par_model *m, int l)
{
    par_work *w = &m->work;
    const int64_t n_k = m->spec->n_k, n = m->now.n_all;
    const core_tap tap = par__tap(CORE_TAP_SLOT, l);
    par__gather_stream_ints(m, w->idx, n_k, tap);
    par__gather_stream(m, w->weight, n_k, tap);
    par__whole_group(m, tap);
    check_choices(m, tap);
    if (m->cost.record.kind == CORE_COST_COLLECTIVE)
        par__cost_rows(m, tap, n, n_k, 0)->written = 0;
    m->cost.record.written += n * n_k;
    slots(m);
    par__own_slots(m);
    par__tap_ints(m, tap, w->slot);
}

void par__route(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const core_spec *spec = m->spec;
    const int64_t n = m->now.n_s, n_e = spec->n_e, n_k = spec->n_k;
    int64_t *idx = w->idx + m->now.s0 * n_k;
    double *weight = w->weight + m->now.s0 * n_k;
    const core_tap tap = par__tap(CORE_TAP_ROUTER_LOGITS, l);
    const double *in = router_input(m, layer, l);
    par__enter(m, PAR_OP_ROUTER, tap);
    par__linear(m, w->logits_e, n_e, in, spec->n_d, n, &layer->router, tap);
    par__add_bias(m, w->logits_e, n, n_e, layer->router.bias);
    par__tap_stream(m, tap, w->logits_e);

    count_routing(m, layer, l);
    if (has_scores(spec))
        score_all(m, l);
    const double *score = has_scores(spec) ? w->probs : w->logits_e;
    if (layer->table != NULL)
        look_up(m, layer->table, idx);
    for (int64_t i = 0; layer->table == NULL && i < n; i++)
        par__choose(m, score + i * n_e, layer->correction, idx + i * n_k);
    par__tap_stream_ints(m, par__tap(CORE_TAP_TOPK_IDX, l), idx);
    for (int64_t i = 0; i < n; i++)
        par__weigh(m, w->logits_e + i * n_e, w->probs + i * n_e, idx + i * n_k,
                   layer->expert_scale, weight + i * n_k);
    par__tap_stream(m, par__tap(CORE_TAP_TOPK_WEIGHT, l), weight);
    slots_of_all(m, l);
}
