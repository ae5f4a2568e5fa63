#include "harness/grade_report.h"
void har_grade_html(const har_grade *g, FILE *out) { (void)g; (void)out; }
