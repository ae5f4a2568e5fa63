/* harness/program/verify.c -- the main job.
 *
 * The same text runs in the launcher and in every rank: both read the command
 * line and refuse what is wrong; then the launcher starts the ranks and waits,
 * and the ranks verify.  Ranks outside a plan's world wait for the next plan.
 */
#include "core/base/clock.h"
#include "core/files/mapped.h"
#include "harness/launch/events.h"
#include "harness/launch/launch.h"
#include "harness/launch/limits.h"
#include "harness/launch/outfile.h"
#include "harness/launch/ranks.h"
#include "harness/perf/cost/trace_run.h"
#include "harness/program/command.h"
#include "harness/program/model.h"
#include "harness/program/verify_price.h"
#include "harness/verify/chances.h"
#include "harness/verify/gradients.h"
#include "harness/verify/need.h"
#include "harness/verify/pace.h"
#include "harness/verify/rates.h"
#include "harness/verify/report.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct request { /* the command line                              */
    const char *model;
    core_overrides overrides;
    int n_plan; /* given: without any the first counts                      */
    const char *plan[HAR_MAX_PLANS];
    const char *batch, *layers, *seed, *numerics, *stall;
    const char *json, *events, *trace, *checkpoint, *order, *schedule;
    bool is_forced, keeps, is_padded, allows_partial, cuts_blocks, act_quant;
    bool wants_grad;
    const char *decode, *chunk;
    const char *passes, *slots, *nodes, *drift, *machine;
} request;

typedef struct task {     /* what it means                                 */
    har_model model;
    par_plan plan[HAR_MAX_PLANS];
    int n_plan;
    core_numerics numerics[HAR_MAX_NUMERICS];
    int n_numerics;
    int64_t n_b, n_t;
    har_decode decode; /* --decode, of which the batch then is                */
    int n_pass, n_node; /* --passes, --nodes                                  */
    double drift;       /* --drift; 0: none                                   */
    har_pricing *pricing; /* --machine; NULL: none                            */
    double stall_seconds;
    int n_rank;        /* of the largest plan                           */
    har_limits limits; /* of the launcher, and of rank 0: with rates          */
    double *chance;    /* of experts: limits.chance                           */
    double start_seconds; /* of processor time, before the first line of ours */
    par_order order;
    uint64_t schedule_seed;
    har_need need;
    har_estimate estimate[HAR_MAX_PLANS];
} task;

/* --- the command line --- */

static const har_command_line line = {
    "verify", "[MODEL]",
    "Compares a single-process forward pass of MODEL with an emulation "
    "of a parallel plan in which every rank holds only its "
    "shards.\vMODEL is a preset (seed-mini), a spec file or a "
    "checkpoint folder.  --plan may be repeated: --events and --trace "
    "then write FILE.1, FILE.2 ...  The batch has a row for every part "
    "of the plan; --numerics takes a list.  VERIFIED says that every "
    "expert, replica and part of a weight took part, PARTIAL that some "
    "did not, UNPROVEN that agreement would prove nothing. " HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"plan", .text = r->plan, .n = &r->n_plan, .most = HAR_MAX_PLANS},
        {"batch", .text = &r->batch},
        {"seed", .text = &r->seed},
        {"layers", .text = &r->layers},
        {"numerics", .text = &r->numerics},
        {"stall", .text = &r->stall},
        {"json", .text = &r->json},
        {"trace", .text = &r->trace},
        {"events", .text = &r->events, .argument = "FILE",
         .help = "a JSON line per tick and rank"},
        {"checkpoint", .text = &r->checkpoint, .argument = "DIR",
         .help = "keep the reference's taps in DIR, and take from there what "
                 "another plan or an interrupted run has left"},
        {"order", .text = &r->order, .argument = "plan|layers",
         .help = "what a rank works on next: as the plan's schedule says, or a "
                 "layer for all micro-batches, which is the default where "
                 "experts are too large to be kept (exact)"},
        {"schedule-seed", .text = &r->schedule, .argument = "N",
         .help = "send what a rank has begun as late as it may, half of the "
                 "time, by dice: no bit may depend on it"},
        {"padding", .flag = &r->is_padded,
         .help = "rows are padded on the left, each to another length"},
        {"forced", .flag = &r->is_forced,
         .help = "only judge every operator on correct inputs"},
        {"grad", .flag = &r->wants_grad,
         .help = "in exact numerics also the gradients of all weights and of "
                 "what layers read; models of the seed's family"},
        {"decode", .text = &r->decode, .argument = "N",
         .help = "in steps, with a cache: the batch's rows are prompts, and N "
                 "steps of one token per row follow; rows begin and end at "
                 "different steps and take each other's slots"},
        {"chunk", .text = &r->chunk, .argument = "N",
         .help = "with --decode: tokens of a prompt that a step takes (a quarter "
                 "of the longest)"},
        {"passes", .text = &r->passes, .argument = "N",
         .help = "in exact numerics N passes, at most 8, with other prompts "
                 "each, between which experts are dealt anew by what was "
                 "counted and move between ranks; with --machine: when that "
                 "pays"},
        {"slots", .text = &r->slots, .argument = "N",
         .help = "with --passes: physical experts of a layer on each ep index "
                 "(as many as there have to be)"},
        {"nodes", .text = &r->nodes, .argument = "N",
         .help = "with --passes: experts are dealt by node, then by ep index; "
                 "1: over all of them"},
        {"drift", .text = &r->drift, .argument = "D",
         .help = "with --passes: tokens are asked for like 1, 1/2, 1/3 .., and a "
                 "share D of the vocabulary trades places after each pass; 0: "
                 "all alike"},
        {"machine", .text = &r->machine},
        {"allow-partial", .flag = &r->allows_partial,
         .help = "exit 0 too if all is right that ran, but not all ran"},
        {"cut-blocks", .flag = &r->cuts_blocks,
         .help = "shards may begin inside blocks of quantised weights: what is "
                 "split is dequantised"},
        HAR_ACT_QUANT_OPTION(&r->act_quant),
        {"keep", .flag = &r->keeps, .help = "keep the run folder"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static core_status refuse_numerics(const char *text)
{
    CORE_FAIL(CORE_E_USAGE,
              "--numerics: expected a list of at most %d, such as "
              "exact,fp32,llama-default, each at most once, found '%s'",
              HAR_MAX_NUMERICS,
              text);
}

static core_status read_numerics(task *t, const char *text)
{
    char copy[HAR_MAX_NUMERICS * CORE_NUMERICS_BYTES];
    if (strlen(text) >= sizeof copy)
        return refuse_numerics(text);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, ","); word != NULL;
         word = strtok(NULL, ",")) {
        core_numerics numerics;
        CORE_TRY(core_numerics_parse(&numerics, word));
        bool is_new = true;
        for (int i = 0; i < t->n_numerics; i++)
            is_new &= t->numerics[i] != numerics;
        if (!is_new || t->n_numerics == HAR_MAX_NUMERICS)
            return refuse_numerics(text);
        t->numerics[t->n_numerics++] = numerics;
    }
    return t->n_numerics > 0 ? CORE_OK : refuse_numerics(text);
}

static core_status read_order(task *t, const request *r)
{
    if (r->order == NULL && (r->events != NULL || r->trace != NULL))
        t->order = PAR_ORDER_PLAN; /* whose schedule they show */
    if (r->order == NULL)
        return CORE_OK;
    t->order =
        strcmp(r->order, "plan") == 0 ? PAR_ORDER_PLAN : PAR_ORDER_LAYERS;
    CORE_FAIL_IF(
        t->order == PAR_ORDER_LAYERS && strcmp(r->order, "layers") != 0,
        CORE_E_USAGE, "--order: expected plan or layers, found '%s'", r->order);
    CORE_FAIL_IF(t->order == PAR_ORDER_LAYERS &&
                     (r->events != NULL || r->trace != NULL),
                 CORE_E_USAGE,
                 "--order layers: --events and --trace are of the plan's own "
                 "schedule, expected --order plan or none");
    return CORE_OK;
}

static core_status read_plans(task *t, const request *r)
{
    t->n_plan = r->n_plan > 0 ? r->n_plan : 1;
    for (int i = 0; i < t->n_plan; i++) {
        CORE_TRY(par_plan_parse(&t->plan[i], r->plan[i]));
        CORE_TRY(par_plan_check(&t->plan[i], &t->model.spec));
        if (par_plan_world(&t->plan[i]) > t->n_rank)
            t->n_rank = par_plan_world(&t->plan[i]);
    }
    if (r->batch != NULL)
        CORE_TRY(har_parse_batch(&t->n_b, &t->n_t, "--batch", r->batch));
    else
        CORE_TRY(har_default_batch(&t->model.spec, t->plan, t->n_plan, &t->n_b,
                                   &t->n_t));
    for (int i = 0; i < t->n_plan; i++)
        CORE_TRY(par_plan_check_batch(&t->plan[i], &t->model.spec, t->n_b));
    return CORE_OK;
}

/* The estimate looks at every rank of a plan: a million are refused before. */
static core_status check_n_rank(const par_plan *plan, size_t available)
{
    const size_t rank_bytes = (size_t)4 << 20; /* docs/launcher.md */
    const int n_rank = par_plan_world(plan);
    char want[16], have[16];
    CORE_FAIL_IF(!((size_t)n_rank * rank_bytes <= available),
                 CORE_E_MEMORY,
                 "%d ranks: needs at least %s of memory to start them, %s are "
                 "available",
                 n_rank, har_format_bytes((size_t)n_rank * rank_bytes, want),
                 har_format_bytes(available, have));
    return CORE_OK;
}

/* Other plans may use a reference again. */
static bool keeps_references(const task *t, const request *r)
{
    return t->n_plan > 1 || r->keeps || r->checkpoint != NULL;
}

/* Of the run folder: taps in a checkpoint's are not there. */
static size_t run_bytes(const task *t, const request *r)
{
    const size_t small_files = (size_t)1 << 20;
    return r->checkpoint != NULL ? small_files : t->need.folder_bytes;
}

/* Ranks were started because it fits. */
static core_status estimate(task *t, const request *r)
{
    const har_wish wish = {&t->model.spec, t->plan, t->n_plan, t->numerics,
                           t->n_numerics,  t->n_b,  t->n_t, t->order,
                           keeps_references(t, r), r->checkpoint};
    t->limits = har_limits_read("");
    har_pace_measure(&t->limits, t->start_seconds);
    for (int i = 0; i < t->n_plan && !har_is_rank(); i++)
        CORE_TRY(check_n_rank(&t->plan[i], t->limits.memory_bytes));
    if (t->limits.process_bytes == SIZE_MAX) /* products want addresses, too */
        har_rates_measure(&t->limits, &t->model.spec, t->numerics,
                          t->n_numerics);
    if (!t->model.is_checkpoint) /* there they were trained to be alike */
        CORE_TRY(har_chances_make(&t->chance, &t->model.spec, t->model.seed));
    t->limits.chance = t->chance;
    CORE_TRY(har_need_make(&t->need, t->estimate, &wish, &t->limits));
    t->need.seconds *= t->n_pass;
    if (har_is_rank())
        return CORE_OK;
    return har_need_check(&t->need, &wish, &t->limits,
                          har_files_in_memory);
}

/* What gradients ask for. */
static core_status check_grad(const task *t, const request *r)
{
    bool has_exact = false;
    if (!r->wants_grad)
        return CORE_OK;
    for (int i = 0; i < t->n_numerics; i++)
        has_exact |= t->numerics[i] == CORE_EXACT;
    CORE_FAIL_IF(!has_exact, CORE_E_USAGE,
                 "--grad: gradients are compared in exact numerics, found "
                 "--numerics %s",
                 r->numerics);
    CORE_FAIL_IF(r->is_padded, CORE_E_USAGE,
                 "--grad: no gradient is known for rows that are padded");
    CORE_FAIL_IF(r->act_quant, CORE_E_USAGE,
                 "--grad: no gradient is known for quantised activations");
    return core_grad_check(&t->model.spec);
}

/* What steps ask for. */
static core_status check_decode(const request *r)
{
    CORE_FAIL_IF(r->decode == NULL && r->chunk != NULL, CORE_E_USAGE,
                 "--chunk: it is of --decode, which is not there");
    if (r->decode == NULL)
        return CORE_OK;
    CORE_FAIL_IF(r->is_padded, CORE_E_USAGE,
                 "--decode: rows of a cache are not padded");
    CORE_FAIL_IF(r->wants_grad, CORE_E_USAGE,
                 "--decode: steps have no gradients");
    CORE_FAIL_IF(r->checkpoint != NULL, CORE_E_USAGE,
                 "--decode: references of steps are not kept in --checkpoint");
    return CORE_OK;
}

static core_status refuse_of_passes(const request *r)
{
    static const char *const name[] = {"slots", "nodes", "drift", "machine"};
    const char *const text[] = {r->slots, r->nodes, r->drift, r->machine};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        CORE_FAIL_IF(text[i] != NULL, CORE_E_USAGE,
                     "--%s: it is of --passes, which is not there", name[i]);
    return CORE_OK;
}

/* What passes ask for, and physical experts for plans that have none. */
static core_status read_passes(task *t, const request *r)
{
    int64_t n_pass, n_slot = 0, n_node = 1;
    t->n_pass = 1;
    if (r->passes == NULL)
        return refuse_of_passes(r);
    CORE_FAIL_IF(t->n_numerics != 1 || t->numerics[0] != CORE_EXACT,
                 CORE_E_USAGE, "--passes: they are compared in exact numerics, "
                 "found --numerics %s", r->numerics);
    CORE_FAIL_IF(r->decode != NULL || r->wants_grad || r->checkpoint != NULL ||
                     r->is_forced,
                 CORE_E_USAGE, "--passes: expected without --decode, --grad, "
                 "--checkpoint and --forced");
    CORE_TRY(har_parse_count(&n_pass, "--passes", r->passes));
    if (r->slots != NULL)
        CORE_TRY(har_parse_count(&n_slot, "--slots", r->slots));
    if (r->nodes != NULL)
        CORE_TRY(har_parse_count(&n_node, "--nodes", r->nodes));
    if (r->drift != NULL)
        CORE_TRY(har_parse_number(&t->drift, "--drift", r->drift, 0, 1,
                                  "a share from 0 to 1"));
    CORE_FAIL_IF(t->drift > 0 && t->model.spec.n_h == 0, CORE_E_USAGE,
                 "--drift: it is of the tokens that prompts ask for, and %s has "
                 "no vocabulary",
                 t->model.spec.name);
    CORE_FAIL_IF(n_pass > HAR_MAX_NUMERICS, CORE_E_USAGE,
                 "--passes: expected at most %d, found '%s'", HAR_MAX_NUMERICS,
                 r->passes);
    CORE_FAIL_IF(n_slot > PAR_MAX_EXPERTS || n_node > PAR_MAX_EXPERTS,
                 CORE_E_USAGE, "--slots, --nodes: expected at most %d",
                 PAR_MAX_EXPERTS);
    t->n_pass = (int)n_pass;
    t->n_node = (int)n_node;
    for (int i = 0; i < t->n_plan; i++)
        CORE_TRY(har_dealer_plan(&t->plan[i], &t->model.spec, (int)n_slot,
                                 t->n_node));
    return har_pricing_make(&t->pricing, r->machine, &t->model.spec, t->plan,
                            t->n_plan);
}

/* The rows of the batch are prompts: it becomes that of their sequences. */
static core_status read_decode(task *t, const request *r)
{
    int64_t n_decode, n_chunk = 0;
    if (r->decode == NULL)
        return CORE_OK;
    for (int i = 0; i < t->n_plan; i++)
        CORE_TRY(par_decode_check(&t->model.spec, &t->plan[i]));
    for (int i = 0; i < t->n_numerics; i++)
        CORE_FAIL_IF(core_spec_projection(&t->model.spec) ==
                             CORE_PROJECTION_LATENT &&
                         t->numerics[i] != CORE_EXACT,
                     CORE_E_USAGE,
                     "--decode: %s: keys that are made anew from latents are "
                     "compared in exact numerics alone, found --numerics %s",
                     t->model.spec.name, r->numerics);
    CORE_TRY(har_parse_count(&n_decode, "--decode", r->decode));
    if (r->chunk != NULL)
        CORE_TRY(har_parse_count(&n_chunk, "--chunk", r->chunk));
    CORE_TRY(har_decode_make(&t->decode, t->n_b, t->n_t, n_decode, n_chunk));
    t->n_b = t->decode.n_seq;
    t->n_t = t->decode.n_t;
    return CORE_OK;
}

/* Steps take time that one pass does not, and a cache. */
static core_status estimate_decode(task *t)
{
    for (int i = 0; t->decode.n_step > 0 && i < t->n_plan; i++) {
        const har_decode *d = &t->decode;
        core_arena arena = core_arena_measure();
        par_layout layout;
        har_estimate step;
        char needs[16], has[16];
        CORE_TRY(har_estimate_make(&step, &t->model.spec, &t->plan[i],
                                   d->n_slot, 1, t->numerics[0], t->order,
                                   &t->limits));
        t->need.seconds += (double)d->n_step * step.pass_seconds;
        CORE_TRY(par_layout_make(&layout, &arena, &t->model.spec, &t->plan[i],
                                 0));
        const size_t memory =
            t->need.least_bytes +
            (size_t)layout.size * par_decode_bytes(&t->model.spec, &layout,
                                                   d->n_slot, d->n_t,
                                                   d->n_chunk);
        core_arena_free(&arena);
        CORE_FAIL_IF(memory > t->limits.memory_bytes, CORE_E_MEMORY,
                     "--decode needs about %s of memory, %s are available; "
                     "verify fewer slots (--batch) or layers (--layers)",
                     har_format_bytes(memory, needs),
                     har_format_bytes(t->limits.memory_bytes, has));
    }
    return CORE_OK;
}

/* Does the way back fit, beside everything else? */
static core_status estimate_grad(const task *t, const request *r)
{
    for (int i = 0; r->wants_grad && i < t->n_plan; i++) {
        size_t file, memory;
        char needs[16], has[16];
        CORE_TRY(har_gradients_need(&file, &memory, &t->model.spec,
                                    &t->plan[i], t->n_b, t->n_t));
        memory += t->need.least_bytes;
        memory += har_files_in_memory(NULL, file) ? file : 0;
        CORE_FAIL_IF(memory > t->limits.memory_bytes, CORE_E_MEMORY,
                     "--grad needs about %s of memory, %s are available; "
                     "verify fewer layers (--layers)",
                     har_format_bytes(memory, needs),
                     har_format_bytes(t->limits.memory_bytes, has));
    }
    return CORE_OK;
}

static core_status understand(task *t, const request *r)
{
    int64_t number;
    CORE_TRY(har_parse_count(&number, "--stall", r->stall));
    t->stall_seconds = (double)number;
    CORE_TRY(read_numerics(t, r->numerics != NULL ? r->numerics
                              : r->decode != NULL || r->passes != NULL
                                  ? "exact"
                                                  : "exact,fp32"));
    CORE_TRY(read_order(t, r));
    if (r->schedule != NULL) {
        CORE_TRY(har_parse_count(&number, "--schedule-seed", r->schedule));
        t->schedule_seed = (uint64_t)number;
    }
    CORE_TRY(har_model_read(&t->model, r->model, r->layers, r->seed,
                            &r->overrides));
    t->model.cuts_blocks = r->cuts_blocks;
    CORE_TRY(har_model_quantise(&t->model, r->act_quant));
    CORE_TRY(check_grad(t, r));
    CORE_TRY(check_decode(r));
    CORE_TRY(read_plans(t, r));
    CORE_TRY(read_decode(t, r));
    CORE_TRY(read_passes(t, r));
    for (int i = 0; r->wants_grad && i < t->n_plan; i++)
        CORE_TRY(par_backward_check(&t->plan[i]));
    return CORE_OK;
}

/* --- in the ranks --- */

typedef struct rank_run {
    const request *request;
    const task *task;
    har_ranks ranks;
    core_weights *weights;
    core_batch batch;
    har_job job;
    char weights_mark[HAR_MODEL_MARK];
    har_case_result result[HAR_MAX_PLANS * HAR_MAX_NUMERICS];
    double start;
} rank_run;

static core_status open_model(rank_run *run)
{
    const task *t = run->task;
    CORE_TRY(har_model_weights(&t->model, &run->weights));
    run->job.spec = &t->model.spec;
    run->job.weight_spec = &t->model.stored;
    run->job.weights = run->weights;
    run->job.seed = t->model.seed;
    run->job.drift = (core_drift){.part = t->drift, .seed = t->model.seed};
    run->job.is_padded = run->request->is_padded;
    CORE_TRY(har_job_draw(&run->batch, &run->job, t->n_b, t->n_t,
                          t->model.seed));
    run->job.batch = &run->batch;
    run->job.decode = t->decode.n_step > 0 ? &t->decode : NULL;
    run->job.folder = run->ranks.folder;
    run->job.keeps_files = run->request->keeps;
    run->job.order = t->order;
    run->job.schedule_seed = t->schedule_seed;
    run->job.limits = &t->limits;
    run->job.steps.total = t->need.seconds;
    run->job.checkpoint = run->request->checkpoint;
    run->job.weights_mark = run->weights_mark;
    if (run->job.checkpoint != NULL)
        CORE_TRY(har_model_mark(run->weights_mark, &t->model));
    return CORE_OK;
}

enum { PATH_BYTES = 600 };

/* The file of plan i: FILE, with several plans FILE.1, FILE.2 ...; NULL if none
 * is wanted.                                                                 */
static const char *plan_file(char path[PATH_BYTES], const char *file,
                             const task *t, int i)
{
    if (file == NULL)
        return NULL;
    if (t->n_plan > 1)
        snprintf(path, PATH_BYTES, "%s.%d", file, i + 1);
    else
        snprintf(path, PATH_BYTES, "%s", file);
    return path;
}

/* All numerics of a plan; who is asked for watches.  Ranks agree. */
static core_status verify_numerics(rank_run *run, par_comm *comm, int i,
                                   har_events *events, har_trace_run *trace)
{
    const task *t = run->task;
    const har_passes passes =
        run->request->is_forced ? HAR_PASSES_FORCED : HAR_PASSES_USUAL;
    core_status status = CORE_OK;
    run->job.price = har_pricing_of(t->pricing, i);
    if (events->fd >= 0) {
        run->job.tick = har_events_tick;
        run->job.tick_self = events;
        run->job.steps.tell = har_events_progress;
        run->job.steps.self = events;
    }
    if (trace->is_on) {
        run->job.cost = har_trace_cost;
        run->job.under_way = har_trace_under_way;
        run->job.cost_self = trace;
    }
    for (int j = 0; j < t->n_numerics && status == CORE_OK; j++) {
        har_events_label(events, &t->plan[i], t->numerics[j]);
        har_trace_pass(trace, core_numerics_name(t->numerics[j]).text);
        status =
            run->request->passes != NULL
                ? har_job_verify_passes(&run->result[i * t->n_pass], &run->job,
                                        comm, &t->plan[i], t->n_pass, t->n_node)
                : har_job_verify(&run->result[i * t->n_numerics + j], &run->job,
                                 comm, &t->plan[i], t->numerics[j], passes);
        if (status == CORE_OK && run->request->wants_grad &&
            t->numerics[j] == CORE_EXACT)
            status = har_case_gradients(&run->result[i * t->n_numerics + j],
                                        &run->job, comm, &t->plan[i]);
        if (!keeps_references(t, run->request))
            har_job_drop_references(&run->job);
    }
    run->job.price = NULL;
    run->job.tick = NULL;
    run->job.steps.tell = NULL;
    run->job.cost = NULL;
    run->job.under_way = NULL;
    return status;
}

static core_status verify_plan(rank_run *run, par_comm *comm, int i)
{
    const request *r = run->request;
    har_events events;
    har_trace_run trace;
    char path[PATH_BYTES];
    CORE_TRY(har_events_open(&events, comm,
                             plan_file(path, r->events, run->task, i)));
    events.pass = run->job.pass;
    events.start = run->start;
    events.expected_seconds = run->task->need.seconds;
    core_status status =
        har_trace_open(&trace, comm, plan_file(path, r->trace, run->task, i));
    if (status == CORE_OK)
        status = verify_numerics(run, comm, i, &events, &trace);
    const core_status traced = har_trace_close(&trace, status == CORE_OK);
    if (status == CORE_OK)
        status = traced;
    const core_status closed = har_events_close(&events, status == CORE_OK);
    return status != CORE_OK ? status : par_agree(comm, closed);
}

static core_status write_report(const rank_run *run)
{
    const task *t = run->task;
    const har_report report = {run->request->model,
                               &t->model.spec,
                               core_weights_origin(run->weights),
                               t->model.is_checkpoint,
                               t->model.spec.n_l != t->model.full.n_l,
                               t->model.seed,
                               t->n_b,
                               t->n_t,
                               run->request->batch == NULL,
                               run->request->is_padded,
                               run->job.decode,
                               run->request->allows_partial,
                               t->n_plan,
                               t->n_numerics,
                               t->n_pass,
                               run->request->machine,
                               t->drift,
                               t->plan,
                               t->numerics,
                               t->estimate,
                               run->result,
                               core_seconds(CLOCK_MONOTONIC) - run->start};
    FILE *out = NULL;
    CORE_TRY(har_report_open(&out));
    har_model_write(out, &t->model);
    har_report_text(&report, out);
    CORE_TRY(har_report_close(out));
    if (run->request->json != NULL)
        CORE_TRY(har_report_json(&report, run->request->json));
    return har_report_status(&report);
}

static core_status verify_all(rank_run *run)
{
    const task *t = run->task;
    CORE_TRY(har_ranks_start(&run->ranks, t->n_rank, t->stall_seconds,
                             run_bytes(t, run->request)));
    CORE_TRY(har_ranks_agree(open_model(run)));
    for (int i = 0; i < t->n_plan; i++) {
        par_comm *comm = NULL;
        CORE_TRY(par_comm_open(&comm, par_plan_world(&t->plan[i])));
        const core_status status =
            comm == NULL ? CORE_OK : verify_plan(run, comm, i);
        par_comm_close(comm);
        CORE_TRY(har_ranks_join(status));
    }
    CORE_TRY(har_ranks_agree(core_mapped_check()));
    core_status status = CORE_OK;
    if (par_comm_my_start() == 0)
        status = write_report(run);
    return har_ranks_join(status);
}

static int run_rank(const request *r, task *t)
{
    rank_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return har_end(core_fail(CORE_E_MEMORY, "no memory for the run"));
    run->request = r;
    run->task = t;
    run->start = core_seconds(CLOCK_MONOTONIC);
    const core_status status = verify_all(run);
    const bool is_verdict =
        status == CORE_E_DIFFERS || status == CORE_E_UNPROVEN;
    const int exit_code =
        is_verdict ? core_status_exit_code(status) : har_end(status);
    har_job_close(&run->job);
    for (int i = 0; i < t->n_plan * t->n_numerics * t->n_pass; i++)
        har_case_result_free(&run->result[i]);
    core_batch_free(&run->batch);
    core_weights_close(run->weights);
    har_ranks_stop(&run->ranks, r->keeps);
    free(run);
    return exit_code;
}

/* --- in the launcher --- */

static double run_seconds(const task *t)
{
    return t->need.seconds + har_start_seconds(t->n_rank, &t->limits);
}

static int launch(const request *r, const task *t, char **argv)
{
    char what[128], memory[16], room[16];
    fprintf(stderr,
            "moeparity: about %.0f s on %d core%s, %s of memory for %d "
            "rank%s%s, %s for taps\n",
            run_seconds(t),
            har_n_cores(), har_n_cores() == 1 ? "" : "s",
            har_format_bytes(t->need.all_ranks_bytes, memory), t->n_rank,
            t->n_rank == 1 ? "" : "s", t->n_rank == 1 ? "" : " together",
            har_format_bytes(t->need.folder_bytes, room));
    snprintf(what, sizeof what, "verify %s", t->model.spec.name);
    return har_launch_again(argv, what, t->n_rank, t->stall_seconds,
                            run_bytes(t, r), r->keeps, run_seconds(t));
}

int har_cmd_verify(int argc, char **argv)
{
    request r = {.model = "seed-mini", .plan = {"seed-32"}, .seed = "1",
                 .stall = "30"};
    const double start_seconds = core_seconds(CLOCK_PROCESS_CPUTIME_ID);
    read_command_line(&r, argc, argv);
    task *t = calloc(1, sizeof *t);
    if (t == NULL)
        return har_end(core_fail(CORE_E_MEMORY, "no memory for the plans"));
    t->start_seconds = start_seconds;
    core_status status = understand(t, &r);
    if (status == CORE_OK && har_started_as() == 0)
        status = estimate(t, &r);
    if (status == CORE_OK && har_started_as() == 0 && !har_is_rank())
        status = estimate_grad(t, &r);
    if (status == CORE_OK && har_started_as() == 0 && !har_is_rank())
        status = estimate_decode(t);
    int exit_code;
    if (status != CORE_OK)
        exit_code = har_end(status);
    else if (har_is_rank())
        exit_code = run_rank(&r, t);
    else if (har_outfile_try(r.json) != CORE_OK ||
             har_outfile_try(r.events) != CORE_OK ||
             har_outfile_try(r.trace) != CORE_OK)
        exit_code = har_end(CORE_E_FILE);
    else
        exit_code = launch(&r, t, argv);
    har_decode_free(&t->decode);
    free(t->pricing);
    free(t->chance);
    free(t);
    return exit_code;
}
