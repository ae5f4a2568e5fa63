/* harness/judge/misfit.h -- in which other reading would a tensor fit the
 * golden?
 *
 * Dumps are transposed, have their axes in another order than they say, or are
 * padded to a multiple of something.  If the values fit in such a reading, the
 * reader is told what to declare; the judgement itself believes declarations
 * only.
 */
#ifndef HAR_MISFIT_H
#define HAR_MISFIT_H

#include "harness/judge/yardstick.h"

enum { HAR_MISFIT_TEXT = 200 };

typedef struct har_misfit { /* a tensor as it was declared; all borrowed      */
    const har_yardstick *yard;
    const har_yard_tap *tap;
    const core_st_tensor *tensor;
    int64_t n_col;              /* of the whole tap, with declared padding   */
    har_axes axes;
    const har_slice *slice;     /* NULL: the whole tap                        */
    const har_claim *claim;     /* NULL: all of the batch                     */
} har_misfit;

/* What would make it fit, "its values fit the golden as [positions, rows,
 * columns]: say axes sbh"; false if nothing would, or if it fits as declared.
 *                                                                    [local] */
bool har_misfit_text(char text[HAR_MISFIT_TEXT], const har_misfit *about);

#endif
