/* harness/program/golden.c -- goldens: make, seal, check.
 *
 * make writes a bundle beside its place, in FOLDER.partial-PID, under a guard
 * that removes what is unfinished; check computes into a scratch folder under
 * the same guard.  Everything that can be refused is refused before the long
 * part begins.
 */
#include "harness/program/golden_check.h"
#include "harness/judge/yardstick.h"
#include "harness/launch/guard.h"
#include "harness/launch/waiting.h"
#include "harness/program/command.h"
#include "harness/program/model.h"
#include "harness/program/quantising.h"

#include "core/files/safetensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FOLDERS = 64, MAX_PROMPTS = 256, PREFIX_BYTES = 32 };

typedef struct request {
    const char *action, *model, *input, *tokens, *prompt, *layers, *seed;
    const char *parts, *numerics, *taps, *output, *generator;
    core_overrides overrides;
    har_quantising quantising;
    bool force, export_weights, act_quant;
    int n_folder;
    const char *folder[MAX_FOLDERS];
} request;

static void check_request(const void *self, struct argp_state *state)
{
    const request *r = self;
    if (r->action == NULL)
        argp_error(state, "expected make, seal or check");
}

static const har_command_line line = {
    "golden",
    "make --model MODEL --out FOLDER [OPTION...]\n"
    "seal FOLDER --generator TEXT\ncheck FOLDER... [--model CHECKPOINT]",
    "Goldens: what an implementation must produce, with "
    "fingerprints.\vmake computes a bundle: input, every tap, routing "
    "margins, tolerances, and a manifest (docs/golden.md); --numerics "
    "takes a list, one file each; seal writes the manifest of other "
    "people's files in FOLDER; check verifies the fingerprints of "
    "every golden below the FOLDERs and computes each again, what was made "
    "from a checkpoint with the one that --model names, or a folder of its "
    "name beside the bundle. "
    HAR_EXIT_CODES,
    check_request};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->action},
        {.text = r->folder, .n = &r->n_folder, .most = MAX_FOLDERS},
        {.help = "make:"},
        {"model", .text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"input", .text = &r->input},
        {"prompt", .text = &r->prompt},
        {"batch", .text = &r->tokens},
        {"tokens", .text = &r->tokens, .letter = 't', .flags = OPTION_ALIAS},
        {"seed", .text = &r->seed},
        {"layers", .text = &r->layers},
        {"parts", .text = &r->parts, .argument = "N",
         .help = "token groups the rows are dealt over: rounds x dp x mb of a "
                 "plan"},
        {"numerics", .text = &r->numerics},
        {"taps", .text = &r->taps, .argument = "WHICH",
         .help = "coarse or all"},
        {"out", .text = &r->output},
        {"output", .text = &r->output, .flags = OPTION_ALIAS},
        {"export-weights", .flag = &r->export_weights,
         .help = "of procedural models, and of what is quantised here: the "
                 "bundle is a checkpoint folder, too"},
        HAR_ACT_QUANT_OPTION(&r->act_quant),
        HAR_QUANTISING_OPTIONS(&r->quantising),
        {"force", .flag = &r->force, .help = "replace a bundle that is there"},
        {.help = "seal:"},
        {"generator", .text = &r->generator, .argument = "TEXT",
         .help = "who made the numbers"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

/* --- make: what is to be computed --- */

/* The prefix of the one prompt to take from an input file. */
static core_status choose_prompt(char prefix[PREFIX_BYTES], const request *r,
                                 const core_st *input, bool is_switch)
{
    const char *what = is_switch ? "hidden_in" : "input_ids";
    int64_t wanted = 0;
    int n = 0;
    char name[2 * PREFIX_BYTES];
    if (r->prompt != NULL && strcmp(r->prompt, "0") != 0)
        CORE_TRY(har_parse_count(&wanted, "--prompt", r->prompt));
    for (; n < MAX_PROMPTS; n++) {
        snprintf(name, sizeof name, "p%d.%s", n, what);
        if (core_st_find(input, name) == NULL)
            break;
    }
    const bool bare = n == 0 && core_st_find(input, what) != NULL;
    CORE_FAIL_IF(n == 0 && !bare, CORE_E_INPUT,
                 "%s: expected a tensor %s or p0.%s, found none",
                 core_st_path(input), what, what);
    CORE_FAIL_IF(n > 1 && r->prompt == NULL, CORE_E_USAGE,
                 "%s: holds %d prompts, a bundle one: choose it with --prompt",
                 core_st_path(input), n);
    CORE_FAIL_IF(wanted >= (bare ? 1 : n), CORE_E_USAGE,
                 "--prompt: %s holds %d, numbered from 0, found %lld",
                 core_st_path(input), bare ? 1 : n, (long long)wanted);
    snprintf(prefix, PREFIX_BYTES, "p%lld.", (long long)wanted);
    if (bare)
        prefix[0] = '\0';
    return CORE_OK;
}

static core_status get_batch(gold_case *gold, const request *r)
{
    int64_t n_b = 0, n_t = 0;
    if (r->tokens != NULL) {
        CORE_TRY(har_parse_batch(&n_b, &n_t, "--tokens", r->tokens));
        gold->from_seed = true;
        return core_batch_make(&gold->batch, &gold->spec, n_b, n_t, gold->seed);
    }
    char prefix[PREFIX_BYTES];
    core_st *input = NULL;
    CORE_TRY(core_st_open(&input, r->input));
    core_status status = choose_prompt(prefix, r, input, gold->spec.n_h == 0);
    if (status == CORE_OK)
        status = core_batch_read(&gold->batch, &gold->spec, input, prefix);
    core_st_close(input);
    return status;
}

static core_status get_numerics(gold_case *gold, const char *list)
{
    char text[GOLD_MAX_NUMERICS * CORE_NUMERICS_BYTES], *save = NULL;
    CORE_FAIL_IF(strlen(list) >= sizeof text, CORE_E_USAGE,
                 "--numerics: expected a short list, found '%.80s...'", list);
    strcpy(text, list);
    for (char *word = strtok_r(text, ",", &save); word != NULL;
         word = strtok_r(NULL, ",", &save)) {
        core_numerics numerics;
        CORE_TRY(core_numerics_parse(&numerics, word));
        for (int i = 0; i < gold->n_numerics; i++)
            CORE_FAIL_IF(gold->numerics[i] == numerics, CORE_E_USAGE,
                         "--numerics: %s is given twice", word);
        gold->numerics[gold->n_numerics++] = numerics;
    }
    CORE_FAIL_IF(gold->n_numerics == 0, CORE_E_USAGE,
                 "--numerics: expected at least one, found '%s'", list);
    return CORE_OK;
}

static core_status get_groups(gold_case *gold, const char *parts)
{
    int64_t n_part;
    CORE_TRY(har_parse_count(&n_part, "--parts", parts));
    CORE_FAIL_IF(n_part > GOLD_MAX_GROUPS, CORE_E_USAGE,
                 "--parts: at most %d, found %lld", (int)GOLD_MAX_GROUPS,
                 (long long)n_part);
    gold->n_group = n_part;
    core_split(gold->batch.n_b, n_part, gold->first_row);
    return CORE_OK;
}

static core_status get_taps(gold_case *gold, const char *taps)
{
    if (strcmp(taps, "coarse") == 0)
        return CORE_OK;
    CORE_FAIL_IF(strcmp(taps, "all") != 0, CORE_E_USAGE,
                 "--taps: expected coarse or all, found '%s'", taps);
    CORE_FAIL_IF(gold->spec.n_h == 0, CORE_E_USAGE,
                 "--taps: a Switch layer has one set of taps, found 'all'");
    gold->all_taps = true;
    return CORE_OK;
}

static core_status understand(gold_case *gold, const request *r)
{
    har_model model;
    CORE_FAIL_IF(r->model == NULL || r->output == NULL ||
                     (r->input == NULL) == (r->tokens == NULL),
                 CORE_E_USAGE,
                 "golden make: --model, --out and one of --input and --tokens "
                 "are needed");
    CORE_FAIL_IF(r->n_folder > 0, CORE_E_USAGE,
                 "golden make: the folder is given with --out, found '%s'",
                 r->folder[0]);
    CORE_FAIL_IF(strlen(r->model) >= sizeof gold->model ||
                     strlen(r->output) >= sizeof gold->folder - 32,
                 CORE_E_USAGE, "golden make: --model or --out is too long");
    strcpy(gold->model, r->model);
    strcpy(gold->folder, r->output);
    for (size_t n = strlen(gold->folder); n > 1 && gold->folder[n - 1] == '/';)
        gold->folder[--n] = '\0';
    snprintf(gold->generator, sizeof gold->generator, "moeparity " HAR_VERSION);
    CORE_TRY(
        har_model_read(&model, r->model, r->layers, r->seed, &r->overrides));
    CORE_TRY(har_model_quantise(&model, r->act_quant));
    gold->act_quant = r->act_quant;
    gold->overrides = r->overrides;
    gold->spec = model.full;
    gold->n_l = model.spec.n_l;
    gold->is_checkpoint = model.is_checkpoint;
    gold->seed = model.seed;
    CORE_TRY(har_quantising_read(gold, &r->quantising));
    CORE_FAIL_IF(r->export_weights && gold->is_checkpoint &&
                     !gold->is_quantised,
                 CORE_E_USAGE, "--export-weights: %s is a checkpoint already",
                 r->model);
    CORE_FAIL_IF(r->export_weights && gold->is_checkpoint &&
                     r->overrides.n_set > 0,
                 CORE_E_USAGE,
                 "--export-weights: a copy of %s would not say what is --set",
                 r->model);
    CORE_TRY(get_numerics(gold, r->numerics));
    CORE_TRY(get_taps(gold, r->taps));
    CORE_TRY(get_batch(gold, r));
    CORE_TRY(get_groups(gold, r->parts));
    CORE_TRY(gold_check_target(gold->folder, r->force));
    har_model_write(stdout, &model);
    return CORE_OK;
}

/* --- make: doing it --- */

typedef struct making {
    gold_case gold;
    har_quantising quantising;
    bool export_weights;
    char partial[GOLD_PATH_BYTES + 32];
} making;

static void print_summary(const gold_case *gold, const gold_summary *summary)
{
    for (int i = 0; i < gold->n_numerics; i++) {
        const gold_summary *s = &summary[i];
        const core_numerics_text text = core_numerics_name(gold->numerics[i]);
        const char *name = text.text;
        char widest[HAR_WIDEST_TEXT];
        if (gold->numerics[i] == CORE_EXACT)
            printf("%-10s sums need %.1f of 53 bits\n", name, s->bits);
        else if (s->worst_relative > 0.0)
            printf("%-10s tolerances %s\n", name,
                   har_widest_text(widest, s->worst_relative, s->worst_tap));
        else
            printf("%-10s no tolerances\n", name);
    }
    char text[CORE_QUANTISER_TEXT];
    if (gold->is_quantised)
        printf("%-10s experts as %s\n", "quantised",
               core_quantiser_text(&gold->quantiser, text));
    if (gold->quantiser_says[0] != '\0')
        printf("%-10s logits against those of the original weights: %s: the "
               "quantiser's doing, and no error of who computes with what it "
               "left\n",
               "quantiser", gold->quantiser_says);
    printf("%-10s %s\n", "golden", gold->folder);
}

static void show_progress(void *self, core_numerics numerics, double done)
{
    char what[CORE_NUMERICS_BYTES + 16];
    snprintf(what, sizeof what, "golden make, %s",
             core_numerics_name(numerics).text);
    har_waiting_share(self, what, done);
}

static core_status make_bundle(void *self)
{
    making *m = self;
    gold_options opts = har_golden_options(&m->gold);
    opts.export_weights = m->export_weights;
    CORE_TRY(har_quantising_measure(&m->gold, &m->quantising, &opts));
    har_waiting waiting = har_waiting_begin();
    opts.progress = show_progress;
    opts.progress_self = &waiting;
    gold_summary summary[GOLD_MAX_NUMERICS] = {{0}};
    const core_status status =
        gold_make(&m->gold, &opts, m->partial, summary);
    har_waiting_end(&waiting);
    CORE_TRY(status);
    print_summary(&m->gold, summary);
    CORE_TRY(har_report_close(stdout));
    return gold_commit(&m->gold, m->partial);
}

static int make(const request *r)
{
    making m = {.gold = {.origin = GOLD_SELF},
                .quantising = r->quantising,
                .export_weights = r->export_weights};
    const core_status status = understand(&m.gold, r);
    if (status != CORE_OK) {
        gold_close(&m.gold);
        return har_end(status);
    }
    snprintf(m.partial, sizeof m.partial, "%s.partial-%ld", m.gold.folder,
             (long)getpid());
    const int code = har_guard(m.partial, make_bundle, &m);
    gold_close(&m.gold);
    return code;
}

/* --- seal, check --- */

static core_status seal(const request *r)
{
    gold_case gold = {.origin = GOLD_ORACLE};
    CORE_FAIL_IF(r->generator == NULL || r->n_folder != 1, CORE_E_USAGE,
                 "golden seal: one FOLDER and --generator are needed");
    CORE_FAIL_IF(strlen(r->generator) >= sizeof gold.generator, CORE_E_USAGE,
                 "--generator: at most %zu bytes, found %zu",
                 sizeof gold.generator - 1, strlen(r->generator));
    snprintf(gold.folder, sizeof gold.folder, "%s", r->folder[0]);
    snprintf(gold.generator, sizeof gold.generator, "%s", r->generator);
    return gold_seal(&gold);
}

static int check(const request *r)
{
    const char *tmp = getenv("TMPDIR");
    char scratch[GOLD_PATH_BYTES];
    if (r->n_folder == 0)
        return har_end(core_fail(
            CORE_E_USAGE, "golden check: at least one FOLDER is needed"));
    if (r->overrides.n_set > 0)
        return har_end(core_fail(
            CORE_E_USAGE,
            "golden check: manifests say which fields are set, found --set"));
    const int n =
        snprintf(scratch, sizeof scratch, "%s/moeparity-golden-XXXXXX",
                 tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (n >= (int)sizeof scratch || mkdtemp(scratch) == NULL)
        return har_end(core_fail(CORE_E_FILE,
                                 "%s: no scratch folder can be made: %s",
                                 scratch, strerror(errno)));
    har_golden_check checking = {r->n_folder, r->folder, scratch, r->model,
                                 r->overrides};
    return har_guard(scratch, har_golden_check_run, &checking);
}

int har_cmd_golden(int argc, char **argv)
{
    request r = {.numerics = "exact,fp32", .seed = "1", .parts = "1",
                 .taps = "coarse"};
    read_command_line(&r, argc, argv);
    if (strcmp(r.action, "make") == 0)
        return make(&r);
    if (strcmp(r.action, "seal") == 0)
        return har_end(seal(&r));
    if (strcmp(r.action, "check") == 0)
        return check(&r);
    return har_end(core_fail(CORE_E_USAGE,
                             "golden: expected make, seal or check, found '%s'",
                             r.action));
}
