/* core/numbers/numerics_words.c -- numerics in words, and back.
 *
 * A text is words between plus signs: a name first, if any, which stands for
 * words of its own, then slots.  Later words win over those of the name, and
 * only then take the slots that nobody stated the rounding of another; so
 * "llama-default+w=f16" rounds activations to F16, too.  A name is looked for
 * the other way: each slot that differs from what it would take is stated.
 */
#include "core/numbers/numerics.h"

#include <stdio.h>
#include <string.h>

const core_profile core_profiles[] = {
    {"fp64", "w=fp64"},
    {"fp32", "w=fp32"},
    {"fp16", "w=fp16"},
    {"bf16", "w=bf16"},
    {"llama-default", "w=bf16+kv=fp16+qp=fp32+residual=fp32"},
    {"llama-f16", "w=fp16+qp=fp32+residual=fp32"},
    {"llama-short", "w=bf16+kv=fp16+residual=fp32+ctx=fp16"},
    {"llama-no-flash", "w=bf16+kv=fp16+residual=fp32"},
    {"vllm-bf16", "w=bf16+prob=fp32"},
    {"vllm-fp16", "w=fp16+prob=fp32"},
    {NULL, NULL},
};

static const char *const slot_words[CORE_N_SLOTS] = {
#define SLOT_WORD(slot, word, from) word,
    CORE_SLOT_LIST(SLOT_WORD)
#undef SLOT_WORD
};

static const core_slot slot_from[CORE_N_SLOTS] = {
#define SLOT_FROM(slot, word, from) CORE_SLOT_##from,
    CORE_SLOT_LIST(SLOT_FROM)
#undef SLOT_FROM
};

static const char *const rounding_words[CORE_N_ROUNDINGS] = {
    [CORE_ROUND_GRID] = "exact", [CORE_ROUND_F64] = "fp64",
    [CORE_ROUND_F32] = "fp32",   [CORE_ROUND_F16] = "fp16",
    [CORE_ROUND_BF16] = "bf16",
};

static const core_dtype rounding_types[CORE_N_ROUNDINGS] = {
    [CORE_ROUND_GRID] = CORE_N_DTYPES,   [CORE_ROUND_F64] = CORE_DTYPE_F64,
    [CORE_ROUND_F32] = CORE_DTYPE_F32,   [CORE_ROUND_F16] = CORE_DTYPE_F16,
    [CORE_ROUND_BF16] = CORE_DTYPE_BF16,
};

core_dtype core_numerics_type(core_numerics numerics, core_slot slot)
{
    core_assert(numerics != CORE_EXACT);
    return rounding_types[core_numerics_at(numerics, slot)];
}

/* What is stated so far: a rounding for each slot, GRID where nobody did. */
typedef struct stated {
    core_rounding at[CORE_N_SLOTS];
} stated;

/* --- to a numerics --- */

static core_rounding rounding_of_slot(const stated *s, core_slot slot)
{
    if (s->at[slot] != CORE_ROUND_GRID)
        return s->at[slot];
    if (slot != CORE_SLOT_ACC)
        return rounding_of_slot(s, slot_from[slot]);
    for (int i = 0; i < CORE_SLOT_ACC; i++)
        if (rounding_of_slot(s, (core_slot)i) == CORE_ROUND_F64)
            return CORE_ROUND_F64;
    return CORE_ROUND_F32;
}

static core_numerics complete(const stated *s)
{
    unsigned all = 0;
    for (int i = 0; i < CORE_N_SLOTS; i++)
        all |= CORE_IN_SLOT(i, (unsigned)rounding_of_slot(s, (core_slot)i));
    return (core_numerics)all;
}

static bool rounding_of_word(core_rounding *out, const char *word)
{
    core_dtype type;
    if (!core_dtype_of_word(&type, word))
        return false;
    for (int i = CORE_ROUND_F64; i < CORE_N_ROUNDINGS; i++)
        if (rounding_types[i] == type) {
            *out = (core_rounding)i;
            return true;
        }
    return false;
}

/* The slots' words, for a message. */
static const char *list_slots(char out[CORE_NUMERICS_BYTES])
{
    int n = 0;
    for (int i = 0; i < CORE_N_SLOTS; i++)
        n += snprintf(out + n, (size_t)(CORE_NUMERICS_BYTES - n), "%s%s",
                      i > 0 ? ", " : "", slot_words[i]);
    return out;
}

static const char *list_names(char out[CORE_NUMERICS_BYTES])
{
    int n = snprintf(out, CORE_NUMERICS_BYTES, "exact");
    for (const core_profile *p = core_profiles; p->name != NULL; p++)
        n += snprintf(out + n, (size_t)(CORE_NUMERICS_BYTES - n), ", %s",
                      p->name);
    return out;
}

/* One word "slot=type", for s. */
static core_status state(stated *s, const char *word)
{
    char list[CORE_NUMERICS_BYTES];
    const char *type = strchr(word, '=');
    const size_t n = type != NULL ? (size_t)(type - word) : strlen(word);
    int i = 0;
    while (i < CORE_N_SLOTS &&
           (strlen(slot_words[i]) != n || strncmp(word, slot_words[i], n) != 0))
        i++;
    CORE_FAIL_IF(type == NULL || i == CORE_N_SLOTS, CORE_E_USAGE,
                 "numerics: '%s' is no slot=type; the slots are %s", word,
                 list_slots(list));
    CORE_FAIL_IF(s->at[i] != CORE_ROUND_GRID, CORE_E_USAGE,
                 "numerics: %s is stated twice", slot_words[i]);
    CORE_FAIL_IF(!rounding_of_word(&s->at[i], type + 1), CORE_E_USAGE,
                 "numerics: '%s' of '%s' is no fp64, fp32, fp16 or bf16",
                 type + 1, word);
    CORE_FAIL_IF(i == CORE_SLOT_ACC && s->at[i] != CORE_ROUND_F32 &&
                     s->at[i] != CORE_ROUND_F64,
                 CORE_E_USAGE, "numerics: acc is fp32 or fp64, found '%s'",
                 type + 1);
    return CORE_OK;
}

static core_status state_all(stated *s, const char *words)
{
    char word[CORE_NUMERICS_BYTES];
    for (;;) {
        const size_t n = strcspn(words, "+");
        CORE_FAIL_IF(n >= sizeof word, CORE_E_USAGE,
                     "numerics: a word of %zu characters", n);
        memcpy(word, words, n);
        word[n] = '\0';
        CORE_TRY(state(s, word));
        if (words[n] == '\0')
            return CORE_OK;
        words += n + 1;
    }
}

/* The profile of the first n characters, or of another word for a plain one's
 * type; NULL: there is none.                                                 */
static const core_profile *find_profile(const char *text, size_t n)
{
    char word[CORE_NUMERICS_BYTES];
    core_rounding type;
    if (n >= sizeof word)
        return NULL;
    memcpy(word, text, n);
    word[n] = '\0';
    const char *name =
        rounding_of_word(&type, word) ? rounding_words[type] : word;
    for (const core_profile *p = core_profiles; p->name != NULL; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* A context's sum that is no other sum is stored in 16 bits. */
static bool context_sum_is_narrow(core_numerics numerics)
{
    const core_rounding at = core_numerics_at(numerics, CORE_SLOT_CTX);
    return !core_stores_context_sum(numerics) || at == CORE_ROUND_F16 ||
           at == CORE_ROUND_BF16;
}

/* Sums in fp32 cannot give what a slot of doubles would keep. */
static bool sums_are_wide_enough(core_numerics numerics)
{
    for (int i = 0; i < CORE_SLOT_ACC; i++)
        if (core_uses_floats(numerics) &&
            core_numerics_at(numerics, (core_slot)i) == CORE_ROUND_F64)
            return false;
    return true;
}

core_status core_numerics_parse(core_numerics *out, const char *text)
{
    if (strcmp(text, "exact") == 0) {
        *out = CORE_EXACT;
        return CORE_OK;
    }
    stated own = {{0}}, all = {{0}};
    const char *words = text; /* of their own */
    const size_t n = strcspn(text, "+");
    if (memchr(text, '=', n) == NULL) {
        char list[CORE_NUMERICS_BYTES];
        const core_profile *profile = find_profile(text, n);
        CORE_FAIL_IF(profile == NULL, CORE_E_USAGE,
                     "numerics: expected %s or slot=type+..., found '%.*s'",
                     list_names(list), (int)n, text);
        CORE_TRY(state_all(&all, profile->words));
        words = text[n] == '+' ? text + n + 1 : NULL;
    }
    if (words != NULL)
        CORE_TRY(state_all(&own, words));
    for (int i = 0; i < CORE_N_SLOTS; i++)
        if (own.at[i] != CORE_ROUND_GRID)
            all.at[i] = own.at[i];
    CORE_FAIL_IF(all.at[CORE_SLOT_W] == CORE_ROUND_GRID, CORE_E_USAGE,
                 "numerics: '%s' states no w", text);
    const core_numerics numerics = complete(&all);
    CORE_FAIL_IF(!sums_are_wide_enough(numerics), CORE_E_USAGE,
                 "numerics: '%s' has fp64 in it and needs acc=fp64", text);
    CORE_FAIL_IF(!context_sum_is_narrow(numerics), CORE_E_USAGE,
                 "numerics: ctx is fp16, bf16 or as acc, in '%s'", text);
    *out = numerics;
    return CORE_OK;
}

/* --- to words --- */

static core_numerics of_profile(const core_profile *profile)
{
    core_numerics numerics = CORE_EXACT;
    const core_status status = core_numerics_parse(&numerics, profile->words);
    core_assert(status == CORE_OK);
    return numerics;
}

/* The rounding that a slot of `numerics` would have if it were not stated. */
static core_rounding unstated(core_numerics numerics, core_slot slot)
{
    stated s;
    for (int i = 0; i < CORE_N_SLOTS; i++)
        s.at[i] = core_numerics_at(numerics, (core_slot)i);
    s.at[slot] = CORE_ROUND_GRID;
    return rounding_of_slot(&s, slot);
}

core_numerics_text core_numerics_name(core_numerics numerics)
{
    core_numerics_text out = {"exact"};
    if (numerics == CORE_EXACT)
        return out;
    size_t n = 0;
    for (const core_profile *p = core_profiles; p->name != NULL; p++)
        if (of_profile(p) == numerics) {
            snprintf(out.text, sizeof out.text, "%s", p->name);
            return out;
        }
    for (int i = 0; i < CORE_N_SLOTS; i++) {
        const core_rounding at = core_numerics_at(numerics, (core_slot)i);
        if (i == CORE_SLOT_W || unstated(numerics, (core_slot)i) != at)
            n += (size_t)snprintf(out.text + n, sizeof out.text - n, "%s%s=%s",
                                  n > 0 ? "+" : "", slot_words[i],
                                  rounding_words[at]);
    }
    return out;
}

core_numerics_text core_numerics_file(const char *name)
{
    core_numerics_text out;
    snprintf(out.text, sizeof out.text, "%s", name);
    for (char *c = out.text; *c != '\0'; c++)
        *c = *c == '=' ? '-' : *c == '+' ? '_' : *c;
    return out;
}
