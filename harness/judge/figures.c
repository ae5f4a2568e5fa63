/* harness/judge/figures.c -- figures of logits that people report, see judge.h.
 *
 * They are averages over a vocabulary, and hide a wrong row among many as well
 * as a wrong layer that the head does not see: nothing is judged by them.
 * KL(golden || dump) = sum p (log p - log q), p and q the softmax of a row.
 */
#include "harness/judge/judge_impl.h"

#include <math.h>

/* log of the sum of exponentials */
static double log_sum(const double *x, int64_t n)
{
    double top = -(double)INFINITY, sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        top = fmax(top, x[j]);
    for (int64_t j = 0; j < n; j++)
        sum += exp(x[j] - top);
    return top + log(sum);
}

static double divergence(const double *a, const double *b, int64_t n)
{
    const double log_a = log_sum(a, n), log_b = log_sum(b, n);
    double kl = 0.0;
    for (int64_t j = 0; j < n; j++) {
        const double p = exp(a[j] - log_a);
        if (p > 0.0)
            kl += p * ((a[j] - log_a) - (b[j] - log_b));
    }
    return fmax(kl, 0.0); /* what is below is rounding */
}

static double cosine(const double *a, const double *b, int64_t n)
{
    double ab = 0.0, aa = 0.0, bb = 0.0;
    for (int64_t j = 0; j < n; j++) {
        ab += a[j] * b[j];
        aa += a[j] * a[j];
        bb += b[j] * b[j];
    }
    return aa > 0.0 && bb > 0.0 ? ab / (sqrt(aa) * sqrt(bb))
                                : (double)(aa == bb);
}

static int64_t top(const double *x, int64_t n)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        best = x[j] > x[best] ? j : best;
    return best;
}

void har__figures_row(har__pass *p, const har_yard_tap *tap, int64_t row)
{
    har_figures *f = &p->judged->figures;
    const double *a = p->expected, *b = p->found;
    const int64_t n = tap->extent.n_col;
    for (int64_t j = 0; j < n; j++) {
        if (!isfinite(a[j]) || !isfinite(b[j])) {
            f->n_nonfinite++;
            return;
        }
    }
    const double kl = divergence(a, b, n), angle = cosine(a, b, n);
    f->kl_sum += kl;
    f->kl_largest = fmax(f->kl_largest, kl);
    f->cosine_sum += angle;
    f->cosine_smallest =
        f->n_row == 0 ? angle : fmin(f->cosine_smallest, angle);
    f->n_top1 += a[top(b, n)] == a[top(a, n)]; /* a tie is no disagreement */
    for (int64_t j = 0; j < n; j++) {
        if (fabs(a[j] - b[j]) <= f->largest)
            continue;
        f->largest = fabs(a[j] - b[j]);
        f->b = row / tap->extent.n_t;
        f->t = row % tap->extent.n_t;
        f->col = j;
    }
    f->n_row++;
}
