/* harness/program/search_train.c -- see search_train.h. */
#include "harness/program/search_train.h"

#include "harness/launch/waiting.h"
#include "harness/perf/search/plan_file.h"
#include "harness/perf/search/train.h"

#include <string.h>

static core_status check_found(const har_train_search *s,
                               const har_search_case *c,
                               const har_search_result *r)
{
    CORE_TRY(s->status);
    CORE_FAIL_IF(r->n_plan == 0, CORE_E_PLAN,
                 "%s has no plan of scope=stage for %lld rows on %d to %d GPUs",
                 c->spec->name, (long long)c->n_b, c->n_gpu0, c->n_gpu1);
    CORE_FAIL_IF(r->n_front == 0, CORE_E_MEMORY,
                 "no plan fits: the smallest needs %.2f GB of a GPU's %.2f "
                 "(--zero and --recompute make it smaller)",
                 r->least_memory / 1e9, c->memory_bytes / 1e9);
    return CORE_OK;
}

static core_status report(const har_train_search *s, const har_search_case *c,
                          const har_search_result *r, const char *json,
                          const char *write)
{
    CORE_TRY(check_found(s, c, r));
    if (json != NULL)
        CORE_TRY(har_train_search_json(json, s, r));
    if (write != NULL) {
        par_plan plan;
        char note[160];
        har_shape_plan(&r->front[0].shape, &plan);
        snprintf(note, sizeof note, "training %.40s on %.40s: %.3f ms a step",
                 c->spec->name, s->machine->name,
                 1e3 * r->front[0].figures.latency);
        CORE_TRY(har_plan_write(&plan, note, write));
    }
    har_train_search_write(stdout, s, c, r);
    return CORE_OK;
}

static core_status search(har_train_search *s, har_search_case *c,
                          const char *json, const char *write)
{
    const har_search_cost cost = {s, har_train_search_memory,
                                  har_train_search_time};
    har_search_result result;
    har_waiting waiting = har_waiting_begin();
    c->cost = &cost;
    c->allows = har_train_search_allows;
    c->has_sp = c->has_vpp = true;
    c->n_t = s->what.n_t;
    har_waiting_say(&waiting, "search: laying out steps of training");
    core_status status = har_search_run(&result, c);
    har_waiting_end(&waiting);
    if (status == CORE_OK)
        status = report(s, c, &result, json, write);
    har_search_free(&result);
    return status;
}

core_status har_search_train(const har_train_words *words,
                             const har_quick *work, har_search_case *c,
                             const char *json, const char *write)
{
    har_demand demand = {.text = "popularity", .n_e = (int)work->spec->n_e};
    har_train_search s = {
        .what = {.spec = work->spec,
                 .n_b = work->n_b,
                 .n_t = work->n_t,
                 .types = work->types,
                 .demand = work->share != NULL ? &demand : NULL},
        .machine = work->machine,
        .n_thread = c->n_thread};
    if (work->share != NULL)
        memcpy(demand.share, work->share,
               (size_t)demand.n_e * sizeof *work->share);
    CORE_TRY(har_train_read(&s.train, words));
    core_status status = har_train_search_make(&s);
    if (status == CORE_OK)
        status = search(&s, c, json, write);
    har_train_search_free(&s);
    return status;
}
