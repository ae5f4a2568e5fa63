/* core/model/quant_bytes.c -- a scheme in words, and what it makes of a model.
 */
#include "core/model/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN_BYTES = 2, TENSOR_SCALE_BYTES = 4 };

/* Beside integers scales have the type that weights had; those of FP8 are F32.
 */
static size_t scale_bytes(const core_block_format *f)
{
    if (f->scale != CORE_SCALE_FLOAT)
        return 1;
    return f->code == CORE_CODE_E4M3 || f->code == CORE_CODE_E5M2 ? 4 : 2;
}

const char *core_quant_text(core_quant_scheme scheme,
                            char text[CORE_QUANT_TEXT_BYTES])
{
    if (scheme.kind == CORE_BLOCK_NONE)
        return strcpy(text, "plain");
    const char *name = core_block_format_of(scheme.kind)->name;
    if (scheme.grid == CORE_SCALES_TENSOR)
        snprintf(text, CORE_QUANT_TEXT_BYTES, "%s, a scale for a tensor", name);
    else if (scheme.grid == CORE_SCALES_ROWS)
        snprintf(text, CORE_QUANT_TEXT_BYTES, "%s, a scale for a row", name);
    else
        snprintf(text, CORE_QUANT_TEXT_BYTES,
                 "%s, a scale for %lld x %lld values", name,
                 (long long)scheme.rows, (long long)scheme.cols);
    return text;
}

const char *core_quant_act_text(core_act_scheme act,
                                char text[CORE_QUANT_TEXT_BYTES])
{
    const char *name = core_code_name(act.format.code);
    switch (act.how) {
    case CORE_ACT_QUANT_NONE:
        return strcpy(text, "as they are");
    case CORE_ACT_QUANT_OTHER:
        return strcpy(text, "in codes that are not known");
    case CORE_ACT_QUANT_BATCH:
        snprintf(text, CORE_QUANT_TEXT_BYTES, "as %s, a scale for a batch",
                 name);
        return text;
    case CORE_ACT_QUANT_STATIC:
    case CORE_ACT_QUANT_DYNAMIC:
        break;
    }
    if (act.format.group > 0)
        snprintf(text, CORE_QUANT_TEXT_BYTES, "as %s, a scale for %lld values",
                 name, (long long)act.format.group);
    else
        snprintf(text, CORE_QUANT_TEXT_BYTES, "as %s, a scale for a %s", name,
                 act.how == CORE_ACT_QUANT_STATIC ? "tensor" : "token");
    return text;
}

static int64_t parts(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static size_t bytes_of(core_quant_scheme s, int64_t n_row, int64_t n_col)
{
    if (s.kind == CORE_BLOCK_NONE)
        return (size_t)(n_row * n_col) * PLAIN_BYTES;
    const core_block_format *f = core_block_format_of(s.kind);
    const int64_t n_scale = s.grid == CORE_SCALES_TENSOR ? 1
                            : s.grid == CORE_SCALES_ROWS
                                ? n_row
                                : parts(n_row, s.rows) * parts(n_col, s.cols);
    return (size_t)(n_row * parts(n_col * f->bits, 8)) +
           (size_t)n_scale * scale_bytes(f) +
           (f->levels > 1 ? TENSOR_SCALE_BYTES : 0);
}

size_t core_quant_bytes(const core_quant *quant, const core_spec *spec)
{
    const int64_t n = core_weight_count(spec);
    core_weight *id = malloc((size_t)n * sizeof *id);
    size_t bytes = 0;
    if (id == NULL)
        return 0;
    core_weight_list(spec, id);
    for (int64_t i = 0; i < n; i++) {
        char name[CORE_FILE_TENSOR_BYTES] = "";
        int64_t n_row, n_col;
        core_weight_shape(spec, id[i], &n_row, &n_col);
        const core_layout layout = core_file_tensor(spec, id[i], name);
        bytes += bytes_of(core_quant_of_weight(quant, id[i].kind, layout, name),
                          n_row, n_col);
    }
    free(id);
    return bytes;
}
