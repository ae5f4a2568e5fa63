/* harness/perf/machine_attention.c -- fused attention, prefill and decode.
 *
 * Prefill works in tiles of 128 queries: a tile under the diagonal multiplies
 * whole tiles of keys, so that a short sequence computes more than half of its
 * square.  The softmax keeps the units from overlapping products and loads, and
 * the caches are written first: compute and bytes add.
 *
 * Decode reads every cached key and value once; queries that share a kv head
 * are one tile.  What fits in the second-level cache was left there by the step
 * before.  The cached tokens of a row are split over the units when rows and
 * heads alone do not fill them.
 */
#include "harness/perf/machine_impl.h"

enum {
    QUERY_ROWS = 128,
    KEY_ROWS = 112,
    PART_TOKENS = 256,  /* least that is worth a unit of its own             */
    LONG_TOKENS = 4096, /* from here on parts beyond one per unit            */
    TILES_PER_UNIT = 3, /* of one query each                                 */
    GROUP_ROWS = 16,    /* queries of one kv head in a tile                  */
    MAX_GROUP = 32,     /* more have no kernel: each query reads for itself  */
    FIRST_FILLS = 2,    /* before the first keys are there                   */
    JOIN_FILLS = 2,     /* adding up the parts of a row                      */
    N_PREFILL = 6,
    N_DECODE = 4
};

/* Pairs of a query and a key, whole tiles, over one head and sequence. */
static double pairs(const har_attention *a)
{
    const double rows = fmin(QUERY_ROWS, ceil(a->n_t / 16) * 16);
    const double n_tile = ceil(a->n_t / rows);
    const double sum = rows * rows * n_tile * (n_tile + 1) / 2;
    if (a->window <= 0)
        return sum;
    return fmin(sum, rows * rows * n_tile * (ceil(a->window / rows) + 1));
}

har_time har_time_prefill(const har_machine *machine, core_dtype dtype,
                          const har_attention *a)
{
    const double size = (double)core_dtype_bytes(dtype);
    const double units = machine->n_unit;
    const double peak = har__peak(machine, dtype) *
                        har__coef(machine, HAR_COEF_COMPUTE) *
                        har__coef(machine, HAR_COEF_ATTENTION);
    const double n_tile = a->n_row * a->n_h * ceil(a->n_t / QUERY_ROWS);
    const double flop = 4 * a->n_row * a->n_h * a->n_dh * pairs(a);
    const double bytes =
        size * a->n_row * a->n_t * a->n_dh * (2 * a->n_h + 4 * a->n_g);
    /* the last query tile sees every key and runs on one unit */
    const double longest = 4 * QUERY_ROWS * a->n_dh * a->n_t / peak * units;
    const har__parts parts = {
        .overhead = N_PREFILL * har__seconds(machine, HAR_COEF_LAUNCH),
        .latency = har__seconds(machine, HAR_COEF_FILL) * ceil(n_tile / units) +
                   bytes / har__memory_bw(machine),
        .compute = fmax(longest, flop / peak)};
    return har__together(machine, HAR_ATTENTION, parts);
}

har_time har_time_decode(const har_machine *machine, core_dtype dtype,
                         const har_attention *a)
{
    const double size = (double)core_dtype_bytes(dtype);
    const double units = machine->n_unit;
    const double seen = a->window > 0 ? fmin(a->window, a->n_t) : a->n_t;
    const double group = a->n_h / a->n_g;
    const bool alone = group == 1 || group > MAX_GROUP;
    const double n_tile =
        a->n_row * (alone ? a->n_h : a->n_g * ceil(group / GROUP_ROWS));
    const double bytes = 2 * size * a->n_row * a->n_g * seen * a->n_dh;
    const double beyond = fmax(0, bytes - machine->l2_bytes);
    const double fed = alone ? bytes * group : bytes;
    const double most_parts =
        fmax(floor(units / n_tile),
             seen >= LONG_TOKENS ? ceil(2 * units / n_tile) : 1);
    const double n_part = fmin(ceil(seen / PART_TOKENS), most_parts);
    const double steps = ceil(seen / KEY_ROWS / n_part);
    const double per_unit = alone ? TILES_PER_UNIT : 1;
    const double waves = fmax(1, n_tile * n_part / units / per_unit);
    const double fill = har__seconds(machine, HAR_COEF_FILL);
    const har__parts parts = {
        .overhead = N_DECODE * har__seconds(machine, HAR_COEF_LAUNCH) +
                    (n_part > 1 ? JOIN_FILLS * fill : 0),
        .compute = waves * (FIRST_FILLS + steps) * fill,
        .memory = a->kv_share * beyond / har__memory_bw(machine) +
                  (fed - beyond) / har__feed_bw(machine)};
    return har__together(machine, HAR_ATTENTION, parts);
}
