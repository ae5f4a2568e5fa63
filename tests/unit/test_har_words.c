/* tests/unit/test_har_words.c -- numbers of options: all of a text, in a range. */
#include "core/files/text.h"
#include "harness/words/words.h"
#include "tests/support/check_main.h"

#include <string.h>

START_TEST(numbers_in_a_range)
{
    static const struct {
        const char *text;
        double least, most;
        bool is_number;
    } of[] = {{"0", 0, 1, true},        {"1", 0, 1, true},
              {"2.5e-1", 0, 1, true},   {"1.0000001", 0, 1, false},
              {"-1e-9", 0, 1, false},   {"", 0, 1, false},
              {"1 ", 0, 1, false},      {"1x", 0, 1, false},
              {"nan", 0, 1, false},     {"inf", 0, 1e308, false},
              {"1e999", 0, 1e308, false}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        double x = 7;
        ck_assert_msg(core_text_number(&x, of[i].text, of[i].least, of[i].most) ==
                          of[i].is_number,
                      "'%s'", of[i].text);
        ck_assert((x == 7) == !of[i].is_number);
    }
}
END_TEST

START_TEST(an_option_is_named)
{
    double x;
    ck_assert_int_eq(har_parse_number(&x, "--drift", "1.5", 0, 1, "a share"),
                     CORE_E_USAGE);
    ck_assert_ptr_nonnull(
        strstr(core_message(), "--drift: expected a share, found '1.5'"));
    core_message_clear();
    ck_assert_int_eq(har_parse_number(&x, "--drift", "0.5", 0, 1, "a share"),
                     CORE_OK);
    ck_assert(x == 0.5);
}
END_TEST

START_TEST(options_that_belong_to_another)
{
    static const char *const name[] = {"zero", "recompute"};
    const char *text[] = {NULL, NULL};
    ck_assert_int_eq(har_refuse_without("train", name, text, 2), CORE_OK);
    text[1] = "full";
    ck_assert_int_eq(har_refuse_without("train", name, text, 2), CORE_E_USAGE);
    ck_assert_ptr_nonnull(
        strstr(core_message(), "--recompute belongs to --train"));
    core_message_clear();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_words");
    TCase *tests = tcase_create("words");
    tcase_add_test(tests, numbers_in_a_range);
    tcase_add_test(tests, an_option_is_named);
    tcase_add_test(tests, options_that_belong_to_another);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
