/* parallel/schedule.c -- rounds, ticks, micro-batches, the pipeline.
 *
 * In tick k of a round, stage s works on micro-batch k - s.  The residual
 * stream lives in two buffers by the parity of the micro-batch: while one is
 * worked on, the next one's receive is posted into the other; a send is waited
 * for only when its buffer is wanted again.  The pipeline drains between
 * rounds.
 *
 * scope=stage: a stage without a micro-batch skips the tick, all its ranks at
 * once; an empty micro-batch is worked on like any other, with zero tokens,
 * because its peers of other replicas may have some.  scope=replica: every rank
 * joins n_pair pairs in every tick, whether it has something or not.
 */
#include "parallel/forward_impl.h"

#include "core/base/clock.h"

#include <string.h>

static bool is_micro_batch(const par_model *m, int mb)
{
    return mb >= 0 && mb < m->layout->plan.mb;
}

static int64_t rows_of(const par_model *m, int round, int mb, int64_t *row0)
{
    int64_t row1;
    par_layout_rows(&m->layout->plan, m->batch->n_b, round, m->layout->d, mb,
                    row0, &row1);
    return row1 - *row0;
}

static void set_now(par_model *m, int round, int tick)
{
    const par_plan *plan = &m->layout->plan;
    const int mb = tick - m->layout->stage;
    par_work *w = &m->work;
    m->now =
        (par_now){.round = round,
                  .mb = is_micro_batch(m, mb) ? mb : -1,
                  .tick_of_round = tick,
                  .tick = (int64_t)round * (plan->mb + plan->pp - 1) + tick};
    memset(w->n_expert, 0,
           (size_t)m->layout->n_pair * (size_t)m->layout->n_my_expert *
               sizeof *w->n_expert);
    if (m->now.mb < 0)
        return;
    m->now.n_row = rows_of(m, round, mb, &m->now.row0);
    m->now.n = m->now.n_row * m->batch->n_t;
    m->now.x = w->x[mb % 2];
    par_layout_slice(m->layout, m->now.n, &m->now.t0, &m->now.t1);
    m->now.s0 = plan->sp ? m->now.t0 : 0;
    m->now.n_s = par__stream_tokens(m->layout, m->now.n);
    m->now.seen = (int64_t *)(m->now.x + m->now.n_s * core_spec_n_x(m->spec));
    for (int i = 0; i < w->n_fresh; i++)
        par__poison(w->fresh[i].at, w->fresh[i].bytes);
    for (int64_t i = 0; i < m->now.n; i++)
        w->token_id[i] = m->now.row0 * m->batch->n_t + i;
}

/* Elements that go into a layer from the one before: the stream, and keys that
 * were chosen before and are attended to behind.                             */
static int64_t n_stream(const par_model *m, int64_t n, int layer)
{
    return par__stream_tokens(m->layout, n) * core_spec_n_x(m->spec) +
           n * core_spec_kept(m->spec, layer);
}

static int64_t stream_bytes(const par_model *m, int64_t n_row, int layer)
{
    return n_stream(m, n_row * m->batch->n_t, layer) * (int64_t)sizeof(double);
}

/* The buffer of a micro-batch, once the send that last used it is over. */
static double *free_stream(par_model *m, int mb)
{
    par_wait(m->comm, m->send_request[mb % 2]);
    m->send_request[mb % 2] = NULL;
    return m->work.x[mb % 2];
}

static void post_receive(par_model *m, int round, int mb)
{
    int64_t row0;
    if (m->layout->stage == 0 || !is_micro_batch(m, mb))
        return;
    const int64_t bytes =
        stream_bytes(m, rows_of(m, round, mb, &row0), m->layer0);
    double *x = free_stream(m, mb);
    par__poison(x, (size_t)bytes);
    m->recv_request =
        par_post_recv(m->comm, m->layout->prev_rank, mb % 2, x, bytes);
}

/* The layers of my stage, then the pairs that other stages still have. */
static void run_stage(par_model *m)
{
    const par_layout *lay = m->layout;
    int pair = 0;
    if (m->now.mb >= 0)
        for (int l = m->layer0; l < m->layer1; l++) {
            par__layer(m, l, pair);
            pair += core_spec_is_moe(m->spec, l) ? 1 : 0;
        }
    if (lay->plan.scope == PAR_SCOPE_REPLICA)
        for (; pair < lay->n_pair; pair++)
            par__moe(m, -1, pair, NULL);
}

static void run_tick(par_model *m, int round, int tick)
{
    const par_layout *lay = m->layout;
    par_request *arriving = m->recv_request;
    m->recv_request = NULL;
    set_now(m, round, tick);
    post_receive(m, round, tick + 1 - lay->stage);
    if (m->now.mb >= 0 && lay->stage > 0) {
        char name[CORE_NAME_BYTES];
        const core_tap tap = par__tap(CORE_TAP_IN, m->layer0);
        par_at(m->comm, core_tap_name(tap, name), m->now.tick);
        par__resume(m);
        par__cost_stage(m, CORE_RECEIVE, tap,
                        n_stream(m, m->now.n, m->layer0));
        par__pause(m);
        par_wait(m->comm, arriving);
    } else if (m->now.mb >= 0) {
        par__poison(free_stream(m, m->now.mb),
                    (size_t)stream_bytes(m, m->now.n_row, m->layer0));
        par__resume(m);
        par__embed(m);
    }
    par__resume(m);
    run_stage(m);
    if (m->now.mb >= 0 && lay->stage == lay->plan.pp - 1)
        par__head(m);
    if (m->now.mb >= 0 && lay->next_rank >= 0) {
        par__cost_stage(m, CORE_SEND, par__tap(CORE_TAP_OUT, m->layer1 - 1),
                        n_stream(m, m->now.n, m->layer1));
        par__pause(m);
        m->send_request[m->now.mb % 2] =
            par_post_send(m->comm, lay->next_rank, m->now.mb % 2, m->now.x,
                          stream_bytes(m, m->now.n_row, m->layer1));
        par__resume(m);
    }
    par__cost_close(m);
    par__pause(m);
}

/* One tick, and what it did. */
static void observe_tick(par_model *m, int round, int tick)
{
    const par_comm *comm = m->comm;
    const double start = core_seconds(CLOCK_MONOTONIC), waited = comm->wait_seconds;
    par_tick report = {.round = round};
    memcpy(report.n_bytes, comm->n_bytes, sizeof report.n_bytes);
    run_tick(m, round, tick);
    if (m->options.tick == NULL)
        return;
    for (int k = 0; k < PAR_N_OP_KINDS; k++)
        report.n_bytes[k] = comm->n_bytes[k] - report.n_bytes[k];
    report.tick = m->now.tick;
    report.mb = m->now.mb;
    report.n_token = m->now.n;
    report.n_expert = m->work.n_expert;
    report.n_n_expert = (int64_t)m->layout->n_pair * m->layout->n_my_expert;
    report.seconds = core_seconds(CLOCK_MONOTONIC) - start;
    report.wait_seconds = comm->wait_seconds - waited;
    m->options.tick(m->options.tick_self, &report);
}

/* Room for the largest micro-batch of mine. */
static core_status start(par_model *m)
{
    const par_plan *plan = &m->layout->plan;
    par_work *w = &m->work;
    int64_t most = 0, row0;
    for (int round = 0; round < plan->rounds; round++)
        for (int mb = 0; mb < plan->mb; mb++) {
            const int64_t n_row = rows_of(m, round, mb, &row0);
            most = n_row > most ? n_row : most;
        }
    w->arena = core_arena_measure();
    par__work_carve(w, m->spec, m->layout, most, m->batch->n_t);
    CORE_TRY_CTX(core_arena_make(&w->arena), "while making room for %lld rows",
                 (long long)most);
    par__work_carve(w, m->spec, m->layout, most, m->batch->n_t);
    for (int kind = 0; m->spec->n_h > 0 && kind < CORE_HEAD_KINDS; kind++)
        core_rope_table(&m->layout->heads[kind].all, m->numerics, m->batch->n_t,
                        w->rope[kind].cos_tj, w->rope[kind].sin_tj);
    return CORE_OK;
}

static void finish(par_model *m)
{
    par_stats *stats = m->stats;
    stats->weight_bytes = m->shards.size_bytes;
    stats->work_bytes = m->work.arena.peak_bytes + m->recv_meta.bytes +
                        m->rows_a.bytes + m->rows_b.bytes +
                        m->inner_gate.bytes + m->inner_up.bytes +
                        m->operand.bytes + m->table.bytes;
    core_arena_free(&m->work.arena);
    m->batch = NULL;
    m->stats = NULL;
}

core_status par_forward(par_model *m, const core_batch *batch, par_stats *stats)
{
    const par_plan *plan = &m->layout->plan;
    const int n_tick = plan->rounds * (plan->mb + plan->pp - 1);
    const double begin = core_seconds(CLOCK_MONOTONIC), waited = m->comm->wait_seconds;
    *stats = (par_stats){.exact = true, .is_written = true};
    m->batch = batch;
    m->stats = stats;
    m->op = PAR_OP_EMBED;
    const core_status status = par_agree(m->comm, start(m));
    if (status != CORE_OK) {
        finish(m);
        return status;
    }
    par__resume(m);
    for (int round = 0; round < plan->rounds; round++) {
        for (int tick = 0; tick < plan->mb + plan->pp - 1; tick++) {
            observe_tick(m, round, tick);
            if (m->comm->rank == 0)
                par_set_fraction(m->comm, (double)(m->now.tick + 1) /
                                              (double)n_tick);
        }
        free_stream(m, 0);
        free_stream(m, 1);
    }
    stats->wall_seconds = core_seconds(CLOCK_MONOTONIC) - begin;
    stats->wait_seconds = m->comm->wait_seconds - waited;
    finish(m);
    return CORE_OK;
}
