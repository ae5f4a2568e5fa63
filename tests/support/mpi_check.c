/* tests/support/mpi_check.c -- agree, then assert; rank 0 prints. */
#include "tests/support/mpi_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

par_comm *mpi_world;

bool mpi_all_agree(par_comm *comm, bool condition, const char *file, int line,
                   const char *fmt, ...)
{
    core_status status = CORE_OK;
    core_message_clear();
    if (!condition) {
        char text[400];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        status = core_fail(CORE_E_DIFFERS, "%s:%d: %s", file, line, text);
    }
    return par_agree(comm, status) == CORE_OK;
}

int mpi_check_run(Suite *suite)
{
    const char *folder = getenv("MOEPARITY_RUN_FOLDER"); /* a launcher's */
    char board[300];
    snprintf(board, sizeof board, "%s/board", folder ? folder : "");
    const par_comm_options options = {.stall_seconds = 20,
                                      .board_path = folder ? board : NULL};
    if (par_comm_start(&options) != CORE_OK ||
        par_comm_open(&mpi_world, par_comm_n_started()) != CORE_OK) {
        fprintf(stderr, "%s\n", core_message());
        return 1;
    }
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, mpi_world->rank == 0 ? CK_NORMAL : CK_SILENT);
    const int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    par_comm_close(mpi_world);
    par_comm_stop();
    return n_failed != 0;
}
