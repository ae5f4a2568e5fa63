/* harness/page/sheet_head.c -- the answer first: what, how fast, does it fit,
 * is it right; then every figure with its definition.
 */
#include "harness/page/sheet_impl.h"

#include <math.h>
#include <string.h>

static void tile(FILE *out, const char *what, const char *value,
                 const char *unit, const char *below)
{
    fprintf(out,
            "<div class=\"tile\"><span>%s</span><b>%s <small>%s</small></b>"
            "<span>%s</span></div>\n",
            what, value, unit, below);
}

static void range_tile(FILE *out, const char *what, har_range r, double scale,
                       const char *unit, har__words words)
{
    char value[HAR__NUMBER], low[HAR__NUMBER], high[HAR__NUMBER], text[80];
    snprintf(text, sizeof text, "%.20s to %.20s", words(low, r.low * scale),
             words(high, r.high * scale));
    tile(out, what, words(value, r.value * scale), unit, text);
}

static void write_tiles(const har__sheet *s, FILE *out)
{
    const har_prediction *p = &s->p;
    const double gpus = 1e6 * p->n_gpu;
    const har_range cost = {gpus / p->tokens_per_s.value,
                            gpus / p->tokens_per_s.high,
                            gpus / p->tokens_per_s.low};
    char value[HAR__NUMBER], room[HAR__NUMBER], text[80];
    fputs("<div class=\"tiles\">\n", out);
    range_tile(out, "Latency of one pass", p->latency, 1e3, "ms", har__digits);
    range_tile(out, "Tokens/s, kept full", p->tokens_per_s, 1, "", har__si);
    range_tile(out, "GPU s / M tokens", cost, 1, "", har__digits);
    snprintf(text, sizeof text, "%.2g %% of %.20s GB",
             100 * p->memory / s->setup->machine.memory_bytes,
             har__digits(room, s->setup->machine.memory_bytes * 1e-9));
    tile(out, "Fullest GPU", har__digits(value, p->memory * 1e-9), "GB", text);
    range_tile(out, "MFU, kept full", p->serving_mfu, 100, "%", har__digits);
    range_tile(out, "Busy computing", p->compute, 100, "%", har__digits);
    fputs("</div>\n", out);
}

/* --- where a pass goes --- */

static void write_shares(const har_prediction *p, FILE *out)
{
    const struct {
        const char *colour, *text;
        double strength;
        har_range r;
    } part[] = {{"g0", "computing", 1, p->compute},
                {"g4", "transfers that nothing hides", 1, p->communication},
                {"g1", "waiting for slower peers", 0.55, p->imbalance},
                {"idle", "waiting for work of the pipeline", 0.45, p->bubble}};
    enum { N = sizeof part / sizeof part[0] };
    double x = 0;
    fputs("<h3>Where a pass goes, mean over the GPUs</h3>\n", out);
    har_svg_open(out, HAR__WIDTH, 30 + 5 * N, "shares of the latency");
    for (int i = 0; i < N; i++) {
        const double w = HAR__WIDTH * part[i].r.value;
        har_svg_rect(out, x, 2, fmax(w - 1, 0), 26, part[i].colour,
                     part[i].strength);
        har_svg_title(out, "%s: %.1f %% (%.1f to %.1f)", part[i].text,
                      100 * part[i].r.value, 100 * part[i].r.low,
                      100 * part[i].r.high);
        /* below the bar: from where to where its end may lie */
        har_svg_rect(out, x + HAR__WIDTH * part[i].r.low, 32 + 5 * i,
                     HAR__WIDTH * (part[i].r.high - part[i].r.low), 3,
                     part[i].colour, part[i].strength);
        har_svg_title(out, "%s: 90 %% interval", part[i].text);
        x += w;
    }
    har_svg_close(out);
    har__key_open(out);
    for (int i = 0; i < N; i++)
        har__key(out, part[i].colour, part[i].strength,
                 "%s %.1f %% (%.1f to %.1f)", part[i].text,
                 100 * part[i].r.value, 100 * part[i].r.low,
                 100 * part[i].r.high);
    har__key_close(out);
}

/* --- what to know before believing it --- */

static void note(FILE *out, const char *class, const char *fmt, ...)
    CORE_PRINTF(3, 4);

static void note(FILE *out, const char *class, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(out, "<div class=\"note %s\">", class);
    har_page_format(out, fmt, args);
    fputs("</div>\n", out);
    va_end(args);
}

static void write_verified(const har__sheet *s, FILE *out)
{
    if (s->verdicts == NULL) {
        note(out, "",
             "Nothing on this page says whether the plan computes the right "
             "thing: no verdicts were given.");
        return;
    }
    const char *word = har__text_of(s->verdicts, "verdict");
    const char *model =
        har__text_of(json_object_get(s->verdicts, "model"), "name");
    if (strcmp(model, s->setup->spec.name) != 0)
        note(out, "",
             "The verdicts given are of another model, %.60s: they stand below.",
             model);
    else if (har__verdicts_has(s->verdicts, s->plan))
        note(out,
             strcmp(word, "VERIFIED") == 0 ? "good"
             : strcmp(word, "PARTIAL") == 0 || strcmp(word, "UNPROVEN") == 0
                 ? ""
                 : "bad",
             "Does the plan compute the model's function? %.20s.", word);
    else
        note(out, "",
             "The verdicts given (%.20s) are of other plans than this one.",
             word);
}

static bool is_used(const har_traffic *t, int link)
{
    double bytes = 0;
    for (int k = 0; k < (int)HAR_N_FLOW; k++)
        bytes += t->by_link[k][link];
    return bytes > 0;
}

static void write_notes(const har__sheet *s, FILE *out)
{
    const har_machine *m = &s->setup->machine;
    if (!(s->p.memory <= m->memory_bytes))
        note(out, "bad",
             "The plan does not fit: its fullest GPU needs %.3g GB and has "
             "%.3g GB.",
             s->p.memory * 1e-9, m->memory_bytes * 1e-9);
    for (int i = 0; i < m->n_link; i++)
        if (m->link[i].origin == HAR_ASSUMED && is_used(&s->traffic, i))
            note(out, "",
                 "The speed of %.30s is assumed, nobody measured it: %.3g "
                 "GB/s among %d GPUs.",
                 m->link[i].name, m->link[i].bw * 1e-9, m->link[i].n_gpu);
    write_verified(s, out);
}

static void write_links(FILE *out)
{
    static const char *const link[][2] = {{"figures", "figures"},
                                          {"plan", "modules"},
                                          {"verify", "verification"},
                                          {"memory", "memory"},
                                          {"load", "load"},
                                          {"traffic", "communication"},
                                          {"timeline", "timeline"},
                                          {"roofline", "roofline"},
                                          {"front", "other plans"},
                                          {"audit", "audit"},
                                          {"basis", "what it rests on"}};
    fputs("<nav>", out);
    for (size_t i = 0; i < sizeof link / sizeof link[0]; i++)
        fprintf(out, "<a href=\"#%s\">%s</a>", link[i][0], link[i][1]);
    fputs("</nav>\n", out);
}

static void write_batch(const har_predict_case *r, FILE *out)
{
    if (r->is_decode)
        fprintf(out, "one token for each of %lld rows with %lld cached",
                (long long)r->n_b, (long long)r->n_kv);
    else
        fprintf(out, "%lld rows of %lld tokens", (long long)r->n_b,
                (long long)r->n_t);
}

void har__sheet_head(const har__sheet *s, FILE *out)
{
    const bool fits = s->p.memory <= s->setup->machine.memory_bytes;
    fprintf(out, "<header style=\"--verdict:var(--%s)\">\n<h1>",
            fits ? "load" : "bad");
    har_page_text(out, s->setup->spec.name);
    fprintf(out, " on %d \xc3\x97 ", s->p.n_gpu);
    har_page_text(out, s->setup->machine.name);
    fputs("</h1>\n<p>Predicted, not measured: a pass over ", out);
    write_batch(&s->setup->what, out);
    fprintf(out, " in %s, plan <code>", core_types_text(&s->setup->what.types).text);
    har_page_text(out, s->plan);
    fputs("</code>. Ranges are 90 % intervals.</p>\n", out);
    write_tiles(s, out);
    write_shares(&s->p, out);
    write_notes(s, out);
    write_links(out);
    fputs("</header>\n", out);
}

/* --- every figure --- */

void har__sheet_figures(const har__sheet *s, FILE *out)
{
    har_figure f;
    har__section(out, "figures", "Figures",
                 "Every headline figure with its 90 %% interval and what it "
                 "means, as moeparity predict prints them.");
    fputs("<div class=\"wide\"><table><thead><tr><th>figure</th>"
          "<th class=\"n\">value</th>"
          "<th class=\"n\">low</th><th class=\"n\">high</th><th>unit</th>"
          "<th>what it is</th></tr></thead><tbody>\n",
          out);
    for (int i = 0; har_figure_at(&f, &s->p, i); i++) {
        if (!f.exists)
            continue;
        const double x = f.unit[0] == '\0' ? 100 : 1;
        fprintf(out, "<tr data-figure=\"%s\"><td>%s</td>", f.key, f.key);
        har__number(out, f.range.value, x, har__si);
        har__number(out, f.range.low, x, har__si);
        har__number(out, f.range.high, x, har__si);
        har_page_cell(out, "", "%s", x > 1 ? "%" : f.unit);
        har_page_cell(out, "text", "%s", f.meaning);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></section>\n", out);
}
