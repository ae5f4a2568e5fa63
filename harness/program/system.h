/* harness/program/system.h -- the system that an option names. */
#ifndef HAR_PROGRAM_SYSTEM_H
#define HAR_PROGRAM_SYSTEM_H

#include "harness/systems/systems.h"

/* Among the first n: HAR_N_EMITTED or HAR_N_SYSTEMS.  *out HAR_N_SYSTEMS where
 * text is NULL.  Errors: E_USAGE naming the option and them.         [local] */
CORE_NODISCARD core_status har_choose_system(har_system *out,
                                             const char *option,
                                             const char *text, int n);

#endif
