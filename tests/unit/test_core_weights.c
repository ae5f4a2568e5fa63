/* test_core_weights.c -- weights as functions of their coordinates: any
 * rectangle equals that part of the whole, whatever the source; exact values
 * lie on the tensor's grid; a checkpoint that does not fit is refused by name. */
#include "core/weights/altered.h"
#include "core/weights/weights.h"

#include "core/files/safetensors.h"
#include "core/numbers/rng.h"
#include "core/weights/weights_impl.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static core_spec preset(const char *name)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, name, NULL), CORE_OK);
    return spec;
}

/* --- tensors ---------------------------------------------------------------- */

static const char *const MODELS[] = {"seed-mini", "shadow-a", "shadow-b",
                                     "switch"};

static core_spec model(int i)
{
    if (i < 3)
        return preset(MODELS[i]);
    core_spec spec;
    ck_assert_int_eq(core_spec_open(
                         &spec, GOLDEN_DIR "/oracle/switch_layer/cap_loose",
                         NULL),
                     CORE_OK);
    return spec;
}

START_TEST(indices_are_dense)
{
    const core_spec spec = model(_i);
    const int64_t n = core_weight_count(&spec);
    char *seen = calloc((size_t)n, 1);
    ck_assert_ptr_nonnull(seen);
    int64_t n_seen = 0, parameters = 0;
    for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++)
        for (int l = 0; l < spec.n_l; l++)
            for (int e = 0; e < spec.n_e; e++) {
                const core_weight id = {(core_weight_kind)k, l, e};
                if (!core_weight_exists(&spec, id) ||
                    (k == CORE_W_HEAD && spec.tied))
                    continue;
                const int64_t i = core_weight_index(&spec, id);
                int64_t n_row, n_col;
                core_weight_shape(&spec, id, &n_row, &n_col);
                ck_assert(i >= 0 && i < n && seen[i] == 0);
                ck_assert(n_row > 0 && n_col > 0);
                seen[i] = 1;
                n_seen++;
                parameters += n_row * n_col;
            }
    ck_assert_int_eq(n_seen, n);
    ck_assert_int_eq(parameters, core_spec_parameters(&spec));
    free(seen);
}
END_TEST

/* Layers of all kinds among one another: the list and the index agree. */
START_TEST(the_list_is_by_index)
{
    core_spec spec = model(_i);
    if (_i == 0)
        for (int l = 0; l < spec.n_l; l++) {
            spec.mixer[l] =
                l % 3 == 1 ? CORE_MIXER_MAMBA : CORE_MIXER_ATTENTION;
            spec.ffn[l] = l % 5 < 3 ? CORE_FFN_DENSE : CORE_FFN_MOE;
            if (l % 7 == 4)
                spec.mixer[l] = CORE_N_MIXERS;
            if (l % 7 == 5)
                spec.ffn[l] = CORE_FFN_NONE;
        }
    const int64_t n = core_weight_count(&spec);
    core_weight *id = calloc((size_t)n, sizeof *id);
    ck_assert_ptr_nonnull(id);
    core_weight_list(&spec, id);
    for (int64_t i = 0; i < n; i++)
        ck_assert_int_eq(core_weight_index(&spec, id[i]), i);
    free(id);
}
END_TEST

START_TEST(a_tied_head_is_the_embedding)
{
    const core_spec spec = preset("shadow-b");
    const core_weight head = {CORE_W_HEAD, 0, 0}, embed = {CORE_W_EMBED, 0, 0};
    ck_assert(core_weight_exists(&spec, head));
    ck_assert_int_eq(core_weight_index(&spec, head),
                     core_weight_index(&spec, embed));
    core_weights *w = NULL;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 1), CORE_OK);
    double a[90], b[90];
    core_weights_read(w, head, 7, 8, 0, 90, a, 90);
    core_weights_read(w, embed, 7, 8, 0, 90, b, 90);
    ck_assert_mem_eq(a, b, sizeof a);
    core_weights_close(w);
}
END_TEST

/* --- rectangles ------------------------------------------------------------- */

static void check_rectangle(const core_weights *w, core_weight id,
                            const double *whole, int64_t n_col,
                            const int64_t rect[4])
{
    const int64_t n_r = rect[1] - rect[0], n_c = rect[3] - rect[2];
    const int64_t ld = n_c + 3;
    double *part = malloc((size_t)((n_r + 1) * ld) * sizeof *part);
    ck_assert_ptr_nonnull(part);
    for (int64_t i = 0; i < (n_r + 1) * ld; i++)
        part[i] = -77.0;
    core_weights_read(w, id, rect[0], rect[1], rect[2], rect[3], part, ld);
    for (int64_t r = 0; r <= n_r; r++)
        for (int64_t c = 0; c < ld; c++) {
            const bool inside = r < n_r && c < n_c;
            const double want =
                inside ? whole[(rect[0] + r) * n_col + rect[2] + c] : -77.0;
            ck_assert(part[r * ld + c] == want);
        }
    free(part);
}

static double *read_whole(const core_weights *w, const core_spec *spec,
                          core_weight id, int64_t *n_row, int64_t *n_col)
{
    core_weight_shape(spec, id, n_row, n_col);
    double *whole = malloc((size_t)(*n_row * *n_col) * sizeof *whole);
    ck_assert_ptr_nonnull(whole);
    core_weights_read(w, id, 0, *n_row, 0, *n_col, whole, *n_col);
    return whole;
}

static void check_rectangles(const core_weights *w, const core_spec *spec,
                             core_weight id)
{
    int64_t n_row, n_col;
    double *whole = read_whole(w, spec, id, &n_row, &n_col);
    for (uint64_t i = 0; i < 40; i++) {
        const uint64_t stream = (uint64_t)id.kind;
        int64_t rect[4];
        rect[0] = (int64_t)core_rng_below(1, stream, 4 * i, (uint64_t)n_row);
        rect[1] = rect[0] + (int64_t)core_rng_below(1, stream, 4 * i + 1,
                                     (uint64_t)(n_row - rect[0]) + 1);
        rect[2] = (int64_t)core_rng_below(1, stream, 4 * i + 2,
                                          (uint64_t)n_col);
        rect[3] = rect[2] + (int64_t)core_rng_below(1, stream, 4 * i + 3,
                                     (uint64_t)(n_col - rect[2]) + 1);
        check_rectangle(w, id, whole, n_col, rect);
    }
    free(whole);
}

/* Every kind of tensor that the model has, in some layer. */
static void for_each_kind(const core_weights *w, const core_spec *spec,
                          void (*check)(const core_weights *w,
                                        const core_spec *spec, core_weight id))
{
    for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++)
        for (int l = 0; l < spec->n_l; l++) {
            const core_weight id = {(core_weight_kind)k, l, 0};
            if (!core_weight_exists(spec, id))
                continue;
            check(w, spec, id);
            break;
        }
}

START_TEST(procedural_rectangles_equal_the_whole)
{
    const core_spec spec = model(_i);
    core_weights *w = NULL;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 5), CORE_OK);
    for_each_kind(w, &spec, check_rectangles);
    core_weights_close(w);
}
END_TEST

static const char *const CASES[] = {
    "mixtral/bf16", "mixtral/medium_awkward", "mixtral/sharded_tied_mqa",
    "mixtral/top8_linear", "mixtral/window_top1_yarn",
    "switch_layer/cap_loose", "switch_layer/cap_one_gelu"};

static core_weights *open_case(const char *name, core_spec *spec)
{
    char path[512];
    core_weights *w = NULL;
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s", name);
    ck_assert_int_eq(core_spec_open(spec, path, NULL), CORE_OK);
    ck_assert_msg(core_weights_open_checkpoint(&w, spec, path, false) == CORE_OK, "%s",
                  core_message());
    ck_assert_ptr_nonnull(strstr(core_weights_origin(w), name));
    return w;
}

START_TEST(checkpoint_rectangles_equal_the_whole)
{
    core_spec spec;
    core_weights *w = open_case(CASES[_i], &spec);
    for (int m = 0; m < CORE_N_PLAIN_NUMERICS; m++) {
        ck_assert_int_eq(core_weights_prepare(w, core_numerics_plain(m), NULL),
                         CORE_OK);
        for_each_kind(w, &spec, check_rectangles);
    }
    core_weights_close(w);
}
END_TEST

/* --- grids ------------------------------------------------------------------ */

/* On the grid, of at most 11 bits (a value just below a power of two may round
 * up to it), and, for a checkpoint, the largest magnitude uses them all. */
static void check_grid(const core_weights *w, const core_spec *spec,
                       core_weight id)
{
    int64_t n_row, n_col;
    double *whole = read_whole(w, spec, id, &n_row, &n_col);
    const double step = core_weights_step(w, id);
    double largest = 0.0;
    int exponent;
    ck_assert(frexp(step, &exponent) == 0.5);
    for (int64_t i = 0; i < n_row * n_col; i++) {
        const double n = whole[i] / step;
        ck_assert(n == nearbyint(n));
        ck_assert(!(whole[i] == 0.0 && signbit(whole[i])));
        largest = fmax(largest, fabs(n));
    }
    ck_assert(largest <= 2048.0 && largest >= 512.0);
    free(whole);
}

/* Procedural weights have 11 bits: a source may not skip the rounding. */
START_TEST(bf16_weights_are_rounded)
{
    const core_spec spec = model(_i);
    const core_weight id = {CORE_W_FFN_NORM, 0, 0};
    core_weights *w = NULL;
    int64_t n_row, n_col, n_changed = 0;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 5), CORE_OK);
    double *plain = read_whole(w, &spec, id, &n_row, &n_col);
    ck_assert_int_eq(core_weights_prepare(w, CORE_BF16, NULL), CORE_OK);
    double *rounded = read_whole(w, &spec, id, &n_row, &n_col);
    for (int64_t i = 0; i < n_row * n_col; i++) {
        double want = plain[i];
        core_store(CORE_BF16, CORE_GRID_ACT, &want, 1);
        ck_assert(rounded[i] == want);
        n_changed += rounded[i] != plain[i];
    }
    ck_assert(2 * n_changed > n_row * n_col);
    free(plain);
    free(rounded);
    core_weights_close(w);
}
END_TEST

START_TEST(procedural_values_lie_on_their_grid)
{
    const core_spec spec = model(_i);
    core_weights *w = NULL;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 5), CORE_OK);
    ck_assert_ptr_null(core_weights_steps(w));
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
    for_each_kind(w, &spec, check_grid);
    ck_assert_int_eq(core_weights_prepare(w, CORE_FP64, NULL), CORE_OK);
    ck_assert_ptr_null(core_weights_steps(w));
    core_weights_close(w);
}
END_TEST

START_TEST(checkpoint_values_lie_on_their_grid)
{
    core_spec spec;
    core_weights *w = open_case(CASES[_i], &spec);
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
    for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
        const core_weight id = {(core_weight_kind)k, 0, 0};
        int64_t n_row = 0, n_col = 0;
        if (!core_weight_exists(&spec, id))
            continue;
        ck_assert_int_eq(core_weights_prepare(w, CORE_FP64, NULL), CORE_OK);
        double *raw = read_whole(w, &spec, id, &n_row, &n_col);
        ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
        const double step = core_weights_step(w, id);
        double *grid = read_whole(w, &spec, id, &n_row, &n_col);
        double largest = 0.0;
        for (int64_t i = 0; i < n_row * n_col; i++) {
            ck_assert(grid[i] == step * nearbyint(raw[i] / step));
            largest = fmax(largest, fabs(raw[i]));
        }
        ck_assert(largest == 0.0 ||
                  (largest >= 1024 * step && largest < 2048 * step));
        free(raw);
        free(grid);
    }
    core_weights_close(w);
}
END_TEST

START_TEST(steps_can_come_from_elsewhere)
{
    core_spec spec;
    core_weights *w = open_case("mixtral/bf16", &spec);
    const int64_t n = core_weight_count(&spec);
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
    double *steps = malloc((size_t)n * sizeof *steps);
    ck_assert_ptr_nonnull(steps);
    memcpy(steps, core_weights_steps(w), (size_t)n * sizeof *steps);
    const core_weight id = {CORE_W_ROUTER, 1, 0};
    steps[core_weight_index(&spec, id)] = 0.25;
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, steps), CORE_OK);
    free(steps);
    ck_assert(core_weights_step(w, id) == 0.25);
    double row[64];
    core_weights_read(w, id, 0, 1, 0, 64, row, 64);
    for (int i = 0; i < 64; i++)
        ck_assert(row[i] * 4 == nearbyint(row[i] * 4));
    core_weights_close(w);
}
END_TEST

START_TEST(grid_of_a_magnitude)
{
    ck_assert(core__weight_grid(0.0) == 1.0);
    ck_assert(core__weight_grid(1.0) == 0x1p-10);
    ck_assert(core__weight_grid(1.999) == 0x1p-10);
    ck_assert(core__weight_grid(2.0) == 0x1p-9);
    ck_assert(core__weight_grid(0.3) == 0x1p-12);
    ck_assert(core__weight_grid(NAN) == 0.0);
    ck_assert(core__weight_grid(INFINITY) == 0.0);
}
END_TEST

/* --- procedural values ------------------------------------------------------ */

/* The formula of the header comment, element by element. */
START_TEST(values_are_the_stated_function)
{
    const core_spec spec = preset("shadow-a");
    const core_weight id = {CORE_W_EXPERT_DOWN, 3, 11};
    core_weights *w = NULL;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 9), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
    int64_t n_row, n_col;
    double *whole = read_whole(w, &spec, id, &n_row, &n_col);
    const uint64_t stream = core_rng_stream("layers.3.experts.11.down");
    for (int64_t i = 0; i < n_row * n_col; i++) {
        const core_rng_block block = core_rng(9, stream, (uint64_t)i / 8);
        const uint32_t u16 =
            block.word[i % 8 / 2] >> (i % 2 == 0 ? 0 : 16) & 0xffff;
        const double odd = 2.0 * (double)(u16 >> 5) - 2047.0;
        ck_assert(whole[i] == odd * core_weights_step(w, id));
    }
    free(whole);
    core_weights_close(w);
}
END_TEST

START_TEST(seeds_layers_and_experts_differ)
{
    const core_spec spec = preset("shadow-a");
    core_weights *w = NULL, *other = NULL;
    double a[28], b[28];
    const core_weight id = {CORE_W_EXPERT_DOWN, 1, 1};
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 1), CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&other, &spec, 2), CORE_OK);
    core_weights_read(w, id, 0, 1, 0, 28, a, 28);
    core_weights_read(other, id, 0, 1, 0, 28, b, 28);
    ck_assert_mem_ne(a, b, sizeof a);
    core_weights_read(w, (core_weight){id.kind, 1, 11}, 0, 1, 0, 28, b, 28);
    ck_assert_mem_ne(a, b, sizeof a);
    core_weights_read(w, (core_weight){id.kind, 2, 1}, 0, 1, 0, 28, b, 28);
    ck_assert_mem_ne(a, b, sizeof a);
    core_weights_close(w);
    core_weights_close(other);
}
END_TEST

START_TEST(magnitudes_keep_a_deep_model_in_range)
{
    const core_spec spec = preset("seed-mini");
    core_weights *w = NULL;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 1), CORE_OK);
    static const core_weight_kind KINDS[] = {CORE_W_Q, CORE_W_V, CORE_W_O,
                                             CORE_W_EXPERT_UP,
                                             CORE_W_EXPERT_DOWN, CORE_W_ROUTER};
    for (size_t k = 0; k < sizeof KINDS / sizeof KINDS[0]; k++) {
        int64_t n_row, n_col;
        double *whole = read_whole(w, &spec, (core_weight){KINDS[k], 2, 0},
                                   &n_row, &n_col);
        double sum = 0.0, squares = 0.0;
        const double n = (double)(n_row * n_col);
        for (int64_t i = 0; i < n_row * n_col; i++) {
            sum += whole[i];
            squares += whole[i] * whole[i];
        }
        const double gain = sqrt(squares / n * (double)n_col);
        ck_assert_msg(gain > 0.7 && gain < 3.6, "kind %d: gain %g",
                      (int)KINDS[k], gain);
        ck_assert(fabs(sum / n) <= 5.0 * sqrt(squares / n / n));
        free(whole);
    }
    core_weights_close(w);
}
END_TEST

START_TEST(twin_experts_have_equal_router_rows)
{
    const core_spec spec = preset("shadow-a"); /* twin_expert 7 */
    core_weights *w = NULL;
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 1), CORE_OK);
    double rows[20 * 60], bias[20];
    core_weights_read(w, (core_weight){CORE_W_ROUTER, 1, 0}, 0, 20, 0, 60, rows,
                      60);
    core_weights_read(w, (core_weight){CORE_W_ROUTER_BIAS, 1, 0}, 0, 1, 0, 20,
                      bias, 20);
    for (int e = 0; e < 19; e++) {
        const int equal =
            memcmp(rows + e * 60, rows + (e + 1) * 60, 60 * sizeof *rows) == 0;
        ck_assert_int_eq(equal, e == 7);
        ck_assert_int_eq(bias[e] == bias[e + 1], e == 7);
    }
    core_weights_close(w);
}
END_TEST

/* --- checkpoints ------------------------------------------------------------ */

static char folder[64];

static void in_folder(char path[256], const char *name)
{
    snprintf(path, 256, "%s/%s", folder, name);
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_core_weights-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const NAMES[] = {"model.safetensors", "a.safetensors",
                                        "b.safetensors",
                                        "model.safetensors.index.json"};
    char path[256];
    for (int i = 0; i < 4; i++) {
        in_folder(path, NAMES[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* The smallest Switch layer: 2 experts, D = 3, F = 4, six tensors. */
static core_spec tiny_switch(void)
{
    core_spec spec = {.family = CORE_FAMILY_SWITCH, .name = "tiny", .n_l = 1};
    spec.n_d = 3;
    spec.n_e = 2;
    spec.n_k = 1;
    spec.n_f = 4;
    spec.twin_expert = -1;
    spec.switch_block = 1;
    return spec;
}

#define LAYER "encoder.block.1.layer.1."
#define MATRIX(text, rows, cols)                                               \
    {                                                                          \
        .name = LAYER text, .dtype = CORE_DTYPE_F32, .n_dim = 2,               \
        .shape = {rows, cols}                                                  \
    }

enum { N_TENSORS = 6 };

static void good_tensors(core_st_tensor t[N_TENSORS])
{
    const core_st_tensor good[N_TENSORS] = {
        {.name = LAYER "layer_norm.weight",
         .dtype = CORE_DTYPE_F32,
         .n_dim = 1,
         .shape = {3}},
        MATRIX("mlp.router.classifier.weight", 2, 3),
        MATRIX("mlp.experts.expert_0.wi.weight", 4, 3),
        MATRIX("mlp.experts.expert_0.wo.weight", 3, 4),
        MATRIX("mlp.experts.expert_1.wi.weight", 4, 3),
        MATRIX("mlp.experts.expert_1.wo.weight", 3, 4),
    };
    memcpy(t, good, sizeof good);
}

static void write_file(const char *name, const core_st_tensor *tensors, int n)
{
    char path[256];
    core_st *file = NULL;
    in_folder(path, name);
    ck_assert_msg(core_st_create(&file, path, tensors, n, NULL) == CORE_OK,
                  "%s", core_message());
    for (int64_t i = 0; i < n; i++) {
        const core_st_tensor *t = core_st_at(file, i);
        if (t->dtype != CORE_DTYPE_F32)
            continue;
        for (int64_t j = 0; j < t->n; j++) {
            const float value = (float)(j + 1) / 7.0f;
            memcpy((char *)t->data + 4 * j, &value, sizeof value);
        }
    }
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
}

static core_weights *open_tiny(core_status want, const char *fragment)
{
    const core_spec spec = tiny_switch();
    core_weights *w = NULL;
    core_message_clear();
    const core_status status = core_weights_open_checkpoint(&w, &spec, folder, false);
    ck_assert_msg(status == want, "%s: %s", core_status_name(status),
                  core_message());
    ck_assert_msg(strstr(core_message(), fragment) != NULL,
                  "message '%s' lacks '%s'", core_message(), fragment);
    ck_assert((w != NULL) == (want == CORE_OK));
    return w;
}

START_TEST(a_written_checkpoint_reads_back)
{
    core_st_tensor t[N_TENSORS + 1];
    make_folder();
    good_tensors(t);
    t[N_TENSORS] = (core_st_tensor){.name = LAYER "rotary_emb.inv_freq",
                                    .dtype = CORE_DTYPE_F32,
                                    .n_dim = 1,
                                    .shape = {2}};
    write_file("model.safetensors", t, N_TENSORS + 1);
    core_weights *w = open_tiny(CORE_OK, "");
    const core_weight id = {CORE_W_EXPERT_DOWN, 0, 1};
    double value;
    core_weights_read(w, id, 2, 3, 1, 2, &value, 1);
    ck_assert(value == (double)(10.0f / 7.0f));
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_OK);
    ck_assert(core_weights_step(w, id) == 0x1p-10); /* 12/7 at most */
    core_weights_read(w, id, 2, 3, 1, 2, &value, 1);
    ck_assert(value == 1463.0 / 1024.0);
    core_weights_close(w);
    remove_folder();
}
END_TEST

START_TEST(a_checkpoint_that_does_not_fit_is_refused)
{
    core_st_tensor t[N_TENSORS + 1];
    make_folder();
    open_tiny(CORE_E_FILE, "neither model.safetensors nor");
    good_tensors(t);
    write_file("model.safetensors", t, N_TENSORS - 1);
    open_tiny(CORE_E_WEIGHTS, "expert_1.wo.weight: missing");
    t[4].shape[0] = 5;
    write_file("model.safetensors", t, N_TENSORS);
    open_tiny(CORE_E_WEIGHTS,
              "model.safetensors: " LAYER
              "mlp.experts.expert_1.wi.weight: shape [5,3], spec wants [4,3]");
    good_tensors(t);
    t[0].n_dim = 2;
    t[0].shape[0] = 1;
    t[0].shape[1] = 3;
    write_file("model.safetensors", t, N_TENSORS);
    open_tiny(CORE_E_WEIGHTS, "shape [1,3], spec wants [3]");
    good_tensors(t);
    t[2].dtype = CORE_DTYPE_F8_E4M3;
    write_file("model.safetensors", t, N_TENSORS);
    open_tiny(CORE_E_WEIGHTS, "expert_0.wi.weight: element type F8_E4M3");
    good_tensors(t);
    t[N_TENSORS] = t[1];
    t[N_TENSORS].name = LAYER "mlp.router.classifier.bias";
    write_file("model.safetensors", t, N_TENSORS + 1);
    open_tiny(CORE_E_WEIGHTS, "classifier.bias: unknown tensor");
    good_tensors(t);
    write_file("model.safetensors", t, N_TENSORS);
    core_weights_close(open_tiny(CORE_OK, ""));
    remove_folder();
}
END_TEST

static void write_index(const char *last_tensor, const char *last_file)
{
    core_st_tensor t[N_TENSORS];
    char path[256];
    good_tensors(t);
    in_folder(path, "model.safetensors.index.json");
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "{\"metadata\": {}, \"weight_map\": {");
    for (int i = 0; i < N_TENSORS - 1; i++)
        fprintf(file, "\"%s\": \"%c.safetensors\", ", t[i].name,
                i < 2 ? 'a' : 'b');
    fprintf(file, "\"%s\": \"%s\"}}\n", last_tensor, last_file);
    fclose(file);
}

START_TEST(shards_must_hold_what_the_index_says)
{
    core_st_tensor t[N_TENSORS + 1];
    make_folder();
    good_tensors(t);
    const char *last = t[N_TENSORS - 1].name;
    write_file("a.safetensors", t, 2);
    write_file("b.safetensors", t + 2, N_TENSORS - 2);
    write_index(last, "b.safetensors");
    core_weights *w = open_tiny(CORE_OK, "");
    ck_assert_ptr_nonnull(strstr(core_weights_origin(w), "2 files"));
    core_weights_close(w);
    write_index(last, "a.safetensors");
    open_tiny(CORE_E_WEIGHTS, "not in a.safetensors, where it is said to be");
    write_index(last, "c.safetensors");
    open_tiny(CORE_E_FILE, "c.safetensors");
    write_index(last, "../b.safetensors");
    open_tiny(CORE_E_FORMAT, "expected a file name");
    write_index(last, "b.safetensors");
    write_file("model.safetensors", t, 1); /* which the index leaves out */
    w = open_tiny(CORE_OK, "");
    ck_assert_ptr_nonnull(strstr(
        core_weights_origin(w),
        "2 files; 1 more that the index does not name is not read"));
    core_weights_close(w);
    t[N_TENSORS] = t[0];
    t[N_TENSORS].name = "more";
    write_file("b.safetensors", t + 2, N_TENSORS - 1);
    open_tiny(CORE_E_WEIGHTS, "b.safetensors: more: /tmp/test_core_weights-");
    ck_assert_ptr_nonnull(strstr(
        core_message(), "model.safetensors.index.json does not name it"));
    remove_folder();
}
END_TEST

/* What an overlay replaces stays in the file below it. */
START_TEST(the_index_says_which_of_two_is_meant)
{
    core_st_tensor t[N_TENSORS];
    char path[256];
    make_folder();
    good_tensors(t);
    const char *last = t[N_TENSORS - 1].name;
    write_file("a.safetensors", t, N_TENSORS);
    in_folder(path, "a.safetensors");
    core_st *base = NULL;
    ck_assert_int_eq(core_st_attach(&base, path), CORE_OK);
    for (int i = 2; i < N_TENSORS; i++)
        memset(core_st_find(base, t[i].name)->data, 0, 4);
    core_st_close(base);
    write_file("b.safetensors", t + 2, N_TENSORS - 2);
    for (int i = 0; i < 2; i++) {
        write_index(last, i == 0 ? "b.safetensors" : "a.safetensors");
        core_weights *w = open_tiny(CORE_OK, "");
        double value;
        core_weights_read(w, (core_weight){CORE_W_EXPERT_DOWN, 0, 1}, 0, 1, 0,
                          1, &value, 1);
        ck_assert(value == (i == 0 ? (double)(1.0f / 7.0f) : 0.0));
        core_weights_close(w);
    }
    remove_folder();
}
END_TEST

static const struct {
    const char *text, *message;
} BAD_INDEX[] = {
    {"", "model.safetensors.index.json:1:"},
    {"{\"weight_map\": {\"a\": \"a.safetensors\"}",
     "model.safetensors.index.json:1:"},
    {"[]", "weight_map: expected an object"},
    {"{}", "weight_map: expected an object"},
    {"{\"weight_map\": []}", "weight_map: expected an object"},
    {"{\"weight_map\": {\"a\": 1}}", "weight_map: a: expected a file name"},
    {"{\"weight_map\": {\"a\": \"\"}}", "shard '', expected a file name"},
    {"{\"weight_map\": {\"a\": \"x\", \"a\": \"x\"}}",
     ":29: a key given twice, after 'ght_map\": {\"a\": \"x\", \"a\"'"},
    {"{\"weight_map\": {}}", "layer_norm.weight: missing"},
};

START_TEST(an_index_that_is_none_is_refused)
{
    char path[256];
    make_folder();
    in_folder(path, "model.safetensors.index.json");
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(BAD_INDEX[_i].text, file);
    fclose(file);
    core_weights *w = NULL;
    const core_spec spec = tiny_switch();
    core_message_clear();
    const core_status status = core_weights_open_checkpoint(&w, &spec, folder, false);
    ck_assert(status == CORE_E_FORMAT || status == CORE_E_WEIGHTS);
    ck_assert_msg(strstr(core_message(), BAD_INDEX[_i].message) != NULL,
                  "'%s' lacks '%s'", core_message(), BAD_INDEX[_i].message);
    ck_assert_ptr_null(w);
    remove_folder();
}
END_TEST

START_TEST(values_that_are_not_finite_have_no_step)
{
    core_st_tensor t[N_TENSORS];
    char path[256];
    make_folder();
    good_tensors(t);
    in_folder(path, "model.safetensors");
    core_st *file = NULL;
    ck_assert_int_eq(core_st_create(&file, path, t, N_TENSORS, NULL), CORE_OK);
    const float nan = NAN;
    char *data = core_st_find(file, t[3].name)->data;
    memcpy(data + 20, &nan, sizeof nan);
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
    core_weights *w = open_tiny(CORE_OK, "");
    ck_assert_int_eq(core_weights_prepare(w, CORE_EXACT, NULL), CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(
        strstr(core_message(), "layers.0.experts.0.down: an element is not"));
    ck_assert_ptr_null(core_weights_steps(w));
    core_weights_close(w);
    remove_folder();
}
END_TEST

START_TEST(a_tensor_that_a_family_never_has_is_refused)
{
    static const char FOLDER[] = GOLDEN_DIR "/oracle/mixtral/tiny";
    core_spec spec;
    core_weights *w = NULL;
    ck_assert_int_eq(core_spec_open(&spec, FOLDER, NULL), CORE_OK);
    ck_assert_int_eq(core_weights_open_checkpoint(&w, &spec, FOLDER, false), CORE_OK);
    core_weights_close(w);
    w = NULL;
    spec.n_f_shared = 5;
    core_message_clear();
    ck_assert_int_eq(core_weights_open_checkpoint(&w, &spec, FOLDER, false),
                     CORE_E_WEIGHTS);
    ck_assert_ptr_nonnull(strstr(core_message(),
                                 "no checkpoint format has the tensor "
                                 "layers.0.mlp.gate of model mixtral"));
    core_weights_close(NULL);
}
END_TEST

/* The case's files, with an entry of its table of experts. */
static void write_case(const char *name, int64_t at, int64_t expert)
{
    char path[512];
    core_st *from = NULL, *to = NULL;
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s/model.safetensors",
             name);
    ck_assert_int_eq(core_st_open(&from, path), CORE_OK);
    const int64_t n = core_st_count(from);
    core_st_tensor *t = calloc((size_t)n, sizeof *t);
    ck_assert_ptr_nonnull(t);
    for (int64_t i = 0; i < n; i++)
        t[i] = *core_st_at(from, i);
    in_folder(path, "model.safetensors");
    ck_assert_msg(core_st_create(&to, path, t, n, NULL) == CORE_OK, "%s",
                  core_message());
    for (int64_t i = 0; i < n; i++) {
        const core_st_tensor *copy = core_st_find(to, t[i].name);
        memcpy((void *)(uintptr_t)copy->data, t[i].data,
               (size_t)t[i].n * core_dtype_bytes(t[i].dtype));
        if (strstr(t[i].name, "tid2eid") != NULL)
            memcpy((char *)(uintptr_t)copy->data + 8 * at, &expert,
                   sizeof expert);
    }
    ck_assert_int_eq(core_st_commit(to), CORE_OK);
    core_st_close(to);
    core_st_close(from);
    free(t);
}

/* Rows of 3 of 6 experts; entry 16 is the second of row 5. */
START_TEST(a_table_names_different_experts_that_there_are)
{
    static const char NAME[] = "deepseek_v4/all_layers";
    static const core_weight TABLE = {CORE_W_EXPERT_TABLE, 0, 0};
    core_spec spec;
    core_weights *w = open_case(NAME, &spec);
    double row[3];
    core_weights_read(w, TABLE, 5, 6, 0, 3, row, 3);
    core_weights_close(w);
    const struct {
        double expert;
        const char *message;
    } tries[] = {{row[1], NULL},
                 {row[0], "row 5 names expert"},
                 {6.0, "row 5 names expert 6, expected different ones below 6"},
                 {-1.0, "row 5 names expert -1"}};
    make_folder();
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        w = NULL;
        write_case(NAME, 16, (int64_t)tries[i].expert);
        core_message_clear();
        const core_status status =
            core_weights_open_checkpoint(&w, &spec, folder, false);
        if (tries[i].message == NULL) {
            ck_assert_msg(status == CORE_OK, "%s", core_message());
            core_weights_close(w);
            continue;
        }
        ck_assert_int_eq(status, CORE_E_WEIGHTS);
        ck_assert_msg(strstr(core_message(), tries[i].message) != NULL, "%s",
                      core_message());
    }
    remove_folder();
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* --- read in a wrong way ---------------------------------------------------- */

enum { N_INNER = 28, N_COL = 60 }; /* of shadow-a's experts */

static void read_expert(const core_weights *weights, core_weight_kind kind,
                        double out[N_INNER][N_COL])
{
    core_weights_read(weights, (core_weight){kind, 2, 5}, 0, N_INNER, 0, N_COL,
                      &out[0][0], N_COL);
}

START_TEST(an_alteration_reads_the_tensors_of_another_order)
{
    static double gate[N_INNER][N_COL], up[N_INNER][N_COL],
        other[N_INNER][N_COL];
    static double fused[2][N_INNER * 2][N_COL]; /* woven, halves */
    core_spec spec;
    core_weights *weights, *altered;
    ck_assert_int_eq(core_spec_open(&spec, "shadow-a", NULL), CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 1), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP32, NULL), CORE_OK);
    read_expert(weights, CORE_W_EXPERT_GATE, gate);
    read_expert(weights, CORE_W_EXPERT_UP, up);
    for (int f = 0; f < N_INNER; f++) {
        memcpy(fused[0][2 * f], gate[f], sizeof gate[f]);
        memcpy(fused[0][2 * f + 1], up[f], sizeof up[f]);
        memcpy(fused[1][f], gate[f], sizeof gate[f]);
        memcpy(fused[1][N_INNER + f], up[f], sizeof up[f]);
    }
    for (int how = 1; how < CORE_N_ALTERATIONS; how++) {
        ck_assert(core_alteration_applies((core_alteration)how, &spec));
        ck_assert_int_eq(
            core_weights_alter(&altered, weights, (core_alteration)how),
            CORE_OK);
        read_expert(altered, CORE_W_EXPERT_UP, other);
        for (int f = 0; f < N_INNER; f++) {
            const double *want =
                how == CORE_ALTER_EXPERTS_SWAPPED  ? gate[f]
                : how == CORE_ALTER_EXPERTS_HALVED ? fused[0][N_INNER + f]
                : how == CORE_ALTER_EXPERTS_WOVEN  ? fused[1][2 * f + 1]
                                                   : up[f];
            for (int c = 0; c < N_COL; c++)
                ck_assert(other[f][c] == (how == CORE_ALTER_EXPERTS_TURNED
                                              ? (&up[0][0])[c * N_INNER + f]
                                              : want[c]));
        }
        core_weights_close(altered);
    }
    core_weights_close(weights);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_weights");
    TCase *tcase = tcase_create("weights");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, indices_are_dense, 0, COUNT(MODELS));
    tcase_add_loop_test(tcase, the_list_is_by_index, 0, COUNT(MODELS));
    tcase_add_test(tcase, a_tied_head_is_the_embedding);
    tcase_add_loop_test(tcase, procedural_rectangles_equal_the_whole, 0,
                        COUNT(MODELS));
    tcase_add_loop_test(tcase, checkpoint_rectangles_equal_the_whole, 0,
                        COUNT(CASES));
    tcase_add_loop_test(tcase, procedural_values_lie_on_their_grid, 0,
                        COUNT(MODELS));
    tcase_add_loop_test(tcase, bf16_weights_are_rounded, 0, COUNT(MODELS));
    tcase_add_loop_test(tcase, checkpoint_values_lie_on_their_grid, 0,
                        COUNT(CASES));
    tcase_add_test(tcase, steps_can_come_from_elsewhere);
    tcase_add_test(tcase, grid_of_a_magnitude);
    tcase_add_test(tcase, values_are_the_stated_function);
    tcase_add_test(tcase, seeds_layers_and_experts_differ);
    tcase_add_test(tcase, magnitudes_keep_a_deep_model_in_range);
    tcase_add_test(tcase, twin_experts_have_equal_router_rows);
    tcase_add_test(tcase, a_written_checkpoint_reads_back);
    tcase_add_test(tcase, a_checkpoint_that_does_not_fit_is_refused);
    tcase_add_test(tcase, shards_must_hold_what_the_index_says);
    tcase_add_test(tcase, the_index_says_which_of_two_is_meant);
    tcase_add_loop_test(tcase, an_index_that_is_none_is_refused, 0,
                        COUNT(BAD_INDEX));
    tcase_add_test(tcase, values_that_are_not_finite_have_no_step);
    tcase_add_test(tcase, a_tensor_that_a_family_never_has_is_refused);
    tcase_add_test(tcase, a_table_names_different_experts_that_there_are);
    tcase_add_test(tcase, an_alteration_reads_the_tensors_of_another_order);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
