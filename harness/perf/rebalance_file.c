/* harness/perf/rebalance_file.c -- popularity in, a plan out.
 *
 * A popularity file is numbers and nothing else; a sign, a NaN or a number too
 * many is refused with its line.  A plan is written key by key as plan_yaml.c
 * reads it.
 */
#include "harness/outfile.h"
#include "harness/perf/rebalance.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static core_status read_numbers(double *out, int n_e, int *n, char *line,
                                const char *where, int line_no)
{
    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok(line, " ,\t\r\n"); word != NULL;
         word = strtok(NULL, " ,\t\r\n")) {
        char *end;
        const double value = strtod(word, &end);
        CORE_FAIL_IF(*end != '\0' || !(value >= 0) || !isfinite(value),
                     CORE_E_FORMAT,
                     "%s:%d: expected a number, at least 0, found '%.40s'",
                     where, line_no, word);
        CORE_FAIL_IF(*n == n_e, CORE_E_FORMAT,
                     "%s:%d: expected %d numbers, found more", where, line_no,
                     n_e);
        out[(*n)++] = value;
    }
    return CORE_OK;
}

static core_status read_lines(double *out, int n_e, FILE *file,
                              const char *path)
{
    char *line = NULL;
    size_t room = 0;
    int n = 0;
    core_status status = CORE_OK;
    for (int i = 1; status == CORE_OK && getline(&line, &room, file) >= 0; i++)
        status = read_numbers(out, n_e, &n, line, path, i);
    free(line);
    CORE_TRY(status);
    CORE_FAIL_IF(ferror(file), CORE_E_FILE, "%s: %s", path, strerror(errno));
    CORE_FAIL_IF(n != n_e, CORE_E_FORMAT,
                 "%s: expected %d numbers, one per expert, found %d", path, n_e,
                 n);
    return CORE_OK;
}

core_status har_popularity_read(double *out, int n_e, const char *path)
{
    FILE *file = fopen(path, "r");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    const core_status status = read_lines(out, n_e, file, path);
    fclose(file);
    CORE_TRY(status);
    double sum = 0;
    for (int e = 0; e < n_e; e++)
        sum += out[e];
    CORE_FAIL_IF(!(sum > 0 && isfinite(sum)), CORE_E_FORMAT,
                 "%s: expected numbers with a sum above 0, found %g", path,
                 sum);
    for (int e = 0; e < n_e; e++)
        out[e] /= sum;
    return CORE_OK;
}

static void write_placement(FILE *out, const par_plan *plan)
{
    if (plan->n_placed > 0)
        fputs("placement: # ep indices of every expert\n", out);
    for (int e = 0; e < plan->n_placed; e++) {
        fputs("  - [", out);
        for (int i = 0; i < plan->n_replica[e]; i++)
            fprintf(out, "%s%d", i > 0 ? ", " : "", plan->replica[e][i]);
        fputs("]\n", out);
    }
}

static void write_stages(FILE *out, const par_plan *plan)
{
    for (int i = 0; i < plan->n_stage; i++)
        fprintf(out, "%s%d", i > 0 ? ", " : "stages: [", plan->stage_layers[i]);
    if (plan->n_stage > 0)
        fputs("]\n", out);
}

core_status har_plan_write(const par_plan *plan, const char *note,
                           const char *path)
{
    har_outfile out;
    CORE_TRY(har_outfile_open(&out, path));
    fprintf(out.file,
            "# %s\ntp: %d\npp: %d\ndp: %d\nep: %d\netp: %d\nmb: %d\n"
            "rounds: %d\nscope: %s\n",
            note, plan->tp, plan->pp, plan->dp, plan->ep, plan->etp, plan->mb,
            plan->rounds, plan->scope == PAR_SCOPE_STAGE ? "stage" : "replica");
    write_stages(out.file, plan);
    write_placement(out.file, plan);
    const core_status status = har_outfile_commit(&out);
    har_outfile_drop(&out);
    return status;
}
