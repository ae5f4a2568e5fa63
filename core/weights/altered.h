/* core/weights/altered.h -- the weights of another's, read in a wrong way.
 *
 * A file's tensors can be taken for others that have their shape.  Nothing
 * tells it but what is computed with them: harness/judge/others.c.
 */
#ifndef CORE_ALTERED_H
#define CORE_ALTERED_H

#include "core/weights/weights.h"

typedef enum core_alteration {
    CORE_ALTER_NOTHING,
    CORE_ALTER_EXPERTS_SWAPPED, /* up for gate, gate for up                   */
    CORE_ALTER_MLPS_SWAPPED,
    CORE_ALTER_EXPERTS_HALVED, /* rows gate, up, gate, up read as two halves  */
    CORE_ALTER_EXPERTS_WOVEN,  /* two halves read as gate, up, gate, up       */
    CORE_ALTER_EXPERTS_TURNED, /* memory of [out, in] read as [in, out]       */
    CORE_N_ALTERATIONS
} core_alteration;

/* Does it change anything of that model?                             [local] */
bool core_alteration_applies(core_alteration how, const core_spec *spec);

/* Weights that read those of `inner` so; borrows them, prepared as they are.
 * Close with core_weights_close.  Errors: E_MEMORY.                  [local] */
CORE_NODISCARD core_status core_weights_alter(core_weights **out,
                                              const core_weights *inner,
                                              core_alteration how);

#endif
