/* harness/judge_html.c -- a judgement as one page that stands alone.
 *
 * No script, no font, no image from elsewhere: the page is kept with a CI run
 * and opened years later.  Colours are CSS variables with a light and a dark
 * set.  Everything that comes from a file's header goes through har__xml.
 */
#include "harness/judge_svg.h"

#include <math.h>
#include <string.h>

static const char STYLE[] =
    ":root{color-scheme:light dark;--paper:#fbfbfa;--card:#fff;--line:#e3e3df;"
    "--ink:#1d1f21;--soft:#6a6f75;--good:#2b8a6e;--warn:#d98a00;--bad:#c8362b;"
    "--idle:#9aa0a6;--load:#3d6fb6}\n"
    "@media (prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1d2024;"
    "--line:#32363b;--ink:#e8e9ea;--soft:#9aa1a9;--good:#47b494;--warn:#f0a93b;"
    "--bad:#f0655a;--idle:#70767d;--load:#6fa0ea}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}\n"
    "section,header{background:var(--card);border:1px solid var(--line);"
    "border-radius:10px;padding:18px 22px;margin:0 0 18px;overflow-x:auto}\n"
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
    ".FAIL{color:var(--bad);font-weight:600}.MARGINAL{color:var(--warn);"
    "font-weight:600}.PASS{color:var(--good)}\n"
    ".key{display:flex;flex-wrap:wrap;gap:4px 20px;font-size:13px;"
    "color:var(--soft);margin:10px 0 0}\n"
    ".key i{display:inline-block;width:13px;height:13px;border-radius:3px;"
    "margin-right:6px;vertical-align:-2px}\n"
    "summary{cursor:pointer;font-weight:600}\n"
    "footer{color:var(--soft);font-size:13px}\n";

static void line(FILE *out, const char *name, const char *text)
{
    fputs("<dt>", out);
    har__xml(out, name);
    fputs("</dt><dd>", out);
    har__xml(out, text);
    fputs("</dd>\n", out);
}

static void cell(FILE *out, const char *class, const char *text)
{
    fprintf(out, "<td class=\"%s\">", class);
    har__xml(out, text);
    fputs("</td>", out);
}

static void number(FILE *out, int64_t n)
{
    fprintf(out, "<td class=\"n\">%lld</td>", (long long)n);
}

/* --- head --- */

static const char *colour_of(har_verdict verdict)
{
    return verdict == HAR_FAIL       ? "bad"
           : verdict == HAR_MARGINAL ? "warn"
                                     : "good";
}

static void write_facts(const har_judgement *g, FILE *out)
{
    char text[1024];
    int64_t n_same = 0, n_token = 0;
    for (int i = 0; i < g->n_routing; i++) {
        n_same += g->routing[i].n_same;
        n_token += g->routing[i].n_token;
    }
    fputs("<dl>\n", out);
    snprintf(text, sizeof text, "%s%s%s", g->yard->path,
             g->yard->numerics[0] != '\0' ? ", " : "", g->yard->numerics);
    line(out, "golden", text);
    snprintf(text, sizeof text, "%s, %d %s%s%s", g->dump->path, g->dump->n_file,
             g->dump->n_file == 1 ? "file" : "files",
             g->map_name[0] != '\0' ? ", names by the map " : "", g->map_name);
    line(out, "dump", text);
    line(out, "tolerances",
         strcmp(g->yard->numerics, "exact") == 0 ? "none, bit for bit"
                                                 : g->yard->estimate);
    if (g->widest > 0.0)
        line(out, "at most",
             har_widest_text(text, g->widest,
                             har_yard_body(&g->yard->tap[g->widest_tap])));
    snprintf(text, sizeof text,
             "%lld pass, %lld marginal (over half of a bound), %lld fail; %lld "
             "not judged",
             (long long)g->n_passed, (long long)g->n_marginal,
             (long long)g->n_failed, (long long)(g->n_tap - g->n_judged));
    line(out, "taps", text);
    snprintf(text, sizeof text,
             "%lld of %lld choices agree; flips: %lld with a certificate, %lld "
             "without; %lld rows set aside after them",
             (long long)n_same, (long long)n_token, (long long)g->n_certified,
             (long long)g->n_uncertified, (long long)g->n_excluded);
    line(out, "routing", g->forced_routing ? "the golden's, not judged" : text);
    fputs("</dl>\n", out);
}

static void write_header(const har_judgement *g, FILE *out)
{
    char text[HAR_SPOT_TEXT];
    fprintf(out, "<header style=\"--verdict:var(--%s)\">\n<h1>%s</h1>\n<p>",
            colour_of(g->verdict), har_verdict_name(g->verdict));
    har__xml(out, har__verdict_text(text, g));
    if (g->first >= 0 && g->tap[g->first].n_failed > 0) {
        fputs("<br>", out);
        har__xml(out, har__spot_text(text, g, &g->tap[g->first].first_bad));
    } else if (g->verdict != HAR_FAIL && g->n_worst > 0 &&
               g->worst[0].ratio > 0.0) {
        fputs("<br>worst: ", out);
        har__xml(out, g->yard->tap[g->worst[0].i_tap].data->name);
        fputs(", ", out);
        har__xml(out, har__spot_text(text, g, &g->worst[0]));
    }
    fputs("</p>\n", out);
    write_facts(g, out);
    fputs("</header>\n", out);
}

/* --- pictures --- */

static void open_section(FILE *out, const char *heading, const char *prefix,
                         const char *text)
{
    fputs("<section><h2>", out);
    har__xml(out, heading);
    fputs(prefix[0] != '\0' ? " \xc2\xb7 prompt " : "", out);
    har__xml(out, prefix);
    fputs("</h2><p>", out);
    har__xml(out, text);
    fputs("</p>\n", out);
}

static const char ZONES[] =
    "<div class=\"key\"><span><i style=\"background:var(--good);opacity:.5\">"
    "</i>within half of the bound</span><span><i "
    "style=\"background:var(--warn)\"></i>over half: marginal</span><span><i "
    "style=\"background:var(--bad)\"></i>over the bound, or missing</span>"
    "<span><i style=\"background:var(--idle);opacity:.4\"></i>not judged"
    "</span></div>\n";

static void write_pictures(const har_judgement *g, int part, FILE *out)
{
    const char *prefix = g->yard->n_part > 1 ? g->yard->part[part].prefix : "";
    core_tap_kind kinds[CORE_N_TAP_KINDS];
    if (har__judge_kinds(g, false, kinds) > 0) { /* not of a Switch layer */
        open_section(out, "Observed / bound", prefix,
                     "The worst token row of every tap, in the order of "
                     "execution from top left. A frame marks the first tap "
                     "that fails.");
        har__svg_taps(g, part, out);
        fputs(ZONES, out);
        fputs("</section>\n", out);
    }
    open_section(out, "Where in the batch", prefix,
                 "For every token the worst of all taps.");
    har__svg_tokens(g, part, out);
    fputs("</section>\n", out);
    if (!har__svg_has_routing(g, part))
        return;
    open_section(out, "Routing agreement", prefix,
                 "Tokens that chose the golden's experts, as sets. A flip is "
                 "excused only with a certificate: the golden's scores lie "
                 "within the tolerance of that token.");
    har__svg_routing(g, part, out);
    fputs("<div class=\"key\"><span><i style=\"background:var(--good);"
          "opacity:.5\"></i>agree</span><span><i style=\"background:"
          "var(--warn)\"></i>flip with a certificate</span><span><i "
          "style=\"background:var(--bad)\"></i>flip without</span><span><i "
          "style=\"background:var(--idle)\"></i>set aside after a flip</span>"
          "</div></section>\n",
          out);
    open_section(out, "Load per expert", prefix,
                 "How often the golden's tokens chose each expert; framed "
                 "where the dump's number is another.");
    har__svg_load(g, part, out);
    fputs("</section>\n", out);
}

/* --- tables --- */

static void write_spot(const har_judgement *g, const har_spot *s, FILE *out)
{
    char text[64];
    fputs("<tr>", out);
    cell(out, "", g->yard->tap[s->i_tap].data->name);
    number(out, s->b);
    number(out, s->t);
    number(out, s->col);
    snprintf(text, sizeof text, s->head >= 0 ? "head %lld" : "expert %lld",
             (long long)(s->head >= 0 ? s->head : s->expert));
    cell(out, "", s->head >= 0 || s->expert >= 0 ? text : "");
    snprintf(text, sizeof text, "%.7g", s->expected);
    cell(out, "n", text);
    snprintf(text, sizeof text, "%.7g", s->found);
    cell(out, "n", text);
    cell(out, s->ratio > 1.0   ? "n FAIL"
              : s->ratio > 0.5 ? "n MARGINAL"
                               : "n PASS",
         har__ratio_text(text, s->ratio));
    cell(out, "", har_judge_owner(g, s->file));
    fputs("</tr>\n", out);
}

static void write_worst(const har_judgement *g, FILE *out)
{
    if (g->n_worst == 0 || !(g->worst[0].ratio > 0.0))
        return;
    open_section(out, "Worst rows", "",
                 "Observed / bound at the worst element of a token row; at "
                 "most three rows of a tap.");
    fputs("<table><tr><th>tap<th class=\"n\">row<th class=\"n\">position"
          "<th class=\"n\">column<th><th class=\"n\">expected<th class=\"n\">"
          "found<th class=\"n\">observed / bound<th>owner</tr>\n",
          out);
    for (int i = 0; i < g->n_worst && g->worst[i].ratio > 0.0; i++)
        write_spot(g, &g->worst[i], out);
    fputs("</table></section>\n", out);
}

static void write_findings(const har_judgement *g, FILE *out)
{
    enum { MAX_ROWS = 100 };
    const har_foreign *d = g->dump;
    if (d->n_finding == 0)
        return;
    open_section(out, "Tensors", "",
                 "Missing, differing between ranks, misshapen and non-finite "
                 "tensors fail; extra and unknown ones are only told.");
    fputs("<table><tr><th>what<th>owner<th>tensor<th>expected and found</tr>\n",
          out);
    for (int64_t i = 0; i < d->n_finding && i < MAX_ROWS; i++) {
        const har_finding *f = &d->finding[i];
        fputs("<tr>", out);
        cell(out, har_finding_is_note(f->kind) ? "" : "FAIL",
             har_finding_name(f->kind));
        cell(out, "", har_judge_owner(g, f->file));
        cell(out, "", f->tensor);
        cell(out, "text", f->text);
        fputs("</tr>\n", out);
    }
    fputs("</table>\n", out);
    if (d->n_finding > MAX_ROWS)
        fprintf(out, "<p>and %lld more</p>\n",
                (long long)(d->n_finding - MAX_ROWS));
    fputs("</section>\n", out);
}

static void write_tap(const har_judgement *g, int64_t i, FILE *out)
{
    const har_tap_judgement *t = &g->tap[i];
    char text[HAR_RATIO_TEXT];
    fputs("<tr>", out);
    cell(out, "", g->yard->tap[i].data->name);
    cell(out, har__mark_text(t), har__mark_text(t));
    cell(out, "n", t->is_judged ? har__ratio_text(text, t->ratio) : "");
    number(out, t->n_judged);
    number(out, t->n_failed);
    number(out, t->n_marginal);
    number(out, t->n_excluded);
    number(out, t->n_missing);
    cell(out, "n", t->is_judged ? har__ratio_text(text, t->relative_rms) : "");
    cell(out, "text", t->problem);
    fputs("</tr>\n", out);
}

static void write_taps(const har_judgement *g, FILE *out)
{
    fputs("<section><details><summary>All taps</summary>\n<table><tr><th>tap"
          "<th>verdict<th class=\"n\">observed / bound<th class=\"n\">rows"
          "<th class=\"n\">fail<th class=\"n\">marginal<th class=\"n\">set "
          "aside<th class=\"n\">missing<th class=\"n\">relative rms<th></tr>\n",
          out);
    for (int64_t i = 0; i < g->n_tap; i++)
        write_tap(g, i, out);
    fputs("</table></details></section>\n", out);
}

void har_judge_html(const har_judgement *g, FILE *out)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
          out);
    fprintf(out, "%s \xc2\xb7 moeparity compare</title>\n<style>\n",
            har_verdict_name(g->verdict));
    fputs(STYLE, out);
    fputs("</style></head><body><main>\n", out);
    write_header(g, out);
    for (int i = 0; i < g->yard->n_part; i++)
        write_pictures(g, i, out);
    write_worst(g, out);
    write_findings(g, out);
    write_taps(g, out);
    fputs("<footer>moeparity " HAR_VERSION ". A verdict by tolerance is an "
          "estimate: a correct implementation stays within it, an error "
          "smaller than it is not seen.</footer>\n</main></body></html>\n",
          out);
}
