/* harness/perf/calibrate/check_operators.c -- operators of shapes that no fit has seen.
 *
 * The odd probes, measured exactly as calibrate measures the even ones.  An
 * operator that the machine has no rate for counts as an error of 100 %: what
 * cannot be predicted must not make the score better.
 */
#include "harness/perf/calibrate/check.h"
#include "harness/perf/calibrate/probe.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_PROBE = 24, N_QUICK_PROBE = 2, N_DRIFT_PROBE = 6, N_PASS = 5 };

typedef struct scored {
    har_rate_class of;
    core_dtype dtype;
    double ratio;      /* predicted / measured                                 */
    double apart;      /* a repetition's |one / middle - 1|, the largest       */
} scored;

typedef struct scores {
    scored *at;
    int64_t n, room;
} scores;

static core_status make_room(scores *s, int64_t n)
{
    scored *at = core_grow(s->at, &s->room, s->n + n, sizeof *at,
                           "scored operators");
    if (at == NULL)
        return CORE_E_MEMORY;
    s->at = at;
    return CORE_OK;
}

static void score(scores *s, const har_machine *machine, const core_spec *spec,
                  core_dtype dtype, const har_timed *t, har_residency where)
{
    const core_cost *c = &t->cost;
    if (c->kind == CORE_COST_COLLECTIVE || !(t->seconds > 0))
        return;
    const har_rate *rate = har_rates_find(&machine->rates, spec, dtype, c);
    const double predicted =
        rate != NULL ? har_rates_seconds(&machine->rates, rate, c, &where) : 0;
    scored *out = &s->at[s->n++];
    *out = (scored){.of = har_rate_class_of(spec, c),
                    .dtype = dtype,
                    .ratio = predicted / t->seconds};
    for (int i = 0; i < N_PASS; i++)
        out->apart = fmax(out->apart, fabs(t->pass[i] / t->seconds - 1));
}

/* The line of all scores of one class, or of all. */
static har_check_line line_of(const scores *s, const scored *of, double *error,
                              double *apart)
{
    har_check_line out = {.n = 0};
    char name[HAR_RATE_NAME];
    snprintf(out.name, sizeof out.name, "%s %s",
             of == NULL ? "all" : har_rate_class_name(&of->of, name),
             of == NULL ? "" : of->dtype == CORE_DTYPE_F64 ? "f64" : "f32");
    for (int64_t i = 0; i < s->n; i++)
        if (of == NULL || (s->at[i].dtype == of->dtype &&
                           har_rate_class_is(&s->at[i].of, &of->of))) {
            error[out.n] = fabs(s->at[i].ratio - 1);
            out.bias += log(fmax(s->at[i].ratio, 1e-3));
            apart[out.n++] = s->at[i].apart;
        }
    har_sort(error, out.n);
    har_sort(apart, out.n);
    out.bias /= (double)out.n;
    out.median = har_quantile(error, out.n, 0.5);
    out.p90 = har_quantile(error, out.n, 0.9);
    out.noise = har_quantile(apart, out.n, 0.5);
    return out;
}

static bool is_first(const scores *s, int64_t i)
{
    for (int64_t j = 0; j < i; j++)
        if (s->at[j].dtype == s->at[i].dtype &&
            har_rate_class_is(&s->at[j].of, &s->at[i].of))
            return false;
    return true;
}

static core_status conclude(har_check *out, const scores *s)
{
    void *memory;
    CORE_FAIL_IF(s->n == 0, CORE_E_INTERNAL, "no operator was measured");
    CORE_TRY(core_alloc(&memory, 2 * s->n, sizeof(double), "errors"));
    double *error = memory, *apart = error + s->n;
    out->all = line_of(s, NULL, error, apart);
    core_status status = CORE_OK;
    for (int64_t i = 0; i < s->n && status == CORE_OK; i++) {
        if (!is_first(s, i))
            continue;
        if (out->n_line < HAR_CHECK_LINES)
            out->line[out->n_line++] = line_of(s, &s->at[i], error, apart);
        else
            status = core_fail(CORE_E_INTERNAL, "more than %d classes",
                               HAR_CHECK_LINES);
    }
    free(memory);
    return status;
}

static core_status measure(scores *s, const har_machine *machine,
                           par_comm *comm, int number, core_numerics numerics)
{
    const core_dtype dtype =
        numerics == CORE_FP64 ? CORE_DTYPE_F64 : CORE_DTYPE_F32;
    har_probe probe;
    har_passes passes = {0};
    CORE_TRY(har_probe_make(&probe, number));
    core_status status = har_probe_run(&passes, comm, &probe, numerics, N_PASS);
    if (status == CORE_OK)
        status = make_room(s, passes.n);
    for (int64_t i = 0; i < passes.n && status == CORE_OK; i++)
        score(s, machine, &probe.spec, dtype, &passes.at[i],
              har_passes_where(&passes, i, dtype, machine->l2_bytes));
    har_passes_free(&passes);
    return status;
}

/* What the fit saw is predicted as it was then. */
core_status har_check_drift(double *out, const har_machine *machine,
                            par_comm *comm)
{
    scores s = {0};
    void *ratio = NULL;
    core_status status = CORE_OK;
    for (int i = 0; i < N_DRIFT_PROBE && status == CORE_OK; i++)
        status = measure(&s, machine, comm, 2 * i, CORE_FP64);
    if (status == CORE_OK)
        status = core_alloc(&ratio, s.n + 1, sizeof(double), "ratios");
    if (status == CORE_OK) {
        double *x = ratio;
        for (int64_t i = 0; i < s.n; i++)
            x[i] = s.at[i].ratio;
        har_sort(x, s.n);
        *out = 1 / har_quantile(x, s.n, 0.5);
    }
    free(ratio);
    free(s.at);
    return status;
}

core_status har_check_operators(har_check *out, const har_machine *machine,
                                par_comm *comm, bool quick)
{
    const int n = quick ? N_QUICK_PROBE : N_PROBE;
    scores s = {0};
    core_status status = CORE_OK;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < n && status == CORE_OK; i++) {
        par_at(comm, "operators", i);
        par_set_fraction(comm, (double)i / n);
        status = measure(&s, machine, comm, 2 * i + 1, CORE_FP64);
        if (status == CORE_OK)
            status = measure(&s, machine, comm, 2 * i + 1, CORE_FP32);
    }
    if (status == CORE_OK)
        status = conclude(out, &s);
    if (status == CORE_OK)
        status = har_check_drift(&out->drift, machine, comm);
    free(s.at);
    return status;
}
