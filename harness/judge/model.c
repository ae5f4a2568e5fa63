/* harness/judge/model.c -- see model.h. */
#include "harness/judge/model.h"

#include "ref/ref.h"

#include <stdlib.h>
#include <string.h>

/* Products of a pass that is run for a try: a second or so.                  */
static const double max_products = 1e10;

/* Of a tap that is kept. */
static const int64_t max_elements = INT64_C(1) << 22;

static core_status open_weights(har__model *m, const char *given)
{
    CORE_FAIL_IF(m->gold.origin != GOLD_SELF, CORE_E_INPUT,
                 "%s: the numbers of other people come without a model",
                 m->gold.folder);
    CORE_TRY(gold_find_model(&m->gold, given));
    CORE_TRY(gold_open_weights(&m->weights, &m->gold));
    return core_weights_prepare(m->weights, m->numerics, NULL);
}

core_status har__model_find(har__model *out, const har_yardstick *yard,
                            core_numerics numerics, const char *given)
{
    memset(out, 0, sizeof *out);
    out->numerics = numerics;
    out->layer = -1;
    CORE_TRY(gold_open(&out->gold, yard->path));
    const core_status status = open_weights(out, given);
    if (status != CORE_OK) {
        core_weights_close(out->weights);
        out->weights = NULL;
    }
    return status;
}

void har__model_open(har__model *out, const har_yardstick *yard,
                     core_numerics numerics)
{
    memset(out, 0, sizeof *out);
    if (!yard->is_bundle || yard->spec.n_l == 0)
        return;
    if (har__model_find(out, yard, numerics, NULL) != CORE_OK)
        core_message_clear();
}

void har__model_close(har__model *model)
{
    for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++)
        free(model->tap[kind]);
    core_weights_close(model->weights);
    gold_close(&model->gold);
    memset(model, 0, sizeof *model);
}

/* --- a pass --- */

bool har__model_is_small(const har__model *model, const core_spec *spec)
{
    const core_batch *batch = &model->gold.batch;
    return (double)core_spec_active_parameters(spec) *
               (double)(batch->n_b * batch->n_t) <=
           max_products;
}

/* Run the layers that the tap needs with those settings. */
static bool run(har__model *model, const core_spec *spec, core_tap tap,
                const core_tap_sink *sink)
{
    const core_batch *batch = &model->gold.batch;
    const core_groups groups = {.n = model->gold.n_group,
                                .first_row = model->gold.first_row};
    const ref_options options = {.n_threads = 1,
                                 .weight_budget_bytes = (size_t)1 << 28};
    core_spec shortened = *spec;
    ref_model *pass = NULL;
    shortened.n_l =
        core_tap_is_global(tap.kind) ? model->gold.n_l : tap.layer + 1;
    if (model->weights == NULL || !har__model_is_small(model, &shortened))
        return false;
    core_status status = core_spec_validate(&shortened);
    if (status == CORE_OK)
        status = ref_model_open(&pass, &shortened, model->weights,
                                model->numerics, &options);
    if (status == CORE_OK)
        status = ref_forward(pass, batch, &groups, sink, NULL);
    ref_model_close(pass);
    if (status != CORE_OK)
        core_message_clear();
    return status == CORE_OK;
}

static int64_t n_element(const har__model *m, const core_spec *spec,
                         core_tap tap)
{
    const int64_t n_token = m->gold.batch.n_b * m->gold.batch.n_t;
    return core_tap_n_rows(spec, tap, n_token) * core_tap_cols(spec, tap);
}

static void copy(double *out, int64_t n, const double *values,
                 const int64_t *ints)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = values != NULL ? values[i] : (double)ints[i];
}

/* --- the taps of a layer --- */

static bool wants_layer(void *self, core_tap tap)
{
    const har__model *m = self;
    return tap.layer == m->layer && !core_tap_is_global(tap.kind) &&
           n_element(m, &m->gold.spec, tap) <= max_elements;
}

static void put_layer(void *self, core_tap tap, const double *values,
                      const int64_t *ints, const float *bound)
{
    har__model *m = self;
    (void)bound;
    if (!wants_layer(m, tap))
        return;
    const int64_t n = n_element(m, &m->gold.spec, tap);
    m->tap[tap.kind] = malloc((size_t)n * sizeof(double));
    if (m->tap[tap.kind] != NULL)
        copy(m->tap[tap.kind], n, values, ints);
}

const double *har__model_tap(har__model *model, core_tap tap)
{
    const core_tap_sink sink = {model, put_layer, wants_layer};
    if (model->weights == NULL || core_tap_is_global(tap.kind) ||
        tap.layer >= model->gold.n_l)
        return NULL;
    if (model->layer < 0) {
        model->layer = tap.layer;
        (void)run(model, &model->gold.spec, tap, &sink);
    }
    return tap.layer == model->layer ? model->tap[tap.kind] : NULL;
}

/* --- another setting --- */

typedef struct wanted {
    core_tap tap;
    int64_t n;
    double *out;
    bool is_there;
} wanted;

static bool wants_one(void *self, core_tap tap)
{
    const wanted *w = self;
    return tap.kind == w->tap.kind && tap.layer == w->tap.layer;
}

static void put_one(void *self, core_tap tap, const double *values,
                    const int64_t *ints, const float *bound)
{
    wanted *w = self;
    (void)bound;
    if (!wants_one(w, tap))
        return;
    copy(w->out, w->n, values, ints);
    w->is_there = true;
}

bool har__model_run(har__model *model, const core_spec *spec, core_tap tap,
                    double *out)
{
    wanted want = {tap, n_element(model, spec, tap), out, false};
    const core_tap_sink sink = {&want, put_one, wants_one};
    return run(model, spec, tap, &sink) && want.is_there;
}
