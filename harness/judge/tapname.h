/* harness/judge/tapname.h -- the name of a tensor, understood.
 *
 * PREFIX + the name of a tap ("p0.layers.3.attn_out"), or one of the other
 * tensors that a tap file may hold ("p0.input_ids", the Switch layer's names).
 */
#ifndef HAR_TAPNAME_H
#define HAR_TAPNAME_H

#include "core/model/taps.h"

enum { HAR_DUMP_NAME = 128 };

typedef struct har_tapname {
    int prefix_bytes;
    int64_t order[4]; /* part, phase, layer, kind: execution order            */
    core_tap tap;
    bool is_tap;      /* else one of the other known names                    */
} har_tapname;

/* False for names that are not compared.                             [local] */
bool har_tapname_parse(har_tapname *out, const char *name);

/* Execution order, as qsort wants it: < 0, 0, > 0.                   [local] */
int har_tapname_compare(const int64_t a[4], const int64_t b[4]);

#endif
