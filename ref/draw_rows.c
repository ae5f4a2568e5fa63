/* ref/draw_rows.c -- the operators that are no products, in floats.
 *
 * One row each, as ref/draw.c says: floats throughout, sums in a drawn number
 * of lanes, and where a draw is `eager` what an operator of a framework would
 * hand to the next one is stored on the way.  The formulas are MODEL.md's; of
 * those that are written in two ways (a quotient or a product with the
 * reciprocal, a variance of deviations or of sums) one style takes each.  The
 * caller stores the result.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <string.h>

enum { MAX_LANES = 64 };

static inline float stored(core_rounding type, float x)
{
    if (type == CORE_ROUND_F32 || x != x)
        return x;
    if (type == CORE_ROUND_F16) {
        double y = (double)x;
        core_store(CORE_FP16, CORE_GRID_ACT, &y, 1);
        return (float)y;
    }
    core_assert(type == CORE_ROUND_BF16);
    uint32_t bits; /* a float's upper half is a bf16 number: half to even */
    memcpy(&bits, &x, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1);
    bits &= 0xffff0000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

float ref__stored(const ref__drawn *d, float x)
{
    return stored(d->type, x);
}

/* What an eager draw stores on its way. */
static inline float kept(const ref__drawn *d, float x)
{
    return d->eager ? stored(d->type, x) : x;
}

/* --- a sum in lanes --- */

typedef struct lanes {
    float sum[MAX_LANES];
    int n;
    int64_t i;
} lanes;

static inline void lanes_start(lanes *l, const ref__drawn *d)
{
    l->n = d->n_lane;
    l->i = 0;
    l->sum[0] = 0.0f;
    for (int i = 1; i < l->n; i++)
        l->sum[i] = 0.0f;
}

static inline void lanes_add(lanes *l, float x)
{
    l->sum[l->i++ & (l->n - 1)] += x;
}

static float lanes_total(lanes *l)
{
    for (int n = l->n / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            l->sum[i] += l->sum[i + n];
    return l->sum[0];
}

double ref__drawn_dot(const ref__drawn *d, const double *w, const double *u,
                      int64_t ld, int64_t n, double bias)
{
    lanes sum;
    lanes_start(&sum, d);
    for (int64_t i = 0; i < n; i++)
        lanes_add(&sum, (float)w[i * ld] * (float)u[i * ld]);
    return (double)(lanes_total(&sum) + (float)bias);
}

void ref__drawn_stored_sum(core_rounding type, const double *p, int64_t n_key,
                           const double *v, int64_t ld, int64_t n, double *y)
{
    float largest = 0.0f;
    for (int64_t c = 0; c < n; c++)
        y[c] = 0.0;
    for (int64_t j = 0; j < n_key; j++) {
        const float e = (float)p[j];
        if (e > largest) {
            const float down = largest / e;
            largest = e;
            for (int64_t c = 0; c < n; c++)
                y[c] = (double)stored(type, (float)y[c] * down);
        }
        for (int64_t c = 0; e > 0.0f && c < n; c++)
            y[c] = (double)stored(type, (float)y[c] +
                                            e / largest * (float)v[j * ld + c]);
    }
    for (int64_t c = 0; c < n; c++)
        y[c] = (double)((float)y[c] * largest);
}

/* --- norms, rope --- */

void ref__drawn_rmsnorm(const ref__drawn *d, double *y, const double *x,
                        const double *w, int64_t n, double n_sum, double eps)
{
    lanes squares;
    lanes_start(&squares, d);
    for (int64_t i = 0; i < n; i++)
        lanes_add(&squares, (float)x[i] * (float)x[i]);
    const float r = sqrtf(lanes_total(&squares) / (float)n_sum + (float)eps);
    const float inverse = 1.0f / r;
    for (int64_t i = 0; i < n; i++) {
        const float z = d->eager ? (float)x[i] * inverse : (float)x[i] / r;
        y[i] = (double)(w != NULL ? (float)w[i] * kept(d, z) : z);
    }
}

void ref__drawn_layernorm(const ref__drawn *d, double *y, const double *x,
                          const double *w, const double *b, int64_t n,
                          double eps)
{
    lanes sum, squares;
    lanes_start(&sum, d);
    lanes_start(&squares, d);
    for (int64_t i = 0; i < n; i++)
        lanes_add(&sum, (float)x[i]);
    const float mean = lanes_total(&sum) / (float)n;
    for (int64_t i = 0; i < n; i++) {
        const float z = d->eager ? (float)x[i] - mean : (float)x[i];
        lanes_add(&squares, z * z);
    }
    const float square = lanes_total(&squares) / (float)n;
    const float var = d->eager ? square : square - mean * mean;
    const float r = sqrtf(fmaxf(var, 0.0f) + (float)eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = (double)((float)w[i] * (((float)x[i] - mean) / r) + (float)b[i]);
}

void ref__drawn_rope(const ref__drawn *d, double *r, const double *cos_j,
                     const double *sin_j, int64_t n_rot, bool interleaved)
{
    const int64_t half = n_rot / 2;
    const int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : half;
    for (int64_t j = 0; j < half; j++) {
        double *first = r + j * step, *second = first + apart;
        const float c = (float)cos_j[j], s = (float)sin_j[j];
        const float a = (float)*first, b = (float)*second;
        *first = (double)(kept(d, a * c) - kept(d, b * s));
        *second = (double)(kept(d, b * c) + kept(d, a * s));
    }
}

void ref__drawn_scale(const ref__drawn *d, double *x, int64_t n, double scale)
{
    const float c = kept(d, (float)scale);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)((float)x[i] * c);
}

double ref__drawn_quotient(const ref__drawn *d, double x, double divisor)
{
    return (double)(kept(d, (float)x) / (float)divisor);
}

double ref__drawn_capped(const ref__drawn *d, double z, double cap)
{
    const float c = (float)cap;
    const float quotient = kept(d, kept(d, (float)z) / c);
    return (double)(kept(d, tanhf(quotient)) * c);
}

/* --- softmax and activations --- */

double ref__drawn_exponentials(const ref__drawn *d, double *s, int64_t lo,
                               int64_t hi, const uint8_t *mask, double scale,
                               double sink)
{
    float max = (float)sink;
    for (int64_t j = lo; j < hi; j++) {
        if (mask != NULL && mask[j] == 0)
            continue;
        s[j] = (double)((float)s[j] * (float)scale);
        max = (float)s[j] > max ? (float)s[j] : max;
    }
    lanes sum;
    lanes_start(&sum, d);
    for (int64_t j = lo; j < hi; j++) {
        const bool hidden = mask != NULL && mask[j] == 0;
        const float e = hidden ? 0.0f : expf((float)s[j] - max);
        lanes_add(&sum, e);
        s[j] = (double)e;
    }
    return (double)(lanes_total(&sum) + expf((float)sink - max));
}

void ref__drawn_softmax(const ref__drawn *d, double *p, const double *logits,
                        int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = logits[i];
    const float sum =
        (float)ref__drawn_exponentials(d, p, 0, n, NULL, 1.0, -HUGE_VAL);
    const float inverse = 1.0f / sum;
    for (int64_t i = 0; i < n; i++)
        p[i] = (double)(d->eager ? (float)p[i] / sum : (float)p[i] * inverse);
}

static float sigmoid(float z)
{
    return 1.0f / (1.0f + expf(-z));
}

double ref__drawn_sigmoid(double z)
{
    return (double)sigmoid((float)z);
}

double ref__drawn_score(core_router router, double z)
{
    return router == CORE_ROUTER_SQRT_SOFTPLUS
               ? (double)sqrtf((float)ref__drawn_softplus(z))
               : ref__drawn_sigmoid(z);
}

double ref__drawn_softplus(double z)
{
    return z > 20.0 ? z : (double)log1pf(expf((float)z));
}

double ref__drawn_time_step(double z, double least, double most)
{
    const float dt = (float)ref__drawn_softplus(z);
    const float held = most > 0.0 ? fminf(dt, (float)most) : dt;
    return (double)fmaxf(held, (float)least);
}

static float act(core_act kind, float z)
{
    switch (kind) {
    case CORE_ACT_SILU:
        return z / (1.0f + expf(-z));
    case CORE_ACT_GELU:
        return 0.5f * z * (1.0f + erff(z * (float)M_SQRT1_2));
    case CORE_ACT_GELU_TANH:
        return 0.5f * z *
               (1.0f + tanhf((float)(M_SQRT1_2 * M_2_SQRTPI) *
                             (z + 0.044715f * (z * z * z))));
    case CORE_ACT_RELU2:
        return fmaxf(z, 0.0f) * fmaxf(z, 0.0f);
    case CORE_ACT_SIGMOID:
        return sigmoid(z);
    case CORE_ACT_RELU:
    case CORE_ACT_CLAMPED_SWIGLU: /* exist as a gated form only */
    case CORE_ACT_CLAMPED_SILU:
    case CORE_ACT_SITU:
        break;
    }
    return fmaxf(z, 0.0f);
}

static float clamped(const ref__drawn *d, core_gating gating, float gate,
                     float up)
{
    const float limit = (float)gating.limit, alpha = (float)gating.alpha;
    if (gating.act == CORE_ACT_SITU)
        return kept(d, alpha * tanhf(gate / alpha) * sigmoid(gate)) *
               kept(d, limit * tanhf(up / limit));
    const float g = kept(d, fminf(gate, limit));
    const float u = kept(d, fmaxf(fminf(up, limit), -limit));
    return gating.act == CORE_ACT_CLAMPED_SILU
               ? kept(d, act(CORE_ACT_SILU, g)) * u
               : (u + 1.0f) * kept(d, g * sigmoid(alpha * g));
}

static float limited(const ref__drawn *d, core_gating gating, float gate,
                     float up)
{
    const float most = (float)gating.most;
    const float f = fminf(kept(d, act(gating.act, gate)), most);
    return kept(d, f) * kept(d, fmaxf(fminf(up, most), -most));
}

void ref__drawn_activate(const ref__drawn *d, core_gating gating,
                         const double *gate, const double *up, double *a,
                         int64_t n)
{
    const core_act kind = gating.act;
    for (int64_t i = 0; i < n; i++) {
        const float u = (float)up[i];
        if (gate == NULL)
            a[i] = (double)act(kind, u);
        else if (gating.most > 0.0)
            a[i] = (double)limited(d, gating, (float)gate[i], u);
        else if (core_act_is_clamped(kind))
            a[i] = (double)clamped(d, gating, (float)gate[i], u);
        else
            a[i] = (double)(kept(d, act(kind, (float)gate[i])) * u);
    }
}

/* --- sums of two, and of a token's experts --- */

void ref__drawn_add(const ref__drawn *d, double *a, const double *b, int64_t n,
                    double scale)
{
    for (int64_t i = 0; i < n; i++) {
        const float product = (float)b[i] * (float)scale;
        a[i] = (double)((float)a[i] + kept(d, product));
    }
}

void ref__drawn_multiply_add(const ref__drawn *d, double *sum, const double *y,
                             double w, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float product = kept(d, (float)w * (float)y[i]);
        sum[i] = (double)kept(d, (float)sum[i] + product);
    }
}

/* --- the router's weights --- */

static void divide_by_sum(const core_spec *spec, const ref__drawn *d, double *w)
{
    lanes sum;
    lanes_start(&sum, d);
    for (int64_t k = 0; k < spec->n_k; k++)
        lanes_add(&sum, (float)w[k]);
    const float total =
        fmaxf(lanes_total(&sum) + (float)core_spec_sum_eps(spec),
              (float)spec->sum_floor);
    for (int64_t k = 0; k < spec->n_k; k++)
        w[k] = (double)((float)w[k] / total);
}

/* 1 / sum of exp(l_j - m) over the j != without close to m, the logit of the
 * chosen one: router_scores.c.                                               */
static double sparse_weight(const core_spec *spec, const ref__drawn *d,
                            const double *logits, int64_t without,
                            int64_t chosen)
{
    const float m = (float)logits[chosen];
    lanes sum;
    lanes_start(&sum, d);
    for (int64_t j = 0; j < spec->n_e; j++) {
        const float l = (float)logits[j];
        const float ratio = (m - l) / fmaxf(fabsf(l), m);
        if (j != without && !(ratio > 2.0f * (float)spec->jitter))
            lanes_add(&sum, expf(l - m));
    }
    return (double)(1.0f / lanes_total(&sum));
}

void ref__drawn_weigh(const core_spec *spec, const ref__drawn *d,
                      const double *logits, const double *p, const int64_t *idx,
                      const double *expert_scale, double *w)
{
    const int64_t n_k = spec->n_k;
    switch (spec->router) {
    case CORE_ROUTER_SOFTMAX:
    case CORE_ROUTER_SIGMOID:
    case CORE_ROUTER_SQRT_SOFTPLUS:
        for (int64_t k = 0; k < n_k; k++)
            w[k] = p[idx[k]];
        if (spec->renormalise)
            divide_by_sum(spec, d, w);
        break;
    case CORE_ROUTER_SOFTMAX_TOP:
        for (int64_t k = 0; k < n_k; k++)
            w[k] = logits[idx[k]];
        ref__drawn_softmax(d, w, w, n_k);
        break;
    case CORE_ROUTER_SPARSEMIXER:
        w[0] = sparse_weight(spec, d, logits, -1, idx[0]);
        w[1] = sparse_weight(spec, d, logits, idx[0], idx[1]);
        break;
    }
    for (int64_t k = 0; k < n_k; k++)
        w[k] = (double)((float)w[k] * (float)spec->routed_scale);
    for (int64_t k = 0; expert_scale != NULL && k < n_k; k++)
        w[k] = (double)((float)w[k] * (float)expert_scale[idx[k]]);
}

/* --- states --- */

double ref__drawn_decay(double a_log, double dt)
{
    return (double)expf(-expf((float)a_log) * (float)dt);
}

double ref__drawn_bounded_step(double a_log, double z)
{
    return (double)sigmoid(expf((float)a_log) * (float)z);
}

double ref__drawn_bounded_decay(double floor, double dt)
{
    return (double)expf((float)floor * (float)dt);
}

void ref__drawn_advance(const ref__drawn *d, const double *a_log, int64_t n_s,
                        double dt, double a, const double *b, double *h)
{
    const float step = (float)dt;
    for (int64_t s = 0; s < n_s; s++) {
        const float decay = (float)ref__drawn_decay(a_log[s], dt);
        const float input = step * (float)b[s] * (float)a;
        const float next = decay * (float)h[s] + input;
        h[s] = (double)(d->stated ? ref__stored(d, next) : kept(d, next));
    }
}

void ref__drawn_advance_head(double decay, int64_t n_s, double dt, double a,
                             const double *b, double *h)
{
    for (int64_t s = 0; s < n_s; s++) {
        const float input = (float)dt * (float)b[s] * (float)a;
        h[s] = (double)((float)decay * (float)h[s] + input);
    }
}

double ref__drawn_read_out(const ref__drawn *d, const double *h,
                           const double *c, int64_t n_s, double skip, double a)
{
    const float skipped = (float)skip * (float)a;
    return ref__drawn_dot(d, h, c, 1, n_s, (double)skipped);
}

/* sum over i of x_i S_ij. */
static float column_sum(const ref__drawn *d, const double *state, int64_t n_k,
                        int64_t n, int64_t j, const double *x, float scale)
{
    lanes sum;
    lanes_start(&sum, d);
    for (int64_t i = 0; i < n_k; i++)
        lanes_add(&sum, (float)x[i] * scale * (float)state[i * n + j]);
    return lanes_total(&sum);
}

void ref__drawn_delta(const ref__drawn *d, double *state, int64_t n_k,
                      int64_t n, const double *q, const double *k,
                      const double *v, double beta, const double *decay,
                      int64_t decay_step, double *y)
{
    const float root = sqrtf((float)n_k);
    for (int64_t i = 0; i < n_k; i++)
        for (int64_t j = 0; j < n; j++)
            state[i * n + j] = (double)((float)state[i * n + j] *
                                        (float)decay[i * decay_step]);
    for (int64_t j = 0; j < n; j++) {
        const float found = column_sum(d, state, n_k, n, j, k, 1.0f);
        const float delta = (float)beta * ((float)v[j] - found);
        for (int64_t i = 0; i < n_k; i++)
            state[i * n + j] =
                (double)((float)state[i * n + j] + (float)k[i] * delta);
        y[j] = (double)(d->eager
                            ? column_sum(d, state, n_k, n, j, q, 1.0f / root)
                            : column_sum(d, state, n_k, n, j, q, 1.0f) / root);
    }
}

/* --- streams --- */

static void divide_columns(float *a, int64_t n, int64_t step, int64_t next,
                           float eps)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = eps;
        for (int64_t j = 0; j < n; j++)
            sum += a[i * next + j * step];
        for (int64_t j = 0; j < n; j++)
            a[i * next + j * step] /= sum;
    }
}

/* Frameworks keep all of it in floats. */
void ref__drawn_streams(const core_hyper *hyper, const double *m,
                        const double *scale, const double *base,
                        bool reads_only, double *w)
{
    const int64_t n = hyper->n;
    const float eps = (float)hyper->eps;
    float a[CORE_HYPER_MOST * CORE_HYPER_MOST];
    for (int64_t i = 0; i < (reads_only ? n : 2 * n); i++) {
        const float z = (float)m[i] * (float)scale[i / n] + (float)base[i];
        w[i] = (double)(i < n ? sigmoid(z) + eps : 2.0f * sigmoid(z));
    }
    if (reads_only)
        return;
    for (int64_t j = 0; j < n; j++) {
        float *row = a + j * n, most = -INFINITY, sum = 0.0f;
        for (int64_t k = 0; k < n; k++) {
            const int64_t at = (2 + j) * n + k;
            row[k] = (float)m[at] * (float)scale[2] + (float)base[at];
            most = fmaxf(most, row[k]);
        }
        for (int64_t k = 0; k < n; k++)
            sum += row[k] = expf(row[k] - most);
        for (int64_t k = 0; k < n; k++)
            row[k] = row[k] / sum + eps;
    }
    divide_columns(a, n, n, 1, eps);
    for (int64_t i = 1; i < hyper->n_round; i++) {
        divide_columns(a, n, 1, n, eps);
        divide_columns(a, n, n, 1, eps);
    }
    for (int64_t i = 0; i < n * n; i++)
        w[2 * n + i] = (double)a[i];
}
