/* core/model/config_rope.c -- the rotary embedding of a config.json.
 *
 * Three generations of files: rope_theta beside rope_scaling with `type`, the
 * same with `rope_type`, and rope_parameters with all of it inside.  Where a
 * file mixes them, the rules are those of transformers 5: rope_scaling, if it
 * says anything, stands for all of rope_parameters, theta included; what the
 * object lacks is taken from beside it, then from the class.  What would need
 * the length of the prompt (dynamic, longrope) is refused by name.
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

/* Beside the object it wins over inside; nowhere: the length of the file. */
static core_status get_original(core__reader config, core__reader scaling,
                                core_rope *rope)
{
    static const char KEY[] = "original_max_position_embeddings";
    const core__reader at = core__config_has(config, KEY) ? config : scaling;
    const bool said = core__config_value(scaling, KEY) != NULL ||
                      core__config_has(config, KEY);
    return said ? core__config_real(at, KEY, &rope->original_positions)
                : core__config_real(config, "max_position_embeddings",
                                    &rope->original_positions);
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
    CORE_TRY(get_original(config, scaling, rope));
    return get_attention_factor(scaling, rope);
}

/* Files of the older form say `type`. */
static const char *type_key(core__reader scaling)
{
    const bool is_old = core__config_value(scaling, "type") != NULL;
    return is_old && core__config_value(scaling, "rope_type") == NULL
               ? "type"
               : "rope_type";
}

static core_status get_llama3(core__reader config, core__reader scaling,
                              core_rope *rope)
{
    rope->scaling = CORE_ROPE_LLAMA3;
    CORE_TRY(core__config_real(scaling, "factor", &rope->factor));
    CORE_TRY(core__config_real(scaling, "low_freq_factor", &rope->low_freq));
    CORE_TRY(core__config_real(scaling, "high_freq_factor", &rope->high_freq));
    return get_original(config, scaling, rope);
}

/* theta * alpha^(n / (n - 2)): what Hunyuan calls dynamic knows no length. */
static core_status get_alpha(core__reader scaling, int64_t n_dh,
                             core_rope *rope)
{
    static const char *const IDLE[] = {"factor", "beta_fast", "beta_slow",
                                       "mscale", "mscale_all_dim"};
    double alpha;
    CORE_TRY(core__config_real(scaling, "alpha", &alpha));
    CORE_FAIL_IF(!(alpha > 0.0) || n_dh <= 2, CORE_E_SPEC,
                 "%s: alpha: %g, expected a positive number, for heads of more "
                 "than 2",
                 scaling.where, alpha);
    for (size_t i = 0; i < sizeof IDLE / sizeof IDLE[0]; i++)
        core__config_value(scaling, IDLE[i]);
    const double n = (double)n_dh;
    rope->theta *= pow(alpha, n / (n - 2.0));
    return CORE_OK;
}

/* The waves are those of the whole head, of which the first pairs turn; a part
 * that is rotated says how many. */
static core_status get_proportional(core__reader scaling, core_rope *rope,
                                    int64_t *n_rot)
{
    double factor;
    CORE_TRY(core__config_real_or(scaling, "factor", 1.0, &factor));
    CORE_FAIL_IF(factor != 1.0, CORE_E_SPEC,
                 "%s: factor: %g, expected 1 in proportional rope",
                 scaling.where, factor);
    CORE_FAIL_IF(*n_rot == 1, CORE_E_SPEC,
                 "%s: partial_rotary_factor: leaves no pair to turn",
                 scaling.where);
    rope->n_turned = *n_rot / 2;
    *n_rot = 0;
    return CORE_OK;
}

static core_status get_scaling(core__reader config, core__reader scaling,
                               int64_t alpha_dh, core_rope *rope,
                               int64_t *n_rot)
{
    const char *type, *key = type_key(scaling);
    CORE_TRY(core__config_text(scaling, key, "default", &type));
    if (alpha_dh > 0 && strcmp(type, "dynamic") == 0)
        return get_alpha(scaling, alpha_dh, rope);
    if (strcmp(type, "default") == 0)
        return CORE_OK;
    if (strcmp(type, "linear") == 0) {
        rope->scaling = CORE_ROPE_LINEAR; /* files of yarn, changed by hand */
        core__config_value(scaling, "original_max_position_embeddings");
        return core__config_real(scaling, "factor", &rope->factor);
    }
    if (strcmp(type, "yarn") == 0)
        return get_yarn(config, scaling, rope);
    if (strcmp(type, "llama3") == 0)
        return get_llama3(config, scaling, rope);
    if (strcmp(type, "proportional") == 0)
        return get_proportional(scaling, rope, n_rot);
    CORE_FAIL(CORE_E_SPEC,
              "%s: %s: '%s' is not supported, expected default, linear, yarn, "
              "llama3 or proportional",
              scaling.where, key, type);
}

static bool says_something(core__reader r)
{
    return r.object != NULL && json_object_size(r.object) > 0;
}

/* One object for each kind of layer: taken if all of them say the same. */
static core_status of_kinds(core__reader r, const char *key, core__reader *out)
{
    static const char *const KINDS[] = {"full_attention", "sliding_attention",
                                        "chunked_attention"};
    core__reader kind, first = {.object = NULL};
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        CORE_TRY(core__config_object(*out, KINDS[i], &kind));
        if (kind.object == NULL)
            continue;
        CORE_FAIL_IF(first.object != NULL &&
                         !json_equal(kind.object, first.object),
                     CORE_E_SPEC,
                     "%s: %s: %s differs from another kind of layer, which is "
                     "not supported for model_type %s",
                     r.where, key, KINDS[i], r.facts->model_type);
        if (first.object != NULL && kind.unread != NULL)
            json_object_clear(kind.unread);
        else
            first = kind;
    }
    if (first.object != NULL)
        *out = first;
    return CORE_OK;
}

/* The object that holds the scaling; .object NULL if there is none. */
static core_status find_scaling(core__reader config, core__reader *out)
{
    static const char OLD[] = "rope_scaling", NEW[] = "rope_parameters";
    core__reader newer;
    CORE_TRY(core__config_object(config, OLD, out));
    /* a file that says null of the old key wants no scaling of the class */
    if (json_is_null(json_object_get(config.object, OLD)) &&
        !core__config_has(config, NEW))
        return CORE_OK;
    const bool says_old = says_something(*out);
    if (says_old && !core__config_has(config, NEW))
        return CORE_OK;
    CORE_TRY(core__config_object(config, NEW, &newer));
    if (!says_old) {
        *out = newer;
        return of_kinds(config, NEW, out);
    }
    if (newer.unread != NULL) {
        json_object_clear(newer.unread);
        snprintf(config.facts->passed_over, sizeof config.facts->passed_over,
                 "%s (%s is taken, as transformers 5 does)", NEW, OLD);
    }
    return CORE_OK;
}

/* rotated = floor(head size * fraction), wherever the fraction is written. */
static core_status get_fraction(core__reader r, int64_t n_dh, int64_t *n_rot)
{
    double fraction;
    if (core__config_value(r, "partial_rotary_factor") == NULL)
        return CORE_OK;
    CORE_TRY(core__config_real(r, "partial_rotary_factor", &fraction));
    *n_rot = 0;
    CORE_FAIL_IF(!(fraction > 0.0 && fraction <= 1.0), CORE_E_SPEC,
                 "%s: partial_rotary_factor: %g, expected more than 0, at most "
                 "1",
                 r.where, fraction);
    if (fraction < 1.0) {
        *n_rot = (int64_t)((double)n_dh * fraction);
        CORE_FAIL_IF(*n_rot == 0, CORE_E_SPEC,
                     "%s: partial_rotary_factor: %g of a head of %lld leaves "
                     "nothing to rotate",
                     r.where, fraction, (long long)n_dh);
    }
    return CORE_OK;
}

/* What is inside the object wins over what is beside it. */
static core_status get_rope(core__reader config, core__reader scaling,
                            const char *theta, int64_t n_dh, bool has_alpha,
                            core_rope *rope, int64_t *n_rot)
{
    static const char THETA[] = "rope_theta";
    const bool inside = core__config_value(scaling, THETA) != NULL;
    if (inside && config.unread != NULL)
        json_object_del(config.unread, theta);
    CORE_TRY(core__config_real(inside ? scaling : config,
                               inside ? THETA : theta, &rope->theta));
    CORE_TRY(get_fraction(config, n_dh, n_rot));
    if (scaling.object == NULL)
        return CORE_OK;
    CORE_TRY(get_fraction(scaling, n_dh, n_rot));
    return get_scaling(config, scaling, has_alpha ? n_dh : 0, rope, n_rot);
}

core_status core__config_rope(core__reader config, bool has_alpha,
                              core_spec *spec)
{
    core__reader scaling;
    CORE_TRY(find_scaling(config, &scaling));
    return get_rope(config, scaling, "rope_theta", spec->n_dh, has_alpha,
                    &spec->rope, &spec->n_rot);
}

core_status core__config_ropes(core__reader config, const char *other_theta,
                               core_spec *spec)
{
    core__reader all, one;
    CORE_TRY(core__config_object(config, "rope_parameters", &all));
    CORE_TRY(core__config_object(all, "full_attention", &one));
    CORE_TRY(get_rope(config, one, "rope_theta", spec->n_dh, false, &spec->rope,
                      &spec->n_rot));
    CORE_TRY(core__config_object(all, "sliding_attention", &one));
    return get_rope(config, one, other_theta, spec->other.n_dh, false,
                    &spec->other.rope, &spec->other.n_rot);
}

core_status core__config_two_ropes(core__reader config, const char *first,
                                   const char *theta, const char *other,
                                   const char *other_theta, core_spec *spec)
{
    static const char FACTOR[] = "attention_factor";
    core__reader all, one, two;
    CORE_TRY(core__config_object(config, "rope_parameters", &all));
    CORE_TRY(core__config_object(all, first, &one));
    CORE_TRY(core__config_object(all, other, &two));
    const bool is_flat = one.object == NULL;
    if (is_flat)
        CORE_TRY(find_scaling(config, &one));
    CORE_TRY(get_rope(config, one, theta, spec->n_dh, false, &spec->rope,
                      &spec->n_rot));
    if (is_flat && !core__config_has(one, FACTOR))
        spec->rope.attention_factor = 1.0;
    return get_rope(config, two, other_theta, spec->other.n_dh, false,
                    &spec->other.rope, &spec->other.n_rot);
}

core_status core__config_mscale_all_dim(core__reader config, double *out)
{
    core__reader scaling;
    *out = 0.0;
    CORE_TRY(find_scaling(config, &scaling));
    return scaling.object == NULL
               ? CORE_OK
               : core__config_real_or(scaling, "mscale_all_dim", 0.0, out);
}
