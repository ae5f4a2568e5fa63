/* tests/unit/test_har_half.c -- dumps in fp16 and bf16 against a yardstick.
 *
 * What a GPU stored in 16 bits is read as the numbers it stands for: the same
 * numbers pass, and one that is a unit of storage off is named.
 */
#include "harness/judge/dump.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

enum { ROWS = 6, COLS = 5, N = ROWS * COLS };

static const core_dtype types[] = {CORE_DTYPE_F16, CORE_DTYPE_BF16};
static const char *const names[] = {"embed", "layers.0.out", "logits"};
enum { N_NAME = sizeof names / sizeof *names };

/* Values of few bits, from the largest of fp16 to its subnormals. */
static double value(int i)
{
    static const double scale[] = {0x1p15, 1.0, 0x1p-10, 0x1p-20};
    return (1.0 + (double)(i % 7) / 8.0) * scale[i % 4] * (i % 3 ? 1.0 : -1.0);
}

/* Every tap of value(i), but element `odd` of logits is scaled by `factor`. */
static core_st *write_dump(const char *name, core_dtype type, double factor)
{
    static const char *const metadata[] = {
        "numerics", "bf16", "logits_fp32_vs_fp64_max_abs", "1e-6", NULL};
    core_st_tensor tensor[N_NAME];
    char path[128];
    core_st *file = NULL;
    path_of(path, name);
    for (int k = 0; k < N_NAME; k++)
        tensor[k] = (core_st_tensor){.name = names[k],
                                     .dtype = type,
                                     .n_dim = 3,
                                     .shape = {2, ROWS / 2, COLS}};
    ck_assert_int_eq(core_st_create(&file, path, tensor, N_NAME, metadata),
                     CORE_OK);
    for (int k = 0; k < N_NAME; k++) {
        double x[N];
        for (int i = 0; i < N; i++)
            x[i] = value(i);
        if (k == N_NAME - 1)
            x[12] *= factor;
        core_dtype_from_f64(core_st_find(file, names[k])->data, x, type, N);
    }
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
    ck_assert_int_eq(core_st_open(&file, path), CORE_OK);
    return file;
}

static void compare(har_dump *dump, core_dtype type, double factor)
{
    core_st *a = write_dump("a", CORE_DTYPE_F64, 1.0);
    core_st *b = write_dump("b", type, factor);
    ck_assert_int_eq(har_dump_compare(dump, a, b, false), CORE_OK);
    core_st_close(b);
    core_st_close(a);
}

START_TEST(the_same_numbers_pass)
{
    har_dump dump;
    compare(&dump, types[_i], 1.0);
    ck_assert_int_eq(dump.n_tap, N_NAME);
    ck_assert_int_eq(dump.n_failed, 0);
    har_dump_free(&dump);
}
END_TEST

START_TEST(a_unit_of_storage_is_seen)
{
    har_dump dump;
    compare(&dump, types[_i], 1.0 + 0x1p-7);
    ck_assert_int_eq(dump.n_failed, 1);
    const har_dump_tap *tap = &dump.tap[dump.first];
    ck_assert_int_eq(tap->tap.kind, CORE_TAP_LOGITS);
    ck_assert_int_eq(tap->diff.n_bad, 1);
    ck_assert_int_eq(tap->diff.first.row, 12 / COLS);
    ck_assert_int_eq(tap->diff.first.col, 12 % COLS);
    har_dump_free(&dump);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_half");
    TCase *tcase = tcase_create("16 bits");
    const int n_type = sizeof types / sizeof *types;
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_loop_test(tcase, the_same_numbers_pass, 0, n_type);
    tcase_add_loop_test(tcase, a_unit_of_storage_is_seen, 0, n_type);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
