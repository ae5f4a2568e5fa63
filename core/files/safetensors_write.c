/* core/files/safetensors_write.c -- a safetensors file, made first and filled later.
 *
 * The header says where everything goes, so it is written at once and the space
 * reserved; then the file is mapped and read back like any other, and whoever
 * has the name fills its tensors in place.  A half-filled file never has the
 * wanted name: it is renamed at the end.  Traps: on a full disk a mapping that
 * was not reserved dies with a signal; a data section that is not aligned
 * cannot be used as double *, so the header is padded and the tensors sorted by
 * element size, as the safetensors library does.
 */
#include "core/files/safetensors_impl.h"

#include "core/base/arena.h"
#include "core/files/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ALIGN_BYTES = 8 };

static core_status element_count(const core_st_tensor *tensor, int64_t *out)
{
    core_assert(tensor->n_dim >= 0 && tensor->n_dim <= CORE_ST_MAX_DIM);
    const int64_t limit = INT64_MAX / (int64_t)core_dtype_bytes(tensor->dtype);
    int64_t n = 1;
    for (int i = 0; i < tensor->n_dim; i++) {
        const int64_t dim = tensor->shape[i];
        core_assert(dim >= 0);
        CORE_FAIL_IF(dim > 0 && n > limit / dim, CORE_E_SPACE,
                     "tensor '%s': its size overflows", tensor->name);
        n *= dim;
    }
    *out = n;
    return CORE_OK;
}

static core_status check_memory(void)
{
    CORE_FAIL_IF(core_json_lacks_memory(), CORE_E_MEMORY,
                 "no memory for a file header");
    return CORE_OK;
}

/* One header entry; *end is moved behind the tensor. */
static core_status add_tensor(json_t *root, const core_st_tensor *tensor,
                              int64_t *end)
{
    int64_t n = 0;
    CORE_TRY(element_count(tensor, &n));
    const int64_t begin = *end;
    const int64_t bytes = n * (int64_t)core_dtype_bytes(tensor->dtype);
    CORE_FAIL_IF(bytes > INT64_MAX / 2 - begin, CORE_E_SPACE,
                 "tensor '%s': the file's size overflows", tensor->name);
    *end = begin + bytes;
    core_assert(json_object_get(root, tensor->name) == NULL);
    json_t *shape = json_array();
    for (int i = 0; i < tensor->n_dim; i++)
        json_array_append_new(shape, json_integer(tensor->shape[i]));
    json_t *entry = json_pack(
        "{s:s, s:o, s:[I,I]}", "dtype", core_dtype_name(tensor->dtype), "shape",
        shape, "data_offsets", (json_int_t)begin, (json_int_t)*end);
    const bool is_set = json_object_set_new(root, tensor->name, entry) == 0;
    CORE_TRY(check_memory());
    CORE_FAIL_IF(!is_set, CORE_E_FORMAT, "tensor '%s': its name is not UTF-8",
                 tensor->name);
    return CORE_OK;
}

static core_status add_metadata(json_t *root, const char *const *metadata)
{
    json_t *object = json_object();
    json_object_set_new(root, "__metadata__", object);
    for (; metadata[0] != NULL; metadata += 2) {
        const bool is_set = json_object_set_new(object, metadata[0],
                                                json_string(metadata[1])) == 0;
        CORE_TRY(check_memory());
        CORE_FAIL_IF(!is_set, CORE_E_FORMAT, "metadata '%s': not UTF-8",
                     metadata[0]);
    }
    return CORE_OK;
}

/* Larger elements first, else in the given order: everything stays aligned. */
static core_status add_tensors(json_t *root, const core_st_tensor *tensors,
                               int64_t n_tensor, int64_t *data_bytes)
{
    for (size_t elem_bytes = ALIGN_BYTES; elem_bytes > 0; elem_bytes /= 2) {
        for (int64_t i = 0; i < n_tensor; i++) {
            if (core_dtype_bytes(tensors[i].dtype) == elem_bytes)
                CORE_TRY(add_tensor(root, &tensors[i], data_bytes));
        }
    }
    return CORE_OK;
}

/* Length word and padded JSON as they go into the file; free() *out. */
static core_status format_header(const json_t *root, char **out,
                                 size_t *out_bytes)
{
    const size_t json_bytes = json_dumpb(root, NULL, 0, JSON_COMPACT);
    CORE_TRY(check_memory());
    const size_t padded =
        (json_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    CORE_FAIL_IF(json_bytes == 0 || padded > CORE__ST_MAX_HEADER_BYTES,
                 CORE_E_FORMAT, "a header of %zu bytes, at most %d are legal",
                 padded, (int)CORE__ST_MAX_HEADER_BYTES);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, (int64_t)padded + CORE__ST_LENGTH_BYTES, 1,
                        "a file header"));
    char *bytes = memory;
    for (int i = 0; i < CORE__ST_LENGTH_BYTES; i++)
        bytes[i] = (char)(padded >> (8 * i) & 0xff);
    memset(bytes + CORE__ST_LENGTH_BYTES, ' ', padded);
    json_dumpb(root, bytes + CORE__ST_LENGTH_BYTES, padded, JSON_COMPACT);
    *out = bytes;
    *out_bytes = padded + CORE__ST_LENGTH_BYTES;
    return CORE_OK;
}

static core_status make_header(const core_st_tensor *tensors, int64_t n_tensor,
                               const char *const *metadata, char **out,
                               size_t *out_bytes, int64_t *data_bytes)
{
    json_t *root = json_object();
    CORE_FAIL_IF(root == NULL, CORE_E_MEMORY, "no memory for a file header");
    core_status status = CORE_OK;
    if (metadata != NULL)
        status = add_metadata(root, metadata);
    if (status == CORE_OK)
        status = add_tensors(root, tensors, n_tensor, data_bytes);
    if (status == CORE_OK)
        status = format_header(root, out, out_bytes);
    json_decref(root);
    return status;
}

static core_status no_space(int fd, const char *path, uintmax_t needed)
{
    struct statvfs info;
    const uintmax_t available =
        fstatvfs(fd, &info) == 0
            ? (uintmax_t)info.f_bavail * (uintmax_t)info.f_frsize
            : 0;
    CORE_FAIL(CORE_E_SPACE, "%s: needs %ju bytes, %ju are free", path, needed,
              available);
}

/* Reserve the space.  Asking first, because a reservation that cannot be met
 * may fill the disk before it says so.                                       */
static core_status reserve(int fd, const char *path, uintmax_t bytes)
{
    struct statvfs info;
    if (fstatvfs(fd, &info) == 0 &&
        bytes / info.f_frsize > (uintmax_t)info.f_bavail)
        return no_space(fd, path, bytes);
    int error;
    do {
        error = posix_fallocate(fd, 0, (off_t)bytes);
    } while (error == EINTR);
    if (error == ENOSPC || error == EFBIG || error == EDQUOT) {
        if (ftruncate(fd, 0) == 0) /* so that what is free can be said */
            return no_space(fd, path, bytes);
    }
    CORE_FAIL_IF(error != 0, CORE_E_FILE, "%s: cannot reserve %ju bytes: %s",
                 path, bytes, strerror(error));
    return CORE_OK;
}

static core_status write_all(int fd, const char *path, const char *bytes,
                             size_t n_bytes)
{
    while (n_bytes > 0) {
        const ssize_t n = write(fd, bytes, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        CORE_FAIL_IF(n <= 0, core_status_of_errno(errno), "%s: %s", path,
                     strerror(errno));
        bytes += n;
        n_bytes -= (size_t)n;
    }
    return CORE_OK;
}

/* The whole partial file, its data zero. */
static core_status write_file(const char *partial, const char *header,
                              size_t header_bytes, int64_t data_bytes)
{
    const int fd = open(partial, O_RDWR | O_CLOEXEC);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno), "%s: %s", partial,
                 strerror(errno));
    core_status status =
        reserve(fd, partial, (uintmax_t)header_bytes + (uintmax_t)data_bytes);
    if (status == CORE_OK)
        status = write_all(fd, partial, header, header_bytes);
    if (close(fd) != 0 && status == CORE_OK)
        status = core_fail(CORE_E_FILE, "%s: %s", partial, strerror(errno));
    return status;
}

/* The same, mapped.  Removed again after an error. */
static core_status fill_partial(core_st **out, const core_target *target,
                                const char *header, size_t header_bytes,
                                int64_t data_bytes)
{
    core_status status =
        write_file(target->partial, header, header_bytes, data_bytes);
    if (status == CORE_OK)
        status = core__st_map(out, target->partial, CORE_MAP_WRITE);
    if (status != CORE_OK)
        core_target_drop(target);
    return status;
}

core_status core_st_create(core_st **out, const char *path,
                           const core_st_tensor *tensors, int64_t n_tensor,
                           const char *const *metadata)
{
    void *target = NULL;
    char *header = NULL;
    size_t header_bytes = 0;
    int64_t data_bytes = 0;
    core_st *file = NULL;
    core_status status = core_alloc(&target, 1, sizeof(core_target), path);
    if (status == CORE_OK)
        status = make_header(tensors, n_tensor, metadata, &header,
                             &header_bytes, &data_bytes);
    if (status == CORE_OK)
        status = core_target_open(target, path);
    if (status == CORE_OK)
        status = fill_partial(&file, target, header, header_bytes, data_bytes);
    if (status == CORE_OK) {
        file->target = target;
        target = NULL;
        *out = file;
    } else {
        status = core_fail_context(status, "creating %s", path);
    }
    free(header);
    free(target);
    return status;
}

core_status core_st_commit(core_st *file)
{
    core_assert(file->target != NULL);
    const char *path = file->target->path;
    void *copy = NULL;
    CORE_TRY(core_alloc(&copy, (int64_t)strlen(path) + 1, 1, path));
    const core_status status = core_target_commit(file->target);
    if (status != CORE_OK) {
        free(copy);
        return status;
    }
    free(file->path);
    file->path = strcpy(copy, path);
    free(file->target);
    file->target = NULL;
    return CORE_OK;
}
