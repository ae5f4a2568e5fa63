/* harness/question.c -- see question.h.
 *
 * Nothing is timed and no file but those named is read, so a question that
 * makes no sense is refused at once.
 */
#include "harness/question.h"

#include "harness/cmd.h"

#include <string.h>

enum {
    OPT_MACHINE = 256,
    OPT_DTYPE,
    OPT_DECODE,
    OPT_KV,
    OPT_OVERLAP,
    OPT_POPULARITY,
    OPT_ROUTING,
    OPT_COLLECTIVES
};

static const struct argp_option options[] = {
    {"plan", 'p', "PLAN", 0, "preset, string or YAML file (seed-32)", 0},
    {"machine", OPT_MACHINE, "M", 0, "preset or machine file (gpu-400t-64g)",
     0},
    {"batch", 'b', "BxT", 0, "rows and tokens (256x256); decode: B", 0},
    {"dtype", OPT_DTYPE, "T", 0, "of values: fp16, bf16, fp32 (fp16)", 0},
    {"decode", OPT_DECODE, NULL, 0, "one token per row", 0},
    {"kv", OPT_KV, "L", 0, "decode: cached tokens of a row", 0},
    {"overlap", OPT_OVERLAP, "O", 0, "none, pipeline or all (pipeline)", 0},
    {"popularity", OPT_POPULARITY, "P", 0,
     "of experts: uniform, zipf:S, power:A or a file (uniform)", 0},
    {"routing", OPT_ROUTING, "R", 0,
     "drawn[:SEED], or expected: one rank speaks for its stage (drawn)", 0},
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
    CORE_FAIL_IF(true, CORE_E_USAGE, "%s: expected %s, %s%s%s, found '%s'",
                 option, names[0], names[1], n > 2 ? " or " : "",
                 n > 2 ? names[2] : "", text);
    return CORE_OK;
}

static core_status read_batch(har_predict_case *w, const har_question *q)
{
    w->is_decode = q->is_decode;
    CORE_FAIL_IF(q->is_decode != (q->kv != NULL), CORE_E_USAGE,
                 "--decode and --kv L go together, found one of them");
    if (!q->is_decode)
        return har_parse_batch(&w->n_b, &w->n_t, "--batch",
                               q->batch != NULL ? q->batch : "256x256");
    w->n_t = 1;
    CORE_TRY(har_parse_count(&w->n_kv, "--kv", q->kv));
    return har_parse_count(&w->n_b, "--batch",
                           q->batch != NULL ? q->batch : "256");
}

static core_status read_routing(har_setup *s, const har_question *q)
{
    int64_t seed = 1;
    CORE_TRY(har_demand_parse(&s->demand, q->popularity, (int)s->spec.n_e));
    s->what.all_ranks = strcmp(q->routing, "expected") != 0;
    CORE_FAIL_IF(
        s->what.all_ranks && strncmp(q->routing, "drawn", 5) != 0, CORE_E_USAGE,
        "--routing: expected drawn, drawn:SEED or expected, found '%s'",
        q->routing);
    if (s->what.all_ranks && q->routing[5] == ':')
        CORE_TRY(har_parse_count(&seed, "--routing", q->routing + 6));
    else
        CORE_FAIL_IF(s->what.all_ranks && q->routing[5] != '\0', CORE_E_USAGE,
                     "--routing: expected drawn:SEED, found '%s'", q->routing);
    s->demand.is_drawn = s->what.all_ranks;
    s->demand.seed = (uint64_t)seed;
    return CORE_OK;
}

core_status har_setup_read(har_setup *s, const har_question *q)
{
    static const char *const dtypes[] = {"fp16", "bf16", "fp32"};
    static const core_dtype dtype_of[] = {CORE_DTYPE_F16, CORE_DTYPE_BF16,
                                          CORE_DTYPE_F32};
    static const char *const overlaps[] = {"none", "pipeline", "all"};
    static const char *const algorithms[] = {"library", "shot"};
    int dtype = 0, overlap = 0, algorithm = 0;
    CORE_TRY(core_spec_open(&s->spec, q->model, NULL));
    CORE_TRY(par_plan_parse(&s->plan, q->plan));
    CORE_TRY(har_machine_open(&s->machine, q->machine));
    CORE_TRY(har_choose(&dtype, "--dtype", q->dtype, dtypes, 3));
    CORE_TRY(har_choose(&overlap, "--overlap", q->overlap, overlaps, 3));
    CORE_TRY(har_choose(&algorithm, "--collectives", q->shots, algorithms, 2));
    CORE_TRY(read_batch(&s->what, q));
    CORE_TRY(read_routing(s, q));
    s->what.spec = &s->spec;
    s->what.plan = &s->plan;
    s->what.demand = &s->demand;
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
