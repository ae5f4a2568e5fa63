/* harness/systems/shell_variables.c -- what a script sets.
 *
 * Traps: a value that is set in a branch (between if and fi, after &&) cannot
 * be told, so that $NAME stays, unless a text before this one gave it; flags
 * that are set or appended in branches are all words that may be there.
 */
#include "harness/systems/shell_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Would the value, put into a line, be more than one word? */
static bool looks_like_flags(const char *value)
{
    return value[0] == '-' || strpbrk(value, " \t\n\x1d\x1e\x1f") != NULL;
}

/* The value between marks, its own left out. */
static void mark(char out[HAR__MAX_FIELD], const char *value)
{
    size_t n = 0;
    out[n++] = HAR_SHELL_MAYBE;
    for (; *value != '\0' && n + 2 < HAR__MAX_FIELD; value++)
        if (!har__is_mark(*value))
            out[n++] = *value;
    out[n++] = HAR_SHELL_SURE;
    out[n] = '\0';
}

static core_status find_or_make(har__reader *r, const char *name, size_t n_name,
                                har_variable **out)
{
    har_script *s = r->script;
    const har_variable *known = har_shell_variable(s, name, n_name);
    if (known == NULL && s->n_variable == HAR_SHELL_VARIABLES)
        return har__shell_full(r, "variables", HAR_SHELL_VARIABLES);
    *out = &s->variable[known != NULL ? known - s->variable : s->n_variable++];
    if (known != NULL)
        return CORE_OK;
    **out = (har_variable){.name = har_shell_keep(s, name, n_name),
                           .value = "",
                           .text = s->n_text};
    return (*out)->name != NULL
               ? CORE_OK
               : har__shell_full(r, "characters", HAR_SHELL_POOL);
}

/* Set, or append to.  In a branch: flags are added, as words that may be there;
 * any other value is one that cannot be told. */
core_status har__variable_set(har__reader *r, const char *name, size_t n_name,
                              const char *value, bool is_list, bool appends)
{
    har_variable *v = NULL;
    char before[HAR__MAX_FIELD], now[HAR__MAX_FIELD], text[2 * HAR__MAX_FIELD];
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
    if (strlen(text) >= HAR__MAX_FIELD - 1)
        return har__shell_full(r, "characters in a variable", HAR__MAX_FIELD);
    return v->value != NULL ? CORE_OK
                            : har__shell_full(r, "characters", HAR_SHELL_POOL);
}

size_t har__name_length(const char *text)
{
    size_t n = 0;
    if (isdigit((unsigned char)text[0]))
        return 0;
    while (isalnum((unsigned char)text[n]) || text[n] == '_')
        n++;
    return n;
}

/* The variable, or its name as it is written where it has no value. */
core_status har__variable_add(har__reader *r, const char *name, size_t n_name,
                              const char *written, size_t n_written,
                              bool is_quoted)
{
    const har_variable *v = har_shell_variable(r->script, name, n_name);
    if (v != NULL && !v->is_branch)
        return har__field_add_value(r, v->value, is_quoted);
    return har__field_add(r, written, n_written);
}
