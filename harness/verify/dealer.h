/* harness/verify/dealer.h -- physical experts dealt anew between two passes.
 *
 * Behind a pass the rows that every slot got are counted and held against the
 * reference's routing.  By these counts each layer's experts are dealt
 * (parallel/balancer.h), their weights move (parallel/moves.h), and what lies in
 * the slots then is held against the weights of the model.  What that is worth
 * is said of the pass after.
 */
#ifndef HAR_DEALER_H
#define HAR_DEALER_H

#include "core/base/arena.h"
#include "core/pass/tapfile.h"
#include "parallel/balancer.h"
#include "parallel/moves.h"

/* What experts take on a machine whose GPUs are ep indices: products of a layer on
 * the slowest one, so many experts that go into one, and in how many passes like
 * one a move is earned back that makes its products `dealt` instead of `kept`.  */
typedef struct har_price {
    const void *self;
    double (*products)(const void *self, const double *load,
                       const int *logical);
    double (*move)(const void *self, int64_t n_expert);
    double (*pays)(double move, double kept, double dealt);
} har_price;

typedef struct har_dealt { /* of a pass; the same on all ranks                */
    bool is_there;         /* false: a run of one pass                        */
    int number;            /* of the pass, from 0                             */
    double balance;        /* mean rows of an ep index / of the fullest, layers
                            * added up: counted                               */
    double kept;           /* the same had experts stayed where they were in
                            * the pass before                                 */
    double fullest, fullest_kept; /* rows of the fullest, likewise            */
    int64_t n_bytes_before;       /* that moved before it, for this           */
    bool is_priced;
    double seconds, seconds_kept; /* products, likewise                       */
    double seconds_before, pays;  /* of the move before it                    */
    int64_t n_moved;       /* behind it, of all ranks: experts, those columns
                            * that a rank has                                 */
    int64_t n_bytes;
    char wrong[160];       /* what was counted or moved wrongly, else ""      */
} har_dealt;

typedef struct har_dealer {
    const core_spec *spec;
    par_balancer how;
    par_plan plan;     /* as experts are now                                  */
    int n_moe;
    core_arena arena;  /* owns what follows                                   */
    int64_t *mine;     /* [L, n_my_expert] rows                               */
    uint64_t *rows;    /* [n_moe, n_physical] of all ranks                    */
    double *load;      /* [n_moe, E]                                          */
    int *logical;      /* [2, n_physical]                                     */
    uint16_t *before;  /* [n_moe, n_physical] in the pass before              */
    int64_t moved_bytes, most; /* behind it: of all; experts into the fullest ep
                                * index, layers added up                      */
    uint16_t *after;   /* likewise: in the next                               */
} har_dealer;

/* Every layer's physical experts in order, n_slot for each ep index (0: as many
 * as it takes), unless the plan has some.  E_USAGE, E_PLAN.          [local] */
CORE_NODISCARD core_status har_dealer_plan(par_plan *plan,
                                           const core_spec *spec, int n_slot,
                                           int n_node);

/* Ranks of an ep index, of those that serve a layer: parts of the columns of its
 * experts times copies of all of them.                               [local] */
int har_dealer_parts(const par_plan *plan);

/* Borrows the spec.  Errors: E_MEMORY.  Free with har_dealer_close.  [local] */
CORE_NODISCARD core_status har_dealer_open(har_dealer *out,
                                           const core_spec *spec,
                                           const par_layout *layout,
                                           int n_node);
void har_dealer_close(har_dealer *dealer);

/* Counting begins.                                                   [local] */
void har_dealer_begin(har_dealer *dealer, par_model *model);

/* It ends: fills all but what moves.  reference: of the batch; price NULL: nobody
 * asks.  Errors, agreed: E_MEMORY.                                [collective, world] */
CORE_NODISCARD core_status har_dealer_count(har_dealer *dealer, har_dealt *out,
                                            par_comm *comm, par_model *model,
                                            const par_layout *layout,
                                            const core_batch *batch,
                                            const core_tapfile *reference,
                                            const har_price *price);

/* What the pass that was counted had of the move before it: every figure of *out
 * from the balance to what a move pays.                              [local] */
void har_dealer_weigh(const har_dealer *dealer, har_dealt *out,
                      const har_price *price);

/* Deal and move.  E_PLAN, on all ranks, if what is dealt is no legal plan.
 *                                                          [collective, world] */
CORE_NODISCARD core_status har_dealer_move(har_dealer *dealer, har_dealt *out,
                                           par_comm *comm, par_model *model,
                                           par_layout *layout);

#endif
