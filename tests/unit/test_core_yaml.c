/* test_core_yaml.c -- documents made to be expensive are read or refused at
 * once, in one line; and what the tree says of an ordinary one.
 */
#include "core/files/yaml.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 200000, DEEPEST = CORE_YAML_LEVELS };

static core_status look(void *self, const core_yaml_node *root)
{
    const core_yaml_node **out = self;
    *out = root;
    return CORE_OK;
}

/* `start`, `n` times `piece` and `end`, read. */
static core_status read_repeated(const char *start, const char *piece, int n,
                                 const char *end)
{
    const core_yaml_node *root = NULL;
    const size_t n_start = strlen(start), n_piece = strlen(piece);
    char *text = malloc(n_start + (size_t)n * n_piece + strlen(end) + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, start, n_start);
    for (int i = 0; i < n; i++)
        memcpy(text + n_start + (size_t)i * n_piece, piece, n_piece);
    strcpy(text + n_start + (size_t)n * n_piece, end);
    core_message_clear();
    const core_status status = core_yaml_read(text, "f", look, &root);
    free(text);
    return status;
}

/* One more than may be, and the most. */
static const struct {
    const char *start, *piece;
    int n;
    const char *end, *message; /* NULL: it is read                            */
} CASES[] = {
    {"", "[", DEEPEST + 1, "", "f:1:65: nested more than 64 deep"},
    {"", "[", MANY, "", "f:1:65: nested more than 64 deep"},
    {"", "- ", MANY, "", "f:1:129: nested more than 64 deep"},
    {"", "{a: ", MANY, "", "f:1:257: nested more than 64 deep"},
    {"", "? ", MANY, "", "f:1:129: nested more than 64 deep"},
    {"[", "[],", CORE_YAML_NODES, "]", "f:1: more than 524288 values"},
    {"[", "[],", CORE_YAML_NODES - 1, "]", NULL},
    {"", "k: &a 1\n", MANY, "", NULL},
    {"a: &x 1\nb: [", "*x,", MANY, "]", NULL},
    {"", "k: !!str b\n", MANY, "", NULL},
    {"", "#\n", MANY, "a: 1\n", NULL},
    {"a: >\n", " x\n", MANY, "", NULL},
    {"", "%", MANY, "", "f:1:1: expected no directive"},
    {"a: 50%\n", "# %\n", 1, "%TAG ! b\n", "f:3:1: expected no directive"},
    {"a: 50%\n", "# %\n", 1, "b: '%'\n", NULL},
    {"", "---\n", 2, "", "f: a second document, expected one"},
    {"", "---\n", 1, "a: 1\n...\n", NULL},
    {"", "# nothing\n", 1, "", "f:1:1: no YAML document"},
    {"a: \"\\e[2J", "b", 1, "\"", "f:1:4: expected text, found \\x1B"},
    {"a: \"\\u202e", "b", 1, "\"", "f:1:4: expected text, found \\u202E"},
    {"a: \"\\0", "b", 1, "\"", "f:1: expected text, found a zero"},
    {"a: \"\\n\\t", "\xc3\xa4", 1, "\"", NULL},
    {"a: 1\nb: [\n", "\n", 3, "", "f:2: no valid YAML at 'b: ['"},
};

START_TEST(an_expensive_document_is_read_or_refused)
{
    const core_status status = read_repeated(CASES[_i].start, CASES[_i].piece,
                                             CASES[_i].n, CASES[_i].end);
    if (CASES[_i].message == NULL) {
        ck_assert_msg(status == CORE_OK, "%s", core_message());
        return;
    }
    ck_assert_int_eq(status, CORE_E_FORMAT);
    ck_assert_msg(strncmp(core_message(), CASES[_i].message,
                          strlen(CASES[_i].message)) == 0,
                  "%s", core_message());
}
END_TEST

static core_status check_tree(void *self, const core_yaml_node *root)
{
    (void)self;
    ck_assert_int_eq(root->kind, CORE_YAML_MAP);
    const core_yaml_node *key = root->first, *value = key->next;
    ck_assert_str_eq(key->text, "a");
    ck_assert_int_eq(value->kind, CORE_YAML_LIST);
    ck_assert_str_eq(value->first->text, "x y");
    ck_assert_int_eq(value->first->line, 1);
    ck_assert_int_eq(value->first->column, 5);
    ck_assert_int_eq(value->first->next->kind, CORE_YAML_ALIAS);
    ck_assert_ptr_null(value->first->next->next);
    key = value->next;
    ck_assert_int_eq(key->first_line, 0);
    ck_assert(key->next->is_null);
    ck_assert_uint_eq(key->next->n, 0);
    key = key->next->next;
    ck_assert_str_eq(key->text, "a");
    ck_assert_int_eq(key->first_line, 1);
    ck_assert(!key->next->is_null); /* quoted */
    ck_assert_ptr_null(key->next->next);
    return CORE_E_INPUT;
}

START_TEST(a_tree_has_the_words_and_their_places)
{
    ck_assert_int_eq(
        core_yaml_read("a: [x y, *z]\nb:\na: 'null'\n", "f", check_tree, NULL),
        CORE_E_INPUT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_yaml");
    TCase *tcase = tcase_create("yaml");
    tcase_add_loop_test(tcase, an_expensive_document_is_read_or_refused, 0,
                        (int)(sizeof CASES / sizeof CASES[0]));
    tcase_add_test(tcase, a_tree_has_the_words_and_their_places);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
