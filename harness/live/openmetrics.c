/* harness/live/openmetrics.c -- OpenMetrics text (openmetrics.io, version 1.0.0):
 * all samples of a family stand together, the last line is "# EOF".
 */
#include "harness/live/screen.h"

#include "core/base/printable.h"

/* As everybody may see it, then as a label's value. */
static void write_escaped(FILE *out, const char *text)
{
    char shown[CORE_PRINTABLE_BYTES];
    for (const char *c = core_printable(shown, sizeof shown, text); *c != '\0';
         c++)
        fprintf(out, *c == '\\' || *c == '"' ? "\\%c" : "%c", *c);
}

static void begin_family(FILE *out, const char *name, const char *type,
                         const char *unit, const char *help)
{
    fprintf(out, "# TYPE moeparity_%s %s\n", name, type);
    if (unit != NULL)
        fprintf(out, "# UNIT moeparity_%s %s\n", name, unit);
    fprintf(out, "# HELP moeparity_%s %s\n", name, help);
}

/* A sample of a pass, with one label more or none. */
static void write_sample(FILE *out, const char *name, const har_tally_pass *p,
                         const char *label, const char *word, double value)
{
    fprintf(out, "moeparity_%s{plan=\"", name);
    write_escaped(out, p->plan);
    fputs("\",numerics=\"", out);
    write_escaped(out, p->numerics);
    fputs("\",pass=\"", out);
    write_escaped(out, p->name);
    if (label != NULL)
        fprintf(out, "\",%s=\"%s", label, word);
    fprintf(out, "\"} %.17g\n", value);
}

static double tokens(const har_tally_pass *p)
{
    return (double)har_tally_tokens(p);
}

static double seconds(const har_tally_pass *p)
{
    return p->to > p->from ? p->to - p->from : 0.0;
}

static double choices(const har_tally_pass *p)
{
    return (double)p->n_choice;
}

static double dropped(const har_tally_pass *p)
{
    return (double)p->n_dropped;
}

static void write_families(FILE *out, const har_tally *live)
{
    static const struct {
        const char *family, *sample, *type, *unit, *help;
        double (*value)(const har_tally_pass *pass);
    } OF_PASS[] = {
        {"tokens", "tokens_total", "counter", NULL,
         "Tokens that went through the pass.", tokens},
        {"pass_seconds", "pass_seconds", "gauge", "seconds",
         "From the pass's first tick to its last.", seconds},
        {"choices", "choices_total", "counter", NULL,
         "(token, expert) pairs that were routed, of all layers.", choices},
        {"dropped_choices", "dropped_choices_total", "counter", NULL,
         "Of them, without a slot of an expert.", dropped},
        {"load_balance_ratio", "load_balance_ratio", "gauge", "ratio",
         "Mean over largest number of rows that a rank's experts received.",
         har_tally_balance}};
    for (size_t k = 0; k < sizeof OF_PASS / sizeof OF_PASS[0]; k++) {
        begin_family(out, OF_PASS[k].family, OF_PASS[k].type, OF_PASS[k].unit,
                     OF_PASS[k].help);
        for (int i = 0; i < live->n_pass; i++)
            write_sample(out, OF_PASS[k].sample, live->pass[i], NULL, NULL,
                         OF_PASS[k].value(live->pass[i]));
    }
}

static void write_experts(FILE *out, const har_tally *live)
{
    char id[16];
    begin_family(out, "expert_rows", "counter", NULL,
                 "Rows that an expert received, of all layers.");
    for (int i = 0; i < live->n_pass; i++)
        for (int e = 0; e < live->pass[i]->n_expert; e++) {
            snprintf(id, sizeof id, "%d", e);
            write_sample(out, "expert_rows_total", live->pass[i], "expert", id,
                         (double)(live->pass[i]->n_row[e] /
                                  live->pass[i]->degrees.etp));
        }
}

static void write_bytes(FILE *out, const har_tally *live)
{
    begin_family(out, "sent_bytes", "counter", "bytes",
                 "What all ranks sent, by kind of transfer.");
    for (int i = 0; i < live->n_pass; i++)
        for (int kind = 0; kind < (int)PAR_N_OP_KINDS; kind++)
            if (live->pass[i]->n_bytes[kind] > 0)
                write_sample(out, "sent_bytes_total", live->pass[i], "kind",
                             par_op_name((par_op_kind)kind),
                             (double)live->pass[i]->n_bytes[kind]);
}

static void write_ranks(FILE *out, const har_tally *live)
{
    char id[16];
    begin_family(out, "rank_wait_seconds", "counter", "seconds",
                 "Of a rank's ticks, waiting for others.");
    for (int i = 0; i < live->n_pass; i++)
        for (int r = 0; r < live->pass[i]->n_rank; r++) {
            snprintf(id, sizeof id, "%d", r);
            write_sample(out, "rank_wait_seconds_total", live->pass[i], "rank",
                         id, live->pass[i]->rank[r].wait_seconds);
        }
}

void har_openmetrics_write(FILE *out, const har_tally *live)
{
    if (live->is_told) {
        begin_family(out, "progress_ratio", "gauge", "ratio",
                     "How much of the run is done.");
        fprintf(out, "moeparity_progress_ratio %.17g\n", live->progress);
    }
    write_families(out, live);
    write_experts(out, live);
    write_bytes(out, live);
    write_ranks(out, live);
    fputs("# EOF\n", out);
}
