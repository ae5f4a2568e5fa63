/* parallel/comm_agree.c -- what all ranks must know: who failed, who takes
 * part.
 *
 * Agreement: the worst status, the lowest rank that has it, its message, how
 * many ranks failed and whether all of them say the same travel up a tree and
 * down again, in one record of fixed size.
 *
 * A communicator of the first n ranks costs no messages in MPI: it is a table.
 * All started ranks meet when one is opened; those beyond n get none and meet
 * the others at the next one, or at the end.
 */
#include "parallel/comm_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct verdict {
    int status, rank, n_failed;
    bool alike; /* the messages of those that failed                          */
    char message[PAR_BOARD_LINE];
} verdict;

static void worse_of(verdict *a, const verdict *b)
{
    const int n_failed = a->n_failed + b->n_failed;
    const bool alike = a->alike && b->alike &&
                       (a->n_failed == 0 || b->n_failed == 0 ||
                        strcmp(a->message, b->message) == 0);
    if (b->status > a->status || (b->status == a->status && b->rank < a->rank))
        *a = *b;
    a->n_failed = n_failed;
    a->alike = alike;
}

static void agree(par_comm *comm, verdict *v)
{
    par__op op = par__begin(comm, &comm->world, PAR_AGREE);
    for (int bit = 1; bit < comm->size; bit <<= 1) {
        if (comm->rank & bit) {
            par__send(comm, &op, comm->rank - bit, v, sizeof *v);
            par__wait_all(comm, &op);
            break;
        }
        if (comm->rank + bit < comm->size) {
            verdict other;
            par__recv(comm, &op, comm->rank + bit, &other, sizeof other);
            par__wait_all(comm, &op);
            worse_of(v, &other);
        }
    }
    par__tree_broadcast(comm, &op, v, sizeof *v, 0);
    par__end(comm, &op);
}

core_status par_agree(par_comm *comm, core_status status)
{
    verdict v = {.status = (int)status,
                 .rank = comm->rank,
                 .n_failed = status != CORE_OK,
                 .alike = true};
    if (status != CORE_OK)
        snprintf(v.message, sizeof v.message, "%s",
                 core_message()[0] ? core_message() : core_status_name(status));
    agree(comm, &v);
    if (v.status == CORE_OK)
        return CORE_OK;
    if (v.n_failed == comm->size && v.alike) {
        core_message_clear();
        CORE_FAIL((core_status)v.status, "%.900s", v.message);
    }
    char others[48] = "";
    if (v.n_failed > 1)
        snprintf(others, sizeof others, ", and %d more rank%s", v.n_failed - 1,
                 v.n_failed == 2 ? "" : "s");
    core_message_clear();
    CORE_FAIL((core_status)v.status, "rank %d: %.900s%s", v.rank, v.message,
              others);
}

/* --- who takes part --- */

core_status par__comm_make(par_comm **out, int rank, int n, int epoch,
                           par_board *board)
{
    par_comm *comm = calloc(1, sizeof *comm);
    struct par_comm_impl *impl = /* its private record is a cache line */
        aligned_alloc(_Alignof(struct par_comm_impl), sizeof *impl);
    int *world = calloc((size_t)n, sizeof *world);
    par_request **requests = calloc(2 * (size_t)n, sizeof *requests);
    if (!comm || !impl || !world || !requests) {
        free(comm);
        free(impl);
        free(world);
        free(requests);
        CORE_FAIL(CORE_E_MEMORY, "no memory for a communicator of %d ranks", n);
    }
    for (int i = 0; i < n; i++)
        world[i] = i;
    *impl = (struct par_comm_impl){
        .epoch = epoch,
        .step_to = 1.0,
        .board = board,
        .world_rank = world,
        .requests = requests,
        .part_bytes = (int64_t)1 << 30,
        /* 512 ranks that wake up every millisecond would fill two cores */
        .longest_pause_ns = 1000000 + (int64_t)n * 18000};
    impl->mine = board ? &board->rank[rank] : &impl->private_record;
    *comm = (par_comm){
        .rank = rank,
        .size = n,
        .world = {.name = "world", .n = n, .me = rank, .rank = world},
        .impl = impl};
    *out = comm;
    return CORE_OK;
}

core_status par_comm_open(par_comm **out, int n)
{
    par_comm *all = par__comm_all();
    core_assert(all);
    *out = NULL;
    static const char text[] = "a communicator of %d ranks, but %d started";
    core_status status = CORE_OK;
    if (n < 1 || n > all->size)
        status = core_fail(CORE_E_USAGE, text, n, all->size);
    CORE_TRY(par_agree(all, status));

    uint64_t sum[2] = {(uint64_t)n, (uint64_t)n * (uint64_t)n};
    par_all_reduce_u64(all, &all->world, sum, 2);
    const uint64_t size = (uint64_t)all->size;
    CORE_FAIL_IF(sum[0] * sum[0] != size * sum[1], CORE_E_INTERNAL,
                 "ranks open communicators of different sizes (here %d)", n);

    all->impl->n_opened++;
    par_comm *comm = NULL;
    if (all->rank < n)
        status = par__comm_make(&comm, all->rank, n, all->impl->n_opened,
                                all->impl->board);
    status = par_agree(all, status);
    if (status != CORE_OK)
        par_comm_close(comm);
    else
        *out = comm;
    return status;
}

void par_comm_close(par_comm *comm)
{
    if (comm)
        par__comm_free(comm);
}
