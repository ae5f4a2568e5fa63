/* harness/judge/namemap_yaml.c -- opening a name map, mostly from a YAML file.
 *
 *     prefix: "module."
 *     axes: sbh
 *     names:
 *       layers.{l}.mlp.output: layers.{l}.ffn_out
 *       router.{l}.ids: layers.{l}.topk_idx?      # may be missing
 *     padded: {logits: 32768}                     # columns, padding included
 *     logical: physical_to_logical                # ids are of physical experts
 *     first_layer: {4: 8}                         # rank: its layer 0
 *     slices:
 *       0: {"*": "b=0:8", logits: "b=0:8,c=0:256"}
 *
 * Every refusal starts with file:line:column.  Trap: the same key twice is
 * looked for here, because a second rule for a name would silently win or lose.
 */
#include "harness/judge/namemap.h"

#include "harness/judge/chosen.h"

#include "core/base/arena.h"
#include "core/base/nearest.h"
#include "core/files/text.h"
#include "core/files/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 20, WHERE_BYTES = 256, MAX_SLICES = 1 << 16 };

typedef struct reader {
    har_namemap *map;
    const char *path;
    char where[WHERE_BYTES]; /* file:line:column of the last scalar           */
} reader;

/* The node's text; false if it is no plain scalar shorter than `bytes`. */
static bool scalar(reader *r, const core_yaml_node *node, char *out,
                   size_t bytes)
{
    core_yaml_word word = {.line = 0};
    const bool is_word = core_yaml_scalar(node, &word);
    if (word.line > 0)
        snprintf(r->where, sizeof r->where, "%.200s:%d:%d", r->path, word.line,
                 word.column);
    if (!is_word || word.n >= bytes)
        return false;
    memcpy(out, word.text, word.n);
    out[word.n] = '\0';
    return true;
}

typedef core_status (*read_pair)(reader *r, const char *key,
                                 const core_yaml_node *value, int rank);

/* Every pair of a map node, in the order of the file. */
static core_status each(reader *r, const core_yaml_node *map, const char *what,
                        read_pair read, int rank)
{
    char key[HAR_MAP_TEXT];
    CORE_FAIL_IF(map->kind != CORE_YAML_MAP, CORE_E_FORMAT,
                 "%s: %s: expected a map of names to values", r->where, what);
    for (const core_yaml_node *pair = map->first; pair != NULL;
         pair = pair->next->next) {
        CORE_FAIL_IF(!scalar(r, pair, key, sizeof key), CORE_E_FORMAT,
                     "%s: %s: expected a name of less than %d bytes", r->where,
                     what, HAR_MAP_TEXT);
        const int first = pair->first_line;
        CORE_FAIL_IF(first > 0, CORE_E_FORMAT,
                     "%s: %s: given twice, first in line %d", r->where, key,
                     first);
        CORE_TRY(read(r, key, pair->next, rank));
    }
    return CORE_OK;
}

static int count_holes(const char *text)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, "{l}")) != NULL; p += 3)
        n++;
    return n;
}

/* Is the target, with {l} = 0, the name of a tap, the inputs or a stack? */
static bool is_target(const char *to)
{
    char name[2 * HAR_MAP_TEXT];
    const char *hole = strstr(to, "{l}");
    core_tap tap;
    if (hole == NULL)
        snprintf(name, sizeof name, "%s", to);
    else
        snprintf(name, sizeof name, "%.*s0%s", (int)(hole - to), to, hole + 3);
    return core_tap_parse(&tap, name) || strcmp(name, "input_ids") == 0 ||
           strcmp(name, HAR_STACKED) == 0;
}

static core_status read_name(reader *r, const char *key,
                             const core_yaml_node *value, int rank)
{
    (void)rank;
    CORE_FAIL_IF(r->map->n_rule == HAR_MAP_RULES, CORE_E_FORMAT,
                 "%s: names: more than %d", r->where, HAR_MAP_RULES);
    har_map_rule rule = {.optional = false};
    snprintf(rule.from, sizeof rule.from, "%s", key);
    CORE_FAIL_IF(!scalar(r, value, rule.to, sizeof rule.to), CORE_E_FORMAT,
                 "%s: names: %s: expected the name of a tap", r->where, key);
    const size_t n = strlen(rule.to);
    if (n > 0 && rule.to[n - 1] == '?') {
        rule.optional = true;
        rule.to[n - 1] = '\0';
    }
    CORE_FAIL_IF(!is_target(rule.to), CORE_E_FORMAT,
                 "%s: names: %s: expected the name of a tap such as "
                 "layers.{l}.ffn_out, found '%s'",
                 r->where, key, rule.to);
    CORE_FAIL_IF(count_holes(rule.from) > 1 ||
                     count_holes(rule.from) != count_holes(rule.to),
                 CORE_E_FORMAT,
                 "%s: names: %s: expected {l} once on both sides or on none",
                 r->where, key);
    r->map->rule[r->map->n_rule++] = rule;
    return CORE_OK;
}

static core_status read_number(reader *r, const char *what, const char *text,
                               int *out)
{
    char *end = NULL;
    const long n = strtol(text, &end, 10);
    CORE_FAIL_IF(text[0] < '0' || text[0] > '9' || *end != '\0' || n > 1000000,
                 CORE_E_FORMAT, "%s: %s: expected a number, found '%s'",
                 r->where, what, text);
    *out = (int)n;
    return CORE_OK;
}

static core_status read_first(reader *r, const char *key,
                              const core_yaml_node *value, int unused)
{
    (void)unused;
    har_map_first *first = &r->map->first[r->map->n_first];
    char text[HAR_MAP_TEXT];
    CORE_TRY(read_number(r, "first_layer", key, &first->rank));
    CORE_FAIL_IF(!scalar(r, value, text, sizeof text), CORE_E_FORMAT,
                 "%s: first_layer: %s: expected a number", r->where, key);
    CORE_TRY(read_number(r, "first_layer", text, &first->layer));
    r->map->n_first++;
    return CORE_OK;
}

static core_status read_padded(reader *r, const char *key,
                               const core_yaml_node *value, int unused)
{
    (void)unused;
    har_map_padded *padded = &r->map->padded[r->map->n_padded];
    char text[HAR_MAP_TEXT];
    CORE_FAIL_IF(r->map->n_padded == HAR_MAP_PADDED, CORE_E_FORMAT,
                 "%s: padded: more than %d", r->where, HAR_MAP_PADDED);
    CORE_FAIL_IF(!is_target(key), CORE_E_FORMAT,
                 "%s: padded: expected the name of a tap, found '%s'", r->where,
                 key);
    CORE_FAIL_IF(!scalar(r, value, text, sizeof text), CORE_E_FORMAT,
                 "%s: padded: %s: expected a number", r->where, key);
    CORE_TRY(read_number(r, "padded", text, &padded->n_col));
    snprintf(padded->tap, sizeof padded->tap, "%s", key);
    r->map->n_padded++;
    return CORE_OK;
}

static core_status read_one_slice(reader *r, const char *key,
                                  const core_yaml_node *value, int rank)
{
    char text[HAR_MAP_TEXT];
    har_map_slice *slice = &r->map->slice[r->map->n_slice];
    CORE_FAIL_IF(r->map->n_slice == MAX_SLICES, CORE_E_FORMAT,
                 "%s: slices: more than %d", r->where, MAX_SLICES);
    CORE_FAIL_IF(strcmp(key, "*") != 0 && !is_target(key), CORE_E_FORMAT,
                 "%s: slices: expected the name of a tap or \"*\", found '%s'",
                 r->where, key);
    slice->rank = rank;
    snprintf(slice->tap, sizeof slice->tap, "%s", key);
    CORE_FAIL_IF(!scalar(r, value, text, sizeof text), CORE_E_FORMAT,
                 "%s: slices: %s: expected ranges such as b=0:8", r->where,
                 key);
    CORE_TRY(har_slice_parse(&slice->slice, text, r->where));
    r->map->n_slice++;
    return CORE_OK;
}

static core_status read_slices(reader *r, const char *key,
                               const core_yaml_node *value, int unused)
{
    int rank = 0;
    (void)unused;
    CORE_TRY(read_number(r, "slices", key, &rank));
    return each(r, value, "slices", read_one_slice, rank);
}

/* --- the keys --- */

static core_status read_names(reader *r, const char *key,
                              const core_yaml_node *value)
{
    return each(r, value, key, read_name, 0);
}

static core_status read_paddings(reader *r, const char *key,
                                 const core_yaml_node *value)
{
    return each(r, value, key, read_padded, 0);
}

static core_status read_all_slices(reader *r, const char *key,
                                   const core_yaml_node *value)
{
    void *p = NULL;
    CORE_TRY(core_alloc(&p, MAX_SLICES, sizeof *r->map->slice, "slices"));
    r->map->slice = p;
    return each(r, value, key, read_slices, 0);
}

static core_status read_firsts(reader *r, const char *key,
                               const core_yaml_node *value)
{
    void *p = NULL;
    int64_t n = 0;
    for (const core_yaml_node *k = value->first; k != NULL; k = k->next)
        n++;
    CORE_TRY(core_alloc(&p, n + 1, sizeof *r->map->first, "ranks"));
    r->map->first = p;
    return each(r, value, key, read_first, 0);
}

static core_status read_word(reader *r, const char *key,
                             const core_yaml_node *value,
                             char text[HAR_MAP_TEXT])
{
    CORE_FAIL_IF(!scalar(r, value, text, HAR_MAP_TEXT), CORE_E_FORMAT,
                 "%s: %s: expected a single value", r->where, key);
    return CORE_OK;
}

static core_status read_prefix(reader *r, const char *key,
                               const core_yaml_node *value)
{
    return read_word(r, key, value, r->map->prefix);
}

static core_status read_logical(reader *r, const char *key,
                                const core_yaml_node *value)
{
    return read_word(r, key, value, r->map->logical);
}

static core_status read_axes(reader *r, const char *key,
                             const core_yaml_node *value)
{
    char text[HAR_MAP_TEXT];
    CORE_TRY(read_word(r, key, value, text));
    CORE_FAIL_IF(!har_axes_parse(&r->map->axes, text), CORE_E_FORMAT,
                 "%s: axes: expected bsh or sbh, found '%s'", r->where, text);
    r->map->has_axes = true;
    return CORE_OK;
}

static const struct {
    const char *name, *value, *what;
    core_status (*read)(reader *r, const char *key,
                        const core_yaml_node *value);
} KEYS[] = {
    {"prefix", "text", "what stands before every name of the dump (nothing)",
     read_prefix},
    {"axes", "bsh, sbh",
     "the order of rows of the batch and positions in its tensors (bsh)",
     read_axes},
    {"names", "names of the dump to taps",
     "what is called what: `{l}` stands for the layer, once on both sides or "
     "on none; a tap with a `?` behind may be missing, one that no name leads "
     "to is not judged (names are those of taps)",
     read_names},
    {"first_layer", "ranks to layers",
     "the layer of the model that a rank calls its layer 0 (0)", read_firsts},
    {"slices", "ranks to taps to ranges",
     "what a rank holds of a tap, or by `\"*\"` of all others: rows `b`, "
     "positions `t`, columns `c`, `FROM:TO`, any left out (what its file says, "
     "else everything)",
     read_all_slices},
    {"padded", "taps to numbers",
     "columns of a tap, padding included (as many as the model has)",
     read_paddings},
    {"logical", "name of a tensor",
     "says of each physical expert which one of the model it is (ids are the "
     "model's)",
     read_logical},
};
enum { N_KEYS = sizeof KEYS / sizeof KEYS[0] };

void har_namemap_write_fields(FILE *out)
{
    fputs("| field | value | what it is (what its absence means) |\n"
          "|---|---|---|\n",
          out);
    for (int i = 0; i < (int)N_KEYS; i++)
        fprintf(out, "| `%s` | %s | %s |\n", KEYS[i].name, KEYS[i].value,
                KEYS[i].what);
}

static const char *key_name(const void *unused, int i)
{
    (void)unused;
    return i < (int)N_KEYS ? KEYS[i].name : NULL;
}

static core_status read_root_pair(reader *r, const char *key,
                                  const core_yaml_node *value, int unused)
{
    (void)unused;
    for (int i = 0; i < (int)N_KEYS; i++)
        if (strcmp(key, KEYS[i].name) == 0)
            return KEYS[i].read(r, key, value);
    const char *near = core_nearest(key, key_name, NULL);
    CORE_FAIL(CORE_E_FORMAT, "%s: %s: unknown key%s%s%s", r->where, key,
              near != NULL ? ", is it '" : "", near != NULL ? near : "",
              near != NULL ? "'?" : "");
}

static core_status read_root(void *self, const core_yaml_node *root)
{
    return each(self, root, "map", read_root_pair, 0);
}

static core_status read_file(har_namemap *out, const char *path)
{
    char *text = NULL;
    har_namemap map;
    memset(&map, 0, sizeof map);
    reader r = {.map = &map, .path = path};
    const char *slash = strrchr(path, '/');
    snprintf(map.name, sizeof map.name, "%.90s",
             slash != NULL ? slash + 1 : path);
    snprintf(r.where, sizeof r.where, "%.200s:1:1", path);
    CORE_FAIL_IF(access(path, F_OK) != 0, CORE_E_FILE,
                 "%s: %s (ready maps are hf, megatron, llama, onnx and replay)", path,
                 strerror(errno));
    CORE_TRY(core_text_read(&text, path, MAX_FILE_BYTES));
    const core_status status = core_yaml_read(text, path, read_root, &r);
    free(text);
    if (status == CORE_OK)
        *out = map;
    else
        har_namemap_free(&map);
    return status;
}

core_status har_namemap_open(har_namemap *out, const char *what)
{
    if (what == NULL) {
        memset(out, 0, sizeof *out);
        return CORE_OK;
    }
    return har__namemap_ready(out, what) ? CORE_OK : read_file(out, what);
}
