/* harness/program/run.c -- forward pass of every prompt of a file.
 *
 * With a plan the ranks write their pieces straight into one file of taps that
 * rank 0 has made; without, the reference fills it.  A Switch layer is run with
 * both rules for dropped tokens and written under the oracle's names.  With
 * --decode the prompts grow before they are written.
 */
#include "core/files/mapped.h"
#include "harness/launch/ranks.h"
#include "harness/launch/waiting.h"
#include "harness/perf/cost/trace_run.h"
#include "harness/program/command.h"
#include "harness/program/model.h"
#include "harness/verify/generate.h"
#include "harness/launch/limits.h"
#include "harness/verify/switch_layer.h"
#include "harness/verify/threads.h"
#include "parallel/forward.h"
#include "ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 256, PREFIX_BYTES = 32 };

typedef struct request {
    const char *model, *input, *output, *plan, *numerics, *stall;
    const char *batch, *seed, *layers, *trace, *decode, *chunk;
    bool cuts_blocks, act_quant;
    core_overrides overrides;
} request;

typedef struct prompt {
    char prefix[PREFIX_BYTES];
    core_batch batch;
    har_decode steps; /* --decode; or no steps                                */
} prompt;

/* One forward pass to make: a prompt under a rule, and its prefix in the file.
 */
typedef struct job {
    const core_spec *spec;
    core_batch *batch;
    const har_decode *steps; /* that it grows in; NULL: it does not           */
    char prefix[2 * PREFIX_BYTES];
} job;

typedef struct task {
    bool is_switch, has_plan;
    har_model model;
    core_spec passthrough; /* with the other rule */
    par_plan plan;
    core_numerics numerics;
    double stall_seconds;
    int64_t n_decode, n_chunk; /* 0: none; a quarter of the prompt            */
    core_weights *weights;
    core_st *input;
    int n_prompt, n_job;
    prompt prompt[MAX_PARTS];
    job job[2 * MAX_PARTS];
    core_tapfile *taps;
    bool is_exact, is_finite; /* every checked sum of exact mode             */
} task;

/* --- the command line --- */

static void check_request(const void *self, struct argp_state *state)
{
    const request *r = self;
    if (r->trace != NULL && r->plan == NULL)
        argp_error(state, "--trace needs --plan: it shows the ranks");
    if (r->chunk != NULL && r->decode == NULL)
        argp_error(state, "--chunk needs --decode: it is of its steps");
    if (r->model == NULL || r->output == NULL ||
        (r->input == NULL) == (r->batch == NULL))
        argp_error(state, "--model, --out and one of --input and --batch are "
                          "needed");
}

static const har_command_line line = {
    "run", "--model MODEL --input FILE --out FILE",
    "Runs the forward pass of every prompt and writes every coarse tap "
    "under the same prefixes.\vWith --batch the prompt is made from "
    "the seed; with --plan its emulation runs, not the reference. "
    HAR_EXIT_CODES,
    check_request};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {"model", .text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"input", .text = &r->input},
        {"batch", .text = &r->batch},
        {"seed", .text = &r->seed},
        {"layers", .text = &r->layers},
        {"out", .text = &r->output},
        {"output", .text = &r->output, .flags = OPTION_ALIAS},
        {"plan", .text = &r->plan},
        {"numerics", .text = &r->numerics},
        {"trace", .text = &r->trace},
        {"stall", .text = &r->stall},
        {"decode", .text = &r->decode, .argument = "N",
         .help = "let every row grow by N tokens, those with the largest "
                 "logits; with --plan in steps, with a cache"},
        {"chunk", .text = &r->chunk, .argument = "N",
         .help = "with --decode: tokens of a prompt that a step takes (a quarter "
                 "of it)"},
        {"cut-blocks", .flag = &r->cuts_blocks,
         .help = "shards may begin inside blocks of quantised weights: what is "
                 "split is dequantised"},
        HAR_ACT_QUANT_OPTION(&r->act_quant),
        {0}};
    har_parse(&line, options, r, argc, argv);
}

/* --- what is to be run --- */

/* Room for what is chosen behind the prompts. */
static core_status grow(const task *t, prompt *p)
{
    const int64_t n_t = p->batch.n_t;
    core_batch grown;
    if (t->n_decode == 0)
        return CORE_OK;
    CORE_TRY(har_generate_batch(&grown, &p->batch, t->n_decode));
    core_batch_free(&p->batch);
    p->batch = grown;
    return har_decode_rows(&p->steps, grown.n_b, n_t, grown.n_t,
                           t->n_chunk);
}

/* The batch at the prefix of the input file, or one made of `made` = BxT. */
static core_status add_prompt(task *t, const char *prefix, const char *made)
{
    prompt *p = &t->prompt[t->n_prompt];
    snprintf(p->prefix, sizeof p->prefix, "%s", prefix);
    if (made != NULL) {
        int64_t n_b, n_t;
        CORE_TRY(har_parse_batch(&n_b, &n_t, "--batch", made));
        CORE_TRY(core_batch_make(&p->batch, &t->model.spec, n_b, n_t,
                                 t->model.seed));
    } else {
        CORE_FAIL_IF(t->n_prompt == MAX_PARTS, CORE_E_INPUT,
                     "%s: more than %d prompts", core_st_path(t->input),
                     (int)MAX_PARTS);
        CORE_TRY(core_batch_read(&p->batch, &t->model.spec, t->input, prefix));
    }
    t->n_prompt++;
    CORE_TRY(grow(t, p));
    if (t->has_plan)
        CORE_TRY(par_plan_check_batch(&t->plan, &t->model.spec, p->batch.n_b));
    return CORE_OK;
}

static core_status read_prompts(task *t)
{
    const char *what = t->is_switch ? "hidden_in" : "input_ids";
    if (core_st_find(t->input, what) != NULL)
        CORE_TRY(add_prompt(t, "", NULL));
    for (int i = 0; t->n_prompt < MAX_PARTS; i++) {
        char prefix[PREFIX_BYTES], name[2 * PREFIX_BYTES];
        snprintf(prefix, sizeof prefix, "p%d.", i);
        snprintf(name, sizeof name, "%s%s", prefix, what);
        if (core_st_find(t->input, name) == NULL)
            break;
        CORE_TRY(add_prompt(t, prefix, NULL));
    }
    CORE_FAIL_IF(t->n_prompt == 0, CORE_E_INPUT,
                 "%s: expected a tensor %s or p0.%s, found none",
                 core_st_path(t->input), what, what);
    return CORE_OK;
}

static void add_job(task *t, prompt *p, const core_spec *spec,
                    const char *variant)
{
    job *j = &t->job[t->n_job++];
    j->spec = spec;
    j->batch = &p->batch;
    j->steps = p->steps.n_step > 0 ? &p->steps : NULL;
    snprintf(j->prefix, sizeof j->prefix, "%s%s", p->prefix, variant);
}

static void plan_jobs(task *t)
{
    for (int i = 0; i < t->n_prompt; i++) {
        if (t->is_switch) {
            add_job(t, &t->prompt[i], &t->model.spec, HAR_SWITCH_ZERO);
            add_job(t, &t->prompt[i], &t->passthrough, HAR_SWITCH_PASSTHROUGH);
        } else {
            add_job(t, &t->prompt[i], &t->model.spec, "");
        }
    }
}

/* How far rows grow, and whether they can. */
static core_status read_decode(task *t, const request *r)
{
    par_plan alone;
    if (r->decode == NULL)
        return CORE_OK;
    CORE_TRY(har_parse_count(&t->n_decode, "--decode", r->decode));
    if (r->chunk != NULL)
        CORE_TRY(har_parse_count(&t->n_chunk, "--chunk", r->chunk));
    CORE_TRY(par_plan_parse(&alone, "tp=1"));
    return par_decode_check(&t->model.spec, t->has_plan ? &t->plan : &alone);
}

static core_status understand(task *t, const request *r)
{
    int64_t stall;
    CORE_TRY(core_numerics_parse(&t->numerics, r->numerics));
    CORE_TRY(har_parse_count(&stall, "--stall", r->stall));
    t->stall_seconds = (double)stall;
    CORE_TRY(har_model_read(&t->model, r->model, r->layers, r->seed,
                            &r->overrides));
    t->model.cuts_blocks = r->cuts_blocks;
    CORE_TRY(har_model_quantise(&t->model, r->act_quant));
    t->is_switch = t->model.spec.family == CORE_FAMILY_SWITCH;
    if (t->is_switch) {
        t->model.spec.capacity.dropped = CORE_DROPPED_ZERO;
        t->passthrough = t->model.spec;
        t->passthrough.capacity.dropped = CORE_DROPPED_PASSTHROUGH;
    }
    t->has_plan = r->plan != NULL;
    if (t->has_plan) {
        CORE_TRY(par_plan_parse(&t->plan, r->plan));
        CORE_TRY(par_plan_check(&t->plan, &t->model.spec));
    }
    CORE_TRY(read_decode(t, r));
    if (r->batch != NULL) {
        CORE_TRY(add_prompt(t, "", r->batch));
    } else {
        CORE_TRY(core_st_open(&t->input, r->input));
        CORE_TRY(read_prompts(t));
    }
    plan_jobs(t);
    return CORE_OK;
}

static core_status open_weights(task *t)
{
    CORE_TRY(har_model_weights(&t->model, &t->weights));
    return core_weights_prepare(t->weights, t->numerics, NULL);
}

/* --- files --- */

/* The file all passes write into.  A Switch layer needs the fine taps, and its
 * file is only a step on the way to the oracle's names: it is never committed.
 */
static core_status create_taps(task *t, const request *r)
{
    core_tapfile_part part[2 * MAX_PARTS];
    char path[600];
    char model[CORE_NAME_BYTES], plan[PAR_PLAN_TEXT] = "none";
    snprintf(model, sizeof model, "%s", t->model.spec.name);
    if (t->has_plan)
        par_plan_format(&t->plan, plan);
    const core_numerics_text numerics = core_numerics_name(t->numerics);
    const char *const metadata[] = {
        "generator", "moeparity run",
        "model",     model,
        "plan",      plan,
        "numerics",  numerics.text,
        NULL};
    for (int i = 0; i < t->n_job; i++)
        part[i] = (core_tapfile_part){t->job[i].prefix, t->job[i].batch->n_b,
                                      t->job[i].batch->n_t,
                                      t->is_switch ? NULL : t->job[i].batch};
    snprintf(path, sizeof path, "%s%s", r->output, t->is_switch ? ".taps" : "");
    return core_tapfile_create(&t->taps, path, &t->model.spec, t->numerics,
                               !t->is_switch, false, part, t->n_job, metadata);
}

static core_status finish_taps(task *t, const request *r)
{
    har_switch_part part[MAX_PARTS];
    const core_numerics_text numerics = core_numerics_name(t->numerics);
    const char *const metadata[] = {"generator", "moeparity run", "numerics",
                                    numerics.text, NULL};
    CORE_TRY(core_mapped_check());
    CORE_FAIL_IF(!t->is_finite, CORE_E_INPUT,
                 "%s: a sum overflows, or is over a NaN",
                 t->model.spec.name);
    CORE_FAIL_IF(!t->is_exact, CORE_E_EXACT,
                 "%s: a sum does not fit the 53 bits "
                 "of exact mode; use --numerics fp64",
                 t->model.spec.name);
    if (!t->is_switch)
        return core_tapfile_commit(t->taps);
    for (int i = 0; i < t->n_prompt; i++)
        part[i] = (har_switch_part){t->prompt[i].prefix, &t->prompt[i].batch};
    return har_switch_write(r->output, &t->model.spec, t->taps, part,
                            t->n_prompt, metadata);
}

/* The tokens that were chosen are the file's. */
static void put_ids(const task *t, const job *j)
{
    char name[3 * PREFIX_BYTES];
    snprintf(name, sizeof name, "%sinput_ids", j->prefix);
    const core_st_tensor *ids = core_st_find(core_tapfile_st(t->taps), name);
    memcpy(ids->data, j->batch->ids, ids->bytes);
}

/* --- without a plan --- */

static void show_progress(void *self, double done)
{
    har_waiting_share(self, "reference", done);
}

/* The prompts, once they have grown, by the groups of the steps that they grew
 * in.                                                                        */
static core_status grow_alone(core_groups *groups, const task *t, const job *j,
                              ref_model *model)
{
    if (j->steps == NULL)
        return CORE_OK;
    CORE_TRY(har_generate_serial(model, j->spec, j->batch, j->steps));
    put_ids(t, j);
    return har_decode_groups(groups, j->steps, NULL, j->spec->capacity.domain);
}

static core_status run_reference(task *t, const job *j)
{
    har_waiting waiting = har_waiting_begin();
    const ref_options ref = {.n_threads = har_n_cores(),
                             .weight_budget_bytes = har_memory_available() / 2,
                             .progress = show_progress,
                             .progress_self = &waiting};
    const int64_t first_row[2] = {0, j->batch->n_b};
    const core_groups one = {.n = 1, .first_row = first_row};
    core_groups of_steps = {0};
    ref_model *model = NULL;
    core_tap_sink sink = {0};
    ref_stats stats;
    CORE_TRY(core_tapfile_sink(&sink, t->taps, j->prefix));
    core_tapfile_set_threads(t->taps, ref.n_threads);
    core_status status =
        ref_model_open(&model, j->spec, t->weights, t->numerics, &ref);
    if (status == CORE_OK)
        status = grow_alone(&of_steps, t, j, model);
    if (status == CORE_OK)
        status = ref_forward(model, j->batch, j->steps != NULL ? &of_steps : &one,
                             &sink, &stats);
    core_groups_free(&of_steps);
    har_waiting_end(&waiting);
    if (status == CORE_OK && t->numerics == CORE_EXACT) {
        t->is_exact &= stats.exact;
        t->is_finite &= isfinite(stats.bits);
    }
    ref_model_close(model);
    free(sink.self);
    return status;
}

static core_status run_alone(task *t, const request *r)
{
    CORE_TRY(open_weights(t));
    CORE_TRY(create_taps(t, r));
    for (int i = 0; i < t->n_job; i++)
        CORE_TRY_CTX(run_reference(t, &t->job[i]), "running prompt %s",
                     t->job[i].prefix);
    return finish_taps(t, r);
}

/* --- with a plan --- */

typedef struct writer {
    core_tapfile *file;
    const char *prefix;
} writer;

static void write_piece(void *self, const par_piece *piece)
{
    const writer *w = self;
    if (piece->i_owner != 0) /* the copies are equal: one of them writes */
        return;
    core_tapfile_put(w->file, w->prefix, piece->tap, piece->values, piece->ints,
                     piece->ld, piece->row_ids, 0, piece->n_row, piece->col0,
                     piece->n_col);
}

/* In one piece, or in the steps that the rows grow in. */
static core_status run_batch(task *t, const job *j, par_comm *comm,
                             par_model *model, par_stats *stats)
{
    const har_decode *d = j->steps;
    if (d == NULL)
        return par_forward(model, j->batch, stats);
    CORE_TRY(par_agree(comm, par_decode_open(model, d->n_slot, d->n_t,
                                             d->n_chunk)));
    CORE_TRY(har_generate_steps(model, comm, j->batch, d, stats));
    if (comm->rank == 0)
        put_ids(t, j);
    return CORE_OK;
}

static core_status run_plan_job(task *t, const job *j, par_comm *comm,
                                const par_layout *layout, har_trace_run *trace)
{
    writer w = {t->taps, j->prefix};
    const par_observer observer = {&w, write_piece};
    int n_thread;
    CORE_TRY(har_rank_threads(&n_thread, comm));
    core_tapfile_set_threads(t->taps, n_thread);
    const size_t budget = har_memory_available() / 10 * 8 / (size_t)comm->size;
    const par_options par = {.weight_budget_bytes = budget,
                             .dense_budget_bytes = budget,
                             .lane_budget_bytes = budget,
                             .observer = &observer,
                             .cost = trace->is_on ? har_trace_cost : NULL,
                             .under_way = trace->is_on ? har_trace_under_way : NULL,
                             .cost_self = trace,
                             .n_threads = n_thread};
    par_model *model = NULL;
    par_stats stats;
    har_trace_pass(trace,
                   j->prefix[0] != '\0' ? j->prefix : t->model.spec.name);
    core_status status =
        par_agree(comm, par_model_open(&model, comm, layout, j->spec,
                                       t->weights, t->numerics, &par));
    if (status == CORE_OK)
        status = run_batch(t, j, comm, model, &stats);
    par_model_close(model);
    if (status != CORE_OK)
        return status;
    uint64_t n[2] = {t->numerics == CORE_EXACT && !stats.exact,
                     t->numerics == CORE_EXACT && !stats.is_written};
    par_all_reduce_u64(comm, &comm->world, n, 2);
    t->is_exact &= n[0] == 0;
    t->is_finite &= n[1] == 0;
    return CORE_OK;
}

static core_status share_taps(task *t, const request *r, par_comm *comm)
{
    char path[1024] = "";
    core_status status = CORE_OK;
    if (comm->rank == 0) {
        status = create_taps(t, r);
        if (status == CORE_OK) {
            snprintf(path, sizeof path, "%s", core_tapfile_path(t->taps));
            har_run_partial(path);
        }
    }
    status = par_agree(comm, status);
    if (status != CORE_OK)
        return status;
    par_broadcast(comm, &comm->world, path, (int64_t)sizeof path, 0);
    if (comm->rank != 0)
        status = core_tapfile_open(&t->taps, path, &t->model.spec,
                                   !t->is_switch, true);
    return par_agree(comm, status);
}

static core_status run_jobs(task *t, const request *r, par_comm *comm,
                            const par_layout *layout)
{
    har_trace_run trace;
    CORE_TRY(har_trace_open(&trace, comm, r->trace));
    core_status status = CORE_OK;
    for (int i = 0; i < t->n_job && status == CORE_OK; i++)
        status = run_plan_job(t, &t->job[i], comm, layout, &trace);
    const core_status traced = har_trace_close(&trace, status == CORE_OK);
    return status != CORE_OK ? status : traced;
}

static core_status run_plan(task *t, const request *r, par_comm *comm)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    CORE_TRY(par_agree(comm, open_weights(t)));
    CORE_TRY(share_taps(t, r, comm));
    core_status status =
        par_agree(comm, par_layout_make(&layout, &arena, &t->model.spec,
                                        &t->plan, comm->rank));
    if (status == CORE_OK)
        status = run_jobs(t, r, comm, &layout);
    core_arena_free(&arena);
    if (status != CORE_OK)
        return status;
    return par_agree(comm, comm->rank == 0 ? finish_taps(t, r) : CORE_OK);
}

static core_status run_ranks(task *t, const request *r, har_ranks *ranks)
{
    par_comm *comm = NULL;
    core_status status = CORE_OK;
    CORE_TRY(har_ranks_start(ranks, par_plan_world(&t->plan), t->stall_seconds,
                             1 << 20));
    CORE_TRY(par_comm_open(&comm, par_plan_world(&t->plan)));
    if (comm != NULL)
        status = run_plan(t, r, comm);
    par_comm_close(comm);
    return har_ranks_join(status);
}

/* --- all together --- */

static void task_free(task *t)
{
    core_tapfile_close(t->taps);
    core_weights_close(t->weights);
    for (int i = 0; i < t->n_prompt; i++) {
        core_batch_free(&t->prompt[i].batch);
        har_decode_free(&t->prompt[i].steps);
    }
    core_st_close(t->input);
    free(t);
}

int har_cmd_run(int argc, char **argv)
{
    request r = {.numerics = "fp64", .seed = "1", .stall = "30"};
    read_command_line(&r, argc, argv);
    task *t = calloc(1, sizeof *t);
    if (t == NULL)
        return har_end(core_fail(CORE_E_MEMORY, "no memory for the prompts"));
    t->is_exact = t->is_finite = true;
    int exit_code;
    core_status status = understand(t, &r);
    if (status == CORE_OK && !har_is_rank())
        har_model_write(stdout, &t->model);
    if (status == CORE_OK && t->has_plan && !har_is_rank()) {
        exit_code = har_launch_again(argv, "run", par_plan_world(&t->plan),
                                     t->stall_seconds, 1 << 20, false, 0.0);
    } else if (status == CORE_OK && t->has_plan) {
        har_ranks ranks;
        memset(&ranks, 0, sizeof ranks);
        exit_code = har_end(run_ranks(t, &r, &ranks));
        har_ranks_stop(&ranks, false);
    } else {
        exit_code = har_end(status == CORE_OK ? run_alone(t, &r) : status);
    }
    task_free(t);
    return exit_code;
}
