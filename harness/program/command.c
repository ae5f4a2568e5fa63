/* harness/program/command.c -- what the commands share, see command.h. */
#include "harness/program/command.h"

#include "harness/launch/launch.h"

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

int har_end(core_status status)
{
    if (status == CORE_OK || har_started_as() != 0)
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

core_status har_parse_count(int64_t *out, const char *option, const char *text)
{
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    CORE_FAIL_IF(end == text || *end != '\0' || errno != 0 || value < 1,
                 CORE_E_USAGE, "%s: expected a positive number, found '%s'",
                 option, text);
    *out = value;
    return CORE_OK;
}

core_status har_parse_range(int64_t *first, int64_t *last, const char *option,
                            const char *text, int64_t most)
{
    char low[32];
    const char *dots = strstr(text, "..");
    const size_t n = dots != NULL ? (size_t)(dots - text) : strlen(text);
    snprintf(low, sizeof low, "%.*s", n < sizeof low ? (int)n : 0, text);
    CORE_TRY(har_parse_count(first, option, low));
    *last = *first;
    if (dots != NULL)
        CORE_TRY(har_parse_count(last, option, dots + 2));
    CORE_FAIL_IF(*first > *last || *last > most, CORE_E_USAGE,
                 "%s: expected N or N..N2, rising, at most %lld, found '%s'",
                 option, (long long)most, text);
    return CORE_OK;
}

core_status har_parse_batch(int64_t *n_b, int64_t *n_t, const char *option,
                            const char *text)
{
    char *end = NULL;
    const long long rows = strtoll(text, &end, 10);
    const bool has_x = end != text && *end == 'x';
    const char *second = has_x ? end + 1 : end;
    const long long tokens = has_x ? strtoll(second, &end, 10) : 0;
    CORE_FAIL_IF(!has_x || end == second || *end != '\0' || rows < 1 ||
                     tokens < 1,
                 CORE_E_USAGE,
                 "%s: expected ROWSxTOKENS such as 16x16, found '%s'", option,
                 text);
    *n_b = rows;
    *n_t = tokens;
    return CORE_OK;
}
