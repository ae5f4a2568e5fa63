/* harness/program/families.c -- the table of families, as docs/families.md has
 * it.
 *
 * What a family is made of is told from the model that its class makes of an
 * empty file: a row cannot say what the reader does not do.
 */
#include "harness/program/families.h"

#include "core/model/config.h"

#include <stdio.h>
#include <string.h>

/* Classes without a usual count of experts, size of heads or order of layers
 * get one. */
static core_status open_usual(core_spec *spec, const char *model_type)
{
    static const char *const FORMS[] = {
        "{\"model_type\": \"%s\"}",
        "{\"model_type\": \"%s\", \"n_routed_experts\": 64, "
        "\"num_experts_per_tok\": 6}",
        "{\"model_type\": \"%s\", \"head_dim\": 128}",
        "{\"model_type\": \"%s\", \"hybrid_override_pattern\": \"ME*E\", "
        "\"num_hidden_layers\": 4}"};
    char text[256];
    core_status status = CORE_OK;
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        core_message_clear();
        snprintf(text, sizeof text, FORMS[i], model_type);
        status = core_config_parse(spec, NULL, NULL, text, model_type);
        if (status == CORE_OK)
            return CORE_OK;
    }
    return status;
}

static void write_mixers(FILE *out, const core_spec *s)
{
    bool has[CORE_N_MIXERS] = {false};
    const char *between = "";
    for (int l = 0; l < (int)s->n_l; l++)
        if (core_spec_mixer(s, l) < CORE_N_MIXERS)
            has[core_spec_mixer(s, l)] = true;
    for (int m = 0; m < CORE_N_MIXERS; m++) {
        if (!has[m])
            continue;
        fprintf(out, "%s%s", between, core_mixer_name((core_mixer)m));
        between = ", ";
    }
    if (has[CORE_MIXER_ATTENTION])
        fprintf(out, " (%s)", core_projection_name(core_spec_projection(s)));
    for (int l = 0; l < (int)s->n_l; l++)
        if (core_spec_chooser(s, l) < CORE_N_CHOOSERS) {
            fprintf(out, ", %s", core_chooser_name(core_spec_chooser(s, l)));
            return;
        }
}

static void write_layers(FILE *out, const core_spec *s)
{
    bool any_dense = false;
    for (int l = 0; l < (int)s->n_l; l++)
        any_dense = any_dense || s->ffn[l] == CORE_FFN_DENSE;
    fprintf(out, "%s%s%s", core_router_name((int)s->router),
            s->correction ? ", correction" : "",
            s->n_group > 0 ? ", groups" : "");
    if (s->n_f_shared > 0)
        fprintf(out, "; shared expert%s", s->shared_gate ? " with a gate" : "");
    if (any_dense)
        fputs("; dense layers", out);
}

core_status har_families_write(FILE *out)
{
    const char *type, *word;
    fputs("| model_type | published models | mixer | router, experts | "
          "witness |\n|---|---|---|---|---|\n",
          out);
    for (int i = 0; i < CORE_N_FAMILIES; i++) {
        const core_family_words w = core_family_words_of((core_family)i);
        core_spec s;
        if ((core_family)i == CORE_FAMILY_SEED)
            continue;
        CORE_TRY(open_usual(&s, w.model_type));
        fprintf(out, "| %s%s%s | %s | ", w.model_type,
                w.also[0] != '\0' ? " " : "", w.also, w.published);
        write_mixers(out, &s);
        fputs(" | ", out);
        write_layers(out, &s);
        fprintf(out, " | %s |\n", w.witness[0] != '\0' ? w.witness : "none");
    }
    fputs("\n| wrapper | text model in |\n|---|---|\n", out);
    for (int i = 0; core_config_wrapper(i, &type, &word); i++)
        fprintf(out, "| %s | %s |\n", type, word);
    fputs("\n| refused | because of |\n|---|---|\n", out);
    for (int i = 0; core_config_refused(i, &type, &word); i++)
        fprintf(out, "| %s | %s |\n", type, word);
    return CORE_OK;
}
