/* harness/program/main.c -- the program: a table of commands.
 *
 * Results go to stdout, everything else to stderr.  A report that could not be
 * written is an error, so stdout is flushed and checked before the exit code is
 * final.  A standard stream that the caller closed is opened the wrong way
 * round: otherwise the next file would get its number, and the report with it.
 */
#include "harness/program/command.h"

#include "harness/launch/watch_host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} command;

static const command commands[] = {
    {"verify", "does a parallel plan compute the same function as the model?",
     har_cmd_verify},
    {"run", "forward pass of every prompt of a file", har_cmd_run},
    {"compare", "a dump against a golden, or two tap files", har_cmd_compare},
    {"spec", "sizes, parameters and memory of a model", har_cmd_spec},
    {"plan",
     "ranks, groups and placements of a plan; the legal plans of a model",
     har_cmd_plan},
    {"audit", "are the published figures of a deployment true?", har_cmd_audit},
    {"calibrate", "measure this machine, or check such a measurement",
     har_cmd_calibrate},
    {"predict", "what a plan costs on a machine", har_cmd_predict},
    {"report", "one page about a plan on a machine", har_cmd_report},
    {"golden", "make, seal or check golden cases", har_cmd_golden},
    {"perf", "machine files: fit on measured times, score on them",
     har_cmd_perf},
    {"search", "the plans of a model on a machine that nothing else beats",
     har_cmd_search},
    {"inspect", "tensors and metadata of a safetensors file", har_cmd_inspect},
};
enum { N_COMMAND = sizeof commands / sizeof commands[0] };

static void write_help(FILE *out)
{
    fputs("Usage: moeparity COMMAND [OPTION...]\n\n"
          "Checks that a parallel plan of a mixture-of-experts transformer "
          "computes the\nsame function as the model, on one machine without a "
          "GPU.\n\nCommands:\n",
          out);
    for (int i = 0; i < (int)N_COMMAND; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fputs("\n'moeparity COMMAND --help' lists a command's "
          "options.\n" HAR_EXIT_CODES "\n",
          out);
}

static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(core_status_exit_code(CORE_E_FILE));
}

static int finish(int exit_code)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return exit_code;
    fprintf(stderr, "moeparity: standard output cannot be written: %s\n",
            errno != 0 ? strerror(errno) : "write error");
    const int failed = core_status_exit_code(CORE_E_FILE);
    return exit_code > failed ? exit_code : failed;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    hold_standard_streams();
    signal(SIGXFSZ, SIG_IGN); /* the write fails instead, and is told */
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        puts("moeparity " HAR_VERSION);
        return finish(0);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0 ||
        strcmp(name, "help") == 0) {
        write_help(argc > 1 ? stdout : stderr);
        return finish(argc > 1 ? 0 : core_status_exit_code(CORE_E_USAGE));
    }
    if (strcmp(name, HAR_WATCH_COMMAND) == 0)
        return har_watch_host(argc, argv);
    for (int i = 0; i < (int)N_COMMAND; i++)
        if (strcmp(name, commands[i].name) == 0)
            return finish(commands[i].run(argc, argv));
    fprintf(stderr, "moeparity: unknown command '%s', see moeparity --help\n",
            name);
    return core_status_exit_code(CORE_E_USAGE);
}
