/* core/weights_checkpoint.c -- weights in a Hugging Face checkpoint folder.
 *
 * Everything is checked when the folder is opened: each tensor that the spec
 * wants is found under its family's name, with its shape and a type that we
 * read, and nothing is left over; reading a rectangle then cannot fail.  Traps:
 * Mixtral calls the three matrices of an expert w1 (gate), w3 (up) and w2
 * (down); a tied head may or may not be stored; old files carry the rotary
 * frequencies, which are not weights; the index of a sharded checkpoint may
 * promise what a shard does not hold.
 */
#include "core/weights_impl.h"

#include "core/arena.h"
#include "core/json.h"
#include "core/safetensors.h"
#include "core/text_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    FILE_NAME_BYTES = 192,
    TENSOR_NAME_BYTES = 128,
    MAX_INDEX_BYTES = 1 << 28,
    SCAN_CHUNK = 4096
};

typedef struct shard {
    char name[FILE_NAME_BYTES]; /* of the file in the folder                  */
    core_st *file;
} shard;

typedef struct checkpoint {
    const char *folder; /* borrowed while opening                             */
    shard *shards;
    int n_shard;
    int64_t n_tensor;
    const core_st_tensor **tensors; /* [core_weight_count], owned by shards   */
} checkpoint;

/* --- names ------------------------------------------------------------------ */

#define MIXTRAL_LAYER "model.layers.%d."
#define MIXTRAL_MOE MIXTRAL_LAYER "block_sparse_moe."
#define SWITCH_LAYER "encoder.block.%d.layer.1."

static const char *const MIXTRAL_NAMES[CORE_N_WEIGHT_KINDS] = {
    [CORE_W_EMBED] = "model.embed_tokens.weight",
    [CORE_W_ATTN_NORM] = MIXTRAL_LAYER "input_layernorm.weight",
    [CORE_W_Q] = MIXTRAL_LAYER "self_attn.q_proj.weight",
    [CORE_W_K] = MIXTRAL_LAYER "self_attn.k_proj.weight",
    [CORE_W_V] = MIXTRAL_LAYER "self_attn.v_proj.weight",
    [CORE_W_O] = MIXTRAL_LAYER "self_attn.o_proj.weight",
    [CORE_W_FFN_NORM] = MIXTRAL_LAYER "post_attention_layernorm.weight",
    [CORE_W_ROUTER] = MIXTRAL_MOE "gate.weight",
    [CORE_W_EXPERT_GATE] = MIXTRAL_MOE "experts.%d.w1.weight",
    [CORE_W_EXPERT_UP] = MIXTRAL_MOE "experts.%d.w3.weight",
    [CORE_W_EXPERT_DOWN] = MIXTRAL_MOE "experts.%d.w2.weight",
    [CORE_W_FINAL_NORM] = "model.norm.weight",
    [CORE_W_HEAD] = "lm_head.weight",
};

static const char *const SWITCH_NAMES[CORE_N_WEIGHT_KINDS] = {
    [CORE_W_FFN_NORM] = SWITCH_LAYER "layer_norm.weight",
    [CORE_W_ROUTER] = SWITCH_LAYER "mlp.router.classifier.weight",
    [CORE_W_ROUTER_BIAS] = SWITCH_LAYER "mlp.router.classifier.bias",
    [CORE_W_EXPERT_UP] = SWITCH_LAYER "mlp.experts.expert_%d.wi.weight",
    [CORE_W_EXPERT_DOWN] = SWITCH_LAYER "mlp.experts.expert_%d.wo.weight",
};

/* The name of a tensor in the files; false if the family has no such tensor. */
static bool file_name(const core_spec *spec, core_weight id,
                      char name[TENSOR_NAME_BYTES])
{
    const bool is_switch = spec->family == CORE_FAMILY_SWITCH;
    const char *format =
        is_switch ? SWITCH_NAMES[id.kind] : MIXTRAL_NAMES[id.kind];
    if (format == NULL || spec->family == CORE_FAMILY_SEED)
        return false;
    const int layer = is_switch ? spec->switch_block : id.layer;
    snprintf(name, TENSOR_NAME_BYTES, format, layer, id.expert);
    return true;
}

/* Tensors that may be there and are not weights of the model. */
static bool is_tolerated(const core_spec *spec, const char *name)
{
    static const char ROTARY[] = ".rotary_emb.inv_freq";
    const size_t n = strlen(name), n_rotary = sizeof ROTARY - 1;
    if (n > n_rotary && strcmp(name + n - n_rotary, ROTARY) == 0)
        return true;
    return spec->tied && strcmp(name, MIXTRAL_NAMES[CORE_W_HEAD]) == 0;
}

/* --- files ------------------------------------------------------------------ */

static core_status join(char path[PATH_BYTES], const char *folder,
                        const char *name)
{
    const int n = snprintf(path, PATH_BYTES, "%s/%s", folder, name);
    CORE_FAIL_IF(n >= PATH_BYTES, CORE_E_FILE, "path too long: %.64s...",
                 folder);
    return CORE_OK;
}

/* Open FOLDER/NAME unless it is open already; *out is its file. */
static core_status open_shard(checkpoint *c, const char *name, core_st **out)
{
    for (int i = 0; i < c->n_shard; i++) {
        if (strcmp(c->shards[i].name, name) == 0) {
            *out = c->shards[i].file;
            return CORE_OK;
        }
    }
    CORE_FAIL_IF(name[0] == '\0' || strchr(name, '/') != NULL ||
                     strlen(name) >= FILE_NAME_BYTES,
                 CORE_E_FORMAT, "%s: shard '%.200s', expected a file name",
                 c->folder, name);
    shard *more =
        realloc(c->shards, (size_t)(c->n_shard + 1) * sizeof *c->shards);
    CORE_FAIL_IF(more == NULL, CORE_E_MEMORY, "no memory for %d shards",
                 c->n_shard + 1);
    c->shards = more;
    char path[PATH_BYTES];
    CORE_TRY(join(path, c->folder, name));
    shard *s = &c->shards[c->n_shard];
    CORE_TRY(core_st_open(&s->file, path));
    snprintf(s->name, sizeof s->name, "%s", name);
    c->n_shard++;
    *out = s->file;
    return CORE_OK;
}

static core_status open_weight_map(checkpoint *c, json_t *map, const char *path)
{
    CORE_FAIL_IF(!json_is_object(map), CORE_E_FORMAT,
                 "%s: weight_map: expected an object", path);
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        core_st *file = NULL;
        CORE_FAIL_IF(!json_is_string(value), CORE_E_FORMAT,
                     "%s: weight_map: %s: expected a file name", path, tensor);
        CORE_TRY_CTX(open_shard(c, json_string_value(value), &file),
                     "reading %s", path);
        CORE_FAIL_IF(core_st_find(file, tensor) == NULL, CORE_E_WEIGHTS,
                     "%s: %s: not in %s, where it is said to be", path, tensor,
                     json_string_value(value));
    }
    return CORE_OK;
}

static core_status open_index(checkpoint *c, const char *path)
{
    char *text = NULL;
    json_t *root = NULL;
    CORE_TRY(core__text_read(&text, path, MAX_INDEX_BYTES));
    core_status status = core_json_parse(&root, text, strlen(text), path);
    if (status == CORE_OK) {
        status = open_weight_map(c, json_object_get(root, "weight_map"), path);
        json_decref(root);
    }
    free(text);
    return status;
}

static core_status open_files(checkpoint *c)
{
    static const char SINGLE[] = "model.safetensors";
    static const char INDEX[] = "model.safetensors.index.json";
    char path[PATH_BYTES];
    core_st *file;
    CORE_TRY(join(path, c->folder, SINGLE));
    if (access(path, F_OK) == 0)
        return open_shard(c, SINGLE, &file);
    CORE_TRY(join(path, c->folder, INDEX));
    CORE_FAIL_IF(access(path, F_OK) != 0, CORE_E_FILE,
                 "%s: neither %s nor %s", c->folder, SINGLE, INDEX);
    return open_index(c, path);
}

/* --- matching the spec ------------------------------------------------------ */

static core_status check_tensor(const core_spec *spec, core_weight id,
                                const core_st *file,
                                const core_st_tensor *tensor)
{
    int64_t want[2];
    core_weight_shape(spec, id, &want[0], &want[1]);
    const bool is_vector = id.kind == CORE_W_ATTN_NORM ||
                           id.kind == CORE_W_FFN_NORM ||
                           id.kind == CORE_W_FINAL_NORM ||
                           id.kind == CORE_W_ROUTER_BIAS;
    const int n_dim = is_vector ? 1 : 2;
    const int64_t *wanted = is_vector ? want + 1 : want;
    if (tensor->n_dim != n_dim ||
        memcmp(tensor->shape, wanted, (size_t)n_dim * sizeof *want) != 0) {
        char found_text[CORE_ST_SHAPE_BYTES], want_text[CORE_ST_SHAPE_BYTES];
        CORE_FAIL(CORE_E_WEIGHTS, "%s: %s: shape [%s], spec wants [%s]",
                  core_st_path(file), tensor->name,
                  core_st_shape_text(found_text, tensor->shape, tensor->n_dim),
                  core_st_shape_text(want_text, wanted, n_dim));
    }
    CORE_FAIL_IF(tensor->dtype != CORE_DTYPE_F64 &&
                     tensor->dtype != CORE_DTYPE_F32 &&
                     tensor->dtype != CORE_DTYPE_F16 &&
                     tensor->dtype != CORE_DTYPE_BF16,
                 CORE_E_WEIGHTS,
                 "%s: %s: element type %s, expected F64, F32, F16 or BF16",
                 core_st_path(file), tensor->name,
                 core_dtype_name(tensor->dtype));
    return CORE_OK;
}

static core_status match(checkpoint *c, const core_spec *spec, core_weight id)
{
    char name[TENSOR_NAME_BYTES];
    if (!core_weight_exists(spec, id))
        return CORE_OK;
    CORE_FAIL_IF(!file_name(spec, id, name), CORE_E_WEIGHTS,
                 "%s: no checkpoint format has the tensor %s of model %s",
                 c->folder, core_weight_name(id, name), spec->name);
    const core_st_tensor *found = NULL;
    for (int i = 0; i < c->n_shard; i++) {
        const core_st_tensor *tensor = core_st_find(c->shards[i].file, name);
        if (tensor == NULL)
            continue;
        CORE_FAIL_IF(found != NULL, CORE_E_WEIGHTS,
                     "%s: %s: in more than one shard, %s the last", c->folder,
                     name, c->shards[i].name);
        CORE_TRY(check_tensor(spec, id, c->shards[i].file, tensor));
        found = tensor;
    }
    CORE_FAIL_IF(found == NULL, CORE_E_WEIGHTS, "%s: %s: missing", c->folder,
                 name);
    c->tensors[core_weight_index(spec, id)] = found;
    return CORE_OK;
}

static core_status match_all(checkpoint *c, const core_spec *spec)
{
    CORE_TRY(match(c, spec, (core_weight){CORE_W_EMBED, 0, 0}));
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = CORE_W_ATTN_NORM; k < CORE_W_FINAL_NORM; k++) {
            const core_weight_kind kind = (core_weight_kind)k;
            const bool per_expert =
                kind >= CORE_W_EXPERT_GATE && kind <= CORE_W_EXPERT_DOWN_BIAS;
            const int n_e = per_expert ? (int)spec->n_e : 1;
            for (int e = 0; e < n_e; e++)
                CORE_TRY(match(c, spec, (core_weight){kind, l, e}));
        }
    CORE_TRY(match(c, spec, (core_weight){CORE_W_FINAL_NORM, 0, 0}));
    return spec->tied ? CORE_OK
                      : match(c, spec, (core_weight){CORE_W_HEAD, 0, 0});
}

static int compare_names(const void *a, const void *b)
{
    const core_st_tensor *const *ta = a, *const *tb = b;
    return strcmp((*ta)->name, (*tb)->name);
}

static core_status refuse_unknown(const checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    const size_t n = (size_t)c->n_tensor;
    CORE_TRY(core_alloc(&memory, c->n_tensor, sizeof *c->tensors, "names"));
    const core_st_tensor **sorted = memory;
    memcpy(sorted, c->tensors, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_names);
    const core_st_tensor *unknown = NULL;
    const core_st *where = NULL;
    for (int i = 0; i < c->n_shard && unknown == NULL; i++) {
        where = c->shards[i].file;
        for (int64_t t = 0; t < core_st_count(where); t++) {
            const core_st_tensor *tensor = core_st_at(where, t);
            if (is_tolerated(spec, tensor->name) ||
                bsearch(&tensor, sorted, n, sizeof *sorted, compare_names))
                continue;
            unknown = tensor;
            break;
        }
    }
    free(memory);
    CORE_FAIL_IF(unknown != NULL, CORE_E_WEIGHTS,
                 "%s: %s: unknown tensor, the spec has no place for it",
                 core_st_path(where), unknown->name);
    return CORE_OK;
}

/* --- the source ------------------------------------------------------------- */

static void checkpoint_close(void *self)
{
    checkpoint *c = self;
    for (int i = 0; i < c->n_shard; i++)
        core_st_close(c->shards[i].file);
    free(c->shards);
    free((void *)c->tensors);
    free(c);
}

static double checkpoint_step(const void *self, const core_spec *spec,
                              core_weight id)
{
    const checkpoint *c = self;
    const core_st_tensor *tensor = c->tensors[core_weight_index(spec, id)];
    const size_t bytes = core_dtype_bytes(tensor->dtype);
    double chunk[SCAN_CHUNK];
    double largest = 0.0;
    for (int64_t i = 0; i < tensor->n; i += SCAN_CHUNK) {
        const int64_t left = tensor->n - i;
        const int64_t n = left < SCAN_CHUNK ? left : SCAN_CHUNK;
        core_dtype_to_f64(chunk, (const char *)tensor->data + (size_t)i * bytes,
                          tensor->dtype, n);
        for (int64_t j = 0; j < n; j++) {
            if (!isfinite(chunk[j]))
                return 0.0;
            largest = fmax(largest, fabs(chunk[j]));
        }
    }
    return core__weight_grid(largest);
}

static void checkpoint_read(const void *self, const core_spec *spec,
                            core_weight id, int64_t r0, int64_t r1, int64_t c0,
                            int64_t c1, double *out, int64_t ld)
{
    const checkpoint *c = self;
    const core_st_tensor *tensor = c->tensors[core_weight_index(spec, id)];
    const size_t bytes = core_dtype_bytes(tensor->dtype);
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    for (int64_t r = r0; r < r1; r++)
        core_dtype_to_f64(out + (r - r0) * ld,
                          (const char *)tensor->data +
                              (size_t)(r * n_col + c0) * bytes,
                          tensor->dtype, c1 - c0);
}

static core_status open_checkpoint(checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    CORE_TRY(open_files(c));
    c->n_tensor = core_weight_count(spec);
    CORE_TRY(core_alloc(&memory, c->n_tensor, sizeof *c->tensors, "tensors"));
    c->tensors = memory;
    CORE_TRY(match_all(c, spec));
    return refuse_unknown(c, spec);
}

core_status core_weights_open_checkpoint(core_weights **out,
                                         const core_spec *spec,
                                         const char *folder)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(checkpoint), "checkpoint"));
    checkpoint *c = memory;
    *c = (checkpoint){.folder = folder};
    const core_status status = open_checkpoint(c, spec);
    if (status != CORE_OK) {
        checkpoint_close(c);
        return status;
    }
    c->folder = NULL;
    char origin[CORE_ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "checkpoint %.200s, %d file%s", folder,
             c->n_shard, c->n_shard == 1 ? "" : "s");
    const core__weight_source source = {c, false, checkpoint_close,
                                        checkpoint_step, checkpoint_read};
    return core__weights_make(out, spec, source, origin);
}
