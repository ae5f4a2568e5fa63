/* harness/systems/import_names.c -- names of settings in the tables. */
#include "harness/systems/import_impl.h"

#include <string.h>

static char plain(char c)
{
    return c == '_' ? '-' : c;
}

static bool same_name(const char *known, size_t n_known, const char *name,
                      size_t n)
{
    const bool is_open = n_known > 0 && known[n_known - 1] == '*';
    n_known -= is_open;
    if (is_open ? n < n_known : n != n_known)
        return false;
    for (size_t i = 0; i < n_known; i++)
        if (plain(known[i]) != plain(name[i]))
            return false;
    return true;
}

/* Is the name one of a list with blanks between? */
bool har__is_named(const char *list, const char *name, size_t n)
{
    while (*list != '\0') {
        const size_t n_known = strcspn(list, " ");
        if (same_name(list, n_known, name, n))
            return true;
        list += n_known;
        list += strspn(list, " ");
    }
    return false;
}

bool har__is_listed(const char *const *lists, const char *name, size_t n)
{
    for (; lists != NULL && *lists != NULL; lists++)
        if (har__is_named(*lists, name, n))
            return true;
    return false;
}

const har_flag *har__find_flag(const har_system_row *row, const char *name,
                               size_t n)
{
    for (const har_flag *f = row->flags; f != NULL && f->names != NULL; f++)
        if (har__is_named(f->names, name, n))
            return f;
    return NULL;
}

/* The name without the dashes of a flag or the + of an override. */
void har__strip(const har_setting *s, const char **name, size_t *n)
{
    *name = s->name;
    *n = s->n_name;
    while (*n > 0 && strchr("-+~", **name) != NULL) {
        (*name)++;
        (*n)--;
    }
}
