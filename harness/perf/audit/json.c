/* harness/perf/audit/json.c -- the audit for machines: "moeparity.audit/1".
 *
 * Every reading that the text names, with every claim and every check under it.
 * Values are in base units; an infinite end of a range is null.
 */
#include "harness/perf/audit/impl.h"

#include "harness/launch/jsonfile.h"

#include <math.h>

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *interval(har_interval x)
{
    json_t *pair = json_array();
    json_array_append_new(pair, number(x.lo));
    json_array_append_new(pair, number(x.hi));
    return pair;
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
        set(check, "rule", json_string(rule_name(c->rule)));
        set(check, "ok", json_boolean(c->ok));
        set(check, "with", ids(claims, c->others));
        set(check, "text", json_string(c->text));
        json_array_append_new(list, check);
    }
    return list;
}

static json_t *claim(const har_claims *claims, int i,
                     const har_claim_result *r)
{
    const har_claim *c = &claims->at[i];
    json_t *depends = json_array();
    json_t *object = json_object();
    for (int w = 0; w < (int)HAR_N_WORDS; w++)
        if (r->depends[w])
            json_array_append_new(depends,
                                  json_string(har_word_name((har_word)w)));
    set(object, "id", json_string(c->id));
    set(object, "quantity", json_string(har_quantity_name(c->quantity)));
    set(object, "written", json_string(c->written));
    set(object, "range", interval(c->range));
    set(object, "line", c->line > 0 ? json_integer(c->line) : json_null());
    set(object, "verdict", json_string(har_claim_verdict_name(r->verdict)));
    set(object, "undefined_words", depends);
    set(object, "note", json_string(r->note));
    set(object, "checks", checks(claims, &r->finding));
    return object;
}

static json_t *reading(const har_audit *a, int i)
{
    const har_reading_result *r = &a->reading[i];
    char text[PAR_PLAN_TEXT + 40];
    json_t *object = json_object(), *claims = json_array();
    har_reading_write(&r->reading, text, sizeof text);
    set(object, "plan", json_string(text));
    set(object, "gpus",
        json_integer((json_int_t)r->reading.tp * r->reading.pp *
                     r->reading.dp));
    set(object, "best", json_boolean(i < a->n_best));
    for (int k = 0; k < a->claims->n; k++)
        json_array_append_new(claims, claim(a->claims, k, &r->claim[k]));
    for (int v = 0; v <= (int)HAR_CLAIM_UNDEFINED; v++)
        set(object, har_claim_verdict_name((har_claim_verdict)v),
            json_integer(r->n_verdict[v]));
    set(object, "claims", claims);
    return object;
}

core_status har_audit_write_json(const har_audit *a, const char *path)
{
    json_t *root = json_object(), *readings = json_array();
    for (int i = 0; i < a->n_reading; i++)
        json_array_append_new(readings, reading(a, i));
    set(root, "schema", json_string("moeparity.audit/1"));
    set(root, "document", json_string(a->claims->document));
    set(root, "model", json_string(a->claims->spec.name));
    set(root, "searched", json_integer((json_int_t)a->n_searched));
    set(root, "exit", json_integer(har_audit_is_clean(a) ? 0 : 1));
    set(root, "readings", readings);
    return har_json_write(path, root);
}
