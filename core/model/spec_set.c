/* core/model/spec_set.c -- fields of a model set one by one: FIELD=VALUE.
 *
 * The model is written in our own form, what is set takes the place of the
 * lines of the same fields, and the whole is read: a field has the names,
 * values and refusals that it has in a file.  Trap: where a setting ends a
 * feature (rope.scaling=plain) the model's own lines of it (rope.factor) go
 * without a word; one that was set does not.
 */
#include "core/model/spec_impl.h"

#include "core/base/arena.h"

#include <stdlib.h>

enum { SET_BYTES = 16 * 1024 };

/* Are they of one field, a list's items or not? */
static bool is_same_field(const char *a, const char *b)
{
    const size_t n = strcspn(a, "["), m = strcspn(b, "[");
    return n == m && memcmp(a, b, n) == 0;
}

/* What "FIELD=VALUE" says, as the YAML line that says it. */
static core_status read_set(core__spec_entries *out, const char *set)
{
    char line[SET_BYTES], file[SET_BYTES];
    const char *value = strchr(set, '=');
    CORE_FAIL_IF(value == NULL || value == set, CORE_E_USAGE,
                 "--set: expected FIELD=VALUE, found '%.200s'", set);
    CORE_FAIL_IF(strlen(set) > SET_BYTES - 16, CORE_E_USAGE,
                 "--set: expected a short text, found '%.80s...'", set);
    snprintf(line, sizeof line, "%.*s: %s\n", (int)(value - set), set,
             value + 1);
    snprintf(file, sizeof file, "--set %s", set);
    *out = (core__spec_entries){.file = file};
    const core_status status = core__spec_entries_read(out, line, set);
    out->file = NULL;
    CORE_FAIL_IF(status == CORE_OK && out->n == 0, CORE_E_SPEC,
                 "%.200s: expected a value", file);
    return status;
}

/* Take the entries of a field out; none of them may be set. */
static core_status drop(core__spec_entries *all, const core__spec_entry *field)
{
    int n = 0;
    for (int i = 0; i < all->n; i++) {
        const core__spec_entry *old = &all->at[i];
        const bool is_one = is_same_field(old->path, field->path);
        CORE_FAIL_IF(is_one && old->set != NULL, CORE_E_USAGE,
                     "--set %.200s: set already by %.200s", field->set,
                     old->set);
        if (!is_one)
            all->at[n++] = *old;
    }
    all->n = n;
    return CORE_OK;
}

/* Put what is set in the place of what stands in `all`. */
static core_status replace(core__spec_entries *all,
                           const core__spec_entries *set)
{
    for (int i = 0; i < set->n; i++) {
        const core__spec_entry *entry = &set->at[i];
        if (i == 0 || !is_same_field(entry->path, set->at[i - 1].path))
            CORE_TRY(drop(all, entry));
        CORE_TRY(core__spec_entries_add(all, *entry));
    }
    return CORE_OK;
}

static core_status read_all(core_spec *out, const char *yaml,
                            const char *const *set, int n,
                            core__spec_entries *all, core__spec_entries *one)
{
    *all = (core__spec_entries){.file = "--set", .is_set = true};
    CORE_TRY(core__spec_entries_read(all, yaml, NULL));
    for (int i = 0; i < n; i++) {
        CORE_TRY(read_set(one, set[i]));
        CORE_TRY(replace(all, one));
    }
    return core__spec_from_entries(out, all);
}

core_status core_spec_set(core_spec *spec, const char *const *set, int n)
{
    void *memory = NULL;
    char *yaml = NULL;
    core_spec made;
    if (n == 0)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory, 2, sizeof(core__spec_entries), "fields"));
    core__spec_entries *entries = memory;
    core_status status = core_spec_yaml(&yaml, spec);
    if (status == CORE_OK)
        status = read_all(&made, yaml, set, n, &entries[0], &entries[1]);
    free(yaml);
    free(entries);
    CORE_TRY(status);
    CORE_TRY_CTX(core_spec_validate(&made), "setting %.200s%s", set[0],
                 n > 1 ? " and others" : "");
    made.own_head = spec->own_head; /* no field: what files were seen to have */
    *spec = made;
    return CORE_OK;
}
