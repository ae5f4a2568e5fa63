/* tests/unit/test_har_page.c -- texts of others in a plot are words: they end no
 * quotes, run nothing, and nothing that cannot be seen is in the picture.
 */
#include "core/base/printable.h"
#include "harness/page/gnuplot.h"
#include "tests/support/check_main.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What gnuplot draws for a label that reads so, between quotes of that kind. */
static char *picture_of(const char *text, char quote)
{
    char *script = NULL, *picture = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&script, &n);
    fprintf(out, "set encoding utf8\nunset tics\nset label %c", quote);
    har_gnuplot_text(out, text);
    fprintf(out, "%c at screen 0.1,0.5\nplot [0:1] x notitle\n", quote);
    ck_assert_int_eq(fclose(out), 0);
    out = open_memstream(&picture, &n);
    ck_assert_msg(har_gnuplot_draw(out, script, 300, 100, "a test") == CORE_OK,
                  "%s", core_message());
    ck_assert_int_eq(fclose(out), 0);
    free(script);
    return picture;
}

static const char *const HOSTILE[] = {
    "words\x1b[31m\a",           "words\xc2\x9b" "2J",
    "words\xe2\x80\xae\xe2\x80\x8b", "words\xff",
    "words\nset output 'made'",  "words'; system('touch made'); #",
    "words\"; system('touch made'); #", "words`touch made`",
    "words\\e[31m\\033[31m",     "words<b id=x>&@ink",
};

START_TEST(texts_of_others_are_words)
{
    for (int k = 0; k < 2; k++) {
        char *picture = picture_of(HOSTILE[_i], k == 0 ? '\'' : '"');
        ck_assert_ptr_nonnull(strstr(picture, "words"));
        ck_assert_ptr_null(strstr(picture, "<b id"));
        ck_assert_ptr_null(strchr(picture, '\033'));
        for (char *c = picture; *c != '\0'; c++)
            *c = *c == '\n' || *c == '\t' ? ' ' : *c; /* of the file itself */
        ck_assert_ptr_null(core_unprintable(picture));
        free(picture);
    }
    ck_assert_int_ne(access("made", F_OK), 0);
}
END_TEST

/* The positive twin: letters of any language are kept. */
START_TEST(words_are_kept)
{
    char *picture = picture_of("gate_up, 1.5 \xc3\x97 \xe6\x9d\xb1", '\'');
    ck_assert_ptr_nonnull(strstr(picture, "gate_up, 1.5 \xc3\x97 \xe6\x9d\xb1"));
    free(picture);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page");
    TCase *tcase = tcase_create("plots");
    tcase_add_loop_test(tcase, texts_of_others_are_words, 0,
                        (int)(sizeof HOSTILE / sizeof HOSTILE[0]));
    tcase_add_test(tcase, words_are_kept);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
