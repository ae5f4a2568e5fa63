/* harness/perf/cost/convolution.c -- a causal convolution along the rows. */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* Products for one channel along one row. */
static int64_t n_taps(int64_t n_t, int64_t n_conv)
{
    const int64_t n_short = n_t < n_conv ? n_t : n_conv - 1;
    return n_short * (n_short + 1) / 2 + (n_t - n_short) * n_conv;
}

static void put(har__walk *w, core_tap_kind tap, core_weight_kind weight,
                int64_t n_c, int64_t flops)
{
    const core_weight id = {weight, w->layer, 0};
    int64_t n_row, n_conv;
    core_weight_shape(w->spec, id, &n_row, &n_conv);
    core_cost cost = har__rows(w, tap, w->n, n_c, flops);
    cost.flops += CORE_FLOPS_MULTIPLY_ADD * n_c * w->n_row *
                  n_taps(w->request->batch->n_t, n_conv);
    cost.weights = w->n > 0 ? n_c * n_conv : 0;
    if (har__has_weight(w, core_weight_bias(weight))) {
        cost.flops += w->n * n_c * CORE_FLOPS_ADD;
        cost.weights += w->n > 0 ? n_c : 0;
    }
    har__put(w, cost);
}

void har__put_convolution(har__walk *w, core_tap_kind act_tap,
                          core_weight_kind weight, int64_t n_c)
{
    put(w, act_tap, weight, n_c, CORE_FLOPS_FUNCTION);
}

void har__put_convolution_only(har__walk *w, core_tap_kind tap,
                               core_weight_kind weight, int64_t n_c)
{
    put(w, tap, weight, n_c, 0);
}

void har__step_convolution(har__step *step, const core_cost *cost,
                           int64_t n_conv)
{
    const double n_past = (double)(cost->m * cost->n) * (double)(n_conv - 1);
    step->flops += CORE_FLOPS_MULTIPLY_ADD * n_past;
    step->elements += 2 * n_past;
}
