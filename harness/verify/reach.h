/* harness/verify/reach.h -- what took part in the passes over a plan.
 *
 * Agreement speaks for what ran.  A rank knows from its layout what it holds,
 * and notes what it is shown: tokens that left its layers, ids that it looked
 * up, and for each of its experts a row that left a value in its columns.  So
 * nothing rests on the rules of who serves whom.
 */
#ifndef HAR_REACH_H
#define HAR_REACH_H

#include "core/files/safetensors.h"
#include "core/model/weight_list.h"
#include "parallel/forward.h"

/* Of one rank, in all passes so far.  Borrows what is not counted in it.     */
typedef struct har_reach {
    const core_spec *spec;
    const par_layout *layout;
    const core_batch *batch; /* of the pass at hand, to be set                */
    int64_t n_token;    /* of what tokens show: layer, group, looked_up     */
    uint8_t *layer;     /* [n_l] a token left it here                       */
    uint8_t *group;     /* [rounds, mb] of my replica: had a token          */
    uint8_t *looked_up; /* [tp] an id of each vocabulary part               */
    uint8_t *expert;    /* [n_l, n_my_expert] a row left a value            */
    uint8_t *completed; /* likewise: a row was completed, bias and all      */
    bool reached_head;
} har_reach;

enum { HAR_REACH_NAMED = 4, HAR_REACH_TEXT = 240 };

/* A weight (of an idle expert: its down matrix) on a rank.                   */
typedef struct har_held {
    core_weight weight;
    int rank;
} har_held;

/* Of all ranks.                                                              */
typedef struct har_reached {
    int64_t n_expert, n_idle;     /* (layer, expert, rank that holds it)    */
    int64_t n_rectangle, n_unmet; /* (weight, rank): shards that no row met */
    int64_t n_unmet_of_idle;      /* of them, of idle experts               */
    int64_t n_replica, n_empty_replica;
    int64_t n_group, n_empty_group; /* token groups: micro-batches            */
    int n_named_idle, n_named_unmet;
    har_held idle[HAR_REACH_NAMED];  /* the first ones                        */
    har_held unmet[HAR_REACH_NAMED]; /* the first that are no idle expert's   */
} har_reached;

/* Nothing has run yet.  Errors: E_MEMORY.  After one nothing is held.        */
CORE_NODISCARD core_status har_reach_open(har_reach *out, const core_spec *spec,
                                          const par_layout *layout);
void har_reach_close(har_reach *reach);

/* A piece of a pass, inside its tap's columns.  chosen: the reference's experts
 * of the layer, for taps with a row per choice.                      [local] */
void har_reach_see(har_reach *reach, const par_piece *piece,
                   const core_st_tensor *chosen);

/* Errors: E_MEMORY, agreed.                                [collective, world]
 */
CORE_NODISCARD core_status har_reach_agree(har_reached *out, par_comm *comm,
                                           const har_reach *reach);

bool har_reached_all(const har_reached *reached);

/* "12 of 2048 experts on their owners idle, 3 of 4 replicas empty"; what is
 * complete is left out.                                              [local] */
const char *har_reached_words(const har_reached *reached,
                              char text[HAR_REACH_TEXT]);

#endif
