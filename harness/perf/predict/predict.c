/* harness/perf/predict/predict.c -- replays, and what follows from them.
 *
 * A pass is replayed from an empty pipeline to an empty one.  Serving is
 * replayed with the pipeline kept full: the play ends in ticks that come again
 * and again, and the period is what one more of them takes.
 */
#include "harness/perf/predict/impl.h"

#include <stdlib.h>
#include <string.h>

core_status har_predictor_make(har_predictor **out, const har_machine *machine)
{
    void *memory;
    CORE_TRY(core_alloc(&memory, 1, sizeof(har_predictor), "a predictor"));
    har_predictor *p = memory;
    *p = (har_predictor){.machine = machine,
                         .turn = core_arena_measure(),
                         .lanes = core_arena_measure(),
                         .layout = core_arena_measure(),
                         .counts = core_arena_measure(),
                         .gathered.arena = core_arena_measure(),
                         .records = core_arena_measure()};
    const core_status status = har_timer_make(&p->timer, machine);
    if (status != CORE_OK) {
        free(p);
        return status;
    }
    *out = p;
    return CORE_OK;
}

void har_predictor_free(har_predictor *p)
{
    if (p == NULL)
        return;
    har_timer_free(&p->timer);
    free(p->event);
    free(p->section);
    free(p->known);
    free(p->sum);
    free(p->touched);
    free(p->product);
    free(p->layer);
    free(p->find);
    har_load_free(&p->own);
    har_draws_free(&p->draws);
    core_arena_free(&p->turn);
    core_arena_free(&p->lanes);
    core_arena_free(&p->layout);
    core_arena_free(&p->counts);
    core_arena_free(&p->records);
    core_arena_free(&p->gathered.arena);
    har_replay_work_free(&p->work);
    free(p);
}

void har_predictor_watch(har_predictor *p,
                         void (*tell)(void *self, double done), void *self)
{
    p->tell = tell;
    p->tell_self = self;
}

double har__model_flops(const har_predict_case *r)
{
    const core_spec *s = r->spec;
    const double n_t = (double)r->n_t;
    const double keys = r->is_decode ? (double)r->n_kv : (n_t + 1) / 2;
    double weights = (double)core_spec_active_parameters(s);
    double attention = 0;
    if (!s->tied && s->n_h > 0)
        weights -= (double)s->n_v * (double)s->n_d;
    for (int l = 0; l < (int)s->n_l; l++) {
        const core_heads h = core_spec_heads(s, l);
        if (core_spec_has_attention(s, l))
            attention += 2 * keys * (double)h.n_h * (double)(h.n_dh + h.n_dv);
    }
    return (double)r->n_b * n_t * (2 * weights + attention);
}

/* --- replays --- */

typedef struct worlds {
    int n;
    int tier[HAR_MAX_LINKS]; /* of those from HAR__FIRST_LINK on */
    har_world of[HAR__N_WORLD];
} worlds;

static har_world as_predicted(void)
{
    har_world w = {{0}, {0}};
    for (int cause = 0; cause < HAR_N_CAUSE; cause++)
        w.factor[cause] = 1;
    return w;
}

/* The causes [first, end) of a kind of operators. */
static void causes_of(int kind, int *first, int *end)
{
    *first = kind == HAR_COLLECTIVE ? HAR__CAUSE_LINK : kind;
    *end = kind == HAR_COLLECTIVE ? HAR__CAUSE_LINK + HAR_MAX_LINKS : kind + 1;
}

static worlds make_worlds(const har_machine *machine, bool is_one)
{
    worlds w = {.n = 1, .of = {as_predicted()}};
    if (is_one)
        return w;
    for (int kind = 0; kind < HAR__N_KIND; kind++) {
        har_world *slow = &w.of[w.n++];
        int first, end;
        *slow = as_predicted();
        causes_of(kind, &first, &end);
        for (int cause = first; cause < end; cause++)
            slow->factor[cause] =
                1 + (kind == HAR_COLLECTIVE ? har_sigma(machine, kind)
                                            : machine->sigma[kind].value);
        if (kind != HAR_COLLECTIVE) /* what its coefficients may be off */
            slow->more[kind] = 1;
    }
    for (int tier = 0; tier < machine->n_link; tier++) {
        if (!(machine->link[tier].sigma > 0))
            continue;
        w.tier[w.n - HAR__FIRST_LINK] = tier;
        har_world *slow = &w.of[w.n++];
        *slow = as_predicted();
        slow->more[HAR__CAUSE_LINK + tier] = 1;
    }
    return w;
}

/* Figures of the pass of a replay, figures[k]: of world k. */
static void take_pass(const har_predictor *p, const har_replay *replay,
                      har__figures *figures)
{
    const int n_lane = p->schedule.n_lane, n_world = replay->n_world;
    for (int k = 0; k < n_world; k++) {
        har__figures *out = &figures[k];
        const double all = replay->pass[k] * n_lane;
        out->latency = replay->pass[k];
        out->compute = out->communication = out->bubble = out->imbalance = 0;
        for (int i = 0; i < n_lane; i++) {
            const har_lane_time *t = &p->lane_time[(int64_t)i * n_world + k];
            out->compute += t->compute / all;
            out->communication += t->meet / all;
            out->bubble += t->wait_stage / all;
            out->imbalance += t->wait_peer / all;
        }
    }
}

static void take_period(const har_predictor *p, const har_replay *replay,
                        har__figures *figures)
{
    for (int k = 0; k < replay->n_world; k++)
        figures[k].period =
            (replay->seconds[k] - replay->marked[k]) / p->period_share;
}

static core_status replay_pass(har_predictor *p, const worlds *w,
                               double *exposed, har__figures *figures)
{
    har_replay replay = {.n_world = w->n,
                         .world = w->of,
                         .lane = p->lane_time,
                         .exposed = exposed};
    CORE_TRY(
        har_replay_run(&p->schedule, p->pass, p->n_pass, &p->work, &replay));
    take_pass(p, &replay, figures);
    return CORE_OK;
}

/* n_pass > 0: a pass is the first so many ticks of the play; else the first tick
 * passes for one, which nobody asks for. */
static core_status replay_serving(har_predictor *p, const worlds *w, int n_pass,
                                  double *exposed, har__figures *figures)
{
    har_replay replay = {.n_world = w->n,
                         .world = w->of,
                         .n_mark = p->n_serving - p->n_period,
                         .n_pass = n_pass > 0 ? n_pass : 1,
                         .lane = p->lane_time,
                         .exposed = exposed};
    CORE_TRY(har_replay_run(&p->schedule, p->serving, p->n_serving, &p->work,
                            &replay));
    take_period(p, &replay, figures);
    if (n_pass > 0)
        take_pass(p, &replay, figures);
    return CORE_OK;
}

/* Does the play of serving begin with that of a pass? */
static bool begins_with_pass(const har_predictor *p)
{
    return p->n_pass <= p->n_serving &&
           memcmp(p->pass, p->serving, (size_t)p->n_pass * sizeof *p->pass) ==
               0;
}

/* --- conclusions --- */

static void keep_idlest(const har_predictor *p, int n_world,
                        har_prediction *out)
{
    out->most_idle = -1;
    for (int i = 0; i < p->schedule.n_lane; i++) {
        const har_lane_time *t = &p->lane_time[(int64_t)i * n_world];
        const double idle = (t->wait_stage + t->wait_peer) /
                            (t->end > 0 ? out->latency.value : 1);
        if (idle > out->most_idle) {
            out->most_idle = idle;
            out->most_idle_rank = p->rank_of[i];
        }
    }
}

static void keep_classes(const har_predictor *p, const double *exposed,
                         har_prediction *out)
{
    const double n = p->schedule.n_lane;
    out->n_class = p->n_order;
    out->comm_total = out->comm_exposed = 0;
    for (int i = 0; i < p->n_order; i++) {
        har_class c = p->class_of[p->order[i]];
        c.seconds /= n;
        c.flops /= n;
        c.bytes /= n;
        c.n_record /= n;
        c.exposed = exposed[p->order[i]] / n;
        for (int b = 0; b < HAR_N_BOUND; b++)
            c.bound[b] /= n;
        if (c.kind == CORE_COST_COLLECTIVE) {
            out->comm_total += c.seconds;
            out->comm_exposed += c.exposed;
        }
        out->class_of[i] = c;
    }
}

static int rank_of_member(const par_plan *plan, const har_balance *b)
{
    const int copy = b->slowest / plan->ep;
    const int number = b->slowest % plan->ep * plan->etp;
    const int of_row = plan->cp * plan->tp, in_stage = plan->dp * of_row;
    return plan->scope == PAR_SCOPE_STAGE
               ? b->slowest_scope * in_stage + copy * plan->ep * plan->etp +
                     number
               : (number / of_row * plan->dp + copy) * of_row + number % of_row;
}

static core_status find_balance(har_predictor *p, const har_predict_case *r,
                                har_balance *out)
{
    par_layout lay;
    *out = (har_balance){0};
    if (core_spec_count_moe(r->spec, 0, (int)r->spec->n_l) == 0)
        return CORE_OK;
    CORE_TRY(par_layout_make(&lay, &p->layout, r->spec, &p->plan, 0));
    return har_balance_of(out, &p->counts, r->spec, &lay, &p->load);
}

static void keep_balance(const har_predictor *p, const har_predict_case *r,
                         const har_balance *b, har_prediction *out)
{
    out->has_experts = core_spec_count_moe(r->spec, 0, (int)r->spec->n_l) > 0;
    if (!out->has_experts)
        return;
    out->expert_balance = b->experts;
    out->distinct_mean = b->distinct_mean;
    out->distinct_most = b->distinct_most;
    out->dropped = p->n_choice > 0 ? 1 - p->n_kept / p->n_choice : 0;
    out->slowest_ep_share = b->slowest_share;
    out->slowest_ep_rank = rank_of_member(&p->plan, b);
}

/* Work of a pass, and the shares of the peaks per second of a pass. */
static void keep_work(const har_predictor *p, const har_predict_case *r,
                      har_prediction *out)
{
    const double n_gpu = out->n_gpu;
    const double each = n_gpu / p->schedule.n_lane;
    out->model_flops = har__model_flops(r);
    out->record_flops = p->flops * each;
    out->record_bytes = p->bytes * each;
    out->mfu.value = out->model_flops / n_gpu / 
                     p->machine->peak[har_predict_unit(p->machine, r)];
    out->bandwidth.value = out->record_bytes / n_gpu / p->machine->memory_bw;
    out->serving_mfu = out->mfu;
    out->serving_bandwidth = out->bandwidth;
}

int har_predict_unit(const har_machine *machine, const har_predict_case *r)
{
    const bool has_experts =
        core_spec_count_moe(r->spec, 0, (int)r->spec->n_l) > 0;
    return har_operands_of(machine, &r->types,
                           has_experts ? r->types.experts : r->types.w)
        .unit;
}

core_status har_predict_check(const har_predictor *p, const har_predict_case *r)
{
    const core_dtype types[] = {r->types.dtype,
                                core_types_of(&r->types, CORE_SLOT_KV)};
    for (int i = 0; i < 2; i++)
        CORE_FAIL_IF(!(p->machine->peak[types[i]] > 0), CORE_E_USAGE,
                     "%s: no units for %s", p->machine->name,
                     core_dtype_name(types[i]));
    CORE_FAIL_IF(par_plan_world(r->plan) > 1 && p->machine->n_link == 0,
                 CORE_E_USAGE, "%s: no links, the plan needs %d devices",
                 p->machine->name, par_plan_world(r->plan));
    return CORE_OK;
}

/* The lanes of a case, replayed in all worlds; leaves those of a pass. */
static core_status replay_case(har_predictor *p, const har_predict_case *r,
                               const worlds *w, double *exposed,
                               har__figures *figures)
{
    const bool apart = har__is_never_full(r);
    if (apart) {
        CORE_TRY(har__lanes(p, r, HAR__SERVING));
        CORE_TRY(replay_serving(p, w, 0, NULL, figures));
    }
    CORE_TRY(har__lanes(p, r, HAR__PASS));
    if (!apart && begins_with_pass(p))
        return replay_serving(p, w, p->n_pass, exposed, figures);
    if (!apart)
        CORE_TRY(replay_serving(p, w, 0, NULL, figures));
    return replay_pass(p, w, exposed, figures);
}

static bool is_drawn(const har_predict_case *r)
{
    return r->all_ranks && r->load == NULL && r->demand != NULL &&
           r->demand->is_drawn && r->demand->n_e > 0;
}

/* How many other draws a case has. */
static int n_draws(const har_predict_case *r)
{
    if (!is_drawn(r) || r->no_interval)
        return 0;
    return r->n_draw < HAR__MAX_DRAW ? r->n_draw : HAR__MAX_DRAW;
}

/* Other draws of the same demand. */
static core_status replay_draws(har_predictor *p, const har_predict_case *r,
                                har__spread *spread)
{
    const worlds one = make_worlds(p->machine, true);
    har_predict_case other = *r;
    har_balance b;
    har_demand demand = {.n_e = 0};
    spread->n_draw = 0;
    if (n_draws(r) > 0)
        demand = *r->demand;
    other.demand = &demand;
    for (int i = 0; i < n_draws(r); i++) {
        demand.seed++;
        CORE_TRY(replay_case(p, &other, &one, NULL, &spread->draw[i]));
        CORE_TRY(find_balance(p, &other, &b));
        spread->draw[i].balance = b.ranks;
        spread->n_draw++;
    }
    return CORE_OK;
}

void har__aim(har_predictor *p, const har_predict_case *r)
{
    har_timer_aim(&p->timer, r->spec, &r->types);
    p->timer.n_cut =
        r->plan->cp_kind == PAR_CP_ULYSSES ? 1 : r->plan->cp;
    p->timer.algorithm = r->algorithm;
    p->timer.is_eager = r->is_eager;
    p->timer.is_decode = r->is_decode;
    p->timer.n_kv = r->n_kv;
    p->timer.prompt_share = (double)r->n_prompt / (double)r->n_b;
    p->timer.n_run = r->n_run;
    p->timer.n_past = r->n_past;
    p->timer.logit_share = r->logit_share;
}

core_status har_predict(har_predictor *p, const har_predict_case *r,
                        har_prediction *out)
{
    har__spread spread = {.n_world = 0};
    har_balance b;
    double exposed[HAR__MAX_SORT];
    CORE_TRY(har_predict_check(p, r));
    const worlds w = make_worlds(p->machine, r->no_interval);
    har__aim(p, r);
    p->last = *r;
    p->looks_closer = false;
    p->done = 0;
    p->share = 1.0 / (n_draws(r) + 1) / (har__is_never_full(r) ? 2 : 1);
    CORE_TRY(replay_draws(p, r, &spread));
    CORE_TRY(replay_case(p, r, &w, exposed, spread.world));
    CORE_TRY(find_balance(p, r, &b));
    spread.n_world = w.n;
    memcpy(spread.tier, w.tier, sizeof spread.tier);
    for (int k = 0; k < w.n; k++)
        spread.world[k].balance = b.ranks;
    out->n_gpu = par_plan_world(r->plan);
    out->n_row = (double)r->n_b;
    out->n_token = (double)r->n_b * (double)r->n_t;
    keep_work(p, r, out);
    har__ranges(out, &spread);
    keep_idlest(p, w.n, out);
    keep_classes(p, exposed, out);
    keep_balance(p, r, &b, out);
    return har__memory(p, r, out);
}

/* --- the timeline --- */

typedef struct showing {
    const har_predictor *p;
    void (*show)(void *self, const har_span *span);
    void *self;
} showing;

static void show_event(void *self, int lane, int64_t event, int64_t at,
                       double start, double end)
{
    const showing *s = self;
    const har_event *e = &s->p->event[event];
    const har_class *c = &s->p->class_of[e->class_i];
    const har_span span = {.rank = s->p->rank_of[lane],
                           .start = start,
                           .end = end,
                           .op = c->op,
                           .kind = c->kind,
                           .collective = c->collective,
                           .axis = c->axis,
                           .layer = e->layer,
                           .mb = e->mb,
                           .tick = s->p->pass[at],
                           .goes_on = e->kind == HAR_EVENT_WAIT};
    s->show(s->self, &span);
}

core_status har_predict_spans(har_predictor *p,
                              void (*show)(void *self, const har_span *span),
                              void *self)
{
    showing s = {p, show, self};
    har_replay replay = {.lane = p->lane_time, .show = show_event, .self = &s};
    p->looks_closer = true;
    if (!p->is_whole) {
        har__aim(p, &p->last);
        CORE_TRY(har__lanes(p, &p->last, HAR__PASS));
        replay.lane = p->lane_time;
    }
    return har_replay_run(&p->schedule, p->pass, p->n_pass, &p->work, &replay);
}
