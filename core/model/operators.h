/* core/model/operators.h -- the operators that stand in each other's place.
 *
 * X(ENUMERATOR, name), a list for each place.  Both passes and the records of
 * cost make their tables from these lists, so that nothing else names an
 * operator but its own files (docs/adding-an-operator.md).
 */
#ifndef CORE_OPERATORS_H
#define CORE_OPERATORS_H

/* The first half of a layer: from the normed input to what is added to the
 * stream.  The words of `mixer` in a spec file.                              */
#define CORE_MIXER_LIST(X) X(ATTENTION, attention) X(MAMBA, mamba)

/* How attention gets its queries, keys and values.                           */
#define CORE_PROJECTION_LIST(X) X(QKV, qkv) X(LATENT, latent)

/* What the output of a shared expert is multiplied by.                       */
#define CORE_SHARED_LIST(X) X(SHARED_GATE, shared_gate)

typedef enum core_mixer {
#define CORE_MIXER_ENUM(kind, name) CORE_MIXER_##kind,
    CORE_MIXER_LIST(CORE_MIXER_ENUM)
#undef CORE_MIXER_ENUM
    CORE_N_MIXERS
} core_mixer;

typedef enum core_projection {
#define CORE_PROJECTION_ENUM(kind, name) CORE_PROJECTION_##kind,
    CORE_PROJECTION_LIST(CORE_PROJECTION_ENUM)
#undef CORE_PROJECTION_ENUM
    CORE_N_PROJECTIONS
} core_projection;

typedef enum core_shared {
#define CORE_SHARED_ENUM(kind, name) CORE_SHARED_##kind,
    CORE_SHARED_LIST(CORE_SHARED_ENUM)
#undef CORE_SHARED_ENUM
    CORE_N_SHARED
} core_shared;

#endif
