/* harness/judge/others.h -- the other models that a wrong dump may be of.
 *
 * A row is a name and what it makes of the golden's model: fields set, as --set
 * does, weights read in a wrong way, or one operator done otherwise.  Who computes a model of a family by
 * the rules of its neighbour, or by constants of his own, computes one of
 * these.
 */
#ifndef HAR_OTHERS_H
#define HAR_OTHERS_H

#include "core/model/spec.h"
#include "core/weights/altered.h"
#include "ref/ref.h"

enum { HAR_OTHER_TEXT = 400 };

typedef struct har_other {
    core_spec spec;
    core_alteration alteration;
    ref_otherwise otherwise;
    char text[HAR_OTHER_TEXT]; /* "router.scale=1 and norm_eps=1e-05"         */
} har_other;

/* The model itself, to begin with.                                           */
har_other har_other_none(const core_spec *spec); /*                   [local] */

/* Make `from` otherwise in the way of row i.  False: it cannot be, its weights
 * (those of `weights`) do not serve, or it is the same.              [local] */
bool har_other_make(har_other *out, int i, const har_other *from,
                    const core_spec *weights);

/* What row i is about: "the rule that ranks groups"; NULL after the last.
 *                                                                    [local] */
const char *har_other_name(int i);

#endif
