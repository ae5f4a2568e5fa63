/* harness/verify/steps.h -- how much of a run is done, step by step.
 *
 * A case is a reference, perhaps that of the exercise, and passes; each is
 * expected to take so long.  Together they are the run: its share is told as it
 * grows, and never goes back: what is not needed after all is jumped over.  On
 * rank 0 alone.
 */
#ifndef HAR_STEPS_H
#define HAR_STEPS_H

#include "parallel/comm.h"

typedef struct har_steps {
    /* To be set: who is told whenever a thousandth more is done, NULL:
     * nobody.*/
    void (*tell)(void *self, const char *step, double done);
    void *self;
    double total; /* expected seconds of all cases; 0: not known              */
    double before;   /* of the steps so far                                */
    double case_end; /* what `before` will be then                         */
    double told;     /* share that was told last                           */
    char name[48];   /* of the step                                        */
    par_comm *comm;  /* of the step; borrowed                              */
} har_steps;

/* A case of so many seconds; whatever was left of the one before is over.
 * [local] */
void har_steps_case(har_steps *steps, double seconds);

/* The step "NUMERICS: WHAT" of so many seconds begins; whatever one before it
 * took is over.                                                      [local] */
void har_steps_begin(har_steps *steps, par_comm *comm, const char *numerics,
                     const char *what, double seconds);

/* Of the step, 0..1.                                                 [local] */
void har_steps_done(har_steps *steps, double fraction);

#endif
