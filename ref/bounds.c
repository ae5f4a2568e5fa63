/* ref/bounds.c -- how far may a correct implementation in floats be off?
 *
 * Each bound is for ONE operator, from one tap to the next, on identical
 * inputs: nothing is carried through the network.  It is the sum of the worst
 * error of an implementation that computes in fp32 (fp64) in any order, and of
 * storing the result, there and in the reference.  Derived, never observed: a
 * result outside a bound is a finding, not a reason to widen it.
 *
 * u = u.sum is the relative error of one rounding, 2^-24, in fp64 2^-53;
 * gamma_n = n u / (1 - n u), of n roundings in a row (Higham, Accuracy and
 * Stability, chapter 3).  u_s = u.store is that of storing: u, but in bf16
 * 2^-8.  In fp32 and fp64 the last rounding of a computation IS the store; in
 * bf16 it comes on top, see ref__up.
 *
 * The reference computes in double: in fp32 and bf16 that is exact beside what
 * the other side does.  In fp64 its sums err as theirs do, so d counts twice.
 */
#include "ref/ref_impl.h"

#include <float.h>
#include <math.h>

static double gamma_n(ref__roundoff u, int64_t n)
{
    const double nu = (double)n * u.sum;
    return nu < 1.0 ? nu / (1.0 - nu) : HUGE_VAL;
}

/* Relative error of a sum of n terms against the sum of magnitudes: gamma_n is
 * certain; 8 sqrt(n) u holds for roundings of random sign (each term's error
 * is below u, Hoeffding: fails with probability 2 exp(-32)), and is smaller
 * from n = 64 on.                                                            */
double ref__sum_error(ref__roundoff u, int64_t n)
{
    return fmin(gamma_n(u, n), 8.0 * sqrt((double)n) * u.sum);
}

ref__roundoff ref__roundoff_of(core_numerics numerics)
{
    return (ref__roundoff){core_sum_roundoff(numerics),
                           core_store_roundoff(numerics),
                           core_uses_floats(numerics) ? 1.0 : 2.0,
                           core_store_least(numerics)};
}

ref__roundoff ref__u(const ref__run *run, core_tap_kind kind)
{
    return ref__roundoff_of(core_tap_numerics(run->numerics, kind));
}

/* From d, what computing gives on one side, and y, the reference's stored
 * value, to what may be found: sides d + 2 u_s |y|, as float, upwards.  Storing
 * is off by u_s times the stored |y| here, and by u_s (|y| (1 + u_s) + d)
 * there, because what is stored there may be larger; the factor 1 + u_s holds
 * both, and with u_s |y| u_s to spare the fp32 rounding that may precede a
 * store in bf16, ties or not. Implementations may flush subnormals to zero,
 * which costs up to the smallest normal number: a float's, in fp64 too, because
 * the bound is a float. Transfers do not come here: they get 0. */
float ref__up(ref__roundoff u, double d, double y)
{
    const double bound =
        u.sides * d + 2.0 * (u.store * fabs(y) + u.least) + (double)FLT_MIN;
    return (float)(bound * (1.0 + u.store) * (1.0 + 2.0 * (double)FLT_EPSILON));
}

/* y = sum_k x_k w_k + b.  The bias is one more term of the sum, added first or
 * last.  |x||w| <= norm2(x) norm2(w).  Both sides store: an implementation may
 * sum wider and round once; the reference does.                              */
void ref__bound_product(ref__roundoff u, float *bound, int64_t ld_bound,
                        const double *y, int64_t ld_y, int64_t n_row,
                        int64_t n_col, int64_t n_k, const double *norm_x,
                        const double *norm_w, const double *bias)
{
    const double c = ref__sum_error(u, n_k + (bias != NULL ? 1 : 0));
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col; j++) {
            const double b = bias != NULL ? fabs(bias[j]) : 0.0;
            bound[i * ld_bound + j] =
                ref__up(u, c * (norm_x[i] * norm_w[j] + b), y[i * ld_y + j]);
        }
}

/* n_round u |y|, and both stores: n_round 0 for a sum of two stored values, K
 * for a quotient by a sum of K positive terms: K - 1 additions, the division.
 */
void ref__bound_relative(ref__roundoff u, float *bound, const double *y,
                         int64_t n, double n_round)
{
    for (int64_t i = 0; i < n; i++)
        bound[i] = ref__up(u, n_round * u.sum * fabs(y[i]), y[i]);
}

/* A value that is only looked up and stored once more: u_s |y|, no more than a
 * unit of storage.                                                           */
void ref__bound_copy(ref__roundoff u, float *bound, const double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        bound[i] = ref__up(u, 0.0, 0.5 * y[i]);
}

/* y = w (x / sqrt(s/D + eps)).  The squares are positive, so their sum has the
 * relative error gamma_D; the quotient and the sum with eps add 2u; the root
 * halves all that; root, division (or reciprocal root and product): gamma_D/2 +
 * u + 2u.  The product with w is the store; n_more: of 1 + w the sum is one
 * more, a division afterwards two, because the divisor need be no fp32 number.
 */
void ref__bound_norm(ref__roundoff u, float *bound, const double *y, int64_t n,
                     int64_t n_d, double n_more)
{
    const double c = 0.5 * gamma_n(u, n_d) + (3.0 + n_more) * u.sum;
    for (int64_t i = 0; i < n; i++)
        bound[i] = ref__up(u, c * fabs(y[i]), y[i]);
}

/* One head: q'_j = a cos - b sin, q'_{j+Dh/2} = b cos + a sin.  Table, product
 * and the two stores (of which the sum's rounding is one), each of at most
 * (|a| + |b|) max|cos|, where yarn's attention factor can make max|cos| exceed
 * 1.  In bf16 the table is bf16 on both sides and wrong on neither.  Called
 * before rotating.                                                           */
void ref__bound_rope(ref__roundoff u, float *bound, const double *qk, int64_t n,
                     int64_t n_dh, double attention_factor)
{
    const double largest = fmax(1.0, fabs(attention_factor));
    for (int64_t h = 0; h < n; h += n_dh)
        for (int64_t j = h; j < h + n_dh / 2; j++) {
            const double y = largest * (fabs(qk[j]) + fabs(qk[j + n_dh / 2]));
            bound[j] = bound[j + n_dh / 2] = ref__up(u, 2.0 * u.sum * y, y);
        }
}

/* a = act(z) with error 4u(|z| + |a|): the functions are z times a factor of at
 * most 1 made of one exp, erf or tanh, whose absolute error is a few u where it
 * cancels against 1.  Gated, a = act(gate) * up: that error times |up|; the
 * product's rounding is the store.  Else the last u|a| of the 4 is.          */
void ref__bound_act(ref__roundoff u, float *bound, const double *gate,
                    const double *up_v, const double *a, int64_t n,
                    core_act act)
{
    for (int64_t i = 0; i < n; i++) {
        if (gate == NULL) {
            bound[i] = ref__up(
                u, u.sum * (4.0 * fabs(up_v[i]) + 3.0 * fabs(a[i])), a[i]);
            continue;
        }
        const double f = fabs(core_act_apply(act, gate[i]));
        bound[i] =
            ref__up(u, 4.0 * u.sum * (fabs(gate[i]) + f) * fabs(up_v[i]), a[i]);
    }
}

/* p_j = e_j / sum e, e_j = exp(l_j - m).  The subtraction makes e_j wrong by
 * |l_j - m| u, in the sum by its average over p; exp 2u in numerator and sum;
 * the sum of E positive terms E u; the reference rounds e and the e in the sum:
 * 2u.  In all (|l_j - m| + average + E + 6) u p_j; the division is the store.
 */
void ref__bound_softmax(ref__roundoff u, float *bound, const double *logits,
                        const double *p, int64_t n)
{
    double m = -HUGE_VAL, average = 0.0;
    for (int64_t j = 0; j < n; j++)
        m = fmax(m, logits[j]);
    for (int64_t j = 0; j < n; j++)
        average += p[j] * (m - logits[j]);
    for (int64_t j = 0; j < n; j++)
        bound[j] = ref__up(
            u, (m - logits[j] + average + (double)n + 6.0) * u.sum * p[j],
            p[j]);
}

/* s = (q.k) scale, then s - max, which rounds by at most u (|s| + max|s|): a
 * product over Dh, and 4u|s| for the scale, the subtraction and a store.  A
 * score is fp32 in bf16 too. */
double ref__score_error(ref__roundoff u, int64_t n_dh, double norm_q,
                        double norm_k, double score, double scale)
{
    return ref__sum_error(u, n_dh) * norm_q * norm_k * scale +
           4.0 * u.sum * fabs(score);
}

/* o = sum_j p_j v_j over n visible keys.  An error of ds in every score changes
 * p_j by 2 max ds at most (numerator and denominator).  Sums of n terms occur
 * twice: of the exponentials and of p v.  6u: exp twice (2u each) and the
 * reference's stored e, twice.  p is stored on both sides before it is used, as
 * of_p says: 1 + u_s is for it what it is in ref__up, and so is what storing
 * may do near zero, to each p and thus to its v.  of_sum is of both sides. */
double ref__context_share(ref__roundoff u, ref__roundoff of_p,
                          double max_score_error, int64_t n_visible)
{
    return (1.0 + of_p.store) *
           (2.0 * max_score_error + 2.0 * ref__sum_error(u, n_visible) +
            6.0 * u.sum + 2.0 * of_p.store);
}

void ref__bound_context(ref__roundoff u, ref__roundoff of_p, float *bound,
                        const double *sum_p_abs_v, const double *of_sum,
                        const double *y, int64_t n, double max_score_error,
                        double max_v, int64_t n_visible)
{
    const double c = ref__context_share(u, of_p, max_score_error, n_visible);
    const double near_zero = 2.0 * of_p.least * (double)n_visible * max_v;
    for (int64_t d = 0; d < n; d++) {
        const double stored = of_sum != NULL ? of_sum[d] / u.sides : 0.0;
        bound[d] = ref__up(u, c * sum_p_abs_v[d] + near_zero + stored, y[d]);
    }
}

/* y = sum_k w_k y_k over the choices: a product over K and the two stores. */
void ref__bound_combine(ref__roundoff u, float *bound, const double *sum_abs,
                        const double *y, int64_t n, int64_t n_k)
{
    const double c = ref__sum_error(u, n_k);
    for (int64_t d = 0; d < n; d++)
        bound[d] = ref__up(u, c * sum_abs[d], y[d]);
}
