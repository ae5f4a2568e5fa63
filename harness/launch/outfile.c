/* harness/launch/outfile.c -- see outfile.h. */
#include "harness/launch/outfile.h"

#include "harness/launch/launch.h"

#include <errno.h>
#include <string.h>

core_status har_outfile_open(har_outfile *out, const char *path)
{
    out->file = NULL;
    CORE_TRY(core_target_open(&out->target, path));
    out->file = fopen(out->target.partial, "w");
    CORE_FAIL_IF(out->file == NULL, CORE_E_FILE, "%s: cannot be written: %s",
                 path, strerror(errno));
    har_run_partial(out->target.partial);
    return CORE_OK;
}

core_status har_outfile_try(const char *path)
{
    har_outfile file;
    if (path == NULL)
        return CORE_OK;
    CORE_TRY(har_outfile_open(&file, path));
    har_outfile_drop(&file);
    return CORE_OK;
}

core_status har_outfile_commit(har_outfile *out)
{
    const bool had_error = ferror(out->file) != 0;
    const int closed = fclose(out->file);
    const int error = errno;
    out->file = NULL;
    if (had_error || closed != 0) {
        core_target_drop(&out->target);
        return core_fail(error == ENOSPC ? CORE_E_SPACE : CORE_E_FILE,
                         "%s: cannot be written: %s", out->target.path,
                         closed != 0 ? strerror(error) : "write error");
    }
    return core_target_commit(&out->target);
}

void har_outfile_drop(har_outfile *out)
{
    if (out->file == NULL)
        return;
    fclose(out->file);
    core_target_drop(&out->target);
    out->file = NULL;
}
