/* core/model/config_families.c -- from a config.json to the family that reads
 * it.
 *
 * What all decoders have is read here; what is a family's own, in its file of
 * core/model/families/.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status get_head_size(core__reader r, core__head_rule rule,
                                 core_spec *spec)
{
    if (rule == CORE_HEAD_OF_PARTS) {
        int64_t nope, rope;
        CORE_TRY(core__config_count(r, "qk_nope_head_dim", &nope));
        CORE_TRY(core__config_count(r, "qk_rope_head_dim", &rope));
        spec->n_dh = nope + rope;
        return CORE_OK;
    }
    if (rule == CORE_HEAD_REQUIRED ||
        (rule == CORE_HEAD_OF_KEY && core__config_value(r, "head_dim") != NULL))
        return core__config_count(r, "head_dim", &spec->n_dh);
    CORE_FAIL_IF(spec->n_d % spec->n_h != 0, CORE_E_SPEC,
                 "%s: hidden_size %lld, not a multiple of num_attention_heads "
                 "%lld, and no head_dim",
                 r.where, (long long)spec->n_d, (long long)spec->n_h);
    spec->n_dh = spec->n_d / spec->n_h;
    return CORE_OK;
}

/* A count that has several names; a file that says two of them has to mean the
 * same by both.  `own`: the name that the class has. */
static core_status get_count(core__reader r, const char *const *names,
                             const char *own, int64_t *out)
{
    const char *said = NULL;
    for (; *names != NULL; names++) {
        int64_t n;
        if (!core__config_has(r, *names))
            continue;
        CORE_TRY(core__config_count(r, *names, &n));
        CORE_FAIL_IF(said != NULL && n != *out, CORE_E_SPEC,
                     "%s: %s %lld and %s %lld: two counts of one thing",
                     r.where, said, (long long)*out, *names, (long long)n);
        said = *names;
        *out = n;
    }
    return said != NULL ? CORE_OK : core__config_count(r, own, out);
}

/* null means as many as there are query heads. */
static core_status get_kv_heads(core__reader r, core_spec *spec)
{
    static const char KEY[] = "num_key_value_heads";
    static const char *const NAMES[] = {KEY, "num_attention_groups", NULL};
    if (core__config_has(r, NAMES[1]) || core__config_value(r, KEY) != NULL)
        return get_count(r, NAMES, KEY, &spec->n_g);
    spec->n_g = spec->n_h;
    return CORE_OK;
}

static core_status get_experts(core_spec *spec, core__reader r,
                               const core__family *f)
{
    static const char *const EXPERTS[] = {"num_experts", "num_local_experts",
                                          "n_routed_experts", "moe_num_experts",
                                          NULL};
    static const char *const CHOSEN[] = {"num_experts_per_tok",
                                         "num_experts_per_token",
                                         "experts_per_token",
                                         "moe_k",
                                         "moe_topk",
                                         "moe_top_k",
                                         NULL};
    CORE_TRY(get_count(r, EXPERTS, f->experts, &spec->n_e));
    return get_count(r, CHOSEN, f->chosen != NULL ? f->chosen : CHOSEN[0],
                     &spec->n_k);
}

/* Layers beyond the last that predict further tokens, and as what weights are
 * kept: neither is part of the forward pass. */
static core_status get_facts(core__reader r)
{
    static const char *const AHEAD[] = {"num_nextn_predict_layers",
                                        "num_mtp_layers", "num_mtp_modules",
                                        "mtp_num_hidden_layers"};
    const char *dtype;
    for (size_t i = 0; i < sizeof AHEAD / sizeof AHEAD[0]; i++)
        if (core__config_has(r, AHEAD[i]))
            CORE_TRY(core__config_count_or(r, AHEAD[i], 0, &r.facts->n_ahead));
    for (int i = 0; i < 2; i++) { /* the newer key wins */
        const char *key = i == 0 ? "torch_dtype" : "dtype";
        if (core__config_has(r, key)) {
            CORE_TRY(core__config_text(r, key, NULL, &dtype));
            snprintf(r.facts->dtype, sizeof r.facts->dtype, "%s", dtype);
        }
    }
    return CORE_OK;
}

static core_status parse_decoder(core_spec *spec, core__reader r,
                                 core_family id)
{
    const core__family *f = core__family_of(id);
    spec->family = id;
    spec->gated = true;
    spec->capacity.rule = CORE_CAPACITY_NONE;
    CORE_TRY(f->layers != NULL
                 ? f->layers(spec, r)
                 : core__config_count(r, "num_hidden_layers", &spec->n_l));
    CORE_FAIL_IF(spec->n_l > CORE_MAX_LAYERS, CORE_E_SPEC,
                 "%s: num_hidden_layers: %lld, expected at most %d", r.where,
                 (long long)spec->n_l, CORE_MAX_LAYERS);
    CORE_TRY(core__config_count(r, "hidden_size", &spec->n_d));
    CORE_TRY(core__config_count(r, "num_attention_heads", &spec->n_h));
    CORE_TRY(get_kv_heads(r, spec));
    CORE_TRY(get_head_size(r, f->head, spec));
    CORE_TRY(get_experts(spec, r, f));
    CORE_TRY(core__config_count(r, f->inner, &spec->n_f));
    CORE_TRY(core__config_count(r, "vocab_size", &spec->n_v));
    CORE_TRY(core__config_real(
        r, f->norm_eps != NULL ? f->norm_eps : "rms_norm_eps",
        &spec->norm_eps));
    if (!f->no_rope)
        CORE_TRY(core__config_rope(r, f->alpha_rope, spec));
    CORE_FAIL_IF(spec->n_rot > 0 && !f->partial_rope, CORE_E_SPEC,
                 "%s: partial_rotary_factor: not supported for %s, expected 1",
                 r.where, f->model_type);
    if (!f->own_act)
        CORE_TRY(f->act != NULL
                     ? core__config_act(r, f->act, NULL, &spec->act)
                     : core__config_act(r, "hidden_act", "silu", &spec->act));
    CORE_TRY(core__config_flag(r, "tie_word_embeddings", false, &spec->tied));
    CORE_TRY(core__quant_check(r));
    CORE_TRY(get_facts(r));
    CORE_TRY(f->add(spec, r));
    if (core_spec_head_kinds(spec) == 1) /* what was read of no layer */
        spec->other = core__spec_blank().other;
    return CORE_OK;
}

/* --- which family ----------------------------------------------------------
 */

/* CORE_N_FAMILIES: none reads it. */
static core_family find_family(const char *model_type)
{
    int i = 0;
    while (i < CORE_N_FAMILIES &&
           strcmp(core__family_of((core_family)i)->model_type, model_type) !=
               0 &&
           !core__config_is_listed(model_type,
                                   core__family_of((core_family)i)->also))
        i++;
    return (core_family)i;
}

const char *core_family_name(core_family family)
{
    static const char *const NAMES[] = {
#define FAMILY_NAME(kind, name) #name,
        CORE_FAMILY_LIST(FAMILY_NAME)
#undef FAMILY_NAME
    };
    return NAMES[family];
}

static const char *or_nothing(const char *text)
{
    return text != NULL ? text : "";
}

core_family_words core_family_words_of(core_family family)
{
    const core__family *f = core__family_of(family);
    return (core_family_words){f->model_type, or_nothing(f->also),
                               or_nothing(f->published),
                               or_nothing(f->witness)};
}

static core_status unknown_family(core__reader r, const char *model_type)
{
    const char *type, *reason;
    for (int i = 0; core_config_refused(i, &type, &reason); i++)
        CORE_FAIL_IF(strcmp(type, model_type) == 0, CORE_E_SPEC,
                     "%s: model_type: '%s' is not supported: %s", r.where,
                     model_type, reason);
    CORE_FAIL(CORE_E_SPEC,
              "%s: model_type: '%s' is not supported; spec --families lists "
              "what is",
              r.where, model_type);
}

static core_status parse_watched(core_spec *spec, core__reader r,
                                 const core_overrides *overrides,
                                 core_family id)
{
    const core__family *f = core__family_of(id);
    CORE_TRY(f->parse != NULL ? f->parse(spec, r) : parse_decoder(spec, r, id));
    return core__config_refuse_unread(r, f->ignores, overrides);
}

static core_status parse_part(core_spec *spec, core__reader r,
                              const core_overrides *overrides, json_t *part);

/* The text model of a file that has more. */
static core_status parse_wrapped(core_spec *spec, core__reader r,
                                 const core_overrides *overrides,
                                 const core__wrapper *w)
{
    json_t *part = NULL;
    CORE_TRY(core__wrapper_part(w, r, &part));
    core_status status = core__config_refuse_unread(r, w->ignores, overrides);
    if (status == CORE_OK)
        status = parse_part(spec, r, overrides, part);
    json_decref(part);
    return status;
}

static core_status parse_part(core_spec *spec, core__reader r,
                              const core_overrides *overrides, json_t *part)
{
    core__reader inner = {.object = part,
                          .where = r.where,
                          .unread = json_deep_copy(part),
                          .taken = r.taken,
                          .facts = r.facts};
    const char *type = NULL;
    core_status status = core__config_text(inner, "model_type", NULL, &type);
    if (status == CORE_OK)
        status = core__config_family(spec, inner, overrides, type);
    json_decref(inner.unread);
    return status;
}

static core_status parse_family(core_spec *spec, core__reader r,
                                const core_overrides *overrides,
                                const char *model_type)
{
    const core_family id = find_family(model_type);
    if (id == CORE_N_FAMILIES)
        return unknown_family(r, model_type);
    const char *defaults = core__family_of(id)->defaults;
    json_t *of_class = NULL;
    if (defaults != NULL)
        CORE_TRY(
            core_json_parse(&of_class, defaults, strlen(defaults), model_type));
    r.defaults = of_class;
    const core_status status = parse_watched(spec, r, overrides, id);
    json_decref(of_class);
    return status;
}

core_status core__config_family(core_spec *spec, core__reader r,
                                const core_overrides *overrides,
                                const char *model_type)
{
    const core__wrapper *w = core__wrapper_of(model_type);
    /* a wrapper's name may stand on a text model alone */
    if (w != NULL && !core__config_has(r, w->key) &&
        find_family(model_type) != CORE_N_FAMILIES)
        w = NULL;
    return w != NULL ? parse_wrapped(spec, r, overrides, w)
                     : parse_family(spec, r, overrides, model_type);
}
