/* golden/switch_names.h -- the oracle's names for the taps of a Switch layer.
 *
 * What `run` and a bundle write for a Switch layer: hidden_in, mlp_in,
 * router_logits [B,T,E], router_prob [B,T,1], expert [B,T], dispatch [B,T,E],
 * mlp_out, out, and the last two for both rules for dropped tokens.
 */
#ifndef GOLD_SWITCH_NAMES_H
#define GOLD_SWITCH_NAMES_H

#include "core/model/taps.h"

typedef enum gold_switch_source {
    GOLD_FROM_TAP,
    GOLD_FROM_BATCH,    /* hidden_in                                          */
    GOLD_FROM_EXPERT,   /* the chosen expert, without a last dimension        */
    GOLD_FROM_DISPATCH, /* one-hot over the experts, zero for a dropped token */
} gold_switch_source;

typedef struct gold_switch_output {
    const char *name;
    gold_switch_source kind;
    core_tap_kind tap;
    bool passthrough; /* of the pass with that rule                           */
} gold_switch_output;

enum { GOLD_N_SWITCH_OUTPUTS = 10 };

extern const gold_switch_output gold_switch_outputs[GOLD_N_SWITCH_OUTPUTS];

/* The extent behind [B, T]; 0: none.                                 [local] */
int64_t gold_switch_last_dim(const gold_switch_output *o,
                             const core_spec *spec);

#endif
