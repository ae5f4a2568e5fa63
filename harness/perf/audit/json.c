/* harness/perf/audit/json.c -- the audit for machines: "moeparity.audit/1".
 *
 * Every reading that the text names, with every claim and every check under it.
 * Values are in base units; an infinite end of a range is null.
 */
#include "harness/perf/audit/impl.h"

#include "harness/launch/jsonfile.h"

#include <math.h>

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *interval(har_interval x)
{
    return json_pack("[o,o]", number(x.lo), number(x.hi));
}

static json_t *ids(const har_claims *claims, uint64_t bits)
{
    json_t *list = json_array();
    for (int i = 0; i < claims->n; i++)
        if ((bits >> i & 1u) != 0)
            json_array_append_new(list, json_string(claims->at[i].id));
    return list;
}

static const char *rule_name(int rule)
{
    static const char *const own[] = {"same quantity", "hardware or model",
                                      "degrees", "requirement", "fraction"};
    return rule < 0 ? own[-rule - 1] : har_rule_at(rule)->name;
}

static json_t *checks(const har_claims *claims, const har_finding *f)
{
    json_t *list = json_array();
    for (int i = 0; i < f->n_check; i++) {
        const har_check *c = &f->check[i];
        json_t *check = json_object();
        core_json_put_text(check, "rule", rule_name(c->rule));
        core_json_put(check, "ok", json_boolean(c->ok));
        core_json_put(check, "with", ids(claims, c->others));
        core_json_put_text(check, "text", c->text);
        json_array_append_new(list, check);
    }
    return list;
}

static json_t *claim(const har_claims *claims, int i, const har_claim_result *r)
{
    const har_claim *c = &claims->at[i];
    json_t *depends = json_array();
    json_t *object = json_object();
    for (int w = 0; w < (int)HAR_N_WORDS; w++)
        if (r->depends[w])
            json_array_append_new(depends,
                                  json_string(har_word_name((har_word)w)));
    core_json_put_text(object, "id", c->id);
    core_json_put_text(object, "quantity", har_quantity_name(c->quantity));
    core_json_put_text(object, "written", c->written);
    core_json_put(object, "range", interval(c->range));
    core_json_put(object, "line",
                  c->line > 0 ? json_integer(c->line) : json_null());
    core_json_put_text(object, "verdict", har_claim_verdict_name(r->verdict));
    core_json_put(object, "undefined_words", depends);
    core_json_put_text(object, "note", r->note);
    core_json_put(object, "checks", checks(claims, &r->finding));
    return object;
}

static json_t *reading(const har_audit *a, int i)
{
    const har_reading_result *r = &a->reading[i];
    char text[PAR_PLAN_TEXT + 40];
    json_t *object = json_object(), *claims = json_array();
    har_reading_write(&r->reading, text, sizeof text);
    core_json_put_text(object, "plan", text);
    core_json_put_int(object, "gpus",
                      (int64_t)har_reading_gpus(&r->reading));
    core_json_put(object, "best", json_boolean(i < a->n_best));
    for (int k = 0; k < a->claims->n; k++)
        json_array_append_new(claims, claim(a->claims, k, &r->claim[k]));
    for (int v = 0; v <= (int)HAR_CLAIM_UNDEFINED; v++)
        core_json_put_int(object, har_claim_verdict_name((har_claim_verdict)v),
                          r->n_verdict[v]);
    core_json_put(object, "claims", claims);
    return object;
}

core_status har_audit_write_json(const har_audit *a, const char *path)
{
    json_t *root = json_object(), *readings = json_array();
    for (int i = 0; i < a->n_reading; i++)
        json_array_append_new(readings, reading(a, i));
    core_json_put_text(root, "schema", "moeparity.audit/1");
    core_json_put_text(root, "document", a->claims->document);
    core_json_put_text(root, "model", a->claims->spec.name);
    core_json_put_int(root, "searched", a->n_searched);
    core_json_put_int(root, "exit", har_audit_is_clean(a) ? 0 : 1);
    core_json_put(root, "readings", readings);
    return har_json_write(path, root);
}
