/* harness/perf/search/plan_file.c -- a plan, key by key as plan_yaml.c reads it. */
#include "harness/launch/outfile.h"
#include "harness/perf/search/plan_file.h"

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

static void write_physical(FILE *out, const par_plan *plan)
{
    if (plan->n_mapped > 0)
        fputs("physical: # logical experts of every physical one\n", out);
    for (int i = 0; i < plan->n_mapped * plan->n_physical; i++)
        fprintf(out, "%s%d%s", i % plan->n_physical == 0 ? "  - [" : ", ",
                plan->physical[i],
                (i + 1) % plan->n_physical == 0 ? "]\n" : "");
}

static void write_stages(FILE *out, const par_plan *plan)
{
    for (int i = 0; i < plan->n_stage; i++)
        fprintf(out, "%s%d", i > 0 ? ", " : "stages: [", plan->stage_layers[i]);
    if (plan->n_stage > 0)
        fputs("]\n", out);
}

/* Every key of the canonical string, a line each. */
static void write_keys(FILE *out, const par_plan *plan)
{
    char text[PAR_PLAN_TEXT];
    par_plan keys = *plan;
    keys.n_stage = keys.n_placed = keys.n_mapped = 0; /* lists, which have a form of their own */
    par_plan_format(&keys, text);
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '=')
            fputs(": ", out);
        else
            fputc(*c == ',' ? '\n' : *c, out);
    fputc('\n', out);
}

core_status har_plan_write(const par_plan *plan, const char *note,
                           const char *path)
{
    har_outfile out;
    CORE_TRY(har_outfile_open(&out, path));
    fprintf(out.file, "# %s\n", note);
    write_keys(out.file, plan);
    write_stages(out.file, plan);
    write_placement(out.file, plan);
    write_physical(out.file, plan);
    const core_status status = har_outfile_commit(&out);
    har_outfile_drop(&out);
    return status;
}
