/* harness/perf/predict/schedule.h -- replaying a schedule: who waits for whom.
 *
 * A lane is the list of events of one rank, cut into ticks.  A play is the
 * order of the ticks, the same for all lanes; a tick may come twice.  Lanes
 * run freely and meet only in events: a meeting starts when all lanes of its
 * group are there, a receive ends when the message is.
 *
 * In which order lanes get on does not depend on how long anything takes: one
 * replay carries several worlds along, whose events take other times.
 */
#ifndef HAR_PERF_SCHEDULE_H
#define HAR_PERF_SCHEDULE_H

#include "core/base/arena.h"
#include "harness/perf/machine/machine.h"

typedef enum har_event_kind {
    HAR_EVENT_COMPUTE,
    HAR_EVENT_MEET,    /* a collective of the lanes of `group`                */
    HAR_EVENT_SEND,    /* to the lane that receives from this one             */
    HAR_EVENT_RECEIVE,
    HAR_EVENT_BEGIN,   /* a meeting that goes on while its lanes compute ..   */
    HAR_EVENT_WAIT     /* .. until here: of the oldest that a lane has begun  */
} har_event_kind;

typedef struct har_event {
    double seconds;      /* a meeting takes the longest of its lanes'         */
    uint8_t kind;        /* har_event_kind                                    */
    uint8_t cause;       /* whose factor a world has for it                   */
    uint8_t class_i;     /* below n_class                                     */
    uint8_t step;        /* par_step_kind, where a plan overlaps              */
    int16_t layer;
    int16_t mb;
    int32_t group;       /* of a meeting: below n_group                       */
    double more;         /* seconds in worlds where its cause is worse        */
} har_event;

typedef struct har_schedule {
    int n_lane, n_tick, n_group, n_class;
    const har_event *event;
    const int64_t *first;  /* [n_lane, n_tick + 1] events of each tick        */
    const int *from;       /* [n_lane] the lane that it receives from, or -1  */
    const int *n_member;   /* [n_group] lanes of each group                   */
    int n_at_once;         /* messages of a turn: waited for at its first     */
    bool sends_aside;      /* a send does not keep its lane                   */
    bool begins;           /* some meetings only begin: of one group a lane   */
    bool meets_aside;      /* a meeting hides behind what its lanes computed
                            * since the one before, as far as the least did   */
} har_schedule;

/* Where a lane's time went.                                                  */
typedef struct har_lane_time {
    double end;
    double compute;
    double meet;        /* meetings and sends, as far as not hidden           */
    double hidden;
    double wait_stage;  /* for messages, and until the last lane is done      */
    double wait_peer;   /* for the others of a meeting                        */
} har_lane_time;

enum { HAR_N_CAUSE = 16, HAR_MAX_WORLD = 10 };

typedef struct har_world {
    double factor[HAR_N_CAUSE]; /* of the times of each cause                 */
    double more[HAR_N_CAUSE];   /* 1: events of this cause take `more`        */
} har_world;

typedef struct har_replay {
    int n_world;              /* 0: one, in which times are as they are       */
    const har_world *world;
    int n_mark;               /* ticks of the play: see marked                */
    int n_pass;               /* ticks at its beginning that lane, exposed and
                               * pass are of; 0: all                          */

    double seconds[HAR_MAX_WORLD]; /* until the last lane is done             */
    double marked[HAR_MAX_WORLD];  /* until the last has played n_mark ticks  */
    double pass[HAR_MAX_WORLD];    /* until the last has played n_pass ticks  */
    har_lane_time *lane;      /* [n_lane, worlds] in the caller's memory      */
    double *exposed;          /* [n_class] summed over lanes; may be NULL     */
    void (*show)(void *self, int lane, int64_t event, int64_t tick,
                 double start, double end); /* NULL: none                     */
    void *self;               /* exposed, show: of the first world            */
} har_replay;

/* Buffers of a replay; start with {0}, free with har_replay_work_free.       */
typedef struct har_replay_work {
    core_arena arena, sends, hubs;
} har_replay_work;
void har_replay_work_free(har_replay_work *work);

/* Replay the ticks play[0..n_play).  Writes seconds, marked, pass, lane, exposed.
 * Errors: E_MEMORY; E_INTERNAL for lanes that wait for each other for ever.
 * [local]                                                                    */
CORE_NODISCARD core_status har_replay_run(const har_schedule *schedule,
                                          const int *play, int n_play,
                                          har_replay_work *work,
                                          har_replay *replay);

#endif
