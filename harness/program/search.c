/* harness/program/search.c -- which plan should a model have on a machine?
 *
 * Traps: the seed's plans are marked only where their number of GPUs is among
 * those searched, a plan of --mark always; rounds of a marked plan count as
 * further micro-batches; the popularity of experts changes the times, so it is
 * read before the search.
 */
#include "core/files/text.h"
#include "harness/launch/waiting.h"
#include "harness/perf/predict/load_source.h"
#include "harness/perf/search/plan_file.h"
#include "harness/perf/search/report.h"
#include "harness/program/command.h"
#include "harness/program/model.h"
#include "harness/program/search_train.h"
#include "harness/program/system.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct request {
    core_overrides overrides;
    const char *model, *machine, *gpus, *batch, *decode, *dtype, *json, *write;
    const char *popularity, *budget, *system, *objective;
    const char *slo[2], *mark[HAR_MAX_MARKS];
    int n_slo, n_mark;
    bool place;
    har_train_words train;
} request;

static const har_command_line line = {
    "search",
    "MODEL --machine M --gpus N[..N2] --batch BxT\n"
    "MODEL --machine M --gpus N[..N2] --decode BxL\n"
    "MODEL --machine M --gpus N[..N2] --batch BxT --train",
    "Times every legal plan that fits memory and shows those that no "
    "other beats in both latency and throughput.\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"machine", .text = &r->machine},
        {"gpus", .text = &r->gpus, .argument = "N[..N2]",
         .help = "numbers of GPUs to search"},
        {"batch", .text = &r->batch},
        {"decode", .text = &r->decode, .argument = "BxL",
         .help = "instead: a token for each of B rows, L cached ones before "
                 "it"},
        {"dtype", .text = &r->dtype},
        {"for", .text = &r->system, .argument = "SYSTEM",
         .help = "only plans that megatron, vllm, sglang, deepspeed or "
                 "torchtitan can run"},
        {"objective", .text = &r->objective, .argument = "WORD",
         .help = "what the best plan is best in: latency, tokens_per_s, "
                 "tokens_per_s_per_gpu or cost (latency; with a limit of it "
                 "tokens_per_s)"},
        {"slo", .text = r->slo, .n = &r->n_slo, .most = 2, .argument = "LIMIT",
         .help = "latency_ms<X or tokens_per_s>X; both may be given"},
        {"mark", .text = r->mark, .n = &r->n_mark, .most = HAR_MAX_MARKS - 3,
         .argument = "PLAN",
         .help = "hold this plan against the best; may be repeated"},
        {"popularity", .text = &r->popularity},
        {"place", .flag = &r->place,
         .help = "deal the experts of the first marked plan, else of the best "
                 "that has ep > 1, by their popularity"},
        {"budget", .text = &r->budget, .argument = "GB",
         .help = "memory of a GPU for copies of experts (what is left, but no "
                 "more than the experts already have)"},
        {"json", .text = &r->json},
        {"write", .text = &r->write, .argument = "FILE",
         .help = "the best plan, with --place the placed one, as YAML for "
                 "verify"},
        HAR_TRAIN_OPTIONS(&r->train),
        {0}};
    har_parse(&line, options, r, argc, argv);
}

/* --- options --- */

enum { MOST_REPLAYS = 20000 };

static core_status parse_gpus(const char *text, har_search_case *out)
{
    int64_t a, b;
    CORE_TRY(har_parse_range(&a, &b, "--gpus", text, HAR_SEARCH_GPUS));
    out->n_gpu0 = (int)a;
    out->n_gpu1 = (int)b;
    return CORE_OK;
}

static core_status parse_positive(double *out, const char *option,
                                  const char *text)
{
    return har_parse_number(out, option, text, DBL_TRUE_MIN, DBL_MAX,
                            "a number above 0");
}

static core_status parse_slo(const char *text, har_search_case *out)
{
    const char *number;
    if (core_text_after(text, "latency_ms<", &number)) {
        CORE_TRY(parse_positive(&out->most_latency, "--slo", number));
        out->most_latency /= 1e3;
        return CORE_OK;
    }
    CORE_FAIL_IF(!core_text_after(text, "tokens_per_s>", &number), CORE_E_USAGE,
                 "--slo: expected latency_ms<X or tokens_per_s>X, found '%s'",
                 text);
    return parse_positive(&out->least_tokens_per_s, "--slo", number);
}

static core_status parse_objective(const char *text, har_search_case *out)
{
    static const char *const word[HAR_N_OBJECTIVE] = {
        [HAR_OBJECTIVE_LATENCY] = "latency",
        [HAR_OBJECTIVE_TOKENS] = "tokens_per_s",
        [HAR_OBJECTIVE_TOKENS_PER_GPU] = "tokens_per_s_per_gpu",
        [HAR_OBJECTIVE_COST] = "cost"};
    out->objective = out->most_latency > 0 ? HAR_OBJECTIVE_TOKENS
                                           : HAR_OBJECTIVE_LATENCY;
    if (text == NULL)
        return CORE_OK;
    int objective;
    CORE_TRY(har_choose(&objective, "--objective", text, word, HAR_N_OBJECTIVE));
    out->objective = (har_objective)objective;
    return CORE_OK;
}

static core_status parse_work(const request *r, har_quick *e)
{
    CORE_FAIL_IF((r->batch == NULL) == (r->decode == NULL), CORE_E_USAGE,
                 "expected one of --batch BxT and --decode BxL");
    CORE_TRY(har_parse_types(&e->types, "--dtype", r->dtype));
    if (r->batch != NULL)
        return har_parse_batch(&e->n_b, &e->n_t, "--batch", r->batch);
    e->n_t = 1;
    return har_parse_batch(&e->n_b, &e->n_kv, "--decode", r->decode);
}

static core_status check_training(const request *r)
{
    CORE_TRY(har_train_check(&r->train));
    CORE_FAIL_IF(r->train.is_asked &&
                     (r->decode != NULL || r->system != NULL || r->place ||
                      r->objective != NULL || r->n_slo > 0 || r->n_mark > 0),
                 CORE_E_USAGE,
                 "--train: not with --decode, --for, --objective, --slo, "
                 "--mark, --place");
    return CORE_OK;
}

static core_status parse_case(const request *r, har_search_case *c,
                              har_quick *e)
{
    CORE_FAIL_IF(r->model == NULL, CORE_E_USAGE, "expected a model");
    CORE_FAIL_IF(r->machine == NULL, CORE_E_USAGE, "--machine: missing");
    CORE_FAIL_IF(r->gpus == NULL, CORE_E_USAGE, "--gpus: missing");
    CORE_FAIL_IF(r->place && r->popularity == NULL, CORE_E_USAGE,
                 "--place: expected --popularity FILE beside it");
    CORE_FAIL_IF(r->budget != NULL && !r->place, CORE_E_USAGE,
                 "--budget belongs to --place");
    CORE_TRY(check_training(r));
    CORE_TRY(parse_gpus(r->gpus, c));
    for (int i = 0; i < r->n_slo; i++)
        CORE_TRY(parse_slo(r->slo[i], c));
    CORE_TRY(parse_objective(r->objective, c));
    CORE_TRY(parse_work(r, e));
    c->n_b = e->n_b;
    c->n_t = e->n_kv > 0 ? 0 : e->n_t;
    c->n_thread = omp_get_max_threads() < HAR_SEARCH_THREADS
                      ? omp_get_max_threads()
                      : HAR_SEARCH_THREADS;
    e->n_thread = c->n_thread;
    return CORE_OK;
}

/* --- plans of a system --- */

typedef struct runner {
    har_system system;
    const core_spec *spec;
} runner;

static bool can_run(const void *self, const par_plan *plan)
{
    const runner *r = self;
    const bool can = har_system_check(r->system, plan, r->spec) == CORE_OK;
    core_message_clear();
    return can;
}

static core_status choose_runner(const char *text, runner *out,
                                 har_search_case *c)
{
    *out = (runner){.spec = c->spec};
    CORE_TRY(har_choose_system(&out->system, "--for", text, HAR_N_EMITTED));
    if (text == NULL)
        return CORE_OK;
    c->allows = can_run;
    c->allows_self = out;
    return CORE_OK;
}

/* --- marked plans --- */

/* Is the plan one of those that a search looks at, but for its size?         */
static core_status check_mark(const par_plan *plan, const har_quick *e,
                              const char *text)
{
    CORE_FAIL_IF(plan->n_stage > 0 || plan->n_placed > 0 ||
                     plan->n_mapped > 0 || plan->overlap != 0 ||
                     plan->batch_reduce > 1,
                 CORE_E_USAGE,
                 "--mark: expected a plan without stages, placement, overlap "
                 "and batch_reduce, found '%s'",
                 text);
    CORE_FAIL_IF(par_plan_world(plan) > HAR_SEARCH_GPUS, CORE_E_USAGE,
                 "--mark: expected at most %d GPUs, found '%s'",
                 HAR_SEARCH_GPUS, text);
    CORE_FAIL_IF(plan->cp > 1 && e->n_kv > 0, CORE_E_USAGE,
                 "--mark: expected a plan without cp, as a step of decode has "
                 "one token of each row, found '%s'",
                 text);
    CORE_FAIL_IF(plan->vpp > 1 && plan->mb * plan->rounds % plan->pp != 0,
                 CORE_E_USAGE,
                 "--mark: vpp = %d, expected a number of micro-batches that "
                 "pp = %d divides, found '%s'",
                 plan->vpp, plan->pp, text);
    return CORE_OK;
}

static core_status price(har_replayer *r, har_quick *e,
                         const har_search_case *c, const par_plan *plan,
                         const char *name, har_mark *out)
{
    har_search_point *p = &out->point;
    *out = (har_mark){0};
    snprintf(out->name, sizeof out->name, "%s", name);
    har_shape_of(plan, &p->shape);
    p->shape.mb *= plan->rounds;
    har_quick_memory(e, &p->shape, &p->figures);
    out->fits = p->figures.memory <= c->memory_bytes;
    if (!out->fits)
        return CORE_OK;
    har_quick_time(e, 0, &p->shape, &p->figures);
    p->is_replayed = true;
    return r->replay.run(r, 0, &p->shape, &p->figures);
}

static core_status mark_asked(const request *r, const har_search_case *c,
                              har_replayer *replayer, har_quick *e,
                              har_mark *mark, int *n)
{
    for (int i = 0; i < r->n_mark; i++) {
        par_plan plan;
        CORE_TRY_CTX(par_plan_parse(&plan, r->mark[i]), "reading --mark");
        CORE_TRY_CTX(par_plan_check(&plan, c->spec), "reading --mark");
        CORE_TRY(check_mark(&plan, e, r->mark[i]));
        CORE_TRY(price(replayer, e, c, &plan, r->mark[i], &mark[(*n)++]));
    }
    return CORE_OK;
}

/* The readings of the seed's plan that have as many GPUs as are searched: only
 * of its own models. */
static core_status mark_seed(const har_search_case *c, har_replayer *replayer,
                             har_quick *e, har_mark *mark, int *n)
{
    static const char *const name[] = {"seed-16", "seed-32", "seed-32-stage"};
    if (!har_search_is_seed(c->spec))
        return CORE_OK;
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        par_plan plan;
        CORE_TRY(par_plan_parse(&plan, name[i]));
        const int world = par_plan_world(&plan);
        bool is_marked = false;
        for (int k = 0; k < *n; k++)
            is_marked |= strcmp(mark[k].name, name[i]) == 0;
        if (world < c->n_gpu0 || world > c->n_gpu1 || is_marked)
            continue;
        const bool is_legal =
            par_plan_check_batch(&plan, c->spec, c->n_b) == CORE_OK;
        core_message_clear();
        if (is_legal)
            CORE_TRY(price(replayer, e, c, &plan, name[i], &mark[(*n)++]));
    }
    return CORE_OK;
}

/* What people would take on as many GPUs as the best plan has. */
static core_status weigh_usual(const har_search_view *v, har_replayer *replayer,
                               har_quick *e, har_mark usual[HAR_N_USUAL])
{
    const int n = har_shape_world(&v->best->shape);
    const struct {
        const char *name;
        int dp, tp, ep;
    } what[HAR_N_USUAL] = {{"tp alone", 1, n, 1},
                           {"ep of all GPUs", n, 1, n},
                           {"the default, dp alone", n, 1, 1}};
    for (int i = 0; i < HAR_N_USUAL; i++) {
        const har_shape shape = {.dp = what[i].dp,
                                 .pp = 1,
                                 .tp = what[i].tp,
                                 .ep = what[i].ep,
                                 .etp = 1,
                                 .mb = 1,
                                 .scope = PAR_SCOPE_STAGE};
        const har_search_case *c = v->request;
        par_plan plan;
        har_shape_plan(&shape, &plan);
        if (par_plan_check(&plan, c->spec) == CORE_OK &&
            par_plan_check_batch(&plan, c->spec, c->n_b) == CORE_OK) {
            CORE_TRY(price(replayer, e, c, &plan, what[i].name, &usual[i]));
            continue;
        }
        usual[i] = (har_mark){.point.shape = shape};
        snprintf(usual[i].name, sizeof usual[i].name, "%s", what[i].name);
        snprintf(usual[i].refused, sizeof usual[i].refused, "%s",
                 core_message());
        core_message_clear();
    }
    return CORE_OK;
}

/* --- placement --- */

static const har_search_point *to_place(const har_search_view *v, int n_asked)
{
    if (n_asked > 0)
        return v->mark[0].fits && v->mark[0].point.shape.ep > 1
                   ? &v->mark[0].point
                   : NULL;
    if (v->best->shape.ep > 1)
        return v->best;
    for (int i = 0; i < v->result->n_front; i++)
        if (v->result->front[i].shape.ep > 1)
            return &v->result->front[i];
    return NULL;
}

static core_status place(const request *r, const har_search_view *v,
                         har_placed *out)
{
    const har_search_point *p = to_place(v, r->n_mark);
    double budget = 0;
    CORE_FAIL_IF(p == NULL, CORE_E_USAGE,
                 "--place: expected a plan that fits memory and has ep > 1");
    if (r->budget != NULL)
        CORE_TRY(parse_positive(&budget, "--budget", r->budget));
    const double room = v->request->memory_bytes - p->figures.memory;
    return har_search_place(v->estimate, p,
                            r->budget != NULL ? fmin(room, budget * 1e9) : room,
                            out);
}

/* --- search --- */

static core_status check_found(const har_search_view *v)
{
    const har_search_result *r = v->result;
    CORE_FAIL_IF(r->n_plan == 0 && r->n_barred > 0, CORE_E_PLAN,
                 "none of %lld legal meshes of %s can be run by %s: plan PLAN "
                 "--for %s says why",
                 (long long)r->n_barred, v->estimate->spec->name, v->system,
                 v->system);
    CORE_FAIL_IF(r->n_plan == 0, CORE_E_PLAN,
                 "%s has no legal plan for %lld rows on %d to %d GPUs",
                 v->estimate->spec->name, (long long)v->request->n_b,
                 v->request->n_gpu0, v->request->n_gpu1);
    CORE_FAIL_IF(r->n_large == r->n_plan, CORE_E_MEMORY,
                 "no plan fits: the smallest needs %.2f GB of a GPU's %.2f",
                 r->least_memory / 1e9, v->request->memory_bytes / 1e9);
    CORE_FAIL_IF(r->n_front == 0, CORE_E_DIFFERS,
                 "none of %lld plans meets the limits; the least latency is "
                 "%.3f ms",
                 (long long)(r->n_plan - r->n_large), r->least_latency * 1e3);
    return CORE_OK;
}

static core_status write_best(const request *r, const har_search_view *v)
{
    par_plan plan;
    char note[160];
    if (v->placed != NULL)
        plan = v->placed->plan;
    else
        har_shape_plan(&v->best->shape, &plan);
    const har_checked *after = v->placed != NULL ? &v->placed->after : NULL;
    const har_figures *f = &v->best->figures;
    snprintf(note, sizeof note, "%.40s on %.40s: %.3f ms, %.0f tokens/s",
             v->estimate->spec->name, v->estimate->machine->name,
             1e3 * (after != NULL ? after->latency.value : f->latency),
             after != NULL ? after->tokens_per_s.value : f->tokens_per_s);
    return har_plan_write(&plan, note, r->write);
}

/* Predict what will be shown, with intervals. */
static core_status check(har_search_view *v, har_mark *mark,
                         har_checked *checked)
{
    const int n_front = v->result->n_front < HAR_MAX_CHECKED
                            ? v->result->n_front
                            : HAR_MAX_CHECKED;
    core_status status = CORE_OK;
#pragma omp parallel for schedule(dynamic, 1) num_threads(v->request->n_thread)
    for (int i = 0; i < n_front + v->n_mark; i++) {
        har_mark *m = i < n_front ? NULL : &mark[i - n_front];
        const har_search_point *p =
            m != NULL ? &m->point : &v->result->front[i];
        core_status mine = CORE_OK;
        if (m == NULL || m->fits)
            mine = har_search_check(v->estimate, &p->shape,
                                    m != NULL ? &m->checked : &checked[i]);
#pragma omp critical(search_check)
        status = mine != CORE_OK ? mine : status;
    }
    CORE_FAIL_IF(status != CORE_OK, status,
                 "a plan on the front has no prediction");
    v->checked = checked;
    return CORE_OK;
}

static core_status report(const request *r, har_search_view *v, har_quick *e,
                          har_replayer *replayer, har_mark *mark)
{
    har_placed placed;
    har_mark usual[HAR_N_USUAL];
    har_checked checked[HAR_MAX_CHECKED];
    CORE_TRY(check_found(v));
    v->best = har_search_best(v->result, v->request);
    CORE_TRY(weigh_usual(v, replayer, e, usual));
    v->usual = usual;
    CORE_TRY(check(v, mark, checked));
    if (r->place) {
        CORE_TRY(place(r, v, &placed));
        v->placed = &placed;
    }
    if (r->write != NULL)
        CORE_TRY(write_best(r, v));
    if (r->json != NULL)
        CORE_TRY(har_search_write_json(v, r->json));
    har_search_write_text(stdout, v);
    return CORE_OK;
}

static void show_progress(void *self, int64_t n_replayed, int64_t n)
{
    char text[80];
    snprintf(text, sizeof text, "search: %lld of %lld plans replayed",
             (long long)n_replayed, (long long)n);
    har_waiting_say(self, text);
}

static core_status search_with(const request *r, har_search_case *c,
                               har_quick *e, har_replayer *replayer)
{
    har_mark mark[HAR_MAX_MARKS];
    har_search_result result;
    const har_search_cost cost = {e, har_quick_memory, har_quick_time};
    har_search_view view = {
        .request = c, .estimate = e, .result = &result, .mark = mark,
        .system = r->system};
    har_waiting waiting = har_waiting_begin();
    CORE_TRY(mark_asked(r, c, replayer, e, mark, &view.n_mark));
    CORE_TRY(mark_seed(c, replayer, e, mark, &view.n_mark));
    c->cost = &cost;
    c->replay = &replayer->replay;
    c->has_sp = c->has_vpp = true;
    c->most_replays = MOST_REPLAYS;
    c->progress = show_progress;
    c->progress_self = &waiting;
    core_status status = har_search_run(&result, c);
    har_waiting_end(&waiting);
    if (status == CORE_OK)
        status = har_quick_status(e);
    if (status == CORE_OK)
        status = report(r, &view, e, replayer, mark);
    har_search_free(&result);
    return status;
}

static core_status search(const request *r, har_search_case *c, har_quick *e)
{
    har_replayer replayer;
    CORE_TRY(har_quick_make(e));
    core_status status = har_replayer_make(&replayer, e);
    if (status == CORE_OK)
        status = search_with(r, c, e, &replayer);
    har_replayer_free(&replayer);
    return status;
}

static core_status read_popularity(double *share, const core_spec *spec,
                                   const char *text)
{
    har_load_source source = {0};
    const core_status status =
        har_load_source_open(&source, spec, "expected", text, NULL);
    if (status == CORE_OK)
        har_load_source_shares(&source, spec, share);
    har_load_source_close(&source);
    return status;
}

static core_status run(const request *r)
{
    core_spec spec;
    core_config_facts facts;
    har_machine machine;
    double share[PAR_MAX_EXPERTS];
    har_search_case c = {.spec = &spec};
    runner runs;
    har_quick e = {.spec = &spec, .machine = &machine};
    CORE_TRY(parse_case(r, &c, &e));
    CORE_TRY(choose_runner(r->system, &runs, &c));
    CORE_TRY(core_config_open(&spec, &facts, &r->overrides, r->model));
    CORE_TRY(har_machine_open(&machine, r->machine));
    CORE_FAIL_IF(spec.n_e > PAR_MAX_EXPERTS, CORE_E_SPEC,
                 "%s: %lld experts, at most %d are supported", spec.name,
                 (long long)spec.n_e, PAR_MAX_EXPERTS);
    CORE_FAIL_IF(r->popularity != NULL && spec.n_e == 0, CORE_E_USAGE,
                 "--popularity: %s has no experts", spec.name);
    CORE_FAIL_IF(c.objective == HAR_OBJECTIVE_COST && !(machine.price > 0),
                 CORE_E_USAGE, "--objective cost: %s has no price",
                 machine.name);
    c.memory_bytes = machine.memory_bytes;
    if (r->popularity != NULL) {
        CORE_TRY(read_popularity(share, &spec, r->popularity));
        e.share = share;
    }
    har_config_write(stdout, r->model, &facts, "a search needs no weights");
    if (r->train.is_asked)
        return har_search_train(&r->train, &e, &c, r->json, r->write);
    const core_status status = search(r, &c, &e);
    har_quick_free(&e);
    return status;
}

int har_cmd_search(int argc, char **argv)
{
    request r = {.dtype = "f16"};
    read_command_line(&r, argc, argv);
    return har_end(run(&r));
}
