/* core/weights/quantiser.c -- a source of weights behind another one, whose
 * experts it quantises.
 *
 * A rectangle may begin inside a block: what is read is widened to whole
 * blocks.  Trap: the scale of a row, or of the whole matrix, is that of all of
 * it, whatever part is asked for.
 */
#include "core/weights/quantiser.h"

#include "core/base/arena.h"
#include "core/weights/weights_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* bits 0: those of the option, 4 or 8; block -1: that of the option. */
static const struct format {
    const char *name;
    int64_t bits, block;
    core_code code;
    core_operand_scale scale;
    bool has_second;
} FORMATS[] = {
    {"int", 0, -1, CORE_CODE_INT8, CORE_OPERAND_SCALE_FLOAT, false},
    {"fp8", 8, -1, CORE_CODE_E4M3, CORE_OPERAND_SCALE_FLOAT, false},
    {"mxfp4", 4, 32, CORE_CODE_E2M1, CORE_OPERAND_SCALE_NEAR, false},
    {"mxfp8", 8, 32, CORE_CODE_E4M3, CORE_OPERAND_SCALE_UP, false},
    {"nvfp4", 4, 16, CORE_CODE_E2M1, CORE_OPERAND_SCALE_E4M3, true},
};
enum { N_FORMATS = sizeof FORMATS / sizeof FORMATS[0] };

const char *core_quantiser_formats(void)
{
    return "int, fp8, mxfp4, mxfp8, nvfp4";
}

static core_status check_said(const struct format *f, int64_t bits,
                              int64_t block)
{
    CORE_FAIL_IF(f->bits == 0 && bits < 0, CORE_E_USAGE,
                 "--weights-bits: missing, %s has 4 or 8", f->name);
    CORE_FAIL_IF(f->bits == 0 && bits != 4 && bits != 8, CORE_E_USAGE,
                 "--weights-bits: %s has 4 or 8, found %lld", f->name,
                 (long long)bits);
    CORE_FAIL_IF(f->bits != 0 && bits >= 0 && bits != f->bits, CORE_E_USAGE,
                 "--weights-bits: %s has %lld, found %lld", f->name,
                 (long long)f->bits, (long long)bits);
    CORE_FAIL_IF(f->block >= 0 && block >= 0 && block != f->block, CORE_E_USAGE,
                 "--block: %s has %lld, found %lld", f->name,
                 (long long)f->block, (long long)block);
    CORE_FAIL_IF(block > CORE_QUANTISER_MAX_BLOCK, CORE_E_USAGE,
                 "--block: at most %d, found %lld",
                 (int)CORE_QUANTISER_MAX_BLOCK, (long long)block);
    return CORE_OK;
}

core_status core_quantiser_of(core_quantiser *out, const char *format,
                              int64_t bits, int64_t block)
{
    int i = 0;
    while (i < N_FORMATS && strcmp(FORMATS[i].name, format) != 0)
        i++;
    CORE_FAIL_IF(i == N_FORMATS, CORE_E_USAGE,
                 "--format: expected one of %s, found '%.40s'",
                 core_quantiser_formats(), format);
    const struct format *f = &FORMATS[i];
    CORE_TRY(check_said(f, bits, block));
    if (f->block >= 0)
        block = f->block;
    *out = (core_quantiser){.format = f->name,
                            .bits = f->bits != 0 ? f->bits : bits,
                            .block = block < 0 ? 0 : block,
                            .has_second = f->has_second};
    out->rule = (core_operand_format){
        .code = out->bits == 4 && f->bits == 0 ? CORE_CODE_OFFSET4 : f->code,
        .scale = f->scale,
        .group = out->block};
    return CORE_OK;
}

const char *core_quantiser_text(const core_quantiser *q,
                                char text[CORE_QUANTISER_TEXT])
{
    if (q->block > 0)
        snprintf(text, CORE_QUANTISER_TEXT,
                 "%s of %d bits, a scale for %d values", q->format,
                 (int)q->bits, (int)q->block);
    else
        snprintf(text, CORE_QUANTISER_TEXT, "%s of %d bits, a scale for a row",
                 q->format, (int)q->bits);
    return text;
}

/* --- the source ------------------------------------------------------------
 */

typedef struct quantised {
    core__weight_source inner;
    core_quantiser quantiser;
    double *second; /* [core_weight_count] largest / codes, or NULL           */
} quantised;

static bool is_quantised(const core_spec *spec, core_weight id)
{
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    return core_weight_scope_of(id.kind) == CORE_SCOPE_EXPERT && n_row > 1;
}

static void read_inner(const quantised *q, const core_spec *spec,
                       core_weight id, int64_t row, int64_t c0, int64_t c1,
                       double *out)
{
    q->inner.read(q->inner.self, spec, id, row, row + 1, c0, c1, out, c1 - c0);
}

static double largest_of_row(const quantised *q, const core_spec *spec,
                             core_weight id, int64_t row, int64_t n_col)
{
    double x[CORE_QUANTISER_MAX_BLOCK], largest = 0.0;
    for (int64_t c = 0; c < n_col; c += CORE_QUANTISER_MAX_BLOCK) {
        const int64_t left = n_col - c;
        const int64_t n =
            left < CORE_QUANTISER_MAX_BLOCK ? left : CORE_QUANTISER_MAX_BLOCK;
        read_inner(q, spec, id, row, c, c + n, x);
        largest = fmax(largest, core_largest(x, n));
    }
    return largest;
}

/* Values [c0, c1) of a row. */
static void read_row(const quantised *q, const core_spec *spec, core_weight id,
                     int64_t row, int64_t c0, int64_t c1, double *out)
{
    core_operand_format rule = q->quantiser.rule;
    double x[CORE_QUANTISER_MAX_BLOCK], largest = 0.0;
    int64_t n_row, n_col;
    core_weight_shape(spec, id, &n_row, &n_col);
    if (q->second != NULL)
        rule.fixed = q->second[core_weight_index(spec, id)];
    if (rule.group == 0)
        largest = largest_of_row(q, spec, id, row, n_col);
    const int64_t block =
        rule.group > 0 ? rule.group : CORE_QUANTISER_MAX_BLOCK;
    for (int64_t b = c0 / block * block; b < c1; b += block) {
        const int64_t end = b + block < n_col ? b + block : n_col;
        const int64_t first = b > c0 ? b : c0, last = end < c1 ? end : c1;
        read_inner(q, spec, id, row, b, end, x);
        core_operand_quantise(&rule, CORE_FP64, largest, x, end - b, NULL);
        memcpy(out + first - c0, x + first - b,
               (size_t)(last - first) * sizeof *x);
    }
}

static void quantised_read(const void *self, const core_spec *spec,
                           core_weight id, int64_t r0, int64_t r1, int64_t c0,
                           int64_t c1, double *out, int64_t ld)
{
    const quantised *q = self;
    if (!is_quantised(spec, id)) {
        q->inner.read(q->inner.self, spec, id, r0, r1, c0, c1, out, ld);
        return;
    }
    for (int64_t r = r0; r < r1; r++)
        read_row(q, spec, id, r, c0, c1, out + (r - r0) * ld);
}

static double quantised_step(const void *self, const core_spec *spec,
                             core_weight id)
{
    const quantised *q = self;
    double x[CORE_QUANTISER_MAX_BLOCK], largest = 0.0;
    int64_t n_row, n_col;
    if (!is_quantised(spec, id))
        return q->inner.step(q->inner.self, spec, id);
    core_weight_shape(spec, id, &n_row, &n_col);
    for (int64_t r = 0; r < n_row; r++)
        for (int64_t c = 0; c < n_col; c += CORE_QUANTISER_MAX_BLOCK) {
            const int64_t left = n_col - c;
            const int64_t n = left < CORE_QUANTISER_MAX_BLOCK
                                  ? left
                                  : CORE_QUANTISER_MAX_BLOCK;
            read_row(q, spec, id, r, c, c + n, x);
            largest = fmax(largest, core_largest(x, n));
        }
    return core__weight_grid(largest);
}

static core_block quantised_block(const void *self, const core_spec *spec,
                                  core_weight id)
{
    const quantised *q = self;
    if (is_quantised(spec, id))
        return (core_block){1, q->quantiser.block > 0 ? q->quantiser.block : 1};
    return q->inner.block != NULL ? q->inner.block(q->inner.self, spec, id)
                                  : (core_block){1, 1};
}

static const core_operand_format *
quantised_operand(const void *self, const core_spec *spec, core_weight id)
{
    const quantised *q = self;
    return q->inner.operand(q->inner.self, spec, id);
}

static void quantised_close(void *self)
{
    quantised *q = self;
    q->inner.close(q->inner.self);
    free(q->second);
    free(q);
}

static core_status check_rows(const core_quantiser *quantiser,
                              const core_spec *spec, const core_weight *id,
                              int64_t n)
{
    char name[CORE_NAME_BYTES];
    for (int64_t i = 0; i < n; i++) {
        int64_t n_row, n_col;
        core_weight_shape(spec, id[i], &n_row, &n_col);
        CORE_FAIL_IF(is_quantised(spec, id[i]) && quantiser->block > 0 &&
                         n_col % quantiser->block != 0,
                     CORE_E_USAGE,
                     "--block: %s: rows of %lld values, %lld %% %lld is not 0",
                     core_weight_name(id[i], name), (long long)n_col,
                     (long long)n_col, (long long)quantiser->block);
    }
    return CORE_OK;
}

/* largest / (largest code of values * largest scale): NVFP4's. */
static core_status find_second(quantised *q, const core_spec *spec,
                               const core_weight *id, int64_t n)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n, sizeof *q->second, "scales"));
    q->second = memory;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_row, n_col;
        double largest = 0.0;
        core_weight_shape(spec, id[i], &n_row, &n_col);
        for (int64_t r = 0; is_quantised(spec, id[i]) && r < n_row; r++)
            largest = fmax(largest, largest_of_row(q, spec, id[i], r, n_col));
        q->second[i] = (double)((float)largest / (6.0F * 448.0F));
    }
    return CORE_OK;
}

static core_status prepare(quantised *q, const core_spec *spec)
{
    void *memory = NULL;
    const int64_t n = core_weight_count(spec);
    CORE_TRY(core_alloc(&memory, n, sizeof(core_weight), "list of weights"));
    core_weight *id = memory;
    core_weight_list(spec, id);
    core_status status = check_rows(&q->quantiser, spec, id, n);
    if (status == CORE_OK && q->quantiser.has_second)
        status = find_second(q, spec, id, n);
    free(memory);
    return status;
}

core_status core__quantise_source(core__weight_source *source,
                                  const core_spec *spec,
                                  const core_quantiser *quantiser)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(quantised), "weights"));
    quantised *q = memory;
    *q = (quantised){.inner = *source, .quantiser = *quantiser};
    const core_status status = prepare(q, spec);
    if (status != CORE_OK) {
        free(q->second);
        free(q);
        return status;
    }
    *source = (core__weight_source){
        .self = q,
        .close = quantised_close,
        .step = quantised_step,
        .block = quantised_block,
        .operand = source->operand != NULL ? quantised_operand : NULL,
        .read = quantised_read};
    return CORE_OK;
}
