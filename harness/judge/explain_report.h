/* harness/judge/explain_report.h -- an explanation in words and for machines.
 * */
#ifndef HAR_EXPLAIN_REPORT_H
#define HAR_EXPLAIN_REPORT_H

#include "core/files/json.h"
#include "harness/judge/explain.h"

#include <stdio.h>

/* Lines of the judgement's explanation; nothing if none was asked for.       */
void har_explanation_write(const har_judgement *judged, FILE *out);

/* null: none was asked for; NULL: no memory.                         [local] */
json_t *har_explanation_json(const har_judgement *judged);

#endif
