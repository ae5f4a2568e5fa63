/* harness/perf/machine/plan.c -- one step of training a GPT, from its plan.
 *
 * What a layer and the head take, for a step that is put together in step.c:
 * everything is made again on the way back.  Attention is not fused here: the
 * scores go through memory.
 */
#include "harness/perf/machine/impl.h"
#include "harness/perf/machine/step.h"

enum {
    VOCABULARY = 51200,
    SCORE_PASSES = 5, /* over the scores: products, softmax, dropout          */
    WIDE_PASSES = 10, /* over the residual stream: norms, dropout, sums       */
    INNER_PASSES = 4, /* over the inner activations                           */
    REDUCTIONS = 6    /* of a layer over tp: two there, again and back        */
};

static double gemm(const har_machine *machine, double m, double n, double k)
{
    return har_time_gemm(machine, CORE_DTYPE_F16, m, n, k).seconds;
}

static double moved(const har_machine *machine, double bytes)
{
    return bytes / har__memory_bw(machine);
}

static double reduced(const har_machine *machine, double bytes, int n,
                      int n_gpu)
{
    return har_time_collective(machine, HAR_ALL_REDUCE, HAR_LIBRARY, bytes, n,
                               har_tier(machine, n_gpu))
        .seconds;
}

/* Forward of one layer and micro-batch on one rank, by the device alone. */
static double layer_forward(const har_machine *machine, const har_training *s)
{
    const double t = (double)s->micro_batch * s->n_t, d = s->n_d;
    const double heads = (double)s->n_h / s->tp;
    const double scores = s->micro_batch * heads * s->n_t * s->n_t;
    const double flop = 4 * scores * d / s->n_h;
    return gemm(machine, t, 3 * d / s->tp, d) + gemm(machine, t, d, d / s->tp) +
           gemm(machine, t, 4 * d / s->tp, d) +
           gemm(machine, t, d, 4 * d / s->tp) +
           flop / (har__peak(machine, CORE_DTYPE_F16) *
                   har__coef(machine, HAR_COEF_COMPUTE) *
                   har__coef(machine, HAR_COEF_ATTENTION)) +
           moved(machine, 2 * (SCORE_PASSES * scores + WIDE_PASSES * t * d +
                               INNER_PASSES * t * 4 * d / s->tp));
}

har_time har_time_training(const har_machine *machine, const har_training *s)
{
    const double t = (double)s->micro_batch * s->n_t, d = s->n_d;
    const double n_l = (double)s->n_l / s->pp;
    const double columns = (double)VOCABULARY / s->tp;
    const double parameters = 12 * d * d * n_l / s->tp + columns * d;
    const double message = 2 * t * d;
    har_step_stage stage[2]; /* those before the last, and it */
    har_step_time time;
    stage[0] = (har_step_stage){
        .n = s->pp - 1,
        .forward = n_l * layer_forward(machine, s),
        .n_op = n_l * HAR_OPS_PER_LAYER,
        .moves = n_l * REDUCTIONS * reduced(machine, message, s->tp, s->tp),
        .after = reduced(machine, 2 * parameters, s->dp, s->tp * s->dp) +
                 har_step_optimiser(machine, parameters)};
    stage[0].back = HAR_BACKWARD * stage[0].forward;
    stage[0].again = stage[0].forward;
    stage[0].n_op_again = stage[0].n_op;
    if (s->pp > 1)
        stage[0].send = har_time_collective(machine, HAR_SEND_RECV, HAR_LIBRARY,
                                            message, 2,
                                            har_tier(machine, s->n_gpu))
                            .seconds;
    stage[1] = stage[0];
    stage[1].n = 1;
    stage[1].ends = (1 + HAR_BACKWARD) * gemm(machine, t, columns, d) +
                    har_step_loss(machine, t * columns);
    const har_step step = {
        .n_mb = (double)s->batch / s->dp / s->micro_batch,
        .vpp = 1,
        .n_stage = 2,
        .stage = stage};
    har_step_time_of(machine, &step, &time);
    return (har_time){.seconds = time.seconds,
                      .sigma = har_sigma(machine, HAR_PLAN),
                      .bound = HAR_BOUND_COMPUTE};
}
