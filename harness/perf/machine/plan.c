/* harness/perf/machine/plan.c -- one step of training a GPT, from its plan.
 *
 * Every micro-batch goes forward, is recomputed, and goes backward at twice the
 * cost; stages work in whole micro-batches, pp - 1 of them fill and drain the
 * pipeline; then the gradients are added up over the replicas and the optimiser
 * reads and writes its state.  Small layers wait for the host, which starts one
 * operator after the other: a layer takes the longer of the two, nearly.
 * Attention is not fused here: the scores go through memory.
 */
#include "harness/perf/machine/impl.h"

enum {
    VOCABULARY = 51200,
    OPS_PER_LAYER = 20,   /* of a forward pass that the host starts          */
    SCORE_PASSES = 5,     /* over the scores: products, softmax, dropout     */
    WIDE_PASSES = 10,     /* over the residual stream: norms, dropout, sums  */
    INNER_PASSES = 4,     /* over the inner activations                      */
    LOGIT_PASSES = 8,     /* over fp32 logits: loss, forward and backward    */
    OPTIMISER_BYTES = 36, /* per parameter: fp32 state, gradient, copy       */
    FORWARDS = 4          /* forward, recompute, backward of twice the work  */
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

static double layer_step(const har_machine *machine, const har_training *s)
{
    const double device = FORWARDS * layer_forward(machine, s);
    const double host =
        FORWARDS * OPS_PER_LAYER * har__seconds(machine, HAR_COEF_HOST);
    const double message = 2.0 * s->micro_batch * s->n_t * s->n_d;
    return har__overlap(device, host) +
           6 * reduced(machine, message, s->tp, s->tp);
}

static double head_step(const har_machine *machine, const har_training *s)
{
    const double t = (double)s->micro_batch * s->n_t;
    const double columns = (double)VOCABULARY / s->tp;
    return 3 * gemm(machine, t, columns, s->n_d) +
           moved(machine, LOGIT_PASSES * 4 * t * columns);
}

har_time har_time_training(const har_machine *machine, const har_training *s)
{
    const double n_mb = (double)s->batch / s->dp / s->micro_batch;
    const double d = s->n_d;
    const double stage = layer_step(machine, s) * s->n_l / s->pp;
    const double message = 2.0 * s->micro_batch * s->n_t * d;
    const double parameters =
        12 * d * d * s->n_l / s->tp / s->pp + VOCABULARY * d / s->tp;
    double seconds = (n_mb + s->pp - 1) * stage + n_mb * head_step(machine, s) +
                     reduced(machine, 2 * parameters, s->dp, s->tp * s->dp) +
                     moved(machine, OPTIMISER_BYTES * parameters);
    if (s->pp > 1)
        seconds += 2 * (n_mb + s->pp - 1) *
                   har_time_collective(machine, HAR_SEND_RECV, HAR_LIBRARY,
                                       message, 2, har_tier(machine, s->n_gpu))
                       .seconds;
    return (har_time){.seconds = seconds,
                      .sigma = har_sigma(machine, HAR_PLAN),
                      .bound = HAR_BOUND_COMPUTE};
}
