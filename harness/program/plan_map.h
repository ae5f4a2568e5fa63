/* harness/program/plan_map.h -- who owns what under a plan, in the ranks of a
 * system: as a table, and as JSON with every group.
 */
#ifndef HAR_PLAN_MAP_H
#define HAR_PLAN_MAP_H

#include "harness/systems/systems.h"

/* Of HAR_N_SYSTEMS: our own numbers.  The plan must be legal, and one that the
 * system can run.                                                    [local]
 * Errors: E_MEMORY; those of a file that cannot be written.                  */
CORE_NODISCARD core_status har_plan_map_show(const core_spec *spec,
                                             const par_plan *plan,
                                             har_system system);
CORE_NODISCARD core_status har_plan_map_write(const char *path,
                                              const core_spec *spec,
                                              const par_plan *plan,
                                              har_system system);

#endif
