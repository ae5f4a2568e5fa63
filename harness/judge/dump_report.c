/* harness/judge/dump_report.c -- the comparison of two tap files, as text and JSON.
 *
 * A NaN or an infinity is no JSON number and is written as a word.
 */
#include "harness/judge/dump.h"

#include "harness/diagnose/report.h"
#include "harness/launch/jsonfile.h"
#include "harness/words/colour.h"

static void write_tap(const har_dump_tap *t, FILE *out)
{
    if (t->problem[0] != '\0') {
        fprintf(out, "  %-32s %s\n", t->name, t->problem);
        return;
    }
    fprintf(out,
            "  %-32s %lld of %lld elements; row %lld column %lld: expected "
            "%.9g, found %.9g",
            t->name, (long long)t->diff.n_bad, (long long)t->diff.n,
            (long long)t->diff.first.row, (long long)t->diff.first.col,
            t->diff.first.expected, t->diff.first.found);
    if (t->rule.kind == HAR_RULE_TOLERANCE)
        fprintf(out, " (tolerance %.3g)", t->rule.tolerance);
    fputc('\n', out);
}

void har_dump_text(const har_dump *d, const core_st *a, const core_st *b,
                   FILE *out)
{
    enum { MAX_LINES = 20 };
    int n = 0;
    char figures[HAR_FIGURES_TEXT];
    const har_dump_tap *worst = &d->tap[d->worst];
    fprintf(out, "expected   %s\nfound      %s\n", core_st_path(a),
            core_st_path(b));
    fprintf(out,
            "compared   %lld tensors, %lld differ; %lld only in the second\n",
            (long long)d->n_tap, (long long)d->n_failed, (long long)d->n_extra);
    if (d->n_ignored > 0)
        fprintf(out, "ignored    %lld tensors of the first, whose names are no "
                "taps\n", (long long)d->n_ignored);
    if (d->n_flip > 0)
        fprintf(out,
                "routing    %lld tokens chose other experts and were set "
                "aside from there on\n",
                (long long)d->n_flip);
    if (har_figures_text(figures, &d->figures)[0] != '\0')
        fprintf(out, "logits     %s (not judged by it)\n", figures);
    if (worst->diff.n > 0 && worst->rule.kind == HAR_RULE_TOLERANCE)
        fprintf(out, "worst      %s: %.3g of its tolerance\n", worst->name,
                worst->diff.worst_score);
    if (d->first >= 0)
        fprintf(out, "first      %s\n", d->tap[d->first].name);
    for (int64_t i = 0; i < d->n_tap; i++) {
        if (!d->tap[i].failed)
            continue;
        if (n++ == MAX_LINES) {
            fprintf(out, "  and %lld more\n",
                    (long long)(d->n_failed - MAX_LINES));
            break;
        }
        write_tap(&d->tap[i], out);
        if (i == d->diagnosed)
            har_diagnosis_write(&d->diagnosis, "    ", out);
    }
    har_verdict_line(out, d->n_failed > 0 ? "DIFFERS\n" : "SAME\n");
}

static json_t *tap_object(const har_dump_tap *t)
{
    json_t *o = json_object();
    core_json_put_text(o, "tap", t->name);
    core_json_put(o, "failed", json_boolean(t->failed));
    core_json_put_text(o, "problem", t->problem);
    core_json_put_int(o, "elements", t->diff.n);
    core_json_put_int(o, "bad_elements", t->diff.n_bad);
    core_json_put_int(o, "excluded_rows", t->n_excluded);
    core_json_put_number(o, "tolerance", t->rule.tolerance);
    core_json_put_number(o, "worst_score", t->diff.worst_score);
    if (t->diff.n_bad > 0) {
        core_json_put_int(o, "row", t->diff.first.row);
        core_json_put_int(o, "column", t->diff.first.col);
        core_json_put_number(o, "expected", t->diff.first.expected);
        core_json_put_number(o, "found", t->diff.first.found);
    }
    return o;
}

core_status har_dump_json(const har_dump *d, const char *path)
{
    json_t *o = json_object(), *taps = json_array();
    const bool differs = d->n_failed > 0;
    for (int64_t i = 0; i < d->n_tap; i++)
        json_array_append_new(taps, tap_object(&d->tap[i]));
    core_json_put_text(o, "schema", "moeparity.compare/1");
    core_json_put_text(o, "verdict", differs ? "DIFFERS" : "SAME");
    core_json_put_int(o, "exit", differs ? 1 : 0);
    core_json_put_int(o, "ignored", d->n_ignored);
    core_json_put_int(o, "flips", d->n_flip);
    core_json_put(o, "logits_not_judged", har_figures_json(&d->figures));
    core_json_put(o, "first",
                  d->first < 0 ? json_null() : tap_object(&d->tap[d->first]));
    core_json_put(o, "diagnosis", har_diagnosis_json(&d->diagnosis));
    core_json_put(o, "taps", taps);
    return har_json_write(path, o);
}
