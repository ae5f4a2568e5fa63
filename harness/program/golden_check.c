/* harness/program/golden_check.c -- golden check: every golden below some folders.
 *
 * Reads the fingerprints of every case and then computes it again: our own bit
 * for bit (what rounds, on another processor, within its tolerances), an
 * oracle's within its rule.  It goes on after a bad case, so that one run names
 * them all.
 */
#include "harness/program/golden_check.h"

#include "harness/judge/dump.h"
#include "harness/program/command.h"
#include "harness/launch/limits.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CASES = 512 };

/* Threads that wait for each other at every operator of a small pass cost more
 * than they bring, and very much more on a busy machine.  Drawn passes do not
 * wait for each other.                                                       */
gold_options har_golden_options(const gold_case *gold)
{
    const double worth_threads = 1e9; /* products of a pass */
    const double work = (double)core_spec_active_parameters(&gold->spec) *
                        (double)(gold->batch.n_b * gold->batch.n_t);
    return (gold_options){
        .n_threads = work < worth_threads ? 1 : har_n_cores(),
        .n_beside = har_n_cores(),
        .weight_budget_bytes = har_memory_available() / 2};
}

typedef struct case_list {
    int n;
    bool too_many;
    char folder[MAX_CASES][GOLD_PATH_BYTES];
} case_list;

/* What a run that ended with this exit code has said already. */
static core_status status_of_run(int code)
{
    switch (code) {
    case 0:
        return CORE_OK;
    case 3:
        return CORE_E_FORMAT;
    case 4:
        return CORE_E_MEMORY;
    default:
        return CORE_E_INTERNAL;
    }
}

/* Run an oracle's checkpoint on its own inputs and compare. */
static core_status check_oracle(const gold_case *gold, const char *scratch)
{
    char expected[2 * GOLD_PATH_BYTES], path[2 * GOLD_PATH_BYTES];
    snprintf(expected, sizeof expected, "%s/expected.safetensors",
             gold->folder);
    snprintf(path, sizeof path, "%s/run.safetensors", scratch);
    char *run[] = {"moeparity", "run",    "--model", (char *)gold->folder,
                   "--input",   expected, "--out",   path,
                   NULL};
    CORE_TRY(status_of_run(har_cmd_run(8, run)));
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

/* *said: what is to be said of a good one. */
static core_status check_case(const har_golden_check *check, const char *folder,
                              const char **said)
{
    gold_case gold;
    bool within = false;
    CORE_TRY(gold_open(&gold, folder));
    const gold_options options = har_golden_options(&gold);
    memcpy(gold.overrides.key, check->overrides.key,
           sizeof gold.overrides.key);
    gold.overrides.n_key = check->overrides.n_key;
    core_status status = gold_find_model(&gold, check->model);
    if (status == CORE_OK)
        status = gold.origin == GOLD_SELF
                     ? gold_recompute(&gold, &options, check->scratch, &within)
                     : check_oracle(&gold, check->scratch);
    gold_close(&gold);
    *said = within ? "ok (what rounds: within its tolerances, other libraries "
                     "made it)"
                   : "ok";
    return status;
}

/* Collect the folders with a manifest, at most `depth` levels below. */
static void find_cases(case_list *list, const char *folder, int depth)
{
    char path[GOLD_PATH_BYTES];
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, "manifest.json") == 0) {
            if (list->n < MAX_CASES)
                snprintf(list->folder[list->n++], GOLD_PATH_BYTES, "%s",
                         folder);
            else
                list->too_many = true;
        }
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

static core_status check_list(case_list *list, const har_golden_check *check)
{
    core_status worst = CORE_OK;
    qsort(list->folder, (size_t)list->n, sizeof list->folder[0], by_name);
    for (int i = 0; i < list->n; i++) {
        const char *said = NULL;
        core_message_clear();
        const core_status status = check_case(check, list->folder[i], &said);
        printf("%-48s %s\n", list->folder[i],
               status == CORE_OK ? said : core_message());
        fflush(stdout);
        if (status != CORE_OK && (worst == CORE_OK || worst == CORE_E_DIFFERS))
            worst = status;
    }
    core_message_clear();
    return worst == CORE_OK ? CORE_OK
                            : core_fail(worst, "not every golden case holds");
}

static core_status find_all(case_list *list, const har_golden_check *check)
{
    for (int i = 0; i < check->n_folder; i++) {
        const int before = list->n;
        find_cases(list, check->folder[i], 8);
        CORE_FAIL_IF(list->n == before && !list->too_many, CORE_E_FILE,
                     "%s: no manifest.json in it or below", check->folder[i]);
    }
    CORE_FAIL_IF(list->too_many, CORE_E_INPUT, "more than %d golden cases",
                 (int)MAX_CASES);
    return CORE_OK;
}

core_status har_golden_check_run(void *self)
{
    const har_golden_check *check = self;
    case_list *list = calloc(1, sizeof *list);
    CORE_FAIL_IF(list == NULL, CORE_E_MEMORY,
                 "no memory for the list of cases");
    core_status status = find_all(list, check);
    if (status == CORE_OK)
        status = check_list(list, check);
    free(list);
    return status == CORE_OK ? har_report_close(stdout) : status;
}
