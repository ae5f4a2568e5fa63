/* harness/program/model.c -- see model.h. */
#include "harness/program/model.h"

#include "core/files/path.h"
#include "harness/words/words.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <xxhash.h>

core_status har_model_read(har_model *out, const char *name, const char *layers,
                           const char *seed, const core_overrides *overrides)
{
    int64_t number;
    out->name = name;
    CORE_TRY(har_parse_count(&number, "--seed", seed));
    out->seed = (uint64_t)number;
    CORE_TRY(core_config_open(&out->full, &out->facts, overrides, name));
    out->is_checkpoint = out->facts.has_weights;
    out->spec = out->stored = out->full;
    if (out->is_checkpoint && overrides->n_set > 0) {
        CORE_TRY(core_config_stored(&out->stored, overrides, name));
        CORE_TRY_CTX(core_weight_check_within(&out->full, &out->stored),
                     "setting fields of %s", name);
    }
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
                 ? core_weights_open_checkpoint(out, &model->stored, model->name,
                                                model->act_quant)
                 : core_weights_open_procedural(out, &model->full, model->seed));
    if (model->cuts_blocks)
        core_weights_cut_blocks(*out);
    return CORE_OK;
}

/* Of a file, added so that the order of a listing does not matter. */
static uint64_t state_of(const char *name, const struct stat *st)
{
    char text[600];
    const int n = snprintf(text, sizeof text, "%.255s %lld %lld.%09ld", name,
                           (long long)st->st_size, (long long)st->st_mtim.tv_sec,
                           st->st_mtim.tv_nsec);
    return XXH3_64bits(text, (size_t)n);
}

static core_status files_state(uint64_t *out, const char *folder)
{
    char path[CORE_PATH_BYTES];
    const struct dirent *entry;
    struct stat st;
    core_status status = CORE_OK;
    if (stat(folder, &st) == 0 && S_ISREG(st.st_mode)) {
        *out = state_of(folder, &st);
        return CORE_OK;
    }
    DIR *dir = opendir(folder);
    CORE_FAIL_IF(dir == NULL, CORE_E_FILE, "%s: cannot be read", folder);
    *out = 0;
    while (status == CORE_OK && (entry = readdir(dir)) != NULL) {
        status = core_path_join(path, folder, entry->d_name);
        if (status == CORE_OK && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            *out += state_of(entry->d_name, &st);
    }
    closedir(dir);
    return status;
}

core_status har_model_mark(char out[HAR_MODEL_MARK], const har_model *model)
{
    uint64_t state;
    if (!model->is_checkpoint) {
        snprintf(out, HAR_MODEL_MARK, "procedural, seed %llu, of %lld layers",
                 (unsigned long long)model->seed, (long long)model->full.n_l);
        return CORE_OK;
    }
    CORE_TRY(files_state(&state, model->name));
    snprintf(out, HAR_MODEL_MARK, "files in the state %016llx%s",
             (unsigned long long)state,
             model->act_quant ? ", activations quantised" : "");
    return CORE_OK;
}

void har_config_write(FILE *out, const char *model,
                      const core_config_facts *facts, const char *weights)
{
    if (facts->is_config && !facts->has_weights)
        fprintf(out, "config     %s/config.json alone: %s\n", model, weights);
    if (facts->ignored[0] != '\0')
        fprintf(out, "ignored    %s\n", facts->ignored);
    if (facts->set[0] != '\0')
        fprintf(out, "set        %s\n", facts->set);
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
