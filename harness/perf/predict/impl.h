/* harness/perf/predict/impl.h -- private: a prediction at work.
 *
 * lanes.c chooses the lanes of a plan, events.c makes their
 * events, predict.c replays them and draws the conclusions, memory.c
 * counts what ranks hold, range.c says how sure all that is.
 */
#ifndef HAR_PERF_PREDICT_IMPL_H
#define HAR_PERF_PREDICT_IMPL_H

#include "harness/perf/machine/record_time.h"
#include "harness/perf/predict/balance.h"
#include "harness/perf/predict/predict.h"
#include "harness/perf/predict/schedule.h"

typedef struct har__section har__section;
typedef struct har__known har__known;
typedef struct har__layer har__layer;

/* What sections are remembered for, beside their places: of another question none
 * is.  Compared byte for byte.                                               */
typedef struct har__asked {
    core_spec spec;
    core_types types;
    int64_t n_t, n_kv;
    double prompt_share, n_run, n_past, logit_share;
    har_overlap overlap;
    har_algorithm algorithm;
    bool is_decode, is_eager, is_planned, no_interval, all_ranks;
} har__asked;

/* Sorts of operators in all plans of a question. */
enum { HAR__MAX_SORT = 240 };

struct har_predictor {
    const har_machine *machine;
    har_timer timer;

    /* the schedule, made by har__lanes                                       */
    har_schedule schedule;
    par_plan plan;          /* whose records it is made of                    */
    int64_t n_b;
    bool is_planned;        /* exchanges of experts go on as the plan has it  */
    har_predict_case last;  /* the case last predicted; borrows               */
    bool looks_closer;      /* somebody wants to know which event is whose    */
    bool is_whole;          /* an event for each record: as is_planned needs it,
                             * or looks_closer                                */
    har__asked asked;       /* of the sections                                */
    bool is_known;          /* sections are those of asked, all of them whole */
    uint32_t number;        /* of the lanes at work                           */
    int64_t n_event, n_event_room;
    har_event *event;       /* owned                                          */
    core_arena turn;        /* of a turn that is put in order                 */
    int64_t n_section, n_section_room, n_known, n_known_room;
    int64_t n_sum, n_sum_room, n_product, n_product_room;
    har__section *section;  /* owned: events that come again                  */
    har__known *known;      /* owned: of their records                        */
    har_event *sum;         /* owned: their sums                              */
    int64_t n_layer, n_layer_room;
    har__layer *layer;      /* owned: sections that make a layer              */
    core_cost *product;     /* owned: records of products, of one row and expert */
    int64_t n_touched, n_touched_room;
    int32_t *touched;       /* owned: sections of these lanes, as they came   */
    int32_t *find;          /* owned: sections by their places, counted from 1 */
    int32_t *found[HAR_COST_N_PARTS];/* in find; NULL: none yet               */
    core_arena lanes;       /* of what follows                                */
    int64_t *first;
    int *from, *rank_of, *n_member;
    double *weight;         /* [n_tick] times that a pass plays a tick        */
    int64_t *most_rows;     /* [n_lane] of experts in one pair                */
    int *pass;              /* [n_pass] the play of a pass                    */
    int n_pass;
    int *serving;           /* [n_serving] the play of the pipeline kept full */
    int n_serving, n_period; /* its last n_period ticks come again and again  */
    double period_share;    /* passes in those                                */
    har_lane_time *lane_time;

    har_load load;          /* borrows from own or draws                      */
    har_load own;           /* owned                                          */
    har_draws draws;        /* owned                                          */
    int64_t n_own_room;
    double n_choice, n_kept;
    core_arena layout, counts, records;
    har_gathered gathered;  /* owned                                          */
    har_replay_work work;

    int n_class; /* of all lanes since sections were forgotten               */
    har_class class_of[HAR__MAX_SORT];
    uint32_t class_seen[HAR__MAX_SORT]; /* number of the lanes that had it last */
    int n_order;
    int order[HAR_MAX_CLASS]; /* [n_order] classes of these lanes, as they came */
    double flops, bytes;    /* of a pass, summed over lanes                   */

    void (*tell)(void *self, double done); /* NULL: nobody watches            */
    void *tell_self;
    double done, share;     /* before the lanes at work, and of them          */
};

typedef enum har__purpose { HAR__PASS, HAR__SERVING } har__purpose;

/* Does serving need lanes of its own: does a pass never fill the pipeline? */
bool har__is_never_full(const har_predict_case *request);

/* Point the timer at a case.                                          [local] */
void har__aim(har_predictor *p, const har_predict_case *request);

/* ... and at the records of one of its ranks.                        [local] */
void har__aim_at_rank(har_predictor *p, const par_layout *layout);

/* Floating-point operations that the model asks for in a pass.       [local] */
double har__model_flops(const har_predict_case *request);

/* Load, lanes, plays, classes.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har__lanes(har_predictor *p,
                                      const har_predict_case *request,
                                      har__purpose purpose);

/* Before the first lane of a case, and after its last: sections that come again.
 * Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har__begin_sections(har_predictor *p,
                                               const har_predict_case *request);
void har__add_sections(har_predictor *p);

/* The events of a lane, after those of the lanes before; n_tick: of a lane.
 * Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har__lane_make(har_predictor *p,
                                          const har_predict_case *request,
                                          int lane, int n_tick);

/* Put the events of a lane, a tick for each micro-batch of a turn, in the order of
 * the turn's steps: all in its first tick.  Errors: E_MEMORY.        [local] */
CORE_NODISCARD core_status har__order_turns(har_predictor *p,
                                            const par_layout *layout,
                                            const core_spec *spec, int lane,
                                            int n_tick);

/* Memory of the fullest rank of every stage, of the lanes there are.
 * Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har__memory(har_predictor *p,
                                       const har_predict_case *request,
                                       har_prediction *out);

/* The figures of one replay.                                                 */
typedef struct har__figures {
    double latency, period, compute, communication, bubble, imbalance, balance;
} har__figures;

/* Worlds: as predicted; one per kind of operators, whose times are a sigma
 * longer; one per tier of links, whose bandwidth is a sigma lower.  Draws: other
 * loads.                                                                     */
enum {
    HAR__N_KIND = HAR_COLLECTIVE + 1,
    HAR__FIRST_LINK = 1 + HAR__N_KIND,
    HAR__N_WORLD = HAR__FIRST_LINK + HAR_MAX_LINKS,
    HAR__MAX_DRAW = 64
};

/* Causes of the times of events: kinds, and transfers by their tier.         */
enum { HAR__CAUSE_LINK = HAR_COLLECTIVE };

typedef struct har__spread {
    har__figures world[HAR__N_WORLD], draw[HAR__MAX_DRAW];
    int n_world, n_draw; /* n_world 1: no interval                            */
    int tier[HAR_MAX_LINKS]; /* of world HAR__FIRST_LINK + i                  */
} har__spread;

/* Intervals of the figures of world 0, and their sources. */
void har__ranges(har_prediction *out, const har__spread *spread);

#endif
