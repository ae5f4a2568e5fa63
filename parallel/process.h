/* parallel/process.h -- what the kernel says about a process of this host.
 *
 * A rank that was killed, was stopped or sits still says nothing itself; /proc
 * does.  Depends on nothing.
 */
#ifndef PAR_PROCESS_H
#define PAR_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct par_process {
    char state;         /* R, S, D, T (stopped), Z (dead, not collected) ...  */
    uint64_t cpu_ticks; /* user + system time so far                          */
} par_process;

/* False if there is no such process.                                 [local] */
bool par_process_read(par_process *out, int pid);

/* True unless the process is gone or a zombie.                       [local] */
bool par_process_is_alive(int pid);

/* Monotonic clock of the host, the same in all its processes.        [local] */
int64_t par_now_ns(void);

#endif
