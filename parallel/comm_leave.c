/* parallel/comm_leave.c -- leaving a run, in time.
 *
 * MPI_Finalize over a network waits for messages of ranks that have already
 * entered it and no longer look (MPICH 4.0.2 over UCX: four ranks that add a
 * number over tcp hang there in two runs of three).  So a rank leaves as one
 * that mpiexec knows to be done: with the word that MPI_Finalize itself would
 * send to its process manager at the very end.  The protocol is PMI-1, which
 * Hydra speaks, and Slurm's pmi2 too; where there is another, MPI_Finalize it
 * is (comm_mpi.c).
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const par_board *ended; /* for the signal handlers */

/* Told to end: with the code that the run was ended with, if it was. */
static void on_term(int number)
{
    const int status = ended != NULL ? atomic_load(&ended->aborted) : 0;
    if (status != 0)
        _exit(core_status_exit_code((core_status)status));
    signal(number, SIG_DFL);
    raise(number);
}

void par__leave_on_term(const par_board *board)
{
    const struct sigaction caught = {.sa_handler = on_term};
    ended = board;
    sigaction(SIGTERM, &caught, NULL);
}

bool par__say_done(void)
{
    static const char word[] = "cmd=finalize\n";
    const char *fd = getenv("PMI_FD");
    char answer[64] = "";
    if (fd == NULL || send(atoi(fd), word, sizeof word - 1, MSG_NOSIGNAL) !=
                          (ssize_t)sizeof word - 1)
        return false;
    (void)!read(atoi(fd), answer, sizeof answer - 1);
    return true;
}

/* Until the watch has told the other hosts how the run was ended.  A watch
 * that does not answer is not waited for.                                    */
void par__await_told(const par_board *board)
{
    enum { NAPS = 300 };
    for (int k = 0; k < NAPS && board != NULL && board->has_launcher &&
                    !atomic_load(&board->is_told);
         k++)
        par_nap_ms(10);
}

bool par__await_claim(const par_board *board)
{
    enum { NAPS = 500 };
    for (int k = 0; k < NAPS && board != NULL && board->has_launcher; k++) {
        if (atomic_load(&board->aborted) != 0)
            return true;
        par_nap_ms(10);
    }
    return false;
}
