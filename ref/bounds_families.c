/* ref/bounds_families.c -- bounds of the operators that only some models have.
 *
 * As in bounds.c: one operator, identical inputs, a correct fp32 computation in
 * any order, derived and never observed.  The last rounding of a computation is
 * its store and not part of what computing gives.
 */
#include "ref/ref_impl.h"

#include <float.h>
#include <math.h>

/* y = (x + scale r) times.  The product's rounding, and the scale's, which need
 * not be an fp32 number: 2u |scale r|, times.  A scale of 1 costs nothing, a
 * factor other than 1 the sum's rounding.                                    */
void ref__bound_residual(ref__roundoff u, float *bound, const double *y,
                         const double *r, int64_t n, double scale,
                         double times)
{
    const double n_sum = times != 1.0 ? 1.0 : 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double product =
            r != NULL && scale != 1.0 ? fabs(scale * r[i] * times) : 0.0;
        bound[i] = ref__up(
            u, 2.0 * u.sum * product + n_sum * u.sum * fabs(y[i]), y[i]);
    }
}

/* y = c tanh(z / c): no steeper than 1, so z's error stays what it is at most.
 * The quotient and c, which need be no fp32 number, put 2u into the argument,
 * and z tanh'(z) is below tanh(z); tanh itself 4u, c once more 1u; the product
 * is the store that z's bound has.                                           */
void ref__bound_capped(ref__roundoff u, float *bound, const double *y,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        bound[i] += (float)(u.sides * 7.0 * u.sum * fabs(y[i]) *
                            (1.0 + u.store) * (1.0 + 2.0 * (double)FLT_EPSILON));
}

/* y = w (x - mean) / r + b, r^2 = var + eps.  With c = sum_error(D), q =
 * sum x^2 / D and sum |x| / D <= sqrt(q): the mean is off by (c + u) sqrt(q).
 * The variance, as D s2 - s1^2 over D^2 (or as mean of squares minus square of
 * mean, which is no better): D s2 is off by c + u, s1^2 by 2c + u, their
 * difference and the rest by 3u, all of D^2 q; so r^2 by rho = (3c + 5u) q /
 * r^2, and 1/r by 1/sqrt(1 - rho) - 1.  A sum of squared deviations is off by
 * c var and the square of the mean's error: less.  Difference, root, division
 * and product with w: 4u.  With rho >= 1 nothing is left of the variance, but
 * 1/r lies between 0 and 1/sqrt(eps), 2u beside, as the variance counts as 0 at
 * the least; then it enlarges the mean's error, too.                         */
void ref__bound_layernorm(ref__roundoff u, float *bound, const double *x,
                          const double *y, const double *w, int64_t n_d,
                          double mean, double r, double eps)
{
    const double c = ref__sum_error(u, n_d);
    double q = 0.0;
    for (int64_t d = 0; d < n_d; d++)
        q += x[d] * x[d];
    q /= (double)n_d;
    const double rho = (3.0 * c + 5.0 * u.sum) * q / (r * r);
    const double most = r / sqrt(eps) * (1.0 + 2.0 * u.sum); /* of r / r' */
    const double of_root =
        rho < 1.0 ? 1.0 / sqrt(1.0 - rho) - 1.0 : fmax(most - 1.0, 1.0);
    const double of_mean = (c + u.sum) * sqrt(q) * (rho < 1.0 ? 1.0 : most);
    for (int64_t d = 0; d < n_d; d++) {
        const double scaled = fabs(w[d] / r);
        bound[d] = ref__up(
            u, scaled * (of_mean + (of_root + 4.0 * u.sum) * fabs(x[d] - mean)),
            y[d]);
    }
}

/* y = (u' + 1) f, f = g sigmoid(z), z = alpha g, or with alpha 1 u' f, g and u'
 * clamped to a limit.  The clamps are exact but for a limit that the type of sums
 * does not hold: g is then off by u |g|, u' by what the limit is.  In f: alpha
 * and its product with g put 2u |z|
 * into the exponent, exp 2u, both times 1 - sigmoid; z sigmoid (1 - sigmoid) <
 * 0.23, and the slope of f is below 1.1, so that is below 2u |g| + 2u |f|; the
 * sum, the division and the product with g 3u |f|; together below 4u (|g| +
 * |f|), as for the other activations.  Then u' + 1: u |y|.                   */
void ref__bound_clamped(ref__roundoff u, float *bound, const double *gate,
                        const double *up_v, const double *a, int64_t n,
                        core_gating gating)
{
    const double limit = gating.limit;
    const double off = fmin(fabs(limit - (double)(float)limit), u.sum * limit);
    const double one = gating.act == CORE_ACT_CLAMPED_SWIGLU ? 1.0 : 0.0;
    const double alpha = one > 0.0 ? gating.alpha : 1.0;
    for (int64_t i = 0; i < n; i++) {
        const double g = fmin(gate[i], limit);
        const double f = fabs(g * core_sigmoid(alpha * g));
        const double factor = fabs(fmax(fmin(up_v[i], limit), -limit) + one);
        const double of_limit = fabs(up_v[i]) > limit ? off * f : 0.0;
        bound[i] = ref__up(u,
                           4.0 * u.sum * (fabs(g) + f) * factor +
                               one * u.sum * fabs(a[i]) + of_limit,
                           a[i]);
    }
}

/* y = f' u', f' = min(act(gate), most), u' = up within most: neither makes an
 * error larger, and far beyond the limit there is none.  f is off as in
 * ref__bound_act; a limit that the type of sums does not hold by the
 * difference.                                                                */
void ref__bound_limited(ref__roundoff u, float *bound, const double *gate,
                        const double *up_v, const double *a, int64_t n,
                        core_gating gating)
{
    const double most = gating.most;
    const double off = fmin(fabs(most - (double)(float)most), u.sum * most);
    for (int64_t i = 0; i < n; i++) {
        const double f = core_act_apply(gating.act, gate[i]);
        const double of_f = 4.0 * u.sum * (fabs(gate[i]) + fabs(f));
        const double kept = fabs(fmin(f, most));
        const double within = fmin(fabs(up_v[i]), most);
        bound[i] = ref__up(u,
                           (f - of_f > most ? 0.0 : of_f) * within +
                               off * (kept + within),
                           a[i]);
    }
}

/* w_k = e_k / sum e * scale over K logits: as ref__bound_softmax with n = K,
 * that is |l - m| + average + K + 6 roundings before the stores; and two for a
 * scale.                                                                     */
void ref__bound_softmax_top(ref__roundoff u, float *bound, const double *logits,
                            const int64_t *idx, const double *w, int64_t n_k,
                            double scale)
{
    const double m = logits[idx[0]], rest = scale != 1.0 ? 8.0 : 6.0;
    double average = 0.0;
    for (int64_t k = 0; k < n_k; k++)
        average += w[k] / scale * (m - logits[idx[k]]);
    for (int64_t k = 0; k < n_k; k++)
        bound[k] = ref__up(u,
                           (m - logits[idx[k]] + average + (double)n_k + rest) *
                               u.sum * w[k],
                           w[k]);
}

/* One weight of sparsemixer, w = scale / sum over the kept j of e_j: a softmax
 * at its largest logit.  Whether j is kept is a comparison whose two sides are
 * off by 4u together; where they are that close e_j may be there or not.     */
static float sparse_weight(ref__roundoff u, const double *logits, int64_t n_e,
                           int64_t largest, int64_t without, double w,
                           double jitter, double scale)
{
    const double m = logits[largest];
    double sum = 0.0, average = 0.0, doubtful = 0.0, n_kept = 0.0;
    for (int64_t j = 0; j < n_e; j++) {
        if (j == without)
            continue;
        const double ratio = (m - logits[j]) / fmax(fabs(logits[j]), m);
        const double e = exp(logits[j] - m);
        if (fabs(ratio - 2.0 * jitter) < 4.0 * u.sum * (ratio + 2.0 * jitter))
            doubtful += e;
        if (ratio > 2.0 * jitter)
            continue;
        sum += e;
        average += e * (m - logits[j]);
        n_kept += 1.0;
    }
    const double n_round = average / sum + n_kept + (scale != 1.0 ? 8.0 : 6.0);
    /* with and without the doubtful ones */
    const double flips = doubtful / fmax(sum - doubtful, 1.0);
    return ref__up(u, (n_round * u.sum + flips) * w, w);
}

void ref__bound_sparsemixer(ref__roundoff u, float *bound, const double *logits,
                            const int64_t *idx, const double *w, int64_t n_e,
                            double jitter, double scale)
{
    bound[0] = sparse_weight(u, logits, n_e, idx[0], -1, w[0], jitter, scale);
    bound[1] =
        sparse_weight(u, logits, n_e, idx[1], idx[0], w[1], jitter, scale);
}

/* y = log(1 + exp z), computed as that or by log1p: exp is off by 2u e, which
 * is 2u e / (1 + e) <= 2u y in y; rounding 1 + e by u absolutely; the logarithm
 * by 2u y.  At z >= -1/4 y is above 1/2; below, |z| is: 4u (|z| + y) holds it.
 */
void ref__bound_softplus(ref__roundoff u, float *bound, double z, double y)
{
    *bound = ref__up(u, 4.0 * u.sum * (fabs(z) + y), y);
}

/* y = sqrt(softplus(z)): the error above over twice the root, and the root's. */
void ref__bound_sqrt_softplus(ref__roundoff u, float *bound, double z, double y)
{
    const double of_softplus = 4.0 * u.sum * (fabs(z) + y * y);
    *bound = ref__up(u, of_softplus / (2.0 * y) + u.sum * y, y);
}

/* y = sigmoid(z): the exponential in z is off by 2u, its product with the other
 * factor by u: 3u |z|, which is 3u |z| (1 - y) y in y; sigmoid itself 3u y.  4u
 * for 3u hold what that changes in y and 1 - y.                              */
void ref__bound_bounded_step(ref__roundoff u, float *bound, double z, double y)
{
    *bound = ref__up(
        u, 4.0 * u.sum * y * (1.0 + fabs(z) * fmax(1.0 - y, 0.0)), y);
}

/* y = softplus(z), z = a + b, held within limits: the sum's rounding is u |z|,
 * and softplus is nowhere steeper than 1; a limit need not be an fp32 number,
 * which costs u y where y is one.                                            */
void ref__bound_time_step(ref__roundoff u, float *bound, double z, double y)
{
    *bound = ref__up(u, u.sum * (5.0 * fabs(z) + 4.0 * y), y);
}

/* A sum of n_term products with known magnitudes; carried: an error that its
 * inputs bring along.                                                        */
void ref__bound_sum(ref__roundoff u, float *bound, double sum_abs, double y,
                    int64_t n_term, double carried)
{
    *bound = ref__up(u, ref__sum_error(u, n_term) * sum_abs + carried, y);
}

/* A score sum_h w_h relu(q_h . k) c, of which no term's magnitudes add up to
 * more than `largest`, c included.  Products over Di, then a sum over Hi; relu
 * moves no error up; w, the product with it and the two factors of c: 4u.  The
 * least or the largest of several such scores is off by no more.             */
void ref__bound_edge(ref__roundoff u, float *bound, double largest, double y,
                     int64_t n_h, int64_t n_dh)
{
    const double c =
        ref__sum_error(u, n_dh) + ref__sum_error(u, n_h) + 4.0 * u.sum;
    *bound = ref__up(u, c * largest, y);
}
