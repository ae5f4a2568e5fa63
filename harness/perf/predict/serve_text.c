/* harness/perf/predict/serve_text.c -- what is served, for people. */
#include "harness/perf/predict/serve.h"

#include <math.h>

const char *har_serve_end_text(har_serve_end end)
{
    static const char *const text[] = {
        [HAR_SERVE_SAID] = "as asked",
        [HAR_SERVE_MEMORY] = "more do not fit",
        [HAR_SERVE_SLO] = "more miss the limits",
        [HAR_SERVE_PROMPTS] = "chunks take no more prompts",
        [HAR_SERVE_MOST] = "the program looks no further"};
    return text[end];
}

static void write_limit(FILE *out, const char *name, double limit)
{
    if (limit < HUGE_VAL)
        fprintf(out, ", %s < %g", name, limit);
}

static void write_head(FILE *out, const har_serve_case *ask,
                       const har_machine *machine, const har_served *s)
{
    char plan[PAR_PLAN_TEXT], routing[HAR_ROUTING_TEXT];
    par_plan_format(ask->what.plan, plan);
    fprintf(out, "model      %s\nplan       %s on %d GPUs\n",
            ask->what.spec->name, plan, s->n_gpu);
    if (ask->prefill != NULL) {
        par_plan_format(ask->prefill, plan);
        fprintf(out, "prompts    %s on %d other GPUs\n", plan,
                s->n_prefill_gpu);
    } else if (ask->chunk > 0) {
        fprintf(out, "prompts    in chunks of %lld tokens, in %.1f %% of the "
                     "steps\n",
                (long long)ask->chunk, 100 * s->chunk_share);
    } else {
        fputs("prompts    whole, between steps\n", out);
    }
    fprintf(out, "machine    %s, %s\n", machine->name,
            core_types_text(&ask->what.types).text);
    fprintf(out, "mix        %.6g tokens in, %.6g out, %.6g keys in a step\n",
            ask->mix->input, ask->mix->output, ask->mix->keys);
    if (har_routing_text(routing, &ask->what)[0] != '\0')
        fprintf(out, "routing    %s\n", routing);
}

static void write_slots(FILE *out, const har_serve_case *ask,
                        const har_machine *machine, const har_served *s)
{
    fprintf(out, "slots      %lld requests in flight, %.1f of them decode: %s",
            (long long)s->n_slot, s->n_decoding,
            har_serve_end_text(s->end));
    write_limit(out, "ttft_ms", ask->slo.ttft);
    write_limit(out, "tpot_ms", ask->slo.tpot);
    fprintf(out, "\nmemory     %.3f GB of %.3g, keys and values %.3f\n",
            s->memory * 1e-9, machine->memory_bytes * 1e-9, s->kv * 1e-9);
    if (ask->what.spec->n_e > 0)
        fprintf(out,
                "experts    %d of each layer stored for %lld, %s; balance of "
                "a step %.1f %%\n",
                s->n_stored, (long long)ask->what.spec->n_e,
                ask->what.plan->n_mapped > 0 ? "each layer has its own places"
                                             : "one placement for all layers",
                100 * s->balance);
    if (!s->fits)
        fputs("WARNING    the plan does not fit\n", out);
    if (!s->meets)
        fputs("WARNING    the limits are not met\n", out);
}

static har_range times(har_range r, double x)
{
    return (har_range){r.value * x, r.low * x, r.high * x};
}

bool har_serve_figure_at(har_figure *out, const har_serve_case *ask,
                         const har_served *s, int i)
{
    const bool has_chunk = ask->chunk > 0 && ask->prefill == NULL;
    const har_figure list[] = {
        {"ttft_ms", "ms", "to the first token", times(s->ttft, 1e3), true},
        {"tpot_ms", "ms", "from token to token of an answer",
         times(s->tpot, 1e3), true},
        {"request_ms", "ms", "a whole answer", times(s->request, 1e3), true},
        {"tokens_per_s", "/s", "tokens of answers, of all GPUs",
         s->tokens_per_s, true},
        {"tokens_per_s_gpu", "/s", "of a GPU",
         times(s->tokens_per_s, 1 / s->gpus), true},
        {"tokens_per_s_node", "/s", "of a node",
         times(s->tokens_per_s, s->node_gpus / s->gpus), true},
        {"requests_per_s", "/s", "answers that end", s->requests_per_s, true},
        {"step_ms", "ms", "a step that decodes alone", times(s->step, 1e3),
         true},
        {"prompt_ms", "ms",
         has_chunk ? "a step with a chunk" : "a pass of prompts",
         times(s->prompt, 1e3), true},
    };
    if (i >= (int)(sizeof list / sizeof list[0]))
        return false;
    *out = list[i];
    return true;
}

void har_serve_write(FILE *out, const har_serve_case *ask,
                     const har_machine *machine, const har_served *s)
{
    har_figure f;
    write_head(out, ask, machine, s);
    write_slots(out, ask, machine, s);
    fputs("figure                       value      90 % interval        "
          "what it is\n",
          out);
    for (int i = 0; har_serve_figure_at(&f, ask, s, i); i++)
        fprintf(out, "  %-22s %10.5g %-3s %10.5g - %-10.5g %s\n", f.key,
                f.range.value, f.unit, f.range.low, f.range.high, f.meaning);
    if (ask->prefill != NULL)
        fprintf(out,
                "transfer   %.4f ms for the keys and values of a prompt\n"
                "prefill    %.3f plans for prompts to one that decodes, %.1f "
                "GPUs in all\n",
                s->transfer * 1e3, s->n_prefill, s->gpus);
}
