/* harness/diagnose/weights.c -- a product with other weights, or of another
 * input.
 *
 * The weights of another layer or expert, the input before a norm, a square
 * matrix that was not transposed.  Which weights they are is looked for with
 * one row and a few columns; all of them must bear it out.
 */
#include "harness/diagnose/impl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A product as it is tried: which weights for which row.                     */
typedef struct trial {
    const har__product *of;
    int64_t n_k;
    const double *x;       /* [n, n_k]                                      */
    const int64_t *expert; /* [n] whose weights                             */
    int layer;
    bool is_transposed;
    double *line; /* [n_k]                                         */
} trial;

/* One element of row i: its product and its bias. */
static double element(const har__case *c, const trial *t, int64_t i,
                      int64_t col)
{
    const har_scene *s = c->scene;
    const core_weight w = {t->of->weight, t->layer, (int)t->expert[i]};
    const core_weight bias = {core_weight_bias(w.kind), w.layer, w.expert};
    double sum = 0.0, b = 0.0;
    if (t->is_transposed)
        core_weights_read(s->weights, w, 0, t->n_k, col, col + 1, t->line, 1);
    else
        core_weights_read(s->weights, w, col, col + 1, 0, t->n_k, t->line,
                          t->n_k);
    for (int64_t k = 0; k < t->n_k; k++)
        sum += t->x[i * t->n_k + k] * t->line[k];
    if (bias.kind != CORE_W_NONE && core_weight_exists(s->spec, bias))
        core_weights_read(s->weights, bias, 0, 1, col, col + 1, &b, 1);
    return (sum + b) /
           (t->of->out == CORE_TAP_LOGITS ? s->spec->logits_divisor : 1.0);
}

static void compute(har__case *c, const trial *t)
{
    for (int64_t i = 0; i < c->n; i++)
        for (int64_t j = 0; j < c->n_col; j++)
            c->guess[i * c->n_col + j] =
                c->is_bad[j] ? element(c, t, i, c->scene->col0 + j)
                             : c->expected[i * c->n_col + j];
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
        const double x = element(c, t, i, c->scene->col0 + j);
        if (!(fabs(x - c->found[i * c->n_col + j]) <= 4.0 * c->tolerance[i]))
            return false;
        n++;
    }
    return n > 1;
}

static bool open_trial(har__case *c, trial *t)
{
    const int64_t most = INT64_C(1) << 27; /* products of a try               */
    const har_scene *s = c->scene;
    memset(t, 0, sizeof *t);
    t->of = har__product_of(c);
    if (t->of == NULL)
        return false;
    core_tap in = har__beside(c, t->of->in);
    if (t->of->out == CORE_TAP_Q && s->spec->n_q_rank > 0)
        in.kind = CORE_TAP_Q_A_NORM;
    t->n_k = s->n_col_of(s->self, in);
    if (t->n_k <= 0 || c->n * c->n_bad_col > most / t->n_k)
        return false;
    t->layer = s->tap.layer;
    t->x = har__tap_rows(c, in);
    t->expert = har__experts_of(c);
    t->line = har__room(c, t->n_k);
    if (t->x == NULL || t->expert == NULL || t->line == NULL)
        return false;
    compute(c, t);
    return har__is_expected(c);
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
