/* harness/perf/rates_file.c -- see rates_file.h.
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
#include "harness/perf/rates_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const DTYPES[2] = {"f64", "f32"};

static core_status refuse(const char *file, const core_yaml_entry *e,
                          const char *expected)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: expected %s, found '%.40s'", file,
              e->line, e->column, e->path, expected, e->text);
}

static core_status number(const char *file, const core_yaml_entry *e,
                          double least, double most, double *out)
{
    char *end = NULL, range[64];
    const double value = strtod(e->text, &end);
    snprintf(range, sizeof range, "a number from %g to %g", least, most);
    if (end == e->text || *end != '\0' || !(value >= least && value <= most))
        return refuse(file, e, range);
    *out = value;
    return CORE_OK;
}

bool har_rates_owns(const core_yaml_entry *e)
{
    return strncmp(e->path, "products.", 9) == 0 ||
           strncmp(e->path, "operators[", 10) == 0;
}

static bool is_dtype(int bits) { return bits == 64 || bits == 32; }

static core_status take_product(har_rates *rates, const char *file,
                                const core_yaml_entry *e, const char *rest)
{
    int dtype = 0, i = 0, n = 0;
    double value = 0;
    if (strcmp(rest, "far_from") == 0)
        return number(file, e, 1, 1e12, &rates->far_from);
    if (sscanf(rest, "miss_f%d[%d]%n", &dtype, &i, &n) == 2 && is_dtype(dtype)) {
        CORE_TRY(number(file, e, 0, 1e6, &value));
        if (i >= HAR_GRID_M)
            return refuse(file, e, "11 numbers");
        rates->miss[dtype == 64 ? 0 : 1][i] = value * 1e-9;
        return CORE_OK;
    }
    if (sscanf(rest, "f%d[%d]%n", &dtype, &i, &n) != 2 || rest[n] != '\0' ||
        !is_dtype(dtype))
        return refuse(file, e,
                      "far_from, or f64, f32, miss_f64, miss_f32 with a list");
    if (i >= HAR_GRID_SIZE)
        return refuse(file, e, "1100 numbers");
    CORE_TRY(number(file, e, 1e-6, 1e6, &value));
    const int which = dtype == 64 ? 0 : 1;
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
                   : refuse(file, e, "gemm, grouped gemm, attention or an "
                                     "operator and its tap");
    if (strcmp(key, "dtype") == 0) {
        rate->dtype = strcmp(e->text, "f64") == 0   ? CORE_DTYPE_F64
                      : strcmp(e->text, "f32") == 0 ? CORE_DTYPE_F32
                                                    : CORE_N_DTYPES;
        return rate->dtype == CORE_N_DTYPES ? refuse(file, e, "f64 or f32")
                                            : CORE_OK;
    }
    if (strcmp(key, "sigma") == 0)
        return number(file, e, 1e-4, 10, &rate->sigma);
    for (int i = 0; i < HAR_N_FEATURE; i++)
        if (strcmp(key, har_feature_key(i)) == 0) {
            CORE_TRY(number(file, e, 0, 1e9, &rate->amount[i]));
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
        return refuse(file, e, "operators with rates");
    if (i >= HAR_MAX_RATES)
        return refuse(file, e, "at most 160 operators");
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

core_status har_rates_check(const har_rates *rates, const char *file)
{
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
    for (int i = 0; i < 2; i++)
        CORE_FAIL_IF(rates->n_product[i] % HAR_GRID_SIZE != 0, CORE_E_FORMAT,
                     "%s: products.%s: expected %d rates, found %d", file,
                     DTYPES[i], HAR_GRID_SIZE, rates->n_product[i]);
    CORE_FAIL_IF(needs_products(rates), CORE_E_FORMAT,
                 "%s: products: expected rates for every dtype of the operators",
                 file);
    return CORE_OK;
}

/* --- writing --- */

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
