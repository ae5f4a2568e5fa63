/* harness/perf/machine/step.c -- see step.h.
 *
 * Stages take turns by 1F1B: the slowest has a micro-batch in every turn, and the
 * others add once what they take, to fill and to drain; of vpp chunks it is the
 * vpp-th part that is waited for.  Small layers wait for the host, which starts
 * one operator after the other: a stage takes the longer of the two, nearly.
 */
#include "harness/perf/machine/step.h"

#include "harness/perf/machine/impl.h"

enum {
    LOGIT_PASSES = 8,    /* over fp32 logits: loss, forward and backward      */
    LOGIT_BYTES = 4,
    OPTIMISER_BYTES = 36 /* per parameter: fp32 state, gradient, copy         */
};

static double moved(const har_machine *machine, double bytes)
{
    return bytes / har__memory_bw(machine);
}

double har_step_loss(const har_machine *machine, double elements)
{
    return moved(machine, LOGIT_PASSES * LOGIT_BYTES * elements);
}

double har_step_optimiser(const har_machine *machine, double parameters)
{
    return moved(machine, OPTIMISER_BYTES * parameters);
}

/* A micro-batch in the layers of a stage, there and back. */
static double layers_of(const har_machine *machine, const har_step_stage *s)
{
    const double device = s->forward + s->back + s->again;
    const double n_op = (1 + HAR_BACKWARD) * s->n_op + s->n_op_again;
    return har__overlap(device, n_op * har__seconds(machine, HAR_COEF_HOST));
}

void har_step_time_of(const har_machine *machine, const har_step *step,
                      har_step_time *out)
{
    double all = 0, most = 0, send = 0;
    int pp = 0;
    *out = (har_step_time){0};
    for (int i = 0; i < step->n_stage; i++) {
        const har_step_stage *s = &step->stage[i];
        const double layers = layers_of(machine, s);
        const double mine = layers + s->moves + s->ends;
        pp += s->n;
        all += s->n * mine;
        if (mine > most) {
            most = mine;
            out->layers = step->n_mb * layers;
            out->moves = step->n_mb * s->moves;
            out->ends = step->n_mb * s->ends;
        }
        send = fmax(send, s->send);
        out->after = fmax(out->after, s->after);
    }
    out->sends = 2 * (step->n_mb * step->vpp + pp - 1) * send;
    out->fill = (all - most) / step->vpp;
    out->seconds = out->layers + out->moves + out->ends + out->fill +
                   out->sends + out->after;
}
