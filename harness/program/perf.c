/* harness/program/perf.c -- machines against measurements: perf fit, perf score.
 *
 * `fit` writes a machine file with the coefficients of one kind made from one
 * table; `score` says how far a machine's predictions are from a table.  Both
 * split shapes by their hash, so that --held-out scores what no fit has seen.
 */
#include "harness/launch/jsonfile.h"
#include "harness/launch/outfile.h"
#include "harness/launch/waiting.h"
#include "harness/perf/score/fit.h"
#include "harness/perf/score/score.h"
#include "harness/program/command.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TABLES = 8 };

typedef struct request {
    const char *action, *checked, *machine, *kind, *out, *json, *only;
    const char *table[MAX_TABLES];
    int n_table;
    bool held_out;
} request;

static const har_command_line line = {
    "perf",
    "fit --machine M --kind KIND --table FILE... --out FILE\n"
    "score --machine M --kind KIND --table FILE... [--held-out]\n"
    "check MACHINE\n"
    "machines\n"
    "tables\n"
    "fields",
    "Fits the coefficients of a machine on a table of measured times, "
    "scores its predictions on one, looks for contradictions in a machine "
    "file, or lists the machines that come with the program, the columns of "
    "such tables, or the fields of a machine file.\vOne shape in five, chosen by its hash, is for fitting.\n"
    HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->action},
        {.text = &r->checked},
        {"machine", .text = &r->machine},
        {"kind", .text = &r->kind, .argument = "KIND",
         .help = "gemm, moe, attention, collective or plan: what the table "
                 "holds"},
        {"table", .text = r->table, .n = &r->n_table, .most = MAX_TABLES,
         .argument = "FILE",
         .help = "measured times, comma-separated; may be repeated"},
        {"out", .text = &r->out},
        {"held-out", .flag = &r->held_out,
         .help = "score only shapes that no fit has seen"},
        {"only", .text = &r->only, .argument = "OP",
         .help = "score only rows of that operator: all_reduce, dispatch, "
                 "decode and so on, as the table calls it"},
        {"json", .text = &r->json},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static core_status parse_kind(har_kind *out, const char *name)
{
    const char *names[HAR_N_KIND];
    int kind = 0;
    for (int i = 0; i < HAR_N_KIND; i++)
        names[i] = har_kind_name(i);
    CORE_TRY(har_choose(&kind, "--kind", name, names, HAR_N_KIND));
    *out = (har_kind)kind;
    return CORE_OK;
}

static core_status check_request(const request *r)
{
    CORE_FAIL_IF(r->machine == NULL, CORE_E_USAGE, "--machine: missing");
    CORE_FAIL_IF(r->kind == NULL, CORE_E_USAGE, "--kind: missing");
    CORE_FAIL_IF(r->n_table == 0, CORE_E_USAGE, "--table: missing");
    const bool is_fit = strcmp(r->action, "fit") == 0;
    CORE_FAIL_IF(is_fit && r->out == NULL, CORE_E_USAGE, "--out: missing");
    CORE_FAIL_IF(is_fit && (r->held_out || r->json != NULL || r->only != NULL),
                 CORE_E_USAGE,
                 "--held-out, --only and --json belong to score");
    CORE_FAIL_IF(!is_fit && r->out != NULL, CORE_E_USAGE,
                 "--out belongs to fit");
    return CORE_OK;
}

/* --- fit --- */

static har_waiting waiting; /* for a fit, which hands nothing on */

static void show_progress(int round, double error)
{
    char text[64];
    snprintf(text, sizeof text, "round %d, mean error %.2f %%", round,
             100 * error);
    har_waiting_say(&waiting, text);
}

static core_status write_machine(const request *r, const char *text,
                                 const har_machine *machine)
{
    har_outfile out;
    CORE_TRY(har_outfile_open(&out, r->out));
    har_machine_write(out.file, text, machine);
    const core_status status = har_outfile_commit(&out);
    har_outfile_drop(&out);
    return status;
}

static core_status fit_table(const request *r, const har_table *table)
{
    char *text = NULL;
    har_machine machine;
    int64_t used = 0;
    waiting = har_waiting_begin();
    CORE_TRY(har_machine_text(&text, r->machine));
    core_status status = har_machine_parse(&machine, text, r->machine);
    if (status == CORE_OK)
        status = har_fit(&machine, table, &used, show_progress);
    har_waiting_end(&waiting);
    if (status == CORE_OK)
        status = write_machine(r, text, &machine);
    free(text);
    CORE_TRY(status);
    printf("machine    %s\n", machine.name);
    printf("fitted     %lld of %lld rows of %s\n", (long long)used,
           (long long)table->n, table->source);
    for (int i = 0; i < HAR_N_COEF; i++)
        if (har_coef_kind(i) == table->kind)
            printf("  %-19s %.4g\n", har_coef_key(i), machine.coef[i].value);
    printf("sigma      %.1f %%\n", 100 * machine.sigma[table->kind].value);
    return CORE_OK;
}

/* --- score --- */

static core_status write_json(const request *r, const har_table *table,
                              const har_machine *machine,
                              const har_score *score)
{
    json_t *root = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:b, s:I, s:f, s:f, s:f, s:f, s:f, s:f}",
        "schema", 1,
        "machine", machine->name, "kind", har_kind_name(table->kind), "source",
        table->source, "table", r->table[0], "held_out", r->held_out, "n",
        (json_int_t)score->n, "median", score->median, "p90", score->p90,
        "bias", score->bias, "coverage", score->coverage, "naive_median",
        score->naive_median, "naive_p90", score->naive_p90);
    if (root != NULL && score->has_ranking)
        json_object_set_new(root, "ranking",
                            json_pack("{s:I, s:f, s:f, s:f}", "groups",
                                      (json_int_t)score->n_group, "tau",
                                      score->tau, "regret", score->regret,
                                      "worst_regret", score->worst_regret));
    return har_json_write(r->json, root);
}

static core_status score_table(const request *r, const har_table *table)
{
    har_machine machine;
    har_score score;
    CORE_TRY(har_machine_open(&machine, r->machine));
    CORE_TRY(har_score_table(&score, &machine, table, r->held_out));
    printf("machine    %s\n", machine.name);
    printf("table      %s, %s\n", table->source,
           r->held_out ? "shapes held out of fits" : "all shapes");
    printf("rows       %lld\n", (long long)score.n);
    printf("median     %.1f %%\n", 100 * score.median);
    printf("p90        %.1f %%\n", 100 * score.p90);
    printf("bias       %+.1f %%\n", 100 * score.bias);
    printf("coverage   %.1f %% of rows in the 90 %% interval\n",
           100 * score.coverage);
    printf("naive      median %.1f %%, p90 %.1f %% (a rule of thumb)\n",
           100 * score.naive_median, 100 * score.naive_p90);
    if (score.has_ranking)
        printf("ranking    tau %.3f, regret %.1f %%, at worst %.1f %%, over "
               "%lld choices\n",
               score.tau, 100 * score.regret, 100 * score.worst_regret,
               (long long)score.n_group);
    return r->json != NULL ? write_json(r, table, &machine, &score) : CORE_OK;
}

static core_status read_tables(har_table *out, const request *r, har_kind kind)
{
    core_status status = har_table_read(out, r->table[0], kind);
    for (int i = 1; i < r->n_table && status == CORE_OK; i++) {
        har_table more;
        status = har_table_read(&more, r->table[i], kind);
        if (status == CORE_OK)
            status = har_table_join(out, &more);
        har_table_free(&more);
        out->source = "several tables";
    }
    return status;
}

/* Leave the rows of one operator. */
static core_status keep_only(har_table *table, const char *op)
{
    int64_t n = 0;
    for (int64_t i = 0; i < table->n; i++)
        if (table->row[i].shape.op != NULL &&
            strcmp(table->row[i].shape.op, op) == 0)
            table->row[n++] = table->row[i];
    CORE_FAIL_IF(n == 0, CORE_E_USAGE, "--only: no row is of operator '%s'",
                 op);
    table->n = n;
    return CORE_OK;
}

static core_status run(const request *r)
{
    har_kind kind = HAR_GEMM;
    har_table table;
    CORE_TRY(check_request(r));
    CORE_TRY(parse_kind(&kind, r->kind));
    core_status status = read_tables(&table, r, kind);
    if (status == CORE_OK && r->only != NULL)
        status = keep_only(&table, r->only);
    if (status == CORE_OK)
        status = strcmp(r->action, "fit") == 0 ? fit_table(r, &table)
                                               : score_table(r, &table);
    har_table_free(&table);
    return status;
}

static core_status list_machines(void)
{
    const char *name, *text;
    for (int i = 0; har_machine_preset(i, &name, &text); i++) {
        har_machine m;
        CORE_TRY(har_machine_parse(&m, text, name));
        printf("%-14s %.0f TFLOPS f16, %.0f GB at %.0f GB/s\n", name,
               m.peak[CORE_DTYPE_F16] / 1e12, m.memory_bytes / 1e9,
               m.memory_bw / 1e9);
    }
    return CORE_OK;
}

static core_status check_machine(const request *r, bool *is_right)
{
    har_machine m;
    CORE_FAIL_IF(r->checked == NULL, CORE_E_USAGE,
                 "perf check: expected a machine, found none");
    CORE_TRY(har_machine_open(&m, r->checked));
    printf("machine %s\n", m.name);
    const int n = har_machine_check(stdout, &m);
    printf("%d contradictions\n", n);
    *is_right = n == 0;
    return CORE_OK;
}

int har_cmd_perf(int argc, char **argv)
{
    request r = {.action = ""};
    read_command_line(&r, argc, argv);
    bool is_right = true;
    if (strcmp(r.action, "check") == 0) {
        const int code = har_end(check_machine(&r, &is_right));
        return code == 0 && !is_right ? core_status_exit_code(CORE_E_DIFFERS)
                                      : code;
    }
    if (r.checked != NULL)
        return har_end(core_fail(CORE_E_USAGE, "perf %s: expected no '%s'",
                                 r.action, r.checked));
    if (strcmp(r.action, "machines") == 0)
        return har_end(list_machines());
    if (strcmp(r.action, "fields") == 0) {
        har_machine_write_fields(stdout);
        return 0;
    }
    if (strcmp(r.action, "tables") == 0) {
        har_table_write_formats(stdout);
        return 0;
    }
    if (strcmp(r.action, "fit") != 0 && strcmp(r.action, "score") != 0)
        return har_end(core_fail(CORE_E_USAGE,
                                 "perf: expected fit, score, check, machines, "
                                 "tables or fields, found '%s'",
                                 r.action));
    return har_end(run(&r));
}
