/* harness/perf/cost/impl.h -- what the files of the generator share.
 *
 * model.c walks ticks and layers; attention.c, mamba.c and
 * moe.c know their operators, wire.c what a collective sends.
 */
#ifndef HAR_COST_IMPL_H
#define HAR_COST_IMPL_H

#include "core/weights/weights.h"
#include "harness/perf/cost/model.h"

enum { HAR__META_WORDS = 3 }; /* of a row: layer, expert, choice             */

typedef struct har__walk { /* one rank, somewhere in its pass                 */
    const har_cost_case *request;
    const core_spec *spec;
    const par_layout *lay;
    const har_cost_reader *reader;
    bool has_sections;     /* rows are alike: no padding, no known ids        */

    const char *op;        /* whom the records are charged to                 */
    int layer;
    int round, tick_of_round, mb;
    int64_t tick;
    int64_t row0, n_row, n; /* of the micro-batch: rows, tokens                */
    int64_t n_slice;       /* tokens that I dispatch                          */
    uint8_t *sees;         /* [n_t] does the query see a key?                 */
    int64_t *to, *from;    /* [members of ep_group] rows of a pair            */
    int64_t *to_ep;        /* [ep] the same for each ep index                 */
    int64_t *bucket;       /* [pp, experts of mine] rows of a pair            */
    int n_entry;           /* entries of a load that are experts of mine      */
    int *entry, *entry_expert; /* [n_entry] and their places in my_expert     */
    int *pair_layer;       /* [pp, n_pair] MoE layer of each pair, or -1      */
    int *like;             /* [n_l] the first layer that is like each         */
} har__walk;

/* A record of this moment; har__put shows it, unless it is empty.            */
core_cost har__record(const har__walk *w, core_cost_kind kind,
                      core_tap_kind tap);
void har__put(har__walk *w, const core_cost *cost);

/* y [m, n] = x [m, k] W^T + bias. */
core_cost har__gemm(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                    int64_t k, bool has_bias);
void har__put_gemm(har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t k, bool has_bias);

/* Every element read, worked on with `flops` operations, written. */
core_cost har__rows(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                    int64_t flops);
void har__put_rows(har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t flops);
/* An rms norm of m rows; n_weight: elements of its weight.                   */
core_cost har__rms(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t n_weight);
core_cost har__as_kv(core_cost cost); /* changes keys or values               */

void har__put_all_reduce(har__walk *w, core_tap_kind tap, int64_t n);
/* The sum over tp that completes a row-parallel product of all tokens, and its
 * bias.                                                                      */
void har__put_sum(har__walk *w, core_tap_kind tap, int64_t n_col,
                  bool has_bias);
void har__put_activation(har__walk *w, core_tap_kind tap, int64_t m, int64_t n);
bool har__has_weight(const har__walk *w, core_weight_kind kind);

void har__put_attention(har__walk *w);
void har__put_mamba(har__walk *w);

/* Sections (model.h): does the reader have it?  Else its records follow,
 * and har__end.                                                              */
bool har__has(har__walk *w, har_cost_part part);
void har__end(har__walk *w);

/* What the walk of pairs needs: measured, then filled.                       */
void har__take_pairs(har__walk *w, core_arena *arena);

/* The pair number `pair` of this tick; w->layer is its MoE layer, unless this
 * rank has nothing to send.                                                  */
void har__put_pair(har__walk *w, int pair, bool sends);
/* A pair of layer `layer` whose rows are already in to, from and bucket.     */
void har__put_flow(har__walk *w, int layer, bool sends);

/* The layer w->layer and, if it is a MoE layer, its pair; pair < 0: without. */
void har__put_layer(har__walk *w, int pair);
/* What only the first and the last stage do; a transfer from stage to stage. */
void har__put_embed(har__walk *w);
void har__put_head(har__walk *w);
void har__put_stage(har__walk *w, core_collective collective, int layer);

/* Elements that member `me` of n_member sends to others. */
int64_t har__all_reduce_sends(int n_member, int me, int64_t n);
int64_t har__all_gather_sends(int n_member, int me, int64_t mine,
                              int64_t total);

#endif
