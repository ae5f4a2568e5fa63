/* harness/perf/machine/attention.c -- fused attention, prefill and decode.
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
 *
 * Where all heads share the vector of a key (keys and values absorbed into what
 * comes before and after), there are so many products per byte that they may
 * bind.  No table has it: the form is that of decode, the rate of the products
 * that of prefill.
 */
#include "harness/perf/machine/impl.h"

enum {
    QUERY_ROWS = 128,
    KEY_ROWS = 112,
    PART_TOKENS = 256,  /* least that is worth a unit of its own             */
    LONG_TOKENS = 4096, /* from here on parts beyond one per unit            */
    TILES_PER_UNIT = 3, /* of one query each                                 */
    GROUP_ROWS = 16,    /* queries of one kv head in a tile                  */
    MAX_GROUP = 32,     /* more have no kernel: each query reads for itself  */
    SHARED_ROWS = 64,   /* heads in a tile of keys that all share            */
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

/* Tiles of queries over the cached keys of each row. */
typedef struct decoding {
    double n_tile, per_unit; /* tiles that a unit works on at a time          */
    double n_key;
    double bytes, fed;       /* of the cache: once; as often as tiles read it */
    double product;          /* seconds of the products                       */
} decoding;

static har_time decode(const har_machine *machine, const decoding *d,
                       double kv_share)
{
    const double units = machine->n_unit;
    const double beyond = fmax(0, d->bytes - machine->l2_bytes);
    const double most_parts =
        fmax(floor(units / d->n_tile),
             d->n_key >= LONG_TOKENS ? ceil(2 * units / d->n_tile) : 1);
    const double n_part = fmin(ceil(d->n_key / PART_TOKENS), most_parts);
    const double steps = ceil(d->n_key / KEY_ROWS / n_part);
    const double waves = fmax(1, d->n_tile * n_part / units / d->per_unit);
    const double fill = har__seconds(machine, HAR_COEF_FILL);
    const har__parts parts = {
        .overhead = N_DECODE * har__seconds(machine, HAR_COEF_LAUNCH) +
                    (n_part > 1 ? JOIN_FILLS * fill : 0),
        .compute = fmax(waves * (FIRST_FILLS + steps) * fill, d->product),
        .memory = kv_share * beyond / har__memory_bw(machine) +
                  (d->fed - beyond) / har__feed_bw(machine)};
    return har__together(machine, HAR_ATTENTION, parts);
}

static har_time decode_shared(const har_machine *machine, core_dtype dtype,
                              const har_attention *a)
{
    const double size = (double)core_dtype_bytes(dtype);
    const double peak = har__peak(machine, dtype) *
                        har__coef(machine, HAR_COEF_COMPUTE) *
                        har__coef(machine, HAR_COEF_ATTENTION);
    const double rows = ceil(a->n_h / GROUP_ROWS) * GROUP_ROWS;
    const double bytes = size * a->n_row * a->n_t * (a->n_shared + a->n_rot);
    const decoding d = {.n_tile = a->n_row * ceil(a->n_h / SHARED_ROWS),
                        .per_unit = 1,
                        .n_key = a->n_t,
                        .bytes = bytes,
                        .fed = bytes * ceil(a->n_h / SHARED_ROWS),
                        .product = 2 * a->n_row * rows * a->n_t *
                                   (2 * a->n_shared + a->n_rot) / peak};
    return decode(machine, &d, 1);
}

har_time har_time_decode(const har_machine *machine, core_dtype dtype,
                         const har_attention *a)
{
    if (a->n_shared > 0)
        return decode_shared(machine, dtype, a);
    const double size = (double)core_dtype_bytes(dtype);
    const double seen = a->window > 0 ? fmin(a->window, a->n_t) : a->n_t;
    const double group = a->n_h / a->n_g;
    const bool alone = group == 1 || group > MAX_GROUP;
    const double bytes = 2 * size * a->n_row * a->n_g * seen * a->n_dh;
    const decoding d = {
        .n_tile = a->n_row *
                  (alone ? a->n_h : a->n_g * ceil(group / GROUP_ROWS)),
        .per_unit = alone ? TILES_PER_UNIT : 1,
        .n_key = seen,
        .bytes = bytes,
        .fed = alone ? bytes * group : bytes};
    return decode(machine, &d, a->kv_share);
}
