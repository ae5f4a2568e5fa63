/* harness/perf/machine/rates_file.c -- see rates_file.h.
 *
 *     products:
 *       far_from: 131072
 *       miss_f64: [0.5, ...]         ns of a weight from memory, by m
 *       f64: [0.21, 0.4, ...]        GFLOP/s, k fastest, then n, then m
 *     operators:
 *       - {operator: norm attn.norm, dtype: f64, start_us: 1.2, value_ns: 0.3,
 *          sigma: 0.05}
 *
 * Trap: a product that was too large to be measured is in the list all the same,
 * at the rate of its neighbour: a list with holes could be one with a number
 * lost.
 */
#include "harness/perf/machine/rates_file.h"

#include "harness/perf/machine/impl.h"

#include <string.h>

static const char *const DTYPES[2] = {"f64", "f32"};

/* In the units of the file: doubles, GFLOP/s, ns, of each key, relative. */
static const double FAR[2] = {1, 1e12}, RATE[2] = {1e-6, 1e6};
static const double MISS[2] = {0, 1e6}, AMOUNT[2] = {0, 1e9};
static const double SIGMA[2] = {1e-4, 10};

bool har_rates_owns(const core_yaml_entry *e)
{
    return strncmp(e->path, "products.", 9) == 0 ||
           strncmp(e->path, "operators[", 10) == 0;
}

/* f64[I] or f32[I]: of which dtype, and I. */
static bool parse_place(const char *text, int *which, int *i)
{
    int bits = 0, n = 0;
    if (sscanf(text, "f%d[%d]%n", &bits, i, &n) != 2 || n == 0 ||
        text[n] != '\0')
        return false;
    *which = bits == 64 ? 0 : 1;
    return bits == 64 || bits == 32;
}

static core_status take_product(har_rates *rates, const char *file,
                                const core_yaml_entry *e, const char *rest)
{
    const bool is_miss = strncmp(rest, "miss_", 5) == 0;
    int which = 0, i = 0;
    double value = 0;
    if (strcmp(rest, "far_from") == 0)
        return har__read_number(file, e, FAR[0], FAR[1], &rates->far_from);
    if (!parse_place(is_miss ? rest + 5 : rest, &which, &i))
        return har__read_refuse(
            file, e, "far_from, or f64, f32, miss_f64, miss_f32 with a list");
    if (is_miss) {
        CORE_TRY(har__read_number(file, e, MISS[0], MISS[1], &value));
        if (i >= HAR_GRID_M)
            return har__read_refuse(file, e, "11 numbers");
        rates->miss[which][i] = value * 1e-9;
        rates->n_miss[which] = i + 1;
        return CORE_OK;
    }
    if (i >= HAR_GRID_SIZE)
        return har__read_refuse(file, e, "1100 numbers");
    CORE_TRY(har__read_number(file, e, RATE[0], RATE[1], &value));
    rates->log_rate[which][i] = log(value * 1e9);
    rates->n_product[which] = i + 1;
    return CORE_OK;
}

static core_status take_rate(har_rate *rate, const char *file,
                             const core_yaml_entry *e, const char *key)
{
    if (strcmp(key, "operator") == 0)
        return har_rate_class_parse(&rate->of, e->text)
                   ? CORE_OK
                   : har__read_refuse(file, e,
                                      "gemm, grouped gemm, attention or an "
                                      "operator and its tap");
    if (strcmp(key, "dtype") == 0) {
        core_dtype type;
        if (!core_dtype_of_word(&type, e->text) ||
            (type != CORE_DTYPE_F64 && type != CORE_DTYPE_F32))
            return har__read_refuse(file, e, "f64 or f32");
        rate->dtype = type;
        return CORE_OK;
    }
    if (strcmp(key, "sigma") == 0)
        return har__read_number(file, e, SIGMA[0], SIGMA[1], &rate->sigma);
    for (int i = 0; i < HAR_N_FEATURE; i++)
        if (strcmp(key, har_feature_key(i)) == 0) {
            CORE_TRY(har__read_number(file, e, AMOUNT[0], AMOUNT[1],
                                      &rate->amount[i]));
            rate->amount[i] *= har_feature_unit(i);
            return CORE_OK;
        }
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: unknown key", file, e->line,
              e->column, e->path);
}

core_status har_rates_take(har_rates *rates, const char *file,
                           const core_yaml_entry *e)
{
    int i = 0, n = 0;
    if (strncmp(e->path, "products.", 9) == 0)
        return take_product(rates, file, e, e->path + 9);
    if (sscanf(e->path, "operators[%d].%n", &i, &n) != 1 || n == 0)
        return har__read_refuse(file, e, "operators with rates");
    if (i >= HAR_MAX_RATES)
        return har__read_refuse(file, e, "at most 160 operators");
    if (i >= rates->n) {
        rates->rate[i] = (har_rate){.dtype = CORE_N_DTYPES};
        rates->rate[i].of.kind = CORE_N_COST_KINDS;
        rates->n = i + 1;
    }
    return take_rate(&rates->rate[i], file, e, e->path + n);
}

static bool needs_products(const har_rates *rates)
{
    for (int i = 0; i < rates->n; i++)
        if (rates->rate[i].of.kind != CORE_COST_ELEMENTWISE &&
            rates->n_product[har_rates_index(rates->rate[i].dtype)] == 0)
            return true;
    return false;
}

/* An operator that has two rates: the index of the second, 0 if none has. */
static int second_rate(const har_rates *rates)
{
    for (int i = 1; i < rates->n; i++)
        for (int k = 0; k < i; k++)
            if (rates->rate[i].dtype == rates->rate[k].dtype &&
                har_rate_class_is(&rates->rate[i].of, &rates->rate[k].of))
                return i;
    return 0;
}

core_status har_rates_check(const har_rates *rates, const char *file)
{
    char name[HAR_RATE_NAME];
    const bool has_some = rates->n > 0 || rates->far_from > 0;
    for (int i = 0; i < rates->n; i++)
        CORE_FAIL_IF(rates->rate[i].of.kind == CORE_N_COST_KINDS ||
                         rates->rate[i].dtype == CORE_N_DTYPES ||
                         !(rates->rate[i].sigma > 0),
                     CORE_E_FORMAT,
                     "%s: operators[%d]: expected operator, dtype and sigma",
                     file, i);
    CORE_FAIL_IF(has_some && !(rates->far_from > 0), CORE_E_FORMAT,
                 "%s: products.far_from: missing", file);
    for (int i = 0; i < 2; i++) {
        const int n_miss = rates->n_product[i] > 0 ? HAR_GRID_M : 0;
        CORE_FAIL_IF(rates->n_product[i] % HAR_GRID_SIZE != 0, CORE_E_FORMAT,
                     "%s: products.%s: expected %d rates, found %d", file,
                     DTYPES[i], HAR_GRID_SIZE, rates->n_product[i]);
        CORE_FAIL_IF(rates->n_miss[i] != n_miss, CORE_E_FORMAT,
                     "%s: products.miss_%s: expected %d numbers, found %d",
                     file, DTYPES[i], n_miss, rates->n_miss[i]);
    }
    const int second = second_rate(rates);
    CORE_FAIL_IF(second > 0, CORE_E_FORMAT,
                 "%s: operators[%d]: %s %s: given twice", file, second,
                 har_rate_class_name(&rates->rate[second].of, name),
                 DTYPES[har_rates_index(rates->rate[second].dtype)]);
    CORE_FAIL_IF(needs_products(rates), CORE_E_FORMAT,
                 "%s: products: expected rates for every dtype of the operators",
                 file);
    return CORE_OK;
}

/* --- writing --- */

void har_rates_clamp(har_rates *rates)
{
    for (int which = 0; which < 2; which++) {
        for (int i = 0; i < HAR_GRID_SIZE; i++)
            rates->log_rate[which][i] =
                har__within(rates->log_rate[which][i], log(RATE[0] * 1e9),
                            log(RATE[1] * 1e9));
        for (int i = 0; i < HAR_GRID_M; i++)
            rates->miss[which][i] = har__within(rates->miss[which][i],
                                                MISS[0] * 1e-9, MISS[1] * 1e-9);
    }
    if (rates->far_from > 0)
        rates->far_from = har__within(rates->far_from, FAR[0], FAR[1]);
    for (int i = 0; i < rates->n; i++) {
        har_rate *rate = &rates->rate[i];
        rate->sigma = har__within(rate->sigma, SIGMA[0], SIGMA[1]);
        for (int f = 0; f < HAR_N_FEATURE; f++)
            rate->amount[f] =
                har__within(rate->amount[f], AMOUNT[0] * har_feature_unit(f),
                            AMOUNT[1] * har_feature_unit(f));
    }
}

static void write_grid(FILE *out, const char *dtype, const double *log_rate)
{
    fprintf(out, "  %s: [", dtype);
    for (int i = 0; i < HAR_GRID_SIZE; i++) {
        if (i > 0)
            fputs(i % HAR_GRID_NK == 0 ? ",\n    " : ", ", out);
        fprintf(out, "%.4g", exp(log_rate[i]) * 1e-9);
    }
    fputs("]\n", out);
}

static void write_miss(FILE *out, const char *dtype, const double *miss)
{
    fprintf(out, "  miss_%s: [", dtype);
    for (int i = 0; i < HAR_GRID_M; i++)
        fprintf(out, "%s%.4g", i > 0 ? ", " : "", miss[i] * 1e9);
    fputs("] # ns that a weight takes longer from memory, by m\n", out);
}

static void write_rate(FILE *out, const har_rate *rate)
{
    char name[HAR_RATE_NAME];
    fprintf(out, "  - {operator: %s, dtype: %s",
            har_rate_class_name(&rate->of, name),
            rate->dtype == CORE_DTYPE_F64 ? "f64" : "f32");
    for (int i = 0; i < HAR_N_FEATURE; i++)
        if (rate->amount[i] > 0)
            fprintf(out, ", %s: %.5g", har_feature_key(i),
                    rate->amount[i] / har_feature_unit(i));
    fprintf(out, ", sigma: %.3g}\n", rate->sigma);
}

void har_rates_write(FILE *out, const har_rates *rates)
{
    if (!(rates->far_from > 0))
        return;
    fprintf(out, "products: # GFLOP/s of m x n x k on one core; k = 4, 8 .. "
                 "2048 in a line, n the same, m = 1, 2 .. 1024\n"
                 "  far_from: %.6g # values that the core's own cache holds\n",
            rates->far_from);
    for (int i = 0; i < 2; i++)
        if (rates->n_product[i] > 0) {
            write_miss(out, DTYPES[i], rates->miss[i]);
            write_grid(out, DTYPES[i], rates->log_rate[i]);
        }
    if (rates->n > 0)
        fputs("operators: # of the emulation; what one of each costs, "
              "docs/calibrate.md\n",
              out);
    for (int i = 0; i < rates->n; i++)
        write_rate(out, &rates->rate[i]);
}
