/* harness/verify/estimate.c -- see estimate.h.
 *
 * The rates are deliberately modest: an estimate that promises too much is
 * worse than none.  Small matrices on many ranks run far below a core's peak,
 * and every rank has a start-up cost.
 */
#include "harness/verify/estimate.h"

#include "core/model/taps.h"
#include "harness/verify/spread.h"
#include "harness/words/words.h"
#include "parallel/deal.h"
#include "parallel/forward.h"
#include "ref/ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double FLOPS_PER_CORE = 3e10;    /* of a wide model            */
static const double HALF_RATE_HIDDEN = 512.0; /* half of that at this width */
static const double WEIGHTS_PER_CORE = 1e8;   /* generated or read          */
static const double TAP_BYTES_PER_CORE = 4e8; /* written, or compared       */
static const double RANK_START_SECONDS = 0.08;
static const double TICK_SECONDS = 2e-3; /* of one rank: messages */
enum { PROCESS_BYTES = 9 << 19 };        /* beside what is counted here */

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

static size_t tap_bytes(const core_spec *spec, int64_t n_token,
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

static int64_t largest_part(const par_plan *plan, int64_t n_b)
{
    const int64_t n_part = (int64_t)plan->rounds * plan->dp * plan->mb;
    return (n_b + n_part - 1) / n_part;
}

size_t har_weight_budget(const par_plan *plan, size_t available)
{
    if (plan->rounds * plan->mb == 1)
        return 0; /* an expert is needed once: nothing is gained by keeping it
                   */
    return har_dense_budget(plan, available);
}

size_t har_dense_budget(const par_plan *plan, size_t available)
{
    return available / 10 * 8 / (size_t)par_plan_world(plan);
}

static core_status add_rank(har_estimate *e, const core_spec *spec,
                            const par_plan *plan, int rank, int64_t n_row,
                            int64_t n_t, core_numerics numerics)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    CORE_TRY(par_layout_make(&layout, &arena, spec, plan, rank));
    const size_t weights = par_weight_bytes(spec, &layout, numerics);
    const size_t work = par_work_bytes(spec, &layout, n_row, n_t);
    const size_t tiled = par_tiled_weight_bytes(spec, &layout, numerics);
    const size_t least = par_least_weight_bytes(spec, &layout, numerics);
    const size_t dense = har_dense_budget(plan, har_memory_available());
    core_arena_free(&arena);
    const bool fits =
        weights <= har_weight_budget(plan, har_memory_available());
    if (weights + work > e->largest_rank_bytes)
        e->largest_rank_bytes = weights + work;
    e->all_ranks_bytes +=
        (fits ? weights : tiled <= dense ? tiled : least) + work + PROCESS_BYTES;
    e->least_bytes += work;
    e->is_resident = fits;
    return CORE_OK;
}

/* Weights that a pass over n_token tokens reads if it reads what it needs. */
static double touched_parameters(const core_spec *spec, double n_token)
{
    const double all = (double)core_spec_parameters(spec);
    const double active = (double)core_spec_active_parameters(spec);
    const double n_e = (double)spec->n_e, n_k = (double)spec->n_k;
    if (!(n_e > n_k))
        return all;
    const double n_chosen = n_e * -expm1(-n_token * n_k / n_e);
    const double share = (n_chosen - n_k) / (n_e - n_k);
    return active + (all - active) * (share > 0.0 ? share : 0.0);
}

static double seconds(const har_estimate *e, const core_spec *spec,
                      const par_plan *plan, int64_t n_token, int64_t n_t,
                      int n_core, core_numerics numerics)
{
    const int n_part = plan->rounds * plan->dp * plan->mb;
    const int n_pass = core_has_bounds(numerics) ? 2 : 1; /* forced, and free */
    const double width = (double)spec->n_d;
    const double rate = FLOPS_PER_CORE * width / (width + HALF_RATE_HIDDEN);
    const double work = har_forward_flops(spec, n_token, n_t) / rate +
                        (double)e->tap_bytes / TAP_BYTES_PER_CORE;
    const double all = (double)core_spec_parameters(spec);
    const bool fits = e->reference_bytes <= har_memory_available() / 2;
    const double read = fits ? all : touched_parameters(spec, (double)n_token);
    const double read_by_ranks =
        e->is_resident
            ? all
            : n_part * touched_parameters(spec, (double)n_token / n_part);
    const double n_tick = (double)plan->rounds * (plan->mb + plan->pp - 1) *
                          (double)(spec->n_l / plan->pp + 1);
    const double reference =
        (1 + har_spread_draws(numerics)) * work + read / WEIGHTS_PER_CORE;
    const double pass = 1.2 * work + read_by_ranks / WEIGHTS_PER_CORE +
                        par_plan_world(plan) * n_tick * TICK_SECONDS;
    return (reference + n_pass * pass) / n_core;
}

double har_start_seconds(int n_rank, int n_core)
{
    return n_rank * RANK_START_SECONDS / n_core;
}

core_status har_estimate_make(har_estimate *out, const core_spec *spec,
                              const par_plan *plan, int64_t n_b, int64_t n_t,
                              core_numerics numerics, int n_core)
{
    const int world = par_plan_world(plan);
    har_estimate e = {0};
    e.reference_bytes = (size_t)core_spec_parameters(spec) * sizeof(double) +
                        ref_workspace_bytes(spec, n_b, n_t);
    e.tap_bytes = tap_bytes(spec, n_b * n_t, numerics);
    for (int rank = 0; rank < world; rank++)
        CORE_TRY(add_rank(&e, spec, plan, rank, largest_part(plan, n_b), n_t,
                          numerics));
    e.seconds = seconds(&e, spec, plan, n_b * n_t, n_t, n_core, numerics);
    *out = e;
    return CORE_OK;
}

core_status har_estimate_exercise(har_estimate *estimate, const core_spec *spec,
                                  const par_plan *plan, int64_t n_b,
                                  int64_t n_t, core_numerics numerics,
                                  int n_core)
{
    par_deal deal;
    har_estimate e;
    CORE_TRY(par_deal_make(&deal, spec, plan, n_b, n_t, 0));
    const int64_t n_short = deal.n_t;
    par_deal_free(&deal);
    CORE_TRY(har_estimate_make(&e, spec, plan, n_b, n_short, numerics, n_core));
    estimate->tap_bytes += e.tap_bytes;
    estimate->seconds += e.seconds;
    return CORE_OK;
}

core_status har_estimate_check(const har_estimate *estimate,
                               const core_spec *spec, const par_plan *plan,
                               size_t available)
{
    const size_t need = estimate->least_bytes + estimate->tap_bytes;
    char want[16], have[16], text[PAR_PLAN_TEXT];
    par_plan_format(plan, text);
    CORE_FAIL_IF(!(need <= available), CORE_E_MEMORY,
                 "%s on %s: needs at least %s of memory for buffers and taps, "
                 "%s are available",
                 spec->name, text, har_format_bytes(need, want),
                 har_format_bytes(available, have));
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

/* --- the machine --- */

/* The first number after `key` in a file of "key: number kB" lines; 0: none. */
static size_t read_number(const char *path, const char *key)
{
    char line[256];
    size_t value = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (value == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            value = (size_t)strtoull(line + strlen(key), NULL, 10);
    fclose(file);
    return value;
}

size_t har_memory_available(void)
{
    const size_t free_kb = read_number("/proc/meminfo", "MemAvailable:");
    const size_t limit = read_number("/sys/fs/cgroup/memory.max", "");
    const size_t used = read_number("/sys/fs/cgroup/memory.current", "");
    size_t available = free_kb > 0 ? free_kb * 1024 : (size_t)1 << 31;
    if (limit > 0 && used < limit && limit - used < available)
        available = limit - used;
    return available;
}

int har_n_cores(void)
{
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}
