/* harness/program/options.h -- the command line of a command, as a list.
 *
 * A row is an option and the place its value goes to.  What several commands
 * take has its words in the table of options.c, once: a row names it.  A place
 * that is not NULL holds the default, which --help shows.
 */
#ifndef HAR_OPTIONS_H
#define HAR_OPTIONS_H

#include <argp.h>
#include <stdbool.h>

typedef struct har_option {
    const char *name; /* NULL: an argument, or with help alone a heading      */
    int letter;       /* these three: only of what is not shared              */
    const char *argument, *help;
    int flags; /* OPTION_ALIAS: another name of the row before; OPTION_HIDDEN */
    const char **text; /* the value's place; with n, that of a list           */
    int *n, most;      /* NULL: the last value counts                         */
    bool *flag;        /* instead of text                                     */
} har_option;

typedef struct har_command_line {
    const char *name, *arguments, *about; /* as argp words them               */
    /* NULL, or refuses with argp_error what no row alone can refuse.         */
    void (*check)(const void *request, struct argp_state *state);
} har_command_line;

/* A command begins: no message is recorded, and the values of argv are in the
 * places of the rows, which an empty row ends; the check looks at request.
 * Does not return for --help and usage errors (exit 0 and 2).  argv is not
 * changed.                                                           [local] */
void har_parse(const har_command_line *line, const har_option *rows,
               const void *request, int argc, char **argv);

#endif
