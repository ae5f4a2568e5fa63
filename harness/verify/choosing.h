/* harness/verify/choosing.h -- by which scores a router chose, and may choose.
 *
 * Judged from the reference's taps alone: nothing of either forward pass is
 * called.  `correction` is [n_l * E], or NULL if the router has none.
 */
#ifndef HAR_CHOOSING_H
#define HAR_CHOOSING_H

#include "core/model/taps.h"
#include "core/weights/weights.h"

/* The correction biases of all layers; *out = NULL if the model has none.
 * Caller frees with free().  Errors: E_MEMORY.                      [local] */
CORE_NODISCARD core_status har_corrections_make(double **out,
                                                const core_spec *spec,
                                                const core_weights *weights);

/* The tap whose values experts are chosen by, up to the correction.  [local] */
core_tap_kind har_choosing_tap(const core_spec *spec);

/* score [E] of logits [E]: the probabilities that experts have.      [local] */
void har_router_scores(const core_spec *spec, const double *logits,
                       double *score);

/* score [E], a row of that tap, in place: correction [E] or NULL is added, and
 * experts of groups that are not kept get -infinity.                 [local] */
void har_choosing(const core_spec *spec, const double *correction,
                  double *score);

/* A token chose expert `in` where the reference chose `out`: what is known of
 * both sides' logits.                                                        */
typedef struct har_flip {
    const core_spec *spec;
    const double *correction;           /* [E] of the layer, or NULL          */
    const double *expected;             /* [E] the reference's logits         */
    const double *bound;                /* [E] what each may be off by: the
                                         * operator's bound, and the drift of
                                         * a free run                         */
    const double *found;                /* [E] the logits chosen by           */
    double *room;                       /* [HAR_FLIP_ROOM * E]                */
    double u, u_store;                  /* unit roundoffs of the run          */
} har_flip;

enum { HAR_FLIP_ROOM = 3 };

/* The certificate: the reference's margin between the two is within the bounds
 * of their scores, so that a correct router of this precision may confuse them,
 * and within what the scores at hand were seen to err (and round), so that
 * choosing by them was right.  Where the two sides kept different groups, the
 * margin is that between the groups.                                [local] */
bool har_flip_is_excused(const har_flip *flip, int64_t out, int64_t in,
                         double *margin);

#endif
