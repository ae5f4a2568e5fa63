/* harness/perf/machine/attention.c -- fused attention, prefill and decode.
 *
 * Prefill works in tiles of 128 queries: a tile under the diagonal multiplies
 * whole tiles of keys, so that a short sequence computes more than half of its
 * square.  Beside two products a pair of query and key costs clocks of the
 * units that no tensor unit takes off them: an exponential, and a comparison
 * where the edge of the mask goes through its tile.  Exponentials come 16 to a
 * clock on every generation, so that they weigh more the faster the products
 * are; where products run asynchronously the softmax of one tile hides behind
 * those of another.  The caches are written first: bytes add.
 *
 * Decode reads every cached key and value once; queries that share a kv head
 * are one tile.  What fits in the second-level cache was left there by the step
 * before.  The row is cut into parts by its whole length, whatever a window
 * leaves of it: parts of no visible key start all the same.
 *
 * Where all heads share the vector of a key (keys and values absorbed into what
 * comes before and after), there are so many products per byte that they may
 * bind.  No table has it: the form is that of decode, the rate of the products
 * that of prefill.
 */
#include "harness/perf/machine/impl.h"

enum {
    QUERY_ROWS = 128,
    QUERY_PASSES = 3,   /* over queries and outputs: rotated, read, written  */
    CACHE_PASSES = 5,   /* over keys and values: rotated, written, read      */
    PAST_PASSES = 2,    /* over those cached before: keys and values, read   */
    STEP_BYTES = 65536, /* of keys and values that a unit takes at a time    */
    PART_TOKENS = 256,  /* least that is worth a unit of its own             */
    PARTS_PER_UNIT = 4, /* most, of all rows together                        */
    LONG_TOKENS = 4096, /* tiles of one query: parts beyond one per unit     */
    TILES_PER_UNIT = 3, /* of one query each                                 */
    GROUP_ROWS = 16,    /* queries of one kv head in a tile                  */
    MAX_GROUP = 32,     /* more have no kernel: each query reads for itself  */
    SHARED_ROWS = 64,   /* heads in a tile of keys that all share            */
    FIRST_FILLS = 2,    /* before the first keys are there                   */
    JOIN_FILLS = 2,     /* adding up the parts of a row                      */
    N_PREFILL = 6,
    N_DECODE = 4
};

/* Of a unit, for a pair of query and key: an exponential of 16 to a clock with
 * what is around it, and a comparison with the mask. */
static const double CLOCKS_SOFTMAX = 0.1, CLOCKS_MASK = 0.1;

/* Pairs of a query and a key in whole tiles, over one head and sequence. */
typedef struct pairs {
    double all, masked; /* masked: in tiles that an edge goes through         */
} pairs;

/* Bytes of an element of keys and values. */
static double kv_bytes(core_dtype dtype, const har_attention *a)
{
    return a->kv_bytes > 0 ? a->kv_bytes : (double)core_dtype_bytes(dtype);
}

static pairs pairs_of(const har_attention *a)
{
    const double rows = fmin(QUERY_ROWS, ceil(a->n_t / 16) * 16);
    const double n_tile = ceil(a->n_t / rows), tile = rows * rows;
    const double past = ceil(a->n_past / rows);
    const double all = tile * n_tile * (past + (n_tile + 1) / 2);
    /* a window begins and ends inside a tile */
    const double seen = tile * n_tile * (ceil(a->window / rows) + 2);
    if (a->window <= 0 || seen > all)
        return (pairs){all, tile * n_tile};
    return (pairs){seen, seen};
}

/* Products, softmax and masks of so many pairs on all units. */
static double pair_seconds(const har_machine *machine, double peak, double n_dh,
                           double all, double masked)
{
    const har_generation *rules = har_generation_of(machine->arch);
    const double clocks = machine->n_unit * machine->clock_hz;
    const double products = 4 * n_dh * all / peak;
    const double softmax = CLOCKS_SOFTMAX * all / clocks;
    return (rules->is_async ? har__overlap(products, softmax)
                            : products + softmax) +
           CLOCKS_MASK * masked / clocks;
}

har_time har_time_prefill(const har_machine *machine, core_dtype dtype,
                          const har_attention *a)
{
    const har_generation *rules = har_generation_of(machine->arch);
    const double size = (double)core_dtype_bytes(dtype);
    const double units = machine->n_unit;
    const double peak = har__peak(machine, dtype) *
                        har__coef(machine, HAR_COEF_COMPUTE) *
                        har__coef(machine, HAR_COEF_ATTENTION);
    const double n_head = a->n_row * a->n_h;
    const double n_tile = n_head * ceil(a->n_t / QUERY_ROWS);
    const pairs pair = pairs_of(a);
    const double bytes = a->n_row * a->n_t * a->n_dh *
                         (QUERY_PASSES * a->n_h * size +
                          CACHE_PASSES * a->n_g * kv_bytes(dtype, a)) +
                         a->n_row * a->n_past * a->n_dh * PAST_PASSES * a->n_g *
                             kv_bytes(dtype, a);
    /* the last query tile sees every key and runs on one unit */
    const double longest = QUERY_ROWS * (a->n_t + a->n_past) * units;
    const har__parts parts = {
        .overhead = (N_PREFILL + rules->n_prepare) *
                    har__seconds(machine, HAR_COEF_LAUNCH),
        .latency = har__seconds(machine, HAR_COEF_FILL) * ceil(n_tile / units) +
                   bytes / har__memory_bw(machine),
        .compute = pair_seconds(machine, peak, a->n_dh,
                                fmax(longest, n_head * pair.all),
                                n_head * pair.masked)};
    return har__together(machine, HAR_ATTENTION, parts);
}

/* Tiles of queries over the cached keys of each row. */
typedef struct decoding {
    double n_tile, per_unit; /* tiles that a unit works on at a time          */
    double n_key, n_row; /* keys that are seen; of the whole row              */
    double key_bytes;
    double bytes, fed; /* of the cache: once; as often as tiles read it */
    double product;    /* seconds of the products                       */
} decoding;

/* Parts of a row, so that the units are busy. */
static double most_parts(const decoding *d, double units)
{
    if (d->per_unit <= 1)
        return ceil(PARTS_PER_UNIT * units / d->n_tile);
    return fmax(floor(units / d->n_tile),
                d->n_row >= LONG_TOKENS ? ceil(2 * units / d->n_tile) : 1);
}

static har_time decode(const har_machine *machine, const decoding *d,
                       double kv_share)
{
    const double units = machine->n_unit;
    const double beyond = fmax(0, d->bytes - machine->l2_bytes);
    const double n_part =
        fmin(ceil(d->n_row / PART_TOKENS), most_parts(d, units));
    const double steps = ceil(d->n_key * d->key_bytes / STEP_BYTES / n_part);
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
    const double size = kv_bytes(dtype, a);
    const double peak = har__peak(machine, dtype) *
                        har__coef(machine, HAR_COEF_COMPUTE) *
                        har__coef(machine, HAR_COEF_ATTENTION);
    const double rows = ceil(a->n_h / GROUP_ROWS) * GROUP_ROWS;
    const double bytes = size * a->n_row * a->n_t * (a->n_shared + a->n_rot);
    const decoding d = {.n_tile = a->n_row * ceil(a->n_h / SHARED_ROWS),
                        .per_unit = 1,
                        .n_key = a->n_t,
                        .n_row = a->n_t,
                        .key_bytes = size * (a->n_shared + a->n_rot),
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
    const double size = kv_bytes(dtype, a);
    const double seen = a->window > 0 ? fmin(a->window, a->n_t) : a->n_t;
    const double group = a->n_h / a->n_g;
    const bool alone = group == 1 || group > MAX_GROUP;
    const double bytes = 2 * size * a->n_row * a->n_g * seen * a->n_dh;
    const decoding d = {
        .n_tile =
            a->n_row * (alone ? a->n_h : a->n_g * ceil(group / GROUP_ROWS)),
        .per_unit = alone ? TILES_PER_UNIT : 1,
        .n_key = seen,
        .n_row = a->n_t,
        .key_bytes = 2 * size * a->n_dh,
        .bytes = bytes,
        .fed = alone ? bytes * group : bytes};
    return decode(machine, &d, a->kv_share);
}
