/* harness/verify/lattice.c -- see lattice.h.
 *
 * Storing is idempotent: a value of the type stays as it is.
 */
#include "harness/verify/lattice.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void har_lattice_init(har_lattice *seen)
{
    memset(seen, 0, sizeof *seen);
    seen->first.row = INT64_MAX;
}

void har_lattice_row(har_lattice *seen, core_numerics numerics, core_grid grid,
                     int64_t row, int64_t col0, int64_t n, const double *found,
                     double *stored)
{
    if (core_store_roundoff(numerics) <= core_store_roundoff(CORE_FP64))
        return; /* exact is compared bit for bit */
    memcpy(stored, found, (size_t)n * sizeof *stored);
    core_store(numerics, grid, stored, n);
    for (int64_t j = 0; j < n; j++) {
        const har_element e = {row, col0 + j, stored[j], found[j], 0.0};
        if (isnan(found[j]) || stored[j] == found[j])
            continue;
        seen->n_off++;
        if (har_element_is_before(&e, &seen->first))
            seen->first = e;
    }
}

const char *har_lattice_format(const har_lattice *seen, core_numerics numerics,
                               char text[HAR_LATTICE_TEXT])
{
    const core_numerics_text name = core_numerics_name(numerics);
    snprintf(text, HAR_LATTICE_TEXT,
             "%lld value%s not rounded to %s: %.17g would be stored as %.10g",
             (long long)seen->n_off, seen->n_off == 1 ? " is" : "s are",
             name.text, seen->first.found, seen->first.expected);
    return text;
}
