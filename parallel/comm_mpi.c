/* parallel/comm_mpi.c -- messages over MPI: the only file that includes mpi.h.
 *
 * Of MPI it uses Isend, Irecv and Test on one communicator, and nothing that
 * blocks: MPICH spins in blocking calls, which with more ranks than cores keeps
 * those off the processor who could make progress.  A waiting rank tests, gives
 * up its time slice a few times, then naps, longer and longer; between naps it
 * looks at the board.
 *
 * Traps: lengths are int in MPI, so long messages travel in parts; MPI_TAG_UB
 * may be as low as 32767, so tags are cut to it (they only help to find faults,
 * the order of messages between two ranks is right without them); messages to
 * oneself never reach MPI, they are copied.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <mpi.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

struct par_request {
    MPI_Request mpi;
    par_op_kind kind; /* PAR_SEND or PAR_RECV                            */
    bool done;
    int peer, tag;
    char *buf;           /* of a send: never written                        */
    int64_t bytes;       /* of this part                                    */
    int64_t total_bytes; /* of the message                                  */
    struct par_request *rest; /* the other parts */
    void *arriving;           /* par_post_recv: buf, which is ours, until ...  */
    void *deliver_to;         /* ... par_wait copies it here                   */
    struct par_request *next; /* in a list: unused, to_self */
};

/* MPI exists once per process, and so does this. */
static struct {
    bool started;
    int tag_mask;
    par_comm *all;
} process;

par_comm *par__comm_all(void)
{
    return process.all;
}
int par_comm_n_started(void)
{
    return process.all ? process.all->size : 0;
}
int par_comm_my_start(void)
{
    return process.all ? process.all->rank : 0;
}

/* --- failure --- */

void par_abort(par_comm *comm, core_status status, const char *fmt, ...)
{
    char line[PAR_BOARD_LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (!comm)
        comm = process.all;
    par_board *board = comm ? comm->impl->board : NULL;
    if (board && !par_board_claim(board, status, line)) {
        const int theirs = atomic_load(&board->aborted);
        sleep(board->has_launcher ? 0 : 2); /* let his line come out */
        status = theirs != 0 ? (core_status)theirs : status;
    } else if (!board || !board->has_launcher)
        fprintf(stderr, "[%d/%d] %s\n", comm ? comm->rank : 0,
                comm ? comm->size : 1, line);
    fflush(NULL);
    par__await_told(board);
    if (process.started && getenv("SLURM_STEP_ID") == NULL)
        MPI_Abort(MPI_COMM_WORLD, core_status_exit_code(status));
    _exit(core_status_exit_code(status)); /* srun makes 137 of an abort */
}

static void must(par_comm *comm, int code, const char *call, int peer)
{
    if (code == MPI_SUCCESS)
        return;
    char line[PAR_BOARD_LINE];
    const par_board *board = comm->impl->board;
    const bool is_far = board && !par_board_is_home(board, peer);
    if (par__has_died(comm, peer, line))
        par_abort(comm, CORE_E_PEER, "%s", line);
    if (is_far && par__await_claim(board)) /* its host's watch says more */
        par_abort(comm, CORE_E_PEER, "rank %d cannot be reached", peer);
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(code, text, &n);
    par_abort(comm, CORE_E_INTERNAL, "%s with rank %d failed in %s: %.500s",
              call, peer, comm->impl->mine->what, text);
}

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
    *r = (par_request){.mpi = MPI_REQUEST_NULL,
                       .kind = kind,
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

static void start_part(par_comm *comm, par_request *r)
{
    const int n = (int)r->bytes, tag = r->tag & process.tag_mask;
    if (r->kind == PAR_SEND)
        must(comm,
             MPI_Isend(r->buf, n, MPI_BYTE, r->peer, tag, MPI_COMM_WORLD,
                       &r->mpi),
             "MPI_Isend", r->peer);
    else
        must(comm,
             MPI_Irecv(r->buf, n, MPI_BYTE, r->peer, tag, MPI_COMM_WORLD,
                       &r->mpi),
             "MPI_Irecv", r->peer);
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
        start_part(comm, r);
        r = r->rest;
    }
    start_part(comm, r);
    return first;
}

static void check_length(par_comm *comm, const par_request *r,
                         const MPI_Status *status)
{
    int n = 0;
    if (r->kind != PAR_RECV)
        return;
    must(comm, MPI_Get_count(status, MPI_BYTE, &n), "MPI_Get_count", r->peer);
    if (n != r->bytes)
        par_abort(comm, CORE_E_PEER,
                  "rank %d sent %d bytes to rank %d in %s, expected %lld",
                  r->peer, n, comm->rank, comm->impl->mine->what,
                  (long long)r->bytes);
}

/* True if the request, with all its parts, is complete. */
static bool test(par_comm *comm, par_request *r)
{
    for (; r; r = r->rest) {
        if (r->done)
            continue;
        int flag = 0;
        MPI_Status status;
        if (r->mpi != MPI_REQUEST_NULL)
            must(comm, MPI_Test(&r->mpi, &flag, &status), "MPI_Test", r->peer);
        if (!flag)
            return false;
        check_length(comm, r, &status);
        r->done = true;
        atomic_fetch_add(&comm->impl->mine->progress, 1);
    }
    return true;
}

/* --- waiting --- */

static void nap(int64_t ns)
{
    const struct timespec t = {.tv_nsec = (long)ns};
    nanosleep(&t, NULL);
}

static void wait_until_done(par_comm *comm, par_request *r)
{
    enum { N_YIELD = 8, FIRST_NAP_NS = 20000 };
    if (test(comm, r))
        return;
    par_board_rank *mine = comm->impl->mine;
    const int64_t start_ns = par_now_ns();
    int64_t nap_ns = FIRST_NAP_NS;
    atomic_store(&mine->peer, r->peer);
    atomic_store(&mine->state, PAR_RANK_WAITING);
    for (int n = 0; !test(comm, r); n++) {
        if (n < N_YIELD) {
            sched_yield();
            continue;
        }
        par__watch(comm, r->peer);
        nap(nap_ns);
        nap_ns += nap_ns / 2;
        if (nap_ns > comm->impl->longest_pause_ns)
            nap_ns = comm->impl->longest_pause_ns;
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

void par_set_fraction(par_comm *comm, double fraction)
{
    if (comm->impl->board && fraction >= 0 && fraction <= 1)
        atomic_store(&comm->impl->board->fraction, (int)(fraction * 1000));
}

/* --- start and end --- */

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

/* Rank 0 makes a board in memory; who can open it and finds the same number in
 * it is on the same host.  Ranks elsewhere do without. */
static void share_own_board(par_comm *all, const par_comm_options *options)
{
    const char *tmp = getenv("TMPDIR");
    const char *folder[] = {"/dev/shm", tmp ? tmp : "/tmp", "/tmp"};
    struct {
        uint64_t nonce;
        char path[256];
    } where = {0};
    par_board *board = NULL;
    for (int i = 0; i < 3 && all->rank == 0 && !board; i++) {
        snprintf(where.path, sizeof where.path, "%s/moeparity-board-%d-%llx",
                 folder[i], (int)getpid(), (unsigned long long)par_now_ns());
        if (par_board_create(&board, where.path, all->size,
                             options->stall_seconds, false) == CORE_OK)
            where.nonce = board->nonce;
    }
    par_broadcast(all, &all->world, &where, sizeof where, 0);
    if (all->rank != 0 && where.nonce != 0 &&
        par_board_map(&board, where.path) == CORE_OK &&
        (board->nonce != where.nonce || board->n_rank != all->size)) {
        par_board_unmap(board);
        board = NULL;
    }
    core_message_clear(); /* a run without a board is a run */
    par_barrier(all, &all->world);
    if (all->rank == 0 && where.nonce != 0)
        unlink(where.path);
    if (board) {
        all->impl->board = board;
        all->impl->mine = &board->rank[all->rank];
        par_board_join(all->impl->mine, PAR_RANK_COMPUTING);
    }
}

/* The connection that mpiexec watches: see harness/launch/deaths.c. */
static void note_manager(par_board_rank *record)
{
    const char *fd = getenv("PMI_FD");
    atomic_store(&record->manager_fd, fd ? atoi(fd) : 0);
}

/* The launcher's board, if this host has it.  Hydra says in PMI_RANK who we
 * are, so that a rank is on the board before MPI_Init, which takes long.     */
static core_status join_launcher(par_board **out, const char *path)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* mpiexec's proxy gone: so are we */
    CORE_TRY(par_board_map(out, path));
    const char *text = getenv("PMI_RANK");
    const int rank = text ? atoi(text) : -1;
    if (rank < 0 || rank >= (*out)->n_rank)
        return CORE_OK;
    note_manager(&(*out)->rank[rank]);
    par_board_join(&(*out)->rank[rank], PAR_RANK_STARTING);
    return CORE_OK;
}

static core_status start_mpi(int *rank, int *size)
{
    int provided, found = 0, *tag_ub = NULL;
    CORE_FAIL_IF(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) !=
                     MPI_SUCCESS,
                 CORE_E_INTERNAL, "MPI does not start");
    process.started = true;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tag_ub, &found);
    const int highest = found && tag_ub ? *tag_ub : 32767;
    process.tag_mask = 0x7fff;
    while (process.tag_mask < 0xfffffff && process.tag_mask * 2 + 1 <= highest)
        process.tag_mask = process.tag_mask * 2 + 1;
    return CORE_OK;
}

core_status par_comm_start(const par_comm_options *options)
{
    core_assert(!process.started);
    par_board *board = NULL;
    if (options->board_path && options->board_path[0] != '\0')
        CORE_TRY(join_launcher(&board, options->board_path));
    int rank = 0, size = 1;
    core_status status = start_mpi(&rank, &size);
    if (status == CORE_OK && board && board->n_rank != size)
        status = core_fail(CORE_E_INTERNAL, "%d ranks started, %d expected",
                           size, board->n_rank);
    if (status == CORE_OK)
        status = par__comm_make(&process.all, rank, size, 0, board);
    if (status != CORE_OK) {
        par_board_unmap(board);
        return status;
    }
    if (board)
        par_board_join(&board->rank[rank], PAR_RANK_COMPUTING);
    else if (options->board_path == NULL)
        share_own_board(process.all, options);
    par__leave_on_term(process.all->impl->board);
    par_at(process.all, "start", -1);
    return CORE_OK;
}

void par_comm_use_board(par_board *board)
{
    struct par_comm_impl *impl = process.all->impl;
    core_assert(impl->board == NULL);
    impl->board = board;
    impl->mine = &board->rank[process.all->rank];
    note_manager(impl->mine);
    par_board_join(impl->mine, PAR_RANK_COMPUTING);
    par__leave_on_term(board);
}

/* Messages of others may still need this process to pass them on: until all
 * have finished, or for a while where that cannot be seen.                   */
static void progress_until_all_finish(const par_board *board)
{
    enum { NAPS = 500, BLIND_NAPS = 20 };
    for (int k = 0; k < (board ? NAPS : BLIND_NAPS); k++) {
        int flag;
        MPI_Iprobe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
        if (board && par_board_all_finished(board))
            return;
        nap(5000000);
    }
}

static void leave(const par_board *board)
{
    enum { PATIENCE_SECONDS = 10 };
    progress_until_all_finish(board);
    if (par__say_done())
        return;
    alarm(PATIENCE_SECONDS);
    MPI_Finalize();
    alarm(0);
}

void par_comm_stop(void)
{
    par_comm *all = process.all;
    if (!all)
        return;
    par_at(all, "stop", -1);
    par_barrier(all, &all->world);
    atomic_store(&all->impl->mine->state, PAR_RANK_FINISHED);
    leave(all->impl->board);
    process.started = false;
    process.all = NULL;
    par_board_unmap(all->impl->board);
    par__comm_free(all);
}
