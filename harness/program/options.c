/* harness/program/options.c -- see options.h. */
#include "harness/program/options.h"

#include "core/base/status.h"
#include "harness/launch/ending.h"
#include "harness/program/manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct words {
    const char *name;
    int letter;
    const char *argument, *help;
} shared[] = {
    {"batch", 'b', "BxT", "rows x tokens of the batch"},
    {"dtype", 0, "T",
     "of values: f16, bf16, f32, f64, fp8, mxfp4, nvfp4, another name of one, "
     "a profile or w=mxfp4+act=bf16+kv=fp8"},
    {"ignore-key", 0, "KEY",
     "a key of config.json that is known to change nothing; may be repeated"},
    {"input", 'i', "FILE",
     "safetensors with input_ids, or p0.input_ids, p1.input_ids ... (and "
     "attention_mask; Switch layer: hidden_in)"},
    {"json", 0, "FILE", "the result for machines"},
    {"layers", 0, "N", "only the first N layers"},
    {"machine", 0, "M", "a preset's name or a machine file"},
    {"model", 'm', "MODEL", "preset, spec file, checkpoint folder or GGUF file"},
    {"numerics", 'n', "NAME",
     "exact, fp64, fp32, fp16, bf16, llama-default, vllm-bf16, w=bf16+kv=f16+.."
     " (docs/numerics.md)"},
    {"out", 'o', "FILE", "what is to be written"},
    {"plan", 'p', "PLAN",
     "a preset, a string such as tp=2,pp=2,ep=4 or a YAML file"},
    {"popularity", 0, "P",
     "of experts: uniform, zipf:S, power:A, a file, or taps:FILE, that of a "
     "run (uniform)"},
    {"prompt", 0, "N", "of a file with several: pN"},
    {"seed", 's', "N", "of procedural weights and of the batch"},
    {"set", 0, "FIELD=VALUE",
     "a field of the model, as spec --fields names it, is this; may be "
     "repeated"},
    {"stall", 0, "SECONDS", "end the run when nothing moves for so long"},
    {"trace", 0, "FILE",
     "the timeline of every rank's operators, for ui.perfetto.dev"},
};
enum { N_SHARED = sizeof shared / sizeof shared[0] };

enum {
    MAX_OPTIONS = 36,
    HELP_BYTES = 200,
    FIRST_KEY = 256,
    USAGE_KEY = FIRST_KEY + MAX_OPTIONS,
    MAN_KEY,
    WORDS_KEY
};

/* argp's own help has no -h. */
static const struct argp_option help_options[] = {
    {"help", 'h', NULL, 0, "give this help list", -1},
    {NULL, '?', NULL, OPTION_HIDDEN, NULL, -1},
    {"usage", USAGE_KEY, NULL, 0, "give a short usage message", -1},
    {"man", MAN_KEY, NULL, OPTION_HIDDEN, "the same as a page for man", -1},
    {"words", WORDS_KEY, NULL, OPTION_HIDDEN, "the names of all options", -1},
    {0}};

typedef struct parser {
    const har_command_line *line;
    const har_option *rows;
    const void *request;
    int n;
    struct argp_option option[MAX_OPTIONS + 6]; /* and those of help */
    char help[MAX_OPTIONS][HELP_BYTES];
    const har_option *row[MAX_OPTIONS];
} parser;

static bool is_argument(const har_option *row)
{
    return row->name == NULL && row->text != NULL;
}

static bool is_end(const har_option *row)
{
    return row->name == NULL && row->text == NULL && row->help == NULL;
}

/* The words of a row: its own, or the shared ones of its name. */
static struct words words_of(const har_option *row)
{
    if (row->help == NULL && row->flags == 0)
        for (int i = 0; i < N_SHARED; i++)
            if (strcmp(row->name, shared[i].name) == 0)
                return shared[i];
    core_assert(row->help != NULL || row->flags != 0);
    return (struct words){row->name, row->letter, row->argument, row->help};
}

static void add_option(parser *p, const har_option *row)
{
    const struct words words = words_of(row);
    const char *usual = row->text != NULL ? *row->text : NULL;
    struct argp_option *out = &p->option[p->n];
    core_assert(p->n + 1 < MAX_OPTIONS);
    out->name = row->name;
    out->key = words.letter;
    if (out->key == 0 && row->name != NULL)
        out->key = FIRST_KEY + p->n;
    out->arg = words.argument;
    out->flags = row->flags;
    out->doc = words.help;
    if (usual != NULL && words.help != NULL) {
        snprintf(p->help[p->n], HELP_BYTES, "%s (%s)", words.help, usual);
        out->doc = p->help[p->n];
    }
    p->row[p->n++] = row;
}

static void put(const har_option *row, char *value, struct argp_state *state)
{
    if (row->flag != NULL)
        *row->flag = true;
    else if (row->n == NULL)
        *row->text = value;
    else if (*row->n < row->most)
        row->text[(*row->n)++] = value;
    else if (row->name != NULL)
        argp_error(state, "--%s: given more than %d times", row->name,
                   row->most);
    else
        argp_error(state, "more than %d arguments", row->most);
}

/* The n-th argument goes to the n-th row of them; a list takes the rest. */
static const har_option *argument_row(const har_option *row, unsigned n)
{
    for (; !is_end(row); row++)
        if (is_argument(row) && (n-- == 0 || row->n != NULL))
            return row;
    return NULL;
}

_Noreturn static void print_and_exit(const parser *p, int key)
{
    if (key == MAN_KEY)
        har_manual_write(stdout, p->line, p->option);
    else
        har_manual_words(stdout, p->option);
    exit(fflush(stdout) == 0 ? 0 : core_status_exit_code(CORE_E_FILE));
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    const parser *p = state->input;
    const har_option *row = NULL;
    if (key == 'h' || key == '?')
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
    if (key == USAGE_KEY)
        argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
    if (key == MAN_KEY || key == WORDS_KEY)
        print_and_exit(p, key);
    if (key == ARGP_KEY_ARG) {
        row = argument_row(p->rows, state->arg_num);
        if (row == NULL)
            argp_error(state, "unexpected '%s'", value);
    } else if (key == ARGP_KEY_END && p->line->check != NULL) {
        p->line->check(p->request, state);
        return 0;
    }
    for (int i = 0; row == NULL && i < p->n; i++)
        if (p->option[i].key == key && key != 0)
            row = p->row[i];
    if (row == NULL)
        return ARGP_ERR_UNKNOWN;
    put(row, value, state);
    return 0;
}

_Noreturn static void end_without_memory(void)
{
    exit(har_end(core_fail(CORE_E_MEMORY, "no memory for the command line")));
}

void har_parse(const har_command_line *line, const har_option *rows,
               const void *request, int argc, char **argv)
{
    char name[64];
    parser p = {.line = line, .rows = rows, .request = request};
    char **copy = calloc((size_t)argc, sizeof *copy);
    if (copy == NULL)
        end_without_memory();
    snprintf(name, sizeof name, "moeparity %s", line->name);
    memcpy(copy + 1, argv + 2, (size_t)(argc - 2) * sizeof *copy);
    copy[0] = name;
    argp_err_exit_status = core_status_exit_code(CORE_E_USAGE);
    /* among ranks one usage message is enough */
    if (har_started_as() != 0 && freopen("/dev/null", "w", stderr) == NULL)
        exit(core_status_exit_code(CORE_E_FILE));
    for (const har_option *row = rows; !is_end(row); row++)
        if (!is_argument(row))
            add_option(&p, row);
    memcpy(p.option + p.n, help_options, sizeof help_options);
    const struct argp argp = {
        p.option, parse_option, line->arguments, line->about, NULL, NULL, NULL};
    if (argp_parse(&argp, argc - 1, copy, ARGP_NO_HELP, NULL, &p) != 0)
        end_without_memory();
    free(copy);
    core_message_clear();
}
