/* harness/perf/calibrate/check_plans.c -- whole emulated passes of plans.
 *
 * The records of a plan are made without running (cost/model.h), with the load
 * that one pass shows; their seconds are added up over all ranks and held
 * against the processor time that as many passes took.  What the records say is
 * sent is held against what the communicator counted: equal, or the model of
 * communication is wrong.
 *
 * Transfers are left out of the seconds on both sides: their processor time is
 * that of waiting.
 */
#include "harness/perf/calibrate/check.h"
#include "harness/perf/calibrate/passes.h"
#include "harness/perf/cost/model.h"
#include "harness/perf/machine/record_time.h"

#include "core/base/arena.h"

#include <math.h>
#include <string.h>

enum { MOST_PASSES = 5, SEED = 5 };

static const struct {
    const char *model, *plan;
    int64_t n_b, n_t;
    core_numerics numerics;
} PLANS[] = {
    {"seed-mini", "mb=2", 8, 64, CORE_FP64},
    {"seed-mini", "tp=2,mb=2", 8, 64, CORE_FP32},
    {"seed-mini", "tp=4,ep=4,mb=2", 8, 64, CORE_FP64},
    {"seed-mini", "pp=4,mb=4", 16, 64, CORE_FP32},
    {"seed-mini", "dp=4,ep=4,mb=2", 32, 64, CORE_FP64},
    {"seed-mini", "tp=2,pp=2,dp=2,ep=4,mb=4", 32, 64, CORE_FP32},
    {"seed-mini", "tp=2,pp=4,ep=8,scope=replica,mb=8", 32, 64, CORE_FP64},
    {"seed-mini", "tp=4,pp=2,dp=2,ep=8,mb=2", 16, 128, CORE_FP32},
    {"seed-mini", "tp=4,pp=4,ep=16,scope=replica,mb=8", 32, 64, CORE_FP64},
    {"shadow-a", "tp=2,pp=3,dp=2,ep=4,mb=3", 24, 55, CORE_FP64},
    {"shadow-a", "dp=5,ep=5,mb=2", 30, 55, CORE_FP32},
    {"shadow-b", "tp=6,pp=2,ep=2,etp=3,mb=2", 16, 65, CORE_FP64},
    {"shadow-b", "tp=3,ep=3,mb=2", 16, 65, CORE_FP32},
    {"shadow-b", "dp=5,ep=5,mb=2", 20, 65, CORE_FP64},
};
enum { N_PLANS = sizeof PLANS / sizeof PLANS[0] };

/* One rank's part of a plan. */
typedef struct job {
    par_comm *comm;
    core_spec spec;
    par_plan plan;
    har_inputs in;
    har_load load;
    int64_t n_element; /* sent by collectives and stages in a pass */
} job;

static void job_free(job *j)
{
    har_inputs_close(&j->in);
    har_load_free(&j->load);
}

static core_status open_job(job *j, int which)
{
    CORE_TRY(core_spec_open(&j->spec, PLANS[which].model, NULL));
    CORE_TRY(par_plan_parse(&j->plan, PLANS[which].plan));
    CORE_TRY(par_plan_check_batch(&j->plan, &j->spec, PLANS[which].n_b));
    CORE_TRY(har_inputs_open(&j->in, &j->spec, &j->plan, j->comm->rank,
                             PLANS[which].n_b, PLANS[which].n_t, SEED,
                             PLANS[which].numerics));
    return har_load_make(&j->load, &j->spec, &j->in.layout);
}

static void see(void *self, const par_piece *piece)
{
    har_load_see(self, piece);
}

static int64_t elements_sent(const par_comm *comm)
{
    static const par_op_kind kinds[] = {PAR_ALL_REDUCE, PAR_ALL_GATHER,
                                        PAR_REDUCE_SCATTER, PAR_ALL_TO_ALL,
                                        PAR_SEND};
    int64_t n = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        n += comm->n_bytes[kinds[i]] / (int64_t)sizeof(double);
    return n;
}

/* The load of a pass, and what it sends. */
static core_status observe(job *j, core_numerics numerics)
{
    har_load_watch watch = {
        .load = &j->load, .spec = &j->spec, .layout = &j->in.layout};
    const par_observer observer = {&watch, see};
    par_model *model = NULL;
    par_stats stats;
    const par_options options = {.weight_budget_bytes = SIZE_MAX,
                                 .observer = &observer};
    core_status status =
        par_agree(j->comm, par_model_open(&model, j->comm, &j->in.layout, &j->spec,
                                          j->in.weights, numerics, &options));
    const int64_t before = elements_sent(j->comm);
    if (status == CORE_OK)
        status = par_forward(model, &j->in.batch, &stats);
    j->n_element = elements_sent(j->comm) - before;
    par_model_close(model);
    if (status == CORE_OK)
        par_all_reduce_u64(j->comm, &j->comm->world, j->load.n_row,
                           har_load_size(&j->load));
    return status;
}

typedef struct predicting {
    har_timer timer;
    double seconds;
    int64_t sent;
} predicting;

static void predict(void *self, const core_cost *cost)
{
    predicting *p = self;
    p->sent += cost->sent;
    if (cost->kind != CORE_COST_COLLECTIVE)
        p->seconds += har_timer_ask(&p->timer, cost, 0).seconds;
}

/* weight_bytes: of all ranks, which share the machine's cache. */
static core_status predict_rank(const job *j, const har_machine *machine,
                                core_dtype dtype, double weight_bytes,
                                predicting *p)
{
    const har_cost_case request = {&j->spec, &j->plan, &j->in.batch, &j->load};
    CORE_TRY(har_timer_make(&p->timer, machine));
    har_timer_aim(&p->timer, &j->spec, &(core_types){.dtype = dtype});
    p->timer.miss = har_rates_miss(weight_bytes, machine->l2_bytes);
    core_status status = har_cost_rank(&request, j->comm->rank, predict, p);
    har_timer_free(&p->timer);
    return status;
}

/* Seconds of pass i without transfers. */
static double pass_seconds(const har_passes *passes, int i)
{
    double sum = 0;
    for (int64_t k = 0; k < passes->n; k++)
        if (passes->at[k].cost.kind != CORE_COST_COLLECTIVE)
            sum += passes->at[k].pass[i];
    return sum;
}

static core_status measure(job *j, const har_machine *machine,
                           core_numerics numerics, int n_pass,
                           har_check_plan *out)
{
    predicting p = {.sent = 0};
    har_passes passes = {0};
    double sum[MOST_PASSES + 1], sorted[MOST_PASSES];
    const har_passes_case request = {&j->spec, &j->in, numerics, n_pass, false};
    CORE_TRY(observe(j, numerics));
    core_status status = har_passes_run(&passes, j->comm, &request);
    double weight_bytes = (double)passes.stats.weight_bytes;
    if (status == CORE_OK) {
        par_all_reduce(j->comm, &j->comm->world, &weight_bytes, 1, PAR_SUM,
                       CORE_FP64);
        status = par_agree(
            j->comm, predict_rank(j, machine,
                                  out->is_f32 ? CORE_DTYPE_F32 : CORE_DTYPE_F64,
                                  weight_bytes, &p));
    }
    for (int i = 0; i < n_pass && status == CORE_OK; i++)
        sum[i] = pass_seconds(&passes, i);
    har_passes_free(&passes);
    if (status != CORE_OK)
        return status;
    sum[n_pass] = p.seconds;
    par_all_reduce(j->comm, &j->comm->world, sum, n_pass + 1, PAR_SUM,
                   CORE_FP64);
    uint64_t n[2] = {(uint64_t)p.sent, (uint64_t)j->n_element};
    par_all_reduce_u64(j->comm, &j->comm->world, n, 2);
    memcpy(sorted, sum, (size_t)n_pass * sizeof *sorted);
    har_sort(sorted, n_pass);
    out->measured = sorted[n_pass / 2];
    CORE_FAIL_IF(!(sorted[0] > 0), CORE_E_PROGRAM, HAR_COARSE_CLOCK);
    out->predicted = sum[n_pass];
    out->noise = fmax(sorted[n_pass - 1] / out->measured - 1,
                      1 - sorted[0] / out->measured);
    out->sent = (int64_t)n[0];
    out->counted = (int64_t)n[1];
    return CORE_OK;
}

static core_status run_plan(har_check_plan *out, const har_machine *machine,
                            par_comm *comm, int which, bool quick)
{
    job j = {.comm = comm};
    core_status status = par_agree(comm, open_job(&j, which));
    if (status == CORE_OK)
        status = measure(&j, machine, PLANS[which].numerics,
                         quick ? 1 : MOST_PASSES, out);
    job_free(&j);
    return status;
}

/* Rank 0 measures, the others wait. */
static core_status drift_of_one(double *out, const har_machine *machine)
{
    par_comm *one = NULL;
    CORE_TRY(par_comm_open(&one, 1));
    const core_status status =
        one != NULL ? har_check_drift(out, machine, one) : CORE_OK;
    par_comm_close(one);
    return status;
}

core_status har_check_plans(har_check *out, const har_machine *machine,
                            bool quick)
{
    par_comm *all = NULL;
    core_status status = CORE_OK;
    memset(out, 0, sizeof *out);
    CORE_TRY(par_comm_open(&all, par_comm_n_started()));
    const int step = quick ? 2 : 1;
    for (int i = 0; i < N_PLANS && status == CORE_OK; i += step) {
        par_plan plan;
        par_comm *comm = NULL;
        har_check_plan *to = &out->plan[out->n_plan++];
        par_at(all, "plans", i);
        par_set_fraction(all, (double)i / N_PLANS);
        status = par_plan_parse(&plan, PLANS[i].plan);
        to->is_f32 = PLANS[i].numerics == CORE_FP32;
        to->n_rank = status == CORE_OK ? par_plan_world(&plan) : 0;
        snprintf(to->model, sizeof to->model, "%s", PLANS[i].model);
        snprintf(to->plan, sizeof to->plan, "%s", PLANS[i].plan);
        if (status == CORE_OK)
            status = par_comm_open(&comm, to->n_rank);
        if (status == CORE_OK && comm != NULL)
            status = run_plan(to, machine, comm, i, quick);
        par_comm_close(comm);
        status = par_agree(all, status);
    }
    if (status == CORE_OK)
        status = par_agree(all, drift_of_one(&out->drift, machine));
    par_comm_close(all);
    return status;
}
