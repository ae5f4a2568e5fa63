/* harness/perf/predict/schedule.c -- lanes that run until they have to wait.
 *
 * Every lane has a clock in every world.  A stack holds the lanes that can go
 * on; one is taken and runs until it comes to a meeting that lacks somebody or
 * to a message that was not sent yet.  Who arrives last, or sends, puts the
 * others back on the stack.  The result does not depend on the order in which
 * lanes run, because each event's time is a function of the events before it.
 *
 * A meeting that was begun waits in its group's ring: it starts when its last
 * member has begun it and the one before is over, and who waits for it waits for
 * its end.  Lanes of a group begin and wait in the same order.
 *
 * Traps: a tick may be played several times, so a lane's place is (index into
 * the play, event), and messages are numbered by play, not by event.  Loops over
 * worlds are the time of a prediction: their arrays are apart, and as long as
 * the compiler likes.
 */
#include "harness/perf/predict/hubs.h"

#include <string.h>

/* A number in each world. */
typedef double worlds[HAR_MAX_WORLD];

typedef struct lane {
    worlds clock;
    worlds arrived; /* at the meeting it waits in                             */
    worlds credit;  /* computed since the last meeting                        */
    worlds compute, meet, hidden, wait_stage, wait_peer; /* har_lane_time     */
    worlds end;                    /* of what is accounted for                */
    bool counts;                   /* is in it                                */
    int64_t event;                 /* next one                                */
    int at;                        /* in the play                             */
    int next;                      /* of the lanes in the same meeting        */
    int64_t n_sent, n_received;
    int64_t n_begun, n_waited; /* meetings that go on                         */
    int64_t mailbox; /* first of its sends in `sent`                          */
    int waiter;      /* lane that waits for a send of this one, or -1         */
} lane;

typedef struct group {
    worlds start, seconds, credit;
    int n_here, first; /* lanes that wait, linked by next                     */
} group;

/* A meeting that was begun; RING of a group at most are not over.            */
typedef struct begun {
    worlds start, seconds, end;
    int n_here, n_left; /* lanes that begun it; that have yet to wait         */
    int waits;          /* lanes that wait, linked by next, or -1             */
} begun;

enum { RING = 16 };

/* What a hub takes from its first meeting of a tick to its last.             */
typedef struct stretch {
    worlds seconds;
    bool is_known;
} stretch;

typedef struct replay {
    const har_schedule *s;
    const int *play;
    int n_play, n_pass, n_world;
    worlds factor[HAR_N_CAUSE], more[HAR_N_CAUSE]; /* har_world               */
    har_replay *out;
    lane *lane;
    group *group;
    begun *ring; /* [n_group, RING] where meetings are begun                  */
    double *last; /* [n_group, n_world] end of the last that was begun        */
    har_hubs hubs;
    stretch *stretch; /* [hubs, n_tick]                                       */
    double *sent; /* [sends, n_world] when each message is there              */
    int *ready;
    int n_ready, n_done;
} replay;

static const har_world AS_IT_IS = {
    .factor = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};

void har_replay_work_free(har_replay_work *work)
{
    core_arena_free(&work->arena);
    core_arena_free(&work->sends);
    core_arena_free(&work->hubs);
    *work = (har_replay_work){0};
}

static double most(double a, double b)
{
    return a > b ? a : b;
}

static void seconds_of(const replay *r, const har_event *e, double *seconds)
{
    const double *factor = r->factor[e->cause], *more = r->more[e->cause];
    for (int k = 0; k < r->n_world; k++)
        seconds[k] = e->seconds * factor[k] + e->more * more[k];
}

/* a += b */
static void add(double *restrict a, const double *restrict b, int n)
{
    for (int k = 0; k < n; k++)
        a[k] += b[k];
}

/* a += b - c */
static void add_difference(double *restrict a, const double *restrict b,
                           const double *restrict c, int n)
{
    for (int k = 0; k < n; k++)
        a[k] += b[k] - c[k];
}

/* a = the larger of a and b */
static void later(double *restrict a, const double *restrict b, int n)
{
    for (int k = 0; k < n; k++)
        a[k] = most(a[k], b[k]);
}

static void copy(double *restrict a, const double *restrict b, int n)
{
    for (int k = 0; k < n; k++)
        a[k] = b[k];
}

static const int64_t *ticks_of(const har_schedule *s, int i)
{
    return s->first + (int64_t)i * (s->n_tick + 1);
}

static void show(const replay *r, int i, int64_t event, double start)
{
    if (r->out->show != NULL)
        r->out->show(r->out->self, i, event, r->lane[i].at, start,
                     r->lane[i].clock[0]);
}

static void add_exposed(const replay *r, const lane *l, const har_event *e,
                        double seconds)
{
    if (r->out->exposed != NULL && l->counts)
        r->out->exposed[e->class_i] += seconds;
}

/* A lane leaves a meeting, as far as what it computed does not hide it. */
static void leave(replay *r, int i, const group *g)
{
    lane *l = &r->lane[i];
    worlds shown;
    const int n = r->n_world;
    copy(shown, g->seconds, n);
    for (int k = 0; r->s->meets_aside && k < n; k++)
        shown[k] = most(0, shown[k] - g->credit[k]);
    if (l->counts) {
        add_difference(l->wait_peer, g->start, l->arrived, n);
        add(l->meet, shown, n);
        add_difference(l->hidden, g->seconds, shown, n);
    }
    for (int k = 0; k < n; k++) {
        l->clock[k] = g->start[k] + shown[k];
        l->credit[k] = 0;
    }
    add_exposed(r, l, &r->s->event[l->event], shown[0]);
    show(r, i, l->event, g->start[0]);
    l->event++;
}

static void arrive(replay *r, int i, const har_event *e, group *g)
{
    lane *l = &r->lane[i];
    const bool is_first = g->n_here == 0;
    const int n = r->n_world;
    worlds seconds;
    seconds_of(r, e, seconds);
    copy(l->arrived, l->clock, n);
    if (is_first) {
        copy(g->start, l->clock, n);
        copy(g->seconds, seconds, n);
        copy(g->credit, l->credit, n);
    } else {
        later(g->start, l->clock, n);
        later(g->seconds, seconds, n);
        for (int k = 0; r->s->meets_aside && k < n; k++)
            g->credit[k] = l->credit[k] < g->credit[k] ? l->credit[k]
                                                       : g->credit[k];
    }
    l->next = is_first ? -1 : g->first;
    g->first = i;
    g->n_here++;
}

/* The hub of lane i has met, if the group is one, for the first or the last time
 * of a tick: from the second time on that the tick is played, and nobody wants to
 * know what lanes do meanwhile, they are at the last.                        */
static void pass_stretch(replay *r, int i, const group *g, int group_i,
                         int64_t event)
{
    const int hub = r->hubs.n > 0 ? r->hubs.of_group[group_i] : -1;
    const lane *l = &r->lane[i];
    if (hub < 0)
        return;
    const int n_tick = r->s->n_tick, tick = r->play[l->at];
    const int64_t at = (int64_t)i * n_tick + tick;
    stretch *s = &r->stretch[hub * n_tick + tick];
    if (r->hubs.first[at] < 0)
        return;
    if (event == r->hubs.last[at] && !s->is_known) {
        add(s->seconds, l->clock, r->n_world);
        s->is_known = true;
    }
    if (event != r->hubs.first[at])
        return;
    if (!s->is_known)
        for (int k = 0; k < r->n_world; k++)
            s->seconds[k] = -l->clock[k];
    for (int k = g->first; s->is_known && !l->counts && k >= 0;
         k = r->lane[k].next) {
        lane *other = &r->lane[k];
        add(other->clock, s->seconds, r->n_world);
        other->event = r->hubs.last[(int64_t)k * n_tick + tick] + 1;
    }
}

/* True if the meeting is over for this lane, false if it waits. */
static bool meet(replay *r, int i, const har_event *e)
{
    group *g = &r->group[e->group];
    const int64_t event = r->lane[i].event;
    arrive(r, i, e, g);
    if (g->n_here < r->s->n_member[e->group])
        return false;
    for (int k = g->first, next; k >= 0; k = next) {
        next = r->lane[k].next;
        leave(r, k, g);
        if (k != i)
            r->ready[r->n_ready++] = k;
    }
    pass_stretch(r, i, g, e->group, event);
    g->n_here = 0;
    return true;
}

static begun *of_ring(const replay *r, int group_i, int64_t number)
{
    return &r->ring[(int64_t)group_i * RING + number % RING];
}

/* The last member has begun it: when it is over. */
static void settle(replay *r, int group_i, begun *b)
{
    for (int k = 0; k < r->n_world; k++) {
        double *last = &r->last[(int64_t)group_i * r->n_world + k];
        b->start[k] = most(b->start[k], *last);
        b->end[k] = *last = b->start[k] + b->seconds[k];
    }
    b->n_left = b->n_here;
    for (int i = b->waits; i >= 0; i = r->lane[i].next)
        r->ready[r->n_ready++] = i;
}

static void begin(replay *r, int i, const har_event *e)
{
    lane *l = &r->lane[i];
    begun *b = of_ring(r, e->group, l->n_begun++);
    const bool is_first = b->n_here == 0;
    worlds seconds;
    core_assert(b->n_left == 0);
    seconds_of(r, e, seconds);
    if (is_first) {
        b->waits = -1;
        copy(b->start, l->clock, r->n_world);
        copy(b->seconds, seconds, r->n_world);
    } else {
        later(b->start, l->clock, r->n_world);
        later(b->seconds, seconds, r->n_world);
    }
    if (++b->n_here == r->s->n_member[e->group])
        settle(r, e->group, b);
    l->event++;
}

/* What a lane waits is exposed, as far as the meeting went on meanwhile. */
static bool wait_for(replay *r, int i, const har_event *e)
{
    lane *l = &r->lane[i];
    begun *b = of_ring(r, e->group, l->n_waited);
    if (b->n_left == 0) {
        l->next = b->waits;
        b->waits = i;
        return false;
    }
    for (int k = 0; k < r->n_world; k++) {
        const double late = most(0, b->end[k] - l->clock[k]);
        const double shown = late < b->seconds[k] ? late : b->seconds[k];
        l->clock[k] += late;
        if (k == 0)
            add_exposed(r, l, e, shown);
        if (!l->counts)
            continue;
        l->wait_peer[k] += late - shown;
        l->meet[k] += shown;
        l->hidden[k] += b->seconds[k] - shown;
    }
    if (r->out->show != NULL)
        r->out->show(r->out->self, i, l->event, l->at, b->start[0], b->end[0]);
    l->n_waited++;
    if (--b->n_left == 0)
        b->n_here = 0;
    l->event++;
    return true;
}

static void send(replay *r, int i, const har_event *e)
{
    lane *l = &r->lane[i];
    const double begin = l->clock[0];
    const int n = r->n_world;
    double *sent = r->sent + (l->mailbox + l->n_sent++) * n;
    worlds seconds;
    seconds_of(r, e, seconds);
    copy(sent, l->clock, n);
    add(sent, seconds, n);
    if (l->counts)
        add(r->s->sends_aside ? l->hidden : l->meet, seconds, n);
    if (!r->s->sends_aside) {
        add(l->clock, seconds, n);
        add_exposed(r, l, e, seconds[0]);
    }
    show(r, i, l->event, begin);
    l->event++;
    if (l->waiter >= 0)
        r->ready[r->n_ready++] = l->waiter;
    l->waiter = -1;
}

static bool receive(replay *r, int i)
{
    lane *l = &r->lane[i];
    lane *from = &r->lane[r->s->from[i]];
    const double begin = l->clock[0];
    const int n = r->n_world;
    worlds start;
    const int64_t before = l->n_received % r->s->n_at_once;
    const int64_t last = l->n_received - before + r->s->n_at_once - 1;
    if (last >= from->n_sent) {
        from->waiter = i;
        return false;
    }
    const double *there = r->sent + (from->mailbox + last) * r->n_world;
    l->n_received++;
    copy(start, l->clock, n);
    later(l->clock, there, n);
    if (l->counts)
        add_difference(l->wait_stage, l->clock, start, n);
    show(r, i, l->event, begin);
    l->event++;
    return true;
}

/* All that a lane computes from its event on, before `end`, before it meets or
 * sends: added up by cause, then once for each world.  Shown one by one.     */
static void compute(replay *r, int i, int64_t end)
{
    lane *l = &r->lane[i];
    const double begin = l->clock[0];
    const har_event *e = &r->s->event[l->event];
    const int64_t n = r->out->show != NULL ? 1 : end - l->event;
    double sum[HAR_N_CAUSE], more[HAR_N_CAUSE];
    int n_cause = 0; /* those below have a sum */
    int64_t done = 0;
    for (; done < n && e[done].kind == HAR_EVENT_COMPUTE; done++) {
        const int cause = e[done].cause;
        for (; n_cause <= cause; n_cause++)
            sum[n_cause] = more[n_cause] = 0;
        sum[cause] += e[done].seconds;
        more[cause] += e[done].more;
    }
    worlds seconds = {0};
    for (int c = 0; c < n_cause; c++)
        for (int k = 0; k < r->n_world; k++)
            seconds[k] += sum[c] * r->factor[c][k] + more[c] * r->more[c][k];
    add(l->clock, seconds, r->n_world);
    add(l->credit, seconds, r->n_world);
    if (l->counts)
        add(l->compute, seconds, r->n_world);
    show(r, i, l->event, begin);
    l->event += done;
}

static bool do_event(replay *r, int i, int64_t end)
{
    const har_event *e = &r->s->event[r->lane[i].event];
    switch ((har_event_kind)e->kind) {
    case HAR_EVENT_MEET:
        return meet(r, i, e);
    case HAR_EVENT_RECEIVE:
        return receive(r, i);
    case HAR_EVENT_SEND:
        send(r, i, e);
        return true;
    case HAR_EVENT_BEGIN:
        begin(r, i, e);
        return true;
    case HAR_EVENT_WAIT:
        return wait_for(r, i, e);
    case HAR_EVENT_COMPUTE:
        compute(r, i, end);
        return true;
    }
    return true;
}

/* Run a lane until it waits or is done. */
static void run(replay *r, int i)
{
    const int64_t *first = ticks_of(r->s, i);
    lane *l = &r->lane[i];
    while (l->at < r->n_play) {
        const int64_t end = first[r->play[l->at] + 1];
        while (l->event < end)
            if (!do_event(r, i, end))
                return;
        if (++l->at < r->n_play)
            l->event = first[r->play[l->at]];
        if (l->at == r->out->n_mark)
            later(r->out->marked, l->clock, r->n_world);
        if (l->at == r->n_pass) {
            copy(l->end, l->clock, r->n_world);
            l->counts = false;
        }
    }
    r->n_done++;
}

static void take(replay *r, core_arena *a, int64_t n_sent)
{
    r->lane = core_arena_take(a, r->s->n_lane, sizeof *r->lane);
    r->group = core_arena_take(a, r->s->n_group, sizeof *r->group);
    const int n_ring = r->s->begins ? r->s->n_group : 0;
    r->ring = core_arena_take(a, (int64_t)n_ring * RING, sizeof *r->ring);
    r->last = core_arena_f64(a, (int64_t)n_ring * r->n_world);
    r->sent = core_arena_f64(a, n_sent * r->n_world);
    r->stretch = core_arena_take(a, (int64_t)r->hubs.n * r->s->n_tick,
                                 sizeof *r->stretch);
    r->ready = core_arena_take(a, r->s->n_lane, sizeof *r->ready);
}

static int64_t count_sends(const har_schedule *s, int64_t first, int64_t end)
{
    int64_t n = 0;
    for (int64_t e = first; e < end; e++)
        n += s->event[e].kind == HAR_EVENT_SEND;
    return n;
}

/* Sends of a lane in the whole play; n_send [n_tick] is scratch. */
static int64_t sends_of(const replay *r, int i, int64_t *n_send)
{
    const int64_t *first = ticks_of(r->s, i);
    int64_t n = 0;
    for (int t = 0; t < r->s->n_tick; t++)
        n_send[t] = count_sends(r->s, first[t], first[t + 1]);
    for (int p = 0; p < r->n_play; p++)
        n += n_send[r->play[p]];
    return n;
}

/* *mailbox: [n_lane] the first message of each lane. */
static core_status carve(replay *r, har_replay_work *work, int64_t **mailbox)
{
    core_arena need = core_arena_measure();
    int64_t n_sent = 0;
    core_arena_i64(&need, r->s->n_tick + r->s->n_lane);
    CORE_TRY(core_arena_room(&work->sends, &need));
    int64_t *scratch =
        core_arena_i64(&work->sends, r->s->n_tick + r->s->n_lane);
    *mailbox = scratch + r->s->n_tick;
    for (int i = 0; i < r->s->n_lane; i++) {
        (*mailbox)[i] = n_sent;
        n_sent += sends_of(r, i, scratch);
    }
    /* what hides behind computing depends on what was computed before */
    if (r->n_pass < r->n_play && !r->s->begins && !r->s->meets_aside)
        CORE_TRY(har_hubs_find(&r->hubs, r->s, &work->hubs));
    need = core_arena_measure();
    take(r, &need, n_sent);
    CORE_TRY(core_arena_room(&work->arena, &need));
    take(r, &work->arena, n_sent);
    return CORE_OK;
}

static void start(replay *r, const int64_t *mailbox)
{
    const har_schedule *s = r->s;
    for (int g = 0; g < s->n_group; g++)
        r->group[g].n_here = 0;
    if (s->begins) {
        memset(r->ring, 0, (size_t)s->n_group * RING * sizeof *r->ring);
        for (int k = 0; k < s->n_group * r->n_world; k++)
            r->last[k] = 0;
    }
    for (int64_t i = 0; i < (int64_t)r->hubs.n * s->n_tick; i++)
        r->stretch[i].is_known = false;
    for (int i = 0; i < s->n_lane; i++) {
        r->lane[i] = (lane){
            .mailbox = mailbox[i],
            .waiter = -1,
            .counts = true,
            .event = r->n_play > 0 ? ticks_of(s, i)[r->play[0]] : 0};
        r->ready[r->n_ready++] = i;
    }
    for (int k = 0; k < r->n_world; k++)
        r->out->seconds[k] = r->out->marked[k] = r->out->pass[k] = 0;
    if (r->out->exposed != NULL)
        memset(r->out->exposed, 0, (size_t)s->n_class * sizeof(double));
}

static void finish(replay *r, int world)
{
    double *seconds = &r->out->seconds[world], *pass = &r->out->pass[world];
    for (int i = 0; i < r->s->n_lane; i++) {
        *seconds = most(*seconds, r->lane[i].clock[world]);
        *pass = most(*pass, r->lane[i].end[world]);
    }
    for (int i = 0; i < r->s->n_lane; i++) {
        const lane *l = &r->lane[i];
        r->out->lane[(int64_t)i * r->n_world + world] = (har_lane_time){
            .end = l->end[world],
            .compute = l->compute[world],
            .meet = l->meet[world],
            .hidden = l->hidden[world],
            .wait_stage = l->wait_stage[world] + (*pass - l->end[world]),
            .wait_peer = l->wait_peer[world]};
    }
}

/* By cause, and in each of its worlds. */
static void set_worlds(replay *r, const har_world *world)
{
    for (int cause = 0; cause < HAR_N_CAUSE; cause++)
        for (int k = 0; k < r->n_world; k++) {
            r->factor[cause][k] = world[k].factor[cause];
            r->more[cause][k] = world[k].more[cause];
        }
}

core_status har_replay_run(const har_schedule *schedule, const int *play,
                           int n_play, har_replay_work *work, har_replay *out)
{
    const bool has_worlds = out->n_world > 0;
    replay r = {.s = schedule,
                .play = play,
                .n_play = n_play,
                .n_pass = out->n_pass > 0 ? out->n_pass : n_play,
                .n_world = has_worlds ? out->n_world : 1,
                .out = out};
    int64_t *mailbox;
    core_assert(r.n_world <= HAR_MAX_WORLD);
    set_worlds(&r, has_worlds ? out->world : &AS_IT_IS);
    CORE_TRY(carve(&r, work, &mailbox));
    start(&r, mailbox);
    while (r.n_ready > 0)
        run(&r, r.ready[--r.n_ready]);
    CORE_FAIL_IF(r.n_done < schedule->n_lane, CORE_E_INTERNAL,
                 "replay: %d of %d ranks wait for each other for ever",
                 schedule->n_lane - r.n_done, schedule->n_lane);
    for (int k = 0; k < r.n_world; k++)
        finish(&r, k);
    return CORE_OK;
}
