/* ref/ref.h -- the serial reference: one process, double inside.
 *
 * The reference knows the model, the batch and the token groups.  It does not
 * know that ranks exist.  ref/MODEL.md is its mathematics.
 */
#ifndef REF_REF_H
#define REF_REF_H

#include "core/model/taps.h"
#include "core/pass/batch.h"
#include "core/weights/weights.h"

#include <stddef.h>

/* What one operator does that MODEL.md does not say: for the question whether
 * others do so (harness/judge/others.h), and for nothing else.               */
typedef enum ref_otherwise {
    REF_AS_WRITTEN,
    REF_CORRECTION_WEIGHS,  /* weights come from the scores that choose       */
    REF_ROTATIONS_FROM_ONE, /* the first token of a row is turned by 1        */
    REF_QUERIES_ONE_ON,     /* queries are turned by one more than keys       */
    REF_LAST_OF_EQUAL,      /* equal scores go to the highest index           */
    REF_MEAN_KEPT,          /* LayerNorm with 0 for the mean: RMSNorm + bias  */
} ref_otherwise;

typedef struct ref_options {
    int n_threads;              /* OpenMP and OpenBLAS threads, >= 1          */
    size_t weight_budget_bytes; /* weights are kept as doubles if all of them
                                 * fit, else read a tile at a time per use    */
    bool bounds;                /* fp64, fp32, bf16: compute bounds of taps   */
    void (*progress)(void *self, double fraction); /* NULL: none              */
    void *progress_self;
    ref_otherwise otherwise;    /* 0: nothing                                 */
} ref_options;

typedef struct ref_stats {
    double wall_seconds;
    double cpu_seconds;  /* of all threads                             */
    double gemm_flops;   /* 2*m*n*k of every matrix product            */
    bool exact;          /* exact mode: every product fits 53 bits     */
    char not_exact[160]; /* else the first operator and the bits it needs */
    core_tap not_exact_tap; /* its tap                                    */
    double bits;         /* exact mode: most bits that any product needed */
} ref_stats;

typedef struct ref_model ref_model;

/* A pass whose sink takes every tap.                                         */
typedef struct ref_pass_kind {
    int n_threads;
    bool is_resident; /* weights are kept, else each thread has tiles         */
    bool is_drawn;    /* ref_forward_drawn; else with bounds, where the
                       * numerics have them                                   */
} ref_pass_kind;

/* Bytes that such a pass needs beside resident weights; and these, with the
 * floats beside them that drawn passes make.                         [local] */
size_t ref_pass_bytes(const core_spec *spec, core_numerics numerics,
                      int64_t n_b, int64_t n_t, const ref_pass_kind *kind);
size_t ref_resident_bytes(const core_spec *spec, bool is_drawn);

/* Bytes that ref_forward needs beside resident weights, with one thread per
 * core and without the whole [N*K, F] tensors that a sink which wants the fine
 * taps makes it hold, nor the bounds, nor copies of what products read rounded.
 *                                                                    [local] */
size_t ref_workspace_bytes(const core_spec *spec, int64_t n_b, int64_t n_t);

/* Prepare the model.  Borrows spec and weights (prepared for `numerics`).
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status ref_model_open(ref_model **out,
                                          const core_spec *spec,
                                          const core_weights *weights,
                                          core_numerics numerics,
                                          const ref_options *options);
/* The same tensors, prepared anew: as if the model were closed and opened, but
 * in the memory that it has.  Errors: E_MEMORY; then it can be closed only.
 *                                                                    [local] */
CORE_NODISCARD core_status ref_model_reopen(ref_model *model,
                                            const core_spec *spec,
                                            const core_weights *weights,
                                            core_numerics numerics,
                                            const ref_options *options);
void ref_model_close(ref_model *model); /* accepts NULL */

/* One forward pass of the whole batch.  Every tap goes to *sink (NULL: none).
 * The capacity rule reads `groups` only for the domain "group", or where they
 * are lists, which are the domains of any rule; NULL: the batch is one group.
 *                                                                    [local]
 * Some mixers take no padding: core/pass/batch.h refuses it.
 * Errors: E_MEMORY; E_EXACT is not returned: see stats->exact.               */
CORE_NODISCARD core_status ref_forward(ref_model *model,
                                       const core_batch *batch,
                                       const core_groups *groups,
                                       const core_tap_sink *sink,
                                       ref_stats *stats);

/* Experts and weights that take the place of the router's, in every layer.
 * Borrows both.                                                              */
typedef struct ref_dealt {
    const int64_t *expert; /* [N, K] distinct within a token                  */
    const double *weight;  /* [N, K] stored values                            */
} ref_dealt;

/* As ref_forward, but what the router would choose is dealt.  Its logits and
 * scores are computed all the same, and slots follow from what was dealt; dealt
 * weights have bound 0.                                              [local] */
CORE_NODISCARD core_status ref_forward_dealt(ref_model *model,
                                             const core_batch *batch,
                                             const core_groups *groups,
                                             const ref_dealt *dealt,
                                             const core_tap_sink *sink,
                                             ref_stats *stats);

/* By how much a token's experts idx [K] were chosen: the last chosen minus the
 * first rejected of the scores that the router compares, and, where experts are
 * in groups, no more than the same of the groups' scores.  Infinite if nothing
 * was rejected.                                                      [local]
 *   row         [E] the token's moe.probs; router_logits without that tap
 *   correction  [E] of the layer, or NULL
 *   score, kept scratch: [E + groups], [groups]                              */
double ref_routing_margin(const core_spec *spec, const double *row,
                          const double *correction, const int64_t *idx,
                          double *score, int64_t *kept);

/* What a drawn pass takes over from the honest one, so that only the roundings
 * behind it are seen.                                                        */
typedef enum ref_forcing {
    REF_FREE,  /* nothing: roundings are carried to the end                   */
    REF_LAYER, /* what every layer and the final norm read: embed, all out    */
    REF_BLOCK, /* and what mixers, FFNs and the head read: attn.norm,
                * ffn.norm, final_norm                                        */
    REF_TAP,   /* what every operator reads: all taps                         */
} ref_forcing;

/* Does it take over this tap?  (Routing it always does.)             [local] */
bool ref_is_forced(ref_forcing forcing, core_tap_kind kind);

/* One way to round: ref/draw.c.                                              */
typedef struct ref_draw {
    uint64_t seed, run; /* which one; runs 0 to 3 are of different styles, and
                         * so on: take a multiple of four                     */
    ref_forcing forcing;
    /* Elements [first, first + n) of a tap of the honest pass, row-major; asked
     * for forced taps, by several threads at a time.  REF_FREE: may be NULL. */
    void (*values)(void *self, core_tap tap, int64_t first, int64_t n,
                   double *out);
    /* Its routing, TOPK_IDX and SLOT of a layer [N, K].                      */
    const int64_t *(*routing)(void *self, core_tap tap);
    void *self;
    bool stated; /* without style: stored is what the numerics say, p of a
                  * softmax and h of a state among it, and nothing else;
                  * run 0 sums in one piece                                   */
    const core_spec *spec; /* NULL: the model's; else one of the same weights */
    bool in_floats; /* fp32, whatever the model's numerics are                */
} ref_draw;

/* Does the draw turn units at random?  Then it rounds where no engine is known
 * to, and more often than any.                                       [local] */
bool ref_turns(core_numerics numerics, const ref_draw *draw);

/* Drawn passes of one batch.  Those that follow each other and differ in nothing
 * but what they take over run as one, of as many copies of the batch: every
 * weight is read once for all of them.  They take over slots, too.           */
typedef struct ref_draws {
    const ref_draw *draw;      /* [n]                                         */
    const core_tap_sink *sink; /* [n]                                         */
    int n;
    int n_beside; /* how many of those at a time, if memory allows; more than
                   * one: each in a thread and a workspace of its own, and
                   * sinks, values and routing are called by several threads  */
} ref_draws;

/* As ref_forward, n times, in the numerics' own arithmetic, fp32 or bf16:
 * products and other sums are floats in a drawn order, functions those of
 * floats, and what is stored is stored in the dtype.  A sink gets every tap as
 * the operator made it, before it is forced; bounds are not computed.  A pass
 * is the same whatever runs beside it.                               [local] */
CORE_NODISCARD core_status ref_forward_drawn(ref_model *model,
                                             const core_batch *batch,
                                             const core_groups *groups,
                                             const ref_draws *draws);

#endif
