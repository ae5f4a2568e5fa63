/* tests/support/ref_fixture.c -- see the header. */
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

core_spec fix_spec(void)
{
    core_spec spec = {
        .name = "fixture",
        .family = CORE_FAMILY_SEED,
        .n_l = 3,
        .n_d = 36,
        .n_h = 6,
        .n_g = 2,
        .n_dh = 8,
        .n_e = 7,
        .n_k = 3,
        .n_f = 22,
        .n_v = 41,
        .n_f_shared = 14,
        .n_f_dense = 26,
        .norm_eps = 1e-5,
        .embed_scale = 1.0,
        .residual_scale = 1.0,
        .logits_divisor = 1.0,
        .routed_scale = 1.0,
        .rope = {.theta = 10000.0, .attention_factor = 1.0},
        .gated = true,
        .act = CORE_ACT_SILU,
        .renormalise = true,
        .bias_qkv = true,
        .bias_o = true,
        .bias_router = true,
        .bias_ffn = true,
        .capacity = {.rule = CORE_CAPACITY_NONE, .domain = CORE_DOMAIN_BATCH},
        .twin_expert = -1,
    };
    spec.ffn[1] = CORE_FFN_DENSE;
    return spec;
}

core_spec fix_switch(int64_t capacity, core_dropped dropped)
{
    return (core_spec){
        .name = "switch",
        .family = CORE_FAMILY_SWITCH,
        .n_l = 1,
        .n_d = 24,
        .n_e = 5,
        .n_k = 1,
        .n_f = 18,
        .norm_eps = 1e-6,
        .embed_scale = 1.0,
        .residual_scale = 1.0,
        .logits_divisor = 1.0,
        .routed_scale = 1.0,
        .act = CORE_ACT_RELU,
        .bias_router = true,
        .capacity = {.rule = CORE_CAPACITY_ABSOLUTE,
                     .domain = CORE_DOMAIN_SEQUENCE,
                     .dropped = dropped,
                     .absolute = capacity},
        .twin_expert = -1,
    };
}

int64_t fix_size(const fix_taps *taps, int64_t i)
{
    return core_tap_n_rows(&taps->spec, taps->tap[i], taps->n_token) *
           core_tap_cols(&taps->spec, taps->tap[i]);
}

static int64_t find(const fix_taps *taps, core_tap tap)
{
    for (int64_t i = 0; i < taps->n; i++)
        if (taps->tap[i].kind == tap.kind && taps->tap[i].layer == tap.layer)
            return i;
    char name[CORE_NAME_BYTES];
    ck_abort_msg("the model has no tap %s", core_tap_name(tap, name));
    return -1;
}

static void put(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound)
{
    fix_taps *taps = self;
    const int64_t i = find(taps, tap), n = fix_size(taps, i);
    ck_assert((values == NULL) != (ints == NULL));
    ck_assert_int_ge(i, taps->next); /* once only, in order of execution */
    taps->next = i + 1;
    taps->values[i] = malloc((size_t)n * sizeof(double));
    for (int64_t j = 0; j < n; j++)
        taps->values[i][j] = values != NULL ? values[j] : (double)ints[j];
    if (bound == NULL)
        return;
    taps->bound[i] = malloc((size_t)n * sizeof(float));
    memcpy(taps->bound[i], bound, (size_t)n * sizeof(float));
}

static bool wants(void *self, core_tap tap)
{
    const fix_taps *taps = self;
    return !taps->coarse_only || core_tap_is_coarse(tap.kind);
}

core_tap_sink fix_sink(fix_taps *taps, const core_spec *spec, int64_t n_token)
{
    taps->spec = *spec;
    taps->n_token = n_token;
    taps->n = core_taps(spec, NULL, 0);
    const size_t n = (size_t)taps->n;
    taps->tap = calloc(n, sizeof *taps->tap);
    taps->values = calloc(n, sizeof *taps->values);
    taps->bound = calloc(n, sizeof *taps->bound);
    (void)core_taps(spec, taps->tap, taps->n);
    return (core_tap_sink){.self = taps, .put = put, .wants = wants};
}

void fix_free(fix_taps *taps)
{
    for (int64_t i = 0; i < taps->n; i++) {
        free(taps->values[i]);
        free(taps->bound[i]);
    }
    free(taps->tap);
    free(taps->values);
    free(taps->bound);
    *taps = (fix_taps){.n = 0};
}

const double *fix_find(const fix_taps *taps, core_tap_kind kind, int layer)
{
    const core_tap tap = {kind, layer};
    const double *values = taps->values[find(taps, tap)];
    char name[CORE_NAME_BYTES];
    ck_assert_msg(values != NULL, "%s was not delivered",
                  core_tap_name(tap, name));
    return values;
}

const float *fix_bound(const fix_taps *taps, core_tap_kind kind, int layer)
{
    const float *bound = taps->bound[find(taps, (core_tap){kind, layer})];
    ck_assert_ptr_nonnull(bound);
    return bound;
}

const char *fix_first_difference(const fix_taps *a, const fix_taps *b,
                                 char name[CORE_NAME_BYTES])
{
    ck_assert_int_eq(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++) {
        const size_t bytes = (size_t)fix_size(a, i) * sizeof(double);
        if (a->values[i] == NULL || b->values[i] == NULL ||
            memcmp(a->values[i], b->values[i], bytes) != 0)
            return core_tap_name(a->tap[i], name);
    }
    return NULL;
}

void fix_same_rows(const fix_taps *a, const fix_taps *b, int64_t r0, int64_t n)
{
    char name[CORE_NAME_BYTES];
    for (int64_t i = 0; i < a->n; i++) {
        const core_tap tap = a->tap[i];
        const int64_t cols = core_tap_cols(&a->spec, tap);
        if (core_tap_row_kind(tap.kind) != CORE_ROWS_TOKEN ||
            tap.kind == CORE_TAP_SLOT)
            continue;
        ck_assert_msg(memcmp(a->values[i] + r0 * cols, b->values[i],
                             (size_t)(n * cols) * sizeof(double)) == 0,
                      "%s differs", core_tap_name(tap, name));
    }
}

ref_stats fix_forward(const core_spec *spec, const core_batch *batch,
                      const fix_run *how, fix_taps *taps)
{
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, spec, how->seed),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, how->numerics, NULL),
                     CORE_OK);
    const ref_options options = {
        .n_threads = how->n_threads > 0 ? how->n_threads : 1,
        .weight_budget_bytes = how->tiled ? 0 : SIZE_MAX,
        .bounds = how->bounds,
        .otherwise = how->otherwise,
    };
    ref_model *model;
    ck_assert_int_eq(
        ref_model_open(&model, spec, weights, how->numerics, &options),
        CORE_OK);
    ck_assert((model->storage == NULL) == how->tiled);
    model->row_chunk = how->row_chunk > 0 ? how->row_chunk : model->row_chunk;
    model->tile_rows = how->tile_rows > 0 ? how->tile_rows : model->tile_rows;
    model->group_doubles =
        how->group_doubles > 0 ? how->group_doubles : model->group_doubles;
    const core_tap_sink sink = fix_sink(taps, spec, batch->n_b * batch->n_t);
    ref_stats stats;
    const core_status status =
        how->dealt != NULL ? ref_forward_dealt(model, batch, how->groups,
                                               how->dealt, &sink, &stats)
                           : ref_forward(model, batch, how->groups, &sink,
                                         &stats);
    ck_assert_int_eq(status, CORE_OK);
    ref_model_close(model);
    core_weights_close(weights);
    return stats;
}

core_batch fix_batch(const core_spec *spec, int64_t n_b, int64_t n_t)
{
    core_batch batch;
    ck_assert_int_eq(core_batch_make(&batch, spec, n_b, n_t, 7), CORE_OK);
    return batch;
}

void fix_rows_are_independent(const core_spec *spec)
{
    core_batch batch = fix_batch(spec, 3, 11);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps all = {0};
    fix_forward(spec, &batch, &how, &all);
    for (int64_t b = 0; b < 3; b++) {
        const core_batch row = {.n_b = 1, .n_t = 11, .ids = batch.ids + b * 11};
        fix_taps alone = {0};
        fix_forward(spec, &row, &how, &alone);
        fix_same_rows(&all, &alone, b * 11, 11);
        fix_free(&alone);
    }
    fix_free(&all);
    core_batch_free(&batch);
}

bool fix_row_differs(const fix_taps *a, const fix_taps *b, core_tap_kind kind,
                     int layer, int64_t t)
{
    const int64_t cols = core_tap_cols(&a->spec, (core_tap){kind, layer});
    return memcmp(fix_find(a, kind, layer) + t * cols,
                  fix_find(b, kind, layer) + t * cols,
                  (size_t)cols * sizeof(double)) != 0;
}

void fix_changed_token(const core_spec *spec, int64_t n_t, int64_t changed,
                       fix_taps *a, fix_taps *b)
{
    core_batch batch = fix_batch(spec, 1, n_t);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_forward(spec, &batch, &how, a);
    int64_t *ids = (int64_t *)batch.ids;
    ids[changed] = (ids[changed] + 1) % spec->n_v;
    fix_forward(spec, &batch, &how, b);
    core_batch_free(&batch);
}

void fix_is_causal(const core_spec *spec, int64_t n_t, int64_t changed,
                   int64_t n)
{
    fix_taps a = {0}, b = {0};
    fix_changed_token(spec, n_t, changed, &a, &b);
    fix_same_rows(&a, &b, 0, changed);
    for (int64_t t = changed; t < changed + n; t++)
        ck_assert(fix_row_differs(&a, &b, CORE_TAP_LOGITS, 0, t));
    fix_free(&a);
    fix_free(&b);
}

void fix_begins_like(const core_spec *spec, int64_t n_long, int64_t n_short,
                     fix_taps *all)
{
    core_batch batch = fix_batch(spec, 1, n_long);
    const core_batch part = {.n_b = 1, .n_t = n_short, .ids = batch.ids};
    const fix_run how = {.numerics = CORE_EXACT, .n_threads = 2};
    fix_taps begin = {0};
    fix_forward(spec, &batch, &how, all);
    fix_forward(spec, &part, &how, &begin);
    fix_same_rows(all, &begin, 0, n_short);
    fix_free(&begin);
    core_batch_free(&batch);
}
