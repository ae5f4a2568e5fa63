/* tests/unit/test_core_checkpoint.c -- weights as patterns in file tensors.
 *
 * Tensors hold their own element numbers, so that what a view reads says where
 * it read it; the expected numbers come from the shapes of MODELS' families,
 * index by index, not from the patterns under test.
 */
#include "core/files/path.h"
#include "core/weights/checkpoint_impl.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { E = 3, R = 5, C = 7 };

/* A file of the given tensors; fill(bytes of tensor i). */
static core_st *make_file(const core_st_tensor *tensors, int n,
                          void (*fill)(int i, core_st_tensor tensor))
{
    char path[] = "/tmp/test_core_checkpoint-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    core_st *file = NULL;
    ck_assert_msg(core_st_create(&file, path, tensors, n, NULL) == CORE_OK,
                  "%s", core_message());
    for (int i = 0; i < n; i++)
        fill(i, *core_st_find(file, tensors[i].name));
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
    ck_assert_msg(core_st_open(&file, path) == CORE_OK, "%s", core_message());
    unlink(path);
    return file;
}

static void number(int i, core_st_tensor tensor)
{
    (void)i;
    for (int64_t j = 0; j < tensor.n; j++) {
        const float value = (float)j;
        memcpy((char *)tensor.data + j * 4, &value, sizeof value);
    }
}

/* A tensor of plain values. */
static core__stored stored(const core_st *file, const char *name)
{
    const core_st_tensor *t = core_st_find(file, name);
    core__stored s = {
        .codes = {core_st_path(file), t, NULL}, .kind = CORE_BLOCK_NONE, .n_dim = t->n_dim};
    memcpy(s.shape, t->shape, sizeof s.shape);
    return s;
}

/* One layout: the shape of its tensor, and where (e, r, c) lies in it. */
typedef struct layout_case {
    core_layout layout;
    bool is_vector;
    int n_dim;
    int64_t shape[3];
    int64_t (*at)(int64_t e, int64_t r, int64_t c);
} layout_case;

#define AT(name, expression)                                                   \
    static int64_t name(int64_t e, int64_t r, int64_t c)                       \
    {                                                                          \
        (void)e, (void)r, (void)c;                                             \
        return expression;                                                     \
    }
AT(at_matrix, r *C + c)
AT(at_last_rows, (R + r) * C + c)
AT(at_vector, c)
AT(at_last_cols, C + c)
AT(at_e_in_out, (e * C + c) * R + r)
AT(at_even, (e * C + c) * 2 * R + 2 * r)
AT(at_odd, (e * C + c) * 2 * R + 2 * r + 1)
AT(at_left, (e * C + c) * 2 * R + r)
AT(at_right, (e * C + c) * 2 * R + R + r)
AT(at_e_out_in, (e * R + r) * C + c)
AT(at_top, (e * 2 * R + r) * C + c)
AT(at_bottom, (e * 2 * R + R + r) * C + c)
AT(at_even_rows, 2 * r * C + c)
AT(at_odd_rows, (2 * r + 1) * C + c)
AT(at_even_cols, 2 * c)
AT(at_odd_cols, 2 * c + 1)
AT(at_e_even_rows, (e * 2 * R + 2 * r) * C + c)
AT(at_e_odd_rows, (e * 2 * R + 2 * r + 1) * C + c)
AT(at_e_vector, e *C + c)
AT(at_vector_first, e * 2 * C + c)
AT(at_vector_last, e * 2 * C + C + c)
AT(at_vector_even, e * 2 * C + 2 * c)
AT(at_vector_odd, e * 2 * C + 2 * c + 1)

static const layout_case LAYOUTS[] = {
    {CORE_LAYOUT_MATRIX, false, 2, {R, C}, at_matrix},
    {CORE_LAYOUT_VECTOR, true, 1, {C}, at_vector},
    {CORE_LAYOUT_CONV, false, 3, {R, 1, C}, at_matrix},
    {CORE_LAYOUT_FIRST_ROWS, false, 2, {2 * R, C}, at_matrix},
    {CORE_LAYOUT_LAST_ROWS, false, 2, {2 * R, C}, at_last_rows},
    {CORE_LAYOUT_FIRST_COLS, true, 1, {2 * C}, at_vector},
    {CORE_LAYOUT_LAST_COLS, true, 1, {2 * C}, at_last_cols},
    {CORE_LAYOUT_E_IN_OUT, false, 3, {E, C, R}, at_e_in_out},
    {CORE_LAYOUT_E_EVEN, false, 3, {E, C, 2 * R}, at_even},
    {CORE_LAYOUT_E_ODD, false, 3, {E, C, 2 * R}, at_odd},
    {CORE_LAYOUT_E_LEFT, false, 3, {E, C, 2 * R}, at_left},
    {CORE_LAYOUT_E_RIGHT, false, 3, {E, C, 2 * R}, at_right},
    {CORE_LAYOUT_E_OUT_IN, false, 3, {E, R, C}, at_e_out_in},
    {CORE_LAYOUT_E_TOP, false, 3, {E, 2 * R, C}, at_top},
    {CORE_LAYOUT_E_BOTTOM, false, 3, {E, 2 * R, C}, at_bottom},
    {CORE_LAYOUT_E_VECTOR, true, 2, {E, C}, at_e_vector},
    {CORE_LAYOUT_E_VECTOR_EVEN, true, 2, {E, 2 * C}, at_vector_even},
    {CORE_LAYOUT_E_VECTOR_ODD, true, 2, {E, 2 * C}, at_vector_odd},
    {CORE_LAYOUT_E_VECTOR_FIRST, true, 2, {E, 2 * C}, at_vector_first},
    {CORE_LAYOUT_E_VECTOR_LAST, true, 2, {E, 2 * C}, at_vector_last},
    {CORE_LAYOUT_EVEN_ROWS, false, 2, {2 * R, C}, at_even_rows},
    {CORE_LAYOUT_ODD_ROWS, false, 2, {2 * R, C}, at_odd_rows},
    {CORE_LAYOUT_EVEN_COLS, true, 1, {2 * C}, at_even_cols},
    {CORE_LAYOUT_ODD_COLS, true, 1, {2 * C}, at_odd_cols},
    {CORE_LAYOUT_E_EVEN_ROWS, false, 3, {E, 2 * R, C}, at_e_even_rows},
    {CORE_LAYOUT_E_ODD_ROWS, false, 3, {E, 2 * R, C}, at_e_odd_rows},
};

START_TEST(every_layout_reads_its_own_elements)
{
    const layout_case *l = &LAYOUTS[_i];
    const int64_t shape[2] = {l->is_vector ? 1 : R, C};
    core_st_tensor t = {
        .name = "w", .dtype = CORE_DTYPE_F32, .n_dim = l->n_dim};
    memcpy(t.shape, l->shape, sizeof l->shape);
    core_st *file = make_file(&t, 1, number);
    for (int e = 0; e < E; e++) {
        core__view view;
        double out[R * C], largest = 0.0;
        const core__stored w = stored(file, "w");
        ck_assert_msg(core__view_make(&view, &w, l->layout, shape, e, E) ==
                          CORE_OK,
                      "%s", core_message());
        for (int64_t r0 = 0; r0 < shape[0]; r0++)
            for (int64_t c0 = 0; c0 < C; c0++) {
                core__view_read(&view, r0, shape[0], c0, C, out, C - c0);
                for (int64_t r = r0; r < shape[0]; r++)
                    for (int64_t c = c0; c < C; c++) {
                        const double want = (double)l->at(e, r, c);
                        ck_assert(out[(r - r0) * (C - c0) + c - c0] == want);
                        largest = fmax(largest, want);
                    }
            }
        ck_assert(core__view_largest(&view) == largest);
    }
    core__view view;
    t.shape[0]++;
    core_st *other = make_file(&t, 1, number);
    const core__stored w = stored(other, "w");
    ck_assert_int_eq(core__view_make(&view, &w, l->layout, shape, 0, E),
                     CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(strstr(core_message(), "w: shape ["));
    core_st_close(other);
    core_st_close(file);
}
END_TEST

/* Six rows, or entries, in two blocks of three: each block begins at the second
 * of five of the tensor.                                                     */
static const struct {
    core_layout layout;
    int n_dim;
    int64_t shape[4], own[2];
} IN_BLOCKS[] = {
    {CORE_LAYOUT_MATRIX, 2, {10, C}, {6, C}},
    {CORE_LAYOUT_CONV, 3, {10, 1, C}, {6, C}},
    {CORE_LAYOUT_VECTOR, 1, {10}, {1, 6}},
};

START_TEST(blocks_of_a_tensor_are_read_alone)
{
    static const int64_t AT[6] = {1, 2, 3, 6, 7, 8};
    const core_blocks blocks = {.n = 2, .first = 1, .period = 5};
    const int64_t *own = IN_BLOCKS[_i].own;
    const bool is_vector = IN_BLOCKS[_i].n_dim == 1;
    core_st_tensor t = {.name = "w",
                        .dtype = CORE_DTYPE_F32,
                        .n_dim = IN_BLOCKS[_i].n_dim};
    memcpy(t.shape, IN_BLOCKS[_i].shape, sizeof IN_BLOCKS[_i].shape);
    core_st *file = make_file(&t, 1, number);
    const core__stored w = stored(file, "w");
    core__view view;
    ck_assert_msg(core__view_make_in_blocks(&view, &w, IN_BLOCKS[_i].layout,
                                            blocks, own, 0, 1) == CORE_OK,
                  "%s", core_message());
    double out[6 * C];
    for (int64_t r0 = 0; r0 < own[0]; r0++)
        for (int64_t c0 = 0; c0 < own[1]; c0++) {
            core__view_read(&view, r0, own[0], c0, own[1], out, own[1]);
            for (int64_t r = r0; r < own[0]; r++)
                for (int64_t c = c0; c < own[1]; c++) {
                    const int64_t want = is_vector ? AT[c] : AT[r] * C + c;
                    ck_assert(out[(r - r0) * own[1] + c - c0] == (double)want);
                }
        }
    ck_assert_int_eq(core__view_make_in_blocks(&view, &w, IN_BLOCKS[_i].layout,
                                               (core_blocks){3, 1, 5}, own, 0,
                                               1),
                     CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(strstr(core_message(), "spec wants [15"));
    core_st_close(file);
}
END_TEST

START_TEST(long_columns_are_read_in_pieces)
{
    enum { LONG = 9000 };
    const int64_t shape[2] = {LONG, 2};
    core_st_tensor t = {.name = "w",
                        .dtype = CORE_DTYPE_F32,
                        .n_dim = 3,
                        .shape = {1, 2, 2 * LONG}};
    core_st *file = make_file(&t, 1, number);
    core__view view;
    const core__stored w = stored(file, "w");
    ck_assert_int_eq(core__view_make(&view, &w, CORE_LAYOUT_E_ODD, shape, 0, 1),
                     CORE_OK);
    double *out = malloc(sizeof *out * 2 * LONG);
    ck_assert_ptr_nonnull(out);
    core__view_read(&view, 0, LONG, 0, 2, out, 2);
    for (int64_t r = 0; r < LONG; r++)
        for (int64_t c = 0; c < 2; c++)
            ck_assert(out[2 * r + c] == (double)(c * 2 * LONG + 2 * r + 1));
    free(out);
    core_st_close(file);
}
END_TEST

/* --- names ------------------------------------------------------------------
 */

START_TEST(what_may_stand_in_a_file_beside_the_weights)
{
    core_spec spec = {.family = CORE_FAMILY_DEEPSEEK_V3, .n_l = 61};
    ck_assert(
        core_file_is_tolerated(&spec, "model.layers.61.embed_tokens.weight"));
    ck_assert(!core_file_is_tolerated(&spec, "model.layers.60.eh_proj.weight"));
    ck_assert(core_file_is_tolerated(
        &spec, "model.layers.3.self_attn.rotary_emb.inv_freq"));
    ck_assert(!core_file_is_tolerated(&spec, "lm_head.weight"));
    spec.tied = true;
    ck_assert(core_file_is_tolerated(&spec, "lm_head.weight"));
    spec.family = CORE_FAMILY_MIXTRAL;
    ck_assert(!core_file_is_tolerated(&spec, "model.layers.61.eh_proj.weight"));
}
END_TEST

START_TEST(a_path_is_whole_or_refused)
{
    static char folder[CORE_PATH_BYTES], path[CORE_PATH_BYTES];
    memset(folder, 'f', CORE_PATH_BYTES - 3);
    ck_assert_int_eq(core_path_join(path, folder, "n"), CORE_OK);
    ck_assert_uint_eq(strlen(path), CORE_PATH_BYTES - 1);
    ck_assert_str_eq(path + CORE_PATH_BYTES - 4, "f/n");
    ck_assert_int_eq(core_path_join(path, folder, "nn"), CORE_E_FILE);
    ck_assert_ptr_nonnull(strstr(core_message(), "path too long: fff"));
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("core_checkpoint");
    TCase *tcase = tcase_create("patterns");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, every_layout_reads_its_own_elements, 0,
                        COUNT(LAYOUTS));
    tcase_add_loop_test(tcase, blocks_of_a_tensor_are_read_alone, 0,
                        COUNT(IN_BLOCKS));
    tcase_add_test(tcase, long_columns_are_read_in_pieces);
    tcase_add_test(tcase, what_may_stand_in_a_file_beside_the_weights);
    tcase_add_test(tcase, a_path_is_whole_or_refused);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
