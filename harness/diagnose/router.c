/* harness/diagnose/router.c -- scores, weights and numbers of experts. */
#include "harness/diagnose/impl.h"

#include "core/model/elementary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- scores --- */

static void softmax(const har__case *c, const double *logits, double *out,
                    int64_t n)
{
    double largest = -INFINITY, sum = 0.0;
    for (int64_t e = 0; e < n; e++)
        largest = fmax(largest, logits[e]);
    for (int64_t e = 0; e < n; e++)
        out[e] = exp(logits[e] - largest);
    core_store(c->scene->numerics, CORE_GRID_EXP, out, n);
    for (int64_t e = 0; e < n; e++)
        sum += out[e];
    for (int64_t e = 0; e < n; e++)
        out[e] /= sum;
}

static void score(har__case *c, const double *logits, double *line,
                  core_router router)
{
    const int64_t n_e = c->scene->spec->n_e;
    for (int64_t i = 0; i < c->n; i++) {
        if (router != CORE_ROUTER_SOFTMAX)
            for (int64_t e = 0; e < n_e; e++)
                line[e] = core_router_score(router, logits[i * n_e + e]);
        else
            softmax(c, logits + i * n_e, line, n_e);
        memcpy(c->guess + i * c->n_col, line + c->scene->col0,
               (size_t)c->n_col * sizeof *line);
    }
    har__store(c);
}

bool har__try_scores(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    if (!har__is_kind(c, CORE_TAP_ROUTER_PROBS))
        return false;
    const core_router right = c->scene->spec->router;
    const core_router other = right == CORE_ROUTER_SIGMOID
                                  ? CORE_ROUTER_SOFTMAX
                                  : CORE_ROUTER_SIGMOID;
    const double *logits =
        har__tap_rows(c, har__beside(c, CORE_TAP_ROUTER_LOGITS));
    double *line = har__room(c, c->scene->spec->n_e);
    if (logits == NULL || line == NULL)
        return false;
    score(c, logits, line, right);
    if (!har__is_expected(c))
        return false;
    score(c, logits, line, other);
    snprintf(text, HAR_LIKENESS_TEXT, "scores by %s instead of %s",
             core_router_name((int)other), core_router_name((int)right));
    return har__accepts(c);
}

/* --- weights --- */

typedef struct weighing {
    bool renormalised;
    double scale;
    bool corrected; /* the correction, which only chooses, weighs too         */
    bool of_all;    /* softmax_top: of all logits, not the chosen ones        */
} weighing;

typedef struct inputs {
    const double *score; /* [n, E] probabilities, or logits of softmax_top    */
    const double *idx;   /* [n, K]                                            */
    const double *correction; /* [E] or NULL                                  */
    const double *own;        /* [E] the experts' own numbers, or NULL        */
    double *line, *all; /* [K], [E]                                           */
    weighing right;
} inputs;

static void weigh(har__case *c, const inputs *in, const weighing *how)
{
    const core_spec *spec = c->scene->spec;
    const int64_t n_e = spec->n_e, n_k = spec->n_k;
    const bool of_logits = spec->router == CORE_ROUTER_SOFTMAX_TOP;
    for (int64_t i = 0; i < c->n; i++) {
        const double *score = in->score + i * n_e;
        double sum = core_spec_sum_eps(spec);
        if (of_logits && how->of_all) {
            softmax(c, score, in->all, n_e);
            score = in->all;
        }
        for (int64_t j = 0; j < n_k; j++) {
            const int64_t e = (int64_t)in->idx[i * n_k + j];
            in->line[j] = score[e] + (how->corrected ? in->correction[e] : 0.0);
        }
        if (of_logits && !how->of_all)
            softmax(c, in->line, in->line, n_k);
        for (int64_t j = 0; j < n_k; j++)
            sum += in->line[j];
        sum = fmax(sum, spec->sum_floor);
        for (int64_t j = 0; j < n_k; j++) {
            const int64_t e = (int64_t)in->idx[i * n_k + j];
            in->line[j] =
                (how->renormalised ? in->line[j] / sum : in->line[j]) *
                how->scale * (in->own != NULL ? in->own[e] : 1.0);
        }
        memcpy(c->guess + i * c->n_col, in->line + c->scene->col0,
               (size_t)c->n_col * sizeof *in->line);
    }
    har__store(c);
}

static bool are_experts(const har__case *c, const double *idx)
{
    const core_spec *spec = c->scene->spec;
    for (int64_t i = 0; i < c->n * spec->n_k; i++)
        if (!(idx[i] >= 0.0 && idx[i] < (double)spec->n_e))
            return false;
    return true;
}

static bool open_inputs(har__case *c, inputs *in)
{
    if (!har__is_kind(c, CORE_TAP_TOPK_WEIGHT))
        return false;
    const core_spec *spec = c->scene->spec;
    const bool of_logits = spec->router == CORE_ROUTER_SOFTMAX_TOP;
    if (spec->router == CORE_ROUTER_SPARSEMIXER)
        return false;
    in->score =
        har__tap_rows(c, har__beside(c, of_logits ? CORE_TAP_ROUTER_LOGITS
                                                  : CORE_TAP_ROUTER_PROBS));
    in->idx = har__tap_rows(c, har__beside(c, CORE_TAP_TOPK_IDX));
    in->correction = har__weight_of(
        c, (core_weight){CORE_W_CORRECTION, c->scene->tap.layer, 0});
    in->own = har__weight_of(
        c, (core_weight){CORE_W_EXPERT_SCALE, c->scene->tap.layer, 0});
    in->line = har__room(c, spec->n_k);
    in->all = har__room(c, spec->n_e);
    in->right = (weighing){!of_logits && spec->renormalise, spec->routed_scale,
                           false, false};
    if (in->score == NULL || in->idx == NULL || in->line == NULL ||
        in->all == NULL || !are_experts(c, in->idx))
        return false;
    weigh(c, in, &in->right);
    return har__is_expected(c);
}

static bool is(har__case *c, const inputs *in, weighing how)
{
    weigh(c, in, &how);
    return har__accepts(c);
}

bool har__try_renormalised(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    inputs in;
    if (!open_inputs(c, &in))
        return false;
    weighing other = in.right, corrected = in.right, all = in.right;
    other.renormalised = !other.renormalised;
    corrected.corrected = true;
    all.of_all = true;
    const bool of_logits = c->scene->spec->router == CORE_ROUTER_SOFTMAX_TOP;
    if (!of_logits && is(c, &in, other))
        snprintf(text, HAR_LIKENESS_TEXT,
                 other.renormalised
                     ? "weights divided by their sum, which the model does not"
                     : "weights not divided by their sum (renormalisation "
                       "missing)");
    else if (in.correction != NULL && is(c, &in, corrected))
        snprintf(text, HAR_LIKENESS_TEXT,
                 "weights of the scores with the correction, which only "
                 "chooses");
    else if (of_logits && is(c, &in, all))
        snprintf(text, HAR_LIKENESS_TEXT,
                 "weights of a softmax over all experts instead of the chosen "
                 "ones");
    else
        return false;
    return true;
}

/* --- numbers of experts --- */

/* to[e]: what stands where expert e should, -1: e does not occur.  False: not
 * always the same. */
static bool map_of(const har__case *c, int64_t *to, int64_t n_e)
{
    for (int64_t e = 0; e < n_e; e++)
        to[e] = -1;
    for (int64_t i = 0; i < c->n * c->n_col; i++) {
        const int64_t e = (int64_t)c->expected[i];
        const int64_t f = (int64_t)c->found[i];
        if (e < 0 || e >= n_e || (to[e] >= 0 && to[e] != f))
            return false;
        to[e] = f;
    }
    return true;
}

static int64_t count(const int64_t *to, int64_t n)
{
    int64_t seen = 0;
    for (int64_t e = 0; e < n; e++)
        seen += to[e] >= 0;
    return seen;
}

/* n > 1 so that every expert is called by what is left of it modulo n; 0. */
static int64_t modulus(const int64_t *to, int64_t n_e)
{
    for (int64_t n = 2; n < n_e; n++) {
        int64_t e = 0;
        while (e < n_e && (to[e] < 0 || to[e] == e % n))
            e++;
        if (e == n_e)
            return n;
    }
    return 0;
}

static bool is_off_by_one_number(const int64_t *to, int64_t n_e, int64_t *by)
{
    bool any = false;
    for (int64_t e = 0; e < n_e; e++) {
        if (to[e] < 0)
            continue;
        if (any && to[e] - e != *by)
            return false;
        *by = to[e] - e;
        any = true;
    }
    return any;
}

bool har__try_ids(har__case *c, char text[HAR_LIKENESS_TEXT])
{
    if (!har__is_kind(c, CORE_TAP_TOPK_IDX))
        return false;
    const int64_t n_e = c->scene->spec->n_e;
    int64_t *to = (int64_t *)har__room(c, n_e), by = 0, e = 0;
    if (to == NULL || !map_of(c, to, n_e) ||
        c->n * c->n_col < 2 * count(to, n_e))
        return false;
    for (int64_t i = 0; i < c->n * c->n_col; i++)
        c->guess[i] = (double)to[(int64_t)c->expected[i]];
    if (!har__accepts(c))
        return false;
    while (to[e] < 0 || to[e] == e)
        e++;
    if (is_off_by_one_number(to, n_e, &by))
        snprintf(text, HAR_LIKENESS_TEXT, "numbers of experts are off by %+lld",
                 (long long)by);
    else if (modulus(to, n_e) > 0)
        snprintf(text, HAR_LIKENESS_TEXT,
                 "numbers of experts modulo %lld, as if local to a rank",
                 (long long)modulus(to, n_e));
    else
        snprintf(text, HAR_LIKENESS_TEXT,
                 "experts have other numbers: %lld for %lld", (long long)to[e],
                 (long long)e);
    return true;
}
