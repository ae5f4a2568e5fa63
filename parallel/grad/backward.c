/* parallel/grad/backward.c -- rounds and micro-batches, layers from last to
 * first.
 *
 * A rank goes through the layers of the whole model for every micro-batch of
 * its replica, does those of its stage, and in scope=replica serves its experts
 * in all others.  Micro-batches follow one another from the last to the first:
 * a stage waits for the gradient of its output, so the pipeline fills by
 * itself, and nothing is overlapped beyond that.
 */
#include "parallel/grad/grad_impl.h"

#include "core/base/clock.h"

#include <stdlib.h>
#include <string.h>

const char *par_grad_axis_name(par_grad_axis axis)
{
    static const char *const name[PAR_N_GRAD_AXES] = {"tp", "ep", "etp", "pp",
                                                      "weights"};
    return name[axis];
}

core_status par_backward_check(const par_plan *plan)
{
    char text[PAR_PLAN_TEXT], with[PAR_PLAN_TEXT];
    par_plan known;
    CORE_TRY(par_plan_parse(&known, "tp=1"));
    known.dp = plan->dp, known.pp = plan->pp, known.vpp = plan->vpp;
    known.tp = plan->tp, known.ep = plan->ep, known.etp = plan->etp;
    known.scope = plan->scope;
    known.mb = plan->mb, known.rounds = plan->rounds;
    known.n_stage = plan->n_stage, known.n_placed = plan->n_placed;
    memcpy(known.stage_layers, plan->stage_layers, sizeof known.stage_layers);
    memcpy(known.n_replica, plan->n_replica, sizeof known.n_replica);
    memcpy(known.replica, plan->replica, sizeof known.replica);
    par_plan_format(&known, text);
    par_plan_format(plan, with);
    CORE_FAIL_IF(strcmp(text, with) != 0, CORE_E_USAGE,
                 "--grad: no gradient is known for all degrees of %s; %s has "
                 "one",
                 with, text);
    return CORE_OK;
}

static void set_now(par__back *b, int round, int mb)
{
    int64_t row1;
    par_layout_rows(&b->layout->plan, b->batch->n_b, round, b->layout->d, mb,
                    &b->row0, &row1);
    b->round = round;
    b->mb = mb;
    b->n_row = row1 - b->row0;
    b->n = b->n_row * b->batch->n_t;
    b->first = b->row0 * b->batch->n_t;
    par_layout_slice(b->layout, b->n, &b->t0, &b->t1);
}

static bool is_mine(const par_layout *lay, int l)
{
    return lay->local_layer[l] >= 0;
}

/* The gradient of the output of a last layer of mine, whole on every t. */
static void receive(par__back *b, double *dx)
{
    const int64_t n = b->n * b->spec->n_d;
    const int64_t bytes = n * (int64_t)sizeof *dx;
    par_wait(b->comm,
             par_post_recv(b->comm, b->layout->next_rank, 0, dx, bytes));
    par__g_count(b, PAR_GRAD_PP, par__g_transfer(b, CORE_RECEIVE, NULL, 0, n),
                 0);
}

static void send(par__back *b, const double *dx)
{
    const int64_t n = b->n * b->spec->n_d;
    const int64_t bytes = n * (int64_t)sizeof *dx;
    const int64_t before = b->comm->n_bytes[PAR_SEND];
    par_wait(b->comm,
             par_post_send(b->comm, b->layout->prev_rank, 0, dx, bytes));
    par__g_count(b, PAR_GRAD_PP, par__g_transfer(b, CORE_SEND, NULL, n, 0),
                 b->comm->n_bytes[PAR_SEND] - before);
}

/* dmid = dout round the feed-forward part, and through it. */
static void feed_forward(par__back *b, int l, const double *dout, double *dmid)
{
    const int64_t n = b->n * b->spec->n_d;
    const core_grad of = core_grad_of_tap(CORE_TAP_FFN_NORM, l);
    double *dxn = par__g_zeros(b, PAR__G_FFN_NORM, n);
    par__terms terms = {0};
    if (core_spec_is_moe(b->spec, l))
        par__g_moe(b, l, dout, dxn, &terms);
    if (core_spec_n_mlp(b->spec, l) > 0)
        par__g_mlp(b, l, dout, dxn, &terms);
    par__g_all_reduce(b, &b->layout->tp_group, PAR_GRAD_TP, dxn, n);
    par__g_store(b, &terms, b->layout->plan.tp, of, dxn, n);
    par__g_show_whole(b, CORE_TAP_FFN_NORM, l, dxn);
    par__g_norm(b, CORE_W_FFN_NORM, core_grad_of_tap(CORE_TAP_MID, l),
                par__g_tap(b, CORE_TAP_MID, l), dxn, dout, dmid);
    par__g_show_whole(b, CORE_TAP_MID, l, dmid);
}

/* The same of the mixer. */
static void mixer(par__back *b, int l, const double *dmid, double *din)
{
    double *dxn = par__g_zeros(b, PAR__G_ATTN_NORM, b->n * b->spec->n_d);
    par__g_attention(b, l, dmid, dxn);
    par__g_norm(b, CORE_W_ATTN_NORM, core_grad_of_tap(CORE_TAP_IN, l),
                par__g_tap(b, CORE_TAP_IN, l), dxn, dmid, din);
    par__g_show_whole(b, CORE_TAP_IN, l, din);
}

/* One of my layers; dx is the gradient of its output, then of its input. */
static void layer(par__back *b, int l, double *dx)
{
    const par_layout *lay = b->layout;
    double *dmid = par__g_room(b, PAR__G_MID, b->n * b->spec->n_d);
    if (l == (int)b->spec->n_l - 1)
        par__g_head(b, dx);
    else if (!is_mine(lay, l + 1))
        receive(b, dx);
    par__g_show_whole(b, CORE_TAP_OUT, l, dx);
    feed_forward(b, l, dx, dmid);
    mixer(b, l, dmid, dx);
    if (l == 0)
        par__g_embed(b, dx);
    else if (!is_mine(lay, l - 1))
        send(b, dx);
}

static void micro_batch(par__back *b)
{
    const par_layout *lay = b->layout;
    const bool serves_all = lay->plan.scope == PAR_SCOPE_REPLICA;
    double *dx = par__g_room(b, PAR__G_OUT, b->n * b->spec->n_d);
    for (int l = (int)b->spec->n_l - 1; l >= 0; l--) {
        char name[CORE_NAME_BYTES];
        const core_tap tap = {CORE_TAP_OUT, l};
        b->at = l;
        par_at(b->comm, core_tap_name(tap, name), b->tick);
        if (is_mine(lay, l))
            layer(b, l, dx);
        else if (serves_all && core_spec_is_moe(b->spec, l))
            par__g_exchange(b, l, false, NULL);
        b->tick++;
    }
}

static void carve(par__back *b)
{
    const int64_t n_table = b->batch->n_t * (b->spec->n_dh / 2);
    par__grad_groups_make(&b->groups, &b->arena, b->layout, b->spec);
    par__params_make(&b->params, &b->arena, b->layout, b->spec, b->weights);
    b->cos_tj = core_arena_f64(&b->arena, n_table);
    b->sin_tj = core_arena_f64(&b->arena, n_table);
}

static core_status start(par__back *b)
{
    CORE_TRY(core_grad_check(b->spec));
    CORE_TRY(par__tape_status(b->tape));
    carve(b);
    CORE_TRY_CTX(core_arena_make(&b->arena), "making room for gradients");
    carve(b);
    core_rope_table(&b->layout->heads[0].all, CORE_EXACT, b->batch->n_t,
                    b->cos_tj, b->sin_tj);
    return CORE_OK;
}

core_status par_backward(par_comm *comm, const par_layout *layout,
                         const core_spec *spec, const core_weights *weights,
                         const core_batch *batch, const par_tape *tape,
                         uint64_t seed, const par_grad_observer *observer,
                         par_grad_stats *stats)
{
    const double begin = core_seconds(CLOCK_MONOTONIC),
                 waited = comm->wait_seconds;
    par__back b = {.comm = comm,
                   .layout = layout,
                   .spec = spec,
                   .weights = weights,
                   .batch = batch,
                   .tape = tape,
                   .seed = seed,
                   .observer = observer,
                   .stats = stats,
                   .arena = core_arena_measure()};
    core_assert(batch->mask == NULL);
    *stats = (par_grad_stats){.exact = true};
    const core_status status = par_agree(comm, start(&b));
    for (int round = layout->plan.rounds - 1; status == CORE_OK && round >= 0;
         round--)
        for (int mb = layout->plan.mb - 1; mb >= 0; mb--) {
            set_now(&b, round, mb);
            micro_batch(&b);
        }
    if (status == CORE_OK)
        par__g_reduce(&b);
    for (int i = 0; i < PAR__N_GRAD_BUFFERS; i++)
        free(b.buffer[i].at);
    core_arena_free(&b.arena);
    stats->wall_seconds = core_seconds(CLOCK_MONOTONIC) - begin;
    stats->wait_seconds = comm->wait_seconds - waited;
    return status;
}

/* Weights and gradients, and the tape: its columns of every token of the
 * replica's, and of an even share of the choices.                            */
size_t par_backward_bytes(const core_spec *spec, const par_layout *layout,
                          int64_t n_b, int64_t n_t)
{
    const int64_t n = (n_b + layout->plan.dp - 1) / layout->plan.dp * n_t;
    const int64_t n_scope =
        layout->plan.scope == PAR_SCOPE_STAGE ? layout->plan.dp : 1;
    int64_t n_tape = 0;
    core_arena arena = core_arena_measure();
    par__params params;
    par__params_make(&params, &arena, layout, spec, NULL);
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
            const core_tap tap = {(core_tap_kind)k, l};
            int64_t c0, n_col;
            if (!par__tape_keeps(tap.kind) || !core_tap_exists(spec, tap))
                continue;
            par__grad_columns(layout, spec, tap, &c0, &n_col);
            const bool is_token =
                core_tap_row_kind(tap.kind) == CORE_ROWS_TOKEN;
            if (is_token)
                n_tape += is_mine(layout, l) ? n * n_col : 0;
            else
                n_tape += n * n_scope * spec->n_k * n_col / layout->plan.ep;
        }
    return arena.peak_bytes + (size_t)n_tape * sizeof(double);
}
