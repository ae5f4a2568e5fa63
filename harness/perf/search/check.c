/* harness/perf/search/check.c -- plans of a search, predicted.
 *
 * har_predict replays the schedule: the last word on the plans that may be on
 * the front (one rank speaks for each stage, no intervals), then with intervals
 * for those that are shown, and rank by rank for a placement.  Trap: a replay
 * keeps the pipeline full with other rows; in decode a row's next token waits
 * for its last one, so a batch takes no less than that.
 */
#include "harness/perf/search/report.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static core_status predict(har_predictor *predictor, const har_quick *e,
                           const par_plan *plan, bool all_ranks, bool shown,
                           har_prediction *out)
{
    har_demand demand = {.text = "popularity", .n_e = (int)e->spec->n_e};
    if (e->share != NULL)
        memcpy(demand.share, e->share, (size_t)demand.n_e * sizeof *e->share);
    const har_predict_case request = {.spec = e->spec,
                                      .plan = plan,
                                      .n_b = e->n_b,
                                      .n_t = e->n_t,
                                      .is_decode = e->n_kv > 0,
                                      .n_kv = e->n_kv,
                                      .types = e->types,
                                      .overlap = HAR_OVERLAP_NONE,
                                      .algorithm = HAR_LIBRARY,
                                      .all_ranks = all_ranks,
                                      .no_interval = !shown,
                                      .demand =
                                          e->share != NULL ? &demand : NULL};
    return har_predict(predictor, &request, out);
}

/* Seconds until a row's next token may start; quick: the closed form's. */
static double next_token(const har_shape *shape, const har_prediction *p,
                         const har_figures *quick)
{
    /* one micro-batch through all */
    if (shape->scope == PAR_SCOPE_STAGE && har_shape_vpp(shape) == 1)
        return p->latency.value - p->period.value * (shape->mb - 1) / shape->mb;
    return quick->next_token * p->latency.value / quick->latency;
}

/* What a rate of a full pipeline is to be multiplied with. */
static double waits(const har_quick *e, const har_shape *shape,
                    const har_prediction *p, const har_figures *quick)
{
    const double next = next_token(shape, p, quick);
    return e->n_kv > 0 && next > p->period.value ? p->period.value / next : 1;
}

static har_range times(har_range r, double x)
{
    return (har_range){r.value * x, r.low * x, r.high * x};
}

core_status har_search_check_plan(const har_quick *e, const par_plan *plan,
                                  const har_figures *quick, bool all_ranks,
                                  har_checked *out)
{
    har_shape shape;
    har_predictor *predictor = NULL;
    har_prediction p;
    har_shape_of(plan, &shape);
    CORE_TRY(har_predictor_make(&predictor, e->machine));
    const core_status status = predict(predictor, e, plan, all_ranks, true, &p);
    har_predictor_free(predictor);
    CORE_TRY(status);
    *out = (har_checked){.latency = p.latency,
                         .tokens_per_s =
                             times(p.tokens_per_s, waits(e, &shape, &p, quick)),
                         .memory = {p.memory, p.memory, p.memory},
                         .balance = p.has_experts ? p.balance.value : 1};
    return CORE_OK;
}

core_status har_search_check(const har_quick *e, const har_shape *shape,
                             har_checked *out)
{
    par_plan plan;
    har_figures quick = {0};
    har_quick_time((void *)e, omp_get_thread_num(), shape, &quick);
    har_shape_plan(shape, &plan);
    return har_search_check_plan(e, &plan, &quick, false, out);
}

/* --- the last word --- */

static har_search_term term_of(const har_class *c)
{
    return c->axis == CORE_AXIS_EP   ? HAR_TERM_EXPERT
           : c->axis == CORE_AXIS_PP ? HAR_TERM_SEND
                                     : HAR_TERM_TENSOR;
}

static void set_terms(const har_prediction *p, har_figures *out)
{
    memset(out->term, 0, sizeof out->term);
    for (int i = 0; i < p->n_class; i++) {
        const har_class *c = &p->class_of[i];
        if (c->kind == CORE_COST_COLLECTIVE) {
            out->term[term_of(c)] += c->exposed;
            continue;
        }
        out->term[HAR_TERM_ARITHMETIC] += c->bound[HAR_BOUND_COMPUTE];
        out->term[HAR_TERM_MEMORY] += c->bound[HAR_BOUND_MEMORY];
        out->term[HAR_TERM_SMALL] +=
            c->bound[HAR_BOUND_OVERHEAD] + c->bound[HAR_BOUND_LATENCY];
    }
    double sum = 0;
    for (int i = 0; i < HAR_N_TERM; i++)
        sum += out->term[i];
    out->term[HAR_TERM_BUBBLE] = fmax(0, p->latency.value - sum);
}

static core_status replay(void *self, int thread, const har_shape *shape,
                          har_figures *out)
{
    const har_replayer *r = self;
    const har_quick *e = r->estimate;
    const har_figures quick = *out;
    par_plan plan;
    har_prediction p;
    har_shape_plan(shape, &plan);
    CORE_TRY(predict(r->predictor[thread], e, &plan, false, false, &p));
    out->latency = p.latency.value;
    out->next_token = next_token(shape, &p, &quick);
    out->tokens_per_s = p.tokens_per_s.value * waits(e, shape, &p, &quick);
    out->memory = p.memory;
    out->weight_bytes = p.stage[p.memory_stage].weights;
    set_terms(&p, out);
    return CORE_OK;
}

core_status har_replayer_make(har_replayer *out, const har_quick *estimate)
{
    *out = (har_replayer){.estimate = estimate};
    out->replay = (har_search_replay){out, replay};
    for (int i = 0; i < estimate->n_thread; i++)
        CORE_TRY(har_predictor_make(&out->predictor[i], estimate->machine));
    return CORE_OK;
}

void har_replayer_free(har_replayer *r)
{
    for (int i = 0; i < HAR_SEARCH_THREADS; i++)
        har_predictor_free(r->predictor[i]);
    *r = (har_replayer){0};
}
