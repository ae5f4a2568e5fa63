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
 * names are done.  Traps: all but EXPERTS meet other ranks, so they stand in
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

int64_t par__most_steps(const par_layout *lay, int n_lane)
{
    enum { OF_LAYER = 4, OF_PAIR = 5, OF_ENDS = 2 };
    return (int64_t)n_lane *
           (OF_LAYER * lay->n_my_layer + OF_PAIR * lay->n_pair + OF_ENDS);
}

/* A step that waits for a and b, -1 for nothing; its number. */
static int add(par_model *m, par__step what, int a, int b)
{
    par_work *w = &m->work;
    core_assert(w->n_step < par__most_steps(m->layout, w->n_lane));
    what.after[0] = a;
    what.after[1] = b;
    w->step[w->n_step] = what;
    return w->n_step++;
}

/* Up to what the lane's rows are. */
static void add_front(par_model *m, par__step at)
{
    par_lane *lane = &m->lane[at.lane];
    if (at.layer == m->now.layer0) {
        at.kind = PAR_STEP_ARRIVE;
        lane->own = add(m, at, -1, -1);
    }
    at.kind = PAR_STEP_MIX;
    lane->own = add(m, at, lane->own, -1);
    at.kind = PAR_STEP_ROUTE;
    if (core_spec_has_ffn(m->spec, at.layer))
        lane->own = add(m, at, lane->own, -1);
    lane->pair = lane->own;
}

static void add_mlp(par_model *m, par__step at)
{
    par_lane *lane = &m->lane[at.lane];
    at.kind = PAR_STEP_MLP;
    if (core_spec_n_mlp(m->spec, at.layer) > 0)
        lane->own = add(m, at, lane->own, -1);
}

/* To the stream. */
static void add_rest(par_model *m, par__step at)
{
    par_lane *lane = &m->lane[at.lane];
    at.kind = PAR_STEP_ADD;
    if (core_spec_has_ffn(m->spec, at.layer))
        lane->own = add(m, at, lane->own, lane->pair);
}

static bool is_mine(const par_model *m, int turn, int lane)
{
    return par__mb(m, m->layout->stage, turn, lane) >= 0;
}

/* A layer, or with at.layer < 0 a pair that only other stages have rows for, as
 * one lane goes through it.                                                  */
typedef struct passage {
    par__step at;
    bool mine, has_pair; /* has_pair: takes part in one                       */
} passage;

static void add_of_pair(par_model *m, const passage *p, par__step_kind kind)
{
    par_lane *lane = &m->lane[p->at.lane];
    par__step step = p->at;
    step.kind = kind;
    if (p->has_pair)
        lane->pair = add(m, step, lane->pair, -1);
}

/* Until its rows are on their way; beside them, or later, the MLP. */
static void add_out(par_model *m, const passage *p)
{
    m->lane[p->at.lane].pair = -1;
    if (p->mine)
        add_front(m, p->at);
    add_of_pair(m, p, PAR_STEP_DISPATCH);
    if (p->mine && p->has_pair && runs_beside(m))
        add_mlp(m, p->at);
}

/* From when they are back. */
static void add_back(par_model *m, const passage *p)
{
    add_of_pair(m, p, PAR_STEP_RETURNED);
    if (p->mine && !(p->has_pair && runs_beside(m)))
        add_mlp(m, p->at);
    if (p->mine)
        add_rest(m, p->at);
}

static passage passage_of(const par_model *m, int turn, int l, int pair,
                          int lane)
{
    const bool mine = l >= 0 && is_mine(m, turn, lane);
    const bool joins = m->layout->plan.scope == PAR_SCOPE_REPLICA;
    return (passage){
        .at = {.lane = lane, .layer = mine ? l : -1, .pair = pair},
        .mine = mine,
        .has_pair = (l < 0 || core_spec_is_moe(m->spec, l)) && (mine || joins)};
}

/* Over all lanes.  Interleaved, what a lane has on its way is waited for when
 * the next one has computed; else at once, and the experts of all lanes are
 * multiplied together.                                                       */
static void add_layer(par_model *m, int turn, int l, int pair)
{
    const int n_lane = m->work.n_lane;
    const bool is_interleaved = m->work.is_interleaved;
    for (int i = 0; i < n_lane; i++) {
        const passage p = passage_of(m, turn, l, pair, i);
        add_out(m, &p);
        if (!is_interleaved)
            add_of_pair(m, &p, PAR_STEP_ARRIVED);
    }
    for (int i = 0; i < n_lane; i++) {
        const passage p = passage_of(m, turn, l, pair, i);
        if (is_interleaved)
            add_of_pair(m, &p, PAR_STEP_ARRIVED);
        add_of_pair(m, &p, PAR_STEP_EXPERTS);
        if (is_interleaved)
            add_of_pair(m, &p, PAR_STEP_COMBINE);
    }
    for (int i = 0; i < n_lane; i++) {
        const passage p = passage_of(m, turn, l, pair, i);
        if (!is_interleaved)
            add_of_pair(m, &p, PAR_STEP_COMBINE);
        add_back(m, &p);
    }
}

void par__list_steps(par_model *m, int turn)
{
    const par_layout *lay = m->layout;
    int pair = 0;
    m->work.n_step = m->work.n_past = 0;
    for (int l = m->now.layer0; l < m->now.layer1; l++) {
        add_layer(m, turn, l, pair);
        pair += core_spec_is_moe(m->spec, l) ? 1 : 0;
    }
    for (; lay->plan.scope == PAR_SCOPE_REPLICA && pair < lay->n_pair; pair++)
        add_layer(m, turn, -1, pair);
    for (int i = 0; i < m->work.n_lane; i++)
        if (is_mine(m, turn, i))
            add(m, (par__step){.kind = PAR_STEP_LEAVE, .lane = i},
                m->lane[i].own, -1);
}

/* --- what is next --- */

static bool is_ready(const par_work *w, const par__step *step)
{
    bool is_ready = !step->is_done;
    for (int i = 0; i < PAR_STEP_WAITS; i++)
        is_ready &= step->after[i] < 0 || w->step[step->after[i]].is_done;
    return is_ready;
}

/* Do they multiply with the very same weights? */
static bool shares_weights(const par__step *a, const par__step *b)
{
    return a->kind == PAR_STEP_EXPERTS && b->kind == a->kind &&
           b->pair == a->pair;
}

/* Steps before n_past are done; those that share weights stand side by side. */
const par__step *par__take_step(par_model *m)
{
    par_work *w = &m->work;
    par__step *const end = w->step + w->n_step;
    while (w->n_past < w->n_step && w->step[w->n_past].is_done)
        w->n_past++;
    par__step *first = w->step + w->n_past;
    while (first < end && !is_ready(w, first))
        first++;
    w->n_joined = 0;
    for (par__step *s = first; s < end; s++) {
        if (s != first && !shares_weights(first, s))
            break;
        if (is_ready(w, s)) {
            w->joined[w->n_joined++] = s->lane;
            s->is_done = true;
        }
    }
    return first < end ? first : NULL;
}
