/* parallel/work.c -- the buffers of a forward pass.
 *
 * Everything whose size is known beforehand is carved from one arena, by the
 * one function that also measures it.  What arrives in a dispatch is not known
 * beforehand: those buffers grow from pair to pair and never shrink.
 */
#include "parallel/forward_impl.h"

#include <stdlib.h>
#include <string.h>

/* Inner columns of the largest MLP of this stage that fall to me. */
static int64_t max_mlp_columns(const core_spec *spec, const par_layout *lay)
{
    int64_t most = 0;
    for (int i = 0; i < lay->n_my_layer; i++) {
        const int64_t n_f = core_spec_n_mlp(spec, lay->my_layer[i]);
        most = par__max(most, core_split_first(n_f, lay->plan.tp, lay->t + 1) -
                                core_split_first(n_f, lay->plan.tp, lay->t));
    }
    return most;
}

/* Columns of the widest sets of keys, each as large as a double. */
static int64_t most_seen(const core_spec *spec)
{
    int64_t most = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const core_seen seen = core_spec_seen(spec, l);
        most = par__max(most, seen.n_set * seen.n_key);
    }
    return most;
}

static int64_t *fresh_i64(par_work *w, int64_t n)
{
    return par__fresh(w, n, sizeof(int64_t));
}

/* Does a layer of mine have it? */
static bool has(const core_spec *spec, const par_layout *lay,
                const par__entry *op)
{
    for (int i = 0; i < lay->n_my_layer; i++)
        if (par__has(spec, lay->my_layer[i], lay->my_layer[i] + 1, op))
            return true;
    return false;
}

/* Of the operators that layers of my stage have. */
static void carve_operators(par_work *w, const core_spec *spec,
                            const par_layout *lay)
{
    for (int k = 0; k < CORE_N_MIXERS; k++)
        if (has(spec, lay, par__mixers[k]))
            w->mixer[k] = par__mixers[k]->carve(w, spec, lay);
    for (int k = 0; k < CORE_N_SHARED; k++)
        if (par__shareds[k]->carve != NULL && has(spec, lay, par__shareds[k]))
            w->shared[k] = par__shareds[k]->carve(w, spec, lay);
}

/* Tokens of the largest slice that a rank of the tensor group dispatches. */
static int64_t slice_of(const par_layout *lay, int64_t n)
{
    return (n + lay->plan.tp - 1) / lay->plan.tp;
}

static void carve_moe(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const int64_t n_choice = w->n * spec->n_k;
    const int64_t n_send = slice_of(lay, w->n) * spec->n_k;
    w->logits_e = par__result(w, spec->n_e);
    w->probs = par__result(w, spec->n_e);
    w->choosing = par__fresh_f64(w, spec->n_e);
    w->group_score = par__fresh_f64(w, spec->n_group);
    par__lasting(w, &w->weight, n_choice, sizeof *w->weight);
    par__lasting(w, &w->idx, n_choice, sizeof *w->idx);
    par__lasting(w, &w->slot, n_choice, sizeof *w->slot);
    w->key = par__fresh(w, w->n_all * spec->n_k, sizeof *w->key);
    w->expert_count = fresh_i64(w, spec->n_e);
    par__lasting(w, &w->position, n_send, sizeof *w->position);
    par__lasting(w, &w->send_meta, n_send * PAR_META, sizeof *w->send_meta);
    par__lasting(w, &w->send_id, n_send, sizeof *w->send_id);
    par__lasting_result(w, &w->narrow, spec->n_de);
    w->sum = par__operand(w, spec->n_de);
    par__lasting(w, &w->send, n_send * core_spec_n_de(spec), sizeof *w->send);
}

static void carve_tables(par_work *w, const core_spec *spec,
                         const par_layout *lay)
{
    core_arena *a = &w->arena;
    const int n_member = lay->ep_group.n;
    const int n_bucket =
        core_spec_count_moe(spec, 0, (int)spec->n_l) * lay->n_my_expert;
    par__lasting(w, &w->send_first, lay->plan.ep + 1, sizeof *w->send_first);
    par__lasting(w, &w->count_out, n_member, sizeof *w->count_out);
    par__lasting(w, &w->count_in, n_member, sizeof *w->count_in);
    par__lasting(w, &w->recv_first, n_member + 1, sizeof *w->recv_first);
    w->in_at = core_arena_i64(a, n_member);
    w->in_bytes = core_arena_i64(a, n_member);
    w->out_at = core_arena_i64(a, n_member);
    w->out_bytes = core_arena_i64(a, n_member);
    par__lasting(w, &w->part_count, lay->plan.etp, sizeof *w->part_count);
    w->slice = core_arena_i64(a, lay->plan.tp);
    w->bucket = core_arena_i64(a, n_bucket + 1);
    w->cursor = core_arena_i64(a, n_bucket);
    w->n_told = lay->plan.n_mapped > 0 ? (int)spec->n_e : lay->n_my_expert;
    w->n_expert = core_arena_i64(a, (int64_t)lay->n_pair * w->n_told);
}

/* Operands of float products: as many rows of x as fit a tile, but at least one
 * block of queries with its keys.  How many: by the model and the micro-batch
 * alone.                                                                     */
static void carve_f32(par_work *w, const core_spec *spec, const par_layout *lay)
{
    core_arena *a = &w->arena;
    const bool has_heads = has(spec, lay, &par__attention);
    int64_t n_dh = 0;
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++)
        n_dh = par__max(
            n_dh, par__max(lay->heads[kind].all.n_dh, lay->heads[kind].all.n_dv));
    const int64_t block =
        has_heads ? PAR_QUERY_BLOCK * par__max(w->n_t + w->n_digest, n_dh) : 0;
    w->chunk = PAR_MOST_CHUNK;
    while (w->chunk > 16 && (w->chunk * w->n_in > PAR_TILE_ELEMENTS ||
                             w->chunk / 2 >= w->n))
        w->chunk /= 2;
    w->n_a32 = par__max(w->chunk * w->n_in, block);
    w->n_b32 = has_heads ? (w->n_t + w->n_digest) * n_dh : 0;
    w->n_c32 = par__max(w->chunk * PAR_MOST_TILE, block);
    w->thread_room.a32 = core_arena_take(a, w->n_thread * w->n_a32, sizeof(float));
    w->thread_room.b32 = core_arena_take(a, w->n_thread * w->n_b32, sizeof(float));
    w->thread_room.c32 = core_arena_take(a, w->n_thread * w->n_c32, sizeof(float));
}

/* Streams: two, for what is worked on and what arrives, of every lane; no more
 * than there are micro-batches to be worked on.                              */
static void carve_streams(par_work *w, const core_spec *spec,
                          const par_layout *lay)
{
    const int64_t most = (int64_t)lay->plan.mb * lay->plan.vpp;
    w->n_x = (int)par__max(2, 2 * w->n_lane < most ? 2 * w->n_lane : most);
    const int64_t n_s = lay->plan.sp ? slice_of(lay, w->n) : w->n;
    w->ld_x = n_s * core_spec_n_x(spec) + w->n * most_seen(spec);
    w->x = core_arena_f64(&w->arena, w->n_x * w->ld_x);
}

static void carve_logits(par_work *w, const par_layout *lay)
{
    const int64_t *v = lay->first_vocab;
    const int64_t n_v = v[lay->t + 1] - v[lay->t];
    const int64_t most = par__rows_at_a_time(w->wide, v[1]);
    w->n_out = par__max(w->n_out, n_v);
    w->logits = par__fresh_f64(w, (w->n < most ? w->n : most) * n_v);
}

void par__work_carve(par_work *w, const core_spec *spec, const par_layout *lay,
                     int n_lane, const par_room *room)
{
    const int64_t n = room->n, n_t = room->n_t;
    const int64_t n_mlp = max_mlp_columns(spec, lay);
    const int64_t n_sum = lay->plan.batch_reduce;
    const bool has_head = lay->stage == lay->plan.pp - 1 && spec->n_h > 0;
    const int64_t *f = lay->first_f + lay->etp_i;
    core_arena *a = &w->arena;
    w->n_lane = n_lane;
    w->n = n;
    w->n_t = n_t;
    w->n_all = room->n_all;
    w->wide = room->wide;
    w->n_thread = room->n_thread;
    w->n_digest = 0;
    w->n_in = w->n_out = f[1] - f[0]; /* of experts, whose buffers grow */
    w->n_fresh = 0;
    w->n_lasting = 0;
    w->n_kept = 0;
    w->step = core_arena_take(a, par_most_steps(lay, n_lane), sizeof *w->step);
    w->joined = core_arena_take(a, n_lane, sizeof *w->joined);
    w->summed = core_arena_f64(
        a, n_sum > 1 ? n_sum * n * spec->n_d : 0);
    w->token_id = core_arena_i64(a, n);
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++) {
        const int64_t n_j = lay->heads[kind].all.n_rot / 2;
        w->rope[kind].cos_tj = core_arena_f64(a, n_t * n_j);
        w->rope[kind].sin_tj = core_arena_f64(a, n_t * n_j);
    }
    carve_tables(w, spec, lay);
    carve_streams(w, spec, lay);
    if (par__connection_of(spec) != NULL)
        par__connection_of(spec)->carve(w, spec);
    par__lasting_operand(w, &w->xn, spec->n_d);
    par__lasting_operand(w, &w->branch, spec->branch_norm ? spec->n_d : 0);
    w->router_in = par__operand(w, spec->router_norm ? spec->n_d : 0);
    par__lasting_result(w, &w->out, spec->n_d);
    /* a shared expert's sum is whole on ranks that have none of its columns */
    par__lasting_result(w, &w->mlp_out, spec->n_f_shared > 0 ? spec->n_d : 0);
    par__context_carve(w, spec, lay);
    carve_operators(w, spec, lay);
    w->gate = par__result(w, spec->gated ? n_mlp : 0);
    w->up = par__operand(w, n_mlp);
    carve_moe(w, spec, lay);
    if (has_head)
        carve_logits(w, lay);
    carve_f32(w, spec, lay);
}

/* Of n rows of a pair, of whose inner columns n_inner exist at a time. */
static size_t pair_bytes(const core_spec *spec, const par_layout *layout,
                         int64_t n, int64_t n_inner)
{
    const int64_t n_f = layout->first_f[layout->etp_i + 1] -
                        layout->first_f[layout->etp_i];
    const int64_t words =
        n * (PAR_META + 11 + 2 * core_spec_n_de(spec)) +
        (n < n_inner ? n : n_inner) * (spec->gated ? 2 : 1) * n_f;
    return (size_t)words * sizeof(double);
}

size_t par_pair_bytes(const core_spec *spec, const par_layout *layout,
                      int64_t n)
{
    return pair_bytes(spec, layout, n, n);
}

par_room par__room(const par_layout *layout, int64_t n_row, int64_t n_t,
                   int64_t wide)
{
    return (par_room){
        .n = n_row * par_layout_n_t(&layout->plan, layout->c, n_t),
        .n_all = n_row * n_t,
        .n_t = n_t,
        .wide = wide,
        .n_thread = 1};
}

static size_t arena_bytes(const core_spec *spec, const par_layout *layout,
                          int n_lane, const par_room *room)
{
    par_work w = {.arena = core_arena_measure()};
    par__work_carve(&w, spec, layout, n_lane, room);
    return w.arena.peak_bytes;
}

size_t par_arena_bytes(const core_spec *spec, const par_layout *layout,
                       int64_t n_row, int64_t n_t)
{
    const par_room room = par__room(layout, n_row, n_t, INT64_MAX);
    return arena_bytes(spec, layout, par_plan_lanes(&layout->plan), &room);
}

size_t par__work_bytes(const core_spec *spec, const par_layout *layout,
                       int n_lane, const par_room *room)
{
    size_t bytes = arena_bytes(spec, layout, n_lane, room);
    if (core_spec_count_moe(spec, 0, (int)spec->n_l) > 0)
        bytes += pair_bytes(
            spec, layout,
            n_lane * slice_of(layout, room->n) * spec->n_k * layout->plan.etp,
            par__rows_at_a_time(room->wide, layout->first_f[1]));
    return bytes;
}

size_t par_work_bytes(const core_spec *spec, const par_layout *layout,
                      int64_t n_row, int64_t n_t, int n_threads)
{
    par_room room = par__room(layout, n_row, n_t, PAR_WIDE_ELEMENTS);
    room.n_thread = n_threads;
    return par__work_bytes(spec, layout, par_plan_lanes(&layout->plan), &room);
}

void *par__grow(par_model *m, par_grow *buffer, int64_t n, size_t elem_bytes)
{
    const size_t need = (size_t)n * elem_bytes;
    if (need > buffer->bytes || buffer->at == NULL) {
        const int64_t room = n + n / 8 + 1;
        par__grow_free(buffer);
        const core_status status =
            core_alloc(&buffer->at, room, elem_bytes, "rows of experts");
        if (status != CORE_OK)
            par_abort(m->comm, status, "%s", core_message());
        buffer->bytes = (size_t)room * elem_bytes;
    }
    par__poison_aside(m, buffer->at, need);
    return buffer->at;
}

void par__grow_free(par_grow *buffer)
{
    free(buffer->at);
    *buffer = (par_grow){0};
}
