/* harness/perf/score/fit.c -- a search along the coordinates, in logarithms.
 *
 * What is made small is the mean of |ln(predicted / measured)|: the same weight
 * for microseconds and seconds, and no more for an outlier than its distance.
 * The function has kinks (waves, choices of a tile), so nothing is derived:
 * each coefficient in turn is tried a factor up and down, the factor shrinks
 * when none helps.  Deterministic, because nothing is drawn and the start is
 * not the file's.  Sigma is then what makes the 90 % interval hold on the rows
 * of the fit.
 */
#include "harness/perf/score/fit.h"

#include "harness/perf/score/spread.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>

enum { MIN_ROWS = 8, MAX_ROUNDS = 200 };
static const double FIRST_STEP = 0.2, LAST_STEP = 0.004;
static const double LIMITS[HAR_N_COEF][3] = {
#define COEF_LIMITS(name, key, kind, start, least, most, text)                 \
    {least, most, start},
    HAR_COEF_LIST(COEF_LIMITS)
#undef COEF_LIMITS
};

typedef struct sample {
    const har_row **row;
    int64_t n;
} sample;

static double log_error(const har_machine *m, const har_row *row)
{
    return log(har_op_time(m, &row->shape).seconds / row->seconds);
}

static double mean_error(const har_machine *m, const sample *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->n; i++)
        sum += fabs(log_error(m, s->row[i]));
    return sum / (double)s->n;
}

/* Try coefficient `coef` times `factor`; keep it if that is better. */
static bool improves(har_machine *m, har_coef coef, double factor,
                     const sample *s, double *best)
{
    const double before = m->coef[coef].value;
    const double value =
        fmin(LIMITS[coef][1], fmax(LIMITS[coef][0], before * factor));
    m->coef[coef].value = value;
    const double error = mean_error(m, s);
    if (error < *best) {
        *best = error;
        return true;
    }
    m->coef[coef].value = before;
    return false;
}

static void search(har_machine *m, har_kind kind, const sample *s,
                   void (*progress)(int round, double error))
{
    for (int i = 0; i < HAR_N_COEF; i++)
        if (har_coef_kind(i) == kind)
            m->coef[i].value = LIMITS[i][2];
    double best = mean_error(m, s);
    double step = FIRST_STEP;
    for (int round = 0; round < MAX_ROUNDS && step > LAST_STEP; round++) {
        bool better = false;
        for (int i = 0; i < HAR_N_COEF; i++) {
            if (har_coef_kind(i) != kind)
                continue;
            better |= improves(m, i, exp(step), s, &best);
            better |= improves(m, i, exp(-step), s, &best);
        }
        if (!better)
            step /= 2;
        if (progress != NULL)
            progress(round, best);
    }
}

/* Sigma so that exp(+-1.645 sigma) holds nine of ten rows, of those that the fit
 * has not seen too: few rows say less surely which error nine of ten keep below. */
static void set_sigma(har_machine *m, har_kind kind, const sample *s,
                      double *work)
{
    for (int64_t i = 0; i < s->n; i++)
        work[i] = fabs(log_error(m, s->row[i]));
    har_sort(work, s->n);
    const double n = (double)s->n;
    const double share = fmin(1, 0.9 + 1.645 * sqrt(0.9 * 0.1 / n));
    const double p90 = har_quantile(work, s->n, share);
    m->sigma[kind] = (har_value){fmax(p90 / 1.645, 1e-3), HAR_MEASURED};
}

core_status har_fit(har_machine *machine, const har_table *table, int64_t *used,
                    void (*progress)(int round, double error))
{
    void *rows = NULL, *work = NULL;
    CORE_TRY(core_alloc(&rows, table->n, sizeof(har_row *), "rows of a fit"));
    sample s = {.row = rows};
    for (int64_t i = 0; i < table->n; i++)
        if (har_is_for_fitting(table->row[i].hash))
            s.row[s.n++] = &table->row[i];
    core_status status = CORE_OK;
    if (s.n < MIN_ROWS)
        status = core_fail(CORE_E_INPUT,
                           "one shape in five is for fitting: found %lld rows, "
                           "expected at least %d",
                           (long long)s.n, MIN_ROWS);
    else
        status = core_alloc(&work, s.n, sizeof(double), "errors of a fit");
    if (status == CORE_OK) {
        search(machine, table->kind, &s, progress);
        for (int i = 0; i < HAR_N_COEF; i++)
            if (har_coef_kind(i) == table->kind)
                machine->coef[i].origin = HAR_MEASURED;
        set_sigma(machine, table->kind, &s, work);
        *used = s.n;
    }
    free(work);
    free(rows);
    return status;
}
