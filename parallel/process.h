/* parallel/process.h -- what the kernel says about a process of this host.
 *
 * A rank that was killed, was stopped or sits still says nothing itself; /proc
 * does.  A process is known by its host, its number and when it started: the
 * same number is another process elsewhere, and later.
 */
#ifndef PAR_PROCESS_H
#define PAR_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct par_process {
    char state;         /* R, S, D, T (stopped), Z (dead, not collected) ...  */
    uint64_t cpu_ticks; /* user + system time so far                          */
    uint64_t start_ticks; /* when it started, since the host did              */
    uint64_t run_ns, wait_ns; /* of all threads (par_process_read_threads): in
                               * a processor, ready and without one           */
    int parent, n_thread;
    char name[16]; /* of the program, cut                                     */
} par_process;

/* False if there is no such process.                                 [local] */
bool par_process_read(par_process *out, int pid);

/* What its threads do, into what par_process_read has said: run_ns and wait_ns, 0
 * where the kernel does not say it (schedstat); state R if any thread is ready.
 *                                                                    [local] */
void par_process_read_threads(par_process *process, int pid);

/* The same for all processes that see each other under the same numbers, and
 * for no others: a hash of the host's start, its name and the container (the
 * namespace of process numbers).                                     [local] */
uint64_t par_process_host(void);

/* Its name, cut to the room.                                         [local] */
void par_process_host_name(char *out, size_t room);

/* Monotonic clock of the host, the same in all its processes.        [local] */
int64_t par_now_ns(void);

/* Sleep so long, or until a signal comes.                            [local] */
void par_nap_ms(int ms);

#endif
