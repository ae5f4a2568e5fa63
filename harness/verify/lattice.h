/* harness/verify/lattice.h -- are stored values values of their type?
 *
 * What a run in fp32 or bf16 shows at a tap has been stored, so it is a number
 * that the type holds.  One that is not tells that rounding was left out, which
 * no bound sees: the value is nearer to the truth than it should be.  Buffers
 * are doubles, so only looking tells.
 */
#ifndef HAR_LATTICE_H
#define HAR_LATTICE_H

#include "core/numbers/numerics.h"
#include "harness/verify/compare.h"

enum { HAR_LATTICE_TEXT = 240 };

typedef struct har_lattice {
    int64_t n_off;     /* values that storing would change                    */
    har_element first; /* lowest (row, col); expected: what is stored of it   */
} har_lattice;

void har_lattice_init(har_lattice *seen);

/* Look at columns [col0, col0 + n) of a row.  stored [n] is scratch.  NaN and
 * exact mode, where every bit is compared, are not looked at.        [local] */
void har_lattice_row(har_lattice *seen, core_numerics numerics, core_grid grid,
                     int64_t row, int64_t col0, int64_t n, const double *found,
                     double *stored);

/* "40 values are not rounded to fp32: 0.123456789012 would be stored as
 * 0.1234567836".                                                     [local] */
const char *har_lattice_format(const har_lattice *seen, core_numerics numerics,
                               char text[HAR_LATTICE_TEXT]);

#endif
