/* harness/judge/text.c -- a judgement for the terminal, and words for all.
 *
 * What a reader wants first: the verdict, where it went wrong first, on whose
 * rank; then a table layer by layer, because an error grows or jumps.
 */
#include "harness/judge/report.h"

#include "core/base/printable.h"
#include "harness/diagnose/report.h"
#include "harness/judge/explain_report.h"
#include "harness/words/colour.h"

#include <math.h>
#include <string.h>

enum { MAX_LINES = 12, WIDTH = 15 };

const char *har__ratio_text(char text[HAR_RATIO_TEXT], double ratio)
{
    snprintf(text, HAR_RATIO_TEXT, isfinite(ratio) ? "%.3g" : "inf", ratio);
    return text;
}

static bool is_choice(const har_judgement *g, const har_spot *s)
{
    return har_is_choice(&g->yard->tap[s->i_tap]);
}

const char *har__spot_text(char text[HAR_SPOT_TEXT], const har_judgement *g,
                           const har_spot *s)
{
    char ratio[HAR_RATIO_TEXT], who[48] = "", rms[80] = "";
    har__ratio_text(ratio, s->ratio);
    if (s->head >= 0)
        snprintf(who, sizeof who, " (head %lld)", (long long)s->head);
    else if (s->expert >= 0 && !is_choice(g, s))
        snprintf(who, sizeof who, " (expert %lld)", (long long)s->expert);
    if (s->allowed_rms > 0.0 && s->rms / s->allowed_rms >= s->ratio)
        snprintf(rms, sizeof rms, "; rms of the row off %.3g, bound %.3g",
                 s->rms, s->allowed_rms);
    if (is_choice(g, s))
        snprintf(text, HAR_SPOT_TEXT,
                 "row %lld, position %lld: expected expert %.0f, found %.0f; "
                 "margin / bound %s; %s",
                 (long long)s->b, (long long)s->t, s->expected, s->found, ratio,
                 har_judge_owner(g, s->file));
    else
        snprintf(text, HAR_SPOT_TEXT,
                 "row %lld, position %lld, column %lld%s: expected %.9g, found "
                 "%.9g%s; observed / bound %s; %s",
                 (long long)s->b, (long long)s->t, (long long)s->col, who,
                 s->expected, s->found, rms, ratio,
                 har_judge_owner(g, s->file));
    return text;
}

const char *har__verdict_text(char text[HAR_SPOT_TEXT], const har_judgement *g)
{
    const char *what =
        g->yard->is_exact
            ? "bit for bit"
            : "by tolerances per token row, which are an estimate";
    if (g->n_judged == 0)
        snprintf(text, HAR_SPOT_TEXT, "nothing was compared");
    else if (g->first >= 0)
        snprintf(text, HAR_SPOT_TEXT, "first at %s, %s",
                 g->yard->tap[g->first].data->name, what);
    else if (g->verdict == HAR_FAIL)
        snprintf(text, HAR_SPOT_TEXT, "the dump is not complete");
    else if (g->n_undecided > 0)
        snprintf(text, HAR_SPOT_TEXT,
                 "%lld taps, %lld of them undecided, %s",
                 (long long)g->n_judged, (long long)g->n_undecided, what);
    else
        snprintf(text, HAR_SPOT_TEXT, "%lld taps, %s", (long long)g->n_judged,
                 what);
    return text;
}

const char *har__mark_text(const har_tap_judgement *t)
{
    if (t->is_undecided)
        return "UNDECIDED";
    if (!t->is_judged && t->verdict != HAR_FAIL)
        return "-";
    return har_verdict_name(t->bits > 0.0 ? HAR_PRECISION : t->verdict);
}

const char *har__word_text(const har_judgement *g)
{
    return har_verdict_name(g->is_imprecise ? HAR_PRECISION : g->verdict);
}

int har__judge_kinds(const har_judgement *g, bool coarse_only,
                     core_tap_kind *kinds)
{
    bool has[CORE_N_TAP_KINDS] = {false};
    int n = 0;
    for (int64_t i = 0; i < g->n_tap; i++) {
        const har_yard_tap *tap = &g->yard->tap[i];
        if (tap->name.is_tap && !core_tap_is_global(tap->name.tap.kind))
            has[tap->name.tap.kind] |=
                !coarse_only || core_tap_is_coarse(tap->name.tap.kind);
    }
    for (int k = 0; k < CORE_N_TAP_KINDS; k++)
        if (has[k])
            kinds[n++] = (core_tap_kind)k;
    return n;
}

const char *har__kind_label(char text[CORE_NAME_BYTES], core_tap_kind kind)
{
    core_tap_name((core_tap){kind, 0}, text);
    if (!core_tap_is_global(kind))
        memmove(text, text + strlen("layers.0."),
                strlen(text + strlen("layers.0.")) + 1);
    return text;
}

int64_t har__judge_index(const har_judgement *g, int part, int layer,
                         core_tap_kind kind)
{
    const core_tap tap = {kind, layer < 0 ? 0 : layer};
    const har_yard_tap *found = har_yardstick_find(g->yard, part, tap);
    return found != NULL ? found - g->yard->tap : -1;
}

int har__judge_last_layer(const har_judgement *g, int part)
{
    int last = -1;
    for (int64_t i = 0; i < g->n_tap; i++) {
        const har_yard_tap *tap = &g->yard->tap[i];
        if (tap->name.is_tap && tap->part == part && tap->name.tap.layer > last)
            last = tap->name.tap.layer;
    }
    return last;
}

/* --- the text --- */

static void write_head(const har_judgement *g, FILE *out)
{
    const har_foreign *d = g->dump;
    char widest[HAR_WIDEST_TEXT];
    int n_rank = 0;
    for (int i = 0; i < d->n_file; i++)
        n_rank += d->file[i].rank >= 0;
    fprintf(out, "golden     %s%s%s; tolerances: %s\n", g->yard->path,
            g->yard->numerics[0] != '\0' ? ", " : "", g->yard->numerics,
            g->yard->estimate);
    if (g->yard->forcing != HAR_FED_NOTHING)
        fprintf(out, "forced     %s by %s, with this golden's inputs\n",
                har_forcing_name(g->yard->forcing),
                har_forcing_name(g->yard->forcing));
    if (d->held[0] != '\0')
        fprintf(out, "numerics   %s\n", d->held);
    if (g->widest > 0.0)
        fprintf(out, "tolerances %s\n",
                har_widest_text(widest, g->widest,
                                har_yard_body(&g->yard->tap[g->widest_tap])));
    fprintf(out, "dump       %s: %d file%s", d->path, d->n_file,
            d->n_file == 1 ? "" : "s");
    if (n_rank > 0)
        fprintf(out, " of %d ranks", n_rank);
    fprintf(out, ", %lld tensors placed", (long long)d->n_piece);
    if (g->map_name[0] != '\0')
        fprintf(out, ", names by the map %s", g->map_name);
    fputc('\n', out);
}

static void write_routing(const har_judgement *g, FILE *out)
{
    if (g->forced_routing)
        fputs("routing    the golden's, not judged\n", out);
    else if (g->n_choice > 0)
        fprintf(out,
                "routing    %lld of %lld choices of experts agree; flips: %lld "
                "with a certificate, %lld without; %lld rows set aside after "
                "them\n",
                (long long)g->n_same, (long long)g->n_choice,
                (long long)g->n_certified, (long long)g->n_uncertified,
                (long long)g->n_excluded);
    if (g->n_moved_drops > 0)
        fprintf(out,
                "drops      %lld that a rounding or a flip may move: their rows "
                "are set aside\n",
                (long long)g->n_moved_drops);
    if (g->n_open > 0)
        fprintf(out,
                "keys       %lld rows differ of queries for which a rounding "
                "may choose other keys: set aside from there on\n",
                (long long)g->n_open);
    if (g->n_silent > 0)
        fprintf(out,
                "routing    %lld choices were not recorded or cannot be read: "
                "not judged\n",
                (long long)g->n_silent);
}

static void write_cell(const har_judgement *g, int64_t i_tap, FILE *out)
{
    char ratio[HAR_RATIO_TEXT];
    const har_tap_judgement *t = i_tap >= 0 ? &g->tap[i_tap] : NULL;
    if (t == NULL || (!t->is_judged && t->verdict != HAR_FAIL))
        fprintf(out, " %*s", WIDTH, t == NULL ? "" : "-");
    else
        fprintf(out, " %*s%c", WIDTH - 1,
                t->is_judged && (t->n_missing == 0 || t->n_failed > 0)
                    ? har__ratio_text(ratio, t->ratio)
                    : "missing",
                t->verdict == HAR_FAIL       ? '!'
                : t->is_undecided            ? '?'
                : t->verdict == HAR_MARGINAL ? '~'
                                             : ' ');
}

/* observed / bound of the worst row: a line per layer, a column per tap. */
static void write_table(const har_judgement *g, int part, FILE *out)
{
    static const core_tap_kind global[] = {CORE_TAP_EMBED, CORE_TAP_FINAL_NORM,
                                           CORE_TAP_LOGITS};
    core_tap_kind kinds[CORE_N_TAP_KINDS];
    char label[CORE_NAME_BYTES];
    const int n = har__judge_kinds(g, true, kinds);
    if (n == 0)
        return;
    fprintf(out, "%s%-10s", g->yard->part[part].prefix, "obs/bound");
    for (int k = 0; k < n; k++)
        fprintf(out, " %*s", WIDTH - 1, har__kind_label(label, kinds[k]));
    fputc('\n', out);
    for (int layer = 0; layer <= har__judge_last_layer(g, part); layer++) {
        fprintf(out, "  layer %-4d", layer);
        for (int k = 0; k < n; k++)
            write_cell(g, har__judge_index(g, part, layer, kinds[k]), out);
        fputc('\n', out);
    }
    for (int k = 0; k < 3; k++) {
        const int64_t i = har__judge_index(g, part, -1, global[k]);
        fprintf(out, "  %-10s", har__kind_label(label, global[k]));
        write_cell(g, i, out);
        fputc('\n', out);
    }
}

static void write_tap(const har_judgement *g, int64_t i, FILE *out)
{
    const har_tap_judgement *t = &g->tap[i];
    char text[HAR_SPOT_TEXT];
    fprintf(out, "  %s  %s", har__mark_text(t), g->yard->tap[i].data->name);
    if (t->n_failed > 0)
        fprintf(out, ": %lld of %lld rows", (long long)t->n_failed,
                (long long)t->n_row);
    else if (t->verdict == HAR_FAIL && t->problem[0] == '\0')
        fputs(": not all of it can be compared, see above", out);
    if (t->bits > 0.0)
        fprintf(out, ", by errors like rounding to about %.0f bits", t->bits);
    fprintf(out, "%s%s\n", t->problem[0] != '\0' ? ": " : "", t->problem);
    if (t->n_failed > 1)
        fprintf(out, "    first    %s\n",
                har__spot_text(text, g, &t->first_bad));
    const int n_spot = i == g->first ? t->n_spot : 1;
    for (int k = 0; k < n_spot && k < t->n_spot && t->spot[k].ratio > 0.5; k++)
        fprintf(out, "    worst    %s\n", har__spot_text(text, g, &t->spot[k]));
}

static void write_findings(const har_judgement *g, bool notes, FILE *out)
{
    char tensor[CORE_PRINTABLE_BYTES];
    int64_t n = 0;
    for (int64_t i = 0; i < g->dump->n_finding; i++) {
        const har_finding *f = &g->dump->finding[i];
        if (har_finding_is_note(f->kind) != notes)
            continue;
        if (n++ < MAX_LINES)
            fprintf(out, "  %-10s %s%s%s: %s\n", har_finding_name(f->kind),
                    f->file >= 0 ? har_judge_owner(g, f->file) : "",
                    f->file >= 0 ? ", " : "",
                    core_printable(tensor, sizeof tensor, f->tensor), f->text);
    }
    if (n > MAX_LINES)
        fprintf(out, "  and %lld more\n", (long long)(n - MAX_LINES));
}

/* Taps whose tolerances are too wide to tell, and how wide they are. */
static void write_undecided(const har_judgement *g, FILE *out)
{
    int64_t n = 0;
    if (g->n_undecided == 0)
        return;
    fputs("undecided\n", out);
    for (int64_t i = 0; i < g->n_tap; i++) {
        const har_tap_judgement *t = &g->tap[i];
        if (!t->is_undecided || n++ >= MAX_LINES)
            continue;
        fprintf(out, "  %s: ", g->yard->tap[i].data->name);
        if (t->problem[0] != '\0')
            fprintf(out, "%s\n", t->problem);
        else
            fprintf(out,
                    "%lld of %lld rows might be half or twice themselves and "
                    "pass: tolerances of %.2g of the tap's rms\n",
                    (long long)t->n_blind, (long long)t->n_row, t->width);
    }
    if (n > MAX_LINES)
        fprintf(out, "  and %lld more\n", (long long)(n - MAX_LINES));
}

/* Of each mistake smaller than roundings, where the dump leans most to it. */
static void write_leans(const har_judgement *g, FILE *out)
{
    for (int i = 0; i < g->n_lean; i++) {
        const har_lean *most = &g->lean[i];
        char label[CORE_NAME_BYTES];
        for (; i + 1 < g->n_lean && g->lean[i + 1].what == most->what; i++)
            if (g->lean[i + 1].sigmas / g->lean[i + 1].reach >
                most->sigmas / most->reach)
                most = &g->lean[i + 1];
        fprintf(out,
                "mistake    %s: %s, %.2g of it at %s, by %.2g of its errors "
                "where roundings reach %.2g\n",
                most->what, most->is_found ? "found" : "not found", most->lean,
                har__kind_label(label, most->kind), most->sigmas, most->reach);
    }
}

/* What the verdict cannot know. */
static void write_hint(const har_judgement *g, FILE *out)
{
    if (g->misfit[0] != '\0')
        fprintf(out, "hint       %s: %s\n",
                g->yard->tap[g->first].data->name, g->misfit);
    if (g->n_failed == 0 ||
        g->yard->spec.capacity.rule == CORE_CAPACITY_NONE || g->forced_routing)
        return;
    fputs("hint       the model drops tokens: a dump with other token groups "
          "drops others than\n           the golden; --forced-routing judges the "
          "rest\n",
          out);
}

void har_judge_text(const har_judgement *g, FILE *out)
{
    char line[HAR_SPOT_TEXT + 16], text[HAR_SPOT_TEXT], figures[HAR_FIGURES_TEXT];
    int64_t n = 0;
    write_head(g, out);
    write_routing(g, out);
    fprintf(out,
            "compared   %lld taps: %lld pass, %lld marginal, %lld undecided, "
            "%lld fail; %lld not judged\n",
            (long long)g->n_judged, (long long)g->n_passed,
            (long long)g->n_marginal, (long long)g->n_undecided,
            (long long)g->n_failed,
            (long long)(g->n_tap - g->n_judged));
    if (g->n_padding > 0)
        fprintf(out, "padding    %lld tokens are not judged\n",
                (long long)g->n_padding);
    if (g->dump->n_padding > 0)
        fprintf(out,
                "padding    %lld values behind the model's columns are not "
                "judged\n",
                (long long)g->dump->n_padding);
    for (int i = 0; i < g->yard->n_part; i++)
        write_table(g, i, out);
    if (har_figures_text(figures, &g->figures)[0] != '\0')
        fprintf(out, "logits     %s (not judged by it)\n", figures);
    if (g->dump->n_finding > g->n_note) {
        fputs("wrong\n", out);
        write_findings(g, false, out);
    }
    if (g->n_note > 0) {
        fputs("not compared\n", out);
        write_findings(g, true, out);
    }
    if (g->n_failed + g->n_marginal > 0)
        fputs("taps\n", out);
    for (int64_t i = 0; i < g->n_tap; i++)
        if (g->tap[i].verdict != HAR_PASS && !g->tap[i].is_undecided &&
            n++ < MAX_LINES) {
            write_tap(g, i, out);
            if (i == g->diagnosed)
                har_diagnosis_write(&g->diagnosis, "    ", out);
        }
    if (n > MAX_LINES)
        fprintf(out, "  and %lld more\n", (long long)(n - MAX_LINES));
    write_undecided(g, out);
    write_leans(g, out);
    write_hint(g, out);
    har_explanation_write(g, out);
    snprintf(line, sizeof line, "%-10s %s\n", har__word_text(g),
             har__verdict_text(text, g));
    har_verdict_line(out, line);
}
