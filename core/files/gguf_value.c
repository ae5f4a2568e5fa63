/* core/files/gguf_value.c -- values of the metadata of a GGUF file.
 *
 * Trap: a float of 32 bits is no double that anybody wrote.
 */
#include "core/files/gguf_impl.h"

#include "core/numbers/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const core_gguf_key *core__gguf_key(const core__gguf_part *part,
                                    const char *name)
{
    for (int64_t i = 0; i < part->n_key; i++)
        if (strcmp(part->keys[i].name, name) == 0)
            return &part->keys[i];
    return NULL;
}

const char *core_gguf_type_name(core_gguf_type type)
{
    static const char *const NAMES[CORE_N_GGUF_TYPES] = {
        "u8",   "i8",   "u16",  "i16", "u32", "i32", "f32",
        "bool", "text", "list", "u64", "i64", "f64"};
    return NAMES[type];
}

/* The double that the shortest decimal of a float names. */
static double shortest(float x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x)
            return strtod(text, NULL);
    }
    return (double)x;
}

static double value_of(core_gguf_type type, const unsigned char *at)
{
    static const core_dtype INTEGERS[CORE_N_GGUF_TYPES] = {
        [CORE_GGUF_U8] = CORE_DTYPE_U8,   [CORE_GGUF_I8] = CORE_DTYPE_I8,
        [CORE_GGUF_U16] = CORE_DTYPE_U16, [CORE_GGUF_I16] = CORE_DTYPE_I16,
        [CORE_GGUF_U32] = CORE_DTYPE_U32, [CORE_GGUF_I32] = CORE_DTYPE_I32,
        [CORE_GGUF_BOOL] = CORE_DTYPE_U8, [CORE_GGUF_U64] = CORE_DTYPE_U64,
        [CORE_GGUF_I64] = CORE_DTYPE_I64, [CORE_GGUF_F64] = CORE_DTYPE_F64};
    double value;
    float single;
    if (type == CORE_GGUF_F32) {
        memcpy(&single, at, sizeof single);
        return shortest(single);
    }
    core_dtype_to_f64(&value, at, INTEGERS[type], 1);
    return value;
}

bool core_gguf_number(const core_gguf_key *key, int64_t i, double *out)
{
    if (key->type == CORE_GGUF_TEXT || i < 0 || i >= key->n)
        return false;
    const size_t bytes = key->bytes / (size_t)key->n;
    *out = value_of(key->type, key->data + (size_t)i * bytes);
    return true;
}

const char *core_gguf_text(const core_gguf_key *key, size_t *n)
{
    uint64_t bytes;
    if (key->type != CORE_GGUF_TEXT || key->is_list)
        return NULL;
    memcpy(&bytes, key->data, sizeof bytes);
    *n = (size_t)bytes;
    return (const char *)key->data + sizeof bytes;
}

bool core_gguf_text_is(const core_gguf_key *key, const char *text)
{
    size_t n = 0;
    const char *found = key != NULL ? core_gguf_text(key, &n) : NULL;
    return found != NULL && n == strlen(text) && memcmp(found, text, n) == 0;
}
