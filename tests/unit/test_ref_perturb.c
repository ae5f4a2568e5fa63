/* tests/unit/test_ref_perturb.c -- passes that err by their bounds.
 *
 * What must hold: every operator errs, where the next one reads it; a transfer
 * does not; the signs depend on (seed, run, tap, element) alone; the routing is
 * the one handed in.
 */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_B = 2, N_T = 9, N = N_B * N_T };

static core_spec spec;
static core_batch batch;
static fix_taps honest;

static void open_honest(void)
{
    ck_assert_int_eq(core_batch_make(&batch, &spec, N_B, N_T, 1), CORE_OK);
    const fix_run how = {.numerics = CORE_FP32, .bounds = true, .seed = 3};
    fix_forward(&spec, &batch, &how, &honest);
}

static void setup(void)
{
    spec = fix_spec();
    spec.twin_expert = 3; /* exact ties, which any error breaks */
    open_honest();
}

static void teardown(void)
{
    fix_free(&honest);
    core_batch_free(&batch);
}

/* The ints of the honest pass: the fixture keeps them as doubles. */
static const int64_t *routing(void *self, core_tap tap)
{
    static int64_t ints[N * 8];
    ck_assert_int_le(spec.n_k, 8);
    const fix_taps *taps = self;
    const double *v = fix_find(taps, tap.kind, tap.layer);
    for (int64_t i = 0; i < N * spec.n_k; i++)
        ints[i] = (int64_t)v[i];
    return ints;
}

static void perturbed(fix_taps *out, const ref_perturbation *perturbation,
                      int n_threads, bool tiled)
{
    core_weights *weights;
    ref_model *model;
    const ref_options options = {n_threads, tiled ? 0 : SIZE_MAX, true, NULL,
                                 NULL};
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 3), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP32, NULL), CORE_OK);
    ck_assert_int_eq(
        ref_model_open(&model, &spec, weights, CORE_FP32, &options), CORE_OK);
    const core_tap_sink sink = fix_sink(out, &spec, N);
    ck_assert_int_eq(
        ref_forward_perturbed(model, &batch, NULL, perturbation, &sink, NULL),
        CORE_OK);
    ref_model_close(model);
    core_weights_close(weights);
}

static ref_perturbation of_run(uint64_t seed, uint64_t run)
{
    return (ref_perturbation){seed, run, routing, &honest};
}

/* --- the signs --- */

static const struct {
    uint64_t seed, run;
    int n_threads;
    bool tiled, same;
} signs[] = {
    {5, 0, 2, false, true},
    {5, 0, 1, true, true},
    {5, 1, 1, false, false},
    {6, 0, 1, false, false},
};

START_TEST(signs_depend_on_seed_and_run_alone)
{
    fix_taps a = {0}, b = {0};
    char name[CORE_NAME_BYTES];
    const ref_perturbation first = of_run(5, 0);
    const ref_perturbation second = of_run(signs[_i].seed, signs[_i].run);
    perturbed(&a, &first, 1, false);
    perturbed(&b, &second, signs[_i].n_threads, signs[_i].tiled);
    ck_assert((fix_first_difference(&a, &b, name) == NULL) == signs[_i].same);
    fix_free(&a);
    fix_free(&b);
}
END_TEST

/* --- every operator --- */

static bool is_transfer(core_tap_kind kind)
{
    return kind == CORE_TAP_IN || kind == CORE_TAP_BACK ||
           (kind == CORE_TAP_RECV && !spec.weigh_input);
}

/* Every stored value moves, but for routing and what is only copied. */
static void expect_errors_everywhere(void)
{
    fix_taps p = {0};
    const ref_perturbation perturbation = of_run(5, 0);
    perturbed(&p, &perturbation, 1, false);
    for (int64_t i = 0; i < p.n; i++) {
        int64_t n_moved = 0;
        const int64_t n = fix_size(&p, i);
        char name[CORE_NAME_BYTES];
        for (int64_t j = 0; j < n; j++)
            n_moved += p.values[i][j] != honest.values[i][j];
        core_tap_name(p.tap[i], name);
        if (core_tap_grid(p.tap[i].kind) == CORE_GRID_INT)
            ck_assert_msg(n_moved == 0, "%s: routing not taken over", name);
        else
            ck_assert_msg(n_moved > n / 4, "%s: %lld of %lld moved", name,
                          (long long)n_moved, (long long)n);
        for (int64_t j = 0; is_transfer(p.tap[i].kind) && j < n; j++)
            ck_assert_msg(p.bound[i][j] == 0.0f, "%s has a bound", name);
    }
    fix_free(&p);
}

START_TEST(every_operator_errs)
{
    expect_errors_everywhere();
}
END_TEST

START_TEST(every_operator_of_a_family_errs)
{
    fix_free(&honest);
    core_batch_free(&batch);
    spec = fix_family(_i);
    open_honest();
    expect_errors_everywhere();
}
END_TEST

/* On identical inputs an output is off by its bound and a rounding. */
START_TEST(the_first_tap_errs_by_its_bound)
{
    fix_taps p = {0};
    const ref_perturbation perturbation = of_run(5, 0);
    perturbed(&p, &perturbation, 1, false);
    const double *a = fix_find(&honest, CORE_TAP_EMBED, 0);
    const double *b = fix_find(&p, CORE_TAP_EMBED, 0);
    const float *bound = fix_bound(&honest, CORE_TAP_EMBED, 0);
    int64_t n_up = 0;
    for (int64_t i = 0; i < N * spec.n_d; i++) {
        const double ulp = 0x1p-23 * fabs(a[i]);
        ck_assert(fabs(b[i] - a[i]) <= (double)bound[i] + ulp);
        n_up += b[i] > a[i];
    }
    ck_assert_int_gt(n_up, N * spec.n_d / 4);
    ck_assert_int_lt(n_up, N * spec.n_d * 3 / 4);
    fix_free(&p);
}
END_TEST

/* --- errors are carried on: an output follows from the inputs delivered --- */

START_TEST(transfers_carry_what_came_before)
{
    fix_taps p = {0};
    const ref_perturbation perturbation = of_run(5, 0);
    perturbed(&p, &perturbation, 1, false);
    const size_t bytes = (size_t)(N * spec.n_d) * sizeof(double);
    ck_assert(memcmp(fix_find(&p, CORE_TAP_IN, 0),
                     fix_find(&p, CORE_TAP_EMBED, 0), bytes) == 0);
    ck_assert(memcmp(fix_find(&p, CORE_TAP_IN, 2),
                     fix_find(&p, CORE_TAP_OUT, 1), bytes) == 0);
    ck_assert(memcmp(fix_find(&p, CORE_TAP_BACK, 0),
                     fix_find(&p, CORE_TAP_EXPERT_OUT, 0),
                     bytes * (size_t)spec.n_k) == 0);
    const double *xn = fix_find(&p, CORE_TAP_FFN_NORM, 0);
    const double *recv = fix_find(&p, CORE_TAP_RECV, 0);
    for (int64_t c = 0; c < N * spec.n_k; c++)
        ck_assert(memcmp(recv + c * spec.n_d, xn + c / spec.n_k * spec.n_d,
                         (size_t)spec.n_d * sizeof *xn) == 0);
    fix_free(&p);
}
END_TEST

/* Outputs that follow from their inputs, and err: by most of their bound. */
typedef struct tally {
    int64_t n, n_off;
} tally;

/* y within its bound (and two roundings) of what the inputs give. */
static void follows(tally *seen, double y, double from_inputs, float bound)
{
    const double rounding = 0x1p-23 * fabs(y) + 0x1p-126;
    const double off = fabs(y - from_inputs);
    ck_assert_msg(off <= (double)bound + rounding, "%.9g from %.9g, bound %g",
                  y, from_inputs, (double)bound);
    seen->n++;
    seen->n_off += off >= 0.25 * (double)bound;
}

static void errs(const tally *seen)
{
    ck_assert_int_gt(seen->n_off, seen->n * 7 / 10);
}

START_TEST(sums_and_activations_follow_from_their_inputs)
{
    fix_taps p = {0};
    const ref_perturbation perturbation = of_run(5, 0);
    perturbed(&p, &perturbation, 1, false);
    const double *in = fix_find(&p, CORE_TAP_IN, 1);
    const double *r = fix_find(&p, CORE_TAP_ATTN_OUT, 1);
    const double *mid = fix_find(&p, CORE_TAP_MID, 1);
    const float *b = fix_bound(&p, CORE_TAP_MID, 1);
    tally seen = {0, 0};
    for (int64_t i = 0; i < N * spec.n_d; i++)
        follows(&seen, mid[i], in[i] + r[i], b[i]);
    errs(&seen);
    const core_tap_kind kinds[2][3] = {
        {CORE_TAP_EXPERT_GATE, CORE_TAP_EXPERT_UP, CORE_TAP_EXPERT_ACT},
        {CORE_TAP_MLP_GATE, CORE_TAP_MLP_UP, CORE_TAP_MLP_ACT}};
    const int64_t n[2] = {N * spec.n_k * spec.n_f, N * spec.n_f_shared};
    for (int k = 0; k < 2; k++) {
        const double *gate = fix_find(&p, kinds[k][0], 0);
        const double *up = fix_find(&p, kinds[k][1], 0);
        const double *act = fix_find(&p, kinds[k][2], 0);
        b = fix_bound(&p, kinds[k][2], 0);
        seen = (tally){0, 0};
        for (int64_t i = 0; i < n[k]; i++)
            follows(&seen, act[i], core_act_apply(spec.act, gate[i]) * up[i],
                    b[i]);
        errs(&seen);
    }
    fix_free(&p);
}
END_TEST

static const struct {
    core_tap_kind in, out;
    core_weight_kind weight, bias;
} products[] = {
    {CORE_TAP_ATTN_NORM, CORE_TAP_K, CORE_W_K, CORE_W_K_BIAS},
    {CORE_TAP_CONTEXT, CORE_TAP_ATTN_OUT, CORE_W_O, CORE_W_O_BIAS},
    {CORE_TAP_FFN_NORM, CORE_TAP_ROUTER_LOGITS, CORE_W_ROUTER,
     CORE_W_ROUTER_BIAS},
    {CORE_TAP_RECV, CORE_TAP_EXPERT_GATE, CORE_W_EXPERT_GATE,
     CORE_W_EXPERT_GATE_BIAS},
    {CORE_TAP_RECV, CORE_TAP_EXPERT_UP, CORE_W_EXPERT_UP,
     CORE_W_EXPERT_UP_BIAS},
    {CORE_TAP_EXPERT_ACT, CORE_TAP_EXPERT_OUT, CORE_W_EXPERT_DOWN,
     CORE_W_EXPERT_DOWN_BIAS},
    {CORE_TAP_FFN_NORM, CORE_TAP_MLP_UP, CORE_W_MLP_UP, CORE_W_MLP_UP_BIAS},
    {CORE_TAP_MLP_ACT, CORE_TAP_MLP_OUT, CORE_W_MLP_DOWN, CORE_W_MLP_DOWN_BIAS},
};

/* Row r of y = x W^T + b of layer 0, from the weights themselves. */
static void product_row(tally *seen, const core_weights *weights, int i,
                        const fix_taps *p, int64_t r, int expert)
{
    const core_weight w = {products[i].weight, 0, expert};
    const core_weight bias = {products[i].bias, 0, expert};
    int64_t n_out, n_in;
    double row[64], b;
    core_weight_shape(&spec, w, &n_out, &n_in);
    ck_assert_int_le(n_in, 64);
    const double *x = fix_find(p, products[i].in, 0) + r * n_in;
    const double *y = fix_find(p, products[i].out, 0) + r * n_out;
    const float *bound = fix_bound(p, products[i].out, 0) + r * n_out;
    for (int64_t o = 0; o < n_out; o++) {
        core_weights_read(weights, w, o, o + 1, 0, n_in, row, n_in);
        core_weights_read(weights, bias, 0, 1, o, o + 1, &b, 1);
        for (int64_t k = 0; k < n_in; k++)
            b += x[k] * row[k];
        follows(seen, y[o], b, bound[o]);
    }
}

START_TEST(products_follow_from_their_inputs)
{
    fix_taps p = {0};
    core_weights *weights;
    tally seen = {0, 0};
    const ref_perturbation perturbation = of_run(5, 0);
    perturbed(&p, &perturbation, 1, false);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 3), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP32, NULL), CORE_OK);
    const double *idx = fix_find(&p, CORE_TAP_TOPK_IDX, 0);
    const bool by_choice =
        core_tap_row_kind(products[_i].out) == CORE_ROWS_CHOICE;
    for (int64_t r = 0; r < (by_choice ? N * spec.n_k : N); r++)
        product_row(&seen, weights, _i, &p, r, by_choice ? (int)idx[r] : 0);
    errs(&seen);
    core_weights_close(weights);
    fix_free(&p);
}
END_TEST

START_TEST(the_routers_weights_follow_from_its_probabilities)
{
    fix_taps p = {0};
    const ref_perturbation perturbation = of_run(5, 0);
    perturbed(&p, &perturbation, 1, false);
    const double *probs = fix_find(&p, CORE_TAP_ROUTER_PROBS, 2);
    const double *idx = fix_find(&p, CORE_TAP_TOPK_IDX, 2);
    const double *w = fix_find(&p, CORE_TAP_TOPK_WEIGHT, 2);
    const float *b = fix_bound(&p, CORE_TAP_TOPK_WEIGHT, 2);
    tally seen = {0, 0};
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t k = 0; k < spec.n_k; k++)
            sum += probs[t * spec.n_e + (int64_t)idx[t * spec.n_k + k]];
        for (int64_t c = t * spec.n_k; c < (t + 1) * spec.n_k; c++)
            follows(&seen, w[c], probs[t * spec.n_e + (int64_t)idx[c]] / sum,
                    b[c]);
    }
    errs(&seen);
    fix_free(&p);
}
END_TEST

/* Left to itself, a perturbed pass breaks the ties between the twins. */
START_TEST(without_a_routing_it_chooses_itself)
{
    fix_taps p = {0};
    const ref_perturbation alone = {5, 0, NULL, NULL};
    perturbed(&p, &alone, 1, false);
    ck_assert(memcmp(fix_find(&p, CORE_TAP_TOPK_IDX, 0),
                     fix_find(&honest, CORE_TAP_TOPK_IDX, 0),
                     (size_t)(N * spec.n_k) * sizeof(double)) != 0);
    fix_free(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_perturb");
    TCase *tests = tcase_create("perturb");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, signs_depend_on_seed_and_run_alone, 0,
                        sizeof signs / sizeof signs[0]);
    tcase_add_test(tests, every_operator_errs);
    tcase_add_loop_test(tests, every_operator_of_a_family_errs, 0,
                        FIX_N_FAMILIES);
    tcase_add_test(tests, the_first_tap_errs_by_its_bound);
    tcase_add_test(tests, transfers_carry_what_came_before);
    tcase_add_test(tests, sums_and_activations_follow_from_their_inputs);
    tcase_add_loop_test(tests, products_follow_from_their_inputs, 0,
                        sizeof products / sizeof products[0]);
    tcase_add_test(tests, the_routers_weights_follow_from_its_probabilities);
    tcase_add_test(tests, without_a_routing_it_chooses_itself);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
