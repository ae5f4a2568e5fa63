/* test_par_gradients.c -- what a sum on the way back counts before it is stored,
 * at its edge: one of 52.99 bits passes, one of 53.01 is named.
 */
#include "parallel/grad/grad_impl.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <string.h>

static const core_grad some = {.tap = {CORE_TAP_MID, 3}};

/* Is a sum of so many bits, to which n_part ranks give as much, stored without a
 * word?                                                                      */
static bool passes(double bits, int n_part)
{
    const par__terms terms = {exp2(bits) * 0.25 / n_part, 0.25};
    par_grad_stats stats = {.exact = true};
    par__back b = {.stats = &stats};
    double x = 1.0 + 0x1p-17; /* between two numbers of the grid */
    par__g_store(&b, &terms, n_part, some, &x, 1);
    ck_assert_double_eq(x, 1.0);
    ck_assert(stats.exact ||
              strstr(stats.not_exact, "layers.3.mid: 53.0 bits") != NULL);
    return stats.exact;
}

START_TEST(the_edge_of_a_sum)
{
    for (int n_part = 1; n_part <= 5; n_part++) {
        ck_assert(passes(52.99, n_part));
        ck_assert(!passes(53.01, n_part));
    }
}
END_TEST

/* The first that does not fit is the one that is named. */
START_TEST(the_first_is_named)
{
    const par__terms large = {0x1p60, 1.0};
    par_grad_stats stats = {.exact = true};
    par__back b = {.stats = &stats};
    double x = 0.0;
    par__g_store(&b, &large, 1, some, &x, 1);
    par__g_store(&b, &large, 1, (core_grad){.tap = {CORE_TAP_IN, 1}}, &x, 1);
    ck_assert_ptr_nonnull(strstr(stats.not_exact, "layers.3.mid: 60.0 bits"));
}
END_TEST

/* Terms of two kinds: both magnitudes, the finer step. */
START_TEST(terms_add_up)
{
    par__terms terms = {0};
    par__terms_add(&terms, 3.0, 0.5);
    par__terms_add(&terms, 4.0, 0.125);
    par__terms_add(&terms, 5.0, 0.25);
    ck_assert_double_eq(terms.magnitude, 12.0);
    ck_assert_double_eq(terms.step, 0.125);
}
END_TEST

static double norm(double a, double b)
{
    return sqrt(a * a + b * b);
}

/* Of an input's gradient: the largest row of dy times the weight's norm. */
START_TEST(input_counts_rows)
{
    double w[] = {1, 2, 3, 4, 5, 6}; /* [2, 3] */
    const double dy[] = {3, 4, 5, 12, 8, 15}; /* [3, 2] */
    double dx[9] = {0};
    par__terms terms = {0};
    const par__param p = {
        .n_row = 2, .n_col = 3, .w = w, .norm = 7.0, .step = 0x1p-9};
    par__g_input(&terms, &p, dy, 3, dx);
    ck_assert_double_eq(dx[0], 3 * 1 + 4 * 4);
    ck_assert_double_eq_tol(terms.magnitude, 17.0 * 7.0, 1e-9);
    ck_assert_double_eq(terms.step, CORE_STEP_GRAD * 0x1p-9);
}
END_TEST

/* Of a weight's: the largest columns of dy and of x. */
START_TEST(weight_counts_columns)
{
    const core_spec spec = {.n_l = 1};
    const double dy[] = {3, 1, 4, 2}; /* [2, 2] */
    const double x[] = {1, 2, 5, 2, 3, 12}; /* [2, 3] */
    double g[6] = {0};
    par__back b = {.spec = &spec};
    par__param p = {.id = {CORE_W_HEAD, 0, 0}, .n_row = 2, .n_col = 3, .g = g};
    par__g_weight(&b, &p, dy, x, 2);
    ck_assert_double_eq(g[0], 3 * 1 + 4 * 2);
    ck_assert_double_eq_tol(p.terms.magnitude, norm(3, 4) * norm(5, 12), 1e-9);
    ck_assert_double_eq(p.terms.step, CORE_STEP_GRAD * CORE_STEP_ACT);
}
END_TEST

/* A NaN is no smaller than what comes after it, and never fits. */
START_TEST(nan_never_fits)
{
    const double x[] = {1.0, NAN, 2.0};
    ck_assert(isnan(par__g_column_norm(x, 1, 3)));
    const par__terms terms = {NAN, 1.0};
    par_grad_stats stats = {.exact = true};
    par__back b = {.stats = &stats};
    double y = 0.0;
    par__g_store(&b, &terms, 1, some, &y, 1);
    ck_assert(!stats.exact);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_gradients");
    TCase *t = tcase_create("edges");
    tcase_add_test(t, the_edge_of_a_sum);
    tcase_add_test(t, the_first_is_named);
    tcase_add_test(t, terms_add_up);
    tcase_add_test(t, input_counts_rows);
    tcase_add_test(t, weight_counts_columns);
    tcase_add_test(t, nan_never_fits);
    suite_add_tcase(suite, t);
    return check_main(suite);
}
