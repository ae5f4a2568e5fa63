/* harness/perf/predict/serve.c -- see serve.h.
 *
 * A step is a case of decode whose rows are the slots that decode and, in some,
 * tokens of prompts (har_predict_case.n_prompt).  All times follow from at most
 * three predictions: a step alone, one with a chunk, and a pass of prompts.
 */
#include "harness/perf/predict/serve.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>

enum { PAGE_TOKENS = 16, MOST_SLOTS = 1 << 17 };

typedef struct serving {
    har_predictor *predictor;
    const har_machine *machine;
    const har_serve_case *ask;
    har_prediction *room; /* for one at a time                                 */
} serving;

static har_range times(har_range a, double x)
{
    return (har_range){a.value * x, a.low * x, a.high * x};
}

/* Errors of the two go together. */
static har_range sum(har_range a, har_range b)
{
    return (har_range){a.value + b.value, a.low + b.low, a.high + b.high};
}

static har_range over(double x, har_range a)
{
    return (har_range){x / a.value, x / a.high, x / a.low};
}

/* Micro-batches of all replicas: rows come in multiples of it. */
static int64_t parts_of(const par_plan *plan)
{
    return (int64_t)plan->dp * plan->mb * plan->rounds;
}

/* Keys of a slot in memory: whole pages. */
static int64_t resident(const har_mix *mix)
{
    return (int64_t)ceil((mix->keys + PAGE_TOKENS / 2.0) / PAGE_TOKENS) *
           PAGE_TOKENS;
}

/* What a pass takes of the pipeline's time, and bytes of a rank. */
typedef struct passed {
    har_range latency, turn;
    double weights, kv, work; /* of the fullest rank                           */
    double states;            /* of kv                                         */
    double balance;
} passed;

static passed passed_of(const par_plan *plan, const har_prediction *p)
{
    const har_stage_memory *m = &p->stage[p->memory_stage];
    /* a row's next token waits for the one before */
    const bool is_full = plan->pp > 1 && plan->mb >= plan->pp;
    return (passed){.latency = p->latency,
                    .turn = is_full ? p->period : p->latency,
                    .weights = m->weights,
                    .kv = m->kv,
                    .states = m->states,
                    .work = m->activations + m->buffers,
                    .balance = p->has_experts ? p->balance.value : 1};
}

/* n_decode slots and n_prompt tokens of prompts in runs of chunk, of which
 * n_ending are the last. */
static core_status pass(const serving *s, const par_plan *plan, double n_decode,
                        double n_prompt, double chunk, passed *out)
{
    const har_mix *mix = s->ask->mix;
    har_predict_case c = s->ask->what;
    c.plan = plan;
    /* a layer may have its fullest rank elsewhere than the next */
    c.all_ranks = c.all_ranks || plan->n_mapped > 0;
    c.is_decode = true;
    c.n_t = 1;
    c.n_kv = resident(mix);
    c.n_prompt = llround(n_prompt);
    c.n_b = llround(fmax(n_decode, n_prompt > 0 ? 0 : 1)) + c.n_prompt;
    if (n_prompt > 0) {
        c.n_run = fmax(1, rint(har_mix_run(mix, chunk)));
        c.n_past = rint(har_mix_past(mix, chunk));
        c.logit_share =
            fmin(1, (n_decode + n_prompt / mix->input) / (double)c.n_b);
    }
    CORE_TRY(har_predict(s->predictor, &c, s->room));
    *out = passed_of(plan, s->room);
    return CORE_OK;
}

/* --- where prompts go --- */

static void set_memory(const serving *s, double slots, double decoding,
                       const passed *step, const passed *prompt,
                       har_served *out)
{
    out->kv = step->kv * slots / fmax(1, rint(decoding));
    out->memory = step->weights + out->kv + fmax(step->work, prompt->work);
    out->fits = out->memory <= s->machine->memory_bytes;
    out->balance = step->balance;
}

/* By chunks inside steps. */
static core_status by_chunks(const serving *s, int64_t n_slot, har_served *out)
{
    const har_mix *mix = s->ask->mix;
    const par_plan *plan = s->ask->what.plan;
    const double parts = (double)parts_of(plan), steps = mix->output - 1;
    const double chunk = (double)s->ask->chunk, room = chunk * parts;
    const double n_chunk = har_mix_chunks(mix, chunk);
    passed step, mixed;
    /* a slot is in its prompt for n_chunk steps that carry one */
    double decoding = (double)n_slot / (1 + n_chunk / steps);
    double share = decoding * mix->input / (steps * room);
    if (share > 1) {
        decoding /= share;
        share = 1;
        out->end = HAR_SERVE_PROMPTS;
    }
    CORE_TRY(pass(s, plan, decoding, 0, 0, &step));
    CORE_TRY(pass(s, plan, decoding, room, chunk, &mixed));
    out->n_decoding = decoding;
    out->chunk_share = share;
    out->step = step.latency;
    out->prompt = mixed.latency;
    out->tpot = sum(times(step.turn, 1 - share), times(mixed.turn, share));
    out->ttft = sum(times(out->tpot, 0.5), times(mixed.turn, n_chunk - 1));
    out->ttft = sum(out->ttft, mixed.latency);
    set_memory(s, (double)n_slot, decoding, &step, &mixed, out);
    return CORE_OK;
}

/* A pass of whole prompts, one for each micro-batch. */
static core_status prompts(const serving *s, const par_plan *plan, passed *out)
{
    const double n = (double)parts_of(plan);
    return pass(s, plan, 0, s->ask->mix->input * n, HUGE_VAL, out);
}

/* Between steps, which wait. */
static core_status between(const serving *s, int64_t n_slot, har_served *out)
{
    const har_mix *mix = s->ask->mix;
    const par_plan *plan = s->ask->what.plan;
    const double ends = (double)n_slot / (mix->output - 1); /* in a step */
    passed step, prompt;
    CORE_TRY(pass(s, plan, (double)n_slot, 0, 0, &step));
    CORE_TRY(prompts(s, plan, &prompt));
    out->n_decoding = (double)n_slot;
    out->step = step.latency;
    out->prompt = prompt.latency;
    out->tpot = sum(step.turn,
                    times(prompt.turn, ends / (double)parts_of(plan)));
    out->ttft = sum(times(step.turn, 0.5), prompt.latency);
    set_memory(s, (double)n_slot, (double)n_slot, &step, &prompt, out);
    return CORE_OK;
}

/* Bytes that a prompt leaves on a rank of a step with so many rows: keys of its
 * tokens, and states as large as ever. */
static double left_by_prompt(const har_mix *mix, const passed *step,
                             double rows)
{
    return ((step->kv - step->states) * mix->input / (double)resident(mix) +
            step->states) /
           rows;
}

/* On GPUs of their own; keys and values go from theirs to the decoder's. */
static core_status apart(const serving *s, int64_t n_slot, har_served *out)
{
    const har_mix *mix = s->ask->mix;
    const par_plan *plan = s->ask->what.plan, *other = s->ask->prefill;
    const double rows = fmax(1, (double)n_slot / plan->dp);
    passed step, prompt;
    out->n_prefill_gpu = par_plan_world(other);
    CORE_TRY(pass(s, plan, (double)n_slot, 0, 0, &step));
    CORE_TRY(prompts(s, other, &prompt));
    const double of_prompt = left_by_prompt(mix, &step, rows);
    const int tier = har_tier(s->machine, out->n_gpu + out->n_prefill_gpu);
    out->transfer = har_time_collective(s->machine, HAR_SEND_RECV,
                                        s->ask->what.algorithm, of_prompt, 2,
                                        tier)
                        .seconds;
    const har_range wait = {out->transfer, out->transfer, out->transfer};
    out->n_decoding = (double)n_slot;
    out->step = step.latency;
    out->prompt = prompt.latency;
    out->tpot = step.turn;
    out->ttft =
        sum(sum(prompt.latency, wait), times(step.turn, 0.5));
    out->n_prefill = (double)n_slot / (mix->output - 1) / step.turn.value *
                     prompt.turn.value / (double)parts_of(other);
    set_memory(s, (double)n_slot, (double)n_slot, &step, &step, out);
    out->memory = fmax(out->memory, prompt.weights + prompt.work +
                                        step.kv / rows);
    out->fits = out->memory <= s->machine->memory_bytes;
    return CORE_OK;
}

/* --- how many --- */

static core_status serve(const serving *s, int64_t n_slot, har_served *out)
{
    const har_mix *mix = s->ask->mix;
    const har_slo *slo = &s->ask->slo;
    const int n_gpu = par_plan_world(s->ask->what.plan);
    *out = (har_served){.n_gpu = n_gpu,
                        .n_slot = n_slot,
                        .n_stored = par_plan_stored(s->ask->what.plan,
                                                    s->ask->what.spec->n_e),
                        .end = HAR_SERVE_SAID,
                        .node_gpus = s->machine->n_link > 0
                                         ? s->machine->link[0].n_gpu
                                         : 1};
    CORE_TRY(s->ask->prefill != NULL ? apart(s, n_slot, out)
             : s->ask->chunk > 0     ? by_chunks(s, n_slot, out)
                                     : between(s, n_slot, out));
    out->request = sum(out->ttft, times(out->tpot, mix->output - 1));
    out->requests_per_s =
        over(out->n_decoding / (mix->output - 1), out->tpot);
    out->tokens_per_s = times(out->requests_per_s, mix->output);
    out->gpus = n_gpu + out->n_prefill * out->n_prefill_gpu;
    out->meets = 1e3 * out->ttft.value <= slo->ttft &&
                 1e3 * out->tpot.value <= slo->tpot;
    return CORE_OK;
}

static bool is_good(const har_served *x)
{
    return x->fits && x->meets && x->end != HAR_SERVE_PROMPTS;
}

static har_serve_end end_of(const har_served *x)
{
    return !x->fits ? HAR_SERVE_MEMORY : !x->meets ? HAR_SERVE_SLO : x->end;
}

/* The most slots that are good, in multiples of `unit`; *out: as they are, or as
 * `unit` of them are where none is. */
static core_status find_most(const serving *s, int64_t unit, har_served *out)
{
    int64_t good = 0, bad = 0;
    har_served at;
    har_serve_end end = HAR_SERVE_MOST;
    for (int64_t n = unit; bad == 0 && n <= MOST_SLOTS; n *= 2) {
        CORE_TRY(serve(s, n, &at));
        if (good == 0 || is_good(&at))
            *out = at;
        if (is_good(&at)) {
            good = n;
            continue;
        }
        bad = n;
        end = end_of(&at);
    }
    while (good > 0 && bad - good > unit) {
        const int64_t n = (good + bad) / 2 / unit * unit;
        CORE_TRY(serve(s, n, &at));
        if (is_good(&at)) {
            good = n;
            *out = at;
        } else {
            bad = n;
            end = end_of(&at);
        }
    }
    out->end = end;
    return CORE_OK;
}

static core_status check(const serving *s)
{
    const par_plan *plan = s->ask->what.plan, *other = s->ask->prefill;
    const par_plan *each[] = {plan, other};
    CORE_FAIL_IF(s->ask->n_slot % parts_of(plan) != 0, CORE_E_USAGE,
                 "--slots: %lld is no multiple of dp x mb x rounds = "
                 "%lld", (long long)s->ask->n_slot,
                 (long long)parts_of(plan));
    for (int i = 0; i < 2 && each[i] != NULL; i++)
        CORE_FAIL_IF(each[i]->cp > 1, CORE_E_PLAN,
                     "cp = %d, expected 1: a step of serving has tokens of "
                     "many rows", each[i]->cp);
    CORE_FAIL_IF(other != NULL && s->machine->n_link == 0, CORE_E_USAGE,
                 "%s: no links, prompts of another plan need some",
                 s->machine->name);
    return CORE_OK;
}

core_status har_serve(har_predictor *predictor, const har_machine *machine,
                      const har_serve_case *ask, har_served *out)
{
    void *room;
    CORE_TRY(core_alloc(&room, 1, sizeof(har_prediction), "a prediction"));
    const serving s = {predictor, machine, ask, room};
    core_status status = check(&s);
    if (status == CORE_OK)
        status = ask->n_slot > 0 ? serve(&s, ask->n_slot, out)
                                 : find_most(&s, parts_of(ask->what.plan), out);
    free(room);
    return status;
}
