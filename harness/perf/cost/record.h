/* harness/perf/cost/record.h -- how records are made and shown; private to the
 * operators of this folder.
 */
#ifndef HAR_COST_RECORD_H
#define HAR_COST_RECORD_H

#include "harness/perf/cost/walk.h"

/* Of the layer, with what my rank has of them.                               */
static inline const par_heads *har__heads(const har__walk *w)
{
    return &w->lay->heads[w->spec->head_kind[w->layer]];
}

/* A record of this moment.                                                   */
core_cost har__record(const har__walk *w, core_cost_kind kind,
                      core_tap_kind tap);

/* y [m, n] = x [m, k] W^T + bias.                                            */
core_cost har__gemm(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                    int64_t k, bool has_bias);

/* Every element read, worked on with `flops` operations, written.            */
core_cost har__rows(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                    int64_t flops);

/* An rms norm of m rows; n_weight: elements of its weight.                   */
core_cost har__rms(const har__walk *w, core_tap_kind tap, int64_t m, int64_t n,
                   int64_t n_weight);

/* The model's norm of whole rows, of the tokens whose stream I have; and made
 * whole for parts that read all tokens.                                      */
void har__put_norm(har__walk *w, core_tap_kind tap);
void har__put_norm_all(har__walk *w, core_tap_kind tap);

/* Pairs of a query and a key that are multiplied where queries go by blocks,
 * each with all keys up to the end of its block: of all rows.                  */
int64_t har__block_pairs(const har__walk *w);

/* Of the first n_rot elements of every head.                                 */
core_cost har__rotation(const har__walk *w, core_tap_kind tap, int64_t n_head);

/* Show a record, unless it is empty; one that changes keys or values (product:
 * makes them).                                                               */
void har__put(har__walk *w, core_cost cost);
void har__put_kv(har__walk *w, core_cost cost);

void har__put_all_reduce(har__walk *w, core_tap_kind tap, int64_t n);
/* n_col columns of my slice of the tokens become those of all.               */
void har__put_gather(har__walk *w, core_tap_kind tap, int64_t n_col,
                     core_cost_type type);
/* context.c: n_col columns of my tokens of rows become those of whole rows; with
 * cp = 1 they are already.                                                   */
void har__put_context(har__walk *w, core_tap_kind tap, int64_t n_col,
                      core_cost_type type);
/* The same block by block; queries, keys and values of the heads that a rank is
 * dealt, which it returns, and their context back.                            */
void har__put_ring(har__walk *w, core_tap_kind tap, int64_t n_col);
par_heads har__put_dealt(har__walk *w);
void har__put_dealt_back(har__walk *w);
/* The sum over tp that completes a row-parallel product where I have the stream,
 * and its bias.                                                              */
void har__put_sum(har__walk *w, core_tap_kind tap, int64_t n_col,
                  bool has_bias);
/* n columns of all tokens times a function of as many others.                */
void har__put_gate(har__walk *w, core_tap_kind tap, int64_t n);
void har__put_activation(har__walk *w, core_tap_kind tap, int64_t m, int64_t n);
bool har__has_weight(const har__walk *w, core_weight_kind kind);

/* Sections (model.h): does the reader have it?  Else its records follow,
 * and har__end.                                                              */
bool har__has(har__walk *w, har_cost_part part);
bool har__has_flow(har__walk *w, har_cost_part part, int64_t n_flow,
                   const int64_t *sent);
har_cost_section har__section_of(const har__walk *w, har_cost_part part,
                              int64_t n_flow, const int64_t *sent);
bool har__has_products(har__walk *w, const har_cost_rows *rows);
void har__end(har__walk *w);

/* Elements that member `me` of n_member sends to others.                     */
int64_t har__all_reduce_sends(int n_member, int me, int64_t n);
int64_t har__all_gather_sends(int n_member, int me, int64_t mine,
                              int64_t total);

#endif
