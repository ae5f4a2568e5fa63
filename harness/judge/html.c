/* harness/judge/html.c -- a judgement as one page that stands alone.
 *
 * The page's frame and style are page/page.h's.  Everything that comes from a
 * file's header goes through har_page_text.
 */
#include "harness/judge/svg.h"
#include "harness/diagnose/report.h"
#include "harness/page/page.h"

/* --- head --- */

static const char *colour_of(har_verdict verdict)
{
    return verdict == HAR_FAIL       ? "bad"
           : verdict == HAR_MARGINAL ? "warn"
                                     : "good";
}

static void write_facts(const har_judgement *g, FILE *out)
{
    char text[HAR_WIDEST_TEXT], figures[HAR_FIGURES_TEXT];
    char likeness[HAR_DIAGNOSIS_TEXT];
    fputs("<dl>\n", out);
    har_page_fact(out, "golden", "%s%s%s", g->yard->path,
                  g->yard->numerics[0] != '\0' ? ", " : "", g->yard->numerics);
    har_page_fact(out, "dump", "%s, %d %s%s%s", g->dump->path, g->dump->n_file,
                  g->dump->n_file == 1 ? "file" : "files",
                  g->map_name[0] != '\0' ? ", names by the map " : "",
                  g->map_name);
    if (g->dump->held[0] != '\0')
        har_page_fact(out, "numerics", "%s", g->dump->held);
    har_page_fact(out, "tolerances", "%s", g->yard->estimate);
    if (g->widest > 0.0)
        har_page_fact(
            out, "at most", "%s",
            har_widest_text(text, g->widest,
                            har_yard_body(&g->yard->tap[g->widest_tap])));
    har_page_fact(out, "taps",
                  "%lld pass, %lld marginal (over half of a bound), %lld "
                  "undecided (tolerances that cannot tell), %lld fail; %lld "
                  "not judged",
                  (long long)g->n_passed, (long long)g->n_marginal,
                  (long long)g->n_undecided, (long long)g->n_failed,
                  (long long)(g->n_tap - g->n_judged));
    if (g->forced_routing)
        har_page_fact(out, "routing", "the golden's, not judged");
    else
        har_page_fact(out, "routing",
                      "%lld of %lld choices agree; flips: %lld with a "
                      "certificate, %lld without; %lld rows set aside after "
                      "them",
                      (long long)g->n_same, (long long)g->n_choice,
                      (long long)g->n_certified, (long long)g->n_uncertified,
                      (long long)g->n_excluded);
    if (g->dump->n_padding > 0)
        har_page_fact(out, "padding",
                      "%lld values behind the model's columns, not judged",
                      (long long)g->dump->n_padding);
    if (har_figures_text(figures, &g->figures)[0] != '\0')
        har_page_fact(out, "logits", "%s (not judged by it)", figures);
    for (int k = 0; k < g->diagnosis.n; k++)
        har_page_fact(out, "looks like", "%s: %s",
                      g->yard->tap[g->diagnosed].data->name,
                      har_diagnosis_text(likeness, &g->diagnosis, k));
    if (g->misfit[0] != '\0')
        har_page_fact(out, "hint", "%s: %s", g->yard->tap[g->first].data->name,
                      g->misfit);
    fputs("</dl>\n", out);
}

static void write_header(const har_judgement *g, FILE *out)
{
    char text[HAR_SPOT_TEXT];
    fprintf(out, "<header style=\"--verdict:var(--%s)\">\n<h1>%s</h1>\n<p>",
            colour_of(g->verdict), har__word_text(g));
    har_page_text(out, har__verdict_text(text, g));
    if (g->first >= 0 && g->tap[g->first].n_failed > 0) {
        fputs("<br>", out);
        har_page_text(out,
                      har__spot_text(text, g, &g->tap[g->first].first_bad));
    } else if (g->verdict != HAR_FAIL && g->n_worst > 0 &&
               g->worst[0].ratio > 0.0) {
        fputs("<br>worst: ", out);
        har_page_text(out, g->yard->tap[g->worst[0].i_tap].data->name);
        fputs(", ", out);
        har_page_text(out, har__spot_text(text, g, &g->worst[0]));
    }
    fputs("</p>\n", out);
    write_facts(g, out);
    fputs("</header>\n", out);
}

/* --- pictures --- */

static void open_section(FILE *out, const char *heading, const char *prefix,
                         const char *text)
{
    fprintf(out, "<section><h2>%s%s", heading,
            prefix[0] != '\0' ? " \xc2\xb7 prompt " : "");
    har_page_text(out, prefix);
    fputs("</h2><p>", out);
    har_page_text(out, text);
    fputs("</p>\n", out);
}

/* What har__svg_taps and har__svg_tokens colour by, from end to end. */
static void write_zones(FILE *out)
{
    fputs("<div class=\"key\">", out);
    har_page_ramp(out, "good", 0.12, 0.57, "0", "half of the bound");
    har_page_ramp(out, "warn", 0.35, 0.8, "half", "the bound: marginal");
    har_page_ramp(out, "bad", 0.55, 1.0, "the bound",
                  "1000 times the bound and more, or missing");
    fputs("<span><i style=\"background:var(--idle);opacity:.4\"></i>not judged"
          "</span></div>\n",
          out);
}

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
        write_zones(out);
        fputs("</section>\n", out);
    }
    open_section(out, "Where in the batch", prefix,
                 "For every token the worst of all taps.");
    har__svg_tokens(g, part, out);
    write_zones(out);
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
    fputs("<div class=\"key\">", out);
    har_page_ramp(out, "load", 0.06, 1.0, "never chosen",
                  "as often as the busiest of its layer");
    fputs("</div></section>\n", out);
}

/* --- tables --- */

static void write_spot(const har_judgement *g, const har_spot *s, FILE *out)
{
    char text[HAR_RATIO_TEXT];
    fputs("<tr>", out);
    har_page_cell(out, "", "%s", g->yard->tap[s->i_tap].data->name);
    har_page_count(out, s->b);
    har_page_count(out, s->t);
    har_page_count(out, s->col);
    har_page_cell(out, "",
                  s->head >= 0     ? "head %lld"
                  : s->expert >= 0 ? "expert %lld"
                                   : "",
                  (long long)(s->head >= 0 ? s->head : s->expert));
    har_page_cell(out, "n", "%.7g", s->expected);
    har_page_cell(out, "n", "%.7g", s->found);
    har_page_cell(out,
                  s->ratio > 1.0   ? "n FAIL"
                  : s->ratio > 0.5 ? "n MARGINAL"
                                   : "n PASS",
                  "%s", har__ratio_text(text, s->ratio));
    har_page_cell(out, "", "%s", har_judge_owner(g, s->file));
    fputs("</tr>\n", out);
}

static void write_worst(const har_judgement *g, FILE *out)
{
    if (g->n_worst == 0 || !(g->worst[0].ratio > 0.0))
        return;
    open_section(out, "Worst rows", "",
                 "Observed / bound at the worst element of a token row; at "
                 "most three rows of a tap.");
    fputs("<div class=\"wide\"><table><tr><th>tap<th class=\"n\">row"
          "<th class=\"n\">position"
          "<th class=\"n\">column<th><th class=\"n\">expected<th class=\"n\">"
          "found<th class=\"n\">observed / bound<th>owner</tr>\n",
          out);
    for (int i = 0; i < g->n_worst && g->worst[i].ratio > 0.0; i++)
        write_spot(g, &g->worst[i], out);
    fputs("</table></div></section>\n", out);
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
    fputs("<div class=\"wide\"><table><tr><th>what<th>owner<th>tensor<th>"
          "expected and found</tr>\n",
          out);
    for (int64_t i = 0; i < d->n_finding && i < MAX_ROWS; i++) {
        const har_finding *f = &d->finding[i];
        fputs("<tr>", out);
        har_page_cell(out, har_finding_is_note(f->kind) ? "" : "FAIL", "%s",
                      har_finding_name(f->kind));
        har_page_cell(out, "", "%s", har_judge_owner(g, f->file));
        har_page_cell(out, "", "%s", f->tensor);
        har_page_cell(out, "text", "%s", f->text);
        fputs("</tr>\n", out);
    }
    fputs("</table></div>\n", out);
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
    har_page_cell(out, "", "%s", g->yard->tap[i].data->name);
    har_page_cell(out, har__mark_text(t), "%s", har__mark_text(t));
    har_page_cell(out, "n", "%s",
                  t->is_judged ? har__ratio_text(text, t->ratio) : "");
    har_page_count(out, t->n_judged);
    har_page_count(out, t->n_failed);
    har_page_count(out, t->n_marginal);
    har_page_count(out, t->n_excluded);
    har_page_count(out, t->n_missing);
    har_page_cell(out, "n", "%s",
                  t->is_judged ? har__ratio_text(text, t->relative_rms) : "");
    har_page_cell(out, "text", "%s", t->problem);
    fputs("</tr>\n", out);
}

static void write_taps(const har_judgement *g, FILE *out)
{
    fputs("<section><details><summary>All taps</summary>\n<div "
          "class=\"wide\"><table><tr><th>tap"
          "<th>verdict<th class=\"n\">observed / bound<th class=\"n\">rows"
          "<th class=\"n\">fail<th class=\"n\">marginal<th class=\"n\">set "
          "aside<th class=\"n\">missing<th class=\"n\">relative rms<th></tr>\n",
          out);
    for (int64_t i = 0; i < g->n_tap; i++)
        write_tap(g, i, out);
    fputs("</table></div></details></section>\n", out);
}

void har_judge_html(const har_judgement *g, FILE *out)
{
    char title[64];
    snprintf(title, sizeof title, "%s \xc2\xb7 moeparity compare",
             har__word_text(g));
    har_page_begin(out, title, "");
    write_header(g, out);
    for (int i = 0; i < g->yard->n_part; i++)
        write_pictures(g, i, out);
    write_worst(g, out);
    write_findings(g, out);
    write_taps(g, out);
    har_page_end(out, "A verdict by tolerance is an estimate: a correct "
                      "implementation stays within it, an error smaller than "
                      "it is not seen.");
}
