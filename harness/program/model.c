/* harness/program/model.c -- see model.h. */
#include "harness/program/model.h"

#include "harness/words/words.h"

core_status har_model_read(har_model *out, const char *name, const char *layers,
                           const char *seed)
{
    int64_t number;
    out->name = name;
    CORE_TRY(har_parse_count(&number, "--seed", seed));
    out->seed = (uint64_t)number;
    CORE_TRY(core_spec_open(&out->full, name, &out->is_checkpoint));
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

core_status har_model_weights(const har_model *model, core_weights **out)
{
    CORE_TRY(model->is_checkpoint
                 ? core_weights_open_checkpoint(out, &model->full, model->name)
                 : core_weights_open_procedural(out, &model->full, model->seed));
    if (model->cuts_blocks)
        core_weights_cut_blocks(*out);
    return CORE_OK;
}
