/* tests/unit/test_har_spread.c -- draws tell how much honest roundings make.
 *
 * On a model of every family: each tap that has a bound is drawn, as often as
 * said; in fp32 sums err, in bf16 hardly any element is off by a unit, because
 * the draws store where the reference does and nowhere else.
 */
#include "harness/verify/spread.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { B = 3, T = 9, N = B * T, MAX_TAPS = 256 };

static const core_numerics NUMERICS[] = {CORE_FP32, CORE_BF16};

static core_spec spec;
static core_batch batch;
static core_weights *weights;
static core_tapfile *file;
static char path[64];
static core_tap taps[MAX_TAPS];
static int64_t n_tap;
static har_precision spread[MAX_TAPS];

static void make(int family, core_numerics numerics)
{
    const core_tapfile_part part = {"", B, T, NULL};
    const ref_options options = {
        .n_threads = 1, .weight_budget_bytes = SIZE_MAX, .bounds = true};
    core_tap_sink sink;
    ref_model *model;
    spec = fix_family(family);
    n_tap = core_taps(&spec, taps, MAX_TAPS);
    ck_assert_int_le(n_tap, MAX_TAPS);
    strcpy(path, "/tmp/test_har_spread-XXXXXX");
    close(mkstemp(path));
    ck_assert_int_eq(core_batch_make(&batch, &spec, B, T, 7), CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 3), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, numerics, NULL), CORE_OK);
    ck_assert_int_eq(core_tapfile_create(&file, path, &spec, numerics, false,
                                         true, &part, 1, NULL),
                     CORE_OK);
    ck_assert_int_eq(core_tapfile_sink(&sink, file, ""), CORE_OK);
    ck_assert_int_eq(ref_model_open(&model, &spec, weights, numerics, &options),
                     CORE_OK);
    ck_assert_int_eq(ref_forward(model, &batch, NULL, &sink, NULL), CORE_OK);
    ck_assert_int_eq(
        har_spread_make(spread, model, &spec, numerics, &batch, NULL, file),
        CORE_OK);
    ref_model_close(model);
    free(sink.self);
}

static void drop(void)
{
    core_tapfile_close(file);
    core_weights_close(weights);
    core_batch_free(&batch);
    unlink(path);
}

/* Elements that have a bound above 0. */
static double n_bounded(core_tap tap)
{
    const core_st_tensor *t = core_tapfile_find(file, "", tap, true);
    double n = 0.0, b;
    for (int64_t i = 0; t != NULL && i < t->n; i++) {
        core_st_read(t, i, 1, &b);
        n += b > 0.0 ? 1.0 : 0.0;
    }
    return n;
}

START_TEST(every_tap_is_drawn_and_rounds_as_stated)
{
    const core_numerics numerics = NUMERICS[_i % 2];
    const double n_draw = (double)har_spread_draws(numerics);
    double n_error = 0.0;
    char name[CORE_NAME_BYTES];
    make(_i / 2, numerics);
    for (int64_t i = 0; i < n_tap; i++) {
        const har_precision *s = &spread[i];
        core_tap_name(taps[i], name);
        ck_assert_msg(s->n == n_draw * n_bounded(taps[i]), "%s: %g of %g", name,
                      s->n, n_draw * n_bounded(taps[i]));
        ck_assert_msg(numerics == CORE_FP32 || s->sum_spread <= 0.01 * s->n,
                      "%s: %g of %g", name, s->sum_spread, s->n);
        n_error += s->n_error;
    }
    ck_assert(n_error > 0.0 || numerics == CORE_BF16);
    drop();
}
END_TEST

/* A norm has a number per row, a product has none. */
START_TEST(what_errs_in_common_is_seen)
{
    make(FIX_NORM_ALL, CORE_FP32);
    for (int64_t i = 0; i < n_tap; i++) {
        const har_precision *s = &spread[i];
        const double common = s->sum_sq_gain / s->sum_sq_own;
        if (taps[i].kind == CORE_TAP_ATTN_NORM)
            ck_assert_msg(common > 4.0, "%g", common);
        if (taps[i].kind == CORE_TAP_V)
            ck_assert_msg(common < 1.5, "%g", common);
    }
    drop();
}
END_TEST

START_TEST(numerics_without_floats_have_no_draws)
{
    ck_assert_int_eq(har_spread_draws(CORE_EXACT), 0);
    ck_assert_int_eq(har_spread_draws(CORE_FP64), 0);
    ck_assert_int_ge(har_spread_draws(CORE_FP32), 1);
    ck_assert_int_ge(har_spread_draws(CORE_BF16), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_spread");
    TCase *tcase = tcase_create("spread");
    tcase_set_timeout(tcase, 60.0);
    tcase_add_loop_test(tcase, every_tap_is_drawn_and_rounds_as_stated, 0,
                        2 * FIX_N_FAMILIES);
    tcase_add_test(tcase, what_errs_in_common_is_seen);
    tcase_add_test(tcase, numerics_without_floats_have_no_draws);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
