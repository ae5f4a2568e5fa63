/* harness/perf/search/drift.c -- see drift.h.
 *
 * Streams of dice: a layer's experts, its trades and its choices have one each,
 * numbered by pass, so a pass does not depend on what was dealt.
 */
#include "harness/perf/search/drift.h"

#include "core/base/arena.h"
#include "core/numbers/rng.h"
#include "core/pass/popular.h"

#include <stdlib.h>
#include <string.h>

enum { STREAM_PLACE = 0x9c01, STREAM_TRADE, STREAM_CHOICE };

typedef struct state {
    const har_drift_case *c;
    int n_e, n_physical, n_layer;
    int64_t *place;       /* [n_layer, n_e] whose share each expert has now   */
    double *load, *since; /* likewise: of this pass; since the last dealing   */
    int *in_order, *kept; /* [n_physical]; [n_layer, n_physical]              */
    double *sum;          /* [n_e]                                            */
} state;

/* Which experts of a layer are asked for most. */
static void first_places(const state *s, int l)
{
    const int64_t at = (int64_t)l * s->n_e;
    core_popular_order(s->place + at, s->n_e, s->c->seed, STREAM_PLACE,
                       (uint64_t)at);
}

static void drift(const state *s, int pass, int l)
{
    const uint64_t first =
        ((uint64_t)pass * (uint64_t)s->n_layer + (uint64_t)l) * 2 *
        (uint64_t)s->n_e;
    core_popular_trade(s->place + (int64_t)l * s->n_e, s->n_e, s->c->drift,
                       s->c->seed, STREAM_TRADE, first);
}

/* The expert of a choice: sum [n_e] ascends to 1. */
static int at(const double *sum, int n, double u)
{
    int low = 0, high = n - 1;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (sum[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void draw(const state *s, int pass, int l)
{
    const int64_t *place = s->place + (int64_t)l * s->n_e;
    double *load = s->load + (int64_t)l * s->n_e, total = 0;
    const int64_t n = s->c->n_token * s->c->dealing.spec->n_k;
    const uint64_t first =
        ((uint64_t)pass * (uint64_t)s->n_layer + (uint64_t)l) * (uint64_t)n;
    const uint64_t fine = UINT64_C(1) << 32;
    for (int e = 0; e < s->n_e; e++) {
        total += s->c->share[place[e]];
        s->sum[e] = total;
        load[e] = 0;
    }
    for (int64_t i = 0; i < n; i++)
        load[at(s->sum, s->n_e,
                total * (double)core_rng_below(s->c->seed, STREAM_CHOICE,
                                               first + (uint64_t)i, fine) /
                    (double)fine)]++;
    for (int e = 0; e < s->n_e; e++)
        s->since[(int64_t)l * s->n_e + e] += load[e];
}

/* Of all layers: balance, and *seconds unless it is NULL.  ld: from a layer's
 * experts to the next one's. */
static double judge(const state *s, const int *logical, int64_t ld,
                    double *seconds)
{
    const par_balancer *d = &s->c->dealing.deal;
    double mean = 0, most = 0, slowest = 0;
    for (int l = 0; l < s->n_layer; l++) {
        const double *load = s->load + (int64_t)l * s->n_e;
        const int *mine = logical + l * ld;
        double n = 0;
        for (int e = 0; e < s->n_e; e++)
            n += load[e];
        mean += n / d->n_gpu;
        most += n / d->n_gpu / par_balancer_balance(d, load, mine);
        if (seconds != NULL)
            slowest += har_dealing_seconds(&s->c->dealing, load, mine);
    }
    if (seconds != NULL)
        *seconds = slowest;
    return mean / most;
}

/* Deal all layers by what was counted since the last time. */
static void deal(const state *s, har_drift *out, har_drift_pass *p)
{
    const har_dealing *d = &s->c->dealing;
    const int64_t bytes = har_dealing_expert_bytes(d), n = s->n_physical;
    int most_of_gpu = 0;
    memcpy(s->kept, out->logical,
           (size_t)(s->n_layer * n) * sizeof *out->logical);
    for (int l = 0; l < s->n_layer; l++) {
        int most;
        par_balancer_deal(&d->deal, s->since + (int64_t)l * s->n_e,
                         out->logical + l * n);
        p->moved_bytes += bytes * par_balancer_moved(&d->deal, s->kept + l * n,
                                                 out->logical + l * n, &most);
        most_of_gpu += most;
    }
    memset(s->since, 0, (size_t)(s->n_layer * s->n_e) * sizeof *s->since);
    p->most_bytes = bytes * most_of_gpu;
    p->move_seconds = har_dealing_move_seconds(d, most_of_gpu);
}

static void take(state *s, core_arena *a)
{
    const int64_t n = (int64_t)s->n_layer * s->n_e;
    s->place = core_arena_i64(a, n);
    s->load = core_arena_f64(a, n);
    s->since = core_arena_f64(a, n);
    s->sum = core_arena_f64(a, s->n_e);
    s->in_order = core_arena_take(a, s->n_physical, sizeof *s->in_order);
    s->kept = core_arena_take(a, (int64_t)s->n_layer * s->n_physical,
                              sizeof *s->kept);
}

static void run(state *s, har_drift *out)
{
    const int64_t n = s->n_physical;
    par_balancer_in_order(&s->c->dealing.deal, s->in_order);
    memset(s->since, 0, (size_t)(s->n_layer * s->n_e) * sizeof *s->since);
    for (int l = 0; l < s->n_layer; l++) {
        first_places(s, l);
        memcpy(out->logical + l * n, s->in_order, (size_t)n * sizeof *s->kept);
        memcpy(s->kept + l * n, s->in_order, (size_t)n * sizeof *s->kept);
    }
    for (int i = 0; i < s->c->n_pass; i++) {
        har_drift_pass *p = &out->pass[i];
        *p = (har_drift_pass){0};
        for (int l = 0; l < s->n_layer; l++)
            draw(s, i, l);
        p->in_order = judge(s, s->in_order, 0, NULL);
        p->kept = judge(s, s->kept, n, &p->kept_seconds);
        p->dealt = judge(s, out->logical, n, &p->dealt_seconds);
        if ((i + 1) % s->c->every == 0)
            deal(s, out, p);
        for (int l = 0; l < s->n_layer; l++)
            drift(s, i, l);
    }
}

core_status har_drift_run(har_drift *out, const har_drift_case *c)
{
    const core_spec *spec = c->dealing.spec;
    core_arena arena = core_arena_measure();
    void *logical = NULL, *pass = NULL;
    state s = {.c = c,
               .n_e = c->dealing.deal.n_e,
               .n_physical = c->dealing.deal.n_gpu * c->dealing.deal.n_slot,
               .n_layer = core_spec_count_moe(spec, 0, (int)spec->n_l)};
    out->n_layer = s.n_layer;
    CORE_TRY(core_alloc(&logical, (int64_t)s.n_layer * s.n_physical,
                        sizeof *out->logical, "experts of all layers"));
    out->logical = logical;
    CORE_TRY(core_alloc(&pass, c->n_pass, sizeof *out->pass, "passes"));
    out->pass = pass;
    take(&s, &arena);
    CORE_TRY(core_arena_make(&arena));
    take(&s, &arena);
    run(&s, out);
    core_arena_free(&arena);
    return CORE_OK;
}

void har_drift_free(har_drift *drift)
{
    free(drift->logical);
    free(drift->pass);
    *drift = (har_drift){0};
}

double har_drift_pays(const har_drift *drift, int i)
{
    const har_drift_pass *next = &drift->pass[i + 1];
    return har_dealing_pays(drift->pass[i].move_seconds, next->kept_seconds,
                            next->dealt_seconds);
}
