/* test_core_batch.c -- even splits, made batches, and input files: each refusal
 * is one value away from a file that reads. */
#include "core/pass/batch.h"

#include "core/files/safetensors.h"
#include "core/numbers/numerics.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

START_TEST(splits_cover_in_order_longer_parts_first)
{
    int64_t first[12];
    for (int64_t n = 0; n <= 20; n++)
        for (int64_t p = 1; p <= 11; p++) {
            core_split(n, p, first);
            ck_assert_int_eq(first[0], 0);
            ck_assert_int_eq(first[p], n);
            for (int64_t i = 0; i < p; i++) {
                const int64_t size = first[i + 1] - first[i];
                ck_assert_int_eq(size, n / p + (i < n % p ? 1 : 0));
                ck_assert_int_eq(first[i], core_split_first(n, p, i));
            }
        }
}
END_TEST

static core_spec preset(const char *name)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, name, NULL), CORE_OK);
    return spec;
}

static core_spec switch_layer(void)
{
    core_spec spec = {.family = CORE_FAMILY_SWITCH, .n_l = 1, .n_d = 6};
    spec.n_e = 4;
    spec.n_k = 1;
    return spec;
}

START_TEST(made_ids_are_in_range_reproducible_and_distinct)
{
    enum { B = 66, T = 11 };
    const core_spec spec = preset("shadow-a");
    core_batch a, b, other;
    ck_assert_int_eq(core_batch_make(&a, &spec, B, T, 3), CORE_OK);
    ck_assert_int_eq(core_batch_make(&b, &spec, B / 2, T, 3), CORE_OK);
    ck_assert_int_eq(core_batch_make(&other, &spec, B, T, 4), CORE_OK);
    ck_assert(a.mask == NULL && a.hidden == NULL);
    for (int i = 0; i < B * T; i++)
        ck_assert(a.ids[i] >= 0 && a.ids[i] < 37);
    /* a row is a function of its index, not of the size of the batch */
    ck_assert_mem_eq(a.ids, b.ids, sizeof(int64_t) * (B / 2) * T);
    ck_assert_mem_ne(a.ids, other.ids, sizeof(int64_t) * B * T);
    core_batch_free(&a);
    core_batch_free(&b);
    core_batch_free(&other);
    ck_assert_ptr_null(a.ids);
}
END_TEST

/* Places are asked for like 1, 1/2, 1/3 ..: of 37 ids 8, 4, 2.7 .. in 33.6 draws. */
START_TEST(popular_ids_are_drawn_by_their_shares)
{
    enum { V = 37, N = 40000 };
    const core_drift drift = {.part = 0.1, .seed = 3};
    core_popular p;
    int n_of[V] = {0};
    double all = 0;
    ck_assert_int_eq(core_popular_make(&p, V, &drift), CORE_OK);
    for (uint64_t i = 0; i < N; i++)
        n_of[core_popular_draw(&p, 5, 7, i)]++;
    for (int r = 0; r < V; r++)
        all += 1.0 / (r + 1);
    for (int r = 0; r < V; r++) {
        const double want = N / all / (r + 1);
        ck_assert_msg(fabs(n_of[p.id[r]] - want) < 5 * sqrt(want), "place %d: %d",
                      r, n_of[p.id[r]]);
    }
    core_popular_free(&p);
}
END_TEST

static int64_t n_moved(const core_popular *a, const core_popular *b)
{
    int64_t n = 0;
    for (int64_t r = 0; r < a->n; r++)
        n += a->id[r] != b->id[r];
    return n;
}

/* Behind each pass other places trade: of 1,000 ids 25 pairs, and no id is lost. */
START_TEST(a_part_of_the_ids_trades_after_each_pass)
{
    enum { V = 1000 };
    core_popular first, second, third;
    core_drift drift = {.part = 0.05, .seed = 3};
    uint8_t seen[V] = {0};
    ck_assert_int_eq(core_popular_make(&first, V, &drift), CORE_OK);
    drift.n_pass = 1;
    ck_assert_int_eq(core_popular_make(&second, V, &drift), CORE_OK);
    drift.n_pass = 2;
    ck_assert_int_eq(core_popular_make(&third, V, &drift), CORE_OK);
    for (int r = 0; r < V; r++)
        seen[third.id[r]]++;
    for (int r = 0; r < V; r++)
        ck_assert_int_eq(seen[r], 1);
    ck_assert_int_gt(n_moved(&first, &second), 40);
    ck_assert_int_le(n_moved(&first, &second), 50);
    ck_assert_int_gt(n_moved(&second, &third), 40);
    ck_assert_int_le(n_moved(&second, &third), 50);
    ck_assert_int_gt(n_moved(&first, &third), 80);
    core_popular_free(&first);
    core_popular_free(&second);
    core_popular_free(&third);
}
END_TEST

START_TEST(prompts_without_drift_are_made_as_before)
{
    enum { B = 5, T = 11 };
    const core_spec spec = preset("shadow-a");
    const core_drift none = {0}, drift = {.part = 0.1, .seed = 3};
    core_batch made, same, other;
    ck_assert_int_eq(core_batch_make(&made, &spec, B, T, 3), CORE_OK);
    ck_assert_int_eq(core_batch_draw(&same, &spec, B, T, 3, &none), CORE_OK);
    ck_assert_int_eq(core_batch_draw(&other, &spec, B, T, 3, &drift), CORE_OK);
    ck_assert_mem_eq(made.ids, same.ids, sizeof(int64_t) * B * T);
    ck_assert_mem_ne(made.ids, other.ids, sizeof(int64_t) * B * T);
    core_batch_free(&made);
    core_batch_free(&same);
    core_batch_free(&other);
}
END_TEST

START_TEST(left_padding_leaves_rows_of_other_lengths)
{
    enum { B = 7, T = 11 };
    const core_spec spec = preset("shadow-a"), layer = switch_layer();
    core_batch batch, hidden;
    ck_assert_int_eq(core_batch_make(&batch, &spec, B, T, 3), CORE_OK);
    ck_assert_int_eq(core_batch_pad_left(&batch, &spec), CORE_OK);
    const int n_pad[B] = {1, 3, 5, 7, 9, 0, 2};
    for (int i = 0; i < B * T; i++)
        ck_assert_int_eq(batch.mask[i], i % T >= n_pad[i / T]);
    ck_assert_int_eq(core_batch_pad_left(&batch, &spec), CORE_E_INPUT);
    core_batch_free(&batch);
    ck_assert_int_eq(core_batch_make(&hidden, &layer, B, T, 3), CORE_OK);
    ck_assert_int_eq(core_batch_pad_left(&hidden, &layer), CORE_E_INPUT);
    core_batch_free(&hidden);
}
END_TEST

START_TEST(rows_stay_distinct_where_chance_would_repeat_them)
{
    const core_spec spec = preset("shadow-a"); /* 37 words, rows of one */
    core_batch batch;
    ck_assert_int_eq(core_batch_make(&batch, &spec, 12, 1, 1), CORE_OK);
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < i; j++)
            ck_assert_int_ne(batch.ids[i], batch.ids[j]);
    core_batch_free(&batch);
    ck_assert_int_eq(core_batch_make(&batch, &spec, 40, 1, 1), CORE_OK);
    core_batch_free(&batch); /* more rows than words: made nevertheless */
}
END_TEST

START_TEST(made_hidden_is_on_the_grid_with_unit_variance)
{
    const core_spec spec = switch_layer();
    core_batch batch;
    ck_assert_int_eq(core_batch_make(&batch, &spec, 20, 50, 3), CORE_OK);
    ck_assert_ptr_null(batch.ids);
    double squares = 0.0, sum = 0.0;
    for (int i = 0; i < 6000; i++) {
        const double n = batch.hidden[i] / CORE_STEP_ACT;
        ck_assert(n == nearbyint(n) && n != 0.0);
        sum += batch.hidden[i];
        squares += batch.hidden[i] * batch.hidden[i];
    }
    ck_assert(squares / 6000 > 0.8 && squares / 6000 < 1.6);
    ck_assert(fabs(sum / 6000) < 0.1);
    core_batch_free(&batch);
}
END_TEST

START_TEST(a_batch_is_repeated_row_by_row)
{
    static const int64_t ids[] = {3, 1, 4, 1, 5, 9};
    static const uint8_t mask[] = {0, 1, 1, 1, 1, 1};
    static const double hidden[] = {0.5, 1.5, 2.5, 3.5, 4.5, 5.5};
    const core_spec spec = {.n_d = 1};
    const core_batch all[] = {{2, 3, ids, mask, NULL},
                              {3, 2, NULL, NULL, hidden}};
    for (int i = 0; i < 2; i++) {
        core_batch twice;
        ck_assert_int_eq(core_batch_repeat(&twice, &spec, &all[i], 2), CORE_OK);
        ck_assert_int_eq(twice.n_b, 2 * all[i].n_b);
        ck_assert_int_eq(twice.n_t, all[i].n_t);
        ck_assert((twice.ids == NULL) == (all[i].ids == NULL));
        ck_assert((twice.mask == NULL) == (all[i].mask == NULL));
        ck_assert((twice.hidden == NULL) == (all[i].hidden == NULL));
        for (int j = 0; j < 12; j++) {
            if (twice.ids != NULL)
                ck_assert_int_eq(twice.ids[j], ids[j % 6]);
            if (twice.mask != NULL)
                ck_assert_int_eq(twice.mask[j], mask[j % 6]);
            if (twice.hidden != NULL)
                ck_assert_double_eq(twice.hidden[j], hidden[j % 6]);
        }
        core_batch_free(&twice);
    }
}
END_TEST

START_TEST(sizes_that_do_not_fit_are_refused)
{
    const core_spec spec = preset("shadow-a");
    core_batch batch;
    ck_assert_int_eq(core_batch_make(&batch, &spec, 0, 3, 1), CORE_E_INPUT);
    ck_assert_int_eq(core_batch_make(&batch, &spec, 3, 0, 1), CORE_E_INPUT);
    ck_assert_int_eq(core_batch_make(&batch, &spec, 1 << 16, 1 << 16, 1),
                     CORE_E_INPUT);
}
END_TEST

/* --- input files ------------------------------------------------------------ */

/* A file with p0.input_ids [2,3], maybe p0.attention_mask, as this test wants
 * it; opened. */
typedef struct input {
    core_dtype dtype;
    int n_dim;
    int64_t shape[3];
    const void *data;
    core_dtype mask_dtype;
    int64_t mask_columns; /* 0: no mask                                       */
    const void *mask;
    const char *name;
} input;

static core_st *write_and_open(const input *in)
{
    char path[] = "/tmp/test_core_batch-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    core_st_tensor tensors[2] = {{.name = in->name, .dtype = in->dtype},
                                 {.name = "p0.attention_mask",
                                  .dtype = in->mask_dtype,
                                  .n_dim = 2,
                                  .shape = {2, in->mask_columns}}};
    tensors[0].n_dim = in->n_dim;
    memcpy(tensors[0].shape, in->shape, sizeof in->shape);
    const int n = in->mask_columns > 0 ? 2 : 1;
    core_st *file = NULL;
    ck_assert_int_eq(core_st_create(&file, path, tensors, n, NULL), CORE_OK);
    const core_st_tensor *t = core_st_find(file, in->name);
    memcpy(t->data, in->data, t->bytes);
    if (n == 2) {
        t = core_st_find(file, "p0.attention_mask");
        memcpy(t->data, in->mask, t->bytes);
    }
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
    ck_assert_msg(core_st_open(&file, path) == CORE_OK, "%s", core_message());
    unlink(path);
    return file;
}

static const int64_t IDS[6] = {0, 36, 5, 7, 1, 2};
static const int64_t MASK[6] = {0, 1, 1, 1, 1, 1};

static input good_input(void)
{
    return (input){CORE_DTYPE_I64, 2, {2, 3}, IDS, CORE_DTYPE_I64, 3, MASK,
                   "p0.input_ids"};
}

static void check_read_for(const core_spec *spec, const input *in,
                           const char *prefix, core_status want,
                           const char *fragment)
{
    core_st *file = write_and_open(in);
    core_batch batch = {.n_b = -1};
    core_message_clear();
    const core_status status = core_batch_read(&batch, spec, file, prefix);
    ck_assert_msg(status == want, "%s: %s", core_status_name(status),
                  core_message());
    ck_assert_msg(strstr(core_message(), fragment) != NULL,
                  "message '%s' lacks '%s'", core_message(), fragment);
    if (want == CORE_OK) {
        ck_assert_int_eq(batch.n_b, 2);
        ck_assert_int_eq(batch.n_t, 3);
        ck_assert_mem_eq(batch.ids, IDS, sizeof IDS);
        ck_assert(batch.mask == NULL || batch.mask[0] == 0);
        ck_assert(batch.mask == NULL || batch.mask[5] == 1);
        core_batch_free(&batch);
    } else {
        ck_assert_int_eq(batch.n_b, -1);
    }
    core_st_close(file);
}

static void check_read(const input *in, const char *prefix, core_status want,
                       const char *fragment)
{
    const core_spec spec = preset("shadow-a");
    check_read_for(&spec, in, prefix, want, fragment);
}

START_TEST(padding_and_blocks_of_keys_do_not_mix)
{
    core_spec spec = preset("shadow-a");
    input in = good_input();
    spec.sight[2] = CORE_SIGHT_CHOSEN;
    spec.n_seen = 3;
    spec.block_index = (core_block_index){.n_dh = 7, .n_key = 2, .n_local = 1};
    check_read_for(&spec, &in, "p0.", CORE_E_INPUT,
                   "layer 2 chooses keys by block_index");
    in.mask_columns = 0;
    check_read_for(&spec, &in, "p0.", CORE_OK, "");
}
END_TEST

START_TEST(padding_and_a_state_space_do_not_mix)
{
    static const int64_t ONES[6] = {1, 1, 1, 1, 1, 1};
    core_spec spec = preset("shadow-a");
    core_batch batch;
    input in = good_input();
    spec.mixer[1] = CORE_MIXER_MAMBA;
    check_read_for(&spec, &in, "p0.", CORE_E_INPUT, "layer 1 is mamba");
    spec.mixer[1] = CORE_MIXER_SHORTCONV;
    check_read_for(&spec, &in, "p0.", CORE_E_INPUT, "layer 1 is shortconv");
    in.mask_columns = 0;
    check_read_for(&spec, &in, "p0.", CORE_OK, "");
    ck_assert_int_eq(core_batch_make(&batch, &spec, 2, 5, 1), CORE_OK);
    ck_assert_int_eq(core_batch_pad_left(&batch, &spec), CORE_E_INPUT);
    core_batch_free(&batch);
    core_st *file = write_and_open(
        &(input){CORE_DTYPE_I64, 2, {2, 3}, IDS, CORE_DTYPE_I64, 3, ONES,
                 "p0.input_ids"});
    ck_assert_int_eq(core_batch_read(&batch, &spec, file, "p0."), CORE_OK);
    core_batch_free(&batch);
    core_st_close(file);
}
END_TEST

START_TEST(good_inputs_read)
{
    static const int32_t NARROW[6] = {0, 36, 5, 7, 1, 2};
    static const uint8_t BYTES[6] = {0, 1, 1, 1, 1, 1};
    input in = good_input();
    check_read(&in, "p0.", CORE_OK, "");
    in.mask_columns = 0;
    check_read(&in, "p0.", CORE_OK, "");
    in = good_input();
    in.dtype = CORE_DTYPE_I32;
    in.data = NARROW;
    in.mask_dtype = CORE_DTYPE_U8;
    in.mask = BYTES;
    check_read(&in, "p0.", CORE_OK, "");
    in.mask_dtype = CORE_DTYPE_BOOL;
    check_read(&in, "p0.", CORE_OK, "");
}
END_TEST

START_TEST(bad_inputs_are_refused_by_place)
{
    static const int64_t HIGH[6] = {0, 36, 5, 7, 37, 2};
    static const int64_t NEGATIVE[6] = {0, 36, -1, 7, 1, 2};
    static const int64_t HUGE_ID[6] = {0, 36, 5, 7, 1, INT64_MAX};
    static const int64_t TWO[6] = {0, 1, 1, 2, 1, 1};
    static const double REALS[6] = {0, 36, 5, 7, 1, 2};
    input in = good_input();
    in.data = HIGH;
    check_read(&in, "p0.", CORE_E_INPUT,
               "p0.input_ids: row 1, column 1: token id 37, expected 0 to 36");
    in.data = NEGATIVE;
    check_read(&in, "p0.", CORE_E_INPUT, "row 0, column 2: token id -1");
    in.data = HUGE_ID;
    check_read(&in, "p0.", CORE_E_INPUT, "row 1, column 2");
    in = good_input();
    in.mask = TWO;
    check_read(&in, "p0.", CORE_E_INPUT,
               "p0.attention_mask: row 1, column 0: mask value 2");
    in = good_input();
    in.mask_columns = 2;
    check_read(&in, "p0.", CORE_E_INPUT, "p0.attention_mask: shape");
    in = good_input();
    in.n_dim = 1;
    in.shape[0] = 6;
    check_read(&in, "p0.", CORE_E_INPUT, "1 dimensions");
    in = good_input();
    in.dtype = CORE_DTYPE_F64;
    in.data = REALS;
    check_read(&in, "p0.", CORE_E_INPUT, "F64, expected an integer type");
    in = good_input();
    check_read(&in, "p1.", CORE_E_INPUT, "no tensor p1.input_ids");
    in.shape[1] = 0;
    check_read(&in, "p0.", CORE_E_INPUT, "0 elements");
}
END_TEST

START_TEST(hidden_input_of_a_switch_layer)
{
    float values[12] = {1.5f, -2.0f};
    input in = {CORE_DTYPE_F32, 3, {1, 2, 6}, values, CORE_DTYPE_I64, 0, NULL,
                "hidden_in"};
    core_spec spec = switch_layer();
    core_batch batch;
    core_st *file = write_and_open(&in);
    ck_assert_int_eq(core_batch_read(&batch, &spec, file, ""), CORE_OK);
    ck_assert(batch.n_b == 1 && batch.n_t == 2 && batch.ids == NULL);
    ck_assert(batch.hidden[0] == 1.5 && batch.hidden[1] == -2.0);
    core_batch_free(&batch);
    spec.n_d = 5;
    core_message_clear();
    ck_assert_int_eq(core_batch_read(&batch, &spec, file, ""), CORE_E_INPUT);
    ck_assert_ptr_nonnull(strstr(core_message(), "last extent 6"));
    core_st_close(file);
    spec.n_d = 6;
    values[7] = NAN;
    file = write_and_open(&in);
    core_message_clear();
    ck_assert_int_eq(core_batch_read(&batch, &spec, file, ""), CORE_E_INPUT);
    ck_assert_ptr_nonnull(
        strstr(core_message(), "row 0, column 1: element 1 is not finite"));
    core_st_close(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_batch");
    TCase *tcase = tcase_create("batch");
    tcase_add_test(tcase, splits_cover_in_order_longer_parts_first);
    tcase_add_test(tcase, made_ids_are_in_range_reproducible_and_distinct);
    tcase_add_test(tcase, popular_ids_are_drawn_by_their_shares);
    tcase_add_test(tcase, a_part_of_the_ids_trades_after_each_pass);
    tcase_add_test(tcase, prompts_without_drift_are_made_as_before);
    tcase_add_test(tcase, left_padding_leaves_rows_of_other_lengths);
    tcase_add_test(tcase, padding_and_blocks_of_keys_do_not_mix);
    tcase_add_test(tcase, padding_and_a_state_space_do_not_mix);
    tcase_add_test(tcase, rows_stay_distinct_where_chance_would_repeat_them);
    tcase_add_test(tcase, made_hidden_is_on_the_grid_with_unit_variance);
    tcase_add_test(tcase, a_batch_is_repeated_row_by_row);
    tcase_add_test(tcase, sizes_that_do_not_fit_are_refused);
    tcase_add_test(tcase, good_inputs_read);
    tcase_add_test(tcase, bad_inputs_are_refused_by_place);
    tcase_add_test(tcase, hidden_input_of_a_switch_layer);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
