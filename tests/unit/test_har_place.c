/* tests/unit/test_har_place.c -- which row of a tensor is which row of a tap.
 *
 * B = 3, T = 5: a mix-up of axes, of local and global numbers, or of tokens and
 * choices gives another row.
 */
#include "harness/judge/place.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const har_extent WHOLE = {3, 5, 1, 8};
static const har_extent CHOICES = {3, 5, 2, 8};

static har_slice slice(const char *text)
{
    har_slice s;
    ck_assert_int_eq(har_slice_parse(&s, text, "t"), CORE_OK);
    return s;
}

/* The place of a tensor; text NULL: no slice.  False if it does not fit. */
static bool place(har_place *p, har_extent whole, int n_dim, int64_t d0,
                  int64_t d1, int64_t d2, har_axes axes, const char *text,
                  const har_claim *claim)
{
    char problem[HAR_PLACE_TEXT] = "";
    const int64_t shape[3] = {d0, d1, d2};
    const har_slice s = slice(text != NULL ? text : "b=:");
    const bool fits = har_place_make(p, whole, shape, n_dim, axes,
                                     text != NULL ? &s : NULL, claim,
                                     problem);
    ck_assert(fits == (problem[0] == '\0'));
    return fits;
}

START_TEST(a_whole_tensor_is_batch_major)
{
    har_place p;
    ck_assert(place(&p, WHOLE, 3, 3, 5, 8, HAR_AXES_BSH, NULL, NULL));
    for (int64_t row = 0; row < 15; row++)
        ck_assert_int_eq(har_place_row(&p, row), row);
    ck_assert(place(&p, WHOLE, 2, 15, 8, 0, HAR_AXES_BSH, NULL, NULL));
    ck_assert_int_eq(har_place_row(&p, 7), 7);
    ck_assert_int_eq(p.c.begin, 0);
    ck_assert_int_eq(p.c.end, 8);
}
END_TEST

START_TEST(sequence_major_rows_are_transposed)
{
    har_place p;
    ck_assert(place(&p, WHOLE, 3, 5, 3, 8, HAR_AXES_SBH, NULL, NULL));
    ck_assert_int_eq(har_place_row(&p, 1 * 5 + 4), 4 * 3 + 1);
    ck_assert(place(&p, WHOLE, 2, 15, 8, 0, HAR_AXES_SBH, NULL, NULL));
    ck_assert_int_eq(har_place_row(&p, 1 * 5 + 4), 4 * 3 + 1);
    ck_assert(!place(&p, WHOLE, 3, 3, 5, 8, HAR_AXES_SBH, NULL, NULL));
}
END_TEST

START_TEST(a_slice_shifts_rows_and_columns)
{
    har_place p;
    ck_assert(place(&p, WHOLE, 3, 2, 5, 3, HAR_AXES_BSH, "1:3,0:5,4:7", NULL));
    ck_assert_int_eq(har_place_row(&p, 4), -1);
    ck_assert_int_eq(har_place_row(&p, 5), 0);
    ck_assert_int_eq(har_place_row(&p, 14), 9);
    ck_assert_int_eq(p.c.begin, 4);
    ck_assert_int_eq(p.c.end, 7);
    ck_assert(place(&p, WHOLE, 3, 2, 5, 3, HAR_AXES_BSH, "b=1:3,c=4:7", NULL));
    ck_assert_int_eq(har_place_row(&p, 14), 9);
    ck_assert(place(&p, WHOLE, 2, 4, 8, 0, HAR_AXES_BSH, "7:11,:", NULL));
    ck_assert_int_eq(har_place_row(&p, 6), -1);
    ck_assert_int_eq(har_place_row(&p, 10), 3);
    ck_assert_int_eq(har_place_row(&p, 11), -1);
    ck_assert(place(&p, WHOLE, 3, 5, 2, 8, HAR_AXES_SBH, "0:5,1:3,0:8", NULL));
    ck_assert_int_eq(har_place_row(&p, 2 * 5 + 3), 3 * 2 + 1);
}
END_TEST

START_TEST(a_file_may_hold_a_part_of_the_batch)
{
    har_place p;
    const har_claim at = {{0, -1}, {3, 5}}, of_row_2 = {{2, 3}, {0, -1}};
    ck_assert(place(&p, WHOLE, 3, 3, 2, 8, HAR_AXES_BSH, NULL, &at));
    ck_assert_int_eq(har_place_row(&p, 2 * 5 + 4), 2 * 2 + 1);
    ck_assert_int_eq(har_place_row(&p, 2 * 5 + 2), -1);
    ck_assert(place(&p, WHOLE, 2, 2, 8, 0, HAR_AXES_BSH, "b=1:2", &at));
    ck_assert_int_eq(har_place_row(&p, 5 + 3), 0);
    ck_assert(!place(&p, WHOLE, 3, 3, 5, 8, HAR_AXES_BSH, NULL, &at));
    ck_assert(place(&p, WHOLE, 2, 5, 8, 0, HAR_AXES_BSH, NULL, &of_row_2));
    ck_assert_int_eq(har_place_row(&p, 2 * 5 + 3), 3);
    ck_assert_int_eq(har_place_row(&p, 5 + 3), -1);
}
END_TEST

START_TEST(choices_keep_their_order_in_a_token)
{
    har_place p;
    ck_assert(place(&p, CHOICES, 2, 20, 8, 0, HAR_AXES_BSH, "b=1:3", NULL));
    ck_assert_int_eq(har_place_row(&p, 2 * (5 + 2) + 1), 2 * 2 + 1);
    ck_assert_int_eq(har_place_row(&p, 2 * 4 + 1), -1);
    ck_assert(!place(&p, CHOICES, 3, 3, 5, 8, HAR_AXES_BSH, NULL, NULL));
}
END_TEST

static const char *const misfits[] = {"0:2,0:5,0:8", "0:4,0:5,0:8",
                                      "0:3,0:6,0:8", "0:3,0:5,0:9",
                                      "0:3,0:5",     "b=1:3",
                                      "b=1:4"};

START_TEST(what_does_not_fit_is_told)
{
    har_place p;
    ck_assert(place(&p, WHOLE, 3, 3, 5, 8, HAR_AXES_BSH, "0:3,0:5,0:8", NULL));
    ck_assert(
        !place(&p, WHOLE, 3, 3, 5, 8, HAR_AXES_BSH, misfits[_i], NULL));
}
END_TEST

static const char *const unreadable[] = {
    "",      "0",     "0:4,",      "4:4",   "5:4",         "-1:4", "a:b",
    "0:4;1", "x=0:4", "b=0:4,b=0", "b=0:4,b=0:4", "b=0:4,1:2",
    "0:1,0:1,0:1,0:1",
    " 0:4",  "0:4 ",  "b=0:99999999999999999999"};

START_TEST(what_cannot_be_read_is_refused)
{
    har_slice s;
    core_message_clear();
    ck_assert_int_eq(har_slice_parse(&s, unreadable[_i], "f: 'x'"),
                     CORE_E_FORMAT);
    ck_assert(strncmp(core_message(), "f: 'x': expected ranges", 23) == 0);
}
END_TEST

static bool list(har_place *p, const int64_t *ids, int64_t n, int64_t d0,
                 int64_t d1, const char *text, char problem[HAR_PLACE_TEXT])
{
    const int64_t shape[2] = {d0, d1};
    const core_st_tensor tensor = {.n = n, .data = (void *)ids};
    const har_slice s = slice(text != NULL ? text : "b=:");
    bool fits = false;
    ck_assert_int_eq(har_place_make_listed(p, WHOLE, shape, 2, &tensor,
                                           text != NULL ? &s : NULL, &fits,
                                           problem),
                     CORE_OK);
    return fits;
}

START_TEST(listed_rows_lie_anywhere)
{
    char problem[HAR_PLACE_TEXT];
    const int64_t ids[4] = {14, 0, -1, 7};
    har_place p;
    ck_assert(list(&p, ids, 4, 4, 8, NULL, problem));
    ck_assert_int_eq(har_place_row(&p, 14), 0);
    ck_assert_int_eq(har_place_row(&p, 0), 1);
    ck_assert_int_eq(har_place_row(&p, 7), 3);
    ck_assert_int_eq(har_place_row(&p, 1), -1);
    har_place_free(&p);
    ck_assert(list(&p, ids, 4, 4, 3, "5:8", problem));
    ck_assert_int_eq(p.c.begin, 5);
    har_place_free(&p);
    ck_assert(list(&p, ids, 4, 4, 3, "c=2:5", problem));
    ck_assert_int_eq(p.c.begin, 2);
    har_place_free(&p);
}
END_TEST

START_TEST(listed_rows_that_do_not_fit_are_told)
{
    char problem[HAR_PLACE_TEXT];
    const int64_t twice[3] = {4, 2, 4}, outside[2] = {0, 15}, below[1] = {-2};
    har_place p;
    ck_assert(!list(&p, twice, 3, 3, 8, NULL, problem));
    ck_assert_str_eq(problem,
                     "expected a token id once, found 4 in rows 0 and 2");
    ck_assert(!list(&p, outside, 2, 2, 8, NULL, problem));
    ck_assert(!list(&p, below, 1, 1, 8, NULL, problem));
    ck_assert(!list(&p, twice, 2, 3, 8, NULL, problem));
    ck_assert(!list(&p, twice, 2, 2, 7, NULL, problem));
    ck_assert(!list(&p, twice, 2, 2, 3, "c=6:9", problem));
    ck_assert(list(&p, twice, 2, 2, 8, NULL, problem));
    har_place_free(&p);
}
END_TEST

START_TEST(ranges_and_axes_have_one_spelling)
{
    har_range range;
    har_axes axes;
    ck_assert(har_range_parse(&range, "7:9"));
    ck_assert_int_eq(range.begin, 7);
    ck_assert_int_eq(range.end, 9);
    ck_assert(!har_range_parse(&range, ":"));
    ck_assert(!har_range_parse(&range, "9:7"));
    ck_assert(!har_range_parse(&range, "7:9x"));
    ck_assert(har_axes_parse(&axes, "sbh") && axes == HAR_AXES_SBH);
    ck_assert(har_axes_parse(&axes, "bsh") && axes == HAR_AXES_BSH);
    ck_assert(!har_axes_parse(&axes, "hbs"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_place");
    TCase *tests = tcase_create("place");
    tcase_add_test(tests, a_whole_tensor_is_batch_major);
    tcase_add_test(tests, sequence_major_rows_are_transposed);
    tcase_add_test(tests, a_slice_shifts_rows_and_columns);
    tcase_add_test(tests, a_file_may_hold_a_part_of_the_batch);
    tcase_add_test(tests, choices_keep_their_order_in_a_token);
    tcase_add_loop_test(tests, what_does_not_fit_is_told, 0,
                        sizeof misfits / sizeof misfits[0]);
    tcase_add_loop_test(tests, what_cannot_be_read_is_refused, 0,
                        sizeof unreadable / sizeof unreadable[0]);
    tcase_add_test(tests, listed_rows_lie_anywhere);
    tcase_add_test(tests, listed_rows_that_do_not_fit_are_told);
    tcase_add_test(tests, ranges_and_axes_have_one_spelling);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
