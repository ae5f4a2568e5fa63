/* parallel/deal.c -- see deal.h.
 *
 * Tokens are taken in order, as the plan takes them: rounds, replicas,
 * micro-batches, slices of a tensor group.  A slice belongs to one full set of
 * the experts; of a set's copies that have had no row yet, a choice gets the
 * next one that may serve this token and still has a slot; what is left over
 * goes where fewest have gone.
 *
 * Traps: token number modulo copies picks the copy, so half the tokens cannot
 * reach it; slots are counted over a capacity domain, which is wider than a
 * slice; which etp rank completes a row is known only when its block is full;
 * where rows are cut, tokens are not dealt in the order that slots are: that is
 * all right while every choice gets one, of a row's slots each part its share.
 */
#include "parallel/deal.h"

#include "core/numbers/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct dealer {
    const core_spec *spec;
    const par_plan *plan;
    uint64_t seed;
    core_arena arena; /* of the layout, which is any rank's */
    par_layout layout;
    int n_set;    /* full sets of the experts, and whose each slice is     */
    int *set;     /* [dp, cp, tp]                                         */
    int n_table;  /* of experts: one, or of each layer that has some      */
    const par_experts **table; /* [n_table] of the layout                 */
    int n_entry;  /* of a table's replica_ep                              */
    int n_copy;   /* (expert, holder): entries of all tables              */
    int n_part;   /* etp ranks that are to complete one of a copy's rows  */
    int *expert;  /* [n_copy] of a copy                                   */
    int *order;   /* [n_copy] in which copies are dealt                   */
    uint8_t *met; /* [n_set, n_copy, n_part]                              */
    int64_t *n_unmet; /* [n_set] of its copies and parts                      */
    uint8_t *asked;   /* [n_copy, n_part] times within the slice              */
    int64_t *claims;  /* [E] within the capacity domain                       */
    int64_t *rows;    /* [2, ep] of the slice's block to a holder             */
    int64_t *kept;    /* [slice's choices] token that gets a slot, -1: dropped */
    int64_t *chosen;  /* [slice's choices] its expert                         */
    int64_t *n_token; /* [dp, cp] of a tensor group so far                    */
    bool lacked_slot; /* a choice went where no slot was left                 */
} dealer;

/* --- the plan ------------------------------------------------------------- */

static core_status take(void **out, int64_t n, size_t bytes)
{
    CORE_TRY(core_alloc(out, n > 0 ? n : 1, bytes, "dealt routing"));
    memset(*out, 0, (size_t)n * bytes);
    return CORE_OK;
}

/* Which set each slice sends to: any stage's ranks show it. */
static core_status read_sets(dealer *d)
{
    const par_plan *p = d->plan;
    void *memory;
    const int n_rank = p->dp * p->cp * p->tp;
    CORE_TRY(take(&memory, n_rank, sizeof *d->set));
    d->set = memory;
    for (int rank = 0; rank < n_rank; rank++) {
        CORE_TRY(par_layout_make(&d->layout, &d->arena, d->spec, p, rank));
        d->set[rank] =
            p->scope == PAR_SCOPE_STAGE ? d->layout.edp_i : d->layout.d;
    }
    d->n_set = p->scope == PAR_SCOPE_STAGE ? d->layout.edp : p->dp;
    return CORE_OK;
}

/* Experts with many copies first: a domain has few slots for all of them.  Of
 * those with equally many the first of every holder, then the second, ...    */
static void order_copies(dealer *d)
{
    int n_done = 0;
    for (int n_same = PAR_MAX_REPLICAS; n_same > 0; n_same--)
        for (int i = 0, before = -1; n_done > before; i++) {
            before = n_done;
            memset(d->rows, 0, (size_t)d->plan->ep * sizeof *d->rows);
            for (int c = 0; c < d->n_copy; c++) {
                const par_experts *x = d->table[c / d->n_entry];
                const int e = d->expert[c];
                const int n = x->replica_first[e + 1] - x->replica_first[e];
                if ((n < PAR_MAX_REPLICAS ? n : PAR_MAX_REPLICAS) == n_same &&
                    d->rows[x->replica_ep[c % d->n_entry]]++ == i)
                    d->order[n_done++] = c;
            }
        }
}

/* The tables that layers do not share, and what they have to have. */
static core_status list_tables(dealer *d)
{
    const core_spec *spec = d->spec;
    const int n_moe = core_spec_count_moe(spec, 0, (int)spec->n_l);
    void *memory;
    CORE_TRY(take(&memory, n_moe, sizeof *d->table));
    d->table = memory;
    for (int l = 0; l < (int)spec->n_l; l++)
        if (core_spec_is_moe(spec, l) &&
            (d->n_table == 0 || d->plan->n_mapped > 0))
            d->table[d->n_table++] = &d->layout.experts[l];
    d->n_entry = n_moe > 0 ? d->table[0]->replica_first[spec->n_e] : 0;
    d->n_copy = d->n_table * d->n_entry;
    CORE_TRY(take(&memory, d->n_copy, sizeof *d->expert));
    d->expert = memory;
    for (int c = 0; c < d->n_copy; c++) {
        const int *first = d->table[c / d->n_entry]->replica_first;
        while (first[d->expert[c] + 1] <= c % d->n_entry)
            d->expert[c]++;
    }
    return CORE_OK;
}

static core_status open_tables(dealer *d, int64_t n_choice)
{
    const core_spec *spec = d->spec;
    const bool has_bias = spec->bias_ffn; /* of down: see dispatch.c */
    void *memory;
    CORE_TRY(list_tables(d));
    d->n_part = has_bias ? d->plan->etp : 1;
    CORE_TRY(take(&memory, d->n_copy, sizeof *d->order));
    d->order = memory;
    CORE_TRY(take(&memory, (int64_t)d->n_set * d->n_copy * d->n_part, 1));
    d->met = memory;
    CORE_TRY(take(&memory, d->n_set, sizeof *d->n_unmet));
    d->n_unmet = memory;
    CORE_TRY(take(&memory, (int64_t)d->n_copy * d->n_part, 1));
    d->asked = memory;
    CORE_TRY(take(&memory, spec->n_e, sizeof *d->claims));
    d->claims = memory;
    CORE_TRY(take(&memory, 2 * (int64_t)d->plan->ep, sizeof *d->rows));
    d->rows = memory;
    CORE_TRY(take(&memory, n_choice, sizeof *d->kept));
    d->kept = memory;
    CORE_TRY(take(&memory, n_choice, sizeof *d->chosen));
    d->chosen = memory;
    CORE_TRY(
        take(&memory, (int64_t)d->plan->dp * d->plan->cp, sizeof *d->n_token));
    d->n_token = memory;
    order_copies(d);
    return CORE_OK;
}

static void close_dealer(dealer *d)
{
    core_arena_free(&d->arena);
    free(d->set);
    free(d->expert);
    free(d->order);
    free(d->met);
    free(d->n_unmet);
    free(d->asked);
    free(d->claims);
    free(d->rows);
    free(d->kept);
    free(d->chosen);
    free(d->table);
    free(d->n_token);
}

/* --- one choice ----------------------------------------------------------- */

/* The copy of expert e that serves a token, of a table. */
static int copy_of(const dealer *d, int i_table, int64_t e, int64_t token)
{
    const int *first = d->table[i_table]->replica_first + e;
    return i_table * d->n_entry + first[0] +
           (int)(token % (first[1] - first[0]));
}

static bool is_taken(const int64_t *expert, int64_t n, int64_t e)
{
    for (int64_t j = 0; j < n; j++)
        if (expert[j] == e)
            return true;
    return false;
}

static bool is_met(const dealer *d, int set, int copy, int part)
{
    return d->met[((int64_t)set * d->n_copy + copy) * d->n_part + part] != 0;
}

/* A copy that still misses a row that etp rank `part` completes, asked for at
 * most n_asked times, for choice j of a token whose others are known; -1: none.
 */
static int find_copy(const dealer *d, int set, int part, int n_asked,
                     int64_t token, const int64_t *others, int64_t j,
                     int64_t capacity)
{
    for (int i = 0; d->n_unmet[set] > 0 && i < d->n_copy; i++) {
        const int c = d->order[i];
        const int64_t e = d->expert[c];
        if (!is_met(d, set, c, part) && d->asked[c * d->n_part + part] <= n_asked &&
            d->claims[e] < capacity &&
            copy_of(d, c / d->n_entry, e, token) == c &&
            !is_taken(others, j, e))
            return c;
    }
    return -1;
}

/* The expert with the fewest claims, the search starting anywhere. */
static int64_t find_other(const dealer *d, int64_t start, const int64_t *others,
                          int64_t j)
{
    const int64_t n_e = d->spec->n_e;
    int64_t best = -1;
    for (int64_t i = 0; i < n_e; i++) {
        const int64_t e = (start + i) % n_e;
        if (!is_taken(others, j, e) &&
            (best < 0 || d->claims[e] < d->claims[best]))
            best = e;
    }
    return best;
}

/* Eighths, so that the weights of a token add up to about one; least where
 * there is no slot, so that by weight, too, the others keep theirs. */
static double weight_of(const core_spec *spec, int64_t choice, bool has_slot)
{
    int shift = 3;
    while ((INT64_C(1) << (shift - 3)) < spec->n_k)
        shift++;
    return ldexp(has_slot ? 3.0 + (double)(choice % 4) : 1.0, -shift);
}

/* --- slices and parts ----------------------------------------------------- */

/* Choice j of a token, number i of its slice's n choices. */
static void deal_choice(dealer *d, par_deal *out, int set, int64_t token,
                        int64_t j, int64_t i, int64_t n, int64_t capacity)
{
    const int64_t n_k = d->spec->n_k;
    int64_t *expert = out->expert + token * n_k;
    /* the part is a guess, worst where one ends: later it is asked for again */
    const int n_again = (int)(i * 4 * d->n_part / n) % 4;
    int part = (int)(i * d->n_part / n), copy = -1;
    for (int n_asked = 0; copy < 0 && n_asked <= n_again; n_asked++)
        copy = find_copy(d, set, part, n_asked, token, expert, j, capacity);
    for (int other = 0; copy < 0 && other < d->n_part; other++) {
        part = other;
        copy = find_copy(d, set, part, 0, token, expert, j, capacity);
    }
    if (copy >= 0)
        d->asked[copy * d->n_part + part]++;
    expert[j] =
        copy >= 0 ? d->expert[copy] : find_other(d, token * n_k + j, expert, j);
    const bool has_slot = d->claims[expert[j]]++ < capacity;
    d->lacked_slot |= !has_slot;
    out->weight[token * n_k + j] =
        weight_of(d->spec, token * n_k + j, has_slot);
    d->kept[i] = has_slot ? token : -1;
    d->chosen[i] = expert[j];
}

/* The slice is full: who completes which row, as dispatch.c has it, in layers
 * of a table.                                                                */
static void note_met(dealer *d, int set, int i_table, int64_t n)
{
    const int ep = d->plan->ep, *holder = d->table[i_table]->replica_ep;
    int64_t *n_row = d->rows, *row = d->rows + ep;
    memset(d->rows, 0, 2 * (size_t)ep * sizeof *d->rows);
    for (int64_t i = 0; i < n; i++)
        if (d->kept[i] >= 0)
            n_row[holder[copy_of(d, i_table, d->chosen[i], d->kept[i]) %
                         d->n_entry]]++;
    for (int64_t i = 0; i < n; i++) {
        if (d->kept[i] < 0)
            continue;
        const int copy = copy_of(d, i_table, d->chosen[i], d->kept[i]);
        const int p = holder[copy % d->n_entry];
        const int64_t part = (++row[p] * d->n_part - 1) / n_row[p];
        uint8_t *met =
            d->met + ((int64_t)set * d->n_copy + copy) * d->n_part + part;
        d->n_unmet[set] -= *met == 0;
        *met = 1;
    }
}

/* Capacity is counted anew. */
static int64_t open_domain(dealer *d, int64_t n_token)
{
    memset(d->claims, 0, (size_t)d->spec->n_e * sizeof *d->claims);
    return core_spec_capacity(d->spec, n_token);
}

/* Token i of the rows from row0 on, of those that ranks c have. */
static int64_t token_at(const dealer *d, const par_deal *out, int64_t row0,
                        int c, int64_t i)
{
    return row0 * out->n_t + par_layout_token(d->plan, c, out->n_t, i);
}

static void deal_slice(dealer *d, par_deal *out, int set, int c, int64_t row0,
                       int64_t t0, int64_t n_token, int64_t *capacity)
{
    const int64_t n_row = par_layout_n_t(d->plan, c, out->n_t);
    const int64_t n_k = d->spec->n_k, n = n_token * n_k;
    memset(d->asked, 0, (size_t)d->n_copy * (size_t)d->n_part);
    for (int64_t i = 0; i < n; i++) {
        const int64_t token = token_at(d, out, row0, c, t0 + i / n_k);
        if (d->spec->capacity.domain == CORE_DOMAIN_SEQUENCE && i % n_k == 0 &&
            (t0 + i / n_k) % n_row == 0)
            *capacity = open_domain(d, out->n_t) / d->plan->cp;
        deal_choice(d, out, set, token, i % n_k, i, n, *capacity);
    }
    for (int i_table = 0; i_table < d->n_table; i_table++)
        note_met(d, set, i_table, n);
}

/* An id of the vocabulary part whose turn it is in the tensor group. */
static void deal_id(const dealer *d, par_deal *out, int64_t n_before,
                    int64_t token)
{
    const int64_t part = n_before % d->plan->tp;
    const int64_t v0 = d->layout.first_vocab[part];
    const int64_t v1 = d->layout.first_vocab[part + 1];
    out->id[token] =
        v0 + (int64_t)core_rng_below(d->seed, core_rng_stream("deal.ids"),
                                     (uint64_t)token, (uint64_t)(v1 - v0));
}

/* The tokens of one micro-batch that ranks c have. */
static void deal_part(dealer *d, par_deal *out, int replica, int c,
                      int64_t row0, int64_t row1, int64_t *capacity)
{
    const int64_t n = (row1 - row0) * par_layout_n_t(d->plan, c, out->n_t);
    const int group = replica * d->plan->cp + c;
    par_layout at = d->layout;
    for (int64_t i = 0; d->spec->n_v > 0 && i < n; i++)
        deal_id(d, out, d->n_token[group] + i, token_at(d, out, row0, c, i));
    d->n_token[group] += n;
    for (at.t = 0; d->n_copy > 0 && at.t < d->plan->tp; at.t++) {
        int64_t t0, t1;
        par_layout_slice(&at, n, &t0, &t1);
        deal_slice(d, out, d->set[group * d->plan->tp + at.t], c, row0, t0,
                   t1 - t0, capacity);
    }
}

static int64_t count_missed(const dealer *d)
{
    int64_t n_missed = 0;
    for (int i = 0; i < d->n_set; i++)
        n_missed += d->n_unmet[i];
    for (int r = 0; d->spec->n_v > 0 && r < d->plan->dp * d->plan->cp; r++)
        if (d->n_token[r] < d->plan->tp)
            n_missed += d->plan->tp - d->n_token[r];
    return n_missed + (d->plan->cp > 1 && d->lacked_slot);
}

static void deal_all(dealer *d, par_deal *out)
{
    const par_plan *p = d->plan;
    memset(d->met, 0, (size_t)d->n_set * (size_t)d->n_copy * (size_t)d->n_part);
    for (int i = 0; i < d->n_set; i++)
        d->n_unmet[i] = (int64_t)d->n_copy * d->n_part;
    memset(d->n_token, 0, (size_t)(p->dp * p->cp) * sizeof *d->n_token);
    d->lacked_slot = false;
    for (int round = 0; round < p->rounds; round++)
        for (int replica = 0; replica < p->dp; replica++)
            for (int m = 0; m < p->mb; m++) {
                int64_t row0, row1;
                par_layout_rows(p, out->n_b, round, replica, m, &row0, &row1);
                int64_t capacity =
                    open_domain(d, (row1 - row0) * out->n_t);
                for (int c = 0; c < p->cp; c++)
                    deal_part(d, out, replica, c, row0, row1, &capacity);
            }
    out->n_missed = count_missed(d);
}

static int64_t deal_rows_of(dealer *d, par_deal *out, int64_t n_t)
{
    out->n_t = n_t;
    deal_all(d, out);
    return out->n_missed;
}

/* The shortest rows of more than too_few tokens that reach all, as n_t do.   */
static void shorten(dealer *d, par_deal *out, int64_t too_few, int64_t n_t)
{
    while (n_t - too_few > 1) {
        const int64_t middle = too_few + (n_t - too_few) / 2;
        if (deal_rows_of(d, out, middle) == 0)
            n_t = middle;
        else
            too_few = middle;
    }
    deal_rows_of(d, out, n_t);
}

/* Longer and longer rows until all is reached, then as short as that allows;
 * else, when longer ones no longer help, the length that misses least.       */
static void find_length(dealer *d, par_deal *out, int64_t most)
{
    enum { PATIENCE = 3 };
    int64_t best = 1, least = INT64_MAX;
    int n_stuck = 0;
    for (int64_t n_t = 1; n_stuck < PATIENCE; n_t *= 2) {
        const int64_t n = n_t < most ? n_t : most;
        const int64_t n_missed = deal_rows_of(d, out, n);
        if (n_missed == 0) {
            shorten(d, out, n_t / 2, n);
            return;
        }
        n_stuck = n_missed < least ? 0 : n_stuck + 1;
        if (n_missed < least) {
            least = n_missed;
            best = n;
        }
        if (n == most)
            break;
    }
    deal_rows_of(d, out, best);
}

static core_status open_deal(par_deal *deal, const core_spec *spec, int64_t n_b,
                             int64_t most)
{
    const int64_t n = n_b * most;
    void *memory;
    deal->n_b = n_b;
    CORE_TRY(take(&memory, n * spec->n_k, sizeof *deal->expert));
    deal->expert = memory;
    CORE_TRY(take(&memory, n * spec->n_k, sizeof *deal->weight));
    deal->weight = memory;
    CORE_TRY(take(&memory, n, sizeof *deal->id));
    deal->id = memory;
    return CORE_OK;
}

core_status par_deal_make(par_deal *out, const core_spec *spec,
                          const par_plan *plan, int64_t n_b, int64_t most,
                          uint64_t seed)
{
    dealer d = {.spec = spec,
                .plan = plan,
                .seed = seed,
                .arena = core_arena_measure()};
    par_deal deal = {0};
    core_status status = open_deal(&deal, spec, n_b, most);
    if (status == CORE_OK)
        status = read_sets(&d);
    if (status == CORE_OK)
        status = open_tables(&d, n_b * most * spec->n_k);
    if (status == CORE_OK) {
        find_length(&d, &deal, most);
        *out = deal;
    } else {
        par_deal_free(&deal);
    }
    close_dealer(&d);
    return status;
}

void par_deal_free(par_deal *deal)
{
    free(deal->expert);
    free(deal->weight);
    free(deal->id);
    *deal = (par_deal){0};
}
