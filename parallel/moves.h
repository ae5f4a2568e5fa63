/* parallel/moves.h -- experts that go to other ranks between two passes.
 *
 * Which logical expert a slot has is a map's word; the weights have to be there.
 * Here they follow the map: while nobody reads a weight, each rank gets the
 * shards that its new experts need from a rank of its ep_group that has them,
 * in the very form in which they are kept, and the layout gets the new map.
 */
#ifndef PAR_MOVES_H
#define PAR_MOVES_H

#include "parallel/forward.h"

typedef struct par_moved {
    int64_t n_expert; /* that came to this rank from another one, its columns */
    int64_t n_bytes;  /* that they are                                        */
} par_moved;

/* The model's physical experts become those of `physical` [n_mapped, n_physical],
 * as legal as the plan's, and so do those of *layout, which must be the model's.
 * The model must keep its experts.  Each layer is a record of cost, where they
 * are asked for (exact numerics).                    [collective, all ranks] */
void par_move_experts(par_model *model, par_layout *layout,
                      const uint16_t *physical, par_moved *moved);

/* Does the model keep its experts' weights?                          [local] */
bool par_keeps_experts(const par_model *model);

/* Rows that each slot of mine got since this was called last:
 *   n_row [L, n_my_expert]                                           [local] */
void par_take_rows(par_model *model, int64_t *n_row);

/* The first slot of mine whose shards are not what the model's weights have for
 * its expert, bit for bit; false: there is none.                     [local] */
typedef struct par_misplaced {
    int layer, slot, expert;
} par_misplaced;
bool par_find_misplaced(par_model *model, par_misplaced *out);

#endif
