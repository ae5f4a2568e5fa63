/* test_ref_oracle.c -- the third witness: what transformers computes.
 *
 * Cases and their rules are described in golden/data/oracle (transformers
 * 4.57.6; weights as stored, computed in fp32, and the logits once more in
 * float64).  The reference runs in fp64: its logits must reach logits_f64 to
 * 1e-9, its other taps the fp32 figures within what fp32 costs the case. */
#include "core/files/safetensors.h"
#include "tests/support/check_main.h"
#include "tests/support/oracle_cases.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512 };

/* An open case and the model it holds. */
typedef struct oracle {
    char folder[PATH_BYTES];
    core_spec spec;
    core_weights *weights;
    ref_model *model;
    core_st *expected;
} oracle;

static void check_ok(core_status status)
{
    ck_assert_msg(status == CORE_OK, "%s", core_message());
}

static void open_model(oracle *o, bool act_quant)
{
    check_ok(core_weights_open_checkpoint(&o->weights, &o->spec, o->folder,
                                          act_quant));
    check_ok(core_weights_prepare(o->weights, CORE_FP64, NULL));
    const ref_options options = {.n_threads = 2,
                                 .weight_budget_bytes = SIZE_MAX};
    check_ok(
        ref_model_open(&o->model, &o->spec, o->weights, CORE_FP64, &options));
}

static oracle open_case(const char *name)
{
    oracle o = {0};
    char path[PATH_BYTES + 32];
    snprintf(o.folder, sizeof o.folder, "%s/oracle/%s", GOLDEN_DIR, name);
    bool is_checkpoint = false;
    check_ok(core_spec_open(&o.spec, o.folder, &is_checkpoint));
    ck_assert(is_checkpoint);
    snprintf(path, sizeof path, "%s/expected.safetensors", o.folder);
    check_ok(core_st_open(&o.expected, path));
    return o;
}

static void close_case(oracle *o)
{
    ref_model_close(o->model);
    core_weights_close(o->weights);
    core_st_close(o->expected);
}

/* Values of PREFIX + name as doubles; NULL if the file does not have it. */
static double *expected(const oracle *o, const char *prefix, const char *name,
                        int64_t n)
{
    char full[2 * CORE_NAME_BYTES];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const core_st_tensor *t = core_st_find(o->expected, full);
    if (t == NULL)
        return NULL;
    ck_assert_msg(t->n == n, "%s: %lld elements, expected %lld", full,
                  (long long)t->n, (long long)n);
    double *out = malloc((size_t)n * sizeof *out);
    core_dtype_to_f64(out, t->data, t->dtype, n);
    return out;
}

static double rms(const double *x, int64_t n)
{
    double s = 0.0;
    for (int64_t i = 0; i < n; i++)
        s += x[i] * x[i];
    return sqrt(s / (double)n);
}

/* Largest |a - b|; infinite if a NaN is among them. */
static double largest_difference(const double *a, const double *b, int64_t n)
{
    double worst = 0.0;
    for (int64_t i = 0; i < n; i++)
        worst = ref__worse(worst, fabs(a[i] - b[i]));
    return worst;
}

static void check_within(const double *got, const double *want, int64_t n,
                         double bound, const char *prefix, const char *name)
{
    const double worst = largest_difference(got, want, n);
    ck_assert_msg(worst <= bound, "%s%s: off by %g, allowed %g", prefix, name,
                  worst, bound);
}

/* The same experts per token, in any order, with the same weights. */
static void check_choices(const fix_taps *taps, int layer, const double *idx,
                          const double *weight, double bound)
{
    const int64_t n_k = taps->spec.n_k;
    const double *my_idx = fix_find(taps, CORE_TAP_TOPK_IDX, layer);
    const double *my_w = fix_find(taps, CORE_TAP_TOPK_WEIGHT, layer);
    for (int64_t t = 0; t < taps->n_token; t++)
        for (int64_t k = 0; k < n_k; k++) {
            int64_t found = -1;
            for (int64_t j = 0; j < n_k; j++)
                if (idx[t * n_k + j] == my_idx[t * n_k + k])
                    found = j;
            ck_assert_msg(found >= 0, "layer %d token %d: expert %d", layer,
                          (int)t, (int)my_idx[t * n_k + k]);
            const double error =
                fabs(weight[t * n_k + found] - my_w[t * n_k + k]);
            ck_assert(error <= bound);
        }
}

static void check_prompt(const oracle *o, const char *prefix,
                         const fix_taps *taps)
{
    const int64_t n_logits = taps->n_token * o->spec.n_v;
    double *truth = expected(o, prefix, "logits_f64", n_logits);
    ck_assert_ptr_nonnull(truth);
    check_within(fix_find(taps, CORE_TAP_LOGITS, 0), truth, n_logits, 1e-9,
                 prefix, "logits_f64");
    const char *text =
        core_st_metadata(o->expected, "logits_fp32_vs_fp64_max_abs");
    ck_assert_ptr_nonnull(text);
    const double d = strtod(text, NULL), unit = rms(truth, n_logits);
    ck_assert(d > 0.0 && d < 1e-3);
    const double relative = fmax(10.0 * d / unit, 2e-5);
    int64_t n_checked = 0;
    for (int64_t i = 0; i < taps->n; i++) {
        const core_tap tap = taps->tap[i];
        char name[CORE_NAME_BYTES];
        core_tap_name(tap, name);
        const int64_t n = fix_size(taps, i);
        if (!core_tap_is_coarse(tap.kind))
            continue;
        double *want = expected(o, prefix, name, n);
        ck_assert_msg(want != NULL, "%s%s is not in the file", prefix, name);
        if (tap.kind == CORE_TAP_TOPK_IDX) {
            char other[CORE_NAME_BYTES];
            core_tap_name((core_tap){CORE_TAP_TOPK_WEIGHT, tap.layer}, other);
            double *weight = expected(o, prefix, other, n);
            check_choices(taps, tap.layer, want, weight,
                          relative * rms(weight, n));
            free(weight);
        } else if (tap.kind != CORE_TAP_TOPK_WEIGHT) {
            check_within(taps->values[i], want, n, relative * rms(want, n),
                         prefix, name);
        }
        free(want);
        n_checked++;
    }
    int64_t n_wanted = 0;
    for (int64_t i = 0; i < taps->n; i++)
        n_wanted += core_tap_is_coarse(taps->tap[i].kind) ? 1 : 0;
    ck_assert_int_eq(n_checked, n_wanted);
    ck_assert_int_ge(n_checked, 3 + 2 * o->spec.n_l); /* of one part: two */
    free(truth);
}

/* The prompts p0, p1, ... of the file, as long as there are any. */
static bool next_prompt(const oracle *o, int i, char prefix[16],
                        core_batch *batch)
{
    char name[64];
    snprintf(prefix, 16, "p%d.", i);
    snprintf(name, sizeof name, "%s%s", prefix,
             o->spec.n_h == 0 ? "hidden_in" : "input_ids");
    if (core_st_find(o->expected, name) == NULL)
        return false;
    check_ok(core_batch_read(batch, &o->spec, o->expected, prefix));
    return true;
}

static fix_taps forward(const oracle *o, const core_batch *batch,
                        bool coarse_only)
{
    fix_taps taps = {.coarse_only = coarse_only};
    const core_tap_sink sink =
        fix_sink(&taps, &o->spec, batch->n_b * batch->n_t);
    check_ok(ref_forward(o->model, batch, NULL, &sink, NULL));
    return taps;
}

START_TEST(model_case)
{
    oracle o = open_case(ORACLE_CASES[_i]);
    open_model(&o, false);
    char prefix[16];
    core_batch batch;
    int n_prompt = 0;
    for (; next_prompt(&o, n_prompt, prefix, &batch); n_prompt++) {
        fix_taps taps = forward(&o, &batch, true);
        check_prompt(&o, prefix, &taps);
        fix_free(&taps);
        core_batch_free(&batch);
    }
    ck_assert_int_ge(n_prompt, 1);
    close_case(&o);
}
END_TEST

/* With activations quantised as the publishers' packages do it: of every case
 * whose files say so, and of no other. */
START_TEST(quantised_activations)
{
    oracle o = open_case(ORACLE_CASES[_i]);
    char prefix[16];
    core_batch batch;
    if (core_st_find(o.expected, "p0.logits_act_quant_f64") == NULL) {
        ck_assert_int_eq(core_weights_open_checkpoint(&o.weights, &o.spec,
                                                      o.folder, true),
                         CORE_E_USAGE);
        core_st_close(o.expected);
        return;
    }
    open_model(&o, true);
    int n_prompt = 0;
    for (; next_prompt(&o, n_prompt, prefix, &batch); n_prompt++) {
        fix_taps taps = forward(&o, &batch, true);
        const int64_t n = batch.n_b * batch.n_t * o.spec.n_v;
        double *plain = expected(&o, prefix, "logits_f64", n);
        double *truth = expected(&o, prefix, "logits_act_quant_f64", n);
        const double *mine = fix_find(&taps, CORE_TAP_LOGITS, 0);
        check_within(mine, truth, n, 1e-9, prefix, "logits_act_quant_f64");
        ck_assert(largest_difference(mine, plain, n) > 1e-3);
        free(plain);
        free(truth);
        fix_free(&taps);
        core_batch_free(&batch);
    }
    ck_assert_int_eq(n_prompt, 2);
    close_case(&o);
}
END_TEST

/* The config as transformers 5 writes it says the same. */
START_TEST(mixtral_config_v5)
{
    oracle o = open_case(ORACLE_CASES[_i]);
    ck_assert_int_eq(o.spec.family, CORE_FAMILY_MIXTRAL);
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/config_v5.json", o.folder);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    char text[8192];
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    core_spec v5;
    check_ok(core_spec_parse_config(&v5, text, path));
    ck_assert_double_eq(v5.rope.theta, o.spec.rope.theta);
    ck_assert_double_eq(v5.rope.factor, o.spec.rope.factor);
    ck_assert_double_eq(v5.rope.attention_factor, o.spec.rope.attention_factor);
    ck_assert_int_eq(v5.rope.scaling, o.spec.rope.scaling);
    ck_assert_int_eq(v5.n_dh, o.spec.n_dh);
    ck_assert_int_eq(v5.n_g, o.spec.n_g);
    ck_assert_int_eq(v5.sliding_window, o.spec.sliding_window);
    ck_assert_double_eq(v5.norm_eps, o.spec.norm_eps);
    ck_assert(v5.tied == o.spec.tied);
    close_case(&o);
}
END_TEST

/* ---- the Switch layer ---------------------------------------------------- */

/* `dispatch` [B,T,E] after capacity and `expert` before it. */
static void check_dispatch(const oracle *o, const char *prefix,
                           const fix_taps *taps)
{
    const int64_t n = taps->n_token, n_e = o->spec.n_e;
    double *expert = expected(o, prefix, "expert", n);
    double *dispatch = expected(o, prefix, "dispatch", n * n_e);
    const double *idx = fix_find(taps, CORE_TAP_TOPK_IDX, 0);
    const double *slot = fix_find(taps, CORE_TAP_SLOT, 0);
    for (int64_t t = 0; t < n; t++) {
        ck_assert_double_eq(idx[t], expert[t]);
        for (int64_t e = 0; e < n_e; e++) {
            const bool kept = (double)e == idx[t] && slot[t] >= 0.0;
            ck_assert_double_eq(dispatch[t * n_e + e], kept ? 1.0 : 0.0);
        }
    }
    free(expert);
    free(dispatch);
}

static void check_switch_tap(const oracle *o, const char *prefix,
                             const char *name, const fix_taps *taps,
                             core_tap_kind kind)
{
    const core_tap tap = {kind, 0};
    const int64_t n = core_tap_n_rows(&o->spec, tap, taps->n_token) *
                      core_tap_cols(&o->spec, tap);
    double *want = expected(o, prefix, name, n);
    ck_assert_msg(want != NULL, "%s%s is not in the file", prefix, name);
    check_within(fix_find(taps, kind, 0), want, n, 2e-5 * rms(want, n), prefix,
                 name);
    free(want);
}

START_TEST(switch_case)
{
    const bool pass = _i % 2 == 1;
    oracle o = open_case(ORACLE_CASES[N_ORACLE_MODELS + _i / 2]);
    ck_assert_int_eq(o.spec.family, CORE_FAMILY_SWITCH);
    o.spec.capacity.dropped =
        pass ? CORE_DROPPED_PASSTHROUGH : CORE_DROPPED_ZERO;
    open_model(&o, false);
    char prefix[16];
    core_batch batch;
    int n_prompt = 0;
    for (; next_prompt(&o, n_prompt, prefix, &batch); n_prompt++) {
        fix_taps taps = forward(&o, &batch, false);
        check_dispatch(&o, prefix, &taps);
        check_switch_tap(&o, prefix, "mlp_in", &taps, CORE_TAP_FFN_NORM);
        check_switch_tap(&o, prefix, "router_logits", &taps,
                         CORE_TAP_ROUTER_LOGITS);
        check_switch_tap(&o, prefix, "router_prob", &taps,
                         CORE_TAP_TOPK_WEIGHT);
        check_switch_tap(&o, prefix, pass ? "mlp_out_passthrough" : "mlp_out",
                         &taps, CORE_TAP_FFN_OUT);
        check_switch_tap(&o, prefix, pass ? "out_passthrough" : "out", &taps,
                         CORE_TAP_OUT);
        fix_free(&taps);
        core_batch_free(&batch);
    }
    ck_assert_int_ge(n_prompt, 1);
    close_case(&o);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_oracle");
    TCase *tcase = tcase_create("oracle");
    tcase_set_timeout(tcase, 60.0);
    tcase_add_loop_test(tcase, model_case, 0, N_ORACLE_MODELS);
    tcase_add_loop_test(tcase, quantised_activations, 0, N_ORACLE_MODELS);
    tcase_add_loop_test(tcase, mixtral_config_v5, 0, N_ORACLE_MIXTRAL);
    tcase_add_loop_test(tcase, switch_case, 0, 2 * N_ORACLE_SWITCH);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
