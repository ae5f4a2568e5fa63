/* harness/systems/shell_field.c -- the word being read, character by character.
 *
 * What a variable holds is added to it, and outside quotes its blanks end the
 * field, so that one word may become many.
 */
#include "harness/systems/shell_impl.h"

#include <string.h>

core_status har__shell_full(const har__reader *r, const char *what, int most)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d: more than %d %s", r->name, r->line, most,
              what);
}

core_status har__field_end(har__reader *r)
{
    har_script *s = r->script;
    const bool is_word = r->is_open && !(r->n == 1 && r->field[0] == '\\');
    if (is_word) {
        const char *text = har_shell_keep(s, r->field, r->n);
        if (text == NULL)
            return har__shell_full(r, "characters", HAR_SHELL_POOL);
        if (s->n_word == HAR_SHELL_WORDS)
            return har__shell_full(r, "words", HAR_SHELL_WORDS);
        s->word[s->n_word++] =
            (har_word){.text = text, .line = r->line, .is_maybe = r->is_maybe};
    }
    r->is_open = r->is_maybe = false;
    r->n = 0;
    return CORE_OK;
}

core_status har__field_add(har__reader *r, const char *text, size_t n)
{
    if (n >= HAR__MAX_FIELD - r->n)
        return har__shell_full(r, "characters in a word", HAR__MAX_FIELD);
    memcpy(r->field + r->n, text, n);
    r->n += n;
    r->is_open = true;
    r->is_maybe = r->is_maybe || r->in_maybe;
    return CORE_OK;
}

bool har__is_mark(char c)
{
    return c == HAR_SHELL_MAYBE || c == HAR_SHELL_SURE;
}

/* What a variable holds: its fields end where a list's words do, and at blanks
 * outside quotes. */
core_status har__field_add_value(har__reader *r, const char *text,
                                 bool is_quoted)
{
    for (; *text != '\0'; text++) {
        const bool is_blank = strchr(" \t\n", *text) != NULL && !is_quoted;
        if (har__is_mark(*text) && r->splits) {
            r->in_maybe = *text == HAR_SHELL_MAYBE;
        } else if (*text == HAR_SHELL_NEXT || (is_blank && r->splits)) {
            if (r->splits)
                CORE_TRY(har__field_end(r));
            else
                CORE_TRY(har__field_add(r, " ", 1));
        } else {
            CORE_TRY(har__field_add(r, text, 1));
        }
    }
    return CORE_OK;
}
