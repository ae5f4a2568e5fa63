/* harness/judge/model.c -- see model.h. */
#include "harness/judge/model.h"

#include "ref/ref.h"

#include <string.h>

/* Products of a pass that is run for a try: a second or so.                  */
static const double max_products = 1e10;

static core_status open_weights(har__model *m)
{
    CORE_TRY(gold_find_model(&m->gold, NULL));
    CORE_TRY(m->gold.is_checkpoint
                 ? core_weights_open_checkpoint(&m->weights, &m->gold.spec,
                                                m->gold.model)
                 : core_weights_open_procedural(&m->weights, &m->gold.spec,
                                                m->gold.seed));
    return core_weights_prepare(m->weights, m->numerics, NULL);
}

void har__model_open(har__model *out, const har_yardstick *yard,
                     core_numerics numerics)
{
    memset(out, 0, sizeof *out);
    out->numerics = numerics;
    if (!yard->is_bundle || yard->spec.n_l == 0)
        return;
    core_status status = gold_open(&out->gold, yard->path);
    if (status == CORE_OK && out->gold.origin == GOLD_SELF)
        status = open_weights(out);
    if (status == CORE_OK)
        return;
    core_weights_close(out->weights);
    out->weights = NULL;
    core_message_clear();
}

void har__model_close(har__model *model)
{
    core_weights_close(model->weights);
    gold_close(&model->gold);
    memset(model, 0, sizeof *model);
}

/* --- a pass --- */

typedef struct wanted {
    core_tap tap;
    int64_t n;
    double *out;
    bool is_there;
} wanted;

static bool wants(void *self, core_tap tap)
{
    const wanted *w = self;
    return tap.kind == w->tap.kind && tap.layer == w->tap.layer;
}

static void put(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound)
{
    wanted *w = self;
    (void)bound;
    if (!wants(w, tap))
        return;
    for (int64_t i = 0; i < w->n; i++)
        w->out[i] = values != NULL ? values[i] : (double)ints[i];
    w->is_there = true;
}

bool har__model_run(har__model *model, const core_spec *spec, core_tap tap,
                    double *out)
{
    const core_batch *batch = &model->gold.batch;
    const int64_t n_token = batch->n_b * batch->n_t;
    core_spec shortened = *spec;
    wanted want = {
        tap, core_tap_n_rows(spec, tap, n_token) * core_tap_cols(spec, tap),
        out, false};
    const core_tap_sink sink = {&want, put, wants};
    const core_groups groups = {model->gold.n_group, model->gold.first_row};
    const ref_options options = {1, (size_t)1 << 28, false, NULL, NULL};
    ref_model *pass = NULL;
    shortened.n_l =
        core_tap_is_global(tap.kind) ? model->gold.n_l : tap.layer + 1;
    const double products =
        (double)core_spec_active_parameters(&shortened) * (double)n_token;
    if (model->weights == NULL || !(products <= max_products) ||
        core_spec_validate(&shortened) != CORE_OK) {
        core_message_clear();
        return false;
    }
    core_status status = ref_model_open(&pass, &shortened, model->weights,
                                        model->numerics, &options);
    if (status == CORE_OK)
        status = ref_forward(pass, batch, &groups, &sink, NULL);
    ref_model_close(pass);
    if (status != CORE_OK)
        core_message_clear();
    return status == CORE_OK && want.is_there;
}
