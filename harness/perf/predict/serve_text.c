/* harness/perf/predict/serve_text.c -- what is served, for people. */
#include "harness/perf/predict/figures.h"
#include "harness/perf/predict/serve.h"

#include <math.h>

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
    static const char *const ends[] = {
        [HAR_SERVE_SAID] = "as asked",
        [HAR_SERVE_MEMORY] = "more do not fit",
        [HAR_SERVE_SLO] = "more miss the limits",
        [HAR_SERVE_PROMPTS] = "chunks take no more prompts",
        [HAR_SERVE_MOST] = "the program looks no further"};
    fprintf(out, "slots      %lld requests in flight, %.1f of them decode: %s",
            (long long)s->n_slot, s->n_decoding, ends[s->end]);
    write_limit(out, "ttft_ms", ask->slo.ttft);
    write_limit(out, "tpot_ms", ask->slo.tpot);
    fprintf(out, "\nmemory     %.3f GB of %.3g, keys and values %.3f\n",
            s->memory * 1e-9, machine->memory_bytes * 1e-9, s->kv * 1e-9);
    if (!s->fits)
        fputs("WARNING    the plan does not fit\n", out);
    if (!s->meets)
        fputs("WARNING    the limits are not met\n", out);
}

static void write_figure(FILE *out, const char *name, har_range r, double x,
                         const char *unit, const char *meaning)
{
    fprintf(out, "  %-22s %10.5g %-3s %10.5g - %-10.5g %s\n", name, r.value * x,
            unit, r.low * x, r.high * x, meaning);
}

void har_serve_write(FILE *out, const har_serve_case *ask,
                     const har_machine *machine, const har_served *s)
{
    write_head(out, ask, machine, s);
    write_slots(out, ask, machine, s);
    fputs("figure                       value      90 % interval        "
          "what it is\n", out);
    write_figure(out, "ttft_ms", s->ttft, 1e3, "ms", "to the first token");
    write_figure(out, "tpot_ms", s->tpot, 1e3, "ms",
                 "from token to token of an answer");
    write_figure(out, "request_ms", s->request, 1e3, "ms", "a whole answer");
    write_figure(out, "tokens_per_s", s->tokens_per_s, 1, "/s",
                 "tokens of answers, of all GPUs");
    write_figure(out, "tokens_per_s_gpu", s->tokens_per_s, 1 / s->gpus, "/s",
                 "of a GPU");
    write_figure(out, "tokens_per_s_node", s->tokens_per_s,
                 s->node_gpus / s->gpus, "/s", "of a node");
    write_figure(out, "requests_per_s", s->requests_per_s, 1, "/s",
                 "answers that end");
    write_figure(out, "step_ms", s->step, 1e3, "ms",
                 "a step that decodes alone");
    write_figure(out, "prompt_ms", s->prompt, 1e3, "ms",
                 ask->chunk > 0 && ask->prefill == NULL
                     ? "a step with a chunk"
                     : "a pass of prompts");
    if (ask->prefill != NULL)
        fprintf(out,
                "transfer   %.4f ms for the keys and values of a prompt\n"
                "prefill    %.3f plans for prompts to one that decodes, %.1f "
                "GPUs in all\n",
                s->transfer * 1e3, s->n_prefill, s->gpus);
}
