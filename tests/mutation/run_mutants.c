/* tests/mutation/run_mutants.c -- is every planted partition bug found?
 *
 *     run_mutants FOLDER PROGRAM [ID]
 *
 * FOLDER holds manifest.tsv and the programs mutant_STEM.  Each mutant runs
 * `verify --numerics exact --json` on its model and plan.  Killed: exit code 1.
 * Located: the first differing tap matches the glob of the mutant.  PROGRAM, the
 * healthy one, must pass on every model and plan used: without that control a
 * verifier that always says "differs" would kill every mutant.
 * Exit 0 if all are killed and at least 95 % are located.
 */
#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_FIELD = 7, MAX_ARGS = 48, MAX_CONTROLS = 256 };

typedef struct mutant {
    char *stem, *id, *model, *plan, *expect, *options, *mechanism;
} mutant;

extern char **environ;

/* The exit code of `program verify ...`; its report goes to `json`. */
static int run_verify(const char *program, const mutant *m, const char *json)
{
    char options[256];
    snprintf(options, sizeof options, "%s", m->options);
    char *argv[MAX_ARGS] = {(char *)program, "verify",    m->model,
                            "--plan",        m->plan,     "--numerics",
                            "exact",         "--json",    (char *)json,
                            "--stall",       "10"};
    int n_arg = 11;
    for (char *word = strtok(options, " "); word != NULL && n_arg < MAX_ARGS - 1;
         word = strtok(NULL, " "))
        argv[n_arg++] = word;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    pid_t pid;
    const int failed =
        posix_spawn(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    int wait_status = 0;
    if (failed != 0 || waitpid(pid, &wait_status, 0) != pid)
        return -1;
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

/* The first differing tap of a report, "" if it has none. */
static void first_tap(const char *json, char *out, size_t size)
{
    json_t *root = json_load_file(json, 0, NULL);
    const char *tap = json_string_value(
        json_object_get(json_object_get(root, "first"), "tap"));
    snprintf(out, size, "%s", tap != NULL ? tap : "");
    json_decref(root);
}

/* Has the healthy program already passed with this model, plan and options? */
static bool control_is_known(const mutant *all, int i)
{
    for (int j = 0; j < i; j++)
        if (strcmp(all[j].model, all[i].model) == 0 &&
            strcmp(all[j].plan, all[i].plan) == 0 &&
            strcmp(all[j].options, all[i].options) == 0)
            return true;
    return false;
}

static int read_manifest(const char *path, char **text, mutant *out, int max)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    int n = 0;
    size_t capacity = 0;
    char *line = NULL;
    while (n < max && getline(&line, &capacity, file) > 0) {
        line[strcspn(line, "\n")] = '\0';
        text[n] = strdup(line);
        char *cursor = text[n];
        char *field[N_FIELD] = {0};
        for (int f = 0; f < N_FIELD && cursor != NULL; f++)
            field[f] = strsep(&cursor, "\t");
        if (field[N_FIELD - 1] == NULL)
            return -1;
        out[n++] = (mutant){field[0], field[1], field[2], field[3],
                            field[4], field[5], field[6]};
    }
    free(line);
    fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    static mutant all[MAX_CONTROLS];
    static char *text[MAX_CONTROLS];
    if (argc < 3) {
        fprintf(stderr, "usage: run_mutants FOLDER PROGRAM [ID]\n");
        return 2;
    }
    char path[512], json[512];
    snprintf(path, sizeof path, "%s/manifest.tsv", argv[1]);
    snprintf(json, sizeof json, "%s/report-%d.json", argv[1], (int)getpid());
    const int n = read_manifest(path, text, all, MAX_CONTROLS);
    if (n <= 0) {
        fprintf(stderr, "run_mutants: %s: cannot read mutants\n", path);
        return 3;
    }
    int n_run = 0, n_killed = 0, n_located = 0, n_false_alarm = 0;
    for (int i = 0; i < n; i++) {
        if (argc > 3 && strcmp(argv[3], all[i].id) != 0)
            continue;
        if (!control_is_known(all, i) &&
            run_verify(argv[2], &all[i], json) != 0) {
            printf("FALSE ALARM on the healthy program: %s %s %s\n",
                   all[i].model, all[i].plan, all[i].options);
            n_false_alarm++;
        }
        unlink(json);
        snprintf(path, sizeof path, "%s/mutant_%s", argv[1], all[i].stem);
        const int code = run_verify(path, &all[i], json);
        char tap[128];
        first_tap(json, tap, sizeof tap);
        const bool killed = code == 1;
        const bool located =
            killed && fnmatch(all[i].expect, tap, 0) == 0;
        printf("%-8s %-7s %-8s first %-26s %s\n", all[i].id,
               killed ? "killed" : "ALIVE", located ? "located" : "ELSEWHERE",
               tap[0] != '\0' ? tap : "-", all[i].mechanism);
        if (!killed)
            printf("         exit code %d\n", code);
        fflush(stdout);
        n_run++;
        n_killed += killed;
        n_located += located;
    }
    unlink(json);
    for (int i = 0; i < n; i++)
        free(text[i]);
    printf("killed %d of %d, located %d, false alarms %d\n", n_killed, n_run,
           n_located, n_false_alarm);
    return n_run > 0 && n_killed == n_run && n_located * 100 >= n_run * 95 &&
                   n_false_alarm == 0
               ? 0
               : 1;
}
