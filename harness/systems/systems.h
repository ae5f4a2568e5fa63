/* harness/systems/systems.h -- a plan in the words of other systems.
 *
 * Megatron-Core and vLLM take degrees as launch arguments.  What a system
 * cannot express is refused with the reason; what it expresses but computes in
 * its own way is said in a comment line (#).  docs/systems.md has the table.
 */
#ifndef HAR_SYSTEMS_H
#define HAR_SYSTEMS_H

#include "parallel/plan.h"

#include <stdio.h>

typedef enum har_system { HAR_MEGATRON, HAR_VLLM } har_system;

/* "megatron", "vllm".  Errors: E_USAGE.                               [local] */
CORE_NODISCARD core_status har_system_parse(har_system *out, const char *name);

/* Write the launch arguments of a legal plan, one per line.           [local]
 * Errors: E_PLAN with what the system cannot express; nothing is written.     */
CORE_NODISCARD core_status har_system_emit(har_system system,
                                           const par_plan *plan,
                                           const core_spec *spec, FILE *out);

/* Read Megatron's arguments (a text, words apart by blanks, lines that begin
 * with # ignored) into a legal plan of the model.                     [local]
 * Errors: E_USAGE naming the flag; E_PLAN if the plan is not legal.           */
CORE_NODISCARD core_status har_megatron_import(par_plan *out,
                                               const char *text,
                                               const core_spec *spec);

#endif
