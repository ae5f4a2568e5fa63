/* test_core_kernels.c -- weights made and multiplied by every set of loops that
 * this processor has, against the generator and plain sums. */
#include "core/weights/kernels.h"

#include "core/numbers/rng.h"
#include "core/weights/weights.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED UINT64_C(0x123456789abcdef)
#define STREAM UINT64_C(0xfedcba9876543210)

enum { N_BLOCK = 70, N_CODE = CORE__LANES * N_BLOCK, MOST_CUT = 3 };

/* The code of lane l of a block, bit by bit. */
static int code_of(core_rng_block block, int lane, int cut)
{
    const uint32_t half = block.word[lane / 2] >> (16 * (lane % 2)) & 0xffffu;
    const int bits = (int)(half >> (5 + cut) & 2047u >> cut);
    return 2 * bits - (CORE__MOST_ODD >> cut);
}

static const core__kernels *set(int i)
{
    const core__kernels *kernels = core__all_kernels[i];
    if (!kernels->runs())
        fprintf(stderr, "no %s here\n", kernels->name);
    return kernels->runs() ? kernels : NULL;
}

/* Any number of blocks, from one whose number carries into the second word. */
START_TEST(codes_are_the_generators)
{
    const core__kernels *kernels = set(_i);
    int16_t code[N_CODE + CORE__SLACK + 1];
    for (int cut = 0; kernels != NULL && cut <= MOST_CUT; cut++)
        for (int64_t n = 1; n <= N_BLOCK; n++) {
            const uint64_t first = UINT64_C(0xfffffffa);
            code[CORE__LANES * n + CORE__SLACK] = 77;
            kernels->codes(SEED, STREAM, first, n, cut, code);
            ck_assert_int_eq(code[CORE__LANES * n + CORE__SLACK], 77);
            for (int64_t i = 0; i < CORE__LANES * n; i++) {
                const uint64_t b = first + (uint64_t)(i / CORE__LANES);
                ck_assert_int_eq(code[i],
                                 code_of(core_rng(SEED, STREAM, b),
                                         (int)(i % CORE__LANES), cut));
            }
        }
}
END_TEST

START_TEST(values_are_scaled_codes)
{
    const core__kernels *kernels = set(_i);
    int16_t code[N_CODE + CORE__SLACK];
    double out[N_CODE + 1];
    if (kernels == NULL)
        return;
    kernels->codes(SEED, STREAM, 5, N_BLOCK, 0, code);
    for (int64_t n = 0; n <= 40; n++) {
        out[n] = 77.0;
        kernels->values(code + 3, n, 1.0, 0x1p-12, out);
        for (int64_t i = 0; i < n; i++)
            ck_assert(out[i] == 1.0 + code[3 + i] * 0x1p-12);
        ck_assert(out[n] == 77.0);
    }
}
END_TEST

/* Rows of x as a pass has them: on a grid, so that every sum is exact. */
static void make_x(double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = ((double)core_rng_below(3, 9, (uint64_t)i, 4001) - 2000.0) *
               0x1p-10;
}

START_TEST(products_are_the_sums)
{
    enum { LDX = 93, LDY = 7, ROWS_OF_X = 11 };
    const core__kernels *kernels = set(_i);
    int16_t made[CORE__ROWS][2 * LDX + CORE__SLACK];
    double x[ROWS_OF_X * LDX], y[ROWS_OF_X * LDY];
    const int16_t *code[CORE__ROWS];
    if (kernels == NULL)
        return;
    make_x(x, ROWS_OF_X * LDX);
    for (int r = 0; r < CORE__ROWS; r++) {
        kernels->codes(SEED, STREAM, (uint64_t)(100 * r), LDX / CORE__LANES + 1,
                       0, made[r]);
        code[r] = made[r] + r;
    }
    for (int n_row = 1; n_row <= CORE__ROWS; n_row++)
        for (int64_t n = 0; n <= ROWS_OF_X; n++)
            for (int64_t n_k = 0; n_k <= LDX; n_k += n_k < 20 ? 1 : 13) {
                for (int i = 0; i < ROWS_OF_X * LDY; i++)
                    y[i] = i;
                kernels->multiply(code, n_row, n_k, 0x1p-8, x, LDX, n, y, LDY);
                for (int i = 0; i < ROWS_OF_X * LDY; i++) {
                    const int t = i / LDY, r = i % LDY;
                    double sum = 0.0;
                    for (int64_t k = 0; t < n && r < n_row && k < n_k; k++)
                        sum += x[t * LDX + k] * code[r][k];
                    ck_assert(y[i] == i + sum * 0x1p-8);
                }
            }
    for (int64_t n = 0; n <= LDX; n++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < n; k++)
            sum += code[1][k] * code[1][k];
        ck_assert_int_eq(kernels->squares(code[1], n), sum);
    }
}
END_TEST

static double row_norm(const double *w, int64_t n_row, int64_t n_col)
{
    return core_max_row_norm(w, n_row, n_col, n_col);
}

/* Rectangles of every matrix of a model, whose columns are more than are made
 * at a time in some, and n rows. */
static void check_rectangle(const core_weights *weights, core_weight id,
                            const int64_t rect[4], int64_t n)
{
    enum { PAD = 2 };
    const int64_t n_row = rect[1] - rect[0], n_col = rect[3] - rect[2];
    const int64_t ldx = n_col + PAD, ldy = n_row + PAD;
    double *w = calloc((size_t)(n_row * n_col + 1), sizeof *w);
    double *x = calloc((size_t)(n * ldx + 1), sizeof *x);
    double *y = calloc((size_t)(n * ldy + 1), sizeof *y);
    ck_assert(w != NULL && x != NULL && y != NULL);
    core_weights_read(weights, id, rect[0], rect[1], rect[2], rect[3], w, n_col);
    make_x(x, n * ldx);
    for (int64_t i = 0; i < n * ldy; i++)
        y[i] = 77.0;
    const double norm =
        core_weights_multiply(weights, id, rect[0], rect[1], rect[2], rect[3],
                              x, ldx, n, y, ldy);
    ck_assert(norm == row_norm(w, n_row, n_col));
    for (int64_t i = 0; i < n; i++) {
        for (int64_t r = 0; r < n_row; r++) {
            double sum = 0.0;
            for (int64_t c = 0; c < n_col; c++)
                sum += x[i * ldx + c] * w[r * n_col + c];
            ck_assert(y[i * ldy + r] == sum);
        }
        for (int64_t r = n_row; r < ldy; r++)
            ck_assert(y[i * ldy + r] == 77.0);
    }
    free(w);
    free(x);
    free(y);
}

START_TEST(multiplied_is_read_and_summed)
{
    static const char *const NAME[] = {"shadow-a", "seed-mini"};
    core_spec spec;
    core_weights *weights = NULL;
    int n_checked = 0;
    ck_assert_int_eq(core_spec_open(&spec, NAME[_i], NULL), CORE_OK);
    spec.n_f = 1100; /* more columns than are made at a time */
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 5), CORE_OK);
    for (int kind = 0; kind < CORE_N_WEIGHT_KINDS; kind++) {
        const core_weight_scope scope =
            core_weight_scope_of((core_weight_kind)kind);
        const core_weight id = {(core_weight_kind)kind,
                                scope == CORE_SCOPE_ONCE ? 0 : 1,
                                scope == CORE_SCOPE_EXPERT ? 3 : 0};
        if (!core_weight_exists(&spec, id))
            continue;
        ck_assert_int_eq(core_weights_prepare(weights, CORE_FP64, NULL),
                         CORE_OK);
        ck_assert(!core_weights_multiplies(weights, id));
        ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL),
                         CORE_OK);
        if (!core_weights_multiplies(weights, id))
            continue;
        int64_t n_row, n_col;
        core_weight_shape(&spec, id, &n_row, &n_col);
        const int64_t most = n_row < 40 ? n_row : 40;
        const int64_t rects[][4] = {{0, most, 0, n_col},
                                    {n_row / 3, n_row / 3 + most / 2, n_col / 5,
                                     n_col - n_col / 7},
                                    {n_row - 1, n_row, n_col - 1, n_col},
                                    {0, 0, 0, n_col}};
        const int64_t n[] = {0, 1, 6, 11, 37};
        for (size_t i = 0; i < sizeof rects / sizeof *rects; i++)
            for (size_t j = 0; j < sizeof n / sizeof *n; j++)
                check_rectangle(weights, id, rects[i], n[j]);
        n_checked++;
    }
    ck_assert_int_ge(n_checked, 5);
    core_weights_close(weights);
}
END_TEST

/* Rows of a router are not made alike, norms are not codes, and what a file has
 * is not made at all. */
START_TEST(what_is_not_multiplied)
{
    core_spec spec;
    core_weights *weights = NULL;
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 5), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    ck_assert(!core_weights_multiplies(weights,
                                       (core_weight){CORE_W_ROUTER, 0, 0}));
    ck_assert(!core_weights_multiplies(weights,
                                       (core_weight){CORE_W_FFN_NORM, 0, 0}));
    ck_assert(core_weights_multiplies(weights,
                                      (core_weight){CORE_W_EXPERT_UP, 0, 0}));
    core_weights_close(weights);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_kernels");
    TCase *tcase = tcase_create("kernels");
    tcase_add_loop_test(tcase, codes_are_the_generators, 0, CORE__N_KERNELS);
    tcase_add_loop_test(tcase, values_are_scaled_codes, 0, CORE__N_KERNELS);
    tcase_add_loop_test(tcase, products_are_the_sums, 0, CORE__N_KERNELS);
    tcase_add_loop_test(tcase, multiplied_is_read_and_summed, 0, 2);
    tcase_add_test(tcase, what_is_not_multiplied);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
