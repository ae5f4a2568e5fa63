/* harness/perf/predict/events.c -- the events of one lane.
 *
 * Records get their times and become events.  Sections of records that come
 * again (cost/model.h) are looked up: what a rank of the same place in its
 * tensor group, over the same links, did with as many rows in a layer like this
 * one is copied, with another layer, micro-batch and group.
 *
 * Where nobody asks which record it was, all that is computed between two
 * transfers of a section is one event for each cause.
 *
 * Traps: a group of one rank makes no event; the expert group of a lane that
 * speaks for others is as large as ever in the time of its transfers, and its
 * links are the slowest of any group of its stage (tiers.h); what is
 * looked up is added to its classes at the end, once for all times it came.
 */
#include "harness/perf/predict/impl.h"

#include "core/base/arena.h"
#include "harness/perf/machine/tiers.h"
#include "parallel/steps.h"

#include <string.h>

/* An event of a section, and what its record adds to its class. */
struct har__known {
    har_event event;
    double flops, bytes, of_sent; /* of_sent: bytes of an element that is sent */
    har_bound bound;
    core_axis axis;
    bool is_global; /* its tap is of no layer                                 */
};

/* What the records of a section depend on, beside the prediction.            */
typedef struct har__place {
    int8_t part, tier[2]; /* of tp and ep                                     */
    int16_t like;
    int32_t t; /* place in the tensor group, or among parts of an expert      */
    int64_t n_row, n_flow;
} har__place;

/* What is known [first, first + n) of a section, the sums of its events
 * [sum, sum + n_sum), and how many times a pass has them.                    */
struct har__section {
    har__place place;
    bool is_exchange; /* bytes are said anew                                  */
    int64_t first, n, sum, n_sum;
    double weight;
};

enum { N_FIND = 1 << 14, MOST_SECTIONS = N_FIND / 2 };

typedef struct putting {
    har_predictor *p;
    int lane, n_tick, tick; /* tick: whose first event is known               */
    int t, etp_i;
    int tier[CORE_N_AXES];
    int group[CORE_N_AXES];
    bool is_kept;  /* the records are those of a new section         */
    har_cost_section kept;
    int64_t first; /* event that others may be added to             */
    bool has_interval;
    bool begins;  /* exchanges of rows of experts go on             */
    par_step_kind step;
    int layer;     /* of step                                        */
    int n_exchange; /* of rows that are dispatched, so far           */
    int n_begun;   /* that nobody has waited for                     */
    har_event begun; /* the last of them                             */
    core_status status;
} putting;

/* --- memory --- */

static core_status push(har_predictor *p, const har_event *event)
{
    har_event *more = core_grow(p->event, &p->n_event_room, p->n_event + 1,
                                sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->event = more;
    p->event[p->n_event++] = *event;
    return CORE_OK;
}

static core_status keep(har_predictor *p, const har__known *known)
{
    har__known *more = core_grow(p->known, &p->n_known_room, p->n_known + 1,
                                 sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->known = more;
    p->known[p->n_known++] = *known;
    return CORE_OK;
}

/* An event of computing is added to one of its cause in [first, n), if no transfer
 * is between them; false: there is none.                                     */
static bool join_computing(har_event *list, int64_t first, int64_t n,
                           const har_event *event)
{
    if (event->kind != HAR_EVENT_COMPUTE)
        return false;
    for (int64_t i = n - 1;
         i >= first && list[i].kind == HAR_EVENT_COMPUTE; i--)
        if (list[i].cause == event->cause) {
            list[i].seconds += event->seconds;
            list[i].more += event->more;
            return true;
        }
    return false;
}

static core_status add(const putting *u, const har_event *event)
{
    har_predictor *p = u->p;
    if (!p->is_whole && join_computing(p->event, u->first, p->n_event, event))
        return CORE_OK;
    return push(p, event);
}

/* --- steps of a plan that overlaps --- */

/* The events from here on are of this step.  What was begun has to be over
 * before experts compute, and before what came back is added up. */
static core_status enter(putting *u, par_step_kind step)
{
    const bool is_back = u->step == PAR_STEP_COMBINE;
    const bool is_there = step == PAR_STEP_EXPERTS || step == PAR_STEP_COMBINE;
    if (step == u->step)
        return CORE_OK;
    for (; (is_back || is_there) && u->n_begun > 0; u->n_begun--) {
        har_event wait = u->begun;
        wait.kind = HAR_EVENT_WAIT;
        wait.step = is_back ? PAR_STEP_RETURNED : PAR_STEP_ARRIVED;
        CORE_TRY(push(u->p, &wait));
    }
    u->n_exchange = 0;
    u->step = step;
    return CORE_OK;
}

/* Whose record is it? */
static par_step_kind step_of(const putting *u, const core_cost *c)
{
    const bool is_next = c->tap.layer != u->layer;
    if (c->op == par_operator_name(PAR_OP_EXPERT))
        return PAR_STEP_EXPERTS;
    if (c->op == par_operator_name(PAR_OP_COMBINE))
        return PAR_STEP_RETURNED;
    if (c->op == par_operator_name(PAR_OP_DISPATCH))
        return c->tap.kind == CORE_TAP_EXPERT_OUT ||
                       c->tap.kind == CORE_TAP_BACK
                   ? PAR_STEP_COMBINE
                   : PAR_STEP_DISPATCH;
    if (u->step == PAR_STEP_DISPATCH && !is_next)
        return PAR_STEP_MLP;
    if ((u->step == PAR_STEP_COMBINE || u->step == PAR_STEP_RETURNED ||
         u->step == PAR_STEP_ADD) &&
        !is_next)
        return PAR_STEP_ADD;
    return u->step == PAR_STEP_MLP && !is_next ? PAR_STEP_MLP : PAR_STEP_MIX;
}

/* Does an exchange of experts go on?  That of counts, the first, does not. */
static bool goes_on(putting *u, const core_cost *c)
{
    if (!u->begins || c->axis != CORE_AXIS_EP)
        return false;
    return ++u->n_exchange > 1 || u->step == PAR_STEP_COMBINE;
}

/* --- records --- */

static int class_of(har_predictor *p, const core_cost *c)
{
    int i = 0;
    for (; i < p->n_class; i++) {
        const har_class *k = &p->class_of[i];
        if (k->kind == c->kind && k->collective == c->collective &&
            k->axis == c->axis && k->op == c->op)
            return i;
    }
    core_assert(i < HAR_MAX_CLASS);
    p->class_of[p->n_class++] = (har_class){.op = c->op,
                                            .kind = c->kind,
                                            .collective = c->collective,
                                            .axis = c->axis};
    return i;
}

/* Seconds that a sigma of the record is more than one of its kind: of what
 * carries its coefficients over, or of the links of a transfer. */
static double more_of(const putting *u, const core_cost *c, har_time time)
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

/* A record is played `weight` times in a pass and then moves so many bytes. */
static void add_to_class(har_predictor *p, const har__known *known,
                         double weight, double bytes)
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

static har_event_kind event_kind(const core_cost *c)
{
    if (c->kind != CORE_COST_COLLECTIVE)
        return HAR_EVENT_COMPUTE;
    if (c->collective == CORE_SEND)
        return HAR_EVENT_SEND;
    return c->collective == CORE_RECEIVE ? HAR_EVENT_RECEIVE : HAR_EVENT_MEET;
}

static int cause_of(const putting *u, const core_cost *c)
{
    return c->kind == CORE_COST_COLLECTIVE ? HAR__CAUSE_LINK + u->tier[c->axis]
                                           : (int)har_timer_kind(c->kind);
}

static double bytes_of_sent(const har_predictor *p, const core_cost *c)
{
    const core_cost one = {.kind = c->kind,
                           .collective = c->collective,
                           .tap = c->tap,
                           .type = c->type,
                           .sent = 1};
    return c->kind == CORE_COST_COLLECTIVE ? har_timer_bytes(&p->timer, &one)
                                           : 0;
}

static core_status take_record(putting *u, const core_cost *c)
{
    har_predictor *p = u->p;
    har_event_kind kind = event_kind(c);
    har_time time = {0};
    CORE_TRY(enter(u, step_of(u, c)));
    u->layer = c->tap.layer;
    if (c->kind == CORE_COST_COLLECTIVE && c->group < 2)
        return CORE_OK;
    if (kind == HAR_EVENT_MEET && goes_on(u, c))
        kind = HAR_EVENT_BEGIN;
    if (kind != HAR_EVENT_RECEIVE)
        time = har_timer_ask(&p->timer, c, u->tier[c->axis]);
    const har__known known = {.event = {.seconds = time.seconds,
                                        .kind = (uint8_t)kind,
                                        .cause = (uint8_t)cause_of(u, c),
                                        .class_i = (uint8_t)class_of(p, c),
                                        .step = (uint8_t)u->step,
                                        .layer = (int16_t)c->tap.layer,
                                        .mb = (int16_t)c->mb,
                                        .group = u->group[c->axis],
                                        .more = more_of(u, c, time)},
                              .flops = har_timer_flops(&p->timer, c),
                              .bytes = har_timer_bytes(&p->timer, c),
                              .of_sent = bytes_of_sent(p, c),
                              .bound = time.bound,
                              .axis = c->axis,
                              .is_global = core_tap_is_global(c->tap.kind)};
    const double weight = p->weight[c->tick];
    if (c->kind == CORE_COST_GROUPED_GEMM && c->m > p->most_rows[u->lane])
        p->most_rows[u->lane] = c->m;
    if (u->is_kept)
        return keep(p, &known);
    add_to_class(p, &known, weight, weight * known.bytes);
    if (kind == HAR_EVENT_BEGIN) {
        u->begun = known.event;
        u->n_begun++;
    }
    return add(u, &known.event);
}

/* The events from here on are of this tick. */
static void reach(putting *u, int64_t tick)
{
    int64_t *first = u->p->first + (int64_t)u->lane * (u->n_tick + 1);
    if (u->tick < (int)tick) {
        if (u->status == CORE_OK)
            u->status = enter(u, PAR_STEP_MIX);
        u->layer = -1;
    }
    for (; u->tick < (int)tick; u->first = u->p->n_event)
        first[++u->tick] = u->p->n_event;
}

static void put(void *self, const core_cost *c)
{
    putting *u = self;
    reach(u, c->tick);
    if (u->status == CORE_OK)
        u->status = take_record(u, c);
}

/* --- sections --- */

static har__place place_of(const putting *u, const har_cost_section *now)
{
    return (har__place){.part = (int8_t)now->part,
                        .like = (int16_t)now->like,
                        .t = now->is_of_flow ? u->etp_i : u->t,
                        .tier = {(int8_t)u->tier[CORE_AXIS_TP],
                                 (int8_t)u->tier[CORE_AXIS_EP]},
                        .n_row = now->is_of_flow ? 0 : now->n_row,
                        .n_flow = now->n_flow};
}

static bool is_place(const har__place *a, const har__place *b)
{
    return a->n_flow == b->n_flow && a->n_row == b->n_row &&
           a->part == b->part && a->like == b->like && a->t == b->t &&
           a->tier[0] == b->tier[0] && a->tier[1] == b->tier[1];
}

/* Where a section stands in find, or the empty place for it; most come again with
 * the next layer. */
static int32_t *find(har_predictor *p, const har__place *place)
{
    int32_t *last = p->found[place->part];
    if (last != NULL && is_place(&p->section[*last - 1].place, place))
        return last;
    const uint64_t few = (uint64_t)place->part << 32 |
                         (uint64_t)place->like << 16 | (uint64_t)place->t;
    uint64_t h = ((uint64_t)place->n_row * 31 + few) * 1099511628211u;
    h = (h ^ (h >> 29) ^ (uint64_t)place->n_flow) * 1099511628211u;
    for (uint64_t at = h >> 29;; at++) {
        int32_t *found = &p->find[at % N_FIND];
        if (*found == 0)
            return found;
        if (is_place(&p->section[*found - 1].place, place))
            return p->found[place->part] = found;
    }
}

core_status har__forget_sections(har_predictor *p)
{
    void *find;
    p->n_section = p->n_known = p->n_sum = 0;
    if (p->find == NULL) {
        CORE_TRY(core_alloc(&find, N_FIND, sizeof *p->find, "a schedule"));
        p->find = find;
    }
    memset(p->find, 0, N_FIND * sizeof *p->find);
    memset(p->found, 0, sizeof p->found);
    return CORE_OK;
}

/* A known section's events for each record, of another layer, micro-batch and
 * group. */
static core_status recall_whole(putting *u, const har__section *known,
                                const har_cost_section *now)
{
    har_predictor *p = u->p;
    for (int64_t i = 0; i < known->n; i++) {
        const har__known *k = &p->known[known->first + i];
        har_event event = k->event;
        event.layer = (int16_t)(k->is_global ? 0 : now->layer);
        event.mb = (int16_t)now->mb;
        event.step = (uint8_t)u->step;
        event.group = u->group[k->axis];
        CORE_TRY(push(p, &event));
    }
    return CORE_OK;
}

/* ... or for each cause, of another group. */
static core_status recall_sums(putting *u, const har__section *known)
{
    har_predictor *p = u->p;
    for (int64_t i = 0; i < known->n_sum; i++) {
        har_event event = p->sum[known->sum + i];
        event.group = u->group[p->class_of[event.class_i].axis];
        CORE_TRY(add(u, &event));
    }
    return CORE_OK;
}

static core_status recall(putting *u, har__section *known,
                          const har_cost_section *now)
{
    har_predictor *p = u->p;
    const double weight = p->weight[now->tick];
    const bool ends = now->part == HAR_COST_MLP && now->layer == u->layer &&
                      u->step != PAR_STEP_MIX;
    CORE_TRY(enter(u, ends ? PAR_STEP_ADD : PAR_STEP_MIX));
    u->layer = now->layer;
    known->weight += weight;
    for (int64_t i = 0; known->is_exchange && i < known->n; i++) {
        const har__known *k = &p->known[known->first + i];
        p->class_of[k->event.class_i].bytes +=
            weight * ((double)now->sent[i] * k->of_sent);
    }
    return p->is_whole ? recall_whole(u, known, now) : recall_sums(u, known);
}

/* What was recalled, into its classes. */
void har__add_sections(har_predictor *p)
{
    for (int64_t s = 0; s < p->n_section; s++) {
        const har__section *of = &p->section[s];
        for (int64_t i = of->first; i < of->first + of->n; i++)
            add_to_class(p, &p->known[i], of->weight,
                         of->is_exchange ? 0 : of->weight * p->known[i].bytes);
    }
}

static core_status begin(putting *u, const har__place *place, int32_t *at,
                         const har_cost_section *now)
{
    har_predictor *p = u->p;
    har__section *more =
        core_grow(p->section, &p->n_section_room, p->n_section + 1,
                  sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->section = more;
    p->section[p->n_section++] = (har__section){
        .place = *place,
        .is_exchange = now->sent != NULL,
        .first = p->n_known,
        .sum = p->n_sum};
    *at = (int32_t)p->n_section;
    u->kept = *now;
    u->is_kept = true;
    return CORE_OK;
}

static bool has(void *self, const har_cost_section *now)
{
    putting *u = self;
    har_predictor *p = u->p;
    reach(u, now->tick);
    /* whose exchanges go on has steps to tell its records apart by */
    if (u->status != CORE_OK || (u->begins && now->part >= HAR_COST_PACK))
        return false;
    const har__place place = place_of(u, now);
    int32_t *at = find(p, &place);
    if (*at > 0) {
        u->status = recall(u, &p->section[*at - 1], now);
        return true;
    }
    if (p->n_section < MOST_SECTIONS)
        u->status = begin(u, &place, at, now);
    return false;
}

/* Do meetings of a section, one right after the other, come to one?  The same
 * member of the group takes longest in each: all grow with what the section
 * depends on.  Where they hide behind what was computed, only the first does. */
static bool is_one_meeting(const har_predictor *p, const har_event *before,
                           const har_event *event)
{
    return !p->schedule.meets_aside && before->kind == HAR_EVENT_MEET &&
           event->kind == HAR_EVENT_MEET && before->class_i == event->class_i;
}

static core_status add_to_sums(har_predictor *p, har__section *s,
                               const har_event *event)
{
    if (join_computing(p->sum, s->sum, p->n_sum, event))
        return CORE_OK;
    har_event *last = p->n_sum > s->sum ? &p->sum[p->n_sum - 1] : NULL;
    if (last != NULL && is_one_meeting(p, last, event)) {
        last->seconds += event->seconds;
        last->more += event->more;
        return CORE_OK;
    }
    har_event *more = core_grow(p->sum, &p->n_sum_room, p->n_sum + 1,
                                sizeof *more, "a schedule");
    if (more == NULL)
        return CORE_E_MEMORY;
    p->sum = more;
    p->sum[p->n_sum++] = *event;
    s->n_sum++;
    return CORE_OK;
}

/* The section is known, and comes for the first time. */
static void ends(void *self)
{
    putting *u = self;
    har_predictor *p = u->p;
    if (!u->is_kept)
        return;
    har__section *s = &p->section[p->n_section - 1];
    u->is_kept = false;
    s->n = p->n_known - s->first;
    for (int64_t i = 0; i < s->n && u->status == CORE_OK; i++)
        u->status = add_to_sums(p, s, &p->known[s->first + i].event);
    if (u->status == CORE_OK)
        u->status = recall(u, s, &u->kept);
}

/* --- lanes --- */

/* Members of a group ascend. */
static void join(putting *u, core_axis axis, const par_group *g)
{
    u->tier[axis] =
        har_tier_between(u->p->machine, g->rank[0], g->rank[g->n - 1]);
    u->group[axis] = g->id;
    u->p->n_member[g->id]++;
}

static int tier_to(const har_machine *m, int from, int to)
{
    return from < to ? har_tier_between(m, from, to)
                     : har_tier_between(m, to, from);
}

void har__aim_at_rank(har_predictor *p, const par_layout *lay)
{
    const par_plan *k = &lay->plan;
    const har_mesh mesh = har_mesh_of(k);
    p->timer.n_near = har_experts_near(p->machine, &mesh);
    p->timer.ep = k->ep;
    p->timer.n_held =
        lay->n_my_expert * (k->scope == PAR_SCOPE_REPLICA ? k->pp : 1);
}

/* Groups, and the links they use: for a lane that speaks for its stage the
 * slowest there. */
static void join_all(putting *u, const par_layout *lay, bool speaks)
{
    const har_machine *m = u->p->machine;
    const har_mesh mesh = har_mesh_of(&lay->plan);
    har__aim_at_rank(u->p, lay);
    join(u, CORE_AXIS_TP, &lay->tp_group);
    join(u, CORE_AXIS_CP, &lay->cp_group);
    join(u, CORE_AXIS_EP, &lay->ep_group);
    join(u, CORE_AXIS_ETP, &lay->etp_group);
    if (lay->next_rank >= 0)
        u->tier[CORE_AXIS_PP] = tier_to(m, lay->rank, lay->next_rank);
    if (speaks)
        har_stage_tiers(m, &mesh, lay->stage, u->tier);
}

core_status har__lane_make(har_predictor *p, const har_predict_case *r,
                           int lane, int n_tick)
{
    const core_batch batch = {.n_b = p->n_b, .n_t = r->n_t};
    const har_cost_case records = {
        .spec = r->spec, .plan = &p->plan, .batch = &batch, .load = &p->load};
    par_layout lay;
    CORE_TRY(
        par_layout_make(&lay, &p->layout, r->spec, &p->plan, p->rank_of[lane]));
    putting u = {.p = p,
                 .lane = lane,
                 .n_tick = n_tick,
                 .first = p->n_event,
                 .t = lay.t,
                 .etp_i = lay.etp_i,
                 .has_interval = !r->no_interval,
                 .begins = p->is_planned,
                 .step = PAR_STEP_MIX,
                 .layer = -1};
    /* a processor's time depends on the record before, see har_timer_ask */
    const har_cost_reader reader = {.self = &u,
                                    .put = put,
                                    .has = p->machine->rates.n > 0 ? NULL : has,
                                    .ends = ends,
                                    .gathered =
                                        r->all_ranks ? &p->gathered : NULL};
    p->timer.before = 0;
    p->first[(int64_t)lane * (n_tick + 1)] = p->n_event;
    p->most_rows[lane] = 0;
    join_all(&u, &lay, !r->all_ranks);
    p->from[lane] = lay.prev_rank < 0 ? -1
                    : r->all_ranks    ? lay.prev_rank
                                      : (lane + p->plan.pp - 1) % p->plan.pp;
    CORE_TRY(har_cost_walk(&records, &lay, &p->records, &reader));
    reach(&u, n_tick);
    if (u.status == CORE_OK && p->is_planned)
        u.status = har__order_turns(p, &lay, r->spec, lane, n_tick);
    return u.status;
}
