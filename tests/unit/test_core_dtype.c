/* test_core_dtype.c -- every code of the small floats against the definition
 * sign * 2^(exponent - bias) * (1 + mantissa), and rounding at every midpoint.
 */
#include "core/numbers/dtype.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double defined(unsigned code, int n_exp, int n_man)
{
    const int bias = (1 << (n_exp - 1)) - 1;
    const int exponent = (int)(code >> n_man) & ((1 << n_exp) - 1);
    const double fraction =
        ldexp((double)(code & ((1U << n_man) - 1U)), -n_man);
    const double sign = (code >> (n_exp + n_man)) != 0 ? -1.0 : 1.0;
    if (exponent == (1 << n_exp) - 1)
        return fraction == 0.0 ? sign * (double)INFINITY : (double)NAN;
    return exponent == 0 ? sign * ldexp(fraction, 1 - bias)
                         : sign * ldexp(1.0 + fraction, exponent - bias);
}

static void check_same(double got, double want, unsigned code)
{
    if (isnan(want))
        ck_assert_msg(isnan(got), "code %x: %a, expected nan", code, got);
    else
        ck_assert_msg(got == want && !signbit(got) == !signbit(want),
                      "code %x: %a, expected %a", code, got, want);
}

typedef struct small_float {
    core_dtype dtype;
    int n_exp, n_man;
} small_float;

static const small_float halves[] = {{CORE_DTYPE_F16, 5, 10},
                                     {CORE_DTYPE_BF16, 8, 7}};

START_TEST(every_16_bit_code_has_its_defined_value)
{
    const small_float f = halves[_i];
    for (unsigned code = 0; code <= 0xffffU; code++) {
        const uint16_t in = (uint16_t)code;
        double got;
        core_dtype_to_f64(&got, &in, f.dtype, 1);
        const double want = defined(code, f.n_exp, f.n_man);
        check_same(got, want, code);
        uint16_t back;
        core_dtype_from_f64(&back, &want, f.dtype, 1);
        if (isnan(want)) {
            core_dtype_to_f64(&got, &back, f.dtype, 1);
            ck_assert(isnan(got));
        } else {
            ck_assert_uint_eq(back, in);
        }
    }
}
END_TEST

static uint16_t narrowed(double x, core_dtype dtype)
{
    uint16_t code;
    core_dtype_from_f64(&code, &x, dtype, 1);
    return code;
}

START_TEST(midpoints_go_to_the_even_code)
{
    const small_float f = halves[_i];
    const unsigned infinity = (0x7fffU >> f.n_man) << f.n_man;
    for (unsigned code = 0; code < infinity; code++) {
        const double lower = defined(code, f.n_exp, f.n_man);
        const double upper =
            code + 1 < infinity
                ? defined(code + 1, f.n_exp, f.n_man)
                : ldexp(1.0, 1 << (f.n_exp - 1)); /* where infinity begins */
        const double middle = lower + (upper - lower) / 2;
        const unsigned even = code + (code & 1U);
        ck_assert_uint_eq(narrowed(middle, f.dtype), even);
        ck_assert_uint_eq(narrowed(-middle, f.dtype), even | 0x8000U);
        /* an ulp of a double beside the tie: through float it would be lost */
        ck_assert_uint_eq(narrowed(nextafter(middle, 0.0), f.dtype), code);
        ck_assert_uint_eq(narrowed(nextafter(middle, HUGE_VAL), f.dtype),
                          code + 1);
    }
    ck_assert_uint_eq(narrowed(1e300, f.dtype), infinity);
    ck_assert_uint_eq(narrowed(-HUGE_VAL, f.dtype), infinity | 0x8000U);
    ck_assert_uint_eq(narrowed(5e-324, f.dtype), 0);
    ck_assert_uint_eq(narrowed(-5e-324, f.dtype), 0x8000U);
}
END_TEST

START_TEST(every_8_bit_float_code_has_its_defined_value)
{
    for (unsigned code = 0; code <= 0xffU; code++) {
        const uint8_t in = (uint8_t)code;
        double got;
        core_dtype_to_f64(&got, &in, CORE_DTYPE_F8_E5M2, 1);
        check_same(got, defined(code, 5, 2), code);
        core_dtype_to_f64(&got, &in, CORE_DTYPE_F8_E4M3, 1);
        const double sign = code > 0x7fU ? -1.0 : 1.0;
        const unsigned low = code & 0x7fU;
        double want = defined(code, 4, 3);
        if (low >= 0x78U) /* no infinity: the top exponent is a normal one */
            want = low == 0x7fU ? (double)NAN
                                : sign * 256.0 * (1.0 + (low & 7U) / 8.0);
        check_same(got, want, code);
    }
    ck_assert(core_dtype_is_float(CORE_DTYPE_F8_E4M3));
    ck_assert(!core_dtype_is_float(CORE_DTYPE_I64));
}
END_TEST

START_TEST(unaligned_input_of_every_integer_type)
{
    unsigned char bytes[3 * 8 + 1];
    double out[3];
    memset(bytes, 0xff, sizeof bytes);
    static const struct {
        core_dtype dtype;
        double want;
    } row[] = {
        {CORE_DTYPE_BOOL, 255},
        {CORE_DTYPE_U8, 255},
        {CORE_DTYPE_I8, -1},
        {CORE_DTYPE_I16, -1},
        {CORE_DTYPE_U16, 65535},
        {CORE_DTYPE_I32, -1},
        {CORE_DTYPE_U32, 4294967295.0},
        {CORE_DTYPE_I64, -1},
        {CORE_DTYPE_U64, 0x1p64},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        core_dtype_to_f64(out, bytes + 1, row[i].dtype, 3);
        ck_assert_double_eq(out[0], row[i].want);
        ck_assert_double_eq(out[2], row[i].want);
    }
    const float third = 1.0F / 3.0F;
    memcpy(bytes + 1, &third, sizeof third);
    core_dtype_to_f64(out, bytes + 1, CORE_DTYPE_F32, 1);
    ck_assert_double_eq(out[0], (double)third);
    const double value = 0.1;
    core_dtype_from_f64(bytes + 1, &value, CORE_DTYPE_F64, 1);
    core_dtype_to_f64(out, bytes + 1, CORE_DTYPE_F64, 1);
    ck_assert_double_eq(out[0], 0.1);
    core_dtype_from_f64(bytes + 1, &value, CORE_DTYPE_F32, 1);
    core_dtype_to_f64(out, bytes + 1, CORE_DTYPE_F32, 1);
    ck_assert_double_eq(out[0], (double)0.1F);
}
END_TEST

START_TEST(names_and_sizes)
{
    for (int i = 0; i < CORE_N_DTYPES; i++) {
        core_dtype back = CORE_N_DTYPES;
        ck_assert(core_dtype_parse(&back, core_dtype_name((core_dtype)i)));
        ck_assert_int_eq(back, i);
    }
    core_dtype unchanged = CORE_DTYPE_F16;
    ck_assert(!core_dtype_parse(&unchanged, "F33"));
    ck_assert(!core_dtype_parse(&unchanged, "f32"));
    ck_assert_int_eq(unchanged, CORE_DTYPE_F16);
    ck_assert_uint_eq(core_dtype_bytes(CORE_DTYPE_BF16), 2);
    ck_assert_uint_eq(core_dtype_bytes(CORE_DTYPE_F8_E5M2), 1);
    ck_assert_uint_eq(core_dtype_bytes(CORE_DTYPE_U64), 8);
}
END_TEST

START_TEST(words_of_other_programs)
{
    static const struct {
        core_dtype dtype;
        const char *word[8];
    } known[] = {
        {CORE_DTYPE_F16, {"f16", "F16", "fp16", "FP16", "float16", "half"}},
        {CORE_DTYPE_BF16, {"bf16", "BF16", "bfloat16"}},
        {CORE_DTYPE_F32, {"f32", "F32", "fp32", "float32", "float"}},
        {CORE_DTYPE_F64, {"f64", "F64", "fp64", "float64", "double"}},
        {CORE_DTYPE_I8, {"i8", "int8"}},
        {CORE_DTYPE_F8_E4M3, {"f8_e4m3", "fp8"}}};
    core_dtype type = CORE_N_DTYPES;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        for (int k = 0; known[i].word[k] != NULL; k++) {
            ck_assert_msg(core_dtype_of_word(&type, known[i].word[k]), "%s",
                          known[i].word[k]);
            ck_assert_int_eq(type, known[i].dtype);
        }
    static const char *const unknown[] = {"", "f17", "fp", "float128", "f16 "};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        ck_assert(!core_dtype_of_word(&type, unknown[i]));
    ck_assert_int_eq(type, CORE_DTYPE_F8_E4M3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_dtype");
    TCase *tcase = tcase_create("dtype");
    tcase_add_loop_test(tcase, every_16_bit_code_has_its_defined_value, 0, 2);
    tcase_add_loop_test(tcase, midpoints_go_to_the_even_code, 0, 2);
    tcase_add_test(tcase, every_8_bit_float_code_has_its_defined_value);
    tcase_add_test(tcase, unaligned_input_of_every_integer_type);
    tcase_add_test(tcase, names_and_sizes);
    tcase_add_test(tcase, words_of_other_programs);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
