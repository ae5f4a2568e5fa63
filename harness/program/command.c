/* harness/program/command.c -- what the commands share, see command.h. */
#include "harness/program/command.h"

#include <stdlib.h>
#include <string.h>

void har_parse(const struct argp *argp, int argc, char **argv,
               const char *command, void *input)
{
    char name[64];
    char **copy = calloc((size_t)argc, sizeof *copy);
    if (copy == NULL)
        exit(core_status_exit_code(CORE_E_MEMORY));
    snprintf(name, sizeof name, "moeparity %s", command);
    memcpy(copy + 1, argv + 2, (size_t)(argc - 2) * sizeof *copy);
    copy[0] = name;
    argp_err_exit_status = core_status_exit_code(CORE_E_USAGE);
    /* among ranks one usage message is enough */
    if (har_started_as() != 0 && freopen("/dev/null", "w", stderr) == NULL)
        exit(core_status_exit_code(CORE_E_FILE));
    argp_parse(argp, argc - 1, copy, 0, NULL, input);
    free(copy);
}
