/* harness/program/model.c -- see model.h. */
#include "harness/program/model.h"

#include "harness/words/words.h"

core_status har_model_read(har_model *out, const char *name, const char *layers,
                           const char *seed, const core_config_ignore *ignore)
{
    int64_t number;
    out->name = name;
    CORE_TRY(har_parse_count(&number, "--seed", seed));
    out->seed = (uint64_t)number;
    CORE_TRY(core_config_open(&out->full, &out->facts, ignore, name));
    out->is_checkpoint = out->facts.has_weights;
    out->spec = out->full;
    if (layers == NULL)
        return CORE_OK;
    CORE_TRY(har_parse_count(&number, "--layers", layers));
    CORE_FAIL_IF(number > out->full.n_l, CORE_E_USAGE,
                 "--layers: %s has %lld layers, found %lld", out->full.name,
                 (long long)out->full.n_l, (long long)number);
    out->spec.n_l = number;
    return CORE_OK;
}

core_status har_model_quantise(har_model *model, bool act_quant)
{
    CORE_FAIL_IF(act_quant && !model->is_checkpoint, CORE_E_USAGE,
                 "--act-quant: %s has no weights in files, and procedural ones "
                 "are not quantised",
                 model->name);
    model->act_quant = act_quant;
    return CORE_OK;
}

core_status har_model_weights(const har_model *model, core_weights **out)
{
    CORE_TRY(model->is_checkpoint
                 ? core_weights_open_checkpoint(out, &model->full, model->name,
                                                model->act_quant)
                 : core_weights_open_procedural(out, &model->full, model->seed));
    if (model->cuts_blocks)
        core_weights_cut_blocks(*out);
    return CORE_OK;
}

void har_config_write(FILE *out, const char *model,
                      const core_config_facts *facts, const char *weights)
{
    if (facts->is_config && !facts->has_weights)
        fprintf(out, "config     %s/config.json alone: %s\n", model, weights);
    if (facts->ignored[0] != '\0')
        fprintf(out, "ignored    %s\n", facts->ignored);
}

void har_model_write(FILE *out, const har_model *model)
{
    char weights[96];
    snprintf(weights, sizeof weights,
             "weights are procedural, seed %llu, in the layout of %s",
             (unsigned long long)model->seed,
             core_family_name(model->full.family));
    har_config_write(out, model->name, &model->facts, weights);
}
