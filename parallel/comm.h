/* parallel/comm.h -- what ranks can do together: about ten operations.
 *
 * Everything is built on non-blocking point-to-point messages over one
 * communicator, with MPI_Test and nanosleep: with more ranks than cores a
 * blocking call of MPICH spins the others off the processor (measured, 64-byte
 * all-reduce over 32 ranks on 2 cores: 217 ms against 2.3 ms).  No group ever
 * becomes an MPI communicator, so creating one costs nothing and cannot be done
 * in the wrong order.
 *
 * Reductions add in the order of the group's members, so a result does not
 * depend on timing.  Every operation publishes what this rank does and waits
 * for on the board (parallel/board.h); a rank that dies, stops or enters
 * another operation than its peers ends the run with a message.
 *
 * Operations return nothing: a failure inside a collective ends the run through
 * par_abort.  Never includes MPI.
 */
#ifndef PAR_COMM_H
#define PAR_COMM_H

#include "core/base/status.h"
#include "core/numbers/numerics.h"

#include <stddef.h>
#include <stdint.h>

/* A named, ordered set of ranks.  Plain data, the same on all members except
 * `me`; borrowed by the operations.                                          */
typedef struct par_group {
    char name[24];    /* "tp", "ep", "etp", "world" ...: for messages          */
    int id;           /* the same on all members, unique in the run; 0 = world */
    int n;            /* members                                              */
    int me;           /* my index in rank[]                                   */
    const int *rank;  /* [n] ranks of the communicator                        */
} par_group;

typedef struct par_request par_request; /* opaque; from par_post_*, to par_wait */

typedef enum par_op_kind {
    PAR_ALL_REDUCE, PAR_ALL_GATHER, PAR_REDUCE_SCATTER, PAR_ALL_TO_ALL,
    PAR_BROADCAST, PAR_SEND, PAR_RECV, PAR_BARRIER, PAR_AGREE,
    PAR_N_OP_KINDS
} par_op_kind;

const char *par_op_name(par_op_kind kind); /* "all-reduce" ... */

/* One finished operation, for traces and counts. */
typedef struct par_comm_record {
    par_op_kind kind;
    const par_group *group; /* NULL for send and receive                      */
    int peer;               /* send, receive: the other rank; else -1         */
    int64_t bytes;          /* that this rank sent to others                  */
    double seconds;         /* wall time inside the operation                 */
} par_comm_record;

typedef struct par_comm par_comm;

struct par_comm {
    int rank, size;          /* of the ranks that take part                   */
    par_group world;         /* all of them                                   */
    double wait_seconds;     /* wall time spent waiting so far                */
    int64_t n_bytes[PAR_N_OP_KINDS]; /* sent so far, by kind; a message counts
                                      * when it is posted                     */
    int64_t n_calls[PAR_N_OP_KINDS];
    void (*record)(void *self, const par_comm_record *record); /* NULL: none  */
    void *record_self;
    struct par_comm_impl *impl;
};

/* --- start and end (comm_mpi.c) ------------------------------------------- */

typedef struct par_comm_options {
    double stall_seconds;    /* no progress anywhere for so long ends the run;
                              * <= 0: 30                                      */
    const char *board_path;  /* file shared with a launcher; NULL: rank 0 makes
                              * one of its own; "": par_comm_use_board follows */
} par_comm_options;

/* MPI_Init, once per process.                              [collective, world] */
CORE_NODISCARD core_status par_comm_start(const par_comm_options *options);

/* The board of this host, which is this process's to unmap no more; before any
 * communicator is opened.                                            [local] */
struct par_board;
void par_comm_use_board(struct par_board *board);

/* All ranks are done with MPI; every rank exits afterwards.
 *                                                          [collective, world] */
void par_comm_stop(void);

/* Processes that mpiexec started / number of this one; after par_comm_start. */
int par_comm_n_started(void);
int par_comm_my_start(void);

/* A communicator of the first n started ranks.  Returns with *out = NULL on the
 * others.  Several may exist one after the other, with different n.  [collective] */
CORE_NODISCARD core_status par_comm_open(par_comm **out, int n);
void par_comm_close(par_comm *comm); /* accepts NULL */

/* --- what a rank is doing -------------------------------------------------- */

/* For messages: the operator about to run, e.g. "layers.3.attn_out", and the
 * tick.  Cheap; copied.  Counts as progress.                         [local] */
void par_at(par_comm *comm, const char *what, int64_t tick);

/* What is begun: its name, and which share of the run it begins and ends with,
 * 0..1.  Without, all that is done is the whole run.                 [local] */
void par_set_step(par_comm *comm, const char *name, double from, double to);

/* How much of the step is done, 0..1: for the launcher's progress line, which
 * never goes back.  Returns how much of the run that is.             [local] */
double par_set_fraction(par_comm *comm, double fraction);

/* --- operations over a group; all are [collective] over it ------------------ */

typedef enum par_sum { PAR_SUM, PAR_MAX } par_sum;

/* buf[0..n) = sum (or max) over members, in member order.  With floats
 * (fp32, bf16) it rounds to fp32 after every addition; else plain doubles.   */
void par_all_reduce(par_comm *comm, const par_group *group, double *buf,
                    int64_t n, par_sum op, core_numerics rounding);

/* The same for 64-bit integers, wrapping.                                    */
void par_all_reduce_u64(par_comm *comm, const par_group *group, uint64_t *buf,
                        int64_t n);

/* out gets every member's block of count[i] bytes in member order; in is my own
 * block.  in may lie at its place in out.                                    */
void par_all_gather(par_comm *comm, const par_group *group, const void *in,
                    void *out, const int64_t *count_bytes);

/* Member i receives the sum of everybody's block i: in holds sum(count) doubles,
 * out count[me]; out may be block me of in.  Same order and rounding as
 * par_all_reduce.                                                            */
void par_reduce_scatter(par_comm *comm, const par_group *group,
                        const double *in, double *out, const int64_t *count,
                        core_numerics rounding);

/* Block i of `in` (in_bytes[i], at in_offset[i]) goes to member i; the block of
 * member i lands at out_offset[i] (out_bytes[i]).  Sizes must agree pairwise. */
void par_all_to_all(par_comm *comm, const par_group *group, const void *in,
                    const int64_t *in_offset, const int64_t *in_bytes,
                    void *out, const int64_t *out_offset,
                    const int64_t *out_bytes);

/* The same, begun: until par_complete the buffers belong to the operation, and
 * `out` is filled by that and by nothing before it.  All members begin and
 * complete in the same order, with whatever else they do between.  is_late, a
 * rank's own choice: it sends when it completes.                             */
typedef struct par_exchange par_exchange;
par_exchange *par_begin_all_to_all(par_comm *comm, const par_group *group,
                                   const void *in, const int64_t *in_offset,
                                   const int64_t *in_bytes, void *out,
                                   const int64_t *out_offset,
                                   const int64_t *out_bytes, bool is_late);
void par_complete(par_comm *comm, par_exchange *exchange); /* accepts NULL */

void par_broadcast(par_comm *comm, const par_group *group, void *buf,
                   int64_t bytes, int root_index);
void par_barrier(par_comm *comm, const par_group *group);

/* --- point to point ---------------------------------------------------------- */

/* Start a message; the buffer belongs to the operation until par_wait.  tag in
 * [0, 1000).  Messages between two ranks with the same tag arrive in order.
 * par_wait, and nothing before it, fills the buffer of a receive: whoever reads
 * too early finds what was there, always, and never by luck what will be.     */
par_request *par_post_send(par_comm *comm, int to, int tag, const void *buf,
                           int64_t bytes);
par_request *par_post_recv(par_comm *comm, int from, int tag, void *buf,
                           int64_t bytes);
void par_wait(par_comm *comm, par_request *request); /* accepts NULL */

/* Release of the MPI that the program runs with, such as "MPICH 4.0.2", into
 * text.  MPI need not be started.                                     [local] */
enum { PAR_LIBRARY_TEXT = 80 };
const char *par_library(char text[PAR_LIBRARY_TEXT]);

/* --- failure ----------------------------------------------------------------- */

/* End of a phase: all ranks learn the worst status, and the message of the
 * lowest rank that has it ("rank 3: ..., and 2 more ranks"; without a rank what
 * every one of them says), which becomes core_message() on every rank.  Returns
 * the same status everywhere.                             [collective, world] */
CORE_NODISCARD core_status par_agree(par_comm *comm, core_status status);

/* End the whole run now, from one rank: prints "[rank/size] message" and ends
 * every process with the status's exit code.                         [local] */
_Noreturn void par_abort(par_comm *comm, core_status status, const char *fmt,
                         ...) CORE_PRINTF(3, 4);

#endif
