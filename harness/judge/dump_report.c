/* harness/judge/dump_report.c -- the comparison of two tap files, as text and JSON.
 *
 * A NaN or an infinity is no JSON number and is written as a word.
 */
#include "harness/judge/dump.h"

#include "core/files/json.h"

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
    }
    fputs(d->n_failed > 0 ? "DIFFERS\n" : "SAME\n", out);
}

static json_t *tap_object(const har_dump_tap *t)
{
    json_t *o = json_object();
    json_object_set_new(o, "tap", json_string(t->name));
    json_object_set_new(o, "failed", json_boolean(t->failed));
    json_object_set_new(o, "problem", json_string(t->problem));
    json_object_set_new(o, "elements", json_integer((json_int_t)t->diff.n));
    json_object_set_new(o, "bad_elements",
                        json_integer((json_int_t)t->diff.n_bad));
    json_object_set_new(o, "excluded_rows",
                        json_integer((json_int_t)t->n_excluded));
    json_object_set_new(o, "tolerance", core_json_number(t->rule.tolerance));
    json_object_set_new(o, "worst_score", core_json_number(t->diff.worst_score));
    if (t->diff.n_bad > 0) {
        json_object_set_new(o, "row",
                            json_integer((json_int_t)t->diff.first.row));
        json_object_set_new(o, "column",
                            json_integer((json_int_t)t->diff.first.col));
        json_object_set_new(o, "expected", core_json_number(t->diff.first.expected));
        json_object_set_new(o, "found", core_json_number(t->diff.first.found));
    }
    return o;
}

void har_dump_json(const har_dump *d, FILE *out)
{
    json_t *o = json_object(), *taps = json_array();
    const bool differs = d->n_failed > 0;
    for (int64_t i = 0; i < d->n_tap; i++)
        json_array_append_new(taps, tap_object(&d->tap[i]));
    json_object_set_new(o, "schema", json_string("moeparity.compare/1"));
    json_object_set_new(o, "verdict",
                        json_string(differs ? "DIFFERS" : "SAME"));
    json_object_set_new(o, "exit", json_integer(differs ? 1 : 0));
    json_object_set_new(o, "ignored", json_integer((json_int_t)d->n_ignored));
    json_object_set_new(o, "flips", json_integer((json_int_t)d->n_flip));
    json_object_set_new(
        o, "first", d->first < 0 ? json_null() : tap_object(&d->tap[d->first]));
    json_object_set_new(o, "taps", taps);
    json_dumpf(o, out, JSON_INDENT(1));
    json_decref(o);
}
