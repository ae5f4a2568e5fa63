/* core/files/safetensors_read.c -- the header of a safetensors file, checked.
 *
 * Nothing in a header is trusted: a dtype, a shape and two offsets say the same
 * thing twice, and where they disagree the file is refused.  Sorted by offset
 * the tensors must tile the data exactly, so that no byte has two meanings or
 * none.  Traps: products and offsets that overflow; empty tensors, which share
 * their offset with a neighbour; `2.0` or `true` where a size should be.
 */
#include "core/files/safetensors_impl.h"

#include "core/base/arena.h"
#include "core/files/json.h"

#include <stdlib.h>
#include <string.h>

/* Everything known about the tensor being read, for its checks and errors. */
typedef struct entry {
    const char *path, *name;
    int64_t data_bytes; /* of the file, header aside */
    int64_t begin, end;
} entry;

#define ENTRY_FORMAT  "%s: tensor '%.200s': "
#define ENTRY_ARGS(e) (e)->path, (e)->name

static core_status read_size(const entry *e, const json_t *value,
                             const char *what, int64_t *out)
{
    CORE_FAIL_IF(!json_is_integer(value), CORE_E_FORMAT,
                 ENTRY_FORMAT "expected integers in %s, found something else",
                 ENTRY_ARGS(e), what);
    const json_int_t size = json_integer_value(value);
    CORE_FAIL_IF(size < 0, CORE_E_FORMAT,
                 ENTRY_FORMAT "expected no negative number in %s, found %lld",
                 ENTRY_ARGS(e), what, (long long)size);
    *out = size;
    return CORE_OK;
}

static core_status read_dtype(const entry *e, const json_t *value,
                              core_st_tensor *tensor)
{
    const char *name = json_string_value(value);
    CORE_FAIL_IF(name == NULL, CORE_E_FORMAT,
                 ENTRY_FORMAT "dtype is not a string", ENTRY_ARGS(e));
    CORE_FAIL_IF(!core_dtype_parse(&tensor->dtype, name), CORE_E_FORMAT,
                 ENTRY_FORMAT "unknown dtype '%.40s'", ENTRY_ARGS(e), name);
    return CORE_OK;
}

static core_status read_shape(const entry *e, const json_t *value,
                              core_st_tensor *tensor)
{
    CORE_FAIL_IF(!json_is_array(value), CORE_E_FORMAT,
                 ENTRY_FORMAT "shape is not an array", ENTRY_ARGS(e));
    const size_t n_dim = json_array_size(value);
    CORE_FAIL_IF(n_dim > CORE_ST_MAX_DIM, CORE_E_FORMAT,
                 ENTRY_FORMAT "expected at most %d dimensions, found %zu",
                 ENTRY_ARGS(e), (int)CORE_ST_MAX_DIM, n_dim);
    const int64_t limit = INT64_MAX / (int64_t)core_dtype_bytes(tensor->dtype);
    int64_t n = 1;
    for (size_t i = 0; i < n_dim; i++) {
        int64_t *dim = &tensor->shape[i];
        CORE_TRY(read_size(e, json_array_get(value, i), "shape", dim));
        CORE_FAIL_IF(*dim > 0 && n > limit / *dim, CORE_E_FORMAT,
                     ENTRY_FORMAT "the product of shape overflows",
                     ENTRY_ARGS(e));
        n *= *dim;
    }
    tensor->n_dim = (int)n_dim;
    tensor->n = n;
    tensor->bytes = (size_t)n * core_dtype_bytes(tensor->dtype);
    return CORE_OK;
}

static core_status read_offsets(entry *e, const json_t *value,
                                const core_st_tensor *tensor)
{
    CORE_FAIL_IF(!json_is_array(value) || json_array_size(value) != 2,
                 CORE_E_FORMAT,
                 ENTRY_FORMAT "data_offsets is not an array of two integers",
                 ENTRY_ARGS(e));
    CORE_TRY(read_size(e, json_array_get(value, 0), "data_offsets", &e->begin));
    CORE_TRY(read_size(e, json_array_get(value, 1), "data_offsets", &e->end));
    CORE_FAIL_IF(e->end < e->begin, CORE_E_FORMAT,
                 ENTRY_FORMAT
                 "data_offsets end before they begin, [%lld, %lld]",
                 ENTRY_ARGS(e), (long long)e->begin, (long long)e->end);
    CORE_FAIL_IF(e->end > e->data_bytes, CORE_E_FORMAT,
                 ENTRY_FORMAT "data_offsets [%lld, %lld] reach past the end of "
                              "the file, found %lld bytes of data",
                 ENTRY_ARGS(e), (long long)e->begin, (long long)e->end,
                 (long long)e->data_bytes);
    CORE_FAIL_IF((size_t)(e->end - e->begin) != tensor->bytes, CORE_E_FORMAT,
                 ENTRY_FORMAT "dtype and shape make %zu bytes, data_offsets "
                              "have %lld",
                 ENTRY_ARGS(e), tensor->bytes, (long long)(e->end - e->begin));
    return CORE_OK;
}

/* Exactly the three fields, no other. */
static core_status check_fields(const entry *e, json_t *object)
{
    static const char *const wanted[] = {"dtype", "shape", "data_offsets"};
    CORE_FAIL_IF(!json_is_object(object), CORE_E_FORMAT,
                 ENTRY_FORMAT "its entry is not an object", ENTRY_ARGS(e));
    for (int i = 0; i < 3; i++) {
        CORE_FAIL_IF(json_object_get(object, wanted[i]) == NULL, CORE_E_FORMAT,
                     ENTRY_FORMAT "field '%s' is missing", ENTRY_ARGS(e),
                     wanted[i]);
    }
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool known = false;
        for (int i = 0; i < 3; i++)
            known = known || strcmp(key, wanted[i]) == 0;
        CORE_FAIL_IF(!known, CORE_E_FORMAT,
                     ENTRY_FORMAT "unknown field '%.80s'", ENTRY_ARGS(e), key);
    }
    return CORE_OK;
}

static core_status read_tensor(core_st *file, unsigned char *data,
                               const char *name, json_t *object)
{
    for (const char *c = name; *c != '\0'; c++)
        CORE_FAIL_IF((unsigned char)*c < ' ' || *c == 0x7f, CORE_E_FORMAT,
                     "%s: a tensor's name holds control characters",
                     file->path);
    entry e = {.path = file->path,
               .name = name,
               .data_bytes = file->map + file->map_bytes - data};
    core_st_tensor *tensor = &file->tensors[file->n_tensor];
    *tensor = (core_st_tensor){.name = name};
    CORE_TRY(check_fields(&e, object));
    CORE_TRY(read_dtype(&e, json_object_get(object, "dtype"), tensor));
    CORE_TRY(read_shape(&e, json_object_get(object, "shape"), tensor));
    CORE_TRY(read_offsets(&e, json_object_get(object, "data_offsets"), tensor));
    tensor->data = data + e.begin;
    file->n_tensor++;
    return CORE_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const core__st_pair *)a)->key,
                  ((const core__st_pair *)b)->key);
}

static core_status read_metadata(core_st *file, json_t *object)
{
    CORE_FAIL_IF(!json_is_object(object), CORE_E_FORMAT,
                 "%s: __metadata__ is not an object", file->path);
    void *pairs = NULL;
    CORE_TRY(core_alloc(&pairs, (int64_t)json_object_size(object),
                        sizeof *file->metadata, file->path));
    file->metadata = pairs;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        CORE_FAIL_IF(!json_is_string(value), CORE_E_FORMAT,
                     "%s: value of '%.80s' in __metadata__ is not a string",
                     file->path, key);
        file->metadata[file->n_metadata++] =
            (core__st_pair){key, json_string_value(value)};
    }
    qsort(file->metadata, (size_t)file->n_metadata, sizeof *file->metadata,
          compare_keys);
    return CORE_OK;
}

/* By begin, then by end: an empty tensor comes before its neighbour. */
static int compare_offsets(const void *a, const void *b)
{
    const core_st_tensor *x = a, *y = b;
    if (x->data != y->data)
        return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int compare_names(const void *a, const void *b)
{
    const core_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Sort into file order and check that nothing overlaps and nothing is left. */
static core_status check_tiling(core_st *file, const unsigned char *data)
{
    qsort(file->tensors, (size_t)file->n_tensor, sizeof *file->tensors,
          compare_offsets);
    const unsigned char *expected = data;
    for (int64_t i = 0; i < file->n_tensor; i++) {
        const core_st_tensor *tensor = &file->tensors[i];
        const unsigned char *begin = tensor->data;
        CORE_FAIL_IF(begin != expected, CORE_E_FORMAT,
                     "%s: tensor '%.200s': data %s, expected offset %lld, "
                     "found %lld",
                     file->path, tensor->name,
                     begin < expected ? "overlaps another tensor"
                                      : "leaves a hole before it",
                     (long long)(expected - data), (long long)(begin - data));
        expected = begin + tensor->bytes;
    }
    const unsigned char *end = file->map + file->map_bytes;
    CORE_FAIL_IF(expected != end, CORE_E_FORMAT,
                 "%s: %lld bytes follow the last tensor", file->path,
                 (long long)(end - expected));
    for (int64_t i = 0; i < file->n_tensor; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, (size_t)file->n_tensor, sizeof *file->by_name,
          compare_names);
    return CORE_OK;
}

/* Check the frame and parse the JSON; *data is where the tensors begin. */
static core_status parse_header(core_st *file, unsigned char **data)
{
    uint64_t length = 0; /* little-endian on every machine */
    for (int i = CORE__ST_LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | file->map[i];
    const size_t room = file->map_bytes - CORE__ST_LENGTH_BYTES;
    CORE_FAIL_IF(length > CORE__ST_MAX_HEADER_BYTES, CORE_E_FORMAT,
                 "%s: expected a header of at most %d bytes, found %llu",
                 file->path, (int)CORE__ST_MAX_HEADER_BYTES,
                 (unsigned long long)length);
    CORE_FAIL_IF(length > room, CORE_E_FORMAT,
                 "%s: the header of %llu bytes reaches past the end of the "
                 "file, found %zu bytes",
                 file->path, (unsigned long long)length, room);
    const char *text = (const char *)file->map + CORE__ST_LENGTH_BYTES;
    CORE_FAIL_IF(length == 0 || text[0] != '{', CORE_E_FORMAT,
                 "%s: the header does not start with '{'", file->path);
    CORE_TRY_CTX(
        core_json_parse(&file->header, text, (size_t)length, file->path),
        "parsing its header");
    *data = file->map + CORE__ST_LENGTH_BYTES + length;
    return CORE_OK;
}

/* Of a tensor that has been read only its name is needed.  All of them in one
 * piece: the tree of a header is larger than its text, and names that stay all
 * over it would keep its pages.                                              */
static core_status keep_names(core_st *file)
{
    int64_t n_byte = 0;
    void *names = NULL;
    for (int64_t i = 0; i < file->n_tensor; i++)
        n_byte += (int64_t)strlen(file->tensors[i].name) + 1;
    CORE_TRY(core_alloc(&names, n_byte, 1, file->path));
    file->names = names;
    char *to = names;
    for (int64_t i = 0; i < file->n_tensor; i++) {
        const char *name = strcpy(to, file->tensors[i].name);
        file->tensors[i].name = name;
        to += strlen(name) + 1;
    }
    json_t *metadata = json_incref(json_object_get(file->header, "__metadata__"));
    json_decref(file->header);
    file->header = metadata;
    return CORE_OK;
}

core_status core__st_read_header(core_st *file)
{
    unsigned char *data = NULL;
    CORE_TRY(parse_header(file, &data));
    const int64_t n_entry = (int64_t)json_object_size(file->header);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_entry, sizeof *file->tensors, file->path));
    file->tensors = memory;
    CORE_TRY(core_alloc(&memory, n_entry, sizeof *file->by_name, file->path));
    file->by_name = memory;
    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            CORE_TRY(read_metadata(file, value));
        else
            CORE_TRY(read_tensor(file, data, name, value));
    }
    CORE_TRY(keep_names(file));
    return check_tiling(file, data);
}
