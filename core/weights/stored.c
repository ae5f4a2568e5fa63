/* core/weights/stored.c -- finding codes and scales, and values from them.
 *
 * FORMS says under which names and types a format is stored; what codes and
 * blocks are stands in core/numbers/block_format.h.  Traps: int8 may hold two
 * FP4 codes or one integer, which the type of the scales tells; the global
 * scale of compressed-tensors divides, modelopt's multiplies; a matrix whose
 * sides are no multiples of a block has smaller blocks at its ends, but groups
 * along a row must be whole; rows of packed words may end in codes of nothing.
 */
#include "core/weights/stored.h"

#include "core/files/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of scales.  BYTES: exponents, as U8 or as E8M0. */
typedef enum scale_types { FLOATS, E4M3, E8M0, BYTES } scale_types;

/* Names follow that of the weight; one that begins with a point replaces
 * ".weight". */
static const struct form {
    core_block_kind kind;
    const char *codes;
    core_dtype type;
    const char *scale;
    scale_types scale_type;
    const char *second; /* or NULL                                            */
    bool divides;
} FORMS[] = {
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, "_scale_inv", FLOATS, NULL, false},
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, "_scale", FLOATS, NULL, false},
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, ".scale", FLOATS, NULL, false},
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, ".qscale_weight", FLOATS, NULL,
     false},
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, "_scale_inv", BYTES, NULL, false},
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, "_scale", BYTES, NULL, false},
    {CORE_BLOCK_FP8, "", CORE_DTYPE_F8_E4M3, ".scale", BYTES, NULL, false},
    {CORE_BLOCK_FP8_E5M2, "", CORE_DTYPE_F8_E5M2, "_scale_inv", FLOATS, NULL,
     false},
    {CORE_BLOCK_FP8_E5M2, "", CORE_DTYPE_F8_E5M2, "_scale", FLOATS, NULL,
     false},
    {CORE_BLOCK_FP8_E5M2, "", CORE_DTYPE_F8_E5M2, "_scale_inv", BYTES, NULL,
     false},
    {CORE_BLOCK_FP8_E5M2, "", CORE_DTYPE_F8_E5M2, "_scale", BYTES, NULL, false},
    {CORE_BLOCK_FP8_E5M2, "", CORE_DTYPE_F8_E5M2, ".scale", BYTES, NULL, false},
    {CORE_BLOCK_MXFP4, "_blocks", CORE_DTYPE_U8, "_scales", BYTES, NULL, false},
    {CORE_BLOCK_MXFP4, "_packed", CORE_DTYPE_U8, "_scale", BYTES, NULL, false},
    {CORE_BLOCK_MXFP4, "", CORE_DTYPE_U8, "_scale", BYTES, NULL, false},
    {CORE_BLOCK_MXFP4, "", CORE_DTYPE_I8, ".scale", E8M0, NULL, false},
    {CORE_BLOCK_MXFP4, "", CORE_DTYPE_I8, "_scale_inv", E8M0, NULL, false},
    {CORE_BLOCK_NVFP4, "", CORE_DTYPE_U8, "_scale", E4M3, "_scale_2", false},
    {CORE_BLOCK_NVFP4, "_packed", CORE_DTYPE_U8, "_scale", E4M3,
     "_global_scale", true},
    {CORE_BLOCK_INT4, "_packed", CORE_DTYPE_I32, "_scale", FLOATS, NULL, false},
    {CORE_BLOCK_INT8, "", CORE_DTYPE_I8, "_scale", FLOATS, NULL, false},
};

enum { N_FORMS = sizeof FORMS / sizeof FORMS[0] };

/* What stands beside weights and is not ours: quantised activations, the
 * cache's scales. */
static const char *const BESIDE[] = {"input_scale",      "input_global_scale",
                                     "activation_scale", "input_scale_ub",
                                     "qscale_act",       "k_scale",
                                     "v_scale",          "q_scale",
                                     "output_scale"};

bool core__stored_is_beside(const char *name)
{
    for (size_t i = 0; i < sizeof BESIDE / sizeof BESIDE[0]; i++) {
        const size_t n = strlen(name), n_end = strlen(BESIDE[i]);
        if (core_text_ends(name, BESIDE[i]) &&
            (n == n_end || strchr("._", name[n - n_end - 1]) != NULL))
            return true;
    }
    return false;
}

/* --- finding ----------------------------------------------------------------
 */

static core_st_place look(const core_st_folder *folder, const core_spec *spec,
                          const char *name)
{
    char renamed[CORE_FILE_TENSOR_BYTES];
    const core_st_place place = core_st_folder_find(folder, name);
    return place.tensor == NULL && core_file_renamed(spec, name, renamed)
               ? core_st_folder_find(folder, renamed)
               : place;
}

static core_st_place look_beside(const core_st_folder *folder,
                                 const core_spec *spec, const char *name,
                                 const char *suffix)
{
    char other[CORE_FILE_TENSOR_BYTES + 32];
    if (suffix[0] == '.')
        core_quant_module(name, other);
    else
        snprintf(other, sizeof other, "%s", name);
    strncat(other, suffix, sizeof other - strlen(other) - 1);
    return look(folder, spec, other);
}

static bool is_of(const core_st_tensor *scale, scale_types types)
{
    switch (scale->dtype) {
    case CORE_DTYPE_F32:
    case CORE_DTYPE_BF16:
    case CORE_DTYPE_F16:
    case CORE_DTYPE_F64:
        return types == FLOATS;
    case CORE_DTYPE_F8_E4M3:
        return types == E4M3;
    case CORE_DTYPE_F8_E8M0:
        return types == E8M0 || types == BYTES;
    case CORE_DTYPE_U8:
        return types == BYTES;
    default:
        return false;
    }
}

/* The scale of what is multiplied with it. */
static void find_input(const core_st_folder *folder, const core_spec *spec,
                       const char *name, core__stored *out)
{
    static const struct {
        const char *suffix;
        bool divides;
    } INPUTS[] = {{".input_scale", false},
                  {"_input_scale", false},
                  {".input_global_scale", true},
                  {".activation_scale", false},
                  {".qscale_act", false}};
    const size_t n = sizeof INPUTS / sizeof INPUTS[0];
    for (size_t i = 0; i < n && out->input == NULL; i++) {
        out->input = look_beside(folder, spec, name, INPUTS[i].suffix).tensor;
        out->input_divides = INPUTS[i].divides;
    }
}

/* Is the tensor, which may be `plain`, stored in that form?  Then its parts. */
static bool has_form(const core_st_folder *folder, const core_spec *spec,
                     const char *name, core_st_place plain,
                     const struct form *form, core__stored *out)
{
    const core_st_place codes =
        form->codes[0] == '\0' ? plain
                               : look_beside(folder, spec, name, form->codes);
    if (codes.tensor == NULL || codes.tensor->dtype != form->type)
        return false;
    const core_st_tensor *scale =
        look_beside(folder, spec, name, form->scale).tensor;
    if (scale == NULL || !is_of(scale, form->scale_type))
        return false;
    *out = (core__stored){.codes = codes,
                          .scale = scale,
                          .kind = form->kind,
                          .divides = form->divides,
                          .extent =
                              look_beside(folder, spec, name, "_shape").tensor};
    if (form->second != NULL)
        out->second = look_beside(folder, spec, name, form->second).tensor;
    find_input(folder, spec, name, out);
    return true;
}

static int64_t codes_of_unit(const core__stored *s)
{
    return (int64_t)(8 * core_dtype_bytes(s->codes.tensor->dtype)) /
           core_block_format_of(s->kind)->bits;
}

/* Integers in words: of 4 or of 8 bits, as many as a row has. */
static void count_packed(core__stored *s)
{
    const core_st_tensor *t = s->extent;
    const core_st_tensor *codes = s->codes.tensor;
    if (t == NULL || t->dtype != CORE_DTYPE_I64 || t->n != codes->n_dim)
        return;
    const int64_t n_col = core_st_int(t, t->n - 1);
    if (n_col > s->shape[s->n_dim - 1] - 8 && n_col <= s->shape[s->n_dim - 1])
        s->shape[s->n_dim - 1] = n_col;
}

static void find_shape(core__stored *s)
{
    const core_st_tensor *t = s->codes.tensor;
    int n_dim = t->n_dim;
    memcpy(s->shape, t->shape, sizeof s->shape);
    if (s->kind != CORE_BLOCK_NONE && n_dim > 0) {
        s->shape[n_dim - 1] *= codes_of_unit(s);
        if (core_text_ends(t->name, "_blocks") && n_dim > 1) {
            n_dim--; /* [.., groups, codes of a group] */
            s->shape[n_dim - 1] *= s->shape[n_dim];
        }
    }
    s->n_dim = n_dim;
    s->n_col = n_dim > 0 ? s->shape[n_dim - 1] : 1;
    s->row_codes = s->n_col;
    s->n_row = n_dim > 1 ? s->shape[n_dim - 2] : 1;
    if (t->dtype == CORE_DTYPE_I32 && n_dim > 0) {
        count_packed(s);
        s->n_col = s->shape[n_dim - 1];
    }
}

/* What is said of the module that the codes belong to. */
static core_quant_scheme said_of(const core__stored *s, const core_quant *quant)
{
    static const char *const ENDS[] = {"_blocks", "_packed", ".weight"};
    char module[CORE_FILE_TENSOR_BYTES];
    core_quant_module(s->codes.tensor->name, module);
    for (int i = 0; i < 3; i++)
        if (core_text_ends(module, ENDS[i]))
            module[strlen(module) - strlen(ENDS[i])] = '\0';
    return core_quant_of(quant, module);
}

core__stored core__stored_find(const core_st_folder *folder,
                               const core_spec *spec, const core_quant *quant,
                               const char *name)
{
    const core_st_place plain = look(folder, spec, name);
    core__stored s = {.codes = plain, .kind = CORE_BLOCK_NONE};
    const bool is_plain = plain.tensor != NULL && is_of(plain.tensor, FLOATS);
    for (int i = 0; i < N_FORMS && !is_plain; i++)
        if (has_form(folder, spec, name, plain, &FORMS[i], &s))
            break;
    if (s.codes.tensor == NULL)
        return s;
    if (s.kind == CORE_BLOCK_INT4 &&
        said_of(&s, quant).kind == CORE_BLOCK_INT8_PACKED)
        s.kind = CORE_BLOCK_INT8_PACKED; /* words tell not */
    find_shape(&s);
    return s;
}

/* --- checking ---------------------------------------------------------------
 */

static core_status check_said(const core__stored *s, const core_quant *quant,
                              core_quant_scheme said)
{
    char text[CORE_QUANT_TEXT_BYTES];
    const char *path = s->codes.path;
    const char *name = s->codes.tensor->name;
    const char *found = core_block_format_of(s->kind)->name;
    CORE_FAIL_IF(quant == NULL, CORE_E_WEIGHTS,
                 "%s: %s: %s, and neither config.json nor "
                 "hf_quant_config.json says that weights are quantised",
                 path, name, found);
    const core_block_format *f =
        said.kind != CORE_BLOCK_NONE ? core_block_format_of(said.kind) : NULL;
    CORE_FAIL_IF(f == NULL || f->code != core_block_format_of(s->kind)->code ||
                     f->levels != core_block_format_of(s->kind)->levels,
                 CORE_E_WEIGHTS, "%s: %s: %s, %s says: %s", path, name, found,
                 core_quant_source(quant), core_quant_text(said, text));
    return CORE_OK;
}

/* Is that the shape of `t`?  Sides of 1 at the end may be left out. */
static bool has_grid(const core_st_tensor *t, const int64_t *wanted, int n)
{
    int n_dim = t->n_dim;
    while (n_dim > 0 && t->shape[n_dim - 1] == 1)
        n_dim--;
    while (n > 0 && wanted[n - 1] == 1)
        n--;
    return n_dim == n &&
           memcmp(t->shape, wanted, (size_t)n * sizeof *wanted) == 0;
}

static core_status check_scales(const core__stored *s, int64_t n_stack)
{
    char found[CORE_ST_SHAPE_BYTES], wanted[CORE_ST_SHAPE_BYTES];
    const int64_t shape[3] = {n_stack, s->grid_rows, s->grid_cols};
    const int skip = s->n_dim > 2 ? 0 : 1;
    CORE_FAIL_IF(!has_grid(s->scale, shape + skip, 3 - skip), CORE_E_WEIGHTS,
                 "%s: %s: shape [%s], spec wants [%s]",
                 s->codes.path, s->scale->name,
                 core_st_shape_text(found, s->scale->shape, s->scale->n_dim),
                 core_st_shape_text(wanted, shape + skip, 3 - skip));
    return CORE_OK;
}

static core_status check_second(const core__stored *s, int64_t n_stack)
{
    const bool wants = core_block_format_of(s->kind)->levels > 1;
    if (!wants)
        return CORE_OK;
    CORE_FAIL_IF(s->second == NULL, CORE_E_WEIGHTS,
                 "%s: %s: %s without its second scale",
                 s->codes.path, s->codes.tensor->name,
                 core_block_format_of(s->kind)->name);
    CORE_FAIL_IF(!is_of(s->second, FLOATS) ||
                     (s->second->n != 1 && s->second->n != n_stack),
                 CORE_E_WEIGHTS, "%s: %s: expected one number%s",
                 s->codes.path, s->second->name,
                 n_stack > 1 ? ", or one for each expert" : "");
    return CORE_OK;
}

/* Blocks from what is said, or from the format where that fixes them. */
static core_status find_blocks(core__stored *s, core_quant_scheme said)
{
    s->rows = said.grid == CORE_SCALES_BLOCKS ? said.rows : 1;
    s->cols = said.grid == CORE_SCALES_BLOCKS ? said.cols : s->n_col;
    if (said.grid == CORE_SCALES_TENSOR)
        s->rows = s->n_row;
    CORE_FAIL_IF(s->rows == 1 && s->n_col % s->cols != 0, CORE_E_WEIGHTS,
                 "%s: %s: rows of %lld values, %s wants a multiple of %lld",
                 s->codes.path, s->codes.tensor->name,
                 (long long)s->n_col, core_block_format_of(s->kind)->name,
                 (long long)s->cols);
    s->grid_rows = (s->n_row + s->rows - 1) / s->rows;
    s->grid_cols = (s->n_col + s->cols - 1) / s->cols;
    return CORE_OK;
}

static core_status check_plain(const core__stored *s, const core_quant *quant,
                               core_quant_scheme said, bool must)
{
    char text[CORE_QUANT_TEXT_BYTES];
    const core_st_tensor *t = s->codes.tensor;
    CORE_FAIL_IF(!is_of(t, FLOATS), CORE_E_WEIGHTS,
                 "%s: %s: element type %s without scales of a form that is "
                 "known",
                 s->codes.path, t->name,
                 core_dtype_name(t->dtype));
    CORE_FAIL_IF(must && said.kind != CORE_BLOCK_NONE, CORE_E_WEIGHTS,
                 "%s: %s: element type %s, %s says: %s",
                 s->codes.path, t->name,
                 core_dtype_name(t->dtype), core_quant_source(quant),
                 core_quant_text(said, text));
    return CORE_OK;
}

static core_status check_dimensions(const core__stored *s)
{
    char found[CORE_ST_SHAPE_BYTES];
    CORE_FAIL_IF((s->n_dim != 2 && s->n_dim != 3) || s->n_row == 0 ||
                     s->n_col == 0,
                 CORE_E_WEIGHTS,
                 "%s: %s: shape [%s], %s wants a matrix, or one for each "
                 "expert",
                 s->codes.path, s->codes.tensor->name,
                 core_st_shape_text(found, s->shape, s->n_dim),
                 core_block_format_of(s->kind)->name);
    return CORE_OK;
}

/* What an engine makes of the activations beside packed values; where a block
 * holds parts of several heads, groups of them are no neighbours here. */
static core_act_scheme act_of_packed(const core_repack *how)
{
    const core_act_scheme other = {.how = CORE_ACT_QUANT_OTHER};
    return how->order == CORE_ORDER_TILED_COLUMNS &&
                   core_repack_block(how) > how->head
               ? other
               : core_quant_of_packed(how->kind);
}

core_status core__stored_check(core__stored *stored, const core_quant *quant,
                               bool must)
{
    const core_quant_scheme said = said_of(stored, quant);
    if (stored->codes.how != NULL)
        stored->act = act_of_packed(stored->codes.how);
    if (stored->kind == CORE_BLOCK_NONE)
        return check_plain(stored, quant, said, must);
    CORE_TRY(check_dimensions(stored));
    const int64_t n_stack = stored->n_dim > 2 ? stored->shape[0] : 1;
    CORE_TRY(check_said(stored, quant, said));
    stored->act = said.act;
    CORE_TRY(find_blocks(stored, said));
    CORE_TRY(check_scales(stored, n_stack));
    return check_second(stored, n_stack);
}

double core__stored_input_scale(const core__stored *stored, int64_t matrix)
{
    const core_st_tensor *t = stored->input;
    const int64_t n_stack = stored->n_dim > 2 ? stored->shape[0] : 1;
    if (t == NULL || !is_of(t, FLOATS) || (t->n != 1 && t->n != n_stack))
        return 0.0;
    const double scale = core_st_value(t, t->n > 1 ? matrix : 0);
    return stored->input_divides ? 1.0 / scale : scale;
}

/* --- reading ----------------------------------------------------------------
 */

static double scale_at(const core__stored *s, int64_t matrix, int64_t row,
                       int64_t block)
{
    const int64_t at =
        (matrix * s->grid_rows + row / s->rows) * s->grid_cols + block;
    double scale;
    const core_dtype type =
        s->scale->dtype == CORE_DTYPE_U8 ? CORE_DTYPE_F8_E8M0 : s->scale->dtype;
    core_dtype_to_f64(&scale,
                      (const char *)s->scale->data +
                          (size_t)at * core_dtype_bytes(type),
                      type, 1);
    if (s->second == NULL)
        return scale;
    const double second =
        core_st_value(s->second, s->second->n > 1 ? matrix : 0);
    return s->divides ? scale / second : scale * second;
}

/* Values [c0, c1) of row `row` of all matrices. */
static void read_row(const core__stored *s, int64_t row, int64_t c0, int64_t c1,
                     double *out)
{
    core_block_decode(s->kind, s->codes.tensor->data, row * s->row_codes + c0,
                      c1 - c0, out);
    for (int64_t c = c0; c < c1;) {
        const int64_t block = c / s->cols, end = (block + 1) * s->cols;
        const double scale = scale_at(s, row / s->n_row, row % s->n_row, block);
        for (; c < c1 && c < end; c++)
            out[c - c0] *= scale;
    }
}

void core__stored_read(const core__stored *stored, int64_t first, int64_t n,
                       double *out)
{
    const core_st_place *codes = &stored->codes;
    if (codes->how != NULL) {
        core_repack_read(codes->tensor, codes->how, first, n, out);
        return;
    }
    if (stored->kind == CORE_BLOCK_NONE) {
        core_st_read(codes->tensor, first, n, out);
        return;
    }
    while (n > 0) {
        const int64_t row = first / stored->n_col, c0 = first % stored->n_col;
        const int64_t c1 = c0 + n < stored->n_col ? c0 + n : stored->n_col;
        read_row(stored, row, c0, c1, out);
        out += c1 - c0;
        first += c1 - c0;
        n -= c1 - c0;
    }
}
