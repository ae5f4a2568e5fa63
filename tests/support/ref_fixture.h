/* tests/support/ref_fixture.h -- small models and every tap of a pass. */
#ifndef REF_FIXTURE_H
#define REF_FIXTURE_H

#include "ref/ref_impl.h"

/* Every operator in one model: three layers, the second dense, biases and a
 * shared expert, extents pairwise different, no capacity rule.               */
core_spec fix_spec(void);

/* Models that together have every operator of the fourteen families; i < the
 * enum's end.  Layer 1 is dense, and differs where layers may differ.        */
typedef enum fix_family_kind {
    FIX_NORM_HEAD,   /* norm per head, clip, partial rope, scale, spans       */
    FIX_NORM_ALL,    /* norm of all heads, clip, sinks, window, softmax_top,
                      * clamped SwiGLU, bias of the head                      */
    FIX_CHUNK,       /* interleaved rope, norm after it, chunks, temperature,
                      * sigmoid, weighted inputs                              */
    FIX_LATENT,      /* latent attention; sigmoid, groups by best two, bias
                      * that chooses, renormalised, scaled                    */
    FIX_LATENT_Q,    /* the query is not latent; softmax, groups by largest   */
    FIX_LAYERNORM,   /* layernorm, sparsemixer                                */
    FIX_MAMBA,       /* mamba, attention without rope, mamba                  */
    FIX_DELTANET,    /* delta net, gated attention, delta net; norms plus 1   */
    FIX_KDA,         /* delta net whose rows decay one by one, latent attention
                      * without rope, delta net; norms of rms                 */
    FIX_KDA_BOUNDED, /* the same with bounded decays and silu gates           */
    FIX_SSD,         /* Mamba-2 with experts of a width of their own, an MLP
                      * alone, Mamba-2 alone; relu squared, biases but of experts */
    FIX_SCALES,      /* scales of embedding, residuals, logits; tied          */
    FIX_SHARED_GATE, /* a weight of the shared expert                         */
    FIX_KINDS,       /* heads of two kinds, values of a size and scale        */
    FIX_LOOKS_BACK,  /* attention residuals, situ, a width of the experts with a
                      * norm                                                  */
    FIX_STREAMS,     /* three streams of a token, joined by weights           */
    FIX_TABLE,       /* experts by a table, roots of softplus, clamped silu   */
    FIX_DIGEST,      /* one key-value vector, digests of all kinds, groups of
                        the output                                            */
    FIX_BRANCHES,    /* norms behind parts and around branches, of values and
                      * for the router; values that are keys, pairs that stand
                      * still; numbers of experts and layers; a cap           */
    FIX_SHORTCONV,   /* short convolutions, attention between; sigmoid, its sum
                      * with an eps; limits of activations by layer           */
    FIX_INDEXER,     /* latent attention to chosen keys, kept in layer 1      */
    FIX_BLOCKS,      /* blocks of keys chosen, a clamp of another slope, limit */
    FIX_N_FAMILIES
} fix_family_kind;

core_spec fix_family(int i);

/* One Switch layer with room for `capacity` tokens per expert and row. */
core_spec fix_switch(int64_t capacity, core_dropped dropped);

/* Copies of all taps, by index in core_taps(spec). */
typedef struct fix_taps {
    core_spec spec;
    int64_t n_token, n;
    core_tap *tap;
    double **values; /* ints are converted                                   */
    float **bound;
    bool coarse_only; /* what wants() answers                                 */
    int64_t next;     /* the first tap that may still come                    */
} fix_taps;

core_tap_sink fix_sink(fix_taps *taps, const core_spec *spec, int64_t n_token);
void fix_free(fix_taps *taps);
/* The values of a tap; fails the test if it was not delivered. */
const double *fix_find(const fix_taps *taps, core_tap_kind kind, int layer);
const float *fix_bound(const fix_taps *taps, core_tap_kind kind, int layer);
/* Elements of tap i. */
int64_t fix_size(const fix_taps *taps, int64_t i);
/* Name of the first tap that differs in a bit or is missing; NULL: none. */
const char *fix_first_difference(const fix_taps *a, const fix_taps *b,
                                 char name[CORE_NAME_BYTES]);

/* Expect rows [r0, r0 + n) of every token tap of a to be rows [0, n) of b; slots
 * aside, which count other tokens. */
void fix_same_rows(const fix_taps *a, const fix_taps *b, int64_t r0, int64_t n);

/* Does row t of a tap differ in a bit? */
bool fix_row_differs(const fix_taps *a, const fix_taps *b, core_tap_kind kind,
                     int layer, int64_t t);

/* How to run a pass; zeros are the defaults. */
typedef struct fix_run {
    core_numerics numerics;
    int n_threads; /* 0: one                                     */
    bool tiled, bounds;
    int64_t row_chunk, tile_rows, group_doubles; /* 0: the model's own        */
    uint64_t seed; /* of the weights                             */
    const core_groups *groups;
    const ref_dealt *dealt; /* NULL: the router chooses                       */
    ref_otherwise otherwise;
} fix_run;

ref_stats fix_forward(const core_spec *spec, const core_batch *batch,
                      const fix_run *how, fix_taps *taps);

/* Exact passes over a row of n_t tokens, and over the same with another token at
 * `changed`; fix_free both. */
void fix_changed_token(const core_spec *spec, int64_t n_t, int64_t changed,
                       fix_taps *a, fix_taps *b);

/* Expect such a change to change no row before, and the logits of the n rows from
 * there on. */
void fix_is_causal(const core_spec *spec, int64_t n_t, int64_t changed,
                   int64_t n);

/* Expect a row of n_long tokens to begin like one of its first n_short, in exact
 * passes; fix_free *all, the taps of the long one. */
void fix_begins_like(const core_spec *spec, int64_t n_long, int64_t n_short,
                     fix_taps *all);

/* Tokens of one seed; core_batch_free.                                       */
core_batch fix_batch(const core_spec *spec, int64_t n_b, int64_t n_t);

/* Expect each of three rows to be what it is in a batch of its own.          */
void fix_rows_are_independent(const core_spec *spec);

#endif
