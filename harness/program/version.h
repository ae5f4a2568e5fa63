/* harness/program/version.h -- what the program is made of, and whether it works.
 */
#ifndef HAR_PROGRAM_VERSION_H
#define HAR_PROGRAM_VERSION_H

#include "core/base/status.h"

/* `--version [--check]`: release, BLAS, MPI and processor on stdout, then
 * whether the BLAS multiplies rightly here.  Returns the exit code.   [local] */
int har_version(int argc, char **argv);

/* The first process of this machine in a job, or one that is alone, looks
 * whether the BLAS multiplies rightly.  Errors: those of core_blas_check.
 *                                                                     [local] */
CORE_NODISCARD core_status har_check_blas(void);

#endif
