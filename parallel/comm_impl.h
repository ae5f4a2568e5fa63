/* parallel/comm_impl.h -- what the operations are made of: messages and waits.
 *
 * Private to parallel/ and its tests.  comm_mpi.c implements the messages;
 * comm_ops.c, comm_reduce.c and comm_agree.c are written on top and never see
 * MPI.  An operation is always: par__begin, post all receives and sends, wait
 * for them in that order, par__end.  As everything is posted before the first
 * wait, no order of arrival can block.
 */
#ifndef PAR_COMM_IMPL_H
#define PAR_COMM_IMPL_H

#include "parallel/board.h"
#include "parallel/comm.h"

#include <stddef.h>
#include <stdint.h>

/* A message, or a part of one, on its way.                                   */
struct par_request {
    par_op_kind kind; /* PAR_SEND or PAR_RECV                            */
    bool done;
    int peer, tag;
    char *buf;           /* of a send: never written                        */
    int64_t bytes;       /* of this part                                    */
    int64_t total_bytes; /* of the message                                  */
    struct par_request *rest; /* the other parts */
    void *arriving;           /* par_post_recv: buf, which is ours, until ...  */
    void *deliver_to;         /* ... par_wait copies it here                   */
    struct par_request *next; /* in a list: unused, to_self, the transport's   */
    uint64_t handle;          /* the transport's: MPI's, or is it complete?    */
    int64_t n_moved;          /* comm_shared.c: bytes sent so far              */
};

/* What carries messages: MPI (comm_mpi.c), or memory that all ranks share
 * (comm_shared.c).  One per process, chosen at its start.                    */
typedef struct par__transport {
    /* Post a part: it may be complete at once.                               */
    void (*start)(par_comm *comm, par_request *part);
    /* Is it complete?  Moves what can be moved, of other messages too.       */
    bool (*test)(par_comm *comm, par_request *part);
    /* The rank has nothing to do: it rests for the n'th time, from 0, in a wait
     * for this part.  Short enough for par__watch.                           */
    void (*rest)(par_comm *comm, const par_request *part, int n);
} par__transport;

const par__transport *par__transport_used(void); /* comm_mpi.c */

struct par_comm_impl {
    int epoch;            /* number of this communicator in the process   */
    int n_opened;         /* of the first communicator: others since      */
    par_board *board;     /* NULL: this host has none                     */
    par_board_rank *mine; /* my record, or a private one                  */
    par_board_rank private_record;
    double step_from, step_to; /* shares of the run: par_set_step             */
    int *world_rank;  /* [size] 0, 1, 2 ...                           */
    uint32_t *n_call; /* [n_call_ids] operations so far, by group id  */
    int64_t n_call_ids;
    par_request **requests; /* [2*size] of the operation under way          */
    int n_requests;
    char *scratch; /* grows, never shrinks                         */
    size_t scratch_bytes;
    int64_t part_bytes;       /* longer messages travel in parts of this size */
    par_request *unused;      /* free list                                    */
    par_request *to_self;     /* sends and receives to myself, not yet met    */
    int64_t longest_pause_ns; /* between two looks of a rank that polls       */
    int64_t watched_ns;       /* last time the board was looked at            */
};

typedef struct par__op {
    par_op_kind kind;
    const par_group *group;
    int tag;
    uint32_t call; /* of the group                                 */
    int64_t bytes; /* sent to others                               */
    int64_t start_ns;
} par__op;

/* --- operations (comm_ops.c) --- */

par__op par__begin(par_comm *comm, const par_group *group, par_op_kind kind);
/* Turn to an operation that was begun before: the board says so.            */
void par__resume_op(par_comm *comm, const par__op *op);
void par__end(par_comm *comm, const par__op *op);

/* Room for bytes; contents are lost at the next call. */
void *par__scratch(par_comm *comm, int64_t bytes);

/* Binomial tree from member root_index. */
void par__tree_broadcast(par_comm *comm, par__op *op, void *buf, int64_t bytes,
                         int root_index);

/* --- messages (comm_message.c) --- */

/* Post a message to or from member i of the operation's group (not me); it
 * joins comm->impl->requests. */
void par__send(par_comm *comm, par__op *op, int i, const void *buf,
               int64_t bytes);
void par__recv(par_comm *comm, par__op *op, int i, void *buf, int64_t bytes);

/* Wait for everything posted since the last par__wait_all. */
void par__wait_all(par_comm *comm, const par__op *op);

/* Has the sender sent as much as this part expects?  Ends the run if not.    */
void par__check_length(par_comm *comm, const par_request *r, int64_t bytes);

/* --- shared memory (comm_shared.c) --- */

/* Carry messages by the mailboxes that lie beside the board.
 * Errors: E_FILE, E_MEMORY.                                          [local] */
CORE_NODISCARD core_status par__shared_open(const par__transport **out,
                                            const char *board_path, int n_rank,
                                            int rank);
void par__shared_close(void);

/* --- communicators (comm_agree.c) --- */

/* A communicator of the first n started ranks, on this process.      [local] */
CORE_NODISCARD core_status par__comm_make(par_comm **out, int rank, int n,
                                          int epoch, par_board *board);
void par__comm_free(par_comm *comm);

/* All started ranks; NULL before par_comm_start. */
par_comm *par__comm_all(void);

/* --- watching (comm_watch.c) --- */

/* Called by a waiting rank between two naps: ends the run if it must end. */
void par__watch(par_comm *comm, int peer);

/* A message to `peer` has failed: because it died?  Then the line says so.  A
 * rank that dies counts as dead a little after its memory has gone: waits for
 * that, where a launcher watches, who meanwhile may end us.          [local] */
bool par__has_died(par_comm *comm, int peer, char line[PAR_BOARD_LINE]);

/* --- arriving (comm_arrive.c) --- */

/* From now on until the end all ranks must arrive: so many seconds, and more for
 * many ranks; else this process ends with a line and the code of a peer that is
 * gone.                                                              [local] */
void par__arrive_begin(double stall_seconds);
void par__arrive_end(void);

/* --- leaving (comm_leave.c) --- */

/* SIGTERM ends this process with the code that the run was ended with; without
 * one, as it would have.                                             [local] */
void par__leave_on_term(const par_board *board);

/* Tell the process manager that this rank is done with MPI, as MPI_Finalize
 * would; false if it speaks another protocol.                        [local] */
bool par__say_done(void);

/* Wait, some seconds at most, until the watch has told the other hosts of the
 * run's end; until somebody has ended the run: false if nobody did.  At once
 * where nobody watches; accept NULL.                                 [local] */
void par__await_told(const par_board *board);
bool par__await_claim(const par_board *board);

/* --- tests of faults (hold.c) --- */

/* Does not return if MOEPARITY_HOLD holds this rank at `what`.       [local] */
void par__hold(par_comm *comm, const char *what);

#endif
