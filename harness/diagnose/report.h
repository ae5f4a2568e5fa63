/* harness/diagnose/report.h -- a diagnosis as text and JSON. */
#ifndef HAR_DIAGNOSE_REPORT_H
#define HAR_DIAGNOSE_REPORT_H

#include "core/files/json.h"
#include "harness/diagnose/diagnose.h"

#include <stdio.h>

enum { HAR_DIAGNOSIS_TEXT = 2 * HAR_LIKENESS_TEXT + 64 };

/* "every value is twice what it should be, in 11 of 22 rows (explains 100.0 %
 * of the difference)" of likeness i.  Returns text.                     [local]
 */
const char *har_diagnosis_text(char text[HAR_DIAGNOSIS_TEXT],
                               const har_diagnosis *diagnosis, int i);

/* A line for each likeness, "looks like ...", "or ...", behind an indent.
 *                                                                    [local] */
void har_diagnosis_write(const har_diagnosis *diagnosis, const char *indent,
                         FILE *out);

/* [{"signature": "ratio", "text": ..., "where": ..., "explained": 1.0}, ...];
 * empty if nothing fits.  The caller owns it.                        [local] */
json_t *har_diagnosis_json(const har_diagnosis *diagnosis);

#endif
