/* harness/verify/distinct.h -- could a wrong owner be seen at all?
 *
 * A plan tells weights apart: experts of different ranks, layers of different
 * stages, heads of different tensor ranks.  Where two of them are equal bit for
 * bit, as after a dense MLP was copied into experts, a run that swaps them
 * computes the same, and agreement proves nothing about who owns which.  So
 * before a run they are compared, in the numerics of the run.
 *
 * What is told apart follows from the plan as it is written; no partition code
 * is asked, for that is what is on trial.
 */
#ifndef HAR_DISTINCT_H
#define HAR_DISTINCT_H

#include "core/weights/weights.h"
#include "parallel/plan.h"

/* What is told apart, and by which degree of the plan. */
typedef enum har_axis {
    HAR_AXIS_EXPERTS, /* ep: the experts of a layer                        */
    HAR_AXIS_INNER,   /* etp: inner columns of all experts of a layer      */
    HAR_AXIS_LAYERS,  /* pp                                                */
    HAR_AXIS_LAYER_EXPERTS, /* pp: all experts of a layer, where a rank has
                             * those of several stages                        */
    HAR_AXIS_HEADS,      /* tp: query heads with their part of the output     */
    HAR_AXIS_KV_HEADS,   /* tp                                                */
    HAR_AXIS_CHANNELS,   /* tp: of a scan over the positions                  */
    HAR_AXIS_KEY_HEADS,  /* tp: of a delta net, with the value heads they serve */
    HAR_AXIS_STATE_HEADS, /* tp: of a state space                             */
    HAR_AXIS_CONV_CHANNELS, /* tp: of a short convolution                     */
    HAR_AXIS_MLP,        /* tp: inner columns of an MLP                       */
    HAR_AXIS_VOCABULARY, /* tp: rows of embedding and head together           */
    HAR_N_AXES
} har_axis;

/* Pairs of an axis that are equal, as far as both are long. */
typedef struct har_equal {
    int64_t n_pair; /* on different owners; the rest is of the first one      */
    int layer;      /* -1: the axis has no layer                              */
    int64_t first[2], second[2]; /* the indices [first, last] of both         */
} har_equal;

typedef struct har_distinct {
    har_equal axis[HAR_N_AXES];
} har_distinct;

/* Compare what the plan, legal for the model, tells apart.  Weights are
 * prepared; a few thousand numbers of each are read, and more only while they
 * agree.  A unit of several tensors is equal only if all of them are.  `step`
 * is called now and then.  Errors: E_MEMORY.                         [local] */
CORE_NODISCARD core_status har_distinct_find(
    har_distinct *out, const core_spec *spec, const par_plan *plan,
    const core_weights *weights, void (*step)(void *self), void *self);

/* The axis with equal pairs after `after` (-1: the first); HAR_N_AXES: none. */
har_axis har_distinct_next(const har_distinct *distinct, int after);

enum { HAR_DISTINCT_TEXT = 160 };

/* "experts 0 and 2 of layer 3 are equal bit for bit, and 11 more pairs".     */
const char *har_distinct_format(const har_distinct *distinct, har_axis axis,
                                char text[HAR_DISTINCT_TEXT]);
const char *har_axis_name(har_axis axis);   /* "experts"                      */
const char *har_axis_degree(har_axis axis); /* "ep"                           */

#endif
