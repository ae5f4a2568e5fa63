/* test_core_nearest.c -- the word that was probably meant, or none. */
#include "core/base/nearest.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stddef.h>
#include <string.h>

static const char *const names[] = {
    "layers",     "hidden",        "head_size", "expert_inner",
    "rope.theta", "router.groups", NULL};

static const char *name_of(const void *list, int i)
{
    return ((const char *const *)list)[i];
}

static const struct {
    const char *word, *near;
} CASES[] = {
    {"hidden", "hidden"},
    {"hidn", "hidden"},
    {"hiddn", "hidden"},
    {"hidden_size", "hidden"},
    {"n_layers", "layers"},
    {"rope_theta", "rope.theta"},
    {"theta", "rope.theta"},
    {"head-size", "head_size"},
    {"headsize", "head_size"},
    {"lay", NULL},
    {"wxyz", NULL},
    {"", NULL},
    {"eps", NULL},
};

START_TEST(test_nearest)
{
    const char *near = core_nearest(CASES[_i].word, name_of, names);
    if (CASES[_i].near == NULL)
        ck_assert_msg(near == NULL, "%s: %s", CASES[_i].word, near);
    else
        ck_assert_str_eq(near, CASES[_i].near);
}
END_TEST

START_TEST(test_long_words)
{
    char word[300];
    memset(word, 'x', sizeof word);
    word[sizeof word - 1] = '\0';
    ck_assert_ptr_null(core_nearest(word, name_of, names));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_nearest");
    TCase *tcase = tcase_create("nearest");
    tcase_add_loop_test(tcase, test_nearest, 0,
                        (int)(sizeof CASES / sizeof CASES[0]));
    tcase_add_test(tcase, test_long_words);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
