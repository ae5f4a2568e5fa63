/* harness/perf/schedule.c -- lanes that run until they have to wait.
 *
 * Every lane has a clock.  A stack holds the lanes that can go on; one is taken
 * and runs until it comes to a meeting that lacks somebody or to a message that
 * was not sent yet.  Who arrives last, or sends, puts the others back on the
 * stack.  The result does not depend on the order in which lanes run, because
 * each event's time is a function of the events before it.
 *
 * Trap: a tick may be played several times, so a lane's place is (index into
 * the play, event), and messages are numbered by play, not by event.
 */
#include "harness/perf/schedule.h"

#include "harness/perf/room.h"

#include <math.h>
#include <string.h>

typedef struct lane {
    double clock, arrived; /* arrived: at the meeting it waits in             */
    double credit;         /* computed since the last meeting                 */
    int64_t event;         /* next one                                        */
    int at;                /* in the play                                     */
    int next;              /* of the lanes in the same meeting                */
    int64_t n_sent, n_received;
    int64_t mailbox; /* first of its sends in `sent`                    */
    int waiter;      /* lane that waits for a send of this one, or -1   */
} lane;

typedef struct group {
    double start, seconds, credit;
    int n_here, first; /* lanes that wait, linked by next                     */
} group;

typedef struct replay {
    const har_schedule *s;
    const int *play;
    int n_play;
    const double *scale;
    har_replay *out;
    lane *lane;
    group *group;
    double *sent; /* when each message is there                               */
    int *ready;
    int n_ready, n_done;
} replay;

void har_replay_work_free(har_replay_work *work)
{
    core_arena_free(&work->arena);
    *work = (har_replay_work){0};
}

static const int64_t *ticks_of(const har_schedule *s, int i)
{
    return s->first + (int64_t)i * (s->n_tick + 1);
}

static int64_t count_sends(const replay *r, int i)
{
    const int64_t *first = ticks_of(r->s, i);
    int64_t n = 0;
    for (int p = 0; p < r->n_play; p++)
        for (int64_t e = first[r->play[p]]; e < first[r->play[p] + 1]; e++)
            n += r->s->event[e].kind == HAR_EVENT_SEND;
    return n;
}

static void show(const replay *r, int i, int64_t event, double start)
{
    if (r->out->show != NULL)
        r->out->show(r->out->self, i, event, r->lane[i].at, start,
                     r->lane[i].clock);
}

static double seconds_of(const replay *r, const har_event *e)
{
    return r->scale == NULL ? e->seconds
                            : e->seconds * r->scale[e->uncertainty];
}

static void add_exposed(const replay *r, const har_event *e, double seconds)
{
    if (r->out->exposed != NULL)
        r->out->exposed[e->class_i] += seconds;
}

/* A lane leaves a meeting that took `shown` seconds of it. */
static void leave(replay *r, int i, const group *g, double shown)
{
    lane *l = &r->lane[i];
    har_lane_time *t = &r->out->lane[i];
    t->wait_peer += g->start - l->arrived;
    t->meet += shown;
    t->hidden += g->seconds - shown;
    l->clock = g->start + shown;
    l->credit = 0;
    add_exposed(r, &r->s->event[l->event], shown);
    show(r, i, l->event, g->start);
    l->event++;
}

/* True if the meeting is over for this lane, false if it waits. */
static bool meet(replay *r, int i, const har_event *e)
{
    group *g = &r->group[e->group];
    lane *l = &r->lane[i];
    const bool is_first = g->n_here == 0;
    l->arrived = l->clock;
    g->start = is_first ? l->clock : fmax(g->start, l->clock);
    g->seconds =
        is_first ? seconds_of(r, e) : fmax(g->seconds, seconds_of(r, e));
    g->credit = is_first ? l->credit : fmin(g->credit, l->credit);
    l->next = is_first ? -1 : g->first;
    g->first = i;
    if (++g->n_here < r->s->n_member[e->group])
        return false;
    const double hides = r->s->meets_aside ? g->credit : 0;
    const double shown = fmax(0, g->seconds - hides);
    for (int k = g->first, next; k >= 0; k = next) {
        next = r->lane[k].next;
        leave(r, k, g, shown);
        if (k != i)
            r->ready[r->n_ready++] = k;
    }
    g->n_here = 0;
    return true;
}

static void send(replay *r, int i, const har_event *e)
{
    lane *l = &r->lane[i];
    const double seconds = seconds_of(r, e), start = l->clock;
    r->sent[l->mailbox + l->n_sent++] = start + seconds;
    if (r->s->sends_aside) {
        r->out->lane[i].hidden += seconds;
    } else {
        l->clock += seconds;
        r->out->lane[i].meet += seconds;
        add_exposed(r, e, seconds);
    }
    show(r, i, l->event, start);
    l->event++;
    if (l->waiter >= 0)
        r->ready[r->n_ready++] = l->waiter;
    l->waiter = -1;
}

static bool receive(replay *r, int i)
{
    lane *l = &r->lane[i];
    lane *from = &r->lane[r->s->from[i]];
    if (l->n_received >= from->n_sent) {
        from->waiter = i;
        return false;
    }
    const double there = r->sent[from->mailbox + l->n_received++];
    const double start = l->clock;
    l->clock = fmax(l->clock, there);
    r->out->lane[i].wait_stage += l->clock - start;
    show(r, i, l->event, start);
    l->event++;
    return true;
}

static void compute(replay *r, int i, const har_event *e)
{
    lane *l = &r->lane[i];
    const double seconds = seconds_of(r, e), start = l->clock;
    l->clock += seconds;
    l->credit += seconds;
    r->out->lane[i].compute += seconds;
    show(r, i, l->event, start);
    l->event++;
}

static bool do_event(replay *r, int i, const har_event *e)
{
    switch ((har_event_kind)e->kind) {
    case HAR_EVENT_MEET:
        return meet(r, i, e);
    case HAR_EVENT_RECEIVE:
        return receive(r, i);
    case HAR_EVENT_SEND:
        send(r, i, e);
        return true;
    case HAR_EVENT_COMPUTE:
        compute(r, i, e);
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
            if (!do_event(r, i, &r->s->event[l->event]))
                return;
        if (++l->at < r->n_play)
            l->event = first[r->play[l->at]];
    }
    r->n_done++;
}

static void take(replay *r, core_arena *a, int64_t n_sent)
{
    r->lane = core_arena_take(a, r->s->n_lane, sizeof *r->lane);
    r->group = core_arena_take(a, r->s->n_group, sizeof *r->group);
    r->sent = core_arena_take(a, n_sent, sizeof *r->sent);
    r->ready = core_arena_take(a, r->s->n_lane, sizeof *r->ready);
}

static core_status carve(replay *r, har_replay_work *work)
{
    core_arena need = core_arena_measure();
    int64_t n_sent = 0;
    for (int i = 0; i < r->s->n_lane; i++)
        n_sent += count_sends(r, i);
    take(r, &need, n_sent);
    CORE_TRY(har__room(&work->arena, &need));
    take(r, &work->arena, n_sent);
    return CORE_OK;
}

static void start(replay *r)
{
    const har_schedule *s = r->s;
    int64_t mailbox = 0;
    for (int g = 0; g < s->n_group; g++)
        r->group[g] = (group){0};
    for (int i = 0; i < s->n_lane; i++) {
        const int64_t *first = ticks_of(s, i);
        r->lane[i] = (lane){.mailbox = mailbox,
                            .waiter = -1,
                            .event = r->n_play > 0 ? first[r->play[0]] : 0};
        mailbox += count_sends(r, i);
        r->out->lane[i] = (har_lane_time){0};
        r->ready[r->n_ready++] = i;
    }
    if (r->out->exposed != NULL)
        memset(r->out->exposed, 0, (size_t)s->n_class * sizeof(double));
}

core_status har_replay_run(const har_schedule *schedule, const int *play,
                           int n_play, const double scale[HAR_N_KIND],
                           har_replay_work *work, har_replay *out)
{
    replay r = {.s = schedule,
                .play = play,
                .n_play = n_play,
                .scale = scale,
                .out = out};
    CORE_TRY(carve(&r, work));
    start(&r);
    while (r.n_ready > 0)
        run(&r, r.ready[--r.n_ready]);
    CORE_FAIL_IF(r.n_done < schedule->n_lane, CORE_E_INTERNAL,
                 "replay: %d of %d ranks wait for each other for ever",
                 schedule->n_lane - r.n_done, schedule->n_lane);
    out->seconds = 0;
    for (int i = 0; i < schedule->n_lane; i++)
        out->seconds = fmax(out->seconds, r.lane[i].clock);
    for (int i = 0; i < schedule->n_lane; i++) {
        out->lane[i].end = r.lane[i].clock;
        out->lane[i].wait_stage += out->seconds - r.lane[i].clock;
    }
    return CORE_OK;
}
