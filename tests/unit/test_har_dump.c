/* tests/unit/test_har_dump.c -- files of taps against each other.
 *
 * A yardstick with two prompts is written once per test; each mutant is a copy
 * that is wrong in one way.  All must differ, the untouched copy must not.
 */
#include "harness/judge/dump.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_B = 2, N_T = 6, N_D = 5, N_E = 4, N_K = 2, N_V = 7, N_PART = 2 };

typedef struct content { /* of one prompt                                 */
    double embed[N_B * N_T * N_D], out[N_B * N_T * N_D];
    double scores[N_B * N_T * N_E], weight[N_B * N_T * N_K];
    double logits[N_B * N_T * N_V];
    int64_t idx[N_B * N_T * N_K];
} content;

typedef struct dump_file {
    content part[N_PART];
    core_dtype dtype;
    core_dtype idx_dtype;
    const char *numerics;
    const char *left_out;  /* name of a tensor that is not written          */
    const char *misshapen; /* ... or flattened                              */
    const char *folded;    /* ... or as one list of tokens                  */
    const char *emptied;   /* ... or without elements                       */
} dump_file;

static dump_file a, b;

static void fill(double *x, int n, int salt)
{
    for (int i = 0; i < n; i++)
        x[i] = sin(1.0 + i * 0.7 + salt * 13.0);
}

static void make_content(content *c, int salt)
{
    fill(c->embed, N_B * N_T * N_D, salt);
    fill(c->out, N_B * N_T * N_D, salt + 10);
    fill(c->scores, N_B * N_T * N_E, salt + 20);
    fill(c->logits, N_B * N_T * N_V, salt + 30);
    for (int t = 0; t < N_B * N_T; t++) {
        c->idx[t * N_K] = (t + salt) % N_E;
        c->idx[t * N_K + 1] = (t + salt + 1) % N_E;
        c->weight[t * N_K] = 0.6 + 0.01 * t;
        c->weight[t * N_K + 1] = 0.4 - 0.01 * t;
    }
}

static void setup(void)
{
    make_folder();
    memset(&a, 0, sizeof a);
    a.dtype = CORE_DTYPE_F64;
    a.idx_dtype = CORE_DTYPE_I64;
    a.numerics = "fp64";
    make_content(&a.part[0], 1);
    make_content(&a.part[1], 2);
    b = a;
}

typedef struct layout {
    core_st_tensor tensor[16];
    const void *from[16];
    char name[16][64];
    int n;
} layout;

static void add(layout *l, const dump_file *d, int part, const char *body,
                core_dtype dtype, const void *from, int n_dim, int64_t d0,
                int64_t d1, int64_t d2)
{
    snprintf(l->name[l->n], 64, "p%d.%s", part, body);
    if (d->left_out != NULL && strcmp(l->name[l->n], d->left_out) == 0)
        return;
    core_st_tensor *t = &l->tensor[l->n];
    *t = (core_st_tensor){.name = l->name[l->n],
                          .dtype = dtype,
                          .n_dim = n_dim,
                          .shape = {d0, d1, d2}};
    if (d->misshapen != NULL && strcmp(t->name, d->misshapen) == 0)
        *t = (core_st_tensor){.name = t->name,
                              .dtype = dtype,
                              .n_dim = 2,
                              .shape = {d0 * d1 * d2, 1}};
    if (d->folded != NULL && strcmp(t->name, d->folded) == 0)
        *t = (core_st_tensor){.name = t->name,
                              .dtype = dtype,
                              .n_dim = 2,
                              .shape = {d0 * d1, d2}};
    if (d->emptied != NULL && strcmp(t->name, d->emptied) == 0)
        t->shape[0] = 0;
    l->from[l->n++] = from;
}

static void write_dump(const dump_file *d, const char *name)
{
    layout l;
    char path[128];
    core_st *file = NULL;
    const char *const metadata[] = {
        "numerics", d->numerics, "logits_fp32_vs_fp64_max_abs", "1e-6", NULL};
    memset(&l, 0, sizeof l);
    for (int p = 0; p < N_PART; p++) {
        const content *c = &d->part[p];
        add(&l, d, p, "embed", d->dtype, c->embed, 3, N_B, N_T, N_D);
        add(&l, d, p, "layers.0.router_logits", d->dtype, c->scores, 2,
            N_B * N_T, N_E, 1);
        add(&l, d, p, "layers.0.topk_idx", d->idx_dtype, c->idx, 2, N_B * N_T,
            N_K, 1);
        add(&l, d, p, "layers.0.topk_weight", d->dtype, c->weight, 2, N_B * N_T,
            N_K, 1);
        add(&l, d, p, "layers.0.out", d->dtype, c->out, 3, N_B, N_T, N_D);
        add(&l, d, p, "logits", d->dtype, c->logits, 3, N_B, N_T, N_V);
    }
    path_of(path, name);
    ck_assert_int_eq(core_st_create(&file, path, l.tensor, l.n, metadata),
                     CORE_OK);
    for (int i = 0; i < l.n; i++) {
        const core_st_tensor *t = core_st_find(file, l.tensor[i].name);
        if (t->dtype == CORE_DTYPE_I64)
            memcpy(t->data, l.from[i], t->bytes);
        else
            core_dtype_from_f64(t->data, l.from[i], t->dtype, t->n);
    }
    ck_assert_int_eq(core_st_commit(file), CORE_OK);
    core_st_close(file);
}

/* Taps that differ; the first one's name goes to `first`. */
static int64_t n_failed(bool forced_routing, char first[HAR_DUMP_NAME])
{
    char path[128];
    core_st *fa = NULL, *fb = NULL;
    har_dump dump;
    write_dump(&a, "a");
    write_dump(&b, "b");
    path_of(path, "a");
    ck_assert_int_eq(core_st_open(&fa, path), CORE_OK);
    path_of(path, "b");
    ck_assert_int_eq(core_st_open(&fb, path), CORE_OK);
    ck_assert_int_eq(har_dump_compare(&dump, fa, fb, forced_routing), CORE_OK);
    const int64_t n = dump.n_failed;
    first[0] = '\0';
    if (dump.first >= 0)
        strcpy(first, dump.tap[dump.first].name);
    har_dump_free(&dump);
    core_st_close(fa);
    core_st_close(fb);
    return n;
}

static void control(void) {}
static void as_f32(void)
{
    b.dtype = CORE_DTYPE_F32;
}

static void noise_below_tolerance(void)
{
    for (int i = 0; i < N_B * N_T * N_D; i++)
        b.part[0].out[i] += (i % 2 != 0 ? 4e-6 : -4e-6);
}

static void other_order_of_experts(void)
{
    for (int t = 0; t < N_B * N_T; t++) {
        content *c = &b.part[1];
        c->idx[2 * t] = a.part[1].idx[2 * t + 1];
        c->idx[2 * t + 1] = a.part[1].idx[2 * t];
        c->weight[2 * t] = a.part[1].weight[2 * t + 1];
        c->weight[2 * t + 1] = a.part[1].weight[2 * t];
    }
}

static void (*const harmless[])(void) = {control, as_f32, noise_below_tolerance,
                                         other_order_of_experts};

START_TEST(harmless_differences_pass)
{
    char first[HAR_DUMP_NAME];
    harmless[_i]();
    ck_assert_msg(n_failed(false, first) == 0, "%d: %s", _i, first);
}
END_TEST

static void zeros(void)
{
    memset(b.part[0].out, 0, sizeof b.part[0].out);
}

static void twice(void)
{
    for (int i = 0; i < N_B * N_T * N_D; i++)
        b.part[0].out[i] *= 2.0;
}

static void sign(void)
{
    for (int i = 0; i < N_B * N_T * N_D; i++)
        b.part[0].out[i] = -b.part[0].out[i];
}

static void nan_one(void)
{
    b.part[0].out[3] = (double)NAN;
}

static void nan_both(void)
{
    b.part[0].out[3] = (double)NAN;
    a.part[0].out[3] = (double)NAN;
}

static void inf_sign(void)
{
    b.part[0].out[3] = (double)INFINITY;
    a.part[0].out[3] = -(double)INFINITY;
}

static void one_row(void)
{
    for (int j = 0; j < N_D; j++)
        b.part[0].out[9 * N_D + j] += 1e-3;
}

static void swapped_rows(void)
{
    memcpy(b.part[0].out, a.part[0].out + N_D, N_D * sizeof(double));
    memcpy(b.part[0].out + N_D, a.part[0].out, N_D * sizeof(double));
}

static void missing(void)
{
    b.left_out = "p0.layers.0.out";
}
static void misshapen(void)
{
    b.misshapen = "p0.layers.0.out";
}
static void emptied(void)
{
    b.emptied = "p0.layers.0.out";
}
static void both_emptied(void)
{
    a.emptied = b.emptied = "p0.layers.0.out";
}

static void (*const out_mutants[])(void) = {
    zeros,   twice,        sign,    nan_one,   nan_both, inf_sign,
    one_row, swapped_rows, missing, misshapen, emptied,  both_emptied};

START_TEST(a_wrong_tensor_is_named)
{
    char first[HAR_DUMP_NAME];
    out_mutants[_i]();
    ck_assert_int_eq(n_failed(false, first), 1);
    ck_assert_str_eq(first, "p0.layers.0.out");
}
END_TEST

START_TEST(tokens_in_one_list_are_the_same_tokens)
{
    char first[HAR_DUMP_NAME];
    b.folded = "p0.layers.0.out";
    ck_assert_int_eq(n_failed(false, first), 0);
    a.folded = b.folded;
    b.folded = NULL;
    ck_assert_int_eq(n_failed(false, first), 0);
    one_row();
    ck_assert_int_eq(n_failed(false, first), 1);
}
END_TEST

START_TEST(swapped_prompts_differ_everywhere)
{
    char first[HAR_DUMP_NAME];
    b.part[0] = a.part[1];
    b.part[1] = a.part[0];
    ck_assert_int_eq(n_failed(false, first), 12);
    ck_assert_str_eq(first, "p0.embed");
}
END_TEST

START_TEST(weights_must_follow_their_expert)
{
    char first[HAR_DUMP_NAME];
    b.part[0].idx[0] = a.part[0].idx[1];
    b.part[0].idx[1] = a.part[0].idx[0];
    ck_assert_int_eq(n_failed(false, first), 1);
    ck_assert_str_eq(first, "p0.layers.0.topk_weight");
}
END_TEST

/* A NaN would become some integer, the same one on both sides. */
START_TEST(experts_that_are_no_integers_are_refused)
{
    char first[HAR_DUMP_NAME];
    a.idx_dtype = b.idx_dtype = CORE_DTYPE_F64;
    ck_assert_int_eq(n_failed(false, first), N_PART);
    ck_assert_str_eq(first, "p0.layers.0.topk_idx");
}
END_TEST

START_TEST(exact_files_are_compared_bit_for_bit)
{
    char first[HAR_DUMP_NAME];
    a.numerics = b.numerics = "exact";
    ck_assert_int_eq(n_failed(false, first), 0);
    b.part[1].embed[4] = nextafter(b.part[1].embed[4], 2.0);
    ck_assert_int_eq(n_failed(false, first), 1);
    ck_assert_str_eq(first, "p1.embed");
}
END_TEST

START_TEST(forced_routing_sets_flipped_tokens_aside)
{
    char first[HAR_DUMP_NAME];
    const int token = N_T + 4; /* row 1: its last two tokens follow           */
    b.part[0].idx[token * N_K] = (a.part[0].idx[token * N_K] + 2) % N_E;
    for (int j = 0; j < 2 * N_D; j++)
        b.part[0].out[token * N_D + j] += 1.0;
    ck_assert_int_gt(n_failed(false, first), 1);
    for (int j = 0; j < 2 * N_V; j++)
        b.part[0].logits[token * N_V + j] += 1.0;
    ck_assert_int_eq(n_failed(true, first), 0);
    b.part[0].out[0] += 1.0; /* a token before the flip is still judged */
    ck_assert_int_eq(n_failed(true, first), 1);
}
END_TEST

START_TEST(forced_routing_does_not_excuse_everything)
{
    char first[HAR_DUMP_NAME];
    for (int t = 0; t < N_B * N_T; t++)
        b.part[0].idx[t * N_K] = (a.part[0].idx[t * N_K] + 2) % N_E;
    ck_assert_int_gt(n_failed(true, first), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_dump");
    TCase *tests = tcase_create("dump");
    tcase_add_checked_fixture(tests, setup, remove_folder);
    tcase_add_loop_test(tests, harmless_differences_pass, 0,
                        sizeof harmless / sizeof harmless[0]);
    tcase_add_loop_test(tests, a_wrong_tensor_is_named, 0,
                        sizeof out_mutants / sizeof out_mutants[0]);
    tcase_add_test(tests, swapped_prompts_differ_everywhere);
    tcase_add_test(tests, tokens_in_one_list_are_the_same_tokens);
    tcase_add_test(tests, weights_must_follow_their_expert);
    tcase_add_test(tests, experts_that_are_no_integers_are_refused);
    tcase_add_test(tests, exact_files_are_compared_bit_for_bit);
    tcase_add_test(tests, forced_routing_sets_flipped_tokens_aside);
    tcase_add_test(tests, forced_routing_does_not_excuse_everything);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
