/* harness/perf/predict_range.c -- 90 % intervals.
 *
 * The errors of a kind of operator are taken as one: all its times are wrong by
 * the same factor.  Kinds err independently.  So the pass is replayed once per
 * kind with that kind's times a sigma longer, and what moves adds up in
 * squares: for times as ratios (the interval is [t / f, t f]), for shares as
 * differences.
 */
#include "harness/perf/predict_impl.h"

#include <math.h>

static const double NINETY = 1.645; /* sigmas on both sides hold 90 % */

static har_range of_ratio(double value, double log_sigma)
{
    const double f = exp(NINETY * log_sigma);
    return (har_range){value, value / f, value * f};
}

static har_range times(har_range r, double x)
{
    return (har_range){r.value * x, r.low * x, r.high * x};
}

/* n per r */
static har_range per(double n, har_range r)
{
    return (har_range){n / r.value, n / r.high, n / r.low};
}

static double log_sigma(double point, const double moved[HAR__N_KIND])
{
    double sum = 0;
    for (int k = 0; k < HAR__N_KIND; k++) {
        const double x = point > 0 ? log(moved[k] / point) : 0;
        sum += x * x;
    }
    return sqrt(sum);
}

static har_range of_share(double point, const double moved[HAR__N_KIND])
{
    double sum = 0;
    for (int k = 0; k < HAR__N_KIND; k++)
        sum += (moved[k] - point) * (moved[k] - point);
    const double half = NINETY * sqrt(sum);
    return (har_range){point, fmax(0, point - half), fmin(1, point + half)};
}

void har__ranges(har_prediction *out, const har__figures *point,
                 const har__figures moved[HAR__N_KIND])
{
    double a[HAR__N_KIND], b[HAR__N_KIND], c[HAR__N_KIND], d[HAR__N_KIND],
        e[HAR__N_KIND], f[HAR__N_KIND];
    for (int k = 0; k < HAR__N_KIND; k++) {
        a[k] = moved[k].latency;
        b[k] = moved[k].period;
        c[k] = moved[k].compute;
        d[k] = moved[k].communication;
        e[k] = moved[k].bubble;
        f[k] = moved[k].imbalance;
    }
    out->latency = of_ratio(point->latency, log_sigma(point->latency, a));
    out->period = of_ratio(point->period, log_sigma(point->period, b));
    out->compute = of_share(point->compute, c);
    out->communication = of_share(point->communication, d);
    out->bubble = of_share(point->bubble, e);
    out->imbalance = of_share(point->imbalance, f);
    out->tokens_per_s = per(out->n_token, out->period);
    out->rows_per_s = per(out->n_row, out->period);
    out->pass_tokens_per_s = per(out->n_token, out->latency);
    out->pass_rows_per_s = per(out->n_row, out->latency);
    const har_range once = per(1, out->latency), kept = per(1, out->period);
    out->mfu = times(once, out->mfu.value);
    out->bandwidth = times(once, out->bandwidth.value);
    out->serving_mfu = times(kept, out->serving_mfu.value);
    out->serving_bandwidth = times(kept, out->serving_bandwidth.value);
}
