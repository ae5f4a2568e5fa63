/* harness/judge/routing.c -- chosen experts: flips, certificates, consequences.
 *
 * A certificate speaks about the experts that were exchanged.  Where the
 * golden's choice is simply the largest router logits (softmax or sigmoid,
 * then top-k), every expert that left and every one that came must be within
 * twice the token's tolerance of each other: both logits may have moved.
 * Where it is not (a selection bias, groups), only the stored margin is
 * known: scores are then probabilities, which move by at most half as much
 * as the logits, so the bound is once the tolerance.  Without a margin there is
 * no certificate.  In exact the bound is 0, and a tie is certified whichever
 * way it fell.  Traps: a small margin does not excuse
 * an expert far down the list; a NaN margin excuses nothing; a flip acts on
 * its own token from there on, on the later tokens of its row only from the
 * next layer on, through attention; in a forced dump on its own token to the end
 * of the layer.
 */
#include "harness/judge/flip.h"
#include "harness/judge/judge_impl.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The expert's number; -1 for what is none and no int64_t may hold. */
static int64_t id_of(double x)
{
    return fabs(x) < 0x1p53 ? (int64_t)x : -1;
}

void har__golden_ids(const har_yard_tap *idx, int64_t token, int64_t *out)
{
    const int64_t n_k = idx->extent.n_col;
    for (int64_t j = 0; j < n_k; j++)
        out[j] = id_of(core_st_value(idx->data, token * n_k + j));
}

/* --- entering a layer --- */

/* New numbers of a layer: experts and how often each is chosen. */
static core_status add_layer(har__pass *p, const har_yard_tap *idx)
{
    har_judgement *g = p->judged;
    har_layer_routing *r = &g->routing[g->n_routing];
    void *memory = NULL;
    const har_yard_tap *logits = har_yardstick_find(
        p->yard, idx->part,
        (core_tap){CORE_TAP_ROUTER_LOGITS, idx->name.tap.layer});
    *r = (har_layer_routing){.part = idx->part, .layer = idx->name.tap.layer};
    const int64_t n_token = idx->extent.n_b * idx->extent.n_t;
    r->n_expert = logits != NULL ? logits->extent.n_col : 1;
    for (int64_t token = 0; token < n_token; token++) {
        har__golden_ids(idx, token, p->ids);
        for (int64_t j = 0; j < idx->extent.n_col; j++)
            if (p->ids[j] >= r->n_expert && p->ids[j] < 1 << 20)
                r->n_expert = p->ids[j] + 1;
    }
    CORE_TRY(core_alloc(&memory, 2 * r->n_expert, sizeof *r->load, "loads"));
    r->load = memory;
    memset(r->load, 0, (size_t)(2 * r->n_expert) * sizeof *r->load);
    g->n_routing++;
    return CORE_OK;
}

static core_status enter_part(har__pass *p, const har_yard_tap *tap)
{
    har__routing *r = &p->routing;
    void *memory = NULL;
    const int64_t n_token = tap->extent.n_b * tap->extent.n_t;
    free(r->from);
    free(r->is_known);
    r->from = NULL;
    r->is_known = NULL;
    CORE_TRY(core_alloc(&memory, 2 * n_token, sizeof *r->from, "tokens"));
    r->from = memory;
    r->open_from = r->from + n_token;
    CORE_TRY(core_alloc(&memory, n_token, sizeof *r->is_known, "tokens"));
    r->is_known = memory;
    for (int64_t i = 0; i < 2 * n_token; i++)
        r->from[i] = HAR__NEVER;
    memset(r->is_known, 0, (size_t)n_token * sizeof *r->is_known);
    r->part = tap->part;
    r->layer = -1;
    r->idx = NULL;
    return CORE_OK;
}

core_status har__routing_enter(har__pass *p, const har_yard_tap *tap)
{
    har__routing *r = &p->routing;
    if (r->part != tap->part)
        CORE_TRY(enter_part(p, tap));
    const core_tap at = tap->name.tap;
    const int layer =
        tap->name.is_tap && !core_tap_is_global(at.kind) ? at.layer : -1;
    if (layer == r->layer)
        return CORE_OK;
    r->layer = layer;
    r->is_marked = false;
    const int64_t n_token = tap->extent.n_b * tap->extent.n_t;
    for (int64_t i = 0; p->yard->forcing != HAR_FED_NOTHING && i < 2 * n_token;
         i++)
        r->from[i] = HAR__NEVER;
    har__keys_enter(p);
    const core_tap idx = {CORE_TAP_TOPK_IDX, layer};
    r->idx = layer < 0 ? NULL : har_yardstick_find(p->yard, tap->part, idx);
    memset(r->is_known, 0, (size_t)n_token * sizeof *r->is_known);
    if (r->idx == NULL)
        return CORE_OK;
    r->n_k = r->idx->extent.n_col;
    int64_t *found = core_grow(r->found, &r->room, n_token * r->n_k,
                               sizeof *found, "chosen experts");
    if (found == NULL)
        return CORE_E_MEMORY;
    r->found = found;
    return add_layer(p, r->idx);
}

/* --- certificates --- */

/* How close the golden's decision was, and in *bound how close it must have
 * been; infinite if nothing is known.                                        */
static double distance_of(har__pass *p, int64_t token, const int64_t *golden,
                          const int64_t *found, double *bound)
{
    const har__routing *r = &p->routing;
    const core_st_tensor *margins =
        har_yardstick_margin(p->yard, r->part, r->layer);
    const har_yard_tap *tap = har_yardstick_find(
        p->yard, r->part, (core_tap){CORE_TAP_ROUTER_LOGITS, r->layer});
    double *logits = p->expected, gap;
    *bound = 0.0;
    if (tap == NULL ||
        !har_flip_are_experts(golden, r->n_k, tap->extent.n_col) ||
        !har_flip_are_experts(found, r->n_k, tap->extent.n_col))
        return (double)INFINITY;
    *bound = har_yardstick_allowed(tap, token);
    har_yardstick_row(tap, token, logits);
    const bool by_logits =
        har_flip_gap(&gap, golden, found, r->n_k, logits, tap->extent.n_col);
    if (margins == NULL && (p->yard->is_bundle || !by_logits))
        return (double)INFINITY; /* of a plain file logits are all there is */
    const double margin = margins != NULL ? core_st_value(margins, token) : 0.0;
    *bound *= by_logits ? 2.0 : 1.0;
    return by_logits && margin <= gap ? gap : margin;
}

/* distance / bound; at most 1: a certificate. */
static double certificate(har__pass *p, int64_t token, const int64_t *golden,
                          const int64_t *found, double *bound)
{
    const double distance = distance_of(p, token, golden, found, bound);
    if (!(isfinite(distance) && isfinite(*bound) && *bound > 0.0))
        return distance == 0.0 && *bound == 0.0 ? 0.0 : (double)INFINITY;
    return distance / *bound;
}

void har__set_aside(har__pass *p, const har_yard_tap *tap, int64_t token,
                    int64_t behind)
{
    har__routing *r = &p->routing;
    const int64_t now = har__moment(tap) + behind, n_t = tap->extent.n_t;
    const int64_t next = (int64_t)(r->layer + 1) * CORE_N_TAP_KINDS;
    r->from[token] = r->from[token] < now ? r->from[token] : now;
    if (p->yard->forcing != HAR_FED_NOTHING) /* the next layer is fed the golden's */
        return;
    for (int64_t i = token + 1; i / n_t == token / n_t; i++)
        r->from[i] = r->from[i] < next ? r->from[i] : next;
}

bool har__routing_excludes(const har__pass *p, const har_yard_tap *tap,
                           int64_t row)
{
    return har__moment(tap) >= p->routing.from[row / tap->extent.n_k];
}

static void count_load(har_layer_routing *l, const int64_t *golden,
                       const int64_t *found, int64_t n_k)
{
    for (int64_t j = 0; j < n_k; j++) {
        if (golden[j] >= 0 && golden[j] < l->n_expert)
            l->load[golden[j]]++;
        if (found[j] >= 0 && found[j] < l->n_expert)
            l->load[l->n_expert + found[j]]++;
    }
}

/* The first exchange of a flip: which expert should have been there. */
static void describe_flip(har_spot *spot, const int64_t *golden,
                          const int64_t *found, int64_t n_k)
{
    for (int64_t j = 0; j < n_k; j++) {
        if (!har_flip_holds(found, n_k, golden[j]) || spot->expert < 0) {
            spot->expert = golden[j];
            spot->col = j;
            spot->expected = (double)golden[j];
        }
        if (!har_flip_holds(golden, n_k, found[j]))
            spot->found = (double)found[j];
    }
}

bool har__routing_judge(har__pass *p, int64_t i_tap, int64_t token,
                        har_spot *spot)
{
    har__routing *r = &p->routing;
    const har_yard_tap *idx = &p->yard->tap[i_tap];
    har_layer_routing *l = &p->judged->routing[p->judged->n_routing - 1];
    int64_t *golden = p->ids, *found = r->found + token * r->n_k;
    for (int64_t j = 0; j < r->n_k; j++)
        found[j] = id_of(p->found[j]);
    r->is_known[token] = true;
    har__golden_ids(idx, token, golden);
    count_load(l, golden, found, r->n_k);
    if (har__routing_excludes(p, idx, token)) {
        l->n_excluded++;
        return true;
    }
    l->n_token++;
    if (har_chosen_same(p->expected, p->found, r->n_k)) {
        l->n_same++;
        return true;
    }
    describe_flip(spot, golden, found, r->n_k);
    if (p->judged->forced_routing) { /* its weights are those of our experts */
        r->is_known[token] = false;
        return true;
    }
    spot->ratio = certificate(p, token, golden, found, &spot->allowed);
    if (spot->ratio <= 1.0 || har__keys_are_open(p, idx, token)) {
        l->n_certified++;
        p->judged->n_certified++;
        har__set_aside(p, idx, token, 1);
        return true;
    }
    l->n_uncertified++;
    p->judged->n_uncertified++;
    return false;
}

int64_t har__source_row(har__pass *p, const har_yard_tap *tap, int64_t row)
{
    const har__routing *r = &p->routing;
    const int64_t n_k = tap->extent.n_k, token = row / n_k;
    if (n_k == 1 || r->idx == NULL || n_k != r->n_k || !r->is_known[token])
        return row;
    har__golden_ids(r->idx, token, p->ids);
    for (int64_t j = 0; j < n_k; j++)
        if (r->found[token * n_k + j] == p->ids[row % n_k])
            return token * n_k + j;
    return row;
}
