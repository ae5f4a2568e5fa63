/* parallel/turns.c -- see turns.h.
 *
 * Place a of the order is run a / (pp*vpp) * pp + a % pp with chunk a / pp %
 * vpp.  Where pp does not divide the number of runs, the last pp of them are
 * fewer, and their places stay empty: nobody may be earlier, for what stage 0
 * takes with the next chunk comes from the last stage.
 */
#include "parallel/turns.h"

int par_turns(const par_plan *plan, int n_run)
{
    const int pp = plan->pp, last = n_run - 1;
    const int before = last / pp * pp * plan->vpp;
    return before + (plan->vpp - 1) * pp + last % pp + pp;
}

par_turn par_turn_of(const par_plan *plan, int n_run, int stage, int turn)
{
    const int pp = plan->pp, at = turn - stage;
    const int run = at < 0 ? -1 : at / (pp * plan->vpp) * pp + at % pp;
    if (run < 0 || run >= n_run)
        return (par_turn){.run = -1, .chunk = 0};
    return (par_turn){.run = run, .chunk = at / pp % plan->vpp};
}

int par_runs(const par_plan *plan, int n_lane)
{
    return (plan->mb + n_lane - 1) / n_lane;
}

int par_ticks(const par_plan *plan)
{
    const int n_lane = par_plan_lanes(plan);
    return par_turns(plan, par_runs(plan, n_lane)) * n_lane;
}

int par_lane_mb(const par_plan *plan, int n_lane, int stage, int turn, int lane)
{
    const int run =
        par_turn_of(plan, par_runs(plan, n_lane), stage, turn).run;
    const int mb = run * n_lane + lane;
    return run >= 0 && mb < plan->mb ? mb : -1;
}

int par_virtual_stage(const par_plan *plan, int stage, int chunk)
{
    return chunk * plan->pp + stage;
}
