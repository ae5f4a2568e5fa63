/* harness/systems/settings.c -- which words of a text are settings.
 *
 * A script has one launch line: the command that starts ranks or a server.  Its
 * words are taken apart here: launchers with their options (srun ... torchrun
 * ...), the program, its arguments.  A text without such a line is arguments
 * alone.  Traps: how many values an option takes is not known here, so that all
 * words up to the next option are its values; among a launcher's, they end
 * where a program begins.
 */
#include "core/files/text.h"
#include "harness/systems/settings_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

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
    return har__is_program(word, n) ||
           har__launcher_at(word->text) != HAR_AT_SYSTEM ||
           har__is_wrapper(word->text);
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
    while (end < n && !har__is_setting(&word[end]) &&
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
    if (har__is_program(word, n))
        return HAR_AT_SYSTEM;
    if (har__is_python(word->text))
        return HAR_AT_WRAPPER;
    const har_place own = har__launcher_at(word->text);
    return own != HAR_AT_SYSTEM ? own : place;
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
            place = har__launcher_at(word[i + 1].text);
            if (place == HAR_AT_SYSTEM)
                out->program = word[i + 1].text;
            i += 2;
        } else if (har__is_setting(&word[i])) {
            har_setting setting;
            i += read_setting(&setting, word + i, n - i, place);
            CORE_TRY(har_settings_add(out, &setting));
        } else {
            if (in_launcher && har__is_program(&word[i], n - i))
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
        if (!har__is_setting(&s->word[i]) || s->word[i].is_assignment) {
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
    CORE_TRY(har__find_launch(&launch, out, first, name));
    if (launch == NULL && core_text_after(text, "#!", NULL))
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
    const char *start = content(text);
    if (*start == '{')
        return har_settings_json(out, start, name);
    if (har_is_toml(start))
        return har_settings_toml(out, text, name);
    if (har_is_yaml(start))
        return har_settings_yaml(out, text, name);
    if (har_is_hosts(text))
        return har_settings_hosts(out, text, name);
    return read_script(out, text, name);
}
