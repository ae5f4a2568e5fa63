/* harness/launch/ending.c -- see ending.h. */
#include "harness/launch/ending.h"

#include "harness/launch/launch.h"
#include "parallel/board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int har_started_as(void)
{
    static const char *const names[] = {"PMI_RANK", "PMIX_RANK",
                                        "OMPI_COMM_WORLD_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && har_is_rank())
            return atoi(text);
    }
    return 0;
}

/* FOLDER/name of a rank that our launcher started, else NULL. */
static FILE *open_in_folder(const char *name)
{
    const char *folder = har_is_rank() ? har_rank_folder() : NULL;
    char path[512];
    if (folder == NULL)
        return NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "w");
}

/* A rank that cannot come to the others: nobody need wait for it.            */
static bool stayed_away(core_status status)
{
    char path[512], line[PAR_BOARD_LINE];
    par_board *board = NULL;
    if (!har_is_rank() || har_rank_folder() == NULL ||
        par_comm_n_started() > 0)
        return false;
    snprintf(path, sizeof path, "%s/board", har_rank_folder());
    snprintf(line, sizeof line, "rank %d: %s", har_started_as(),
             core_message()[0] != '\0' ? core_message()
                                       : core_status_name(status));
    if (par_board_map(&board, path) != CORE_OK)
        return false;
    const bool is_told = board->has_launcher;
    if (is_told)
        par_board_claim(board, status, line);
    par_board_unmap(board);
    return is_told;
}

int har_end(core_status status)
{
    if (status == CORE_OK || stayed_away(status) || har_started_as() != 0)
        return core_status_exit_code(status);
    FILE *file = open_in_folder("errors");
    fprintf(file != NULL ? file : stderr, "moeparity: %s\n",
            core_message()[0] != '\0' ? core_message()
                                      : core_status_name(status));
    if (file != NULL)
        fclose(file);
    return core_status_exit_code(status);
}

core_status har_report_open(FILE **out)
{
    *out = stdout;
    if (!har_is_rank() || har_rank_folder() == NULL)
        return CORE_OK;
    *out = open_in_folder("report");
    CORE_FAIL_IF(*out == NULL, CORE_E_FILE, "%s/report: cannot be written: %s",
                 har_rank_folder(), strerror(errno));
    return CORE_OK;
}

core_status har_report_close(FILE *out)
{
    const bool had_error = ferror(out) != 0;
    errno = 0;
    const int closed = out == stdout ? fflush(out) : fclose(out);
    CORE_FAIL_IF(had_error || closed != 0, CORE_E_FILE,
                 "the report cannot be written: %s",
                 errno != 0 ? strerror(errno) : "write error");
    return CORE_OK;
}
