/* harness/program/command.h -- the commands of the program, and what they share.
 *
 * A command gets the whole argv (argv[0] program, argv[1] command) and returns
 * the exit code.  One file per command; options by argp.
 */
#ifndef HAR_CMD_H
#define HAR_CMD_H

#include "harness/launch/ending.h"
#include "harness/program/options.h"
#include "harness/words/words.h"

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
int har_cmd_rebalance(int argc, char **argv);
int har_cmd_top(int argc, char **argv);

#define HAR_EXIT_CODES                                                         \
    "Exit codes: 0 verified or ok, 1 differs, 2 usage, 3 bad input, "          \
    "4 not enough resources, 5 internal error, 6 partial or unproven."

#endif
