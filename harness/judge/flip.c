/* harness/judge/flip.c -- see flip.h. */
#include "harness/judge/flip.h"

#include <math.h>

bool har_flip_holds(const int64_t *ids, int64_t n, int64_t id)
{
    for (int64_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

bool har_flip_are_experts(const int64_t *ids, int64_t n_k, int64_t n_e)
{
    for (int64_t i = 0; i < n_k; i++)
        if (ids[i] < 0 || ids[i] >= n_e || har_flip_holds(ids, i, ids[i]))
            return false;
    return true;
}

static bool is_plain_top_k(const int64_t *ids, int64_t n_k,
                           const double *logits, int64_t n_e)
{
    double last = (double)INFINITY, first = -(double)INFINITY;
    for (int64_t e = 0; e < n_e; e++) {
        if (har_flip_holds(ids, n_k, e))
            last = logits[e] < last ? logits[e] : last;
        else
            first = logits[e] > first ? logits[e] : first;
    }
    return last >= first;
}

bool har_flip_gap(double *gap, const int64_t *right, const int64_t *found,
                  int64_t n_k, const double *logits, int64_t n_e)
{
    *gap = 0.0;
    for (int64_t i = 0; i < n_k; i++) {
        for (int64_t j = 0; j < n_k; j++) {
            const double d = logits[right[j]] - logits[found[i]];
            if (har_flip_holds(right, n_k, found[i]) ||
                har_flip_holds(found, n_k, right[j]))
                continue;
            *gap = isnan(d) ? (double)INFINITY : d > *gap ? d : *gap;
        }
    }
    return is_plain_top_k(right, n_k, logits, n_e);
}
