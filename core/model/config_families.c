/* core/model/config_families.c -- from a config.json to the family that reads
 * it.
 *
 * What all decoders have is read here; what is a family's own, in its file of
 * core/model/families/.
 */
#include "core/model/families/family.h"

#include <string.h>

const core__family *core__family_of(core_family family)
{
    static const core__family *const FAMILIES[] = {
#define FAMILY_ROW(kind, name) &core__family_##name,
        CORE_FAMILY_LIST(FAMILY_ROW)
#undef FAMILY_ROW
    };
    return FAMILIES[family];
}

/* null means as many as there are query heads; absent is not null here,
 * because the class defaults fit no particular model. */
static core_status get_kv_heads(core__reader r, core_spec *spec)
{
    const char *key = "num_key_value_heads";
    if (json_is_null(json_object_get(r.object, key))) {
        spec->n_g = spec->n_h;
        return CORE_OK;
    }
    return core__config_count(r, key, &spec->n_g);
}

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

static core_status parse_decoder(core_spec *spec, core__reader r,
                                 core_family id)
{
    static const char LOCAL[] = "num_local_experts";
    const core__family *f = core__family_of(id);
    /* version 5 calls the experts of Qwen3 as Mixtral does */
    const bool renamed = core__config_value(r, f->experts) == NULL &&
                         core__config_value(r, LOCAL) != NULL;
    const char *experts = renamed ? LOCAL : f->experts;
    spec->family = id;
    spec->gated = true;
    spec->capacity.rule = CORE_CAPACITY_NONE;
    CORE_TRY(core__config_count(r, "num_hidden_layers", &spec->n_l));
    CORE_FAIL_IF(spec->n_l > CORE_MAX_LAYERS, CORE_E_SPEC,
                 "%s: num_hidden_layers: %lld, expected at most %d", r.where,
                 (long long)spec->n_l, CORE_MAX_LAYERS);
    CORE_TRY(core__config_count(r, "hidden_size", &spec->n_d));
    CORE_TRY(core__config_count(r, "num_attention_heads", &spec->n_h));
    CORE_TRY(get_kv_heads(r, spec));
    CORE_TRY(get_head_size(r, f->head, spec));
    CORE_TRY(core__config_count(r, experts, &spec->n_e));
    CORE_TRY(core__config_count(r, "num_experts_per_tok", &spec->n_k));
    CORE_TRY(core__config_count(r, f->inner, &spec->n_f));
    CORE_TRY(core__config_count(r, "vocab_size", &spec->n_v));
    CORE_TRY(core__config_real(r, "rms_norm_eps", &spec->norm_eps));
    if (!f->no_rope)
        CORE_TRY(core__config_rope(r, spec));
    CORE_FAIL_IF(spec->n_rot > 0 && !f->partial_rope, CORE_E_SPEC,
                 "%s: partial_rotary_factor: not supported for %s, expected 1",
                 r.where, f->model_type);
    CORE_TRY(core__config_act(r, "hidden_act", "silu", &spec->act));
    CORE_TRY(core__config_flag(r, "tie_word_embeddings", false, &spec->tied));
    CORE_TRY(core__quant_check(r));
    return f->add(spec, r);
}

core_status core__config_family(core_spec *spec, core__reader r,
                                const char *model_type)
{
    char names[256] = "";
    for (int i = 0; i < CORE_N_FAMILIES; i++) {
        const core__family *f = core__family_of((core_family)i);
        if (strcmp(f->model_type, model_type) == 0)
            return f->parse != NULL ? f->parse(spec, r)
                                    : parse_decoder(spec, r, (core_family)i);
        if (f->parse == NULL) {
            strncat(names, f->model_type, sizeof names - strlen(names) - 1);
            strncat(names, ", ", sizeof names - strlen(names) - 1);
        }
    }
    CORE_FAIL(CORE_E_SPEC,
              "%s: model_type: '%s' is not supported, expected %s"
              "switch_transformers or moeparity",
              r.where, model_type, names);
}
