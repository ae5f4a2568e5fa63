/* tests/unit/test_gold.c -- what a bundle is made of, and what check must see.
 */
#include "golden/golden_impl.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void touch(const char *name)
{
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL && fputs("x", file) >= 0 && fclose(file) == 0);
}

/* --- numerics, tolerances, margins --- */

START_TEST(the_unit_roundoff_is_asked_of_the_numerics)
{
    ck_assert(gold__roundoff(CORE_EXACT) == 0.0);
    ck_assert(gold__roundoff(CORE_FP64) == 0.0);
    ck_assert(gold__roundoff(CORE_FP32) == 0x1p-24);
}
END_TEST

START_TEST(a_tolerance_is_of_its_row)
{
    double v[] = {1.0, -8.0, 0.5, 0.25, 0.0, 0.0};
    double largest[] = {0x1p-10, 0.0, 0.0}, rms[] = {0x1p-11, 0.0, 0.0};
    gold__tap tap = {.n_row = 3, .n_col = 2, .v = v};
    tap.spread[REF_BLOCK] = (gold__spread){largest, rms, 0.0};
    float out[3];
    gold__tolerance(out, &tap, REF_BLOCK, false, 0x1p-24);
    const double first = GOLD__FACTOR * 0x1p-10 + 8.0 * 0x1p-23;
    ck_assert((double)out[0] >= first); /* rounded up */
    ck_assert((double)out[0] <= first * (1.0 + 0x1p-22));
    /* no draw moved it: as far as the rows that have a size are in general */
    const double usual = sqrt(0.5) * 0x1p-13 * 0.5;
    ck_assert(fabs((double)out[1] - (GOLD__FACTOR * usual + 0x1p-24)) <=
              usual * 0x1p-20);
    ck_assert(out[2] == 0.0f);
    /* of the rms: the same unit in one of two elements */
    gold__tolerance(out, &tap, REF_BLOCK, true, 0x1p-24);
    const double second = GOLD__FACTOR * 0x1p-11 + 8.0 * 0x1p-23 / sqrt(2.0);
    ck_assert(fabs((double)out[0] - second) <= second * 0x1p-22);
    ck_assert(out[2] == 0.0f);
}
END_TEST

/* What no draw moved of two shares of a sum goes as w (1 - w / W). */
START_TEST(a_share_is_off_most_where_two_are_equal)
{
    double v[] = {1.0, 1.0, 1.75, 0.25};
    double largest[] = {0.0, 0x1p-10}, rms[] = {0.0, 0x1p-10};
    gold__tap tap = {.is_shares = true, .n_row = 2, .n_col = 2, .v = v};
    tap.spread[REF_BLOCK] = (gold__spread){largest, rms, 0.0};
    float out[2];
    gold__tolerance(out, &tap, REF_BLOCK, false, 0.0);
    const double reach[] = {0.5, 1.75 * 0.125};
    const double deviation = 0x1p-10 / 1.75, second = reach[1] / 1.75;
    const double usual =
        deviation / sqrt(reach[0] * reach[0] + second * second);
    ck_assert(fabs((double)out[0] - GOLD__FACTOR * usual * reach[0]) <=
              usual * 0x1p-20);
    ck_assert((double)out[1] == GOLD__FACTOR * 0x1p-10);
}
END_TEST

/* So many times the draws' largest, but two units at least. */
START_TEST(a_slope_may_be_two_units_at_least)
{
    gold__tap tap = {.n_row = 0};
    tap.spread[REF_BLOCK].slope = 0x1p-6;
    ck_assert(gold__slope_tolerance(&tap, REF_BLOCK, 0x1p-8) ==
              (float)(GOLD__SLOPE_FACTOR * 0x1p-6));
    ck_assert(gold__slope_tolerance(&tap, REF_LAYER, 0x1p-8) == 0x1p-6f);
}
END_TEST

/* Of two draws the larger, for the largest element and for the rms apart; other
 * forcings are left alone.                                                   */
START_TEST(a_spread_is_the_largest_of_its_draws)
{
    double v[] = {1.0, 2.0}, largest[1] = {0.0}, rms[1] = {0.0};
    double others[1] = {0.0};
    gold__tap tap = {.tap = {CORE_TAP_EMBED, 0},
                     .is_output = true,
                     .n_row = 1,
                     .n_col = 2,
                     .v = v};
    tap.spread[REF_FREE] = (gold__spread){others, others, 0.0};
    tap.spread[REF_LAYER] = (gold__spread){largest, rms, 0.0};
    gold__taps taps = {1, &tap};
    gold__measuring layer = {.taps = &taps, .forcing = REF_LAYER};
    const core_tap_sink sink = gold__spread_sink(&layer);
    const double one[] = {1.5, 2.0}, both[] = {1.375, 1.625};
    sink.put(sink.self, tap.tap, one, NULL, NULL);
    sink.put(sink.self, tap.tap, both, NULL, NULL);
    ck_assert(largest[0] == 0.5);
    ck_assert(rms[0] == 0.375);
    ck_assert(others[0] == 0.0);
}
END_TEST

static const struct {
    double score[4];
    int64_t idx[2];
    int64_t n_k, n_e;
    double margin;
} margins[] = {
    {{0.1, 0.5, 0.25, 0.15}, {1, 2}, 2, 4, 0.1},
    {{0.25, 0.25, 0.25, 0.25}, {0, 1}, 2, 4, 0.0}, /* a tie */
    {{0.1, 0.5, 0.25, 0.15}, {1, 3}, 2, 4, -0.1},  /* not the largest */
    {{0.1, 0.5, 0.25, 0.15}, {1, 0}, 1, 4, 0.25},
    {{0.7, 0.3, 0.0, 0.0}, {0, 1}, 2, 2, HUGE_VAL}, /* nothing rejected */
};

START_TEST(a_margin_is_last_chosen_minus_first_rejected)
{
    double score[4];
    int64_t idx[2];
    const core_spec spec = {.n_e = margins[_i].n_e, .n_k = margins[_i].n_k};
    memcpy(score, margins[_i].score, sizeof score);
    memcpy(idx, margins[_i].idx, sizeof idx);
    gold__tap tap[] = {{.tap = {CORE_TAP_ROUTER_PROBS, 0},
                        .n_row = 1,
                        .n_col = margins[_i].n_e,
                        .v = score},
                       {.tap = {CORE_TAP_TOPK_IDX, 0},
                        .n_row = 1,
                        .n_col = margins[_i].n_k,
                        .ints = idx}};
    gold__taps taps = {2, tap};
    ck_assert_int_eq(gold__routing_margins(&taps, &spec, NULL), CORE_OK);
    const double out = tap[1].margin[0];
    ck_assert(out == margins[_i].margin ||
              fabs(out - margins[_i].margin) <= 1e-15);
    tap[0].tap.kind = CORE_TAP_ROUTER_LOGITS; /* a router of logits */
    free(tap[1].margin);
    ck_assert_int_eq(gold__routing_margins(&taps, &spec, NULL), CORE_OK);
    ck_assert(tap[1].margin[0] == out);
    free(tap[1].margin);
}
END_TEST

static const double strange[] = {0.0, 1e300, NAN, INFINITY, -INFINITY};

/* What is not finite is refused, in a value and in a perturbed one. */
START_TEST(what_is_not_finite_is_refused)
{
    double v[2] = {1.0, 2.0}, drift[1] = {0.0}, rms[1] = {0.0};
    const bool good = isfinite(strange[_i]);
    gold__tap tap = {.tap = {CORE_TAP_EMBED, 0},
                     .is_output = true,
                     .n_row = 1,
                     .n_col = 2,
                     .v = v,
                     .spread = {[REF_FREE] = {drift, rms}}};
    gold__taps taps = {1, &tap};
    gold__measuring measuring = {.taps = &taps};
    const core_tap_sink sink = gold__spread_sink(&measuring);
    const double moved[2] = {strange[_i], 2.0}; /* a good one comes after */
    sink.put(sink.self, tap.tap, moved, NULL, NULL);
    sink.put(sink.self, tap.tap, v, NULL, NULL);
    ck_assert((gold__taps_are_finite(&taps) == CORE_OK) == good);
    core_message_clear();
    drift[0] = 0.0;
    v[1] = strange[_i];
    ck_assert((gold__taps_are_finite(&taps) == CORE_OK) == good);
}
END_TEST

/* --- files against each other --- */

enum { ROWS = 3, COLS = 4 };

typedef struct content {
    float value[ROWS * COLS], tolerance[ROWS];
    double margin[ROWS];
    int64_t ids[ROWS];
} content;

static void write_content(char path[128], const char *name, const content *c)
{
    const core_st_tensor tensors[] = {{.name = "p0.embed",
                                       .dtype = CORE_DTYPE_F32,
                                       .n_dim = 2,
                                       .shape = {ROWS, COLS}},
                                      {.name = "p0.embed.tolerance",
                                       .dtype = CORE_DTYPE_F32,
                                       .n_dim = 1,
                                       .shape = {ROWS}},
                                      {.name = "p0.layers.0.routing_margin",
                                       .dtype = CORE_DTYPE_F64,
                                       .n_dim = 1,
                                       .shape = {ROWS}},
                                      {.name = "p0.layers.0.topk_idx",
                                       .dtype = CORE_DTYPE_I64,
                                       .n_dim = 2,
                                       .shape = {ROWS, 1}}};
    const void *data[] = {c->value, c->tolerance, c->margin, c->ids};
    core_st *st;
    path_of(path, name);
    ck_assert_int_eq(core_st_create(&st, path, tensors, 4, NULL), CORE_OK);
    for (int i = 0; i < 4; i++) {
        const core_st_tensor *t = core_st_find(st, tensors[i].name);
        memcpy(t->data, data[i], t->bytes);
    }
    ck_assert_int_eq(core_st_commit(st), CORE_OK);
    core_st_close(st);
}

/* A change of the recomputed file, and whether each comparison lets it pass. */
static const struct {
    int value_row, margin, tolerance, id; /* which member, -1: none           */
    float by;
    bool bitwise, within;
} changes[] = {
    {-1, -1, -1, -1, 0.0f, true, true},
    {0, -1, -1, -1, 0x1p-24f, false, true},
    {1, -1, -1, -1, 0.009f, false, true},
    {1, -1, -1, -1, 0.011f, false, false},
    {0, -1, -1, -1, 0.009f, false, false}, /* each row has its own */
    {0, -1, -1, -1, NAN, false, false},
    {2, -1, -1, -1, 1e-30f, false, false}, /* a tolerance of 0 */
    {-1, 0, -1, -1, 0.5f, false, true},
    {-1, -1, 0, -1, 0.5f, false, true},
    {-1, -1, -1, 0, 1.0f, false, false},
};

START_TEST(a_recomputed_file_is_judged)
{
    content a = {.tolerance = {0.001f, 0.01f, 0.0f}, .ids = {4, 2, 0}}, b;
    for (int i = 0; i < ROWS * COLS; i++)
        a.value[i] = i < 2 * COLS ? 0.5f : 0.0f;
    b = a;
    if (changes[_i].value_row >= 0)
        b.value[changes[_i].value_row * COLS + 2] += changes[_i].by;
    if (changes[_i].margin >= 0)
        b.margin[0] += (double)changes[_i].by;
    if (changes[_i].tolerance >= 0)
        b.tolerance[0] += changes[_i].by;
    if (changes[_i].id >= 0)
        b.ids[0] += 1;
    char want[128], found[128];
    write_content(want, "want", &a);
    write_content(found, "found", &b);
    ck_assert((gold__compare_files(want, found, true) == CORE_OK) ==
              changes[_i].bitwise);
    core_message_clear();
    ck_assert((gold__compare_files(want, found, false) == CORE_OK) ==
              changes[_i].within);
}
END_TEST

/* --- weights --- */

static void fingerprint(char out[GOLD_HEX_BYTES], uint64_t seed, int64_t n_l)
{
    core_spec spec;
    core_weights *weights;
    ck_assert_int_eq(core_spec_open(&spec, "shadow-b", NULL), CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, seed),
                     CORE_OK);
    spec.n_l = n_l;
    ck_assert_int_eq(gold__fingerprint_weights(out, &spec, weights), CORE_OK);
    core_weights_close(weights);
}

START_TEST(weights_have_one_fingerprint)
{
    char a[GOLD_HEX_BYTES], b[GOLD_HEX_BYTES];
    fingerprint(a, 1, 2);
    fingerprint(b, 1, 2);
    ck_assert_str_eq(a, b);
    fingerprint(b, 2, 2);
    ck_assert_str_ne(a, b);
    fingerprint(b, 1, 3);
    ck_assert_str_ne(a, b);
}
END_TEST

/* --- the target --- */

START_TEST(only_a_golden_of_ours_is_replaced)
{
    char missing[128];
    gold_case gold = {.origin = GOLD_ORACLE};
    path_of(missing, "none");
    strcpy(gold.folder, folder);
    strcpy(gold.generator, "test");
    ck_assert_int_eq(gold_check_target(missing, false), CORE_OK);
    ck_assert_int_eq(gold_check_target(folder, false), CORE_OK); /* empty */
    touch("notes");
    ck_assert_int_eq(gold_check_target(folder, false), CORE_E_FILE);
    ck_assert_int_eq(gold_check_target(folder, true), CORE_E_FILE);
    core_message_clear();
    ck_assert_int_eq(gold_seal(&gold), CORE_OK);
    ck_assert_int_eq(gold_check_target(folder, true), CORE_E_FILE);
    ck_assert_ptr_nonnull(strstr(core_message(), "oracle"));
}
END_TEST

START_TEST(a_commit_replaces_the_whole_folder)
{
    gold_case gold = {.origin = GOLD_SELF};
    char partial[96], path[128];
    snprintf(partial, sizeof partial, "%s.partial", folder);
    strcpy(gold.folder, folder);
    touch("old");
    ck_assert_int_eq(mkdir(partial, 0777), 0);
    snprintf(path, sizeof path, "%s/new", partial);
    FILE *file = fopen(path, "w");
    ck_assert(file != NULL && fclose(file) == 0);
    ck_assert_int_eq(gold_commit(&gold, partial), CORE_OK);
    path_of(path, "new");
    ck_assert_int_eq(access(path, F_OK), 0);
    path_of(path, "old");
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_ne(access(partial, F_OK), 0);
    ck_assert_int_ne(gold_commit(&gold, partial), CORE_OK); /* nothing there */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gold");
    TCase *tests = tcase_create("bundle");
    tcase_add_checked_fixture(tests, make_folder, remove_folder);
    tcase_add_test(tests, the_unit_roundoff_is_asked_of_the_numerics);
    tcase_add_test(tests, a_tolerance_is_of_its_row);
    tcase_add_test(tests, a_share_is_off_most_where_two_are_equal);
    tcase_add_test(tests, a_slope_may_be_two_units_at_least);
    tcase_add_test(tests, a_spread_is_the_largest_of_its_draws);
    tcase_add_loop_test(tests, a_margin_is_last_chosen_minus_first_rejected, 0,
                        sizeof margins / sizeof margins[0]);
    tcase_add_loop_test(tests, what_is_not_finite_is_refused, 0,
                        sizeof strange / sizeof strange[0]);
    tcase_add_loop_test(tests, a_recomputed_file_is_judged, 0,
                        sizeof changes / sizeof changes[0]);
    tcase_add_test(tests, weights_have_one_fingerprint);
    tcase_add_test(tests, only_a_golden_of_ours_is_replaced);
    tcase_add_test(tests, a_commit_replaces_the_whole_folder);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
