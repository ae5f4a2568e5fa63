/* harness/perf/score/gpt.c -- see gpt.h.
 *
 * The engine has no graphs of kernels: its host starts every all-reduce.
 * Steps are alike but for their keys, in which their time is linear: one in the
 * middle speaks for all.
 */
#include "harness/perf/score/gpt.h"

#include "core/base/arena.h"
#include "core/model/config.h"
#include "harness/perf/predict/predict.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double SIGMAS_90 = 1.645;
enum { N_SET = 12, MAX_SET = 32 };

/* Layernorms and biases, learnt positions, a tied head. */
static core_status open_gpt(core_spec *out, const har_gpt *g)
{
    char text[N_SET][MAX_SET];
    core_overrides o = {.n_set = N_SET};
    core_config_facts facts;
    int i = 0;
    snprintf(text[i++], MAX_SET, "layers=%d", g->n_l);
    snprintf(text[i++], MAX_SET, "hidden=%d", g->n_d);
    snprintf(text[i++], MAX_SET, "heads=%d", g->n_h);
    snprintf(text[i++], MAX_SET, "kv_heads=%d", g->n_h);
    snprintf(text[i++], MAX_SET, "head_size=%d", g->n_d / g->n_h);
    snprintf(text[i++], MAX_SET, "dense_inner=%d", 4 * g->n_d);
    snprintf(text[i++], MAX_SET, "vocabulary=%d", g->n_v);
    snprintf(text[i++], MAX_SET, "ffn=dense");
    snprintf(text[i++], MAX_SET, "norm=layer");
    snprintf(text[i++], MAX_SET, "positions=none");
    snprintf(text[i++], MAX_SET, "bias.qkv=true");
    snprintf(text[i++], MAX_SET, "bias.attention_out=true");
    for (i = 0; i < N_SET; i++)
        o.set[i] = text[i];
    return core_config_open(out, &facts, &o, "seed-mini");
}

typedef struct room {
    core_spec spec;
    par_plan plan;
    har_prediction of;
} room;

static core_status predict(har_predictor *p, room *r,
                           const har_gpt *g, har_range *out)
{
    char plan[24];
    snprintf(plan, sizeof plan, "tp=%d", g->tp);
    CORE_TRY(open_gpt(&r->spec, g));
    CORE_TRY(par_plan_parse(&r->plan, plan));
    CORE_TRY(par_plan_check_batch(&r->plan, &r->spec, g->batch));
    har_predict_case c = {.spec = &r->spec,
                          .plan = &r->plan,
                          .n_b = g->batch,
                          .n_t = g->input,
                          .types = {.dtype = CORE_DTYPE_F16},
                          .overlap = HAR_OVERLAP_PIPELINE,
                          .is_eager = true,
                          .logit_share = 1.0 / g->input};
    CORE_TRY(har_predict(p, &c, &r->of));
    *out = r->of.latency;
    c.is_decode = true;
    c.n_t = 1;
    c.n_kv = g->input + (g->output + 1) / 2;
    c.logit_share = 0;
    CORE_TRY(har_predict(p, &c, &r->of));
    const double steps = g->output - 1;
    out->value += steps * r->of.latency.value;
    out->high += steps * r->of.latency.high;
    return CORE_OK;
}

har_time har_time_gpt(const har_machine *m, const har_gpt *g)
{
    const har_time unknown = {.seconds = NAN};
    har_predictor *predictor = NULL;
    har_range all = {0};
    room *r = calloc(1, sizeof *r);
    if (r == NULL)
        return unknown;
    core_status status = har_predictor_make(&predictor, m);
    if (status == CORE_OK)
        status = predict(predictor, r, g, &all);
    har_predictor_free(predictor);
    free(r);
    core_message_clear();
    if (status != CORE_OK)
        return unknown;
    return (har_time){.seconds = all.value,
                      .sigma = log(all.high / all.value) / SIGMAS_90,
                      .bound = HAR_BOUND_MEMORY};
}
