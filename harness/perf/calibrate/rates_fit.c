/* harness/perf/calibrate/rates_fit.c -- least ratios, with nothing below zero.
 *
 * What is made small is about the mean of |ln(predicted / measured)|: least
 * squares whose weights are made anew from the errors, each time solved by going
 * through the features one by one and putting each where the others want it, but
 * not below zero.  With nine features a sweep is 81 additions on the matrix of
 * products.
 *
 * Trap: features of one class may say the same (rows and values of a model with
 * one width): which of the two gets the time is then the order of the list, and
 * does not matter.  That each is put where it is best makes scales cancel.
 */
#include "harness/perf/calibrate/rates_fit.h"

#include "harness/perf/score/spread.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>

enum { MIN_SAMPLES = 6, N_WEIGHTING = 30, N_SWEEP = 2000, N_DOUBLING = 6 };
static const double LEAST_ERROR = 0.01; /* below it all errors are alike      */

typedef struct rows {
    const har_rate_sample **at;
    double *weight, *error;
    int64_t n;
    double sum; /* of the errors of all classes                               */
} rows;

static double predicted(const har_rate_sample *s, const double *cost)
{
    double sum = 0;
    for (int f = 0; f < HAR_N_FEATURE; f++)
        sum += s->amount[f] * cost[f];
    return sum;
}

/* Weighted least squares over the rows, no cost below zero. */
static void solve(const rows *r, double *cost)
{
    double gram[HAR_N_FEATURE][HAR_N_FEATURE] = {{0}};
    double right[HAR_N_FEATURE] = {0};
    for (int64_t i = 0; i < r->n; i++)
        for (int f = 0; f < HAR_N_FEATURE; f++) {
            const double a = r->at[i]->amount[f] * r->weight[i];
            right[f] += a * r->at[i]->seconds * r->weight[i];
            for (int g = 0; g < HAR_N_FEATURE; g++)
                gram[f][g] += a * r->at[i]->amount[g] * r->weight[i];
        }
    for (int sweep = 0; sweep < N_SWEEP; sweep++)
        for (int f = 0; f < HAR_N_FEATURE; f++) {
            double rest = right[f];
            for (int g = 0; g < HAR_N_FEATURE; g++)
                rest -= g != f ? gram[f][g] * cost[g] : 0;
            cost[f] = gram[f][f] > 0 ? fmax(0, rest / gram[f][f]) : 0;
        }
}

static void fit(rows *r, har_rate *out)
{
    for (int64_t i = 0; i < r->n; i++)
        r->weight[i] = 1 / r->at[i]->seconds;
    for (int k = 0; k < N_WEIGHTING; k++) {
        solve(r, out->amount);
        for (int64_t i = 0; i < r->n; i++) {
            const double y = r->at[i]->seconds;
            const double p = fmax(predicted(r->at[i], out->amount), 1e-3 * y);
            r->error[i] = fabs(log(p / y));
            r->weight[i] = 1 / sqrt(fmax(r->error[i], LEAST_ERROR) * y * p);
        }
    }
    for (int64_t i = 0; i < r->n; i++)
        r->sum += r->error[i];
    har_sort(r->error, r->n);
    out->sigma = fmax(har_quantile(r->error, r->n, 0.9) / 1.645, 1e-3);
}

static bool is_first(const har_rate_sample *sample, int64_t i)
{
    for (int64_t j = 0; j < i; j++)
        if (sample[j].dtype == sample[i].dtype &&
            har_rate_class_is(&sample[j].of, &sample[i].of))
            return false;
    return true;
}

static core_status fit_class(har_rates *rates, const har_rate_sample *sample,
                             int64_t n, int64_t first, rows *r)
{
    har_rate out = {.of = sample[first].of, .dtype = sample[first].dtype};
    r->n = 0;
    for (int64_t i = first; i < n; i++)
        if (sample[i].dtype == out.dtype &&
            har_rate_class_is(&sample[i].of, &out.of))
            r->at[r->n++] = &sample[i];
    if (r->n < MIN_SAMPLES)
        return CORE_OK;
    CORE_FAIL_IF(rates->n == HAR_MAX_RATES, CORE_E_INTERNAL,
                 "more than %d classes of operators", HAR_MAX_RATES);
    fit(r, &out);
    rates->rate[rates->n++] = out;
    return CORE_OK;
}

static core_status fit_all(har_rates *rates, har_rate_sample *sample, int64_t n,
                           rows *r)
{
    for (int64_t i = 0; i < n; i++) {
        har_rates_amounts(rates, sample[i].dtype, &sample[i].cost,
                          &sample[i].where, sample[i].amount);
    }
    rates->n = 0;
    r->sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (is_first(sample, i))
            CORE_TRY(fit_class(rates, sample, n, i, r));
    return CORE_OK;
}

static core_status choose_far(har_rates *rates, har_rate_sample *sample,
                              int64_t n, double cache_values, rows *r)
{
    double least = HUGE_VAL, best = cache_values;
    for (int k = 0; k < N_DOUBLING; k++) {
        rates->far_from = ldexp(cache_values, k);
        CORE_TRY(fit_all(rates, sample, n, r));
        if (r->sum < least) {
            least = r->sum;
            best = rates->far_from;
        }
    }
    rates->far_from = best;
    return fit_all(rates, sample, n, r);
}

core_status har_rates_fit(har_rates *rates, har_rate_sample *sample, int64_t n,
                          double cache_values)
{
    void *at = NULL, *work = NULL;
    CORE_TRY(core_alloc(&at, n, sizeof(har_rate_sample *), "rows of a fit"));
    core_status status =
        core_alloc(&work, 2 * n, sizeof(double), "weights of a fit");
    if (status == CORE_OK) {
        double *weight = work;
        rows r = {.at = at, .weight = weight, .error = weight + n};
        status = choose_far(rates, sample, n, cache_values, &r);
    }
    free(work);
    free(at);
    return status;
}
