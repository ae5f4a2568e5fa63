/* ref/bounds.c -- how far may a correct fp32 implementation be off?
 *
 * Each bound is for ONE operator, from one tap to the next, on identical
 * inputs: nothing is carried through the network.  It is the sum of the worst
 * error of an implementation that computes in fp32 in any order, and of the
 * rounding of the reference's own stored value.  Derived, never observed: a
 * result outside a bound is a finding, not a reason to widen it.
 *
 * u = 2^-24, the relative error of one rounding; gamma_n = n u / (1 - n u), of
 * n roundings in a row (Higham, Accuracy and Stability, chapter 3).
 */
#include "ref/ref_impl.h"

#include <float.h>
#include <math.h>

static const double U = 0x1p-24;

static double gamma_n(int64_t n)
{
    const double nu = (double)n * U;
    return nu < 1.0 ? nu / (1.0 - nu) : HUGE_VAL;
}

/* Relative error of a sum of n terms against the sum of magnitudes: gamma_n is
 * certain; 8 sqrt(n) u holds for roundings of random sign (each term's error
 * is below u, Hoeffding: fails with probability 2 exp(-32)), and is smaller
 * from n = 64 on.                                                            */
double ref__sum_error(int64_t n)
{
    return fmin(gamma_n(n), 8.0 * sqrt((double)n) * U);
}

/* To float, upwards; implementations may flush subnormals to zero, which costs
 * up to the smallest normal number.  Transfers do not come here: they get 0. */
static float up(double bound)
{
    return (float)((bound + (double)FLT_MIN) * (1.0 + 4.0 * U));
}

/* y = sum_k x_k w_k + b.  The bias is one more term of the sum, added first or
 * last.  |x||w| <= norm2(x) norm2(w).  2u|y|: an implementation may sum wider
 * and round once when storing; the reference does.                           */
void ref__bound_product(float *bound, int64_t ld_bound, const double *y,
                        int64_t ld_y, int64_t n_row, int64_t n_col, int64_t n_k,
                        const double *norm_x, const double *norm_w,
                        const double *bias)
{
    const double c = ref__sum_error(n_k + (bias != NULL ? 1 : 0));
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col; j++) {
            const double b = bias != NULL ? fabs(bias[j]) : 0.0;
            bound[i * ld_bound + j] = up(c * (norm_x[i] * norm_w[j] + b) +
                                         2.0 * U * fabs(y[i * ld_y + j]));
        }
}

/* factor * u * |y|: 1 for a value only rounded (embed); 2 for a sum of two
 * stored values, one rounding on each side; K + 2 for a quotient by a sum of K
 * positive terms: K - 1 additions, the division, its store, the reference.   */
void ref__bound_relative(float *bound, const double *y, int64_t n,
                         double factor)
{
    for (int64_t i = 0; i < n; i++)
        bound[i] = up(factor * U * fabs(y[i]));
}

/* y = w (x / sqrt(s/D + eps)).  The squares are positive, so their sum has the
 * relative error gamma_D; the quotient and the sum with eps add 2u; the root
 * halves all that; root, division (or reciprocal root and product) and product
 * with w: gamma_D/2 + u + 3u.  One more u for the reference.                 */
void ref__bound_norm(float *bound, const double *y, int64_t n, int64_t n_d)
{
    const double c = 0.5 * gamma_n(n_d) + 5.0 * U;
    for (int64_t i = 0; i < n; i++)
        bound[i] = up(c * fabs(y[i]));
}

/* One head: q'_j = a cos - b sin, q'_{j+Dh/2} = b cos + a sin.  Table, product,
 * sum and the reference: 4 roundings of at most (|a| + |b|) max|cos|, where
 * yarn's attention factor can make max|cos| exceed 1.  Called before rotating.
 */
void ref__bound_rope(float *bound, const double *qk, int64_t n, int64_t n_dh,
                     double attention_factor)
{
    const double c = 4.0 * U * fmax(1.0, fabs(attention_factor));
    for (int64_t h = 0; h < n; h += n_dh)
        for (int64_t j = h; j < h + n_dh / 2; j++)
            bound[j] = bound[j + n_dh / 2] =
                up(c * (fabs(qk[j]) + fabs(qk[j + n_dh / 2])));
}

/* a = act(z) with error 4u(|z| + |a|): the functions are z times a factor of at
 * most 1 made of one exp, erf or tanh, whose absolute error is a few u where it
 * cancels against 1.  Gated, a = act(gate) * up: that error times |up|, the
 * product's rounding and the reference's.  Else only the reference's is added.
 */
void ref__bound_act(float *bound, const double *gate, const double *up_v,
                    const double *a, int64_t n, core_act act)
{
    for (int64_t i = 0; i < n; i++) {
        if (gate == NULL) {
            bound[i] =
                up(4.0 * U * (fabs(up_v[i]) + fabs(a[i])) + U * fabs(a[i]));
            continue;
        }
        const double f = fabs(core_act_apply(act, gate[i]));
        bound[i] = up(4.0 * U * (fabs(gate[i]) + f) * fabs(up_v[i]) +
                      2.0 * U * fabs(a[i]));
    }
}

/* p_j = e_j / sum e, e_j = exp(l_j - m).  The subtraction makes e_j wrong by
 * |l_j - m| u, in the sum by its average over p; exp 2u in numerator and sum;
 * the sum of E positive terms E u; the division u; the reference rounds e, the
 * e in the sum, and p: 3u.  In all (|l_j - m| + average + E + 8) u p_j. */
void ref__bound_softmax(float *bound, const double *logits, const double *p,
                        int64_t n)
{
    double m = -HUGE_VAL, average = 0.0;
    for (int64_t j = 0; j < n; j++)
        m = fmax(m, logits[j]);
    for (int64_t j = 0; j < n; j++)
        average += p[j] * (m - logits[j]);
    for (int64_t j = 0; j < n; j++)
        bound[j] = up((m - logits[j] + average + (double)n + 8.0) * U * p[j]);
}

/* s = (q.k) scale, then s - max, which rounds by at most u (|s| + max|s|): a
 * product over Dh, and 4u|s| for the scale, the subtraction and a store. */
double ref__score_error(int64_t n_dh, double norm_q, double norm_k,
                        double score, double scale)
{
    return ref__sum_error(n_dh) * norm_q * norm_k * scale +
           4.0 * U * fabs(score);
}

/* o = sum_j p_j v_j over n visible keys.  An error of ds in every score changes
 * p_j by 2 max ds at most (numerator and denominator).  Sums of n terms occur
 * twice: of the exponentials and of p v.  8u: exp twice (2u each), the
 * division, and the reference's stored e (twice) and p.  2u|o|: the two stores.
 */
void ref__bound_context(float *bound, const double *sum_p_abs_v,
                        const double *y, int64_t n, double max_score_error,
                        int64_t n_visible)
{
    const double c =
        2.0 * max_score_error + 2.0 * ref__sum_error(n_visible) + 8.0 * U;
    for (int64_t d = 0; d < n; d++)
        bound[d] = up(c * sum_p_abs_v[d] + 2.0 * U * fabs(y[d]));
}

/* y = sum_k w_k y_k over the choices: a product over K and the two stores. */
void ref__bound_combine(float *bound, const double *sum_abs, const double *y,
                        int64_t n, int64_t n_k)
{
    const double c = ref__sum_error(n_k);
    for (int64_t d = 0; d < n; d++)
        bound[d] = up(c * sum_abs[d] + 2.0 * U * fabs(y[d]));
}
