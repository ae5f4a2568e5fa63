/* core/model/gguf_config.c -- the config.json that the metadata of a GGUF file
 * amount to.
 *
 * One table for all architectures, and a row of each for what it has of its own
 * (families/gguf_archs.c).  A key of the architecture that no table names keeps
 * its name, and is refused by it where the config is read.  Traps: the class of
 * a family must not fill in what a file forgot, so what every file has is
 * asked for here; a null of rope_scaling keeps the class's own scaling away; a
 * key of the wrong type must not count as missing.
 */
#include "core/model/gguf_impl.h"

#include "core/model/config_impl.h"
#include "core/model/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys of all architectures. */
static const core__gguf_name COMMON[] = {
    {"block_count", "num_hidden_layers"},
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.key_length", "head_dim"},
    {"attention.value_length", "v_head_dim"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.sliding_window", "sliding_window"},
    {"attention.q_lora_rank", "q_lora_rank"},
    {"attention.kv_lora_rank", "kv_lora_rank"},
    {"attention.key_length_mla", ""},
    {"attention.value_length_mla", ""},
    {"attention.indexer.head_count", "index_n_heads"},
    {"attention.indexer.key_length", "index_head_dim"},
    {"attention.indexer.top_k", "index_topk"},
    {"rope.freq_base", "rope_theta"},
    {"rope.dimension_count", ""},
    {"rope.scaling.type", ""},
    {"rope.scaling.factor", ""},
    {"rope.scaling.original_context_length", ""},
    {"rope.scaling.finetuned", ""},
    {"rope.scaling.yarn_beta_fast", ""},
    {"rope.scaling.yarn_beta_slow", ""},
    {"rope.scaling.yarn_attn_factor", ""},
    {"rope.scaling.yarn_log_multiplier", ""},
    {"vocab_size", ""},
    {"expert_count", "num_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    {"expert_shared_count", "n_shared_experts"},
    {"expert_group_count", "n_group"},
    {"expert_group_used_count", "topk_group"},
    {"expert_weights_scale", "routed_scaling_factor"},
    {"expert_weights_norm", "norm_topk_prob"},
    {"expert_gating_func", ""},
    {"leading_dense_block_count", "first_k_dense_replace"},
    {"nextn_predict_layers", "num_nextn_predict_layers"},
};

/* --- the architecture ------------------------------------------------------
 */

static const char *unknown(const core_gguf_key *key, char text[64])
{
    size_t n = 0;
    const char *found = key != NULL ? core_gguf_text(key, &n) : NULL;
    snprintf(text, 64, "%.*s", (int)(n < 40 ? n : 40),
             found != NULL ? found : "");
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return text;
}

core_status core__gguf_arch_of(const core__gguf_arch **out,
                               const core_gguf *file)
{
    const core_gguf_key *key = core_gguf_find_key(file, "general.architecture");
    char text[64], known[512] = "";
    for (int i = 0; core__gguf_arch_at(i) != NULL; i++) {
        *out = core__gguf_arch_at(i);
        if (core_gguf_text_is(key, (*out)->name))
            return CORE_OK;
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s",
                 i == 0 ? "" : ", ", (*out)->name);
    }
    CORE_FAIL(CORE_E_SPEC,
              "%s: general.architecture: '%s' is not read, expected one of %s",
              core_gguf_path(file), unknown(key, text), known);
}

/* --- values ----------------------------------------------------------------
 */

static json_t *json_of(const core_gguf_key *key, int64_t i)
{
    double x = 0.0;
    size_t n = 0;
    const char *text = core_gguf_text(key, &n);
    if (text != NULL)
        return json_stringn(text, n);
    if (!core_gguf_number(key, i, &x))
        return NULL;
    if (key->type == CORE_GGUF_BOOL)
        return json_boolean(x != 0.0);
    if (key->type == CORE_GGUF_F32 || key->type == CORE_GGUF_F64)
        return json_real(x);
    if (!(fabs(x) < 0x1p63))
        return NULL;
    return json_integer((json_int_t)x);
}

/* A list whose values are all one is that value: as for every layer. */
static core_status add_value(const core_gguf *file, const core_gguf_key *key,
                             const char *name, json_t *config)
{
    json_t *value = json_of(key, 0);
    for (int64_t i = 1; key->is_list && value != NULL && i < key->n; i++) {
        json_t *next = json_of(key, i);
        if (!json_equal(value, next)) {
            json_decref(value);
            value = NULL;
        }
        json_decref(next);
    }
    CORE_FAIL_IF(value == NULL, CORE_E_SPEC,
                 "%s: %s: expected a finite number, a text, or a list of one "
                 "value for all layers",
                 core_gguf_path(file), key->name);
    json_object_set_new(config, name, value);
    return CORE_OK;
}

/* What is read by itself, and may be a list where an architecture says so. */
static core_status check_value(const core_gguf *file, const core_gguf_key *key,
                               bool may_be_list)
{
    double x = 0.0;
    bool is_good = may_be_list || !key->is_list;
    for (int64_t i = 0; i < key->n && is_good; i++)
        is_good = core_gguf_number(key, i, &x) && isfinite(x);
    CORE_FAIL_IF(!is_good, CORE_E_SPEC, "%s: %s: expected a finite number",
                 core_gguf_path(file), key->name);
    return CORE_OK;
}

static const char *find_name(const core__gguf_name *names, size_t n,
                             const char *suffix)
{
    for (size_t i = 0; i < n && names[i].suffix != NULL; i++)
        if (strcmp(names[i].suffix, suffix) == 0)
            return names[i].config;
    return NULL;
}

static core_status add_key(const core_gguf *file, const core__gguf_arch *arch,
                           const core_gguf_key *key, const char *suffix,
                           json_t *config)
{
    const char *own = find_name(arch->own, CORE__GGUF_MAX_NAMES, suffix);
    const char *name =
        own != NULL
            ? own
            : find_name(COMMON, sizeof COMMON / sizeof COMMON[0], suffix);
    if (name == NULL)
        name = key->name;
    if (name[0] != '\0')
        return add_value(file, key, name, config);
    if (strcmp(suffix, "rope.scaling.type") == 0)
        return CORE_OK; /* a text */
    return check_value(file, key, own != NULL);
}

static core_status add_keys(const core_gguf *file, const core__gguf_arch *arch,
                            json_t *config)
{
    const size_t n = strlen(arch->name);
    for (int64_t i = 0; i < core_gguf_keys(file); i++) {
        const core_gguf_key *key = core_gguf_key_at(file, i);
        if (strncmp(key->name, arch->name, n) != 0 || key->name[n] != '.')
            continue;
        CORE_TRY(add_key(file, arch, key, key->name + n + 1, config));
    }
    return CORE_OK;
}

/* --- what every file has ---------------------------------------------------
 */

static core_status check_present(const core_gguf *file)
{
    static const char *const KEYS[] = {
        "block_count",          "embedding_length",
        "attention.head_count", "attention.layer_norm_rms_epsilon",
        "expert_count",         "expert_used_count"};
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++)
        CORE_FAIL_IF(core__gguf_get(file, KEYS[i]) == NULL, CORE_E_SPEC,
                     "%s: key '%s' of the architecture: missing%s",
                     core_gguf_path(file), KEYS[i],
                     i < 4 ? "" : ", and no model without experts is read");
    CORE_FAIL_IF(core_gguf_find(file, "token_embd.weight") == NULL, CORE_E_SPEC,
                 "%s: tensor 'token_embd.weight': missing",
                 core_gguf_path(file));
    return CORE_OK;
}

static bool has_tensor(const core_gguf *file, const char *pattern)
{
    static const char LAYER[] = "blk.%d.";
    const size_t n = sizeof LAYER - 1;
    if (strncmp(pattern, LAYER, n) != 0)
        return core_gguf_find(file, pattern) != NULL;
    const int n_l = core__gguf_layers(file);
    for (int l = 0; l < n_l; l++)
        if (core__gguf_layer_tensor(file, l, pattern + n) != NULL)
            return true;
    return false;
}

static void set_default(json_t *config, const char *key, json_t *value)
{
    if (json_object_get(config, key) == NULL)
        json_object_set(config, key, value);
    json_decref(value);
}

/* Sizes that the tensors say, flags, and layers that look ahead. */
static void add_from_tensors(const core_gguf *file, const core__gguf_arch *arch,
                             json_t *config)
{
    const core_gguf_tensor *embed = core_gguf_find(file, "token_embd.weight");
    const json_int_t n_layer =
        json_integer_value(json_object_get(config, "num_hidden_layers"));
    const json_int_t n_ahead =
        json_integer_value(json_object_get(config, "num_nextn_predict_layers"));
    if (n_ahead > 0 && n_ahead < n_layer)
        json_object_set_new(config, "num_hidden_layers",
                            json_integer(n_layer - n_ahead));
    json_object_set_new(config, "vocab_size", json_integer(embed->shape[0]));
    json_object_set_new(
        config, "tie_word_embeddings",
        json_boolean(core_gguf_find(file, "output.weight") == NULL));
    for (int i = 0; i < CORE__GGUF_MAX_FLAGS && arch->flags[i].config; i++)
        json_object_set_new(
            config, arch->flags[i].config,
            json_boolean(has_tensor(file, arch->flags[i].tensor)));
}

/* --- rope ------------------------------------------------------------------
 */

static void copy_real(const core_gguf *file, const char *suffix, json_t *object,
                      const char *key)
{
    double x;
    if (core__gguf_value(file, suffix, &x))
        json_object_set_new(object, key, json_real(x));
}

/* mscale_all_dim comes as a tenth of it, and mscale, which has no key, is 1. */
static json_t *yarn_of(const core_gguf *file)
{
    double tenth = 0.0;
    json_t *yarn = json_pack("{s:s}", "rope_type", "yarn");
    copy_real(file, "rope.scaling.factor", yarn, "factor");
    copy_real(file, "rope.scaling.original_context_length", yarn,
              "original_max_position_embeddings");
    copy_real(file, "rope.scaling.yarn_beta_fast", yarn, "beta_fast");
    copy_real(file, "rope.scaling.yarn_beta_slow", yarn, "beta_slow");
    copy_real(file, "rope.scaling.yarn_attn_factor", yarn, "attention_factor");
    if (core__gguf_value(file, "rope.scaling.yarn_log_multiplier", &tenth) &&
        tenth != 0.0) {
        json_object_set_new(yarn, "mscale_all_dim", json_real(10.0 * tenth));
        json_object_set_new(yarn, "mscale", json_real(1.0));
    }
    return yarn;
}

/* By what llama3's rule divides a frequency of wavelength `wave`. */
static double llama3_divisor(double wave, double factor, double low,
                             double high, double original)
{
    if (wave < original / high)
        return 1.0;
    if (wave > original / low)
        return factor;
    const double smooth = (original / wave - low) / (high - low);
    return 1.0 / ((1.0 - smooth) / factor + smooth);
}

static bool are_llama3(const core_gguf_tensor *divisors, double theta,
                       double factor, double low, double high, double original)
{
    const double n_rot = 2.0 * (double)divisors->n;
    for (int64_t i = 0; i < divisors->n; i++) {
        double found;
        core_packed_read(divisors->kind, divisors->data, i, 1, &found);
        const double wave =
            2.0 * acos(-1.0) * pow(theta, 2.0 * (double)i / n_rot);
        const double said = llama3_divisor(wave, factor, low, high, original);
        if (!(fabs(found - said) <= 1e-5 * said))
            return false;
    }
    return true;
}

/* llama3's rule comes as its result, a divisor for each pair: that of the
 * settings that Llama 3 and 4 were published with, or none of ours. */
static core_status add_llama3(const core_gguf *file,
                              const core_gguf_tensor *divisors, json_t *config)
{
    static const double LOW = 1.0, HIGH[] = {4.0, 1.0}, ORIGINAL = 8192.0;
    const double theta =
        json_number_value(json_object_get(config, "rope_theta"));
    double factor = 1.0;
    core_packed_read(divisors->kind, divisors->data, divisors->n - 1, 1,
                     &factor);
    for (int i = 0; i < 2; i++)
        if (are_llama3(divisors, theta, factor, LOW, HIGH[i], ORIGINAL)) {
            json_object_set_new(
                config, "rope_scaling",
                json_pack("{s:s, s:f, s:f, s:f, s:f}", "rope_type", "llama3",
                          "factor", factor, "low_freq_factor", LOW,
                          "high_freq_factor", HIGH[i],
                          "original_max_position_embeddings", ORIGINAL));
            return CORE_OK;
        }
    CORE_FAIL(CORE_E_SPEC,
              "%s: tensor '%s': divisors of frequencies that are not llama3's "
              "for 8192 positions",
              core_gguf_path(file), divisors->name);
}

static core_status add_scaling(const core_gguf *file, json_t *config)
{
    const core_gguf_tensor *divisors =
        core_gguf_find(file, "rope_freqs.weight");
    if (divisors != NULL)
        return add_llama3(file, divisors, config);
    const core_gguf_key *type = core__gguf_get(file, "rope.scaling.type");
    json_t *scaling;
    char text[64];
    if (type == NULL || core_gguf_text_is(type, "none"))
        scaling = json_null();
    else if (core_gguf_text_is(type, "yarn"))
        scaling = yarn_of(file);
    else if (core_gguf_text_is(type, "linear")) {
        scaling = json_pack("{s:s}", "rope_type", "linear");
        copy_real(file, "rope.scaling.factor", scaling, "factor");
    } else
        CORE_FAIL(
            CORE_E_SPEC,
            "%s: %s: '%s' is not supported, expected none, linear or yarn",
            core_gguf_path(file), type->name, unknown(type, text));
    CORE_FAIL_IF(scaling == NULL, CORE_E_MEMORY, "%s: no memory for %s",
                 core_gguf_path(file), type ? type->name : "rope scaling");
    json_object_set_new(config, "rope_scaling", scaling);
    return CORE_OK;
}

/* A part of a head as the fraction of which floor(head * fraction) is it. */
static core_status add_rotated(const core_gguf *file, json_t *config)
{
    double n_rot = 0.0, n_dh = 0.0, n_d = 0.0, n_h = 0.0;
    if (!core__gguf_value(file, "rope.dimension_count", &n_rot) ||
        json_object_get(config, "kv_lora_rank") != NULL)
        return CORE_OK;
    CORE_FAIL_IF(n_rot != floor(n_rot), CORE_E_SPEC,
                 "%s: rope.dimension_count: %g, expected a count",
                 core_gguf_path(file), n_rot);
    (void)core__gguf_value(file, "embedding_length", &n_d);
    (void)core__gguf_value(file, "attention.head_count", &n_h);
    if (!core__gguf_value(file, "attention.key_length", &n_dh))
        n_dh = floor(n_d / n_h);
    double fraction = n_rot / n_dh;
    while (fraction < 1.0 && floor(n_dh * fraction) < n_rot)
        fraction = nextafter(fraction, 1.0);
    json_object_set_new(config, "partial_rotary_factor", json_real(fraction));
    return CORE_OK;
}

static core_status add_rope(const core_gguf *file, const core__gguf_arch *arch,
                            json_t *config)
{
    if (arch->no_rope)
        return CORE_OK;
    set_default(config, "rope_theta", json_real(10000.0));
    CORE_TRY(add_rotated(file, config));
    return add_scaling(file, config);
}

/* --- the whole -------------------------------------------------------------
 */

/* Values of another size than keys have no place in a config. */
static void drop_same_values(json_t *config)
{
    json_t *key = json_object_get(config, "head_dim");
    json_t *value = json_object_get(config, "v_head_dim");
    if (json_object_get(config, "kv_lora_rank") == NULL && value != NULL &&
        json_equal(key, value))
        json_object_del(config, "v_head_dim");
    if (json_integer_value(json_object_get(config, "sliding_window")) == 0)
        json_object_set_new(config, "sliding_window", json_null());
}

/* How scores are made of the router's products. */
static core_status add_scores(const core_gguf *file, json_t *config)
{
    double func = 0.0;
    if (!core__gguf_value(file, "expert_gating_func", &func))
        return CORE_OK;
    CORE_FAIL_IF(func != 1.0 && func != 2.0, CORE_E_SPEC,
                 "%s: expert_gating_func: %g, expected 1 (softmax) or 2 "
                 "(sigmoid)",
                 core_gguf_path(file), func);
    json_object_set_new(config, "scoring_func",
                        json_string(func == 1.0 ? "softmax" : "sigmoid"));
    return CORE_OK;
}

static core_status make_config(const core_gguf *file,
                               const core__gguf_arch *arch, json_t *config)
{
    json_t *fixed = NULL;
    CORE_TRY(check_present(file));
    CORE_TRY(add_keys(file, arch, config));
    add_from_tensors(file, arch, config);
    drop_same_values(config);
    CORE_TRY(add_scores(file, config));
    CORE_TRY(add_rope(file, arch, config));
    if (arch->add != NULL)
        CORE_TRY(arch->add(file, config));
    CORE_TRY(
        core_json_parse(&fixed, arch->fixed, strlen(arch->fixed), arch->name));
    json_object_update_missing(config, fixed);
    json_decref(fixed);
    set_default(config, "model_type", json_string(arch->model_type));
    set_default(config, "num_key_value_heads",
                json_incref(json_object_get(config, "num_attention_heads")));
    return CORE_OK;
}

static core_status parse(core_spec *out, core_config_facts *facts,
                         const core_overrides *overrides, const core_gguf *file)
{
    const core__gguf_arch *arch = NULL;
    core_spec spec;
    CORE_TRY(core__gguf_arch_of(&arch, file));
    json_t *config = json_object();
    core_status status = make_config(file, arch, config);
    char *text =
        status == CORE_OK ? json_dumps(config, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(config);
    CORE_TRY(status);
    CORE_FAIL_IF(text == NULL, CORE_E_FORMAT,
                 "%s: its metadata hold a text that is no UTF-8",
                 core_gguf_path(file));
    status =
        core_config_parse(&spec, facts, overrides, text, core_gguf_path(file));
    free(text);
    CORE_TRY(status);
    if (arch->adjust != NULL)
        arch->adjust(&spec);
    CORE_TRY_CTX(core_spec_validate(&spec), "reading %s", core_gguf_path(file));
    *out = spec;
    return CORE_OK;
}

core_status core_gguf_spec(core_spec *out, core_config_facts *facts,
                           const core_overrides *overrides, const char *path)
{
    core_gguf *file = NULL;
    CORE_TRY(core_gguf_open(&file, path));
    const core_status status = parse(out, facts, overrides, file);
    core_gguf_close(file);
    CORE_TRY(status);
    facts->has_weights = true;
    return CORE_OK;
}
