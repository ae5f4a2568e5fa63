/* harness/program/plan.c -- who owns what under a plan, which plans are legal,
 * and plans in the words of other systems.
 */
#include "harness/program/command.h"
#include "harness/program/model.h"
#include "harness/program/plan_map.h"
#include "harness/program/system.h"

#include "core/base/arena.h"
#include "core/files/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char USUAL_MODEL[] = "seed-30b";

enum { MAX_ARGUMENT_BYTES = 1 << 16, MAX_IMPORTS = 8, MAX_IGNORED = 32 };

typedef struct request {
    const char *name, *model, *gpus, *emit, *system, *json;
    const char *import[MAX_IMPORTS], *ignored[MAX_IGNORED];
    int n_import, n_ignored;
    const char *launch;
    core_overrides overrides;
    bool fields;
} request;

static const har_command_line line = {
    "plan", "[PLAN]\nPLAN --emit SYSTEM\n--import ARGS\nMODEL --gpus N",
    "Shows ranks, groups and placements of a plan, or the legal plans "
    "of a model; without arguments, the presets.\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->name},
        {"model", .text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"gpus", .text = &r->gpus, .argument = "N",
         .help = "list the legal plans of MODEL on N ranks"},
        {"for", .text = &r->system, .argument = "SYSTEM",
         .help = "in the rank numbers, vocabulary and rows of megatron, vllm, "
                 "sglang, deepspeed or torchtitan; with --gpus, the plans that "
                 "it can run; with --import, whose words they are"},
        {"json", .text = &r->json},
        {"fields", .flag = &r->fields, .help = "list the keys of a plan"},
        {"emit", .text = &r->emit, .argument = "SYSTEM",
         .help = "print the plan as launch arguments of such a system"},
        {"import", .text = r->import, .n = &r->n_import, .most = MAX_IMPORTS,
         .argument = "ARGS",
         .help = "print the plan that a launch line means: a script, "
                 "arguments, JSON, TOML, YAML or a hostfile, as a text or a "
                 "file; may be repeated"},
        {"launch", .text = &r->launch, .argument = "N",
         .help = "of an imported script with several launch lines this one "
                 "counts, from 1"},
        {"ignore-flag", .text = r->ignored, .n = &r->n_ignored,
         .most = MAX_IGNORED, .argument = "NAME",
         .help = "in an import this flag has no bearing; may be repeated"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

/* What is printed for programs has no place for it. */
static void say_model(void)
{
    fprintf(stderr, "moeparity: no model is named: that of %s\n", USUAL_MODEL);
}

static void write_presets(void)
{
    const char *name, *text;
    for (int i = 0; par_plan_preset(i, &name, &text); i++)
        printf("%-14s %s\n", name, text);
}

/* --- legal plans --- */

typedef struct listing {
    const core_spec *spec;
    har_system system;
    int n;
} listing;

static void write_plan_line(void *self, const par_plan *plan)
{
    listing *l = self;
    char text[PAR_PLAN_TEXT];
    if (l->system < HAR_N_SYSTEMS &&
        har_system_check(l->system, plan, l->spec) != CORE_OK) {
        core_message_clear();
        return;
    }
    par_plan_format(plan, text);
    puts(text);
    l->n++;
}

static core_status list_legal(const request *r)
{
    core_spec spec;
    int64_t n_rank = 0;
    listing l = {.spec = &spec};
    CORE_TRY(har_choose_system(&l.system, "--for", r->system, HAR_N_EMITTED));
    CORE_TRY(har_parse_count(&n_rank, "--gpus", r->gpus));
    CORE_FAIL_IF(n_rank > 1 << 20, CORE_E_USAGE,
                 "--gpus: at most %d, found %lld", 1 << 20, (long long)n_rank);
    if (r->name == NULL)
        say_model();
    CORE_TRY(core_config_open(&spec, NULL, &r->overrides,
                              r->name != NULL ? r->name : USUAL_MODEL));
    par_plan_each_legal(&spec, (int)n_rank, write_plan_line, &l);
    CORE_FAIL_IF(l.n == 0, CORE_E_PLAN,
                 "%s has no legal plan on %lld ranks%s%s", spec.name,
                 (long long)n_rank,
                 r->system != NULL ? " that can be run by " : "",
                 r->system != NULL ? r->system : "");
    return CORE_OK;
}

/* --- one plan --- */

static core_status show_plan(const request *r)
{
    core_spec spec, known;
    par_plan plan;
    har_system system;
    CORE_TRY(har_choose_system(&system, "--for", r->system, HAR_N_EMITTED));
    CORE_TRY(core_config_open(&spec, NULL, &r->overrides, r->model));
    const core_status status = par_plan_parse(&plan, r->name);
    if (status != CORE_OK &&
        core_config_stored(&known, &r->overrides, r->name) == CORE_OK)
        return core_fail_context(status,
                                 "reading a plan; '%s' is a model: "
                                 "--gpus N lists its legal plans",
                                 r->name);
    CORE_TRY(status);
    CORE_TRY(par_plan_check(&plan, &spec));
    if (system < HAR_N_SYSTEMS)
        CORE_TRY(har_system_check(system, &plan, &spec));
    if (r->json != NULL)
        return har_plan_map_write(r->json, &spec, &plan, system);
    return har_plan_map_show(&spec, &plan, system);
}

/* --- other systems --- */

static core_status emit_plan(const request *r)
{
    core_spec spec;
    par_plan plan;
    har_system system;
    CORE_TRY(har_choose_system(&system, "--emit", r->emit, HAR_N_EMITTED));
    CORE_FAIL_IF(r->name == NULL, CORE_E_USAGE, "--emit: expected a plan");
    if (r->model == USUAL_MODEL)
        say_model();
    CORE_TRY(core_config_open(&spec, NULL, &r->overrides, r->model));
    CORE_TRY(par_plan_parse(&plan, r->name));
    CORE_TRY(par_plan_check(&plan, &spec));
    return har_system_emit(system, &plan, &spec, stdout);
}

/* The file's text, or the text itself where there is no such file. */
static core_status read_text(const char *arg, char **out)
{
    struct stat info;
    void *text = NULL;
    if (strcmp(arg, "-") == 0 || stat(arg, &info) == 0)
        return core_text_read(out, arg, MAX_ARGUMENT_BYTES);
    CORE_FAIL_IF(errno != ENOENT && errno != ENAMETOOLONG && errno != ENOTDIR,
                 CORE_E_FILE, "%s: %s", arg, strerror(errno));
    CORE_FAIL_IF(strlen(arg) >= MAX_ARGUMENT_BYTES, CORE_E_USAGE,
                 "--import: %zu characters, at most %d", strlen(arg),
                 MAX_ARGUMENT_BYTES - 1);
    CORE_TRY(core_alloc(&text, (int64_t)strlen(arg) + 1, 1, "arguments"));
    strcpy(text, arg);
    *out = text;
    return CORE_OK;
}

static core_status import_texts(const request *r, char **text,
                                const char **name)
{
    core_spec spec;
    par_plan plan;
    char *report = NULL;
    int64_t launch = 0;
    size_t n_report = 0;
    har_import what = {.text = (const char *const *)text,
                       .name = name,
                       .n_text = r->n_import,
                       .ignored = r->ignored,
                       .n_ignored = r->n_ignored};
    CORE_TRY(
        har_choose_system(&what.system, "--for", r->system, HAR_N_SYSTEMS));
    if (r->launch != NULL)
        CORE_TRY(har_parse_count(&launch, "--launch", r->launch));
    if (r->model == USUAL_MODEL)
        say_model();
    what.launch = launch < INT_MAX ? (int)launch : INT_MAX;
    CORE_TRY(core_config_open(&spec, NULL, &r->overrides, r->model));
    for (int i = 0; i < r->n_import; i++) {
        CORE_TRY(read_text(r->import[i], &text[i]));
        const bool is_file = strcmp(text[i], r->import[i]) != 0;
        name[i] = is_file ? r->import[i] : "--import";
    }
    FILE *out = open_memstream(&report, &n_report);
    CORE_FAIL_IF(out == NULL, CORE_E_MEMORY, "no memory for a report");
    const core_status status = har_system_import(&plan, out, &what, &spec);
    fclose(out);
    if (status == CORE_OK)
        printf("%s\n%s", plan.text, report);
    free(report);
    return status;
}

static core_status import_plan(const request *r)
{
    char *text[MAX_IMPORTS] = {NULL};
    const char *name[MAX_IMPORTS];
    CORE_FAIL_IF(r->name != NULL || r->emit != NULL || r->gpus != NULL ||
                     r->json != NULL,
                 CORE_E_USAGE, "--import: expected no plan beside it");
    const core_status status = import_texts(r, text, name);
    for (int i = 0; i < r->n_import; i++)
        free(text[i]);
    return status;
}

static core_status run(const request *r)
{
    CORE_FAIL_IF(r->n_ignored > 0 && r->n_import == 0, CORE_E_USAGE,
                 "--ignore-flag belongs to --import");
    CORE_FAIL_IF(r->launch != NULL && r->n_import == 0, CORE_E_USAGE,
                 "--launch belongs to --import");
    if (r->n_import > 0)
        return import_plan(r);
    CORE_FAIL_IF(r->json != NULL &&
                     (r->emit != NULL || r->gpus != NULL || r->name == NULL),
                 CORE_E_USAGE,
                 "--json: expected a plan, and nothing beside it");
    if (r->emit != NULL)
        return emit_plan(r);
    if (r->gpus != NULL)
        return list_legal(r);
    if (r->name != NULL)
        return show_plan(r);
    if (r->fields)
        par_plan_write_fields(stdout);
    else
        write_presets();
    return CORE_OK;
}

int har_cmd_plan(int argc, char **argv)
{
    request r = {.model = USUAL_MODEL};
    read_command_line(&r, argc, argv);
    return har_end(run(&r));
}
