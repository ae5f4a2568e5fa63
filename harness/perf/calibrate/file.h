/* harness/perf/calibrate/file.h -- what calibrate writes, and what it says. */
#ifndef HAR_PERF_CALIBRATE_FILE_H
#define HAR_PERF_CALIBRATE_FILE_H

#include "harness/perf/calibrate/calibrate.h"

/* Seconds of starting and ending n ranks that do nothing.                    */
typedef struct har_start_up {
    int n[2];
    double seconds[2];
} har_start_up;

/* The machine file with versions, date, noise and raw samples.  Written beside
 * and renamed.  Errors: E_FILE, E_SPACE.                              [local] */
CORE_NODISCARD core_status har_calibration_write(
    const char *path, const har_machine *machine,
    const har_calibration *kernels, const har_calibration *links,
    const har_start_up *start);

/* The same for a person, without samples.                             [local] */
void har_calibration_report(FILE *out, const har_machine *machine,
                            const har_calibration *kernels,
                            const har_calibration *links,
                            const har_start_up *start, double seconds);

#endif
