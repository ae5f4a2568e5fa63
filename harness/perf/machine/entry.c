/* harness/perf/machine/entry.c -- a number of a machine file, or why not. */
#include "harness/perf/machine/impl.h"

#include "core/files/text.h"

core_status har__read_refuse(const char *file, const core_yaml_entry *e,
                             const char *expected)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s: expected %s, found '%.40s'", file,
              e->line, e->column, e->path, expected, e->text);
}

core_status har__read_number(const char *file, const core_yaml_entry *e,
                             double least, double most, double *out)
{
    char range[64];
    snprintf(range, sizeof range, "a number from %g to %g", least, most);
    return core_text_number(out, e->text, least, most)
               ? CORE_OK
               : har__read_refuse(file, e, range);
}
