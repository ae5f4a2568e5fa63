/* harness/perf/search/replay.c -- which plans need the replay's word.
 *
 * Plans of one scope whose micro-batches have about as many rows are a kind:
 * the cost errs alike for them.  Replayed are those near the cost's own front
 * and a sample of every kind, from its nearest to its furthest; then, again and again,
 * whatever may still be on the front.  That is: say a plan's replayed figures
 * are r times those of the cost, with r no further out than the ratios seen in
 * its kind and half as much again on either side; a plan that a replayed one
 * beats even so is beaten.
 *
 * The distance of a plan from a front is the largest factor by which a plan of
 * the front with as few GPUs beats it in both figures: max over q of min(latency
 * / latency q, tokens q / tokens), less 1.
 *
 * Trap: what is replayed, and in which order, must not depend on the number of
 * threads.
 */
#include "harness/perf/search/replay.h"

#include "core/base/arena.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 64, SAMPLE = 8 /* plans of a kind */ };

/* Beaten by nothing of the cost's front by more than that in both figures.   */
static const double NEAR = 0.05;

typedef struct contender {
    double distance;
    int64_t at;             /* its point                                     */
    double latency, tokens; /* what the cost said                            */
    int kind;
    bool is_asked;
} contender;

typedef struct ratios { /* replay / cost                                      */
    double low, high;
} ratios;

typedef struct contest {
    const har_search_case *request;
    har_search_result *out;
    har_search_point *point;
    contender *list;           /* [n] nearest first                           */
    int64_t n, most;           /* most that may be replayed                   */
    int64_t *batch, n_batch;   /* contenders to replay next                   */
    har_search_point *front;   /* [n_front] of those replayed                 */
    int64_t n_front;
    ratios latency[KINDS], tokens[KINDS];
} contest;

/* --- nearest first --- */

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
    const int order =
        (a->distance > b->distance) - (a->distance < b->distance);
    return order != 0 ? order : (a->at > b->at) - (a->at < b->at);
}

static int kind_of(const har_search_case *request, const har_shape *s)
{
    const int64_t n_part = (int64_t)s->dp * s->mb;
    int kind = s->scope == PAR_SCOPE_REPLICA;
    for (int64_t rows = (request->n_b + n_part - 1) / n_part; rows > 1;
         rows /= 2)
        kind += 2;
    return kind < KINDS ? kind : KINDS - 1;
}

/* Every point with figures. */
static void rank(contest *c, int64_t n)
{
    if (n > 0)
        memcpy(c->front, c->point, (size_t)n * sizeof *c->front);
    const int64_t n_front = har_search_front(c->front, n);
    for (int64_t i = 0; i < n; i++) {
        const har_search_point *p = &c->point[i];
        const har_figures *f = &p->figures;
        if (isfinite(f->latency) && isfinite(f->tokens_per_s))
            c->list[c->n++] =
                (contender){.distance = distance(p, c->front, n_front),
                            .at = i,
                            .latency = f->latency,
                            .tokens = f->tokens_per_s,
                            .kind = kind_of(c->request, &p->shape)};
    }
    qsort(c->list, (size_t)c->n, sizeof *c->list, by_distance);
}

/* --- whom to ask --- */

static void ask(contest *c, int64_t i)
{
    if (c->out->n_replayed + c->n_batch == c->most)
        return;
    c->list[i].is_asked = true;
    c->batch[c->n_batch++] = i;
}

/* What is near the cost's front, and SAMPLE of each kind, evenly over ranks. */
static void choose_first(contest *c)
{
    int64_t n_of[KINDS] = {0}, at[KINDS] = {0};
    for (int64_t i = 0; i < c->n; i++)
        n_of[c->list[i].kind]++;
    for (int64_t i = 0; i < c->n; i++) {
        const int k = c->list[i].kind;
        const int64_t before = at[k]++ * SAMPLE / n_of[k];
        if (c->list[i].distance <= NEAR || at[k] * SAMPLE / n_of[k] > before)
            ask(c, i);
    }
}

static bool may_win(const contest *c, const contender *p)
{
    const ratios *l = &c->latency[p->kind], *t = &c->tokens[p->kind];
    const double latency = p->latency * l->low * sqrt(l->low / l->high);
    const double tokens = p->tokens * t->high * sqrt(t->high / t->low);
    const int n_gpu = har_shape_world(&c->point[p->at].shape);
    if (!(l->high > 0 && t->high > 0)) /* no replay of its kind has figures */
        return true;
    for (int64_t i = 0; i < c->n_front; i++) {
        const har_figures *q = &c->front[i].figures;
        if (q->latency > latency)
            break;
        if (har_shape_world(&c->front[i].shape) <= n_gpu &&
            q->tokens_per_s >= tokens &&
            (q->latency < latency || q->tokens_per_s > tokens))
            return false;
    }
    return true;
}

static void choose_more(contest *c)
{
    c->n_batch = c->out->n_open = 0;
    for (int64_t i = 0; i < c->n; i++)
        if (!c->list[i].is_asked && may_win(c, &c->list[i])) {
            ask(c, i);
            c->out->n_open += !c->list[i].is_asked;
        }
}

/* --- asking --- */

static core_status replay(contest *c)
{
    const har_search_replay *r = c->request->replay;
    core_status status = CORE_OK;
    int64_t n_done = c->out->n_replayed;
    char why[512] = "";
#pragma omp parallel for schedule(dynamic, 1) num_threads(c->request->n_thread)
    for (int64_t i = 0; i < c->n_batch; i++) {
        har_search_point *p = &c->point[c->list[c->batch[i]].at];
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
            if (c->request->progress != NULL)
                c->request->progress(c->request->progress_self, n_done,
                                     c->out->n_replayed + c->n_batch);
        }
    }
    CORE_FAIL_IF(status != CORE_OK, status, "%s", why);
    return CORE_OK;
}

static void see(ratios *r, double *off, double replayed, double cost)
{
    const double ratio = replayed / cost;
    r->low = fmin(r->low, ratio);
    r->high = fmax(r->high, ratio);
    *off = fmax(*off, fabs(ratio - 1));
}

/* What the batch said, and the front of all that were asked. */
static void see_batch(contest *c)
{
    for (int64_t i = 0; i < c->n_batch; i++) {
        const contender *p = &c->list[c->batch[i]];
        const har_search_point *now = &c->point[p->at];
        see(&c->latency[p->kind], &c->out->off_latency, now->figures.latency,
            p->latency);
        see(&c->tokens[p->kind], &c->out->off_tokens,
            now->figures.tokens_per_s, p->tokens);
        c->front[c->n_front++] = *now;
    }
    c->n_front = har_search_front(c->front, c->n_front);
    c->out->n_replayed += c->n_batch;
}

static core_status hold(contest *c, int64_t n)
{
    rank(c, n);
    for (int k = 0; k < KINDS; k++)
        c->latency[k] = c->tokens[k] = (ratios){INFINITY, 0};
    for (choose_first(c); c->n_batch > 0; choose_more(c)) {
        CORE_TRY(replay(c));
        see_batch(c);
    }
    return CORE_OK;
}

core_status har__search_replay(har_search_result *out,
                               const har_search_case *request,
                               har_search_point *point, int64_t n)
{
    void *list = NULL, *front = NULL, *batch = NULL;
    core_status status = core_alloc(&list, n, sizeof(contender), "contenders");
    if (status == CORE_OK)
        status = core_alloc(&front, n, sizeof *point, "contenders");
    if (status == CORE_OK)
        status = core_alloc(&batch, n, sizeof(int64_t), "contenders");
    if (status == CORE_OK) {
        contest c = {.request = request,
                     .out = out,
                     .point = point,
                     .list = list,
                     .front = front,
                     .batch = batch,
                     .most = request->most_replays > 0 ? request->most_replays
                                                       : n};
        status = hold(&c, n);
    }
    free(batch);
    free(front);
    free(list);
    return status;
}
