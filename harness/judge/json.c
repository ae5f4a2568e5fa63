/* harness/judge/json.c -- a judgement for machines, schema moeparity.compare/2.
 *
 * JSON has no infinities: they are written as the words "inf", "-inf", "nan",
 * so a reader must expect a string where a number is usual.
 */
#include "harness/judge/report.h"

#include "harness/diagnose/report.h"
#include "harness/judge/explain_report.h"
#include "harness/launch/jsonfile.h"

static json_t *spot_object(const har_judgement *g, const har_spot *s)
{
    const har_dump_file *f = s->file >= 0 ? &g->dump->file[s->file] : NULL;
    json_t *o = json_object();
    core_json_put_text(o, "tap", g->yard->tap[s->i_tap].data->name);
    core_json_put_int(o, "row", s->b);
    core_json_put_int(o, "position", s->t);
    core_json_put_int(o, "tap_row", s->row);
    core_json_put_int(o, "column", s->col);
    core_json_put(o, "head", s->head < 0 ? json_null() : json_integer(s->head));
    core_json_put(o, "expert",
                  s->expert < 0 ? json_null() : json_integer(s->expert));
    core_json_put_number(o, "expected", s->expected);
    core_json_put_number(o, "found", s->found);
    core_json_put_number(o, "bound", s->allowed);
    core_json_put_number(o, "rms", s->rms);
    core_json_put_number(o, "rms_bound", s->allowed_rms);
    core_json_put_number(o, "ratio", s->ratio);
    core_json_put(o, "rank",
                  f == NULL || f->rank < 0 ? json_null()
                                           : json_integer(f->rank));
    core_json_put(o, "file", f == NULL ? json_null() : core_json_text(f->name));
    return o;
}

static json_t *spot_array(const har_judgement *g, const har_spot *spots, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, spot_object(g, &spots[i]));
    return list;
}

static json_t *tap_object(const har_judgement *g, int64_t i)
{
    const har_tap_judgement *t = &g->tap[i];
    json_t *o = json_object();
    core_json_put_text(o, "tap", g->yard->tap[i].data->name);
    core_json_put_text(o, "verdict", har__mark_text(t));
    core_json_put_number(o, "ratio", t->ratio);
    core_json_put_int(o, "rows", t->n_row);
    core_json_put_int(o, "judged_rows", t->n_judged);
    core_json_put_int(o, "failed_rows", t->n_failed);
    core_json_put_int(o, "marginal_rows", t->n_marginal);
    core_json_put_int(o, "excluded_rows", t->n_excluded);
    core_json_put_int(o, "missing_rows", t->n_missing);
    core_json_put_int(o, "silent_rows", t->n_silent);
    core_json_put_number(o, "relative_rms", t->relative_rms);
    core_json_put_int(o, "blind_rows", t->n_blind);
    core_json_put_number(o, "width", t->width);
    core_json_put_number(o, "tap_ratio", t->tap_ratio);
    core_json_put_number(o, "slope_ratio", t->slope_ratio);
    core_json_put(o, "bits", t->bits > 0.0 ? json_real(t->bits) : json_null());
    core_json_put_text(o, "problem", t->problem);
    core_json_put(o, "worst", spot_array(g, t->spot, t->n_spot));
    if (t->n_failed > 0)
        core_json_put(o, "first_bad", spot_object(g, &t->first_bad));
    return o;
}

static json_t *finding_object(const har_judgement *g, const har_finding *f)
{
    return json_pack(
        "{s:s, s:o, s:s, s:o, s:b}", "kind", har_finding_name(f->kind), "file",
        f->file < 0 ? json_null() : core_json_text(g->dump->file[f->file].name),
        "tensor", f->tensor, "text", core_json_text(f->text), "fails",
        !har_finding_is_note(f->kind));
}

static json_t *load_array(const int64_t *load, int64_t n)
{
    json_t *list = json_array();
    for (int64_t e = 0; e < n; e++)
        json_array_append_new(list, json_integer(load[e]));
    return list;
}

static json_t *routing_object(const har_judgement *g,
                              const har_layer_routing *r)
{
    return json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "part",
                     g->yard->part[r->part].prefix, "layer", r->layer, "tokens",
                     (json_int_t)r->n_token, "same", (json_int_t)r->n_same,
                     "certified", (json_int_t)r->n_certified, "uncertified",
                     (json_int_t)r->n_uncertified, "excluded",
                     (json_int_t)r->n_excluded, "golden_load",
                     load_array(r->load, r->n_expert), "dump_load",
                     load_array(r->load + r->n_expert, r->n_expert));
}

static json_t *leans_array(const har_judgement *g)
{
    json_t *list = json_array();
    for (int i = 0; i < g->n_lean; i++) {
        const har_lean *l = &g->lean[i];
        char label[CORE_NAME_BYTES];
        json_t *o = json_object();
        core_json_put_text(o, "what", l->what);
        core_json_put_text(o, "tap", har__kind_label(label, l->kind));
        core_json_put_number(o, "lean", l->lean);
        core_json_put_number(o, "sigmas", l->sigmas);
        core_json_put_number(o, "reach", l->reach);
        core_json_put(o, "found", json_boolean(l->is_found));
        json_array_append_new(list, o);
    }
    return list;
}

/* The worst ratio of each token, row by row; null: not judged. */
static json_t *tokens_object(const har_judgement *g)
{
    json_t *o = json_object();
    for (int i = 0; i < g->yard->n_part; i++) {
        const har_yard_part *part = &g->yard->part[i];
        json_t *list = json_array();
        for (int64_t token = 0; token < part->n_b * part->n_t; token++) {
            const double ratio = g->token_ratio[i][token];
            json_array_append_new(list, ratio < 0.0 ? json_null()
                                                    : core_json_number(ratio));
        }
        core_json_put(o, part->prefix, list);
    }
    return o;
}

core_status har_judge_json(const har_judgement *g, const char *path)
{
    json_t *o = json_object(), *taps = json_array(), *findings = json_array(),
           *routing = json_array();
    for (int64_t i = 0; i < g->n_tap; i++)
        json_array_append_new(taps, tap_object(g, i));
    for (int64_t i = 0; i < g->dump->n_finding; i++)
        json_array_append_new(findings,
                              finding_object(g, &g->dump->finding[i]));
    for (int i = 0; i < g->n_routing; i++)
        json_array_append_new(routing, routing_object(g, &g->routing[i]));
    core_json_put_text(o, "schema", "moeparity.compare/2");
    core_json_put_text(o, "verdict", har__word_text(g));
    core_json_put_int(o, "exit", g->verdict == HAR_FAIL);
    core_json_put_text(o, "golden", g->yard->path);
    core_json_put_text(o, "dump", g->dump->path);
    core_json_put_text(o, "numerics", g->yard->numerics);
    core_json_put_text(o, "numerics_why", g->dump->held);
    core_json_put_text(o, "forced", har_forcing_name(g->yard->forcing));
    core_json_put_int(o, "undecided_taps", g->n_undecided);
    core_json_put_text(o, "map", g->map_name);
    core_json_put(o, "tolerances_are_an_estimate",
                  json_boolean(!g->yard->is_exact));
    core_json_put(o, "forced_routing", json_boolean(g->forced_routing));
    core_json_put(o, "first",
                  g->first < 0 ? json_null() : tap_object(g, g->first));
    core_json_put(o, "diagnosis", har_diagnosis_json(&g->diagnosis));
    core_json_put(o, "explanation", har_explanation_json(g));
    core_json_put(o, "mistakes", leans_array(g));
    core_json_put(o, "worst", spot_array(g, g->worst, g->n_worst));
    core_json_put_int(o, "certified_flips", g->n_certified);
    core_json_put_int(o, "uncertified_flips", g->n_uncertified);
    core_json_put_int(o, "moved_drops", g->n_moved_drops);
    core_json_put_int(o, "open_keys", g->n_open);
    core_json_put_int(o, "excluded_rows", g->n_excluded);
    core_json_put_int(o, "silent_rows", g->n_silent);
    core_json_put_int(o, "padding_tokens", g->n_padding);
    core_json_put_int(o, "padding_values", g->dump->n_padding);
    core_json_put_text(o, "misfit", g->misfit);
    core_json_put(o, "logits_not_judged", har_figures_json(&g->figures));
    core_json_put(o, "findings", findings);
    core_json_put(o, "routing", routing);
    core_json_put(o, "taps", taps);
    core_json_put(o, "token_ratio", tokens_object(g));
    return har_json_write(path, o);
}
