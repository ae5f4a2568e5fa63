/* harness/perf/predict/question.c -- see question.h.
 *
 * Nothing is timed and no file but those named is read, so a question that
 * makes no sense is refused at once.
 */
#include "harness/perf/predict/question.h"

#include "harness/program/command.h"

#include <string.h>

enum {
    OPT_MACHINE = 256,
    OPT_DTYPE,
    OPT_DECODE,
    OPT_KV,
    OPT_OVERLAP,
    OPT_POPULARITY,
    OPT_ROUTING,
    OPT_PROMPT,
    OPT_DRAWS,
    OPT_COLLECTIVES
};

static const struct argp_option options[] = {
    {"plan", 'p', "PLAN", 0, "preset, string or YAML file (seed-32)", 0},
    {"machine", OPT_MACHINE, "M", 0, "preset or machine file (gpu-400t-64g)",
     0},
    {"batch", 'b', "BxT", 0, "rows and tokens (256x256); decode: B", 0},
    {"dtype", OPT_DTYPE, "T", 0, "of values: fp16, bf16, fp32, fp64 (fp16)", 0},
    {"decode", OPT_DECODE, NULL, 0, "one token per row", 0},
    {"kv", OPT_KV, "L", 0, "decode: cached tokens of a row", 0},
    {"overlap", OPT_OVERLAP, "O", 0, "none, pipeline or all (pipeline)", 0},
    {"popularity", OPT_POPULARITY, "P", 0,
     "of experts: uniform, zipf:S, power:A, a file, or taps:FILE: each layer's "
     "in a file of taps (uniform)",
     0},
    {"routing", OPT_ROUTING, "R", 0,
     "drawn[:SEED]; expected: one rank speaks for its stage; measured:FILE: "
     "the choices in a file of taps (drawn)",
     0},
    {"draws", OPT_DRAWS, "N", 0,
     "other draws of the routing that the intervals hold, 0 to 64 (7)", 0},
    {"prompt", OPT_PROMPT, "N", 0, "of a file of taps with several: pN", 0},
    {"collectives", OPT_COLLECTIVES, "C", 0, "library or shot (library)", 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    har_question *q = state->input;
    switch (key) {
    case 'p':
        q->plan = arg;
        return 0;
    case 'b':
        q->batch = arg;
        return 0;
    case OPT_MACHINE:
        q->machine = arg;
        return 0;
    case OPT_DTYPE:
        q->dtype = arg;
        return 0;
    case OPT_DECODE:
        q->is_decode = true;
        return 0;
    case OPT_KV:
        q->kv = arg;
        return 0;
    case OPT_OVERLAP:
        q->overlap = arg;
        return 0;
    case OPT_POPULARITY:
        q->popularity = arg;
        return 0;
    case OPT_ROUTING:
        q->routing = arg;
        return 0;
    case OPT_DRAWS:
        q->draws = arg;
        return 0;
    case OPT_PROMPT:
        q->prompt = arg;
        return 0;
    case OPT_COLLECTIVES:
        q->shots = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0)
            argp_error(state, "more than one model: '%s'", arg);
        q->model = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp har_question_argp = {options, parse_option, NULL, NULL,
                                       NULL,    NULL,         NULL};

core_status har_choose(int *out, const char *option, const char *text,
                       const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return CORE_OK;
        }
    char all[128];
    int at = 0;
    for (int i = 0; i < n; i++)
        at += snprintf(all + at, sizeof all - (size_t)at, "%s%s",
                       i == 0       ? ""
                       : i == n - 1 ? " or "
                                    : ", ",
                       names[i]);
    CORE_FAIL(CORE_E_USAGE, "%s: expected %s, found '%s'", option, all, text);
}

static core_status read_batch(har_setup *s, const har_question *q)
{
    har_predict_case *w = &s->what;
    const bool is_measured = s->source.is_measured && q->batch == NULL;
    w->is_decode = q->is_decode;
    CORE_FAIL_IF(q->is_decode != (q->kv != NULL), CORE_E_USAGE,
                 "--decode and --kv L go together, found one of them");
    if (is_measured) {
        w->n_b = s->source.measured.n_b;
        w->n_t = q->is_decode ? 1 : s->source.measured.n_t;
    }
    if (is_measured && !q->is_decode)
        return CORE_OK;
    if (!q->is_decode)
        return har_parse_batch(&w->n_b, &w->n_t, "--batch",
                               q->batch != NULL ? q->batch : "256x256");
    w->n_t = 1;
    CORE_TRY(har_parse_count(&w->n_kv, "--kv", q->kv));
    if (is_measured)
        return CORE_OK;
    return har_parse_count(&w->n_b, "--batch",
                           q->batch != NULL ? q->batch : "256");
}

static core_status read_routing(har_setup *s, const har_question *q)
{
    int64_t prompt = 0;
    if (q->prompt != NULL && strcmp(q->prompt, "0") != 0)
        CORE_TRY(har_parse_count(&prompt, "--prompt", q->prompt));
    return har_load_source_open(&s->source, &s->spec, q->routing, q->popularity,
                                q->prompt != NULL ? &prompt : NULL);
}

enum { MAX_DRAWS = 64, DRAWS = 7 };

static core_status read_draws(har_setup *s, const har_question *q)
{
    int64_t n = DRAWS;
    if (q->draws != NULL && strcmp(q->draws, "0") == 0)
        n = 0;
    else if (q->draws != NULL)
        CORE_TRY(har_parse_count(&n, "--draws", q->draws));
    CORE_FAIL_IF(n > MAX_DRAWS, CORE_E_USAGE,
                 "--draws: expected 0 to %d, found '%s'", MAX_DRAWS, q->draws);
    CORE_FAIL_IF(q->draws != NULL &&
                     (!s->source.all_ranks || s->source.is_measured),
                 CORE_E_USAGE, "--draws: %s draws nothing", q->routing);
    s->what.n_draw = (int)n;
    return CORE_OK;
}

core_status har_setup_read(har_setup *s, const har_question *q)
{
    static const char *const dtypes[] = {"fp16", "bf16", "fp32", "fp64"};
    static const core_dtype dtype_of[] = {CORE_DTYPE_F16, CORE_DTYPE_BF16,
                                          CORE_DTYPE_F32, CORE_DTYPE_F64};
    static const char *const overlaps[] = {"none", "pipeline", "all"};
    static const char *const algorithms[] = {"library", "shot"};
    int dtype = 0, overlap = 0, algorithm = 0;
    CORE_TRY(core_spec_open(&s->spec, q->model, NULL));
    CORE_TRY(par_plan_parse(&s->plan, q->plan));
    CORE_TRY(har_machine_open(&s->machine, q->machine));
    CORE_TRY(har_choose(&dtype, "--dtype", q->dtype, dtypes, 4));
    CORE_TRY(har_choose(&overlap, "--overlap", q->overlap, overlaps, 3));
    CORE_TRY(har_choose(&algorithm, "--collectives", q->shots, algorithms, 2));
    CORE_TRY(read_routing(s, q));
    CORE_TRY(read_draws(s, q));
    CORE_TRY(read_batch(s, q));
    s->what.spec = &s->spec;
    s->what.plan = &s->plan;
    s->what.dtype = dtype_of[dtype];
    s->what.overlap = (har_overlap)overlap;
    s->what.algorithm = (har_algorithm)algorithm;
    return CORE_OK;
}

core_status har_setup_check(const har_setup *s)
{
    CORE_TRY(par_plan_check(&s->plan, &s->spec));
    return par_plan_check_batch(&s->plan, &s->spec, s->what.n_b);
}

void har_setup_close(har_setup *s)
{
    har_load_source_close(&s->source);
}
