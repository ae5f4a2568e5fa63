/* harness/program/fits.h -- what of a model can be verified on this machine. */
#ifndef HAR_PROGRAM_FITS_H
#define HAR_PROGRAM_FITS_H

#include "core/model/spec.h"

/* How many of the first layers fit into memory at full width, and the command
 * that verifies them; where that takes long, also how many a minute verifies.
 * model: as on the command line.  Errors: E_MEMORY. [local] */
CORE_NODISCARD core_status har_fits_write(FILE *out, const core_spec *spec,
                                          const char *model);

#endif
