/* harness/perf/predict/lanes.c -- from a plan to lanes: whose records, how many
 * of them, played how often.  events.c makes the events.
 *
 * With all_ranks every rank is a lane and the records are those of the whole
 * pass.  Without, one rank speaks for its stage, the one whose experts have
 * most rows, and the records are those of as few micro-batches as show every
 * state of the pipeline: one in scope=stage, where ticks do not know of each
 * other; pp in scope=replica, where an expert serves all stages that are at
 * work in a tick. Ticks that come again are then played again.  A turn of
 * several micro-batches whose sums are one is as many ticks, played in a row, and
 * begins when the last of them is there.  With virtual
 * stages ticks of scope=replica are of every kind: they are all made.
 *
 * Trap: groups are numbered anew, counting only the members that are lanes.
 */
#include "harness/perf/predict/impl.h"
#include "parallel/turns.h"

#include <string.h>

/* Is the plan's own list of steps replayed? */
static bool is_planned(const har_predict_case *r)
{
    return r->overlap == HAR_OVERLAP_PLANNED && r->all_ranks &&
           r->plan->batch_reduce == 1;
}

/* Micro-batches that a stage works on in a turn: whose sums are one, or whose
 * exchanges go on while the other computes. */
static int of_turn(const har_predict_case *r)
{
    return is_planned(r) ? par_plan_lanes(r->plan) : r->plan->batch_reduce;
}

/* Whole turns of a round. */
static int n_runs(const har_predict_case *r)
{
    return r->plan->mb / of_turn(r);
}

bool har__is_never_full(const har_predict_case *request)
{
    return request->plan->scope == PAR_SCOPE_REPLICA &&
           (n_runs(request) < request->plan->pp ||
            request->plan->vpp > 1);
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
    par_plan_copy(&p->plan, r->plan);
    p->is_planned = is_planned(r);
    p->is_whole = p->is_planned || p->looks_closer;
    if (!p->is_planned)
        p->plan.overlap = 0; /* what is aside the replay says */
    p->n_b = r->n_b;
    if (r->all_ranks && !fills)
        return;
    const int64_t n_part = (int64_t)p->plan.rounds * p->plan.dp * p->plan.mb;
    p->plan.rounds = 1;
    int n_run = n_runs(r);
    if (fills) /* of virtual stages a whole period, and what fills them */
        n_run = p->plan.vpp > 1 ? 2 * p->plan.pp : p->plan.pp;
    else if (!in_step)
        n_run = 1;
    else if (p->plan.vpp == 1)
        n_run = at_most(n_run, p->plan.pp);
    p->plan.mb = n_run * of_turn(r);
    p->n_b = (r->n_b + n_part - 1) / n_part * p->plan.dp * p->plan.mb;
}

/* --- load --- */

static core_status room_for_load(har_predictor *p, const core_spec *spec,
                                 const par_layout *lay)
{
    har_load want = {.n_layer = spec->n_l,
                     .n_part =
                         (int64_t)p->plan.rounds * p->plan.dp * p->plan.mb,
                     .n_slice = (int64_t)p->plan.cp * p->plan.tp,
                     .n_entry = lay->experts->replica_first[spec->n_e]};
    const int64_t n = har_load_size(&want);
    if (n > p->n_own_room || p->own.n_row == NULL) {
        har_load_free(&p->own);
        p->n_own_room = 0;
        CORE_TRY(har_load_make(&p->own, spec, lay));
        p->n_own_room = n;
    } else {
        want.n_row = p->own.n_row;
        memset(want.n_row, 0, (size_t)n * sizeof *want.n_row);
        p->own = want;
    }
    p->load = p->own;
    return CORE_OK;
}

/* Measured counts.  A pipeline kept full has more micro-batches than the plan:
 * the measured ones come again. */
static core_status copy_load(har_predictor *p, const har_predict_case *r)
{
    const par_plan *own = r->plan;
    har_load *to = &p->load;
    CORE_FAIL_IF(
        r->load->n_layer != to->n_layer ||
            r->load->n_part != (int64_t)own->rounds * own->dp * own->mb ||
            r->load->n_slice != to->n_slice || r->load->n_entry != to->n_entry,
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
    CORE_TRY(par_layout_make(&lay, &p->layout, r->spec, &p->plan, 0));
    const bool is_measured = r->load != NULL && r->all_ranks;
    const bool is_of_demand = r->demand != NULL && !is_measured &&
                              (r->all_ranks || !r->demand->is_drawn);
    if (is_of_demand &&
        har_draws_find(&p->draws, r->demand, r->spec, &lay, p->n_b, r->n_t,
                       &p->load, &p->n_choice, &p->n_kept))
        return CORE_OK;
    CORE_TRY(room_for_load(p, r->spec, &lay));
    if (is_measured)
        return copy_load(p, r);
    if (is_of_demand) {
        har_demand_load(r->demand, r->spec, &lay, p->n_b, r->n_t, &p->draws,
                        &p->load, &p->n_choice, &p->n_kept);
        har_draws_keep(&p->draws, r->demand, r->spec, &lay, p->n_b, r->n_t,
                       &p->load, p->n_choice, p->n_kept);
        return CORE_OK;
    }
    if (r->demand != NULL)
        even = *r->demand;
    else
        CORE_TRY(har_demand_parse(&even, "uniform", (int)r->spec->n_e));
    even.is_drawn = false;
    har_demand_load(&even, r->spec, &lay, p->n_b, r->n_t, NULL, &p->load,
                    &p->n_choice, &p->n_kept);
    return CORE_OK;
}

/* --- lanes --- */

/* Rows for the experts of each ep index, of everybody; [ep].  sum [n_entry] is
 * scratch. */
static void count_rows(const har_predictor *p, const par_layout *lay,
                       int64_t *sum, double *rows)
{
    const int64_t n_entry = p->load.n_entry;
    const int64_t n_of_layer = p->load.n_part * p->load.n_slice * n_entry;
    for (int m = 0; m < p->plan.ep; m++)
        rows[m] = 0;
    for (int64_t l = 0; l < p->load.n_layer; l++) {
        const uint64_t *n_row = p->load.n_row + l * n_of_layer;
        for (int64_t e = 0; e < n_entry; e++)
            sum[e] = 0;
        for (int64_t i = 0; i < n_of_layer; i += n_entry)
            for (int64_t e = 0; e < n_entry; e++)
                sum[e] += (int64_t)n_row[i + e];
        for (int64_t e = 0; e < n_entry; e++)
            rows[lay->experts[l].replica_ep[e]] += (double)sum[e];
    }
}

/* The rank that speaks for a stage: of those with number first..first+n of an
 * expert scope, the one with most rows. */
static int spokesman(const har_predictor *p, const double *rows, int stage)
{
    const par_plan *plan = &p->plan;
    const bool by_stage = plan->scope == PAR_SCOPE_STAGE;
    const int of_row = plan->cp * plan->tp, rank0 = stage * plan->dp * of_row;
    const int first = by_stage ? 0 : stage * of_row;
    const int n = by_stage ? plan->ep * plan->etp : of_row;
    int best = first;
    for (int i = first; i < first + n; i++)
        if (rows[i / plan->etp] > rows[best / plan->etp])
            best = i;
    return rank0 + best - first;
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
    core_arena_i64(&need, p->load.n_entry);
    CORE_TRY(core_arena_room(&p->counts, &need));
    rows = core_arena_f64(&p->counts, p->plan.ep);
    int64_t *sum = core_arena_i64(&p->counts, p->load.n_entry);
    CORE_TRY(par_layout_make(&lay, &p->layout, r->spec, &p->plan, 0));
    count_rows(p, &lay, sum, rows);
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
    p->lane_time = core_arena_take(a, (int64_t)n_lane * HAR_MAX_WORLD,
                                   sizeof *p->lane_time);
}

/* --- plays --- */

/* Turns [first, end), a tick for each micro-batch of a run. */
static void play(const par_plan *plan, int *list, int *n, int first, int end)
{
    const int of_turn = par_plan_lanes(plan);
    for (int tick = first * of_turn; tick < end * of_turn; tick++)
        list[(*n)++] = tick;
}

/* scope=stage: micro-batches of a group, through the first chunk of all stages,
 * then the next, from the ticks of one that goes through all of them.        */
static void play_group(const par_plan *plan, int *list, int *n, int n_run)
{
    for (int chunk = 0; chunk < plan->vpp; chunk++)
        for (int i = 0; i < n_run; i++)
            play(plan, list, n, chunk * plan->pp, (chunk + 1) * plan->pp);
}

static void play_round(const har_predictor *p, const har_predict_case *r,
                       int *list, int *n)
{
    const int pp = r->plan->pp, n_run = n_runs(r);
    for (int first = 0; first < n_run; first += pp)
        play_group(&p->plan, list, n, at_most(pp, n_run - first));
}

/* scope=replica, virtual stages: micro-batches of a group are a period.      */
static void play_periods(har_predictor *p, double times)
{
    const int pp = p->plan.pp;
    p->n_period = pp * p->plan.vpp * par_plan_lanes(&p->plan);
    p->period_share = pp / times;
    play(&p->plan, p->serving, &p->n_serving, 0, pp - 1);
    for (int i = 0; i < 3; i++)
        play(&p->plan, p->serving, &p->n_serving, pp - 1, pp - 1 + pp * p->plan.vpp);
}

static void make_plays(har_predictor *p, const har_predict_case *r, int n_tick)
{
    const int n_lane = par_plan_lanes(&p->plan), n_turn = n_tick / n_lane;
    const int pp = p->plan.pp, n_run = p->plan.mb / n_lane, vpp = p->plan.vpp;
    const double times = r->plan->rounds * (double)r->plan->mb / n_lane;
    const bool in_step = p->plan.scope == PAR_SCOPE_REPLICA;
    const bool repeats = !r->all_ranks;
    p->n_pass = p->n_serving = p->n_period = 0;
    if (!repeats)
        play(&p->plan, p->pass, &p->n_pass, 0, n_turn);
    for (int i = 0; repeats && i < r->plan->rounds; i++) {
        if (!in_step) {
            play_round(p, r, p->pass, &p->n_pass);
            continue;
        }
        if (vpp > 1) {
            play(&p->plan, p->pass, &p->n_pass, 0, n_turn);
            continue;
        }
        play(&p->plan, p->pass, &p->n_pass, 0, at_most(pp, n_run) - 1);
        for (int k = n_run; k <= n_runs(r); k++)
            play(&p->plan, p->pass, &p->n_pass, n_run - 1, n_run);
        play(&p->plan, p->pass, &p->n_pass, n_run, n_run + pp - 1);
    }
    for (int k = 0; k < n_tick; k++)
        p->weight[k] = 0;
    for (int i = 0; i < p->n_pass; i++)
        p->weight[p->pass[i]]++;
    if (in_step && vpp > 1 && n_run >= 2 * pp) {
        play_periods(p, times);
    } else if (in_step && vpp == 1 && n_run >= pp) {
        play(&p->plan, p->serving, &p->n_serving, 0, pp - 1);
        for (int i = 0; i < 3; i++)
            play(&p->plan, p->serving, &p->n_serving, pp - 1, n_run);
        p->n_period = (n_run - pp + 1) * n_lane;
        p->period_share = (n_run - pp + 1) / times;
    } else if (!in_step && repeats && vpp > 1) {
        for (int i = 0; i < 3; i++)
            play_round(p, r, p->serving, &p->n_serving);
        p->n_period = p->n_serving / 3;
        p->period_share = 1.0 / r->plan->rounds;
    } else if (!in_step) {
        const int again = repeats ? 2 * pp + 2 : 3;
        for (int i = 0; i < again; i++)
            play(&p->plan, p->serving, &p->n_serving, 0, repeats ? pp : n_turn);
        p->n_period = repeats ? pp * n_lane : n_tick;
        p->period_share = repeats ? 1.0 / times : 1;
    }
}

core_status har__lanes(har_predictor *p, const har_predict_case *r,
                       har__purpose purpose)
{
    par_layout lay;
    choose_plan(p, r, purpose);
    const int n_lane = r->all_ranks ? par_plan_world(&p->plan) : p->plan.pp;
    const int n_tick = p->plan.rounds * par_ticks(&p->plan);
    const int n_part = par_plan_parts(&p->plan);
    const int n_play =
        3 * n_tick +
        par_plan_lanes(&p->plan) * n_part *
            (2 * p->plan.pp + 4 + (r->plan->rounds + 3) * (n_runs(r) + 2));
    core_arena need = core_arena_measure();
    take_lanes(p, &need, n_lane, n_tick, n_play);
    CORE_TRY(core_arena_room(&p->lanes, &need));
    take_lanes(p, &p->lanes, n_lane, n_tick, n_play);
    p->schedule = (har_schedule){.n_lane = n_lane,
                                 .n_tick = n_tick,
                                 .n_group = n_group_ids(&p->plan),
                                 .first = p->first,
                                 .from = p->from,
                                 .n_member = p->n_member,
                                 .n_at_once = p->plan.batch_reduce,
                                 .sends_aside = r->overlap != HAR_OVERLAP_NONE,
                                 .begins = p->is_planned,
                                 .meets_aside =
                                     r->overlap == HAR_OVERLAP_ALL ||
                                     (r->overlap == HAR_OVERLAP_PLANNED &&
                                      !r->all_ranks)};
    memset(p->n_member, 0, (size_t)n_group_ids(&p->plan) * sizeof(int));
    p->n_event = 0;
    CORE_TRY(har__begin_sections(p, r));
    p->flops = p->bytes = 0;
    make_plays(p, r, n_tick);
    CORE_TRY(make_load(p, r));
    CORE_TRY(choose_ranks(p, r));
    if (r->all_ranks) {
        CORE_TRY(par_layout_make(&lay, &p->layout, r->spec, &p->plan, 0));
        CORE_TRY(har_gathered_make(&p->gathered, &p->load, &lay));
    }
    for (int i = 0; i < n_lane; i++) {
        CORE_TRY(har__lane_make(p, r, i, n_tick));
        if (p->tell != NULL)
            p->tell(p->tell_self, p->done + p->share * (i + 1) / n_lane);
    }
    har__add_sections(p);
    p->is_known = true;
    p->done += p->share;
    p->schedule.event = p->event;
    p->schedule.n_class = p->n_class;
    return CORE_OK;
}
