/* harness/grade_report.h -- a grade as text, JSON, JUnit XML and one page.
 *
 * Each writes to a stream that the caller opens and closes; none can fail but by
 * the stream's own error.
 */
#ifndef HAR_GRADE_REPORT_H
#define HAR_GRADE_REPORT_H

#include "harness/grade.h"

#include <stdio.h>

void har_grade_text(const har_grade *grade, FILE *out);
void har_grade_json(const har_grade *grade, FILE *out);  /* moeparity.compare/2 */
void har_grade_junit(const har_grade *grade, FILE *out); /* a case per tap      */
void har_grade_html(const har_grade *grade, FILE *out);  /* no scripts, no links */

enum { HAR_SPOT_TEXT = 320, HAR_RATIO_TEXT = 24 };

/* "row 3, position 17, column 5 (head 1): expected 1, found 2, 12 times its
 * bound 0.08; rank 2".  Returns text.                                 [local] */
const char *har__spot_text(char text[HAR_SPOT_TEXT], const har_grade *grade,
                           const har_spot *spot);

/* "0.37", "1.2e+04", "inf".                                           [local] */
const char *har__ratio_text(char text[HAR_RATIO_TEXT], double ratio);

/* "within its tolerances, which are an estimate ..." of the verdict.  [local] */
const char *har__verdict_text(char text[HAR_SPOT_TEXT], const har_grade *grade);

/* "PASS", "MARGINAL", "FAIL", "-" of a tap.                           [local] */
const char *har__mark_text(const har_tap_grade *tap);

/* Text with &, <, >, quotes and control characters written for XML.          */
void har__xml(FILE *out, const char *text);

/* The kinds that some layer of the yardstick has, coarse ones only if asked;
 * returns how many; kinds: [CORE_N_TAP_KINDS].                        [local] */
int har__grade_kinds(const har_grade *grade, bool coarse_only,
                     core_tap_kind *kinds);

/* "attn_out" of "layers.%d.attn_out".                                 [local] */
const char *har__kind_label(char text[CORE_NAME_BYTES], core_tap_kind kind);

/* Index of a tap of the yardstick, -1: none; layer -1 for the global ones.   */
int64_t har__grade_index(const har_grade *grade, int part, int layer,
                         core_tap_kind kind);

#endif
