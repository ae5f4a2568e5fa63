/* harness/diagnose/weights.c -- a product with other weights, or of another
 * input.
 *
 * The weights of another layer or expert, the input before a norm, a square
 * matrix that was not transposed.  Which weights they are is looked for with
 * one row and a few columns; all of them must bear it out.
 */
#include "harness/diagnose/impl.h"

#include "core/model/elementary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A product as it is tried: which weights for which row.                     */
typedef struct trial {
    const har__product *of;
    int64_t n_k;
    const double *x;       /* [n, n_k]                                        */
    const int64_t *expert; /* [n] whose weights                               */
    int layer;
    bool is_transposed;
    double *line; /* [n_k]                                                    */
} trial;

/* Read the weights of a column, of row i's expert: line[], and its bias. */
static double read_column(const har__case *c, const trial *t, int64_t i,
                          int64_t col)
{
    const har_scene *s = c->scene;
    const core_weight w = {t->of->weight, t->layer, (int)t->expert[i]};
    const core_weight bias = {core_weight_bias(w.kind), w.layer, w.expert};
    double b = 0.0;
    if (t->is_transposed)
        core_weights_read(s->weights, w, 0, t->n_k, col, col + 1, t->line, 1);
    else
        core_weights_read(s->weights, w, col, col + 1, 0, t->n_k, t->line,
                          t->n_k);
    if (bias.kind != CORE_W_NONE && core_weight_exists(s->spec, bias))
        core_weights_read(s->weights, bias, 0, 1, col, col + 1, &b, 1);
    return b;
}

/* Row i times what was read. */
static double element(const har__case *c, const trial *t, int64_t i, double b)
{
    double sum = 0.0;
    for (int64_t k = 0; k < t->n_k; k++)
        sum += t->x[i * t->n_k + k] * t->line[k];
    const core_spec *spec = c->scene->spec;
    return t->of->out == CORE_TAP_LOGITS
               ? core_capped((sum + b) / spec->logits_divisor, spec->logits_cap)
               : sum + b;
}

static bool is_first_of_expert(const trial *t, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (t->expert[k] == t->expert[i])
            return false;
    return true;
}

/* Weights are read once for all rows of an expert. */
static void compute(har__case *c, const trial *t)
{
    memcpy(c->guess, c->expected, (size_t)(c->n * c->n_col) * sizeof *c->guess);
    for (int64_t i = 0; i < c->n; i++) {
        if (!is_first_of_expert(t, i))
            continue;
        for (int64_t j = 0; j < c->n_col; j++) {
            if (!c->is_bad[j])
                continue;
            const double b = read_column(c, t, i, c->scene->col0 + j);
            for (int64_t k = i; k < c->n; k++)
                if (t->expert[k] == t->expert[i])
                    c->guess[k * c->n_col + j] = element(c, t, k, b);
        }
    }
    har__store(c);
}

/* Do a few columns of row i come out as found? */
static bool fits(const har__case *c, const trial *t, int64_t i)
{
    enum { MOST = 8 };
    int n = 0;
    for (int64_t j = 0; j < c->n_col && n < MOST; j++) {
        if (!c->is_bad[j])
            continue;
        const double b = read_column(c, t, i, c->scene->col0 + j);
        const double x = element(c, t, i, b);
        if (!(fabs(x - c->found[i * c->n_col + j]) <= 4.0 * c->tolerance[i]))
            return false;
        n++;
    }
    return n > 1;
}

static bool is_right(har__case *c, const trial *t)
{
    if (c->is_product < 0) {
        compute(c, t);
        c->is_product = har__is_expected(c);
    }
    return c->is_product == 1;
}

static bool open_trial(har__case *c, trial *t)
{
    const har_scene *s = c->scene;
    memset(t, 0, sizeof *t);
    t->of = har__product_of(c);
    if (t->of == NULL)
        return false;
    core_tap in = har__beside(c, t->of->in);
    if (t->of->out == CORE_TAP_Q && s->spec->n_q_rank > 0)
        in.kind = CORE_TAP_Q_A_NORM;
    t->n_k = s->n_col_of(s->self, in);
    t->expert = har__experts_of(c);
    if (t->expert == NULL || !har__is_affordable(c, t->expert, t->n_k))
        return false;
    t->layer = s->tap.layer;
    t->x = har__tap_rows(c, in);
    t->line = har__room(c, t->n_k);
    return t->x != NULL && t->line != NULL && is_right(c, t);
}

/* --- of another layer, of another expert --- */

static bool is_of_layer(har__case *c, trial *t, char *text)
{
    const core_spec *spec = c->scene->spec;
    for (int layer = 0; layer < (int)spec->n_l; layer++) {
        const core_weight w = {t->of->weight, layer, (int)t->expert[0]};
        int64_t n_row, n_col;
        if (layer == c->scene->tap.layer || !core_weight_exists(spec, w))
            continue;
        core_weight_shape(spec, w, &n_row, &n_col);
        t->layer = layer;
        if (n_row != c->scene->n_col || n_col != t->n_k || !fits(c, t, 0))
            continue;
        compute(c, t);
        snprintf(text, HAR_LIKENESS_TEXT,
                 "computed with the weights of layer "
                 "%d",
                 layer);
        if (har__accepts(c))
            return true;
    }
    t->layer = c->scene->tap.layer;
    return false;
}

/* to[e]: the expert whose weights the rows of e were computed with. */
static bool find_experts(har__case *c, trial *t, int64_t *to, int64_t *used)
{
    const int64_t n_e = c->scene->spec->n_e;
    for (int64_t e = 0; e < n_e; e++)
        to[e] = -1;
    for (int64_t i = 0; i < c->n; i++) {
        const int64_t mine = t->expert[i];
        trial other = *t;
        other.expert = used;
        for (int64_t e = 0; to[mine] < 0 && e < n_e; e++) {
            used[i] = e;
            if (fits(c, &other, i))
                to[mine] = e;
        }
        if (to[mine] < 0)
            return false;
        used[i] = to[mine];
    }
    return true;
}

static bool is_of_experts(har__case *c, trial *t, char *text)
{
    const core_weight_scope scope = core_weight_scope_of(t->of->weight);
    const int64_t n_e = c->scene->spec->n_e;
    int64_t *to = (int64_t *)har__room(c, n_e);
    int64_t *used = (int64_t *)har__room(c, c->n);
    if (scope != CORE_SCOPE_EXPERT || to == NULL || used == NULL ||
        !find_experts(c, t, to, used))
        return false;
    t->expert = used;
    compute(c, t);
    int at = snprintf(text, HAR_LIKENESS_TEXT,
                      "computed with the weights of other experts:");
    for (int64_t e = 0, n = 0; e < n_e; e++)
        if (to[e] >= 0 && n++ < 6)
            at += snprintf(text + at, HAR_LIKENESS_TEXT - (size_t)at,
                           n > 5 ? ", ..." : "%s %lld with those of %lld",
                           n > 1 ? "," : "", (long long)e, (long long)to[e]);
    return har__accepts(c);
}

bool har__try_weights(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    trial t;
    return open_trial(c, &t) &&
           (is_of_layer(c, &t, text) || is_of_experts(c, &t, text));
}

/* --- of another input --- */

bool har__try_input(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const har_scene *s = c->scene;
    char name[CORE_NAME_BYTES];
    trial t;
    if (!open_trial(c, &t))
        return false;
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
        core_tap tap = har__beside(c, (core_tap_kind)kind);
        if (core_tap_is_global(s->tap.kind) && !core_tap_is_global(tap.kind))
            tap.layer = (int)s->spec->n_l - 1;
        if (tap.kind == s->tap.kind ||
            core_tap_is_global(tap.kind) > core_tap_is_global(s->tap.kind) ||
            s->n_col_of(s->self, tap) != t.n_k ||
            core_tap_row_kind(tap.kind) != core_tap_row_kind(s->tap.kind))
            continue;
        t.x = har__tap_rows(c, tap);
        if (t.x == NULL || !fits(c, &t, 0))
            continue;
        compute(c, &t);
        snprintf(text, HAR_LIKENESS_TEXT, "computed from %s (%s)",
                 core_tap_name(tap, name), core_tap_words(tap.kind));
        if (har__accepts(c))
            return true;
    }
    return false;
}

bool har__try_untransposed(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    trial t;
    if (!open_trial(c, &t) || t.n_k != c->scene->n_col)
        return false;
    t.is_transposed = true;
    if (!fits(c, &t, 0))
        return false;
    compute(c, &t);
    snprintf(text, HAR_LIKENESS_TEXT,
             "computed with the square matrix not transposed");
    return har__accepts(c);
}
