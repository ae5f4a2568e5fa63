/* harness/systems/shell.c -- commands of a script.
 *
 * Traps: options behind #SBATCH are a command of that name; the text that
 * sbatch reads is the script.
 */
#include "core/base/arena.h"
#include "harness/systems/shell_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static core_status read_text(har__reader *outer, const char *text);

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

/* Words of the shell that open and close what may be left out. */
static bool keyword(har__reader *r, const char *word)
{
    static const char *const opens[] = {"if",   "for", "while",  "until",
                                        "case", "{",   "select", NULL};
    static const char *const closes[] = {"fi", "done", "esac", "}", NULL};
    static const char *const between[] = {"then", "else", "elif", "do",
                                          "!",    "time", NULL};
    if (is_one_of(word, opens))
        r->depth++;
    else if (is_one_of(word, closes))
        r->depth -= r->depth > 0;
    else
        return is_one_of(word, between);
    return true;
}

/* A text that is run as commands of its own: eval TEXT, bash -c TEXT. */
static core_status run_text(har__reader *r, int at)
{
    har_script *s = r->script;
    for (int i = at; i < s->n_word; i++) {
        CORE_TRY(har__add_marked(r, &s->word[i]));
        CORE_TRY(har__field_add(r, " ", 1));
    }
    const char *text = har_shell_keep(s, r->field, r->n);
    if (text == NULL)
        return har__shell_full(r, "characters", HAR_SHELL_POOL);
    r->is_open = r->is_maybe = false;
    r->n = 0;
    s->n_word = at;
    return read_text(r, text);
}

/* -c behind a shell and its options. */
static bool is_shell_text(const har__reader *r, int i)
{
    static const char *const shells[] = {"bash", "sh", "/bin/bash", "/bin/sh",
                                         NULL};
    const har_word *word = r->script->word;
    if (strcmp(word[i].text, "-c") != 0 && strcmp(word[i].text, "-lc") != 0)
        return false;
    while (i > r->first_word && word[i].text[0] == '-')
        i--;
    return is_one_of(word[i].text, shells);
}

static core_status end_command(har__reader *r)
{
    har_script *s = r->script;
    for (int i = r->first_word; i + 1 < s->n_word; i++)
        if ((i == r->first_word && strcmp(s->word[i].text, "eval") == 0) ||
            is_shell_text(r, i))
            CORE_TRY(run_text(r, i + 1));
    const int n = s->n_word - r->first_word;
    if (n > 0 && s->n_command == HAR_SHELL_COMMANDS)
        return har__shell_full(r, "commands", HAR_SHELL_COMMANDS);
    if (n > 0)
        s->command[s->n_command++] = (har_command){r->first_word, n};
    r->first_word = s->n_word;
    return CORE_OK;
}

/* --- what is no word of a command: comments, redirections, documents --- */

static core_status read_comment(har__reader *r)
{
    har_script *s = r->script;
    static const char sbatch[] = "#SBATCH";
    const size_t n = strlen(sbatch);
    if (strncmp(r->at, sbatch, n) != 0 || r->first_word != s->n_word) {
        r->at += strcspn(r->at, "\n");
        return CORE_OK;
    }
    CORE_TRY(har__field_add(r, sbatch, n));
    CORE_TRY(har__field_end(r));
    for (r->at += n; *r->at != '\n' && *r->at != '\0' && *r->at != '#';)
        if (har__is_blank_or_end(*r->at) || har__ends_word(r))
            r->at++;
        else
            CORE_TRY(har__read_word(r));
    for (int i = r->first_word + 1; i < s->n_word; i++) {
        char option[40] = "";
        const char *word = s->word[i].text, *equal = strchr(word, '=');
        snprintf(option, sizeof option, "%.*s",
                 equal != NULL ? (int)(equal - word) : 39, word);
        if (equal != NULL || i + 1 < s->n_word)
            CORE_TRY(har__set_slurm(
                r, option, equal != NULL ? equal + 1 : s->word[i + 1].text));
    }
    return end_command(r);
}

/* The lines up to the one that is `end`: what a script is for sbatch. */
static core_status read_document(har__reader *r, const char *end)
{
    har_script *s = r->script;
    const bool is_script = s->n_word > r->first_word &&
                           strcmp(s->word[r->first_word].text, "sbatch") == 0;
    r->at += strcspn(r->at, "\n");
    const char *start = r->at, *stop = r->at;
    while (*r->at != '\0') {
        r->line++;
        r->at++;
        stop = r->at;
        const size_t n = strcspn(r->at, "\n"), tabs = strspn(r->at, "\t");
        const bool is_end =
            n - tabs == strlen(end) && memcmp(r->at + tabs, end, n - tabs) == 0;
        r->at += n;
        if (is_end)
            break;
    }
    if (!is_script)
        return CORE_OK;
    const char *text = har_shell_keep(s, start, (size_t)(stop - start));
    if (text == NULL)
        return har__shell_full(r, "characters", HAR_SHELL_POOL);
    CORE_TRY(end_command(r));
    CORE_TRY(read_text(r, text));
    return end_command(r);
}

/* > FILE, 2>&1, <<END ... END: no words. */
static core_status skip_redirection(har__reader *r)
{
    har_script *s = r->script;
    const bool is_document = strncmp(r->at, "<<", 2) == 0 && r->at[2] != '<';
    const int first = s->n_word;
    r->at += strspn(r->at, "<>&-");
    r->at += strspn(r->at, " \t");
    CORE_TRY(har__read_word(r));
    const char *end =
        is_document && s->n_word > first ? s->word[first].text : NULL;
    s->n_word = first;
    return end != NULL ? read_document(r, end) : CORE_OK;
}

/* The number before 2>&1 is no word either. */
static bool is_redirection(const har__reader *r)
{
    const size_t n = strspn(r->at, "0123456789");
    return r->at[n] == '<' || r->at[n] == '>' ||
           (r->at[0] == '&' && r->at[1] == '>');
}

static core_status read_operator(har__reader *r)
{
    const char c = *r->at;
    const bool is_and = c != '\n' && (strncmp(r->at, "&&", 2) == 0 ||
                                      strncmp(r->at, "||", 2) == 0);
    CORE_TRY(end_command(r));
    r->is_conditional = is_and;
    r->line += c == '\n';
    r->at += is_and ? 2 : 1;
    return CORE_OK;
}

static core_status read_command_word(har__reader *r)
{
    static const char *const declares[] = {
        "export", "declare", "local", "readonly", "typeset", "env", NULL};
    har_script *s = r->script;
    const int first = s->n_word;
    const bool may_assign = first == r->first_word ||
                            s->word[first - 1].is_assignment ||
                            is_one_of(s->word[r->first_word].text, declares);
    size_t n_name;
    bool appends;
    const size_t n_head =
        may_assign ? har__assignment(r->at, &n_name, &appends) : 0;
    if (n_head > 0)
        return har__read_assignment(r, n_head, n_name, appends);
    CORE_TRY(har__read_word(r));
    if (first == r->first_word && s->n_word == first + 1 &&
        keyword(r, s->word[first].text))
        s->n_word = first;
    return CORE_OK;
}

static core_status read_commands(har__reader *r)
{
    while (*r->at != '\0') {
        if (r->at[0] == '\\' && r->at[1] == '\n') {
            r->at += 2;
            r->line++;
        } else if (strchr(" \t\r", *r->at) != NULL) {
            r->at++;
        } else if (*r->at == '#') {
            CORE_TRY(read_comment(r));
        } else if (is_redirection(r)) {
            r->at += strspn(r->at, "0123456789&");
            CORE_TRY(skip_redirection(r));
        } else if (strchr("\n;&|()", *r->at) != NULL) {
            CORE_TRY(read_operator(r));
        } else {
            CORE_TRY(read_command_word(r));
        }
    }
    return CORE_OK;
}

/* A text within the command being read: its words are the command's own, the
 * last of them for its owner to end. */
static core_status read_text(har__reader *outer, const char *text)
{
    CORE_FAIL_IF(outer->nested >= HAR__MOST_NESTED, CORE_E_FORMAT,
                 "%s:%d: nested too deeply", outer->name, outer->line);
    har__reader inner = *outer;
    inner.at = text;
    inner.nested++;
    CORE_TRY(read_commands(&inner));
    outer->first_word = inner.first_word;
    return CORE_OK;
}

core_status har_shell_read(har_script *script, const char *text,
                           const char *name)
{
    void *field = NULL;
    script->n_text++;
    CORE_TRY(core_alloc(&field, HAR__MAX_FIELD, 1, "a word"));
    har__reader r = {.script = script,
                     .name = name,
                     .at = text,
                     .line = 1,
                     .splits = true,
                     .field = field,
                     .first_word = script->n_word};
    core_status status = read_commands(&r);
    if (status == CORE_OK)
        status = end_command(&r);
    free(field);
    return status;
}
