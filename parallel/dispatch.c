/* parallel/dispatch.c -- rows to the ranks that hold their experts, and back.
 *
 * I send the kept choices of my slice of the tokens, so a token that is on tp
 * ranks travels once.  Rows for one ep index lie together and go, the same
 * block, to its etp ranks.  Counts first, then metadata and rows, which are
 * begun, and completed when a step of their own comes (order.c).  A block
 * keeps its order all the way: what returns fits the place it was sent from.
 * A weight that multiplies the input does so here, by the sender, who knows it;
 * the product is stored where it arrives.
 *
 * Every member of ep_group takes part, with zero rows if it has none.  Members
 * of other stages may send rows of another layer in the same pair.
 */
#include "parallel/forward_impl.h"

#include "core/numbers/rng.h"

#include <stdio.h>
#include <string.h>

/* A layer that the pair serves, to name the pair after. */
core_tap par__pair_tap(const par_model *m, core_tap_kind kind, int pair)
{
    const par_layout *lay = m->layout;
    int layer = m->pair_layer[m->now.part * lay->n_pair + pair];
    for (int part = 0; layer < 0 && part < par_plan_parts(&lay->plan); part++)
        layer = m->pair_layer[part * lay->n_pair + pair];
    return par__tap(kind, layer < 0 ? 0 : layer);
}

/* Give every kept choice of my slice its place: position[], send_first[]. */
static void plan_sends(par_model *m, int layer)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int64_t n_k = m->spec->n_k, c0 = m->now.t0 * n_k;
    const int64_t n_choice = (m->now.t1 - m->now.t0) * n_k;
    for (int64_t c = 0; c < n_choice; c++) {
        const int64_t token = w->token_id[(c0 + c) / n_k];
        if (w->slot[c0 + c] < 0) {
            w->position[c] = -1;
            m->stats->n_dropped++;
        } else {
            w->position[c] =
                par_layout_holder(lay, layer, w->idx[c0 + c], token);
        }
    }
    /* position[] holds ep indices so far; count them, then number them. */
    int64_t *first = w->send_first;
    memset(first, 0, (size_t)(lay->plan.ep + 1) * sizeof *first);
    for (int64_t c = 0; c < n_choice; c++)
        if (w->position[c] >= 0)
            first[w->position[c] + 1]++;
    for (int p = 0; p < lay->plan.ep; p++)
        first[p + 1] += first[p];
    for (int64_t c = 0; c < n_choice; c++)
        if (w->position[c] >= 0)
            w->position[c] = first[w->position[c]]++;
    for (int p = lay->plan.ep; p > 0; p--)
        first[p] = first[p - 1];
    first[0] = 0;
    m->stats->n_choice += n_choice;
    m->stats->n_sent += first[lay->plan.ep];
}

static void pack(par_model *m, int layer)
{
    par_work *w = &m->work;
    const int64_t n_k = m->spec->n_k, n_d = core_spec_n_de(m->spec);
    const double *in = m->spec->n_de > 0 ? w->narrow : par__expert_input(m);
    const int64_t c0 = m->now.t0 * n_k, c1 = m->now.t1 * n_k;
    const int64_t flops = m->spec->weigh_input ? CORE_FLOPS_SCALE : 0;
    par__cost_add_rows(m, w->send_first[m->layout->plan.ep], n_d, flops);
#pragma omp parallel for num_threads(par__threads(m, (c1 - c0) * n_d))
    for (int64_t c = c0; c < c1; c++) {
        const int64_t to = w->position[c - c0], i = c / n_k;
        if (to < 0)
            continue;
        w->send_id[to] = w->token_id[i] * n_k + c % n_k;
        int64_t *meta = w->send_meta + to * PAR_META;
        meta[0] = layer;
        meta[1] = w->idx[c];
        meta[2] = w->send_id[to];
        const double factor = m->spec->weigh_input ? w->weight[c] : 1.0;
        for (int64_t d = 0; d < n_d; d++)
            w->send[to * n_d + d] = factor * in[i * n_d + d];
    }
}

static int64_t sum(const int64_t *count, int n)
{
    int64_t total = 0;
    for (int i = 0; i < n; i++)
        total += count[i];
    return total;
}

/* A number that depends on the seed, on me and on which exchange of the pass it
 * is: half of them are late under a schedule's seed.                         */
static bool is_late(const par_model *m)
{
    const uint64_t seed = m->options.schedule_seed;
    if (seed == 0)
        return false;
    return core_rng(seed, core_rng_stream("schedule"),
                    ((uint64_t)m->layout->rank << 40) +
                        (uint64_t)m->comm->n_calls[PAR_ALL_TO_ALL])
                   .word[0] %
               2 ==
           0;
}

/* Does anything compute while rows are on their way? */
static bool goes_on(const par_model *m)
{
    return (m->layout->plan.overlap &
            (PAR_OVERLAP_DISPATCH | PAR_OVERLAP_SHARED)) != 0;
}

/* NULL: it is over, since it does not only begin. */
static par_exchange *exchange(par_model *m, const void *in, void *out,
                              core_tap tap, core_cost_type type, bool begins)
{
    const par_work *w = &m->work;
    const int64_t word = sizeof(int64_t);
    const par_group *group = &m->layout->ep_group;
    par_exchange *x = NULL;
    par__cost_collective(m, PAR_ALL_TO_ALL, group, tap,
                         sum(w->in_bytes, group->n) / word,
                         sum(w->out_bytes, group->n) / word)
        ->type = type;
    par__pause(m);
    if (begins && type == CORE_COST_VALUES)
        par__way_begin(m, &m->lane[m->now.lane].way);
    if (begins)
        x = par_begin_all_to_all(m->comm, group, in, w->in_at, w->in_bytes, out,
                                 w->out_at, w->out_bytes, is_late(m));
    else
        par_all_to_all(m->comm, group, in, w->in_at, w->in_bytes, out,
                       w->out_at, w->out_bytes);
    par__resume(m);
    return x;
}

/* Metadata is on its way with rows, of which a lane has one exchange at a time. */
static void complete_exchange(par_model *m, par_exchange **x)
{
    par_lane *lane = &m->lane[m->now.lane];
    if (*x == NULL)
        return;
    par__pause(m);
    par_complete(m->comm, *x);
    *x = NULL;
    par__resume(m);
    if (x == &lane->meta_coming)
        return;
    lane->way.number = m->now.lane;
    par__way_end(m, &lane->way);
}

/* Everybody learns how many rows to expect: fills count_in, recv_first. */
static void exchange_counts(par_model *m, core_tap tap)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int64_t word = sizeof(int64_t);
    for (int i = 0; i < lay->ep_group.n; i++) {
        const int p = i / lay->plan.etp;
        w->count_out[i] = w->send_first[p + 1] - w->send_first[p];
        w->in_at[i] = w->out_at[i] = i * word;
        w->in_bytes[i] = w->out_bytes[i] = word;
    }
    (void)exchange(m, w->count_out, w->count_in, tap, CORE_COST_WORDS, false);
    w->recv_first[0] = 0;
    for (int i = 0; i < lay->ep_group.n; i++)
        w->recv_first[i + 1] = w->recv_first[i] + w->count_in[i];
}

static par_exchange *begin_rows(par_model *m, const void *in, void *out,
                                int64_t row_bytes, core_tap tap,
                                core_cost_type type)
{
    par_work *w = &m->work;
    for (int i = 0; i < m->layout->ep_group.n; i++) {
        w->in_at[i] = w->send_first[i / m->layout->plan.etp] * row_bytes;
        w->in_bytes[i] = w->count_out[i] * row_bytes;
        w->out_at[i] = w->recv_first[i] * row_bytes;
        w->out_bytes[i] = w->count_in[i] * row_bytes;
    }
    return exchange(m, in, out, tap, type, goes_on(m));
}

static par_choices take_choices(int64_t **from, int64_t n)
{
    par_choices c = {
        .n = n, .id = *from, .layer = *from + n, .expert = *from + 2 * n};
    *from += 3 * n;
    return c;
}

/* A word of metadata and how many values it may have, as a message has it. */
static const char *word_text(char text[64], int64_t word, int64_t n)
{
    if (par__is_poison(word))
        snprintf(text, 64, "never written");
    else
        snprintf(text, 64, "%lld of %lld", (long long)word, (long long)n);
    return text;
}

/* End the run: row i cannot be meant for me. */
static _Noreturn void refuse_row(const par_model *m, core_tap tap, int64_t i,
                                 const int64_t *meta, const int64_t *n_value)
{
    const int64_t *first = m->work.recv_first;
    const par_group *group = &m->layout->ep_group;
    char name[CORE_NAME_BYTES], layer[64], expert[64], id[64];
    int from = 0;
    bool is_corrupt = false;
    while (first[from + 1] <= i)
        from++;
    for (int j = 0; j < PAR_META; j++)
        is_corrupt |= meta[j] < 0 || meta[j] >= n_value[j];
    par_abort(m->comm, CORE_E_DIFFERS,
              "rank %d: %s: row %lld of the %lld from rank %d %s: layer %s, "
              "expert %s, choice %s",
              m->comm->rank, core_tap_name(tap, name),
              (long long)(i - first[from]),
              (long long)(first[from + 1] - first[from]), group->rank[from],
              is_corrupt ? "has corrupt metadata"
                         : "came to a rank that does not hold its expert",
              word_text(layer, meta[0], n_value[0]),
              word_text(expert, meta[1], n_value[1]),
              word_text(id, meta[2], n_value[2]));
}

/* The lane's tables, for n rows. */
static void take_tables(par_model *m, par_lane *lane, int64_t n)
{
    int64_t *table = par__grow(m, &lane->table, n * 7, sizeof *table);
    lane->flow.received = take_choices(&table, n);
    lane->flow.mine = take_choices(&table, n);
    lane->flow.place = table;
}

/* Read the metadata: layer, expert and choice of every row. */
static void unpack(par_model *m, core_tap tap, par_choices *to,
                   const int64_t *meta)
{
    const int64_t n_value[PAR_META] = {
        m->spec->n_l, m->spec->n_e,
        m->batch->n_b * m->batch->n_t * m->spec->n_k};
    for (int64_t i = 0; i < to->n; i++, meta += PAR_META) {
        const int64_t layer = meta[0], expert = meta[1], id = meta[2];
        if (layer < 0 || layer >= n_value[0] || m->moe_index[layer] < 0 ||
            expert < 0 || expert >= n_value[1] ||
            m->layout->experts[layer].slot[expert] < 0 || id < 0 ||
            id >= n_value[2])
            refuse_row(m, tap, i, meta, n_value);
        to->layer[i] = layer;
        to->expert[i] = expert;
        to->id[i] = id;
    }
}

void par__dispatch(par_model *m, int layer, int pair)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    par_lane *lane = &m->lane[m->now.lane];
    const int64_t n_d = core_spec_n_de(m->spec);
    const core_tap tap = par__pair_tap(m, CORE_TAP_RECV, pair);
    par__enter(m, PAR_OP_DISPATCH, tap);
    if (layer >= 0) {
        par__cost_rows(m, tap, 0, n_d, 0);
        plan_sends(m, layer);
        pack(m, layer);
    } else {
        memset(w->send_first, 0, (size_t)(lay->plan.ep + 1) * sizeof(int64_t));
    }
    exchange_counts(m, tap);
    const int64_t n = w->recv_first[lay->ep_group.n];
    int64_t *meta = par__grow(m, &lane->meta, n * PAR_META, sizeof *meta);
    double *rows = par__grow(m, &lane->rows, n * n_d, sizeof *rows);
    lane->meta_coming =
        begin_rows(m, w->send_meta, meta, PAR_META * (int64_t)sizeof *meta, tap,
                   CORE_COST_WORDS);
    lane->rows_coming = begin_rows(m, w->send, rows,
                                   n_d * (int64_t)sizeof *rows, tap,
                                   CORE_COST_VALUES);
}

void par__arrived(par_model *m, int pair)
{
    const par_layout *lay = m->layout;
    par_lane *lane = &m->lane[m->now.lane];
    const int64_t n_d = core_spec_n_de(m->spec);
    const int64_t n = m->work.recv_first[lay->ep_group.n];
    const core_tap tap = par__pair_tap(m, CORE_TAP_RECV, pair);
    double *rows = lane->rows.at;
    par__enter(m, PAR_OP_DISPATCH, tap);
    complete_exchange(m, &lane->meta_coming);
    complete_exchange(m, &lane->rows_coming);
    take_tables(m, lane, n);
    unpack(m, tap, &lane->flow.received, lane->meta.at);
    if (lay->etp_i == 0)
        m->stats->n_received += n;
    par__store(m, CORE_TAP_RECV, rows, n * n_d);
    par__observe_choices(m, CORE_TAP_RECV, pair, rows, &lane->flow.received, 0,
                         n_d, lay->plan.etp, lay->etp_i);
}

/* Rows [*r0, *r1) of a block of n rows that etp rank i completes and returns:
 * both ends know this without asking.                                        */
static void part_of_block(const par_layout *lay, int64_t n, int i, int64_t *r0,
                          int64_t *r1)
{
    *r0 = n * i / lay->plan.etp;
    *r1 = n * (i + 1) / lay->plan.etp;
}

/* The lane's partial sums, which lie sorted among those of all lanes, go to its
 * own rows in the order (etp rank, source, row); flow.mine names the rows that
 * will be mine.                                                              */
void par__order_by_part(par_model *m, int pair)
{
    par_work *w = &m->work;
    par_lane *lane = &m->lane[m->now.lane];
    const par_layout *lay = m->layout;
    const int64_t n_d = core_spec_n_de(m->spec), n = lane->flow.received.n;
    const par_choices *from = &lane->flow.received;
    par_choices *mine = &lane->flow.mine;
    const double *y = m->sorted_rows.at;
    par__enter(m, PAR_OP_DISPATCH, par__pair_tap(m, CORE_TAP_BACK, pair));
    par__cost_rows(m, par__pair_tap(m, CORE_TAP_EXPERT_OUT, pair), n, n_d, 0);
    double *to = par__grow(m, &lane->rows, n * n_d, sizeof *to);
    mine->n = 0;
    for (int i = 0; i < lay->plan.etp; i++) {
        const double *start = to;
        for (int s = 0; s < lay->ep_group.n; s++) {
            int64_t r0, r1;
            part_of_block(lay, w->count_in[s], i, &r0, &r1);
            r0 += w->recv_first[s];
            r1 += w->recv_first[s];
#pragma omp parallel for num_threads(par__threads(m, (r1 - r0) * n_d))
            for (int64_t r = r0; r < r1; r++)
                memcpy(to + (r - r0) * n_d, y + lane->flow.place[r] * n_d,
                       (size_t)n_d * sizeof *to);
            to += (r1 - r0) * n_d;
            for (int64_t r = r0; i == lay->etp_i && r < r1; r++) {
                mine->id[mine->n] = from->id[r];
                mine->layer[mine->n] = from->layer[r];
                mine->expert[mine->n++] = from->expert[r];
            }
        }
        w->part_count[i] = to - start;
    }
}

/* Sum the parts over etp, add the bias once, store: the experts' outputs, which
 * lie where my part of the lane's rows did.                                  */
static const double *complete(par_model *m, int pair)
{
    const par_layout *lay = m->layout;
    par_lane *lane = &m->lane[m->now.lane];
    const int64_t n_d = core_spec_n_de(m->spec), n = lane->flow.received.n;
    const par_choices *mine = &lane->flow.mine;
    const core_tap tap = par__pair_tap(m, CORE_TAP_EXPERT_OUT, pair);
    double *const parts = lane->rows.at;
    double *const y = parts + sum(m->work.part_count, lay->etp_i);
    par__cost_collective(m, PAR_REDUCE_SCATTER, &lay->etp_group, tap, n * n_d,
                         mine->n * n_d);
    par__pause(m);
    par_reduce_scatter(m->comm, &lay->etp_group, parts, y, m->work.part_count,
                       m->numerics);
    par__resume(m);
    par__cost_rows(m, tap, 0, n_d, 0);
    for (int64_t i = 0; i < mine->n; i++) {
        const par_expert *e =
            &m->expert[m->moe_index[mine->layer[i]] * lay->n_my_expert +
                       lay->experts[mine->layer[i]].slot[mine->expert[i]]];
        par__cost_add_rows(m, e->down.bias != NULL ? 1 : 0, n_d, 0);
        par__add_bias(m, y + i * n_d, 1, n_d, e->down.bias);
    }
    par__store(m, CORE_TAP_EXPERT_OUT, y, mine->n * n_d);
    par__observe_choices(m, CORE_TAP_EXPERT_OUT, pair, y, mine, 0, n_d, 1, 0);
    return y;
}

void par__return(par_model *m, int pair)
{
    par_work *w = &m->work;
    par_lane *lane = &m->lane[m->now.lane];
    const par_layout *lay = m->layout;
    const int64_t n_d = core_spec_n_de(m->spec);
    const int64_t row_bytes = n_d * (int64_t)sizeof(double);
    const core_tap tap = par__pair_tap(m, CORE_TAP_BACK, pair);
    par__enter(m, PAR_OP_DISPATCH, tap);
    const double *y = complete(m, pair);
    par__poison(m, w->send, (size_t)(w->send_first[lay->plan.ep] * row_bytes));
    int64_t at = 0;
    for (int i = 0; i < lay->ep_group.n; i++) {
        int64_t r0, r1;
        part_of_block(lay, w->count_in[i], lay->etp_i, &r0, &r1);
        w->in_at[i] = at;
        w->in_bytes[i] = (r1 - r0) * row_bytes;
        at += w->in_bytes[i];
        part_of_block(lay, w->count_out[i], i % lay->plan.etp, &r0, &r1);
        w->out_at[i] = (w->send_first[i / lay->plan.etp] + r0) * row_bytes;
        w->out_bytes[i] = (r1 - r0) * row_bytes;
    }
    m->stats->n_returned += lane->flow.mine.n;
    lane->back_coming =
        exchange(m, y, w->send, tap, CORE_COST_VALUES, goes_on(m));
}

void par__returned(par_model *m, int layer)
{
    const par_work *w = &m->work;
    const int64_t n_d = core_spec_n_de(m->spec);
    complete_exchange(m, &m->lane[m->now.lane].back_coming);
    if (layer < 0)
        return;
    par_piece piece = {.tap = par__tap(CORE_TAP_BACK, layer),
                       .values = w->send,
                       .ld = n_d,
                       .row_ids = w->send_id,
                       .n_row = w->send_first[m->layout->plan.ep],
                       .n_col = n_d,
                       .n_owners = 1,
                       .round = m->now.round,
                       .mb = m->now.mb};
    par__observe(m, &piece);
}
