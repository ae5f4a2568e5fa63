/* harness/perf/score/score.c -- errors of predictions, and what choosing by
 * them costs.
 *
 * The relative error is of the measured time, so that a prediction of zero is
 * 100 % wrong and one of double the time as well; the interval is in
 * logarithms, exp(+-1.645 sigma), where errors of times are nearly symmetric.
 * A NaN is wrong by infinity and outside every interval.
 *
 * Plans are ranked within a group: the plans of one model, batch and number of
 * GPUs, between which somebody would choose.
 */
#include "harness/perf/score/score.h"

#include "harness/perf/score/spread.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>

static const double SIGMAS_90 = 1.645;

typedef struct point {
    const har_row *row;
    double predicted;
} point;

/* The nearest of n sorted numbers: figures that were published are rounded so.
 */
static double quantile(const double *sorted, int64_t n, double q)
{
    return sorted[(int64_t)(q * (double)(n - 1) + 0.5)];
}

static void add_errors(har_score *out, const har_machine *machine,
                       const point *at, double *error)
{
    int64_t inside = 0;
    double sum = 0;
    for (int64_t i = 0; i < out->n; i++) {
        const double ratio = at[i].predicted / at[i].row->seconds;
        const double sigma = har_op_time(machine, &at[i].row->shape).sigma;
        error[i] = ratio > 0 ? fabs(ratio - 1) : HUGE_VAL;
        sum += log(ratio);
        inside += fabs(log(ratio)) <= SIGMAS_90 * sigma;
    }
    har_sort(error, out->n);
    out->median = quantile(error, out->n, 0.5);
    out->p90 = quantile(error, out->n, 0.9);
    out->bias = sum / (double)out->n;
    out->coverage = (double)inside / (double)out->n;
}

static void add_naive(har_score *out, const har_machine *machine,
                      const point *at, double *error)
{
    for (int64_t i = 0; i < out->n; i++) {
        const har_row *row = at[i].row;
        const double ratio =
            har_naive_time(machine, &row->shape) / row->seconds;
        error[i] = ratio > 0 ? fabs(ratio - 1) : HUGE_VAL;
    }
    har_sort(error, out->n);
    out->naive_median = quantile(error, out->n, 0.5);
    out->naive_p90 = quantile(error, out->n, 0.9);
}

/* --- ranking --- */

static int compare_group(const void *a, const void *b)
{
    const har_training *x = &((const point *)a)->row->shape.as.training;
    const har_training *y = &((const point *)b)->row->shape.as.training;
    const int left[] = {x->n_gpu, x->batch, x->n_d, x->n_h, x->n_l, x->n_t};
    const int right[] = {y->n_gpu, y->batch, y->n_d, y->n_h, y->n_l, y->n_t};
    for (int i = 0; i < 6; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

static int sign(double x)
{
    return (x > 0) - (x < 0);
}

static double kendall(const point *at, int64_t n)
{
    double sum = 0, untied_x = 0, untied_y = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            const int x = sign(at[i].predicted - at[k].predicted);
            const int y = sign(at[i].row->seconds - at[k].row->seconds);
            sum += x * y;
            untied_x += x * x;
            untied_y += y * y;
        }
    const double scale = sqrt(untied_x * untied_y);
    return scale > 0 ? sum / scale : 0;
}

static double regret_of(const point *at, int64_t n)
{
    int64_t chosen = 0;
    double best = HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        if (at[i].predicted < at[chosen].predicted)
            chosen = i;
        best = fmin(best, at[i].row->seconds);
    }
    return at[chosen].row->seconds / best - 1;
}

static void add_ranking(har_score *out, point *at)
{
    qsort(at, (size_t)out->n, sizeof *at, compare_group);
    for (int64_t i = 0, end; i < out->n; i = end) {
        for (end = i; end < out->n && compare_group(&at[i], &at[end]) == 0;)
            end++;
        if (end - i < 2)
            continue;
        const double regret = regret_of(at + i, end - i);
        out->n_group++;
        out->tau += kendall(at + i, end - i);
        out->regret += regret;
        out->worst_regret = fmax(out->worst_regret, regret);
    }
    out->has_ranking = out->n_group > 0;
    if (out->has_ranking) {
        out->tau /= (double)out->n_group;
        out->regret /= (double)out->n_group;
    }
}

core_status har_score_table(har_score *out, const har_machine *machine,
                            const har_table *table, bool held_out)
{
    void *points = NULL, *errors = NULL;
    har_score score = {.n = 0};
    CORE_TRY(core_alloc(&points, table->n, sizeof(point), "scored rows"));
    core_status status =
        core_alloc(&errors, table->n, sizeof(double), "errors of rows");
    point *at = points;
    for (int64_t i = 0; i < table->n && status == CORE_OK; i++) {
        const har_row *row = &table->row[i];
        if (held_out && har_is_for_fitting(row->hash))
            continue;
        at[score.n++] = (point){row, har_op_time(machine, &row->shape).seconds};
    }
    if (status == CORE_OK && score.n == 0)
        status = core_fail(CORE_E_INPUT, "no row of the table is held out");
    if (status == CORE_OK) {
        add_errors(&score, machine, at, errors);
        add_naive(&score, machine, at, errors);
        if (table->kind == HAR_PLAN && !table->row[0].shape.is_gpt)
            add_ranking(&score, at);
        *out = score;
    }
    free(errors);
    free(points);
    return status;
}
