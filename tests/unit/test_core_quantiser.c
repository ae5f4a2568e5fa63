/* tests/unit/test_core_quantiser.c -- weights behind a quantiser: values, parts
 * of them, what stays as it was, refusals.
 */
#include "core/weights/quantiser.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of 64 and of 32 values. */
static core_spec spec_of_rows(void)
{
    core_spec spec;
    ck_assert(core_spec_open(&spec, "seed-mini", NULL) == CORE_OK);
    spec.n_l = 1;
    spec.n_e = 4;
    return spec;
}

static core_weights *open_weights(const core_spec *spec)
{
    core_weights *w = NULL;
    ck_assert_msg(core_weights_open_procedural(&w, spec, 5) == CORE_OK, "%s",
                  core_message());
    return w;
}

static const struct rule {
    const char *format;
    int64_t bits, block;
} RULES[] = {{"int", 4, 16},  {"int", 4, 0},     {"int", 8, 32},
             {"fp8", -1, 16}, {"mxfp4", -1, -1}, {"mxfp8", 8, 32},
             {"nvfp4", 4, 16}};
enum { N_RULES = sizeof RULES / sizeof RULES[0] };

static core_quantiser rule_of(int i)
{
    core_quantiser q;
    ck_assert_msg(core_quantiser_of(&q, RULES[i].format, RULES[i].bits,
                                    RULES[i].block) == CORE_OK,
                  "%s", core_message());
    return q;
}

static const core_weight DOWN = {CORE_W_EXPERT_DOWN, 0, 2};

static double *read_all(const core_weights *w, const core_spec *spec,
                        core_weight id, int64_t *n_row, int64_t *n_col)
{
    core_weight_shape(spec, id, n_row, n_col);
    double *x = malloc((size_t)(*n_row * *n_col) * sizeof *x);
    core_weights_read(w, id, 0, *n_row, 0, *n_col, x, *n_col);
    return x;
}

/* In exact numerics as well, on a grid that the whole decides. */
START_TEST(parts_are_parts_of_the_whole)
{
    const core_numerics numerics = _i < N_RULES ? CORE_FP64 : CORE_EXACT;
    const core_spec spec = spec_of_rows();
    const core_quantiser q = rule_of(_i % N_RULES);
    core_weights *w = open_weights(&spec);
    int64_t n_row, n_col;
    ck_assert(core_weights_quantise(w, &q) == CORE_OK);
    ck_assert(core_weights_prepare(w, numerics, NULL) == CORE_OK);
    double *all = read_all(w, &spec, DOWN, &n_row, &n_col);
    double *part = malloc((size_t)(n_row * n_col) * sizeof *part);
    for (int64_t c0 = 0; c0 < n_col; c0 += 7) {
        const int64_t c1 = c0 + 21 < n_col ? c0 + 21 : n_col;
        core_weights_read(w, DOWN, 1, n_row, c0, c1, part, n_col);
        for (int64_t r = 1; r < n_row; r++)
            ck_assert_mem_eq(part + (r - 1) * n_col, all + r * n_col + c0,
                             (size_t)(c1 - c0) * sizeof *part);
    }
    free(all);
    free(part);
    core_weights_close(w);
}
END_TEST

START_TEST(what_comes_out_quantises_to_itself)
{
    const core_spec spec = spec_of_rows();
    const core_quantiser q = rule_of(_i);
    core_weights *plain = open_weights(&spec), *once = open_weights(&spec);
    core_weights *twice = open_weights(&spec);
    int64_t n_row, n_col, n_moved = 0;
    ck_assert(core_weights_quantise(once, &q) == CORE_OK);
    ck_assert(core_weights_quantise(twice, &q) == CORE_OK);
    ck_assert(core_weights_quantise(twice, &q) == CORE_OK);
    double *x = read_all(plain, &spec, DOWN, &n_row, &n_col);
    double *y = read_all(once, &spec, DOWN, &n_row, &n_col);
    double *z = read_all(twice, &spec, DOWN, &n_row, &n_col);
    for (int64_t i = 0; i < n_row * n_col; i++) {
        n_moved += x[i] != y[i];
        ck_assert_msg(fabs(y[i] - z[i]) <= 1e-6 * fabs(y[i]),
                      "element %lld: %.9g, then %.9g", (long long)i, y[i],
                      z[i]);
    }
    ck_assert_int_gt(n_moved, n_row * n_col / 2);
    free(x);
    free(y);
    free(z);
    core_weights_close(plain);
    core_weights_close(once);
    core_weights_close(twice);
}
END_TEST

/* scale = largest of the block / 7, as a float; codes to the nearest even */
START_TEST(integers_of_four_bits)
{
    const core_spec spec = spec_of_rows();
    const core_quantiser q = rule_of(0);
    core_weights *plain = open_weights(&spec), *w = open_weights(&spec);
    int64_t n_row, n_col;
    ck_assert(core_weights_quantise(w, &q) == CORE_OK);
    double *x = read_all(plain, &spec, DOWN, &n_row, &n_col);
    double *y = read_all(w, &spec, DOWN, &n_row, &n_col);
    for (int64_t b = 0; b < n_row * n_col; b += 16) {
        double largest = 0.0;
        for (int i = 0; i < 16; i++)
            largest = fmax(largest, fabs(x[b + i]));
        const double scale = (double)((float)largest / 7.0F);
        for (int i = 0; i < 16; i++)
            ck_assert(y[b + i] == rint(x[b + i] / scale) * scale);
    }
    free(x);
    free(y);
    core_weights_close(plain);
    core_weights_close(w);
}
END_TEST

START_TEST(what_is_no_expert_stays)
{
    const core_spec spec = spec_of_rows();
    const core_quantiser q = rule_of(0);
    const core_weight same[] = {{CORE_W_EMBED, 0, 0},
                                {CORE_W_Q, 0, 0},
                                {CORE_W_ROUTER, 0, 0},
                                {CORE_W_FFN_NORM, 0, 0}};
    core_weights *plain = open_weights(&spec), *w = open_weights(&spec);
    ck_assert(core_weights_quantise(w, &q) == CORE_OK);
    ck_assert_ptr_nonnull(strstr(core_weights_origin(w),
                                 "; experts quantised here: int of 4 bits, a "
                                 "scale for 16 values"));
    ck_assert_int_eq(core_weights_block(w, DOWN).cols, 16);
    for (int k = 0; k < 4; k++) {
        int64_t n_row, n_col;
        double *x = read_all(plain, &spec, same[k], &n_row, &n_col);
        double *y = read_all(w, &spec, same[k], &n_row, &n_col);
        ck_assert_mem_eq(x, y, (size_t)(n_row * n_col) * sizeof *x);
        ck_assert_int_eq(core_weights_block(w, same[k]).cols, 1);
        free(x);
        free(y);
    }
    core_weights_close(plain);
    core_weights_close(w);
}
END_TEST

static const struct refusal {
    struct rule rule;
    const char *says;
} REFUSALS[] = {
    {{"int", -1, 16}, "--weights-bits: missing, int has 4 or 8"},
    {{"int", 5, 16}, "--weights-bits: int has 4 or 8, found 5"},
    {{"mxfp4", 8, -1}, "--weights-bits: mxfp4 has 4, found 8"},
    {{"nvfp4", 4, 32}, "--block: nvfp4 has 16, found 32"},
    {{"int", 4, 5000}, "--block: at most 4096, found 5000"},
    {{"int3", 4, 16},
     "--format: expected one of int, fp8, mxfp4, mxfp8, nvfp4"},
};
enum { N_REFUSALS = sizeof REFUSALS / sizeof REFUSALS[0] };

START_TEST(what_no_format_has)
{
    const struct rule *r = &REFUSALS[_i].rule;
    core_quantiser q;
    ck_assert_int_eq(core_quantiser_of(&q, r->format, r->bits, r->block),
                     CORE_E_USAGE);
    ck_assert_msg(strstr(core_message(), REFUSALS[_i].says) == core_message(),
                  "%s", core_message());
}
END_TEST

START_TEST(blocks_divide_rows)
{
    const core_spec spec = spec_of_rows();
    core_weights *w = open_weights(&spec);
    core_quantiser q;
    ck_assert(core_quantiser_of(&q, "int", 4, 48) == CORE_OK);
    ck_assert_int_eq(core_weights_quantise(w, &q), CORE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(core_message(), "--block: layers.0.experts."));
    core_weights_close(w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_quantiser");
    TCase *tests = tcase_create("quantiser");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, parts_are_parts_of_the_whole, 0, 2 * N_RULES);
    tcase_add_loop_test(tests, what_comes_out_quantises_to_itself, 0, N_RULES);
    tcase_add_test(tests, integers_of_four_bits);
    tcase_add_test(tests, what_is_no_expert_stays);
    tcase_add_loop_test(tests, what_no_format_has, 0, N_REFUSALS);
    tcase_add_test(tests, blocks_divide_rows);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
