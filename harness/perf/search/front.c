/* harness/perf/search/front.c -- the front.
 *
 * Only a plan with as few GPUs beats another: a buyer pays for each.  Traps: a
 * figure that is not a number is on no front; figures that are the same but for
 * the order of their sums differ in the last bits of doubles, so floats are
 * compared.
 */
#include "harness/perf/search/search.h"

#include <math.h>
#include <stdlib.h>

static int by_number(double a, double b)
{
    return ((float)a > (float)b) - ((float)a < (float)b);
}

static int by_latency(const void *left, const void *right)
{
    const har_search_point *a = left, *b = right;
    int order = by_number(a->figures.latency, b->figures.latency);
    if (order == 0)
        order = by_number(b->figures.tokens_per_s, a->figures.tokens_per_s);
    if (order == 0)
        order = har_shape_world(&a->shape) - har_shape_world(&b->shape);
    if (order == 0)
        order = by_number(a->figures.memory, b->figures.memory);
    const int key[][2] = {{a->shape.pp, b->shape.pp},
                          {a->shape.tp, b->shape.tp},
                          {a->shape.etp, b->shape.etp},
                          {a->shape.ep, b->shape.ep},
                          {a->shape.mb, b->shape.mb},
                          {(int)a->shape.scope, (int)b->shape.scope},
                          {a->shape.sp, b->shape.sp},
                          {a->shape.vpp, b->shape.vpp}};
    for (size_t i = 0; order == 0 && i < sizeof key / sizeof key[0]; i++)
        order = key[i][0] - key[i][1];
    return order;
}

/* By one of the front, all of which have no more latency? */
static bool is_beaten(const har_search_point *p, const har_search_point *front,
                      int64_t n_front)
{
    const int n_gpu = har_shape_world(&p->shape);
    for (int64_t i = 0; i < n_front; i++)
        if (by_number(front[i].figures.tokens_per_s,
                      p->figures.tokens_per_s) >= 0 &&
            har_shape_world(&front[i].shape) <= n_gpu)
            return true;
    return false;
}

int64_t har_search_front(har_search_point *point, int64_t n)
{
    int64_t n_real = 0, n_front = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(point[i].figures.latency) &&
            isfinite(point[i].figures.tokens_per_s))
            point[n_real++] = point[i];
    if (n_real == 0)
        return 0;
    qsort(point, (size_t)n_real, sizeof *point, by_latency);
    for (int64_t i = 0; i < n_real; i++)
        if (!is_beaten(&point[i], point, n_front))
            point[n_front++] = point[i];
    return n_front;
}
