/* core/model/spec_table.h -- what a field of our own spec file is: private to
 * the files that read, write and list them.
 *
 * One table says where a field stands in the file, where it lives in the spec
 * and when it applies; all walk it, so what is written can be read back.
 */
#ifndef CORE_SPEC_TABLE_H
#define CORE_SPEC_TABLE_H

#include "core/model/spec_impl.h"

typedef enum core__field_type {
    CORE__FIELD_I64,
    CORE__FIELD_INT,
    CORE__FIELD_REAL,
    CORE__FIELD_FLAG,
    CORE__FIELD_WORD, /* one of a list of words, stored as its index */
    CORE__FIELD_NAME,
    CORE__FIELD_LAYERS, /* a word or a list of them, one per layer */
    CORE__FIELD_REALS,  /* a number or a list of them, one per layer  */
} core__field_type;

typedef bool (*core__field_when)(const core_spec *spec);

typedef struct core__field {
    const char *path;
    core__field_type type;
    size_t offset;
    const char *const *words; /* NULL-terminated, in the enum's order         */
    core__field_when when;    /* NULL: always                                 */
    bool optional;            /* absent: the value of core__spec_blank, which
                               * says that the model has no such operator     */
    const char *what; /* it is; in brackets what its absence means            */
} core__field;

/* Field i in the order of the file, or NULL behind the last one.      [local]
 */
const core__field *core__spec_field(int i);

static inline bool core__field_is_by_layer(const core__field *f)
{
    return f->type == CORE__FIELD_LAYERS || f->type == CORE__FIELD_REALS;
}

/* Does it stand in the file of that spec?                            [local] */
static inline bool core__field_applies(const core__field *f,
                                       const core_spec *spec)
{
    return f->when == NULL || f->when(spec);
}

#endif
