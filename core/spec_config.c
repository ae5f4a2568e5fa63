/* core/spec_config.c -- a Hugging Face config.json as a spec.
 *
 * Rules of ../shared/MODELS.md.  Sizes, counts, eps and theta must be there;
 * only flags have the model classes' defaults.  Traps: a key that is null means
 * the same as an absent one (head_dim); integers may be written 8.0 and reals
 * 4; version 4 writes rope_theta and rope_scaling, version 5 both inside
 * rope_parameters; whatever would change the result and is not supported is
 * refused by its name and value, never ignored.
 */
#include "core/spec_impl.h"

#include "core/json.h"

#include <math.h>
#include <string.h>

typedef struct reader {
    const json_t *object;
    const char *where; /* file, for messages                                  */
} reader;

/* The value of a key; NULL if absent or null. */
static const json_t *value_of(reader r, const char *key)
{
    const json_t *value = json_object_get(r.object, key);
    return value == NULL || json_is_null(value) ? NULL : value;
}

static core_status get_real(reader r, const char *key, double *out)
{
    const json_t *value = value_of(r, key);
    CORE_FAIL_IF(value == NULL, CORE_E_SPEC, "%s: %s: missing", r.where, key);
    CORE_FAIL_IF(!json_is_number(value), CORE_E_SPEC,
                 "%s: %s: expected a number", r.where, key);
    *out = json_number_value(value);
    return CORE_OK;
}

static core_status get_real_or(reader r, const char *key, double fallback,
                               double *out)
{
    *out = fallback;
    return value_of(r, key) == NULL ? CORE_OK : get_real(r, key, out);
}

static core_status get_count(reader r, const char *key, int64_t *out)
{
    double value;
    CORE_TRY(get_real(r, key, &value));
    CORE_FAIL_IF(!(value >= 1.0 && value <= INT32_MAX && value == floor(value)),
                 CORE_E_SPEC, "%s: %s: %g, expected an integer from 1", r.where,
                 key, value);
    *out = (int64_t)value;
    return CORE_OK;
}

static core_status get_flag_or(reader r, const char *key, bool fallback,
                               bool *out)
{
    const json_t *value = value_of(r, key);
    CORE_FAIL_IF(value != NULL && !json_is_boolean(value), CORE_E_SPEC,
                 "%s: %s: expected true or false", r.where, key);
    *out = value == NULL ? fallback : json_is_true(value);
    return CORE_OK;
}

static core_status get_text(reader r, const char *key, const char *fallback,
                            const char **out)
{
    const json_t *value = value_of(r, key);
    CORE_FAIL_IF(value == NULL && fallback == NULL, CORE_E_SPEC,
                 "%s: %s: missing", r.where, key);
    CORE_FAIL_IF(value != NULL && !json_is_string(value), CORE_E_SPEC,
                 "%s: %s: expected a string", r.where, key);
    *out = value == NULL ? fallback : json_string_value(value);
    return CORE_OK;
}

static core_status get_act(reader r, const char *key, const char *fallback,
                           core_act *out)
{
    static const struct {
        const char *name;
        core_act act;
    } ACTS[] = {{"silu", CORE_ACT_SILU},
                {"gelu", CORE_ACT_GELU},
                {"gelu_new", CORE_ACT_GELU_TANH},
                {"relu", CORE_ACT_RELU}};
    const char *name;
    CORE_TRY(get_text(r, key, fallback, &name));
    for (size_t i = 0; i < sizeof ACTS / sizeof ACTS[0]; i++) {
        if (strcmp(ACTS[i].name, name) == 0) {
            *out = ACTS[i].act;
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_SPEC,
              "%s: %s: '%s' is not supported, expected silu, gelu, gelu_new or "
              "relu",
              r.where, key, name);
}

static core_status refuse_if_present(reader r, const char *key)
{
    CORE_FAIL_IF(value_of(r, key) != NULL, CORE_E_SPEC,
                 "%s: %s: not supported", r.where, key);
    return CORE_OK;
}

/* --- RoPE ------------------------------------------------------------------- */

static double mscale_of(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static core_status get_attention_factor(reader scaling, core_rope *rope)
{
    if (value_of(scaling, "attention_factor") != NULL)
        return get_real(scaling, "attention_factor", &rope->attention_factor);
    double mscale, mscale_all;
    CORE_TRY(get_real_or(scaling, "mscale", 0.0, &mscale));
    CORE_TRY(get_real_or(scaling, "mscale_all_dim", 0.0, &mscale_all));
    const bool both = mscale != 0.0 && mscale_all != 0.0;
    rope->attention_factor = both ? mscale_of(rope->factor, mscale) /
                                        mscale_of(rope->factor, mscale_all)
                                  : mscale_of(rope->factor, 1.0);
    return CORE_OK;
}

static core_status get_yarn(reader config, reader scaling, core_rope *rope)
{
    rope->scaling = CORE_ROPE_YARN;
    CORE_TRY(get_real(scaling, "factor", &rope->factor));
    CORE_TRY(get_real_or(scaling, "beta_fast", 32.0, &rope->beta_fast));
    CORE_TRY(get_real_or(scaling, "beta_slow", 1.0, &rope->beta_slow));
    CORE_TRY(get_flag_or(scaling, "truncate", true, &rope->truncate));
    const char *key = "original_max_position_embeddings";
    if (value_of(scaling, key) != NULL)
        CORE_TRY(get_real(scaling, key, &rope->original_positions));
    else
        CORE_TRY(get_real(config, "max_position_embeddings",
                          &rope->original_positions));
    return get_attention_factor(scaling, rope);
}

static core_status get_scaling(reader config, reader scaling,
                               const char *fallback, core_rope *rope)
{
    const char *type;
    const char *key = value_of(scaling, "rope_type") == NULL &&
                              value_of(scaling, "type") != NULL
                          ? "type"
                          : "rope_type";
    double fraction;
    CORE_TRY(get_text(scaling, key, fallback, &type));
    CORE_TRY(get_real_or(scaling, "partial_rotary_factor", 1.0, &fraction));
    CORE_FAIL_IF(fraction != 1.0, CORE_E_SPEC,
                 "%s: partial_rotary_factor: %g is not supported, expected 1",
                 scaling.where, fraction);
    if (strcmp(type, "default") == 0)
        return CORE_OK;
    if (strcmp(type, "linear") == 0) {
        rope->scaling = CORE_ROPE_LINEAR;
        return get_real(scaling, "factor", &rope->factor);
    }
    if (strcmp(type, "yarn") == 0)
        return get_yarn(config, scaling, rope);
    CORE_FAIL(CORE_E_SPEC,
              "%s: %s: '%s' is not supported, expected default, linear or yarn",
              scaling.where, key, type);
}

/* Version 5: everything inside rope_parameters.  Version 4: rope_theta, and
 * rope_scaling if there is any. */
static core_status get_rope(reader config, core_rope *rope)
{
    const bool v5 = value_of(config, "rope_parameters") != NULL;
    const char *key = v5 ? "rope_parameters" : "rope_scaling";
    const reader scaling = {value_of(config, key), config.where};
    CORE_FAIL_IF(scaling.object != NULL && !json_is_object(scaling.object),
                 CORE_E_SPEC, "%s: %s: expected an object", config.where, key);
    CORE_TRY(get_real(v5 ? scaling : config, "rope_theta", &rope->theta));
    if (scaling.object == NULL)
        return CORE_OK;
    return get_scaling(config, scaling, v5 ? "default" : NULL, rope);
}

/* --- families --------------------------------------------------------------- */

static core_status get_head_size(reader r, core_spec *spec)
{
    if (value_of(r, "head_dim") != NULL)
        return get_count(r, "head_dim", &spec->n_dh);
    CORE_FAIL_IF(spec->n_d % spec->n_h != 0, CORE_E_SPEC,
                 "%s: hidden_size %lld, not a multiple of num_attention_heads "
                 "%lld, and no head_dim",
                 r.where, (long long)spec->n_d, (long long)spec->n_h);
    spec->n_dh = spec->n_d / spec->n_h;
    return CORE_OK;
}

/* null means as many as there are query heads; absent is not null here,
 * because the class default (8) fits no particular model. */
static core_status get_kv_heads(reader r, core_spec *spec)
{
    const char *key = "num_key_value_heads";
    if (json_is_null(json_object_get(r.object, key))) {
        spec->n_g = spec->n_h;
        return CORE_OK;
    }
    return get_count(r, key, &spec->n_g);
}

static core_status parse_mixtral(core_spec *spec, reader r)
{
    spec->family = CORE_FAMILY_MIXTRAL;
    CORE_TRY(get_count(r, "num_hidden_layers", &spec->n_l));
    CORE_TRY(get_count(r, "hidden_size", &spec->n_d));
    CORE_TRY(get_count(r, "num_attention_heads", &spec->n_h));
    CORE_TRY(get_kv_heads(r, spec));
    CORE_TRY(get_head_size(r, spec));
    CORE_TRY(get_count(r, "num_local_experts", &spec->n_e));
    CORE_TRY(get_count(r, "num_experts_per_tok", &spec->n_k));
    CORE_TRY(get_count(r, "intermediate_size", &spec->n_f));
    CORE_TRY(get_count(r, "vocab_size", &spec->n_v));
    CORE_TRY(get_real(r, "rms_norm_eps", &spec->norm_eps));
    CORE_TRY(get_rope(r, &spec->rope));
    if (value_of(r, "sliding_window") != NULL)
        CORE_TRY(get_count(r, "sliding_window", &spec->sliding_window));
    CORE_TRY(get_act(r, "hidden_act", "silu", &spec->act));
    CORE_TRY(get_flag_or(r, "tie_word_embeddings", false, &spec->tied));
    CORE_TRY(refuse_if_present(r, "quantization_config"));
    spec->gated = true;
    spec->renormalise = true;
    spec->capacity.rule = CORE_CAPACITY_NONE;
    return CORE_OK;
}

/* The first sparse block of the encoder: block i is sparse if the step is 1 or
 * i mod step is 1. */
static core_status get_switch_block(reader r, core_spec *spec)
{
    int64_t step;
    CORE_TRY(get_count(r, "encoder_sparse_step", &step));
    spec->switch_block = step == 1 ? 0 : 1;
    return CORE_OK;
}

static core_status parse_switch(core_spec *spec, reader r)
{
    const char *router_dtype;
    spec->family = CORE_FAMILY_SWITCH;
    spec->n_l = 1;
    spec->n_k = 1;
    CORE_TRY(get_count(r, "d_model", &spec->n_d));
    CORE_TRY(get_count(r, "d_ff", &spec->n_f));
    CORE_TRY(get_count(r, "num_experts", &spec->n_e));
    CORE_TRY(get_count(r, "expert_capacity", &spec->capacity.absolute));
    CORE_TRY(get_real(r, "layer_norm_epsilon", &spec->norm_eps));
    CORE_TRY(get_switch_block(r, spec));
    CORE_TRY(get_act(r, "dense_act_fn", "relu", &spec->act));
    CORE_TRY(get_flag_or(r, "router_bias", false, &spec->bias_router));
    CORE_TRY(get_text(r, "router_dtype", "float32", &router_dtype));
    CORE_FAIL_IF(strcmp(router_dtype, "float32") != 0, CORE_E_SPEC,
                 "%s: router_dtype: '%s' is not supported, expected float32",
                 r.where, router_dtype);
    CORE_TRY(refuse_if_present(r, "quantization_config"));
    spec->capacity.rule = CORE_CAPACITY_ABSOLUTE;
    spec->capacity.domain = CORE_DOMAIN_SEQUENCE;
    return CORE_OK;
}

static core_status parse_object(core_spec *spec, reader r)
{
    CORE_FAIL_IF(!json_is_object(r.object), CORE_E_SPEC,
                 "%s: expected an object", r.where);
    const char *type;
    CORE_TRY(get_text(r, "model_type", NULL, &type));
    strncpy(spec->name, type, sizeof spec->name - 1);
    if (strcmp(type, "mixtral") == 0)
        return parse_mixtral(spec, r);
    if (strcmp(type, "switch_transformers") == 0)
        return parse_switch(spec, r);
    CORE_FAIL(CORE_E_SPEC,
              "%s: model_type: '%s' is not supported, expected mixtral or "
              "switch_transformers",
              r.where, type);
}

core_status core_spec_parse_config(core_spec *out, const char *text,
                                   const char *name)
{
    json_t *root = NULL;
    CORE_TRY(core_json_parse(&root, text, strlen(text), name));
    core_spec spec = core__spec_blank();
    const core_status status = parse_object(&spec, (reader){root, name});
    json_decref(root);
    CORE_TRY(status);
    CORE_TRY_CTX(core_spec_validate(&spec), "reading %s", name);
    *out = spec;
    return CORE_OK;
}
