/* core/model/spec_yaml.c -- a YAML document as a flat list of fields with
 * places.
 *
 * What the fields mean is spec_fields.c.  At most two levels of maps and one
 * list of scalars exist in a spec, so nothing here recurses.  Trap: a key that
 * is given twice is looked for here, where its path is known.
 */
#include "core/model/spec_impl.h"

#include "core/base/arena.h"
#include "core/files/yaml.h"

#include <stdlib.h>
#include <string.h>

/* The text and the place of a plain scalar; false for anything else. */
static bool scalar(const core_yaml_node *node, core__spec_entry *entry)
{
    core_yaml_word word = {.line = entry->line, .column = entry->column};
    const bool is_word = core_yaml_scalar(node, &word);
    entry->line = word.line;
    entry->column = word.column;
    if (!is_word || word.n >= sizeof entry->text)
        return false;
    memcpy(entry->text, word.text, word.n);
    entry->text[word.n] = '\0';
    return true;
}

core_status core__spec_entries_add(core__spec_entries *entries,
                                   core__spec_entry entry)
{
    CORE_FAIL_IF(entries->n == CORE_SPEC_MAX_ENTRIES, CORE_E_SPEC,
                 "%s:%d:%d: more than %d fields", entries->file, entry.line,
                 entry.column, CORE_SPEC_MAX_ENTRIES);
    entries->at[entries->n++] = entry;
    return CORE_OK;
}

/* Read the pair's key into `entry`: its path under `section`, and its place. */
static core_status read_key(const core__spec_entries *entries,
                            const core_yaml_node *pair, const char *section,
                            core__spec_entry *entry)
{
    *entry = (core__spec_entry){.line = 1, .column = 1};
    CORE_FAIL_IF(!scalar(pair, entry), CORE_E_SPEC,
                 "%s:%d:%d: expected the name of a field", entries->file,
                 entry->line, entry->column);
    const int n = snprintf(entry->path, sizeof entry->path, "%s%s%s", section,
                           section[0] == '\0' ? "" : ".", entry->text);
    entry->key_line = entry->line;
    entry->key_column = entry->column;
    CORE_FAIL_IF(n >= (int)sizeof entry->path, CORE_E_SPEC,
                 "%s:%d:%d: %s: unknown field", entries->file, entry->line,
                 entry->column, entry->text);
    return CORE_OK;
}

/* Is the key at `pair`, read into `key`, its map's first of that name? */
static core_status check_new(const core__spec_entries *entries,
                             const core_yaml_node *pair,
                             const core__spec_entry *key)
{
    const int first = pair->first_line;
    CORE_FAIL_IF(first > 0, CORE_E_SPEC,
                 "%s:%d:%d: %s: given twice, first in line %d", entries->file,
                 key->line, key->column, key->path, first);
    return CORE_OK;
}

static core_status read_list(core__spec_entries *entries,
                             core__spec_entry entry, const core_yaml_node *list)
{
    strncat(entry.path, "[]", sizeof entry.path - strlen(entry.path) - 1);
    for (const core_yaml_node *item = list->first; item != NULL;
         item = item->next) {
        CORE_FAIL_IF(!scalar(item, &entry), CORE_E_SPEC,
                     "%s:%d:%d: %s: expected words only", entries->file,
                     entry.line, entry.column, entry.path);
        CORE_TRY(core__spec_entries_add(entries, entry));
    }
    return CORE_OK;
}

static core_status read_value(core__spec_entries *entries, core__spec_entry key,
                              const core_yaml_node *value)
{
    if (value->kind == CORE_YAML_LIST)
        return read_list(entries, key, value);
    CORE_FAIL_IF(!scalar(value, &key), CORE_E_SPEC,
                 "%s:%d:%d: %s: expected a single value of less than %d "
                 "characters",
                 entries->file, key.line, key.column, key.path,
                 CORE_NAME_BYTES);
    return core__spec_entries_add(entries, key);
}

static core_status read_section(core__spec_entries *entries,
                                const core_yaml_node *map, const char *section)
{
    core__spec_entry key;
    for (const core_yaml_node *pair = map->first; pair != NULL;
         pair = pair->next->next) {
        CORE_TRY(read_key(entries, pair, section, &key));
        CORE_TRY(check_new(entries, pair, &key));
        CORE_TRY(read_value(entries, key, pair->next));
    }
    return CORE_OK;
}

static core_status read_root(void *self, const core_yaml_node *root)
{
    core__spec_entries *entries = self;
    CORE_FAIL_IF(root->kind != CORE_YAML_MAP, CORE_E_SPEC,
                 "%s:1:1: expected the fields of a model, such as 'layers: 4'",
                 entries->file);
    core__spec_entry key;
    for (const core_yaml_node *pair = root->first; pair != NULL;
         pair = pair->next->next) {
        const core_yaml_node *value = pair->next;
        CORE_TRY(read_key(entries, pair, "", &key));
        CORE_TRY(check_new(entries, pair, &key));
        if (value->kind == CORE_YAML_MAP)
            CORE_TRY(read_section(entries, value, key.text));
        else
            CORE_TRY(read_value(entries, key, value));
    }
    return CORE_OK;
}

core_status core__spec_entries_read(core__spec_entries *entries,
                                    const char *text, const char *set)
{
    const int first = entries->n;
    CORE_TRY(core_yaml_read(text, entries->file, read_root, entries));
    for (int i = first; i < entries->n; i++)
        entries->at[i].set = set;
    return CORE_OK;
}

core_status core_spec_parse_yaml(core_spec *out, const char *text,
                                 const char *name)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(core__spec_entries), "spec file"));
    core__spec_entries *entries = memory;
    *entries = (core__spec_entries){.file = name};
    core_spec spec;
    core_status status = core__spec_entries_read(entries, text, NULL);
    if (status == CORE_OK)
        status = core__spec_from_entries(&spec, entries);
    free(entries);
    CORE_TRY(status);
    CORE_TRY_CTX(core_spec_validate(&spec), "reading %s", name);
    *out = spec;
    return CORE_OK;
}
