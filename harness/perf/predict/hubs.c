/* harness/perf/predict/hubs.c -- see hubs.h.
 *
 * A group that some lane has as its hub, and no lane beside, is one.  Others
 * that its lanes meet in are inside it: those whose lanes all have the same
 * hub.
 *
 * Trap: a tick is the same stretch for all lanes of a hub or for none.
 */
#include "harness/perf/predict/hubs.h"

typedef struct finding {
    const har_schedule *s;
    int *hub;    /* [n_lane] a group, or -1                                   */
    int *inside; /* [n_group] the hub of its lanes; NONE, MANY                */
    bool *is_bad; /* [n_group, n_tick] of a hub: something else is in between */
    int *n_meet; /* [n_group, n_tick] times that a hub meets; NONE: unknown   */
    har_hubs out;
} finding;

enum { NONE = -1, MANY = -2 };

static bool meets(const har_event *e)
{
    return e->kind == HAR_EVENT_MEET;
}

static void take(finding *f, core_arena *a)
{
    const int64_t n = (int64_t)f->s->n_lane * f->s->n_tick;
    f->hub = core_arena_take(a, f->s->n_lane, sizeof *f->hub);
    f->inside = core_arena_take(a, f->s->n_group, sizeof *f->inside);
    f->is_bad = core_arena_take(a, (int64_t)f->s->n_group * f->s->n_tick,
                                sizeof *f->is_bad);
    f->n_meet = core_arena_take(a, (int64_t)f->s->n_group * f->s->n_tick,
                                sizeof *f->n_meet);
    f->out.of_group = core_arena_take(a, f->s->n_group, sizeof(int));
    f->out.first = core_arena_i64(a, n);
    f->out.last = core_arena_i64(a, n);
}

static const int64_t *ticks_of(const har_schedule *s, int lane)
{
    return s->first + (int64_t)lane * (s->n_tick + 1);
}

static void find_hub(finding *f, int lane)
{
    const har_schedule *s = f->s;
    const int64_t *tick = ticks_of(s, lane);
    int hub = NONE;
    for (int64_t i = tick[0]; i < tick[s->n_tick]; i++)
        if (meets(&s->event[i]) &&
            (hub == NONE || s->n_member[s->event[i].group] > s->n_member[hub]))
            hub = s->event[i].group;
    f->hub[lane] = hub;
}

static void place_groups(finding *f, int lane)
{
    const har_schedule *s = f->s;
    const int64_t *tick = ticks_of(s, lane);
    for (int64_t i = tick[0]; i < tick[s->n_tick]; i++) {
        if (!meets(&s->event[i]))
            continue;
        int *inside = &f->inside[s->event[i].group];
        *inside =
            *inside == NONE || *inside == f->hub[lane] ? f->hub[lane] : MANY;
    }
}

/* From the first meeting of the hub in a tick to the last. */
static void find_stretch(finding *f, int lane, int tick)
{
    const har_schedule *s = f->s;
    const int64_t *t = ticks_of(s, lane) + tick;
    const int hub = f->hub[lane];
    int64_t *first = &f->out.first[(int64_t)lane * s->n_tick + tick];
    int64_t *last = &f->out.last[(int64_t)lane * s->n_tick + tick];
    bool is_bad = false, ends_badly = false;
    int n = 0;
    *first = *last = -1;
    for (int64_t i = t[0]; i < t[1]; i++) {
        const har_event *e = &s->event[i];
        if (e->kind == HAR_EVENT_COMPUTE)
            continue;
        if (!meets(e) || f->inside[e->group] != hub) {
            ends_badly = *first >= 0;
            continue;
        }
        if (e->group != hub)
            continue;
        is_bad = is_bad || ends_badly;
        n++;
        *last = i;
        *first = *first < 0 ? i : *first;
    }
    if (hub == NONE)
        return;
    const int64_t at = (int64_t)hub * s->n_tick + tick;
    f->is_bad[at] = f->is_bad[at] || is_bad || n < 2;
    if (f->n_meet[at] != NONE && f->n_meet[at] != n)
        f->inside[hub] = MANY; /* a meeting is of several ticks */
    f->n_meet[at] = n;
}

core_status har_hubs_find(har_hubs *out, const har_schedule *s,
                          core_arena *arena)
{
    finding f = {.s = s};
    core_arena need = core_arena_measure();
    take(&f, &need);
    CORE_TRY(core_arena_room(arena, &need));
    take(&f, arena);
    for (int g = 0; g < s->n_group; g++)
        f.inside[g] = f.out.of_group[g] = NONE;
    for (int64_t i = 0; i < (int64_t)s->n_group * s->n_tick; i++) {
        f.is_bad[i] = false;
        f.n_meet[i] = NONE;
    }
    for (int i = 0; i < s->n_lane; i++)
        find_hub(&f, i);
    for (int i = 0; i < s->n_lane; i++)
        place_groups(&f, i);
    for (int i = 0; i < s->n_lane; i++)
        for (int t = 0; t < s->n_tick; t++)
            find_stretch(&f, i, t);
    for (int i = 0; i < s->n_lane; i++) {
        const int hub = f.hub[i];
        if (hub == NONE)
            continue;
        if (f.inside[hub] == hub && f.out.of_group[hub] < 0)
            f.out.of_group[hub] = f.out.n++;
        for (int t = 0; t < s->n_tick; t++)
            if (f.inside[hub] != hub || f.is_bad[(int64_t)hub * s->n_tick + t])
                f.out.first[(int64_t)i * s->n_tick + t] = -1;
    }
    *out = f.out;
    return CORE_OK;
}
