/* tests/unit/test_har_waiting.c -- the line of progress, without a terminal.
 *
 * The time at which the work began is made up, so that nothing has to wait.
 */
#include "harness/launch/waiting.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char *written;
static size_t n_written;
static har_waiting w;

static void begin(time_t seconds_ago)
{
    w = (har_waiting){.out = open_memstream(&written, &n_written),
                      .begun = time(NULL) - seconds_ago};
    ck_assert(w.out != NULL);
}

static void expect(const char *text)
{
    ck_assert_int_eq(fclose(w.out), 0);
    ck_assert_str_eq(written, text);
    free(written);
}

START_TEST(long_work_is_shown_and_taken_away)
{
    begin(60);
    har_waiting_share(&w, "reference", 0.25);
    har_waiting_share(&w, "reference", 0.251); /* the same line */
    har_waiting_say(&w, "drawing");
    har_waiting_end(&w);
    har_waiting_end(&w);
    expect("\r\033[Kreference: 25 %\r\033[Kdrawing\r\033[K");
}
END_TEST

START_TEST(short_work_is_silent)
{
    begin(-60); /* it has not even begun: no wait of this test ends that */
    har_waiting_share(&w, "reference", 0.25);
    har_waiting_end(&w);
    expect("");
}
END_TEST

START_TEST(nobody_looks)
{
    har_waiting none = {.begun = time(NULL) - 60};
    har_waiting_say(&none, "drawing");
    ck_assert_str_eq(none.said, "");
    har_waiting_end(&none);
}
END_TEST

START_TEST(long_text_is_cut)
{
    char text[300] = "";
    memset(text, 'x', sizeof text - 1);
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr)); /* 80 columns */
    begin(60);
    har_waiting_share(&w, text, 1);
    ck_assert_uint_eq(strlen(w.said), 79);
    ck_assert(strstr(w.said, "x: 100 %") != NULL);
    har_waiting_say(&w, text);
    ck_assert_uint_eq(strlen(w.said), 79);
    fclose(w.out);
    free(written);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_waiting");
    TCase *tcase = tcase_create("waiting");
    tcase_add_test(tcase, long_work_is_shown_and_taken_away);
    tcase_add_test(tcase, short_work_is_silent);
    tcase_add_test(tcase, nobody_looks);
    tcase_add_test(tcase, long_text_is_cut);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
