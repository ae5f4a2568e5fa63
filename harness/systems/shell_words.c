/* harness/systems/shell_words.c -- words of a script, and what a $ stands for.
 *
 * Traps: "$@" is nothing; what only a running script knows stays as written; a
 * | inside a word belongs to it (Megatron's layouts of stages have it).
 */
#include "harness/systems/shell_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

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

static core_status count_lines(har__reader *r, const char *to)
{
    CORE_FAIL_IF(to == NULL, CORE_E_FORMAT,
                 "%s:%d: what opens here is never closed", r->name, r->line);
    for (; r->at < to; r->at++)
        r->line += *r->at == '\n';
    return CORE_OK;
}

/* The default of ${NAME:-default}: a text with variables of its own. */
static core_status add_default(har__reader *r, const char *text, size_t n,
                               bool is_quoted)
{
    const char *const back = r->at;
    const int line = r->line;
    const char *copy = har_shell_keep(r->script, text, n);
    if (copy == NULL)
        return har__shell_full(r, "characters", HAR_SHELL_POOL);
    CORE_FAIL_IF(++r->nested > HAR__MOST_NESTED, CORE_E_FORMAT,
                 "%s:%d: nested too deeply", r->name, r->line);
    r->at = copy;
    while (*r->at != '\0') {
        const bool is_blank = strchr(" \t\n", *r->at) != NULL;
        if (!is_blank || is_quoted || !r->splits) {
            CORE_TRY(har__read_piece(r, is_quoted));
            continue;
        }
        CORE_TRY(har__field_end(r));
        r->at++;
    }
    r->nested--;
    r->at = back;
    r->line = line;
    return CORE_OK;
}

/* ${NAME}, ${NAME[@]}, ${NAME:-default} and its like; others stay as written.
 */
static core_status read_braces(har__reader *r, bool is_quoted)
{
    const char *start = r->at, *end = closing(r->at + 1, '{', '}');
    CORE_TRY(count_lines(r, end));
    r->at++;
    const char *name = start + 2;
    const size_t n_digit = strspn(name, "0123456789");
    const size_t n_name = n_digit > 0 ? n_digit : har__name_length(name);
    const size_t n = (size_t)(r->at - start);
    const char *rest = name + n_name;
    const bool is_whole = rest == end || strncmp(rest, "[@]}", 4) == 0 ||
                          strncmp(rest, "[*]}", 4) == 0;
    if (n_name > 0 && is_whole)
        return har__variable_add(r, name, n_name, start, n, is_quoted);
    rest += *rest == ':';
    if (n_name == 0 || (*rest != '-' && *rest != '='))
        return har__field_add(r, start, n);
    const har_variable *v = har_shell_variable(r->script, name, n_name);
    if (v != NULL && (v->is_branch || v->value[0] != '\0'))
        return har__variable_add(r, name, n_name, start, n, is_quoted);
    return add_default(r, rest + 1, (size_t)(end - rest) - 1, is_quoted);
}

static core_status read_dollar(har__reader *r, bool is_quoted)
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
            return har__field_add(r, start, (size_t)(r->at - start));
        return har__field_add(r, text,
                              (size_t)snprintf(text, sizeof text, "%lld", x));
    }
    if (start[1] == '(') {
        CORE_TRY(count_lines(r, closing(start + 1, '(', ')')));
        r->at++;
        return har__field_add(r, start, (size_t)(r->at - start));
    }
    if (start[1] == '{')
        return read_braces(r, is_quoted);
    if (start[1] == '@' || start[1] == '*') { /* the script's own arguments */
        r->at += 2;
        return CORE_OK;
    }
    const size_t n = har__name_length(start + 1);
    r->at += n > 0                                                  ? n + 1
             : start[1] != '\0' && ispunct((unsigned char)start[1]) ? 1
             : isdigit((unsigned char)start[1])                     ? 2
                                                                    : 1;
    if (n == 0)
        return har__field_add(r, start, (size_t)(r->at - start));
    return har__variable_add(r, start + 1, n, start, n + 1, is_quoted);
}

/* --- words --- */

static core_status read_quoted(har__reader *r)
{
    const char quote = *r->at++;
    const int line = r->line;
    r->is_open = r->is_open || quote == '\'' || strncmp(r->at, "$@", 2) != 0;
    while (*r->at != quote) {
        CORE_FAIL_IF(*r->at == '\0', CORE_E_FORMAT,
                     "%s:%d: what opens here is never closed", r->name, line);
        if (quote == '"') {
            CORE_TRY(har__read_piece(r, true));
            continue;
        }
        r->line += *r->at == '\n';
        CORE_TRY(har__field_add(r, r->at++, 1));
    }
    r->at++;
    return CORE_OK;
}

/* One character of a word, or what stands for several. */
core_status har__read_piece(har__reader *r, bool is_quoted)
{
    const char c = *r->at;
    if (har__is_mark(c)) {
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
        return har__field_add(r, start, (size_t)(r->at - start));
    }
    if (c == '\\' && r->at[1] == '\n') {
        r->at += 2;
        r->line++;
        return CORE_OK;
    }
    if (c == '\\' && r->at[1] != '\0' &&
        (!is_quoted || strchr("\"\\$`", r->at[1]) != NULL)) {
        r->at += 2;
        return har__field_add(r, r->at - 1, 1);
    }
    if (!is_quoted && (c == '"' || c == '\''))
        return read_quoted(r);
    r->line += c == '\n';
    return har__field_add(r, r->at++, 1);
}

bool har__is_blank_or_end(char c)
{
    return c == '\0' || strchr(" \t\r\n", c) != NULL;
}

bool har__ends_word(const har__reader *r)
{
    const char c = *r->at;
    if (c == '|' && r->is_open && !har__is_blank_or_end(r->at[1]) &&
        r->at[1] != '|' && r->at[1] != '&')
        return false;
    return har__is_blank_or_end(c) || strchr(";&|()<>", c) != NULL;
}

core_status har__read_word(har__reader *r)
{
    while (!har__ends_word(r))
        CORE_TRY(har__read_piece(r, false));
    return har__field_end(r);
}
