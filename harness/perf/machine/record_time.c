/* harness/perf/machine/record_time.c -- see record_time.h.
 *
 * A grouped record says how many experts have rows, how many rows the fullest
 * has and how many there are in all: the others get an even share of the rest.
 * The tokens behind the rows follow from popularity alike: a token that reaches
 * a rank chose at least one of its experts.
 *
 * Records are made for rows of one token; a step that decodes has a past.  The
 * query of attention sees the cached keys that its span reaches: of n_kv, the
 * newest its own, the last sliding_window or those of the chunk that it is in.
 * What else is different stands in the operators' rows (cost/operators.h).
 *
 * Trap: a collective moves as much as the rank with most in or out of it.
 */
#include "harness/perf/machine/record_time.h"

#include "harness/perf/cost/operators.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_KNOWN = 1 << 13, N_KEY = 11 };

struct har_known_time {
    int64_t key[N_KEY];
    har_time time;
};

core_status har_timer_make(har_timer *out, const har_machine *machine)
{
    void *known, *slower;
    CORE_TRY(
        core_alloc(&known, N_KNOWN, sizeof(har_known_time), "known times"));
    memset(known, 0, N_KNOWN * sizeof(har_known_time));
    const core_status status =
        core_alloc(&slower, 1, sizeof *machine, "a machine");
    if (status != CORE_OK) {
        free(known);
        return status;
    }
    har_timer t = {.machine = machine, .known = known, .slower = slower};
    *t.slower = *machine;
    for (int i = 0; i < machine->n_link; i++)
        t.slower->link[i].bw /= 1 + machine->link[i].sigma;
    *out = t;
    return CORE_OK;
}

void har_timer_free(har_timer *timer)
{
    free(timer->known);
    free(timer->slower);
    *timer = (har_timer){0};
}

/* Times of other types are not to be found again. */
static void forget(har_timer *t, const core_types *types)
{
    if (memcmp(&t->types, types, sizeof *types) != 0)
        memset(t->known, 0, N_KNOWN * sizeof(har_known_time));
}

void har_timer_aim(har_timer *t, const core_spec *spec, const core_types *types)
{
    const har_machine *m = t->machine;
    forget(t, types);
    t->reach_ep = -1;
    memset(t->grouped_key, 0, sizeof t->grouped_key);
    t->spec = spec;
    t->types = *types;
    t->n_cut = 1;
    t->stored = core_types_of(types, CORE_SLOT_OUT);
    t->plain = har_operands_plain(types->dtype);
    t->linear = har_operands_of(m, types, types->w);
    t->expert = har_operands_of(m, types, types->experts);
    t->table_bytes = core_types_table_bytes(types);
    t->linear_bytes = core_types_weight_bytes(types);
    t->expert_bytes = core_types_expert_bytes(types);
    t->kv_bytes = core_types_kv_bytes(types);
    t->dispatch_bytes = har_dispatch_bytes(m, types);
    t->miss = m->rates.n == 0
                  ? 0
                  : har_rates_miss((double)core_spec_parameters(spec) *
                                       t->table_bytes,
                                   m->l2_bytes);
}

har_kind har_timer_kind(core_cost_kind kind)
{
    switch (kind) {
    case CORE_COST_GROUPED_GEMM:
        return HAR_MOE;
    case CORE_COST_ATTENTION:
        return HAR_ATTENTION;
    case CORE_COST_COLLECTIVE:
        return HAR_COLLECTIVE;
    default:
        return HAR_GEMM;
    }
}

static int64_t value_bytes(const har_timer *t)
{
    return (int64_t)core_dtype_bytes(t->stored);
}

/* Keys that a query may see; 0: all before it.  Chosen ones are as many as a
 * window's. */
static double window_of(const har_timer *t, int layer)
{
    const core_seen seen = core_spec_seen(t->spec, layer);
    if (seen.n_set > 0)
        return (double)(seen.n_key * seen.n_wide);
    switch ((core_span)t->spec->span[layer]) {
    case CORE_SPAN_WINDOW:
        return (double)t->spec->sliding_window;
    case CORE_SPAN_CHUNK:
        return (double)t->spec->chunk;
    default:
        return 0;
    }
}

/* kv heads of a rank, from what a record reads of keys and values: of n_cut times
 * as many tokens as it has queries.                                          */
static double kv_heads(const har_timer *t, const core_cost *c)
{
    const core_heads heads = core_spec_heads(t->spec, c->tap.layer);
    const double columns = (double)(heads.n_dh + heads.n_dv);
    const double n = (double)c->kv_read / ((double)(c->m * t->n_cut) * columns);
    return fmin(fmax(1, rint(n)), (double)c->n_head);
}

/* Cached keys that the query of a record sees: its span, in attention those of it
 * that were chosen; of digests, which lie beside the span, likewise. */
static int64_t decode_keys(const har_timer *t, core_tap tap)
{
    const int64_t span =
        t->n_kv - core_spec_first_key(t->spec, tap.layer, t->n_kv - 1);
    const core_seen seen = core_spec_seen(t->spec, tap.layer);
    const int64_t run = core_spec_digest_run(t->spec, tap.layer);
    int64_t n = run > 0 ? t->n_kv / run : span;
    if (tap.kind != CORE_TAP_CONTEXT)
        return n;
    if (seen.n_set > 0 && seen.n_key * seen.n_wide < n)
        n = seen.n_key * seen.n_wide;
    return run > 0 ? span + n : n;
}

static har__step decode_step(const har_timer *t, const core_cost *c)
{
    const int layer = c->tap.layer;
    har__step step = {.flops = (double)c->flops,
                      .elements = (double)har_cost_bytes(c, 1)};
    if (c->tap.kind >= CORE_TAP_ATTN_OUT) /* only mixers have a past */
        return step;
    const har__step of_prompts = step;
    const core_mixer kind = core_spec_mixer(t->spec, layer);
    if (har__mixer_row[kind]->decode != NULL)
        har__mixer_row[kind]->decode(&step, t->spec, c, decode_keys(t, c->tap));
    step.flops += t->prompt_share * (of_prompts.flops - step.flops);
    step.elements += t->prompt_share * (of_prompts.elements - step.elements);
    return step;
}

static har_time decode(const har_timer *t, const core_cost *c, double n_row)
{
    const core_heads heads = core_spec_heads(t->spec, c->tap.layer);
    const har_attention a = {.n_row = n_row,
                             .n_t = (double)decode_keys(t, c->tap),
                             .n_h = (double)c->n_head,
                             .n_g = kv_heads(t, c),
                             .n_dh = (double)c->k,
                             .kv_share = 1,
                             .kv_bytes = t->kv_bytes,
                             .n_shared = (double)decode_step(t, c).n_shared,
                             .n_rot = (double)heads.n_rot};
    return har_time_decode(t->machine, core_types_of(&t->types, CORE_SLOT_KV),
                           &a);
}

/* Of n_query queries in runs of n_run, each behind n_past keys. */
static har_time prefill(const har_timer *t, const core_cost *c, double n_query,
                        double n_run, double n_past)
{
    const har_attention a = {.n_row = n_query / n_run,
                             .n_t = n_run,
                             .n_past = n_past,
                             .n_h = (double)c->n_head,
                             .n_g = kv_heads(t, c),
                             .n_dh = (double)c->k,
                             .window = window_of(t, c->tap.layer),
                             .kv_share = 1,
                             .kv_bytes = t->kv_bytes};
    return har_time_prefill(t->machine, core_types_of(&t->types, CORE_SLOT_KV),
                            &a);
}

/* Rows of a step that are tokens of prompts. */
static double prompt_rows(const har_timer *t, const core_cost *c)
{
    return rint((double)c->m * t->prompt_share);
}

/* Rows that decode and rows of prompts have a kernel each. */
static har_time attention(const har_timer *t, const core_cost *c)
{
    const double n_prompt = prompt_rows(t, c), n_row = (double)c->m - n_prompt;
    if (!t->is_decode)
        return prefill(t, c, (double)c->m, (double)c->n, 0);
    if (!(n_prompt > 0))
        return decode(t, c, n_row);
    har_time time =
        prefill(t, c, n_prompt, fmin(t->n_run, n_prompt), t->n_past);
    if (n_row > 0)
        time.seconds += decode(t, c, n_row).seconds;
    return time;
}

/* Tokens whose choices so many rows of a rank are. */
static double tokens_of(har_timer *t, double rows)
{
    const double mine = t->ep > 0 ? 1.0 / t->ep : 1, k = (double)t->spec->n_k;
    if (t->reach_ep != t->ep)
        t->reach = 1 - pow(1 - mine, k);
    t->reach_ep = t->ep;
    return rows * t->reach / (k * mine);
}

static har_time time_grouped(har_timer *t, const core_cost *c)
{
    const har_uneven rows = {
        .all = (double)c->m,
        .most = (double)c->m_max,
        .n_some = (int)c->n_expert,
        .n_group = (int)c->n_expert > t->n_held ? (int)c->n_expert : t->n_held};
    return har_time_uneven_product(t->machine, &t->expert, &rows,
                                   tokens_of(t, (double)c->m), (double)c->n,
                                   (double)c->k);
}

/* The gate has the shape of what comes up behind it. */
static har_time grouped(har_timer *t, const core_cost *c)
{
    const int64_t key[] = {c->m, c->m_max, c->n_expert, c->n,
                           c->k, t->ep,    t->n_held};
    if (memcmp(t->grouped_key, key, sizeof key) != 0) {
        memcpy(t->grouped_key, key, sizeof key);
        t->grouped = time_grouped(t, c);
    }
    return t->grouped;
}

/* With a matrix of a linear module: what may be narrow. */
static bool is_linear(const core_cost *c)
{
    return c->kind == CORE_COST_GEMM && c->weights > 0 &&
           c->tap.kind != CORE_TAP_LOGITS &&
           core_tap_slot(c->tap.kind) != CORE_SLOT_ROUTER;
}

static double rows(const har_timer *t, const core_cost *c)
{
    return c->tap.kind == CORE_TAP_LOGITS && t->logit_share > 0
               ? ceil((double)c->m * t->logit_share)
               : (double)c->m;
}

/* Of a product.  Where the right operand is cached keys: in decode as many as
 * there are, else those before a query, in the mean. */
static double columns(const har_timer *t, const core_cost *c)
{
    if (c->kv_read > 0 && t->is_decode)
        return (double)decode_keys(t, c->tap);
    return c->n_pair > 0 ? ceil((double)c->n_pair / (double)c->m)
                         : (double)c->n;
}

/* Steps of a recurrence, one token a row, are bound by their states. */
static har__work work_of(const har_timer *t, const core_cost *c)
{
    const double share = t->is_decode ? t->prompt_share : 1;
    const har__work none = {0, 0};
    if (!(share > 0) || c->tap.kind >= CORE_TAP_ATTN_OUT)
        return none;
    const har__operator *mixer =
        har__mixer_row[core_spec_mixer(t->spec, c->tap.layer)];
    if (mixer->work == NULL)
        return none;
    const har__work work = mixer->work(t->spec, c);
    return (har__work){share * work.product, share * work.single};
}

static har_time elementwise(const har_timer *t, const core_cost *c)
{
    const har__work work = work_of(t, c);
    return har_time_recurrence(t->machine, t->types.dtype,
                               har_timer_bytes(t, c), work.product,
                               work.single);
}

static har_time compute(const har_timer *t, const core_cost *c)
{
    if (c->kind == CORE_COST_ATTENTION)
        return attention(t, c);
    return har_time_product(t->machine, is_linear(c) ? &t->linear : &t->plain,
                            rows(t, c), columns(t, c), (double)c->k);
}

/* A step for each block but mine. */
static har_time ring(const har_machine *machine, har_algorithm algorithm,
                     double bytes, int n, int tier)
{
    har_time step = har_time_collective(machine, HAR_SEND_RECV, algorithm,
                                        bytes / n, 2, tier);
    step.seconds *= n - 1;
    return step;
}

/* Of an element of a transfer: only rows on their way to experts may be narrow. */
static double carried_bytes(const har_timer *t, const core_cost *c)
{
    const bool is_dispatch =
        c->collective == CORE_ALL_TO_ALL && c->tap.kind == CORE_TAP_RECV;
    if (c->type == CORE_COST_WORDS)
        return sizeof(int64_t);
    return is_dispatch ? t->dispatch_bytes : (double)value_bytes(t);
}

static har_time transfer(const har_timer *t, const har_machine *machine,
                         const core_cost *c, int tier)
{
    static const har_collective kinds[CORE_N_COLLECTIVES] = {
        [CORE_ALL_REDUCE] = HAR_ALL_REDUCE,
        [CORE_ALL_GATHER] = HAR_ALL_GATHER,
        [CORE_REDUCE_SCATTER] = HAR_REDUCE_SCATTER,
        [CORE_ALL_TO_ALL] = HAR_ALL_TO_ALL,
        [CORE_SEND] = HAR_SEND_RECV,
        [CORE_RECEIVE] = HAR_SEND_RECV};
    const double bytes =
        (double)(c->in > c->out ? c->in : c->out) * carried_bytes(t, c);
    const bool is_pair = c->axis == CORE_AXIS_PP;
    if (c->collective == CORE_RING)
        return ring(machine, t->algorithm, bytes, c->group, tier);
    if (c->collective == CORE_ALL_TO_ALL)
        return har_time_all_to_all(machine, bytes, c->group, t->n_near, tier);
    return har_time_collective(machine, kinds[c->collective], t->algorithm,
                               bytes, is_pair ? 2 : c->group, tier);
}

/* A processor: products of the emulation, or functions one by one. */
static har_time by_rate(const har_timer *t, const har_rate *rate,
                        const core_cost *c)
{
    const har_residency where = {.before = t->before, .miss = t->miss};
    return (har_time){
        .seconds = har_rates_seconds(&t->machine->rates, rate, c, &where),
        .sigma = rate->sigma,
        .bound = HAR_BOUND_COMPUTE};
}

/* How far attention looks: keys in decode, as another number than windows. */
static int64_t reach(const har_timer *t, const core_cost *c)
{
    return t->is_decode ? -decode_keys(t, c->tap)
                        : (int64_t)window_of(t, c->tap.layer);
}

/* Whether all heads read the same, and how wide. */
static int64_t shared(const har_timer *t, const core_cost *c)
{
    const int64_t n = t->is_decode ? decode_step(t, c).n_shared : 0;
    return n > 0 ? n * 65536 + core_spec_heads(t->spec, c->tap.layer).n_rot : 0;
}

/* Does the time of the record depend on keys of the past? */
static bool has_keys(const core_cost *c)
{
    return c->kind == CORE_COST_ATTENTION ||
           (c->kind == CORE_COST_GEMM && c->kv_read > 0);
}

/* Of the prompts in a step: runs and what is before them. */
static int64_t run_of(const har_timer *t)
{
    return (int64_t)t->n_run * (1 << 30) + (int64_t)t->n_past;
}

static void make_key(const har_timer *t, const core_cost *c, int64_t key[N_KEY])
{
    const bool is_attention = c->kind == CORE_COST_ATTENTION;
    const int64_t shape[N_KEY] = {1 + (int64_t)c->kind + 8 * is_linear(c),
                                  (int64_t)rows(t, c),
                                  c->n,
                                  c->k,
                                  is_attention ? c->n_head : 0,
                                  is_attention ? c->kv_read : 0,
                                  has_keys(c) ? reach(t, c) : 0,
                                  is_attention ? shared(t, c) : 0,
                                  is_attention ? (int64_t)prompt_rows(t, c) : 0,
                                  is_attention ? run_of(t) : 0,
                                  is_attention ? t->n_cut : c->n_pair};
    memcpy(key, shape, sizeof shape);
}

static uint64_t slot_of(const int64_t key[N_KEY])
{
    uint64_t h = 1469598103934665603u;
    for (int i = 0; i < N_KEY; i++)
        h = (h ^ (uint64_t)key[i]) * 1099511628211u;
    return (h ^ (h >> 29)) % N_KNOWN;
}

/* Of one that comes again with the same shape. */
static har_time of_shape(har_timer *t, const core_cost *c)
{
    int64_t key[N_KEY];
    make_key(t, c, key);
    har_known_time *known = &t->known[slot_of(key)];
    if (memcmp(known->key, key, sizeof key) != 0) {
        memcpy(known->key, key, sizeof key);
        known->time = compute(t, c);
    }
    return known->time;
}

static har_time ask(har_timer *t, const core_cost *c, int tier)
{
    if (c->kind == CORE_COST_COLLECTIVE) {
        har_time out = transfer(t, t->machine, c, tier);
        if (t->is_eager)
            out.seconds = fmax(out.seconds,
                               1e-6 * t->machine->coef[HAR_COEF_HOST].value);
        return out;
    }
    const har_rate *rate =
        har_rates_find(&t->machine->rates, t->spec, t->types.dtype, c);
    if (rate != NULL && !t->is_decode)
        return by_rate(t, rate, c);
    if (c->kind == CORE_COST_ELEMENTWISE || c->m * c->n * c->k == 0)
        return elementwise(t, c);
    return c->kind == CORE_COST_GROUPED_GEMM ? grouped(t, c) : of_shape(t, c);
}

har_time har_timer_ask(har_timer *t, const core_cost *c, int tier)
{
    const har_time time = ask(t, c, tier);
    if (t->machine->rates.n > 0)
        t->before = har_rates_touched(t->types.dtype, c);
    return time;
}

double har_timer_slower(const har_timer *t, const core_cost *c, int tier,
                        double seconds)
{
    if (!(t->machine->link[tier].sigma > 0))
        return 0;
    return transfer(t, t->slower, c, tier).seconds - seconds;
}

double har_timer_flops(const har_timer *t, const core_cost *c)
{
    return t->is_decode ? decode_step(t, c).flops : (double)c->flops;
}

static double weight_bytes(const har_timer *t, const core_cost *c)
{
    if (c->kind == CORE_COST_GROUPED_GEMM)
        return t->expert_bytes;
    return is_linear(c) ? t->linear_bytes : t->table_bytes;
}

double har_timer_bytes(const har_timer *t, const core_cost *c)
{
    if (c->kind == CORE_COST_COLLECTIVE)
        return (double)c->sent * carried_bytes(t, c);
    const double elements = t->is_decode ? decode_step(t, c).elements
                                         : (double)har_cost_bytes(c, 1);
    const double other = c->kind == CORE_COST_ATTENTION
                             ? t->kv_bytes
                             : (double)value_bytes(t);
    return (double)c->weights * weight_bytes(t, c) +
           (elements - (double)c->weights) * other;
}
