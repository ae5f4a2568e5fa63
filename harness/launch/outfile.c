/* harness/launch/outfile.c -- see outfile.h. */
#include "harness/launch/outfile.h"

#include "harness/launch/launch.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

core_status har_outfile_open(har_outfile *out, const char *path)
{
    CORE_FAIL_IF(strlen(path) >= sizeof out->path, CORE_E_FILE,
                 "%s: path is longer than %zu bytes", path,
                 sizeof out->path - 1);
    snprintf(out->path, sizeof out->path, "%s", path);
    snprintf(out->partial, sizeof out->partial, "%s.partial-%ld", path,
             (long)getpid());
    out->file = fopen(out->partial, "w");
    CORE_FAIL_IF(out->file == NULL, CORE_E_FILE, "%s: cannot be written: %s",
                 path, strerror(errno));
    har_run_partial(out->partial);
    return CORE_OK;
}

core_status har_outfile_try(const char *path)
{
    struct stat st;
    har_outfile file = {.file = NULL};
    CORE_FAIL_IF(path[0] == '\0', CORE_E_FILE, "'': no name of a file");
    CORE_FAIL_IF(stat(path, &st) == 0 && S_ISDIR(st.st_mode), CORE_E_FILE,
                 "%s: cannot be written: %s", path, strerror(EISDIR));
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
        unlink(out->partial);
        return core_fail(error == ENOSPC ? CORE_E_SPACE : CORE_E_FILE,
                         "%s: cannot be written: %s", out->path,
                         closed != 0 ? strerror(error) : "write error");
    }
    if (rename(out->partial, out->path) != 0) {
        const int why = errno;
        unlink(out->partial);
        return core_fail(CORE_E_FILE, "%s: cannot be written: %s", out->path,
                         strerror(why));
    }
    return CORE_OK;
}

void har_outfile_drop(har_outfile *out)
{
    if (out->file == NULL)
        return;
    fclose(out->file);
    unlink(out->partial);
    out->file = NULL;
}
