/* harness/perf/predict/events.c -- the events of one lane.
 *
 * Records get their times and become events (putting.c), or are looked up
 * (sections.c, layers.c).
 *
 * Traps: a group of one rank makes no event; the expert group of a lane that
 * speaks for others is as large as ever in the time of its transfers, and its
 * links are the slowest of any group of its stage (tiers.h).
 */
#include "harness/perf/predict/putting.h"

#include "harness/perf/machine/tiers.h"

/* --- steps of a plan that overlaps --- */

/* Whose record is it? */
static par_step_kind step_of(const har__putting *u, const core_cost *c)
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
static bool goes_on(har__putting *u, const core_cost *c)
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
    core_assert(i < HAR__MAX_SORT);
    p->class_seen[i] = 0;
    p->class_of[p->n_class++] = (har_class){.op = c->op,
                                            .kind = c->kind,
                                            .collective = c->collective,
                                            .axis = c->axis};
    return i;
}

static har_event_kind event_kind(const core_cost *c)
{
    if (c->kind != CORE_COST_COLLECTIVE)
        return HAR_EVENT_COMPUTE;
    if (c->collective == CORE_SEND)
        return HAR_EVENT_SEND;
    return c->collective == CORE_RECEIVE ? HAR_EVENT_RECEIVE : HAR_EVENT_MEET;
}

static int cause_of(const har__putting *u, const core_cost *c)
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

static core_status take_record(har__putting *u, const core_cost *c)
{
    har_predictor *p = u->p;
    har_event_kind kind = event_kind(c);
    har_time time = {0};
    CORE_TRY(har__enter(u, step_of(u, c)));
    u->layer = c->tap.layer;
    if (c->kind == CORE_COST_COLLECTIVE && c->group < 2)
        return CORE_OK;
    if (kind == HAR_EVENT_MEET && goes_on(u, c))
        kind = HAR_EVENT_BEGIN;
    if (kind != HAR_EVENT_RECEIVE)
        time = har_timer_ask(&p->timer, c, u->tier[c->axis]);
    const har__known known = {
        .event = {.seconds = time.seconds,
                  .kind = (uint8_t)kind,
                  .cause = (uint8_t)cause_of(u, c),
                  .class_i = (uint8_t)har__see_class(p, class_of(p, c)),
                  .step = (uint8_t)u->step,
                  .layer = (int16_t)c->tap.layer,
                  .mb = (int16_t)c->mb,
                  .group = u->group[c->axis],
                  .more = har__more_of(u, c, time)},
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
        return har__keep_record(u, &known, c);
    har__add_to_class(p, &known, weight, weight * known.bytes);
    if (kind == HAR_EVENT_BEGIN) {
        u->begun = known.event;
        u->n_begun++;
    }
    return har__add_event(u, &known.event);
}

static void put(void *self, const core_cost *c)
{
    har__putting *u = self;
    har__reach(u, c->tick);
    if (u->status == CORE_OK)
        u->status = take_record(u, c);
}

/* --- lanes --- */

/* Members of a group ascend. */
static void join(har__putting *u, core_axis axis, const par_group *g)
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
static void join_all(har__putting *u, const par_layout *lay, bool speaks)
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
    const par_plan *k = &lay->plan;
    u->tensor = (uint64_t)k->tp << 32 | (uint64_t)k->overlap << 16 |
                (uint64_t)k->sp << 8 | (uint64_t)u->tier[CORE_AXIS_TP];
    u->expert = (uint64_t)k->etp;
    u->ways = (uint64_t)k->etp << 48 | (uint64_t)k->ep << 24 |
              (uint64_t)u->p->timer.n_near << 8 |
              (uint64_t)u->tier[CORE_AXIS_EP];
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
    har__putting u = {.p = p,
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
    const har_cost_reader reader = {
        .self = &u,
        .put = put,
        .has = p->machine->rates.n > 0 ? NULL : har__section_has,
        .ends = har__section_ends,
        .joins = !p->is_whole,
        .has_layer = har__layer_has,
        .layer_ends = har__layer_ends,
        .gathered = r->all_ranks ? &p->gathered : NULL};
    p->timer.before = 0;
    p->first[(int64_t)lane * (n_tick + 1)] = p->n_event;
    p->most_rows[lane] = 0;
    join_all(&u, &lay, !r->all_ranks);
    p->from[lane] = lay.prev_rank < 0 ? -1
                    : r->all_ranks    ? lay.prev_rank
                                      : (lane + p->plan.pp - 1) % p->plan.pp;
    CORE_TRY(har_cost_walk(&records, &lay, &p->records, &reader));
    har__reach(&u, n_tick);
    if (u.status == CORE_OK && p->is_planned)
        u.status = har__order_turns(p, &lay, r->spec, lane, n_tick);
    return u.status;
}
