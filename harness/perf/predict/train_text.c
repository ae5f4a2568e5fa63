/* harness/perf/predict/train_text.c -- a step of training for readers and
 * machines.
 */
#include "harness/launch/jsonfile.h"
#include "harness/perf/predict/train.h"

typedef struct part {
    const char *key, *meaning;
    double seconds;
} part;

enum { N_PART = 7 };

/* They add up to the step. */
static void parts_of(const har_training_step *s, part out[N_PART])
{
    const part all[N_PART] = {
        {"layers", "slowest stage: layers there, again and back",
         s->parts.layers},
        {"transfers", "... transfers of tensor, context and expert groups",
         s->parts.moves},
        {"ends", "... embedding, head and loss", s->parts.ends},
        {"fill", "filling and draining the pipeline", s->parts.fill},
        {"sends", "between stages", s->parts.sends},
        {"gradients", "sums of gradients, gathering of parameters",
         s->parts.after - s->optimiser},
        {"optimiser", "reading and writing its states", s->optimiser}};
    for (int i = 0; i < N_PART; i++)
        out[i] = all[i];
}

static void write_range(FILE *out, const char *name, har_range r, double x,
                        const char *unit, const char *meaning)
{
    fprintf(out, "  %-20s %10.5g %-3s %10.5g - %-10.5g %s\n", name, r.value * x,
            unit, r.low * x, r.high * x, meaning);
}

void har_training_write(FILE *out, const har_train_case *r,
                        const har_machine *machine, const har_training_step *s)
{
    const har_predict_case *w = r->what;
    char plan[PAR_PLAN_TEXT];
    part parts[N_PART];
    par_plan_format(w->plan, plan);
    parts_of(s, parts);
    fprintf(out, "model      %s\nplan       %s on %d GPUs\n", w->spec->name,
            plan, s->n_gpu);
    fprintf(out, "machine    %s, %s\n", machine->name,
            core_types_text(&w->types).text);
    fprintf(out,
            "training   %lld rows x %lld tokens in %.0f micro-batches; zero "
            "%d, recompute %s, gradients %s, %.0f bytes of states\n",
            (long long)w->n_b, (long long)w->n_t, s->n_mb, r->zero,
            har_recompute_name(r->recompute), core_dtype_name(r->gradients),
            har_train_state_bytes(w->types.dtype));
    fputs("figure                     value      90 % interval        what it "
          "is\n",
          out);
    write_range(out, "step_ms", s->seconds, 1e3, "ms", "one step");
    write_range(out, "tokens_per_s", s->tokens_per_s, 1, "", "tokens / step");
    write_range(out, "tokens_per_s_gpu", s->tokens_per_s, 1.0 / s->n_gpu, "",
                "the same per GPU");
    fprintf(out, "  %-20s %10.5g %%%27s3 x a forward pass / (step x peak)\n",
            "mfu", 100 * s->mfu, "");
    fputs("where the step goes\n", out);
    for (int i = 0; i < N_PART; i++)
        fprintf(out, "  %-12s %10.3f ms %6.2f %%  %s\n", parts[i].key,
                1e3 * parts[i].seconds,
                100 * parts[i].seconds / s->seconds.value, parts[i].meaning);
    fputs("memory (GB)  stage   weights  gradients  optimiser      kept  in "
          "flight   buffers     total\n",
          out);
    for (int i = 0; i < w->plan->pp; i++) {
        const har_train_memory *m = &s->stage[i];
        fprintf(out, "             %5d %9.3f %10.3f %10.3f %9.3f %10d %9.3f %9.3f\n",
                i, m->weights * 1e-9, m->gradients * 1e-9, m->optimiser * 1e-9,
                m->kept * 1e-9, m->in_flight, m->buffers * 1e-9,
                m->total * 1e-9);
    }
    if (s->memory > machine->memory_bytes)
        fprintf(out, "WARNING    a GPU has %.3g GB: the plan does not fit\n",
                machine->memory_bytes * 1e-9);
}

static json_t *range(har_range r)
{
    return json_pack("{s:f,s:f,s:f}", "value", r.value, "low", r.low, "high",
                     r.high);
}

core_status har_training_json(const char *path, const har_train_case *r,
                              const har_machine *machine,
                              const har_training_step *s)
{
    const har_predict_case *w = r->what;
    char plan[PAR_PLAN_TEXT];
    part parts[N_PART];
    json_t *seconds = json_object(), *stages = json_array();
    par_plan_format(w->plan, plan);
    parts_of(s, parts);
    for (int i = 0; i < N_PART; i++)
        (void)json_object_set_new(seconds, parts[i].key,
                                  json_real(parts[i].seconds));
    for (int i = 0; i < w->plan->pp; i++) {
        const har_train_memory *m = &s->stage[i];
        (void)json_array_append_new(
            stages, json_pack("{s:i,s:f,s:f,s:f,s:f,s:i,s:f,s:f}", "stage", i,
                              "weights", m->weights, "gradients", m->gradients,
                              "optimiser", m->optimiser, "kept", m->kept,
                              "in_flight", m->in_flight, "buffers", m->buffers,
                              "total", m->total));
    }
    return har_json_write(
        path, json_pack("{s:i,s:s,s:s,s:s,s:s,s:I,s:I,s:i,s:s,s:s,s:o,s:o,s:f,"
                        "s:o,s:o}",
                        "schema", 1, "model", w->spec->name, "plan", plan,
                        "machine", machine->name, "dtype",
                        core_types_text(&w->types).text, "rows",
                        (json_int_t)w->n_b, "tokens_of_a_row",
                        (json_int_t)w->n_t, "zero", r->zero, "recompute",
                        har_recompute_name(r->recompute), "gradients",
                        core_dtype_name(r->gradients), "step_s",
                        range(s->seconds), "tokens_per_s",
                        range(s->tokens_per_s), "mfu", s->mfu, "seconds",
                        seconds, "memory", stages));
}
