/* harness/perf/predict_lanes.c -- from a plan to lanes of events.
 *
 * With all_ranks every rank is a lane and the records are those of the whole
 * pass.  Without, one rank speaks for its stage, the one whose experts have
 * most rows, and the records are those of as few micro-batches as show every
 * state of the pipeline: one in scope=stage, where ticks do not know of each
 * other; pp in scope=replica, where an expert serves all stages that are at
 * work in a tick. Ticks that come again are then played again.
 *
 * Traps: a group of one rank makes no event; groups are numbered anew, counting
 * only the members that are lanes; the expert group of a lane that speaks for
 * others is as large as ever in the time of its transfers.
 */
#include "harness/perf/predict_impl.h"

#include "harness/perf/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

core_status har__layout(har_predictor *p, par_layout *out,
                        const core_spec *spec, const par_plan *plan, int rank)
{
    core_arena need = core_arena_measure();
    par_layout_init(out, &need, spec, plan, rank);
    CORE_TRY(har__room(&p->layout, &need));
    par_layout_init(out, &p->layout, spec, plan, rank);
    return CORE_OK;
}

bool har__is_never_full(const har_predict_case *request)
{
    return request->plan->scope == PAR_SCOPE_REPLICA &&
           request->plan->mb < request->plan->pp;
}

static int at_most(int a, int b)
{
    return a < b ? a : b;
}

/* The plan and batch whose records are made. */
static void choose_plan(har_predictor *p, const har_predict_case *r,
                        har__purpose purpose)
{
    const bool in_step = r->plan->scope == PAR_SCOPE_REPLICA;
    const bool fills = purpose == HAR__SERVING && har__is_never_full(r);
    p->plan = *r->plan;
    p->n_b = r->n_b;
    if (r->all_ranks && !fills)
        return;
    const int64_t n_part = (int64_t)p->plan.rounds * p->plan.dp * p->plan.mb;
    p->plan.rounds = 1;
    if (fills)
        p->plan.mb = p->plan.pp;
    else
        p->plan.mb = in_step ? at_most(p->plan.mb, p->plan.pp) : 1;
    p->n_b = (r->n_b + n_part - 1) / n_part * p->plan.dp * p->plan.mb;
}

/* --- load --- */

static core_status room_for_load(har_predictor *p, const core_spec *spec,
                                 const par_layout *lay)
{
    har_load want = {.n_layer = spec->n_l,
                     .n_part =
                         (int64_t)p->plan.rounds * p->plan.dp * p->plan.mb,
                     .n_slice = p->plan.tp,
                     .n_entry = lay->replica_first[spec->n_e]};
    const int64_t n = har_load_size(&want);
    if (n > p->n_load_room || p->load.n_row == NULL) {
        har_load_free(&p->load);
        p->n_load_room = 0;
        CORE_TRY(har_load_make(&p->load, spec, lay));
        p->n_load_room = n;
        return CORE_OK;
    }
    want.n_row = p->load.n_row;
    memset(want.n_row, 0, (size_t)n * sizeof *want.n_row);
    p->load = want;
    return CORE_OK;
}

/* Measured counts.  A pipeline kept full has more micro-batches than the plan:
 * the measured ones come again. */
static core_status copy_load(har_predictor *p, const har_predict_case *r)
{
    const par_plan *own = r->plan;
    har_load *to = &p->load;
    CORE_FAIL_IF(r->load->n_layer != to->n_layer ||
                     r->load->n_part !=
                         (int64_t)own->rounds * own->dp * own->mb ||
                     r->load->n_slice != to->n_slice ||
                     r->load->n_entry != to->n_entry,
                 CORE_E_USAGE, "%s: the counts are of another plan",
                 r->load_from != NULL ? r->load_from : "load");
    p->n_choice = p->n_kept = 0;
    for (int64_t l = 0; l < to->n_layer; l++)
        for (int64_t part = 0; part < to->n_part; part++) {
            const int64_t d = part / p->plan.mb, m = part % p->plan.mb;
            memcpy(har_load_at(to, l, part, 0),
                   har_load_at(r->load, l, d * own->mb + m % own->mb, 0),
                   (size_t)(to->n_slice * to->n_entry) * sizeof *to->n_row);
        }
    for (int64_t i = 0; i < har_load_size(to); i++)
        p->n_kept += (double)to->n_row[i];
    p->n_choice = (double)core_spec_count_moe(r->spec, 0, (int)r->spec->n_l) *
                  (double)(p->n_b * r->n_t * r->spec->n_k);
    return CORE_OK;
}

static core_status make_load(har_predictor *p, const har_predict_case *r)
{
    par_layout lay;
    har_demand even;
    CORE_TRY(har__layout(p, &lay, r->spec, &p->plan, 0));
    CORE_TRY(room_for_load(p, r->spec, &lay));
    if (r->load != NULL && r->all_ranks)
        return copy_load(p, r);
    if (r->demand != NULL && (r->all_ranks || !r->demand->is_drawn)) {
        har_demand_load(r->demand, r->spec, &lay, p->n_b, r->n_t, &p->load,
                        &p->n_choice, &p->n_kept);
        return CORE_OK;
    }
    if (r->demand != NULL)
        even = *r->demand;
    else
        CORE_TRY(har_demand_parse(&even, "uniform", (int)r->spec->n_e));
    even.is_drawn = false;
    har_demand_load(&even, r->spec, &lay, p->n_b, r->n_t, &p->load,
                    &p->n_choice, &p->n_kept);
    return CORE_OK;
}

/* --- lanes --- */

/* Rows for the experts of ep index m, of everybody. */
static double rows_of(const har_predictor *p, const par_layout *lay, int m)
{
    const int64_t n = har_load_size(&p->load);
    double sum = 0;
    for (int64_t e = 0; e < p->load.n_entry; e++)
        if (lay->replica_ep[e] == m)
            for (int64_t i = e; i < n; i += p->load.n_entry)
                sum += (double)p->load.n_row[i];
    return sum;
}

/* The rank that speaks for a stage: of those with number first..first+n of an
 * expert scope, the one with most rows. */
static int spokesman(const har_predictor *p, const double *rows, int stage)
{
    const par_plan *plan = &p->plan;
    const bool by_stage = plan->scope == PAR_SCOPE_STAGE;
    const int first = by_stage ? 0 : stage * plan->tp;
    const int n = by_stage ? plan->ep * plan->etp : plan->tp;
    int best = first;
    for (int i = first; i < first + n; i++)
        if (rows[i / plan->etp] > rows[best / plan->etp])
            best = i;
    return by_stage ? stage * plan->dp * plan->tp + best
                    : stage * plan->dp * plan->tp + best - first;
}

static core_status choose_ranks(har_predictor *p, const har_predict_case *r)
{
    par_layout lay;
    double *rows;
    if (r->all_ranks) {
        for (int i = 0; i < p->schedule.n_lane; i++)
            p->rank_of[i] = i;
        return CORE_OK;
    }
    core_arena need = core_arena_measure();
    core_arena_f64(&need, p->plan.ep);
    CORE_TRY(har__room(&p->counts, &need));
    rows = core_arena_f64(&p->counts, p->plan.ep);
    CORE_TRY(har__layout(p, &lay, r->spec, &p->plan, 0));
    for (int m = 0; m < p->plan.ep; m++)
        rows[m] = rows_of(p, &lay, m);
    for (int i = 0; i < p->schedule.n_lane; i++)
        p->rank_of[i] = spokesman(p, rows, i);
    return CORE_OK;
}

static int n_group_ids(const par_plan *plan)
{
    return 4 * par_plan_world(plan) + 8;
}

static void take_lanes(har_predictor *p, core_arena *a, int n_lane, int n_tick,
                       int n_play)
{
    p->first = core_arena_i64(a, (int64_t)n_lane * (n_tick + 1));
    p->from = core_arena_take(a, n_lane, sizeof *p->from);
    p->rank_of = core_arena_take(a, n_lane, sizeof *p->rank_of);
    p->n_member = core_arena_take(a, n_group_ids(&p->plan), sizeof(int));
    p->weight = core_arena_f64(a, n_tick);
    p->most_rows = core_arena_i64(a, n_lane);
    p->pass = core_arena_take(a, n_play, sizeof *p->pass);
    p->serving = core_arena_take(a, n_play, sizeof *p->serving);
    p->lane_time = core_arena_take(a, n_lane, sizeof *p->lane_time);
}

/* --- plays --- */

static void play(int *list, int *n, int first, int end)
{
    for (int tick = first; tick < end; tick++)
        list[(*n)++] = tick;
}

static void make_plays(har_predictor *p, const har_predict_case *r, int n_tick)
{
    const int pp = p->plan.pp, mb = p->plan.mb;
    const int times = r->plan->rounds * r->plan->mb;
    const bool in_step = p->plan.scope == PAR_SCOPE_REPLICA;
    const bool repeats = !r->all_ranks;
    p->n_pass = p->n_serving = p->n_period = 0;
    if (!repeats)
        play(p->pass, &p->n_pass, 0, n_tick);
    for (int i = 0; repeats && !in_step && i < times; i++)
        play(p->pass, &p->n_pass, 0, pp);
    for (int i = 0; repeats && in_step && i < r->plan->rounds; i++) {
        play(p->pass, &p->n_pass, 0, at_most(pp, mb) - 1);
        for (int k = mb; k <= r->plan->mb; k++)
            play(p->pass, &p->n_pass, mb - 1, mb);
        play(p->pass, &p->n_pass, mb, mb + pp - 1);
    }
    for (int k = 0; k < n_tick; k++)
        p->weight[k] = 0;
    for (int i = 0; i < p->n_pass; i++)
        p->weight[p->pass[i]]++;
    if (in_step && mb >= pp) {
        play(p->serving, &p->n_serving, 0, pp - 1);
        for (int i = 0; i < 3; i++)
            play(p->serving, &p->n_serving, pp - 1, mb);
        p->n_period = mb - pp + 1;
        p->period_share = (double)p->n_period / times;
    } else if (!in_step) {
        const int again = repeats ? 2 * pp + 2 : 3;
        for (int i = 0; i < again; i++)
            play(p->serving, &p->n_serving, 0, repeats ? pp : n_tick);
        p->n_period = repeats ? pp : n_tick;
        p->period_share = repeats ? 1.0 / times : 1;
    }
}

/* --- records --- */

typedef struct putting {
    har_predictor *p;
    int lane, n_tick, tick; /* tick: whose first event is known               */
    int tier[CORE_N_AXES];
    int group[CORE_N_AXES];
    core_status status;
} putting;

static core_status push(har_predictor *p, const har_event *event)
{
    if (p->n_event == p->n_event_room) {
        const int64_t n = p->n_event_room > 0 ? 2 * p->n_event_room : 4096;
        void *memory;
        CORE_TRY(core_alloc(&memory, n, sizeof *p->event, "a schedule"));
        if (p->n_event > 0)
            memcpy(memory, p->event, (size_t)p->n_event * sizeof *p->event);
        free(p->event);
        p->event = memory;
        p->n_event_room = n;
    }
    p->event[p->n_event++] = *event;
    return CORE_OK;
}

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

static void add_to_class(har_predictor *p, int i, const core_cost *c,
                         const har_time *time)
{
    const double weight = p->weight[c->tick];
    const double flops = har_timer_flops(&p->timer, c);
    const double bytes = har_timer_bytes(&p->timer, c);
    har_class *k = &p->class_of[i];
    k->seconds += weight * time->seconds;
    k->bound[time->bound] += weight * time->seconds;
    k->flops += weight * flops;
    k->bytes += weight * bytes;
    k->n_record += weight;
    p->flops += weight * flops;
    if (c->kind != CORE_COST_COLLECTIVE)
        p->bytes += weight * bytes;
}

static har_event_kind event_kind(const core_cost *c)
{
    if (c->kind != CORE_COST_COLLECTIVE)
        return HAR_EVENT_COMPUTE;
    if (c->collective == CORE_SEND)
        return HAR_EVENT_SEND;
    return c->collective == CORE_RECEIVE ? HAR_EVENT_RECEIVE : HAR_EVENT_MEET;
}

static core_status take_record(putting *u, const core_cost *c)
{
    har_predictor *p = u->p;
    const har_event_kind kind = event_kind(c);
    har_time time = {0};
    if (c->kind == CORE_COST_COLLECTIVE && c->group < 2)
        return CORE_OK;
    if (kind != HAR_EVENT_RECEIVE)
        CORE_TRY(har_timer_ask(&p->timer, c, u->tier[c->axis], &time));
    const int i = class_of(p, c);
    add_to_class(p, i, c, &time);
    if (c->kind == CORE_COST_GROUPED_GEMM && c->m > p->most_rows[u->lane])
        p->most_rows[u->lane] = c->m;
    const har_event event = {.seconds = time.seconds,
                             .kind = (uint8_t)kind,
                             .uncertainty = (uint8_t)har_timer_kind(c->kind),
                             .class_i = (int16_t)i,
                             .layer = (int16_t)c->tap.layer,
                             .mb = (int16_t)c->mb,
                             .group = u->group[c->axis]};
    return push(p, &event);
}

static void put(void *self, const core_cost *c)
{
    putting *u = self;
    int64_t *first = u->p->first + (int64_t)u->lane * (u->n_tick + 1);
    while (u->tick < (int)c->tick)
        first[++u->tick] = u->p->n_event;
    if (u->status == CORE_OK)
        u->status = take_record(u, c);
}

/* The nearest links that reach all of a group: ranks fill nodes in order. */
static int tier_of(const har_machine *m, const int *rank, int n)
{
    int tier = 0;
    for (; tier + 1 < m->n_link; tier++) {
        bool together = true;
        for (int i = 1; i < n; i++)
            together = together && rank[i] / m->link[tier].n_gpu ==
                                       rank[0] / m->link[tier].n_gpu;
        if (together)
            break;
    }
    return tier;
}

static void join(putting *u, core_axis axis, const par_group *g)
{
    u->tier[axis] = tier_of(u->p->machine, g->rank, g->n);
    u->group[axis] = g->id;
    u->p->n_member[g->id]++;
}

static core_status make_lane(har_predictor *p, const har_predict_case *r,
                             int lane, int n_tick)
{
    const core_batch batch = {.n_b = p->n_b, .n_t = r->n_t};
    const har_cost_case records = {
        .spec = r->spec, .plan = &p->plan, .batch = &batch, .load = &p->load};
    par_layout lay;
    CORE_TRY(har__layout(p, &lay, r->spec, &p->plan, p->rank_of[lane]));
    putting u = {.p = p, .lane = lane, .n_tick = n_tick};
    int64_t *first = p->first + (int64_t)lane * (n_tick + 1);
    first[0] = p->n_event;
    p->most_rows[lane] = 0;
    join(&u, CORE_AXIS_TP, &lay.tp_group);
    join(&u, CORE_AXIS_EP, &lay.ep_group);
    join(&u, CORE_AXIS_ETP, &lay.etp_group);
    const int pair[2] = {lay.rank, lay.next_rank};
    u.tier[CORE_AXIS_PP] =
        lay.next_rank >= 0 ? tier_of(p->machine, pair, 2) : 0;
    p->from[lane] = lay.prev_rank < 0 ? -1
                    : r->all_ranks    ? lay.prev_rank
                                      : lane - 1;
    CORE_TRY(har_cost_rank(&records, p->rank_of[lane], put, &u));
    while (u.tick < n_tick)
        first[++u.tick] = p->n_event;
    return u.status;
}

core_status har__lanes(har_predictor *p, const har_predict_case *r,
                       har__purpose purpose)
{
    choose_plan(p, r, purpose);
    const int n_lane = r->all_ranks ? par_plan_world(&p->plan) : p->plan.pp;
    const int n_tick = p->plan.rounds * (p->plan.mb + p->plan.pp - 1);
    const int n_play = 3 * n_tick + p->plan.pp * (2 * p->plan.pp + 4) +
                       r->plan->rounds * (r->plan->mb + 2) * p->plan.pp;
    core_arena need = core_arena_measure();
    take_lanes(p, &need, n_lane, n_tick, n_play);
    CORE_TRY(har__room(&p->lanes, &need));
    take_lanes(p, &p->lanes, n_lane, n_tick, n_play);
    p->schedule = (har_schedule){.n_lane = n_lane,
                                 .n_tick = n_tick,
                                 .n_group = n_group_ids(&p->plan),
                                 .first = p->first,
                                 .from = p->from,
                                 .n_member = p->n_member,
                                 .sends_aside = r->overlap != HAR_OVERLAP_NONE,
                                 .meets_aside = r->overlap == HAR_OVERLAP_ALL};
    memset(p->n_member, 0, (size_t)n_group_ids(&p->plan) * sizeof(int));
    p->n_event = 0;
    p->n_class = 0;
    p->flops = p->bytes = 0;
    make_plays(p, r, n_tick);
    CORE_TRY(make_load(p, r));
    CORE_TRY(choose_ranks(p, r));
    for (int i = 0; i < n_lane; i++)
        CORE_TRY(make_lane(p, r, i, n_tick));
    p->schedule.event = p->event;
    p->schedule.n_class = p->n_class;
    return CORE_OK;
}
