/* harness/judge/explain_report.c -- see explain_report.h. */
#include "harness/judge/explain_report.h"

static const char *tap_of(const har_judgement *g, const har_explained *e)
{
    return g->yard->tap[e->first].data->name;
}

/* Nothing explains it: what was tried, and what comes nearest. */
static void write_none(const har_judgement *g, const har_explanation *x,
                       FILE *out)
{
    fprintf(out,
            "explain    no explanation: none of %lld other models and %lld "
            "pairs of them is this dump%s\n",
            (long long)x->n_single, (long long)x->n_pair,
            x->is_cut ? "; more would take long" : "");
    if (x->has_nearest)
        fprintf(out,
                "           the nearest, the model with %s, differs first at "
                "%s\n",
                x->nearest.text, tap_of(g, &x->nearest));
}

void har_explanation_write(const har_judgement *g, FILE *out)
{
    const har_explanation *x = g->explanation;
    if (x == NULL)
        return;
    if (x->why_not[0] != '\0')
        fprintf(out, "explain    nothing tried: %s\n", x->why_not);
    else if (x->n == 0)
        write_none(g, x, out);
    for (int i = 0; i < x->n; i++)
        fprintf(out, "%s the model with %s: no tap fails, observed / bound up "
                     "to %.2g\n",
                i == 0 ? "explained  this dump is" : "or        ",
                x->found[i].text, x->found[i].ratio);
}

static json_t *model_object(const har_judgement *g, const har_explained *e)
{
    json_t *o = json_object();
    core_json_put_text(o, "model", e->text);
    core_json_put_number(o, "ratio", e->ratio);
    core_json_put(o, "first",
                  e->first < 0 ? json_null() : json_string(tap_of(g, e)));
    return o;
}

json_t *har_explanation_json(const har_judgement *g)
{
    const har_explanation *x = g->explanation;
    json_t *o = json_object(), *list = json_array();
    if (x == NULL) {
        json_decref(o);
        json_decref(list);
        return json_null();
    }
    for (int i = 0; i < x->n; i++)
        json_array_append_new(list, model_object(g, &x->found[i]));
    core_json_put_text(o, "why_not", x->why_not);
    core_json_put_int(o, "models", x->n_single);
    core_json_put_int(o, "pairs", x->n_pair);
    core_json_put(o, "cut", json_boolean(x->is_cut));
    core_json_put(o, "found", list);
    core_json_put(o, "nearest",
                  x->has_nearest ? model_object(g, &x->nearest) : json_null());
    return o;
}
