/* parallel/order.c -- what a rank does in a turn: steps, and what they wait
 * for.
 *
 * A round has turns (turns.h): in each a stage works on a run of n_lane
 * micro-batches, each in a lane, with the layers of one of its chunks.  One
 * lane is the plan's own schedule, and turns are its ticks.  With as many lanes as
 * micro-batches a stage goes layer by layer over all of them, so that the rows
 * of all are there when an expert's weights are made: they are made once.
 *
 * A step is a part of a layer for one lane.  It may be taken once those that it
 * names are done.  Two kinds are taken for several lanes at once: experts, which
 * multiply with the very same weights, and sums over tp that are one collective
 * (batch_reduce).  Traps: all but EXPERTS meet other ranks, so they stand in
 * the list in an order that is the same on all ranks of a group, and are taken
 * in that order; a rank without a micro-batch in a lane joins the pairs all the
 * same (scope=replica), or none of its stage has one (scope=stage).
 */
#include "parallel/forward_impl.h"

static int n_run(const par_model *m)
{
    return par_runs(&m->layout->plan, m->work.n_lane);
}

int par__n_turn(const par_model *m)
{
    return par_turns(&m->layout->plan, n_run(m));
}

static par_turn turn_of(const par_model *m, int stage, int turn)
{
    return par_turn_of(&m->layout->plan, n_run(m), stage, turn);
}

int par__virtual(const par_model *m, int stage, int turn)
{
    return par_virtual_stage(&m->layout->plan, stage,
                             turn_of(m, stage, turn).chunk);
}

int par__mb(const par_model *m, int stage, int turn, int lane)
{
    return par_lane_mb(&m->layout->plan, m->work.n_lane, stage, turn, lane);
}

/* --- the list --- */

/* Does the shared expert run while rows are on their way? */
static bool runs_beside(const par_model *m)
{
    return (m->layout->plan.overlap & PAR_OVERLAP_SHARED) != 0;
}

int64_t par_most_steps(const par_layout *lay, int n_lane)
{
    enum { OF_LAYER = 6, OF_PAIR = 5, OF_ENDS = 3 };
    return (int64_t)n_lane *
           (OF_LAYER * lay->n_my_layer + OF_PAIR * lay->n_pair + OF_ENDS);
}

/* A step that waits for a and b, -1 for nothing; its number. */
static int add(par_model *m, par_turn_step what, int a, int b)
{
    par_work *w = &m->work;
    core_assert(w->n_step < par_most_steps(m->layout, w->n_lane));
    what.after[0] = a;
    what.after[1] = b;
    w->step[w->n_step] = what;
    return w->n_step++;
}

static bool is_mine(const par_model *m, int turn, int lane)
{
    return par__mb(m, m->layout->stage, turn, lane) >= 0;
}

/* A layer, or with l < 0 a pair that only other stages have rows for, as the
 * lanes [first, end) go through it whose sums over tp are one collective.    */
typedef struct stretch {
    int turn, l, pair, first, end;
} stretch;

/* The same, of one lane. */
typedef struct passage {
    par_turn_step at;
    bool mine, has_pair; /* has_pair: takes part in one                       */
} passage;

static passage passage_of(const par_model *m, const stretch *s, int lane)
{
    const int l = s->l;
    const bool mine = l >= 0 && is_mine(m, s->turn, lane);
    const bool joins = m->layout->plan.scope == PAR_SCOPE_REPLICA;
    return (passage){
        .at = {.lane = lane, .layer = mine ? l : -1, .pair = s->pair},
        .mine = mine,
        .has_pair = (l < 0 || core_spec_is_moe(m->spec, l)) && (mine || joins)};
}

/* A step of the lane's own. */
static void add_own(par_model *m, const passage *p, par_step_kind kind)
{
    par_lane *lane = &m->lane[p->at.lane];
    par_turn_step step = p->at;
    step.kind = kind;
    if (p->mine)
        lane->own = add(m, step, lane->own, -1);
}

static void add_of_pair(par_model *m, const passage *p, par_step_kind kind)
{
    par_lane *lane = &m->lane[p->at.lane];
    par_turn_step step = p->at;
    step.kind = kind;
    if (p->has_pair)
        lane->pair = add(m, step, lane->pair, -1);
}

/* A step of every lane of the stretch; of: whose sum it is. */
static void add_each(par_model *m, const stretch *s, par_step_kind kind,
                     par_step_kind of)
{
    for (int i = s->first; i < s->end; i++) {
        passage p = passage_of(m, s, i);
        p.at.of = of;
        add_own(m, &p, kind);
    }
}

/* What every lane does, and the sum of what that leaves, if there is one. */
static void add_all(par_model *m, const stretch *s, par_step_kind kind,
                    bool leaves_sum)
{
    add_each(m, s, kind, kind);
    if (leaves_sum)
        add_each(m, s, PAR_STEP_SUM, kind);
}

/* Does the layer have an MLP, beside rows on their way or not? */
static bool has_mlp(const par_model *m, const stretch *s, bool beside)
{
    return s->l >= 0 && core_spec_n_mlp(m->spec, s->l) > 0 &&
           (core_spec_is_moe(m->spec, s->l) && runs_beside(m)) == beside;
}

static void start_pair(par_model *m, const passage *p)
{
    par_lane *lane = &m->lane[p->at.lane];
    lane->pair = p->mine ? lane->own : -1;
    add_of_pair(m, p, PAR_STEP_DISPATCH);
}

/* Until rows are on their way; beside them the MLP. */
static void add_out(par_model *m, const stretch *s)
{
    const bool beside = has_mlp(m, s, true);
    const bool feeds = s->l >= 0 && core_spec_has_ffn(m->spec, s->l);
    if (s->l >= 0 && s->l == m->now.layer0)
        add_all(m, s, PAR_STEP_ARRIVE, s->l == 0 && m->spec->n_h > 0);
    if (s->l >= 0)
        add_all(m, s, PAR_STEP_MIX, par__mixer(m->spec, s->l) != NULL);
    for (int i = s->first; i < s->end; i++) {
        const passage p = passage_of(m, s, i);
        if (feeds)
            add_own(m, &p, PAR_STEP_ROUTE);
        start_pair(m, &p);
        if (beside)
            add_own(m, &p, PAR_STEP_MLP);
        if (m->work.pairs != PAR_PAIRS_CROSSED)
            add_of_pair(m, &p, PAR_STEP_ARRIVED);
    }
    if (beside)
        add_each(m, s, PAR_STEP_SUM, PAR_STEP_MLP);
}

/* Experts, of all lanes together or of each in turn. */
static void add_experts(par_model *m, const stretch *s)
{
    const par__pairs pairs = m->work.pairs;
    for (int i = s->first; i < s->end; i++) {
        const passage p = passage_of(m, s, i);
        if (pairs == PAR_PAIRS_CROSSED)
            add_of_pair(m, &p, PAR_STEP_ARRIVED);
        add_of_pair(m, &p, PAR_STEP_EXPERTS);
        if (pairs != PAR_PAIRS_JOINED)
            add_of_pair(m, &p, PAR_STEP_COMBINE);
        if (pairs == PAR_PAIRS_IN_TURN)
            add_of_pair(m, &p, PAR_STEP_RETURNED);
    }
}

/* From when rows are back, to the stream. */
static void add_back(par_model *m, const stretch *s)
{
    const par__pairs pairs = m->work.pairs;
    for (int i = s->first; i < s->end; i++) {
        const passage p = passage_of(m, s, i);
        if (pairs == PAR_PAIRS_JOINED)
            add_of_pair(m, &p, PAR_STEP_COMBINE);
        if (pairs != PAR_PAIRS_IN_TURN)
            add_of_pair(m, &p, PAR_STEP_RETURNED);
    }
    if (has_mlp(m, s, false))
        add_all(m, s, PAR_STEP_MLP, true);
    for (int i = s->first; i < s->end; i++) {
        const passage p = passage_of(m, s, i);
        par_lane *lane = &m->lane[i];
        par_turn_step step = p.at;
        step.kind = PAR_STEP_ADD;
        if (p.mine && core_spec_has_ffn(m->spec, s->l))
            lane->own = add(m, step, lane->own, lane->pair);
    }
}

/* Over all lanes.  Interleaved, what a lane has on its way is waited for when
 * the next one has computed; else at once.                                   */
static void add_layer(par_model *m, int turn, int l, int pair)
{
    static void (*const part[])(par_model *m, const stretch *s) = {
        add_out, add_experts, add_back};
    const int n_lane = m->work.n_lane, n_sum = m->layout->plan.batch_reduce;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < n_lane; i += n_sum) {
            const int end = i + n_sum < n_lane ? i + n_sum : n_lane;
            const stretch s = {turn, l, pair, i, end};
            part[k](m, &s);
        }
}

void par__list_steps(par_model *m, int turn)
{
    const par_layout *lay = m->layout;
    int pair = 0;
    m->work.n_step = m->work.n_past = 0;
    for (int i = 0; i < m->work.n_lane; i++)
        m->lane[i].own = -1;
    for (int l = m->now.layer0; l < m->now.layer1; l++) {
        add_layer(m, turn, l, pair);
        pair += core_spec_is_moe(m->spec, l) ? 1 : 0;
    }
    for (; lay->plan.scope == PAR_SCOPE_REPLICA && pair < lay->n_pair; pair++)
        add_layer(m, turn, -1, pair);
    for (int i = 0; i < m->work.n_lane; i++)
        if (is_mine(m, turn, i))
            add(m, (par_turn_step){.kind = PAR_STEP_LEAVE, .lane = i},
                m->lane[i].own, -1);
}

int par_turn_steps(const par_layout *lay, const core_spec *spec, int turn,
              par_turn_step *out)
{
    const int n_lane = par_plan_lanes(&lay->plan);
    par_lane lane[2] = {{.own = -1, .pair = -1}, {.own = -1, .pair = -1}};
    par_model m = {.layout = lay,
                   .spec = spec,
                   .lane = lane,
                   .work = {.n_lane = n_lane,
                            .pairs = n_lane > 1 ? PAR_PAIRS_CROSSED
                                                : PAR_PAIRS_IN_TURN,
                            .step = out}};
    core_assert(lay->plan.batch_reduce == 1);
    const int part = par__virtual(&m, lay->stage, turn);
    m.now.layer0 = lay->first_layer[part];
    m.now.layer1 = lay->first_layer[part + 1];
    par__list_steps(&m, turn);
    return m.work.n_step;
}

/* --- what is next --- */

static bool is_ready(const par_work *w, const par_turn_step *step)
{
    bool is_ready = !step->is_done;
    for (int i = 0; i < PAR_STEP_WAITS; i++)
        is_ready &= step->after[i] < 0 || w->step[step->after[i]].is_done;
    return is_ready;
}

/* Are they one? */
static bool is_one(const par_model *m, const par_turn_step *a, const par_turn_step *b)
{
    const int n_sum = m->layout->plan.batch_reduce;
    if (b->kind != a->kind)
        return false;
    return a->kind == PAR_STEP_EXPERTS ? b->pair == a->pair
           : a->kind == PAR_STEP_SUM   ? b->lane / n_sum == a->lane / n_sum
                                       : false;
}

/* Steps before n_past are done; those that are one stand side by side. */
const par_turn_step *par__take_step(par_model *m)
{
    par_work *w = &m->work;
    par_turn_step *const end = w->step + w->n_step;
    while (w->n_past < w->n_step && w->step[w->n_past].is_done)
        w->n_past++;
    par_turn_step *first = w->step + w->n_past;
    while (first < end && !is_ready(w, first))
        first++;
    w->n_joined = 0;
    for (par_turn_step *s = first; s < end; s++) {
        if (s != first && !is_one(m, first, s))
            break;
        if (is_ready(w, s)) {
            w->joined[w->n_joined++] = s->lane;
            s->is_done = true;
        }
    }
    return first < end ? first : NULL;
}
