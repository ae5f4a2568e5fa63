/* core/blas/check.h -- does OpenBLAS multiply rightly on this processor? */
#ifndef CORE_BLAS_CHECK_H
#define CORE_BLAS_CHECK_H

#include "core/base/status.h"

enum { CORE_BLAS_TEXT = 200 };

/* "OpenBLAS 0.3.21 ..., kernels of SkylakeX", into text.              [local] */
const char *core_blas_text(char text[CORE_BLAS_TEXT]);

/* Hold products of whole numbers, in double and in float, of both layouts and
 * of shapes around the edges of its kernels, against plain loops: such products
 * have one right result.  Takes some milliseconds.  Errors: E_INTERNAL naming
 * library, kernels, shape and element.                                [local] */
CORE_NODISCARD core_status core_blas_check(void);

#endif
