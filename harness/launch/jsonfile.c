/* harness/launch/jsonfile.c -- see jsonfile.h. */
#include "harness/launch/jsonfile.h"

#include "harness/launch/outfile.h"

core_status har_json_write(const char *path, json_t *value)
{
    har_outfile out;
    core_status status =
        value == NULL || core_json_lacks_memory()
            ? core_fail(CORE_E_MEMORY, "%s: no memory for a report", path)
            : har_outfile_open(&out, path);
    if (status == CORE_OK) {
        if (json_dumpf(value, out.file, JSON_INDENT(1) | JSON_ENSURE_ASCII) !=
                0 &&
            ferror(out.file) == 0)
            status = core_fail(CORE_E_MEMORY, "%s: no memory for a report",
                               path);
        fputc('\n', out.file);
        if (status == CORE_OK)
            status = har_outfile_commit(&out);
        har_outfile_drop(&out);
    }
    json_decref(value);
    return status;
}
