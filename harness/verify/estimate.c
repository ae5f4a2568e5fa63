/* harness/verify/estimate.c -- see estimate.h.
 *
 * The rates are deliberately modest: an estimate that promises too much is
 * worse than none.  Small matrices on many ranks run far below a core's peak,
 * and every rank has a start-up cost.
 */
#include "harness/verify/estimate.h"

#include "core/base/arena.h"
#include "core/model/taps.h"
#include "harness/verify/chances.h"
#include "harness/verify/spread.h"
#include "parallel/deal.h"
#include "parallel/forward.h"
#include "parallel/turns.h"
#include "ref/ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double FLOPS_PER_CORE = 3e10;    /* of a wide model            */
static const double HALF_RATE_HIDDEN = 512.0; /* half of that at this width */
static const double WEIGHTS_PER_CORE = 1e8;   /* generated or read          */
static const double TAP_BYTES_PER_CORE = 4e8; /* written, or compared       */

/* Of a rank, in what this machine takes for a start and a message (pace.h):
 * measured with 32 to 512 ranks of one host, docs/scale.md.                  */
static const double STARTS = 2.0;
static const double STEP_MESSAGES = 100.0; /* of a layer in a turn            */
static const har_pace USUAL_PACE = {0.015, 5e-6};

/* Measured: docs/scale.md. */
enum {
    IDLE_BYTES = 3 << 19,      /* of a rank that has done nothing, messages   */
    TALK_BYTES = 1 << 20,      /* more of them, once everybody was talked to  */
    TAP_WATCH_BYTES = 2 << 10, /* of a rank, to watch and to report a tap     */
    LAUNCHER_BYTES = 5 << 20,  /* and mpiexec, and its proxy                  */
    AFTER_BYTES = 4 << 20,     /* of rank 0, left by the reference            */
    THREAD_BYTES = 2 << 20,    /* of a rank's second thread and each further one */
    KEPT_FREELY = 256 << 20,   /* of weights, of all ranks together           */
    RANK_ADDRESSES = 390 << 20, /* of a rank: 88 MiB of libraries, OpenBLAS's two
                                 * buffers of 128, the rest stacks and heaps  */
};
static const double SHARE = 0.95; /* of free memory that weights may take      */

double har_forward_flops(const core_spec *spec, int64_t n_token, int64_t n_t)
{
    const double head = (double)(spec->tied ? 0 : spec->n_v * spec->n_d);
    const double active = (double)core_spec_active_parameters(spec) - head;
    double mixers = 0.0;
    for (int l = 0; l < (int)spec->n_l; l++)
        mixers +=
            core_mixer_flops(spec, l) + core_pair_flops(spec, l) * (double)n_t;
    return (double)n_token * (2.0 * active + mixers);
}

size_t har_tap_bytes(const core_spec *spec, int64_t n_token,
                     core_numerics numerics)
{
    const int64_t n_tap = core_taps(spec, NULL, 0);
    core_tap *taps = calloc((size_t)n_tap, sizeof *taps);
    size_t n = 0;
    if (taps == NULL)
        return 0;
    core_taps(spec, taps, n_tap);
    for (int64_t i = 0; i < n_tap; i++) {
        const bool is_int = core_tap_grid(taps[i].kind) == CORE_GRID_INT;
        size_t each = core_dtype_bytes(is_int ? CORE_DTYPE_I64
                                              : core_numerics_dtype(numerics));
        if (core_has_bounds(numerics) && !is_int)
            each += sizeof(float);
        n += (size_t)(core_tap_n_rows(spec, taps[i], n_token) *
                      core_tap_cols(spec, taps[i])) *
             each;
    }
    free(taps);
    return n;
}

/* The routed experts' weights, of all of them together. */
static double expert_parameters(const core_spec *spec)
{
    const double other = (double)(core_spec_parameters(spec) -
                                  core_spec_active_parameters(spec));
    return spec->n_e > spec->n_k
               ? other / (double)(spec->n_e - spec->n_k) * (double)spec->n_e
               : 0.0;
}

/* Of them those that n_token tokens together choose. */
static double chosen_parameters(const core_spec *spec, const double *chance,
                                double n_token)
{
    return spec->n_e > 0 ? expert_parameters(spec) / (double)spec->n_e *
                               har_chosen_experts(chance, spec->n_e, spec->n_k,
                                                  n_token)
                         : 0.0;
}

/* Weights that a pass over n_token tokens reads if it reads what it needs. */
static double touched_parameters(const core_spec *spec, const double *chance,
                                 double n_token)
{
    return (double)core_spec_parameters(spec) - expert_parameters(spec) +
           chosen_parameters(spec, chance, n_token);
}

typedef struct price { /* on one processor, in seconds                        */
    double work;   /* products and taps of a pass over the batch              */
    double weight; /* to make or read one                                     */
} price;

/* What making, multiplying and storing cost a case. */
typedef struct costs {
    price reference, ranks;
    double of_model, of_ranks; /* weights: all; that ranks have in all        */
    double of_batch, of_parts, of_groups; /* that a pass reads if it keeps none:
                                     * over the whole batch, over micro-batches,
                                     * over those of a stage together         */
    double ticks;                   /* seconds: messages of all ranks         */
    int n_processor;    /* that ranks work on, with all their threads         */
    int n_draw, n_read; /* passes of the reference; times that it reads a
                         * weight, to which norms for bounds come near        */
} costs;

/* Of an expert, each for tokens of its own. */
static double n_copies(const par_plan *plan, int64_t n_e)
{
    const double placed =
        n_e > 0 ? (double)par_plan_stored(plan, n_e) / (double)n_e : 1.0;
    return placed * (plan->scope == PAR_SCOPE_REPLICA
                         ? plan->dp
                         : plan->dp * plan->cp * plan->tp / (plan->ep * plan->etp));
}

/* Weights that ranks which hold of_ranks read if they keep none: an expert's for
 * the rows of n_run runs that each of its copies gets, the others' for every
 * micro-batch.                                                               */
static double read_by(const core_spec *spec, const par_plan *plan,
                      const double *chance, double of_ranks, double n_run,
                      int64_t n_token, bool reaches_all)
{
    const double n_part = n_run * n_copies(plan, spec->n_e);
    const double held = n_copies(plan, spec->n_e) * expert_parameters(spec);
    const double chosen =
        n_part * chosen_parameters(spec, chance, (double)n_token / n_part);
    return (of_ranks - held) * plan->rounds * plan->mb +
           (reaches_all ? fmax(chosen, held) : chosen);
}

static price price_of(const core_spec *spec, double flops, size_t tap_bytes,
                      const har_rates *rates)
{
    const double width = (double)spec->n_d;
    const double flop =
        rates->flop_seconds > 0.0
            ? rates->flop_seconds
            : (width + HALF_RATE_HIDDEN) / (FLOPS_PER_CORE * width);
    return (price){.work = flops * flop + (double)tap_bytes / TAP_BYTES_PER_CORE,
                   .weight = rates->weight_seconds > 0.0
                                 ? rates->weight_seconds
                                 : 1.0 / WEIGHTS_PER_CORE};
}

/* Without what ranks read.  reaches_all: every weight takes part, as in an
 * exercise.                                                                  */
static costs costs_of(const core_spec *spec, int64_t n_token, int64_t n_t,
                      size_t tap_bytes, const har_limits *limits,
                      core_numerics numerics, bool reaches_all)
{
    const double flops = har_forward_flops(spec, n_token, n_t);
    const har_kernel doubles =
        numerics == CORE_EXACT ? HAR_KERNEL_EXACT : HAR_KERNEL_DOUBLES;
    const har_kernel own =
        core_uses_floats(numerics) ? HAR_KERNEL_FLOATS : doubles;
    return (costs){
        .reference = price_of(spec, flops, tap_bytes, &limits->rates[doubles]),
        .ranks = price_of(spec, flops, tap_bytes, &limits->rates[own]),
        .of_model = (double)core_spec_parameters(spec),
        .of_batch = reaches_all ? (double)core_spec_parameters(spec)
                                : touched_parameters(spec, limits->chance,
                                                     (double)n_token),
        .n_draw = 1 + har_spread_draws(numerics),
        .n_read = 1 + har_spread_draws(numerics) + core_has_bounds(numerics)};
}

static double reference_seconds(const costs *c, bool keeps)
{
    return c->n_draw * c->reference.work +
           (keeps ? c->of_model : c->n_read * c->of_batch) *
               c->reference.weight;
}

/* That makes or reads so many weights. */
static double pass_seconds(const costs *c, double n_weight)
{
    return 1.2 * c->ranks.work + n_weight * c->ranks.weight + c->ticks;
}

static double weight_bytes(core_numerics numerics)
{
    return core_uses_floats(numerics) ? sizeof(float) : sizeof(double);
}

static har_pace pace_of(const har_limits *limits)
{
    return limits->pace.start_seconds > 0.0 ? limits->pace : USUAL_PACE;
}

static double tick_seconds(const core_spec *spec, const par_plan *plan,
                           const har_limits *limits)
{
    return par_plan_world(plan) * STEP_MESSAGES *
           pace_of(limits).message_seconds * plan->rounds *
           par_turns(plan, plan->mb) *
           (double)(spec->n_l / par_plan_parts(plan) + 1);
}

/* Much memory is for what saves a quarter of the time; little is not asked for,
 * so that what small models do does not hang on rates that were measured.    */
static bool is_worth_keeping(double bytes, double kept, double read_anew)
{
    return bytes <= KEPT_FREELY || read_anew > 1.25 * kept;
}

static int64_t largest_part(const par_plan *plan, int64_t n_b)
{
    const int64_t n_part = (int64_t)plan->rounds * plan->dp * plan->mb;
    return (n_b + n_part - 1) / n_part;
}

/* Are micro-batches to be worked on together, where weights do not stay?  Their
 * work takes memory, and for little is not asked for.                        */
static bool joins(const costs *c, core_numerics numerics, par_order order)
{
    const double apart = pass_seconds(c, c->of_parts);
    const double together = pass_seconds(c, c->of_groups);
    return order == PAR_ORDER_LAYERS ||
           (order == PAR_ORDER_AUTO && numerics == CORE_EXACT &&
            apart > 1.25 * together);
}

/* What is left of `available`, but for a reserve. */
static size_t left_of(size_t available, size_t need)
{
    const double left = SHARE * (double)available - (double)need;
    return left > 0.0 ? (size_t)left : 0;
}

void har_rank_budget(size_t out[3], const har_estimate *e, const par_plan *plan,
                     size_t available, size_t held)
{
    const size_t each = left_of(available, held) / (size_t)par_plan_world(plan);
    out[2] = e->joins ? each : 0;
    out[1] = e->ranks_keep ? each : 0;
    out[0] = plan->rounds * plan->mb > 1 ? out[1] : 0;
}

/* Of the honest pass, and of drawn ones where the numerics have them. */
static size_t reference_work(const core_spec *spec, core_numerics numerics,
                             int64_t n_b, int64_t n_t, int n_thread,
                             bool is_resident)
{
    const ref_pass_kind honest = {n_thread, is_resident, false};
    const ref_pass_kind drawn = {n_thread, is_resident, true};
    const size_t work = ref_pass_bytes(spec, numerics, n_b, n_t, &honest);
    if (har_spread_draws(numerics) == 0)
        return work;
    const size_t other = ref_pass_bytes(spec, numerics, n_b, n_t, &drawn);
    return other > work ? other : work;
}

size_t har_reference_budget(const core_spec *spec, core_numerics numerics,
                            int64_t n_b, int64_t n_t, int n_thread,
                            const har_limits *limits, size_t available,
                            size_t files)
{
    const int64_t n_token = n_b * n_t;
    const costs c =
        costs_of(spec, n_token, n_t, har_tap_bytes(spec, n_token, numerics),
                 limits, numerics, false);
    const size_t weights =
        ref_resident_bytes(spec, har_spread_draws(numerics) > 0);
    if (!is_worth_keeping((double)weights, reference_seconds(&c, true),
                          reference_seconds(&c, false)))
        return 0;
    const size_t work =
        reference_work(spec, numerics, n_b, n_t, n_thread, true);
    const size_t room = left_of(available, work + files);
    return weights <= room ? weights : 0;
}

/* What a rank holds to watch the taps of a batch, and to agree on them. */
static size_t watch_bytes(const core_spec *spec, int64_t n_token,
                          core_numerics numerics)
{
    const size_t n_tap = (size_t)core_taps(spec, NULL, 0);
    const size_t n_choice = (size_t)(n_token * spec->n_k * spec->n_l);
    const size_t scores = core_has_bounds(numerics)
                              ? (size_t)(n_token * spec->n_e) * sizeof(double)
                              : 0;
    return n_tap * TAP_WATCH_BYTES + n_choice + scores;
}

/* Of one rank: all shards; those beside experts that are read a tile at a time;
 * what is left if all matrices are; its work. */
typedef struct rank_bytes {
    size_t all, tiled, least, work;
} rank_bytes;

static core_status measure_rank(rank_bytes *out, const core_spec *spec,
                                const par_plan *plan, int rank, int64_t n_row,
                                int64_t n_t, core_numerics numerics, int n_thread)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    CORE_TRY(par_layout_make(&layout, &arena, spec, plan, rank));
    out->all = par_weight_bytes(spec, &layout, numerics);
    out->tiled = par_tiled_weight_bytes(spec, &layout, numerics);
    out->least = par_least_weight_bytes(spec, &layout, numerics);
    out->work = par_work_bytes(spec, &layout, n_row, n_t, n_thread) +
                (size_t)(n_thread - 1) * THREAD_BYTES;
    core_arena_free(&arena);
    return CORE_OK;
}

static size_t max_bytes(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What all ranks hold, given what each does: [world]. */
static void add_ranks(har_estimate *e, const rank_bytes *rank,
                      const core_spec *spec, const par_plan *plan,
                      int64_t n_token, core_numerics numerics, size_t free_bytes)
{
    const int world = par_plan_world(plan);
    const size_t each = watch_bytes(spec, n_token, numerics) + TALK_BYTES;
    size_t least = 0, largest = 0;
    for (int i = 0; i < world; i++) {
        e->held_bytes += rank[i].work + each;
        least += rank[i].least + rank[i].work + each;
        largest = max_bytes(largest, rank[i].least + rank[i].work + each);
        e->largest_rank_bytes =
            max_bytes(e->largest_rank_bytes, rank[i].all + rank[i].work);
    }
    const size_t idle = (size_t)world * IDLE_BYTES + LAUNCHER_BYTES;
    const size_t held = e->held_bytes + e->tap_bytes + idle;
    size_t budget[3];
    har_rank_budget(budget, e, plan, free_bytes, held);
    e->is_resident = true;
    e->all_ranks_bytes = e->held_bytes + (size_t)world * IDLE_BYTES;
    for (int i = 0; i < world; i++) {
        const bool stays = rank[i].all <= budget[0];
        e->is_resident &= stays;
        e->all_ranks_bytes += stays                    ? rank[i].all
                              : rank[i].tiled <= budget[1] ? rank[i].tiled
                                                       : rank[i].least;
    }
    e->least_bytes = max_bytes(e->least_bytes, least + AFTER_BYTES) + idle;
    e->address_bytes = max_bytes(e->address_bytes, RANK_ADDRESSES + largest);
}

/* What the reference takes where it keeps its weights only if they are few. */
static size_t least_reference(const core_spec *spec, core_numerics numerics,
                              int64_t n_b, int64_t n_t, int n_thread)
{
    const size_t kept =
        ref_resident_bytes(spec, har_spread_draws(numerics) > 0) +
        reference_work(spec, numerics, n_b, n_t, n_thread, true);
    const size_t tiled =
        reference_work(spec, numerics, n_b, n_t, n_thread, false);
    return kept < tiled ? kept : tiled;
}

/* Of the process that makes it: each further thread multiplies in room of its
 * own.                                                                       */
static size_t reference_addresses(const core_spec *spec, core_numerics numerics,
                                  int64_t n_b, int64_t n_t, int n_thread)
{
    return RANK_ADDRESSES + (size_t)(n_thread - 1) * HAR_THREAD_ADDRESSES +
           least_reference(spec, numerics, n_b, n_t, n_thread);
}

int har_reference_threads(const core_spec *spec, core_numerics numerics,
                          int64_t n_b, int64_t n_t, const har_limits *limits,
                          size_t files)
{
    int n = limits->n_core;
    while (n > 1 && reference_addresses(spec, numerics, n_b, n_t, n) + files >
                        limits->process_bytes)
        n--;
    return n;
}

static void add_seconds(har_estimate *e, const costs *c, core_numerics numerics,
                        const har_limits *limits)
{
    const int n_pass = core_has_bounds(numerics) ? 2 : 1; /* forced, and free */
    const bool keeps =
        e->reference_keeps && e->reference_bytes <= limits->memory_bytes / 2;
    e->reference_seconds = reference_seconds(c, keeps) / limits->n_core;
    e->pass_seconds = pass_seconds(c, e->is_resident ? c->of_ranks
                                      : e->joins     ? c->of_groups
                                                     : c->of_parts) /
                      c->n_processor;
    e->seconds = e->reference_seconds + n_pass * e->pass_seconds;
}

double har_start_seconds(int n_rank, const har_limits *limits)
{
    return n_rank * STARTS * pace_of(limits).start_seconds / limits->n_core;
}

static core_status make(har_estimate *out, const core_spec *spec,
                        const par_plan *plan, int64_t n_b, int64_t n_t,
                        core_numerics numerics, par_order order,
                        const har_limits *limits, bool reaches_all)
{
    const int world = par_plan_world(plan);
    void *memory;
    har_estimate e = {0};
    CORE_TRY(core_alloc(&memory, world, sizeof(rank_bytes), "sizes of ranks"));
    rank_bytes *rank = memory;
    core_status status = CORE_OK;
    const int n_thread = har_share_threads(limits, world);
    for (int i = 0; i < world && status == CORE_OK; i++)
        status = measure_rank(&rank[i], spec, plan, i, largest_part(plan, n_b),
                              n_t, numerics, n_thread);
    e.reference_bytes = (size_t)core_spec_parameters(spec) * sizeof(double) +
                        ref_workspace_bytes(spec, n_b, n_t);
    e.tap_bytes = har_tap_bytes(spec, n_b * n_t, numerics);
    costs c = costs_of(spec, n_b * n_t, n_t, e.tap_bytes, limits, numerics,
                       reaches_all);
    for (int i = 0; i < world && status == CORE_OK; i++)
        c.of_ranks += (double)rank[i].all / weight_bytes(numerics);
    c.of_parts = read_by(spec, plan, limits->chance, c.of_ranks,
                         plan->rounds * plan->mb, n_b * n_t, reaches_all);
    c.of_groups = read_by(spec, plan, limits->chance, c.of_ranks, plan->rounds,
                          n_b * n_t, reaches_all);
    c.ticks = tick_seconds(spec, plan, limits);
    c.n_processor = world * n_thread < limits->n_core ? world * n_thread
                                                      : limits->n_core;
    e.reference_keeps = is_worth_keeping(
        (double)ref_resident_bytes(spec, har_spread_draws(numerics) > 0),
        reference_seconds(&c, true), reference_seconds(&c, false));
    e.joins = joins(&c, numerics, order);
    e.ranks_keep = is_worth_keeping(
        c.of_ranks * weight_bytes(numerics), pass_seconds(&c, c.of_ranks),
        pass_seconds(&c, e.joins ? c.of_groups : c.of_parts));
    e.least_bytes = least_reference(spec, numerics, n_b, n_t, limits->n_core);
    e.address_bytes = reference_addresses(spec, numerics, n_b, n_t, 1);
    if (status == CORE_OK)
        add_ranks(&e, rank, spec, plan, n_b * n_t, numerics,
                  limits->memory_bytes);
    free(rank);
    CORE_TRY(status);
    e.address_bytes += e.tap_bytes;
    add_seconds(&e, &c, numerics, limits);
    *out = e;
    return CORE_OK;
}

core_status har_estimate_make(har_estimate *out, const core_spec *spec,
                              const par_plan *plan, int64_t n_b, int64_t n_t,
                              core_numerics numerics, par_order order,
                              const har_limits *limits)
{
    return make(out, spec, plan, n_b, n_t, numerics, order, limits, false);
}

core_status har_estimate_exercise(har_estimate *estimate, const core_spec *spec,
                                  const par_plan *plan, int64_t n_b,
                                  int64_t n_t, core_numerics numerics,
                                  par_order order, const har_limits *limits)
{
    par_deal deal;
    har_estimate e;
    CORE_TRY(par_deal_make(&deal, spec, plan, n_b, n_t, 0));
    const int64_t n_short = deal.n_t;
    par_deal_free(&deal);
    CORE_TRY(
        make(&e, spec, plan, n_b, n_short, numerics, order, limits, true));
    estimate->tap_bytes += e.tap_bytes;
    estimate->address_bytes += e.tap_bytes;
    estimate->exercise_reference_seconds = e.reference_seconds;
    estimate->exercise_pass_seconds = e.pass_seconds;
    estimate->seconds += e.reference_seconds + e.pass_seconds;
    return CORE_OK;
}

enum { STEP = 16, MOST_TOKENS = 4096 }; /* lest taps fill the memory */

/* Tokens per row with which an expert has two slots in a token group of n_row
 * rows: with one, half of all choices would be dropped and prove nothing.    */
static int64_t telling_row(const core_spec *spec, int64_t n_b, int64_t n_row)
{
    const bool by_group = spec->capacity.domain == CORE_DOMAIN_GROUP;
    int64_t n_t = STEP;
    while (core_spec_capacity(spec, by_group ? n_row * n_t : n_t) < 2 &&
           n_b * (n_t + STEP) <= MOST_TOKENS)
        n_t += STEP;
    return n_t;
}

/* Longer rows where an exercise needs them to reach all, if that is possible. */
static core_status lengthen(const core_spec *spec, const par_plan *plan,
                            int64_t n_b, int64_t *n_t)
{
    const int64_t most = MOST_TOKENS / n_b / STEP * STEP;
    par_deal deal;
    if (most <= *n_t)
        return CORE_OK;
    CORE_TRY(par_deal_make(&deal, spec, plan, n_b, most, 0));
    const int64_t enough = (deal.n_t + STEP - 1) / STEP * STEP;
    if (deal.n_missed == 0 && enough > *n_t)
        *n_t = enough;
    par_deal_free(&deal);
    return CORE_OK;
}

core_status har_default_batch(const core_spec *spec, const par_plan *plans,
                              int n_plan, int64_t *n_b, int64_t *n_t)
{
    int64_t largest = 1;
    for (int i = 0; i < n_plan; i++) {
        const int64_t n_part =
            (int64_t)plans[i].rounds * plans[i].dp * plans[i].mb;
        largest = n_part > largest ? n_part : largest;
    }
    *n_b = largest < 8 ? 2 * largest : largest;
    *n_t = telling_row(spec, *n_b, *n_b / largest);
    for (int i = 0; i < n_plan; i++)
        CORE_TRY(lengthen(spec, &plans[i], *n_b, n_t));
    return CORE_OK;
}
