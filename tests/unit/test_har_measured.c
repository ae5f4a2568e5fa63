/* tests/unit/test_har_measured.c -- the routing in a file of taps: rows by hand,
 * and what is refused.  Against the emulation: test_har_cost.
 */
#include "core/pass/tapfile.h"
#include "harness/perf/predict/load_source.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Four experts, two of them for each token, one layer; 2 rows x 3 tokens. */
enum { N_B = 2, N_T = 3, N_K = 2, N_E = 4, N_CHOICE = N_B * N_T * N_K };

static char folder[] = "/tmp/test_har_measured-XXXXXX";
static char path[64];

static const int64_t IDX[N_CHOICE] = {0, 1, 0, 2, 1, 0, 0, 3, 1, 0, 2, 3};
static const double WEIGHT[N_CHOICE] = {0.6, 0.4, 0.9, 0.1, 0.5, 0.5,
                                        0.9, 0.1, 0.7, 0.3, 0.8, 0.2};

static core_spec small(void)
{
    core_spec spec = fix_spec();
    spec.n_l = 1;
    spec.n_e = N_E;
    spec.n_k = N_K;
    return spec;
}

static void put_part(core_tapfile *file, const char *prefix, const int64_t *idx,
                     const double *weight)
{
    core_tapfile_put(file, prefix, (core_tap){CORE_TAP_TOPK_IDX, 0}, NULL, idx,
                     N_K, NULL, 0, N_B * N_T, 0, N_K);
    core_tapfile_put(file, prefix, (core_tap){CORE_TAP_TOPK_WEIGHT, 0}, weight,
                     NULL, N_K, NULL, 0, N_B * N_T, 0, N_K);
}

/* A file of one pass, or two: p0. and p1. */
static void write_file(const core_spec *spec, const int64_t *idx,
                       const double *weight, int n_part)
{
    const char *const prefix[2] = {n_part > 1 ? "p0." : "", "p1."};
    core_tapfile_part part[2] = {0};
    core_tapfile *file;
    for (int i = 0; i < n_part; i++)
        part[i] = (core_tapfile_part){prefix[i], N_B, N_T, NULL};
    ck_assert_int_eq(core_tapfile_create(&file, path, spec, CORE_FP32, true,
                                         false, part, n_part, NULL),
                     CORE_OK);
    for (int i = 0; i < n_part; i++)
        put_part(file, prefix[i], idx, weight);
    ck_assert_int_eq(core_tapfile_commit(file), CORE_OK);
    core_tapfile_close(file);
}

static par_plan plan_of(const char *text)
{
    par_plan plan;
    ck_assert_int_eq(par_plan_parse(&plan, text), CORE_OK);
    return plan;
}

/* Rows of part 0, [n_slice, n_entry], in one line. */
static void expect_rows(const core_spec *spec, const par_plan *plan,
                        const char *expected)
{
    har_measured m;
    har_load load;
    char found[256] = "";
    ck_assert_msg(har_measured_open(&m, path, spec, NULL) == CORE_OK, "%s",
                  core_message());
    ck_assert(m.n_b == N_B && m.n_t == N_T);
    ck_assert_int_eq(har_measured_load(&m, plan, N_B, N_T, &load), CORE_OK);
    for (int64_t i = 0; i < har_load_size(&load); i++) {
        const int64_t in_slice = load.n_entry, in_part = in_slice * load.n_slice;
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%d",
                 i == 0               ? ""
                 : i % in_part == 0  ? " | "
                 : i % in_slice == 0 ? " / "
                                     : " ",
                 (int)load.n_row[i]);
    }
    ck_assert_str_eq(found, expected);
    har_load_free(&load);
    har_measured_close(&m);
}

/* Token groups are the rows of the batch ("|"); slices ("/") are tokens 0-1 and
 * 2 of a group. */
START_TEST(rows_are_counted_by_group_and_slice)
{
    const core_spec spec = small();
    const par_plan two = plan_of("tp=2,ep=2,mb=2"), one = plan_of("tp=2,ep=2");
    write_file(&spec, IDX, WEIGHT, 1);
    expect_rows(&spec, &two, "2 1 1 0 / 1 1 0 0 | 2 1 0 1 / 0 0 1 1");
    expect_rows(&spec, &one, "3 2 1 0 / 2 1 1 2");
}
END_TEST

/* Two slots each.  By position, expert 0 keeps tokens 0 and 1, expert 1 tokens
 * 0 and 2; by weight, expert 0 keeps tokens 1 and 3, expert 1 tokens 4 and 2.
 * Per row, nobody has three but expert 0 in row 0. */
START_TEST(slots_are_dealt_by_the_rule_of_the_model)
{
    core_spec spec = small();
    const par_plan one = plan_of("tp=2,ep=2"), two = plan_of("tp=2,ep=2,mb=2");
    spec.capacity =
        (core_capacity){.rule = CORE_CAPACITY_ABSOLUTE, .absolute = 2};
    write_file(&spec, IDX, WEIGHT, 1);
    expect_rows(&spec, &one, "2 2 1 0 / 0 0 1 2");
    spec.capacity.priority = CORE_PRIORITY_PROB;
    expect_rows(&spec, &one, "1 1 1 0 / 1 1 1 2");
    spec.capacity.domain = CORE_DOMAIN_SEQUENCE;
    expect_rows(&spec, &one, "2 2 1 0 / 2 1 1 2");
    spec.capacity.domain = CORE_DOMAIN_GROUP;
    expect_rows(&spec, &two, "2 1 1 0 / 0 1 0 0 | 2 1 0 1 / 0 0 1 1");
}
END_TEST

/* Of two replicas of expert 0, even tokens go to the first: 0 and 2 and 4
 * against 1 and 3. */
START_TEST(replicas_share_by_the_number_of_the_token)
{
    const core_spec spec = small();
    const par_plan plan = plan_of("tp=2,ep=2,placement=0+1/1/0/1");
    write_file(&spec, IDX, WEIGHT, 1);
    expect_rows(&spec, &plan, "2 1 2 1 0 / 1 1 1 1 2");
}
END_TEST

START_TEST(shares_are_those_of_the_choices)
{
    const core_spec spec = small();
    double share[N_E];
    har_measured m;
    write_file(&spec, IDX, WEIGHT, 1);
    ck_assert_int_eq(har_measured_open(&m, path, &spec, NULL), CORE_OK);
    har_measured_shares(&m, share);
    static const double expected[N_E] = {5, 3, 2, 2};
    for (int e = 0; e < N_E; e++)
        ck_assert(fabs(share[e] * 12 - expected[e]) < 1e-12);
    har_measured_close(&m);
}
END_TEST

static void refuse(const core_spec *spec, core_status status, const char *text)
{
    har_measured m;
    ck_assert_int_eq(har_measured_open(&m, path, spec, NULL), status);
    ck_assert_msg(strstr(core_message(), text) != NULL, "%s", core_message());
    core_message_clear();
}

START_TEST(a_routing_that_cannot_be_is_refused)
{
    core_spec spec = small();
    int64_t idx[N_CHOICE];
    double weight[N_CHOICE];
    har_measured m;
    har_load load;
    const par_plan plan = plan_of("mb=1");
    memcpy(idx, IDX, sizeof idx);
    memcpy(weight, WEIGHT, sizeof weight);
    idx[5] = N_E;
    write_file(&spec, idx, weight, 1);
    refuse(&spec, CORE_E_INPUT,
           "layers.0.topk_idx': token 2: expected 2 different experts below 4, "
           "found 4");
    idx[5] = idx[4];
    write_file(&spec, idx, weight, 1);
    refuse(&spec, CORE_E_INPUT, "token 2: expected 2 different experts");
    weight[7] = NAN; /* nobody asks for weights without a capacity */
    write_file(&spec, IDX, weight, 1);
    ck_assert_int_eq(har_measured_open(&m, path, &spec, NULL), CORE_OK);
    ck_assert_int_eq(har_measured_load(&m, &plan, N_B, N_T + 1, &load),
                     CORE_E_INPUT);
    ck_assert_msg(strstr(core_message(), "holds the routing of 2 x 3 tokens, "
                                         "the batch is 2 x 4") != NULL,
                  "%s", core_message());
    core_message_clear();
    har_measured_close(&m);
    spec.capacity =
        (core_capacity){.rule = CORE_CAPACITY_ABSOLUTE,
                        .priority = CORE_PRIORITY_PROB,
                        .absolute = 2};
    refuse(&spec, CORE_E_INPUT, "choice 7: expected a finite weight");
    spec.capacity.rule = CORE_CAPACITY_NONE;
    spec.n_k = 3;
    refuse(&spec, CORE_E_FORMAT, "expected shape [6,3], found [6,2]");
    spec.n_k = N_K;
    spec.n_l = 3;
    spec.ffn[1] = spec.ffn[0];
    refuse(&spec, CORE_E_FORMAT, "tap 'layers.1.topk_idx' is missing");
    spec.n_l = 1;
    spec.ffn[0] = CORE_FFN_DENSE;
    refuse(&spec, CORE_E_INPUT, "has no experts");
}
END_TEST

START_TEST(one_of_several_prompts_is_chosen)
{
    const core_spec spec = small();
    const int64_t second = 1, third = 2;
    har_measured m;
    write_file(&spec, IDX, WEIGHT, 2);
    refuse(&spec, CORE_E_USAGE, "holds the routing of 2 prompts");
    ck_assert_int_eq(har_measured_open(&m, path, &spec, &second), CORE_OK);
    ck_assert_str_eq(m.prefix, "p1.");
    har_measured_close(&m);
    ck_assert_int_eq(har_measured_open(&m, path, &spec, &third), CORE_E_FORMAT);
}
END_TEST

/* --- in a prediction --- */

static har_prediction *predict(const har_predict_case *what, core_status wanted)
{
    har_machine machine;
    har_predictor *p;
    har_prediction *out = malloc(sizeof *out);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(har_machine_open(&machine, "gpu-400t-64g"), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&p, &machine), CORE_OK);
    ck_assert_msg(har_predict(p, what, out) == wanted, "%s", core_message());
    har_predictor_free(p);
    return out;
}

/* The figures that come from the load alone are those of the file. */
START_TEST(a_prediction_uses_what_was_measured)
{
    core_spec spec = small();
    const par_plan plan = plan_of("tp=2,ep=2"), other = plan_of("tp=2,ep=2,mb=2");
    har_load_source source = {0};
    char routing[128];
    spec.capacity =
        (core_capacity){.rule = CORE_CAPACITY_ABSOLUTE, .absolute = 3};
    write_file(&spec, IDX, WEIGHT, 1);
    snprintf(routing, sizeof routing, "measured:%s", path);
    ck_assert_int_eq(har_load_source_open(&source, &spec, routing, NULL, NULL),
                     CORE_OK);
    har_predict_case what = {.spec = &spec,
                             .plan = &plan,
                             .n_b = N_B,
                             .n_t = N_T,
                             .types.dtype = CORE_DTYPE_F16};
    ck_assert_int_eq(har_load_source_apply(&source, &what), CORE_OK);
    har_prediction *p = predict(&what, CORE_OK);
    /* expert 0 keeps 3 of 5: rows 3 3 2 2; 6 on rank 0, 4 on rank 1 */
    ck_assert(fabs(p->dropped - 2.0 / 12) < 1e-12);
    ck_assert(fabs(p->balance.value - 5.0 / 6) < 1e-12);
    ck_assert(fabs(p->expert_balance - 2.5 / 3) < 1e-12);
    ck_assert_int_eq(p->slowest_ep_rank, 0);
    free(p);
    what.plan = &other; /* its counts were not asked for */
    free(predict(&what, CORE_E_USAGE));
    har_load_source_close(&source);
}
END_TEST

START_TEST(a_source_is_said_once)
{
    const core_spec spec = small();
    const int64_t first = 0;
    har_load_source source = {0};
    char routing[128], taps[128];
    write_file(&spec, IDX, WEIGHT, 1);
    snprintf(routing, sizeof routing, "measured:%s", path);
    snprintf(taps, sizeof taps, "taps:%s", path);
    ck_assert_int_eq(
        har_load_source_open(&source, &spec, "expected", taps, NULL), CORE_OK);
    ck_assert_ptr_nonnull(source.demand.by_layer);
    ck_assert(!source.demand.is_drawn && !source.all_ranks);
    har_load_source_close(&source);
    ck_assert_int_eq(
        har_load_source_open(&source, &spec, routing, "uniform", NULL),
        CORE_E_USAGE);
    har_load_source_close(&source);
    ck_assert_int_eq(
        har_load_source_open(&source, &spec, "drawn", "uniform", &first),
        CORE_E_USAGE);
    har_load_source_close(&source);
    ck_assert_int_eq(har_load_source_open(&source, &spec, "drawns", NULL, NULL),
                     CORE_E_USAGE);
    har_load_source_close(&source);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("measured");
    TCase *t = tcase_create("all");
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/taps", folder);
    tcase_add_test(t, rows_are_counted_by_group_and_slice);
    tcase_add_test(t, slots_are_dealt_by_the_rule_of_the_model);
    tcase_add_test(t, replicas_share_by_the_number_of_the_token);
    tcase_add_test(t, shares_are_those_of_the_choices);
    tcase_add_test(t, a_routing_that_cannot_be_is_refused);
    tcase_add_test(t, one_of_several_prompts_is_chosen);
    tcase_add_test(t, a_prediction_uses_what_was_measured);
    tcase_add_test(t, a_source_is_said_once);
    suite_add_tcase(s, t);
    const int status = check_main(s);
    unlink(path);
    rmdir(folder);
    return status;
}
