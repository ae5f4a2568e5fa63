/* harness/verify/bring.h -- one file, to other hosts. */
#ifndef HAR_BRING_H
#define HAR_BRING_H

#include "parallel/comm.h"

/* The file at `path` of the group's first member, byte for byte, at `path` of
 * the others.  What goes wrong is returned by the member that it happens to.
 * Errors: E_FILE, E_SPACE, E_MEMORY.                       [collective, group] */
CORE_NODISCARD core_status har_bring_file(par_comm *comm,
                                          const par_group *group,
                                          const char *path);

#endif
