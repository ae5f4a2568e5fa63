/* harness/verify/choosing.c -- scores, groups and the certificate of a flip.
 *
 * Where neither a correction nor groups take part, every router chooses by a
 * monotone function of its logits, and the margin is one of logits.  Else it is
 * one of probabilities plus corrections, or of groups' scores; bounds of logits
 * become bounds of probabilities by the derivative: at most 1/4 for a sigmoid,
 * 0.32 for the root of a softplus, p (B_e + max B) for a softmax.
 *
 * Trap: when another group was kept, experts of both may change places that are
 * far apart; only the two groups must be close then.
 */
#include "harness/verify/choosing.h"

#include "core/base/arena.h"
#include "core/model/elementary.h"

#include <math.h>
#include <string.h>

core_status har_corrections_make(double **out, const core_spec *spec,
                                 const core_weights *weights)
{
    const int64_t n_e = spec->n_e;
    void *p = NULL;
    *out = NULL;
    if (!spec->correction)
        return CORE_OK;
    CORE_TRY(core_alloc(&p, spec->n_l * n_e, sizeof(double), "corrections"));
    double *all = p;
    memset(all, 0, (size_t)(spec->n_l * n_e) * sizeof *all);
    for (int l = 0; l < (int)spec->n_l; l++)
        if (core_weight_exists(spec, (core_weight){CORE_W_CORRECTION, l, 0}))
            core_weights_read(weights, (core_weight){CORE_W_CORRECTION, l, 0},
                              0, 1, 0, n_e, all + l * n_e, n_e);
    *out = all;
    return CORE_OK;
}

static bool has_scores(const core_spec *spec)
{
    return core_router_scores_all(spec->router);
}

core_tap_kind har_choosing_tap(const core_spec *spec)
{
    return has_scores(spec) ? CORE_TAP_ROUTER_PROBS : CORE_TAP_ROUTER_LOGITS;
}

void har_router_scores(const core_spec *spec, const double *logits,
                       double *score)
{
    const int64_t n_e = spec->n_e;
    double largest = -INFINITY, sum = 0.0;
    for (int64_t e = 0; e < n_e; e++)
        largest = fmax(largest, logits[e]);
    for (int64_t e = 0; e < n_e; e++)
        sum += exp(logits[e] - largest);
    for (int64_t e = 0; e < n_e; e++)
        score[e] = spec->router != CORE_ROUTER_SOFTMAX
                       ? core_router_score(spec->router, logits[e])
                       : exp(logits[e] - largest) / sum;
}

/* --- groups --- */

static int64_t group_size(const core_spec *spec)
{
    return spec->n_e / spec->n_group;
}

static double group_score(const core_spec *spec, const double *score, int64_t g)
{
    const int64_t n = group_size(spec);
    const double *s = score + g * n;
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        best = s[i] > s[best] ? i : best;
    if (spec->group_score == CORE_GROUP_SCORE_MAX)
        return s[best];
    double second = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        second = i != best && s[i] > second ? s[i] : second;
    return s[best] + second;
}

/* Fewer than the number kept are better, or equal and earlier. */
static bool is_kept(const core_spec *spec, const double *score, int64_t g)
{
    const double mine = group_score(spec, score, g);
    int64_t n_before = 0;
    for (int64_t i = 0; i < spec->n_group; i++) {
        const double other = group_score(spec, score, i);
        n_before += other > mine || (other == mine && i < g);
    }
    return n_before < spec->n_group_kept;
}

void har_choosing(const core_spec *spec, const double *correction,
                  double *score)
{
    for (int64_t e = 0; correction != NULL && e < spec->n_e; e++)
        score[e] += correction[e];
    if (spec->n_group == 0)
        return;
    uint64_t kept[(INT16_MAX + 1) / 64] = {0}; /* all, before any is erased */
    core_assert(spec->n_group <= INT16_MAX);
    for (int64_t g = 0; g < spec->n_group; g++)
        if (is_kept(spec, score, g))
            kept[g / 64] |= UINT64_C(1) << (g % 64);
    for (int64_t e = 0; e < spec->n_e; e++) {
        const int64_t g = e / group_size(spec);
        if ((kept[g / 64] >> (g % 64) & 1) == 0)
            score[e] = -INFINITY;
    }
}

/* --- flips --- */

/* Probabilities plus corrections of logits. */
static void scores_of(const har_flip *f, const double *logits, double *score)
{
    har_router_scores(f->spec, logits, score);
    for (int64_t e = 0; f->correction != NULL && e < f->spec->n_e; e++)
        score[e] += f->correction[e];
}

/* Bounds of stored probabilities, from those of the logits. */
static void bounds_of(const har_flip *f, const double *score, double *bound)
{
    const int64_t n_e = f->spec->n_e;
    double largest = 0.0;
    for (int64_t e = 0; e < n_e; e++)
        largest = fmax(largest, f->bound[e]);
    for (int64_t e = 0; e < n_e; e++)
        bound[e] =
            2.0 * f->u_store +
            (f->spec->router != CORE_ROUTER_SOFTMAX
                 ? core_router_steepest(f->spec->router) * f->bound[e]
                 : score[e] * (f->bound[e] + largest));
}

/* Both halves of the certificate. */
static bool is_close(double margin, double bound, double error, double rounding)
{
    return margin <= bound && margin <= error + rounding;
}

static bool groups_are_close(const har_flip *f, const double *expected,
                             const double *found, const double *bound,
                             int64_t out, int64_t in, double *margin)
{
    const core_spec *spec = f->spec;
    const int64_t n = group_size(spec), group[] = {out, in};
    double most_bound = 0.0, most_error = 0.0;
    *margin =
        group_score(spec, expected, out) - group_score(spec, expected, in);
    for (int i = 0; i < 2; i++)
        for (int64_t e = group[i] * n; e < (group[i] + 1) * n; e++) {
            most_bound = fmax(most_bound, bound[e]);
            most_error = fmax(most_error, fabs(found[e] - expected[e]));
        }
    return is_close(*margin, 4.0 * most_bound, 4.0 * most_error,
                    16.0 * f->u_store);
}

/* Every group that one side alone kept is close to one that the other did. */
static bool other_groups_excused(const har_flip *f, const double *expected,
                                 const double *found, const double *bound,
                                 double *margin)
{
    const core_spec *spec = f->spec;
    bool excused = true;
    for (int64_t out = 0; out < spec->n_group; out++)
        for (int64_t in = 0; in < spec->n_group; in++) {
            double m;
            if (!is_kept(spec, expected, out) || is_kept(spec, found, out) ||
                !is_kept(spec, found, in) || is_kept(spec, expected, in))
                continue;
            excused &= groups_are_close(f, expected, found, bound, out, in, &m);
            *margin = fmax(*margin, m);
        }
    return excused;
}

/* True if `out` or `in` lies in a group that only one side kept. */
static bool groups_differ(const core_spec *spec, const double *expected,
                          const double *found, int64_t out, int64_t in)
{
    return spec->n_group > 0 &&
           (!is_kept(spec, found, out / group_size(spec)) ||
            !is_kept(spec, expected, in / group_size(spec)));
}

bool har_flip_is_excused(const har_flip *flip, int64_t out, int64_t in,
                         double *margin)
{
    const core_spec *spec = flip->spec;
    const int64_t n_e = spec->n_e;
    const double *expected = flip->expected, *found = flip->found;
    const double *bound = flip->bound;
    if (spec->n_group > 0 || flip->correction != NULL) {
        scores_of(flip, flip->expected, flip->room);
        scores_of(flip, flip->found, flip->room + n_e);
        bounds_of(flip, flip->room, flip->room + 2 * n_e);
        expected = flip->room;
        found = flip->room + n_e;
        bound = flip->room + 2 * n_e;
    }
    *margin = 0.0;
    if (groups_differ(spec, expected, found, out, in))
        return other_groups_excused(flip, expected, found, bound, margin);
    *margin = expected[out] - expected[in];
    /* probabilities stored as one number differ by up to 2 u_store */
    const double rounding =
        4.0 *
        (flip->u_store + flip->u * (fabs(expected[out]) + fabs(expected[in])));
    return is_close(*margin, bound[out] + bound[in],
                    fabs(found[out] - expected[out]) +
                        fabs(found[in] - expected[in]),
                    rounding);
}
