/* harness/program/command.h -- the commands of the program, and what they share.
 *
 * A command gets the whole argv (argv[0] program, argv[1] command) and returns
 * the exit code.  One file per command; options by argp.
 */
#ifndef HAR_CMD_H
#define HAR_CMD_H

#include "core/base/status.h"
#include "harness/launch/launch.h"
#include "parallel/comm.h"

#include <argp.h>
#include <stdio.h>

int har_cmd_verify(int argc, char **argv);
int har_cmd_run(int argc, char **argv);
int har_cmd_compare(int argc, char **argv);
int har_cmd_inspect(int argc, char **argv);
int har_cmd_spec(int argc, char **argv);
int har_cmd_plan(int argc, char **argv);
int har_cmd_golden(int argc, char **argv);
int har_cmd_calibrate(int argc, char **argv);
int har_cmd_predict(int argc, char **argv);
int har_cmd_report(int argc, char **argv);
int har_cmd_perf(int argc, char **argv);
int har_cmd_audit(int argc, char **argv);
int har_cmd_search(int argc, char **argv);

#define HAR_EXIT_CODES                                                         \
    "Exit codes: 0 verified or ok, 1 differs, 2 usage, 3 bad input, "          \
    "4 not enough resources, 5 internal error."

/* Parse the options of a command; does not return for --help and usage errors
 * (exit 0 and 2).  argv is not changed.                               [local]
 */
void har_parse(const struct argp *argp, int argc, char **argv,
               const char *command, void *input);

/* Number of this process in its job, before MPI is started; 0 alone.  [local]
 */
int har_started_as(void);

/* Print the recorded message as "moeparity: ..." (once among ranks) and return
 * the exit code of the status.                                        [local]
 */
int har_end(core_status status);

/* Where the report goes: stdout, or the file that the launcher shows at the
 * end. Errors: E_FILE. [local] */
CORE_NODISCARD core_status har_report_open(FILE **out);

/* Flush and check; a full disk or closed pipe is an error.  Errors: E_FILE. */
CORE_NODISCARD core_status har_report_close(FILE *out);

/* Positive decimal integer of an option; E_USAGE naming it.           [local]
 */
CORE_NODISCARD core_status har_parse_count(int64_t *out, const char *option,
                                           const char *text);

/* "16..64", rising, or "16" for both ends, at most `most`; E_USAGE naming the
 * option.                                                             [local]
 */
CORE_NODISCARD core_status har_parse_range(int64_t *first, int64_t *last,
                                           const char *option, const char *text,
                                           int64_t most);

/* "16x11": rows and tokens of an option.  Errors: E_USAGE naming it.  [local]
 */
CORE_NODISCARD core_status har_parse_batch(int64_t *n_b, int64_t *n_t,
                                           const char *option,
                                           const char *text);

/* --- the ranks of a command (ranks.c) --------------------------------------
 */

typedef struct har_ranks {
    char folder[256]; /* shared by all ranks                              */
    bool owns_folder; /* made here: nobody launched us                    */
    har_run run;      /* then, on rank 0                                  */
} har_ranks;

/* Start MPI and agree on the run folder.  need_bytes: room in it.
 * Errors: E_SPACE, E_USAGE if fewer than n_rank were started.  [collective] */
CORE_NODISCARD core_status har_ranks_start(har_ranks *out, int n_rank,
                                           double stall_seconds,
                                           size_t need_bytes);

/* All started ranks learn the worst status and its message.      [collective]
 */
CORE_NODISCARD core_status har_ranks_agree(core_status status);

/* All started ranks learn the worst status; who has a message keeps it.  For
 * what a plan's ranks, rank 0 among them, have agreed on.        [collective]
 */
CORE_NODISCARD core_status har_ranks_join(core_status status);

void har_ranks_stop(har_ranks *ranks, bool keep);

/* Start this command again under mpiexec and wait: the exit code.     [local]
 */
int har_launch_again(char **argv, const char *what, int n_rank,
                     double stall_seconds, size_t need_bytes, bool keep);

#endif
