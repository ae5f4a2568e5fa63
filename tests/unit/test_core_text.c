/* test_core_text.c -- which texts a YAML parser may see. */
#include "core/model/spec.h"
#include "core/files/text.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

static const struct {
    const char *text, *message;
} BAD[] = {
    {"%\xff\n", "f:1:2: expected UTF-8, found the byte 0xFF"},
    {"a: 1\n# \xc3\xa4% \xfc", "f:2:6: expected UTF-8, found the byte 0xFC"},
    {"\x80", "f:1:1: expected UTF-8, found the byte 0x80"},
    {"\xc3", "f:1:1: expected UTF-8, found the byte 0xC3"},
    {"\xe2\x82", "f:1:1: expected UTF-8, found the byte 0xE2"},
    {"\xe2\x82\n", "f:1:1: expected UTF-8, found the byte 0xE2"},
    {"\xc0\xaf", "f:1:1: expected UTF-8, found the byte 0xC0"},
    {"\xe0\x80\xaf", "f:1:1: expected UTF-8, found the byte 0xE0"},
    {"\xf0\x80\x80\xaf", "f:1:1: expected UTF-8, found the byte 0xF0"},
    {"\xed\xa0\x80", "f:1:1: expected UTF-8, found the byte 0xED"},
    {"\xf4\x90\x80\x80", "f:1:1: expected UTF-8, found the byte 0xF4"},
    {"\xf8\x88\x80\x80\x80", "f:1:1: expected UTF-8, found the byte 0xF8"},
    {"a:\n  \a", "f:2:3: expected text, found the character U+0007"},
    {"\x1b[1m", "f:1:1: expected text, found the character U+001B"},
    {"a\x7f", "f:1:2: expected text, found the character U+007F"},
    {"\xc2\x80", "f:1:1: expected text, found the character U+0080"},
    {"\xef\xbf\xbf", "f:1:1: expected text, found the character U+FFFF"},
};

START_TEST(what_is_no_text_is_refused_in_its_place)
{
    core_message_clear();
    ck_assert_int_eq(
        core_text_check(BAD[_i].text, strlen(BAD[_i].text), "f"),
        CORE_E_FORMAT);
    ck_assert_str_eq(core_message(), BAD[_i].message);
    core_spec spec; /* no parser has seen it */
    core_message_clear();
    ck_assert_int_eq(core_spec_parse_yaml(&spec, BAD[_i].text, "f"),
                     CORE_E_FORMAT);
    ck_assert_str_eq(core_message(), BAD[_i].message);
}
END_TEST

START_TEST(the_limits_of_every_length_are_text)
{
    static const char *const GOOD[] = {
        "",
        "\t\r\n ~",
        "\xc2\x85\xc2\xa0\xdf\xbf",                         /* 85, A0, 7FF */
        "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd", /* 800 to FFFD */
        "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",                 /* 10000, 10FFFF */
    };
    for (int i = 0; i < COUNT(GOOD); i++)
        ck_assert_msg(core_text_check(GOOD[i], strlen(GOOD[i]), "f") == CORE_OK,
                      "%s", core_message());
}
END_TEST

/* Comments in any language, before the document and within. */
START_TEST(a_spec_file_with_umlauts_and_percent_signs_is_read)
{
    static const char HEAD[] = "# 100 % gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac\n"
                               "# \xc3\xa4 50 %\n---\n";
    core_spec spec, again;
    char *text = NULL;
    ck_assert_int_eq(
        core_text_read(&text, TEST_DATA_DIR "/spec/good.yaml", 8192), CORE_OK);
    ck_assert_int_eq(core_spec_parse_yaml(&spec, text, "plain"), CORE_OK);
    char *both = malloc(sizeof HEAD + strlen(text));
    ck_assert_ptr_nonnull(both);
    strcpy(both, HEAD);
    strcat(both, text);
    ck_assert_msg(core_spec_parse_yaml(&again, both, "f") == CORE_OK, "%s",
                  core_message());
    ck_assert_mem_eq(&spec, &again, sizeof spec);
    free(both);
    free(text);
}
END_TEST

START_TEST(a_text_begins_and_ends)
{
    const char *rest = NULL;
    ck_assert(core_text_after("taps:file", "taps:", &rest));
    ck_assert_str_eq(rest, "file");
    ck_assert(core_text_after("taps:", "taps:", NULL));
    ck_assert(!core_text_after("tap", "taps:", &rest));
    ck_assert_str_eq(rest, "file");
    ck_assert(core_text_ends("a.tolerance", ".tolerance"));
    ck_assert(core_text_ends("a", "a"));
    ck_assert(!core_text_ends("a", "ba"));
    ck_assert(!core_text_ends("a.tolerances", ".tolerance"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_text");
    TCase *tcase = tcase_create("text");
    tcase_add_loop_test(tcase, what_is_no_text_is_refused_in_its_place, 0,
                        COUNT(BAD));
    tcase_add_test(tcase, a_text_begins_and_ends);
    tcase_add_test(tcase, the_limits_of_every_length_are_text);
    tcase_add_test(tcase, a_spec_file_with_umlauts_and_percent_signs_is_read);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
