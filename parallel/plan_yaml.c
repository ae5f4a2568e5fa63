/* parallel/plan_yaml.c -- a plan from a YAML file.
 *
 *     tp: 2
 *     pp: 3
 *     stages: [3, 2, 2]
 *     placement:        # one entry per expert: an ep index, or a list of them
 *       - 0
 *       - [0, 3]
 *     physical:         # or, for each layer with experts, the logical expert of
 *       - [0, 1, 1, 2]  # every physical one
 *
 * What a value may be is decided in plan_keys.c, and a repeated key refused by
 * par__read_key, as in the string form.  Every refusal starts with
 * file:line:column.  Trap: an empty value is a scalar without text, and null.
 */
#include "parallel/plan_keys.h"

#include "core/files/text.h"
#include "core/files/yaml.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_FILE_BYTES = 1 << 20 };

/* Where the document is read to. */
typedef struct document {
    par__reader *reader;
    const char *path;
} document;

/* The node's text; false if it is no plain scalar.  Moves the reader's place to
 * it, so that the next message points there. */
static bool scalar(par__reader *reader, const char *path,
                   const core_yaml_node *node, par__text *out)
{
    *out = (par__text){"", 0};
    if (node->is_null)
        return true;
    core_yaml_word word = {.line = 0};
    const bool is_word = core_yaml_scalar(node, &word);
    if (word.line > 0)
        snprintf(reader->where, sizeof reader->where, "%.400s:%d:%d", path,
                 word.line, word.column);
    if (is_word)
        *out = (par__text){word.text, word.n};
    return is_word;
}

static core_status read_stages(par__reader *reader, const char *path,
                               const core_yaml_node *list)
{
    par__text text;
    reader->plan->n_stage = 0;
    for (const core_yaml_node *item = list->first; item != NULL;
         item = item->next) {
        CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                     "%s: stages: expected a number for each stage",
                     reader->where);
        CORE_TRY(par__read_stage(reader, text));
    }
    CORE_FAIL_IF(reader->plan->n_stage == 0, reader->status,
                 "%s: stages: the list is empty", reader->where);
    return CORE_OK;
}

static core_status read_replicas(par__reader *reader, const char *path,
                                 const core_yaml_node *list)
{
    par__text text;
    for (const core_yaml_node *item = list->first; item != NULL;
         item = item->next) {
        CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                     "%s: placement: expected ep indices for expert %d",
                     reader->where, reader->plan->n_placed - 1);
        CORE_TRY(par__read_replica(reader, text));
    }
    const par_plan *p = reader->plan;
    CORE_FAIL_IF(p->n_replica[p->n_placed - 1] == 0, reader->status,
                 "%s: placement: expert %d has an empty list", reader->where,
                 p->n_placed - 1);
    return CORE_OK;
}

static core_status read_placement(par__reader *reader, const char *path,
                                  const core_yaml_node *list)
{
    par__text text;
    reader->plan->n_placed = 0;
    for (const core_yaml_node *item = list->first; item != NULL;
         item = item->next) {
        CORE_TRY(par__read_expert(reader));
        if (item->kind == CORE_YAML_LIST) {
            CORE_TRY(read_replicas(reader, path, item));
            continue;
        }
        CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                     "%s: placement: expected an ep index or a list of them "
                     "for expert %d",
                     reader->where, reader->plan->n_placed - 1);
        CORE_TRY(par__read_replica(reader, text));
    }
    CORE_FAIL_IF(reader->plan->n_placed == 0, reader->status,
                 "%s: placement: the list is empty", reader->where);
    return CORE_OK;
}

static core_status read_physical(par__reader *reader, const char *path,
                                 const core_yaml_node *list)
{
    par_plan *p = reader->plan;
    par__text text;
    p->n_mapped = p->n_physical = 0;
    for (const core_yaml_node *layer = list->first; layer != NULL;
         layer = layer->next) {
        int n = 0;
        CORE_FAIL_IF(layer->kind != CORE_YAML_LIST, reader->status,
                     "%s: physical: expected a list of experts for each layer "
                     "that has some",
                     reader->where);
        for (const core_yaml_node *item = layer->first; item != NULL;
             item = item->next) {
            CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                         "%s: physical: expected a logical expert for physical "
                         "expert %d of list %d",
                         reader->where, n, p->n_mapped);
            CORE_TRY(par__read_physical(reader, text, n++));
        }
        CORE_TRY(par__end_layer(reader, n));
    }
    CORE_FAIL_IF(p->n_mapped == 0, reader->status,
                 "%s: physical: the list is empty", reader->where);
    return CORE_OK;
}

static core_status read_pair(par__reader *reader, const char *path,
                             const core_yaml_node *pair)
{
    const core_yaml_node *value = pair->next;
    par__text text;
    par__key key;
    CORE_FAIL_IF(!scalar(reader, path, pair, &text), reader->status,
                 "%s: expected key: value", reader->where);
    CORE_TRY(par__read_key(reader, text, &key));
    const bool is_list = value->kind == CORE_YAML_LIST;
    if (is_list && key == PAR__KEY_STAGES)
        return read_stages(reader, path, value);
    if (is_list && key == PAR__KEY_PLACEMENT)
        return read_placement(reader, path, value);
    if (is_list && key == PAR__KEY_PHYSICAL)
        return read_physical(reader, path, value);
    const bool is_scalar = scalar(reader, path, value, &text);
    CORE_FAIL_IF(!is_scalar && key == PAR__KEY_PLACEMENT, reader->status,
                 "%s: placement: expected one list, for all layers; physical "
                 "has one for each",
                 reader->where);
    CORE_FAIL_IF(!is_scalar, reader->status, "%s: %s: expected a single value",
                 reader->where, par__key_name(key));
    return par__read_value(reader, key, text);
}

static core_status read_root(void *self, const core_yaml_node *root)
{
    const document *d = self;
    par__reader *reader = d->reader;
    CORE_FAIL_IF(root->kind != CORE_YAML_MAP, reader->status,
                 "%s: expected keys of a plan, such as 'tp: 4'", reader->where);
    for (const core_yaml_node *pair = root->first; pair != NULL;
         pair = pair->next->next)
        CORE_TRY(read_pair(reader, d->path, pair));
    CORE_FAIL_IF(reader->seen == 0, reader->status, "%s: a plan without a key",
                 reader->where);
    return CORE_OK;
}

core_status par__read_yaml(par__reader *reader, const char *path)
{
    char *text = NULL;
    CORE_TRY(core_text_read(&text, path, MAX_FILE_BYTES));
    par__reader inner = {.plan = reader->plan, .status = CORE_E_FORMAT};
    document d = {&inner, path};
    snprintf(inner.where, sizeof inner.where, "%.400s:1:1", path);
    const core_status status = core_yaml_read(text, path, read_root, &d);
    free(text);
    reader->edp = inner.edp;
    return status;
}
