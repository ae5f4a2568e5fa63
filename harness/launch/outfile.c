/* harness/launch/outfile.c -- see outfile.h. */
#include "harness/launch/outfile.h"

#include "harness/launch/launch.h"

#include <errno.h>
#include <unistd.h>

core_status har_outfile_open(har_outfile *out, const char *path)
{
    out->file = NULL;
    CORE_TRY(core_target_open(&out->target, path));
    out->file = fopen(out->target.partial, "w");
    if (out->file == NULL) {
        const int why = errno;
        core_target_drop(&out->target);
        return core_target_failed(path, why);
    }
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

/* Why a file that is lost could not be written: stdio has forgotten it, but
 * what hindered the first write hinders the next.                            */
static int ask_again(FILE *file)
{
    static const char block[1 << 16];
    for (int i = 0; i < 2; i++)
        if (write(fileno(file), block, sizeof block) < 0)
            return errno;
    return EIO;
}

core_status har_outfile_commit(har_outfile *out)
{
    int why = ferror(out->file) != 0 ? ask_again(out->file) : 0;
    if (fclose(out->file) != 0 && why == 0)
        why = errno;
    out->file = NULL;
    if (why != 0) {
        core_target_drop(&out->target);
        return core_target_failed(out->target.path, why);
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
