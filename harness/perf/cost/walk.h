/* harness/perf/cost/walk.h -- one rank, somewhere in its pass.
 *
 * model.c walks a whole pass; the search for plans makes single parts of one.
 * Private to harness/perf.
 */
#ifndef HAR_COST_WALK_H
#define HAR_COST_WALK_H

#include "core/weights/weights.h"
#include "harness/perf/cost/model.h"

enum { HAR__META_WORDS = 3 }; /* of a row: layer, expert, choice             */

/* Of a member of an expert group: its stage, replica and slice of tokens.    */
typedef struct har__member {
    int stage, d, slice;
} har__member;

/* Of a stage in a tick: its micro-batch, or -1, and its virtual stage.       */
typedef struct har__at {
    int mb, part;
} har__at;

typedef struct har__walk {
    const har_cost_case *request;
    const core_spec *spec;
    const par_layout *lay;
    const har_cost_reader *reader;
    bool has_sections;     /* rows are alike: no padding, no known ids        */
    bool joins;            /* the reader does, and experts are whole          */

    const char *op;        /* whom the records are charged to                 */
    int layer;
    int round, tick_of_round, mb;
    int part;              /* my virtual stage in this tick, see turns.h      */
    int64_t tick;
    int64_t row0, n_row, n; /* of the micro-batch: rows, tokens                */
    int64_t n_slice;       /* tokens that I dispatch                          */
    int64_t n_s;           /* tokens whose part of the stream I have          */
    int64_t n_sum, n_sum_s; /* the same of all micro-batches whose sums over tp
                            * are one; n_sum -1: their first has the record   */
    uint8_t *sees;         /* [n_t] does the query see a key?                 */
    int64_t *to, *from;    /* [members of ep_group] rows of a pair            */
    int64_t *to_ep;        /* [ep] the same for each ep index                 */
    int64_t n_to, n_from;  /* rows of a pair that I give and get, of them ..   */
    int64_t n_stays;       /* .. those of mine for me, those that I complete   */
    int64_t n_completed;   /* and send back, those of them that are mine, and  */
    int64_t n_keeps;       /* my rows that come back, whose sender I am not    */
    int64_t n_back;        /* alone                                           */
    int64_t *bucket;       /* [pp, experts of mine] rows of a pair            */
    int *pair_layer;       /* [virtual stages, n_pair] MoE layer, or -1       */
    har__member *member;   /* [members of ep_group] where each is             */
    har__at *at;           /* [pp] what each stage is at in this tick         */
    int *like;             /* [n_l] the first layer that is like each         */
} har__walk;

/* The arrays of a walk, of its request and lay: measured, then filled. [local] */
void har__take_walk(har__walk *w, core_arena *arena);

/* Do two layers have the same records, but for their numbers?        [local] */
bool har__is_like(const core_spec *spec, int a, int b);

/* The layer w->layer and, if it is a MoE layer, its pair; pair < 0: without. */
void har__put_layer(har__walk *w, int pair);
/* The dense or shared MLP of w->layer, if it has one; with its plan, does it run
 * while rows are on their way?                                               */
void har__put_mlp(har__walk *w);
bool har__runs_beside(const har__walk *w);
/* What only the first and the last stage do; a transfer from stage to stage. */
void har__put_embed(har__walk *w);
void har__put_head(har__walk *w);
void har__put_stage(har__walk *w, core_collective collective, int layer);

/* What the walk of pairs needs: measured, then filled.                       */
void har__take_pairs(har__walk *w, core_arena *arena);
void har__reach_tick(har__walk *w); /* pairs are those of w->tick_of_round    */
void har__put_router(har__walk *w);
/* The pair number `pair` of this tick; w->layer is its MoE layer, unless this
 * rank has nothing to send.                                                  */
void har__put_pair(har__walk *w, int pair, bool sends);
/* The same pair after har__has_layer, which found what flows in it.           */
void har__put_found_pair(har__walk *w, int pair);
/* Has the reader all of the MoE layer w->layer, with its pair?  With joins.    */
bool har__has_layer(har__walk *w, int pair);
/* A pair of layer `layer` whose rows are already in to, from and bucket.     */
void har__put_flow(har__walk *w, int layer, bool sends);

/* The same pair on the way back, of the micro-batch at hand.                  */
void har__put_pair_back(har__walk *w, int layer, bool sends);

#endif
