/* harness/perf/predict/range.c -- 90 % intervals.
 *
 * The errors of a kind of operator are taken as one: all its times are wrong by
 * the same factor.  So is the bandwidth of a tier of links, and kinds and tiers
 * err independently.  So the pass is replayed once per kind and tier with that
 * one a sigma worse, and what moves adds up in squares: for times as ratios
 * (the interval is [t / f, t f]), for shares as differences.
 *
 * Other draws of the routing are one more source: the mean square of their
 * distances from the draw that is reported.  That holds how far draws are apart
 * and how odd this one is.
 */
#include "harness/perf/predict/impl.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

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

static double at(const har__figures *f, size_t field)
{
    double x;
    memcpy(&x, (const char *)f + field, sizeof x);
    return x;
}

/* Squares of distances from the point, added up over worlds [first, end). */
static double add_worlds(const har__spread *s, size_t field, bool is_time,
                         int first, int end)
{
    const double point = at(&s->world[0], field);
    double sum = 0;
    for (int k = first; k < end && k < s->n_world; k++) {
        const double x = at(&s->world[k], field);
        const double d = !is_time ? x - point : point > 0 ? log(x / point) : 0;
        sum += d * d;
    }
    return sum;
}

/* Their mean over the draws. */
static double mean_draws(const har__spread *s, size_t field, bool is_time)
{
    const double point = at(&s->world[0], field);
    double sum = 0;
    for (int k = 0; k < s->n_draw; k++) {
        const double x = at(&s->draw[k], field);
        const double d = !is_time ? x - point : point > 0 ? log(x / point) : 0;
        sum += d * d;
    }
    return s->n_draw > 0 ? sum / s->n_draw : 0;
}

static double sigma(const har__spread *s, size_t field, bool is_time)
{
    return sqrt(add_worlds(s, field, is_time, 1, HAR__N_WORLD) +
                mean_draws(s, field, is_time));
}

static har_range of_time(const har__spread *s, size_t field)
{
    return of_ratio(at(&s->world[0], field), sigma(s, field, true));
}

static har_range of_share(const har__spread *s, size_t field)
{
    const double point = at(&s->world[0], field);
    const double half = NINETY * sigma(s, field, false);
    return (har_range){point, fmax(0, point - half), fmin(1, point + half)};
}

static void add_doubt(har_sources *out, har_doubt_kind kind, int index,
                     double sigma)
{
    int at = out->n_doubt++;
    for (; at > 0 && out->doubt[at - 1].sigma < sigma; at--)
        out->doubt[at] = out->doubt[at - 1];
    out->doubt[at] = (har_doubt){kind, index, sigma};
}

static void add_doubts(har_sources *out, const har__spread *s)
{
    const size_t field = offsetof(har__figures, latency);
    for (int k = 1; k < s->n_world; k++) {
        const double sigma = sqrt(add_worlds(s, field, true, k, k + 1));
        if (k < HAR__FIRST_LINK)
            add_doubt(out, HAR_DOUBT_OPERATORS, k - 1, sigma);
        else
            add_doubt(out, HAR_DOUBT_LINK, s->tier[k - HAR__FIRST_LINK], sigma);
    }
    if (s->n_draw > 0)
        add_doubt(out, HAR_DOUBT_ROUTING, 0, out->routing);
}

static har_sources sources(const har__spread *s)
{
    const size_t field = offsetof(har__figures, latency);
    har_sources out = {
        .operators = sqrt(add_worlds(s, field, true, 1, HAR__FIRST_LINK)),
        .links =
            sqrt(add_worlds(s, field, true, HAR__FIRST_LINK, HAR__N_WORLD)),
        .n_draw = s->n_draw,
        .routing = sqrt(mean_draws(s, field, true))};
    add_doubts(&out, s);
    return out;
}

void har__ranges(har_prediction *out, const har__spread *s)
{
    out->sources = sources(s);
    out->latency = of_time(s, offsetof(har__figures, latency));
    out->period = of_time(s, offsetof(har__figures, period));
    out->compute = of_share(s, offsetof(har__figures, compute));
    out->communication = of_share(s, offsetof(har__figures, communication));
    out->bubble = of_share(s, offsetof(har__figures, bubble));
    out->imbalance = of_share(s, offsetof(har__figures, imbalance));
    out->balance = of_share(s, offsetof(har__figures, balance));
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
