/* harness/page/page.c -- see page.h.
 *
 * Traps: XML 1.0 cannot hold most control characters, not even escaped; a path
 * need not be UTF-8.
 */
#include "harness/page/page.h"

#include "core/base/printable.h"

static const char STYLE[] =
    ":root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--line:#e3e3df;"
    "--ink:#1d1f21;--soft:#6a6f75;--good:#26806a;--warn:#a06600;--bad:#c8362b;"
    "--idle:#9aa0a6;--load:#3d6fb6}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1d2024;"
    "--line:#32363b;--ink:#e8e9ea;--soft:#9aa1a9;--good:#47b494;--warn:#f0a93b;"
    "--bad:#f0655a;--idle:#70767d;--load:#6fa0ea}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}\n"
    "section,header{background:var(--card);border:1px solid var(--line);"
    "border-radius:10px;padding:18px 22px;margin:0 0 18px}\n"
    ".wide{overflow-x:auto}\n"
    "h1{font-size:26px;margin:0;line-height:1.2}\n"
    "h2{font-size:17px;margin:0 0 2px}\n"
    "p{margin:4px 0 12px;color:var(--soft)}\n"
    "header{border-left:10px solid var(--verdict)}\n"
    "header h1{color:var(--verdict)}\n"
    "header p{color:var(--ink);font-size:16px}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:"
    "12px 0 0}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "svg{display:block;max-width:none;font:12px system-ui,sans-serif}\n"
    "svg text{fill:var(--ink)}svg .dim{fill:var(--soft)}"
    "svg .on{fill:var(--card)}\n"
    "svg .mid{text-anchor:middle}svg .end{text-anchor:end}\n"
    "table{border-collapse:collapse;font-size:14px;font-variant-numeric:"
    "tabular-nums;width:100%}\n"
    "th{text-align:left;color:var(--soft);font-weight:500}\n"
    "td,th{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);"
    "vertical-align:top;white-space:nowrap}\n"
    "td.text{white-space:normal;min-width:20em}\n"
    ".n{text-align:right}\n"
    ".FAIL,.PRECISION{color:var(--bad);font-weight:600}\n"
    ".MARGINAL{color:var(--warn);font-weight:600}.PASS{color:var(--good)}\n"
    ".key{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;"
    "color:var(--soft);margin:10px 0 0}\n"
    ".key i{display:inline-block;width:13px;height:13px;border-radius:3px;"
    "margin-right:6px;vertical-align:-2px}\n"
    ".ramp i{width:7px;margin:0;border-radius:0}\n"
    "summary{cursor:pointer;font-weight:600}\n"
    "footer{color:var(--soft);font-size:13px}\n"
    "@media (max-width:500px){main{padding:12px 8px 40px}"
    "section,header{padding:14px 12px}dl{grid-template-columns:1fr}"
    "dd{margin-bottom:6px}}\n"
    "@media print{main{padding:0}section,header{break-inside:auto}"
    "svg{max-width:100%;height:auto}td,th,td.text{white-space:normal;"
    "min-width:0;padding-right:6px;font-size:11px;overflow-wrap:anywhere}}\n";

void har_page_text(FILE *out, const char *text)
{
    char shown[CORE_SHOWN_BYTES];
    for (int n; *text != '\0'; text += n) {
        core_shown(shown, text, &n);
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputs(shown, out);
        }
    }
}

void har_page_format(FILE *out, const char *fmt, va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof text, fmt, args);
    har_page_text(out, text);
}

void har_page_begin(FILE *out, const char *title, const char *more_style)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
          out);
    har_page_text(out, title);
    fputs("</title>\n<style>\n", out);
    fputs(STYLE, out);
    fputs(more_style, out);
    fputs("</style></head><body><main>\n", out);
}

void har_page_end(FILE *out, const char *note)
{
    fputs("<footer>moeparity " HAR_VERSION ". ", out);
    har_page_text(out, note);
    fputs("</footer>\n</main></body></html>\n", out);
}

void har_page_fact(FILE *out, const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(out, "<dt>%s</dt><dd>", name);
    har_page_format(out, fmt, args);
    fputs("</dd>\n", out);
    va_end(args);
}

void har_page_ramp(FILE *out, const char *colour, double from, double to,
                   const char *low, const char *high)
{
    enum { STEPS = 8 };
    fprintf(out, "<span>%s <span class=\"ramp\">", low);
    for (int k = 0; k < STEPS; k++)
        fprintf(out, "<i style=\"background:var(--%s);opacity:%.2f\"></i>",
                colour, from + (to - from) * k / (STEPS - 1));
    fprintf(out, "</span> %s</span>\n", high);
}

void har_page_cell(FILE *out, const char *class, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(out, "<td class=\"%s\">", class);
    har_page_format(out, fmt, args);
    fputs("</td>", out);
    va_end(args);
}

void har_page_count(FILE *out, int64_t n)
{
    fprintf(out, "<td class=\"n\">%lld</td>", (long long)n);
}
