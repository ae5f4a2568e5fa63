/* harness/systems/shell_assign.c -- NAME=value, NAME+=value, NAME=(a list). */
#include "harness/systems/shell_impl.h"

#include <string.h>

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
