/* test_core_blas.c -- how many threads a product takes.
 *
 * The witness is the kernel: what the processor did for this process and not
 * for this thread, others did.
 */
#include "core/blas/blas.h"
#include "tests/support/check_main.h"

#include <cblas.h>
#include <check.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec t;
    ck_assert_int_eq(clock_gettime(clock, &t), 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of the processor time of some products, what this thread did not use. */
static double part_of_others(void)
{
    enum { N = 512, N_PRODUCT = 5 };
    double *in = calloc(N * N, sizeof *in), *out = calloc(N * N, sizeof *out);
    ck_assert(in != NULL && out != NULL);
    const double all = seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double mine = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < N_PRODUCT; i++)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1.0, in,
                    N, in, N, 0.0, out, N);
    const double used_mine = seconds(CLOCK_THREAD_CPUTIME_ID) - mine;
    const double used_all = seconds(CLOCK_PROCESS_CPUTIME_ID) - all;
    free(in);
    free(out);
    return (used_all - used_mine) / used_all;
}

START_TEST(a_product_takes_the_threads_that_were_set)
{
    const int wanted = _i;
    if (wanted > omp_get_num_procs())
        return; /* OpenBLAS takes no more than there are */
    (void)core_blas_set_threads(wanted);
    ck_assert_int_eq(core_blas_used_threads(), wanted);
    double least = 1, most = 0; /* who waits for work may turn for a while */
    for (int i = 0; i < 5; i++) {
        const double others = part_of_others();
        least = fmin(least, others);
        most = fmax(most, others);
    }
    ck_assert_msg(wanted == 1 ? least < 0.05 : most > 0.05,
                  "%d threads, %g to %g of the time in others", wanted, least,
                  most);
}
END_TEST

START_TEST(one_after_two_is_one_and_two_after_one_is_two)
{
    const int two = omp_get_num_procs() > 1 ? 2 : 1;
    for (int i = 0; i < 2; i++) {
        (void)core_blas_set_threads(two);
        ck_assert_int_eq(core_blas_used_threads(), two);
        const core_blas_threads before = core_blas_set_threads(1);
        ck_assert_int_eq(core_blas_used_threads(), 1);
        core_blas_restore_threads(before);
        ck_assert_int_eq(core_blas_used_threads(), two);
    }
}
END_TEST

START_TEST(what_was_set_comes_back)
{
    omp_set_num_threads(3);
    const core_blas_threads before = core_blas_set_threads(1);
    ck_assert_int_eq(omp_get_max_threads(), 1);
    core_blas_restore_threads(before);
    ck_assert_int_eq(omp_get_max_threads(), 3);
}
END_TEST

START_TEST(loops_that_say_how_many_keep_their_threads)
{
    int n = 0;
    (void)core_blas_set_threads(1);
#pragma omp parallel num_threads(3)
#pragma omp single
    n = omp_get_num_threads();
    ck_assert_int_eq(n, 3);
    ck_assert_int_eq(core_blas_used_threads(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_blas");
    TCase *tcase = tcase_create("threads");
    tcase_add_loop_test(tcase, a_product_takes_the_threads_that_were_set, 1, 3);
    tcase_add_test(tcase, one_after_two_is_one_and_two_after_one_is_two);
    tcase_add_test(tcase, what_was_set_comes_back);
    tcase_add_test(tcase, loops_that_say_how_many_keep_their_threads);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
