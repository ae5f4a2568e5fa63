/* core/files/gguf_read.c -- the header of a GGUF file, checked.
 *
 * Nothing in it is trusted.  Counts are bounded by the bytes that are left
 * before anything is allocated; sizes are multiplied with care; a tensor begins
 * exactly where the one before it ends, at the next multiple of the alignment,
 * and the last one ends with the file.  Traps: lengths are 64 bits wide;
 * dimensions stand with the fastest first; names have no end; a row must be
 * whole blocks.
 */
#include "core/files/gguf_impl.h"

#include "core/base/arena.h"

#include <string.h>

enum {
    VERSION = 3,
    ALIGNMENT = 32, /* where no key says another                              */
    LEAST_KEY_BYTES = 8 + 4 + 1,
    LEAST_TENSOR_BYTES = 8 + 4 + 4 + 8,
    MAX_NAME_BYTES = 255,
};

/* What is being read, and where. */
typedef struct cursor {
    core__gguf_part *part;
    const unsigned char *at, *end;
    char *names; /* where the next name goes                                  */
} cursor;

static size_t left(const cursor *c)
{
    return (size_t)(c->end - c->at);
}

static core_status ends_early(const cursor *c, const char *what)
{
    CORE_FAIL(CORE_E_FORMAT, "%s: the file ends within %s, at byte %zu",
              c->part->path, what, c->part->map_bytes);
}

static core_status take(cursor *c, void *out, size_t bytes, const char *what)
{
    if (left(c) < bytes)
        return ends_early(c, what);
    memcpy(out, c->at, bytes);
    c->at += bytes;
    return CORE_OK;
}

static core_status take_u32(cursor *c, uint32_t *out, const char *what)
{
    return take(c, out, sizeof *out, what);
}

static core_status take_u64(cursor *c, uint64_t *out, const char *what)
{
    return take(c, out, sizeof *out, what);
}

static core_status skip(cursor *c, uint64_t bytes, const char *what)
{
    if (left(c) < bytes)
        return ends_early(c, what);
    c->at += bytes;
    return CORE_OK;
}

/* A name, copied with an end. */
static core_status take_name(cursor *c, const char **out, const char *what)
{
    uint64_t n = 0;
    CORE_TRY(take_u64(c, &n, what));
    if (left(c) < n)
        return ends_early(c, what);
    CORE_FAIL_IF(n == 0 || n > MAX_NAME_BYTES, CORE_E_FORMAT,
                 "%s: %s: a name of %llu bytes, expected 1 to %d",
                 c->part->path, what, (unsigned long long)n,
                 (int)MAX_NAME_BYTES);
    for (uint64_t i = 0; i < n; i++)
        CORE_FAIL_IF(c->at[i] < ' ' || c->at[i] > '~', CORE_E_FORMAT,
                     "%s: %s: a name with the byte %d in it", c->part->path,
                     what, c->at[i]);
    memcpy(c->names, c->at, n);
    c->names[n] = '\0';
    *out = c->names;
    c->names += n + 1;
    c->at += n;
    return CORE_OK;
}

/* --- metadata --------------------------------------------------------------
 */

static size_t bytes_of_type(core_gguf_type type)
{
    static const size_t BYTES[CORE_N_GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4,
                                                    1, 0, 0, 8, 8, 8};
    return BYTES[type];
}

static core_status take_type(cursor *c, const char *key, core_gguf_type *out)
{
    uint32_t type = 0;
    CORE_TRY(take_u32(c, &type, key));
    CORE_FAIL_IF(type >= CORE_N_GGUF_TYPES, CORE_E_FORMAT,
                 "%s: key '%s': unknown type of value %u", c->part->path, key,
                 type);
    *out = (core_gguf_type)type;
    return CORE_OK;
}

static core_status skip_texts(cursor *c, const core_gguf_key *key)
{
    for (int64_t i = 0; i < key->n; i++) {
        uint64_t bytes = 0;
        CORE_TRY(take_u64(c, &bytes, key->name));
        CORE_TRY(skip(c, bytes, key->name));
    }
    return CORE_OK;
}

static core_status skip_values(cursor *c, const core_gguf_key *key)
{
    const size_t bytes = bytes_of_type(key->type);
    if (key->type == CORE_GGUF_TEXT)
        return skip_texts(c, key);
    for (int64_t i = 0; key->type == CORE_GGUF_BOOL && i < key->n; i++)
        CORE_FAIL_IF((size_t)i < left(c) && c->at[i] > 1, CORE_E_FORMAT,
                     "%s: key '%s': %d, expected 0 or 1", c->part->path,
                     key->name, c->at[i]);
    return skip(c, (uint64_t)key->n * bytes, key->name);
}

/* How many values, of at least a byte each, so that there cannot be more than
 * bytes. */
static core_status take_list(cursor *c, core_gguf_key *key)
{
    uint64_t n = 0;
    CORE_TRY(take_type(c, key->name, &key->type));
    CORE_FAIL_IF(key->type == CORE_GGUF_LIST, CORE_E_FORMAT,
                 "%s: key '%s': a list of lists is not supported",
                 c->part->path, key->name);
    CORE_TRY(take_u64(c, &n, key->name));
    CORE_FAIL_IF(n > left(c), CORE_E_FORMAT,
                 "%s: key '%s': a list of %llu, and %zu bytes are left",
                 c->part->path, key->name, (unsigned long long)n, left(c));
    key->n = (int64_t)n;
    key->is_list = true;
    return CORE_OK;
}

static core_status take_key(cursor *c, core_gguf_key *key)
{
    *key = (core_gguf_key){.n = 1};
    CORE_TRY(take_name(c, &key->name, "the metadata"));
    CORE_TRY(take_type(c, key->name, &key->type));
    if (key->type == CORE_GGUF_LIST)
        CORE_TRY(take_list(c, key));
    key->data = c->at;
    CORE_TRY(skip_values(c, key));
    key->bytes = (size_t)(c->at - key->data);
    return CORE_OK;
}

/* --- tensors ---------------------------------------------------------------
 */

static core_status take_kind(cursor *c, core_gguf_tensor *t)
{
    uint32_t number = 0;
    char known[256] = "";
    CORE_TRY(take_u32(c, &number, t->name));
    if (core_packed_of_number(number, &t->kind))
        return CORE_OK;
    for (int k = 0; k < CORE_N_PACKED_KINDS; k++) {
        strcat(known, k == 0 ? "" : ", ");
        strcat(known, core_packed_format_of((core_packed_kind)k)->name);
    }
    CORE_FAIL(CORE_E_FORMAT, "%s: tensor '%s': type %u is not read, only %s",
              c->part->path, t->name, number, known);
}

static core_status take_shape(cursor *c, core_gguf_tensor *t)
{
    uint32_t n_dim = 0;
    uint64_t dim = 0;
    CORE_TRY(take_u32(c, &n_dim, t->name));
    CORE_FAIL_IF(n_dim < 1 || n_dim > CORE_GGUF_MAX_DIM, CORE_E_FORMAT,
                 "%s: tensor '%s': %u dimensions, expected 1 to %d",
                 c->part->path, t->name, n_dim, (int)CORE_GGUF_MAX_DIM);
    t->n_dim = (int)n_dim;
    t->n = 1;
    for (int i = t->n_dim - 1; i >= 0; i--) {
        CORE_TRY(take_u64(c, &dim, t->name));
        CORE_FAIL_IF(dim < 1 || dim > INT64_MAX / 8 / (uint64_t)t->n,
                     CORE_E_FORMAT,
                     "%s: tensor '%s': a dimension of %llu, expected a size "
                     "from 1 whose product with the others is one",
                     c->part->path, t->name, (unsigned long long)dim);
        t->shape[i] = (int64_t)dim;
        t->n *= (int64_t)dim;
    }
    return CORE_OK;
}

/* Where the bytes of a tensor must begin, and how many there are. */
static core_status take_tensor(cursor *c, core_gguf_tensor *t, uint64_t begin)
{
    uint64_t offset = 0;
    *t = (core_gguf_tensor){.path = c->part->path};
    CORE_TRY(take_name(c, &t->name, "the tensor infos"));
    CORE_TRY(take_shape(c, t));
    CORE_TRY(take_kind(c, t));
    CORE_TRY(take_u64(c, &offset, t->name));
    const core_packed_format *f = core_packed_format_of(t->kind);
    const int64_t row = t->shape[t->n_dim - 1];
    CORE_FAIL_IF(row % f->values != 0, CORE_E_FORMAT,
                 "%s: tensor '%s': rows of %lld values, %s wants a multiple of "
                 "%lld",
                 c->part->path, t->name, (long long)row, f->name,
                 (long long)f->values);
    CORE_FAIL_IF(offset != begin, CORE_E_FORMAT,
                 "%s: tensor '%s': begins at byte %llu of the data, expected "
                 "%llu, where the one before it ends, aligned",
                 c->part->path, t->name, (unsigned long long)offset,
                 (unsigned long long)begin);
    t->bytes = (size_t)(t->n / f->values) * f->bytes;
    CORE_FAIL_IF(t->bytes > c->part->map_bytes, CORE_E_FORMAT,
                 "%s: tensor '%s': %zu bytes, and the file has %zu",
                 c->part->path, t->name, t->bytes, c->part->map_bytes);
    return CORE_OK;
}

static uint64_t align(uint64_t at, uint64_t alignment)
{
    return (at + alignment - 1) / alignment * alignment;
}

static core_status get_alignment(const core__gguf_part *part, uint64_t *out)
{
    static const char KEY[] = "general.alignment";
    const core_gguf_key *key = core__gguf_key(part, KEY);
    double n = ALIGNMENT;
    *out = ALIGNMENT;
    if (key == NULL)
        return CORE_OK;
    CORE_FAIL_IF(key->is_list || key->type != CORE_GGUF_U32 ||
                     !core_gguf_number(key, 0, &n) || n < 1.0 ||
                     ((uint64_t)n & ((uint64_t)n - 1)) != 0,
                 CORE_E_FORMAT,
                 "%s: key '%s': %g, expected a power of two as U32", part->path,
                 KEY, n);
    *out = (uint64_t)n;
    return CORE_OK;
}

/* The bytes of every tensor lie in the file, and nothing behind them. */
static core_status place(cursor *c, uint64_t data_bytes, uint64_t alignment)
{
    core__gguf_part *part = c->part;
    const uint64_t begin = align((uint64_t)(c->at - part->map), alignment);
    const uint64_t end = begin + data_bytes;
    uint64_t at = begin;
    CORE_FAIL_IF(part->map_bytes < end && part->n_tensor > 0, CORE_E_FORMAT,
                 "%s: its tensors end at byte %llu, and the file at %zu",
                 part->path, (unsigned long long)end, part->map_bytes);
    CORE_FAIL_IF(part->map_bytes > align(end, alignment), CORE_E_FORMAT,
                 "%s: its tensors end at byte %llu, and the file only at %zu",
                 part->path, (unsigned long long)end, part->map_bytes);
    for (int64_t i = 0; i < part->n_tensor; i++) {
        core_gguf_tensor *t = &part->tensors[i];
        t->data = part->map + at;
        at = align(at + t->bytes, alignment);
    }
    return CORE_OK;
}

static core_status take_tensors(cursor *c)
{
    core__gguf_part *part = c->part;
    uint64_t alignment = 0, begin = 0, end = 0;
    CORE_TRY(get_alignment(part, &alignment));
    for (int64_t i = 0; i < part->n_tensor; i++) {
        CORE_TRY(take_tensor(c, &part->tensors[i], begin));
        end = begin + part->tensors[i].bytes;
        CORE_FAIL_IF(end > part->map_bytes, CORE_E_FORMAT,
                     "%s: tensor '%s': ends at byte %llu of the data, and the "
                     "file has %zu",
                     part->path, part->tensors[i].name, (unsigned long long)end,
                     part->map_bytes);
        begin = align(end, alignment);
    }
    return place(c, end, alignment);
}

/* --- the header ------------------------------------------------------------
 */

static core_status take_version(cursor *c)
{
    char magic[4];
    uint32_t version = 0;
    CORE_TRY(take(c, magic, sizeof magic, "the header"));
    CORE_FAIL_IF(memcmp(magic, "GGUF", 4) != 0, CORE_E_FORMAT,
                 "%s: expected a GGUF file, which begins with GGUF",
                 c->part->path);
    CORE_TRY(take_u32(c, &version, "the header"));
    CORE_FAIL_IF(version >> 24 != 0 && (version & 0xffffff) == 0, CORE_E_FORMAT,
                 "%s: a big-endian GGUF file is not read", c->part->path);
    CORE_FAIL_IF(version != VERSION, CORE_E_FORMAT,
                 "%s: GGUF version %u, expected %d", c->part->path, version,
                 (int)VERSION);
    return CORE_OK;
}

static core_status take_count(cursor *c, int64_t *out, const char *what,
                              int least_bytes)
{
    uint64_t n = 0;
    CORE_TRY(take_u64(c, &n, "the header"));
    CORE_FAIL_IF(n > left(c) / (size_t)least_bytes, CORE_E_FORMAT,
                 "%s: %llu %s do not fit into the %zu bytes that are left",
                 c->part->path, (unsigned long long)n, what, left(c));
    *out = (int64_t)n;
    return CORE_OK;
}

/* Room for the longest names: pages that none of them needs are not touched. */
static core_status make_room(cursor *c)
{
    core__gguf_part *part = c->part;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, part->n_key + 1, sizeof *part->keys, "keys"));
    part->keys = memory;
    CORE_TRY(core_alloc(&memory, part->n_tensor + 1, sizeof *part->tensors,
                        "tensors"));
    part->tensors = memory;
    CORE_TRY(core_alloc(&memory, part->n_key + part->n_tensor + 1,
                        MAX_NAME_BYTES + 1, "names"));
    part->names = memory;
    c->names = part->names;
    return CORE_OK;
}

core_status core__gguf_read(core__gguf_part *part)
{
    cursor c = {
        .part = part, .at = part->map, .end = part->map + part->map_bytes};
    CORE_TRY(take_version(&c));
    CORE_TRY(take_count(&c, &part->n_tensor, "tensors", LEAST_TENSOR_BYTES));
    CORE_TRY(take_count(&c, &part->n_key, "keys", LEAST_KEY_BYTES));
    CORE_TRY(make_room(&c));
    for (int64_t i = 0; i < part->n_key; i++)
        CORE_TRY(take_key(&c, &part->keys[i]));
    return take_tensors(&c);
}
