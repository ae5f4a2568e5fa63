/* harness/perf/predict/json.c -- a prediction for machines, schema 1. */
#include "harness/launch/jsonfile.h"
#include "harness/perf/predict/figures.h"

static json_t *figures(const har_prediction *p)
{
    json_t *all = json_object();
    har_figure f;
    for (int i = 0; har_figure_at(&f, p, i); i++)
        if (f.exists)
            (void)json_object_set_new(
                all, f.key,
                json_pack("{s:f,s:f,s:f,s:s,s:s}", "value", f.range.value,
                          "low", f.range.low, "high", f.range.high, "unit",
                          f.unit, "meaning", f.meaning));
    return all;
}

/* One sigma of ln(latency) from each source of the 90 % intervals. */
static json_t *sources(const har_prediction *p, const har_machine *machine)
{
    const har_sources *s = &p->sources;
    char name[HAR_DOUBT_TEXT], remedy[HAR_DOUBT_TEXT];
    json_t *terms = json_array();
    for (int i = 0; i < s->n_doubt; i++)
        (void)json_array_append_new(
            terms, json_pack("{s:s,s:f,s:s}", "name",
                             har_doubt_name(name, &s->doubt[i], machine), "sigma",
                             s->doubt[i].sigma, "remedy",
                             har_doubt_remedy(remedy, &s->doubt[i], machine)));
    return json_pack("{s:f,s:f,s:f,s:f,s:i,s:o}", "level", 0.9, "operators",
                     s->operators, "links", s->links, "routing", s->routing,
                     "draws", s->n_draw, "terms", terms);
}

static json_t *stages(const har_prediction *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n_stage; i++) {
        const har_stage_memory *m = &p->stage[i];
        (void)json_array_append_new(
            all, json_pack("{s:i,s:i,s:f,s:f,s:f,s:f,s:f}", "stage", i, "rank",
                           m->rank, "weights", m->weights, "kv", m->kv,
                           "activations", m->activations, "buffers", m->buffers,
                           "total", m->total));
    }
    return all;
}

static json_t *operators(const har_prediction *p)
{
    json_t *all = json_array();
    for (int i = 0; i < p->n_class; i++) {
        const har_class *c = &p->class_of[i];
        (void)json_array_append_new(
            all,
            json_pack("{s:s,s:s,s:s,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f}", "op",
                      c->op, "kind", core_cost_kind_name(c->kind), "collective",
                      core_collective_name(c->collective), "axis",
                      core_axis_name(c->axis), "seconds", c->seconds, "exposed",
                      c->exposed, "flops", c->flops, "bytes", c->bytes,
                      "bound_compute", c->bound[HAR_BOUND_COMPUTE],
                      "bound_memory", c->bound[HAR_BOUND_MEMORY], "bound_link",
                      c->bound[HAR_BOUND_LINK], "bound_overhead",
                      c->bound[HAR_BOUND_OVERHEAD] +
                          c->bound[HAR_BOUND_LATENCY]));
    }
    return all;
}

core_status har_predict_json(const char *path, const har_predict_case *r,
                             const har_machine *machine,
                             const har_prediction *p)
{
    char plan[PAR_PLAN_TEXT], routing[HAR_ROUTING_TEXT];
    par_plan_format(r->plan, plan);
    json_t *o = json_pack(
        "{s:i,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:i,s:f,s:f,s:i,s:o,s:o,s:o,s:o}",
        "schema", 1, "model", r->spec->name, "plan", plan, "machine",
        machine->name, "dtype", core_types_text(&r->types).text, "rows",
        (json_int_t)r->n_b, "tokens", (json_int_t)r->n_t, "keys",
        (json_int_t)(r->is_decode ? r->n_kv : 0), "routing",
        har_routing_text(routing, r), "gpus", p->n_gpu, "dropped", p->dropped,
        "distinct_experts", p->distinct_mean, "slowest_ep_rank",
        p->slowest_ep_rank, "interval", sources(p, machine), "figures",
        figures(p), "memory", stages(p), "operators", operators(p));
    return har_json_write(path, o);
}
