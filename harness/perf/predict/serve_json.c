/* harness/perf/predict/serve_json.c -- what is served, for machines, schema 1. */
#include "harness/launch/jsonfile.h"
#include "harness/perf/predict/serve.h"

static json_t *figures(const har_serve_case *ask, const har_served *s)
{
    json_t *all = json_object();
    har_figure f;
    for (int i = 0; har_serve_figure_at(&f, ask, s, i); i++)
        (void)json_object_set_new(
            all, f.key,
            json_pack("{s:f,s:f,s:f,s:s,s:s}", "value", f.range.value, "low",
                      f.range.low, "high", f.range.high, "unit", f.unit,
                      "meaning", f.meaning));
    return all;
}

core_status har_serve_json(const char *path, const har_serve_case *ask,
                           const har_machine *machine, const har_served *s)
{
    char plan[PAR_PLAN_TEXT], other[PAR_PLAN_TEXT] = "";
    par_plan_format(ask->what.plan, plan);
    if (ask->prefill != NULL)
        par_plan_format(ask->prefill, other);
    json_t *o = json_pack(
        "{s:i,s:s,s:s,s:s,s:s,s:f,s:f,s:f,s:I,s:i,s:i,s:f,s:I,s:f,s:s,s:f,s:f,"
        "s:f,s:f,s:i,s:f,s:b,s:b,s:o}",
        "schema", 1, "model", ask->what.spec->name, "plan", plan,
        "prefill_plan", other, "machine", machine->name, "input",
        ask->mix->input, "output", ask->mix->output, "keys", ask->mix->keys,
        "chunk", (json_int_t)ask->chunk, "gpus", s->n_gpu, "prefill_gpus",
        s->n_prefill_gpu, "all_gpus", s->gpus, "slots", (json_int_t)s->n_slot,
        "decoding", s->n_decoding, "end", har_serve_end_text(s->end),
        "chunk_share", s->chunk_share, "transfer_ms", s->transfer * 1e3,
        "memory_gb", s->memory * 1e-9, "kv_gb", s->kv * 1e-9,
        "experts_stored", s->n_stored, "balance", s->balance, "fits", s->fits,
        "meets", s->meets, "figures", figures(ask, s));
    return har_json_write(path, o);
}
