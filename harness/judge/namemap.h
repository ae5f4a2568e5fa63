/* harness/judge/namemap.h -- other people's names for our taps.
 *
 * A map is a list of rules "model.layers.{l}.mlp" -> "layers.{l}.ffn_out", and
 * what a dump may leave unsaid: a prefix of all names, the order of the axes,
 * padding,
 * the first layer of a rank whose layers count from 0, and which slice of a tap
 * a rank holds.  docs/compare.md shows the YAML form.  The taps that no rule
 * leads to are not expected in the dump; a target that ends in '?' may be
 * missing.  The target HAR_STACKED (chosen.h) stands for the choices of all
 * layers in one tensor.
 */
#ifndef HAR_NAMEMAP_H
#define HAR_NAMEMAP_H

#include "harness/judge/place.h"
#include "harness/judge/tapname.h"

enum { HAR_MAP_RULES = 128, HAR_MAP_TEXT = 96, HAR_MAP_PADDED = 64 };

typedef struct har_map_rule {
    char from[HAR_MAP_TEXT], to[HAR_MAP_TEXT]; /* both with {l}, or neither   */
    bool optional;
} har_map_rule;

typedef struct har_map_slice {
    int rank;
    char tap[HAR_MAP_TEXT]; /* a target, or "*" for all others                */
    har_slice slice;
} har_map_slice;

typedef struct har_map_first {
    int rank, layer;
} har_map_first;

typedef struct har_map_padded {
    char tap[HAR_MAP_TEXT]; /* a target                                       */
    int n_col;              /* columns in all                                 */
} har_map_padded;

typedef struct har_namemap {
    char name[HAR_MAP_TEXT];   /* "hf", the file's name, "" for none          */
    int n_rule;                /* 0: names are the taps' own                  */
    har_map_rule rule[HAR_MAP_RULES];
    char prefix[HAR_MAP_TEXT];
    bool is_ready;             /* built in: "module." before and ".output"
                                * behind a name are overlooked                */
    bool has_axes;
    har_axes axes;
    char logical[HAR_MAP_TEXT]; /* the tensor that says which experts physical
                                 * ones are; "" where ids are the model's own */
    int64_t n_slice, n_first;
    int n_padded;
    har_map_padded padded[HAR_MAP_PADDED];
    har_map_slice *slice;      /* owned                                       */
    har_map_first *first;      /* owned                                       */
} har_namemap;

/* The keys of a map's file, what they may hold and mean, as a table. [local] */
void har_namemap_write_fields(FILE *out);

/* what: "hf", "megatron", "llama", "onnx", "replay", a YAML file, or NULL for no
 * map.  Free with har_namemap_free.  Errors: E_FILE, E_FORMAT with file, line and column.
 *                                                                    [local] */
CORE_NODISCARD core_status har_namemap_open(har_namemap *out, const char *what);
/* Refuses a ready map whose names mean something else in this model.  [local]
 * Errors: E_USAGE.                                                           */
CORE_NODISCARD core_status har_namemap_suits(const har_namemap *map,
                                             const core_spec *spec);
void har_namemap_free(har_namemap *map);

/* The tap's name for a dump's name ("p0." in front is kept), layers counted
 * from first_layer; false if no rule fits.                           [local] */
bool har_namemap_apply(const har_namemap *map, const char *name,
                       int first_layer, char out[HAR_DUMP_NAME]);

/* Does a rule lead to this tap ("layers.3.out", no prefix)?  *optional: only
 * rules that may be missing.                                         [local] */
bool har_namemap_expects(const har_namemap *map, const char *body,
                         bool *optional);

/* The ready map whose name it is that this map does not know, as "hf"; NULL:
 * none, a tap's own name, or the map is somebody's own.             [local] */
const char *har_namemap_whose(const har_namemap *map, const char *name);

/* What the map says about a rank, or a tap; NULL, and 0, if nothing. [local] */
const har_slice *har_namemap_slice(const har_namemap *map, int rank,
                                   const char *body);
int64_t har_namemap_padded(const har_namemap *map, const char *body);
int har_namemap_first_layer(const har_namemap *map, int rank);

/* The ready map of that name.                                        [local] */
bool har__namemap_ready(har_namemap *out, const char *name);

#endif
