/* test_core_printable.c -- what a terminal would obey is shown, not done. */
#include "core/base/printable.h"
#include "core/base/status.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static const struct {
    const char *text, *shown;
} CASES[] = {
    {"", ""},
    {"layers.0.out ~", "layers.0.out ~"},
    {"gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x90\x98",
     "gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x90\x98"},
    {"a\nVERIFIED\r\t", "a\\nVERIFIED\\r\\t"},
    {"\x1b[2J\x7f", "\\x1B[2J\\x7F"},
    {"\xc2\x9b"
     "31m",
     "\\u009B31m"}, /* C1: CSI               */
    {"\xe2\x80\xae"
     "txt",
     "\\u202Etxt"}, /* right to left         */
    {"\xe2\x81\xa6\xe2\x81\xa9", "\\u2066\\u2069"},
    {"a\xe2\x80\x8b"
     "b\xef\xbb\xbf",
     "a\\u200Bb\\uFEFF"},
    {"\xe2\x80\xa8", "\\u2028"},      /* line separator        */
    {"\xf3\xa0\x81\x81", "\\uE0041"}, /* a tag                 */
    {"\xff\xc3", "\\xFF\\xC3"},
    {"\xed\xa0\x80", "\\xED\\xA0\\x80"}, /* half of a surrogate   */
};

START_TEST(a_text_is_shown)
{
    char out[64], *text = NULL;
    size_t n = 0;
    ck_assert_str_eq(core_printable(out, sizeof out, CASES[_i].text),
                     CASES[_i].shown);
    FILE *file = open_memstream(&text, &n);
    core_print(file, CASES[_i].text);
    fclose(file);
    ck_assert_str_eq(text, CASES[_i].shown);
    free(text);
}
END_TEST

START_TEST(a_text_is_cut_at_a_character)
{
    char out[8];
    ck_assert_str_eq(core_printable(out, sizeof out, "12345\xe2\x82\xac"),
                     "12345");
    ck_assert_str_eq(core_printable(out, sizeof out, "1234\xe2\x82\xac"),
                     "1234\xe2\x82\xac");
    ck_assert_str_eq(core_printable(out, sizeof out, "12345\n"), "12345\\n");
    ck_assert_str_eq(core_printable(out, sizeof out, "123456\n"), "123456");
}
END_TEST

/* Of the first line of a message and of what is appended. */
START_TEST(a_message_is_one_line)
{
    core_message_clear();
    ck_assert_int_eq(core_fail(CORE_E_FILE, "%s: missing", "a\nb\x1b"),
                     CORE_E_FILE);
    ck_assert_int_eq(core_fail_context(CORE_E_FILE, "reading %s", "\xc2\x85"),
                     CORE_E_FILE);
    ck_assert_str_eq(core_message(),
                     "a\\nb\\x1B: missing, while reading \\u0085");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_printable");
    TCase *tcase = tcase_create("printable");
    tcase_add_loop_test(tcase, a_text_is_shown, 0, COUNT(CASES));
    tcase_add_test(tcase, a_text_is_cut_at_a_character);
    tcase_add_test(tcase, a_message_is_one_line);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
