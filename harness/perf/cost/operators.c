/* harness/perf/cost/operators.c -- see operators.h. */
#include "harness/perf/cost/operators.h"

static const har__operator NONE = {0};

const har__operator *const har__mixer_row[CORE_N_MIXERS + 1] = {
#define ROW(kind, name) [CORE_MIXER_##kind] = &har__mixer_##name,
    CORE_MIXER_LIST(ROW)
#undef ROW
        [CORE_N_MIXERS] = &NONE};

const har__operator *const har__shared_row[CORE_N_SHARED] = {
#define ROW(kind, name) [CORE_SHARED_##kind] = &har__shared_##name,
    CORE_SHARED_LIST(ROW)
#undef ROW
};

const har__connection *const har__connection_row[CORE_N_CONNECTIONS + 1] = {
#define ROW(kind, name) [CORE_CONNECTION_##kind] = &har__connection_##name,
    CORE_CONNECTION_LIST(ROW)
#undef ROW
        [CORE_N_CONNECTIONS] = NULL};
