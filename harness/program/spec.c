/* harness/program/spec.c -- the sizes of a model. */
#include "core/files/gguf.h"
#include "core/model/quant.h"
#include "core/model/taps.h"
#include "harness/program/against.h"
#include "harness/program/command.h"
#include "harness/program/families.h"
#include "harness/program/fits.h"
#include "harness/program/inspect_gguf.h"
#include "harness/program/model.h"

#include <stdlib.h>

typedef struct request {
    const char *model, *against;
    core_overrides overrides;
    bool yaml, taps, families, fields;
} request;

static const har_command_line line = {
    "spec", "[MODEL]",
    "Shows the sizes of a model; without MODEL, "
    "the names of the presets. MODEL is a preset, a spec file, a checkpoint "
    "folder or a GGUF file.\v" HAR_EXIT_CODES,
    NULL};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->model},
        HAR_OVERRIDE_OPTIONS(&r->overrides),
        {"yaml", .flag = &r->yaml,
         .help = "print it in our own form, to be edited"},
        {"families", .flag = &r->families,
         .help = "list the model_types of config.json files that are read, and "
                 "those that are refused"},
        {"fields", .flag = &r->fields,
         .help = "list the fields of a model file, which --yaml prints"},
        {"against", .text = &r->against, .argument = "MODEL",
         .help = "list the fields in which MODEL, such as the folder that a "
                 "GGUF file was made from, is another model"},
        {"taps", .flag = &r->taps, .help = "list every observation point"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static void write_memory(const core_spec *spec)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"f64", 8}, {"f32", 4}, {"bf16", 2}, {"fp8", 1}};
    char text[16];
    printf("memory     ");
    for (int i = 0; i < 4; i++)
        printf("%s %s%s", types[i].name,
               har_format_bytes(
                   (size_t)core_spec_parameters(spec) * types[i].bytes, text),
               i < 3 ? ", " : " of weights\n");
}

/* How an expert's matrices are kept, and how much all files hold. */
static void write_stored(const core_spec *spec, const core_quant *quant)
{
    const core_weight up = {CORE_W_EXPERT_UP, (int)spec->n_l - 1, 0};
    char name[CORE_FILE_TENSOR_BYTES], how[CORE_QUANT_TEXT_BYTES], size[16];
    const core_layout layout = core_file_tensor(spec, up, name);
    const core_quant_scheme scheme =
        core_quant_of_weight(quant, up.kind, layout, name);
    printf("stored     experts as %s: %s of files, as %s says\n",
           core_quant_text(scheme, how),
           har_format_bytes(core_quant_bytes(quant, spec), size),
           core_quant_source(quant));
    if (scheme.act.how != CORE_ACT_QUANT_NONE)
        printf("           activations %s: no part of the reference without "
               "--act-quant\n",
               core_quant_act_text(scheme.act, how));
}

static void write_experts(const core_spec *s)
{
    printf("experts    %lld, top-%lld, inner %lld, %s%s\n", (long long)s->n_e,
           (long long)s->n_k, (long long)s->n_f,
           s->gated ? "gated" : "two matrices",
           s->renormalise ? ", weights renormalised" : "");
    if (s->n_f_shared > 0)
        printf("shared     one expert of inner %lld\n",
               (long long)s->n_f_shared);
    if (s->capacity.rule == CORE_CAPACITY_FACTOR)
        printf("capacity   factor %g\n", s->capacity.factor);
    else if (s->capacity.rule == CORE_CAPACITY_ABSOLUTE)
        printf("capacity   %lld per expert\n", (long long)s->capacity.absolute);
    else
        printf("capacity   unlimited\n");
}

/* What the file says beside the model, or leaves unsaid. */
static void write_facts(const core_spec *s, const core_config_facts *f)
{
    const char *family = core_family_name(s->family);
    if (f->set[0] != '\0')
        printf("set        %s\n", f->set);
    if (!f->is_config)
        return;
    if (f->text_key[0] != '\0')
        printf("read as    %s, from %s; passed over: %s\n", family, f->text_key,
               f->passed_over[0] != '\0' ? f->passed_over : "nothing");
    else if (f->passed_over[0] != '\0')
        printf("read as    %s; passed over: %s\n", family, f->passed_over);
    if (f->dtype[0] != '\0')
        printf("dtype      %s\n", f->dtype);
    if (f->n_ahead > 0)
        printf("further    %lld layer%s to predict further tokens: not "
               "computed, not counted\n",
               (long long)f->n_ahead, f->n_ahead == 1 ? "" : "s");
    if (f->defaults[0] != '\0')
        printf("defaults   %s, not in the file: %s\n",
               core_family_words_of(s->family).witness[0] != '\0'
                   ? "of the class in transformers 5"
                   : "of the published model, which has no class",
               f->defaults);
    if (f->ignored[0] != '\0')
        printf("ignored    %s\n", f->ignored);
}

static void write_other_heads(const core_spec *s)
{
    int n = 0;
    for (int l = 0; l < (int)s->n_l; l++)
        n += s->head_kind[l];
    printf("           in %d layers %lld heads x %lld, %lld kv heads\n", n,
           (long long)s->other.n_h, (long long)s->other.n_dh,
           (long long)s->other.n_g);
}

static void write_spec(const core_spec *s, const core_config_facts *facts)
{
    const int n_moe = core_spec_count_moe(s, 0, (int)s->n_l);
    printf("model      %s\n", s->name);
    printf("layers     %lld, of them %d with experts\n", (long long)s->n_l,
           n_moe);
    write_facts(s, facts);
    printf("hidden     %lld", (long long)s->n_d);
    if (s->n_h > 0)
        printf(", %lld heads x %lld, %lld kv heads", (long long)s->n_h,
               (long long)s->n_dh, (long long)s->n_g);
    printf("\n");
    if (core_spec_head_kinds(s) > 1)
        write_other_heads(s);
    write_experts(s);
    if (s->n_h > 0)
        printf("vocabulary %lld%s\n", (long long)s->n_v,
               s->tied ? ", tied head"
               : s->own_head
                   ? "; the stored head is used, it differs from the embedding "
                     "that config.json ties it to"
                   : "");
    printf("parameters %lld, active per token %lld\n",
           (long long)core_spec_parameters(s),
           (long long)core_spec_active_parameters(s));
    write_memory(s);
    printf("taps       %lld\n", (long long)core_taps(s, NULL, 0));
}

static core_status write_taps(const core_spec *spec)
{
    const int64_t n = core_taps(spec, NULL, 0);
    core_tap *taps = calloc((size_t)n, sizeof *taps);
    char name[CORE_NAME_BYTES];
    CORE_FAIL_IF(taps == NULL, CORE_E_MEMORY, "no memory for the taps");
    core_taps(spec, taps, n);
    for (int64_t i = 0; i < n; i++)
        printf("%-32s %lld columns%s%s\n", core_tap_name(taps[i], name),
               (long long)core_tap_cols(spec, taps[i]),
               core_tap_row_kind(taps[i].kind) == CORE_ROWS_CHOICE
                   ? ", a row per choice"
                   : "",
               core_tap_is_coarse(taps[i].kind) ? ", coarse" : "");
    free(taps);
    return CORE_OK;
}

static core_status hold_against(const request *r, const core_spec *spec)
{
    core_spec other;
    CORE_TRY(core_config_stored(&other, &r->overrides, r->against));
    return har_against_write(stdout, spec, r->model, &other, r->against);
}

static core_status write_all(const request *r, const core_spec *spec,
                             const core_config_facts *facts)
{
    core_quant *quant = NULL;
    core_spec stored = *spec;
    const bool is_gguf = core_gguf_is_one(r->model);
    if (facts->is_config && !is_gguf) {
        CORE_TRY(core_config_stored(&stored, &r->overrides, r->model));
        CORE_TRY(core_quant_open(&quant, r->model));
    }
    write_spec(spec, facts);
    if (is_gguf)
        CORE_TRY(har_gguf_write_stored(stdout, r->model));
    if (quant != NULL)
        write_stored(&stored, quant);
    core_quant_close(quant);
    return facts->is_config ? har_fits_write(stdout, spec, r->model) : CORE_OK;
}

int har_cmd_spec(int argc, char **argv)
{
    request r = {.model = NULL};
    core_spec spec;
    core_config_facts facts;
    read_command_line(&r, argc, argv);
    if (r.families)
        return har_end(har_families_write(stdout));
    if (r.fields) {
        core_spec_write_fields(stdout);
        return 0;
    }
    if (r.model == NULL) {
        for (int i = 0; core_spec_preset_name(i) != NULL; i++)
            puts(core_spec_preset_name(i));
        return 0;
    }
    core_status status = core_config_open(&spec, &facts, &r.overrides, r.model);
    if (status == CORE_OK && r.against != NULL)
        status = hold_against(&r, &spec);
    else if (status == CORE_OK && r.yaml)
        core_spec_write_yaml(&spec, stdout);
    else if (status == CORE_OK)
        status = write_all(&r, &spec, &facts);
    if (status == CORE_OK && r.taps)
        status = write_taps(&spec);
    return har_end(status);
}
