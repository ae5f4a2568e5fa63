/* core/model/spec_fields.c -- our own spec file, field by field.
 *
 * One table says where a field stands in the file, where it lives in the spec
 * and when it applies; reading and writing both walk it, so what is written can
 * be read back.  A field that does not apply (a capacity factor where nothing
 * is ever dropped) is refused like an unknown one: whoever wrote it expected it
 * to do something.  Trap: `when` looks at fields that stand earlier in the
 * table, so their order matters.
 */
#include "core/model/spec_impl.h"

#include "core/model/elementary.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_type {
    FIELD_I64,
    FIELD_INT,
    FIELD_REAL,
    FIELD_FLAG,
    FIELD_WORD, /* one of a list of words, stored as its index              */
    FIELD_NAME,
    FIELD_LAYERS, /* a word or a list of them, one per layer                  */
    FIELD_REALS,  /* a number or a list of them, one per layer                */
} field_type;

typedef bool (*field_when)(const core_spec *spec);

typedef struct field {
    const char *path;
    field_type type;
    size_t offset;
    const char *const *words; /* NULL-terminated, in the enum's order         */
    field_when when;          /* NULL: always                                 */
    bool optional;            /* absent: the value of core__spec_blank, which
                               * says that the model has no such operator     */
} field;

_Static_assert(sizeof(core_family) == sizeof(unsigned) &&
                   sizeof(core_act) == sizeof(unsigned) &&
                   sizeof(core_rope_scaling) == sizeof(unsigned) &&
                   sizeof(core_router) == sizeof(unsigned),
               "words are stored through an unsigned");

#define WORD(kind, name) #name,
static const char *const FAMILIES[] = {CORE_FAMILY_LIST(WORD) NULL};
static const char *const SCALINGS[] = {"plain", "linear", "yarn", "llama3",
                                       NULL};
static const char *const ACTS[] = {"silu",           "gelu",  "gelu_tanh", "relu",
                                   "clamped_swiglu", "relu2", "sigmoid",
                                   "clamped_silu", "situ", NULL};
static const char *const NORMS[] = {"rms", "layer", "rms_plus_one", NULL};
static const char *const MIXERS[] = {CORE_MIXER_LIST(WORD) "none", NULL};
static const char *const SPANS[] = {"window", "full", "chunk", NULL};
static const char *const SIGHTS[] = {"span", "chosen", "kept", NULL};
static const char *const POSITIONS[] = {"rope", "none", NULL};
static const char *const QK_NORMS[] = {"none", "head", "all", "roped",
                                       "after", NULL};
static const char *const ROUTERS[] = {"softmax", "softmax_top", "sigmoid",
                                      "sparsemixer", "sqrt_softplus", NULL};
static const char *const DIGESTS[] = {"none", "all", "best", NULL};
static const char *const CHOICES[] = {"scores", "table", NULL};
static const char *const GROUP_SCORES[] = {"max", "best_two", NULL};
static const char *const RULES[] = {"none", "factor", "absolute", NULL};
static const char *const DOMAINS[] = {"group", "sequence", "batch", NULL};
static const char *const PRIORITIES[] = {"position", "prob", NULL};
static const char *const DROPPED[] = {"zero", "passthrough", NULL};
static const char *const FFNS[] = {"moe", "dense", "none", NULL};
static const char *const HEAD_KINDS[] = {"first", "other", NULL};

static const char *name_of(const char *const *names, int i)
{
    for (int k = 0; k <= i; k++)
        if (names[k] == NULL)
            return NULL;
    return i < 0 ? NULL : names[i];
}

const char *core_act_name(int act)
{
    return name_of(ACTS, act);
}

const char *core_router_name(int router)
{
    return name_of(ROUTERS, router);
}

static bool has_other(const core_spec *spec)
{
    return core_spec_head_kinds(spec) > 1;
}

static bool is_switch(const core_spec *spec)
{
    return spec->family == CORE_FAMILY_SWITCH;
}

static bool is_scaled(const core_spec *spec)
{
    return spec->rope.scaling != CORE_ROPE_PLAIN;
}

static bool has_original(const core_spec *spec)
{
    return spec->rope.scaling == CORE_ROPE_YARN ||
           spec->rope.scaling == CORE_ROPE_LLAMA3;
}

static bool is_llama3(const core_spec *spec)
{
    return spec->rope.scaling == CORE_ROPE_LLAMA3;
}

static bool has_groups(const core_spec *spec)
{
    return spec->n_group > 0;
}

static bool is_sparsemixer(const core_spec *spec)
{
    return spec->router == CORE_ROUTER_SPARSEMIXER;
}

static bool has_temper(const core_spec *spec)
{
    return spec->temper_scale > 0.0;
}

static bool is_yarn(const core_spec *spec)
{
    return spec->rope.scaling == CORE_ROPE_YARN;
}

static bool is_clamped(const core_spec *spec)
{
    return core_act_is_clamped(spec->act);
}

static bool has_width(const core_spec *spec)
{
    return spec->n_de > 0;
}

static bool has_factor(const core_spec *spec)
{
    return spec->capacity.rule == CORE_CAPACITY_FACTOR;
}

static bool has_slots(const core_spec *spec)
{
    return spec->capacity.rule == CORE_CAPACITY_ABSOLUTE;
}

/* The fields of operators: when_ID says when one applies. */
#define FIELD_WHEN(id, path, type, member, when, optional)                     \
    static bool when_##id(const core_spec *s)                                  \
    {                                                                          \
        (void)s;                                                               \
        return when;                                                           \
    }
CORE_PROJECTION_FIELDS(FIELD_WHEN)
CORE_CHOOSER_FIELDS(FIELD_WHEN)
CORE_MIXER_FIELDS(FIELD_WHEN)
CORE_SHARED_FIELDS(FIELD_WHEN)
CORE_CONNECTION_FIELDS(FIELD_WHEN)

#define AT(member) offsetof(core_spec, member)
#define OPERATOR_FIELD(id, path, type, member, when, optional)                 \
    {path, FIELD_##type, AT(member), NULL, when_##id, optional},

static const field FIELDS[] = {
    {"name", FIELD_NAME, AT(name), NULL, NULL, false},
    {"family", FIELD_WORD, AT(family), FAMILIES, NULL, false},
    {"layers", FIELD_I64, AT(n_l), NULL, NULL, false},
    {"hidden", FIELD_I64, AT(n_d), NULL, NULL, false},
    {"heads", FIELD_I64, AT(n_h), NULL, NULL, false},
    {"kv_heads", FIELD_I64, AT(n_g), NULL, NULL, false},
    {"head_size", FIELD_I64, AT(n_dh), NULL, NULL, false},
    {"rotated", FIELD_I64, AT(n_rot), NULL, NULL, true},
    {"value_size", FIELD_I64, AT(n_dv), NULL, NULL, true},
    CORE_PROJECTION_FIELDS(OPERATOR_FIELD)
    {"experts", FIELD_I64, AT(n_e), NULL, NULL, false},
    {"experts_per_token", FIELD_I64, AT(n_k), NULL, NULL, false},
    {"expert_inner", FIELD_I64, AT(n_f), NULL, NULL, false},
    {"expert_width", FIELD_I64, AT(n_de), NULL, NULL, true},
    {"expert_width_norm", FIELD_FLAG, AT(norm_de), NULL, has_width, true},
    {"shared_inner", FIELD_I64, AT(n_f_shared), NULL, NULL, false},
    {"dense_inner", FIELD_I64, AT(n_f_dense), NULL, NULL, false},
    {"vocabulary", FIELD_I64, AT(n_v), NULL, NULL, false},
    {"ffn", FIELD_LAYERS, AT(ffn), FFNS, NULL, false},
    {"mixer", FIELD_LAYERS, AT(mixer), MIXERS, NULL, true},
    {"norm", FIELD_WORD, AT(norm), NORMS, NULL, true},
    {"norm_eps", FIELD_REAL, AT(norm_eps), NULL, NULL, false},
    {"post_norm", FIELD_FLAG, AT(post_norm), NULL, NULL, true},
    {"branch_norm", FIELD_FLAG, AT(branch_norm), NULL, NULL, true},
    {"layer_scale", FIELD_FLAG, AT(layer_scale), NULL, NULL, true},
    {"rope.theta", FIELD_REAL, AT(rope.theta), NULL, NULL, false},
    {"rope.scaling", FIELD_WORD, AT(rope.scaling), SCALINGS, NULL, false},
    {"rope.factor", FIELD_REAL, AT(rope.factor), NULL, is_scaled, false},
    {"rope.beta_fast", FIELD_REAL, AT(rope.beta_fast), NULL, is_yarn, false},
    {"rope.beta_slow", FIELD_REAL, AT(rope.beta_slow), NULL, is_yarn, false},
    {"rope.original_positions", FIELD_REAL, AT(rope.original_positions), NULL,
     has_original, false},
    {"rope.attention_factor", FIELD_REAL, AT(rope.attention_factor), NULL,
     is_yarn, false},
    {"rope.truncate", FIELD_FLAG, AT(rope.truncate), NULL, is_yarn, false},
    {"rope.low_freq", FIELD_REAL, AT(rope.low_freq), NULL, is_llama3, false},
    {"rope.high_freq", FIELD_REAL, AT(rope.high_freq), NULL, is_llama3, false},
    {"rope.interleaved", FIELD_FLAG, AT(rope.interleaved), NULL, NULL, true},
    {"rope.turned", FIELD_I64, AT(rope.n_turned), NULL, NULL, true},
    {"positions", FIELD_LAYERS, AT(no_rope), POSITIONS, NULL, true},
    {"sliding_window", FIELD_I64, AT(sliding_window), NULL, NULL, false},
    {"span", FIELD_LAYERS, AT(span), SPANS, NULL, true},
    {"chunk", FIELD_I64, AT(chunk), NULL, NULL, true},
    {"sight", FIELD_LAYERS, AT(sight), SIGHTS, NULL, true},
    {"digest", FIELD_LAYERS, AT(digest), DIGESTS, NULL, true},
    {"seen", FIELD_I64, AT(n_seen), NULL, core__any_chosen, false},
    CORE_CHOOSER_FIELDS(OPERATOR_FIELD)
    {"attention.qk_norm", FIELD_WORD, AT(qk_norm), QK_NORMS, NULL, true},
    {"attention.clip", FIELD_REAL, AT(clip_qkv), NULL, NULL, true},
    {"attention.sinks", FIELD_FLAG, AT(sinks), NULL, NULL, true},
    {"attention.scale", FIELD_REAL, AT(score_scale), NULL, NULL, true},
    {"attention.values_are_keys", FIELD_FLAG, AT(v_is_k), NULL, NULL, true},
    {"attention.value_norm", FIELD_FLAG, AT(value_norm), NULL, NULL, true},
    {"attention.value_scale", FIELD_REAL, AT(value_scale), NULL, NULL, true},
    {"attention.temper_scale", FIELD_REAL, AT(temper_scale), NULL, NULL, true},
    {"attention.temper_floor", FIELD_REAL, AT(temper_floor), NULL, has_temper,
     false},
    CORE_MIXER_FIELDS(OPERATOR_FIELD)
    {"head_kind", FIELD_LAYERS, AT(head_kind), HEAD_KINDS, NULL, true},
    {"other.heads", FIELD_I64, AT(other.n_h), NULL, has_other, false},
    {"other.kv_heads", FIELD_I64, AT(other.n_g), NULL, has_other, false},
    {"other.head_size", FIELD_I64, AT(other.n_dh), NULL, has_other, false},
    {"other.value_size", FIELD_I64, AT(other.n_dv), NULL, has_other, true},
    {"other.rotated", FIELD_I64, AT(other.n_rot), NULL, has_other, true},
    {"other.theta", FIELD_REAL, AT(other.rope.theta), NULL, has_other, false},
    {"other.turned", FIELD_I64, AT(other.rope.n_turned), NULL, has_other, true},
    {"other.scale", FIELD_REAL, AT(other.scale), NULL, has_other, true},
    {"other.sinks", FIELD_FLAG, AT(other.sinks), NULL, has_other, true},
    {"other.values_are_keys", FIELD_FLAG, AT(other.v_is_k), NULL, has_other,
     true},
    CORE_CONNECTION_FIELDS(OPERATOR_FIELD)
    {"scale.embedding", FIELD_REAL, AT(embed_scale), NULL, NULL, true},
    {"scale.residual", FIELD_REAL, AT(residual_scale), NULL, NULL, true},
    {"scale.logits_divisor", FIELD_REAL, AT(logits_divisor), NULL, NULL, true},
    {"scale.logits_cap", FIELD_REAL, AT(logits_cap), NULL, NULL, true},
    {"gated", FIELD_FLAG, AT(gated), NULL, NULL, false},
    {"activation", FIELD_WORD, AT(act), ACTS, NULL, false},
    {"activation_alpha", FIELD_REAL, AT(act_alpha), NULL, is_clamped, true},
    {"activation_limit", FIELD_REAL, AT(act_limit), NULL, is_clamped, true},
    {"limits.experts", FIELD_REALS, AT(expert_most), NULL, NULL, true},
    {"limits.mlp", FIELD_REALS, AT(mlp_most), NULL, NULL, true},
    {"router.scores", FIELD_WORD, AT(router), ROUTERS, NULL, true},
    {"router.scale", FIELD_REAL, AT(routed_scale), NULL, NULL, true},
    {"router.groups", FIELD_I64, AT(n_group), NULL, NULL, true},
    {"router.groups_kept", FIELD_I64, AT(n_group_kept), NULL, has_groups,
     false},
    {"router.group_score", FIELD_WORD, AT(group_score), GROUP_SCORES,
     has_groups, false},
    {"router.correction", FIELD_FLAG, AT(correction), NULL, NULL, true},
    {"router.choice", FIELD_LAYERS, AT(by_table), CHOICES, NULL, true},
    {"router.jitter", FIELD_REAL, AT(jitter), NULL, is_sparsemixer, false},
    {"router.sum_floor", FIELD_REAL, AT(sum_floor), NULL, NULL, true},
    {"router.norm", FIELD_FLAG, AT(router_norm), NULL, NULL, true},
    {"router.expert_scale", FIELD_FLAG, AT(expert_scale), NULL, NULL, true},
    {"router.sum_eps", FIELD_REAL, AT(sum_eps), NULL, NULL, true},
    {"router.weigh_input", FIELD_FLAG, AT(weigh_input), NULL, NULL, true},
    CORE_SHARED_FIELDS(OPERATOR_FIELD)
    {"renormalise", FIELD_FLAG, AT(renormalise), NULL, NULL, false},
    {"tied_head", FIELD_FLAG, AT(tied), NULL, NULL, false},
    {"bias.qkv", FIELD_FLAG, AT(bias_qkv), NULL, NULL, false},
    {"bias.attention_out", FIELD_FLAG, AT(bias_o), NULL, NULL, false},
    {"bias.router", FIELD_FLAG, AT(bias_router), NULL, NULL, false},
    {"bias.ffn", FIELD_FLAG, AT(bias_ffn), NULL, NULL, false},
    {"bias.mlp", FIELD_FLAG, AT(bias_mlp), NULL, NULL, true},
    {"bias.head", FIELD_FLAG, AT(bias_head), NULL, NULL, true},
    {"capacity.rule", FIELD_WORD, AT(capacity.rule), RULES, NULL, false},
    {"capacity.factor", FIELD_REAL, AT(capacity.factor), NULL, has_factor,
     false},
    {"capacity.slots", FIELD_I64, AT(capacity.absolute), NULL, has_slots,
     false},
    {"capacity.domain", FIELD_WORD, AT(capacity.domain), DOMAINS, NULL, false},
    {"capacity.priority", FIELD_WORD, AT(capacity.priority), PRIORITIES, NULL,
     false},
    {"capacity.dropped", FIELD_WORD, AT(capacity.dropped), DROPPED, NULL,
     false},
    {"twin_expert", FIELD_INT, AT(twin_expert), NULL, NULL, false},
    {"switch_block", FIELD_INT, AT(switch_block), NULL, is_switch, false},
};

enum { N_FIELDS = sizeof FIELDS / sizeof FIELDS[0] };

core_spec core__spec_blank(void)
{
    core_spec spec;
    memset(&spec, 0, sizeof spec); /* specs are compared as bytes in tests */
    spec.embed_scale = spec.residual_scale = spec.logits_divisor = 1.0;
    spec.routed_scale = 1.0;
    spec.rope.factor = 1.0;
    spec.rope.beta_fast = 32.0;
    spec.rope.beta_slow = 1.0;
    spec.rope.attention_factor = 1.0;
    spec.rope.truncate = true;
    spec.other.rope = spec.rope;
    spec.twin_expert = -1;
    return spec;
}

static size_t field_bytes(const core_spec *spec, const field *f)
{
    switch (f->type) {
    case FIELD_NAME:
        return CORE_NAME_BYTES;
    case FIELD_LAYERS:
        return (size_t)spec->n_l;
    case FIELD_REALS:
        return (size_t)spec->n_l * sizeof(double);
    case FIELD_FLAG:
        return sizeof(bool);
    case FIELD_I64:
    case FIELD_REAL:
        return sizeof(int64_t);
    case FIELD_INT:
    case FIELD_WORD:
        break;
    }
    return sizeof(int);
}

const char *core__spec_difference(const core_spec *a, const core_spec *b)
{
    for (int i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        if (memcmp((const char *)a + f->offset, (const char *)b + f->offset,
                   field_bytes(a, f)) != 0)
            return f->path;
    }
    return NULL;
}

bool core_spec_beyond(const core_spec *spec, double most, const char **path,
                      double *value)
{
    for (int i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        if ((f->type != FIELD_REAL && f->type != FIELD_REALS) ||
            (f->when != NULL && !f->when(spec)))
            continue;
        const double *of = (const double *)((const char *)spec + f->offset);
        *path = f->path;
        for (int64_t l = 0; l < (f->type == FIELD_REALS ? spec->n_l : 1); l++) {
            *value = of[l];
            if (*value != 0.0 &&
                !(fabs(*value) <= most && fabs(*value) >= 1.0 / most))
                return true;
        }
    }
    return false;
}

/* --- reading --- */

static bool parse_integer(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    *out = value;
    return errno == 0 && end != text && *end == '\0' &&
           strspn(text, "-0123456789") == strlen(text);
}

static bool parse_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out) &&
           strspn(text, "+-.0123456789eE") == strlen(text);
}

static bool parse_word(const char *text, const char *const *words,
                       unsigned *out)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool parse_name(const char *text, char *out)
{
    const size_t n = strlen(text);
    if (n == 0 || n >= CORE_NAME_BYTES ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789._-") != n)
        return false;
    memset(out, 0, CORE_NAME_BYTES);
    memcpy(out, text, n);
    return true;
}

static core_status bad_value(const char *file, const core__spec_entry *entry,
                             const field *f)
{
    static const char *const EXPECTED[] = {
        [FIELD_I64] = "an integer",
        [FIELD_INT] = "an integer",
        [FIELD_REAL] = "a number",
        [FIELD_FLAG] = "true or false",
        [FIELD_NAME] = "letters, digits, '.', '_' and '-'",
        [FIELD_REALS] = "a number"};
    char words[1024] = "one of"; /* the families take 300 */
    for (int i = 0; f->words != NULL && f->words[i] != NULL; i++) {
        strncat(words, i > 0 ? ", " : " ", sizeof words - strlen(words) - 1);
        strncat(words, f->words[i], sizeof words - strlen(words) - 1);
    }
    CORE_FAIL(CORE_E_SPEC, "%s:%d:%d: %s: '%s', expected %s", file, entry->line,
              entry->column, f->path, entry->text,
              f->words != NULL ? words : EXPECTED[f->type]);
}

static core_status read_value(core_spec *spec, const field *f, const char *file,
                              const core__spec_entry *entry)
{
    void *place = (char *)spec + f->offset;
    const char *text = entry->text;
    int64_t integer = 0;
    bool ok = false;
    switch (f->type) {
    case FIELD_I64:
        ok = parse_integer(text, place);
        break;
    case FIELD_INT:
        ok = parse_integer(text, &integer) && integer >= INT32_MIN &&
             integer <= INT32_MAX;
        if (ok)
            *(int *)place = (int)integer;
        break;
    case FIELD_REAL:
        ok = parse_real(text, place);
        break;
    case FIELD_FLAG:
        ok = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
        *(bool *)place = strcmp(text, "true") == 0;
        break;
    case FIELD_WORD:
        ok = parse_word(text, f->words, place);
        break;
    case FIELD_NAME:
        ok = parse_name(text, place);
        break;
    case FIELD_LAYERS:
    case FIELD_REALS:
        break;
    }
    return ok ? CORE_OK : bad_value(file, entry, f);
}

static const core__spec_entry *find_entry(const core__spec_entries *entries,
                                          const char *path)
{
    for (int i = 0; i < entries->n; i++)
        if (strcmp(entries->at[i].path, path) == 0)
            return &entries->at[i];
    return NULL;
}

static bool is_by_layer(const field *f)
{
    return f->type == FIELD_LAYERS || f->type == FIELD_REALS;
}

/* The entry of layer l; false: it is none. */
static bool parse_layer(core_spec *spec, const field *f, const char *text,
                        int l)
{
    void *place = (char *)spec + f->offset;
    unsigned word = 0;
    if (f->type == FIELD_REALS)
        return parse_real(text, (double *)place + l);
    if (!parse_word(text, f->words, &word))
        return false;
    ((uint8_t *)place)[l] = (uint8_t)word;
    return true;
}

/* `ffn: dense`, or `ffn: [moe, dense, moe]` with one word per layer. */
static core_status read_layers(core_spec *spec, const field *f,
                               const core__spec_entries *entries)
{
    const core__spec_entry *all = find_entry(entries, f->path);
    char item[CORE_SPEC_PATH_BYTES];
    int n = 0;
    if (all != NULL) {
        for (int l = 0; l < CORE_MAX_LAYERS && l < spec->n_l; l++)
            if (!parse_layer(spec, f, all->text, l))
                return bad_value(entries->file, all, f);
        return CORE_OK;
    }
    snprintf(item, sizeof item, "%s[]", f->path);
    for (int i = 0; i < entries->n; i++) {
        const core__spec_entry *entry = &entries->at[i];
        if (strcmp(entry->path, item) != 0)
            continue;
        CORE_FAIL_IF(n == CORE_MAX_LAYERS, CORE_E_SPEC,
                     "%s:%d:%d: %s: more than %d layers", entries->file,
                     entry->line, entry->column, f->path, CORE_MAX_LAYERS);
        if (!parse_layer(spec, f, entry->text, n++))
            return bad_value(entries->file, entry, f);
    }
    CORE_FAIL_IF(n == 0 && !f->optional, CORE_E_SPEC, "%s: %s: missing",
                 entries->file, f->path);
    CORE_FAIL_IF(n != 0 && n != spec->n_l, CORE_E_SPEC,
                 "%s: %s: a list of %d, expected one entry for each of %lld "
                 "layers",
                 entries->file, f->path, n, (long long)spec->n_l);
    return CORE_OK;
}

static core_status read_field(core_spec *spec, const field *f,
                              const core__spec_entries *entries)
{
    if (is_by_layer(f))
        return read_layers(spec, f, entries);
    const core__spec_entry *entry = find_entry(entries, f->path);
    const bool applies = f->when == NULL || f->when(spec);
    CORE_FAIL_IF(entry == NULL && applies && !f->optional, CORE_E_SPEC,
                 "%s: %s: missing", entries->file, f->path);
    CORE_FAIL_IF(entry != NULL && !applies, CORE_E_SPEC,
                 "%s:%d:%d: %s: does not apply to this model", entries->file,
                 entry->key_line, entry->key_column, f->path);
    return entry == NULL ? CORE_OK : read_value(spec, f, entries->file, entry);
}

static bool is_known(const char *path)
{
    for (int i = 0; i < N_FIELDS; i++) {
        const size_t n = strlen(FIELDS[i].path);
        if (strncmp(FIELDS[i].path, path, n) != 0)
            continue;
        if (path[n] == '\0' ||
            (is_by_layer(&FIELDS[i]) && strcmp(path + n, "[]") == 0))
            return true;
    }
    return false;
}

core_status core__spec_from_entries(core_spec *out,
                                    const core__spec_entries *entries)
{
    for (int i = 0; i < entries->n; i++) {
        const core__spec_entry *entry = &entries->at[i];
        CORE_FAIL_IF(!is_known(entry->path), CORE_E_SPEC,
                     "%s:%d:%d: %s: unknown field", entries->file,
                     entry->key_line, entry->key_column, entry->path);
    }
    core_spec spec = core__spec_blank();
    for (int i = 0; i < N_FIELDS; i++)
        CORE_TRY(read_field(&spec, &FIELDS[i], entries));
    *out = spec;
    return CORE_OK;
}

/* --- writing --- */

/* The shortest of two texts that reads back equal. */
static void write_real(double value, FILE *out)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (!(strtod(text, NULL) == value))
        snprintf(text, sizeof text, "%.17g", value);
    fprintf(out, "%s", text);
}

static size_t bytes_of_layer(const field *f)
{
    return f->type == FIELD_REALS ? sizeof(double) : sizeof(uint8_t);
}

static void write_layer(const void *place, const field *f, FILE *out)
{
    if (f->type == FIELD_REALS)
        write_real(*(const double *)place, out);
    else
        fprintf(out, "%s", f->words[*(const uint8_t *)place]);
}

static void write_layers(const core_spec *spec, const field *f, FILE *out)
{
    const char *layer = (const char *)spec + f->offset;
    const size_t n = bytes_of_layer(f);
    bool same = true;
    for (size_t l = 1; l < (size_t)spec->n_l; l++)
        same = same && memcmp(layer + l * n, layer, n) == 0;
    for (size_t l = 0; l < (same ? 1 : (size_t)spec->n_l); l++) {
        fprintf(out, "%s", same ? "" : l == 0 ? "[" : ", ");
        write_layer(layer + l * n, f, out);
    }
    fprintf(out, "%s", same ? "" : "]");
}

/* True if an optional field says what its absence says. */
static bool is_blank(const core_spec *spec, const field *f)
{
    static const size_t BYTES[] = {[FIELD_I64] = sizeof(int64_t),
                                   [FIELD_INT] = sizeof(int),
                                   [FIELD_REAL] = sizeof(double),
                                   [FIELD_FLAG] = sizeof(bool),
                                   [FIELD_WORD] = sizeof(unsigned)};
    const core_spec blank = core__spec_blank();
    const size_t n =
        is_by_layer(f) ? (size_t)spec->n_l * bytes_of_layer(f) : BYTES[f->type];
    return memcmp((const char *)spec + f->offset,
                  (const char *)&blank + f->offset, n) == 0;
}

static void write_value(const core_spec *spec, const field *f, FILE *out)
{
    const void *place = (const char *)spec + f->offset;
    switch (f->type) {
    case FIELD_I64:
        fprintf(out, "%lld", (long long)*(const int64_t *)place);
        break;
    case FIELD_INT:
        fprintf(out, "%d", *(const int *)place);
        break;
    case FIELD_REAL:
        write_real(*(const double *)place, out);
        break;
    case FIELD_FLAG:
        fprintf(out, "%s", *(const bool *)place ? "true" : "false");
        break;
    case FIELD_WORD:
        fprintf(out, "%s", f->words[*(const unsigned *)place]);
        break;
    case FIELD_NAME:
        fprintf(out, "%s", (const char *)place);
        break;
    case FIELD_LAYERS:
    case FIELD_REALS:
        write_layers(spec, f, out);
        break;
    }
}

void core_spec_write_yaml(const core_spec *spec, FILE *out)
{
    char section[CORE_SPEC_PATH_BYTES] = "";
    for (int i = 0; i < N_FIELDS; i++) {
        const field *f = &FIELDS[i];
        if ((f->when != NULL && !f->when(spec)) ||
            (f->optional && is_blank(spec, f)))
            continue;
        const char *dot = strchr(f->path, '.');
        const size_t n = dot == NULL ? 0 : (size_t)(dot - f->path);
        if (n > 0 &&
            (strncmp(section, f->path, n) != 0 || section[n] != '\0')) {
            memcpy(section, f->path, n);
            section[n] = '\0';
            fprintf(out, "%s:\n", section);
        }
        fprintf(out, "%s%s: ", n > 0 ? "  " : "",
                n > 0 ? f->path + n + 1 : f->path);
        write_value(spec, f, out);
        fprintf(out, "\n");
    }
}
