/* test_ref_gradients.c -- the reference backwards, held against torch's
 * autograd in float64 (golden/gradients.py), and what it refuses.
 */
#include "core/files/safetensors.h"
#include "tests/support/check_main.h"
#include "tests/support/grad_room.h"
#include "tests/support/scaled_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_B = 4, N_T = 7, SEED = 2, PATH_BYTES = 512 };

static void check_ok(core_status status)
{
    ck_assert_msg(status == CORE_OK, "%s", core_message());
}

static core_spec open_spec(const char *name)
{
    core_spec spec;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/gradients/%s.yaml", GOLDEN_DIR, name);
    check_ok(core_spec_open(&spec, path, NULL));
    return spec;
}

/* Both passes of a model, its tokens by the seed, two groups. */
static ref_stats run(grad_room *room, const core_spec *spec,
                     core_numerics numerics, const core_weights *weights)
{
    const int64_t first_row[] = {0, N_B / 2, N_B};
    const core_groups groups = {.n = 2, .first_row = first_row};
    const ref_options options = {.n_threads = 1,
                                 .weight_budget_bytes = SIZE_MAX};
    const ref_grad_room to = grad_room_ref(room);
    core_batch batch;
    ref_model *model;
    ref_stats stats;
    check_ok(core_batch_make(&batch, spec, N_B, N_T, SEED));
    check_ok(ref_model_open(&model, spec, weights, numerics, &options));
    check_ok(ref_gradients(model, &batch, &groups, NULL, SEED, &to, &stats));
    ref_model_close(model);
    core_batch_free(&batch);
    return stats;
}

static ref_stats make(grad_room *room, const core_spec *spec,
                      core_numerics numerics)
{
    core_weights *weights;
    check_ok(core_weights_open_procedural(&weights, spec, SEED));
    check_ok(core_weights_prepare(weights, numerics, NULL));
    const ref_stats stats = run(room, spec, numerics, weights);
    core_weights_close(weights);
    return stats;
}

/* Autograd's sums are in an order of its own: 2^-53 times a few hundred terms.
 */
static void compare(const grad_room *room, const core_st *expected,
                    double allowed)
{
    char name[CORE_GRAD_NAME_BYTES];
    int64_t n_found = 0;
    for (int64_t i = 0; i < room->n; i++) {
        const core_st_tensor *t =
            core_st_find(expected, core_grad_name(room->grad[i], name));
        const int64_t n = grad_room_size(room, i);
        ck_assert_msg(t != NULL && t->n == n, "%s: expected %lld elements",
                      name, (long long)n);
        double largest = 0.0, worst = 0.0;
        for (int64_t j = 0; j < n; j++) {
            const double want = core_st_value(t, j);
            largest = fmax(largest, fabs(want));
            const double off = fabs(room->at[i][j] - want);
            worst = off <= worst ? worst : off;
        }
        ck_assert_msg(largest > 0.0, "%s is zero", name);
        ck_assert_msg(worst <= allowed * largest, "%s: off by %g of %g", name,
                      worst, largest);
        n_found++;
    }
    ck_assert_int_eq(n_found, core_st_count(expected));
}

static const char *const MODELS[] = {"gated", "tied"};

static void check_model(const char *model, core_numerics numerics,
                        double allowed)
{
    const core_spec spec = open_spec(model);
    char path[PATH_BYTES];
    core_st *expected;
    grad_room room = grad_room_make(&spec, N_B * N_T);
    snprintf(path, sizeof path, "%s/gradients/%s.safetensors", GOLDEN_DIR,
             model);
    check_ok(core_st_open(&expected, path));
    const ref_stats stats = make(&room, &spec, numerics);
    ck_assert(numerics != CORE_EXACT || (stats.exact && stats.bits > 30.0));
    compare(&room, expected, allowed);
    core_st_close(expected);
    grad_room_free(&room);
}

START_TEST(autograd)
{
    check_model(MODELS[_i], CORE_FP64, 1e-13);
}
END_TEST

/* The grid's gradients are those of the model, not of something near it: off by
 * what stored activations are off.                                           */
START_TEST(on_the_grid)
{
    check_model(MODELS[_i], CORE_EXACT, 0.05);
}
END_TEST

/* A larger head makes larger gradients, and no other value of the way there:
 * the first sum that does not fit is that of a gradient, and is named. */
START_TEST(too_large)
{
    const core_spec spec = open_spec("gated");
    grad_room room = grad_room_make(&spec, N_B * N_T);
    bool was_exact = false, is_exact = true;
    for (int e = 0; is_exact && e < 40; e++) {
        core_weights *weights = scaled_weights_open(
            &spec, (scaling){.kind = CORE_W_HEAD, .exponent = e});
        const ref_stats stats = run(&room, &spec, CORE_EXACT, weights);
        core_weights_close(weights);
        is_exact = stats.exact;
        was_exact |= is_exact;
        ck_assert_msg(is_exact == (stats.bits <= 53.0), "%g bits", stats.bits);
        ck_assert(is_exact || strncmp(stats.not_exact, "grad.", 5) == 0);
    }
    ck_assert(was_exact && !is_exact);
    grad_room_free(&room);
}
END_TEST

static void with_window(core_spec *s)
{
    s->sliding_window = 3;
}
static void with_scale(core_spec *s)
{
    s->residual_scale = 0.5;
}
static void with_relu(core_spec *s)
{
    s->act = CORE_ACT_RELU;
}
static void with_passthrough(core_spec *s)
{
    s->capacity.dropped = CORE_DROPPED_PASSTHROUGH;
}
static void with_sigmoid(core_spec *s)
{
    s->router = CORE_ROUTER_SIGMOID;
}
static void with_yarn(core_spec *s)
{
    s->rope.scaling = CORE_ROPE_YARN;
}
static void with_layernorm(core_spec *s)
{
    s->norm = CORE_NORM_LAYER;
}
static void without_ffn(core_spec *s)
{
    s->ffn[1] = CORE_FFN_NONE;
}
static void with_mixer(core_spec *s)
{
    s->mixer[1] = CORE_MIXER_SHORTCONV;
}

static const struct {
    void (*change)(core_spec *spec);
    const char *field;
} OTHERS[] = {
    {with_window, "sliding_window"}, {with_scale, "scale.residual"},
    {with_relu, "activation"},       {with_passthrough, "capacity.dropped"},
    {with_sigmoid, "router.scores"}, {with_yarn, "rope.scaling"},
    {with_layernorm, "norm"},        {without_ffn, "ffn"},
    {with_mixer, "mixer"},
};

START_TEST(other_settings)
{
    core_spec spec = open_spec("tied");
    char field[64];
    check_ok(core_grad_check(&spec));
    OTHERS[_i].change(&spec);
    snprintf(field, sizeof field, "'%s'", OTHERS[_i].field);
    ck_assert_int_eq(core_grad_check(&spec), CORE_E_USAGE);
    ck_assert_msg(strstr(core_message(), field) != NULL, "%s", core_message());
    core_message_clear();
}
END_TEST

/* Presets have gradients, a Switch layer has none. */
START_TEST(presets)
{
    core_spec spec;
    const char *name;
    for (int i = 0; (name = core_spec_preset_name(i)) != NULL; i++) {
        check_ok(core_spec_open(&spec, name, NULL));
        check_ok(core_grad_check(&spec));
    }
    spec.n_h = 0;
    ck_assert_int_eq(core_grad_check(&spec), CORE_E_USAGE);
    core_message_clear();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradients of the reference");
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, autograd, 0, 2);
    tcase_add_loop_test(tcase, on_the_grid, 0, 2);
    tcase_add_test(tcase, too_large);
    tcase_add_loop_test(tcase, other_settings, 0,
                        (int)(sizeof OTHERS / sizeof OTHERS[0]));
    tcase_add_test(tcase, presets);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
