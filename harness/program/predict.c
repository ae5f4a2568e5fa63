/* harness/program/predict.c -- what a plan costs on a machine.
 *
 * Everything that can be refused is refused before the first line is written:
 * the requirements are judged into memory, then the report is printed.
 */
#include "harness/launch/waiting.h"
#include "harness/perf/predict/figures.h"
#include "harness/program/train_options.h"
#include "harness/program/command.h"
#include "harness/program/question_options.h"
#include "harness/program/serve.h"

#include <stdlib.h>
#include <string.h>

typedef struct request {
    har_question asked;
    har_serve_options serve;
    const char *sweep, *require, *json, *trace;
    har_train_words train;
} request;

static const har_command_line line = {
    "predict", "[MODEL]",
    "Predicts latency, throughput, memory, communication, bubble and "
    "balance of a plan on a machine (docs/predict.md).  A requirement "
    "that is not met is a difference.\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        HAR_QUESTION_OPTIONS(&r->asked),
        HAR_SERVE_OPTIONS(&r->serve),
        {"sweep", .text = &r->sweep, .argument = "WHAT=A..B",
         .help = "a row for each doubling of gpus (scales dp), seq or mb"},
        {"require", .text = &r->require, .argument = "FILE",
         .help = "requirements: exit 1 if not met"},
        {"json", .text = &r->json},
        {"trace", .text = &r->trace},
        HAR_TRAIN_OPTIONS(&r->train),
        {0}};
    har_parse(&line, options, r, argc, argv);
}

typedef struct showing {
    har_waiting waiting;
    char what[48]; /* "predicting seq=4" */
} showing;

static void show_progress(void *self, double done)
{
    showing *s = self;
    har_waiting_share(&s->waiting, s->what, done);
}

/* --- one prediction --- */

static core_status write_files(const har_setup *s, const request *r,
                               har_predictor *predictor,
                               const har_prediction *p)
{
    if (r->json != NULL)
        CORE_TRY(har_predict_json(r->json, &s->what, &s->machine, p));
    if (r->trace != NULL)
        CORE_TRY(har_predict_trace(r->trace, predictor, p->n_gpu));
    return CORE_OK;
}

static core_status report(const har_setup *s, const request *r,
                          har_predictor *predictor, const har_prediction *p,
                          bool *met)
{
    char *verdicts = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&verdicts, &n);
    CORE_FAIL_IF(memory == NULL, CORE_E_MEMORY, "no memory for a report");
    core_status status = CORE_OK;
    if (r->require != NULL)
        status = har_require(memory, r->require, p, met);
    fclose(memory);
    if (status == CORE_OK)
        status = write_files(s, r, predictor, p);
    if (status == CORE_OK) {
        har_config_write(stdout, r->asked.model, &s->facts, HAR_NO_WEIGHTS);
        har_predict_write(stdout, &s->what, &s->machine, p);
        fputs(verdicts, stdout);
    }
    free(verdicts);
    return status;
}

/* The case of s, whose load is that of its plan now. */
static core_status predict_case(har_setup *s, har_predictor *predictor,
                                showing *progress, har_prediction *p)
{
    CORE_TRY(har_load_source_apply(&s->source, &s->what));
    har_predictor_watch(predictor, show_progress, progress);
    const core_status status = har_predict(predictor, &s->what, p);
    har_waiting_end(&progress->waiting);
    return status;
}

static core_status predict_one(har_setup *s, const request *r,
                               har_predictor *predictor, har_prediction *p,
                               bool *met)
{
    showing progress = {har_waiting_begin(), "predicting"};
    CORE_TRY(har_setup_check(s));
    CORE_TRY(predict_case(s, predictor, &progress, p));
    return report(s, r, predictor, p, met);
}

/* --- a sweep, serving --- */

typedef struct range {
    int what; /* 0 gpus, 1 seq, 2 mb */
    int64_t first, last;
} range;

static core_status check_files(const request *r)
{
    CORE_FAIL_IF(r->serve.mix != NULL &&
                     (r->sweep != NULL || r->require != NULL ||
                      r->trace != NULL || r->train.is_asked),
                 CORE_E_USAGE, "--serve prints a report: not with --sweep, "
                 "--require, --trace, --train");
    CORE_FAIL_IF(r->sweep != NULL && (r->require != NULL || r->json != NULL ||
                                      r->trace != NULL),
                 CORE_E_USAGE,
                 "--sweep prints a table: not with --require, --json, --trace");
    return CORE_OK;
}

static const char *const SWEPT[] = {"gpus", "seq", "mb"};

static core_status read_sweep(range *out, const request *r)
{
    char name[16];
    const char *is = strchr(r->sweep, '=');
    CORE_FAIL_IF(is == NULL || is - r->sweep >= (long)sizeof name, CORE_E_USAGE,
                 "--sweep: expected gpus=A..B, seq=A..B or mb=A..B, found '%s'",
                 r->sweep);
    snprintf(name, sizeof name, "%.*s", (int)(is - r->sweep), r->sweep);
    CORE_TRY(har_choose(&out->what, "--sweep", name, SWEPT, 3));
    return har_parse_range(&out->first, &out->last, "--sweep", is + 1, 1 << 20);
}

/* Set the swept number; E_USAGE, E_PLAN where it makes no plan. */
static core_status set_point(har_setup *s, const range *w, int64_t x)
{
    if (w->what == 0) {
        const int part = s->plan.pp * s->plan.tp;
        CORE_FAIL_IF(x % part != 0, CORE_E_PLAN,
                     "%lld GPUs are no multiple of pp x tp = %d", (long long)x,
                     part);
        s->plan.dp = (int)x / part;
    } else if (w->what == 1 && s->what.is_decode) {
        s->what.n_kv = x;
    } else if (w->what == 1) {
        s->what.n_t = x;
    } else {
        s->plan.mb = (int)x;
    }
    return har_setup_check(s);
}

static void write_row(int64_t x, const har_setup *s, const har_prediction *p)
{
    printf("%8lld %5d %10.3f %10.3f - %-10.3f %12.0f %10.2f %6.1f %6.1f %6.1f "
           "%6.1f %8.2f%s\n",
           (long long)x, p->n_gpu, p->latency.value * 1e3, p->latency.low * 1e3,
           p->latency.high * 1e3, p->tokens_per_s.value, p->rows_per_s.value,
           100 * p->mfu.value, 100 * p->communication.value,
           100 * p->bubble.value, 100 * p->balance.value, p->memory * 1e-9,
           p->memory > s->machine.memory_bytes ? " does not fit" : "");
}

/* The point after x, 0 after the last. */
static int64_t next_point(const range *w, int64_t x)
{
    if (x == w->last)
        return 0;
    return 2 * x < w->last ? 2 * x : w->last;
}

static bool has_point(har_setup *s, const range *w)
{
    bool has = false;
    for (int64_t x = w->first; x > 0 && !has; x = next_point(w, x))
        has = set_point(s, w, x) == CORE_OK;
    core_message_clear();
    return has;
}

static core_status sweep(har_setup *s, const request *r,
                         har_predictor *predictor, har_prediction *p)
{
    range w = {0};
    CORE_TRY(read_sweep(&w, r));
    CORE_FAIL_IF(w.what == 1 && !s->what.is_decode && s->source.is_measured,
                 CORE_E_USAGE,
                 "--sweep: seq changes the batch, %s has the routing of one",
                 r->asked.routing);
    CORE_TRY(har_predict_check(predictor, &s->what));
    CORE_FAIL_IF(!has_point(s, &w), CORE_E_PLAN, "--sweep %s: no legal plan",
                 r->sweep);
    showing progress = {.waiting = har_waiting_begin()};
    har_config_write(stdout, r->asked.model, &s->facts, HAR_NO_WEIGHTS);
    printf("%8s %5s %10s %23s %12s %10s %6s %6s %6s %6s %8s\n", SWEPT[w.what],
           "GPUs", "latency_ms", "90 % interval      ", "tokens/s", "rows/s",
           "mfu %", "comm %", "bub %", "bal %", "GB");
    for (int64_t x = w.first; x > 0; x = next_point(&w, x)) {
        const core_status status = set_point(s, &w, x);
        if (status != CORE_OK) {
            printf("%8lld  no plan: %s\n", (long long)x, core_message());
            core_message_clear();
            continue;
        }
        snprintf(progress.what, sizeof progress.what, "predicting %s=%lld",
                 SWEPT[w.what], (long long)x);
        CORE_TRY(predict_case(s, predictor, &progress, p));
        write_row(x, s, p);
    }
    return CORE_OK;
}

/* --- a step of training --- */

static core_status check_training(const request *r)
{
    CORE_FAIL_IF(r->sweep != NULL || r->require != NULL || r->trace != NULL,
                 CORE_E_USAGE,
                 "--train: not with --sweep, --require, --trace");
    CORE_FAIL_IF(r->asked.overlap != NULL || r->asked.draws != NULL,
                 CORE_E_USAGE,
                 "--train: a step hides no transfer and draws nothing: not "
                 "with --overlap, --draws");
    return CORE_OK;
}

static core_status train(har_setup *s, const request *r,
                         har_predictor *predictor)
{
    har_train_case asked;
    static har_training_step step;
    CORE_TRY(check_training(r));
    CORE_TRY(har_train_read(&asked, &r->train));
    CORE_FAIL_IF(s->source.is_measured, CORE_E_USAGE,
                 "--train: a step has the load that is expected, found "
                 "--routing %s",
                 r->asked.routing);
    CORE_TRY(har_setup_check(s));
    CORE_TRY(har_load_source_apply(&s->source, &s->what));
    asked.what = &s->what;
    CORE_TRY(har_predict_training(predictor, &asked, &step));
    if (r->json != NULL)
        CORE_TRY(har_training_json(r->json, &asked, &s->machine, &step));
    har_config_write(stdout, r->asked.model, &s->facts, HAR_NO_WEIGHTS);
    har_training_write(stdout, &asked, &s->machine, &step);
    return CORE_OK;
}

int har_cmd_predict(int argc, char **argv)
{
    request r = {.asked = HAR_QUESTION};
    static har_setup s;
    static har_prediction p;
    har_predictor *predictor = NULL;
    bool met = true;
    read_command_line(&r, argc, argv);
    core_status status = har_serve_ask(&r.serve, &r.asked);
    if (status == CORE_OK)
        status = har_setup_read(&s, &r.asked);
    if (status == CORE_OK)
        status = check_files(&r);
    if (status == CORE_OK)
        status = har_train_check(&r.train);
    if (status == CORE_OK)
        status = har_predictor_make(&predictor, &s.machine);
    if (status == CORE_OK && r.train.is_asked)
        status = train(&s, &r, predictor);
    else if (status == CORE_OK && r.serve.mix != NULL)
        status = har_serve_answer(&r.serve, &r.asked, r.json, &s, &met);
    else if (status == CORE_OK && r.sweep != NULL)
        status = sweep(&s, &r, predictor, &p);
    else if (status == CORE_OK)
        status = predict_one(&s, &r, predictor, &p, &met);
    har_predictor_free(predictor);
    har_setup_close(&s);
    if (status == CORE_OK && !met)
        return core_status_exit_code(CORE_E_DIFFERS);
    return har_end(status);
}
