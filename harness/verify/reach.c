/* harness/verify/reach.c -- see reach.h.
 *
 * A token that one rank of a tensor group is shown took part on all of them:
 * its embedding is summed, its products are cut.  So what ranks saw of tokens
 * is put together over the group, whose ranks may have been shown others (sp).
 *
 * Traps: a row of zeros passes through an expert and tells nothing of its
 * weights; an etp rank sees every row of its experts, but adds the last bias
 * only to those that it completes; a tied matrix is met twice, by ids on the
 * first stage and by rows on the last.
 */
#include "harness/verify/reach.h"

#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_group(const par_plan *plan)
{
    return plan->rounds * plan->mb;
}

core_status har_reach_open(har_reach *out, const core_spec *spec,
                           const par_layout *layout)
{
    const int64_t n_mine = spec->n_l * layout->n_my_expert;
    void *memory;
    *out = (har_reach){.spec = spec, .layout = layout};
    out->n_token = spec->n_l + n_group(&layout->plan) + layout->plan.tp;
    CORE_TRY(core_alloc(&memory, out->n_token + 2 * n_mine, 1, "what ran"));
    memset(memory, 0, (size_t)(out->n_token + 2 * n_mine));
    out->layer = memory;
    out->group = out->layer + spec->n_l;
    out->looked_up = out->group + n_group(&layout->plan);
    out->expert = out->layer + out->n_token;
    out->completed = out->expert + n_mine;
    return CORE_OK;
}

void har_reach_close(har_reach *reach)
{
    free(reach->layer);
    *reach = (har_reach){0};
}

/* --- what a rank sees --- */

static bool has_value(const double *row, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        if (row[j] != 0.0)
            return true;
    return false;
}

/* Rows of choices; where they must have left a value, in `values`. */
static void see_choices(const har_reach *r, uint8_t *met,
                        const par_piece *piece, const core_st_tensor *chosen,
                        bool wants_value)
{
    const int *slot = r->layout->experts[piece->tap.layer].slot;
    for (int64_t i = 0; i < piece->n_row; i++) {
        const int64_t row = piece->row_ids[i];
        if (row < 0 || row >= chosen->n)
            continue;
        const int64_t e = core_st_int(chosen, row);
        if (e < 0 || e >= r->spec->n_e || slot[e] < 0)
            continue; /* not mine: the comparison says so */
        uint8_t *mine =
            met + piece->tap.layer * r->layout->n_my_expert + slot[e];
        if (*mine == 0)
            *mine = !wants_value ||
                    has_value(piece->values + i * piece->ld, piece->n_col);
    }
}

static void see_ids(har_reach *r, const par_piece *piece)
{
    const int64_t *first = r->layout->first_vocab;
    const int64_t n = r->batch->n_b * r->batch->n_t;
    for (int64_t i = 0; i < piece->n_row; i++) {
        const int64_t token = piece->row_ids[i];
        if (token < 0 || token >= n)
            continue;
        int t = 0;
        while (r->batch->ids[token] >= first[t + 1])
            t++;
        r->looked_up[t] = 1;
    }
}

void har_reach_see(har_reach *r, const par_piece *piece,
                   const core_st_tensor *chosen)
{
    switch (piece->tap.kind) {
    case CORE_TAP_EMBED:
        see_ids(r, piece);
        break;
    case CORE_TAP_EXPERT_ACT:
        see_choices(r, r->expert, piece, chosen, true);
        break;
    case CORE_TAP_EXPERT_OUT:
        see_choices(r, r->completed, piece, chosen, false);
        break;
    case CORE_TAP_OUT:
        if (piece->n_row > 0) {
            r->layer[piece->tap.layer] = 1;
            r->group[piece->round * r->layout->plan.mb + piece->mb] = 1;
        }
        break;
    case CORE_TAP_LOGITS:
        r->reached_head |= piece->n_row > 0;
        break;
    default:
        break;
    }
}

/* --- what all have seen --- */

/* What the ranks of my tensor group were shown of tokens; count [n_token] is
 * scratch.                                                                   */
static void share(par_comm *comm, const har_reach *r, uint64_t *count)
{
    for (int64_t i = 0; i < r->n_token; i++)
        count[i] = r->layer[i];
    par_all_reduce_u64(comm, &r->layout->tp_group, count, r->n_token);
    for (int64_t i = 0; i < r->n_token; i++)
        r->layer[i] = count[i] > 0;
}

static void note(har_held *list, int *n, core_weight weight, int rank)
{
    if (*n < HAR_REACH_NAMED)
        list[(*n)++] = (har_held){weight, rank};
}

static void count(har_reached *to, const har_reach *r, core_weight weight,
                  bool is_met)
{
    to->n_rectangle++;
    if (is_met)
        return;
    to->n_unmet++;
    note(to->unmet, &to->n_named_unmet, weight, r->layout->rank);
}

static bool serves_layer(const par_layout *l, int layer)
{
    return l->local_layer[layer] >= 0;
}

static void count_expert(har_reached *to, const har_reach *r,
                         core_weight weight)
{
    const par_layout *l = r->layout;
    const int local = l->experts[weight.layer].slot[weight.expert];
    if (local < 0 ||
        (l->plan.scope == PAR_SCOPE_STAGE && !serves_layer(l, weight.layer)))
        return;
    const int at = weight.layer * l->n_my_expert + local;
    const bool is_idle = r->expert[at] == 0;
    if (weight.kind == CORE_W_EXPERT_DOWN) {
        to->n_expert++;
        to->n_idle += is_idle;
        if (is_idle)
            note(to->idle, &to->n_named_idle, weight, l->rank);
    }
    if (is_idle) { /* named as an expert, not by its weights */
        to->n_rectangle++;
        to->n_unmet++;
        to->n_unmet_of_idle++;
    } else {
        count(to, r, weight,
              weight.kind != CORE_W_EXPERT_DOWN_BIAS || r->completed[at]);
    }
}

static void count_once(har_reached *to, const har_reach *r, core_weight weight)
{
    const par_layout *l = r->layout;
    const bool is_last = l->stage == l->plan.pp - 1;
    if (weight.kind == CORE_W_EMBED && l->stage == 0)
        count(to, r, weight, r->looked_up[l->t]);
    if (is_last && weight.kind != CORE_W_EMBED)
        count(to, r, weight, r->reached_head);
    if (is_last && weight.kind == CORE_W_EMBED && r->spec->tied)
        count(to, r, (core_weight){.kind = CORE_W_HEAD}, r->reached_head);
}

static void count_weight(har_reached *to, const har_reach *r,
                         core_weight weight)
{
    switch (core_weight_scope_of(weight.kind)) {
    case CORE_SCOPE_ONCE:
        count_once(to, r, weight);
        break;
    case CORE_SCOPE_LAYER:
        if (serves_layer(r->layout, weight.layer))
            count(to, r, weight, r->layer[weight.layer]);
        break;
    case CORE_SCOPE_EXPERT:
        count_expert(to, r, weight);
        break;
    }
}

/* Of my replica, by one of its ranks. */
static void count_groups(har_reached *to, const har_reach *r)
{
    const par_layout *l = r->layout;
    const int n = n_group(&l->plan);
    int n_empty = 0;
    if (l->stage != 0 || l->c != 0 || l->t != 0)
        return;
    for (int i = 0; i < n; i++)
        n_empty += r->group[i] == 0;
    to->n_replica = 1;
    to->n_empty_replica = n_empty == n;
    to->n_group = n;
    to->n_empty_group = n_empty;
}

static core_status look(har_reached *mine, const har_reach *r)
{
    const int64_t n = core_weight_count(r->spec);
    void *memory;
    memset(mine, 0, sizeof *mine);
    CORE_TRY(core_alloc(&memory, n, sizeof(core_weight), "list of weights"));
    const core_weight *weight = memory;
    core_weight_list(r->spec, memory);
    for (int64_t i = 0; i < n; i++)
        count_weight(mine, r, weight[i]);
    free(memory);
    count_groups(mine, r);
    return CORE_OK;
}

static bool is_before(const core_spec *spec, const har_held *a,
                      const har_held *b)
{
    const int64_t i = core_weight_index(spec, a->weight);
    const int64_t j = core_weight_index(spec, b->weight);
    return i != j ? i < j : a->rank < b->rank;
}

/* The first of two sorted lists, in *to. */
static void merge_named(const core_spec *spec, har_held *to, int *n_to,
                        const har_held *from, int n_from)
{
    har_held both[HAR_REACH_NAMED];
    int i = 0, j = 0, n = 0;
    for (; n < HAR_REACH_NAMED && (i < *n_to || j < n_from); n++)
        both[n] =
            j == n_from || (i < *n_to && is_before(spec, &to[i], &from[j]))
                ? to[i++]
                : from[j++];
    memcpy(to, both, (size_t)n * sizeof *to);
    *n_to = n;
}

static void merge(const core_spec *spec, har_reached *to,
                  const har_reached *from)
{
    to->n_expert += from->n_expert;
    to->n_idle += from->n_idle;
    to->n_rectangle += from->n_rectangle;
    to->n_unmet += from->n_unmet;
    to->n_unmet_of_idle += from->n_unmet_of_idle;
    to->n_replica += from->n_replica;
    to->n_empty_replica += from->n_empty_replica;
    to->n_group += from->n_group;
    to->n_empty_group += from->n_empty_group;
    merge_named(spec, to->idle, &to->n_named_idle, from->idle,
                from->n_named_idle);
    merge_named(spec, to->unmet, &to->n_named_unmet, from->unmet,
                from->n_named_unmet);
}

core_status har_reach_agree(har_reached *out, par_comm *comm,
                            const har_reach *reach)
{
    har_reached mine, *all = calloc((size_t)comm->size, sizeof *all);
    int64_t *bytes = calloc((size_t)comm->size, sizeof *bytes);
    uint64_t *count = calloc((size_t)reach->n_token, sizeof *count);
    core_status status = CORE_OK;
    if (all == NULL || bytes == NULL || count == NULL)
        status = core_fail(CORE_E_MEMORY, "no memory for what ran");
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        share(comm, reach, count);
        status = par_agree(comm, look(&mine, reach));
    }
    if (status == CORE_OK) {
        for (int rank = 0; rank < comm->size; rank++)
            bytes[rank] = (int64_t)sizeof mine;
        par_all_gather(comm, &comm->world, &mine, all, bytes);
        memset(out, 0, sizeof *out);
        for (int rank = 0; rank < comm->size; rank++)
            merge(reach->spec, out, &all[rank]);
    }
    free(all);
    free(bytes);
    free(count);
    return status;
}

bool har_reached_all(const har_reached *r)
{
    return r->n_idle == 0 && r->n_unmet == 0 && r->n_empty_group == 0;
}

/* ", 3 of 4 replicas empty", or nothing. */
static void add_words(char text[HAR_REACH_TEXT], int64_t n, int64_t n_all,
                      const char *what)
{
    const size_t used = strlen(text);
    if (n > 0)
        snprintf(text + used, HAR_REACH_TEXT - used, "%s%lld of %lld %s",
                 used > 0 ? ", " : "", (long long)n, (long long)n_all, what);
}

const char *har_reached_words(const har_reached *r, char text[HAR_REACH_TEXT])
{
    const int64_t n_of_empty = /* groups of empty replicas say nothing new */
        r->n_empty_replica * (r->n_group / r->n_replica);
    text[0] = '\0';
    add_words(text, r->n_idle, r->n_expert, "experts on their owners idle");
    add_words(text, r->n_empty_replica, r->n_replica, "replicas empty");
    if (r->n_empty_group > n_of_empty)
        add_words(text, r->n_empty_group, r->n_group, "token groups empty");
    add_words(text, r->n_unmet, r->n_rectangle, "weight rectangles unmet");
    return text;
}
