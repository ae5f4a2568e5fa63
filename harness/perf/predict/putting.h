/* harness/perf/predict/putting.h -- private: records that become events.
 *
 * events.c makes events of records by putting.c, sections.c remembers those of
 * sections (cost/model.h) and layers.c of whole layers, from one prediction to
 * the next.
 */
#ifndef HAR_PERF_PREDICT_PUTTING_H
#define HAR_PERF_PREDICT_PUTTING_H

#include "harness/perf/predict/impl.h"
#include "parallel/steps.h"

/* An event of a section, and what its record adds to its class. */
struct har__known {
    har_event event;
    double flops, bytes;
    double of_sent; /* bytes of an element that is sent                       */
    har_bound bound;
    core_axis axis;
    bool is_global; /* its tap is of no layer                                 */
};

/* What the records of a section depend on, beside what was asked (har__asked).
 */
typedef struct har__place {
    int64_t n_row, n_flow;
    uint64_t tensor, expert; /* its groups, or 0: it does not depend on them  */
    int16_t part, like;
    int32_t t; /* place in the tensor group, or among parts of an expert      */
} har__place;

/* What is known [first, first + n) of a section, the sums of its events
 * [sum, sum + n_sum), whose group is the axis of theirs, and how many times a
 * pass has them.  product: records of products [product, product + n); of a
 * layer the number of its har__layer, from 1. */
struct har__section {
    har__place place;
    bool is_exchange; /* bytes are said anew                                  */
    uint32_t number; /* of the lanes that had it last, whose weight it is     */
    int32_t slot;    /* in p->find                                            */
    int64_t first, n, sum, n_sum, product;
    double weight;
};

/* What a layer is made of that does not depend on the rows that come: numbers
 * of sections in p->section, from 1. */
struct har__layer {
    int32_t mixer, products, mlp;
    double weight;
};

enum { HAR__MOST_SECTIONS = 1 << 17 };

/* A rank whose records become the events of a lane.                          */
typedef struct har__putting {
    har_predictor *p;
    int lane, n_tick, tick; /* tick: whose first event is known               */
    int t, etp_i;
    int tier[CORE_N_AXES];
    int group[CORE_N_AXES];
    uint64_t tensor, expert, ways; /* har__place */
    bool is_kept; /* the records are those of a new section              */
    har_cost_section kept;
    int32_t new_layer; /* that is put for the first time, from 1; 0: none     */
    int64_t first;     /* event that others may be added to                   */
    bool has_interval;
    bool begins; /* exchanges of rows of experts go on                  */
    par_step_kind step;
    int layer;       /* of step                                             */
    int n_exchange;  /* of rows that are dispatched, so far                 */
    int n_begun;     /* that nobody has waited for                          */
    har_event begun; /* the last of them                                    */
    core_status status;
} har__putting;

/* --- putting.c.  Errors: E_MEMORY.    [local] --- */

/* Add to the events, or with others of its cause to the last one before which
 * no transfer is. */
CORE_NODISCARD core_status har__push(har_predictor *p, const har_event *event);
CORE_NODISCARD core_status har__add_event(const har__putting *u,
                                          const har_event *event);

/* An event of computing is added to one of its cause in [first, n), if no
 * transfer is between them; false: there is none. */
bool har__join_computing(har_event *list, int64_t first, int64_t n,
                         const har_event *event);

/* The events from here on are of this step.  What was begun has to be over
 * before experts compute, and before what came back is added up.             */
CORE_NODISCARD core_status har__enter(har__putting *u, par_step_kind step);

/* ... of this tick.                                                          */
void har__reach(har__putting *u, int64_t tick);

/* These lanes have a class: its numbers are theirs.  Returns it.             */
int har__see_class(har_predictor *p, int class_i);

/* Seconds that a sigma of the record is more than one of its kind: of what
 * carries its coefficients over, or of the links of a transfer.              */
double har__more_of(const har__putting *u, const core_cost *cost,
                    har_time time);

/* A record is played `weight` times in a pass and then moves so many bytes.  */
void har__add_to_class(har_predictor *p, const har__known *known, double weight,
                       double bytes);

/* --- sections.c.  Errors: E_MEMORY.    [local] --- */

/* Those of har_cost_reader, of a har__putting.                               */
bool har__section_has(void *self, const har_cost_section *now);
void har__section_ends(void *self);

/* A record of the section at hand.                                           */
CORE_NODISCARD core_status har__keep_record(har__putting *u,
                                            const har__known *known,
                                            const core_cost *cost);

/* Where a section stands in p->find, or the empty place for it.              */
har__place har__place_of(const har__putting *u, const har_cost_section *now);
int32_t *har__find_section(har_predictor *p, const har__place *place);

/* A section that is put at *at, from har__find_section.                      */
CORE_NODISCARD core_status har__begin_section(har__putting *u,
                                              const har__place *place,
                                              int32_t *at,
                                              const har_cost_section *now);

/* These lanes have a section.                                                */
CORE_NODISCARD core_status har__touch(har_predictor *p, har__section *section);

/* Bytes of an exchange whose records send so much each.                      */
void har__add_sent(har_predictor *p, const har__section *known, double weight,
                   const int64_t *sent);

/* Its events, an event for each cause between transfers; of products of other
 * rows, timed anew, one.                                                     */
CORE_NODISCARD core_status har__recall_sums(har__putting *u,
                                            const har__section *known);
CORE_NODISCARD core_status har__multiply(har__putting *u,
                                         const har__section *known,
                                         const har_cost_section *now);

/* --- layers.c --- */

/* Those of har_cost_reader.                                                  */
bool har__layer_has(void *self, const har_cost_layer *now);
void har__layer_ends(void *self);

#endif
