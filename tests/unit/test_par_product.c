/* test_par_product.c -- products in floats, of few rows and of many.
 *
 * Of small whole numbers, which floats add up exactly in any order, against
 * sums of integers: by whichever way the processor goes.
 */
#include "parallel/product.h"
#include "tests/support/check_main.h"

#include <math.h>

enum { MOST_N = 40, MOST_ROW = 9, MOST_COL = 50, AROUND = 16 };

static const float untouched = -1e9F;
static float x[MOST_N * MOST_COL + AROUND], w[MOST_ROW * MOST_COL + AROUND],
    y[MOST_N * MOST_ROW + AROUND];

static int whole(int64_t i, int64_t k)
{
    return (int)((i * 31 + k * 17) % 23) - 11;
}

/* NaN behind the operand shows where it is read. */
static void fill(float *to, int64_t n, int64_t n_col, int64_t first)
{
    for (int64_t i = 0; i < n * n_col; i++)
        to[i] = (float)whole(first + i / n_col, i % n_col);
    for (int64_t i = n * n_col; i < n * n_col + AROUND; i++)
        to[i] = NAN;
}

static void check(int64_t n, int64_t n_row, int64_t n_col)
{
    enum { OF_W = 5 };
    fill(x, n, n_col, 0);
    fill(w, n_row, n_col, OF_W);
    for (int i = 0; i < MOST_N * MOST_ROW + AROUND; i++)
        y[i] = untouched;
    par_product_f32(y, x, n, w, n_row, n_col);
    for (int64_t i = 0; i < n * n_row; i++) {
        int sum = 0;
        for (int64_t k = 0; k < n_col; k++)
            sum += whole(i / n_row, k) * whole(OF_W + i % n_row, k);
        ck_assert_msg(y[i] == (float)sum,
                      "%lld x %lld, %lld columns, element %lld: %g, not %d",
                      (long long)n, (long long)n_row, (long long)n_col,
                      (long long)i, (double)y[i], sum);
    }
    for (int64_t i = n * n_row; i < MOST_N * MOST_ROW + AROUND; i++)
        ck_assert(y[i] == untouched);
}

START_TEST(every_element_is_its_sum)
{
    for (int64_t n = 1; n <= MOST_N; n++)
        for (int64_t n_row = 1; n_row <= MOST_ROW; n_row++)
            for (int64_t n_col = 1; n_col <= MOST_COL; n_col++)
                check(n, n_row, n_col);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_product");
    TCase *all = tcase_create("all");
    tcase_add_test(all, every_element_is_its_sum);
    suite_add_tcase(suite, all);
    return check_main(suite);
}
