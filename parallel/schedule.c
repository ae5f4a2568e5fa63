/* parallel/schedule.c -- rounds, turns, the pipeline.
 *
 * In a turn of a round a stage works on a micro-batch, or on a run of
 * micro-batches that lie in lanes (order.c), with a chunk of its layers
 * (turns.h).  A residual stream's buffer is that of a turn's lane and, some
 * turns later, of another's: while a turn is worked on, what the next one needs
 * is received into buffers that are not of this one; a send is waited for only
 * when its buffer is wanted again.  The pipeline drains between rounds.
 *
 * scope=stage: a stage without a micro-batch skips the turn, all its ranks at
 * once; an empty micro-batch is worked on like any other, with zero tokens,
 * because its peers of other replicas may have some.  scope=replica: every rank
 * joins n_pair pairs in every turn, for every lane, whether it has something or
 * not.
 */
#include "parallel/forward_impl.h"

#include "core/base/clock.h"

#include <string.h>

/* What a micro-batch of mine is of. */
typedef struct extent {
    int64_t row0, n_row; /* of the batch, or of the step                      */
    par_room room;       /* that it takes                                     */
} extent;

static int64_t wide_of(const par_model *m)
{
    const int64_t asked = m->options.wide_elements;
    return asked > 0 ? asked : PAR_WIDE_ELEMENTS;
}

static extent extent_of(const par_model *m, int round, int mb)
{
    const par_step *step = m->step;
    const int64_t n_b = step != NULL ? step->n_slot : m->batch->n_b;
    extent e;
    int64_t row1;
    par_layout_rows(&m->layout->plan, n_b, round, m->layout->d, mb, &e.row0,
                    &row1);
    if (step != NULL)
        par__step_rows(step, &e.row0, &row1);
    e.n_row = row1 - e.row0;
    e.room = par__room(m->layout, e.n_row, m->batch->n_t, wide_of(m));
    if (step != NULL)
        e.room.n = e.room.n_all = par__step_tokens(step, e.row0, row1);
    return e;
}

/* Which of the streams a lane of a turn has. */
static int stream_at(const par_model *m, int turn, int lane)
{
    return ((turn - m->layout->stage) * m->work.n_lane + lane) % m->work.n_x;
}

static double *x_of(const par_model *m, int stream)
{
    return m->work.x + stream * m->work.ld_x;
}

/* Turn to a lane: its micro-batch and its buffers. */
static void set_now(par_model *m, int round, int turn, int lane)
{
    par_work *w = &m->work;
    const int stage = m->layout->stage, part = par__virtual(m, stage, turn);
    const int mb = par__mb(m, stage, turn, lane);
    m->now = (par_now){
        .round = round,
        .mb = mb,
        .turn = turn,
        .lane = lane,
        .part = part,
        .layer0 = m->layout->first_layer[part],
        .layer1 = m->layout->first_layer[part + 1],
        .tick = ((int64_t)round * par__n_turn(m) + turn) * w->n_lane + lane};
    par__work_take_lane(w, lane);
    if (mb < 0)
        return;
    const extent e = extent_of(m, round, mb);
    m->now.row0 = e.row0;
    m->now.n_row = e.n_row;
    m->now.n = e.room.n;
    m->now.n_all = e.room.n_all;
    m->now.stream = stream_at(m, turn, lane);
    m->now.x = x_of(m, m->now.stream);
    par_layout_slice(m->layout, m->now.n, &m->now.t0, &m->now.t1);
    m->now.s0 = m->layout->plan.sp ? m->now.t0 : 0;
    m->now.n_s = par__stream_tokens(m->layout, m->now.n);
    m->now.seen = (int64_t *)(m->now.x + m->now.n_s * core_spec_n_x(m->spec));
    if (m->step != NULL)
        par__step_ids(m, w->token_id);
    for (int64_t i = 0; m->step == NULL && i < m->now.n; i++)
        w->token_id[i] = m->now.row0 * m->batch->n_t +
                         par_layout_token(&m->layout->plan, m->layout->c,
                                          m->batch->n_t, i);
}

/* Elements that go into a layer from the one before: the stream, and keys that
 * were chosen before and are attended to behind.                             */
static int64_t n_stream(const par_model *m, int64_t n, int layer)
{
    return par__stream_tokens(m->layout, n) * core_spec_n_x(m->spec) +
           n * core_spec_kept(m->spec, layer);
}

static int64_t stream_bytes(const par_model *m, int64_t n, int layer)
{
    return n_stream(m, n, layer) * (int64_t)sizeof(double);
}

static void end_way(par_model *m, par_under_way *way, int stream)
{
    way->is_stream = true;
    way->number = stream;
    par__way_end(m, way);
}

/* The buffer of a stream, once the send that last used it is over. */
static double *free_stream(par_model *m, int stream)
{
    par_stream *s = &m->stream[stream];
    if (s->leaving != NULL) {
        par_wait(m->comm, s->leaving);
        s->leaving = NULL;
        end_way(m, &s->leaves, stream);
    }
    return x_of(m, stream);
}

/* For a lane of a turn to come, unless it embeds or is idle. */
static void post_receive(par_model *m, int round, int turn, int lane)
{
    const par_layout *lay = m->layout;
    const int part = par__virtual(m, lay->stage, turn);
    const int mb = par__mb(m, lay->stage, turn, lane);
    if (part == 0 || mb < 0)
        return;
    const int64_t bytes = stream_bytes(m, extent_of(m, round, mb).room.n,
                                       lay->first_layer[part]);
    const int stream = stream_at(m, turn, lane);
    double *x = free_stream(m, stream);
    par__poison(m, x, (size_t)bytes);
    par__way_begin(m, &m->stream[stream].arrives);
    m->stream[stream].arriving =
        par_post_recv(m->comm, lay->prev_rank, mb % 2, x, bytes);
}

/* --- steps --- */

static void arrive(par_model *m)
{
    par__work_poison(m, m->now.lane);
    if (m->now.part > 0) {
        char name[CORE_NAME_BYTES];
        const core_tap tap = par__tap(CORE_TAP_IN, m->now.layer0);
        par_at(m->comm, core_tap_name(tap, name), m->now.tick);
        par__resume(m);
        par__cost_stage(m, CORE_RECEIVE, tap,
                        n_stream(m, m->now.n, m->now.layer0));
        par_stream *s = &m->stream[m->now.stream];
        par__pause(m);
        par_wait(m->comm, s->arriving);
        par__resume(m);
        s->arrives.cost = m->cost.record;
        end_way(m, &s->arrives, m->now.stream);
    } else {
        par__poison(m, free_stream(m, m->now.stream),
                    (size_t)stream_bytes(m, m->now.n, m->now.layer0));
        par__resume(m);
        par__embed(m);
    }
}

static void leave(par_model *m)
{
    const int next = m->now.layer1; /* the layer behind */
    if (m->now.part == par_plan_parts(&m->layout->plan) - 1) {
        par__head(m);
        return;
    }
    par__cost_stage(m, CORE_SEND, par__tap(CORE_TAP_OUT, next - 1),
                    n_stream(m, m->now.n, next));
    par__way_begin(m, &m->stream[m->now.stream].leaves);
    par__pause(m);
    m->stream[m->now.stream].leaving =
        par_post_send(m->comm, m->layout->next_rank, m->now.mb % 2, m->now.x,
                      stream_bytes(m, m->now.n, next));
    par__resume(m);
}

/* For all lanes that are there; then each lane's rows as they are to return. */
static void run_experts(par_model *m, int pair)
{
    const par_now now = m->now;
    par__experts(m, pair);
    for (int i = 0; i < m->work.n_joined; i++) {
        set_now(m, now.round, now.turn, m->work.joined[i]);
        par__order_by_part(m, pair);
    }
}

/* What all lanes that are there left; then each of them goes on with it. */
static void run_sum(par_model *m, const par_turn_step *step)
{
    const par_now now = m->now;
    const int l = step->layer;
    par__sum_lanes(m);
    for (int i = 0; i < m->work.n_joined; i++) {
        set_now(m, now.round, now.turn, m->work.joined[i]);
        if (step->of == PAR_STEP_ARRIVE)
            par__embedded(m);
        else if (step->of == PAR_STEP_MIX)
            par__mixed(m, l);
        else
            par__fed(m, l);
    }
}

static void run_step(par_model *m, const par_turn_step *step)
{
    const int l = step->layer;
    switch (step->kind) {
    case PAR_STEP_ARRIVE:
        arrive(m);
        break;
    case PAR_STEP_MIX:
        par__mix(m, l);
        break;
    case PAR_STEP_SUM:
        run_sum(m, step);
        break;
    case PAR_STEP_ROUTE:
        par__enter_ffn(m, l);
        break;
    case PAR_STEP_DISPATCH:
        par__dispatch(m, l, step->pair);
        break;
    case PAR_STEP_ARRIVED:
        par__arrived(m, step->pair);
        break;
    case PAR_STEP_EXPERTS:
        run_experts(m, step->pair);
        break;
    case PAR_STEP_COMBINE:
        par__return(m, step->pair);
        break;
    case PAR_STEP_RETURNED:
        par__returned(m, l);
        if (l >= 0)
            par__gather(m, l);
        break;
    case PAR_STEP_MLP:
        par__feed(m, l);
        break;
    case PAR_STEP_ADD:
        par__leave_ffn(m, l);
        break;
    case PAR_STEP_LEAVE:
        leave(m);
        break;
    }
}

static void run_turn(par_model *m, int round, int turn)
{
    const par_layout *lay = m->layout;
    memset(m->work.n_expert, 0,
           (size_t)lay->n_pair * (size_t)m->work.n_told *
               sizeof *m->work.n_expert);
    set_now(m, round, turn, 0);
    for (int lane = 0; lane < m->work.n_lane; lane++)
        post_receive(m, round, turn + 1, lane);
    par__resume(m);
    par__list_steps(m, turn);
    for (const par_turn_step *step; (step = par__take_step(m)) != NULL;) {
        set_now(m, round, turn, step->lane);
        run_step(m, step);
    }
    set_now(m, round, turn, 0);
    par__cost_close(m);
    par__pause(m);
}

/* Micro-batches of the turn's lanes follow each other. */
static void tell_lanes(par_tick *report, const par_model *m, int turn)
{
    for (int lane = m->work.n_lane - 1; lane >= 0; lane--) {
        const int mb = par__mb(m, m->layout->stage, turn, lane);
        if (mb < 0)
            continue;
        report->mb = mb;
        report->n_mb++;
        report->n_token += extent_of(m, report->round, mb).room.n;
    }
}

/* One turn, and what it did. */
static void observe_turn(par_model *m, int round, int turn)
{
    const par_comm *comm = m->comm;
    const double start = core_seconds(CLOCK_MONOTONIC), waited = comm->wait_seconds;
    par_tick report = {.round = round,
                       .my_expert = m->layout->plan.n_mapped > 0
                                        ? NULL
                                        : m->layout->experts->mine,
                       .n_my_expert = m->work.n_told,
                       .n_choice = -m->stats->n_choice,
                       .n_dropped = -m->stats->n_dropped};
    memcpy(report.n_bytes, comm->n_bytes, sizeof report.n_bytes);
    run_turn(m, round, turn);
    if (m->options.tick == NULL)
        return;
    for (int k = 0; k < PAR_N_OP_KINDS; k++)
        report.n_bytes[k] = comm->n_bytes[k] - report.n_bytes[k];
    report.tick = m->now.tick;
    tell_lanes(&report, m, turn);
    report.n_expert = m->work.n_expert;
    report.n_n_expert = (int64_t)m->layout->n_pair * m->work.n_told;
    report.n_choice += m->stats->n_choice;
    report.n_dropped += m->stats->n_dropped;
    report.seconds = core_seconds(CLOCK_MONOTONIC) - start;
    report.wait_seconds = comm->wait_seconds - waited;
    m->options.tick(m->options.tick_self, &report);
}

/* Room for the largest micro-batch of mine. */
static core_status start(par_model *m)
{
    const par_plan *plan = &m->layout->plan;
    par_work *w = &m->work;
    par_room most = {.n_t = m->batch->n_t,
                     .wide = wide_of(m),
                     .n_thread = m->options.n_threads};
    for (int round = 0; round < plan->rounds; round++)
        for (int mb = 0; mb < plan->mb; mb++) {
            const par_room room = extent_of(m, round, mb).room;
            most.n = par__max(most.n, room.n);
            most.n_all = par__max(most.n_all, room.n_all);
        }
    const int n_lane = par__lanes(m, &most);
    w->pairs = par__pairs_of(m, n_lane);
    w->arena = core_arena_measure();
    par__work_carve(w, m->spec, m->layout, n_lane, &most);
    CORE_TRY_CTX(core_arena_make(&w->arena), "while making room for %lld tokens",
                 (long long)most.n);
    par__work_carve(w, m->spec, m->layout, n_lane, &most);
    for (int kind = 0; m->spec->n_h > 0 && kind < CORE_HEAD_KINDS; kind++)
        core_rope_table(&m->layout->heads[kind].all, m->numerics, m->batch->n_t,
                        w->rope[kind].cos_tj, w->rope[kind].sin_tj);
    return CORE_OK;
}

static void finish(par_model *m)
{
    par_stats *stats = m->stats;
    stats->n_lane = m->work.n_lane;
    stats->weight_bytes = m->shards.size_bytes;
    stats->work_bytes = m->work.arena.peak_bytes + m->sorted_rows.bytes +
                        m->inner_gate.bytes + m->inner_up.bytes +
                        m->operand.bytes + m->table.bytes +
                        par__cache_bytes(m->cache);
    for (int i = 0; i < m->layout->plan.mb; i++)
        stats->work_bytes += m->lane[i].meta.bytes + m->lane[i].table.bytes +
                             m->lane[i].rows.bytes;
    core_arena_free(&m->work.arena);
    m->batch = NULL;
    m->step = NULL;
    m->stats = NULL;
}

/* A turn without a step is no progress: others still work. */
static void tell_fraction(par_model *m, int n_done, int n_turn)
{
    if (m->comm->rank == 0 && m->work.n_step > 0)
        par_set_fraction(m->comm, (double)n_done / (double)n_turn);
}

/* Over the batch, or over what of it a step is of. */
static core_status pass(par_model *m, const core_batch *batch,
                        const par_step *step, par_stats *stats)
{
    const par_plan *plan = &m->layout->plan;
    const double begin = core_seconds(CLOCK_MONOTONIC), waited = m->comm->wait_seconds;
    *stats = (par_stats){.exact = true, .is_written = true};
    m->batch = batch;
    m->step = step;
    m->stats = stats;
    m->op = PAR_OP_EMBED;
    const core_status status = par_agree(m->comm, start(m));
    if (status != CORE_OK) {
        finish(m);
        return status;
    }
    par__resume(m);
    const int n_turn = par__n_turn(m);
    for (int round = 0; round < plan->rounds; round++) {
        for (int turn = 0; turn < n_turn; turn++) {
            observe_turn(m, round, turn);
            tell_fraction(m, round * n_turn + turn + 1, plan->rounds * n_turn);
        }
        for (int i = 0; i < m->work.n_x; i++)
            free_stream(m, i);
    }
    stats->wall_seconds = core_seconds(CLOCK_MONOTONIC) - begin;
    stats->wait_seconds = m->comm->wait_seconds - waited;
    finish(m);
    return CORE_OK;
}

core_status par_forward(par_model *m, const core_batch *batch, par_stats *stats)
{
    return pass(m, batch, NULL, stats);
}

core_status par_decode_step(par_model *m, const core_batch *batch,
                            const par_step *step, par_stats *stats)
{
    core_assert(m->cache != NULL);
    return pass(m, batch, step, stats);
}
