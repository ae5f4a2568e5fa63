/* parallel/choose.c -- the K experts of a token.
 *
 * By the largest score plus correction, ties to the lowest expert.  With groups
 * only the experts of the best groups are eligible; the others have the score
 * -infinity, not 0: a negative corrected score still wins against them.
 */
#include "parallel/forward_impl.h"

#include <math.h>

static bool is_chosen(const int64_t *idx, int64_t n, int64_t e)
{
    for (int64_t j = 0; j < n; j++)
        if (idx[j] == e)
            return true;
    return false;
}

/* The K largest, in descending order; a later equal one never replaces. */
static void top_k(const core_spec *spec, const double *p, int64_t *idx)
{
    for (int64_t j = 0; j < spec->n_k; j++) {
        int64_t best = -1;
        for (int64_t e = 0; e < spec->n_e; e++)
            if (!is_chosen(idx, j, e) && (best < 0 || p[e] > p[best]))
                best = e;
        idx[j] = best;
    }
}

/* The largest of n scores, or the sum of the two largest. */
static double score_group(core_group_score kind, const double *score, int64_t n)
{
    double first = -INFINITY, second = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (score[i] > first) {
            second = first;
            first = score[i];
        } else if (score[i] > second) {
            second = score[i];
        }
    }
    return kind == CORE_GROUP_SCORE_BEST_TWO ? first + second : first;
}

/* Groups that come before group g: better ones, and equal ones before it. */
static int64_t rank_of_group(const double *score, int64_t n, int64_t g)
{
    int64_t n_before = 0;
    for (int64_t i = 0; i < n; i++)
        if (score[i] > score[g] || (score[i] == score[g] && i < g))
            n_before++;
    return n_before;
}

/* Experts outside the best groups fall to -infinity. */
static void leave_groups_out(par_model *m, double *score)
{
    const core_spec *spec = m->spec;
    double *group = m->work.group_score;
    const int64_t n_of = spec->n_group > 0 ? spec->n_e / spec->n_group : 0;
    for (int64_t g = 0; g < spec->n_group; g++)
        group[g] = score_group(spec->group_score, score + g * n_of, n_of);
    for (int64_t g = 0; g < spec->n_group; g++)
        if (rank_of_group(group, spec->n_group, g) >= spec->n_group_kept)
            for (int64_t e = g * n_of; e < (g + 1) * n_of; e++)
                score[e] = -INFINITY;
}

void par__choose(par_model *m, const double *score, const double *correction,
                 int64_t *idx)
{
    double *choosing = m->work.choosing;
    for (int64_t e = 0; e < m->spec->n_e; e++)
        choosing[e] = score[e] + (correction != NULL ? correction[e] : 0.0);
    leave_groups_out(m, choosing);
    top_k(m->spec, choosing, idx);
}
