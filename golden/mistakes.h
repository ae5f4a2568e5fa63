/* golden/mistakes.h -- mistakes that are smaller than roundings, and how to
 * tell them all the same.
 *
 * Another eps, or tanh for erf, moves every element by less than what storing
 * it may.  But it moves all of them in a direction d that the model tells, and
 * over all layers the errors e of a dump lean that way: with x = e d / s^2 of
 * every element, s as in slope.h, lean = sum x / sum d^2 / s^2         0
 * without the mistake, 1 with it sigmas = sum x / sqrt(sum x^2)       by how
 * many of its own errors it is off Errors that are independent and as often
 * positive as negative have P(sigmas > k) <= exp(-k^2 / 2), whatever their
 * sizes, whether a dump rounds once or everywhere; how many sigmas those of one
 * cause have is measured on the draws. Directions are differences of two passes
 * that are fed the golden's values, in fp32 with the weights of the golden's
 * numerics.
 */
#ifndef GOLD_MISTAKES_H
#define GOLD_MISTAKES_H

#include "ref/ref.h"

enum { GOLD_MISTAKES = 3 };

/* Make mistake i in the spec: its words, or NULL if this model cannot. [local]
 */
const char *gold_mistake(core_spec *spec, int i);

/* What passes are made of and fed with.  All borrowed.                       */
typedef struct gold_feed {
    const core_spec *spec;
    const core_weights *weights; /* prepared for the golden's numerics        */
    ref_model *model;            /* of them; NULL: one is opened              */
    const core_batch *batch;
    core_groups groups;
    ref_options options;
    ref_draw draw; /* values, routing, self: ref.h                            */
    bool (*wants)(void *self, core_tap tap); /* a direction of it             */
} gold_feed;

/* The directions of a tap. */
typedef struct gold_direction {
    core_tap tap;
    int64_t n_row, n_col;
    double *right;            /* [n_row, n_col] without a mistake            */
    float *of[GOLD_MISTAKES]; /* [n_row, n_col], NULL: cannot be made        */
} gold_direction;

typedef struct gold_directions {
    int64_t n;
    gold_direction *at; /* owned, with what is in it                          */
} gold_directions;

/* Of n forcings, out[n].  Free each with gold_directions_free.  Errors:
 * E_MEMORY.                                                          [local] */
CORE_NODISCARD core_status gold_directions_make(gold_directions *out,
                                                const ref_forcing *forcing,
                                                int n, const gold_feed *feed);
void gold_directions_free(gold_directions *directions); /* harmless twice */

/* NULL: the tap has none.                                            [local] */
const gold_direction *gold_directions_find(const gold_directions *directions,
                                           core_tap tap);

/* How a dump leans: sums over the taps of a kind, of all layers.             */
typedef struct gold_leaning {
    double sum[GOLD_MISTAKES][CORE_N_TAP_KINDS][3]; /* x, x^2, d^2 / s^2      */
} gold_leaning;

/* Take a row of the direction's tap; rows of zeros are left out.     [local] */
void gold_leaning_add(gold_leaning *leaning, const gold_direction *direction,
                      int64_t row, const double *honest, const double *found);

typedef struct gold_lean {
    bool moves;  /* else the mistake does nothing at taps of this kind        */
    double lean; /* its share that was found                                  */
    double sigmas;
} gold_lean;

gold_lean gold_leaning_of(const gold_leaning *leaning, int mistake,
                          core_tap_kind kind); /*                     [local] */

/* How many sigmas roundings may make, per forcing; 0: the mistake moves nothing
 * there.                                                                     */
typedef struct gold_reach {
    double of[REF_BLOCK + 1][GOLD_MISTAKES][CORE_N_TAP_KINDS];
} gold_reach;

/* A dump has a mistake that it leans towards by more than this and by more
 * sigmas than its reach.                                                     */
#define GOLD_HALF 0.5

#endif
