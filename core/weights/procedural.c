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

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LANES = 8,          /* values per Philox block                            */
    GROUP = 16,         /* blocks that core__rng_blocks computes side by side */
    CHUNK_BLOCKS = 128, /* a kilobyte or two that stays in cache              */
    ROUNDS = 10,
    MAX_ODD = 2047,
    SHORT_ROW_PERIOD = 4 /* of the router                                     */
};

typedef struct procedural {
    uint64_t seed;
} procedural;

/* How the 11 random bits of a value become a number.  The bits are cut before
 * the odd integer is made: shifting that one would lose its symmetry.        */
typedef struct scale {
    double offset; /* 0, or 1 for norms                                       */
    double step;
    int cut;       /* bits fewer than 11                                      */
} scale;

/* GROUP blocks at once: four arrays that the compiler keeps in vectors. */
static void philox_group(uint64_t seed, uint64_t stream, uint64_t first,
                         uint32_t *restrict word)
{
    uint32_t x0[GROUP], x1[GROUP], x2[GROUP], x3[GROUP];
    for (int i = 0; i < GROUP; i++) {
        const uint64_t index = first + (uint64_t)i;
        x0[i] = (uint32_t)index;
        x1[i] = (uint32_t)(index >> 32);
        x2[i] = (uint32_t)stream;
        x3[i] = (uint32_t)(stream >> 32);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < GROUP; i++) {
            const uint64_t p0 = (uint64_t)x0[i] * 0xD2511F53u;
            const uint64_t p1 = (uint64_t)x2[i] * 0xCD9E8D57u;
            x0[i] = (uint32_t)(p1 >> 32) ^ x1[i] ^ k0;
            x1[i] = (uint32_t)p1;
            x2[i] = (uint32_t)(p0 >> 32) ^ x3[i] ^ k1;
            x3[i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < GROUP; i++) {
        word[4 * i] = x0[i];
        word[4 * i + 1] = x1[i];
        word[4 * i + 2] = x2[i];
        word[4 * i + 3] = x3[i];
    }
}

void core__rng_blocks(uint64_t seed, uint64_t stream, uint64_t first,
                      int64_t n_block, uint32_t *word)
{
    int64_t b = 0;
    for (; b + GROUP <= n_block; b += GROUP)
        philox_group(seed, stream, first + (uint64_t)b, word + 4 * b);
    for (; b < n_block; b++) {
        const core_rng_block block =
            core_rng(seed, stream, first + (uint64_t)b);
        for (int w = 0; w < 4; w++)
            word[4 * b + w] = block.word[w];
    }
}

/* Both halves of n words: value = offset + odd * step. */
static void words_to_values(const uint32_t *restrict word, int64_t n, scale s,
                            double *restrict out)
{
    const uint32_t mask = (uint32_t)MAX_ODD >> s.cut << 1;
    const int32_t max_odd = MAX_ODD >> s.cut;
    const int low = 4 + s.cut, high = 20 + s.cut;
    for (int64_t i = 0; i < n; i++) {
        const int32_t a = (int32_t)(word[i] >> low & mask) - max_odd;
        const int32_t b = (int32_t)(word[i] >> high & mask) - max_odd;
        out[2 * i] = s.offset + (double)a * s.step;
        out[2 * i + 1] = s.offset + (double)b * s.step;
    }
}

/* Elements [i0, i0 + n) of a stream, in chunks of whole blocks. */
static void make_range(uint64_t seed, uint64_t stream, scale s, int64_t i0,
                       int64_t n, double *out)
{
    uint32_t word[4 * CHUNK_BLOCKS];
    double edge[LANES];
    int64_t done = 0;
    while (done < n) {
        const int64_t lane = (i0 + done) % LANES;
        const int64_t left = n - done;
        int64_t n_block = (lane + left + LANES - 1) / LANES;
        n_block = n_block < CHUNK_BLOCKS ? n_block : CHUNK_BLOCKS;
        core__rng_blocks(seed, stream, (uint64_t)((i0 + done) / LANES), n_block,
                         word);
        int64_t b = 0;
        while (b < n_block) {
            const int64_t skip = b == 0 ? lane : 0;
            const int64_t whole = (n - done) / LANES;
            if (skip == 0 && whole > 0) {
                const int64_t take = whole < n_block - b ? whole : n_block - b;
                words_to_values(word + 4 * b, 4 * take, s, out + done);
                done += take * LANES;
                b += take;
                continue;
            }
            words_to_values(word + 4 * b, 4, s, edge);
            for (int64_t k = skip; k < LANES && done < n; k++)
                out[done++] = edge[k];
            b++;
        }
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
    const double step_wanted = deviation / (MAX_ODD / sqrt(3.0));
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

static void procedural_read(const void *self, const core_spec *spec,
                            core_weight id, int64_t r0, int64_t r1, int64_t c0,
                            int64_t c1, double *out, int64_t ld)
{
    const procedural *p = self;
    char name[CORE_NAME_BYTES];
    const uint64_t stream = core_rng_stream(core_weight_name(id, name));
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
                                        .read = procedural_read};
    char origin[CORE_ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "procedural, seed %llu",
             (unsigned long long)seed);
    return core__weights_make(out, spec, source, origin);
}
