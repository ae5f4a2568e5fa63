/* harness/verify/chances.c -- see chances.h.
 *
 * A normed input has a mean square near 1, so an expert's logit is normal with the
 * length of its row of the router as deviation.  Scores, corrections, groups and
 * the choice of K are the model's.
 */
#include "harness/verify/chances.h"

#include "core/base/arena.h"
#include "core/numbers/rng.h"
#include "core/weights/weights.h"
#include "harness/verify/choosing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_TOKEN = 1024, MOST_LAYERS = 4 };

/* A layer's router, and room for a token. */
typedef struct router {
    const core_spec *spec;
    double *mean, *deviation, *correction; /* [E] of logits; of the choice    */
    double *logit, *score;                 /* [E]                             */
    double *seen;                          /* [E] times that each was chosen  */
    double *row;                           /* [n_col] of the matrix           */
} router;

static void read_layer(router *r, const core_weights *weights, int layer)
{
    const core_spec *spec = r->spec;
    const core_weight matrix = {CORE_W_ROUTER, layer, 0};
    const core_weight bias = {CORE_W_ROUTER_BIAS, layer, 0};
    int64_t n_e, n_col;
    core_weight_shape(spec, matrix, &n_e, &n_col);
    memset(r->mean, 0, (size_t)n_e * sizeof *r->mean);
    if (core_weight_exists(spec, bias))
        core_weights_read(weights, bias, 0, 1, 0, n_e, r->mean, n_e);
    core_weights_read(weights, (core_weight){CORE_W_CORRECTION, layer, 0}, 0, 1,
                      0, n_e, r->correction, n_e);
    for (int64_t e = 0; e < n_e; e++) {
        core_weights_read(weights, matrix, e, e + 1, 0, n_col, r->row, n_col);
        double sum = 0.0;
        for (int64_t c = 0; c < n_col; c++)
            sum += r->row[c] * r->row[c];
        r->deviation[e] = sqrt(sum);
    }
}

static double normal(uint64_t stream, int64_t index)
{
    const core_rng_block b = core_rng(0, stream, (uint64_t)index);
    return core_rng_normal(b.word[0], b.word[1]);
}

/* The token's K experts are counted. */
static void choose(router *r, uint64_t stream, int64_t token)
{
    const core_spec *spec = r->spec;
    const int64_t n_e = spec->n_e;
    double *score = core_router_scores_all(spec->router) ? r->score : r->logit;
    for (int64_t e = 0; e < n_e; e++)
        r->logit[e] = r->mean[e] +
                      r->deviation[e] * normal(stream, token * n_e + e);
    har_router_scores(spec, r->logit, r->score);
    har_choosing(spec, r->correction, score);
    for (int64_t k = 0; k < spec->n_k; k++) {
        int64_t best = 0;
        for (int64_t e = 1; e < n_e; e++)
            best = score[e] > score[best] ? e : best;
        score[best] = -INFINITY;
        r->seen[best] += 1.0;
    }
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Chances += those of a layer's experts, by rank. */
static void add_layer(double *chance, router *r, const core_weights *weights,
                      int layer)
{
    const int64_t n_e = r->spec->n_e;
    read_layer(r, weights, layer);
    memset(r->seen, 0, (size_t)n_e * sizeof *r->seen);
    for (int64_t t = 0; t < N_TOKEN; t++)
        choose(r, (uint64_t)layer, t);
    qsort(r->seen, (size_t)n_e, sizeof *r->seen, descending);
    for (int64_t e = 0; e < n_e; e++)
        chance[e] += r->seen[e] / N_TOKEN;
}

static core_status carve(router *r, core_arena *arena)
{
    const int64_t n_e = r->spec->n_e;
    for (int pass = 0; pass < 2; pass++) {
        if (pass > 0)
            CORE_TRY(core_arena_make(arena));
        double **const of_experts[] = {&r->mean,  &r->deviation, &r->correction,
                                       &r->logit, &r->score,     &r->seen};
        for (size_t i = 0; i < sizeof of_experts / sizeof of_experts[0]; i++)
            *of_experts[i] = core_arena_f64(arena, n_e);
        r->row = core_arena_f64(arena, r->spec->n_d);
    }
    return CORE_OK;
}

static bool has_correction(const core_spec *spec, int layer)
{
    return core_weight_exists(spec, (core_weight){CORE_W_CORRECTION, layer, 0});
}

/* chance [E]: the sum of the first layers' chances, divided by their number. */
static void see_layers(double *chance, router *r, const core_weights *weights)
{
    const int64_t n_e = r->spec->n_e;
    int n_seen = 0;
    memset(chance, 0, (size_t)n_e * sizeof *chance);
    for (int l = 0; l < (int)r->spec->n_l && n_seen < MOST_LAYERS; l++)
        if (has_correction(r->spec, l)) {
            add_layer(chance, r, weights, l);
            n_seen++;
        }
    for (int64_t e = 0; e < n_e; e++)
        chance[e] /= n_seen;
}

static core_status see(double **out, const core_spec *spec,
                       const core_weights *weights)
{
    router r = {.spec = spec};
    core_arena arena = core_arena_measure();
    void *p = NULL;
    core_status status = carve(&r, &arena);
    if (status == CORE_OK)
        status = core_alloc(&p, spec->n_e, sizeof **out, "chances of experts");
    if (status == CORE_OK)
        see_layers(p, &r, weights);
    core_arena_free(&arena);
    *out = p;
    return status;
}

core_status har_chances_make(double **out, const core_spec *spec, uint64_t seed)
{
    core_weights *weights = NULL;
    bool is_corrected = false;
    *out = NULL;
    for (int l = 0; l < (int)spec->n_l; l++)
        is_corrected |= has_correction(spec, l);
    if (!is_corrected)
        return CORE_OK;
    CORE_TRY(core_weights_open_procedural(&weights, spec, seed));
    core_status status = core_weights_prepare(weights, CORE_FP64, NULL);
    if (status == CORE_OK)
        status = see(out, spec, weights);
    core_weights_close(weights);
    return status;
}

double har_chosen_experts(const double *chance, int64_t n_e, int64_t n_k,
                          double n)
{
    if (chance == NULL)
        return (double)n_e * -expm1(-n * (double)n_k / (double)n_e);
    double chosen = 0.0;
    for (int64_t e = 0; e < n_e; e++)
        chosen += chance[e] < 1.0 ? -expm1(n * log1p(-chance[e])) : 1.0;
    return chosen;
}
