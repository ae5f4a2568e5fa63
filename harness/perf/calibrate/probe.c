/* harness/perf/calibrate/probe.c -- see probe.h.
 *
 * Sizes are thrown evenly in logarithms between limits that emulated plans have:
 * a rank's share of a model that an ordinary machine can run.  What a family
 * has beside attention and experts is thrown too, so that each operator is seen
 * several times.
 */
#include "harness/perf/calibrate/probe.h"

#include "core/base/arena.h"
#include "harness/perf/cost/operators.h"

#include <stdio.h>

enum {
    MOST_VALUES = 400000, /* of the residual stream                           */
    SEED = 11             /* of weights and tokens                            */
};

/* An operator that throws nothing is in no probe. */
static bool falls(har_dice *d, const har__operator *row)
{
    return row->probe != NULL && har_dice_one_in(d, 3);
}

static void throw_shared(har_dice *d, core_spec *s)
{
    for (int i = 0; i < (int)CORE_N_SHARED; i++)
        if (falls(d, har__shared_row[i])) {
            har__shared_row[i]->probe(d, s);
            return;
        }
}

/* Attention, and in a layer of its own what else falls. */
static void throw_mixers(har_dice *d, core_spec *s)
{
    s->n_l = CORE_N_MIXERS + 1;
    for (int i = 0; i < (int)CORE_N_MIXERS; i++)
        if (i == CORE_MIXER_ATTENTION || falls(d, har__mixer_row[i])) {
            har__mixer_row[i]->probe(d, s);
            s->mixer[i] = (uint8_t)i;
        }
}

static void throw_experts(har_dice *d, core_spec *s)
{
    s->n_e = har_dice_between(d, 2, 64);
    s->n_k = har_dice_between(d, 1, (double)(s->n_e < 6 ? s->n_e : 6));
    s->n_f = har_dice_between(d, 16, 1024);
    s->gated = har_dice_one_in(d, 2);
    s->act = s->gated ? CORE_ACT_SILU : CORE_ACT_GELU;
    s->renormalise = s->n_k > 1;
    s->router =
        har_dice_one_in(d, 3) ? CORE_ROUTER_SIGMOID : CORE_ROUTER_SOFTMAX;
    s->n_f_shared = har_dice_one_in(d, 2) ? har_dice_between(d, 16, 512) : 0;
    if (s->n_f_shared > 0)
        throw_shared(d, s);
    s->bias_ffn = har_dice_one_in(d, 4);
    s->capacity.rule =
        har_dice_one_in(d, 2) ? CORE_CAPACITY_NONE : CORE_CAPACITY_FACTOR;
}

core_status har_probe_make(har_probe *out, int number)
{
    har_dice d = {(uint64_t)number, 0};
    core_spec *s = &out->spec;
    CORE_TRY(core_spec_open(s, "seed-mini", NULL));
    snprintf(s->name, sizeof s->name, "probe-%d", number);
    s->n_d = 2 * har_dice_between(&d, 24, 300);
    s->n_v = har_dice_between(&d, 64, 4096);
    s->norm = har_dice_one_in(&d, 4) ? CORE_NORM_LAYER : CORE_NORM_RMS;
    s->tied = har_dice_one_in(&d, 2);
    throw_mixers(&d, s);
    throw_experts(&d, s);
    do {
        out->n_b = har_dice_between(&d, 2, 24);
        out->n_t = har_dice_between(&d, 8, 256);
    } while (out->n_b * out->n_t * s->n_d > MOST_VALUES);
    return core_spec_validate(s);
}

core_status har_probe_run(har_passes *passes, par_comm *comm,
                          const har_probe *probe, core_numerics numerics,
                          int n_pass)
{
    har_inputs inputs;
    par_plan alone;
    CORE_TRY(par_plan_parse(&alone, "mb=1"));
    CORE_TRY(par_plan_check(&alone, &probe->spec));
    core_status status =
        har_inputs_open(&inputs, &probe->spec, &alone, 0, probe->n_b,
                        probe->n_t, SEED, numerics);
    const har_passes_case request = {&probe->spec, &inputs, numerics, n_pass,
                                     true};
    if (status == CORE_OK)
        status = har_passes_run(passes, comm, &request);
    har_inputs_close(&inputs);
    return status;
}
