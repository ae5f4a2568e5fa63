/* golden/switch_names.c -- see switch_names.h.
 *
 * A table says where each tensor comes from: a tap as it is, the input, or the
 * routing.  The order is the order of execution.
 */
#include "golden/switch_names.h"

const gold_switch_output gold_switch_outputs[GOLD_N_SWITCH_OUTPUTS] = {
    {"hidden_in", GOLD_FROM_BATCH, CORE_TAP_IN, false},
    {"mlp_in", GOLD_FROM_TAP, CORE_TAP_FFN_NORM, false},
    {"router_logits", GOLD_FROM_TAP, CORE_TAP_ROUTER_LOGITS, false},
    {"router_prob", GOLD_FROM_TAP, CORE_TAP_TOPK_WEIGHT, false},
    {"expert", GOLD_FROM_EXPERT, CORE_TAP_TOPK_IDX, false},
    {"dispatch", GOLD_FROM_DISPATCH, CORE_TAP_SLOT, false},
    {"mlp_out", GOLD_FROM_TAP, CORE_TAP_FFN_OUT, false},
    {"out", GOLD_FROM_TAP, CORE_TAP_OUT, false},
    {"mlp_out_passthrough", GOLD_FROM_TAP, CORE_TAP_FFN_OUT, true},
    {"out_passthrough", GOLD_FROM_TAP, CORE_TAP_OUT, true},
};

int64_t gold_switch_last_dim(const gold_switch_output *o, const core_spec *spec)
{
    switch (o->kind) {
    case GOLD_FROM_EXPERT:
        return 0;
    case GOLD_FROM_DISPATCH:
        return spec->n_e;
    case GOLD_FROM_BATCH:
        return spec->n_d;
    case GOLD_FROM_TAP:
        break;
    }
    return core_tap_cols(spec, (core_tap){o->tap, 0});
}
