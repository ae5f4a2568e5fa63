/* harness/judge/dump.h -- two files of taps: a yardstick and a candidate.
 *
 * Every tap of the yardstick must be in the candidate with its shape.  Tap names
 * are the oracle's, with any prefix ("p0."); the Switch layer's names too.
 * Tolerance per tap, d being the yardstick's own fp32 error of the logits:
 *     max(10 d rms(tap) / rms(logits), 2e-5 rms(tap))
 * and bit for bit where both files were made by exact numerics.  A choice of
 * other experts whose router logits are that close (a tie above all) is set
 * aside with what follows from it.
 */
#ifndef HAR_DUMP_H
#define HAR_DUMP_H

#include "core/files/safetensors.h"
#include "harness/diagnose/diagnose.h"
#include "harness/judge/figures.h"
#include "harness/judge/tapname.h"
#include "harness/verify/compare.h"

#include <stdio.h>

typedef struct har_dump_tap {
    const char *name;          /* with its prefix; the yardstick's            */
    har_tapname parsed;
    const core_st_tensor *a, *b;
    har_rule rule;
    har_diff diff;
    int64_t n_excluded;        /* rows set aside after such a token           */
    char problem[160];         /* missing, shape, type: "" if comparable      */
    bool failed;
} har_dump_tap;

typedef struct har_dump {
    int64_t n_tap;
    har_dump_tap *tap;         /* in execution order                          */
    int64_t n_failed;
    int64_t first;             /* failing, -1: none                           */
    int64_t diagnosed;         /* the first with wrong values, -1: none       */
    har_diagnosis diagnosis;   /* of that tap                                 */
    int64_t worst;             /* largest score                               */
    int64_t n_flip;            /* tokens with other experts (forced routing),
                                * or with a certificate: the yardstick's own
                                * logits are within twice their tolerance     */
    har_figures figures;       /* of all its logits                           */
    int64_t n_extra;           /* taps only the candidate has                 */
    int64_t n_ignored;         /* tensors of the yardstick that are no taps   */
} har_dump;

/* Errors: E_INPUT if the yardstick holds no tap, E_MEMORY.           [local] */
CORE_NODISCARD core_status har_dump_compare(har_dump *out, const core_st *a,
                                            const core_st *b,
                                            bool forced_routing);
void har_dump_free(har_dump *dump);

/* Say what the first tap with wrong values looks like (of har_dump_compare,
 * which has it done).  Errors: E_MEMORY.                             [local] */
CORE_NODISCARD core_status har_dump_diagnose(har_dump *dump, const core_st *a);

/* The tolerance above for one tensor of a yardstick; logits: of the same prompt,
 * NULL if there are none.                                            [local] */
double har_dump_tolerance(const core_st *file, const core_st_tensor *tensor,
                          const core_st_tensor *logits);

void har_dump_text(const har_dump *dump, const core_st *a, const core_st *b,
                   FILE *out);

/* moeparity.compare/1.  Errors: E_MEMORY, E_FILE, E_SPACE.           [local] */
CORE_NODISCARD core_status har_dump_json(const har_dump *dump,
                                         const char *path);

#endif
