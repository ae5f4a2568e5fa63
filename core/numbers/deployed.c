/* core/numbers/deployed.c -- narrow types in words, and their bytes.
 *
 * A text is taken apart at its plus signs: words that name a narrow type are
 * kept here, the others make a numerics.  Trap: a slot that is not said takes
 * another's type, and must not become narrow with it: so in the numerics a plain
 * type stands in place of a narrow one.
 */
#include "core/numbers/deployed.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *word;
    int bits, scale, per_weight, per_act, per_kept;
} TABLE[CORE_N_NARROW] = {
    [CORE_NARROW_NONE] = {"", 0, 0, 0, 0, 0},
#define NARROW_ROW(kind, ...) [CORE_NARROW_##kind] = {__VA_ARGS__},
    CORE_NARROW_LIST(NARROW_ROW)
#undef NARROW_ROW
};

int core_narrow_bits(core_narrow narrow)
{
    return TABLE[narrow].bits;
}

const char *core_narrow_name(core_narrow narrow)
{
    return TABLE[narrow].word;
}

bool core_narrow_of_word(core_narrow *out, const char *word)
{
    core_dtype type = CORE_N_DTYPES;
    for (int i = CORE_NARROW_NONE + 1; i < CORE_N_NARROW; i++)
        if (strcasecmp(word, TABLE[i].word) == 0) {
            *out = (core_narrow)i;
            return true;
        }
    if (!core_dtype_of_word(&type, word))
        return false;
    if (type == CORE_DTYPE_F8_E4M3 || type == CORE_DTYPE_F8_E5M2)
        *out = CORE_NARROW_FP8;
    else if (type == CORE_DTYPE_I8)
        *out = CORE_NARROW_INT8;
    else
        return false;
    return true;
}

/* --- bytes --- */

core_dtype core_types_of(const core_types *types, core_slot slot)
{
    return types->numerics == CORE_EXACT
               ? types->dtype
               : core_numerics_type(types->numerics, slot);
}

static double bytes_of(const core_types *types, core_slot plain,
                       core_narrow narrow, int per_scale)
{
    if (narrow == CORE_NARROW_NONE)
        return (double)core_dtype_bytes(core_types_of(types, plain));
    const double scale =
        per_scale > 0 ? (double)TABLE[narrow].scale / per_scale : 0;
    return (TABLE[narrow].bits + scale) / 8;
}

double core_types_table_bytes(const core_types *types)
{
    return bytes_of(types, CORE_SLOT_W, CORE_NARROW_NONE, 0);
}

double core_types_weight_bytes(const core_types *types)
{
    return bytes_of(types, CORE_SLOT_W, types->w, TABLE[types->w].per_weight);
}

double core_types_expert_bytes(const core_types *types)
{
    return bytes_of(types, CORE_SLOT_W, types->experts,
                    TABLE[types->experts].per_weight);
}

double core_types_act_bytes(const core_types *types)
{
    return bytes_of(types, CORE_SLOT_ACT, types->act,
                    TABLE[types->act].per_act);
}

double core_types_kv_bytes(const core_types *types)
{
    return bytes_of(types, CORE_SLOT_KV, types->kv, TABLE[types->kv].per_kept);
}

/* --- words --- */

enum { MAX_TEXT = 2 * CORE_NUMERICS_BYTES };

typedef struct parsing {
    core_types *out;
    bool has[4];          /* w, experts, act, kv: narrow, or experts said     */
    char plain[MAX_TEXT]; /* the words of a numerics                          */
    char w[16];           /* the plain type of what is narrow; "": not said   */
    bool has_name;        /* the first word names a profile or a type         */
} parsing;

static const char *const SLOTS[] = {"w", "experts", "act", "kv"};

static int slot_of(const char *word)
{
    for (int i = 0; i < 4; i++)
        if (strncmp(word, SLOTS[i], strlen(SLOTS[i])) == 0 &&
            word[strlen(SLOTS[i])] == '=')
            return i;
    return -1;
}

/* All that may be said: the slots of a numerics, and the experts' weights. */
#define LISTED(slot, word, from) word ", "
static const char ALL_SLOTS[] = CORE_SLOT_LIST(LISTED) "experts";
#undef LISTED

static bool is_slot(const char *word)
{
#define SLOT_WORD(slot, word, from) word,
    static const char *const words[] = {CORE_SLOT_LIST(SLOT_WORD) "experts"};
#undef SLOT_WORD
    const size_t n = strcspn(word, "=");
    for (int i = 0; i <= CORE_N_SLOTS; i++)
        if (strlen(words[i]) == n && strncmp(word, words[i], n) == 0)
            return word[n] == '=';
    return false;
}

static void add_plain(parsing *p, const char *word)
{
    const size_t n = strlen(p->plain);
    snprintf(p->plain + n, sizeof p->plain - n, "%s%s", n > 0 ? "+" : "", word);
}

/* The words of narrow types, each with a comma before it. */
static const char *list_narrow(char out[MAX_TEXT])
{
    int n = 0;
    for (int i = CORE_NARROW_NONE + 1; i < CORE_N_NARROW; i++)
        n += snprintf(out + n, (size_t)(MAX_TEXT - n), ", %s", TABLE[i].word);
    return out;
}

/* One word between plus signs. */
static core_status take(parsing *p, const char *word)
{
    char list[MAX_TEXT];
    CORE_FAIL_IF(!is_slot(word), CORE_E_USAGE,
                 "numerics: '%s' is no slot=type; the slots are %s", word,
                 ALL_SLOTS);
    const int slot = slot_of(word);
    const char *type = strchr(word, '=') + 1;
    core_types *out = p->out;
    core_narrow *const to[] = {&out->w, &out->experts, &out->act, &out->kv};
    core_narrow narrow = CORE_NARROW_NONE;
    core_dtype plain;
    const bool is_narrow = slot >= 0 && core_narrow_of_word(&narrow, type);
    CORE_FAIL_IF(slot >= 0 && !is_narrow && !core_dtype_of_word(&plain, type),
                 CORE_E_USAGE,
                 "numerics: '%s' of '%s' is no type, expected fp64, fp32, fp16, "
                 "bf16%s",
                 type, word, list_narrow(list));
    if (slot == 2 && !is_narrow)
        snprintf(p->w, sizeof p->w, "%s", type);
    if (slot != 1 && !is_narrow) {
        add_plain(p, word);
        return CORE_OK;
    }
    CORE_FAIL_IF(p->has[slot], CORE_E_USAGE, "numerics: %s is stated twice",
                 SLOTS[slot]);
    CORE_FAIL_IF(slot == 2 && narrow == CORE_NARROW_INT4, CORE_E_USAGE,
                 "numerics: act=%s: of weights or a cache only", type);
    *to[slot] = narrow;
    p->has[slot] = true;
    return CORE_OK;
}

/* "fp8" for "w=fp8+act=fp8". */
static core_status take_name(parsing *p, const char *word)
{
    core_narrow narrow;
    if (!core_narrow_of_word(&narrow, word)) {
        p->has_name = true;
        add_plain(p, word);
        return CORE_OK;
    }
    p->out->w = narrow;
    if (narrow != CORE_NARROW_MXFP4 && narrow != CORE_NARROW_INT4)
        p->out->act = narrow;
    return CORE_OK;
}

static core_status take_all(parsing *p, const char *text)
{
    char word[CORE_NUMERICS_BYTES];
    for (bool is_first = true;; is_first = false) {
        const size_t n = strcspn(text, "+");
        CORE_FAIL_IF(n >= sizeof word, CORE_E_USAGE,
                     "numerics: a word of %zu characters", n);
        memcpy(word, text, n);
        word[n] = '\0';
        if (is_first && strchr(word, '=') == NULL)
            CORE_TRY(take_name(p, word));
        else
            CORE_TRY(take(p, word));
        if (text[n] == '\0')
            return CORE_OK;
        text += n + 1;
    }
}

core_status core_types_parse(core_types *out, const char *text)
{
    core_types types = {.dtype = CORE_N_DTYPES};
    parsing p = {.out = &types};
    CORE_FAIL_IF(strlen(text) >= CORE_NUMERICS_BYTES, CORE_E_USAGE,
                 "numerics: a text of %zu characters", strlen(text));
    CORE_TRY(take_all(&p, text));
    if (!p.has[1])
        types.experts = types.w;
    if (types.w != CORE_NARROW_NONE && !p.has_name) {
        char w[32];
        snprintf(w, sizeof w, "w=%s", p.w[0] != '\0' ? p.w : "bf16");
        add_plain(&p, w);
    }
    CORE_TRY(core_numerics_parse(&types.numerics, p.plain));
    CORE_FAIL_IF(types.numerics == CORE_EXACT, CORE_E_USAGE,
                 "numerics: exact is no type of a deployment");
    CORE_FAIL_IF(types.act != CORE_NARROW_NONE &&
                     types.w == CORE_NARROW_NONE &&
                     types.experts == CORE_NARROW_NONE,
                 CORE_E_USAGE,
                 "numerics: act=%s: expected narrow weights beside it, found "
                 "'%s'",
                 core_narrow_name(types.act), text);
    types.dtype = core_numerics_type(types.numerics, CORE_SLOT_ACT);
    *out = types;
    return CORE_OK;
}

static void say(core_numerics_text *out, const char *slot, const char *type)
{
    const size_t n = strlen(out->text);
    snprintf(out->text + n, sizeof out->text - n, "%s%s=%s", n > 0 ? "+" : "",
             slot, type);
}

static const char *name_of(const core_types *types, core_slot slot,
                           core_narrow narrow)
{
    return narrow != CORE_NARROW_NONE
               ? core_narrow_name(narrow)
               : core_dtype_name(core_types_of(types, slot));
}

static core_numerics_text narrow_text(const core_types *t)
{
    core_numerics_text out = {""};
    const core_dtype act = core_types_of(t, CORE_SLOT_ACT);
    const core_dtype residual = core_types_of(t, CORE_SLOT_RESIDUAL);
    say(&out, "w", name_of(t, CORE_SLOT_W, t->w));
    if (t->experts != t->w)
        say(&out, "experts", name_of(t, CORE_SLOT_W, t->experts));
    say(&out, "act", name_of(t, CORE_SLOT_ACT, t->act));
    say(&out, "kv", name_of(t, CORE_SLOT_KV, t->kv));
    if (residual != act)
        say(&out, "residual", core_dtype_name(residual));
    if (core_types_of(t, CORE_SLOT_OUT) != residual)
        say(&out, "out", core_dtype_name(core_types_of(t, CORE_SLOT_OUT)));
    return out;
}

core_numerics_text core_types_text(const core_types *t)
{
    if (t->w != CORE_NARROW_NONE || t->experts != CORE_NARROW_NONE ||
        t->kv != CORE_NARROW_NONE)
        return narrow_text(t);
    core_numerics_text out = core_numerics_name(t->numerics);
    for (int i = 0; i < CORE_N_PLAIN_NUMERICS; i++)
        if (t->numerics == core_numerics_plain(i))
            snprintf(out.text, sizeof out.text, "%s",
                     core_dtype_name(t->dtype));
    return out;
}
