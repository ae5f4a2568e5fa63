/* harness/systems/import_names.c -- names of settings in the tables. */
#include "harness/systems/import_impl.h"

#include <stdio.h>
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

static bool is_listed(const char *const *lists, const char *name, size_t n)
{
    for (; lists != NULL && *lists != NULL; lists++)
        if (har__is_named(*lists, name, n))
            return true;
    return false;
}

static const har_flag *find_flag(const har_system_row *row, const char *name,
                                 size_t n)
{
    for (const har_flag *f = row->flags; f != NULL && f->names != NULL; f++)
        if (har__is_named(f->names, name, n))
            return f;
    return NULL;
}

static bool find_whole(const har_system_row *row, const char *name, size_t n,
                       har__match *out)
{
    out->flag = find_flag(row, name, n);
    out->has_no_bearing = is_listed(row->no_bearing, name, n);
    out->is_uncompared = is_listed(row->not_compared, name, n);
    return out->flag != NULL || out->has_no_bearing || out->is_uncompared;
}

/* What the name turns off, so much of it behind another beginning. */
static bool find_opposite(const har_system_row *row, const char *name, size_t n,
                          const char *begin, const char *other, har__match *out)
{
    char whole[HAR_PATH_BYTES];
    const size_t n_begin = strlen(begin);
    if (n <= n_begin || n + strlen(other) >= sizeof whole ||
        !same_name(begin, n_begin, name, n_begin))
        return false;
    snprintf(whole, sizeof whole, "%s%.*s", other, (int)(n - n_begin),
             name + n_begin);
    if (!find_whole(row, whole, strlen(whole), out))
        return false;
    out->is_negated = true;
    return out->flag == NULL || out->flag->take == HAR_TAKE_ON ||
           out->flag->take == HAR_TAKE_ONLY;
}

static bool find_negated(const har_system_row *row, const char *name, size_t n,
                         har__match *out)
{
    return (row->takes_no && find_opposite(row, name, n, "no-", "", out)) ||
           (row->pairs_switches &&
            (find_opposite(row, name, n, "disable-", "enable-", out) ||
             find_opposite(row, name, n, "enable-", "disable-", out)));
}

/* Names of a list that begin so. */
static void count_begun(const char *list, const char *name, size_t n,
                        har__match *out)
{
    while (*list != '\0') {
        const size_t n_known = strcspn(list, " ");
        if (n_known > n && list[n_known - 1] != '*' &&
            same_name(list, n, name, n)) {
            out->n_begun++;
            out->whole = list;
            out->n_whole = n_known;
        }
        list += n_known;
        list += strspn(list, " ");
    }
}

static void find_begun(const har_system_row *row, const char *name, size_t n,
                       har__match *out)
{
    for (const har_flag *f = row->flags; f != NULL && f->names != NULL; f++)
        count_begun(f->names, name, n, out);
    for (const char *const *l = row->no_bearing; l != NULL && *l != NULL; l++)
        count_begun(*l, name, n, out);
    for (const char *const *l = row->not_compared; l != NULL && *l != NULL; l++)
        count_begun(*l, name, n, out);
}

har__match har__look_up(const har_system_row *row, const har_setting *s)
{
    har__match out = {0};
    const char *name;
    size_t n;
    har__strip(s, &name, &n);
    if (row == NULL || find_whole(row, name, n, &out) ||
        find_negated(row, name, n, &out))
        return out;
    out = (har__match){0};
    if (n > 1 && s->name[0] == '-' && s->name[1] == '-')
        find_begun(row, name, n, &out);
    if (!row->cuts_names && out.n_begun > 1)
        out.n_begun = 0;
    if (row->cuts_names && out.n_begun == 1)
        find_whole(row, out.whole, out.n_whole, &out);
    return out;
}

bool har__is_known(const har__match *match)
{
    return match->flag != NULL || match->has_no_bearing || match->is_uncompared;
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
