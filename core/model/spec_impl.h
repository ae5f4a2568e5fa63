/* core/model/spec_impl.h -- private to core/model: fields of a spec file, checks.
 *
 * spec_yaml.c turns a YAML document into a flat list of (path, text, place);
 * spec_fields.c knows which paths there are and what their texts mean.
 */
#ifndef CORE_SPEC_IMPL_H
#define CORE_SPEC_IMPL_H

#include "core/model/spec.h"

#include <string.h>

enum {
    CORE_SPEC_PATH_BYTES = 64,
    CORE_SPEC_MAX_ENTRIES = 4 * CORE_MAX_LAYERS + 128 /* lists of layers */
};

/* "rope.theta" = "10000"; lines and columns count from 1.  An element of a list
 * has the path of the list and "[]".                                         */
typedef struct core__spec_entry {
    char path[CORE_SPEC_PATH_BYTES];
    char text[CORE_NAME_BYTES];
    int line, column;         /* of the text                                  */
    int key_line, key_column; /* of the last part of the path                 */
    const char *set;          /* the FIELD=VALUE that says so; NULL: the file */
} core__spec_entry;

typedef struct core__spec_entries {
    const char *file; /* borrowed, for messages                               */
    bool is_set;      /* some are: others need not apply                      */
    int n;
    core__spec_entry at[CORE_SPEC_MAX_ENTRIES];
} core__spec_entries;

/* Add what a YAML document says; set: of which FIELD=VALUE it is, or NULL.
 * Errors: E_FORMAT, E_SPEC.                                          [local] */
CORE_NODISCARD core_status core__spec_entries_read(core__spec_entries *entries,
                                                   const char *text,
                                                   const char *set);
CORE_NODISCARD core_status core__spec_entries_add(core__spec_entries *entries,
                                                  core__spec_entry entry);

/* Values no file has to state, because they act on nothing.                  */
core_spec core__spec_blank(void);

/* The path of the first field in which two models of as many layers differ;
 * NULL: none.                                                        [local] */
const char *core__spec_difference(const core_spec *a, const core_spec *b);

/* The spec that the entries describe, not yet validated.  Errors: E_SPEC for
 * an unknown, missing, superfluous or unreadable field.              [local] */
CORE_NODISCARD core_status core__spec_from_entries(
    core_spec *out, const core__spec_entries *entries);

/* Has any layer that mixer, does any choose keys?  Layers beyond the last say
 * attention, and none.                                               [local] */
static inline bool core__any_mixer(const core_spec *spec, core_mixer mixer)
{
    return memchr(spec->mixer, (int)mixer, sizeof spec->mixer) != NULL;
}

static inline bool core__any_chosen(const core_spec *spec)
{
    return memchr(spec->sight, CORE_SIGHT_CHOSEN, sizeof spec->sight) != NULL;
}

/* E_SPEC unless least <= value <= most; what: the field's path.      [local] */
CORE_NODISCARD static inline core_status
core__check_size(const core_spec *spec, const char *what, int64_t value,
                 int64_t least, int64_t most)
{
    CORE_FAIL_IF(value < least || value > most, CORE_E_SPEC,
                 "%s: %s %lld, expected %lld to %lld", spec->name, what,
                 (long long)value, (long long)least, (long long)most);
    return CORE_OK;
}

/* The rules of an operator's settings, of any model that has attention.      */
#define CORE_CHECK_DECLARE(name)                                               \
    CORE_NODISCARD core_status core__check_##name(const core_spec *spec);
CORE_CHECK_LIST(CORE_CHECK_DECLARE)
#undef CORE_CHECK_DECLARE

/* Fill *out if there is a preset of that name.                       [local] */
bool core__spec_preset(core_spec *out, const char *name);

/* A folder whose files hold a head that is not the embedding, though its
 * config.json says tied: the spec is not tied then, and has its own_head.
 * [local] Errors: those of core_st_folder_open.                              */
CORE_NODISCARD core_status core__spec_untie(core_spec *spec,
                                            const char *folder);

#endif
