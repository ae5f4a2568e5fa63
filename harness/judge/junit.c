/* harness/judge/junit.c -- a judgement as JUnit XML: one test case per tap.
 *
 * The class of a case is its layer, so that CI systems group by it.  A finding
 * that belongs to no tap (a rank's file is missing) fails a case of its own.
 */
#include "harness/judge/report.h"
#include "harness/diagnose/report.h"
#include "harness/page/page.h"

#include <string.h>

static void write_findings(const har_judgement *g, int64_t i_tap, FILE *out)
{
    for (int64_t i = 0; i < g->dump->n_finding; i++) {
        const har_finding *f = &g->dump->finding[i];
        if (f->i_tap != i_tap || har_finding_is_note(f->kind))
            continue;
        har_page_text(out, har_finding_name(f->kind));
        fputs(": ", out);
        har_page_text(out, f->file >= 0 ? har_judge_owner(g, f->file) : "");
        fputs(f->file >= 0 ? ", " : "", out);
        har_page_text(out, f->tensor);
        fputs(": ", out);
        har_page_text(out, f->text);
        fputc('\n', out);
    }
}

static void write_failure(const har_judgement *g, int64_t i, FILE *out)
{
    const har_tap_judgement *t = &g->tap[i];
    char text[HAR_SPOT_TEXT], ratio[HAR_RATIO_TEXT];
    char likeness[HAR_DIAGNOSIS_TEXT];
    fprintf(out, "      <failure type=\"%s\" message=\"", har__mark_text(t));
    if (t->problem[0] != '\0')
        har_page_text(out, t->problem);
    else if (t->n_failed > 0)
        fprintf(out, "%lld of %lld rows, observed / bound %s",
                (long long)t->n_failed, (long long)t->n_row,
                har__ratio_text(ratio, t->ratio));
    else
        fputs("not all of it can be compared", out);
    fputs("\">", out);
    write_findings(g, i, out);
    for (int k = 0; k < t->n_spot && t->n_failed > 0; k++) {
        har_page_text(out, har__spot_text(text, g, &t->spot[k]));
        fputc('\n', out);
    }
    for (int k = 0; i == g->diagnosed && k < g->diagnosis.n; k++) {
        fputs("looks like ", out);
        har_page_text(out, har_diagnosis_text(likeness, &g->diagnosis, k));
        fputc('\n', out);
    }
    fputs("</failure>\n", out);
}

static void write_case(const har_judgement *g, int64_t i, FILE *out)
{
    const har_tap_judgement *t = &g->tap[i];
    const har_yard_tap *tap = &g->yard->tap[i];
    char ratio[HAR_RATIO_TEXT];
    fputs("    <testcase name=\"", out);
    har_page_text(out, tap->data->name);
    if (tap->name.is_tap && strncmp(har_yard_body(tap), "layers.", 7) == 0)
        fprintf(out, "\" classname=\"layer %d\">\n", tap->name.tap.layer);
    else
        fputs("\" classname=\"model\">\n", out);
    if (t->verdict == HAR_FAIL) {
        write_failure(g, i, out);
    } else if (!t->is_judged) {
        fputs("      <skipped message=\"", out);
        har_page_text(out, t->problem);
        fputs("\"/>\n", out);
    } else {
        fprintf(out,
                "      <system-out>%s, observed / bound %s, %lld rows"
                "</system-out>\n",
                har__mark_text(t), har__ratio_text(ratio, t->ratio),
                (long long)t->n_judged);
    }
    fputs("    </testcase>\n", out);
}

static int64_t count_skipped(const har_judgement *g)
{
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_tap; i++)
        n += !g->tap[i].is_judged && g->tap[i].verdict != HAR_FAIL;
    return n;
}

static bool files_fail(const har_judgement *g)
{
    for (int64_t i = 0; i < g->dump->n_finding; i++)
        if (g->dump->finding[i].i_tap < 0 &&
            !har_finding_is_note(g->dump->finding[i].kind))
            return true;
    return g->n_judged == 0;
}

void har_judge_junit(const har_judgement *g, FILE *out)
{
    const bool files = files_fail(g);
    const long long n = (long long)g->n_tap + 1;
    const long long n_failed = (long long)g->n_failed + files;
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
    fprintf(out, "<testsuites tests=\"%lld\" failures=\"%lld\">\n", n,
            n_failed);
    fputs("  <testsuite name=\"moeparity compare ", out);
    har_page_text(out, g->yard->path);
    fputs(" ", out);
    har_page_text(out, g->dump->path);
    fprintf(out, "\" tests=\"%lld\" failures=\"%lld\" skipped=\"%lld\">\n", n,
            n_failed, (long long)count_skipped(g));
    fputs("    <testcase name=\"files\" classname=\"dump\">\n", out);
    if (files) {
        fputs("      <failure type=\"FAIL\" message=\"the dump is not "
              "complete\">",
              out);
        write_findings(g, -1, out);
        fputs("</failure>\n", out);
    }
    fputs("    </testcase>\n", out);
    for (int64_t i = 0; i < g->n_tap; i++)
        write_case(g, i, out);
    fputs("  </testsuite>\n</testsuites>\n", out);
}
