/* ref/best_keys.c -- the keys that a query attends to, by their scores. */
#include "ref/ref_impl.h"

#include <math.h>
#include <stdlib.h>

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void ref__best_keys(int64_t *key, int64_t n_key, const double *score,
                    int64_t lo, int64_t hi, const uint8_t *mask, double *room,
                    double edge[2])
{
    int64_t n = 0, n_above = 0, n_taken = 0;
    for (int64_t j = lo; j < hi; j++)
        if (mask == NULL || mask[j] != 0)
            room[n++] = score[j];
    const bool takes_all = n <= n_key;
    qsort(room, (size_t)n, sizeof *room, descending);
    edge[0] = takes_all ? 0.0 : room[n_key - 1];
    edge[1] = takes_all ? 0.0 : room[n_key];
    while (!takes_all && room[n_above] > edge[0])
        n_above++;
    int64_t n_tied = n_key - n_above; /* of the last score, the first keys */
    for (int64_t j = lo; j < hi && n_taken < n_key; j++) {
        if (mask != NULL && mask[j] == 0)
            continue;
        if (takes_all || score[j] > edge[0] ||
            (score[j] == edge[0] && n_tied-- > 0))
            key[n_taken++] = j;
    }
    for (; n_taken < n_key; n_taken++)
        key[n_taken] = -1;
}

void ref__edge_of(const int64_t *key, int64_t n_key, const double *score,
                  int64_t n, const uint8_t *mask, double edge[2])
{
    double last = HUGE_VAL, best = -HUGE_VAL;
    int64_t c = 0, n_left = 0;
    for (int64_t j = 0; j < n; j++) {
        if (c < n_key && key[c] == j) {
            last = fmin(last, score[j]);
            c++;
        } else if (mask == NULL || mask[j] != 0) {
            best = fmax(best, score[j]);
            n_left++;
        }
    }
    edge[0] = n_left > 0 ? last : 0.0;
    edge[1] = n_left > 0 ? best : 0.0;
}
