/* tests/mutation/run_mutants.c -- is every planted partition bug found?
 *
 *     run_mutants FOLDER PROGRAM [ID]
 *
 * FOLDER holds manifest.tsv and the programs mutant_STEM.  Each mutant runs
 * `verify --numerics exact --json` on its model and plan; its own options come
 * last and may name other numerics.
 *
 *   killed   exit code 1; a crash or a hang is not a verdict
 *   located  the first differing tap matches the glob of the mutant
 *   seen     every check named by the mutant fired too: coverage, replica,
 *            poison, precision or lattice among the faults of that tap, or
 *            conservation of the run, or exercise: no other pass differs;
 *            "!NAME" must not; "bits=N": the tap is said to have about N bits
 *            so did the line that `says` is part of, of report or message
 *   looks    the diagnosis of the forced pass has signatures that the mutant
 *            names, and no other; none if it names none
 *   alone    on correct inputs only that operator fails, in whichever layers.
 *            A figure, not a demand: a wrong shard feeds several operators
 *
 * A mutant that does not choose its numerics has wrong values: it runs once
 * more in fp64, fp32 and bf16, where no case may be graded as one of precision.
 *
 * A mutant that expects `nothing` is harmless (another order of a sum, say) and
 * must pass.  So must PROGRAM, the healthy one, on every model and plan used:
 * without these a verifier that always says "differs" would kill every mutant.
 * Exit 0 if all are killed, all checks seen, none misgraded, none with another
 * diagnosis than it names, at least 95 % located and there is no false alarm.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <jansson.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_FIELD = 10, MAX_ARGS = 48, MAX_MUTANTS = 512, MAX_TEXT = 256, MAX_PATH = 560 };

typedef struct mutant {
    char *stem, *id, *model, *plan, *expect, *options, *check, *says, *looks,
        *mechanism;
} mutant;

typedef struct outcome {
    int code;
    bool located, seen, alone, diagnosed;
    char first[MAX_TEXT]; /* tap, "" if none differs                          */
    char others[MAX_TEXT]; /* operators that fail beside it on correct inputs */
} outcome;

extern char **environ;

/* The exit code of `program verify ...`; its report goes to `json`, what it
 * prints beside it.                                                          */
static int run_verify(const char *program, const mutant *m, const char *json)
{
    char options[MAX_TEXT], text[MAX_PATH];
    snprintf(text, sizeof text, "%s.txt", json);
    snprintf(options, sizeof options, "%s", m->options);
    char *argv[MAX_ARGS] = {(char *)program, "verify",
                            m->model,        "--plan",
                            m->plan,         "--numerics",
                            "exact",         "--json",
                            (char *)json,    "--stall",
                            "10",            "--allow-partial"};
    int n_arg = 12;
    for (char *word = strtok(options, " ");
         word != NULL && n_arg < MAX_ARGS - 1; word = strtok(NULL, " "))
        argv[n_arg++] = word;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, text,
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
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

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* "layers.3.attn.q" -> "attn.q"; what has no layer stays. */
static const char *operator_of(const char *tap)
{
    if (strncmp(tap, "layers.", 7) != 0)
        return tap;
    const char *dot = strchr(tap + 7, '.');
    return dot != NULL ? dot + 1 : tap;
}

static bool has_fault(const json_t *first, const char *name)
{
    size_t i;
    const json_t *fault;
    json_array_foreach(json_object_get(first, "faults"), i,
                       fault) if (strcmp(json_string_value(fault), name) ==
                                  0) return true;
    return false;
}

/* An rms tells bits within one and a half: what is rounded may have half of the
 * magnitude of what is shown, or be rounded twice.                           */
static bool has_bits(const json_t *first, int bits)
{
    const json_t *found = json_object_get(first, "bits");
    return json_is_number(found) &&
           fabs(json_number_value(found) - bits) <= 1.5;
}

static bool is_conserved(const json_t *root)
{
    const json_t *plan = json_array_get(json_object_get(root, "plans"), 0);
    const json_t *only = json_array_get(json_object_get(plan, "cases"), 0);
    return !json_is_false(json_object_get(only, "conserved"));
}

/* Is it the exercise that differs, and the batch's own pass not? */
static bool is_exercise(const json_t *root)
{
    const json_t *plan = json_array_get(json_object_get(root, "plans"), 0);
    const json_t *only = json_array_get(json_object_get(plan, "cases"), 0);
    size_t i;
    const json_t *pass;
    json_array_foreach(json_object_get(only, "passes"), i, pass)
    {
        if (json_integer_value(json_object_get(pass, "failed_taps")) > 0)
            return json_is_true(json_object_get(pass, "exercise"));
    }
    return false;
}

/* "!NAME" must not fire. */
static bool checks_fired(const json_t *root, const json_t *first,
                         const char *names)
{
    char text[MAX_TEXT];
    snprintf(text, sizeof text, "%s", names);
    for (char *name = strtok(text, " "); name != NULL;
         name = strtok(NULL, " ")) {
        const bool wanted = name[0] != '!';
        name += wanted ? 0 : 1;
        const bool fired =
            strncmp(name, "bits=", 5) == 0 ? has_bits(first, atoi(name + 5))
            : strcmp(name, "conservation") == 0 ? !is_conserved(root)
            : strcmp(name, "exercise") == 0     ? is_exercise(root)
                                                : has_fault(first, name);
        if (fired != wanted)
            return false;
    }
    return true;
}

/* Is the forced pass's first difference diagnosed as one of the signatures that
 * the mutant names, and as nothing else?  Where it names none: as nothing.   */
static bool is_diagnosed(const json_t *root, const char *looks)
{
    const json_t *plan = json_array_get(json_object_get(root, "plans"), 0);
    const json_t *only = json_array_get(json_object_get(plan, "cases"), 0);
    char names[MAX_TEXT], word[MAX_TEXT];
    size_t i, k;
    const json_t *pass, *likeness;
    int n = 0;
    snprintf(names, sizeof names, " %s ", looks);
    json_array_foreach(json_object_get(only, "passes"), i, pass)
        json_array_foreach(json_object_get(pass, "diagnosis"), k, likeness)
    {
        snprintf(word, sizeof word, " %s ", text_of(likeness, "signature"));
        if (strstr(names, word) == NULL)
            return false;
        n++;
    }
    return (n > 0) == (looks[0] != '\0');
}

/* Is this part of a line that the run has printed? */
static bool was_said(const char *json, const char *says)
{
    char path[MAX_PATH], *line = NULL;
    size_t capacity = 0;
    bool found = says[0] == '\0';
    snprintf(path, sizeof path, "%s.txt", json);
    FILE *file = fopen(path, "r");
    while (file != NULL && !found && getline(&line, &capacity, file) > 0)
        found = strstr(line, says) != NULL;
    free(line);
    if (file != NULL)
        fclose(file);
    return found;
}

/* Which other operators fail on correct inputs? */
static void list_others(const json_t *root, const char *first, char *out,
                        size_t size)
{
    size_t i, used = 0;
    const json_t *tap;
    json_array_foreach(json_object_get(root, "forced"), i, tap)
    {
        char word[MAX_TEXT];
        snprintf(word, sizeof word, " %s", operator_of(text_of(tap, "tap")));
        if (strcmp(word + 1, operator_of(first)) == 0 ||
            strstr(out, word) != NULL)
            continue;
        used += (size_t)snprintf(out + used, size - used, "%s", word);
        if (used >= size)
            return;
    }
}

/* "-": the run ended with a message and without a report. */
static const char *first_of(const outcome *o)
{
    return o->first[0] != '\0' ? o->first : "-";
}

static outcome judge(const mutant *m, int code, const char *json)
{
    outcome o = {.code = code};
    json_t *root = json_load_file(json, 0, NULL);
    const json_t *first = json_object_get(root, "first");
    snprintf(o.first, sizeof o.first, "%s", text_of(first, "tap"));
    list_others(root, o.first, o.others, sizeof o.others);
    o.located = code == 1 && fnmatch(m->expect, first_of(&o), 0) == 0;
    o.seen = code == 1 && checks_fired(root, first, m->check) &&
             was_said(json, m->says);
    o.alone = o.located && o.others[0] == '\0' &&
              json_array_size(json_object_get(root, "forced")) > 0;
    o.diagnosed = is_diagnosed(root, m->looks);
    json_decref(root);
    return o;
}

/* Is a case of wrong values called one of precision?  (A bug that shows only in
 * doubles passes here.)                                                      */
static bool is_misgraded(const char *program, const mutant *m, const char *json)
{
    char options[MAX_TEXT];
    if (strstr(m->options, "--numerics") != NULL)
        return false;
    snprintf(options, sizeof options, "%s --numerics fp64,fp32,bf16 --forced",
             m->options);
    mutant again = *m;
    again.options = options;
    unlink(json);
    (void)run_verify(program, &again, json);
    json_t *root = json_load_file(json, 0, NULL);
    const json_t *plan = json_array_get(json_object_get(root, "plans"), 0);
    bool found = false;
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(plan, "cases"), i, one)
        found |= strcmp(text_of(one, "verdict"), "PRECISION") == 0;
    json_decref(root);
    if (found)
        printf("     %s: wrong values graded as precision\n", m->stem);
    return found;
}

static void print_outcome(const mutant *m, const outcome *o)
{
    printf("%-4s %-6s %-9s %-6s %-28s %s\n", m->id,
           o->code == 1 ? "killed" : "ALIVE",
           o->located ? "located" : "ELSEWHERE", o->alone ? "alone" : "",
           first_of(o), m->mechanism);
    if (o->code != 1)
        printf("     %s: exit code %d\n", m->stem, o->code);
    else if (!o->located)
        printf("     %s: expected first at %s\n", m->stem, m->expect);
    else if (o->others[0] != '\0')
        printf("     on correct inputs also:%s\n", o->others);
    if (o->code == 1 && !o->seen)
        printf("     %s: expected of the checks: %s, to be said: %s\n",
               m->stem, m->check, m->says);
    if (!o->diagnosed)
        printf("     %s: expected to look like: %s\n", m->stem,
               m->looks[0] != '\0' ? m->looks : "nothing that is known");
    fflush(stdout);
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

static bool is_harmless(const mutant *m)
{
    return strcmp(m->expect, "nothing") == 0;
}

static bool passes_control(const char *program, const mutant *m,
                           const char *json)
{
    const int code = run_verify(program, m, json);
    if (code == 0)
        return true;
    printf("FALSE ALARM on the healthy program, exit code %d: %s %s %s\n", code,
           m->model, m->plan, m->options);
    return false;
}

/* The manifest's lines, cut at tabs; they stay in memory until the end. */
static int read_manifest(const char *path, mutant *out)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    int n = 0;
    size_t capacity = 0;
    char *line = NULL;
    while (getline(&line, &capacity, file) > 0) {
        if (n == MAX_MUTANTS) /* none is left out in silence */
            return -1;
        line[strcspn(line, "\n")] = '\0';
        char *cursor = strdup(line), *field[N_FIELD] = {0};
        for (int f = 0; f < N_FIELD && cursor != NULL; f++)
            field[f] = strsep(&cursor, "\t");
        if (field[N_FIELD - 1] == NULL)
            return -1;
        out[n++] = (mutant){field[0], field[1], field[2], field[3],
                            field[4], field[5], field[6], field[7],
                            field[8], field[9]};
    }
    free(line);
    fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    static mutant all[MAX_MUTANTS];
    if (argc < 3) {
        fprintf(stderr, "usage: run_mutants FOLDER PROGRAM [ID]\n");
        return 2;
    }
    char path[512], json[512];
    snprintf(path, sizeof path, "%s/manifest.tsv", argv[1]);
    snprintf(json, sizeof json, "%s/report-%d.json", argv[1], (int)getpid());
    const int n = read_manifest(path, all);
    if (n <= 0) {
        fprintf(stderr, "run_mutants: %s: cannot read mutants\n", path);
        return 3;
    }
    int n_run = 0, n_killed = 0, n_located = 0, n_seen = 0, n_alone = 0;
    int n_harmless = 0, n_false_alarm = 0, n_misgraded = 0, n_undiagnosed = 0;
    int n_diagnosed = 0;
    for (int i = 0; i < n; i++) {
        if (argc > 3 && strcmp(argv[3], all[i].id) != 0)
            continue;
        if (argc > 3 || !control_is_known(all, i))
            n_false_alarm += !passes_control(argv[2], &all[i], json);
        unlink(json);
        snprintf(path, sizeof path, "%s/mutant_%s", argv[1], all[i].stem);
        const int code = run_verify(path, &all[i], json);
        if (is_harmless(&all[i])) {
            printf("%-4s %-44s   %s\n", all[i].id,
                   code == 0 ? "passes" : "FALSE ALARM", all[i].mechanism);
            n_harmless++;
            n_false_alarm += code != 0;
            continue;
        }
        const outcome o = judge(&all[i], code, json);
        print_outcome(&all[i], &o);
        n_run++;
        n_killed += o.code == 1;
        n_located += o.located;
        n_seen += o.seen;
        n_alone += o.alone;
        n_undiagnosed += !o.diagnosed;
        n_diagnosed += o.diagnosed && all[i].looks[0] != '\0';
        n_misgraded += is_misgraded(path, &all[i], json);
    }
    unlink(json);
    strcat(json, ".txt");
    unlink(json);
    for (int i = 0; i < n; i++)
        free(all[i].stem); /* the start of its line */
    printf("killed %d of %d, located %d, checks seen %d, alone in forced mode "
           "%d of %d; diagnosed %d, wrongly %d; misgraded %d; %d harmless "
           "changes; false alarms %d\n",
           n_killed, n_run, n_located, n_seen, n_alone, n_run, n_diagnosed,
           n_undiagnosed, n_misgraded, n_harmless, n_false_alarm);
    return n_run + n_harmless > 0 && n_killed == n_run && n_seen == n_run &&
                   n_located * 100 >= n_run * 95 && n_misgraded == 0 &&
                   n_undiagnosed == 0 && n_false_alarm == 0
               ? 0
               : 1;
}
