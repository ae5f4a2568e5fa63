/* test_core_tapfile.c -- every tap is there with its shape, pieces land where
 * their global rows and columns say, and files that lack something are refused.
 */
#include "core/pass/tapfile.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { B = 2, T = 3, K = 2, D = 5, E = 7 };

static char folder[] = "/tmp/test_core_tapfile-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* One MoE layer and one dense layer. */
static core_spec small_spec(void)
{
    return (core_spec){.name = "small",
                       .n_l = 2,
                       .n_d = D,
                       .n_h = 2,
                       .n_g = 1,
                       .n_dh = 4,
                       .n_e = E,
                       .n_k = K,
                       .n_f = 3,
                       .n_v = 11,
                       .n_f_dense = 6,
                       .ffn = {CORE_FFN_MOE, CORE_FFN_DENSE},
                       .gated = true,
                       .twin_expert = -1};
}

static core_tapfile *create(const char *name, const core_spec *spec,
                            core_numerics numerics, bool coarse_only,
                            bool bounds)
{
    static const int64_t ids[B * T] = {3, 1, 4, 1, 5, 9};
    static const uint8_t mask[B * T] = {0, 1, 1, 1, 1, 1};
    static const core_batch batch = {
        .n_b = B, .n_t = T, .ids = ids, .mask = mask};
    static const core_tapfile_part parts[] = {
        {"p0.", B, T, &batch}, {.prefix = "p1.", .n_b = 1, .n_t = 4}};
    core_tapfile *file = NULL;
    core_message_clear();
    ck_assert_msg(core_tapfile_create(&file, in_folder(name), spec, numerics,
                                      coarse_only, bounds, parts, 2,
                                      NULL) == CORE_OK,
                  "%s", core_message());
    return file;
}

static void check_tensor(const core_tapfile *file, const char *name,
                         core_dtype dtype, int n_dim, int64_t d0, int64_t d1,
                         int64_t d2)
{
    const core_st_tensor *tensor = core_st_find(core_tapfile_st(file), name);
    ck_assert_msg(tensor != NULL, "no tensor %s", name);
    ck_assert_msg(tensor->dtype == dtype && tensor->n_dim == n_dim &&
                      tensor->shape[0] == d0 && tensor->shape[1] == d1 &&
                      (n_dim < 3 || tensor->shape[2] == d2),
                  "tensor %s: %s, %d dimensions, %d x %d", name,
                  core_dtype_name(tensor->dtype), tensor->n_dim,
                  (int)tensor->shape[0], (int)tensor->shape[1]);
}

START_TEST(every_tap_has_its_place)
{
    const core_spec spec = small_spec();
    core_tapfile *file = create("all", &spec, CORE_EXACT, false, true);
    check_tensor(file, "p0.embed", CORE_DTYPE_F64, 3, B, T, D);
    check_tensor(file, "p1.embed", CORE_DTYPE_F64, 3, 1, 4, D);
    check_tensor(file, "p0.layers.0.router_logits", CORE_DTYPE_F64, 2, B * T, E,
                 0);
    check_tensor(file, "p0.layers.0.topk_idx", CORE_DTYPE_I64, 2, B * T, K, 0);
    check_tensor(file, "p0.layers.0.moe.probs", CORE_DTYPE_F64, 2, B * T, E, 0);
    check_tensor(file, "p0.layers.0.moe.recv", CORE_DTYPE_F64, 2, B * T * K, D,
                 0);
    check_tensor(file, "p0.layers.1.mlp.up", CORE_DTYPE_F64, 2, B * T, 6, 0);
    check_tensor(file, "p0.logits", CORE_DTYPE_F64, 3, B, T, 11);
    check_tensor(file, "p0.bound/logits", CORE_DTYPE_F32, 3, B, T, 11);
    check_tensor(file, "p0.input_ids", CORE_DTYPE_I64, 2, B, T, 0);
    check_tensor(file, "p0.attention_mask", CORE_DTYPE_I64, 2, B, T, 0);
    const core_st *st = core_tapfile_st(file);
    ck_assert_ptr_null(core_st_find(st, "p0.hidden_in"));
    ck_assert_ptr_null(core_st_find(st, "p1.input_ids"));
    ck_assert_ptr_null(core_st_find(st, "p0.layers.1.router_logits"));
    ck_assert_ptr_null(core_st_find(st, "p0.bound/layers.0.topk_idx"));
    const int64_t *ids = core_st_find(st, "p0.input_ids")->data;
    const int64_t *mask = core_st_find(st, "p0.attention_mask")->data;
    ck_assert_int_eq(ids[5], 9);
    ck_assert_int_eq(mask[0], 0);
    ck_assert_int_eq(mask[1], 1);
    const core_tap probs = {CORE_TAP_ROUTER_PROBS, 0};
    ck_assert_ptr_eq(core_tapfile_find(file, "p0.", probs, true),
                     core_st_find(st, "p0.bound/layers.0.moe.probs"));
    ck_assert_ptr_null(core_tapfile_find(file, "", probs, false));
    /* two parts of all taps, a bound for each that is not INT, two inputs */
    const int64_t n_tap = core_taps(&spec, NULL, 0);
    ck_assert_int_eq(core_st_count(st), 2 * (2 * n_tap - 2) + 2);
    core_tapfile_close(file);
}
END_TEST

START_TEST(coarse_fp32_files)
{
    const core_spec spec = small_spec();
    core_tapfile *file = create("coarse", &spec, CORE_FP32, true, false);
    check_tensor(file, "p0.layers.1.out", CORE_DTYPE_F32, 3, B, T, D);
    check_tensor(file, "p0.layers.0.topk_idx", CORE_DTYPE_I64, 2, B * T, K, 0);
    ck_assert_ptr_null(core_st_find(core_tapfile_st(file), "p0.layers.0.in"));
    core_tap_sink sink;
    ck_assert_int_eq(core_tapfile_sink(&sink, file, "p0."), CORE_OK);
    ck_assert(sink.wants(sink.self, (core_tap){CORE_TAP_OUT, 1}));
    ck_assert(!sink.wants(sink.self, (core_tap){CORE_TAP_IN, 1}));
    const double values[B * T * D] = {0.1};
    sink.put(sink.self, (core_tap){CORE_TAP_IN, 1}, values, NULL, NULL);
    sink.put(sink.self, (core_tap){CORE_TAP_OUT, 1}, values, NULL, NULL);
    const float *out =
        core_st_find(core_tapfile_st(file), "p0.layers.1.out")->data;
    ck_assert_double_eq((double)out[0], (double)0.1F);
    free(sink.self);
    core_tapfile_close(file);
}
END_TEST

START_TEST(a_switch_layer_has_fewer_taps)
{
    core_spec spec = small_spec();
    spec.family = CORE_FAMILY_SWITCH;
    spec.n_h = 0;
    spec.n_l = 1;
    spec.n_k = 1;
    static const double hidden[B * T * D] = {1.5, 2.5};
    const core_batch batch = {.n_b = B, .n_t = T, .hidden = hidden};
    const core_tapfile_part part = {"", B, T, &batch};
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("switch"));
    core_tapfile *file = NULL;
    ck_assert_int_eq(core_tapfile_create(&file, path, &spec, CORE_FP64, false,
                                         false, &part, 1, NULL),
                     CORE_OK);
    check_tensor(file, "hidden_in", CORE_DTYPE_F64, 3, B, T, D);
    check_tensor(file, "layers.0.ffn_out", CORE_DTYPE_F64, 3, B, T, D);
    const core_st *st = core_tapfile_st(file);
    ck_assert_double_eq(
        ((const double *)core_st_find(st, "hidden_in")->data)[1], 2.5);
    ck_assert_ptr_null(core_st_find(st, "embed"));
    ck_assert_ptr_null(core_st_find(st, "layers.0.attn.q"));
    ck_assert_ptr_null(core_st_find(st, "logits"));
    ck_assert_int_eq(core_tapfile_commit(file), CORE_OK);
    core_tapfile_close(file);
    ck_assert_int_eq(core_tapfile_open(&file, path, &spec, false, false),
                     CORE_OK);
    core_tapfile_close(file);
    unlink(path);
}
END_TEST

static double at(const core_tapfile *file, core_tap tap, int64_t row,
                 int64_t col)
{
    const core_st_tensor *tensor = core_tapfile_find(file, "p0.", tap, false);
    const int64_t n_col = tensor->shape[tensor->n_dim - 1];
    double value;
    core_dtype_to_f64(&value,
                      (const char *)tensor->data +
                          (size_t)(row * n_col + col) *
                              core_dtype_bytes(tensor->dtype),
                      tensor->dtype, 1);
    return value;
}

/* Two writers with half of the columns each, rows by id, one by range. */
START_TEST(pieces_land_at_their_global_place)
{
    const core_spec spec = small_spec();
    const core_numerics numerics = _i == 0 ? CORE_FP64 : CORE_FP32;
    core_tapfile *file = create("pieces", &spec, numerics, false, false);
    core_tapfile *other = NULL;
    ck_assert_int_eq(
        core_tapfile_open(&other, core_tapfile_path(file), &spec, false, true),
        CORE_OK);
    const core_tap out = {CORE_TAP_OUT, 1}, idx = {CORE_TAP_TOPK_IDX, 0};
    const int64_t rows[] = {5, 0};
    const double left[] = {51, 52, -1, 1, 2, -1}; /* ld 3, 2 columns */
    core_tapfile_put(file, "p0.", out, left, NULL, 3, rows, 0, 2, 0, 2);
    const double right[] = {13, 14, 15, 23, 24, 25};
    core_tapfile_put(other, "p0.", out, right, NULL, 3, NULL, 1, 2, 2, 3);
    const int64_t ints[] = {6, 4};
    core_tapfile_put(other, "p0.", idx, NULL, ints, 1, NULL, 3, 2, 1, 1);
    core_tapfile_put(other, "p0.", idx, NULL, NULL, 1, NULL, 3, 0, 1, 1);

    double want[B * T][D] = {
        {1, 2, 0, 0, 0}, {0, 0, 13, 14, 15}, {0, 0, 23, 24, 25}};
    want[5][0] = 51;
    want[5][1] = 52;
    for (int r = 0; r < B * T; r++)
        for (int c = 0; c < D; c++)
            ck_assert_double_eq(at(other, out, r, c), want[r][c]);
    for (int r = 0; r < B * T; r++) {
        ck_assert_double_eq(at(file, idx, r, 0), 0.0);
        ck_assert_double_eq(at(file, idx, r, 1), r == 3 ? 6 : r == 4 ? 4 : 0);
    }
    core_tapfile_close(other);
    ck_assert_int_eq(access(core_tapfile_path(file), F_OK), 0);
    core_tapfile_close(file);
}
END_TEST

/* A piece large enough to be shared. */
START_TEST(threads_write_every_row)
{
    const core_spec spec = small_spec();
    const core_tap out = {CORE_TAP_OUT, 1};
    const core_tapfile_part part = {"", 1, 30000, NULL};
    core_tapfile *file;
    double *values = calloc((size_t)part.n_t * D, sizeof *values);
    for (int64_t i = 0; i < part.n_t * D; i++)
        values[i] = (double)(i + 1);
    ck_assert_int_eq(core_tapfile_create(&file, in_folder("shared"), &spec,
                                         CORE_FP64, true, false, &part, 1, NULL),
                     CORE_OK);
    core_tapfile_set_threads(file, 3);
    ck_assert_int_eq(core_tapfile_threads(file), 3);
    core_tapfile_put(file, "", out, values, NULL, D, NULL, 0, part.n_t, 0, D);
    ck_assert_mem_eq(core_tapfile_find(file, "", out, false)->data, values,
                     (size_t)part.n_t * D * sizeof *values);
    core_tapfile_close(file);
    free(values);
}
END_TEST

START_TEST(the_sink_delivers_whole_taps_and_bounds)
{
    const core_spec spec = small_spec();
    core_tapfile *file = create("sink", &spec, CORE_EXACT, false, true);
    core_tap_sink sink;
    ck_assert_int_eq(core_tapfile_sink(&sink, file, "p0."), CORE_OK);
    double values[B * T * K * D];
    float bound[B * T * K * D];
    for (int i = 0; i < B * T * K * D; i++) {
        values[i] = i;
        bound[i] = (float)i / 2.0F;
    }
    const core_tap recv = {CORE_TAP_RECV, 0};
    ck_assert(sink.wants(sink.self, recv));
    sink.put(sink.self, recv, values, NULL, bound);
    ck_assert_double_eq(at(file, recv, B * T * K - 1, D - 1),
                        B * T * K * D - 1);
    const float *stored = core_tapfile_find(file, "p0.", recv, true)->data;
    ck_assert_double_eq((double)stored[7], 3.5);
    int64_t ints[B * T * K];
    for (int i = 0; i < B * T * K; i++)
        ints[i] = -i;
    const core_tap slot = {CORE_TAP_SLOT, 0};
    sink.put(sink.self, slot, NULL, ints, NULL);
    ck_assert_double_eq(at(file, slot, 2, 1), -5.0);
    free(sink.self);
    core_tapfile_close(file);
}
END_TEST

START_TEST(a_piece_outside_its_tap_aborts)
{
    const core_spec spec = small_spec();
    core_tapfile *file = create("outside", &spec, CORE_FP64, true, false);
    unlink(core_tapfile_path(file)); /* what the abort would leave */
    const double values[D] = {0};
    core_tapfile_put(file, "p0.", (core_tap){CORE_TAP_OUT, 0}, values, NULL, D,
                     NULL, B * T, 1, 0, D);
}
END_TEST

static void check_refused(const char *path, const core_spec *spec,
                          bool coarse_only, const char *fragment)
{
    core_tapfile *file = NULL;
    core_message_clear();
    ck_assert_int_eq(core_tapfile_open(&file, path, spec, coarse_only, false),
                     CORE_E_FORMAT);
    ck_assert_ptr_null(file);
    ck_assert_msg(strstr(core_message(), fragment) != NULL,
                  "message '%s' lacks '%s'", core_message(), fragment);
}

START_TEST(a_file_that_does_not_fit_is_refused)
{
    const core_spec spec = small_spec();
    core_tapfile *file = create("fit", &spec, CORE_EXACT, true, false);
    ck_assert_int_eq(core_tapfile_commit(file), CORE_OK);
    core_tapfile_close(file);
    char path[256];
    snprintf(path, sizeof path, "%s", in_folder("fit"));
    ck_assert_int_eq(core_tapfile_open(&file, path, &spec, true, false),
                     CORE_OK);
    core_tapfile_close(file);
    check_refused(path, &spec, false, ".layers.0.in' is missing");
    core_spec other = spec;
    other.n_v = 12;
    check_refused(path, &other, true,
                  ".logits': expected shape [2,3,12], found [2,3,11]");
    other = spec;
    other.n_l = 3;
    check_refused(path, &other, true, ".layers.2.attn_out' is missing");
    unlink(path);

    const core_st_tensor wrong[] = {{.name = "embed",
                                     .dtype = CORE_DTYPE_I64,
                                     .n_dim = 3,
                                     .shape = {B, T, D}}};
    core_st *st = NULL;
    ck_assert_int_eq(core_st_create(&st, path, wrong, 1, NULL), CORE_OK);
    ck_assert_int_eq(core_st_commit(st), CORE_OK);
    core_st_close(st);
    check_refused(path, &spec, true,
                  "'embed': expected dtype F64 or F32, "
                  "found I64");
    unlink(path);
    ck_assert_int_eq(core_st_create(&st, path, NULL, 0, NULL), CORE_OK);
    ck_assert_int_eq(core_st_commit(st), CORE_OK);
    core_st_close(st);
    check_refused(path, &spec, true, "tap 'embed' is missing");
    unlink(path);
}
END_TEST

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return EXIT_FAILURE;
    Suite *suite = suite_create("core_tapfile");
    TCase *tcase = tcase_create("tapfile");
    tcase_add_test(tcase, every_tap_has_its_place);
    tcase_add_test(tcase, coarse_fp32_files);
    tcase_add_test(tcase, a_switch_layer_has_fewer_taps);
    tcase_add_loop_test(tcase, pieces_land_at_their_global_place, 0, 2);
    tcase_add_test(tcase, threads_write_every_row);
    tcase_add_test(tcase, the_sink_delivers_whole_taps_and_bounds);
    tcase_add_test_raise_signal(tcase, a_piece_outside_its_tap_aborts, 6);
    tcase_add_test(tcase, a_file_that_does_not_fit_is_refused);
    suite_add_tcase(suite, tcase);
    const int status = check_main(suite);
    rmdir(folder);
    return status;
}
