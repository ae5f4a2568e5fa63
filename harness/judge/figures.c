/* harness/judge/figures.c -- see figures.h. */
#include "harness/judge/figures.h"

#include "core/files/json.h"

#include <math.h>
#include <stdio.h>

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

void har_figures_add(har_figures *f, int64_t row, int64_t n_t, int64_t n,
                     const double *a, const double *b)
{
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
        f->b = row / n_t;
        f->t = row % n_t;
        f->col = j;
    }
    f->n_row++;
}

const char *har_figures_text(char text[HAR_FIGURES_TEXT], const har_figures *f)
{
    const double n = (double)f->n_row;
    text[0] = '\0';
    if (f->n_row > 0)
        snprintf(text, HAR_FIGURES_TEXT,
                 "KL mean %.3g, largest %.3g nat; cosine mean %.9g, smallest "
                 "%.9g; top-1 equal in %lld of %lld rows; largest difference "
                 "%.3g at row %lld, position %lld, column %lld",
                 f->kl_sum / n, f->kl_largest, f->cosine_sum / n,
                 f->cosine_smallest, (long long)f->n_top1, (long long)f->n_row,
                 f->largest, (long long)f->b, (long long)f->t,
                 (long long)f->col);
    return text;
}

json_t *har_figures_json(const har_figures *f)
{
    const double n = (double)f->n_row;
    if (f->n_row + f->n_nonfinite == 0)
        return json_null();
    json_t *o = json_object();
    core_json_put_int(o, "rows", f->n_row);
    core_json_put_int(o, "nonfinite_rows", f->n_nonfinite);
    core_json_put_number(o, "kl_mean_nat", f->kl_sum / n);
    core_json_put_number(o, "kl_largest_nat", f->kl_largest);
    core_json_put_number(o, "cosine_mean", f->cosine_sum / n);
    core_json_put_number(o, "cosine_smallest", f->cosine_smallest);
    core_json_put_int(o, "top1_equal", f->n_top1);
    core_json_put_number(o, "largest_difference", f->largest);
    core_json_put_int(o, "row", f->b);
    core_json_put_int(o, "position", f->t);
    core_json_put_int(o, "column", f->col);
    return o;
}
