/* harness/perf/machine/rates.h -- what `calibrate` measured on a processor.
 *
 * A GPU's operators beside the products move bytes and nothing else; those of
 * the emulation on a processor evaluate functions one by one.  So the machine
 * file of a processor has two more sections: the rates of products over a grid,
 * in place of tiles and waves, and what each operator takes per row, value,
 * operation and so on:
 *
 *     seconds = sum over its features of (amount * seconds of one)
 *
 * The amounts come from a record of cost (core/pass/cost.h), so that what is
 * predicted is exactly what the emulation does.
 */
#ifndef HAR_PERF_RATES_H
#define HAR_PERF_RATES_H

#include "core/pass/cost.h"

/* What an operator's time is made of: enumerator, key in the file, unit of the
 * key in seconds, what is counted.                                           */
#define HAR_FEATURE_LIST(X)                                                    \
    X(START, start_us, 1e-6, "once for a record")                              \
    X(ROW, row_ns, 1e-9, "m of the record")                                    \
    X(VALUE, value_ns, 1e-9, "activations read and written")                   \
    X(FAR, far_ns, 1e-9, "those of them that the core's own cache has lost")   \
    X(WEIGHT, weight_ns, 1e-9, "weights read, where they are not multiplied")  \
    X(FLOP, flop_ns, 1e-9, "operations, where there is no product")            \
    X(PRODUCT, product, 1, "seconds of its products by the grid")              \
    X(CALL, call_us, 1e-6, "products, or heads of rows, that it consists of")  \
    X(PAIR, pair_ns, 1e-9, "pairs of a query and a key that it sees")

typedef enum har_feature {
#define HAR_FEATURE_ENUM(name, key, unit, text) HAR_FEATURE_##name,
    HAR_FEATURE_LIST(HAR_FEATURE_ENUM)
#undef HAR_FEATURE_ENUM
    HAR_N_FEATURE
} har_feature;

const char *har_feature_key(har_feature feature);
double har_feature_unit(har_feature feature);

/* Which records share a rate.  Products of a kind are one class; everything
 * else is told apart by operator and tap, an activation by its function and the
 * choice of experts by its scores too.                                        */
typedef struct har_rate_class {
    core_cost_kind kind;
    core_tap_kind tap;   /* elementwise                                        */
    char op[16];         /* elementwise; "" for products                       */
    int variant;         /* core_act of an activation, core_router of the
                          * choice of experts, else -1                         */
    bool reads_weights;  /* elementwise: a lookup or a bias, not a copy        */
} har_rate_class;

har_rate_class har_rate_class_of(const core_spec *spec, const core_cost *cost);
bool har_rate_class_is(const har_rate_class *a, const har_rate_class *b);

enum { HAR_RATE_NAME = 64 };

/* "gemm", "dispatch moe.recv", "expert moe.act gelu", "norm attn.norm weights":
 * as in the file.                                                             */
const char *har_rate_class_name(const har_rate_class *rate,
                                char name[HAR_RATE_NAME]);
/* Inverse; false if the text names no class.                                 */
bool har_rate_class_parse(har_rate_class *out, const char *name);

typedef struct har_rate {
    har_rate_class of;
    core_dtype dtype;               /* F64 or F32                              */
    double amount[HAR_N_FEATURE];   /* seconds of one                          */
    double sigma;                   /* relative, one sigma                     */
} har_rate;

/* The grid: m = 1, 2, 4 ..., n and k = 4, 8, 16 ...                           */
enum {
    HAR_GRID_M = 11,
    HAR_GRID_NK = 10,
    HAR_GRID_FIRST_NK = 4,
    HAR_GRID_SIZE = HAR_GRID_M * HAR_GRID_NK * HAR_GRID_NK,
    HAR_MAX_RATES = 160
};

typedef struct har_rates {
    int n_product[2];                   /* [0] F64, [1] F32: 0 or all           */
    int n_miss[2];                      /* the same                             */
    double log_rate[2][HAR_GRID_SIZE];  /* ln(flop/s), k fastest, then n       */
    double miss[2][HAR_GRID_M];         /* seconds of a weight from memory beyond
                                         * those of one from the shared cache,
                                         * by m                                */
    double far_from;                    /* doubles that the core's cache holds */
    int n;
    har_rate rate[HAR_MAX_RATES];
} har_rates;

/* 0 for F64, 1 for F32, -1 for any other.                                     */
int har_rates_index(core_dtype dtype);
double har_grid_m(int i);
double har_grid_nk(int i);

/* Seconds of a product whose weights come from memory by a share `miss`, between
 * the points of the grid in logarithms, beyond them at the rate of the edge.
 * n_product must be all of them.                                     [local] */
double har_rates_product(const har_rates *rates, core_dtype dtype, double m,
                         double n, double k, double miss);

/* What lies in which cache when a record begins.                             */
typedef struct har_residency {
    double before; /* doubles that the record before it touched               */
    double miss;   /* share of the weights that come from memory, 0 to 1      */
} har_residency;

/* Doubles that a record touches, weights and transfers included.     [local] */
double har_rates_touched(core_dtype dtype, const core_cost *cost);

/* The share of weights that come from memory where all ranks of a machine have
 * `weight_bytes`: none up to half of the shared cache, all from 1.5 of it on. */
double har_rates_miss(double weight_bytes, double cache_bytes);

/* How much of each feature a record has.                             [local] */
void har_rates_amounts(const har_rates *rates, core_dtype dtype,
                       const core_cost *cost, const har_residency *where,
                       double amount[HAR_N_FEATURE]);

/* The rate of a record, NULL if it was not measured.  Transfers have none.    */
const har_rate *har_rates_find(const har_rates *rates, const core_spec *spec,
                               core_dtype dtype, const core_cost *cost);

/* Seconds of a record by its rate.                                   [local] */
double har_rates_seconds(const har_rates *rates, const har_rate *rate,
                         const core_cost *cost, const har_residency *where);

#endif
