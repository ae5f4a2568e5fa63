/* core/model/quant_read.c -- the languages in which publishers say how weights
 * are quantised.
 *
 *   fp8                 weight_block_size, modules_to_not_convert
 *   mxfp4               modules_to_not_convert
 *   fbgemm_fp8          a scale for each output
 *   compressed-tensors  config_groups with targets, ignore, format
 *   modelopt            quant_algo, group_size, exclude_modules or ignore;
 *                       quantized_layers where they differ
 * Traps: ignore means something else in each; a file may say fp8 and have
 * quantized_layers of modelopt in it, which then come first; quant_algo null
 * says that nothing is quantised.
 */
#include "core/model/quant_impl.h"

#include <string.h>

enum { FP8_BLOCK = 128 };

static const core_quant_scheme PLAIN = {.kind = CORE_BLOCK_NONE};

const json_t *core__quant_object(core__reader r, const char *key)
{
    const core__reader text =
        core__reader_of(core__config_value(r, "text_config"), r.where);
    const json_t *found = core__config_value(r, key);
    return found != NULL || text.object == NULL ? found
                                                : core__config_value(text, key);
}

/* A scheme of a format whose blocks are fixed. */
static core_quant_scheme fixed(core_block_kind kind, core_act_scheme act)
{
    const core_block_format *f = core_block_format_of(kind);
    return (core_quant_scheme){kind, CORE_SCALES_BLOCKS, f->rows, f->cols, act};
}

static core_act_scheme by_token(core_code code)
{
    return (core_act_scheme){CORE_ACT_QUANT_DYNAMIC, {.code = code}};
}

/* Every text of a list becomes a rule. */
static core_status add_list(core_quant *quant, core__reader r, const char *key,
                            core__language language, core_quant_scheme scheme)
{
    const json_t *list = core__config_value(r, key);
    CORE_FAIL_IF(list != NULL && !json_is_array(list), CORE_E_SPEC,
                 "%s: %s: expected a list of modules", r.where, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        CORE_FAIL_IF(text == NULL, CORE_E_SPEC,
                     "%s: %s: entry %zu: expected a name", r.where, key, i);
        CORE_TRY(core__quant_rule(quant, r, key, text, language, scheme));
    }
    return CORE_OK;
}

/* --- modelopt ---------------------------------------------------------------
 */

typedef enum act_rule {
    AS_THEY_ARE,
    FP8_STATIC,
    FP8_BY_TOKEN,
    FP8_BY_32,
    FP4_BY_16
} act_rule;

static const core_act_scheme ACTS[] = {
    [AS_THEY_ARE] = {.how = CORE_ACT_QUANT_NONE},
    [FP8_STATIC] = {CORE_ACT_QUANT_STATIC, {.code = CORE_CODE_E4M3}},
    [FP8_BY_TOKEN] = {CORE_ACT_QUANT_DYNAMIC, {.code = CORE_CODE_E4M3}},
    [FP8_BY_32] = {CORE_ACT_QUANT_DYNAMIC,
                   {.code = CORE_CODE_E4M3,
                    .scale = CORE_OPERAND_SCALE_UP,
                    .group = 32}},
    [FP4_BY_16] = {CORE_ACT_QUANT_STATIC,
                   {.code = CORE_CODE_E2M1,
                    .scale = CORE_OPERAND_SCALE_E4M3,
                    .group = 16}},
};

static const struct {
    const char *name;
    core_block_kind kind;
    core_scale_grid grid;
    int64_t rows, cols;
    act_rule act;
} ALGORITHMS[] = {
    {"FP8", CORE_BLOCK_FP8, CORE_SCALES_TENSOR, 0, 0, FP8_STATIC},
    {"FP8_PER_CHANNEL_PER_TOKEN", CORE_BLOCK_FP8, CORE_SCALES_ROWS, 0, 0,
     FP8_BY_TOKEN},
    {"FP8_PB_WO", CORE_BLOCK_FP8, CORE_SCALES_BLOCKS, FP8_BLOCK, FP8_BLOCK,
     AS_THEY_ARE},
    {"NVFP4", CORE_BLOCK_NVFP4, CORE_SCALES_BLOCKS, 1, 16, FP4_BY_16},
    {"W4A16_NVFP4", CORE_BLOCK_NVFP4, CORE_SCALES_BLOCKS, 1, 16, AS_THEY_ARE},
    {"W4A8_NVFP4_FP8", CORE_BLOCK_NVFP4, CORE_SCALES_BLOCKS, 1, 16, FP8_STATIC},
    {"MXFP4", CORE_BLOCK_MXFP4, CORE_SCALES_BLOCKS, 1, 32, AS_THEY_ARE},
    {"W4A8_MXFP4_FP8", CORE_BLOCK_MXFP4, CORE_SCALES_BLOCKS, 1, 32, FP8_STATIC},
    {"MXFP8", CORE_BLOCK_MXFP8, CORE_SCALES_BLOCKS, 1, 32, FP8_BY_32},
    {"W8A16", CORE_BLOCK_INT8, CORE_SCALES_ROWS, 0, 0, AS_THEY_ARE},
};

static core_status read_algorithm(core__reader r, const char *name,
                                  core_quant_scheme *out)
{
    int64_t group;
    for (size_t i = 0; i < sizeof ALGORITHMS / sizeof ALGORITHMS[0]; i++) {
        if (strcmp(ALGORITHMS[i].name, name) != 0)
            continue;
        *out = (core_quant_scheme){ALGORITHMS[i].kind, ALGORITHMS[i].grid,
                                   ALGORITHMS[i].rows, ALGORITHMS[i].cols,
                                   ACTS[ALGORITHMS[i].act]};
        CORE_TRY(core__config_count_or(r, "group_size", 0, &group));
        CORE_FAIL_IF(group != 0 && out->grid == CORE_SCALES_BLOCKS &&
                         group != out->cols,
                     CORE_E_SPEC, "%s: group_size: %lld, expected %lld of %s",
                     r.where, (long long)group, (long long)out->cols, name);
        return CORE_OK;
    }
    CORE_FAIL(CORE_E_SPEC, "%s: quant_algo: '%.60s' is not supported", r.where,
              name);
}

/* An object from modules to their own quant_algo. */
static core_status add_layers(core_quant *quant, core__reader r)
{
    static const char KEY[] = "quantized_layers";
    const json_t *layers = core__config_value(r, KEY);
    CORE_FAIL_IF(layers != NULL && !json_is_object(layers), CORE_E_SPEC,
                 "%s: %s: expected an object", r.where, KEY);
    const char *module;
    json_t *value;
    json_object_foreach((json_t *)layers, module, value)
    {
        const char *name;
        core_quant_scheme scheme;
        const core__reader layer = core__reader_of(value, r.where);
        CORE_FAIL_IF(!json_is_object(value), CORE_E_SPEC,
                     "%s: %s: %.80s: expected an object", r.where, KEY, module);
        CORE_TRY(core__config_text(layer, "quant_algo", NULL, &name));
        CORE_TRY(read_algorithm(layer, name, &scheme));
        CORE_TRY(core__quant_rule(quant, r, KEY, module, CORE__SAID_AS_MODELOPT,
                                  scheme));
    }
    return CORE_OK;
}

static core_status read_modelopt(core_quant *quant, core__reader r,
                                 core__reader root)
{
    (void)root;
    const char *name = NULL;
    CORE_TRY(core__config_text(r, "quant_algo", "", &name));
    CORE_TRY(
        add_list(quant, r, "exclude_modules", CORE__SAID_AS_MODELOPT, PLAIN));
    CORE_TRY(add_list(quant, r, "ignore", CORE__SAID_AS_MODELOPT, PLAIN));
    if (strcmp(name, "MIXED_PRECISION") == 0)
        return add_layers(quant, r);
    return name[0] == '\0' ? CORE_OK : read_algorithm(r, name, &quant->other);
}

/* --- fp8 and mxfp4 ----------------------------------------------------------
 */

static core_status read_block_size(core__reader r, core_quant_scheme *out)
{
    static const char KEY[] = "weight_block_size";
    const json_t *size = core__config_value(r, KEY);
    if (size == NULL) { /* null: a scale for the tensor; absent: the default */
        if (json_object_get(r.object, KEY) != NULL)
            *out = (core_quant_scheme){out->kind, CORE_SCALES_TENSOR, 0, 0,
                                       out->act};
        return CORE_OK;
    }
    out->rows = json_integer_value(json_array_get(size, 0));
    out->cols = json_integer_value(json_array_get(size, 1));
    CORE_FAIL_IF(json_array_size(size) != 2 || out->rows < 1 || out->cols < 1,
                 CORE_E_SPEC, "%s: %s: expected two numbers from 1", r.where,
                 KEY);
    return CORE_OK;
}

/* What is multiplied is FP8: by the columns of a block, by token where there
 * are none, or with one scale in the files. */
static core_status read_fp8_act(core__reader r, core_quant_scheme *out)
{
    const char *scheme, *scales;
    out->act = by_token(CORE_CODE_E4M3);
    CORE_TRY(core__config_text(r, "activation_scheme", "dynamic", &scheme));
    CORE_TRY(core__config_text(r, "scale_fmt", "float", &scales));
    if (strcmp(scheme, "static") == 0) {
        out->act = ACTS[FP8_STATIC];
        return CORE_OK;
    }
    if (out->grid == CORE_SCALES_BLOCKS)
        out->act.format.group = out->cols;
    if (strcmp(scales, "ue8m0") == 0)
        out->act.format.scale = CORE_OPERAND_SCALE_UP;
    return core__config_expect(r, "activation_scheme", "dynamic");
}

/* expert_dtype, in the object or beside it. */
static core_status add_fp4_experts(core_quant *quant, core__reader r,
                                   core_act_scheme act)
{
    static const char KEY[] = "expert_dtype";
    const char *experts;
    CORE_TRY(core__config_text(r, KEY, "fp8", &experts));
    return strcmp(experts, "fp4") != 0
               ? CORE_OK
               : core__quant_rule(quant, r, KEY, "*.experts.*",
                                  CORE__SAID_AS_MODELOPT,
                                  fixed(CORE_BLOCK_MXFP4, act));
}

static core_status read_fp8(core_quant *quant, core__reader r,
                            core__reader root)
{
    const char *fmt;
    core_quant_scheme s = {.kind = CORE_BLOCK_FP8,
                           .grid = CORE_SCALES_BLOCKS,
                           .rows = FP8_BLOCK,
                           .cols = FP8_BLOCK};
    CORE_TRY(core__config_text(r, "fmt", "e4m3", &fmt));
    if (strcmp(fmt, "e5m2") == 0 || strcmp(fmt, "float8_e5m2") == 0)
        s.kind = CORE_BLOCK_FP8_E5M2;
    else
        CORE_FAIL_IF(
            strcmp(fmt, "e4m3") != 0 && strcmp(fmt, "float8_e4m3fn") != 0,
            CORE_E_SPEC, "%s: fmt: '%.40s' is not supported", r.where, fmt);
    CORE_TRY(read_block_size(r, &s));
    CORE_TRY(read_fp8_act(r, &s));
    CORE_TRY(add_layers(quant, r));
    CORE_TRY(add_fp4_experts(quant, r, s.act));
    CORE_TRY(add_fp4_experts(quant, root, s.act));
    CORE_TRY(
        add_list(quant, r, "modules_to_not_convert", CORE__SAID_AS_FP8, PLAIN));
    CORE_TRY(add_list(quant, r, "ignored_layers", CORE__SAID_AS_FP8, PLAIN));
    quant->other = s;
    return CORE_OK;
}

static core_status read_fbgemm(core_quant *quant, core__reader r,
                               core__reader root)
{
    const json_t *most = core__config_value(r, "activation_scale_ub");
    (void)root;
    quant->other = (core_quant_scheme){.kind = CORE_BLOCK_FP8,
                                       .grid = CORE_SCALES_ROWS,
                                       .act = by_token(CORE_CODE_E4M3)};
    CORE_FAIL_IF(most != NULL && !(json_number_value(most) > 0.0), CORE_E_SPEC,
                 "%s: activation_scale_ub: expected a number above 0", r.where);
    quant->other.act.format.most = json_number_value(most);
    return add_list(quant, r, "modules_to_not_convert", CORE__SAID_AS_FP8,
                    PLAIN);
}

static core_status read_mxfp4(core_quant *quant, core__reader r,
                              core__reader root)
{
    (void)root;
    quant->other = fixed(CORE_BLOCK_MXFP4, ACTS[AS_THEY_ARE]);
    return add_list(quant, r, "modules_to_not_convert", CORE__SAID_AS_FP8,
                    PLAIN);
}

/* --- compressed-tensors -----------------------------------------------------
 */

/* Nothing here is refused: who does not emulate it need not know it. */
static const char *text_or(core__reader r, const char *key, const char *other)
{
    const char *text = json_string_value(core__config_value(r, key));
    return text != NULL ? text : other;
}

/* Symmetric codes of input_activations; false: another. */
static bool read_act_code(core__reader act, core_operand_format *out)
{
    const json_t *bits = core__config_value(act, "num_bits");
    const bool is_float = strcmp(text_or(act, "type", "int"), "float") == 0;
    const int64_t n_bit = bits != NULL ? json_integer_value(bits) : 8;
    if (n_bit == 8)
        out->code = is_float ? CORE_CODE_E4M3 : CORE_CODE_INT8;
    else
        out->code = CORE_CODE_E2M1;
    return (n_bit == 8 || (n_bit == 4 && is_float)) &&
           !json_is_false(core__config_value(act, "symmetric"));
}

/* Groups of 32 floats have scales of MX, tensor_group has those of NVFP4. */
static bool read_act_grid(core__reader act, core_act_scheme *out)
{
    const int64_t group =
        json_integer_value(core__config_value(act, "group_size"));
    const char *by = text_or(act, "strategy", group > 0 ? "group" : "tensor");
    core_operand_format *format = &out->format;
    if (strcmp(by, "tensor") == 0 && out->how == CORE_ACT_QUANT_DYNAMIC)
        out->how = CORE_ACT_QUANT_BATCH;
    if (strcmp(by, "tensor") == 0 || strcmp(by, "token") == 0)
        return true;
    format->group = group;
    if (strcmp(by, "tensor_group") == 0) {
        out->how = CORE_ACT_QUANT_STATIC;
        format->scale = CORE_OPERAND_SCALE_E4M3;
        return group > 0;
    }
    if (group == 32 && format->code != CORE_CODE_INT8)
        format->scale = CORE_OPERAND_SCALE_NEAR;
    return strcmp(by, "group") == 0 && group > 0;
}

static core_act_scheme read_act(core__reader group)
{
    static const char KEY[] = "input_activations";
    const core__reader act =
        core__reader_of(core__config_value(group, KEY), group.where);
    if (act.object == NULL)
        return ACTS[AS_THEY_ARE];
    const json_t *dynamic = core__config_value(act, "dynamic"); /* or "local" */
    core_act_scheme out = {dynamic != NULL && !json_is_false(dynamic)
                               ? CORE_ACT_QUANT_DYNAMIC
                               : CORE_ACT_QUANT_STATIC,
                           {.group = 0}};
    if (!read_act_code(act, &out.format) || !read_act_grid(act, &out))
        out.how = CORE_ACT_QUANT_OTHER;
    return out;
}

/* The grid of `strategy`; absent: of a group_size, else of the tensor. */
static core_status read_strategy(core__reader w, core_quant_scheme *out)
{
    const char *strategy;
    const json_t *block = core__config_value(w, "block_structure");
    const json_t *size = core__config_value(w, "group_size");
    const int64_t group = json_integer_value(size);
    CORE_TRY(core__config_text(w, "strategy", group > 0 ? "group" : "tensor",
                               &strategy));
    if (strcmp(strategy, "tensor") == 0) {
        out->grid = CORE_SCALES_TENSOR;
    } else if (strcmp(strategy, "channel") == 0) {
        out->grid = CORE_SCALES_ROWS;
    } else if (strcmp(strategy, "block") == 0) {
        out->grid = CORE_SCALES_BLOCKS;
        out->rows = json_integer_value(json_array_get(block, 0));
        out->cols = json_integer_value(json_array_get(block, 1));
    } else {
        CORE_FAIL_IF(strcmp(strategy, "group") != 0 &&
                         strcmp(strategy, "tensor_group") != 0,
                     CORE_E_SPEC,
                     "%s: config_groups: strategy '%.40s' is not supported",
                     w.where, strategy);
        out->grid = CORE_SCALES_BLOCKS;
        out->rows = 1;
        out->cols = group;
    }
    CORE_FAIL_IF(
        out->grid == CORE_SCALES_BLOCKS && (out->rows < 1 || out->cols < 1),
        CORE_E_SPEC, "%s: config_groups: %s: expected sizes of a block from 1",
        w.where, strategy);
    return CORE_OK;
}

static core_status read_kind(core__reader w, const char *format,
                             core_quant_scheme *out)
{
    const char *type;
    int64_t bits;
    CORE_TRY(core__config_text(w, "type", "int", &type));
    CORE_TRY(core__config_count(w, "num_bits", &bits));
    const bool is_float = strcmp(type, "float") == 0;
    const bool packed = strcmp(format, "pack-quantized") == 0;
    const bool by_32 =
        out->grid == CORE_SCALES_BLOCKS && out->rows == 1 && out->cols == 32;
    if (is_float && bits == 8)
        out->kind = by_32 ? CORE_BLOCK_MXFP8 : CORE_BLOCK_FP8;
    else if (is_float && bits == 4)
        out->kind = by_32 ? CORE_BLOCK_MXFP4 : CORE_BLOCK_NVFP4;
    else if (strcmp(type, "int") == 0 && bits == 4)
        out->kind = CORE_BLOCK_INT4;
    else if (strcmp(type, "int") == 0 && bits == 8)
        out->kind = packed ? CORE_BLOCK_INT8_PACKED : CORE_BLOCK_INT8;
    else
        CORE_FAIL(CORE_E_SPEC,
                  "%s: config_groups: weights of type %.20s with %lld bits are "
                  "not supported",
                  w.where, type, (long long)bits);
    const core_block_format *f = core_block_format_of(out->kind);
    CORE_FAIL_IF(f->cols > 0 && (out->rows != f->rows || out->cols != f->cols),
                 CORE_E_SPEC,
                 "%s: config_groups: group_size: %lld, expected %lld of %s",
                 w.where, (long long)out->cols, (long long)f->cols, f->name);
    return core__config_expect_flag(w, "symmetric", true);
}

/* Targets: class names stand for every module, others for modules. */
static core_status add_targets(core_quant *quant, core__reader group,
                               core_quant_scheme scheme)
{
    const json_t *list = core__config_value(group, "targets");
    bool all = list == NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        CORE_FAIL_IF(text == NULL, CORE_E_SPEC,
                     "%s: targets: entry %zu: expected a name", group.where, i);
        if (strchr(text, '.') == NULL && strncmp(text, "re:", 3) != 0)
            all = true;
        else
            CORE_TRY(core__quant_rule(quant, group, "targets", text,
                                      CORE__SAID_AS_TENSORS, scheme));
    }
    if (all)
        quant->other = scheme;
    return CORE_OK;
}

static core_status read_group(core_quant *quant, core__reader group,
                              const char *format)
{
    const char *own;
    const core__reader w =
        core__reader_of(core__config_value(group, "weights"), group.where);
    core_quant_scheme scheme = PLAIN;
    if (w.object == NULL)
        return CORE_OK;
    CORE_TRY(core__config_text(group, "format", format, &own));
    scheme.act = read_act(group);
    CORE_TRY(read_strategy(w, &scheme));
    CORE_TRY(read_kind(w, own, &scheme));
    return add_targets(quant, group, scheme);
}

static core_status read_groups(core_quant *quant, core__reader r)
{
    const char *format, *name;
    const json_t *groups = core__config_value(r, "config_groups");
    json_t *value;
    CORE_FAIL_IF(!json_is_object(groups), CORE_E_SPEC,
                 "%s: quantization_config: config_groups: expected an object",
                 r.where);
    CORE_TRY(core__config_text(r, "format", "", &format));
    CORE_TRY(add_list(quant, r, "ignore", CORE__SAID_AS_TENSORS, PLAIN));
    json_object_foreach((json_t *)groups, name, value)
        CORE_TRY(read_group(quant, core__reader_of(value, r.where), format));
    return CORE_OK;
}

static core_status read_tensors(core_quant *quant, core__reader r,
                                core__reader root)
{
    (void)root;
    const core__reader sparse =
        core__reader_of(core__config_value(r, "sparsity_config"), r.where);
    if (sparse.object != NULL && json_object_size(sparse.object) > 0)
        CORE_TRY(core__config_expect(sparse, "format", "dense"));
    return read_groups(quant, r);
}

/* --- all --------------------------------------------------------------------
 */

core_status core__quant_read(core_quant *quant, core__reader r,
                             core__reader root)
{
    static const struct {
        const char *method;
        core_status (*read)(core_quant *quant, core__reader r,
                            core__reader root);
    } METHODS[] = {{"fp8", read_fp8},
                   {"mxfp4", read_mxfp4},
                   {"fbgemm_fp8", read_fbgemm},
                   {"compressed-tensors", read_tensors},
                   {"modelopt", read_modelopt}};
    const char *method;
    CORE_FAIL_IF(!json_is_object(r.object), CORE_E_SPEC,
                 "%s: quantization_config: expected an object", r.where);
    /* hf_quant_config.json, and some config.json of modelopt, name none */
    const bool of_modelopt = core__config_value(r, "quant_algo") != NULL ||
                             json_object_get(r.object, "quant_algo") != NULL;
    CORE_TRY(core__config_text(r, "quant_method",
                               of_modelopt ? "modelopt" : NULL, &method));
    for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++)
        if (strcmp(METHODS[i].method, method) == 0)
            return METHODS[i].read(quant, r, root);
    CORE_FAIL(CORE_E_SPEC,
              "%s: quantization_config: quant_method: '%.40s' is not "
              "supported, expected fp8, mxfp4, fbgemm_fp8, compressed-tensors "
              "or modelopt",
              r.where, method);
}
