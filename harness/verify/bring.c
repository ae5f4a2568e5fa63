/* harness/verify/bring.c -- see bring.h. */
#include "harness/verify/bring.h"

#include "core/base/arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PART_BYTES = 8 << 20 };

static core_status open_part(FILE **out, const char *path, bool is_first)
{
    *out = fopen(path, is_first ? "rb" : "wb");
    CORE_FAIL_IF(*out == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    return CORE_OK;
}

static core_status move_part(FILE *file, const char *path, void *part, size_t n,
                             bool is_first)
{
    const size_t moved = is_first ? fread(part, 1, n, file)
                                  : fwrite(part, 1, n, file);
    CORE_FAIL_IF(moved != n, is_first ? CORE_E_FILE : CORE_E_SPACE, "%s: %s",
                 path, is_first ? "cannot be read" : "no room");
    return CORE_OK;
}

/* Who is first reads, the others write.  All hear of an error before anybody
 * stops, so that nobody waits for a part.                                    */
core_status har_bring_file(par_comm *comm, const par_group *group,
                           const char *path)
{
    const bool is_first = group->me == 0;
    FILE *file = NULL;
    void *part = NULL;
    int64_t left = 0;
    core_status status = core_alloc(&part, PART_BYTES, 1, "a part of a file");
    if (status == CORE_OK)
        status = open_part(&file, path, is_first);
    if (status == CORE_OK && is_first) {
        struct stat st;
        left = fstat(fileno(file), &st) == 0 ? (int64_t)st.st_size : 0;
    }
    double worst = (double)status;
    par_all_reduce(comm, group, &worst, 1, PAR_MAX, CORE_FP64);
    par_broadcast(comm, group, &left, (int64_t)sizeof left, 0);
    for (; worst <= 0 && left > 0; left -= PART_BYTES) {
        const int64_t n = left < PART_BYTES ? left : PART_BYTES;
        if (is_first && status == CORE_OK)
            status = move_part(file, path, part, (size_t)n, true);
        par_broadcast(comm, group, part, n, 0);
        if (!is_first && status == CORE_OK)
            status = move_part(file, path, part, (size_t)n, false);
    }
    if (file != NULL && fclose(file) != 0 && status == CORE_OK)
        status = core_fail(CORE_E_SPACE, "%s: no room", path);
    free(part);
    return status;
}
