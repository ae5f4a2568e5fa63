/* core/numbers/deployed.h -- the types that a deployed model is kept and
 * computed in.
 *
 * Numerics say how the emulation rounds.  Who deploys a model has narrow types
 * besides: codes with scales, of which only bytes and speed are known here.
 */
#ifndef CORE_DEPLOYED_H
#define CORE_DEPLOYED_H

#include "core/numbers/numerics.h"

/* enumerator, word, bits of a code, bits of a scale; how many weights, values of
 * a row of activations and of a cache share one.  0: a tensor or a whole row,
 * whose scales do not count.                                                 */
#define CORE_NARROW_LIST(X)                                                    \
    X(FP8, "fp8", 8, 32, 128 * 128, 128, 0)                                    \
    X(INT8, "int8", 8, 32, 0, 0, 0)                                            \
    X(MXFP4, "mxfp4", 4, 8, 32, 32, 32)                                        \
    X(NVFP4, "nvfp4", 4, 8, 16, 16, 16)                                        \
    X(INT4, "int4", 4, 16, 128, 128, 128)

typedef enum core_narrow {
    CORE_NARROW_NONE, /* a plain type                                         */
#define CORE_NARROW_ENUM(kind, ...) CORE_NARROW_##kind,
    CORE_NARROW_LIST(CORE_NARROW_ENUM)
#undef CORE_NARROW_ENUM
        CORE_N_NARROW
} core_narrow;

/* All zero but dtype: everything is of that type.  Where a narrow type is said,
 * numerics has the plain one that stands in its place where codes cannot go.  */
typedef struct core_types {
    core_dtype dtype;       /* of what meets weights                          */
    core_numerics numerics; /* of weights, cache and all else; exact:
                             * everything is of dtype                         */
    core_narrow w;          /* matrices but tables, routers and experts       */
    core_narrow experts;    /* matrices of experts                            */
    core_narrow act;        /* what is multiplied with either                 */
    core_narrow kv;         /* keys and values that are kept                  */
} core_types;

/* "bf16", a profile, slots of a numerics, or with narrow types: `w`, `act`, `kv`
 * and `experts` (as `w` if not said) may be one.  "fp8" alone is w=fp8+act=fp8,
 * and so are int8 and nvfp4; "mxfp4" and "int4" are of weights only.  What is
 * not said is never narrow.  Errors: E_USAGE naming the word.        [local] */
CORE_NODISCARD core_status core_types_parse(core_types *out, const char *text);

/* The same in words: of one type its name, else slots.               [local] */
core_numerics_text core_types_text(const core_types *types);

/* The plain type of a slot.                                          [local] */
core_dtype core_types_of(const core_types *types, core_slot slot);

/* Bytes of an element, its scale included: of weights that are no matrix of a
 * linear module, of those that are, of experts'; of a value that products read
 * as `act` says; of one in the cache.                                [local] */
double core_types_table_bytes(const core_types *types);
double core_types_weight_bytes(const core_types *types);
double core_types_expert_bytes(const core_types *types);
double core_types_act_bytes(const core_types *types);
double core_types_kv_bytes(const core_types *types);

/* Bits of a code; 0 of a plain type.                                 [local] */
int core_narrow_bits(core_narrow narrow);
const char *core_narrow_name(core_narrow narrow);
/* By any word for it that the program knows; false: none is.         [local] */
bool core_narrow_of_word(core_narrow *out, const char *word);

#endif
