/* harness/systems/shell.h -- a launch script as commands of words.
 *
 * As much of a shell as launch lines use: quotes, continued lines, comments,
 * variables, lists, defaults, arithmetic, eval and bash -c.  Nothing is run:
 * what only a running script knows (the output of a command, a variable that
 * nobody sets) stays in a word as it is written, with its $.
 */
#ifndef HAR_SHELL_H
#define HAR_SHELL_H

#include "core/base/status.h"

#include <stddef.h>

enum {
    HAR_SHELL_WORDS = 8192,
    HAR_SHELL_COMMANDS = 2048,
    HAR_SHELL_VARIABLES = 512,
    HAR_SHELL_POOL = 1 << 22,
};

typedef struct har_word {
    const char *text; /* in the script's pool                                 */
    int line;
    bool is_assignment; /* NAME=value before a command                        */
    bool is_maybe;      /* there only if a branch of the script is taken      */
} har_word;

typedef struct har_command {
    int first, n; /* of the words; n > 0                                      */
} har_command;

typedef struct har_variable {
    const char *name, *value; /* with the marks below                         */
    int text;                 /* number of the text that sets it              */
    bool is_list;
    bool is_branch; /* one value, set where a running script may not come by  */
} har_variable;

/* Marks in a value: between words of a list; around words that are there only
 * if a branch is taken. */
enum { HAR_SHELL_NEXT = 0x1f, HAR_SHELL_MAYBE = 0x1e, HAR_SHELL_SURE = 0x1d };

typedef struct har_script {
    int n_word, n_command, n_variable, n_text;
    size_t n_pool;
    har_word word[HAR_SHELL_WORDS];
    har_command command[HAR_SHELL_COMMANDS];
    har_variable variable[HAR_SHELL_VARIABLES];
    char pool[HAR_SHELL_POOL];
} har_script;

/* Read a text after those before, whose variables it knows.  The options of
 * lines that begin with #SBATCH are a command of that name, and set the
 * variables that Slurm derives from them.  `name` is used in messages. [local]
 * Errors: E_FORMAT as "NAME:LINE: reason".                                   */
CORE_NODISCARD core_status har_shell_read(har_script *script, const char *text,
                                          const char *name);

/* The last value of a variable; NULL if nothing sets it.             [local] */
const har_variable *har_shell_variable(const har_script *script,
                                       const char *name, size_t n_name);

/* A copy of n bytes in the pool; NULL if it is full.                 [local] */
const char *har_shell_keep(har_script *script, const char *text, size_t n);

/* The value of $(( text )), false if it has none without running.    [local] */
bool har_shell_arithmetic(const har_script *script, const char *text, size_t n,
                          long long *out);

#endif
