/* harness/perf/calibrate/probe.c -- see probe.h.
 *
 * Sizes are thrown evenly in logarithms between limits that emulated plans have:
 * a rank's share of a model that an ordinary machine can run.  What a family
 * has beside attention and experts is thrown too, so that each operator is seen
 * several times.
 */
#include "harness/perf/calibrate/probe.h"

#include "core/base/arena.h"
#include "core/numbers/rng.h"

#include <math.h>
#include <stdio.h>

enum {
    MOST_VALUES = 400000, /* of the residual stream                           */
    SEED = 11             /* of weights and tokens                            */
};

typedef struct dice {
    uint64_t seed, n_thrown;
} dice;

static double share(dice *d)
{
    const uint64_t n = (uint64_t)1 << 32;
    return (double)core_rng_below(d->seed, 0x9120be, d->n_thrown++, n) /
           (double)n;
}

static int64_t between(dice *d, double low, double high)
{
    return (int64_t)rint(low * pow(high / low, share(d)));
}

static bool one_in(dice *d, double n) { return share(d) * n < 1; }

static void throw_attention(dice *d, core_spec *s)
{
    s->n_dh = 2 * between(d, 4, 48);
    s->n_g = between(d, 1, 6);
    s->n_h = s->n_g * between(d, 1, 4);
    if (one_in(d, 4)) {
        s->n_g = s->n_h;
        s->n_kv_rank = between(d, 8, 128);
        s->n_q_rank = one_in(d, 2) ? 0 : between(d, 8, 128);
        s->n_dv = between(d, 4, 48);
        s->n_rot = 2 * between(d, 1, (double)s->n_dh / 2 - 1);
    } else if (one_in(d, 2)) {
        s->qk_norm = one_in(d, 2) ? CORE_QK_NORM_HEAD : CORE_QK_NORM_ALL;
    }
    s->bias_qkv = one_in(d, 3);
    s->bias_o = one_in(d, 3);
}

static void throw_mamba(dice *d, core_spec *s)
{
    s->mamba = (core_mamba){.n_c = between(d, 16, 512),
                            .n_s = between(d, 4, 16),
                            .n_conv = 4,
                            .n_r = between(d, 4, 32),
                            .bias_conv = true};
    s->mixer[1] = CORE_MIXER_MAMBA;
}

static void throw_experts(dice *d, core_spec *s)
{
    s->n_e = between(d, 2, 64);
    s->n_k = between(d, 1, (double)(s->n_e < 6 ? s->n_e : 6));
    s->n_f = between(d, 16, 1024);
    s->gated = one_in(d, 2);
    s->act = s->gated ? CORE_ACT_SILU : CORE_ACT_GELU;
    s->renormalise = s->n_k > 1;
    s->router = one_in(d, 3) ? CORE_ROUTER_SIGMOID : CORE_ROUTER_SOFTMAX;
    s->n_f_shared = one_in(d, 2) ? between(d, 16, 512) : 0;
    s->shared_gate = s->n_f_shared > 0 && one_in(d, 3);
    s->bias_ffn = one_in(d, 4);
    s->capacity.rule =
        one_in(d, 2) ? CORE_CAPACITY_NONE : CORE_CAPACITY_FACTOR;
}

core_status har_probe_make(har_probe *out, int number)
{
    dice d = {(uint64_t)number, 0};
    core_spec *s = &out->spec;
    CORE_TRY(core_spec_open(s, "seed-mini", NULL));
    snprintf(s->name, sizeof s->name, "probe-%d", number);
    s->n_l = 3;
    s->n_d = 2 * between(&d, 24, 300);
    s->n_v = between(&d, 64, 4096);
    s->norm = one_in(&d, 4) ? CORE_NORM_LAYER : CORE_NORM_RMS;
    s->tied = one_in(&d, 2);
    throw_attention(&d, s);
    if (one_in(&d, 3))
        throw_mamba(&d, s);
    throw_experts(&d, s);
    do {
        out->n_b = between(&d, 2, 24);
        out->n_t = between(&d, 8, 256);
    } while (out->n_b * out->n_t * s->n_d > MOST_VALUES);
    return core_spec_validate(s);
}

core_status har_probe_run(har_passes *passes, par_comm *comm,
                          const har_probe *probe, core_numerics numerics,
                          int n_pass)
{
    core_weights *weights = NULL;
    core_batch batch = {0};
    par_layout layout;
    par_plan alone;
    core_arena arena = core_arena_measure();
    CORE_TRY(par_plan_parse(&alone, "mb=1"));
    CORE_TRY(par_plan_check(&alone, &probe->spec));
    core_status status =
        par_layout_make(&layout, &arena, &probe->spec, &alone, 0);
    if (status == CORE_OK)
        status = core_batch_make(&batch, &probe->spec, probe->n_b, probe->n_t,
                                 SEED);
    if (status == CORE_OK)
        status = core_weights_open_procedural(&weights, &probe->spec, SEED);
    if (status == CORE_OK)
        status = core_weights_prepare(weights, numerics, NULL);
    const har_passes_case request = {&probe->spec, &layout, weights, &batch,
                                     numerics,     n_pass,  true};
    if (status == CORE_OK)
        status = har_passes_run(passes, comm, &request);
    core_weights_close(weights);
    core_batch_free(&batch);
    core_arena_free(&arena);
    return status;
}
