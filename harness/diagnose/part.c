/* harness/diagnose/part.c -- sums over ranks: whose share was counted how
 * often?
 *
 * A product whose inner columns are dealt to ranks is a sum of shares.  They
 * are computed anew from the product's input and weights, and how often each
 * one was counted is fitted: the numbers must come out whole.
 */
#include "harness/diagnose/impl.h"

#include "core/pass/batch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_SHARES = 8 };

typedef struct shares {
    const char *name;              /* of the degree                           */
    int64_t n;                     /* ranks                                   */
    int64_t n_term;                /* and one more: the bias, if known */
    int64_t first[MAX_SHARES + 1]; /* inner columns of each                   */
    double *term[MAX_SHARES + 1];  /* [n, n_col]                              */
} shares;

/* Add x W^T of each share to row i.  w: [n_col, n_k] */
static void add_row(const har__case *c, shares *s, int64_t i, const double *x,
                    const double *w, int64_t n_k)
{
    for (int64_t p = 0; p < s->n; p++)
        for (int64_t j = 0; j < c->n_col; j++) {
            double sum = 0.0;
            for (int64_t k = s->first[p]; k < s->first[p + 1]; k++)
                sum += x[k] * w[j * n_k + k];
            s->term[p][i * c->n_col + j] = sum;
        }
}

/* The terms of all rows, expert by expert. */
static bool make_terms(har__case *c, const har__product *of, shares *s)
{
    const har_scene *scene = c->scene;
    const core_weight_kind bias = core_weight_bias(of->weight);
    const int64_t n_k = scene->n_col_of(scene->self, har__beside(c, of->in));
    const double *x = har__tap_rows(c, har__beside(c, of->in));
    const int64_t *expert = har__experts_of(c);
    double *w = n_k > 0 ? har__room(c, c->n_col * n_k) : NULL;
    core_weight_kind kind;
    if (x == NULL || expert == NULL || w == NULL ||
        !har__is_affordable(c, expert, n_k))
        return false;
    for (int64_t p = 0; p <= s->n; p++)
        if ((s->term[p] = har__room(c, c->n * c->n_col)) == NULL)
            return false;
    for (int64_t e = 0; e < (scene->spec->n_e > 0 ? scene->spec->n_e : 1);
         e++) {
        bool is_read = false;
        for (int64_t i = 0; i < c->n; i++) {
            if (expert[i] != e)
                continue;
            if (!is_read)
                core_weights_read(
                    scene->weights,
                    (core_weight){of->weight, scene->tap.layer, (int)e},
                    scene->col0, scene->col0 + c->n_col, 0, n_k, w, n_k);
            is_read = true;
            add_row(c, s, i, x + i * n_k, w, n_k);
        }
    }
    s->n_term = s->n;
    if (bias != CORE_W_NONE &&
        core_weight_exists(scene->spec,
                           (core_weight){bias, scene->tap.layer, 0}) &&
        har__bias_rows(c, s->term[s->n], &kind))
        s->n_term++;
    return true;
}

/* times [n_term] that make found of the terms, least squares; false: they are
 * not independent. */
static bool fit(const har__case *c, const shares *s, double *times)
{
    enum { N = MAX_SHARES + 1 };
    double a[N][N + 1] = {{0.0}};
    const int64_t n = s->n_term;
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++) {
            const int64_t at = i * c->n_col + j;
            if (!c->is_bad[j])
                continue;
            for (int64_t p = 0; p < n; p++) {
                for (int64_t q = 0; q < n; q++)
                    a[p][q] += s->term[p][at] * s->term[q][at];
                a[p][n] += s->term[p][at] * c->found[at];
            }
        }
    for (int64_t p = 0; p < n; p++) { /* positive definite: no pivoting       */
        const double before = a[p][p];
        if (!(before > 0.0))
            return false;
        for (int64_t q = p + 1; q < n; q++) {
            const double factor = a[q][p] / a[p][p];
            for (int64_t r = p; r <= n; r++)
                a[q][r] -= factor * a[p][r];
            if (!(a[q][q] > 1e-9 * before))
                return false;
        }
    }
    for (int64_t p = n - 1; p >= 0; p--) {
        times[p] = a[p][n];
        for (int64_t q = p + 1; q < n; q++)
            times[p] -= a[p][q] * times[q];
        times[p] /= a[p][p];
    }
    return true;
}

static void say_shares(const shares *s, const double *times, char *text)
{
    int used = 0;
    int64_t n_missing = 0, n_other = 0, missing = 0;
    for (int64_t p = 0; p < s->n; p++) {
        n_missing += times[p] == 0.0;
        n_other += times[p] != 0.0 && times[p] != 1.0;
        missing = times[p] == 0.0 ? p : missing;
    }
    if (n_missing == 1 && n_other == 0)
        used = snprintf(text, HAR_LIKENESS_TEXT,
                        "a sum of %lld shares (%s) without share %lld",
                        (long long)s->n, s->name, (long long)missing);
    else {
        used = snprintf(text, HAR_LIKENESS_TEXT,
                        "a sum of %lld shares (%s) that are counted",
                        (long long)s->n, s->name);
        for (int64_t p = 0; p < s->n; p++)
            used += snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                             "%s %g", p > 0 ? "," : "", times[p]);
        used +=
            snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used, " times");
    }
    if (s->n_term > s->n && times[s->n] != 1.0)
        snprintf(text + used, HAR_LIKENESS_TEXT - (size_t)used,
                 ", the bias %g times", times[s->n]);
}

static bool is_of_shares(har__case *c, const har__product *of,
                         har_degree degree, char *text)
{
    const har_scene *scene = c->scene;
    const int64_t n_k = scene->n_col_of(scene->self, har__beside(c, of->in));
    const int64_t unit =
        of->in == CORE_TAP_CONTEXT
            ? core_spec_heads(scene->spec, scene->tap.layer).n_dv
            : 1;
    shares s = {.name = degree.name, .n = degree.n};
    double times[MAX_SHARES + 1];
    if (degree.n < 2 || degree.n > MAX_SHARES || n_k < degree.n * unit)
        return false;
    for (int64_t p = 0; p <= s.n; p++)
        s.first[p] = unit * core_split_first(n_k / unit, s.n, p);
    if (!make_terms(c, of, &s) || !fit(c, &s, times))
        return false;
    memset(c->guess, 0, (size_t)(c->n * c->n_col) * sizeof *c->guess);
    for (int64_t p = 0; p < s.n_term; p++) {
        times[p] = round(times[p]) + 0.0;
        for (int64_t i = 0; i < c->n * c->n_col; i++)
            c->guess[i] += times[p] * s.term[p][i];
    }
    har__store(c);
    say_shares(&s, times, text);
    return har__accepts(c);
}

bool har__try_parts(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const har_degree usual[] = {
        {"2 ranks", 2}, {"4 ranks", 4}, {"8 ranks", 8}};
    const har_scene *s = c->scene;
    const har__product *of = har__product_of(c);
    const bool is_known = s->n_degree > 0;
    const int n = is_known ? s->n_degree : 3;
    if (of == NULL || !of->is_dealt || s->weights == NULL)
        return false;
    for (int i = 0; i < n; i++)
        if (is_of_shares(c, of, is_known ? s->degree[i] : usual[i], text))
            return true;
    return false;
}
