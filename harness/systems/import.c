/* harness/systems/import.c -- Megatron's launch arguments as a plan.
 *
 * Only flags that say something about the plan, or about the model it is for,
 * are known; any other is refused by name, since it might change what is
 * computed.  The expert tensor degree defaults to the tensor degree, as there;
 * the data degree is what WORLD_SIZE leaves.
 */
#include "harness/systems/systems.h"

#include <stdlib.h>
#include <string.h>

typedef enum flag {
    FLAG_WORLD, FLAG_TP, FLAG_PP, FLAG_EP, FLAG_ETP, FLAG_FIRST, FLAG_LAST,
    FLAG_MICRO, FLAG_GLOBAL, FLAG_LAYERS, FLAG_EXPERTS, FLAG_TOPK, FLAG_CP,
    FLAG_FACTOR, FLAG_POLICY, FLAG_SEQUENCE, N_FLAGS
} flag;

static const char *const flag_names[N_FLAGS] = {
    "WORLD_SIZE",
    "--tensor-model-parallel-size",
    "--pipeline-model-parallel-size",
    "--expert-model-parallel-size",
    "--expert-tensor-parallel-size",
    "--decoder-first-pipeline-num-layers",
    "--decoder-last-pipeline-num-layers",
    "--micro-batch-size",
    "--global-batch-size",
    "--num-layers",
    "--num-experts",
    "--moe-router-topk",
    "--context-parallel-size",
    "--moe-expert-capacity-factor",
    "--moe-token-drop-policy",
    "--sequence-parallel",
};

enum { MAX_VALUE = 64, MAX_DEGREE = 1 << 20 };

typedef struct arguments {
    bool seen[N_FLAGS];
    char value[N_FLAGS][MAX_VALUE];
    int number[N_FLAGS]; /* of the flags that have one; 0: not given           */
} arguments;

/* --- words --- */

/* The next word of the text; false at its end.  Comments and the backslash of a
 * continued line are no words. */
static bool next_word(const char **text, const char **word, size_t *n)
{
    for (;;) {
        *text += strspn(*text, " \t\r\n\"'");
        if (**text == '\0')
            return false;
        *word = *text;
        *n = strcspn(*text, " \t\r\n\"'");
        *text += *n;
        if ((*word)[0] == '#')
            *text += strcspn(*text, "\n");
        else if (*n != 1 || (*word)[0] != '\\')
            return true;
    }
}

static core_status find_flag(const char *word, size_t n, flag *out)
{
    for (int f = 0; f < (int)N_FLAGS; f++) {
        if (strlen(flag_names[f]) == n && memcmp(flag_names[f], word, n) == 0) {
            *out = (flag)f;
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_USAGE, "--import: unknown or unsupported flag '%.*s'",
              n < 80 ? (int)n : 80, word);
}

static core_status read_number(arguments *a, flag f)
{
    char *end = NULL;
    const char *text = a->value[f];
    const long x = strtol(text, &end, 10);
    CORE_FAIL_IF(text[strspn(text, "0123456789")] != '\0' || text == end ||
                     x < 1 || x > MAX_DEGREE,
                 CORE_E_USAGE,
                 "--import: %s: expected a whole number from 1 to %d, found "
                 "'%s'", flag_names[f], MAX_DEGREE, text);
    a->number[f] = (int)x;
    return CORE_OK;
}

static core_status read_words(arguments *a, const char *text)
{
    const char *word;
    size_t n;
    while (next_word(&text, &word, &n)) {
        const char *equal = memchr(word, '=', n);
        const size_t n_name = equal != NULL ? (size_t)(equal - word) : n;
        const char *value = equal != NULL ? equal + 1 : "";
        size_t n_value = equal != NULL ? n - n_name - 1 : 0;
        flag f = FLAG_WORLD;
        CORE_TRY(find_flag(word, n_name, &f));
        CORE_FAIL_IF(a->seen[f], CORE_E_USAGE, "--import: %s is given twice",
                     flag_names[f]);
        a->seen[f] = true;
        CORE_FAIL_IF(f == FLAG_SEQUENCE && equal != NULL, CORE_E_USAGE,
                     "--import: %s takes no value", flag_names[f]);
        if (f == FLAG_SEQUENCE)
            continue;
        CORE_FAIL_IF(equal == NULL && !next_word(&text, &value, &n_value),
                     CORE_E_USAGE, "--import: %s: its value is missing",
                     flag_names[f]);
        CORE_FAIL_IF(n_value >= MAX_VALUE, CORE_E_USAGE,
                     "--import: %s: a value of %zu characters", flag_names[f],
                     n_value);
        memcpy(a->value[f], value, n_value);
        a->value[f][n_value] = '\0';
        if (f < FLAG_FACTOR)
            CORE_TRY(read_number(a, f));
    }
    return CORE_OK;
}

/* --- meaning --- */

static int or_one(const arguments *a, flag f)
{
    return a->seen[f] ? a->number[f] : 1;
}

static core_status check_model_number(const arguments *a, flag f, int64_t n,
                                      const core_spec *s)
{
    CORE_FAIL_IF(a->seen[f] && a->number[f] != n, CORE_E_USAGE,
                 "--import: %s %d, but %s has %lld", flag_names[f],
                 a->number[f], s->name, (long long)n);
    return CORE_OK;
}

static core_status check_model(const arguments *a, const core_spec *s)
{
    CORE_TRY(check_model_number(a, FLAG_LAYERS, s->n_l, s));
    CORE_TRY(check_model_number(a, FLAG_EXPERTS, s->n_e, s));
    CORE_TRY(check_model_number(a, FLAG_TOPK, s->n_k, s));
    CORE_FAIL_IF(or_one(a, FLAG_CP) != 1, CORE_E_USAGE,
                 "--import: %s %d: a plan has no such degree",
                 flag_names[FLAG_CP], a->number[FLAG_CP]);
    const bool has_factor = s->capacity.rule == CORE_CAPACITY_FACTOR;
    char *end = NULL;
    const double factor = strtod(a->value[FLAG_FACTOR], &end);
    CORE_FAIL_IF(a->seen[FLAG_FACTOR] &&
                     !(has_factor && end != a->value[FLAG_FACTOR] &&
                       *end == '\0' && factor == s->capacity.factor),
                 CORE_E_USAGE, "--import: %s %s, but %s has %g (0: none)",
                 flag_names[FLAG_FACTOR], a->value[FLAG_FACTOR], s->name,
                 has_factor ? s->capacity.factor : 0.0);
    const char *policy =
        s->capacity.priority == CORE_PRIORITY_PROB ? "probs" : "position";
    CORE_FAIL_IF(a->seen[FLAG_POLICY] &&
                     strcmp(a->value[FLAG_POLICY], policy) != 0,
                 CORE_E_USAGE, "--import: %s %s, but %s has %s",
                 flag_names[FLAG_POLICY], a->value[FLAG_POLICY], s->name,
                 policy);
    return CORE_OK;
}

static core_status read_data_degree(const arguments *a, par_plan *p)
{
    const int64_t n = (int64_t)p->tp * p->pp;
    CORE_FAIL_IF(!a->seen[FLAG_WORLD], CORE_E_USAGE,
                 "--import: WORLD_SIZE=N is missing: the data-parallel degree "
                 "is what it leaves");
    CORE_FAIL_IF(a->number[FLAG_WORLD] % n != 0, CORE_E_USAGE,
                 "--import: WORLD_SIZE %% (tp*pp) = %d %% %lld, expected 0",
                 a->number[FLAG_WORLD], (long long)n);
    p->dp = (int)(a->number[FLAG_WORLD] / n);
    return CORE_OK;
}

static core_status read_micro_batches(const arguments *a, par_plan *p)
{
    const int64_t part = (int64_t)or_one(a, FLAG_MICRO) * p->dp;
    if (!a->seen[FLAG_GLOBAL])
        return CORE_OK;
    CORE_FAIL_IF(a->number[FLAG_GLOBAL] % part != 0, CORE_E_USAGE,
                 "--import: %s %% (micro * dp) = %d %% %lld, expected 0",
                 flag_names[FLAG_GLOBAL], a->number[FLAG_GLOBAL],
                 (long long)part);
    p->mb = (int)(a->number[FLAG_GLOBAL] / part);
    return CORE_OK;
}

/* First and last stage as written, the rest of the layers evenly between. */
static core_status read_stages(const arguments *a, const core_spec *s,
                               par_plan *p)
{
    const int first = a->number[FLAG_FIRST], last = a->number[FLAG_LAST];
    const int n_ends = (first > 0 ? 1 : 0) + (last > 0 ? 1 : 0);
    const int between = p->pp - n_ends;
    const int64_t left = s->n_l - first - last;
    const bool fits = between > 0 ? left >= between && left % between == 0
                                  : between == 0 && left == 0;
    CORE_FAIL_IF(!fits || p->pp > CORE_MAX_LAYERS, CORE_E_USAGE,
                 "--import: %lld layers are left for %d stages, expected equal "
                 "parts", (long long)left, between);
    if (n_ends == 0)
        return CORE_OK;
    p->n_stage = p->pp;
    for (int i = 0; i < p->pp; i++)
        p->stage_layers[i] = between > 0 ? (int)(left / between) : 0;
    if (first > 0)
        p->stage_layers[0] = first;
    if (last > 0)
        p->stage_layers[p->pp - 1] = last;
    return CORE_OK;
}

/* Stages that are what an even split gives need no list. */
static void drop_even_stages(const core_spec *s, par_plan *p)
{
    for (int i = 0; i < p->n_stage; i++)
        if (p->stage_layers[i] !=
            s->n_l / p->pp + (i < s->n_l % p->pp ? 1 : 0))
            return;
    p->n_stage = 0;
    memset(p->stage_layers, 0, sizeof p->stage_layers);
}

core_status har_megatron_import(par_plan *out, const char *text,
                                const core_spec *spec)
{
    arguments a;
    par_plan p;
    memset(&a, 0, sizeof a);
    CORE_TRY(par_plan_parse(&p, "tp=1"));
    CORE_TRY(read_words(&a, text));
    CORE_TRY(check_model(&a, spec));
    p.tp = or_one(&a, FLAG_TP);
    p.pp = or_one(&a, FLAG_PP);
    p.ep = or_one(&a, FLAG_EP);
    p.etp = a.seen[FLAG_ETP] ? a.number[FLAG_ETP] : spec->n_e > 0 ? p.tp : 1;
    CORE_TRY(read_data_degree(&a, &p));
    CORE_TRY(read_micro_batches(&a, &p));
    CORE_TRY(read_stages(&a, spec, &p));
    drop_even_stages(spec, &p);
    par_plan_format(&p, p.text);
    CORE_TRY(par_plan_check(&p, spec));
    *out = p;
    return CORE_OK;
}
