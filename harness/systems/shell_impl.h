/* harness/systems/shell_impl.h -- the state of reading a script. */
#ifndef HAR_SHELL_IMPL_H
#define HAR_SHELL_IMPL_H

#include "harness/systems/shell.h"

enum { HAR__MAX_FIELD = 1 << 15, HAR__MOST_NESTED = 8 };

typedef struct har__reader {
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
    char *field;    /* [HAR__MAX_FIELD]    */
    int first_word; /* of the command                                         */
} har__reader;

/* --- shell_field.c --- */

/* E_FORMAT: there are more than `most` of `what`.                            */
CORE_NODISCARD core_status har__shell_full(const har__reader *r,
                                           const char *what, int most);
/* The field as a word, if there is one.                                      */
CORE_NODISCARD core_status har__field_end(har__reader *r);
CORE_NODISCARD core_status har__field_add(har__reader *r, const char *text,
                                          size_t n);
/* What a variable holds: its fields end where a list's words do, and at blanks
 * outside quotes.                                                            */
CORE_NODISCARD core_status har__field_add_value(har__reader *r,
                                                const char *text,
                                                bool is_quoted);
bool har__is_mark(char c);

/* --- shell_variables.c --- */

size_t har__name_length(const char *text);
/* Set, or append to.  In a branch: flags are added, as words that may be there;
 * any other value is one that cannot be told.                                */
CORE_NODISCARD core_status har__variable_set(har__reader *r, const char *name,
                                             size_t n_name, const char *value,
                                             bool is_list, bool appends);
/* The variable into the field, or its name as it is written where it has no
 * value.                                                                     */
CORE_NODISCARD core_status har__variable_add(har__reader *r, const char *name,
                                             size_t n_name, const char *written,
                                             size_t n_written, bool is_quoted);

/* --- shell_words.c --- */

bool har__is_blank_or_end(char c);
bool har__ends_word(const har__reader *r);
/* One character of a word, or what stands for several.                       */
CORE_NODISCARD core_status har__read_piece(har__reader *r, bool is_quoted);
CORE_NODISCARD core_status har__read_word(har__reader *r);

/* --- shell_assign.c --- */

/* Length of NAME= or NAME+= at the text; 0: it is none.                      */
size_t har__assignment(const char *text, size_t *n_name, bool *appends);
CORE_NODISCARD core_status har__read_assignment(har__reader *r, size_t n_head,
                                                size_t n_name, bool appends);
CORE_NODISCARD core_status har__add_marked(har__reader *r,
                                           const har_word *word);

/* --- shell_slurm.c --- */

CORE_NODISCARD core_status har__set_slurm(har__reader *r, const char *option,
                                          const char *value);

#endif
