/* core/weights/procedural.c -- weights that are a function of their
 * coordinates.
 *
 * Element i of a tensor (i = row * n_col + column of the WHOLE tensor) is made
 * from 16 bits, lane i mod 8 of Philox block i / 8 of the stream that the
 * tensor's name gives: an odd integer of 11 bits times the tensor's step.  Odd
 * so that nothing is ever zero; 11 bits so that exact mode has nothing to snap.
 *
 * The steps keep a deep model's activations of order one: matrices have a
 * standard deviation near gain / sqrt(fan-in), with the gain of each kind
 * chosen so that an error in any operator is large in its output (attention far
 * from uniform, routing decisive).  Every fourth router row is half as long, so
 * that experts differ in load.  Norm weights are 1 +- 1/4, less the 1 that a
 * model adds itself; a channel's decay rate is exp of -1 +- 1/4, so that a state
 * lives for a handful of positions.
 *
 * Trap: a rectangle starts anywhere, in the middle of a block too.
 */
#include "core/weights/weights_impl.h"

#include "core/base/arena.h"
#include "core/numbers/rng.h"
#include "core/weights/procedural.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHUNK = 1024,        /* values at a time, that stay in cache              */
    SHORT_ROW_PERIOD = 4 /* of the router                                     */
};

typedef struct procedural {
    uint64_t seed;
} procedural;

/* How the 11 random bits of a value become a number. */
typedef struct scale {
    double offset; /* 0, or 1 for norms                                       */
    double step;
    int cut;       /* bits fewer than 11                                      */
} scale;

/* Elements [i0, i0 + n) of a stream, in chunks of whole blocks. */
static void make_range(uint64_t seed, uint64_t stream, scale s, int64_t i0,
                       int64_t n, double *out)
{
    const core__kernels *kernels = core__kernels_here();
    int16_t code[CHUNK + CORE__LANES + CORE__SLACK];
    for (int64_t done = 0; done < n;) {
        const int64_t first = i0 + done, skip = first % CORE__LANES;
        const int64_t n_here = n - done < CHUNK ? n - done : CHUNK;
        kernels->codes(seed, stream, (uint64_t)(first / CORE__LANES),
                       (skip + n_here + CORE__LANES - 1) / CORE__LANES, s.cut,
                       code);
        kernels->values(code + skip, n_here, s.offset, s.step, out + done);
        done += n_here;
    }
}

/* How each kind is made: of a matrix its gain, the standard deviation times
 * sqrt(fan-in); of all others, whose gain is 0, the scale itself. */
static const struct {
    double gain;
    scale fixed;
    bool is_added_to; /* models with such norms add 1 themselves              */
} VALUES[CORE_N_WEIGHT_KINDS] = {
#define VALUES_MATRIX(gain) {gain, {0.0, 0.0, 0}, false}
#define VALUES_NORM {0.0, {1.0, 0x1p-10, 3}, false}   /* 1 +- 255/1024 */
#define VALUES_STREAM_NORM {0.0, {1.0, 0x1p-10, 3}, true}
#define VALUES_DECAY {0.0, {-1.0, 0x1p-10, 3}, false}
#define VALUES_SMALL {0.0, {0.0, 0x1p-14, 0}, false}  /* by scores in (0, 1) */
#define VALUES_TABLE {0.0, {0.0, 0x1p-10, 0}, false}  /* +-2, deviation 1.15 */
#define VALUES_BIAS {0.0, {0.0, 0x1p-12, 0}, false}   /* +-1/2, 0.29 */
#define VALUES_EXPERTS {0.0, {0.0, 1.0, 0}, false}    /* read_experts */
#define VALUES_ROW(kind, scope, name, here, rows, cols, values, ...)           \
    VALUES_##values,
    CORE_WEIGHT_LIST(VALUES_ROW)
#undef VALUES_ROW
};

static scale scale_of(const core_spec *spec, core_weight id, int64_t row)
{
    const double gain = VALUES[id.kind].gain;
    scale fixed = VALUES[id.kind].fixed;
    if (VALUES[id.kind].is_added_to && spec->norm == CORE_NORM_RMS_PLUS_ONE)
        fixed.offset = 0.0;
    if (gain == 0.0)
        return fixed;
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    /* what a router with a norm of its own reads is smaller by that root */
    const bool is_wide = id.kind == CORE_W_ROUTER && spec->router_norm;
    const double deviation = is_wide ? gain : gain / sqrt((double)n_col);
    const double step_wanted = deviation / (CORE__MOST_ODD / sqrt(3.0));
    const bool is_short = id.kind == CORE_W_ROUTER &&
                          row % SHORT_ROW_PERIOD == SHORT_ROW_PERIOD - 1;
    return (scale){0.0, exp2(nearbyint(log2(step_wanted))), is_short ? 1 : 0};
}

static double procedural_step(const void *self, const core_spec *spec,
                              core_weight id)
{
    (void)self;
    return scale_of(spec, id, 0).step;
}

static bool is_router(core_weight_kind kind)
{
    return kind == CORE_W_ROUTER || kind == CORE_W_ROUTER_BIAS ||
           kind == CORE_W_CORRECTION;
}

/* The router has one row per expert in each of its tensors; expert twin+1
 * answers with the numbers of expert twin. */
static int64_t untwin(const core_spec *spec, int64_t expert)
{
    const int64_t twin = spec->twin_expert;
    return twin >= 0 && expert == twin + 1 ? twin : expert;
}

static void read_router(const core_spec *spec, core_weight id, uint64_t seed,
                        uint64_t stream, const int64_t rect[4], double *out,
                        int64_t ld)
{
    const int64_t n_c = rect[3] - rect[2];
    for (int64_t r = rect[0]; r < rect[1]; r++) {
        double *out_r = out + (r - rect[0]) * ld;
        if (id.kind == CORE_W_ROUTER) {
            const int64_t row = untwin(spec, r);
            make_range(seed, stream, scale_of(spec, id, row),
                       row * spec->n_d + rect[2], n_c, out_r);
            continue;
        }
        for (int64_t c = rect[2]; c < rect[3]; c++)
            make_range(seed, stream, scale_of(spec, id, 0), untwin(spec, c), 1,
                       out_r + c - rect[2]);
    }
}

/* Row v of a table of experts: K different ones, a drawn distance apart from a
 * drawn one on. */
static void read_experts(const core_spec *spec, uint64_t seed, uint64_t stream,
                         const int64_t rect[4], double *out, int64_t ld)
{
    const int64_t n_e = spec->n_e, n_k = spec->n_k;
    const int64_t most = n_k > 1 ? (n_e - 1) / (n_k - 1) : 1;
    for (int64_t v = rect[0]; v < rect[1]; v++) {
        const core_rng_block block = core_rng(seed, stream, (uint64_t)v);
        const int64_t first = (int64_t)block.word[0] % n_e;
        const int64_t apart = 1 + (int64_t)block.word[1] % most;
        for (int64_t k = rect[2]; k < rect[3]; k++)
            out[(v - rect[0]) * ld + k - rect[2]] =
                (double)((first + k * apart) % n_e);
    }
}

static uint64_t stream_of(core_weight id)
{
    char name[CORE_NAME_BYTES];
    return core_rng_stream(core_weight_name(id, name));
}

static void procedural_read(const void *self, const core_spec *spec,
                            core_weight id, int64_t r0, int64_t r1, int64_t c0,
                            int64_t c1, double *out, int64_t ld)
{
    const procedural *p = self;
    const uint64_t stream = stream_of(id);
    const int64_t rect[4] = {r0, r1, c0, c1};
    if (is_router(id.kind)) {
        read_router(spec, id, p->seed, stream, rect, out, ld);
        return;
    }
    if (core_weight_is_index(id.kind)) {
        read_experts(spec, p->seed, stream, rect, out, ld);
        return;
    }
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    const scale s = scale_of(spec, id, 0);
    if (c0 == 0 && c1 == n_col && ld == n_col) {
        make_range(p->seed, stream, s, r0 * n_col, (r1 - r0) * n_col, out);
        return;
    }
    for (int64_t r = r0; r < r1; r++)
        make_range(p->seed, stream, s, r * n_col + c0, c1 - c0,
                   out + (r - r0) * ld);
}

/* Codes alone, in rows that are all made alike. */
static bool procedural_multiplies(core_weight id)
{
    return VALUES[id.kind].fixed.offset == 0.0 && !is_router(id.kind) &&
           !core_weight_is_index(id.kind);
}

static double procedural_multiply(const void *self, const core_spec *spec,
                                  core_weight id, const int64_t rect[4],
                                  const double *x, int64_t ldx, int64_t n,
                                  double *y, int64_t ldy)
{
    const procedural *p = self;
    const scale of = scale_of(spec, id, 0);
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    const core__stream s = {p->seed, stream_of(id), n_col, of.cut, of.step};
    return core__stream_multiply(core__kernels_here(), &s, rect, x, ldx, n, y,
                                 ldy);
}

core_status core_weights_open_procedural(core_weights **out,
                                         const core_spec *spec, uint64_t seed)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(procedural), "weights"));
    procedural *p = memory;
    p->seed = seed;
    const core__weight_source source = {.self = p,
                                        .is_dyadic = true,
                                        .close = free,
                                        .step = procedural_step,
                                        .read = procedural_read,
                                        .multiplies = procedural_multiplies,
                                        .multiply = procedural_multiply};
    char origin[CORE_ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "procedural, seed %llu",
             (unsigned long long)seed);
    return core__weights_make(out, spec, source, origin);
}
