/* harness/perf/cost/operators.h -- what the performance side knows of an
 * operator: one row, at the end of the operator's file.
 *
 * The lists are those of core/model/operators.h.  Private to harness/perf.
 */
#ifndef HAR_COST_OPERATORS_H
#define HAR_COST_OPERATORS_H

#include "harness/perf/cost/dice.h"
#include "harness/perf/cost/walk.h"

/* A rank's part of the axis that a tensor is split along: mine of all.       */
typedef struct har__split {
    int64_t mine, all;
} har__split;

static const har__split HAR__WHOLE = {1, 1};

static inline har__split har__split_of(const int64_t *first, int i, int n)
{
    return (har__split){first[i + 1] - first[i], first[n]};
}

/* An axis of n over tp. */
static inline har__split har__split_tp(const par_layout *lay, int64_t n)
{
    const int tp = lay->plan.tp;
    const int64_t first = core_split_first(n, tp, lay->t);
    return (har__split){core_split_first(n, tp, lay->t + 1) - first, n};
}

static inline har__split har__split_heads(const par_heads *heads)
{
    return (har__split){heads->n_h, heads->all.n_h};
}

/* What a decoding step makes of a record of rows of one token.               */
typedef struct har__step {
    double flops, elements; /* through memory                                 */
    int64_t n_shared; /* attention whose heads all read one vector per key: its
                       * columns that are values; 0: each kv head has its own */
} har__step;

/* What the units do in a recurrence along the tokens of rows: flop of products of
 * chunks of tokens, and one by one.                                          */
typedef struct har__work {
    double product, single;
} har__work;

/* A convolution that several operators have: its record, with its activation
 * or without one; of a step, which has the last n_conv - 1 inputs to read and
 * write.                                                                     */
void har__put_convolution(har__walk *w, core_tap_kind act_tap,
                          core_weight_kind weight, int64_t n_c);
void har__put_convolution_only(har__walk *w, core_tap_kind tap,
                               core_weight_kind weight, int64_t n_c);
void har__step_convolution(har__step *step, const core_cost *cost,
                           int64_t n_conv);

/* Digests of n_col columns of earlier tokens, and elements of them that are kept
 * for a token.                                                               */
typedef struct har__digest_taps {
    core_tap_kind kv, gate, sum, norm, rope;
} har__digest_taps;
void har__put_digests(har__walk *w, const har__digest_taps *taps,
                      int64_t n_col);
int64_t har__digest_kept(const core_spec *spec, int layer, int64_t n_col);

/* NULL: nothing of the kind.  Of a shared operator put and probe are asked; of a
 * projection and of a chooser put, split, kept and decode, by attention.     */
typedef struct har__operator {
    /* Its records. */
    void (*put)(har__walk *w);
    /* My part of a weight of its layer; HAR__WHOLE of those of others. */
    har__split (*split)(const core_spec *spec, const par_layout *layout,
                        core_weight id);
    /* Elements that a token leaves behind in a layer, with so many kv heads;
     * that a row does, however long it is. */
    int64_t (*kept)(const core_spec *spec, int layer, int64_t n_kv_head);
    int64_t (*state)(const core_spec *spec, const par_layout *layout);
    /* Change *step where a step has a past; its query sees n_key keys. */
    void (*decode)(har__step *step, const core_spec *spec,
                   const core_cost *cost, int64_t n_key);
    /* Of a record whose time is not that of its bytes alone; rows of many
     * tokens. */
    har__work (*work)(const core_spec *spec, const core_cost *cost);
    /* Throw its sizes for a model that is timed (calibrate/probe.h); NULL: no
     * such model has it. */
    void (*probe)(har_dice *dice, core_spec *spec);
} har__operator;

#define HAR__MIXER(kind, name) extern const har__operator har__mixer_##name;
CORE_MIXER_LIST(HAR__MIXER)
#undef HAR__MIXER
#define HAR__PROJECTION(kind, name)                                            \
    extern const har__operator har__projection_##name;
CORE_PROJECTION_LIST(HAR__PROJECTION)
#undef HAR__PROJECTION
#define HAR__CHOOSER(kind, name) extern const har__operator har__chooser_##name;
CORE_CHOOSER_LIST(HAR__CHOOSER)
#undef HAR__CHOOSER
#define HAR__SHARED(kind, name) extern const har__operator har__shared_##name;
CORE_SHARED_LIST(HAR__SHARED)
#undef HAR__SHARED

/* What joins a part of a layer, or the head, to the stream.                  */
typedef enum har__part {
    HAR__MIXER_PART,
    HAR__FFN_PART,
    HAR__HEAD_PART
} har__part;
typedef struct har__connection {
    void (*enter)(har__walk *w, har__part part);
    void (*leave)(har__walk *w, core_tap_kind tap);
    void (*probe)(har_dice *dice, core_spec *spec);
} har__connection;

#define HAR__CONNECTION(kind, name)                                            \
    extern const har__connection har__connection_##name;
CORE_CONNECTION_LIST(HAR__CONNECTION)
#undef HAR__CONNECTION
/* By core_spec_connection; NULL: none.                                       */
extern const har__connection *const
    har__connection_row[CORE_N_CONNECTIONS + 1];

/* By core_spec_mixer, without a mixer too; by core_spec_shared.              */
extern const har__operator *const har__mixer_row[CORE_N_MIXERS + 1];
extern const har__operator *const har__shared_row[CORE_N_SHARED];

#endif
