/* parallel/layout.h -- which rank owns which part of the model.
 *
 * A layout turns a legal plan and a rank into coordinates on two device meshes
 * over the same ranks, the ranges it owns, and the groups it belongs to.  It is
 * plain data, and any process can make the layout of any rank.
 *
 *   attention mesh  rank = ((stage*dp + d)*cp + c)*tp + t
 *   expert mesh     inside a scope, ranks in attention order are numbered
 *                   index = (edp_i*ep + ep_i)*etp + etp_i
 *                   scope=stage:   the dp*cp*tp ranks of one stage
 *                   scope=replica: the pp*cp*tp ranks of one replica d (edp = 1)
 *
 * parallel/LAYOUTS.md has pictures.  Never includes MPI.
 */
#ifndef PAR_LAYOUT_H
#define PAR_LAYOUT_H

#include "core/base/arena.h"
#include "core/pass/batch.h"
#include "parallel/comm.h"
#include "parallel/plan.h"

/* The heads of a kind, and which of them are mine. */
typedef struct par_heads {
    core_heads all;
    int64_t h0, n_h;   /* query heads [h0, h0 + n_h)                   */
    int64_t kv0, n_kv; /* the kv heads that they read                  */
} par_heads;

/* Who has the experts of a layer.  Mine are numbered by slot: ascending, but for
 * physical experts of the plan, which are where it says.                     */
typedef struct par_experts {
    int *replica_first;         /* [E+1] into replica_ep                        */
    int *replica_ep;            /* ep indices that hold each expert             */
    int *mine;                  /* [n_my_expert] the logical expert of a slot   */
    int *entry;                 /* [n_my_expert] which of replica_ep that is    */
    int *slot;                  /* [E] of an expert of mine, or -1              */
} par_experts;

typedef struct par_layout {
    par_plan plan;
    int size, rank;
    int edp;                    /* replicas of every expert inside a scope      */

    int stage, d, c, t;         /* attention mesh coordinates                   */
    int ep_i, etp_i, edp_i;     /* expert mesh coordinates                      */

    int *first_layer;           /* [pp*vpp+1] layers of each virtual stage:
                                 * number chunk*pp + stage                      */
    int n_my_layer;
    int *my_layer;              /* [n_my_layer] ascending, of all my chunks     */
    int *local_layer;           /* [L] position in my_layer, or -1              */
    int64_t *first_vocab;       /* [tp+1] vocabulary rows of each t             */
    int64_t *first_f;           /* [etp+1] inner columns of each etp_i          */
    par_heads heads[CORE_HEAD_KINDS]; /* of attention */

    int n_my_expert;            /* in each layer                                */
    par_experts *experts;       /* [L]; without physical experts in the plan all
                                 * layers share one table                       */

    int n_pair;                 /* dispatch/combine pairs of a tick: the largest
                                 * number of MoE layers in a virtual stage      */
    int prev_rank, next_rank;   /* same (d, c, t) in the stage before and behind,
                                 * of virtual ones round about; or -1           */

    par_group tp_group;         /* my tensor group, member index = t            */
    par_group cp_group;         /* who has the other tokens of my rows, by c    */
    par_group ep_group;         /* the ep*etp ranks that hold one full set of the
                                 * experts: member index = ep_i*etp + etp_i     */
    par_group etp_group;        /* the etp ranks that share my experts          */
} par_layout;

/* Make the layout of one rank.  The plan must have passed par_plan_check; the
 * arrays live in *arena, which is emptied or made anew (core_arena_room): free
 * it.  Errors: E_MEMORY.                                             [local] */
CORE_NODISCARD core_status par_layout_make(par_layout *out, core_arena *arena,
                                           const core_spec *spec,
                                           const par_plan *plan, int rank);

/* Physical experts anew, [n_mapped, n_physical], as legal as the plan's, which
 * has some.  Who holds their weights must see to that, too (moves.h).  [local] */
void par_layout_rearrange(par_layout *layout, const core_spec *spec,
                          const uint16_t *physical);

/* Does an ep index hold an expert?                                   [local] */
bool par_experts_has(const par_experts *experts, int64_t e, int ep_i);

/* Where a rank of the plan is on both meshes: the layout's coordinates. [local] */
typedef struct par_place {
    int stage, d, c, t, ep_i, etp_i, edp_i;
} par_place;
par_place par_layout_place(const par_plan *plan, int rank);

/* Rows [*row0, *row1) of the batch that micro-batch m of replica d works on in a
 * round; may be empty.  Parts are numbered (round*dp + d)*mb + m.    [local] */
void par_layout_rows(const par_plan *plan, int64_t n_b, int round, int d, int m,
                     int64_t *row0, int64_t *row1);

/* Of a row of n_t tokens, the runs that rank c of cp has: one from either end,
 * the j-th of 2 cp parts and the j-th from behind, so that all have about as
 * many keys before them.  Returns how many, 1 where they are one.    [local] */
typedef struct par_run {
    int64_t i0, n; /* positions [i0, i0 + n)                                  */
} par_run;
int par_layout_runs(const par_plan *plan, int c, int64_t n_t, par_run run[2]);
/* How many tokens those are; which of all tokens of rows the i-th of them is. */
int64_t par_layout_n_t(const par_plan *plan, int c, int64_t n_t);
int64_t par_layout_token(const par_plan *plan, int c, int64_t n_t, int64_t i);

/* The plan's token groups for the reference: first_row[0..n_part], n_part =
 * rounds*dp*mb.  Caller frees groups->first_row with free().         [local] */
CORE_NODISCARD core_status par_layout_groups(core_groups *out,
                                             const par_plan *plan, int64_t n_b);

/* Tokens [*t0, *t1) of a micro-batch of n_t tokens that rank t dispatches.   */
void par_layout_slice(const par_layout *layout, int64_t n_t, int64_t *t0,
                      int64_t *t1);

/* Which ep index serves expert e of a layer for global token `token`: its only
 * holder, or replica number token mod replicas.                      [local] */
int par_layout_holder(const par_layout *layout, int layer, int64_t e,
                      int64_t token);

/* The heads of tensor rank t of tp: query heads [h0, h1), and the kv heads
 * floor(h0*G/H) .. floor((h1-1)*G/H).                                [local] */
par_heads par_layout_heads(const core_heads *all, int tp, int t);

/* With cp_kind=ulysses, the part of my tensor rank's heads of a kind that rank c
 * of cp attends with.                                                [local] */
par_heads par_layout_dealt(const par_layout *layout, int kind, int c);

/* tp ranks that own kv head g, and the index of rank t among them (-1: none). */
int par_layout_kv_owners(const par_layout *layout, const core_heads *heads,
                         int64_t g, int t, int *index);

#endif
