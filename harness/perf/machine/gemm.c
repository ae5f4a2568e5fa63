/* harness/perf/machine/gemm.c -- products: whole tiles, whole waves, split K.
 *
 * A library has kernels for several tile shapes and takes the best; so does
 * this.  For each tile and each split of K: the output is a whole number of
 * tiles, the units work in whole waves of them, a unit multiplies a tile at its
 * share of the peak or as fast as the second-level cache feeds it.  Small tiles
 * share a unit and hide each other's filling.
 *
 * A machine whose products were measured over a grid (rates.h) answers from it.
 */
#include "harness/perf/machine/impl.h"

typedef struct product {
    double m, n, k;
    const har_operands *of;
    double peak;    /* of one unit, sustained                                */
    double feed_bw; /* bytes/s from the cache into all units                 */
    double bytes;   /* each operand once                                     */
    const har_generation *rules;
} product;

/* Bytes that a unit takes for a tile, per element of K: the tiles of a cluster
 * share their rows and columns.  Trap: where a product has but one row of tiles
 * there is nobody to share with, but to say so would make it slower than one
 * with more rows; it is bound by memory or by latency then. */
static double fed(const product *p, const int tile[2])
{
    return (tile[0] * p->of->a + tile[1] * p->of->b) / p->rules->shared;
}

/* Seconds of filling the pipelines of a unit's tiles, n of them one after the
 * other. */
static double fill(const har_machine *machine, const product *p, double n)
{
    return har__seconds(machine, HAR_COEF_FILL) *
           (1 + p->rules->refill * fmax(0, n - 1));
}

static har__parts with_tile(const har_machine *machine, const product *p,
                            const int tile[2], double n_split)
{
    const double units = machine->n_unit;
    const double n_tile = ceil(p->m / tile[0]) * ceil(p->n / tile[1]) * n_split;
    const double waves =
        p->rules->is_dealt ? fmax(1, n_tile / units) : ceil(n_tile / units);
    const double k = ceil(p->k / n_split / 32) * 32;
    const double area = (double)tile[0] * tile[1];
    const double mma =
        har__unpacked(machine, p->of, 2 * area * k / p->peak, tile[1] * k);
    const double feed = fed(p, tile) * k * units / p->feed_bw;
    const double share = fmin(8, fmax(1, 128 * 256 / area));
    har__parts parts = {.overhead = har__seconds(machine, HAR_COEF_LAUNCH),
                        .latency = fill(machine, p, waves / share),
                        .compute = waves * har__overlap(mma, feed),
                        .memory = p->bytes / har__memory_bw(machine)};
    if (n_split > 1) /* partial sums in fp32, written and read */
        parts.latency += har__seconds(machine, HAR_COEF_FILL) +
                         8 * p->m * p->n * n_split / p->feed_bw;
    return parts;
}

static double sum_of(har__parts parts)
{
    return parts.latency + har__overlap(parts.compute, parts.memory);
}

static bool is_measured(const har_machine *machine, int unit)
{
    const int i =
        unit < CORE_N_DTYPES ? har_rates_index((core_dtype)unit) : -1;
    return i >= 0 && machine->rates.n_product[i] > 0;
}

static har_time measured(const har_machine *machine, core_dtype dtype, double m,
                         double n, double k)
{
    return (har_time){.seconds =
                          har_rates_product(&machine->rates, dtype, m, n, k, 0),
                      .sigma = machine->sigma[HAR_GEMM].value,
                      .bound = HAR_BOUND_COMPUTE};
}

har_time har_time_product(const har_machine *machine, const har_operands *of,
                          double m, double n, double k)
{
    if (is_measured(machine, of->unit))
        return measured(machine, (core_dtype)of->unit, m, n, k);
    const product p = {.m = m,
                       .n = n,
                       .k = k,
                       .of = of,
                       .peak = har__peak(machine, of->unit) *
                               har__coef(machine, HAR_COEF_COMPUTE) /
                               machine->n_unit,
                       .feed_bw = har__feed_bw(machine),
                       .bytes =
                           of->a * m * k + of->b * k * n + of->out * m * n,
                       .rules = har_generation_of(machine->arch)};
    har__parts best = {.latency = HUGE_VAL};
    for (int i = 0; i < machine->n_tile; i++)
        for (int s = 1; s <= machine->max_split && s * 128 <= fmax(k, 128);
             s *= 2) {
            const har__parts parts =
                with_tile(machine, &p, machine->tile[i], s);
            if (sum_of(parts) < sum_of(best))
                best = parts;
        }
    return har__together(machine, HAR_GEMM, best);
}

har_time har_time_gemm(const har_machine *machine, core_dtype dtype, double m,
                       double n, double k)
{
    const har_operands of = har_operands_plain(dtype);
    return har_time_product(machine, &of, m, n, k);
}

har_time har_time_recurrence(const har_machine *machine, core_dtype dtype,
                             double bytes, double multiplied,
                             double single)
{
    const double share = har__coef(machine, HAR_COEF_COMPUTE);
    const double products = multiplied / har__peak(machine, dtype) /
                            har__coef(machine, HAR_COEF_ATTENTION);
    const double singles = single / har__peak(machine, CORE_DTYPE_F32);
    const har__parts parts = {.overhead =
                                  har__seconds(machine, HAR_COEF_LAUNCH),
                              .latency = har__seconds(machine, HAR_COEF_FILL),
                              .compute = (products + singles) / share,
                              .memory = bytes / har__memory_bw(machine)};
    return har__together(machine, HAR_GEMM, parts);
}

har_time har_time_elementwise(const har_machine *machine, double bytes)
{
    return har_time_recurrence(machine, CORE_DTYPE_F32, bytes, 0, 0);
}
