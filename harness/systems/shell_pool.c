/* harness/systems/shell_pool.c -- what a script holds: texts, variables. */
#include "harness/systems/shell.h"

#include <string.h>

const char *har_shell_keep(har_script *script, const char *text, size_t n)
{
    char *out = script->pool + script->n_pool;
    if (n >= HAR_SHELL_POOL - script->n_pool)
        return NULL;
    memcpy(out, text, n);
    out[n] = '\0';
    script->n_pool += n + 1;
    return out;
}

const har_variable *har_shell_variable(const har_script *script,
                                       const char *name, size_t n_name)
{
    for (int i = 0; i < script->n_variable; i++) {
        const har_variable *v = &script->variable[i];
        if (strlen(v->name) == n_name && memcmp(v->name, name, n_name) == 0)
            return v;
    }
    return NULL;
}
