/* harness/perf/predict/order.c -- events in the order of a plan that overlaps.
 *
 * Records come micro-batch by micro-batch.  Where two of them take turns, a rank
 * works off one list of steps (parallel/steps.h), so its events are dealt out to
 * the steps: to each what its micro-batch has next of that kind.
 */
#include "harness/perf/predict/impl.h"
#include "parallel/steps.h"
#include "parallel/turns.h"

#include <string.h>

enum { MAX_LANES = 2 };

/* Is an event part of a step?  What comes before rows leave is one; so is what
 * comes after they are back, and an MLP beside them. */
static bool is_of(const har_event *e, const par_turn_step *s)
{
    switch (s->kind) {
    case PAR_STEP_ARRIVE:
    case PAR_STEP_MIX:
    case PAR_STEP_ROUTE:
        return e->step == PAR_STEP_MIX && e->layer == s->layer;
    case PAR_STEP_MLP:
    case PAR_STEP_ADD:
        return e->step == PAR_STEP_MLP ||
               (e->step == PAR_STEP_ADD && e->layer == s->layer &&
                e->kind != HAR_EVENT_SEND);
    case PAR_STEP_LEAVE:
        return e->step == PAR_STEP_MIX || e->step == PAR_STEP_ADD;
    default:
        return e->step == s->kind;
    }
}

/* *first: [n_lane + 1] events of the ticks of a turn. */
static void order(har_event *event, const par_turn_step *step, int n_step,
                  int n_lane, int64_t *first, har_event *sorted)
{
    int64_t at[MAX_LANES], n = 0;
    const int64_t n_all = first[n_lane] - first[0];
    for (int i = 0; i < n_lane; i++)
        at[i] = first[i];
    for (int k = 0; k < n_step; k++) {
        const int i = step[k].lane;
        while (at[i] < first[i + 1] && is_of(&event[at[i]], &step[k]))
            sorted[n++] = event[at[i]++];
    }
    core_assert(n == n_all); /* an event without a step */
    memcpy(event + first[0], sorted, (size_t)n_all * sizeof *sorted);
    for (int i = 1; i < n_lane; i++)
        first[i] = first[n_lane];
}

core_status har__order_turns(har_predictor *p, const par_layout *lay,
                             const core_spec *spec, int lane, int n_tick)
{
    const int n_lane = par_plan_lanes(&p->plan);
    const int n_turn = par_ticks(&p->plan) / n_lane;
    int64_t *first = p->first + (int64_t)lane * (n_tick + 1), most = 0;
    core_arena need = core_arena_measure();
    par_turn_step *step = NULL;
    har_event *sorted = NULL;
    for (int tick = 0; tick < n_tick; tick += n_lane)
        if (first[tick + n_lane] - first[tick] > most)
            most = first[tick + n_lane] - first[tick];
    core_arena_take(&need, par_most_steps(lay, n_lane), sizeof *step);
    core_arena_take(&need, most, sizeof *sorted);
    CORE_TRY(core_arena_room(&p->turn, &need));
    step = core_arena_take(&p->turn, par_most_steps(lay, n_lane), sizeof *step);
    sorted = core_arena_take(&p->turn, most, sizeof *sorted);
    for (int tick = 0; tick < n_tick; tick += n_lane) {
        const int n = par_turn_steps(lay, spec, tick / n_lane % n_turn, step);
        order(p->event, step, n, n_lane, first + tick, sorted);
    }
    return CORE_OK;
}
