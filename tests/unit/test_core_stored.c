/* tests/unit/test_core_stored.c -- codes and scales, as publishers write them.
 *
 * The committed cases come from the publishers' own packages, with some of the
 * values that these mean (values.NAME).  What they do not have is made here: a
 * matrix whose sides are no multiples of a block, and files that do not say
 * what their config.json says.
 */
#include "core/weights/checkpoint_impl.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMATS GOLDEN_DIR "/oracle/formats/"

/* A folder, what it says, and nothing of a model. */
typedef struct opened {
    core_spec spec;
    core_st_folder *files;
    core_quant *quant;
} opened;

static opened open_folder(const char *path)
{
    opened o = {.spec = {.family = CORE_FAMILY_QWEN3_MOE}};
    ck_assert_msg(core_st_folder_open(&o.files, path) == CORE_OK, "%s",
                  core_message());
    ck_assert_msg(core_quant_open(&o.quant, path) == CORE_OK, "%s",
                  core_message());
    return o;
}

static void close_folder(opened *o)
{
    core_st_folder_close(o->files);
    core_quant_close(o->quant);
}

static core__stored find(const opened *o, const char *name)
{
    core__stored s = core__stored_find(o->files, &o->spec, o->quant, name);
    ck_assert_msg(s.codes.tensor != NULL, "%s", name);
    return s;
}

static core__stored found(const opened *o, const char *name)
{
    core__stored s = find(o, name);
    ck_assert_msg(core__stored_check(&s, o->quant, true) == CORE_OK, "%s",
                  core_message());
    return s;
}

static void refused(const opened *o, const char *name, bool must,
                    const char *message)
{
    core__stored s = find(o, name);
    core_message_clear();
    ck_assert_int_eq(core__stored_check(&s, o->quant, must), CORE_E_WEIGHTS);
    ck_assert_msg(strstr(core_message(), message) != NULL, "'%s' lacks '%s'",
                  core_message(), message);
    ck_assert_msg(strstr(core_message(), name) != NULL, "%s", core_message());
}

/* --- committed cases --------------------------------------------------------
 */

static const char *const CASES[] = {
    "fp8_blocks",     "fp8_e5m2",      "fp8_fp4_exponents", "modelopt_fp8",
    "modelopt_nvfp4", "tensors_fp8",   "tensors_int4",      "tensors_int8",
    "tensors_mxfp4",  "tensors_mxfp8", "tensors_nvfp4",     "tensors_w8a8"};
enum { N_CASES = sizeof CASES / sizeof CASES[0] };

static const char *const SHOWN[] = {
    "model.layers.0.self_attn.k_proj.weight",
    "model.layers.1.mlp.experts.2.down_proj.weight"};

/* Any stretch of a tensor is that part of the whole: blocks, bytes and rows cut
 * wherever it begins and ends. */
static void check_stretches(const core__stored *s, const double *whole,
                            int64_t n)
{
    double *part = malloc((size_t)n * sizeof *part);
    ck_assert_ptr_nonnull(part);
    for (int64_t first = 0; first < n; first += 7)
        for (int64_t size = 1; first + size <= n; size = 2 * size + 3) {
            core__stored_read(s, first, size, part);
            ck_assert(
                memcmp(part, whole + first, (size_t)size * sizeof *part) == 0);
        }
    free(part);
}

START_TEST(codes_and_scales_mean_what_the_publisher_says)
{
    char path[256], name[160];
    snprintf(path, sizeof path, FORMATS "%s", CASES[_i]);
    opened o = open_folder(path);
    strcat(path, "/expected.safetensors");
    core_st *expected = NULL;
    ck_assert_int_eq(core_st_open(&expected, path), CORE_OK);
    for (int i = 0; i < 2; i++) {
        const core__stored s = found(&o, SHOWN[i]);
        ck_assert_int_ne(s.kind, CORE_BLOCK_NONE);
        snprintf(name, sizeof name, "values.%s", SHOWN[i]);
        const core_st_tensor *want = core_st_find(expected, name);
        ck_assert_ptr_nonnull(want);
        ck_assert_int_eq(want->n, s.n_row * s.n_col);
        double *got = malloc((size_t)want->n * sizeof *got);
        ck_assert_ptr_nonnull(got);
        core__stored_read(&s, 0, want->n, got);
        for (int64_t e = 0; e < want->n; e++)
            ck_assert_msg((float)got[e] == (float)core_st_value(want, e),
                          "%s: %lld: %.9g, expected %.9g", name, (long long)e,
                          got[e], core_st_value(want, e));
        check_stretches(&s, got, want->n);
        free(got);
    }
    core_st_close(expected);
    close_folder(&o);
}
END_TEST

/* In exact mode the grid is that of the dequantised whole, whichever rectangle
 * is read, and every rectangle is that part of the whole. */
START_TEST(rectangles_are_parts_of_the_snapped_whole)
{
    char path[256];
    core_spec spec;
    core_weights *w = NULL;
    snprintf(path, sizeof path, FORMATS "%s", CASES[_i]);
    ck_assert_int_eq(core_spec_open(&spec, path, NULL), CORE_OK);
    ck_assert_msg(core_weights_open_checkpoint(&w, &spec, path, false) == CORE_OK,
                  "%s", core_message());
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
    const core_weight ids[3] = {
        {CORE_W_Q, 0, 0}, {CORE_W_EXPERT_UP, 1, 3}, {CORE_W_EXPERT_DOWN, 0, 1}};
    for (int i = 0; i < 3; i++) {
        int64_t n_r, n_c;
        core_weight_shape(&spec, ids[i], &n_r, &n_c);
        double *whole = malloc((size_t)(n_r * n_c) * sizeof *whole);
        double *part = malloc((size_t)(n_r * n_c) * sizeof *part);
        ck_assert(whole != NULL && part != NULL);
        core_weights_read(w, ids[i], 0, n_r, 0, n_c, whole, n_c);
        const double step = core_weights_step(w, ids[i]);
        for (int64_t e = 0; e < n_r * n_c; e++)
            ck_assert(whole[e] / step == nearbyint(whole[e] / step));
        for (int64_t r0 = 0; r0 < n_r; r0 += 5)
            for (int64_t c0 = 0; c0 < n_c; c0 += 9) {
                core_weights_read(w, ids[i], r0, n_r, c0, n_c, part, n_c - c0);
                for (int64_t r = r0; r < n_r; r++)
                    ck_assert(memcmp(part + (r - r0) * (n_c - c0),
                                     whole + r * n_c + c0,
                                     (size_t)(n_c - c0) * sizeof *part) == 0);
            }
        free(whole);
        free(part);
    }
    core_weights_close(w);
}
END_TEST

/* --- what is made here ------------------------------------------------------
 */

static void write_text(const char *name, const char *text)
{
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void write_tensors(const core_st_tensor *tensors, int n,
                          void (*fill)(const core_st_tensor *t))
{
    char path[128];
    core_st *file = NULL;
    path_of(path, "model.safetensors");
    ck_assert_msg(core_st_create(&file, path, tensors, n, NULL) == CORE_OK,
                  "%s", core_message());
    for (int i = 0; i < n; i++)
        fill(core_st_find(file, tensors[i].name));
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
}

/* Codes 1.0 and 2.0 in turn, 0x38 and 0x40; scales 1, 2, 4 ... */
static void fill_fp8(const core_st_tensor *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        const float scale = exp2f((float)(i % 8));
        if (t->dtype == CORE_DTYPE_F32)
            memcpy((char *)t->data + 4 * i, &scale, 4);
        else
            ((uint8_t *)t->data)[i] = i % 2 == 0 ? 0x38 : 0x40;
    }
}

#define FP8_SAID                                                               \
    "{\"quantization_config\": {\"quant_method\": \"fp8\", "                   \
    "\"modules_to_not_convert\": [\"gate\", \"model.layers.1\"]}}"

/* [130, 129] in blocks of 128: the last ones are smaller. */
START_TEST(the_last_blocks_of_a_matrix_are_smaller)
{
    const core_st_tensor t[2] = {{.name = "w.weight",
                                  .dtype = CORE_DTYPE_F8_E4M3,
                                  .n_dim = 2,
                                  .shape = {130, 129}},
                                 {.name = "w.weight_scale_inv",
                                  .dtype = CORE_DTYPE_F32,
                                  .n_dim = 2,
                                  .shape = {2, 2}}};
    make_folder();
    write_text("config.json", FP8_SAID);
    write_tensors(t, 2, fill_fp8);
    opened o = open_folder(folder);
    const core__stored s = found(&o, "w.weight");
    for (int64_t r = 127; r < 130; r++)
        for (int64_t c = 127; c < 129; c++) {
            double value;
            const int64_t at = r * 129 + c;
            const int block = (r >= 128 ? 2 : 0) + (c >= 128 ? 1 : 0);
            core__stored_read(&s, at, 1, &value);
            ck_assert(value == (at % 2 == 0 ? 1.0 : 2.0) * exp2(block));
        }
    close_folder(&o);
    remove_folder();
}
END_TEST

/* Three experts in one tensor, [3, 4, 64] in words of 2 bytes: each has its own
 * scales, and gate and up are rows of a whole. */
START_TEST(experts_in_one_tensor_have_their_own_scales)
{
    const core_st_tensor t[2] = {{.name = "w",
                                  .dtype = CORE_DTYPE_F8_E4M3,
                                  .n_dim = 3,
                                  .shape = {3, 256, 128}},
                                 {.name = "w_scale_inv",
                                  .dtype = CORE_DTYPE_F32,
                                  .n_dim = 3,
                                  .shape = {3, 2, 1}}};
    make_folder();
    write_text("config.json", FP8_SAID);
    write_tensors(t, 2, fill_fp8);
    opened o = open_folder(folder);
    const core__stored s = found(&o, "w");
    for (int e = 0; e < 3; e++)
        for (int half = 0; half < 2; half++) {
            const int64_t shape[2] = {128, 128};
            core__view view;
            double value;
            ck_assert_msg(core__view_make(&view, &s,
                                          half == 0 ? CORE_LAYOUT_E_TOP
                                                    : CORE_LAYOUT_E_BOTTOM,
                                          shape, e, 3) == CORE_OK,
                          "%s", core_message());
            core__view_read(&view, 127, 128, 2, 3, &value, 1);
            ck_assert(value == exp2(2 * e + half));
        }
    const core_st_tensor deep[2] = {{.name = "w",
                                     .dtype = CORE_DTYPE_F8_E4M3,
                                     .n_dim = 4,
                                     .shape = {3, 2, 128, 128}},
                                    t[1]};
    close_folder(&o);
    write_tensors(deep, 2, fill_fp8);
    o = open_folder(folder);
    refused(&o, "w", true, "shape [3,2,128,128], FP8 E4M3 wants a matrix");
    /* 96 rows each: the first block reaches into the second half */
    const core_st_tensor odd[2] = {{.name = "w",
                                    .dtype = CORE_DTYPE_F8_E4M3,
                                    .n_dim = 3,
                                    .shape = {3, 192, 128}},
                                   t[1]};
    close_folder(&o);
    write_tensors(odd, 2, fill_fp8);
    o = open_folder(folder);
    const core__stored cut = found(&o, "w");
    const int64_t shape[2] = {96, 128};
    core__view view;
    core_message_clear();
    ck_assert_int_eq(
        core__view_make(&view, &cut, CORE_LAYOUT_E_TOP, shape, 0, 3),
        CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(strstr(core_message(),
                                 "w: gate and up of 96 rows each in blocks of "
                                 "128: 96 % 128 is not 0"));
    close_folder(&o);
    remove_folder();
}
END_TEST

/* What config.json says of w and what the file has for it; message NULL: they
 * agree. */
static const struct {
    const char *said, *beside;
    core_dtype type;
    const char *scale;
    core_dtype scale_type;
    int64_t scale_shape[2];
    const char *message;
} PAIRS[] = {
#define SCALES(...)                                                            \
    {                                                                          \
        __VA_ARGS__                                                            \
    }
    {FP8_SAID, NULL, CORE_DTYPE_F8_E4M3, "_scale_inv", CORE_DTYPE_F32,
     SCALES(2, 1), NULL},
    {FP8_SAID, NULL, CORE_DTYPE_F8_E4M3, "_scale_inv", CORE_DTYPE_F32,
     SCALES(1, 2), "shape [1,2], spec wants [2,1]"},
    {FP8_SAID, NULL, CORE_DTYPE_F8_E5M2, "_scale_inv", CORE_DTYPE_F32,
     SCALES(2, 1),
     "FP8 E5M2, config.json says: FP8 E4M3, a scale for 128 x 128 values"},
    {FP8_SAID, NULL, CORE_DTYPE_BF16, "_scale_inv", CORE_DTYPE_F32,
     SCALES(2, 1),
     "element type BF16, config.json says: FP8 E4M3, a scale for 128 x 128"},
    {FP8_SAID, NULL, CORE_DTYPE_F8_E4M3, "_scales", CORE_DTYPE_F32,
     SCALES(2, 1), "element type F8_E4M3 without scales of a form"},
    {FP8_SAID, NULL, CORE_DTYPE_I8, "_scale", CORE_DTYPE_F32, SCALES(160, 1),
     "INT8, config.json says: FP8 E4M3"},
    {"{}", NULL, CORE_DTYPE_F8_E4M3, "_scale_inv", CORE_DTYPE_F32, SCALES(2, 1),
     "FP8 E4M3, and neither config.json nor hf_quant_config.json says that "
     "weights are quantised"},
    {"{}", NULL, CORE_DTYPE_BF16, "_other", CORE_DTYPE_F32, SCALES(2, 1), NULL},
    {"{}", "{\"quantization\": {\"quant_algo\": \"FP8\"}}", CORE_DTYPE_F8_E4M3,
     "_scale", CORE_DTYPE_F32, SCALES(1, 1), NULL},
    {"{}", "{\"quantization\": {\"quant_algo\": \"FP8\"}}", CORE_DTYPE_BF16,
     "_scale", CORE_DTYPE_F32, SCALES(1, 1),
     "element type BF16, hf_quant_config.json says: FP8 E4M3, a scale for a "
     "tensor"},
    {"{}",
     "{\"quantization\": {\"quant_algo\": \"FP8\", "
     "\"exclude_modules\": [\"*w\"]}}",
     CORE_DTYPE_F8_E4M3, "_scale", CORE_DTYPE_F32, SCALES(1, 1),
     "FP8 E4M3, hf_quant_config.json says: plain"},
    {"{}", "{\"quantization\": {\"quant_algo\": \"NVFP4\"}}", CORE_DTYPE_U8,
     "_scale", CORE_DTYPE_F8_E4M3, SCALES(160, 12), "NVFP4 without its second"},
    {"{}", "{\"quantization\": {\"quant_algo\": \"MXFP4\"}}", CORE_DTYPE_U8,
     "_scale", CORE_DTYPE_U8, SCALES(160, 6), NULL},
    {"{}", "{\"quantization\": {\"quant_algo\": \"MXFP4\"}}", CORE_DTYPE_U8,
     "_scale", CORE_DTYPE_U8, SCALES(6, 160),
     "shape [6,160], spec wants [160,6]"},
};

static void fill_nothing(const core_st_tensor *t)
{
    (void)t;
}

START_TEST(files_and_config_must_agree)
{
    char scale[64];
    snprintf(scale, sizeof scale, "model.w.weight%s", PAIRS[_i].scale);
    const core_st_tensor t[2] = {
        {.name = "model.w.weight",
         .dtype = PAIRS[_i].type,
         .n_dim = 2,
         .shape = {160, 96}},
        {.name = scale,
         .dtype = PAIRS[_i].scale_type,
         .n_dim = 2,
         .shape = {PAIRS[_i].scale_shape[0], PAIRS[_i].scale_shape[1]}}};
    make_folder();
    write_text("config.json", PAIRS[_i].said);
    if (PAIRS[_i].beside != NULL)
        write_text("hf_quant_config.json", PAIRS[_i].beside);
    write_tensors(t, 2, fill_nothing);
    opened o = open_folder(folder);
    if (PAIRS[_i].message == NULL)
        (void)found(&o, "model.w.weight");
    else
        refused(&o, "model.w.weight", true, PAIRS[_i].message);
    close_folder(&o);
    remove_folder();
}
END_TEST

START_TEST(groups_along_a_row_are_whole)
{
    core_st_tensor t[2] = {{.name = "w.weight_packed",
                            .dtype = CORE_DTYPE_U8,
                            .n_dim = 2,
                            .shape = {4, 40}},
                           {.name = "w.weight_scale",
                            .dtype = CORE_DTYPE_U8,
                            .n_dim = 2,
                            .shape = {4, 3}}};
    make_folder();
    write_text("config.json",
               "{\"quantization_config\": {\"quant_method\": \"mxfp4\"}}");
    write_tensors(t, 2, fill_nothing);
    opened o = open_folder(folder);
    refused(&o, "w.weight", true,
            "rows of 80 values, MXFP4 wants a multiple of 32");
    close_folder(&o);
    t[0].shape[1] = 0;
    write_tensors(t, 2, fill_nothing);
    o = open_folder(folder);
    refused(&o, "w.weight", true, "shape [4,0], MXFP4 wants a matrix");
    close_folder(&o);
    t[0].shape[1] = 48;
    write_tensors(t, 2, fill_nothing);
    o = open_folder(folder);
    (void)found(&o, "w.weight");
    close_folder(&o);
    remove_folder();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_stored");
    TCase *tcase = tcase_create("formats");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, codes_and_scales_mean_what_the_publisher_says, 0,
                        N_CASES);
    tcase_add_loop_test(tcase, rectangles_are_parts_of_the_snapped_whole, 0,
                        N_CASES);
    tcase_add_test(tcase, the_last_blocks_of_a_matrix_are_smaller);
    tcase_add_test(tcase, experts_in_one_tensor_have_their_own_scales);
    tcase_add_loop_test(tcase, files_and_config_must_agree, 0,
                        (int)(sizeof PAIRS / sizeof PAIRS[0]));
    tcase_add_test(tcase, groups_along_a_row_are_whole);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
