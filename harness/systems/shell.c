/* harness/systems/shell.c -- words, variables and commands of a script.
 *
 * A word is read character by character into a field; what a variable holds is
 * added to it, and outside quotes its blanks end the field, so that one word
 * may become many.  Traps: a value that is set in a branch (between if and fi,
 * after
 * &&) cannot be told, so that $NAME stays, unless a text before this one gave
 * it; flags that are set or appended in branches are all words that may be
 * there;
 * "$@" is nothing; a | inside a word belongs to it (Megatron's layouts of
 * stages have it); the text that sbatch reads is the script.
 */
#include "core/base/arena.h"
#include "harness/systems/shell.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FIELD = 1 << 15, MOST_NESTED = 8 };

typedef struct reader {
    har_script *script;
    const char *name, *at;
    int line;
    int depth;           /* branches, loops and functions around              */
    bool is_conditional; /* the command comes after && or ||                  */
    int nested;          /* texts within texts                                */
    bool splits;         /* blanks of a variable end a field                  */
    bool is_open;        /* a field has begun                                 */
    bool in_maybe;       /* between the marks                                 */
    bool is_maybe;       /* the field has a character from there              */
    size_t n;
    char *field; /* [MAX_FIELD]                                               */
    int first_word; /* of the command                                         */
} reader;

static core_status read_text(reader *outer, const char *text);

/* --- fields --- */

static core_status fail_full(const reader *r, const char *what, int most)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d: more than %d %s", r->name, r->line, most,
              what);
}

static core_status end_field(reader *r)
{
    har_script *s = r->script;
    const bool is_word = r->is_open && !(r->n == 1 && r->field[0] == '\\');
    if (is_word) {
        const char *text = har_shell_keep(s, r->field, r->n);
        if (text == NULL)
            return fail_full(r, "characters", HAR_SHELL_POOL);
        if (s->n_word == HAR_SHELL_WORDS)
            return fail_full(r, "words", HAR_SHELL_WORDS);
        s->word[s->n_word++] =
            (har_word){.text = text, .line = r->line, .is_maybe = r->is_maybe};
    }
    r->is_open = r->is_maybe = false;
    r->n = 0;
    return CORE_OK;
}

static core_status add(reader *r, const char *text, size_t n)
{
    if (n >= MAX_FIELD - r->n)
        return fail_full(r, "characters in a word", MAX_FIELD);
    memcpy(r->field + r->n, text, n);
    r->n += n;
    r->is_open = true;
    r->is_maybe = r->is_maybe || r->in_maybe;
    return CORE_OK;
}

static bool is_mark(char c)
{
    return c == HAR_SHELL_MAYBE || c == HAR_SHELL_SURE;
}

/* What a variable holds: its fields end where a list's words do, and at blanks
 * outside quotes. */
static core_status add_value(reader *r, const char *text, bool is_quoted)
{
    for (; *text != '\0'; text++) {
        const bool is_blank = strchr(" \t\n", *text) != NULL && !is_quoted;
        if (is_mark(*text) && r->splits) {
            r->in_maybe = *text == HAR_SHELL_MAYBE;
        } else if (*text == HAR_SHELL_NEXT || (is_blank && r->splits)) {
            if (r->splits)
                CORE_TRY(end_field(r));
            else
                CORE_TRY(add(r, " ", 1));
        } else {
            CORE_TRY(add(r, text, 1));
        }
    }
    return CORE_OK;
}

/* --- variables --- */

/* Would the value, put into a line, be more than one word? */
static bool looks_like_flags(const char *value)
{
    return value[0] == '-' || strpbrk(value, " \t\n\x1d\x1e\x1f") != NULL;
}

/* The value between marks, its own left out. */
static void mark(char out[MAX_FIELD], const char *value)
{
    size_t n = 0;
    out[n++] = HAR_SHELL_MAYBE;
    for (; *value != '\0' && n + 2 < MAX_FIELD; value++)
        if (!is_mark(*value))
            out[n++] = *value;
    out[n++] = HAR_SHELL_SURE;
    out[n] = '\0';
}

static core_status find_or_make(reader *r, const char *name, size_t n_name,
                                har_variable **out)
{
    har_script *s = r->script;
    const har_variable *known = har_shell_variable(s, name, n_name);
    if (known == NULL && s->n_variable == HAR_SHELL_VARIABLES)
        return fail_full(r, "variables", HAR_SHELL_VARIABLES);
    *out = &s->variable[known != NULL ? known - s->variable : s->n_variable++];
    if (known != NULL)
        return CORE_OK;
    **out = (har_variable){.name = har_shell_keep(s, name, n_name),
                           .value = "",
                           .text = s->n_text};
    return (*out)->name != NULL ? CORE_OK
                                : fail_full(r, "characters", HAR_SHELL_POOL);
}

/* Set, or append to.  In a branch: flags are added, as words that may be there;
 * any other value is one that cannot be told. */
static core_status set_variable(reader *r, const char *name, size_t n_name,
                                const char *value, bool is_list, bool appends)
{
    har_variable *v = NULL;
    char before[MAX_FIELD], now[MAX_FIELD], text[2 * MAX_FIELD];
    const bool in_branch = r->depth > 0 || r->is_conditional;
    CORE_TRY(find_or_make(r, name, n_name, &v));
    if (in_branch && v->text != r->script->n_text)
        return CORE_OK; /* given before this script: so it is */
    v->text = r->script->n_text;
    const bool has_flags = is_list || v->is_list || looks_like_flags(value) ||
                           looks_like_flags(v->value);
    const bool keeps =
        (appends || (in_branch && has_flags)) && v->value[0] != '\0';
    v->is_list = is_list || (keeps && v->is_list);
    v->is_branch = in_branch && !has_flags;
    snprintf(before, sizeof before, "%s", keeps ? v->value : "");
    snprintf(now, sizeof now, "%s", value);
    if (in_branch && has_flags && !appends)
        mark(before, keeps ? v->value : "");
    if (in_branch && has_flags)
        mark(now, value);
    const char between[] = {v->is_list               ? HAR_SHELL_NEXT
                            : in_branch && has_flags ? ' '
                                                     : '\0',
                            '\0'};
    snprintf(text, sizeof text, "%s%s%s", before,
             keeps && value[0] != '\0' ? between : "", now);
    v->value = har_shell_keep(r->script, text, strlen(text));
    if (strlen(text) >= MAX_FIELD - 1)
        return fail_full(r, "characters in a variable", MAX_FIELD);
    return v->value != NULL ? CORE_OK
                            : fail_full(r, "characters", HAR_SHELL_POOL);
}

static size_t name_length(const char *text)
{
    size_t n = 0;
    if (isdigit((unsigned char)text[0]))
        return 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    return n;
}

/* The variable, or its name as it is written where it has no value. */
static core_status add_variable(reader *r, const char *name, size_t n_name,
                                const char *written, size_t n_written,
                                bool is_quoted)
{
    const har_variable *v = har_shell_variable(r->script, name, n_name);
    if (v != NULL && !v->is_branch)
        return add_value(r, v->value, is_quoted);
    return add(r, written, n_written);
}

/* --- $ --- */

/* The end of what opens at text[0], or NULL. */
static const char *closing(const char *text, char open, char close)
{
    int depth = 0;
    char quote = '\0';
    for (; *text != '\0'; text++) {
        if (quote != '\0') {
            quote = *text == quote ? '\0' : quote;
        } else if (*text == '\'' || *text == '"') {
            quote = *text;
        } else if (*text == open) {
            depth++;
        } else if (*text == close && --depth == 0) {
            return text;
        }
    }
    return NULL;
}

static core_status count_lines(reader *r, const char *to)
{
    CORE_FAIL_IF(to == NULL, CORE_E_FORMAT,
                 "%s:%d: what opens here is never closed", r->name, r->line);
    for (; r->at < to; r->at++)
        r->line += *r->at == '\n';
    return CORE_OK;
}

static core_status read_piece(reader *r, bool is_quoted);

/* The default of ${NAME:-default}: a text with variables of its own. */
static core_status add_default(reader *r, const char *text, size_t n,
                               bool is_quoted)
{
    const char *const back = r->at;
    const int line = r->line;
    const char *copy = har_shell_keep(r->script, text, n);
    if (copy == NULL)
        return fail_full(r, "characters", HAR_SHELL_POOL);
    CORE_FAIL_IF(++r->nested > MOST_NESTED, CORE_E_FORMAT,
                 "%s:%d: nested too deeply", r->name, r->line);
    r->at = copy;
    while (*r->at != '\0') {
        const bool is_blank = strchr(" \t\n", *r->at) != NULL;
        if (!is_blank || is_quoted || !r->splits) {
            CORE_TRY(read_piece(r, is_quoted));
            continue;
        }
        CORE_TRY(end_field(r));
        r->at++;
    }
    r->nested--;
    r->at = back;
    r->line = line;
    return CORE_OK;
}

/* ${NAME}, ${NAME[@]}, ${NAME:-default} and its like; others stay as written.
 */
static core_status read_braces(reader *r, bool is_quoted)
{
    const char *start = r->at, *end = closing(r->at + 1, '{', '}');
    CORE_TRY(count_lines(r, end));
    r->at++;
    const char *name = start + 2;
    const size_t n_digit = strspn(name, "0123456789");
    const size_t n_name = n_digit > 0 ? n_digit : name_length(name);
    const size_t n = (size_t)(r->at - start);
    const char *rest = name + n_name;
    const bool is_whole = rest == end || strncmp(rest, "[@]}", 4) == 0 ||
                          strncmp(rest, "[*]}", 4) == 0;
    if (n_name > 0 && is_whole)
        return add_variable(r, name, n_name, start, n, is_quoted);
    rest += *rest == ':';
    if (n_name == 0 || (*rest != '-' && *rest != '='))
        return add(r, start, n);
    const har_variable *v = har_shell_variable(r->script, name, n_name);
    if (v != NULL && (v->is_branch || v->value[0] != '\0'))
        return add_variable(r, name, n_name, start, n, is_quoted);
    return add_default(r, rest + 1, (size_t)(end - rest) - 1, is_quoted);
}

static core_status read_dollar(reader *r, bool is_quoted)
{
    const char *start = r->at;
    if (start[1] == '(' && start[2] == '(') {
        const char *end = closing(start + 1, '(', ')');
        long long x;
        char text[24];
        CORE_TRY(count_lines(r, end));
        r->at++;
        if (end - start < 4 ||
            !har_shell_arithmetic(r->script, start + 3,
                                  (size_t)(end - start) - 4, &x))
            return add(r, start, (size_t)(r->at - start));
        return add(r, text, (size_t)snprintf(text, sizeof text, "%lld", x));
    }
    if (start[1] == '(') {
        CORE_TRY(count_lines(r, closing(start + 1, '(', ')')));
        r->at++;
        return add(r, start, (size_t)(r->at - start));
    }
    if (start[1] == '{')
        return read_braces(r, is_quoted);
    if (start[1] == '@' || start[1] == '*') { /* the script's own arguments */
        r->at += 2;
        return CORE_OK;
    }
    const size_t n = name_length(start + 1);
    r->at += n > 0                                                  ? n + 1
             : start[1] != '\0' && ispunct((unsigned char)start[1]) ? 1
             : isdigit((unsigned char)start[1])                     ? 2
                                                                    : 1;
    if (n == 0)
        return add(r, start, (size_t)(r->at - start));
    return add_variable(r, start + 1, n, start, n + 1, is_quoted);
}

/* --- words --- */

static core_status read_quoted(reader *r)
{
    const char quote = *r->at++;
    const int line = r->line;
    r->is_open = r->is_open || quote == '\'' || strncmp(r->at, "$@", 2) != 0;
    while (*r->at != quote) {
        CORE_FAIL_IF(*r->at == '\0', CORE_E_FORMAT,
                     "%s:%d: what opens here is never closed", r->name, line);
        if (quote == '"') {
            CORE_TRY(read_piece(r, true));
            continue;
        }
        r->line += *r->at == '\n';
        CORE_TRY(add(r, r->at++, 1));
    }
    r->at++;
    return CORE_OK;
}

/* One character of a word, or what stands for several. */
static core_status read_piece(reader *r, bool is_quoted)
{
    const char c = *r->at;
    if (is_mark(c)) {
        r->in_maybe = c == HAR_SHELL_MAYBE;
        r->at++;
        return CORE_OK;
    }
    if (c == '$')
        return read_dollar(r, is_quoted);
    if (c == '`') {
        const char *start = r->at, *end = strchr(r->at + 1, '`');
        CORE_TRY(count_lines(r, end));
        r->at++;
        return add(r, start, (size_t)(r->at - start));
    }
    if (c == '\\' && r->at[1] == '\n') {
        r->at += 2;
        r->line++;
        return CORE_OK;
    }
    if (c == '\\' && r->at[1] != '\0' &&
        (!is_quoted || strchr("\"\\$`", r->at[1]) != NULL)) {
        r->at += 2;
        return add(r, r->at - 1, 1);
    }
    if (!is_quoted && (c == '"' || c == '\''))
        return read_quoted(r);
    r->line += c == '\n';
    return add(r, r->at++, 1);
}

static bool is_blank_or_end(char c)
{
    return c == '\0' || strchr(" \t\r\n", c) != NULL;
}

static bool ends_word(const reader *r)
{
    const char c = *r->at;
    if (c == '|' && r->is_open && !is_blank_or_end(r->at[1]) &&
        r->at[1] != '|' && r->at[1] != '&')
        return false;
    return is_blank_or_end(c) || strchr(";&|()<>", c) != NULL;
}

static core_status read_word(reader *r)
{
    while (!ends_word(r))
        CORE_TRY(read_piece(r, false));
    return end_field(r);
}

/* --- assignments --- */

/* Length of NAME= or NAME+= at the text; 0: it is none. */
static size_t assignment(const char *text, size_t *n_name, bool *appends)
{
    *n_name = name_length(text);
    const char *rest = text + *n_name;
    *appends = rest[0] == '+';
    return *n_name > 0 && rest[*appends] == '=' ? *n_name + *appends + 1 : 0;
}

static core_status add_marked(reader *r, const har_word *word)
{
    const char marks[] = {HAR_SHELL_MAYBE, HAR_SHELL_SURE};
    if (word->is_maybe)
        CORE_TRY(add(r, &marks[0], 1));
    CORE_TRY(add(r, word->text, strlen(word->text)));
    return word->is_maybe ? add(r, &marks[1], 1) : CORE_OK;
}

/* The words up to the closing bracket, as one value. */
static core_status read_list(reader *r)
{
    har_script *s = r->script;
    const int first = s->n_word, line = r->line;
    for (r->at++; *r->at != ')';) {
        CORE_FAIL_IF(*r->at == '\0', CORE_E_FORMAT,
                     "%s:%d: a list is never closed", r->name, line);
        if (*r->at == '#')
            r->at += strcspn(r->at, "\n");
        else if (r->at[0] == '\\' && r->at[1] == '\n')
            r->at++;
        else if (is_blank_or_end(*r->at) || strchr(";&|(<>", *r->at) != NULL)
            r->line += *r->at++ == '\n';
        else
            CORE_TRY(read_word(r));
    }
    r->at++;
    for (int i = first; i < s->n_word; i++) {
        const char next = HAR_SHELL_NEXT;
        if (i > first)
            CORE_TRY(add(r, &next, 1));
        CORE_TRY(add_marked(r, &s->word[i]));
    }
    s->n_word = first;
    return CORE_OK;
}

static core_status read_assignment(reader *r, size_t n_head, size_t n_name,
                                   bool appends)
{
    const char *name = r->at;
    const bool is_list = name[n_head] == '(';
    r->at += n_head;
    r->splits = false;
    if (is_list) {
        r->splits = true; /* of the words within */
        CORE_TRY(read_list(r));
    } else {
        while (!ends_word(r))
            CORE_TRY(read_piece(r, false));
    }
    r->splits = true;
    const char *value = har_shell_keep(r->script, r->field, r->n);
    if (value == NULL)
        return fail_full(r, "characters", HAR_SHELL_POOL);
    r->is_open = r->is_maybe = false;
    r->n = 0;
    CORE_TRY(set_variable(r, name, n_name, value, is_list, appends));
    if (is_list)
        return CORE_OK;
    CORE_TRY(add(r, name, n_name));
    CORE_TRY(add(r, "=", 1));
    CORE_TRY(add(r, value, strlen(value)));
    CORE_TRY(end_field(r));
    r->script->word[r->script->n_word - 1].is_assignment = true;
    return CORE_OK;
}

/* --- commands --- */

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0)
            return true;
    return false;
}

/* Words of the shell that open and close what may be left out. */
static bool keyword(reader *r, const char *word)
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
static core_status run_text(reader *r, int at)
{
    har_script *s = r->script;
    for (int i = at; i < s->n_word; i++) {
        CORE_TRY(add_marked(r, &s->word[i]));
        CORE_TRY(add(r, " ", 1));
    }
    const char *text = har_shell_keep(s, r->field, r->n);
    if (text == NULL)
        return fail_full(r, "characters", HAR_SHELL_POOL);
    r->is_open = r->is_maybe = false;
    r->n = 0;
    s->n_word = at;
    return read_text(r, text);
}

/* -c behind a shell and its options. */
static bool is_shell_text(const reader *r, int i)
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

static core_status end_command(reader *r)
{
    har_script *s = r->script;
    for (int i = r->first_word; i + 1 < s->n_word; i++)
        if ((i == r->first_word && strcmp(s->word[i].text, "eval") == 0) ||
            is_shell_text(r, i))
            CORE_TRY(run_text(r, i + 1));
    const int n = s->n_word - r->first_word;
    if (n > 0 && s->n_command == HAR_SHELL_COMMANDS)
        return fail_full(r, "commands", HAR_SHELL_COMMANDS);
    if (n > 0)
        s->command[s->n_command++] = (har_command){r->first_word, n};
    r->first_word = s->n_word;
    return CORE_OK;
}

/* --- comments, here-documents --- */

static core_status set_slurm(reader *r, const char *option, const char *value)
{
    static const char *const sets[][3] = {
        {"--nodes", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"},
        {"-N", "SLURM_NNODES", "SLURM_JOB_NUM_NODES"},
        {"--ntasks", "SLURM_NTASKS", "SLURM_NPROCS"},
        {"-n", "SLURM_NTASKS", "SLURM_NPROCS"},
        {"--ntasks-per-node", "SLURM_NTASKS_PER_NODE", NULL},
        {"--gpus-per-node", "SLURM_GPUS_PER_NODE", "SLURM_GPUS_ON_NODE"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        for (int k = 1; k < 3 && strcmp(sets[i][0], option) == 0; k++)
            if (sets[i][k] != NULL)
                CORE_TRY(set_variable(r, sets[i][k], strlen(sets[i][k]), value,
                                      false, false));
    return CORE_OK;
}

static core_status read_comment(reader *r)
{
    har_script *s = r->script;
    static const char sbatch[] = "#SBATCH";
    const size_t n = strlen(sbatch);
    if (strncmp(r->at, sbatch, n) != 0 || r->first_word != s->n_word) {
        r->at += strcspn(r->at, "\n");
        return CORE_OK;
    }
    CORE_TRY(add(r, sbatch, n));
    CORE_TRY(end_field(r));
    for (r->at += n; *r->at != '\n' && *r->at != '\0' && *r->at != '#';)
        if (is_blank_or_end(*r->at) || ends_word(r))
            r->at++;
        else
            CORE_TRY(read_word(r));
    for (int i = r->first_word + 1; i < s->n_word; i++) {
        char option[40] = "";
        const char *word = s->word[i].text, *equal = strchr(word, '=');
        snprintf(option, sizeof option, "%.*s",
                 equal != NULL ? (int)(equal - word) : 39, word);
        if (equal != NULL || i + 1 < s->n_word)
            CORE_TRY(set_slurm(
                r, option, equal != NULL ? equal + 1 : s->word[i + 1].text));
    }
    return end_command(r);
}

/* The lines up to the one that is `end`: what a script is for sbatch. */
static core_status read_document(reader *r, const char *end)
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
        return fail_full(r, "characters", HAR_SHELL_POOL);
    CORE_TRY(end_command(r));
    CORE_TRY(read_text(r, text));
    return end_command(r);
}

/* > FILE, 2>&1, <<END ... END: no words. */
static core_status skip_redirection(reader *r)
{
    har_script *s = r->script;
    const bool is_document = strncmp(r->at, "<<", 2) == 0 && r->at[2] != '<';
    const int first = s->n_word;
    r->at += strspn(r->at, "<>&-");
    r->at += strspn(r->at, " \t");
    CORE_TRY(read_word(r));
    const char *end =
        is_document && s->n_word > first ? s->word[first].text : NULL;
    s->n_word = first;
    return end != NULL ? read_document(r, end) : CORE_OK;
}

/* The number before 2>&1 is no word either. */
static bool is_redirection(const reader *r)
{
    const size_t n = strspn(r->at, "0123456789");
    return r->at[n] == '<' || r->at[n] == '>' ||
           (r->at[0] == '&' && r->at[1] == '>');
}

static core_status read_operator(reader *r)
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

static core_status read_command_word(reader *r)
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
    const size_t n_head = may_assign ? assignment(r->at, &n_name, &appends) : 0;
    if (n_head > 0)
        return read_assignment(r, n_head, n_name, appends);
    CORE_TRY(read_word(r));
    if (first == r->first_word && s->n_word == first + 1 &&
        keyword(r, s->word[first].text))
        s->n_word = first;
    return CORE_OK;
}

static core_status read_commands(reader *r)
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
static core_status read_text(reader *outer, const char *text)
{
    CORE_FAIL_IF(outer->nested >= MOST_NESTED, CORE_E_FORMAT,
                 "%s:%d: nested too deeply", outer->name, outer->line);
    reader inner = *outer;
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
    CORE_TRY(core_alloc(&field, MAX_FIELD, 1, "a word"));
    reader r = {.script = script,
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
