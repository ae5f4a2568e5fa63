/* harness/judge/json.c -- a judgement for machines, schema moeparity.compare/2.
 *
 * JSON has no infinities: they are written as the words "inf", "-inf", "nan",
 * so a reader must expect a string where a number is usual.
 */
#include "harness/judge/report.h"

#include "core/files/json.h"

#include <string.h>

static json_t *integer(int64_t x)
{
    return json_integer((json_int_t)x);
}

static json_t *spot_object(const har_judgement *g, const har_spot *s)
{
    const har_dump_file *f =
        s->file >= 0 ? &g->dump->file[s->file] : NULL;
    json_t *o = json_object();
    json_object_set_new(o, "tap",
                        json_string(g->yard->tap[s->i_tap].data->name));
    json_object_set_new(o, "row", integer(s->b));
    json_object_set_new(o, "position", integer(s->t));
    json_object_set_new(o, "tap_row", integer(s->row));
    json_object_set_new(o, "column", integer(s->col));
    json_object_set_new(o, "head",
                        s->head < 0 ? json_null() : integer(s->head));
    json_object_set_new(o, "expert",
                        s->expert < 0 ? json_null() : integer(s->expert));
    json_object_set_new(o, "expected", core_json_number(s->expected));
    json_object_set_new(o, "found", core_json_number(s->found));
    json_object_set_new(o, "bound", core_json_number(s->allowed));
    json_object_set_new(o, "ratio", core_json_number(s->ratio));
    json_object_set_new(o, "rank", f == NULL || f->rank < 0
                                       ? json_null()
                                       : json_integer(f->rank));
    json_object_set_new(o, "file",
                        f == NULL ? json_null() : core_json_text(f->name));
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
    json_object_set_new(o, "tap", json_string(g->yard->tap[i].data->name));
    json_object_set_new(o, "verdict", json_string(har__mark_text(t)));
    json_object_set_new(o, "ratio", core_json_number(t->ratio));
    json_object_set_new(o, "rows", integer(t->n_row));
    json_object_set_new(o, "judged_rows", integer(t->n_judged));
    json_object_set_new(o, "failed_rows", integer(t->n_failed));
    json_object_set_new(o, "marginal_rows", integer(t->n_marginal));
    json_object_set_new(o, "excluded_rows", integer(t->n_excluded));
    json_object_set_new(o, "missing_rows", integer(t->n_missing));
    json_object_set_new(o, "relative_rms", core_json_number(t->relative_rms));
    json_object_set_new(o, "problem", core_json_text(t->problem));
    json_object_set_new(o, "worst", spot_array(g, t->spot, t->n_spot));
    if (t->n_failed > 0)
        json_object_set_new(o, "first_bad", spot_object(g, &t->first_bad));
    return o;
}

static json_t *finding_object(const har_judgement *g, const har_finding *f)
{
    return json_pack("{s:s, s:o, s:s, s:o, s:b}", "kind",
                     har_finding_name(f->kind), "file",
                     f->file < 0 ? json_null()
                                 : core_json_text(g->dump->file[f->file].name),
                     "tensor", f->tensor, "text", core_json_text(f->text),
                     "fails", !har_finding_is_note(f->kind));
}

static json_t *load_array(const int64_t *load, int64_t n)
{
    json_t *list = json_array();
    for (int64_t e = 0; e < n; e++)
        json_array_append_new(list, integer(load[e]));
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

/* The worst ratio of each token, row by row; null: not judged. */
static json_t *tokens_object(const har_judgement *g)
{
    json_t *o = json_object();
    for (int i = 0; i < g->yard->n_part; i++) {
        const har_yard_part *part = &g->yard->part[i];
        json_t *list = json_array();
        for (int64_t token = 0; token < part->n_b * part->n_t; token++) {
            const double ratio = g->token_ratio[i][token];
            json_array_append_new(list,
                                  ratio < 0.0 ? json_null() : core_json_number(ratio));
        }
        json_object_set_new(o, part->prefix, list);
    }
    return o;
}

void har_judge_json(const har_judgement *g, FILE *out)
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
    json_object_set_new(o, "schema", json_string("moeparity.compare/2"));
    json_object_set_new(o, "verdict",
                        json_string(har_verdict_name(g->verdict)));
    json_object_set_new(o, "exit", json_integer(g->verdict == HAR_FAIL));
    json_object_set_new(o, "golden", core_json_text(g->yard->path));
    json_object_set_new(o, "dump", core_json_text(g->dump->path));
    json_object_set_new(o, "numerics", core_json_text(g->yard->numerics));
    json_object_set_new(o, "map", core_json_text(g->map_name));
    json_object_set_new(o, "tolerances_are_an_estimate",
                        json_boolean(strcmp(g->yard->numerics, "exact") != 0));
    json_object_set_new(o, "forced_routing", json_boolean(g->forced_routing));
    json_object_set_new(o, "first", g->first < 0
                                        ? json_null()
                                        : tap_object(g, g->first));
    json_object_set_new(o, "worst", spot_array(g, g->worst, g->n_worst));
    json_object_set_new(o, "certified_flips", integer(g->n_certified));
    json_object_set_new(o, "uncertified_flips", integer(g->n_uncertified));
    json_object_set_new(o, "excluded_rows", integer(g->n_excluded));
    json_object_set_new(o, "padding_tokens", integer(g->n_padding));
    json_object_set_new(o, "findings", findings);
    json_object_set_new(o, "routing", routing);
    json_object_set_new(o, "taps", taps);
    json_object_set_new(o, "token_ratio", tokens_object(g));
    json_dumpf(o, out, JSON_INDENT(1));
    fputc('\n', out);
    json_decref(o);
}
