/* harness/systems/shell_words.c -- words and assignments of a script.
 *
 * Trap: a | inside a word belongs to it (Megatron's layouts of stages have it).
 */
#include "harness/systems/shell_impl.h"

#include <string.h>

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
        return har__read_dollar(r, is_quoted);
    if (c == '`') {
        const char *start = r->at, *end = strchr(r->at + 1, '`');
        CORE_TRY(har__count_lines(r, end));
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

/* --- assignments --- */

/* Length of NAME= or NAME+= at the text; 0: it is none. */
size_t har__assignment(const char *text, size_t *n_name, bool *appends)
{
    *n_name = har__name_length(text);
    const char *rest = text + *n_name;
    *appends = rest[0] == '+';
    return *n_name > 0 && rest[*appends] == '=' ? *n_name + *appends + 1 : 0;
}

core_status har__add_marked(har__reader *r, const har_word *word)
{
    const char marks[] = {HAR_SHELL_MAYBE, HAR_SHELL_SURE};
    if (word->is_maybe)
        CORE_TRY(har__field_add(r, &marks[0], 1));
    CORE_TRY(har__field_add(r, word->text, strlen(word->text)));
    return word->is_maybe ? har__field_add(r, &marks[1], 1) : CORE_OK;
}

/* The words up to the closing bracket, as one value. */
static core_status read_list(har__reader *r)
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
        else if (har__is_blank_or_end(*r->at) ||
                 strchr(";&|(<>", *r->at) != NULL)
            r->line += *r->at++ == '\n';
        else
            CORE_TRY(har__read_word(r));
    }
    r->at++;
    for (int i = first; i < s->n_word; i++) {
        const char next = HAR_SHELL_NEXT;
        if (i > first)
            CORE_TRY(har__field_add(r, &next, 1));
        CORE_TRY(har__add_marked(r, &s->word[i]));
    }
    s->n_word = first;
    return CORE_OK;
}

core_status har__read_assignment(har__reader *r, size_t n_head, size_t n_name,
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
        while (!har__ends_word(r))
            CORE_TRY(har__read_piece(r, false));
    }
    r->splits = true;
    const char *value = har_shell_keep(r->script, r->field, r->n);
    if (value == NULL)
        return har__shell_full(r, "characters", HAR_SHELL_POOL);
    r->is_open = r->is_maybe = false;
    r->n = 0;
    CORE_TRY(har__variable_set(r, name, n_name, value, is_list, appends));
    if (is_list)
        return CORE_OK;
    CORE_TRY(har__field_add(r, name, n_name));
    CORE_TRY(har__field_add(r, "=", 1));
    CORE_TRY(har__field_add(r, value, strlen(value)));
    CORE_TRY(har__field_end(r));
    r->script->word[r->script->n_word - 1].is_assignment = true;
    return CORE_OK;
}
