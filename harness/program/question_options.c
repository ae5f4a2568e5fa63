/* harness/program/question_options.c -- see question_options.h. */
#include "harness/program/question_options.h"

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
