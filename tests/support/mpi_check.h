/* tests/support/mpi_check.h -- Check under mpiexec.
 *
 * Every rank runs the same tests without forking.  An assertion that failed on
 * one rank only would leave the others in the next collective, so mpi_assert
 * agrees first and then fails everywhere.  Plain ck_assert only on what is the
 * same on all ranks.
 */
#ifndef TESTS_MPI_CHECK_H
#define TESTS_MPI_CHECK_H

#include "parallel/comm.h"

#include <check.h>

/* The communicator of the suite; set by mpi_check_run. */
extern par_comm *mpi_world;

/* Fails on all ranks if condition is false on one.      [collective, world] */
#define mpi_assert(condition, ...)                                             \
    mpi_assert_on(mpi_world, condition, __VA_ARGS__)
#define mpi_assert_on(comm, condition, ...)                                    \
    ck_assert_msg(                                                             \
        mpi_all_agree(comm, condition, __FILE__, __LINE__, __VA_ARGS__), "%s", \
        core_message())

bool mpi_all_agree(par_comm *comm, bool condition, const char *file, int line,
                   const char *fmt, ...) CORE_PRINTF(5, 6);

/* Start, run the suite on all started ranks, stop; main's exit code. */
int mpi_check_run(Suite *suite);

#endif
