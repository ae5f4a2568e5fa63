/* core/pass/batch.c -- splitting evenly, and where the inputs of a pass come
 * from.
 *
 * core_split_first is the one rule for every uneven split, so two sides that
 * must agree cannot disagree.  Made rows are distinct as long as the vocabulary
 * allows it: equal rows would hide a swap of two rows.  An input file may
 * store ids and masks in any integer type; whatever is out of range is named
 * by row and column, because an id past the vocabulary would read past the
 * embedding.
 */
#include "core/pass/batch.h"

#include "core/base/arena.h"
#include "core/files/safetensors.h"
#include "core/numbers/numerics.h"
#include "core/numbers/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t core_split_first(int64_t n_row, int64_t n_part, int64_t i)
{
    const int64_t n_longer = n_row % n_part;
    return i * (n_row / n_part) + (i < n_longer ? i : n_longer);
}

void core_split(int64_t n_row, int64_t n_part, int64_t *first)
{
    for (int64_t i = 0; i <= n_part; i++)
        first[i] = core_split_first(n_row, n_part, i);
}

static bool row_is_new(const int64_t *ids, int64_t row, int64_t n_t)
{
    const size_t bytes = (size_t)n_t * sizeof *ids;
    for (int64_t b = 0; b < row; b++)
        if (memcmp(ids + b * n_t, ids + row * n_t, bytes) == 0)
            return false;
    return true;
}

/* popular NULL: all n_v ids alike. */
static int64_t draw_id(int64_t n_v, const core_popular *popular, uint64_t seed,
                       uint64_t stream, int64_t i)
{
    return popular != NULL
               ? core_popular_draw(popular, seed, stream, (uint64_t)i)
               : (int64_t)core_rng_below(seed, stream, (uint64_t)i,
                                         (uint64_t)n_v);
}

static void make_ids(int64_t *ids, int64_t n_b, int64_t n_t, int64_t n_v,
                     const core_popular *popular, uint64_t seed)
{
    enum { MAX_ATTEMPTS = 16 };
    const uint64_t stream = core_rng_stream("batch.input_ids");
    for (int64_t b = 0; b < n_b; b++) {
        for (uint64_t attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
            for (int64_t i = b * n_t; i < (b + 1) * n_t; i++)
                ids[i] = draw_id(n_v, popular, seed, stream + attempt, i);
            if (row_is_new(ids, b, n_t))
                break;
        }
    }
}

/* Odd multiples of the activation step in (-2, 2): never zero, variance 4/3. */
static void make_hidden(double *hidden, int64_t n, uint64_t seed)
{
    const uint64_t stream = core_rng_stream("batch.hidden_in");
    for (int64_t i = 0; i < n; i++) {
        const core_rng_block bits = core_rng(seed, stream, (uint64_t)i);
        const int odd = 2 * (int)(bits.word[0] >> 21) - 2047;
        hidden[i] = odd * CORE_STEP_ACT;
    }
}

static core_status make_batch(core_batch *out, const core_spec *spec,
                              int64_t n_b, int64_t n_t, uint64_t seed,
                              const core_popular *popular)
{
    const int64_t limit = INT32_MAX;
    CORE_FAIL_IF(n_b < 1 || n_t < 1 || n_b > limit / n_t, CORE_E_INPUT,
                 "batch %lldx%lld: both must be at least 1, and the product "
                 "below 2^31",
                 (long long)n_b, (long long)n_t);
    core_batch batch = {n_b, n_t, NULL, NULL, NULL};
    void *memory = NULL;
    if (spec->n_h > 0) {
        CORE_TRY(core_alloc(&memory, n_b * n_t, sizeof(int64_t), "token ids"));
        make_ids(memory, n_b, n_t, spec->n_v, popular, seed);
        batch.ids = memory;
    } else {
        const int64_t n = n_b * n_t * spec->n_d;
        CORE_TRY(core_alloc(&memory, n, sizeof(double), "hidden input"));
        make_hidden(memory, n, seed);
        batch.hidden = memory;
    }
    *out = batch;
    return CORE_OK;
}

core_status core_batch_make(core_batch *out, const core_spec *spec, int64_t n_b,
                            int64_t n_t, uint64_t seed)
{
    return make_batch(out, spec, n_b, n_t, seed, NULL);
}

core_status core_batch_draw(core_batch *out, const core_spec *spec, int64_t n_b,
                            int64_t n_t, uint64_t seed, const core_drift *drift)
{
    core_popular popular;
    if (!(drift->part > 0) || spec->n_h == 0)
        return core_batch_make(out, spec, n_b, n_t, seed);
    CORE_TRY(core_popular_make(&popular, spec->n_v, drift));
    const core_status status =
        make_batch(out, spec, n_b, n_t, seed, &popular);
    core_popular_free(&popular);
    return status;
}

static core_status refuse_padding(const core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++) {
        const core_mixer mixer = core_spec_mixer(spec, l);
        CORE_FAIL_IF(mixer != CORE_N_MIXERS && !core_mixer_takes_padding(mixer),
                     CORE_E_INPUT,
                     "%s: layer %d is %s, padded rows are not supported",
                     spec->name, l, core_mixer_name(mixer));
        const core_chooser chooser = core_spec_chooser(spec, l);
        CORE_FAIL_IF(chooser != CORE_N_CHOOSERS &&
                         !core_chooser_takes_padding(chooser),
                     CORE_E_INPUT,
                     "%s: layer %d chooses keys by %s, padded rows are not "
                     "supported",
                     spec->name, l, core_chooser_name(chooser));
    }
    return CORE_OK;
}

core_status core_batch_pad_left(core_batch *batch, const core_spec *spec)
{
    const int64_t n_b = batch->n_b, n_t = batch->n_t;
    CORE_TRY(refuse_padding(spec));
    CORE_FAIL_IF(batch->ids == NULL || batch->mask != NULL, CORE_E_INPUT,
                 "padding wants a batch of tokens without a mask");
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_b * n_t, 1, "mask"));
    uint8_t *mask = memory;
    for (int64_t b = 0; b < n_b; b++)
        for (int64_t t = 0; t < n_t; t++)
            mask[b * n_t + t] = t >= (2 * b + 1) % n_t;
    batch->mask = mask;
    return CORE_OK;
}

/* Allocate and convert a whole tensor, whatever its type. */
static core_status to_doubles(double **out, const core_st_tensor *tensor)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, tensor->n, sizeof(double), tensor->name));
    *out = memory;
    core_dtype_to_f64(*out, tensor->data, tensor->dtype, tensor->n);
    return CORE_OK;
}

/* Doubles of an integer tensor [B, T], every one an integer in [0, end). */
static core_status read_integers(double **out, const core_st *file,
                                 const core_st_tensor *tensor, int64_t end,
                                 const char *what)
{
    CORE_FAIL_IF(core_dtype_is_float(tensor->dtype), CORE_E_INPUT,
                 "%s: %s: element type %s, expected an integer type",
                 core_st_path(file), tensor->name,
                 core_dtype_name(tensor->dtype));
    double *values = NULL;
    CORE_TRY(to_doubles(&values, tensor));
    const int64_t n_t = tensor->shape[1];
    for (int64_t i = 0; i < tensor->n; i++) {
        if (values[i] >= 0.0 && values[i] < (double)end)
            continue;
        const double found = values[i];
        free(values);
        CORE_FAIL(CORE_E_INPUT,
                  "%s: %s: row %lld, column %lld: %s %.0f, expected 0 to %lld",
                  core_st_path(file), tensor->name, (long long)(i / n_t),
                  (long long)(i % n_t), what, found, (long long)(end - 1));
    }
    *out = values;
    return CORE_OK;
}

static core_status read_ids(core_batch *batch, const core_st *file,
                            const core_st_tensor *tensor, int64_t n_v)
{
    double *values = NULL;
    CORE_TRY(read_integers(&values, file, tensor, n_v, "token id"));
    void *memory = NULL;
    const core_status status =
        core_alloc(&memory, tensor->n, sizeof(int64_t), "token ids");
    if (status == CORE_OK) {
        int64_t *ids = memory;
        for (int64_t i = 0; i < tensor->n; i++)
            ids[i] = (int64_t)values[i];
        batch->ids = ids;
    }
    free(values);
    return status;
}

static core_status read_hidden(core_batch *batch, const core_st *file,
                               const core_st_tensor *tensor, int64_t n_d)
{
    CORE_FAIL_IF(tensor->shape[2] != n_d, CORE_E_INPUT,
                 "%s: %s: last extent %lld, the model's width is %lld",
                 core_st_path(file), tensor->name, (long long)tensor->shape[2],
                 (long long)n_d);
    CORE_FAIL_IF(!core_dtype_is_float(tensor->dtype), CORE_E_INPUT,
                 "%s: %s: element type %s, expected a float type",
                 core_st_path(file), tensor->name,
                 core_dtype_name(tensor->dtype));
    double *values = NULL;
    CORE_TRY(to_doubles(&values, tensor));
    batch->hidden = values;
    for (int64_t i = 0; i < tensor->n; i++) {
        const int64_t token = i / n_d;
        CORE_FAIL_IF(!isfinite(values[i]), CORE_E_INPUT,
                     "%s: %s: row %lld, column %lld: element %lld is not "
                     "finite",
                     core_st_path(file), tensor->name,
                     (long long)(token / batch->n_t),
                     (long long)(token % batch->n_t), (long long)(i % n_d));
    }
    return CORE_OK;
}

static core_status read_mask(core_batch *batch, const core_spec *spec,
                             const core_st *file, const core_st_tensor *tensor)
{
    CORE_FAIL_IF(tensor->n_dim != 2 || tensor->shape[0] != batch->n_b ||
                     tensor->shape[1] != batch->n_t,
                 CORE_E_INPUT,
                 "%s: %s: shape differs from the input's [%lld,%lld]",
                 core_st_path(file), tensor->name, (long long)batch->n_b,
                 (long long)batch->n_t);
    double *values = NULL;
    CORE_TRY(read_integers(&values, file, tensor, 2, "mask value"));
    void *memory = NULL;
    bool padded = false;
    core_status status = core_alloc(&memory, tensor->n, 1, "mask");
    if (status == CORE_OK) {
        uint8_t *mask = memory;
        for (int64_t i = 0; i < tensor->n; i++) {
            mask[i] = values[i] > 0.0;
            padded = padded || mask[i] == 0;
        }
        batch->mask = mask;
        if (padded)
            status = refuse_padding(spec);
    }
    free(values);
    return status;
}

static core_status read_all(core_batch *batch, const core_spec *spec,
                            const core_st *file, const char *prefix)
{
    char name[2 * CORE_NAME_BYTES];
    const bool is_switch = spec->n_h == 0;
    const char *input = is_switch ? "hidden_in" : "input_ids";
    const int n_dim = is_switch ? 3 : 2;
    snprintf(name, sizeof name, "%s%s", prefix, input);
    const core_st_tensor *tensor = core_st_find(file, name);
    CORE_FAIL_IF(tensor == NULL, CORE_E_INPUT, "%s: no tensor %s",
                 core_st_path(file), name);
    CORE_FAIL_IF(tensor->n_dim != n_dim, CORE_E_INPUT,
                 "%s: %s: %d dimensions, expected %s", core_st_path(file), name,
                 tensor->n_dim,
                 is_switch ? "[rows,tokens,width]" : "[rows,tokens]");
    CORE_FAIL_IF(tensor->n == 0 || tensor->n > INT32_MAX, CORE_E_INPUT,
                 "%s: %s: %lld elements, expected 1 to 2^31-1",
                 core_st_path(file), name, (long long)tensor->n);
    batch->n_b = tensor->shape[0];
    batch->n_t = tensor->shape[1];
    if (is_switch)
        CORE_TRY(read_hidden(batch, file, tensor, spec->n_d));
    else
        CORE_TRY(read_ids(batch, file, tensor, spec->n_v));
    snprintf(name, sizeof name, "%sattention_mask", prefix);
    tensor = core_st_find(file, name);
    return tensor == NULL ? CORE_OK : read_mask(batch, spec, file, tensor);
}

core_status core_batch_read(core_batch *out, const core_spec *spec,
                            const struct core_st *file, const char *prefix)
{
    core_batch batch = {0};
    const core_status status = read_all(&batch, spec, file, prefix);
    if (status == CORE_OK)
        *out = batch;
    else
        core_batch_free(&batch);
    return status;
}

/* NULL stays NULL. */
static core_status repeat(const void **out, const void *from, int64_t n_copy,
                          int64_t n, size_t bytes, const char *name)
{
    void *memory = NULL;
    if (from == NULL)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory, n_copy * n, bytes, name));
    *out = memory;
    for (int64_t i = 0; i < n_copy; i++)
        memcpy((char *)memory + (size_t)(i * n) * bytes, from,
               (size_t)n * bytes);
    return CORE_OK;
}

core_status core_batch_repeat(core_batch *out, const core_spec *spec,
                              const core_batch *batch, int64_t n)
{
    const int64_t n_token = batch->n_b * batch->n_t;
    const void *ids = NULL, *mask = NULL, *hidden = NULL;
    core_status status =
        repeat(&ids, batch->ids, n, n_token, sizeof *batch->ids, "token ids");
    if (status == CORE_OK)
        status = repeat(&mask, batch->mask, n, n_token, 1, "mask");
    if (status == CORE_OK)
        status = repeat(&hidden, batch->hidden, n, n_token * spec->n_d,
                        sizeof *batch->hidden, "hidden input");
    *out = (core_batch){n * batch->n_b, batch->n_t, ids, mask, hidden};
    if (status != CORE_OK)
        core_batch_free(out);
    return status;
}

void core_groups_free(core_groups *groups)
{
    free((void *)(uintptr_t)groups->first_row);
    free((void *)(uintptr_t)groups->first);
    free((void *)(uintptr_t)groups->token);
    *groups = (core_groups){0};
}

void core_batch_free(core_batch *batch)
{
    free((void *)(uintptr_t)batch->ids);
    free((void *)(uintptr_t)batch->mask);
    free((void *)(uintptr_t)batch->hidden);
    *batch = (core_batch){0};
}
