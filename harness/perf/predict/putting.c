/* harness/perf/predict/putting.c -- what is put among the events of a lane, and
 * what it adds to its class.
 *
 * Where nobody asks which record it was, all that is computed between two
 * transfers is one event for each cause.
 */
#include "harness/perf/predict/putting.h"

#include "core/base/arena.h"

/* --- events --- */

static core_status room_for_events(har_predictor *p)
{
    har_event *more = core_grow(p->event, &p->n_event_room, p->n_event + 1,
                                sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->event = more;
    return CORE_OK;
}

core_status har__push(har_predictor *p, const har_event *event)
{
    if (p->n_event == p->n_event_room)
        CORE_TRY(room_for_events(p));
    p->event[p->n_event++] = *event;
    return CORE_OK;
}

bool har__join_computing(har_event *list, int64_t first, int64_t n,
                         const har_event *event)
{
    if (event->kind != HAR_EVENT_COMPUTE)
        return false;
    for (int64_t i = n - 1; i >= first && list[i].kind == HAR_EVENT_COMPUTE;
         i--)
        if (list[i].cause == event->cause) {
            list[i].seconds += event->seconds;
            list[i].more += event->more;
            return true;
        }
    return false;
}

core_status har__add_event(const har__putting *u, const har_event *event)
{
    har_predictor *p = u->p;
    if (!p->is_whole &&
        har__join_computing(p->event, u->first, p->n_event, event))
        return CORE_OK;
    return har__push(p, event);
}

/* --- steps and ticks --- */

core_status har__enter(har__putting *u, par_step_kind step)
{
    const bool is_back = u->step == PAR_STEP_COMBINE;
    const bool is_there = step == PAR_STEP_EXPERTS || step == PAR_STEP_COMBINE;
    if (step == u->step)
        return CORE_OK;
    for (; (is_back || is_there) && u->n_begun > 0; u->n_begun--) {
        har_event wait = u->begun;
        wait.kind = HAR_EVENT_WAIT;
        wait.step = is_back ? PAR_STEP_RETURNED : PAR_STEP_ARRIVED;
        CORE_TRY(har__push(u->p, &wait));
    }
    u->n_exchange = 0;
    u->step = step;
    return CORE_OK;
}

void har__reach(har__putting *u, int64_t tick)
{
    int64_t *first = u->p->first + (int64_t)u->lane * (u->n_tick + 1);
    if (u->tick < (int)tick) {
        if (u->status == CORE_OK)
            u->status = har__enter(u, PAR_STEP_MIX);
        u->layer = -1;
    }
    for (; u->tick < (int)tick; u->first = u->p->n_event)
        first[++u->tick] = u->p->n_event;
}

/* --- classes --- */

int har__see_class(har_predictor *p, int i)
{
    har_class *k = &p->class_of[i];
    if (p->class_seen[i] == p->number)
        return i;
    core_assert(p->n_order < HAR_MAX_CLASS);
    p->class_seen[i] = p->number;
    p->order[p->n_order++] = i;
    *k = (har_class){.op = k->op,
                     .kind = k->kind,
                     .collective = k->collective,
                     .axis = k->axis};
    return i;
}

double har__more_of(const har__putting *u, const core_cost *c, har_time time)
{
    const har_timer *t = &u->p->timer;
    if (!u->has_interval)
        return 0;
    if (c->kind == CORE_COST_COLLECTIVE)
        return c->collective == CORE_RECEIVE
                   ? 0
                   : har_timer_slower(t, c, u->tier[c->axis], time.seconds);
    if (!t->machine->is_carried)
        return 0;
    return time.seconds *
           (time.sigma - t->machine->sigma[har_timer_kind(c->kind)].value);
}

void har__add_to_class(har_predictor *p, const har__known *known, double weight,
                       double bytes)
{
    har_class *k = &p->class_of[known->event.class_i];
    k->seconds += weight * known->event.seconds;
    k->bound[known->bound] += weight * known->event.seconds;
    k->flops += weight * known->flops;
    k->bytes += bytes;
    k->n_record += weight;
    p->flops += weight * known->flops;
    if (k->kind != CORE_COST_COLLECTIVE)
        p->bytes += bytes;
}
