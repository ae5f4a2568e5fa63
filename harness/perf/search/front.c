/* harness/perf/search/front.c -- the front, and who may be on it.
 *
 * Only a plan with as few GPUs beats another: a buyer pays for each.
 *
 * The distance of a plan from a front is the largest factor by which a plan of
 * the front with as few GPUs beats it in both figures: max over q of min(latency
 * / latency q, tokens q / tokens), less 1.  Say replayed figures are r times those of the
 * cost, r between low and high for all plans.  Then a plan further away than
 * high / low - 1 stays beaten, whatever its replay would say: it need not be
 * replayed.  low and high are those of the plans replayed so far, so more plans
 * may have to be replayed when they move apart.
 *
 * Traps: a figure that is not a number is on no front; the order of replays
 * must not depend on the number of threads.
 */
#include "harness/perf/search/front.h"

#include "core/base/arena.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static int by_number(double a, double b)
{
    return (a > b) - (a < b);
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
                          {a->shape.sp, b->shape.sp}};
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
        if (front[i].figures.tokens_per_s >= p->figures.tokens_per_s &&
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

/* --- who may be on it --- */

typedef struct contender {
    double distance;
    int64_t at;             /* its point                                     */
    double latency, tokens; /* what the cost said                            */
} contender;

typedef struct ratios {
    double low, high, off; /* off: largest |ratio - 1|                        */
} ratios;

static double distance(const har_search_point *p,
                       const har_search_point *front, int64_t n_front)
{
    const har_figures *f = &p->figures;
    const int n_gpu = har_shape_world(&p->shape);
    double most = 0;
    for (int64_t i = 0; i < n_front; i++) {
        const har_figures *q = &front[i].figures;
        if (q->latency > f->latency)
            break;
        if (har_shape_world(&front[i].shape) <= n_gpu)
            most = fmax(most, fmin(f->latency / q->latency,
                                   q->tokens_per_s / f->tokens_per_s));
    }
    return most - 1;
}

static int by_distance(const void *left, const void *right)
{
    const contender *a = left, *b = right;
    const int order = by_number(a->distance, b->distance);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

/* Every point with figures, nearest first; returns how many. */
static int64_t rank(contender *out, har_search_point *scratch,
                    const har_search_point *point, int64_t n)
{
    int64_t n_out = 0;
    if (n > 0)
        memcpy(scratch, point, (size_t)n * sizeof *point);
    const int64_t n_front = har_search_front(scratch, n);
    for (int64_t i = 0; i < n; i++) {
        const har_figures *f = &point[i].figures;
        if (isfinite(f->latency) && isfinite(f->tokens_per_s))
            out[n_out++] =
                (contender){.distance = distance(&point[i], scratch, n_front),
                            .at = i,
                            .latency = f->latency,
                            .tokens = f->tokens_per_s};
    }
    qsort(out, (size_t)n_out, sizeof *out, by_distance);
    return n_out;
}

static void see(ratios *r, double replayed, double cost)
{
    const double ratio = replayed / cost;
    r->low = fmin(r->low, ratio);
    r->high = fmax(r->high, ratio);
    r->off = fmax(r->off, fabs(ratio - 1));
}

/* Replay contenders [first, end) and tell how it goes. */
static core_status replay(const har_search_case *request,
                          har_search_point *point, const contender *list,
                          int64_t first, int64_t end)
{
    const har_search_replay *r = request->replay;
    core_status status = CORE_OK;
    int64_t n_done = first;
    char why[512] = "";
#pragma omp parallel for schedule(dynamic, 1) num_threads(request->n_thread)
    for (int64_t i = first; i < end; i++) {
        har_search_point *p = &point[list[i].at];
        const core_status mine =
            r->run(r->self, omp_get_thread_num(), &p->shape, &p->figures);
        p->is_replayed = mine == CORE_OK;
#pragma omp critical(search_replay)
        {
            if (mine != CORE_OK && status == CORE_OK) {
                status = mine;
                snprintf(why, sizeof why, "%s", core_message());
            }
            n_done++;
            if (request->progress != NULL)
                request->progress(request->progress_self, n_done, end);
        }
    }
    CORE_FAIL_IF(status != CORE_OK, status, "%s", why);
    return CORE_OK;
}

static core_status replay_near(har_search_result *out,
                               const har_search_case *request,
                               har_search_point *point, const contender *list,
                               int64_t n)
{
    const int64_t most = request->most_replays > 0 && request->most_replays < n
                             ? request->most_replays
                             : n;
    ratios latency = {INFINITY, 0, 0}, tokens = {INFINITY, 0, 0};
    double margin = request->margin;
    int64_t n_done = 0;
    for (int64_t end = 0;; n_done = end) {
        while (end < most && list[end].distance <= margin)
            end++;
        if (end == n_done)
            break;
        CORE_TRY(replay(request, point, list, n_done, end));
        for (int64_t i = n_done; i < end; i++) {
            const har_figures *f = &point[list[i].at].figures;
            see(&latency, f->latency, list[i].latency);
            see(&tokens, f->tokens_per_s, list[i].tokens);
        }
        margin = fmax(
            margin,
            fmax(latency.high / latency.low, tokens.high / tokens.low) - 1);
    }
    out->n_replayed = n_done;
    out->replay_margin = margin;
    out->margin = n_done == most && most < n ? list[most - 1].distance : margin;
    out->off_latency = latency.off;
    out->off_tokens = tokens.off;
    return CORE_OK;
}

core_status har__search_replay(har_search_result *out,
                               const har_search_case *request,
                               har_search_point *point, int64_t n)
{
    void *list = NULL, *scratch = NULL;
    core_status status = core_alloc(&list, n, sizeof(contender), "contenders");
    if (status == CORE_OK)
        status = core_alloc(&scratch, n, sizeof *point, "contenders");
    if (status == CORE_OK) {
        const int64_t n_ranked = rank(list, scratch, point, n);
        status = replay_near(out, request, point, list, n_ranked);
    }
    free(scratch);
    free(list);
    return status;
}
