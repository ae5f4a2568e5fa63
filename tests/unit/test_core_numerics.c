/* test_core_numerics.c -- the fast rounding against rint, and its edges. */
#include "core/base/status.h"
#include "core/numbers/numerics.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4096 };

static const double steps[] = {CORE_STEP_ACT, CORE_STEP_PROB, CORE_STEP_TABLE,
                               1.0,           0x1p-60,        0x1p9};
enum { N_STEPS = sizeof steps / sizeof steps[0] };

/* The bits of both, so that -0.0 is not 0.0. */
static void check_bits(double got, double want, double x)
{
    ck_assert_msg(memcmp(&got, &want, sizeof got) == 0,
                  "snap(%a) = %a, expected %a", x, got, want);
}

/* Uniform in (-1, 1), any exponent of a wide range around the step. */
static double random_value(uint64_t *state, double step)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    const double unit = (double)((int64_t)*state >> 11) * 0x1p-52;
    return ldexp(unit * step, (int)(*state >> 33) % 50 - 3);
}

START_TEST(snap_is_rint_in_steps)
{
    const double step = steps[_i];
    double x[N], want[N];
    uint64_t state = 12345;
    for (int i = 0; i < N; i++) {
        x[i] = random_value(&state, step);
        want[i] = rint(x[i] / step) * step + 0.0;
    }
    double got[N];
    memcpy(got, x, sizeof x);
    core_snap(got, N, step);
    for (int i = 0; i < N; i++)
        check_bits(got[i], want[i], x[i]);
    /* the same beside values that take the slow way, at an odd length */
    memcpy(got, x, sizeof x);
    got[17] = 1e300;
    core_snap(got, N - 1, step);
    for (int i = 0; i < N - 1; i++)
        check_bits(got[i], i == 17 ? 1e300 : want[i], x[i]);
    ck_assert_double_eq(got[N - 1], x[N - 1]);
}
END_TEST

START_TEST(ties_go_to_the_even_multiple)
{
    const double step = steps[_i];
    const double in[] = {0.5,  1.5,   2.5,  -0.5, -1.5,        -2.5,
                         0.75, -0.25, -0.0, 0.0,  0x1p51 - .5, 0x1p51 - 1.5};
    const double out[] = {0, 2, 2, 0, -2, -2, 1, 0, 0, 0, 0x1p51, 0x1p51 - 2};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        double x = in[i] * step;
        core_snap(&x, 1, step);
        check_bits(x, out[i] * step, in[i] * step);
    }
}
END_TEST

START_TEST(large_and_special_values)
{
    const double step = steps[_i];
    const double multiples[] = {0x1p51,   0x1p51 + 1, 0x1p52 - 1, 0x1p52,
                                0x1.8p52, 0x1p53,     0x1p60};
    for (size_t i = 0; i < sizeof multiples / sizeof multiples[0]; i++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            const double x = sign * multiples[i] * step;
            double got = x;
            core_snap(&got, 1, step);
            check_bits(got, x, x);
        }
    }
    double tie[2] = {(0x1p51 + 0.5) * step, (0x1p51 + 1.5) * step};
    core_snap(tie, 2, step);
    check_bits(tie[0], 0x1p51 * step, 0x1p51 + 0.5);
    check_bits(tie[1], (0x1p51 + 2) * step, 0x1p51 + 1.5);

    double x[6] = {(double)NAN, HUGE_VAL, -HUGE_VAL, -0.0, 0.3 * step, 1e300};
    core_snap(x, 6, step);
    ck_assert(isnan(x[0]));
    ck_assert(x[1] == HUGE_VAL && x[2] == -HUGE_VAL);
    check_bits(x[3], 0.0, -0.0);
    check_bits(x[4], 0.0, 0.3 * step);
    check_bits(x[5], 1e300, 1e300);
}
END_TEST

START_TEST(a_step_is_a_power_of_two)
{
    double x = 1.0;
    core_snap(&x, 1, 0.3);
}
END_TEST

START_TEST(storing_depends_on_the_numerics)
{
    double x[3] = {0.1, -1e-9, 1e39};
    core_store(CORE_FP64, CORE_GRID_ACT, x, 3);
    ck_assert_double_eq(x[0], 0.1);
    core_store(CORE_FP32, CORE_GRID_ACT, x, 3);
    ck_assert_double_eq(x[0], (double)0.1F);
    ck_assert_double_eq(x[1], (double)-1e-9F);
    ck_assert(x[2] == HUGE_VAL);
    double act = 0.1, prob = 0.1;
    core_store(CORE_EXACT, CORE_GRID_ACT, &act, 1);
    core_store(CORE_EXACT, CORE_GRID_PROB, &prob, 1);
    ck_assert_double_eq(act, 102.0 / 1024.0);
    ck_assert_double_eq(prob, 104858.0 / 1048576.0);
}
END_TEST

/* Against the conversion of files, on doubles of any bits: their exponents are
 * thrown around the range of the type, their mantissas anywhere and near ties.
 */
START_TEST(a_16_bit_type_is_the_file_type)
{
    static const struct {
        core_numerics numerics;
        core_dtype dtype;
        int cut, least, n_exponent; /* bits that go; of 2^least on            */
    } types[] = {{CORE_BF16, CORE_DTYPE_BF16, 45, -140, 272},
                 {CORE_FP16, CORE_DTYPE_F16, 42, -30, 50}};
    const core_numerics numerics = types[_i].numerics;
    const core_dtype dtype = types[_i].dtype;
    const int cut = types[_i].cut;
    uint64_t state = 1;
    for (int i = 0; i < 200000; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        const uint64_t exponent =
            (uint64_t)(1023 + types[_i].least) +
            state % (uint64_t)types[_i].n_exponent;
        uint64_t mantissa = state >> 12;
        if (i % 3 == 0) /* a tie, or one bit beside it */
            mantissa = (mantissa >> (cut - 1) << cut | UINT64_C(1)
                                                           << (cut - 1)) +
                       (uint64_t)(i % 9 / 3) - 1;
        const uint64_t bits = (state >> 11 & 1) << 63 | exponent << 52 |
                              (mantissa & ((UINT64_C(1) << 52) - 1));
        double x, want;
        uint16_t code;
        memcpy(&x, &bits, sizeof x);
        core_dtype_from_f64(&code, &x, dtype, 1);
        core_dtype_to_f64(&want, &code, dtype, 1);
        double y = x;
        core_store(numerics, CORE_GRID_ACT, &y, 1);
        check_bits(y, want, x);
        core_store(numerics, CORE_GRID_PROB, &y, 1); /* nothing is left */
        check_bits(y, want, x);
    }
}
END_TEST

START_TEST(bf16_by_hand)
{
    /* ties go to even; 1 + 2^-8 + 2^-40 is above one, but its float is not */
    const double in[] = {1.0 + 0x1p-8, 1.0 + 3 * 0x1p-8, 1.0 + 0x1p-8 + 0x1p-40,
                         -0.0,         0x1.fep127,       0x1.ffp127,
                         0x1.8p-133,   0x1p-140};
    const double want[] = {1.0,        1.0 + 0x1p-6, 1.0 + 0x1p-7, -0.0,
                           0x1.fep127, HUGE_VAL,     0x1p-132,     0.0};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        double x = in[i];
        core_store(CORE_BF16, CORE_GRID_ACT, &x, 1);
        check_bits(x, want[i], in[i]);
    }
    double odd[] = {(double)NAN, -HUGE_VAL, 0.1};
    core_store(CORE_BF16, CORE_GRID_ACT, odd, 2);
    ck_assert(isnan(odd[0]) && odd[1] == -HUGE_VAL);
    core_store(CORE_BF16, CORE_GRID_EXP, odd + 2, 1);
    check_bits(odd[2], (double)0.1F, 0.1);
}
END_TEST

START_TEST(roundoffs_belong_to_their_numerics)
{
    for (int i = 0; i < CORE_N_PLAIN_NUMERICS; i++) {
        const core_numerics n = core_numerics_plain(i);
        const bool floats =
            n == CORE_FP32 || n == CORE_BF16 || n == CORE_FP16;
        ck_assert(core_uses_floats(n) == floats);
        ck_assert(core_has_bounds(n) == (floats || n == CORE_FP64));
        ck_assert_double_eq(core_sum_roundoff(n), floats           ? 0x1p-24
                                                  : n == CORE_FP64 ? 0x1p-53
                                                                   : 0.0);
        ck_assert_int_eq(core_numerics_dtype(n),
                         floats ? CORE_DTYPE_F32 : CORE_DTYPE_F64);
    }
    ck_assert_double_eq(core_store_roundoff(CORE_FP32), 0x1p-24);
    ck_assert_double_eq(core_store_roundoff(CORE_BF16), 0x1p-8);
    ck_assert_double_eq(core_store_roundoff(CORE_FP64), 0x1p-53);
    ck_assert_double_eq(core_store_roundoff(CORE_FP16), 0x1p-11);
    ck_assert_double_eq(core_store_error(CORE_FP16, 0.0), 0x1p-24);
    ck_assert_double_eq(core_store_error(CORE_BF16, -2.0),
                        0x1p-6 * (1.0 + 0x1p-8));
}
END_TEST

START_TEST(the_largest_row_norm)
{
    /* 3 rows of 19 in rows of 23: what lies between must not count */
    double x[3 * 23];
    for (int i = 0; i < 3 * 23; i++)
        x[i] = i % 23 < 19 ? 0.0 : 1e9;
    x[23 + 4] = 3.0;
    x[23 + 18] = -4.0;
    x[46] = 4.5;
    ck_assert_double_eq(core_max_row_norm(x, 3, 19, 23), 5.0);
    ck_assert_double_eq(core_max_row_norm(x, 1, 19, 23), 0.0);
    ck_assert_double_eq(core_max_row_norm(x, 0, 19, 23), 0.0);
    for (int c = 0; c < 19; c++)
        x[c] = 1.0;
    ck_assert_double_eq(core_max_row_norm(x, 1, 19, 23), sqrt(19.0));
    for (int at = 0; at < 3 * 23; at += 5) {
        const double kept = x[at];
        x[at] = (double)NAN;
        const double norm = core_max_row_norm(x, 3, 19, 23);
        ck_assert_msg(isnan(norm) == (at % 23 < 19), "nan at %d: %g", at, norm);
        x[at] = kept;
    }
}
END_TEST

START_TEST(the_edge_of_exactness)
{
    ck_assert(core_product_is_exact(0x1p16, 0x1p13, 0x1p-10, 0x1p-14));
    ck_assert(!core_product_is_exact(nextafter(0x1p16, 1e9), 0x1p13, 0x1p-10,
                                     0x1p-14));
    ck_assert(core_product_is_exact(0.0, 5.0, 0x1p-10, 0x1p-14));
    ck_assert(!core_product_is_exact((double)NAN, 1.0, 1.0, 1.0));
    ck_assert(!core_product_is_exact(1.0, (double)NAN, 1.0, 1.0));
    ck_assert(!core_product_is_exact(HUGE_VAL, 1.0, 1.0, 1.0));
    ck_assert(!core_product_is_exact(HUGE_VAL, 0.0, 1.0, 1.0));
}
END_TEST

/* Every numerics that can be said: any type in any slot, sums wide enough. */
START_TEST(every_name_parses_back)
{
    const int n_type = CORE_N_ROUNDINGS - 1, n_slot = CORE_SLOT_ACC;
    int n = 2 * 3; /* of acc, of ctx beside it */
    for (int i = 0; i < n_slot; i++)
        n *= n_type;
    for (int code = 0; code < n; code++) {
        const unsigned acc =
            code % 2 == 0 ? CORE_ROUND_F32 + 0U : CORE_ROUND_F64 + 0U;
        const unsigned ctx[] = {acc, CORE_ROUND_F16, CORE_ROUND_BF16};
        unsigned all = CORE_IN_SLOT(CORE_SLOT_ACC, acc) |
                       CORE_IN_SLOT(CORE_SLOT_CTX, ctx[code / 2 % 3]);
        bool any_f64 = false;
        for (int i = 0, rest = code / 6; i < n_slot; i++, rest /= n_type) {
            const unsigned type = CORE_ROUND_F64 + (unsigned)(rest % n_type);
            any_f64 |= type == CORE_ROUND_F64;
            all |= CORE_IN_SLOT(i, type);
        }
        if (any_f64 && code % 2 == 0)
            continue;
        const core_numerics numerics = (core_numerics)all;
        const core_numerics_text name = core_numerics_name(numerics);
        core_numerics back = CORE_EXACT;
        ck_assert_int_eq(core_numerics_parse(&back, name.text), CORE_OK);
        ck_assert_msg(back == numerics, "%s", name.text);
        ck_assert(strlen(name.text) + 1 < CORE_NUMERICS_BYTES);
        ck_assert_ptr_null(strpbrk(core_numerics_file(name.text).text, "+=/"));
    }
}
END_TEST

static core_numerics parsed(const char *text)
{
    core_numerics out = CORE_EXACT;
    ck_assert_msg(core_numerics_parse(&out, text) == CORE_OK, "%s: %s", text,
                  core_message());
    return out;
}

START_TEST(words_and_names)
{
    for (int i = 0; i < CORE_N_PLAIN_NUMERICS; i++)
        ck_assert_int_eq(parsed(core_numerics_name(core_numerics_plain(i)).text),
                         core_numerics_plain(i));
    for (const core_profile *p = core_profiles; p->name != NULL; p++) {
        ck_assert_int_eq(parsed(p->name), parsed(p->words));
        ck_assert_str_eq(core_numerics_name(parsed(p->words)).text, p->name);
    }
    ck_assert_int_eq(parsed("float32"), CORE_FP32);
    ck_assert_int_eq(parsed("bfloat16"), CORE_BF16);
    ck_assert_int_eq(parsed("half"), CORE_FP16);
    ck_assert_int_eq(parsed("w=bf16"), CORE_BF16);
    ck_assert_int_eq(parsed("w=f64"), CORE_FP64);
    const core_numerics llama =
        parsed("w=bf16+act=bf16+kv=f16+acc=fp32+residual=fp32");
    ck_assert_int_eq(llama, parsed("llama-no-flash"));
    static const core_rounding at[CORE_N_SLOTS] = {
        [CORE_SLOT_W] = CORE_ROUND_BF16,   [CORE_SLOT_ACT] = CORE_ROUND_BF16,
        [CORE_SLOT_OUT] = CORE_ROUND_F32,  [CORE_SLOT_RESIDUAL] = CORE_ROUND_F32,
        [CORE_SLOT_KV] = CORE_ROUND_F16,   [CORE_SLOT_ROUTER] = CORE_ROUND_F32,
        [CORE_SLOT_QP] = CORE_ROUND_F16,   [CORE_SLOT_CTX] = CORE_ROUND_F32,
        [CORE_SLOT_PROB] = CORE_ROUND_F32, [CORE_SLOT_ACC] = CORE_ROUND_F32};
    for (int i = 0; i < CORE_N_SLOTS; i++)
        ck_assert_int_eq(core_numerics_at(llama, (core_slot)i), at[i]);
    /* what is refined counts before what is left out is filled in */
    const core_numerics f16 = parsed("llama-default+w=f16");
    ck_assert_int_eq(core_numerics_at(f16, CORE_SLOT_ACT), CORE_ROUND_F16);
    ck_assert_int_eq(f16, parsed("llama-f16"));
    ck_assert_str_eq(core_numerics_name(parsed("bf16+residual=fp32")).text,
                     "w=bf16+residual=fp32");
    ck_assert_str_eq(
        core_numerics_file("w=bf16+residual=fp32").text, "w-bf16_residual-fp32");
}
END_TEST

START_TEST(words_that_are_none)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"fp8", "found 'fp8'"},
        {"", "found ''"},
        {"llama+w=f16", "found 'llama'"},
        {"w=bf16+cache=f16", "'cache=f16' is no slot=type"},
        {"w=bf16+kv", "'kv' is no slot=type"},
        {"w=bf16+kv=q8", "'q8' of 'kv=q8'"},
        {"w=bf16+kv=", "'' of 'kv='"},
        {"w=bf16+kv=f16+kv=f16", "kv is stated twice"},
        {"w=bf16+acc=f16", "acc is fp32 or fp64"},
        {"kv=f16", "states no w"},
        {"bf16+", "'' is no slot=type"},
        {"w=fp32+residual=fp64+acc=fp32", "needs acc=fp64"},
        {"w=fp32+ctx=fp64", "ctx is fp16, bf16 or as acc"},
        {"exact+w=bf16", "found 'exact'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        core_numerics unchanged = CORE_FP64;
        core_message_clear();
        ck_assert_int_eq(core_numerics_parse(&unchanged, bad[i].text),
                         CORE_E_USAGE);
        ck_assert_msg(strstr(core_message(), bad[i].says) != NULL, "%s: %s",
                      bad[i].text, core_message());
        ck_assert_int_eq(unchanged, CORE_FP64);
    }
}
END_TEST

START_TEST(slots_of_a_numerics)
{
    const core_numerics n = parsed("llama-no-flash");
    ck_assert_int_eq(core_numerics_of(n, CORE_SLOT_W), CORE_BF16);
    ck_assert_int_eq(core_numerics_of(n, CORE_SLOT_KV), CORE_FP16);
    ck_assert_int_eq(core_numerics_of(n, CORE_SLOT_RESIDUAL), CORE_FP32);
    ck_assert(core_rounds_again(n, CORE_SLOT_ACT));
    ck_assert(core_rounds_again(n, CORE_SLOT_KV));
    ck_assert(!core_rounds_again(n, CORE_SLOT_ROUTER));
    for (int i = 0; i < CORE_N_PLAIN_NUMERICS; i++)
        for (int slot = 0; slot < CORE_N_SLOTS; slot++)
            ck_assert(!core_rounds_again(core_numerics_plain(i),
                                         (core_slot)slot));
    ck_assert_double_eq(core_store_roundoff(n), 0x1p-24);
    ck_assert_double_eq(core_coarsest_roundoff(n), 0x1p-8);
    ck_assert(core_uses_floats(n));
    ck_assert(!core_uses_floats(parsed("w=bf16+acc=fp64")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_numerics");
    TCase *tcase = tcase_create("numerics");
    tcase_add_loop_test(tcase, snap_is_rint_in_steps, 0, N_STEPS);
    tcase_add_loop_test(tcase, ties_go_to_the_even_multiple, 0, N_STEPS);
    tcase_add_loop_test(tcase, large_and_special_values, 0, N_STEPS);
    tcase_add_test_raise_signal(tcase, a_step_is_a_power_of_two, 6);
    tcase_add_test(tcase, storing_depends_on_the_numerics);
    tcase_add_loop_test(tcase, a_16_bit_type_is_the_file_type, 0, 2);
    tcase_add_test(tcase, bf16_by_hand);
    tcase_add_test(tcase, roundoffs_belong_to_their_numerics);
    tcase_add_test(tcase, the_largest_row_norm);
    tcase_add_test(tcase, the_edge_of_exactness);
    tcase_add_test(tcase, slots_of_a_numerics);
    tcase_add_test(tcase, every_name_parses_back);
    tcase_add_test(tcase, words_and_names);
    tcase_add_test(tcase, words_that_are_none);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
