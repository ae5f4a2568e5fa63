/* harness/perf/search/placement.c -- longest processing time first, with replicas.
 *
 * Copies of an expert share its tokens evenly, so a copy is a job of share /
 * copies.  Greedy: the largest job goes to the least loaded rank.  Traps: two
 * copies on one rank are not legal, and a full rank takes no more; where a job
 * finds no rank, that number of copies is given up.
 */
#include "harness/perf/search/placement.h"

#include "core/pass/batch.h"

#include <stdlib.h>
#include <string.h>

typedef struct job {
    double load;
    int expert;
} job;

har_ep_balance har_ep_balance_of(const par_plan *plan, const double *share, int n_e)
{
    double load[PAR_MAX_EXPERTS] = {0};
    int held[PAR_MAX_EXPERTS] = {0};
    har_ep_balance out = {0};
    if (plan->n_placed == 0)
        for (int r = 0; r < plan->ep; r++)
            for (int64_t e = core_split_first(n_e, plan->ep, r);
                 e < core_split_first(n_e, plan->ep, r + 1); e++) {
                load[r] += share[e];
                held[r]++;
            }
    for (int e = 0; e < plan->n_placed; e++)
        for (int i = 0; i < plan->n_replica[e]; i++) {
            load[plan->replica[e][i]] += share[e] / plan->n_replica[e];
            held[plan->replica[e][i]]++;
        }
    double most = 0, sum = 0;
    for (int r = 0; r < plan->ep; r++) {
        most = load[r] > most ? load[r] : most;
        sum += load[r];
        out.n_copy += held[r];
        out.most_experts =
            held[r] > out.most_experts ? held[r] : out.most_experts;
    }
    out.balance = sum / plan->ep / most;
    return out;
}

static int by_load(const void *left, const void *right)
{
    const job *a = left, *b = right;
    if (a->load != b->load)
        return a->load < b->load ? 1 : -1;
    return a->expert - b->expert;
}

static bool holds(const par_plan *plan, int e, int rank)
{
    for (int i = 0; i < plan->n_replica[e]; i++)
        if (plan->replica[e][i] == rank)
            return true;
    return false;
}

/* Deal the jobs; false if one finds no rank. */
static bool deal(par_plan *plan, const job *jobs, int n_job, int most_held)
{
    double load[PAR_MAX_EXPERTS] = {0};
    int held[PAR_MAX_EXPERTS] = {0};
    memset(plan->n_replica, 0, sizeof plan->n_replica);
    for (int j = 0; j < n_job; j++) {
        const int e = jobs[j].expert;
        int best = -1;
        for (int r = 0; r < plan->ep; r++)
            if (held[r] < most_held && !holds(plan, e, r) &&
                (best < 0 || load[r] < load[best]))
                best = r;
        if (best < 0)
            return false;
        plan->replica[e][plan->n_replica[e]++] = (uint16_t)best;
        load[best] += jobs[j].load;
        held[best]++;
    }
    return true;
}

/* One more copy of the expert whose copies carry most; false if none may. */
static bool add_copy(int *copies, const double *share, int n_e, int ep)
{
    int best = -1;
    for (int e = 0; e < n_e; e++)
        if (copies[e] < PAR_MAX_REPLICAS && copies[e] < ep &&
            (best < 0 || share[e] * copies[best] > share[best] * copies[e]))
            best = e;
    if (best >= 0)
        copies[best]++;
    return best >= 0;
}

static int jobs_of(job *out, const int *copies, const double *share, int n_e)
{
    int n = 0;
    for (int e = 0; e < n_e; e++)
        for (int i = 0; i < copies[e]; i++)
            out[n++] = (job){share[e] / copies[e], e};
    qsort(out, (size_t)n, sizeof *out, by_load);
    return n;
}

void har_place_experts(par_plan *plan, const double *share, int n_e, int n_spare)
{
    static const double MARGIN = 0.002; /* a copy's weights are read, too      */
    job jobs[PAR_MAX_EXPERTS * PAR_MAX_REPLICAS];
    int copies[PAR_MAX_EXPERTS];
    const int most_held = (n_e + plan->ep - 1) / plan->ep + n_spare;
    par_plan trial = *plan;
    trial.n_placed = n_e;
    double best = har_ep_balance_of(plan, share, n_e).balance;
    for (int e = 0; e < n_e; e++)
        copies[e] = 1;
    for (int extra = 0; extra <= plan->ep * n_spare; extra++) {
        const int n_job = jobs_of(jobs, copies, share, n_e);
        if (deal(&trial, jobs, n_job, most_held)) {
            const double now = har_ep_balance_of(&trial, share, n_e).balance;
            if (now > best * (1 + MARGIN)) {
                best = now;
                *plan = trial;
            }
        }
        if (!add_copy(copies, share, n_e, plan->ep))
            break;
    }
    par_plan_format(plan, plan->text);
}
