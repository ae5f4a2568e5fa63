/* test_ref_otherwise.c -- an operator done otherwise does what its name says,
 * in doubles, against formulas written out here. */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>

enum { N_T = 7, MOST = 64 };

/* Taps of one row of tokens. */
static fix_taps pass_in(const core_spec *spec, core_numerics numerics,
                        ref_otherwise otherwise)
{
    const fix_run how = {.numerics = numerics, .otherwise = otherwise};
    core_batch batch = fix_batch(spec, 1, N_T);
    fix_taps taps = {0};
    fix_forward(spec, &batch, &how, &taps);
    core_batch_free(&batch);
    return taps;
}

static fix_taps pass(const core_spec *spec, ref_otherwise otherwise)
{
    return pass_in(spec, CORE_FP64, otherwise);
}

/* A vector of layer 0 of the weights that a pass has. */
static void read_vector(const core_spec *spec, core_weight_kind kind,
                        double *out, int64_t n)
{
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP64, NULL), CORE_OK);
    core_weights_read(weights, (core_weight){kind, 0, 0}, 0, 1, 0, n, out, n);
    core_weights_close(weights);
}

START_TEST(a_correction_that_weighs_is_added_to_the_scores)
{
    const core_spec spec = fix_family(FIX_LATENT);
    const int64_t n_e = spec.n_e, n_k = spec.n_k;
    double correction[MOST];
    fix_taps taps = pass(&spec, REF_CORRECTION_WEIGHS);
    const double *p = fix_find(&taps, CORE_TAP_ROUTER_PROBS, 0);
    const double *idx = fix_find(&taps, CORE_TAP_TOPK_IDX, 0);
    const double *w = fix_find(&taps, CORE_TAP_TOPK_WEIGHT, 0);
    ck_assert_int_le(n_e, MOST);
    read_vector(&spec, CORE_W_CORRECTION, correction, n_e);
    for (int64_t t = 0; t < N_T; t++) {
        double sum = core_spec_sum_eps(&spec);
        for (int64_t k = 0; k < n_k; k++) {
            const int64_t e = (int64_t)idx[t * n_k + k];
            sum += p[t * n_e + e] + correction[e];
        }
        for (int64_t k = 0; k < n_k; k++) {
            const int64_t e = (int64_t)idx[t * n_k + k];
            ck_assert_double_eq_tol(w[t * n_k + k],
                                    spec.routed_scale *
                                        (p[t * n_e + e] + correction[e]) / sum,
                                    1e-14);
        }
    }
    fix_free(&taps);
}
END_TEST

/* Is expert e among the choices of token t? */
static bool is_chosen(const core_spec *spec, const double *idx, int64_t t,
                      int64_t e)
{
    for (int64_t k = 0; k < spec->n_k; k++)
        if (idx[t * spec->n_k + k] == (double)e)
            return true;
    return false;
}

/* Experts e and e + 1 are twins: where one of them alone is chosen it is the
 * other one, and all other choices are the same.  In exact mode: products may
 * round a column otherwise than its twin.                                    */
START_TEST(of_equal_scores_the_last_is_chosen)
{
    static const fix_family_kind of[] = {FIX_NORM_ALL, FIX_CHUNK, FIX_LATENT};
    core_spec spec = fix_family(of[_i]);
    spec.bias_router = spec.correction = false; /* twins have their own, */
    spec.n_group = 0;                           /* and groups come first */
    int n_moved = 0;
    for (int e = 0; e < (int)spec.n_e - 1; e++) {
        spec.twin_expert = e;
        fix_taps was = pass_in(&spec, CORE_EXACT, REF_AS_WRITTEN);
        fix_taps is = pass_in(&spec, CORE_EXACT, REF_LAST_OF_EQUAL);
        const double *a = fix_find(&was, CORE_TAP_TOPK_IDX, 0);
        const double *b = fix_find(&is, CORE_TAP_TOPK_IDX, 0);
        for (int64_t t = 0; t < N_T; t++) {
            const bool first = is_chosen(&spec, a, t, e);
            const bool second = is_chosen(&spec, a, t, e + 1);
            ck_assert(first || !second);
            ck_assert(is_chosen(&spec, b, t, e) == (first && second));
            ck_assert(is_chosen(&spec, b, t, e + 1) == first);
            for (int other = 0; other < (int)spec.n_e; other++)
                if (other != e && other != e + 1)
                    ck_assert(is_chosen(&spec, a, t, other) ==
                              is_chosen(&spec, b, t, other));
            n_moved += first && !second;
        }
        fix_free(&was);
        fix_free(&is);
    }
    ck_assert_int_gt(n_moved, 0);
}
END_TEST

/* Of eligible experts, corrected scores decide as before. */
START_TEST(where_no_scores_are_equal_the_choice_is_the_same)
{
    core_spec spec = fix_family(FIX_LATENT);
    spec.twin_expert = -1;
    fix_taps was = pass(&spec, REF_AS_WRITTEN);
    fix_taps is = pass(&spec, REF_LAST_OF_EQUAL);
    ck_assert_mem_eq(fix_find(&is, CORE_TAP_TOPK_IDX, 0),
                     fix_find(&was, CORE_TAP_TOPK_IDX, 0),
                     (size_t)(N_T * spec.n_k) * sizeof(double));
    fix_free(&was);
    fix_free(&is);
}
END_TEST

/* The first pair of every head, turned by one more than written. */
static void is_turned_on(const core_spec *spec, const double *is,
                         const double *was, int64_t n_head)
{
    const core_heads size = core_spec_heads(spec, 0);
    const int64_t half = size.n_rot / 2;
    for (int64_t h = 0; h < N_T * n_head; h++) {
        const double *x = was + h * size.n_dh, *y = is + h * size.n_dh;
        ck_assert_double_eq_tol(y[0], x[0] * cos(1.0) - x[half] * sin(1.0),
                                1e-14);
        ck_assert_double_eq_tol(y[half], x[half] * cos(1.0) + x[0] * sin(1.0),
                                1e-14);
        ck_assert_double_gt(fabs(y[0] - x[0]), 0.0);
    }
}

START_TEST(a_rotation_is_ahead_of_queries_and_keys_or_of_queries_alone)
{
    const core_spec spec = fix_family(FIX_NORM_HEAD);
    const int64_t n_logit = N_T * spec.n_v;
    fix_taps was = pass(&spec, REF_AS_WRITTEN);
    fix_taps all = pass(&spec, REF_ROTATIONS_FROM_ONE);
    fix_taps queries = pass(&spec, REF_QUERIES_ONE_ON);
    const double *q = fix_find(&was, CORE_TAP_Q_ROPE, 0);
    const double *k = fix_find(&was, CORE_TAP_K_ROPE, 0);
    is_turned_on(&spec, fix_find(&all, CORE_TAP_Q_ROPE, 0), q, spec.n_h);
    is_turned_on(&spec, fix_find(&all, CORE_TAP_K_ROPE, 0), k, spec.n_g);
    is_turned_on(&spec, fix_find(&queries, CORE_TAP_Q_ROPE, 0), q, spec.n_h);
    ck_assert_mem_eq(fix_find(&queries, CORE_TAP_K_ROPE, 0), k,
                     (size_t)(N_T * spec.n_g * spec.n_dh) * sizeof *k);
    /* attention sees differences of positions */
    const double *a = fix_find(&was, CORE_TAP_LOGITS, 0);
    const double *b = fix_find(&all, CORE_TAP_LOGITS, 0);
    const double *c = fix_find(&queries, CORE_TAP_LOGITS, 0);
    double off = 0.0;
    for (int64_t i = 0; i < n_logit; i++) {
        ck_assert_double_eq_tol(b[i], a[i], 1e-12);
        off = fmax(off, fabs(c[i] - a[i]));
    }
    ck_assert_double_gt(off, 1e-3);
    fix_free(&was);
    fix_free(&all);
    fix_free(&queries);
}
END_TEST

START_TEST(a_mean_that_is_kept_leaves_a_norm_of_rms_and_a_bias)
{
    const core_spec spec = fix_family(FIX_LAYERNORM);
    const int64_t n_d = spec.n_d;
    double w[MOST], b[MOST];
    fix_taps taps = pass(&spec, REF_MEAN_KEPT);
    const double *x = fix_find(&taps, CORE_TAP_EMBED, 0);
    const double *y = fix_find(&taps, CORE_TAP_ATTN_NORM, 0);
    ck_assert_int_le(n_d, MOST);
    read_vector(&spec, CORE_W_ATTN_NORM, w, n_d);
    read_vector(&spec, CORE_W_ATTN_NORM_BIAS, b, n_d);
    for (int64_t t = 0; t < N_T; t++) {
        double square = 0.0;
        for (int64_t d = 0; d < n_d; d++)
            square += x[t * n_d + d] * x[t * n_d + d];
        const double rms = sqrt(square / (double)n_d + spec.norm_eps);
        for (int64_t d = 0; d < n_d; d++)
            ck_assert_double_eq_tol(y[t * n_d + d],
                                    w[d] * x[t * n_d + d] / rms + b[d], 1e-13);
    }
    fix_free(&taps);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_otherwise");
    TCase *all = tcase_create("operators");
    tcase_add_test(all, a_correction_that_weighs_is_added_to_the_scores);
    tcase_add_loop_test(all, of_equal_scores_the_last_is_chosen, 0, 3);
    tcase_add_test(all, where_no_scores_are_equal_the_choice_is_the_same);
    tcase_add_test(all,
                   a_rotation_is_ahead_of_queries_and_keys_or_of_queries_alone);
    tcase_add_test(all, a_mean_that_is_kept_leaves_a_norm_of_rms_and_a_bias);
    suite_add_tcase(suite, all);
    return check_main(suite);
}
