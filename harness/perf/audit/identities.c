/* harness/perf/audit/identities.c -- see identities.h.
 *
 * Every quantity is non-negative, so a product or quotient is monotone in each
 * of its factors and its range comes from the ends.  Traps: a number that
 * appears twice in a formula is taken as two numbers, which only widens the
 * result; zero times infinity counts as zero at the lower end; the upper end of
 * a quotient by something that may be 0 is infinite, never NaN, and a NaN that
 * comes in stays one, so that no comparison with it succeeds.
 */
#include "harness/perf/audit/identities.h"

#include "core/base/status.h"

#include <math.h>
#include <string.h>

har_interval har_point(double x) { return (har_interval){x, x}; }

bool har_intervals_meet(har_interval a, har_interval b)
{
    return a.lo <= b.hi && b.lo <= a.hi;
}

static double times(double a, double b)
{
    return a == 0.0 || b == 0.0 ? 0.0 : a * b;
}

static double over(double a, double b)
{
    if (isnan(a) || isnan(b))
        return a + b;
    if (isinf(a) || (b == 0.0 && a > 0.0))
        return (double)INFINITY;
    return a == 0.0 || isinf(b) ? 0.0 : a / b;
}

static har_interval mul(har_interval a, har_interval b)
{
    return (har_interval){times(a.lo, b.lo), times(a.hi, b.hi)};
}

static har_interval quot(har_interval a, har_interval b)
{
    return (har_interval){over(a.lo, b.hi), over(a.hi, b.lo)};
}

static har_interval add(har_interval a, har_interval b)
{
    return (har_interval){a.lo + b.lo, a.hi + b.hi};
}

/* 1 - a, at least 0: what is left of a whole */
static har_interval rest(har_interval a)
{
    const har_interval r = {1.0 - a.hi, 1.0 - a.lo};
    return (har_interval){r.lo < 0.0 ? 0.0 : r.lo, r.hi < 0.0 ? 0.0 : r.hi};
}

/* --- formulas --- */

static har_interval sum_of(const char **at, const har_interval *x);

static har_interval factor_of(const char **at, const har_interval *x)
{
    har_interval value;
    if (**at == '(') {
        (*at)++;
        value = sum_of(at, x);
        core_assert(**at == ')');
        (*at)++;
    } else {
        core_assert((*at)[0] == '$' && (*at)[1] >= '0' && (*at)[1] <= '9');
        value = x[(*at)[1] - '0'];
        *at += 2;
    }
    *at += strspn(*at, " ");
    return value;
}

static har_interval product_of(const char **at, const har_interval *x)
{
    har_interval value = factor_of(at, x);
    while (**at == '*' || **at == '/') {
        const bool is_product = **at == '*';
        *at += 2;
        const har_interval next = factor_of(at, x);
        value = is_product ? mul(value, next) : quot(value, next);
    }
    return value;
}

/* a + b, or 1 - a - b */
static har_interval sum_of(const char **at, const har_interval *x)
{
    const bool is_rest = strncmp(*at, "1 - ", 4) == 0;
    *at += is_rest ? 4 : 0;
    har_interval value = product_of(at, x);
    while (**at == (is_rest ? '-' : '+')) {
        *at += 2;
        value = add(value, product_of(at, x));
    }
    return is_rest ? rest(value) : value;
}

har_interval har_formula(const char *formula, const har_interval *x)
{
    const har_interval value = sum_of(&formula, x);
    core_assert(*formula == '\0');
    return value;
}

/* --- degrees --- */

har_interval har_id_part_of(const har_interval *x)
{
    return (har_interval){0.0, x[0].hi};
}

har_interval har_id_share_up(const har_interval *x)
{
    const har_interval q = quot(x[0], x[1]);
    return (har_interval){ceil(q.lo), ceil(q.hi)};
}

har_interval har_id_copies_up(const har_interval *x)
{
    const har_interval q = quot(add(x[0], x[1]), x[2]);
    return (har_interval){ceil(q.lo), ceil(q.hi)};
}

/* --- throughput and latency --- */

har_interval har_id_inverse(const har_interval *x)
{
    return quot(har_point(1.0), x[0]);
}

har_interval har_id_per_accepted(const har_interval *x)
{
    return quot(x[0], add(har_point(1.0), x[1]));
}

har_interval har_id_read_per_accepted(const har_interval *x)
{
    return quot(quot(x[0], x[1]), add(har_point(1.0), x[2]));
}

har_interval har_id_drafted(const har_interval *x)
{
    return quot(mul(x[0], add(har_point(1.0), x[2])), x[1]);
}

har_interval har_id_excess(const har_interval *x)
{
    const har_interval q = quot(x[0], x[1]);
    return (har_interval){q.lo - 1.0, q.hi - 1.0};
}

har_interval har_id_flop_per_token(const har_interval *x)
{
    const double scores = 4.0 * x[1].hi * x[2].hi * times(x[3].hi, x[4].hi);
    return (har_interval){2.0 * x[0].lo, 2.0 * x[0].hi + scores};
}

har_interval har_id_flop_at_least(const har_interval *x)
{
    return (har_interval){2.0 * x[0].lo, INFINITY};
}

har_interval har_id_attention_share(const har_interval *x)
{
    const double scores = 2.0 * x[2].hi * x[3].hi * times(x[4].hi, x[5].hi);
    const double most = x[0].hi + scores;
    return (har_interval){over(x[0].lo, x[0].lo + x[1].hi),
                          over(most, most + x[1].lo)};
}

har_interval har_id_attention_at_least(const har_interval *x)
{
    return (har_interval){over(x[0].lo, x[0].lo + x[1].hi), 1.0};
}

/* --- schedule --- */

har_interval har_id_bubble(const har_interval *x)
{
    /* grows with pp, shrinks with the chunks of a stage */
    const har_interval chunks = mul(x[1], x[2]);
    const double lo = over(x[0].lo - 1.0, chunks.hi + x[0].lo - 1.0);
    const double hi = over(x[0].hi - 1.0, chunks.lo + x[0].hi - 1.0);
    return (har_interval){lo, hi};
}

har_interval har_id_bubble_lockstep(const har_interval *x)
{
    /* waiting (pp-1) share of (n+pp-1) share + n (1-share), n = mb vpp: grows
     * with pp and share, shrinks with n */
    const double pp = x[0].lo, n = mul(x[1], x[2]).hi, a = x[3].lo;
    const double lo = over((pp - 1.0) * a, n + (pp - 1.0) * a);
    return (har_interval){lo, har_id_bubble(x).hi};
}

har_interval har_id_busy_schedule(const har_interval *x)
{
    return rest(har_id_bubble(x));
}

har_interval har_id_busy_lockstep(const har_interval *x)
{
    return rest(har_id_bubble_lockstep(x));
}

/* share + (1 - share) / balance */
static double stretch(double share, double balance)
{
    return share + over(1.0 - share, balance);
}

har_interval har_id_busy_balanced(const har_interval *x)
{
    const har_interval whole = rest(add(x[0], x[1]));
    const double best = stretch(x[2].hi, x[3].hi > 1.0 ? 1.0 : x[3].hi);
    return (har_interval){over(whole.lo, stretch(x[2].lo, x[3].lo)),
                          over(whole.hi, best)};
}

/* --- memory --- */

har_interval har_id_least_read(const har_interval *x)
{
    const double all = x[1].lo / fmax(1.0, x[4].hi);
    const har_interval n = {x[0].lo + all, x[0].hi + x[1].hi};
    return quot(mul(n, x[2]), x[3]);
}

/* --- communication --- */

har_interval har_id_traffic(const har_interval *x)
{
    const har_interval bytes = mul(mul(x[0], x[1]), mul(x[2], x[3]));
    const har_interval of_gpu = quot(mul(bytes, x[4]), x[5]);
    const double tp = x[6].lo, ep = x[7].lo, k = x[8].lo;
    const double reduce = 2.0 * (tp - 1.0);
    const double experts = 2.0 * k * (ep - 1.0) / ep;
    return mul(of_gpu, har_point(reduce + experts));
}
