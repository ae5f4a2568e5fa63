/* harness/perf/calibrate/check_report.c -- the scores of a calibrated machine, in words. */
#include "harness/perf/calibrate/check.h"

#include "core/files/json.h"
#include "harness/launch/jsonfile.h"

#include <errno.h>
#include <math.h>
#include <string.h>

core_status har_check_open(har_machine *out, const char *file)
{
    CORE_TRY(har_machine_open(out, file));
    CORE_FAIL_IF(out->rates.n == 0, CORE_E_INPUT,
                 "%s: operators: expected the rates that moeparity calibrate "
                 "writes, found none",
                 file);
    return CORE_OK;
}

/* --- files --- */

core_status har_check_save(const har_check *check, const char *path)
{
    FILE *file = fopen(path, "wb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    bool ok = fwrite(check, sizeof *check, 1, file) == 1;
    ok = fclose(file) == 0 && ok;
    CORE_FAIL_IF(!ok, CORE_E_FILE, "%s: cannot be written", path);
    return CORE_OK;
}

core_status har_check_load(har_check *out, const char *path)
{
    har_check check;
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    const bool ok =
        fread(&check, sizeof check, 1, file) == 1 && fgetc(file) == EOF;
    fclose(file);
    CORE_FAIL_IF(!ok || check.n_line < 0 || check.n_line > HAR_CHECK_LINES ||
                     check.n_plan < 0 || check.n_plan > HAR_CHECK_PLANS,
                 CORE_E_FILE, "%s: cannot be read", path);
    *out = check;
    return CORE_OK;
}

/* --- words --- */

static double error_of(const har_check_plan *p)
{
    return fabs(p->predicted / p->measured - 1);
}

/* Median and p90 of |predicted / measured - 1| over plans. */
static void plan_errors(const har_check *check, double *median, double *p90)
{
    double error[HAR_CHECK_PLANS];
    for (int i = 0; i < check->n_plan; i++)
        error[i] = error_of(&check->plan[i]);
    har_sort(error, check->n_plan);
    *median = har_quantile(error, check->n_plan, 0.5);
    *p90 = har_quantile(error, check->n_plan, 0.9);
}

static void report_line(FILE *out, const har_check_line *l)
{
    fprintf(out, "  %-36s %6lld %7.1f %% %7.1f %% %+7.1f %% %7.1f %%\n", l->name,
            (long long)l->n, 100 * l->median, 100 * l->p90, 100 * l->bias,
            100 * l->noise);
}

static void report_plan(FILE *out, const har_check_plan *p)
{
    fprintf(out, "  %-10s %-36s %s %3d %9.1f %9.1f %+6.1f %% %5.1f %%  ",
            p->model, p->plan, p->is_f32 ? "f32" : "f64", p->n_rank,
            1e3 * p->predicted, 1e3 * p->measured,
            100 * (p->predicted / p->measured - 1), 100 * p->noise);
    if (p->sent == p->counted)
        fprintf(out, "%lld, equal\n", (long long)p->sent);
    else
        fprintf(out, "%lld, but %lld were sent\n", (long long)p->sent,
                (long long)p->counted);
}

void har_check_report(FILE *out, const har_check *operators,
                      const har_check *plans, const char *file)
{
    double median, p90;
    fprintf(out,
            "%s against new measurements, |predicted / measured - 1|\n\n"
            "Operators, held-out shapes, one rank\n"
            "  %-36s %6s %9s %9s %9s %9s\n",
            file, "", "n", "median", "p90", "bias", "noise");
    for (int i = 0; i < operators->n_line; i++)
        report_line(out, &operators->line[i]);
    report_line(out, &operators->all);
    fprintf(out,
            "  noise: the middle of the largest |repetition / middle - 1| of "
            "each record\n  drift: shapes that the fit saw take %.3f of what they "
            "took then\n\nWhole emulated passes, processor time of all ranks "
            "without transfers\n  %-10s %-36s %3s %3s %9s %9s %8s %7s  %s\n",
            operators->drift, "model", "plan", "", "n", "predicted", "measured",
            "error", "noise", "elements sent");
    for (int i = 0; i < plans->n_plan; i++)
        report_plan(out, &plans->plan[i]);
    plan_errors(plans, &median, &p90);
    fprintf(out,
            "  all plans: median %.1f %%, p90 %.1f %%, drift %.3f; milliseconds\n",
            100 * median, 100 * p90, plans->drift);
}

static json_t *line_json(const har_check_line *l)
{
    return json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "name", l->name, "n",
                     (json_int_t)l->n, "median", l->median, "p90", l->p90,
                     "bias", l->bias, "noise", l->noise);
}

static json_t *plan_json(const har_check_plan *p)
{
    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:f, s:f, s:I, s:I}", "model",
                     p->model, "plan", p->plan, "dtype",
                     p->is_f32 ? "f32" : "f64", "ranks", p->n_rank,
                     "predicted_s", p->predicted, "measured_s", p->measured,
                     "noise", p->noise, "elements_predicted",
                     (json_int_t)p->sent, "elements_sent",
                     (json_int_t)p->counted);
}

core_status har_check_json(const char *path, const har_check *operators,
                           const har_check *plans, const char *file)
{
    bool ok = true;
    json_t *lines = json_array(), *rows = json_array();
    for (int i = 0; i < operators->n_line; i++)
        ok &= json_array_append_new(lines, line_json(&operators->line[i])) == 0;
    for (int i = 0; i < plans->n_plan; i++)
        ok &= json_array_append_new(rows, plan_json(&plans->plan[i])) == 0;
    json_t *root = json_pack("{s:s, s:o, s:f, s:f, s:o, s:o, s:o}", "schema",
                             "moeparity.calibrate-check/1", "machine",
                             core_json_text(file), "operators_drift",
                             operators->drift, "plans_drift", plans->drift,
                             "all",
                             line_json(&operators->all), "operators", lines,
                             "plans", rows);
    if (!ok) {
        json_decref(root);
        root = NULL;
    }
    return har_json_write(path, root);
}
