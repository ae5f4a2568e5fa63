/* harness/program/families.c -- the table of families, as docs/families.md has
 * it.
 *
 * What a family is made of is told from the model that its class makes of an
 * empty file: a row cannot say what the reader does not do.
 */
#include "harness/program/families.h"

#include "core/model/config.h"
#include "core/model/file_tensor.h"
#include "core/numbers/block_format.h"
#include "parallel/plan.h"

#include <stdio.h>
#include <string.h>

/* Classes without a usual count of experts, size of heads or order of layers
 * get one, and experts where they are not the rule. */
static core_status open_usual(core_spec *spec, const char *model_type)
{
    static const char *const FORMS[] = {
        "{\"model_type\": \"%s\"}",
        "{\"model_type\": \"%s\", \"n_routed_experts\": 64, "
        "\"num_experts_per_tok\": 6}",
        "{\"model_type\": \"%s\", \"head_dim\": 128}",
        "{\"model_type\": \"%s\", \"hybrid_override_pattern\": \"ME*E\", "
        "\"num_hidden_layers\": 4}",
        "{\"model_type\": \"%s\", \"enable_moe_block\": true, "
        "\"hidden_size_per_layer_input\": 0, \"num_experts\": 128, "
        "\"top_k_experts\": 8, \"moe_intermediate_size\": 704}",
        "{\"model_type\": \"%s\", \"num_hidden_layers\": 3, "
        "\"layer_types\": [\"conv\", \"conv\", \"full_attention\"]}"};
    char text[256];
    core_status status = CORE_OK;
    for (size_t i = 0; i < sizeof FORMS / sizeof FORMS[0]; i++) {
        core_message_clear();
        snprintf(text, sizeof text, FORMS[i], model_type);
        status = core_config_parse(spec, NULL, NULL, text, model_type);
        if (status == CORE_OK && spec->n_e > 1)
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
        fprintf(out, "; shared expert%s",
                s->shared_gate   ? " with a gate"
                : s->branch_norm ? " as a branch"
                                 : "");
    if (any_dense)
        fputs("; dense layers", out);
}

/* Degrees that a plan for such a model may have, each with the least that it
 * needs beside it.                                                           */
static void write_plans(FILE *out, const core_spec *s)
{
    static const char *const KEYS[][2] = {
        {"tp", "tp=2"},
        {"ep", "dp=2,ep=2"},
        {"etp", "dp=2,etp=2"},
        {"pp", "pp=2"},
        {"dp", "dp=2"},
        {"mb", "mb=2"},
        {"scope=replica", "tp=2,ep=2,scope=replica"}};
    char rule[PAR_RULE_TEXT];
    const char *between = "";
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        par_plan plan;
        if (par_plan_parse(&plan, KEYS[i][1]) != CORE_OK ||
            par_plan_check(&plan, s) != CORE_OK) {
            core_message_clear();
            continue;
        }
        fprintf(out, "%s%s", between, KEYS[i][0]);
        between = " ";
    }
    fputs(" | ", out);
    for (int i = 0; par_plan_tp_rule(s, i, rule) != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "", rule);
}

/* How the family's own files keep the matrices of experts. */
static void write_files(FILE *out, const core_spec *s)
{
    int l = 0;
    char name[CORE_FILE_TENSOR_BYTES];
    while (!core_spec_is_moe(s, l))
        l++;
    switch (core_file_tensor(s, (core_weight){CORE_W_EXPERT_UP, l, 0}, name)) {
    case CORE_LAYOUT_E_OUT_IN:
        fputs("one tensor of ups, outputs first", out);
        break;
    case CORE_LAYOUT_E_BOTTOM:
        fputs("one tensor of gates and ups, outputs first", out);
        break;
    case CORE_LAYOUT_E_RIGHT:
        fputs("one tensor of gates and ups, inputs first", out);
        break;
    case CORE_LAYOUT_E_ODD_ROWS:
        fputs("one tensor of gates and ups in turn, outputs first", out);
        break;
    case CORE_LAYOUT_E_ODD:
        fputs("one tensor of gates and ups in turn, inputs first", out);
        break;
    default:
        fputs("one by one", out);
    }
}

/* All formats of values with scales; plain ones are read everywhere. */
static void write_all_formats(FILE *out)
{
    static const char *const SCALES[] = {[CORE_SCALE_FLOAT] = "floats, or E8M0",
                                         [CORE_SCALE_E4M3] = "E4M3",
                                         [CORE_SCALE_E8M0] = "E8M0"};
    fputs("\n| format | bits of a code | scales | block |\n|---|---|---|---|\n",
          out);
    for (int i = 0; i < CORE_N_BLOCK_KINDS; i++) {
        const core_block_format *f = core_block_format_of((core_block_kind)i);
        fprintf(out, "| %s | %d | %s%s | ", f->name, f->bits, SCALES[f->scale],
                f->levels > 1 ? ", one more for the tensor" : "");
        if (f->cols > 0)
            fprintf(out, "%lld x %lld |\n", (long long)f->rows,
                    (long long)f->cols);
        else
            fputs("as the files say |\n", out);
    }
}

core_status har_families_write(FILE *out)
{
    const char *type, *word;
    fputs("| model_type | published models | mixer | router, experts | "
          "plans | tp | experts in files | witness |\n"
          "|---|---|---|---|---|---|---|---|\n",
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
        fputs(" | ", out);
        write_plans(out, &s);
        fputs(" | ", out);
        write_files(out, &s);
        fprintf(out, " | %s |\n", w.witness[0] != '\0' ? w.witness : "none");
    }
    write_all_formats(out);
    fputs("\n| wrapper | text model in |\n|---|---|\n", out);
    for (int i = 0; core_config_wrapper(i, &type, &word); i++)
        fprintf(out, "| %s | %s |\n", type, word);
    fputs("\n| refused | because of |\n|---|---|\n", out);
    for (int i = 0; core_config_refused(i, &type, &word); i++)
        fprintf(out, "| %s | %s |\n", type, word);
    return CORE_OK;
}
