/* harness/perf/score/table_field.c -- a number in a field of a table. */
#include "harness/perf/score/table_impl.h"

#include <stdlib.h>

core_status har__field_number(const har__line *l, int i, double least,
                              double most, double *out)
{
    char *end = NULL;
    const char *text = l->field[i];
    const double value = strtod(text, &end);
    CORE_FAIL_IF(
        end == text || *end != '\0' || !(value >= least && value <= most),
        CORE_E_FORMAT,
        "%s:%d:%d: %s: expected a number from %g to %g, found '%.40s'", l->path,
        l->number, i + 1, l->format->column[i], least, most, text);
    *out = value;
    return CORE_OK;
}
