/* harness/perf/calibrate/operators.c -- what the operators of the emulation take.
 *
 * The even probes (probe.h) are run on one rank; every record of cost with its
 * seconds is a sample.  Layers of a probe have the same shapes but not the same
 * rows of experts; all are kept.  Transfers are measured elsewhere.
 */
#include "harness/perf/calibrate/calibrate.h"
#include "harness/perf/calibrate/probe.h"
#include "harness/perf/calibrate/rates_fit.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_PROBE = 80, N_QUICK_PROBE = 6, N_PASS = 5 };

typedef struct samples {
    har_rate_sample *at;
    double *apart; /* |one / middle - 1| of all passes                        */
    int64_t n, room, n_apart, apart_room;
} samples;

static core_status make_room(samples *s, int64_t n)
{
    har_rate_sample *at = core_grow(s->at, &s->room, s->n + n, sizeof *at,
                                    "measured operators");
    if (at == NULL)
        return CORE_E_MEMORY;
    s->at = at;
    double *apart = core_grow(s->apart, &s->apart_room, s->n_apart + n * N_PASS,
                              sizeof *apart, "repetitions");
    if (apart == NULL)
        return CORE_E_MEMORY;
    s->apart = apart;
    return CORE_OK;
}

static void keep(samples *s, const core_spec *spec, core_dtype dtype,
                 const har_timed *t, har_residency where, FILE *text)
{
    char name[HAR_RATE_NAME];
    const core_cost *c = &t->cost;
    if (c->kind == CORE_COST_COLLECTIVE || !(t->seconds > 0))
        return;
    har_rate_sample *out = &s->at[s->n++];
    *out = (har_rate_sample){.of = har_rate_class_of(spec, c),
                             .dtype = dtype,
                             .cost = *c,
                             .where = where,
                             .seconds = t->seconds};
    for (int i = 0; i < N_PASS; i++)
        s->apart[s->n_apart++] = fabs(t->pass[i] / t->seconds - 1);
    if (c->tap.layer == 0)
        fprintf(text, "  - [%s, %s, %lld, %lld, %lld, %lld, %.5g]\n",
                har_rate_class_name(&out->of, name),
                dtype == CORE_DTYPE_F64 ? "f64" : "f32", (long long)c->m,
                (long long)c->n, (long long)c->k,
                (long long)(c->kind == CORE_COST_ATTENTION ? c->n_head
                                                           : c->n_expert),
                t->seconds);
}

/* A layer of attention and one of experts, for the coefficients of machine.h. */
static core_status add_rows(har_calibration *out, const har_probe *probe,
                            core_dtype dtype, const har_passes *passes)
{
    const core_spec *s = &probe->spec;
    double experts = 0;
    for (int64_t i = 0; i < passes->n; i++) {
        const har_timed *t = &passes->at[i];
        const core_cost *c = &t->cost;
        if (c->tap.layer == 0 && strcmp(c->op, "expert") == 0)
            experts += t->seconds;
        if (c->tap.layer != 0 || c->kind != CORE_COST_ATTENTION)
            continue;
        const har_op_shape shape = {.kind = HAR_ATTENTION,
                                 .dtype = dtype,
                                 .as.attention = {.n_row = (double)probe->n_b,
                                                  .n_t = (double)probe->n_t,
                                                  .n_h = (double)s->n_h,
                                                  .n_g = (double)s->n_g,
                                                  .n_dh = (double)s->n_dh,
                                                  .kv_share = 1}};
        CORE_TRY(har_calibration_add(out, &shape, t->seconds));
    }
    const har_op_shape shape = {.kind = HAR_MOE,
                             .dtype = dtype,
                             .as.moe = {.n_token =
                                            (double)(probe->n_b * probe->n_t),
                                        .n_d = (double)core_spec_n_de(s),
                                        .n_f = (double)s->n_f,
                                        .n_expert = (int)s->n_e,
                                        .n_k = (int)s->n_k,
                                        .ep = 1,
                                        .n_matrix = s->gated ? 3 : 2}};
    return experts > 0 ? har_calibration_add(out, &shape, experts) : CORE_OK;
}

static core_status measure(har_calibration *out, const har_measuring *how,
                           samples *s, int number, core_numerics numerics)
{
    const core_dtype dtype =
        numerics == CORE_FP64 ? CORE_DTYPE_F64 : CORE_DTYPE_F32;
    har_probe probe;
    har_passes passes = {0};
    CORE_TRY(har_probe_make(&probe, number));
    core_status status =
        har_probe_run(&passes, how->comm, &probe, numerics, N_PASS);
    if (status == CORE_OK)
        status = make_room(s, passes.n);
    for (int64_t i = 0; i < passes.n && status == CORE_OK; i++)
        keep(s, &probe.spec, dtype, &passes.at[i],
             har_passes_where(&passes, i, dtype, har_shared_cache_bytes()),
             how->samples);
    if (status == CORE_OK)
        status = add_rows(out, &probe, dtype, &passes);
    har_passes_free(&passes);
    return status;
}

static core_status measure_all(har_calibration *out, const har_measuring *how,
                               samples *s)
{
    const int n = how->quick ? N_QUICK_PROBE : N_PROBE;
    for (int i = 0; i < n; i++) {
        par_at(how->comm, "operators", i);
        par_set_fraction(how->comm, 0.4 + 0.6 * i / n);
        CORE_TRY(measure(out, how, s, 2 * i, CORE_FP64));
        CORE_TRY(measure(out, how, s, 2 * i, CORE_FP32));
    }
    return CORE_OK;
}

core_status har_calibrate_operators(har_calibration *out,
                                    const har_measuring *how)
{
    samples s = {0};
    const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    core_status status = measure_all(out, how, &s);
    if (status == CORE_OK)
        status =
            har_rates_fit(&out->rates, s.at, s.n,
                          (double)(cache > 0 ? cache : 1 << 20) /
                              sizeof(double));
    if (status == CORE_OK)
        out->operators = har_noise_of(s.apart, s.n_apart);
    free(s.apart);
    free(s.at);
    return status;
}
