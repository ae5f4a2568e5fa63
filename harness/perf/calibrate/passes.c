/* harness/perf/calibrate/passes.c -- see passes.h.
 *
 * The records of every pass are the same in the same order, so the first pass
 * makes the list and the others fill it.  That first pass also grows buffers
 * and touches pages for the first time: it makes the list and is not timed.
 */
#include "harness/perf/calibrate/passes.h"

#include "harness/perf/score/spread.h"

#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { COLD_BYTES = 4 << 20 }; /* more than a core's own cache                */

static void add(har_passes *p, const core_cost *cost)
{
    har_timed *at =
        core_grow(p->at, &p->room, p->n + 1, sizeof *at, "timed operators");
    if (at == NULL) {
        p->status = CORE_E_MEMORY;
        return;
    }
    p->at = at;
    p->at[p->n++] = (har_timed){.cost = *cost};
}

static void see(void *self, const core_cost *cost, const par_cost_time *took)
{
    har_passes *p = self;
    if (p->status != CORE_OK)
        return;
    if (p->now < 0) {
        add(p, cost);
        return;
    }
    core_assert(p->next < p->n); /* else a pass does what the first did not */
    p->at[p->next++].pass[p->now] = took->cpu_seconds;
}

static void keep_middle(har_passes *p)
{
    double sorted[HAR_MAX_PASSES];
    for (int64_t i = 0; i < p->n; i++) {
        memcpy(sorted, p->at[i].pass, sizeof sorted);
        har_sort(sorted, p->n_pass);
        p->at[i].seconds = sorted[p->n_pass / 2];
    }
}

static void empty_cache(double *scratch)
{
    for (size_t i = 0; i < COLD_BYTES / sizeof *scratch; i += 8)
        scratch[i] += 1;
}

static core_status run(har_passes *p, par_comm *comm, par_model *model,
                       const har_passes_case *r, double *scratch)
{
    for (p->now = -1; p->now < p->n_pass; p->now++) {
        p->next = 0;
        if (r->is_cold)
            empty_cache(scratch);
        CORE_TRY(par_forward(model, &r->inputs->batch, &p->stats));
        CORE_TRY(par_agree(comm, p->status));
    }
    keep_middle(p);
    return CORE_OK;
}

core_status har_passes_run(har_passes *out, par_comm *comm,
                           const har_passes_case *r)
{
    void *scratch = NULL;
    par_model *model = NULL;
    core_assert(r->n_pass > 0 && r->n_pass <= HAR_MAX_PASSES);
    *out = (har_passes){.n_pass = r->n_pass};
    const par_options options = {
        .weight_budget_bytes = SIZE_MAX, .cost = see, .cost_self = out};
    core_status status =
        core_alloc(&scratch, COLD_BYTES, 1, "what empties the cache");
    if (status == CORE_OK) {
        memset(scratch, 0, COLD_BYTES);
        status = par_model_open(&model, comm, &r->inputs->layout, r->spec,
                                r->inputs->weights, r->numerics, &options);
    }
    status = par_agree(comm, status);
    if (status == CORE_OK)
        status = run(out, comm, model, r, scratch);
    par_model_close(model);
    free(scratch);
    return status;
}

har_residency har_passes_where(const har_passes *p, int64_t i, core_dtype dtype,
                               double cache_bytes)
{
    return (har_residency){
        .before = i > 0 ? har_rates_touched(dtype, &p->at[i - 1].cost) : 0,
        .miss = har_rates_miss((double)p->stats.weight_bytes, cache_bytes)};
}

void har_passes_free(har_passes *passes)
{
    free(passes->at);
    *passes = (har_passes){0};
}

core_status har_inputs_open(har_inputs *out, const core_spec *spec,
                            const par_plan *plan, int rank, int64_t n_b,
                            int64_t n_t, uint64_t seed, core_numerics numerics)
{
    *out = (har_inputs){.arena = core_arena_measure()};
    CORE_TRY(par_layout_make(&out->layout, &out->arena, spec, plan, rank));
    CORE_TRY(core_batch_make(&out->batch, spec, n_b, n_t, seed));
    CORE_TRY(core_weights_open_procedural(&out->weights, spec, seed));
    return core_weights_prepare(out->weights, numerics, NULL);
}

void har_inputs_close(har_inputs *inputs)
{
    core_weights_close(inputs->weights);
    core_batch_free(&inputs->batch);
    core_arena_free(&inputs->arena);
}
