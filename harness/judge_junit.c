/* harness/judge_junit.c -- a judgement as JUnit XML: one test case per tap.
 *
 * The class of a case is its layer, so that CI systems group by it.  A finding
 * that belongs to no tap (a rank's file is missing) fails a case of its own.
 * Traps: XML 1.0 cannot hold most control characters, not even escaped; a path
 * need not be UTF-8.
 */
#include "harness/judge_report.h"

#include <string.h>

/* Bytes of the UTF-8 character at text; 0 if there is none. */
static int utf8_bytes(const unsigned char *text)
{
    const int n = text[0] < 0x80                        ? 1
                  : text[0] >= 0xc2 && text[0] <= 0xdf ? 2
                  : text[0] >= 0xe0 && text[0] <= 0xef ? 3
                  : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                        : 0;
    for (int i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

void har__xml(FILE *out, const char *text)
{
    while (*text != '\0') {
        const int n = utf8_bytes((const unsigned char *)text);
        switch (*text) {
        case '&': fputs("&amp;", out); break;
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '"': fputs("&quot;", out); break;
        case '\'': fputs("&#39;", out); break;
        default:
            if (n == 0 || (unsigned char)*text < ' ' || *text == 0x7f)
                fputc('?', out);
            else
                fwrite(text, 1, (size_t)n, out);
        }
        text += n > 0 ? n : 1;
    }
}

static void write_findings(const har_judgement *g, int64_t i_tap, FILE *out)
{
    for (int64_t i = 0; i < g->dump->n_finding; i++) {
        const har_finding *f = &g->dump->finding[i];
        if (f->i_tap != i_tap || har_finding_is_note(f->kind))
            continue;
        har__xml(out, har_finding_name(f->kind));
        fputs(": ", out);
        har__xml(out, f->file >= 0 ? har_judge_owner(g, f->file) : "");
        fputs(f->file >= 0 ? ", " : "", out);
        har__xml(out, f->tensor);
        fputs(": ", out);
        har__xml(out, f->text);
        fputc('\n', out);
    }
}

static void write_failure(const har_judgement *g, int64_t i, FILE *out)
{
    const har_tap_judgement *t = &g->tap[i];
    char text[HAR_SPOT_TEXT], ratio[HAR_RATIO_TEXT];
    fprintf(out, "      <failure type=\"FAIL\" message=\"");
    if (t->problem[0] != '\0')
        har__xml(out, t->problem);
    else if (t->n_failed > 0)
        fprintf(out, "%lld of %lld rows, observed / bound %s",
                (long long)t->n_failed, (long long)t->n_row,
                har__ratio_text(ratio, t->ratio));
    else
        fputs("not all of it can be compared", out);
    fputs("\">", out);
    write_findings(g, i, out);
    for (int k = 0; k < t->n_spot && t->n_failed > 0; k++) {
        har__xml(out, har__spot_text(text, g, &t->spot[k]));
        fputc('\n', out);
    }
    fputs("</failure>\n", out);
}

static void write_class(const har_yard_tap *tap, FILE *out)
{
    const char *body = har_yard_body(tap);
    har__xml(out, tap->data->name);
    fputs("\" classname=\"", out);
    if (tap->name.is_tap && strncmp(body, "layers.", 7) == 0)
        fprintf(out, "layer %d", tap->name.tap.layer);
    else
        fputs("model", out);
}

static void write_case(const har_judgement *g, int64_t i, FILE *out)
{
    const har_tap_judgement *t = &g->tap[i];
    char ratio[HAR_RATIO_TEXT];
    fputs("    <testcase name=\"", out);
    write_class(&g->yard->tap[i], out);
    fputs("\">\n", out);
    if (t->verdict == HAR_FAIL) {
        write_failure(g, i, out);
    } else if (!t->is_judged) {
        fputs("      <skipped message=\"", out);
        har__xml(out, t->problem);
        fputs("\"/>\n", out);
    } else {
        fprintf(out,
                "      <system-out>%s, observed / bound %s, %lld rows"
                "</system-out>\n",
                har_verdict_name(t->verdict), har__ratio_text(ratio, t->ratio),
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
    har__xml(out, g->yard->path);
    fputs(" ", out);
    har__xml(out, g->dump->path);
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
