/* harness/cmd_golden.c -- golden cases: make, seal, check.
 *
 * check reads the fingerprints of every case below a folder and then computes
 * the case again: our own bit for bit, an oracle's within its rule.  It goes on
 * after a bad case, so that one run names them all.
 */
#include "harness/cmd.h"
#include "harness/dump.h"

#include "golden/golden.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CASES = 512, MAX_PATH = 512 };

typedef struct request {
    const char *action, *folder;
    const char *model, *batch, *layers, *seed, *parts, *numerics, *generator;
} request;

enum { OPT_LAYERS = 256, OPT_PARTS, OPT_GENERATOR };

static const struct argp_option options[] = {
    {"model", 'm', "MODEL", 0, "make: a preset", 0},
    {"batch", 'b', "BxT", 0, "make: rows x tokens", 0},
    {"seed", 's', "N", 0, "make: of weights and batch (1)", 0},
    {"layers", OPT_LAYERS, "N", 0, "make: only the first N layers", 0},
    {"parts", OPT_PARTS, "N", 0,
     "make: token groups the rows are dealt over (1)", 0},
    {"numerics", 'n', "NAME", 0, "make: exact or fp64 (exact)", 0},
    {"generator", OPT_GENERATOR, "TEXT", 0, "seal: who made the numbers", 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    request *r = state->input;
    switch (key) {
    case 'm':
        r->model = arg;
        return 0;
    case 'b':
        r->batch = arg;
        return 0;
    case 's':
        r->seed = arg;
        return 0;
    case OPT_LAYERS:
        r->layers = arg;
        return 0;
    case OPT_PARTS:
        r->parts = arg;
        return 0;
    case 'n':
        r->numerics = arg;
        return 0;
    case OPT_GENERATOR:
        r->generator = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1)
            argp_error(state, "more than one FOLDER: '%s'", arg);
        *(state->arg_num == 0 ? &r->action : &r->folder) = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < 2)
            argp_error(state, "expected make, seal or check, and a FOLDER");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse_option,
    "make|seal|check FOLDER",
    "Golden cases: outputs with fingerprints.\vmake computes a case of our own "
    "into FOLDER; seal writes the manifest of other people's files in FOLDER; "
    "check verifies the fingerprints of every case below FOLDER and computes "
    "each again. " HAR_EXIT_CODES,
    NULL,
    NULL,
    NULL};

static core_status make(const request *r)
{
    gold_case gold = {.origin = GOLD_SELF, .seed = 1, .numerics = CORE_EXACT};
    CORE_FAIL_IF(r->model == NULL || r->batch == NULL, CORE_E_USAGE,
                 "golden make: --model and --batch are needed");
    core_spec spec;
    CORE_TRY(core_spec_open(&spec, r->model, NULL));
    snprintf(gold.folder, sizeof gold.folder, "%s", r->folder);
    snprintf(gold.model, sizeof gold.model, "%s", r->model);
    snprintf(gold.generator, sizeof gold.generator, "moeparity " HAR_VERSION);
    gold.n_l = spec.n_l;
    int64_t seed = 1, n_part = 1;
    CORE_TRY(har_parse_batch(&gold.n_b, &gold.n_t, r->batch));
    if (r->layers != NULL)
        CORE_TRY(har_parse_count(&gold.n_l, "--layers", r->layers));
    if (r->seed != NULL)
        CORE_TRY(har_parse_count(&seed, "--seed", r->seed));
    if (r->parts != NULL)
        CORE_TRY(har_parse_count(&n_part, "--parts", r->parts));
    if (r->numerics != NULL)
        CORE_TRY(core_numerics_parse(&gold.numerics, r->numerics));
    CORE_FAIL_IF(n_part > GOLD_MAX_GROUPS, CORE_E_USAGE,
                 "--parts: %lld, at most %d", (long long)n_part,
                 (int)GOLD_MAX_GROUPS);
    gold.seed = (uint64_t)seed;
    gold.n_group = n_part;
    core_split(gold.n_b, n_part, gold.first_row);
    return gold_make(&gold);
}

static core_status seal(const request *r)
{
    gold_case gold = {.origin = GOLD_ORACLE};
    CORE_FAIL_IF(r->generator == NULL, CORE_E_USAGE,
                 "golden seal: --generator is needed");
    snprintf(gold.folder, sizeof gold.folder, "%s", r->folder);
    snprintf(gold.generator, sizeof gold.generator, "%s", r->generator);
    return gold_seal(&gold);
}

/* Run an oracle's checkpoint on its own inputs and compare. */
static core_status check_oracle(const gold_case *gold, char *path)
{
    char expected[1024];
    snprintf(expected, sizeof expected, "%s/expected.safetensors",
             gold->folder);
    char *run[] = {"moeparity", "run",    "--model", (char *)gold->folder,
                   "--input",   expected, "--out",   path,
                   NULL};
    const int code = har_cmd_run(8, run);
    if (code != 0)
        return code == 3 ? CORE_E_FORMAT : CORE_E_INTERNAL;
    core_st *want = NULL, *found = NULL;
    har_dump dump = {0};
    core_status status = core_st_open(&want, expected);
    if (status == CORE_OK)
        status = core_st_open(&found, path);
    if (status == CORE_OK)
        status = har_dump_compare(&dump, want, found, false);
    if (status == CORE_OK && dump.n_failed > 0)
        status = core_fail(CORE_E_DIFFERS, "%s: %s differs", expected,
                           dump.tap[dump.first].name);
    har_dump_free(&dump);
    core_st_close(found);
    core_st_close(want);
    return status;
}

static core_status check_case(const char *folder)
{
    gold_case gold;
    CORE_TRY(gold_open(&gold, folder));
    char path[64];
    snprintf(path, sizeof path, "/tmp/moeparity-golden-%d.safetensors",
             (int)getpid());
    const core_status status = gold.origin == GOLD_SELF
                                   ? gold_recompute(&gold, path)
                                   : check_oracle(&gold, path);
    unlink(path);
    return status;
}

typedef struct case_list {
    int n;
    char folder[MAX_CASES][MAX_PATH];
} case_list;

/* Collect the folders with a manifest, at most `depth` levels below. */
static void find_cases(case_list *list, const char *folder, int depth)
{
    char path[MAX_PATH];
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, "manifest.json") == 0 && list->n < MAX_CASES)
            snprintf(list->folder[list->n++], MAX_PATH, "%s", folder);
        if (depth == 0 || e->d_name[0] == '.' ||
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >=
                sizeof path)
            continue;
        find_cases(list, path, depth - 1); /* not a folder: nothing happens */
    }
    closedir(dir);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static core_status check_list(case_list *list)
{
    core_status worst = CORE_OK;
    qsort(list->folder, (size_t)list->n, sizeof list->folder[0], by_name);
    for (int i = 0; i < list->n; i++) {
        core_message_clear();
        const core_status status = check_case(list->folder[i]);
        printf("%-48s %s\n", list->folder[i],
               status == CORE_OK ? "ok" : core_message());
        if (status != CORE_OK && (worst == CORE_OK || worst == CORE_E_DIFFERS))
            worst = status;
    }
    core_message_clear();
    return worst == CORE_OK ? CORE_OK
                            : core_fail(worst, "not every golden case holds");
}

static core_status check(const request *r)
{
    case_list *list = calloc(1, sizeof *list);
    CORE_FAIL_IF(list == NULL, CORE_E_MEMORY,
                 "no memory for the list of cases");
    find_cases(list, r->folder, 8);
    const core_status status =
        list->n > 0
            ? check_list(list)
            : core_fail(CORE_E_FILE, "%s: no manifest.json in it or below",
                        r->folder);
    free(list);
    return status;
}

int har_cmd_golden(int argc, char **argv)
{
    request r = {0};
    har_parse(&argp, argc, argv, "golden", &r);
    core_message_clear();
    if (strcmp(r.action, "make") == 0)
        return har_end(make(&r));
    if (strcmp(r.action, "seal") == 0)
        return har_end(seal(&r));
    if (strcmp(r.action, "check") == 0)
        return har_end(check(&r));
    return har_end(core_fail(CORE_E_USAGE,
                             "golden: expected make, seal or "
                             "check, found '%s'",
                             r.action));
}
