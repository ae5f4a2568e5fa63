/* harness/diagnose/scale.c -- multiplied by something.
 *
 * One number for all elements, one for every row (a weight forgotten or taken
 * twice, a norm's statistic), or one for every column (a norm's weights).
 * Numbers are fitted by least squares; what is left must be rounding.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>

/* --- one number --- */

typedef struct named {
    double value;
    char name[64];
} named;

enum { MAX_FACTORS = 24 };

static void add(named *list, int *n, double value, const char *name)
{
    if (*n == MAX_FACTORS || !isfinite(value) || value == 0.0 || value == 1.0)
        return;
    list[*n].value = value;
    snprintf(list[(*n)++].name, sizeof list->name, "%s", name);
}

/* A number of the model: it, its inverse and its square. */
static void add_scale(named *list, int *n, double value, const char *name)
{
    char text[64];
    add(list, n, value, name);
    snprintf(text, sizeof text, "1 / %s", name);
    add(list, n, 1.0 / value, text);
    snprintf(text, sizeof text, "the square of %s", name);
    add(list, n, value * value, text);
}

static int known_factors(const har__case *c, named *list)
{
    const har_scene *s = c->scene;
    const core_spec *spec = s->spec;
    char text[64];
    int n = 0;
    for (int i = 0; i < s->n_degree; i++) {
        add(list, &n, (double)s->degree[i].n, s->degree[i].name);
        snprintf(text, sizeof text, "1 / %s", s->degree[i].name);
        add(list, &n, 1.0 / (double)s->degree[i].n, text);
    }
    if (spec == NULL)
        return n;
    if (spec->n_h > 0)
        add_scale(list, &n, core_spec_heads(spec, s->tap.layer).scale,
                  "the scores' scale");
    add_scale(list, &n, spec->routed_scale, "routed_scale");
    add_scale(list, &n, spec->embed_scale, "embed_scale");
    add_scale(list, &n, spec->residual_scale, "residual_scale");
    add_scale(list, &n, spec->logits_divisor, "logits_divisor");
    add_scale(list, &n, spec->rope.attention_factor, "rope's factor");
    return n;
}

static void guess_multiple(har__case *c, double factor)
{
    for (int64_t i = 0; i < c->n * c->n_col; i++)
        c->guess[i] = factor * c->expected[i];
}

/* Least squares over rows [i0, i1) and bad columns [j0, j1); NaN if there is
 * nothing to divide by. */
static double fit(const har__case *c, int64_t i0, int64_t i1, int64_t j0,
                  int64_t j1)
{
    double xx = 0.0, xy = 0.0;
    for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0; j < j1; j++) {
            const int64_t at = i * c->n_col + j;
            if (!c->is_bad[j])
                continue;
            xx += c->expected[at] * c->expected[at];
            xy += c->expected[at] * c->found[at];
        }
    return xy / xx;
}

static void say_ratio(double ratio, char *text)
{
    if (ratio == -1.0)
        snprintf(text, HAR_LIKENESS_TEXT, "every value has the other sign");
    else if (ratio == 2.0)
        snprintf(text, HAR_LIKENESS_TEXT,
                 "every value is twice what it should be");
    else if (ratio == 0.5)
        snprintf(text, HAR_LIKENESS_TEXT,
                 "every value is half of what it should be");
    else
        snprintf(text, HAR_LIKENESS_TEXT,
                 "every value is %.4g times what it should be", ratio);
}

bool har__try_ratio(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const double simple[] = {-1.0, 2.0, 0.5, 3.0, 4.0};
    named known[MAX_FACTORS];
    double ratio = fit(c, 0, c->n, 0, c->n_col);
    guess_multiple(c, ratio);
    if (!(fabs(ratio) > 1e-6) || !har__accepts(c))
        return false;
    const double explained = c->explained;
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        guess_multiple(c, simple[i]);
        if (fabs(simple[i] - ratio) < 1e-2 * fabs(ratio) && har__accepts(c))
            ratio = simple[i];
    }
    say_ratio(ratio, text);
    const int n = known_factors(c, known);
    for (int i = 0; i < n; i++) {
        guess_multiple(c, known[i].value);
        if (fabs(known[i].value - ratio) > 1e-2 * fabs(ratio) ||
            !har__accepts(c))
            continue;
        if (ratio != known[i].value)
            say_ratio(known[i].value, text);
        size_t used = 0;
        while (text[used] != '\0')
            used++;
        snprintf(text + used, HAR_LIKENESS_TEXT - used, ": %s", known[i].name);
        break;
    }
    c->explained = explained;
    return true;
}

/* --- one for each row, one for each column --- */

/* Is there enough to see it by: several elements for each number? */
enum { MIN_FOR_A_NUMBER = 4 };

static void say_range(double low, double high, const char *what, char *text)
{
    snprintf(text, HAR_LIKENESS_TEXT,
             "every %s is multiplied by a number of its own, from %.4g to %.4g",
             what, low, high);
}

bool har__try_row_ratios(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    double low = INFINITY, high = -INFINITY;
    if (c->n_bad_col < MIN_FOR_A_NUMBER)
        return false;
    for (int64_t i = 0; i < c->n; i++) {
        const double ratio = fit(c, i, i + 1, 0, c->n_col);
        for (int64_t j = 0; j < c->n_col; j++)
            c->guess[i * c->n_col + j] = ratio * c->expected[i * c->n_col + j];
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    say_range(low, high, "row", text);
    return c->n > 1 && har__accepts(c);
}

bool har__try_column_ratios(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    double low = INFINITY, high = -INFINITY;
    if (c->n < MIN_FOR_A_NUMBER)
        return false;
    for (int64_t j = 0; j < c->n_col; j++) {
        const double ratio = fit(c, 0, c->n, j, j + 1);
        for (int64_t i = 0; i < c->n; i++)
            c->guess[i * c->n_col + j] = ratio * c->expected[i * c->n_col + j];
        if (!c->is_bad[j])
            continue;
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    say_range(low, high, "column", text);
    return c->n_bad_col > 1 && har__accepts(c);
}
