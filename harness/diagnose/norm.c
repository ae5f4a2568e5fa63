/* harness/diagnose/norm.c -- a norm: its weights, eps, kind and statistic.
 *
 * The norms of the stream are computed anew from the stream and their weights.
 */
#include "harness/diagnose/impl.h"

#include "core/pass/batch.h"

#include <math.h>
#include <stdio.h>

/* How a norm is computed.                                                    */
typedef struct norm {
    bool is_centred; /* LayerNorm: less the mean, and a bias                  */
    double eps;
    double plus; /* added to the weights                                      */
    bool is_weighed;
    int64_t c0, c1;  /* columns that the statistic is over                    */
    int64_t counted; /* columns that it is divided by                         */
} norm;

typedef struct inputs {
    const double *x; /* [n, D]                                                */
    const double *weight, *bias; /* [D]; bias NULL: none                      */
    int64_t n_d;
    norm right;
} inputs;

/* The norms of whole rows: their input, weights and bias. */
static const struct {
    core_tap_kind out, in;
    core_weight_kind weight, bias;
} norms[] = {
    {CORE_TAP_ATTN_NORM, CORE_TAP_IN, CORE_W_ATTN_NORM, CORE_W_ATTN_NORM_BIAS},
    {CORE_TAP_FFN_NORM, CORE_TAP_MID, CORE_W_FFN_NORM, CORE_W_FFN_NORM_BIAS},
    {CORE_TAP_FFN_NORM, CORE_TAP_IN, CORE_W_FFN_NORM, CORE_W_FFN_NORM_BIAS},
    {CORE_TAP_ATTN_POST, CORE_TAP_ATTN_OUT, CORE_W_ATTN_POST, CORE_W_NONE},
    {CORE_TAP_FFN_POST, CORE_TAP_FFN_OUT, CORE_W_FFN_POST, CORE_W_NONE},
    {CORE_TAP_MOE_NORM, CORE_TAP_MID, CORE_W_MOE_NORM, CORE_W_NONE},
    {CORE_TAP_MOE_NORM, CORE_TAP_IN, CORE_W_MOE_NORM, CORE_W_NONE},
    {CORE_TAP_MOE_POST, CORE_TAP_WIDE, CORE_W_MOE_POST, CORE_W_NONE},
    {CORE_TAP_MOE_POST, CORE_TAP_COMBINE, CORE_W_MOE_POST, CORE_W_NONE},
    {CORE_TAP_MLP_POST, CORE_TAP_SHARED_WEIGHTED, CORE_W_MLP_POST, CORE_W_NONE},
    {CORE_TAP_MLP_POST, CORE_TAP_MLP_OUT, CORE_W_MLP_POST, CORE_W_NONE},
    {CORE_TAP_FINAL_NORM, CORE_TAP_OUT, CORE_W_FINAL_NORM,
     CORE_W_FINAL_NORM_BIAS}};

static void compute_row(const inputs *in, const norm *how, const double *x,
                        double *out, int64_t col0, int64_t n_col)
{
    double s1 = 0.0, s2 = 0.0;
    for (int64_t d = how->c0; d < how->c1; d++) {
        s1 += x[d];
        s2 += x[d] * x[d];
    }
    const double n = (double)how->counted;
    const double mean = how->is_centred ? s1 / n : 0.0;
    const double r = sqrt(
        (how->is_centred ? (n * s2 - s1 * s1) / (n * n) : s2 / n) + how->eps);
    for (int64_t j = 0; j < n_col; j++) {
        const int64_t d = col0 + j;
        const double weight = how->is_weighed ? in->weight[d] + how->plus : 1.0;
        const double bias =
            how->is_centred && in->bias != NULL && how->is_weighed ? in->bias[d]
                                                                   : 0.0;
        out[j] = weight * ((x[d] - mean) / r) + bias;
    }
}

static void compute(har__case *c, const inputs *in, const norm *how)
{
    for (int64_t i = 0; i < c->n; i++)
        compute_row(in, how, in->x + i * in->n_d, c->guess + i * c->n_col,
                    c->scene->col0, c->n_col);
    har__store(c);
}

static bool open_norm(har__case *c, inputs *in, size_t which)
{
    const har_scene *s = c->scene;
    const int layer = s->tap.kind == CORE_TAP_FINAL_NORM ? 0 : s->tap.layer;
    core_tap from = har__beside(c, norms[which].in);
    if (s->tap.kind == CORE_TAP_FINAL_NORM)
        from.layer = (int)s->spec->n_l - 1;
    in->n_d = s->n_col;
    if (s->n_col_of(s->self, from) != in->n_d)
        return false;
    in->x = har__tap_rows(c, from);
    in->weight =
        har__weight_of(c, (core_weight){norms[which].weight, layer, 0});
    in->bias = har__weight_of(c, (core_weight){norms[which].bias, layer, 0});
    in->right = (norm){s->spec->norm == CORE_NORM_LAYER,
                       s->spec->norm_eps,
                       s->spec->norm == CORE_NORM_RMS_PLUS_ONE ? 1.0 : 0.0,
                       true,
                       0,
                       in->n_d,
                       in->n_d};
    if (in->x == NULL || in->weight == NULL)
        return false;
    compute(c, in, &in->right);
    return har__is_expected(c);
}

static bool open_inputs(har__case *c, inputs *in)
{
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++)
        if (har__is_kind(c, norms[i].out) && open_norm(c, in, i))
            return true;
    return false;
}

static bool is(har__case *c, const inputs *in, norm how)
{
    compute(c, in, &how);
    return har__accepts(c);
}

bool har__try_norm_weight(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    norm without = in.right, plus = in.right;
    without.is_weighed = false;
    plus.plus = 1.0 - plus.plus;
    if (is(c, &in, without))
        snprintf(text, HAR_LIKENESS_TEXT, "the norm without its weights");
    else if (is(c, &in, plus))
        snprintf(text, HAR_LIKENESS_TEXT, "the norm with %s instead of %s",
                 plus.plus > 0.0 ? "1 + weight" : "weight",
                 plus.plus > 0.0 ? "weight" : "1 + weight");
    else
        return false;
    return true;
}

bool har__try_eps(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    static const double usual[] = {0.0,  1e-12, 1e-8, 1e-6, 1e-5,
                                   1e-4, 1e-3,  1e-2, 1e-1};
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        norm how = in.right;
        how.eps = usual[i];
        if (usual[i] == in.right.eps || !is(c, &in, how))
            continue;
        snprintf(text, HAR_LIKENESS_TEXT, "the norm with eps %g instead of %g",
                 usual[i], in.right.eps);
        return true;
    }
    return false;
}

bool har__try_norm_kind(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    norm how = in.right;
    how.is_centred = !how.is_centred;
    if (!is(c, &in, how))
        return false;
    snprintf(text, HAR_LIKENESS_TEXT, "%s instead of %s",
             how.is_centred ? "layernorm (less the mean)" : "rmsnorm",
             how.is_centred ? "rmsnorm" : "layernorm");
    return true;
}

/* The statistic of one rank's columns taken for that of all. */
static bool is_of_share(har__case *c, const inputs *in, int64_t n, int64_t p)
{
    norm how = in->right;
    how.c0 = core_split_first(in->n_d, n, p);
    how.c1 = core_split_first(in->n_d, n, p + 1);
    how.counted = how.c1 - how.c0;
    if (is(c, in, how))
        return true;
    how.counted = in->n_d; /* divided by all of them */
    return is(c, in, how);
}

bool har__try_norm_share(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    const har_scene *s = c->scene;
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    for (int i = 0; i < s->n_degree; i++)
        for (int64_t p = 0; s->degree[i].n > 1 && p < s->degree[i].n; p++)
            if (is_of_share(c, &in, s->degree[i].n, p)) {
                snprintf(text, HAR_LIKENESS_TEXT,
                         "the norm with the statistic of share %lld of %lld "
                         "(%s) of the columns",
                         (long long)p, (long long)s->degree[i].n,
                         s->degree[i].name);
                return true;
            }
    return false;
}
