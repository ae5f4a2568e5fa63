/* tests/unit/test_har_serve.c -- what is served: mixes, limits, and figures put
 * together by hand from predictions of single passes.
 */
#include "core/base/arena.h"
#include "harness/perf/predict/serve.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void setup(void)
{
    strcpy(path, "/tmp/har-serve-XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

static void near(double found, double expected, double relative)
{
    ck_assert_msg(fabs(found - expected) <= relative * fabs(expected),
                  "found %.9g, expected %.9g", found, expected);
}

/* --- mixes --- */

static core_status read_text(har_mix *out, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
    core_message_clear();
    return har_mix_read(out, "--serve", path);
}

START_TEST(a_mix_of_one_length)
{
    har_mix m;
    ck_assert_int_eq(har_mix_read(&m, "--serve", "2048x512"), CORE_OK);
    ck_assert(m.input == 2048 && m.output == 512 && m.keys == 2048 + 256);
    ck_assert(har_mix_run(&m, 512) == 512 && har_mix_past(&m, 512) == 768);
    ck_assert(har_mix_chunks(&m, 500) == 5);
    ck_assert(har_mix_run(&m, HUGE_VAL) == 2048);
    ck_assert(har_mix_past(&m, HUGE_VAL) == 0);
}
END_TEST

START_TEST(what_is_no_mix_is_refused)
{
    static const char *const bad[] = {"2048y512", "2048", "2048x", "0x9",
                                      "2048x512x3"};
    har_mix m;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        core_message_clear();
        ck_assert_msg(har_mix_read(&m, "--serve", bad[i]) == CORE_E_USAGE,
                      "%s is taken", bad[i]);
        ck_assert_ptr_nonnull(
            strstr(core_message(), "--serve: expected PROMPTxOUTPUT"));
        ck_assert_ptr_nonnull(strstr(core_message(), bad[i]));
    }
}
END_TEST

/* A quarter 100 in and 11 out, the others 300 and 31: 2.5 and 22.5 steps, which
 * see 105.5 and 315.5 keys.  Of tokens of prompts 25 and 225: in chunks of 200
 * runs of 100 and 200, behind nothing and 50 in the mean. */
START_TEST(a_mix_of_two_lengths)
{
    har_mix m;
    ck_assert_int_eq(
        read_text(&m, "input,output,weight\n100,11,0.5\n300,31,1.5\n"),
        CORE_OK);
    ck_assert(m.input == 250 && m.output == 26);
    near(m.keys, 294.5, 1e-12);
    near(har_mix_run(&m, 200), 190, 1e-12);
    near(har_mix_past(&m, 200), 45, 1e-12);
    near(har_mix_chunks(&m, 200), 1.75, 1e-12);
    ck_assert_int_eq(read_text(&m, "input,output\n7,2\n"), CORE_OK);
    ck_assert(m.input == 7 && m.output == 2);
}
END_TEST

static const struct {
    const char *text, *message;
} BAD_MIXES[] = {
    {"", ":1:1: an empty mix"},
    {"in,out\n1,2\n", ":1:1: expected input,output"},
    {"input,output\n", "a mix without a request"},
    {"input,output,weight\n5,6,0\n", "a mix without a request"},
    {"input,output\n5\n", ":2:1: expected 2 fields"},
    {"input,output\n5,6\n5,6,7\n", ":3:3: expected 2 fields"},
    {"input,output\n0,6\n", ":2:1: input: expected tokens from 1"},
    {"input,output\n5,1\n", ":2:2: output: expected tokens from 2"},
    {"input,output\n5,2.5\n", ":2:2: output: expected tokens"},
    {"input,output\nnan,6\n", ":2:1: input: expected tokens"},
    {"input,output,weight\n5,6,x\n", ":2:3: weight: expected a number"},
    {"input,output,weight\n5,6,-1\n", ":2:3: weight: expected a number"},
};

START_TEST(mixes_are_read_strictly)
{
    har_mix m;
    ck_assert_int_eq(read_text(&m, BAD_MIXES[_i].text), CORE_E_FORMAT);
    ck_assert_msg(strstr(core_message(), BAD_MIXES[_i].message) != NULL,
                  "found: %s", core_message());
    ck_assert_ptr_nonnull(strstr(core_message(), path));
}
END_TEST

START_TEST(limits_are_words)
{
    har_slo s;
    ck_assert_int_eq(har_slo_parse(&s, "--slo", NULL), CORE_OK);
    ck_assert(s.ttft == HUGE_VAL && s.tpot == HUGE_VAL);
    ck_assert_int_eq(har_slo_parse(&s, "--slo", "tpot_ms<50,ttft_ms<1e3"),
                     CORE_OK);
    ck_assert(s.ttft == 1000 && s.tpot == 50);
    static const char *const bad[] = {"tpot<5",       "tpot_ms<",
                                      "tpot_ms<5x",   "ttft_ms<0",
                                      "ttft_ms<nan",  "ttft_ms<5,",
                                      "ttft_ms<inf", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        core_message_clear();
        ck_assert_msg(har_slo_parse(&s, "--slo", bad[i]) == CORE_E_USAGE,
                      "%s is taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(core_message(), "--slo"));
    }
}
END_TEST

/* --- figures --- */

typedef struct world {
    core_spec spec;
    par_plan plan, other;
    har_machine machine;
    har_demand even;
    har_mix mix;
    har_predictor *predictor;
    har_prediction of;
    har_serve_case ask;
    har_served got;
} world;

static world *make_world(const char *model, const char *plan, const char *mix)
{
    void *memory;
    ck_assert_int_eq(core_alloc(&memory, 1, sizeof(world), "a world"), CORE_OK);
    world *w = memory;
    memset(w, 0, sizeof *w);
    ck_assert_int_eq(core_spec_open(&w->spec, model, NULL), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&w->plan, plan), CORE_OK);
    ck_assert_int_eq(har_machine_open(&w->machine, "h100-sxm"), CORE_OK);
    ck_assert_int_eq(har_demand_parse(&w->even, "uniform", (int)w->spec.n_e),
                     CORE_OK);
    ck_assert_int_eq(har_mix_read(&w->mix, "--serve", mix), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&w->predictor, &w->machine), CORE_OK);
    w->ask = (har_serve_case){.what = {.spec = &w->spec,
                                       .plan = &w->plan,
                                       .types = {.dtype = CORE_DTYPE_BF16},
                                       .overlap = HAR_OVERLAP_PIPELINE,
                                       .demand = &w->even},
                              .mix = &w->mix,
                              .slo = {HUGE_VAL, HUGE_VAL}};
    return w;
}

static void free_world(world *w)
{
    har_predictor_free(w->predictor);
    free(w);
}

static const har_served *serve(world *w, int64_t n_slot)
{
    w->ask.n_slot = n_slot;
    core_message_clear();
    const core_status status =
        har_serve(w->predictor, &w->machine, &w->ask, &w->got);
    ck_assert_msg(status == CORE_OK, "%s", core_message());
    return &w->got;
}

static double pass(world *w, int64_t n_b, int64_t n_t, int64_t n_kv)
{
    har_predict_case c = w->ask.what;
    c.n_b = n_b;
    c.n_t = n_t;
    c.n_kv = n_kv;
    c.is_decode = n_kv > 0;
    ck_assert_int_eq(har_predict(w->predictor, &c, &w->of), CORE_OK);
    return w->of.latency.value;
}

/* Eight slots, four steps of an answer: two end in a step, one on each of two
 * replicas, whose prompts the step waits for.  Steps see 64 + 2.5 keys, in pages
 * of 16 with half of the last empty: 80. */
START_TEST(whole_prompts_go_between_steps)
{
    world *w = make_world("seed-mini", "dp=2,ep=2", "64x5");
    const har_served *s = serve(w, 8);
    const double step = pass(w, 8, 1, 80);
    near(s->step.value, step, 1e-12);
    near(s->tpot.value, step + s->prompt.value, 1e-12);
    near(s->ttft.value, step / 2 + s->prompt.value, 1e-12);
    near(s->request.value, s->ttft.value + 4 * s->tpot.value, 1e-12);
    near(s->requests_per_s.value, 2 / s->tpot.value, 1e-12);
    near(s->tokens_per_s.value, 10 / s->tpot.value, 1e-12);
    ck_assert(s->gpus == 2 && s->node_gpus == 8 && s->fits && s->meets);
    ck_assert(s->end == HAR_SERVE_SAID && s->n_decoding == 8);
    ck_assert(s->tpot.low < s->tpot.value && s->tpot.value < s->tpot.high);
    free_world(w);
}
END_TEST

/* A pass of a prompt of each replica takes the time of a prefill, but that
 * logits are made of its last token alone. */
START_TEST(prompts_are_priced_as_prefill)
{
    world *w = make_world("seed-30b", "dp=4,ep=4", "4096x64");
    const double prompt = serve(w, 4)->prompt.value;
    const double prefill = pass(w, 4, 4096, 0);
    double head = 0;
    for (int i = 0; i < w->of.n_class; i++)
        if (strcmp(w->of.class_of[i].op, "head") == 0)
            head += w->of.class_of[i].seconds;
    ck_assert_msg(head > 0.01 * prefill, "%g of %g", head, prefill);
    near(prompt, prefill - head, 0.005);
    free_world(w);
}
END_TEST

/* Two chunks of 32 tokens: 18 slots are 16 / 17 of the time in their 32 steps.
 * Of the steps 64 d / (32 x 64) carry a chunk for each of two replicas. */
START_TEST(chunks_go_in_steps)
{
    world *w = make_world("seed-mini", "dp=2,ep=2", "64x33");
    w->ask.chunk = 32;
    const har_served *s = serve(w, 18);
    const double decoding = 18 * 16.0 / 17, share = decoding / 32;
    near(s->n_decoding, decoding, 1e-12);
    near(s->chunk_share, share, 1e-12);
    near(s->step.value, pass(w, 17, 1, 96), 1e-12);
    ck_assert(s->prompt.value > s->step.value);
    near(s->tpot.value, (1 - share) * s->step.value + share * s->prompt.value,
         1e-12);
    near(s->ttft.value, s->tpot.value / 2 + 2 * s->prompt.value, 1e-12);
    near(s->tokens_per_s.value, decoding / 32 * 33 / s->tpot.value, 1e-12);
    ck_assert(s->end == HAR_SERVE_SAID);
    /* 64 slots end twice as often as chunks come */
    s = serve(w, 64);
    ck_assert(s->end == HAR_SERVE_PROMPTS && s->chunk_share == 1);
    near(s->n_decoding, 32, 1e-12);
    near(s->tpot.value, s->prompt.value, 1e-12);
    free_world(w);
}
END_TEST

/* Later chunks see the keys of earlier ones. */
START_TEST(chunks_see_what_is_before_them)
{
    world *w = make_world("seed-30b", "dp=4,ep=4", "1024x9");
    w->ask.chunk = 1024;
    const double first = serve(w, 4)->prompt.value;
    ck_assert_int_eq(har_mix_read(&w->mix, "--serve", "262144x9"), CORE_OK);
    const double later = serve(w, 4)->prompt.value;
    ck_assert_msg(later > 2 * first, "%g after %g", later, first);
    free_world(w);
}
END_TEST

/* 16 layers x 2 x 16 heads x 8 elements of 2 bytes, 64 tokens. */
START_TEST(prompts_on_other_gpus_send_their_keys)
{
    world *w = make_world("seed-mini", "dp=2,ep=2", "64x5");
    ck_assert_int_eq(par_plan_parse(&w->other, "dp=4,ep=4"), CORE_OK);
    w->ask.prefill = &w->other;
    const har_served *s = serve(w, 8);
    const double bytes = 16.0 * 2 * 16 * 8 * 2 * 64;
    const double sent =
        har_time_collective(&w->machine, HAR_SEND_RECV, HAR_LIBRARY, bytes, 2,
                            har_tier(&w->machine, 6))
            .seconds;
    near(s->transfer, sent, 1e-9);
    near(s->tpot.value, s->step.value, 1e-12);
    near(s->ttft.value, s->prompt.value + sent + s->step.value / 2, 1e-12);
    /* two answers end in a step, a pass takes four prompts */
    near(s->n_prefill, 2 / s->step.value * s->prompt.value / 4, 1e-12);
    near(s->gpus, 2 + 4 * s->n_prefill, 1e-12);
    free_world(w);
}
END_TEST

/* Two layers of 38 channels with 5 states and 3 remembered inputs, however long a
 * prompt is; one with keys and values of G heads of Dh.  2 bytes each.       */
START_TEST(states_do_not_grow_with_prompts)
{
    world *w = make_world("seed-mini", "tp=1", "64x4097");
    w->spec = fix_family(FIX_MAMBA);
    ck_assert_int_eq(har_demand_parse(&w->even, "uniform", (int)w->spec.n_e),
                     CORE_OK);
    ck_assert_int_eq(par_plan_parse(&w->other, "dp=2"), CORE_OK);
    w->ask.prefill = &w->other;
    const double bytes =
        2 * (2 * 38 * (5 + 3) +
             64.0 * 2 * (double)(w->spec.n_g * w->spec.n_dh));
    near(serve(w, 8)->transfer,
         har_time_collective(&w->machine, HAR_SEND_RECV, HAR_LIBRARY, bytes, 2,
                             har_tier(&w->machine, 3))
             .seconds,
         1e-12);
    free_world(w);
}
END_TEST

/* --- how many --- */

START_TEST(the_most_slots_fit)
{
    world *w = make_world("seed-30b", "dp=4,ep=4", "2048x512");
    const har_served most = *serve(w, 0);
    ck_assert(most.fits && most.n_slot % 4 == 0 && most.n_slot > 64);
    ck_assert(most.end == HAR_SERVE_MEMORY);
    ck_assert(most.memory <= w->machine.memory_bytes);
    ck_assert(!serve(w, most.n_slot + 4)->fits);
    /* keys and values: 2304 and half a page, in pages, of 16 layers */
    near(most.kv, (double)most.n_slot / 4 * 2320 * 16 * 2 * 1024 * 2, 1e-9);
    free_world(w);
}
END_TEST

/* All 64 experts of each of 16 layers on both ranks: 32 more than half of them,
 * two matrices of 128 x 256 elements of 2 bytes. */
START_TEST(redundant_experts_are_stored)
{
    char plan[512] = "dp=2,ep=2,placement=0+1";
    for (int e = 1; e < 64; e++)
        strcat(plan, "/0+1");
    world *w = make_world("seed-mini", "dp=2,ep=2", "64x5");
    const double half = serve(w, 8)->memory - w->got.kv;
    world *all = make_world("seed-mini", plan, "64x5");
    const double whole = serve(all, 8)->memory - all->got.kv;
    near(whole - half, 32.0 * 16 * 2 * 128 * 256 * 2, 0.01);
    free_world(w);
    free_world(all);
}
END_TEST

/* Physical experts of each layer: n of each of two ep indices, whose first ones
 * are the half that `first` says.  With 64 all of them. */
static char *maps_of(int n, bool alternates)
{
    static char text[1 << 14];
    size_t at = (size_t)sprintf(text, "dp=2,ep=2,physical=");
    for (int l = 0; l < 16; l++)
        for (int p = 0; p < 2 * n; p++)
            at += (size_t)sprintf(
                text + at, "%s%d", p > 0 ? "/" : l > 0 ? "+" : "",
                (p / n * 32 + p % n + (alternates && l % 2 ? 32 : 0)) % 64);
    return text;
}

/* Sixteen layers with one expert of half the rows.  If it is now here, now there
 * each layer waits as long as with all of them on one GPU. */
START_TEST(a_layer_waits_for_its_own_fullest)
{
    double step[2], balance[2];
    for (int i = 0; i < 2; i++) {
        world *w = make_world("seed-mini", maps_of(32, i == 1), "64x5");
        w->spec.capacity.rule = CORE_CAPACITY_NONE;
        w->even.share[0] = 0.5;
        for (int e = 1; e < 64; e++)
            w->even.share[e] = 0.5 / 63;
        step[i] = serve(w, 4096)->step.value;
        balance[i] = w->got.balance;
        ck_assert_int_eq(w->got.n_stored, 64);
        near(balance[i], 0.5 / (0.5 + 31 * 0.5 / 63), 0.01);
        free_world(w);
    }
    near(step[1], step[0], 1e-9);
    near(balance[1], balance[0], 1e-9);
}
END_TEST

/* The same bytes as where a placement says that all are on both. */
START_TEST(physical_experts_are_stored)
{
    world *w = make_world("seed-mini", maps_of(32, true), "64x5");
    const double half = serve(w, 8)->memory - w->got.kv;
    world *all = make_world("seed-mini", maps_of(64, true), "64x5");
    const double whole = serve(all, 8)->memory - all->got.kv;
    ck_assert_int_eq(all->got.n_stored, 128);
    near(whole - half, 32.0 * 16 * 2 * 128 * 256 * 2, 0.01);
    free_world(w);
    free_world(all);
}
END_TEST

START_TEST(limits_end_the_slots)
{
    world *w = make_world("seed-30b", "dp=4,ep=4", "2048x512");
    w->ask.chunk = 512;
    w->ask.slo.tpot = 1.5e3 * serve(w, 64)->tpot.value;
    const har_served most = *serve(w, 0);
    ck_assert(most.meets && most.n_slot >= 64 && most.end == HAR_SERVE_SLO);
    ck_assert(!serve(w, most.n_slot + 4)->meets);
    /* slots in their prompt have keys, too */
    w->ask.chunk = 64;
    const har_served *s = serve(w, 64);
    near(s->kv, 16.0 * 2320 * 16 * 2 * 1024 * 2, 1e-9);
    w->ask.slo.tpot = 1e-3;
    ck_assert(!serve(w, 0)->meets && w->got.n_slot == 4);
    free_world(w);
}
END_TEST

START_TEST(what_cannot_be_served_is_refused)
{
    world *w = make_world("seed-mini", "dp=2,ep=2", "64x5");
    w->ask.n_slot = 7;
    ck_assert_int_eq(har_serve(w->predictor, &w->machine, &w->ask, &w->got),
                     CORE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(core_message(), "no multiple"));
    core_message_clear();
    w->ask.n_slot = 8;
    ck_assert_int_eq(par_plan_parse(&w->other, "cp=2"), CORE_OK);
    w->ask.prefill = &w->other;
    ck_assert_int_eq(har_serve(w->predictor, &w->machine, &w->ask, &w->got),
                     CORE_E_PLAN);
    w->machine.n_link = 0;
    ck_assert_int_eq(par_plan_parse(&w->other, "tp=1"), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&w->plan, "tp=1"), CORE_OK);
    core_message_clear();
    ck_assert_int_eq(har_serve(w->predictor, &w->machine, &w->ask, &w->got),
                     CORE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(core_message(), "no links"));
    w->ask.prefill = NULL;
    serve(w, 8);
    free_world(w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("serve");
    TCase *t = tcase_create("all");
    tcase_add_checked_fixture(t, setup, teardown);
    const int n_bad = sizeof BAD_MIXES / sizeof BAD_MIXES[0];
    tcase_add_test(t, a_mix_of_one_length);
    tcase_add_test(t, what_is_no_mix_is_refused);
    tcase_add_test(t, a_layer_waits_for_its_own_fullest);
    tcase_add_test(t, physical_experts_are_stored);
    tcase_add_test(t, a_mix_of_two_lengths);
    tcase_add_loop_test(t, mixes_are_read_strictly, 0, n_bad);
    tcase_add_test(t, limits_are_words);
    tcase_add_test(t, whole_prompts_go_between_steps);
    tcase_add_test(t, prompts_are_priced_as_prefill);
    tcase_add_test(t, chunks_go_in_steps);
    tcase_add_test(t, chunks_see_what_is_before_them);
    tcase_add_test(t, prompts_on_other_gpus_send_their_keys);
    tcase_add_test(t, states_do_not_grow_with_prompts);
    tcase_add_test(t, the_most_slots_fit);
    tcase_add_test(t, redundant_experts_are_stored);
    tcase_add_test(t, limits_end_the_slots);
    tcase_add_test(t, what_cannot_be_served_is_refused);
    suite_add_tcase(s, t);
    return check_main(s);
}
