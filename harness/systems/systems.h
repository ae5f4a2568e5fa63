/* harness/systems/systems.h -- a plan in the words of other systems.
 *
 * Launch lines and configuration files of other systems become plans, and plans
 * become their launch arguments.  What a system cannot express is refused with
 * the reason; what it expresses but computes in its own way is said in a
 * comment line (#).  docs/systems.md has the tables.
 */
#ifndef HAR_SYSTEMS_H
#define HAR_SYSTEMS_H

#include "parallel/plan.h"

#include <stdio.h>

typedef enum har_system {
    HAR_MEGATRON,
    HAR_VLLM,
    HAR_SGLANG,
    HAR_DEEPSPEED,
    HAR_TORCHTITAN,
    HAR_N_EMITTED, /* those behind are only read                              */
    HAR_BRIDGE = HAR_N_EMITTED,
    HAR_TRANSFORMERS,
    HAR_N_SYSTEMS
} har_system;

/* Its word on the command line.                                      [local] */
const char *har_system_name(har_system system);

/* The rows of a batch that a micro-batch of a replica works on.              */
typedef enum har_rows {
    HAR_ROWS_IN_BLOCKS, /* as here: row d mb + m                              */
    HAR_ROWS_DEALT,     /* row m dp + d                                       */
    HAR_ROWS_SCHEDULED, /* as requests come                                   */
} har_rows;

/* Can the system run a legal plan?  E_PLAN with the reason.          [local] */
CORE_NODISCARD core_status har_system_check(har_system system,
                                            const par_plan *plan,
                                            const core_spec *spec);

/* How the system numbers its ranks: its number of our rank, and back; the
 * vocabulary rows [*first, *end) of tensor rank t, those from V on are padding;
 * the deal of rows.                                                  [local] */
int har_system_rank(har_system system, const par_plan *plan, int ours);
int har_system_ours(har_system system, const par_plan *plan, int rank);
void har_system_vocabulary(har_system system, const par_plan *plan,
                           const core_spec *spec, int t, int64_t *first,
                           int64_t *end);
har_rows har_system_rows(har_system system);

/* Write the launch arguments of a legal plan, one per line.           [local]
 * Errors: E_PLAN with what the system cannot express; nothing is written. */
CORE_NODISCARD core_status har_system_emit(har_system system,
                                           const par_plan *plan,
                                           const core_spec *spec, FILE *out);

typedef struct har_import { /* borrows everything                             */
    int n_text;
    const char *const *text; /* scripts, arguments, JSON, TOML; variables of a
                              * text are known in those after it              */
    const char *const *name; /* of each, for messages                         */
    har_system system;       /* HAR_N_SYSTEMS: the one that knows most of it  */
    int launch; /* the launch line that counts of scripts with several, from 1;
                 * 0: none is chosen                                          */
    int n_ignored;
    const char *const *ignored; /* names that count as without bearing        */
} har_import;

/* Read launch lines into a legal plan of the model, and say in # lines of
 * report (or NULL) what stated it, what has no bearing and what is not
 * compared. Errors: E_USAGE naming every unknown flag at once, or the first
 * whose value is wrong or contradicts the model; E_FORMAT with the place;
 * E_PLAN if the plan is not legal; nothing is written then. [local] */
CORE_NODISCARD core_status har_system_import(par_plan *out, FILE *report,
                                             const har_import *what,
                                             const core_spec *spec);

#endif
