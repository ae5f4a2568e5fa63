/* parallel/moves.c -- see moves.h.
 *
 * Layer by layer: what I have for others is packed, and so is what I keep but in
 * another slot; one all-to-all; then slots are written.  So no weight is
 * overwritten before its last use, and one layer's experts exist twice.  Ranks
 * of one ep_group serve the same layers, and those with my etp_i have my columns
 * of every expert: only they send to me.
 *
 * Of several copies, ep index q takes number q mod (copies), so that not one of
 * them serves all.
 */
#include "parallel/moves.h"

#include "core/base/clock.h"
#include "parallel/forward_impl.h"

#include <string.h>

enum { N_BUFFER = 4 }; /* sent, came, kept, tables                           */

/* The shards of an expert, side by side. */
static size_t shard_bytes(const par_model *m, const par_shard *s)
{
    const int64_t n = s->n_row * s->n_col;
    const size_t bytes = core_uses_floats(m->numerics) ? sizeof(float)
                                                       : sizeof(double);
    return (size_t)n * bytes +
           (s->bias != NULL ? (size_t)s->n_row * sizeof(double) : 0) +
           sizeof s->norm;
}

static int64_t expert_bytes(const par_model *m, const par_expert *e)
{
    return (int64_t)(shard_bytes(m, &e->gate) + shard_bytes(m, &e->up) +
                     shard_bytes(m, &e->down));
}

/* A piece between a shard and where it is packed. */
static void carry(char **packed, const void *piece, size_t bytes, bool packs)
{
    void *mine = (void *)(uintptr_t)piece; /* the model's own arena */
    if (piece == NULL)
        return;
    if (packs)
        memcpy(*packed, piece, bytes);
    else
        memcpy(mine, *packed, bytes);
    *packed += bytes;
}

static void carry_shard(par_shard *s, char **packed, bool packs)
{
    const size_t n = (size_t)(s->n_row * s->n_col);
    carry(packed, s->w64, n * sizeof *s->w64, packs);
    carry(packed, s->w32, n * sizeof *s->w32, packs);
    carry(packed, s->bias, (size_t)s->n_row * sizeof *s->bias, packs);
    carry(packed, &s->norm, sizeof s->norm, packs);
}

static void carry_expert(par_expert *e, char *packed, bool packs)
{
    carry_shard(&e->gate, &packed, packs);
    carry_shard(&e->up, &packed, packs);
    carry_shard(&e->down, &packed, packs);
}

static void name_expert(par_expert *e, int expert)
{
    e->gate.id.expert = e->up.id.expert = e->down.id.expert = expert;
}

/* A layer's old map and its new one. */
typedef struct change {
    const par_layout *lay;
    const par_experts *old;
    const uint16_t *wanted; /* [n_physical] logical experts                   */
    par_expert *mine;       /* [n_my_expert]                                  */
    int64_t bytes;          /* of an expert                                   */
    int64_t *in_at, *in_bytes, *out_at, *out_bytes; /* [members of ep_group]  */
} change;

/* The ep index that sends expert e to ep index `to`, which does not have it. */
static int sender(const change *c, int to, int e)
{
    const int first = c->old->replica_first[e];
    const int n = c->old->replica_first[e + 1] - first;
    return c->old->replica_ep[first + to % n];
}

/* Does a slot of ep index `to` get its expert from ep index `from`? */
static bool goes(const change *c, int from, int to, int slot)
{
    const int e = c->wanted[to * c->lay->n_my_expert + slot];
    return !par_experts_has(c->old, e, to) && sender(c, to, e) == from;
}

/* Experts of mine for every other rank, in order of ranks and slots. */
static int64_t pack_sent(const change *c, char *out)
{
    const par_layout *lay = c->lay;
    int64_t n = 0;
    for (int i = 0; i < lay->ep_group.n; i++) {
        c->in_at[i] = n;
        for (int slot = 0; i % lay->plan.etp == lay->etp_i &&
                           slot < lay->n_my_expert; slot++) {
            const int to = i / lay->plan.etp;
            if (!goes(c, lay->ep_i, to, slot))
                continue;
            const int e = c->wanted[to * lay->n_my_expert + slot];
            if (out != NULL)
                carry_expert(&c->mine[c->old->slot[e]], out + n, true);
            n += c->bytes;
        }
        c->in_bytes[i] = n - c->in_at[i];
    }
    return n;
}

/* What comes from each rank: experts, in order of my slots. */
static int64_t count_coming(const change *c)
{
    const par_layout *lay = c->lay;
    int64_t n = 0;
    for (int i = 0; i < lay->ep_group.n; i++) {
        c->out_at[i] = n;
        for (int slot = 0; i % lay->plan.etp == lay->etp_i &&
                           slot < lay->n_my_expert; slot++)
            if (goes(c, i / lay->plan.etp, lay->ep_i, slot))
                n += c->bytes;
        c->out_bytes[i] = n - c->out_at[i];
    }
    return n;
}

/* Experts that stay here, each at its new slot's place. */
static void pack_kept(const change *c, char *kept)
{
    const par_layout *lay = c->lay;
    for (int slot = 0; slot < lay->n_my_expert; slot++) {
        const int e = c->wanted[lay->ep_i * lay->n_my_expert + slot];
        if (c->old->slot[e] >= 0)
            carry_expert(&c->mine[c->old->slot[e]], kept + slot * c->bytes,
                         true);
    }
}

static void write_slots(const change *c, char *kept, char *came)
{
    const par_layout *lay = c->lay;
    for (int slot = 0; slot < lay->n_my_expert; slot++) {
        const int e = c->wanted[lay->ep_i * lay->n_my_expert + slot];
        char *from = kept + slot * c->bytes;
        if (c->old->slot[e] < 0) {
            const int member =
                sender(c, lay->ep_i, e) * lay->plan.etp + lay->etp_i;
            from = came + c->out_at[member];
            c->out_at[member] += c->bytes;
        }
        carry_expert(&c->mine[slot], from, false);
        name_expert(&c->mine[slot], e);
    }
}

/* Room for n bytes; ends the run if there is none.  (No pass is under way, whose
 * clocks par__grow would stop.)                                              */
static void *room(par_model *m, par_grow *buffer, int64_t n)
{
    if (buffer->at == NULL || (size_t)n > buffer->bytes) {
        par__grow_free(buffer);
        const core_status status =
            core_alloc(&buffer->at, n + 1, 1, "experts that move");
        if (status != CORE_OK)
            par_abort(m->comm, status, "%s", core_message());
        buffer->bytes = (size_t)n;
    }
    return buffer->at;
}

/* A layer's exchange as a record, for who asks. */
static void show(const par_model *m, const change *c, int layer,
                 int64_t bytes_before, const par_cost_time *since)
{
    enum { ELEMENT = 8, N_NORM = 3 }; /* of each expert: no weights           */
    const par_layout *lay = m->layout;
    const int64_t elements = c->bytes / ELEMENT - N_NORM;
    int64_t n_in = 0, n_out = 0;
    if (m->options.cost == NULL)
        return;
    for (int i = 0; i < lay->ep_group.n; i++) {
        n_in += c->in_bytes[i] / c->bytes;
        n_out += c->out_bytes[i] / c->bytes;
    }
    const core_cost cost = {
        .kind = CORE_COST_COLLECTIVE,
        .op = "moving experts",
        .tap = {CORE_TAP_EXPERT_OUT, layer},
        .stage = lay->stage,
        .rank = lay->rank,
        .mb = -1,
        .tick = -1,
        .collective = CORE_ALL_TO_ALL,
        .axis = CORE_AXIS_EP,
        .group = lay->ep_group.n,
        .in = n_in * elements,
        .out = n_out * elements,
        .sent = (m->comm->n_bytes[PAR_ALL_TO_ALL] - bytes_before) / ELEMENT};
    const par_cost_time took = {
        .start = since->start,
        .seconds = core_seconds(CLOCK_MONOTONIC) - since->start,
        .wait_seconds = m->comm->wait_seconds - since->wait_seconds};
    m->options.cost(m->options.cost_self, &cost, &took);
}

/* The experts of a layer that I serve. */
static void move_layer(par_model *m, par_grow buffer[N_BUFFER], int layer,
                       const uint16_t *wanted, par_moved *moved)
{
    const par_layout *lay = m->layout;
    const int n_member = lay->ep_group.n;
    int64_t *table =
        room(m, &buffer[3], 4 * n_member * (int64_t)sizeof *table);
    const change c = {.lay = lay,
                      .old = &lay->experts[layer],
                      .wanted = wanted,
                      .mine = m->expert +
                              m->moe_index[layer] * lay->n_my_expert,
                      .bytes = expert_bytes(
                          m, m->expert + m->moe_index[layer] * lay->n_my_expert),
                      .in_at = table,
                      .in_bytes = table + n_member,
                      .out_at = table + 2 * n_member,
                      .out_bytes = table + 3 * n_member};
    const int64_t bytes_before = m->comm->n_bytes[PAR_ALL_TO_ALL];
    const par_cost_time since = {.start = core_seconds(CLOCK_MONOTONIC),
                                 .wait_seconds = m->comm->wait_seconds};
    char *sent = room(m, &buffer[0], pack_sent(&c, NULL));
    char *came = room(m, &buffer[1], count_coming(&c));
    char *kept = room(m, &buffer[2], lay->n_my_expert * c.bytes);
    pack_sent(&c, sent);
    pack_kept(&c, kept);
    par_all_to_all(m->comm, &lay->ep_group, sent, c.in_at, c.in_bytes, came,
                   c.out_at, c.out_bytes);
    for (int i = 0; i < n_member; i++) {
        moved->n_bytes += c.out_bytes[i];
        moved->n_expert += c.out_bytes[i] / c.bytes;
    }
    write_slots(&c, kept, came);
    show(m, &c, layer, bytes_before, &since);
}

void par_move_experts(par_model *m, par_layout *layout,
                      const uint16_t *physical, par_moved *moved)
{
    par_grow buffer[N_BUFFER] = {{0}};
    core_assert(layout == m->layout && m->keeps.experts);
    *moved = (par_moved){0};
    for (int l = 0, i = 0; l < (int)m->spec->n_l; l++) {
        if (!core_spec_is_moe(m->spec, l))
            continue;
        if (m->moe_index[l] >= 0)
            move_layer(m, buffer, l,
                       physical + (int64_t)i * layout->plan.n_physical, moved);
        i++;
    }
    for (int i = 0; i < N_BUFFER; i++)
        par__grow_free(&buffer[i]);
    par_layout_rearrange(layout, m->spec, physical);
}

bool par_keeps_experts(const par_model *m) { return m->keeps.experts; }

void par_take_rows(par_model *m, int64_t *n_row)
{
    const int n = m->layout->n_my_expert;
    for (int l = 0; l < (int)m->spec->n_l; l++)
        for (int slot = 0; slot < n; slot++) {
            int64_t *mine = m->moe_index[l] < 0
                                ? NULL
                                : &m->n_row[m->moe_index[l] * n + slot];
            n_row[l * n + slot] = mine != NULL ? *mine : 0;
            if (mine != NULL)
                *mine = 0;
        }
}

/* Is the shard what the weights have for it? */
static bool is_right(par_model *m, const par_shard *s, int expert)
{
    core_weight id = s->id;
    const int64_t step = par__rows_at_a_time(PAR_TILE_ELEMENTS, s->n_col);
    bool is_equal = true;
    id.expert = expert;
    for (int64_t r = 0; r < s->n_row && s->n_col > 0 && is_equal; r += step) {
        const int64_t end = r + step < s->n_row ? r + step : s->n_row;
        const int64_t at = r * s->n_col, n = (end - r) * s->n_col;
        core_weights_read(m->weights, id, s->r0 + r, s->r0 + end, s->c0,
                          s->c0 + s->n_col, m->tile64, s->n_col);
        if (s->w64 != NULL)
            is_equal = memcmp(s->w64 + at, m->tile64,
                              (size_t)n * sizeof *s->w64) == 0;
        for (int64_t i = 0; s->w32 != NULL && i < n; i++)
            is_equal &= s->w32[at + i] == (float)m->tile64[i];
    }
    if (s->bias != NULL) {
        id.kind = core_weight_bias(id.kind);
        core_weights_read(m->weights, id, 0, 1, s->r0, s->r0 + s->n_row,
                          m->tile64, s->n_row);
        is_equal &= memcmp(s->bias, m->tile64,
                           (size_t)s->n_row * sizeof *s->bias) == 0;
    }
    return is_equal;
}

bool par_find_misplaced(par_model *m, par_misplaced *out)
{
    const int n = m->layout->n_my_expert;
    for (int l = 0; l < (int)m->spec->n_l; l++)
        for (int slot = 0; m->moe_index[l] >= 0 && slot < n; slot++) {
            const int e = m->layout->experts[l].mine[slot];
            const par_expert *x = &m->expert[m->moe_index[l] * n + slot];
            const par_shard *const shard[] = {&x->gate, &x->up, &x->down};
            for (int i = m->spec->gated ? 0 : 1; i < 3; i++)
                if (!is_right(m, shard[i], e)) {
                    *out = (par_misplaced){l, slot, e};
                    return true;
                }
        }
    return false;
}
