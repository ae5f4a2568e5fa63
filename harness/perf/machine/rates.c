/* harness/perf/machine/rates.c -- see rates.h.
 *
 * Traps: the grid holds rates, not seconds, because seconds are far from
 * straight between its points; a grouped record says how many experts have rows
 * and how many the fullest has, the others share the rest evenly; attention
 * multiplies a block of 64 queries at a time with the keys before its end.
 */
#include "harness/perf/machine/rates.h"

#include "core/files/text.h"
#include "harness/perf/cost/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *key;
    double unit;
} FEATURES[HAR_N_FEATURE] = {
#define FEATURE_ROW(name, key, unit, text) {#key, unit},
    HAR_FEATURE_LIST(FEATURE_ROW)
#undef FEATURE_ROW
};

const char *har_feature_key(har_feature feature)
{
    return FEATURES[feature].key;
}

double har_feature_unit(har_feature feature)
{
    return FEATURES[feature].unit;
}

/* --- classes --- */

/* Variant i of a tap's operator; NULL after the last, and where all are one. */
static const char *variant_name(core_tap_kind tap, int i)
{
    switch (tap) {
    case CORE_TAP_SLOT:
        return core_router_name(i);
    case CORE_TAP_EXPERT_ACT:
    case CORE_TAP_MLP_ACT:
        return core_act_name(i);
    default:
        return NULL;
    }
}

har_rate_class har_rate_class_of(const core_spec *spec, const core_cost *cost)
{
    har_rate_class out = {.kind = cost->kind, .variant = -1};
    if (cost->kind != CORE_COST_ELEMENTWISE)
        return out;
    out.tap = cost->tap.kind;
    out.reads_weights = cost->weights > 0;
    snprintf(out.op, sizeof out.op, "%s", cost->op);
    if (out.tap == CORE_TAP_SLOT)
        out.variant = (int)spec->router;
    else if (out.tap == CORE_TAP_EXPERT_ACT || out.tap == CORE_TAP_MLP_ACT)
        out.variant = (int)spec->act;
    return out;
}

bool har_rate_class_is(const har_rate_class *a, const har_rate_class *b)
{
    return a->kind == b->kind && a->tap == b->tap && a->variant == b->variant &&
           a->reads_weights == b->reads_weights &&
           strcmp(a->op, b->op) == 0;
}

/* "moe.recv" of "layers.0.moe.recv". */
static const char *without_layer(const char *tap)
{
    core_text_after(tap, "layers.0.", &tap);
    return tap;
}

const char *har_rate_class_name(const har_rate_class *rate,
                                char name[HAR_RATE_NAME])
{
    char tap[CORE_NAME_BYTES];
    if (rate->kind != CORE_COST_ELEMENTWISE) {
        snprintf(name, HAR_RATE_NAME, "%s", core_cost_kind_name(rate->kind));
        return name;
    }
    const char *variant = variant_name(rate->tap, rate->variant);
    core_tap_name((core_tap){rate->tap, 0}, tap);
    snprintf(name, HAR_RATE_NAME, "%s %.32s%s%s%s", rate->op,
             without_layer(tap), variant != NULL ? " " : "",
             variant != NULL ? variant : "",
             rate->reads_weights ? " weights" : "");
    return name;
}

static bool parse_tap(core_tap_kind *out, const char *text)
{
    char name[CORE_NAME_BYTES];
    core_tap tap;
    if (!core_tap_parse(&tap, text)) {
        snprintf(name, sizeof name, "layers.0.%s", text);
        if (!core_tap_parse(&tap, name))
            return false;
    }
    *out = tap.kind;
    return true;
}

static bool parse_word(har_rate_class *out, const char *word)
{
    const char *name;
    if (strcmp(word, "weights") == 0 && !out->reads_weights) {
        out->reads_weights = true;
        return true;
    }
    for (int i = 0; out->variant < 0 && !out->reads_weights &&
                    (name = variant_name(out->tap, i)) != NULL;
         i++)
        if (strcmp(name, word) == 0) {
            out->variant = i;
            return true;
        }
    return false;
}

bool har_rate_class_parse(har_rate_class *out, const char *name)
{
    char tap[40], word[2][16], end;
    *out = (har_rate_class){.variant = -1};
    for (int k = CORE_COST_GEMM; k < CORE_COST_ELEMENTWISE; k++)
        if (strcmp(name, core_cost_kind_name((core_cost_kind)k)) == 0) {
            out->kind = (core_cost_kind)k;
            return true;
        }
    out->kind = CORE_COST_ELEMENTWISE;
    const int n = sscanf(name, "%15s %39s %15s %15s %c", out->op, tap, word[0],
                         word[1], &end);
    if (n < 2 || n > 4 || !parse_tap(&out->tap, tap))
        return false;
    for (int i = 0; i < n - 2; i++)
        if (!parse_word(out, word[i]))
            return false;
    return (out->variant >= 0) == (variant_name(out->tap, 0) != NULL);
}

/* --- products --- */

int har_rates_index(core_dtype dtype)
{
    return dtype == CORE_DTYPE_F64 ? 0 : dtype == CORE_DTYPE_F32 ? 1 : -1;
}

double har_grid_m(int i)
{
    return ldexp(1, i);
}

double har_grid_nk(int i)
{
    return ldexp(HAR_GRID_FIRST_NK, i);
}

/* x lies at *at + share of the way to the next point. */
static double locate(double x, double first, int n, int *at)
{
    const double place = fmin(n - 1, fmax(0, log2(fmax(x, 1e-9) / first)));
    *at = (int)fmin(n - 2, floor(place));
    return place - *at;
}

double har_rates_product(const har_rates *rates, core_dtype dtype, double m,
                         double n, double k, double miss)
{
    const int which = har_rates_index(dtype);
    core_assert(which >= 0);
    const double *grid = rates->log_rate[which], *late = rates->miss[which];
    int i[3];
    const double share[3] = {locate(m, 1, HAR_GRID_M, &i[0]),
                             locate(n, HAR_GRID_FIRST_NK, HAR_GRID_NK, &i[1]),
                             locate(k, HAR_GRID_FIRST_NK, HAR_GRID_NK, &i[2])};
    double rate = 0;
    for (int corner = 0; corner < 8; corner++) {
        double weight = 1;
        int at[3];
        for (int d = 0; d < 3; d++) {
            const int up = corner >> d & 1;
            weight *= up ? share[d] : 1 - share[d];
            at[d] = i[d] + up;
        }
        rate += weight *
                grid[(at[0] * HAR_GRID_NK + at[1]) * HAR_GRID_NK + at[2]];
    }
    const double extra =
        late[i[0]] + share[0] * (late[i[0] + 1] - late[i[0]]);
    return 2 * m * n * k / exp(rate) + miss * extra * n * k;
}

/* --- records --- */

static double grouped_products(const har_rates *rates, core_dtype dtype,
                               const core_cost *c, double miss)
{
    const double n = (double)c->n, k = (double)c->k;
    const double most = (double)c->m_max, others = (double)(c->n_expert - 1);
    double sum = har_rates_product(rates, dtype, most, n, k, miss);
    if (others > 0 && c->m > c->m_max)
        sum += others *
               har_rates_product(rates, dtype, ((double)c->m - most) / others,
                                 n, k, miss);
    return sum;
}

/* Both products of all blocks of a (row, head). */
static double attention_products(const har_rates *rates, core_dtype dtype,
                                 const core_cost *c)
{
    const double n_dh = (double)c->k;
    double sum = 0;
    for (int64_t i = 0; i < c->n; i += HAR_QUERY_BLOCK) {
        const int64_t left = c->n - i;
        const double b = (double)(left < HAR_QUERY_BLOCK ? left : HAR_QUERY_BLOCK);
        const double keys = (double)i + b;
        sum += har_rates_product(rates, dtype, b, keys, n_dh, 0) +
               har_rates_product(rates, dtype, b, n_dh, keys, 0);
    }
    return sum * (double)c->n_head * (double)c->m / (double)c->n;
}

static double values_of(const core_cost *c)
{
    return (double)(c->read + c->written + c->kv_read + c->kv_written);
}

double har_rates_touched(core_dtype dtype, const core_cost *c)
{
    const double weight = dtype == CORE_DTYPE_F32 ? 0.5 : 1;
    return values_of(c) + weight * (double)c->weights +
           (double)(c->in + c->out);
}

double har_rates_miss(double weight_bytes, double cache_bytes)
{
    return fmin(1, fmax(0, weight_bytes / cache_bytes - 0.5));
}

void har_rates_amounts(const har_rates *rates, core_dtype dtype,
                       const core_cost *c, const har_residency *where,
                       double amount[HAR_N_FEATURE])
{
    const double values = values_of(c);
    const double lost = values + where->before - rates->far_from;
    memset(amount, 0, HAR_N_FEATURE * sizeof *amount);
    amount[HAR_FEATURE_START] = 1;
    amount[HAR_FEATURE_ROW] = (double)c->m;
    amount[HAR_FEATURE_VALUE] = values;
    amount[HAR_FEATURE_FAR] = fmin(values, fmax(0, lost));
    if (c->kind == CORE_COST_ELEMENTWISE || c->m * c->n * c->k == 0) {
        amount[HAR_FEATURE_WEIGHT] = (double)c->weights;
        amount[HAR_FEATURE_FLOP] = (double)c->flops;
        amount[HAR_FEATURE_CALL] = (double)(c->n_head * c->m);
        return;
    }
    if (c->kind == CORE_COST_GEMM)
        amount[HAR_FEATURE_PRODUCT] = har_rates_product(
            rates, dtype, (double)c->m, (double)c->n, (double)c->k, where->miss);
    if (c->kind == CORE_COST_GROUPED_GEMM) {
        amount[HAR_FEATURE_PRODUCT] =
            grouped_products(rates, dtype, c, where->miss);
        amount[HAR_FEATURE_CALL] = (double)c->n_expert;
    }
    if (c->kind == CORE_COST_ATTENTION) {
        amount[HAR_FEATURE_PRODUCT] = attention_products(rates, dtype, c);
        amount[HAR_FEATURE_PAIR] = (double)c->n_pair;
        amount[HAR_FEATURE_CALL] =
            (double)(c->n_head * (c->m / c->n) *
                     ((c->n + HAR_QUERY_BLOCK - 1) / HAR_QUERY_BLOCK));
    }
}

const har_rate *har_rates_find(const har_rates *rates, const core_spec *spec,
                               core_dtype dtype, const core_cost *cost)
{
    if (rates->n == 0 || cost->kind == CORE_COST_COLLECTIVE)
        return NULL;
    const har_rate_class of = har_rate_class_of(spec, cost);
    for (int i = 0; i < rates->n; i++)
        if (rates->rate[i].dtype == dtype &&
            har_rate_class_is(&rates->rate[i].of, &of))
            return &rates->rate[i];
    return NULL;
}

double har_rates_seconds(const har_rates *rates, const har_rate *rate,
                         const core_cost *cost, const har_residency *where)
{
    double amount[HAR_N_FEATURE], sum = 0;
    har_rates_amounts(rates, rate->dtype, cost, where, amount);
    for (int i = 0; i < HAR_N_FEATURE; i++)
        sum += amount[i] * rate->amount[i];
    return sum;
}
