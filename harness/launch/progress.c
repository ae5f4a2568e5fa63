/* harness/launch/progress.c -- "verify seed-mini: 32 ranks, exact: free pass,
 * 43 %, 12 s, about 16 s left".
 */
#include "harness/launch/impl.h"

static int n_in_state(const par_board *board, par_rank_state least)
{
    int n = 0;
    for (int i = 0; i < board->n_rank; i++)
        n += atomic_load(&board->rank[i].state) >= (int)least;
    return n;
}

/* What was expected counts at first, and then more and more what was seen. */
double har_seconds_left(double expected, double done, double seconds)
{
    if (!(done > 0.0))
        return expected > seconds ? expected - seconds : 0.0;
    const double seen = seconds * (1.0 - done) / done;
    const double said = expected > 0.0 ? expected * (1.0 - done) : seen;
    return done * seen + (1.0 - done) * said;
}

static void say_left(char text[48], const par_board *board,
                     const har_launch_options *options, double seconds)
{
    const double done = atomic_load(&board->fraction) / 1000.0;
    text[0] = '\0';
    if (options->seconds > 0.0)
        snprintf(text, 48, ", about %.0f s left",
                 har_seconds_left(options->seconds, done, seconds));
}

void har__say_progress(har_waiting *waiting, const par_board *board,
                       const har_launch_options *options, double seconds)
{
    const int n_started = n_in_state(board, PAR_RANK_COMPUTING);
    char doing[128], left[48], line[sizeof waiting->said];
    const char *step = board->step[0] ? board->step : board->rank[0].what;
    if (n_started < board->n_rank)
        snprintf(doing, sizeof doing, "%d of %d ranks started", n_started,
                 board->n_rank);
    else
        snprintf(doing, sizeof doing, "%d rank%s, %.40s, %d %%", board->n_rank,
                 board->n_rank == 1 ? "" : "s", step,
                 atomic_load(&board->fraction) / 10);
    say_left(left, board, options, seconds);
    snprintf(line, sizeof line, "%.40s: %.100s, %.0f s%s", options->what, doing,
             seconds, left);
    har_waiting_say(waiting, line);
}
