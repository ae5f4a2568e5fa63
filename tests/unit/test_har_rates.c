/* tests/unit/test_har_rates.c -- what calibrate measured, and what is made of it.
 *
 * Rates are planted: products at a known speed, operators that take a known time
 * per row and value.  What is planted has to come back, through the fit and
 * through a file; a file that lost a number has to be refused.
 */
#include "harness/perf/calibrate/check.h"
#include "harness/perf/calibrate/cpuinfo.h"
#include "harness/perf/calibrate/probe.h"
#include "harness/perf/calibrate/rates_fit.h"
#include "harness/perf/machine/machine.h"
#include "harness/perf/machine/rates_file.h"
#include "harness/perf/score/spread.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const har_residency NEAR = {0, 0};

static void near(double found, double expected, double relative)
{
    ck_assert_msg(fabs(found - expected) <= relative * fabs(expected),
                  "found %.9g, expected %.9g", found, expected);
}

/* Rates of products that grow with m alone: m GFLOP/s. */
static void plant_products(har_rates *rates, int which)
{
    const int of_m = HAR_GRID_NK * HAR_GRID_NK;
    for (int i = 0; i < HAR_GRID_SIZE; i++)
        rates->log_rate[which][i] = log(1e9 * har_grid_m(i / of_m));
    for (int i = 0; i < HAR_GRID_M; i++)
        rates->miss[which][i] = 1e-9 * (i + 1);
    rates->n_product[which] = HAR_GRID_SIZE;
    rates->far_from = 1000;
}

/* --- products --- */

START_TEST(a_product_lies_between_the_points_of_the_grid)
{
    static har_rates r;
    plant_products(&r, 0);
    near(har_rates_product(&r, CORE_DTYPE_F64, 8, 16, 32, 0),
         2.0 * 8 * 16 * 32 / 8e9, 1e-12);
    /* between 8 and 16 rows: the rate's logarithm half way is sqrt(8 * 16) */
    const double m = sqrt(8.0 * 16.0);
    near(har_rates_product(&r, CORE_DTYPE_F64, m, 100, 100, 0),
         2 * m * 100 * 100 / (1e9 * m), 1e-12);
    /* beyond the grid at the rate of the edge */
    near(har_rates_product(&r, CORE_DTYPE_F64, 4096, 1, 9999, 0),
         2.0 * 4096 * 9999 / 1024e9, 1e-12);
}
END_TEST

START_TEST(weights_from_memory_take_longer)
{
    static har_rates r;
    plant_products(&r, 0);
    const double hot = har_rates_product(&r, CORE_DTYPE_F64, 4, 64, 64, 0);
    const double half = har_rates_product(&r, CORE_DTYPE_F64, 4, 64, 64, 0.5);
    near(half - hot, 0.5 * 3e-9 * 64 * 64, 1e-9);
    near(har_rates_miss(8e6, 16e6), 0, 0);
    near(har_rates_miss(16e6, 16e6), 0.5, 1e-12);
    near(har_rates_miss(1e9, 16e6), 1, 0);
}
END_TEST

/* --- numbers --- */

START_TEST(noise_is_the_middle_and_the_ninetieth_of_a_hundred)
{
    double apart[101];
    for (int i = 0; i < 101; i++)
        apart[i] = (i * 37 + 5) % 101; /* 0 .. 100, each once */
    const har_noise noise = har_noise_of(apart, 101);
    near(noise.median, 50, 0);
    near(noise.p90, 90, 0);
    ck_assert_int_eq(noise.n, 101);
}
END_TEST

START_TEST(noise_of_nothing_reads_nothing)
{
    const har_noise noise = har_noise_of(NULL, 0);
    ck_assert_int_eq(noise.n, 0);
    ck_assert(noise.median == 0 && noise.p90 == 0);
}
END_TEST

/* --- records --- */

START_TEST(the_amounts_of_a_grouped_product_by_hand)
{
    static har_rates r;
    double a[HAR_N_FEATURE];
    plant_products(&r, 1);
    /* 3 experts with 10 rows: 4, and 3 each */
    const core_cost c = {.kind = CORE_COST_GROUPED_GEMM,
                         .m = 10, .n = 8, .k = 16,
                         .n_expert = 3, .m_max = 4,
                         .weights = 3 * 8 * 16, .read = 160, .written = 80};
    har_rates_amounts(&r, CORE_DTYPE_F32, &c, &NEAR, a);
    near(a[HAR_FEATURE_PRODUCT], 3 * 2.0 * 8 * 16 / 1e9, 1e-12);
    near(a[HAR_FEATURE_CALL], 3, 0);
    near(a[HAR_FEATURE_VALUE], 240, 0);
    near(a[HAR_FEATURE_FAR], 0, 0);
    near(a[HAR_FEATURE_WEIGHT], 0, 0); /* they are in the product */
    const har_residency after = {.before = 900};
    har_rates_amounts(&r, CORE_DTYPE_F32, &c, &after, a);
    near(a[HAR_FEATURE_FAR], 140, 1e-12);
}
END_TEST

START_TEST(the_amounts_of_attention_by_hand)
{
    static har_rates r;
    double a[HAR_N_FEATURE];
    plant_products(&r, 0);
    /* 2 rows of 96 tokens, 3 heads of 8: blocks of 64 and 32 queries */
    const core_cost c = {.kind = CORE_COST_ATTENTION, .m = 192, .n = 96,
                         .k = 8, .n_head = 3, .n_pair = 77};
    har_rates_amounts(&r, CORE_DTYPE_F64, &c, &NEAR, a);
    near(a[HAR_FEATURE_CALL], 2 * 3 * 2, 0);
    near(a[HAR_FEATURE_PAIR], 77, 0);
    near(a[HAR_FEATURE_PRODUCT],
         6 * 2 * (2.0 * 64 * 8 / 1e9 + 2.0 * 96 * 8 / 1e9), 1e-9);
}
END_TEST

/* --- classes --- */

static har_rate_class class_of(core_cost_kind kind, const char *op,
                               core_tap_kind tap, int64_t weights)
{
    static core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    const core_cost c = {
        .kind = kind, .op = op, .tap = {tap, 3}, .weights = weights};
    return har_rate_class_of(&spec, &c);
}

START_TEST(a_class_has_a_name_and_is_found_by_it)
{
    const har_rate_class all[] = {
        class_of(CORE_COST_GEMM, "qkv", CORE_TAP_Q, 9),
        class_of(CORE_COST_GROUPED_GEMM, "expert", CORE_TAP_EXPERT_UP, 9),
        class_of(CORE_COST_ATTENTION, "attention", CORE_TAP_CONTEXT, 0),
        class_of(CORE_COST_ELEMENTWISE, "expert", CORE_TAP_EXPERT_ACT, 0),
        class_of(CORE_COST_ELEMENTWISE, "router", CORE_TAP_SLOT, 0),
        class_of(CORE_COST_ELEMENTWISE, "norm", CORE_TAP_FINAL_NORM, 9),
        class_of(CORE_COST_ELEMENTWISE, "dispatch", CORE_TAP_RECV, 0)};
    static const char *const names[] = {"gemm",
                                        "grouped gemm",
                                        "attention",
                                        "expert moe.act gelu",
                                        "router moe.slot softmax",
                                        "norm final_norm weights",
                                        "dispatch moe.recv"};
    char name[HAR_RATE_NAME];
    har_rate_class back;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        ck_assert_str_eq(har_rate_class_name(&all[i], name), names[i]);
        ck_assert(har_rate_class_parse(&back, names[i]));
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
            ck_assert_int_eq(har_rate_class_is(&back, &all[k]), i == k);
    }
}
END_TEST

START_TEST(a_name_of_no_class_is_refused)
{
    static const char *const names[] = {
        "",          "gem",
        "norm",      "norm nowhere",
        "expert moe.act", /* of which function? */
        "expert moe.act softmax", "norm attn.norm gelu",
        "norm attn.norm weights weights",
        "norm attn.norm weights and more"};
    har_rate_class out;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        ck_assert_msg(!har_rate_class_parse(&out, names[i]), "'%s'", names[i]);
}
END_TEST

/* --- the fit --- */

enum { N_SAMPLE = 40 };

/* 5 us + 20 ns a row + 0.5 ns a value, and 2 ns a value that came from far. */
static void plant_samples(har_rate_sample *s, double lie)
{
    for (int i = 0; i < N_SAMPLE; i++) {
        const int64_t m = 3 + i * i, n = 7 + 11 * (i % 5);
        s[i] = (har_rate_sample){
            .of = class_of(CORE_COST_ELEMENTWISE, "dispatch", CORE_TAP_RECV, 0),
            .dtype = CORE_DTYPE_F64,
            .cost = {.kind = CORE_COST_ELEMENTWISE, .op = "dispatch",
                     .m = m, .n = n, .read = m * n, .written = m * n}};
        const double values = 2.0 * (double)(m * n);
        s[i].seconds = 5e-6 + 20e-9 * (double)m + 0.5e-9 * values +
                       2e-9 * fmax(0, values - 4000);
        if (i % 10 == 9)
            s[i].seconds *= lie;
    }
}

START_TEST(planted_rates_come_back)
{
    static har_rates r;
    har_rate_sample s[N_SAMPLE];
    plant_samples(s, 1);
    ck_assert_int_eq(har_rates_fit(&r, s, N_SAMPLE, 1000), CORE_OK);
    ck_assert_int_eq(r.n, 1);
    near(r.far_from, 4000, 0); /* 1000 doubled twice */
    for (int i = 0; i < N_SAMPLE; i++)
        near(har_rates_seconds(&r, &r.rate[0], &s[i].cost, &NEAR),
             s[i].seconds, 0.01);
    ck_assert(r.rate[0].sigma < 0.01);
}
END_TEST

START_TEST(one_wrong_measurement_in_ten_does_not_move_the_fit)
{
    static har_rates r;
    har_rate_sample s[N_SAMPLE], honest[N_SAMPLE];
    plant_samples(s, 3);
    plant_samples(honest, 1);
    ck_assert_int_eq(har_rates_fit(&r, s, N_SAMPLE, 4000), CORE_OK);
    for (int i = 0; i < N_SAMPLE; i++)
        near(har_rates_seconds(&r, &r.rate[0], &s[i].cost, &NEAR),
             honest[i].seconds, 0.05);
}
END_TEST

START_TEST(five_samples_are_too_few)
{
    static har_rates r;
    har_rate_sample s[N_SAMPLE];
    plant_samples(s, 1);
    ck_assert_int_eq(har_rates_fit(&r, s, 5, 1000), CORE_OK);
    ck_assert_int_eq(r.n, 0);
    ck_assert_int_eq(har_rates_fit(&r, s, 6, 1000), CORE_OK);
    ck_assert_int_eq(r.n, 1);
}
END_TEST

/* --- files --- */

/* A preset with planted rates, as text; the caller frees it. */
static char *text_of(void)
{
    static har_machine m;
    char *text = NULL;
    size_t n = 0;
    ck_assert_int_eq(har_machine_open(&m, "a100-sxm"), CORE_OK);
    plant_products(&m.rates, 0);
    m.rates.n = 2;
    m.rates.rate[0] = (har_rate){
        .of = class_of(CORE_COST_GEMM, "qkv", CORE_TAP_Q, 9),
        .dtype = CORE_DTYPE_F64, .sigma = 0.125,
        .amount = {[HAR_FEATURE_START] = 1e-6, [HAR_FEATURE_PRODUCT] = 1.5}};
    m.rates.rate[1] = (har_rate){
        .of = class_of(CORE_COST_ELEMENTWISE, "norm", CORE_TAP_ATTN_NORM, 9),
        .dtype = CORE_DTYPE_F64, .sigma = 0.25,
        .amount = {[HAR_FEATURE_VALUE] = 3e-9, [HAR_FEATURE_CALL] = 2e-6}};
    FILE *out = open_memstream(&text, &n);
    ck_assert_ptr_nonnull(out);
    fputs("machine: planted\n", out);
    har_machine_print(out, &m);
    fclose(out);
    return text;
}

START_TEST(a_file_says_what_was_written)
{
    static har_machine m;
    char *text = text_of();
    ck_assert_msg(har_machine_parse(&m, text, "f") == CORE_OK, "%s",
                  core_message());
    ck_assert_int_eq(m.rates.n, 2);
    ck_assert_int_eq(m.rates.n_product[0], HAR_GRID_SIZE);
    ck_assert_int_eq(m.rates.n_product[1], 0);
    near(m.rates.far_from, 1000, 0);
    near(m.rates.miss[0][10], 11e-9, 1e-9);
    near(m.rates.rate[0].amount[HAR_FEATURE_PRODUCT], 1.5, 0);
    near(m.rates.rate[1].amount[HAR_FEATURE_VALUE], 3e-9, 1e-12);
    near(m.rates.rate[1].amount[HAR_FEATURE_CALL], 2e-6, 1e-12);
    near(m.rates.rate[1].sigma, 0.25, 0);
    near(har_time_gemm(&m, CORE_DTYPE_F64, 8, 16, 32).seconds,
         2.0 * 8 * 16 * 32 / 8e9, 1e-3);
    free(text);
}
END_TEST

/* The text with `from` replaced by `to` is refused with `expected`. */
static void refuse(const char *from, const char *to, const char *expected)
{
    static har_machine m;
    char *text = text_of(), *changed = NULL;
    size_t n = 0;
    char *at = strstr(text, from);
    ck_assert_msg(at != NULL, "no '%s'", from);
    FILE *out = open_memstream(&changed, &n);
    fprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    fclose(out);
    core_message_clear();
    ck_assert_int_eq(har_machine_parse(&m, changed, "f"), CORE_E_FORMAT);
    ck_assert_msg(strstr(core_message(), expected) != NULL,
                  "expected '%s' in '%s'", expected, core_message());
    free(changed);
    free(text);
}

/* What no machine should show and some do: what is printed is read again. */
START_TEST(odd_numbers_are_kept_within_what_a_file_may_have)
{
    static har_machine m, back;
    char *text = text_of(), *odd = NULL;
    size_t n = 0;
    ck_assert_int_eq(har_machine_parse(&m, text, "f"), CORE_OK);
    free(text);
    m.memory_bytes = -4096; /* sysconf knows nothing */
    m.unit_bytes_per_clock = 0.01;
    m.clock_hz = 1e3;
    m.l2_bytes = 0;
    m.memory_bw = (double)NAN;
    m.peak[CORE_DTYPE_F32] = HUGE_VAL;
    m.link[0].bw = 0;
    m.coef[HAR_COEF_HOST].value = 1e9;
    m.sigma[HAR_COLLECTIVE].value = 11;
    m.rates.log_rate[0][5] = HUGE_VAL;
    m.rates.miss[0][3] = (double)NAN;
    m.rates.rate[0].sigma = 1e-9;
    m.rates.rate[1].amount[HAR_FEATURE_VALUE] = 1e9;
    har_machine_clamp(&m);
    FILE *out = open_memstream(&odd, &n);
    ck_assert_ptr_nonnull(out);
    fputs("machine: odd\n", out);
    har_machine_print(out, &m);
    fclose(out);
    ck_assert_msg(har_machine_parse(&back, odd, "odd") == CORE_OK, "%s",
                  core_message());
    near(back.memory_bytes, 1e8, 1e-9);
    near(back.memory_bw, 1e8, 1e-9);
    near(back.peak[CORE_DTYPE_F32], 1e18, 1e-9);
    near(back.sigma[HAR_COLLECTIVE].value, 10, 0);
    near(back.peak[CORE_DTYPE_F64], m.peak[CORE_DTYPE_F64], 1e-4); /* as was */
    free(odd);
}
END_TEST

/* The name that a text like /proc/cpuinfo has. */
static const char *name_in(char *text, char name[32])
{
    FILE *in = fmemopen(text, strlen(text), "r");
    ck_assert_ptr_nonnull(in);
    (void)har_cpuinfo_value(name, 32, in, "model name");
    fclose(in);
    return name;
}

START_TEST(a_processor_is_found_by_its_key)
{
    char one[] = "model\t\t: 1\nmodel name\t: Big Core @ 2GHz\nmodel name: 2\n";
    char arm[] = "processor 0\nBogoMIPS 50\n", bare[] = "model name :";
    char none[] = "model name\n", odd[] = "model name: a\tb\xc3\xa9\n",
         name[32];
    char longer[] = "model name : 0123456789012345678901234567890123456789";
    ck_assert_str_eq(name_in(one, name), "Big Core @ 2GHz");
    ck_assert_str_eq(name_in(arm, name), "");
    ck_assert_str_eq(name_in(none, name), "");
    ck_assert_str_eq(name_in(bare, name), "");
    ck_assert_str_eq(name_in(odd, name), "a?b??");
    ck_assert_str_eq(name_in(longer, name), "0123456789012345678901234567890");
    ck_assert(!har_cpuinfo_value(name, sizeof name, NULL, "model name"));
    har_cpuinfo_name(name, sizeof name);
    ck_assert(name[0] != '\0');
    ck_assert(har_cpuinfo_hz() > 1e6);
}
END_TEST

START_TEST(a_cache_has_a_size_in_words_of_the_kernel)
{
    near(har_cpuinfo_size("32768K\n"), 33554432, 0);
    near(har_cpuinfo_size("48M"), 50331648, 0);
    static const char *const none[] = {"", "K", "12", "-1K", "0K", "1G", "1Kx"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        ck_assert_msg(har_cpuinfo_size(none[i]) == 0, "'%s'", none[i]);
    ck_assert(har_cpuinfo_cache_bytes() >= 0);
}
END_TEST

START_TEST(a_processor_may_be_called_what_it_likes)
{
    static const char *const names[] = {"Plain 1", "Odd's: CPU # 3", "- {a: [b",
                                        "\"x\" \\ 'y'", "%d &a *b !c |"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        static har_machine m;
        char *text = text_of(), *about = NULL;
        size_t n = 0;
        FILE *out = open_memstream(&about, &n);
        ck_assert_ptr_nonnull(out);
        har_cpuinfo_about(out, names[i], "2026-01-02T03:04:05Z");
        fputs(text, out);
        fclose(out);
        ck_assert_msg(har_machine_parse(&m, about, "f") == CORE_OK, "%s: %s",
                      names[i], core_message());
        ck_assert_str_eq(m.name, "planted");
        free(about);
        free(text);
    }
}
END_TEST

START_TEST(a_damaged_file_is_refused)
{
    refuse("  f64: [1, ", "  f64: [",
           "products.f64: expected 1100 rates, found 1099");
    refuse("  f64: [1, ", "  f64: [1, 1, ", "expected 1100 numbers");
    refuse("  f64: [1, ", "  f64: [nan, ", "a number from");
    refuse("  f64: [1, ", "  f16: [1, ", "f64, f32, miss_f64");
    refuse("  far_from: 1000 ", "  far_from: 0 ", "far_from: expected");
    refuse("  miss_f64: [1,", "  miss_f64: [1, 1,", "11 numbers");
    refuse("  miss_f64: [1,", "  miss_f64: [",
           "products.miss_f64: expected 11 numbers, found 10");
    refuse("  miss_f64: [1,", "  miss_f64: [[1, 1],", "far_from, or f64");
    refuse("  miss_f64: [1,", "  miss_f16: [1,", "far_from, or f64");
    refuse("operator: norm attn.norm weights", "operator: gemm",
           "operators[1]: gemm f64: given twice");
    refuse("operator: gemm", "operator: gem", "gemm, grouped gemm, attention");
    refuse("dtype: f64, start", "dtype: f16, start", "f64 or f32");
    refuse("dtype: f64, start", "dtype: f32, start", "rates for every dtype");
    refuse("start_us: 1,", "start_us: -1,", "a number from 0");
    refuse("start_us: 1,", "start_ms: 1,", "unknown key");
    refuse(", sigma: 0.125", "", "operators[0]: expected operator, dtype");
}
END_TEST

START_TEST(a_machine_without_rates_is_no_calibration)
{
    static har_machine m;
    core_message_clear();
    ck_assert_int_eq(har_check_open(&m, "a100-sxm"), CORE_E_INPUT);
    ck_assert_ptr_nonnull(strstr(core_message(), "operators: expected"));
}
END_TEST

/* --- files of the run folder --- */

/* A file of this name in a folder of the test; caller frees. */
static char *new_file(const void *bytes, size_t n)
{
    char *path = strdup("/tmp/test_har_rates_XXXXXX");
    ck_assert_ptr_nonnull(path);
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* All bytes of a saved calibration; the caller frees. */
static char *saved(const har_calibration *c, size_t *n)
{
    char *path = new_file("", 0), *bytes = calloc(1, 1 << 20);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(har_calibration_save(c, path), CORE_OK);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    *n = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    unlink(path);
    free(path);
    return bytes;
}

static core_status load_bytes(har_calibration *out, const void *bytes, size_t n)
{
    char *path = new_file(bytes, n);
    core_message_clear();
    const core_status status = har_calibration_load(out, path);
    unlink(path);
    free(path);
    return status;
}

static void plant_calibration(har_calibration *c)
{
    const har_op_shape shape = {.kind = HAR_GEMM, .as.gemm = {1, 2, 3}};
    *c = (har_calibration){
        .copy_bw = 5, .samples = strdup("  - [a, 1]\n"), .n_samples = 11};
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(har_calibration_add(c, &shape, 0.5 * i), CORE_OK);
}

START_TEST(a_calibration_comes_back_from_its_file_and_grows)
{
    static har_calibration c, back;
    size_t n = 0;
    plant_calibration(&c);
    char *bytes = saved(&c, &n);
    ck_assert_int_eq(load_bytes(&back, bytes, n), CORE_OK);
    ck_assert_int_eq(back.n_row, 300);
    near(back.row[299].seconds, 149.5, 0);
    ck_assert_str_eq(back.samples, "  - [a, 1]\n");
    const har_op_shape shape = back.row[0].shape;
    ck_assert_int_eq(har_calibration_add(&back, &shape, 7), CORE_OK);
    near(back.row[300].seconds, 7, 0);
    har_calibration_free(&back);
    har_calibration_free(&c);
    free(bytes);
}
END_TEST

START_TEST(a_calibration_that_is_cut_or_lies_is_refused)
{
    static har_calibration c;
    har_calibration back = {.n_row = 77}, *head;
    size_t n = 0;
    plant_calibration(&c);
    char *bytes = saved(&c, &n);
    const size_t cut[] = {0, 8, sizeof c - 1, sizeof c, n - 12, n - 1};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++)
        ck_assert_int_eq(load_bytes(&back, bytes, cut[i]), CORE_E_FILE);
    ck_assert_int_eq(load_bytes(&back, bytes, n + 1), CORE_E_FILE);
    head = (har_calibration *)(void *)bytes;
    head->n_row = -1;
    ck_assert_int_eq(load_bytes(&back, bytes, n), CORE_E_FILE);
    head->n_row = INT64_MAX / 2;
    ck_assert_int_eq(load_bytes(&back, bytes, n), CORE_E_FILE);
    head->n_row = 300;
    head->rates.n = HAR_MAX_RATES + 1;
    ck_assert_int_eq(load_bytes(&back, bytes, n), CORE_E_FILE);
    head->rates.n = 0;
    head->n_samples = SIZE_MAX;
    ck_assert_int_eq(load_bytes(&back, bytes, n), CORE_E_FILE);
    ck_assert(back.n_row == 77 && back.row == NULL);
    har_calibration_free(&c);
    free(bytes);
}
END_TEST

START_TEST(scores_come_back_whole_or_not_at_all)
{
    static har_check check, back;
    check = (har_check){.n_line = 2, .n_plan = 1, .line[1] = {.n = 9}};
    for (int extra = 0; extra < 3; extra++) {
        char *path = new_file(&check, sizeof check);
        if (extra == 1)
            check.n_plan = HAR_CHECK_PLANS + 1;
        ck_assert_int_eq(har_check_save(&check, path), CORE_OK);
        if (extra == 2)
            ck_assert_int_eq(truncate(path, sizeof check - 1), 0);
        ck_assert_int_eq(har_check_load(&back, path),
                         extra == 0 ? CORE_OK : CORE_E_FILE);
        check.n_plan = 1;
        ck_assert(back.n_line == 2 && back.n_plan == 1 && back.line[1].n == 9);
        unlink(path);
        free(path);
    }
}
END_TEST

/* --- probes --- */

START_TEST(every_probe_is_a_model_and_no_two_are_alike)
{
    har_probe probe[160];
    for (int i = 0; i < 160; i++)
        ck_assert_msg(har_probe_make(&probe[i], i) == CORE_OK, "probe %d: %s",
                      i, core_message());
    for (int i = 0; i < 160; i++)
        for (int k = 0; k < i; k++)
            ck_assert(probe[i].spec.n_d != probe[k].spec.n_d ||
                      probe[i].spec.n_f != probe[k].spec.n_f ||
                      probe[i].n_t != probe[k].n_t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rates");
    TCase *rates = tcase_create("rates");
    tcase_add_test(rates, a_product_lies_between_the_points_of_the_grid);
    tcase_add_test(rates, weights_from_memory_take_longer);
    tcase_add_test(rates, noise_is_the_middle_and_the_ninetieth_of_a_hundred);
    tcase_add_test(rates, noise_of_nothing_reads_nothing);
    tcase_add_test(rates, the_amounts_of_a_grouped_product_by_hand);
    tcase_add_test(rates, the_amounts_of_attention_by_hand);
    tcase_add_test(rates, a_class_has_a_name_and_is_found_by_it);
    tcase_add_test(rates, a_name_of_no_class_is_refused);
    tcase_add_test(rates, planted_rates_come_back);
    tcase_add_test(rates, one_wrong_measurement_in_ten_does_not_move_the_fit);
    tcase_add_test(rates, five_samples_are_too_few);
    tcase_add_test(rates, a_file_says_what_was_written);
    tcase_add_test(rates, odd_numbers_are_kept_within_what_a_file_may_have);
    tcase_add_test(rates, a_processor_is_found_by_its_key);
    tcase_add_test(rates, a_cache_has_a_size_in_words_of_the_kernel);
    tcase_add_test(rates, a_processor_may_be_called_what_it_likes);
    tcase_add_test(rates, a_damaged_file_is_refused);
    tcase_add_test(rates, a_calibration_comes_back_from_its_file_and_grows);
    tcase_add_test(rates, a_calibration_that_is_cut_or_lies_is_refused);
    tcase_add_test(rates, scores_come_back_whole_or_not_at_all);
    tcase_add_test(rates, a_machine_without_rates_is_no_calibration);
    tcase_add_test(rates, every_probe_is_a_model_and_no_two_are_alike);
    suite_add_tcase(suite, rates);
    return check_main(suite);
}
