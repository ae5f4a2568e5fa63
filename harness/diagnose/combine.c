/* harness/diagnose/combine.c -- the experts' results, weighed otherwise.
 *
 * The sum is computed anew from the results that came back.
 */
#include "harness/diagnose/impl.h"

#include <stdio.h>

typedef struct inputs {
    const double *weight, *idx, *slot; /* [n, K]                              */
    const double *back;                /* [n, K, D]                           */
    double *by;                        /* [K] weights of a row                */
} inputs;

/* Fill by[] with what each choice of row i is multiplied by. */
typedef void rule(const har__case *c, const inputs *in, int64_t i);

static bool is_kept(const har__case *c, const inputs *in, int64_t i, int64_t j)
{
    return in->slot[i * c->scene->spec->n_k + j] >= 0.0;
}

static void right(const har__case *c, const inputs *in, int64_t i)
{
    const core_spec *spec = c->scene->spec;
    for (int64_t j = 0; j < spec->n_k; j++)
        in->by[j] = spec->weigh_input ? 1.0 : in->weight[i * spec->n_k + j];
}

static void alike(const har__case *c, const inputs *in, int64_t i)
{
    (void)i;
    for (int64_t j = 0; j < c->scene->spec->n_k; j++)
        in->by[j] = 1.0;
}

static void twice(const har__case *c, const inputs *in, int64_t i)
{
    right(c, in, i);
    for (int64_t j = 0; j < c->scene->spec->n_k; j++)
        in->by[j] *= in->weight[i * c->scene->spec->n_k + j];
}

/* The weights belong to ascending experts, and were taken in order of choice.
 */
static void by_expert(const har__case *c, const inputs *in, int64_t i)
{
    const int64_t n_k = c->scene->spec->n_k;
    for (int64_t j = 0; j < n_k; j++) {
        int64_t n_lower = 0;
        for (int64_t k = 0; k < n_k; k++)
            n_lower += in->idx[i * n_k + k] < in->idx[i * n_k + j];
        in->by[j] = in->weight[i * n_k + n_lower];
    }
}

static void of_kept(const har__case *c, const inputs *in, int64_t i)
{
    double all = 0.0, kept = 0.0;
    right(c, in, i);
    for (int64_t j = 0; j < c->scene->spec->n_k; j++) {
        all += in->by[j];
        kept += is_kept(c, in, i, j) ? in->by[j] : 0.0;
    }
    for (int64_t j = 0; kept > 0.0 && j < c->scene->spec->n_k; j++)
        in->by[j] *= all / kept;
}

static void without_last(const har__case *c, const inputs *in, int64_t i)
{
    right(c, in, i);
    in->by[c->scene->spec->n_k - 1] = 0.0;
}

static void first_alone(const har__case *c, const inputs *in, int64_t i)
{
    right(c, in, i);
    for (int64_t j = 1; j < c->scene->spec->n_k; j++)
        in->by[j] = 0.0;
}

static void compute(har__case *c, const inputs *in, rule *weigh)
{
    const int64_t n_k = c->scene->spec->n_k, n_d = c->scene->n_col;
    for (int64_t i = 0; i < c->n; i++) {
        weigh(c, in, i);
        for (int64_t d = 0; d < c->n_col; d++) {
            double sum = 0.0;
            for (int64_t j = 0; j < n_k; j++)
                if (is_kept(c, in, i, j))
                    sum += in->by[j] *
                           in->back[(i * n_k + j) * n_d + c->scene->col0 + d];
            c->guess[i * c->n_col + d] = sum;
        }
    }
    har__store(c);
}

static const double *read_back(har__case *c)
{
    const har_scene *s = c->scene;
    const core_tap back = har__beside(c, CORE_TAP_BACK);
    const int64_t n_k = s->spec->n_k;
    if (s->n_col_of(s->self, back) != s->n_col)
        return NULL;
    double *out = har__room(c, c->n * n_k * s->n_col);
    for (int64_t i = 0; out != NULL && i < c->n * n_k; i++)
        s->read(s->self, back, c->row[i / n_k] * n_k + i % n_k,
                out + i * s->n_col);
    return out;
}

static bool open_inputs(har__case *c, inputs *in)
{
    if (!har__is_kind(c, CORE_TAP_COMBINE))
        return false;
    in->weight = har__tap_rows(c, har__beside(c, CORE_TAP_TOPK_WEIGHT));
    in->idx = har__tap_rows(c, har__beside(c, CORE_TAP_TOPK_IDX));
    in->slot = har__tap_rows(c, har__beside(c, CORE_TAP_SLOT));
    in->back = read_back(c);
    in->by = har__room(c, c->scene->spec->n_k);
    if (in->weight == NULL || in->idx == NULL || in->slot == NULL ||
        in->back == NULL || in->by == NULL)
        return false;
    compute(c, in, right);
    return har__is_expected(c);
}

bool har__try_combine(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const struct {
        rule *weigh;
        const char *words;
    } wrong[] = {
        {alike, "results of the experts are added without weights"},
        {twice, "results of the experts are weighed once too often"},
        {by_expert, "weights in order of choice given to experts in ascending "
                    "order"},
        {of_kept, "weights are divided by the sum of those that were kept"},
        {without_last, "the last choice of a token is missing from the sum"},
        {first_alone, "only the first choice of a token is in the sum"}};
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        compute(c, &in, wrong[i].weigh);
        if (har__accepts(c)) {
            snprintf(text, HAR_LIKENESS_TEXT, "%s", wrong[i].words);
            return true;
        }
    }
    return false;
}
