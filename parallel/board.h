/* parallel/board.h -- who does what: one page of memory that all ranks of a
 * host and who watches over them share.
 *
 * Every rank writes its own record; everybody reads all of them.  That is how a
 * rank that died, was stopped or entered another operation than its peers is
 * found and named by somebody else.  One look at a time (par_board_check): the
 * ranks that wait and the launcher take turns.
 *
 * With several hosts each has a board of its own, with records for all ranks.
 * Those of its own ranks are written by them; those of the others are copies,
 * brought by the hosts' watches (harness/launch/hosts.h) twice a second.
 *
 * A record's texts are written without a lock: a reader may see half of one and
 * half of the next, never beyond the field (the last byte stays 0).  What is
 * decided on is atomic.  Never includes MPI.
 */
#ifndef PAR_BOARD_H
#define PAR_BOARD_H

#include "core/base/status.h"
#include "parallel/comm.h"
#include "parallel/process.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum par_rank_state {
    PAR_RANK_ABSENT, /* never heard of: not started yet                    */
    PAR_RANK_STARTING,
    PAR_RANK_COMPUTING,
    PAR_RANK_WAITING,
    PAR_RANK_FINISHED /* all agreed to stop                                 */
} par_rank_state;

/* Which operation a rank is in, in one word so that it is read in one piece.
 * call counts the operations over the group, so members in the same call must
 * be in the same kind.                                                       */
typedef struct par_board_op {
    int epoch;    /* communicator, 8 bits                                     */
    int kind;     /* par_op_kind; PAR_N_OP_KINDS: none                        */
    int group_id; /* PAR_NO_GROUP: send and receive                           */
    uint32_t call;
} par_board_op;

enum { PAR_NO_GROUP = 0xfffff };

typedef struct par_board_rank {
    _Alignas(64) _Atomic int pid; /* of a process of ...                      */
    _Atomic uint64_t host;        /* ... par_process_host                     */
    _Atomic uint64_t start_ticks; /* par_process                              */
    _Atomic int state; /* par_rank_state                                      */
    _Atomic int manager_fd; /* its connection to mpiexec; 0: not known        */
    _Atomic uint64_t progress;
    _Atomic uint64_t op; /* packed par_board_op                            */
    _Atomic int peer;    /* waited for; -1: none                           */
    _Atomic int64_t tick;
    /* written by who looks at its process (par_board_look) */
    _Atomic int letter; /* par_process.state; 0: not to be seen               */
    _Atomic uint64_t cpu_ticks, run_ns, wait_ns; /* par_process               */
    _Atomic int64_t seen_ns; /* when that was, by the clock there             */
    _Atomic int has_run;     /* since the look before                         */
    _Atomic int64_t kept_ns; /* since something moved: kept from running      */
    _Atomic int is_watched;   /* the launcher would see it die                */
    _Atomic int64_t heard_ns; /* of a copy: when it came, by the clock here   */
    char group[24];
    char what[64];
    char where[32]; /* its host's name                                        */
} par_board_rank;

enum { PAR_BOARD_LINE = 1024 };

typedef struct par_board {
    uint64_t magic, nonce;
    uint64_t host; /* where it was made, par_process_host                */
    int n_rank;
    bool has_launcher; /* or another watch: it judges and prints `line`,
                        * ranks stay silent                              */
    bool has_others;   /* ranks may be on other hosts: lines name hosts  */
    bool is_one_host;  /* of all ranks: there are mailboxes beside it    */
    double stall_seconds;
    _Atomic int fraction; /* of the work, per mille, for the progress line  */
    char step[48];        /* what of it is being done, like a rank's `what` */
    _Atomic int claimed;  /* somebody is ending the run                     */
    _Atomic int aborted;  /* core_status it ended with, once line is there  */
    _Atomic int is_told;  /* the other hosts know that                      */
    char line[PAR_BOARD_LINE];
    _Atomic int64_t looked_ns; /* last look                                   */
    _Atomic int64_t quiet_ns;  /* time of the looks that saw nothing move     */
    _Atomic int64_t death_ns;  /* first look that saw more than one death     */
    _Atomic uint64_t progress_sum;
    _Atomic uint64_t n_coming; /* looks of a launcher at which ranks that have
                                * not come moved                              */
    _Atomic uint64_t cpu_sum; /* of the ranks that compute                    */
    _Atomic int next_zombie;
    par_board_rank rank[];
} par_board;

/* Make the file (it must not exist) and map it; nobody sees it half made.
 * Errors: E_FILE, E_SPACE.                                           [local] */
CORE_NODISCARD core_status par_board_create(par_board **out, const char *path,
                                            int n_rank, double stall_seconds,
                                            bool has_launcher);

/* Map a board that somebody else made.  Errors: E_FILE.              [local] */
CORE_NODISCARD core_status par_board_map(par_board **out, const char *path);

void par_board_unmap(par_board *board); /* accepts NULL */

/* This process is rank `rank` from now on.                           [local] */
void par_board_join(par_board_rank *record, par_rank_state state);

/* What the board's host knows about a rank's process. */
typedef enum par_life {
    PAR_LIFE_UNKNOWN, /* no rank yet, a process of another host, or one with
                       * the rank's number that started at another time       */
    PAR_LIFE_DEAD,
    PAR_LIFE_RUNS /* or is stopped                                            */
} par_life;

/* Is the rank's process one of the board's host?                     [local] */
bool par_board_is_home(const par_board *board, int rank);

/* *out is set if it runs.  On the board's host only.                 [local] */
par_life par_board_life(const par_board *board, int rank, par_process *out);

/* Send a signal to every rank that is known to run; returns how many those are.
 * On the board's host only.                                          [local] */
int par_board_kill(const par_board *board, int signal_number);

/* A rank of another host, not finished, that nothing has been heard of for so
 * many seconds: the first; -1 if there is none.                      [local] */
int par_board_unheard(const par_board *board, double seconds);

/* How many ranks have come.                                          [local] */
int par_board_n_come(const par_board *board);

/* True if all ranks of this board's host have finished / all ranks.  [local] */
bool par_board_home_finished(const par_board *board);
bool par_board_all_finished(const par_board *board);

uint64_t par_board_op_pack(par_board_op op);
par_board_op par_board_op_unpack(uint64_t word);

/* "pid 17", with other hosts "pid 17 on node3"; out.                 [local] */
const char *par_board_process_name(const par_board *board, int rank, char *out,
                                   size_t out_bytes);

/* "rank 3 waits in all-gather over tp for rank 2 (layers.3.attn_out, tick 4)"
 */
void par_board_describe(const par_board *board, int rank, char *out,
                        size_t out_bytes);

/* End the run with this line; true for the first caller only.  CORE_OK: nobody
 * shall end it with a line any more.  Safe in a signal handler.      [local] */
bool par_board_claim(par_board *board, core_status status, const char *line);

/* --- copies between hosts (board_copy.c) --- */

typedef struct par_board_copy {
    int32_t rank;
    par_board_rank record;
} par_board_copy;

/* The records of the ranks of this host (not_of 0), or of all but those of
 * another, for that one; returns how many, at most n_rank.           [local] */
int par_board_copies(const par_board *board, uint64_t not_of,
                     par_board_copy out[]);

/* Take over what another host says; records of this host's ranks are left as
 * they are, and so is anything that is no rank's.                    [local] */
void par_board_take(par_board *board, const par_board_copy in[], int n);

/* --- what the kernel says (board_look.c) --- */

/* Note what the processes of this host do.                           [local] */
void par_board_look(par_board *board);

/* Note what one of them was seen to do.                              [local] */
void par_board_saw(par_board_rank *record, const par_process *process,
                   int64_t now_ns);

/* Stopped all the time between the last two looks at it.             [local] */
bool par_board_is_held(const par_board_rank *record);

/* What the time between two looks counts, in ns: at most half a second, for who
 * looks may have been kept from it, with all that it looks at.       [local] */
int64_t par_board_passed(int64_t from_ns, int64_t to_ns);

/* --- judgement (board_check.c) --- */

/* Look at all ranks, at most ten times a second over all callers.  True if the
 * run must end, with the line that says why: a rank died (where a launcher
 * watches, that is its business), or nothing moved for stall_seconds.  A rank
 * that computes moves as long as its processor time does (one that has not come:
 * as long as a launcher sees so), unless another is held.  Time in which a rank
 * was kept from running does not count: ready and without a processor, or
 * stopped and going on again.
 * On the board's host only: clocks differ between hosts.             [local] */
bool par_board_check(par_board *board, char line[PAR_BOARD_LINE]);

/* The line for the host of a rank that is not to be heard.           [local] */
void par_board_say_lost(const par_board *board, int rank,
                        char line[PAR_BOARD_LINE]);

/* The line for a rank known to have died.                            [local] */
void par_board_say_died(const par_board *board, int rank,
                        char line[PAR_BOARD_LINE]);

/* True if `peer`, which `me` waits for, is in another operation of the same
 * call over the same group: they will never meet.                    [local] */
bool par_board_mismatch(const par_board *board, int me, int peer,
                        char line[PAR_BOARD_LINE]);

#endif
