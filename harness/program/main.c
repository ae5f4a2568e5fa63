/* harness/program/main.c -- the program: a table of commands.
 *
 * Results go to stdout, everything else to stderr.  A report that could not be
 * written is an error, so stdout is flushed and checked before the exit code is
 * final.  A standard stream that the caller closed is opened the wrong way
 * round: otherwise the next file would get its number, and the report with it.
 */
#include "core/files/json.h"
#include "harness/program/command.h"
#include "harness/program/startup.h"

#include "core/base/nearest.h"
#include "harness/launch/watch_host.h"
#include "harness/program/manual.h"
#include "harness/program/version.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
    bool multiplies; /* with the BLAS, which is looked at first               */
} command;

static const command commands[] = {
    {"verify", "does a parallel plan compute the same function as the model?",
     har_cmd_verify, true},
    {"run", "forward pass of every prompt of a file", har_cmd_run, true},
    {"compare", "a dump against a golden, or two tap files", har_cmd_compare,
     false},
    {"spec", "sizes, parameters and memory of a model", har_cmd_spec, false},
    {"plan",
     "ranks, groups and placements of a plan; the legal plans of a model",
     har_cmd_plan, false},
    {"audit", "are the published figures of a deployment true?", har_cmd_audit,
     false},
    {"calibrate", "measure this machine, or check such a measurement",
     har_cmd_calibrate, true},
    {"predict", "what a plan costs on a machine", har_cmd_predict, false},
    {"report", "one page about a plan on a machine", har_cmd_report, false},
    {"golden", "make, seal or check golden cases", har_cmd_golden, true},
    {"perf", "machine files: fit on measured times, score on them",
     har_cmd_perf, false},
    {"search", "the plans of a model on a machine that nothing else beats",
     har_cmd_search, false},
    {"rebalance", "experts dealt anew while what is asked of them changes",
     har_cmd_rebalance, false},
    {"inspect", "tensors and metadata of a safetensors or GGUF file",
     har_cmd_inspect, false},
    {"top", "what a run does while it runs, from its events", har_cmd_top,
     false},
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

/* What the build makes man pages and shells make completions of. */
static void write_manual(void)
{
    har_manual_head(stdout, "moeparity",
                    "moeparity - does a parallel plan compute the same "
                    "function as the model?");
    fputs(".SH SYNOPSIS\n.B moeparity\nCOMMAND [OPTION...]\n.SH COMMANDS\n",
          stdout);
    for (int i = 0; i < (int)N_COMMAND; i++) {
        printf(".TP\n.BR moeparity\\-%s (1)\n", commands[i].name);
        har_manual_text(stdout, commands[i].summary);
        putchar('\n');
    }
    fputs(".SH EXIT STATUS\n" HAR_EXIT_CODES "\n", stdout);
}

static void write_words(void)
{
    for (int i = 0; i < (int)N_COMMAND; i++)
        puts(commands[i].name);
}

static const command *find_command(const char *name)
{
    for (int i = 0; i < (int)N_COMMAND; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static const char *name_of(const void *self, int i)
{
    (void)self;
    return i < (int)N_COMMAND ? commands[i].name : NULL;
}

static int unknown_command(const char *name)
{
    const char *near = core_nearest(name, name_of, NULL);
    fprintf(stderr, "moeparity: unknown command '%s'", name);
    if (near != NULL)
        fprintf(stderr, ", is it '%s'?\n", near);
    else
        fputs(", see moeparity --help\n", stderr);
    return core_status_exit_code(CORE_E_USAGE);
}

static bool is_one_of(const char *name, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(name, *words) == 0)
            return true;
    return false;
}

static void hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(core_status_exit_code(CORE_E_FILE));
}

/* Why a write failed some time ago is forgotten: another one says it again. */
static int finish(int exit_code)
{
    const bool has_failed = ferror(stdout) != 0;
    errno = 0;
    if (has_failed) {
        clearerr(stdout);
        (void)putchar('\n');
    }
    if (fflush(stdout) == 0 && !has_failed)
        return exit_code;
    fprintf(stderr, "moeparity: standard output cannot be written: %s\n",
            errno != 0 ? strerror(errno) : "write error");
    const int failed = core_status_exit_code(core_status_of_errno(errno));
    return exit_code > failed ? exit_code : failed;
}

/* `help COMMAND` is `COMMAND --help`. */
static int help_on(char *program, char *name)
{
    char option[] = "--help";
    char *argv[] = {program, name, option, NULL};
    const command *c = find_command(name);
    return c == NULL ? unknown_command(name) : finish(c->run(3, argv));
}

static int run(int argc, char **argv)
{
    static const char *const help[] = {"--help", "-h", "-?", "help", NULL};
    static const char *const version[] = {"--version", "-V", NULL};
    const char *name = argc > 1 ? argv[1] : "--help";
    hold_standard_streams();
    signal(SIGXFSZ, SIG_IGN); /* the write fails instead, and is told */
    if (is_one_of(name, version))
        return finish(har_version(argc, argv));
    if (strcmp(name, "--man") == 0 || strcmp(name, "--words") == 0) {
        strcmp(name, "--man") == 0 ? write_manual() : write_words();
        return finish(0);
    }
    if (argc > 2 && strcmp(name, "help") == 0)
        return help_on(argv[0], argv[2]);
    if (is_one_of(name, help)) {
        write_help(argc > 1 ? stdout : stderr);
        return finish(argc > 1 ? 0 : core_status_exit_code(CORE_E_USAGE));
    }
    if (strcmp(name, HAR_WATCH_COMMAND) == 0)
        return har_watch_host(argc, argv);
    const command *c = find_command(name);
    if (c == NULL)
        return unknown_command(name);
    if (c->multiplies && har_check_blas() != CORE_OK)
        return har_end(CORE_E_INTERNAL);
    return finish(c->run(argc, argv));
}

int main(int argc, char **argv)
{
    har_starting();
    core_json_watch_memory();
    const int exit_code = run(argc, argv);
    har_leaving();
    return exit_code;
}
