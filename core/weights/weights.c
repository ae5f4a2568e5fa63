/* core/weights/weights.c -- asking a source for weights, in the numerics of a
 * run.
 */
#include "core/weights/weights_impl.h"

#include "core/base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct core_weights {
    core_spec spec;
    core__weight_source source;
    core_numerics numerics;
    double *steps; /* [core_weight_count], NULL unless prepared for exact     */
    bool cuts_blocks;
    char origin[CORE_ORIGIN_BYTES];
};

core_status core__weights_make(core_weights **out, const core_spec *spec,
                               core__weight_source source, const char *origin)
{
    void *memory = NULL;
    const core_status status =
        core_alloc(&memory, 1, sizeof(core_weights), "weights");
    if (status != CORE_OK) {
        source.close(source.self);
        return status;
    }
    core_weights *weights = memory;
    *weights = (core_weights){
        .spec = *spec, .source = source, .numerics = CORE_FP64, .steps = NULL};
    snprintf(weights->origin, sizeof weights->origin, "%s", origin);
    *out = weights;
    return CORE_OK;
}

void core_weights_close(core_weights *weights)
{
    if (weights == NULL)
        return;
    weights->source.close(weights->source.self);
    free(weights->steps);
    free(weights);
}

static core_status derive_steps(const core_weights *weights, double *steps)
{
    const core_spec *spec = &weights->spec;
    const int64_t n = core_weight_count(spec);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n, sizeof(core_weight), "list of weights"));
    core_weight *id = memory;
    core_weight_list(spec, id);
    int64_t i = 0;
    for (; i < n; i++) {
        steps[i] = core_weight_is_index(id[i].kind)
                       ? 1.0
                       : weights->source.step(weights->source.self, spec, id[i]);
        if (!(steps[i] > 0.0))
            break;
    }
    const core_weight bad = id[i < n ? i : 0];
    char name[CORE_NAME_BYTES];
    free(memory);
    CORE_FAIL_IF(i < n, CORE_E_WEIGHTS, "%s: %s: an element is not finite",
                 weights->origin, core_weight_name(bad, name));
    return CORE_OK;
}

/* The steps to use from now on, in fresh memory; NULL unless exact. */
static core_status make_steps(const core_weights *weights,
                              core_numerics numerics, const double *steps,
                              double **out)
{
    *out = NULL;
    if (numerics != CORE_EXACT)
        return CORE_OK;
    void *memory = NULL;
    const int64_t n = core_weight_count(&weights->spec);
    CORE_TRY(core_alloc(&memory, n, sizeof(double), "weight steps"));
    core_status status = CORE_OK;
    if (steps != NULL)
        memcpy(memory, steps, (size_t)n * sizeof(double));
    else
        status = derive_steps(weights, memory);
    if (status == CORE_OK)
        *out = memory;
    else
        free(memory);
    return status;
}

core_status core_weights_prepare(core_weights *weights, core_numerics numerics,
                                 const double *steps)
{
    double *fresh;
    CORE_TRY(make_steps(weights, numerics, steps, &fresh));
    free(weights->steps);
    weights->steps = fresh;
    weights->numerics = numerics;
    return CORE_OK;
}

const double *core_weights_steps(const core_weights *weights)
{
    return weights->steps;
}

double core_weights_step(const core_weights *weights, core_weight id)
{
    core_assert(weights->steps != NULL);
    return weights->steps[core_weight_index(&weights->spec, id)];
}

/* Stored in 16 bits, which need not hold 11 bits of any scale. */
static bool is_narrow(core_numerics numerics)
{
    return core_store_roundoff(numerics) > core_store_roundoff(CORE_FP32);
}

/* The numerics of a run, applied to values as the source has them. */
static void convert(const core_weights *weights, core_weight id, double *out,
                    int64_t n_row, int64_t n_col, int64_t ld)
{
    const core_numerics numerics =
        core_numerics_of(weights->numerics, core_weight_slot(id.kind));
    if (weights->source.is_dyadic && !is_narrow(numerics))
        return; /* 11 bits: on the grid, and a float */
    if (core_weight_is_index(id.kind))
        return;
    const bool exact = weights->numerics == CORE_EXACT;
    const double step = exact ? core_weights_step(weights, id) : 0.0;
    for (int64_t r = 0; r < n_row; r++)
        if (exact)
            core_snap(out + r * ld, n_col, step);
        else
            core_store(numerics, CORE_GRID_ACT, out + r * ld, n_col);
}

/* The tensor that has the values. */
static core_weight stored(const core_weights *weights, core_weight id)
{
    if (id.kind == CORE_W_HEAD && weights->spec.tied)
        id.kind = CORE_W_EMBED;
    return id;
}

core_block core_weights_block(const core_weights *weights, core_weight id)
{
    const core__weight_source *source = &weights->source;
    id = stored(weights, id);
    return source->block == NULL || weights->cuts_blocks
               ? (core_block){1, 1}
               : source->block(source->self, &weights->spec, id);
}

void core_weights_cut_blocks(core_weights *weights)
{
    weights->cuts_blocks = true;
}

core_status core_weights_quantise(core_weights *weights,
                                  const core_quantiser *quantiser)
{
    char text[CORE_QUANTISER_TEXT];
    const size_t n = strlen(weights->origin);
    CORE_TRY(
        core__quantise_source(&weights->source, &weights->spec, quantiser));
    snprintf(weights->origin + n, sizeof weights->origin - n,
             "; experts quantised here: %s",
             core_quantiser_text(quantiser, text));
    return CORE_OK;
}

bool core_weights_quantises(const core_weights *weights)
{
    return weights->source.operand != NULL;
}

const core_operand_format *core_weights_operand(const core_weights *weights,
                                                core_weight id)
{
    const core__weight_source *source = &weights->source;
    if (source->operand == NULL)
        return NULL;
    return source->operand(source->self, &weights->spec, stored(weights, id));
}

static void assert_rectangle(const core_weights *weights, core_weight id,
                             int64_t r0, int64_t r1, int64_t c0, int64_t c1)
{
    int64_t n_row, n_col;
    core_assert(core_weight_exists(&weights->spec, id));
    core_weight_shape(&weights->spec, id, &n_row, &n_col);
    core_assert(0 <= r0 && r0 <= r1 && r1 <= n_row);
    core_assert(0 <= c0 && c0 <= c1 && c1 <= n_col);
}

bool core_weights_multiplies(const core_weights *weights, core_weight id)
{
    return weights->numerics == CORE_EXACT &&
           weights->source.multiplies != NULL &&
           weights->source.multiplies(stored(weights, id));
}

double core_weights_multiply(const core_weights *weights, core_weight id,
                             int64_t r0, int64_t r1, int64_t c0, int64_t c1,
                             const double *x, int64_t ldx, int64_t n, double *y,
                             int64_t ldy)
{
    assert_rectangle(weights, id, r0, r1, c0, c1);
    core_assert(core_weights_multiplies(weights, id));
    const int64_t rect[4] = {r0, r1, c0, c1};
    return weights->source.multiply(weights->source.self, &weights->spec,
                                    stored(weights, id), rect, x, ldx, n, y,
                                    ldy);
}

void core_weights_read(const core_weights *weights, core_weight id, int64_t r0,
                       int64_t r1, int64_t c0, int64_t c1, double *out,
                       int64_t ld)
{
    const core_spec *spec = &weights->spec;
    assert_rectangle(weights, id, r0, r1, c0, c1);
    core_assert(c1 - c0 <= ld);
    id = stored(weights, id);
    if (r0 == r1 || c0 == c1)
        return;
    weights->source.read(weights->source.self, spec, id, r0, r1, c0, c1, out,
                         ld);
    convert(weights, id, out, r1 - r0, c1 - c0, ld);
}

const core_spec *core__weights_spec(const core_weights *weights)
{
    return &weights->spec;
}

core_numerics core__weights_numerics(const core_weights *weights)
{
    return weights->numerics;
}

const char *core_weights_origin(const core_weights *weights)
{
    return weights->origin;
}
