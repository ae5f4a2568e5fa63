/* core/model/config_rope.c -- the rotary embedding of a config.json.
 *
 * Three generations of files: rope_theta beside rope_scaling with `type`, the
 * same with `rope_type`, and rope_parameters with all of it inside.  What would
 * need the length of the prompt (dynamic, longrope) is refused by name.
 */
#include "core/model/config_impl.h"

#include <math.h>
#include <string.h>

double core__mscale(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static core_status get_attention_factor(core__reader scaling, core_rope *rope)
{
    if (core__config_value(scaling, "attention_factor") != NULL)
        return core__config_real(scaling, "attention_factor",
                                 &rope->attention_factor);
    double mscale, mscale_all;
    CORE_TRY(core__config_real_or(scaling, "mscale", 0.0, &mscale));
    CORE_TRY(core__config_real_or(scaling, "mscale_all_dim", 0.0, &mscale_all));
    const bool both = mscale != 0.0 && mscale_all != 0.0;
    rope->attention_factor = both ? core__mscale(rope->factor, mscale) /
                                        core__mscale(rope->factor, mscale_all)
                                  : core__mscale(rope->factor, 1.0);
    return CORE_OK;
}

static core_status get_yarn(core__reader config, core__reader scaling,
                            core_rope *rope)
{
    rope->scaling = CORE_ROPE_YARN;
    CORE_TRY(core__config_real(scaling, "factor", &rope->factor));
    CORE_TRY(
        core__config_real_or(scaling, "beta_fast", 32.0, &rope->beta_fast));
    CORE_TRY(core__config_real_or(scaling, "beta_slow", 1.0, &rope->beta_slow));
    CORE_TRY(core__config_flag(scaling, "truncate", true, &rope->truncate));
    const char *key = "original_max_position_embeddings";
    if (core__config_value(scaling, key) != NULL)
        CORE_TRY(core__config_real(scaling, key, &rope->original_positions));
    else
        CORE_TRY(core__config_real(config, "max_position_embeddings",
                                   &rope->original_positions));
    return get_attention_factor(scaling, rope);
}

/* Files of the older form say `type`. */
static const char *type_key(core__reader scaling)
{
    return core__config_value(scaling, "rope_type") == NULL &&
                   core__config_value(scaling, "type") != NULL
               ? "type"
               : "rope_type";
}

static core_status get_llama3(core__reader scaling, core_rope *rope)
{
    rope->scaling = CORE_ROPE_LLAMA3;
    CORE_TRY(core__config_real(scaling, "factor", &rope->factor));
    CORE_TRY(core__config_real(scaling, "low_freq_factor", &rope->low_freq));
    CORE_TRY(core__config_real(scaling, "high_freq_factor", &rope->high_freq));
    return core__config_real(scaling, "original_max_position_embeddings",
                             &rope->original_positions);
}

static core_status get_scaling(core__reader config, core__reader scaling,
                               const char *fallback, core_rope *rope)
{
    const char *type, *key = type_key(scaling);
    CORE_TRY(core__config_text(scaling, key, fallback, &type));
    if (strcmp(type, "default") == 0)
        return CORE_OK;
    if (strcmp(type, "linear") == 0) {
        rope->scaling = CORE_ROPE_LINEAR;
        return core__config_real(scaling, "factor", &rope->factor);
    }
    if (strcmp(type, "yarn") == 0)
        return get_yarn(config, scaling, rope);
    if (strcmp(type, "llama3") == 0)
        return get_llama3(scaling, rope);
    CORE_FAIL(CORE_E_SPEC,
              "%s: %s: '%s' is not supported, expected default, linear, yarn "
              "or llama3",
              scaling.where, key, type);
}

/* The object that holds the scaling; .object NULL if there is none. */
static core_status find_scaling(core__reader config, core__reader *out,
                                bool *is_v5)
{
    *is_v5 = core__config_value(config, "rope_parameters") != NULL;
    const char *key = *is_v5 ? "rope_parameters" : "rope_scaling";
    *out = (core__reader){core__config_value(config, key), config.where};
    CORE_FAIL_IF(out->object != NULL && !json_is_object(out->object),
                 CORE_E_SPEC, "%s: %s: expected an object", config.where, key);
    return CORE_OK;
}

/* rotated = floor(head size * fraction), wherever the fraction is written. */
static core_status get_fraction(core__reader r, core_spec *spec)
{
    double fraction;
    CORE_TRY(core__config_real_or(r, "partial_rotary_factor", 1.0, &fraction));
    CORE_FAIL_IF(!(fraction > 0.0 && fraction <= 1.0), CORE_E_SPEC,
                 "%s: partial_rotary_factor: %g, expected more than 0, at most "
                 "1",
                 r.where, fraction);
    if (fraction < 1.0) {
        spec->n_rot = (int64_t)((double)spec->n_dh * fraction);
        CORE_FAIL_IF(spec->n_rot == 0, CORE_E_SPEC,
                     "%s: partial_rotary_factor: %g of a head of %lld leaves "
                     "nothing to rotate",
                     r.where, fraction, (long long)spec->n_dh);
    }
    return CORE_OK;
}

core_status core__config_fraction_present(core__reader config)
{
    static const char KEY[] = "partial_rotary_factor";
    const core__reader v5 = {core__config_value(config, "rope_parameters"),
                             config.where};
    return core__config_value(v5, KEY) != NULL
               ? CORE_OK
               : core__config_present(config, KEY);
}

core_status core__config_rope(core__reader config, core_spec *spec)
{
    core__reader scaling;
    bool is_v5;
    CORE_TRY(find_scaling(config, &scaling, &is_v5));
    CORE_TRY(core__config_real(is_v5 ? scaling : config, "rope_theta",
                               &spec->rope.theta));
    CORE_TRY(get_fraction(config, spec));
    if (scaling.object == NULL)
        return CORE_OK;
    CORE_TRY(get_fraction(scaling, spec));
    return get_scaling(config, scaling, is_v5 ? "default" : NULL, &spec->rope);
}

core_status core__config_mscale_all_dim(core__reader config, double *out)
{
    core__reader scaling;
    bool is_v5;
    *out = 0.0;
    CORE_TRY(find_scaling(config, &scaling, &is_v5));
    return scaling.object == NULL
               ? CORE_OK
               : core__config_real_or(scaling, "mscale_all_dim", 0.0, out);
}
