/* harness/program/library_impl.h -- how a call of the library ends. */
#ifndef HAR_LIBRARY_IMPL_H
#define HAR_LIBRARY_IMPL_H

#include "core/base/status.h"
#include "harness/program/moeparity.h"

/* The recorded line goes to message, unless status is one that a result explains,
 * and is forgotten.  Returns the exit code.                           [local] */
int har__library_end(core_status status, char message[MOEPARITY_MESSAGE]);

#endif
