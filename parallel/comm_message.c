/* parallel/comm_message.c -- messages: requests, waiting for them, and what a
 * rank tells the board meanwhile.
 *
 * What carries them is a transport's business (comm_impl.h); messages to
 * oneself reach none, they are copied.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- requests --- */

static par_request *new_request(par_comm *comm, par_op_kind kind, int peer,
                                int tag, void *buf, int64_t bytes)
{
    struct par_comm_impl *impl = comm->impl;
    core_assert(peer >= 0 && peer < comm->size && bytes >= 0);
    par_request *r = impl->unused;
    if (r)
        impl->unused = r->next;
    else
        r = malloc(sizeof *r);
    if (!r)
        par_abort(comm, CORE_E_MEMORY, "no memory for a message");
    *r = (par_request){.kind = kind,
                       .peer = peer,
                       .tag = tag,
                       .buf = buf,
                       .bytes = bytes,
                       .total_bytes = bytes};
    return r;
}

static void drop_request(par_comm *comm, par_request *r)
{
    while (r) {
        par_request *rest = r->rest;
        r->next = comm->impl->unused;
        comm->impl->unused = r;
        r = rest;
    }
}

/* All parts are posted at once; both sides cut at the same places. */
static par_request *start(par_comm *comm, par_op_kind kind, int peer, int tag,
                          void *buf, int64_t bytes)
{
    const int64_t part = comm->impl->part_bytes;
    par_request *first = new_request(comm, kind, peer, tag, buf, bytes);
    par_request *r = first;
    while (r->bytes > part) {
        r->rest =
            new_request(comm, kind, peer, tag, r->buf + part, r->bytes - part);
        r->bytes = part;
        par__transport_used()->start(comm, r);
        r = r->rest;
    }
    par__transport_used()->start(comm, r);
    return first;
}

void par__check_length(par_comm *comm, const par_request *r, int64_t bytes)
{
    if (bytes != r->bytes)
        par_abort(comm, CORE_E_PEER,
                  "rank %d sent %lld bytes to rank %d in %s, expected %lld",
                  r->peer, (long long)bytes, comm->rank, comm->impl->mine->what,
                  (long long)r->bytes);
}

/* True if the request, with all its parts, is complete. */
static bool test(par_comm *comm, par_request *r)
{
    for (; r; r = r->rest) {
        if (r->done)
            continue;
        if (!par__transport_used()->test(comm, r))
            return false;
        r->done = true;
        atomic_fetch_add(&comm->impl->mine->progress, 1);
    }
    return true;
}

/* --- waiting --- */

static void wait_until_done(par_comm *comm, par_request *r)
{
    if (test(comm, r))
        return;
    par_board_rank *mine = comm->impl->mine;
    const int64_t start_ns = par_now_ns();
    atomic_store(&mine->peer, r->peer);
    atomic_store(&mine->state, PAR_RANK_WAITING);
    for (int n = 0; !test(comm, r); n++) {
        par__watch(comm, r->peer);
        par__transport_used()->rest(comm, r, n);
    }
    atomic_store(&mine->state, PAR_RANK_COMPUTING);
    atomic_store(&mine->peer, -1);
    comm->wait_seconds += (double)(par_now_ns() - start_ns) * 1e-9;
}

/* --- inside operations --- */

static void join(par_comm *comm, par_request *r)
{
    struct par_comm_impl *impl = comm->impl;
    core_assert(impl->n_requests < 2 * comm->size);
    impl->requests[impl->n_requests++] = r;
}

void par__send(par_comm *comm, par__op *op, int i, const void *buf,
               int64_t bytes)
{
    const int to = op->group->rank[i];
    core_assert(to != comm->rank);
    join(comm,
         start(comm, PAR_SEND, to, op->tag, (void *)(uintptr_t)buf, bytes));
    op->bytes += bytes;
}

void par__recv(par_comm *comm, par__op *op, int i, void *buf, int64_t bytes)
{
    const int from = op->group->rank[i];
    core_assert(from != comm->rank);
    join(comm, start(comm, PAR_RECV, from, op->tag, buf, bytes));
}

void par__wait_all(par_comm *comm, const par__op *op)
{
    (void)op;
    struct par_comm_impl *impl = comm->impl;
    for (int i = 0; i < impl->n_requests; i++) {
        wait_until_done(comm, impl->requests[i]);
        drop_request(comm, impl->requests[i]);
    }
    impl->n_requests = 0;
}

/* --- point to point --- */

/* The oldest request to myself that waits for one like this; taken off. */
static par_request *take_partner(par_comm *comm, par_op_kind kind, int tag)
{
    for (par_request **p = &comm->impl->to_self; *p; p = &(*p)->next)
        if ((*p)->kind == kind && (*p)->tag == tag) {
            par_request *partner = *p;
            *p = partner->next;
            return partner;
        }
    return NULL;
}

static void post_to_self(par_comm *comm, par_request *r)
{
    par_request *other =
        take_partner(comm, r->kind == PAR_SEND ? PAR_RECV : PAR_SEND, r->tag);
    if (!other) {
        par_request **end = &comm->impl->to_self;
        while (*end)
            end = &(*end)->next;
        *end = r;
        return;
    }
    const par_request *send = r->kind == PAR_SEND ? r : other;
    const par_request *recv = r->kind == PAR_SEND ? other : r;
    if (send->bytes != recv->bytes)
        par_abort(comm, CORE_E_INTERNAL,
                  "rank %d sends itself %lld bytes, expects %lld", comm->rank,
                  (long long)send->bytes, (long long)recv->bytes);
    if (send->bytes > 0)
        memcpy(recv->buf, send->buf, (size_t)send->bytes);
    r->done = other->done = true;
}

static par_request *post(par_comm *comm, par_op_kind kind, int peer, int tag,
                         void *buf, int64_t bytes)
{
    core_assert(tag >= 0 && tag < 1000);
    const int full_tag = (int)PAR_SEND << 24 | tag;
    if (peer != comm->rank)
        return start(comm, kind, peer, full_tag, buf, bytes);
    par_request *r = new_request(comm, kind, peer, full_tag, buf, bytes);
    post_to_self(comm, r);
    return r;
}

par_request *par_post_send(par_comm *comm, int to, int tag, const void *buf,
                           int64_t bytes)
{
    comm->n_bytes[PAR_SEND] += to != comm->rank ? bytes : 0;
    return post(comm, PAR_SEND, to, tag, (void *)(uintptr_t)buf, bytes);
}

par_request *par_post_recv(par_comm *comm, int from, int tag, void *buf,
                           int64_t bytes)
{
    void *arriving = malloc(bytes > 0 ? (size_t)bytes : 1);
    if (!arriving)
        par_abort(comm, CORE_E_MEMORY, "no memory for a message of %lld bytes",
                  (long long)bytes);
    par_request *request = post(comm, PAR_RECV, from, tag, arriving, bytes);
    request->arriving = arriving;
    request->deliver_to = buf;
    return request;
}

/* Now, and not when the message happens to arrive, the caller has it. */
static void deliver(par_request *request)
{
    if (request->arriving && request->total_bytes > 0)
        memcpy(request->deliver_to, request->arriving,
               (size_t)request->total_bytes);
    free(request->arriving);
    request->arriving = NULL;
}

void par_wait(par_comm *comm, par_request *request)
{
    if (!request)
        return;
    const par_op_kind kind = request->kind;
    const int peer = request->peer;
    const int64_t start_ns = par_now_ns();
    const int64_t bytes =
        kind == PAR_SEND && peer != comm->rank ? request->total_bytes : 0;
    if (peer == comm->rank && !request->done)
        par_abort(comm, CORE_E_INTERNAL,
                  "rank %d waits for its own message with tag %d, which it "
                  "never posted",
                  peer, request->tag & 0xffff);
    const par_board_op word = {
        .epoch = comm->impl->epoch, .kind = kind, .group_id = PAR_NO_GROUP};
    atomic_store(&comm->impl->mine->op, par_board_op_pack(word));
    wait_until_done(comm, request);
    deliver(request);
    drop_request(comm, request);
    comm->n_calls[kind]++;
    if (!comm->record)
        return;
    const par_comm_record record = {
        .kind = kind,
        .peer = peer,
        .bytes = bytes,
        .seconds = (double)(par_now_ns() - start_ns) * 1e-9};
    comm->record(comm->record_self, &record);
}

/* --- what a rank is doing --- */

void par_at(par_comm *comm, const char *what, int64_t tick)
{
    par_board_rank *mine = comm->impl->mine;
    const size_t room = sizeof mine->what - 1, n = strlen(what);
    memcpy(mine->what, what, n < room ? n : room);
    mine->what[n < room ? n : room] = '\0';
    atomic_store(&mine->tick, tick);
    atomic_fetch_add(&mine->progress, 1);
    par__hold(comm, what);
}

void par_set_step(par_comm *comm, const char *name, double from, double to)
{
    par_board *board = comm->impl->board;
    comm->impl->step_from = from;
    comm->impl->step_to = to;
    if (board)
        snprintf(board->step, sizeof board->step, "%s", name);
    par_set_fraction(comm, 0.0);
}

double par_set_fraction(par_comm *comm, double fraction)
{
    const struct par_comm_impl *impl = comm->impl;
    if (!impl->board)
        return 0.0;
    const double done =
        impl->step_from + (impl->step_to - impl->step_from) * fraction;
    int said = atomic_load(&impl->board->fraction);
    if (done >= 0.0 && done <= 1.0 && (int)(done * 1000) > said) {
        said = (int)(done * 1000);
        atomic_store(&impl->board->fraction, said);
    }
    return said / 1000.0;
}

/* --- the end of a communicator --- */

void par__comm_free(par_comm *comm)
{
    struct par_comm_impl *impl = comm->impl;
    for (par_request *r = impl->unused, *next; r; r = next) {
        next = r->next;
        free(r);
    }
    free(impl->world_rank);
    free(impl->n_call);
    free(impl->requests);
    free(impl->scratch);
    free(impl);
    free(comm);
}
