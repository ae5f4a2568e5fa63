/* parallel/best_keys.c -- which keys a query attends to.
 *
 * Sorted by score, equal ones by position; what is taken is put back into the
 * order of positions, so that a set has one form.
 */
#include "parallel/forward_impl.h"

#include <stdlib.h>

static int by_score(const void *a, const void *b)
{
    const par_key *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static int by_position(const void *a, const void *b)
{
    const par_key *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

void par__best_keys(par_key *all, int64_t n, int64_t *key, int64_t n_key,
                    double edge[2])
{
    const int64_t n_taken = n < n_key ? n : n_key;
    if (n > 1)
        qsort(all, (size_t)n, sizeof *all, by_score);
    edge[0] = n > n_key ? all[n_key - 1].score : 0.0;
    edge[1] = n > n_key ? all[n_key].score : 0.0;
    if (n_taken > 1)
        qsort(all, (size_t)n_taken, sizeof *all, by_position);
    for (int64_t c = 0; c < n_key; c++)
        key[c] = c < n_taken ? all[c].at : -1;
}
