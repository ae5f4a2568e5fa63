/* harness/program/quantising.c -- see quantising.h. */
#include "harness/program/quantising.h"

#include "core/base/arena.h"
#include "harness/judge/figures.h"
#include "harness/program/model.h"
#include "harness/words/words.h"
#include "ref/ref.h"

#include <stdlib.h>
#include <string.h>

core_status har_quantising_read(gold_case *gold, const har_quantising *q)
{
    int64_t bits = -1, block = -1;
    gold->is_quantised = q->bits != NULL || q->format != NULL;
    CORE_FAIL_IF(q->block != NULL && !gold->is_quantised, CORE_E_USAGE,
                 "--block: of --weights-bits or --format, and neither is "
                 "given");
    CORE_FAIL_IF(q->original != NULL && gold->is_quantised, CORE_E_USAGE,
                 "--original: %s is the original one where --weights-bits or "
                 "--format quantises it",
                 gold->model);
    if (!gold->is_quantised)
        return CORE_OK;
    if (q->bits != NULL)
        CORE_TRY(har_parse_count(&bits, "--weights-bits", q->bits));
    if (q->block != NULL)
        CORE_TRY(har_parse_count(&block, "--block", q->block));
    return core_quantiser_of(
        &gold->quantiser, q->format != NULL ? q->format : "int", bits, block);
}

/* --- logits --- */

typedef struct logits {
    double *values;
    size_t n;
} logits;

static void keep(void *self, core_tap tap, const double *values,
                 const int64_t *ints, const float *bound)
{
    logits *l = self;
    (void)ints;
    (void)bound;
    if (tap.kind == CORE_TAP_LOGITS)
        memcpy(l->values, values, l->n * sizeof *values);
}

static bool wants_logits(void *self, core_tap tap)
{
    (void)self;
    return tap.kind == CORE_TAP_LOGITS;
}

static core_status run(const gold_case *gold, const gold_options *options,
                       core_weights *weights, logits *out)
{
    ref_model *model = NULL;
    ref_stats stats;
    core_spec spec = gold->spec;
    spec.n_l = gold->n_l;
    const ref_options ref = {.n_threads = options->n_threads,
                             .weight_budget_bytes =
                                 options->weight_budget_bytes};
    const core_groups groups = {.n = gold->n_group,
                                .first_row = gold->first_row};
    const core_tap_sink sink = {out, keep, wants_logits};
    CORE_TRY(core_weights_prepare(weights, CORE_FP64, NULL));
    CORE_TRY(ref_model_open(&model, &spec, weights, CORE_FP64, &ref));
    const core_status status =
        ref_forward(model, &gold->batch, &groups, &sink, &stats);
    ref_model_close(model);
    return status;
}

/* The case with other weights. */
static core_status run_weights(const gold_case *gold,
                               const gold_options *options, logits *out)
{
    core_weights *weights = NULL;
    void *memory = NULL;
    out->n = (size_t)(gold->batch.n_b * gold->batch.n_t * gold->spec.n_v);
    CORE_TRY(core_alloc(&memory, (int64_t)out->n, sizeof(double), "logits"));
    out->values = memory;
    CORE_TRY(gold_open_weights(&weights, gold));
    const core_status status = run(gold, options, weights, out);
    core_weights_close(weights);
    return status;
}

/* The case as it was before anybody quantised it. */
static core_status find_original(gold_case *out, const gold_case *gold,
                                 const har_quantising *q)
{
    har_model model;
    *out = *gold; /* borrows the batch */
    out->is_quantised = false;
    if (gold->is_quantised)
        return CORE_OK;
    CORE_FAIL_IF(strlen(q->original) >= sizeof out->model, CORE_E_USAGE,
                 "--original: too long");
    CORE_TRY(har_model_read(&model, q->original, NULL, "1", &gold->overrides));
    CORE_FAIL_IF(model.full.n_v != gold->spec.n_v || model.full.n_l < gold->n_l,
                 CORE_E_USAGE,
                 "--original: %s: %lld layers and a vocabulary of %lld, found "
                 "%lld and %lld in %s",
                 gold->model, (long long)gold->n_l, (long long)gold->spec.n_v,
                 (long long)model.full.n_l, (long long)model.full.n_v,
                 q->original);
    strcpy(out->model, q->original);
    out->spec = model.full;
    out->is_checkpoint = model.is_checkpoint;
    out->act_quant = false;
    return CORE_OK;
}

core_status har_quantising_measure(gold_case *gold, const har_quantising *q,
                                   const gold_options *options)
{
    gold_case original;
    logits as_quantised = {NULL}, as_it_was = {NULL};
    har_figures figures = {.kl_largest = 0.0};
    if ((!gold->is_quantised && q->original == NULL) || gold->spec.n_h == 0)
        return CORE_OK;
    CORE_TRY(find_original(&original, gold, q));
    core_status status = run_weights(gold, options, &as_quantised);
    if (status == CORE_OK)
        status = run_weights(&original, options, &as_it_was);
    const int64_t n_v = gold->spec.n_v;
    for (int64_t row = 0;
         status == CORE_OK && row < gold->batch.n_b * gold->batch.n_t; row++)
        har_figures_add(&figures, row, gold->batch.n_t, n_v,
                        as_it_was.values + row * n_v,
                        as_quantised.values + row * n_v);
    free(as_quantised.values);
    free(as_it_was.values);
    CORE_TRY(status);
    har_figures_text(gold->quantiser_says, &figures);
    return CORE_OK;
}
