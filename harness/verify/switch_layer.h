/* harness/verify/switch_layer.h -- a Switch layer's taps under the oracle's names.
 *
 * hidden_in, mlp_in, router_logits [B,T,E], router_prob [B,T,1], expert [B,T],
 * dispatch [B,T,E] (one-hot after capacity), mlp_out, out, and the last two once
 * more as *_passthrough for the rule of transformers <= 4.51.
 */
#ifndef HAR_SWITCH_LAYER_H
#define HAR_SWITCH_LAYER_H

#include "core/pass/tapfile.h"

/* Prefixes under which both variants of a prompt lie in one file of taps.     */
#define HAR_SWITCH_ZERO "zero."
#define HAR_SWITCH_PASSTHROUGH "passthrough."

typedef struct har_switch_part {
    const char *prefix;       /* of the prompt: "" or "p0."                    */
    const core_batch *batch;
} har_switch_part;

/* Write `path` from the taps of all prompts, named PREFIX + variant + tap in
 * `taps` (all taps, fp64).  Errors: E_FILE, E_SPACE, E_MEMORY.        [local] */
CORE_NODISCARD core_status har_switch_write(const char *path,
                                            const core_spec *spec,
                                            const core_tapfile *taps,
                                            const har_switch_part *parts,
                                            int n_part,
                                            const char *const *metadata);

#endif
