/* harness/systems/settings.c -- which words of a text are settings.
 *
 * A script has one launch line: the command that starts ranks or a server.  Its
 * words are taken apart here: launchers with their options (srun ... torchrun
 * ...), the program, its arguments.  A text without such a line is arguments
 * alone.  Traps: how many values an option takes is not known here, so that all
 * words up to the next option are its values; among a launcher's, they end
 * where a program begins.
 */
#include "harness/systems/impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* --- words --- */

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool begins_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Launchers, by the last part of their path or by their module. */
static har_place launcher(const char *word)
{
    static const struct {
        const char *name;
        har_place place;
    } known[] = {
        {"torchrun", HAR_AT_TORCHRUN},
        {"torch.distributed.run", HAR_AT_TORCHRUN},
        {"torch.distributed.launch", HAR_AT_TORCHRUN},
        {"mpirun", HAR_AT_MPIEXEC},
        {"mpiexec", HAR_AT_MPIEXEC},
        {"mpiexec.hydra", HAR_AT_MPIEXEC},
        {"srun", HAR_AT_SLURM},
        {"deepspeed", HAR_AT_DEEPSPEED},
        {"accelerate", HAR_AT_ACCELERATE},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, base(word)) == 0)
            return known[i].place;
    return HAR_AT_SYSTEM;
}

static bool is_wrapper(const char *word)
{
    static const char *const known[] = {
        "env",    "nohup", "exec",        "sudo",      "numactl", "taskset",
        "docker", "nsys",  "singularity", "apptainer", "podman",  "ncu",
        "uv",     "nice",  "stdbuf",      "timeout",   "bash",    "sh",
        "eval",   "run",   "conda",       "launch",    "pixi",    "poetry"};
    const char *name = base(word);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return begins_with(name, "python");
}

static bool is_server(const har_word *word, int n)
{
    const char *name = base(word->text);
    return strcmp(name, "vllm.entrypoints.openai.api_server") == 0 ||
           strcmp(name, "sglang.launch_server") == 0 ||
           ((strcmp(name, "vllm") == 0 || strcmp(name, "sglang") == 0) &&
            n > 1 && strcmp(word[1].text, "serve") == 0);
}

static bool is_program(const har_word *word, int n)
{
    return is_server(word, n) || ends_with(word->text, ".py");
}

/* --flag, -f, a.dotted.name=value. */
static bool is_setting(const har_word *word)
{
    const char *text = word->text;
    if (text[0] == '-')
        return isalpha((unsigned char)text[1]) ||
               (text[1] == '-' && isalpha((unsigned char)text[2]));
    text += strspn(text, "+~");
    const size_t n = strcspn(text, "=");
    if (text[n] == '\0' || !isalpha((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) &&
            strchr("_.-@/", text[i]) == NULL)
            return false;
    return memchr(text, '.', n) != NULL;
}

/* --- the launch line --- */

static bool may_launch(const har_script *s, const har_command *c)
{
    const char *first = s->word[c->first].text;
    return launcher(first) != HAR_AT_SYSTEM || is_wrapper(first) ||
           first[0] == '$' || is_server(&s->word[c->first], c->n) ||
           s->word[c->first].is_assignment;
}

/* 2: it starts ranks or a server, 1: a program with options, 0: neither. */
static int launches(const har_script *s, const har_command *c)
{
    int found = 0;
    bool has_option = false;
    if (!may_launch(s, c))
        return 0;
    for (int i = 0; i < c->n; i++) {
        const har_word *word = &s->word[c->first + i];
        if (launcher(word->text) != HAR_AT_SYSTEM || is_server(word, c->n - i))
            return 2;
        found = ends_with(word->text, ".py") ? 1 : found;
        has_option = has_option || is_setting(word);
    }
    return has_option ? found : 0;
}

/* The launch line among the commands from `first` on; NULL: there is none. */
static core_status find_launch(const har_command **out, const har_script *s,
                               int first, const char *name)
{
    int best = 0;
    *out = NULL;
    for (int i = first; i < s->n_command; i++) {
        const int found = launches(s, &s->command[i]);
        CORE_FAIL_IF(found > 0 && found == best, CORE_E_USAGE,
                     "%s: two launch lines, %d and %d: expected one", name,
                     s->word[(*out)->first].line,
                     s->word[s->command[i].first].line);
        if (found > best) {
            *out = &s->command[i];
            best = found;
        }
    }
    return CORE_OK;
}

/* --- settings --- */

/* -n8 is -n 8. */
static size_t short_name(const char *text)
{
    return text[0] == '-' && isalpha((unsigned char)text[1]) &&
                   isdigit((unsigned char)text[2])
               ? 2
               : 0;
}

static bool begins_program(const har_word *word, int n)
{
    return is_program(word, n) || launcher(word->text) != HAR_AT_SYSTEM ||
           is_wrapper(word->text);
}

/* The setting at word[0] of n; returns how many words it is. */
static int read_setting(har_setting *out, const har_word *word, int n,
                        har_place place)
{
    const char *text = word->text, *equal = strchr(text, '=');
    const bool in_launcher = place != HAR_AT_SYSTEM;
    const size_t n_short = in_launcher ? short_name(text) : 0;
    int end = 1;
    *out = (har_setting){.name = text,
                         .n_name = strlen(text),
                         .is_maybe = word->is_maybe,
                         .place = place};
    if (n_short > 0) {
        out->n_name = n_short;
        out->value = text + n_short;
    } else if (equal != NULL) {
        out->n_name = (size_t)(equal - text);
        out->value = equal + 1;
        out->has_equal = true;
    }
    while (end < n && !is_setting(&word[end]) &&
           !(in_launcher && begins_program(&word[end], n - end)))
        end++;
    out->more = word + 1;
    out->n_more = end - 1;
    if (out->value == NULL && end > 1) {
        out->value = word[1].text;
        out->more++;
        out->n_more--;
    }
    return end;
}

/* A word that is no option: the place of those after it. */
static har_place next_place(const har_word *word, int n, har_place place)
{
    if (is_program(word, n))
        return HAR_AT_SYSTEM;
    const har_place own = launcher(word->text);
    return own != HAR_AT_SYSTEM                                ? own
           : is_wrapper(word->text) && place == HAR_AT_WRAPPER ? HAR_AT_WRAPPER
                                                               : place;
}

static core_status read_words(har_settings *out, const har_word *word, int n,
                              har_place place)
{
    for (int i = 0; i < n;) {
        const bool in_launcher = place != HAR_AT_SYSTEM;
        const bool is_module = in_launcher && place != HAR_AT_SLURM &&
                               place != HAR_AT_MPIEXEC &&
                               (strcmp(word[i].text, "-m") == 0 ||
                                strcmp(word[i].text, "--module") == 0) &&
                               i + 1 < n;
        if (is_module) {
            place = launcher(word[i + 1].text);
            if (place == HAR_AT_SYSTEM)
                out->program = word[i + 1].text;
            i += 2;
        } else if (is_setting(&word[i])) {
            har_setting setting;
            i += read_setting(&setting, word + i, n - i, place);
            CORE_TRY(har_settings_add(out, &setting));
        } else {
            if (in_launcher && is_program(&word[i], n - i))
                out->program = word[i].text;
            place = in_launcher ? next_place(&word[i], n - i, place) : place;
            i++;
        }
    }
    return CORE_OK;
}

/* --- bare arguments --- */

static bool is_environment(const char *text)
{
    const size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return n > 0 && !isdigit((unsigned char)text[0]) && text[n] == '=';
}

/* Words that are no option and no value of one: NAME=value, or a mistake. */
static core_status read_bare_word(har_settings *out, const har_word *word)
{
    const char *equal = strchr(word->text, '=');
    if (word->is_assignment && is_environment(word->text))
        return CORE_OK; /* a variable */
    const har_setting setting = {
        .name = word->text,
        .n_name =
            equal != NULL ? (size_t)(equal - word->text) : strlen(word->text),
        .value = equal != NULL ? equal + 1 : NULL,
        .has_equal = equal != NULL,
        .place = equal != NULL ? HAR_AT_ENVIRONMENT : HAR_AT_SYSTEM};
    return har_settings_add(out, &setting);
}

static core_status read_bare(har_settings *out, int first)
{
    const har_script *s = &out->script;
    const int begin =
        s->n_command > first ? s->command[first].first : s->n_word;
    for (int i = begin; i < s->n_word;) {
        har_setting setting;
        if (!is_setting(&s->word[i]) || s->word[i].is_assignment) {
            CORE_TRY(read_bare_word(out, &s->word[i++]));
            continue;
        }
        int n = 1;
        while (i + n < s->n_word && !s->word[i + n].is_assignment &&
               !is_environment(s->word[i + n].text))
            n++;
        i += read_setting(&setting, &s->word[i], n, HAR_AT_SYSTEM);
        CORE_TRY(har_settings_add(out, &setting));
    }
    return CORE_OK;
}

/* --- texts --- */

static core_status read_slurm(har_settings *out, int first)
{
    const har_script *s = &out->script;
    for (int i = first; i < s->n_command; i++) {
        const har_command *c = &s->command[i];
        if (strcmp(s->word[c->first].text, "#SBATCH") == 0)
            CORE_TRY(read_words(out, &s->word[c->first + 1], c->n - 1,
                                HAR_AT_SLURM));
    }
    return CORE_OK;
}

static core_status read_script(har_settings *out, const char *text,
                               const char *name)
{
    const har_command *launch = NULL;
    const int first = out->script.n_command;
    CORE_TRY(har_shell_read(&out->script, text, name));
    CORE_TRY(find_launch(&launch, &out->script, first, name));
    if (launch == NULL && begins_with(text, "#!"))
        CORE_FAIL(CORE_E_USAGE, "%s: no line of it starts ranks or a server",
                  name);
    if (launch == NULL)
        return read_bare(out, first);
    CORE_TRY(read_slurm(out, first));
    return read_words(out, &out->script.word[launch->first], launch->n,
                      HAR_AT_WRAPPER);
}

/* The text behind blanks and lines of comment. */
static const char *content(const char *text)
{
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (*text != '#')
            return text;
        text += strcspn(text, "\n");
    }
}

core_status har_settings_read(har_settings *out, const char *text,
                              const char *name)
{
    if (*content(text) == '{')
        return har_settings_json(out, content(text), name);
    if (har_is_toml(content(text)))
        return har_settings_toml(out, text, name);
    return read_script(out, text, name);
}
