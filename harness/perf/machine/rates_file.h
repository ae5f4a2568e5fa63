/* harness/perf/machine/rates_file.h -- the two sections of rates in a machine file. */
#ifndef HAR_PERF_RATES_FILE_H
#define HAR_PERF_RATES_FILE_H

#include "core/files/yaml_list.h"
#include "harness/perf/machine/rates.h"

#include <stdio.h>

/* True if the entry belongs to the sections `products` or `operators`.        */
bool har_rates_owns(const core_yaml_entry *entry);

/* Take one entry.  Errors: E_FORMAT as FILE:LINE:COLUMN: key: expected, found.
 *                                                                     [local] */
CORE_NODISCARD core_status har_rates_take(har_rates *rates, const char *file,
                                          const core_yaml_entry *entry);

/* After the last entry: is what must be there, there?  Errors: E_FORMAT.      */
CORE_NODISCARD core_status har_rates_check(const har_rates *rates,
                                           const char *file);

/* Put every number into the range that a file may have.              [local] */
void har_rates_clamp(har_rates *rates);

/* The sections as text, read back to the printed digits.             [local] */
void har_rates_write(FILE *out, const har_rates *rates);

#endif
