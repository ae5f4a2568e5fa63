/* harness/verify/routing.h -- what the reference's taps say about the experts.
 *
 * Read from the reference's file alone: which choices found a slot, how the load
 * fell, how many ties there were.
 */
#ifndef HAR_ROUTING_H
#define HAR_ROUTING_H

#include "core/pass/tapfile.h"

typedef struct har_routing {
    int64_t n_choice, n_dropped; /* all MoE layers together                   */
    int64_t n_tie;               /* tokens whose last chosen and first rejected
                                  * expert have the same score                */
    int64_t n_idle;              /* (layer, expert) without a token           */
    int64_t n_expert;            /* (layer, expert) pairs                     */
    int busy_layer;              /* the busiest expert anywhere, and its kept */
    int64_t busy_expert;         /* choices; -1 if there is none              */
    int64_t busy_rows;
} har_routing;

/* Mark the choices with a slot: live[layer] is [n_token*K], or NULL for a layer
 * without experts.  Free with har_live_free.  Errors: E_MEMORY.      [local] */
CORE_NODISCARD core_status har_live_make(uint8_t ***out, const core_spec *spec,
                                         const core_tapfile *file,
                                         int64_t n_token);
void har_live_free(uint8_t **live, const core_spec *spec); /* accepts NULL */

/* correction: of har_corrections_make.  Errors: E_MEMORY.            [local] */
CORE_NODISCARD core_status har_routing_read(har_routing *out,
                                            const core_spec *spec,
                                            const double *correction,
                                            const core_tapfile *file,
                                            int64_t n_token);

/* Would agreement with these taps prove anything?  A tap that is mostly zero, or
 * has one distinct row, would be matched by a broken pass too.  Dropped rows and
 * relu activations that are not all zero are set aside.  Where it would not,
 * `reason` names the tap.  Errors: E_MEMORY.                         [local] */
CORE_NODISCARD core_status har_taps_are_telling(
    bool *out, const core_spec *spec, const core_tapfile *file,
    int64_t n_token, uint8_t *const *live, char reason[160]);

#endif
