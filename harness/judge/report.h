/* harness/judge/report.h -- a judgement as text, JSON, JUnit XML and one page.
 *
 * Those that write to a stream, which the caller opens and closes, cannot fail
 * but by the stream's own error.
 */
#ifndef HAR_JUDGE_REPORT_H
#define HAR_JUDGE_REPORT_H

#include "harness/judge/judge.h"

#include <stdio.h>

void har_judge_text(const har_judgement *judged, FILE *out);

/* Schema moeparity.compare/2.  Errors: E_MEMORY, E_FILE, E_SPACE.    [local] */
CORE_NODISCARD core_status har_judge_json(const har_judgement *judged,
                                          const char *path);

/* A test case per tap, and one for the files. */
void har_judge_junit(const har_judgement *judged, FILE *out);

/* Without scripts, and without anything from elsewhere. */
void har_judge_html(const har_judgement *judged, FILE *out);

enum { HAR_SPOT_TEXT = 320, HAR_RATIO_TEXT = 24 };

/* "row 3, position 17, column 5 (head 1): expected 1, found 2, 12 times its
 * bound 0.08; rank 2".  Returns text.                                [local] */
const char *har__spot_text(char text[HAR_SPOT_TEXT],
                           const har_judgement *judged,
                           const har_spot *spot);

/* "0.37", "1.2e+04", "inf".                                          [local] */
const char *har__ratio_text(char text[HAR_RATIO_TEXT], double ratio);

/* "within its tolerances, which are an estimate ..." of the verdict. [local] */
const char *har__verdict_text(char text[HAR_SPOT_TEXT],
                              const har_judgement *judged);

/* "PASS", "MARGINAL", "PRECISION", "FAIL" of the whole.              [local] */
const char *har__word_text(const har_judgement *judged);

/* "PASS", "MARGINAL", "PRECISION", "FAIL", "-" of a tap.             [local] */
const char *har__mark_text(const har_tap_judgement *tap);

/* The kinds that some layer of the yardstick has, coarse ones only if asked;
 * returns how many; kinds: [CORE_N_TAP_KINDS].                       [local] */
int har__judge_kinds(const har_judgement *judged, bool coarse_only,
                     core_tap_kind *kinds);

/* "attn_out" of "layers.%d.attn_out".                                [local] */
const char *har__kind_label(char text[CORE_NAME_BYTES], core_tap_kind kind);

/* The last layer that has a tap in the part, -1: none.               [local] */
int har__judge_last_layer(const har_judgement *judged, int part);

/* Index of a tap of the yardstick, -1: none; layer -1 for the global ones.   */
int64_t har__judge_index(const har_judgement *judged, int part, int layer,
                         core_tap_kind kind);

#endif
