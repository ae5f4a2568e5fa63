/* harness/judge/namemap.c -- see namemap.h; the ready maps, and how names match.
 *
 * {l} stands for a number without leading zeros, so a name has one reading.
 * Traps: Megatron counts the layers of a pipeline stage from 0; a hook on a
 * layer and one on its mlp differ only in what follows the number, so patterns
 * match whole names.
 */
#include "harness/judge/namemap.h"

#include "harness/judge/chosen.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- ready maps --- */

typedef struct ready_rule {
    const char *from, *to;
} ready_rule;

static const ready_rule HF[] = {
    {"model.embed_tokens", "embed"},
    {"model.layers.{l}.mlp.gate", "layers.{l}.router_logits?"},
    {"model.layers.{l}.mlp.router", "layers.{l}.router_logits?"},
    {"model.layers.{l}.block_sparse_moe.gate", "layers.{l}.router_logits?"},
    {"model.layers.{l}.block_sparse_moe.router", "layers.{l}.router_logits?"},
    {"model.layers.{l}.feed_forward.gate", "layers.{l}.router_logits?"},
    {"model.layers.{l}.feed_forward.router", "layers.{l}.router_logits?"},
    {"model.layers.{l}.router.proj", "layers.{l}.router_logits?"},
    {"model.layers.{l}.mlp.topk_idx", "layers.{l}.topk_idx?"},
    {"model.layers.{l}.mlp.topk_weight", "layers.{l}.topk_weight?"},
    {"model.layers.{l}.block_sparse_moe.topk_idx", "layers.{l}.topk_idx?"},
    {"model.layers.{l}.block_sparse_moe.topk_weight",
     "layers.{l}.topk_weight?"},
    {"model.layers.{l}.feed_forward.topk_idx", "layers.{l}.topk_idx?"},
    {"model.layers.{l}.feed_forward.topk_weight", "layers.{l}.topk_weight?"},
    {"routed_experts", HAR_STACKED "?"},
    {"model.layers.{l}.mlp", "layers.{l}.ffn_out"},
    {"model.layers.{l}.block_sparse_moe", "layers.{l}.ffn_out"},
    {"model.layers.{l}.feed_forward", "layers.{l}.ffn_out"},
    {"model.layers.{l}", "layers.{l}.out"},
    {"model.norm", "final_norm"},
    {"model.final_layernorm", "final_norm"},
    {"model.embedding_norm", "final_norm"},
    {"lm_head", "logits"},
    {"input_ids", "input_ids?"},
    {NULL, NULL}};

static const ready_rule MEGATRON[] = {
    {"embedding", "embed"},
    {"decoder.layers.{l}.self_attention", "layers.{l}.attn_out"},
    {"decoder.layers.{l}.mlp.router.logits", "layers.{l}.router_logits?"},
    {"decoder.layers.{l}.mlp.router.topk_idx", "layers.{l}.topk_idx?"},
    {"decoder.layers.{l}.mlp.router.topk_weight", "layers.{l}.topk_weight?"},
    {"decoder.layers.{l}.mlp", "layers.{l}.ffn_out"},
    {"decoder.layers.{l}", "layers.{l}.out"},
    {"decoder.final_layernorm", "final_norm"},
    {"output_layer", "logits"},
    {"input_ids", "input_ids?"},
    {NULL, NULL}};

/* Tensors of llama.cpp's graphs, as golden/capture/moeparity_llama.py keeps
 * them: of names that a layer gives one after the other, the last.  Tried with
 * llama-cpp-python 0.3.36.                                                   */
static const ready_rule LLAMA[] = {
    {"embd", "embed?"},
    {"inp_embd", "embed?"},
    {"inp_scaled", "embed?"},
    {"attn_out-{l}", "layers.{l}.attn_out?"},
    {"ffn_moe_logits-{l}", "layers.{l}.router_logits?"},
    {"ffn_moe_logits_biased-{l}", "layers.{l}.router_logits?"},
    {"ffn_moe_probs-{l}", "layers.{l}.router_logits?"},
    {"ffn_moe_topk-{l}", "layers.{l}.topk_idx?"},
    {"ffn_moe_weights-{l}", "layers.{l}.topk_weight?"},
    {"ffn_moe_weights_softmax-{l}", "layers.{l}.topk_weight?"},
    {"ffn_moe_weights_norm-{l}", "layers.{l}.topk_weight?"},
    {"ffn_moe_weights_scaled-{l}", "layers.{l}.topk_weight?"},
    {"ffn_moe_out-{l}", "layers.{l}.ffn_out?"},
    {"ffn_moe_out_merged-{l}", "layers.{l}.ffn_out?"},
    {"ffn_out-{l}", "layers.{l}.ffn_out?"},
    {"l_out-{l}", "layers.{l}.out"},
    {"result_norm", "final_norm"},
    {"result_output", "logits"},
    {NULL, NULL}};

/* Tensors of the graphs of onnxruntime-genai's builder, as
 * golden/capture/moeparity_onnx.py keeps them: of a layer's parts what is added
 * to the stream, and the sum, which is an output of the norm that follows.
 * Tried with onnxruntime 1.32.0 and onnxruntime-genai 0.18.0.                */
static const ready_rule ONNX[] = {
    {"/model/embed_tokens/Gather/output_0", "embed"},
    {"/model/layers.{l}/attn/o_proj/MatMul/output_0", "layers.{l}.attn_out?"},
    {"/model/layers.{l}/attn/o_proj/Add/output_0", "layers.{l}.attn_out?"},
    {"/model/layers.{l}/conv/out_proj/MatMul/output_0",
     "layers.{l}.attn_out?"},
    {"/model/layers.{l}/linear_attn/out_proj/MatMul/output_0",
     "layers.{l}.attn_out?"},
    {"/model/layers.{l}/moe/router/Reshape/output_0",
     "layers.{l}.router_logits?"},
    {"/model/layers.{l}/moe/gate/Reshape/output_0",
     "layers.{l}.router_logits?"},
    {"/model/layers.{l}/moe/router/TopK/output_1", "layers.{l}.topk_idx?"},
    {"/model/layers.{l}/moe/MoE/output_0", "layers.{l}.ffn_out?"},
    {"/model/layers.{l}/moe/QMoE/output_0", "layers.{l}.ffn_out?"},
    {"/model/layers.{l}/moe/Mul/output_0", "layers.{l}.ffn_out?"},
    {"/model/layers.{l}/moe/GatedAdd/output_0", "layers.{l}.ffn_out?"},
    {"/model/layers.{l}/mlp/down_proj/MatMul/output_0",
     "layers.{l}.ffn_out?"},
    {"/model/layers.{l}/output_3", "layers.{l}.out"},
    {"/model/layers.{l}/final_norm_layernorm/output_0", "final_norm"},
    {"logits", "logits"},
    {NULL, NULL}};

/* What inference engines return with the tokens, for routing replay. */
static const ready_rule REPLAY[] = {{"routed_experts", HAR_STACKED},
                                    {NULL, NULL}};

static const struct ready_map {
    const char *name;
    const ready_rule *rule;
    bool is_of_modules; /* its names tell one framework's dump from another's */
} READY[] = {{"hf", HF, true},
             {"megatron", MEGATRON, true},
             {"llama", LLAMA, true},
             {"onnx", ONNX, true},
             {"replay", REPLAY, false}};

enum { N_READY = sizeof READY / sizeof READY[0] };

static const struct ready_map *find_ready(const char *name)
{
    for (int i = 0; i < N_READY; i++)
        if (strcmp(READY[i].name, name) == 0)
            return &READY[i];
    return NULL;
}

bool har__namemap_ready(har_namemap *out, const char *name)
{
    const struct ready_map *map = find_ready(name);
    if (map == NULL)
        return false;
    const ready_rule *ready = map->rule;
    const bool is_hf = ready == HF, is_megatron = ready == MEGATRON;
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    out->is_ready = true;
    out->has_axes = is_megatron;
    out->axes = is_megatron ? HAR_AXES_SBH : HAR_AXES_BSH;
    for (; ready[out->n_rule].from != NULL; out->n_rule++) {
        har_map_rule *rule = &out->rule[out->n_rule];
        const ready_rule *from = &ready[out->n_rule];
        snprintf(rule->from, sizeof rule->from, "%s", from->from);
        snprintf(rule->to, sizeof rule->to, "%s", from->to);
        char *mark = strchr(rule->to, '?');
        rule->optional = mark != NULL;
        if (mark != NULL)
            *mark = '\0';
    }
    for (int m = 0; is_hf && m < (int)CORE_N_MIXERS; m++) {
        har_map_rule *rule = &out->rule[out->n_rule++];
        snprintf(rule->from, sizeof rule->from, "model.layers.{l}.%s",
                 core_mixer_module((core_mixer)m));
        snprintf(rule->to, sizeof rule->to, "layers.{l}.attn_out");
    }
    return true;
}

core_status har_namemap_suits(const har_namemap *map, const core_spec *spec)
{
    bool optional;
    CORE_FAIL_IF(map->is_ready && spec->branch_norm &&
                     har_namemap_expects(map, "layers.0.ffn_out", &optional),
                 CORE_E_USAGE,
                 "--map %s: mlp is one of two branches in layers of this "
                 "model, and not all of ffn_out: expected a map of one's own",
                 map->name);
    return CORE_OK;
}

void har_namemap_free(har_namemap *map)
{
    free(map->slice);
    free(map->first);
    memset(map, 0, sizeof *map);
}

/* --- names --- */

/* A layer's number at text: its digits, 0 if there is none. */
static size_t read_layer(const char *text, int *layer)
{
    size_t n = 0;
    *layer = 0;
    for (; n < 6 && isdigit((unsigned char)text[n]); n++)
        *layer = *layer * 10 + (text[n] - '0');
    return n > 1 && text[0] == '0' ? 0 : n;
}

/* Is the text, all n bytes, the pattern?  *layer: what {l} stands for, -1. */
static bool matches(const char *pattern, const char *text, size_t n, int *layer)
{
    const char *hole = strstr(pattern, "{l}");
    *layer = -1;
    if (hole == NULL)
        return strlen(pattern) == n && memcmp(pattern, text, n) == 0;
    const size_t before = (size_t)(hole - pattern), after = strlen(hole + 3);
    if (n < before + after || memcmp(pattern, text, before) != 0)
        return false;
    const size_t digits = read_layer(text + before, layer);
    return digits > 0 && n == before + digits + after &&
           memcmp(hole + 3, text + before + digits, after) == 0;
}

/* The target with {l} filled in. */
static bool fill(char out[HAR_DUMP_NAME], const char *part, size_t n_part,
                 const char *to, int layer)
{
    const char *hole = strstr(to, "{l}");
    int n;
    if (hole == NULL)
        n = snprintf(out, HAR_DUMP_NAME, "%.*s%s", (int)n_part, part, to);
    else
        n = snprintf(out, HAR_DUMP_NAME, "%.*s%.*s%d%s", (int)n_part, part,
                     (int)(hole - to), to, layer, hole + 3);
    return n > 0 && n < HAR_DUMP_NAME;
}

/* Bytes of a prompt's prefix "p12." at the start of a name. */
static size_t part_bytes(const char *name)
{
    size_t n = 1;
    if (name[0] != 'p')
        return 0;
    while (isdigit((unsigned char)name[n]))
        n++;
    return n > 1 && name[n] == '.' ? n + 1 : 0;
}

/* Names that are the taps' own: only the layer may have to be shifted. */
static bool apply_none(const char *name, int first_layer,
                       char out[HAR_DUMP_NAME])
{
    har_tapname parsed;
    char body[CORE_NAME_BYTES];
    if (!har_tapname_parse(&parsed, name))
        return false;
    snprintf(out, HAR_DUMP_NAME, "%s", name);
    if (parsed.is_tap && first_layer > 0 &&
        !core_tap_is_global(parsed.tap.kind)) {
        parsed.tap.layer += first_layer;
        snprintf(out, HAR_DUMP_NAME, "%.*s%s", parsed.prefix_bytes, name,
                 core_tap_name(parsed.tap, body));
    }
    return true;
}

bool har_namemap_apply(const har_namemap *map, const char *name,
                       int first_layer, char out[HAR_DUMP_NAME])
{
    static const char MODULE[] = "module.", OUTPUT[] = ".output";
    const size_t part = part_bytes(name), prefix = strlen(map->prefix);
    const char *body = name + part;
    int layer;
    if (strlen(name) >= HAR_DUMP_NAME)
        return false;
    if (map->n_rule == 0)
        return apply_none(name, first_layer, out);
    if (strncmp(body, map->prefix, prefix) != 0)
        return false;
    body += prefix;
    while (map->is_ready && strncmp(body, MODULE, sizeof MODULE - 1) == 0)
        body += sizeof MODULE - 1;
    size_t n = strlen(body);
    if (map->is_ready && n > sizeof OUTPUT - 1 &&
        strcmp(body + n - (sizeof OUTPUT - 1), OUTPUT) == 0)
        n -= sizeof OUTPUT - 1;
    for (int i = 0; i < map->n_rule; i++)
        if (matches(map->rule[i].from, body, n, &layer))
            return fill(out, name, part, map->rule[i].to, layer + first_layer);
    return false;
}

const char *har_namemap_whose(const har_namemap *map, const char *name)
{
    char unused[HAR_DUMP_NAME];
    har_namemap other;
    har_tapname own;
    if ((map->n_rule > 0 && !map->is_ready) || har_tapname_parse(&own, name))
        return NULL;
    for (int i = 0; i < N_READY; i++)
        if (READY[i].is_of_modules &&
            har__namemap_ready(&other, READY[i].name) &&
            har_namemap_apply(&other, name, 0, unused))
            return READY[i].name;
    return NULL;
}

bool har_namemap_expects(const har_namemap *map, const char *body,
                         bool *optional)
{
    bool expected = map->n_rule == 0;
    int layer;
    *optional = map->n_rule > 0;
    core_tap tap;
    const bool is_choice =
        core_tap_parse(&tap, body) && tap.kind == CORE_TAP_TOPK_IDX;
    for (int i = 0; i < map->n_rule; i++) {
        if (!matches(map->rule[i].to, body, strlen(body), &layer) &&
            !(is_choice && strcmp(map->rule[i].to, HAR_STACKED) == 0))
            continue;
        expected = true;
        *optional = *optional && map->rule[i].optional;
    }
    return expected;
}

const har_slice *har_namemap_slice(const har_namemap *map, int rank,
                                   const char *body)
{
    const har_slice *found = NULL;
    int layer;
    for (int64_t i = 0; i < map->n_slice; i++) {
        const har_map_slice *s = &map->slice[i];
        if (s->rank != rank)
            continue;
        if (matches(s->tap, body, strlen(body), &layer))
            return &s->slice;
        if (strcmp(s->tap, "*") == 0)
            found = &s->slice;
    }
    return found;
}

int64_t har_namemap_padded(const har_namemap *map, const char *body)
{
    int layer;
    for (int i = 0; i < map->n_padded; i++)
        if (matches(map->padded[i].tap, body, strlen(body), &layer))
            return map->padded[i].n_col;
    return 0;
}

int har_namemap_first_layer(const har_namemap *map, int rank)
{
    for (int64_t i = 0; i < map->n_first; i++)
        if (map->first[i].rank == rank)
            return map->first[i].layer;
    return 0;
}
