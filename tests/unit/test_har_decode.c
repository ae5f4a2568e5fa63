/* tests/unit/test_har_decode.c -- a decoding step, by hand.
 *
 * Five rows on rank 1 of tp=2 (3 of 6 heads), values of 2 bytes.  What is
 * expected is worked out in the comments from the extents of the models of
 * tests/support/ref_families.c, not from the program.
 */
#include "harness/perf/cost/demand.h"
#include "harness/perf/cost/memory.h"
#include "harness/perf/machine/record_time.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_B = 5, RANK = 1, MAX_COST = 512 };

typedef struct step {
    core_spec spec;
    par_plan plan;
    core_arena arena;
    par_layout lay;
    har_machine machine;
    har_timer timer;
    har_load load;
    core_cost cost[MAX_COST];
    int n;
} step;

static void keep(void *self, const core_cost *c)
{
    step *s = self;
    ck_assert_int_lt(s->n, MAX_COST);
    s->cost[s->n++] = *c;
}

static step *make_step(int family, int64_t n_kv)
{
    step *s = calloc(1, sizeof *s);
    har_demand even;
    double n_choice, n_kept;
    const core_batch batch = {.n_b = N_B, .n_t = 1};
    ck_assert_ptr_nonnull(s);
    s->spec = fix_family(family);
    ck_assert_int_eq(par_plan_parse(&s->plan, "tp=2,ep=2"), CORE_OK);
    ck_assert_int_eq(
        par_layout_make(&s->lay, &s->arena, &s->spec, &s->plan, RANK), CORE_OK);
    ck_assert_int_eq(har_machine_open(&s->machine, "gpu-400t-64g"), CORE_OK);
    ck_assert_int_eq(har_timer_make(&s->timer, &s->machine), CORE_OK);
    har_timer_aim(&s->timer, &s->spec, &(core_types){.dtype = CORE_DTYPE_F16});
    s->timer.is_decode = true;
    s->timer.n_kv = n_kv;
    ck_assert_int_eq(har_demand_parse(&even, "uniform", (int)s->spec.n_e),
                     CORE_OK);
    ck_assert_int_eq(har_load_make(&s->load, &s->spec, &s->lay), CORE_OK);
    har_demand_load(&even, &s->spec, &s->lay, N_B, 1, NULL, &s->load, &n_choice,
                    &n_kept);
    const har_cost_case request = {&s->spec, &s->plan, &batch, &s->load};
    ck_assert_int_eq(har_cost_rank(&request, RANK, keep, s), CORE_OK);
    return s;
}

static void free_step(step *s)
{
    har_load_free(&s->load);
    har_timer_free(&s->timer);
    core_arena_free(&s->arena);
    free(s);
}

static const core_cost *find(const step *s, core_tap_kind tap, int layer,
                             core_cost_kind kind, bool is_kv)
{
    for (int i = 0; i < s->n; i++) {
        const core_cost *c = &s->cost[i];
        if (c->tap.kind == tap && c->tap.layer == layer && c->kind == kind &&
            (!is_kv || c->kv_written > 0))
            return c;
    }
    ck_abort_msg("no record of tap %d in layer %d", (int)tap, layer);
    return NULL;
}

static void expect(const step *s, const core_cost *c, double flops,
                   double bytes)
{
    const double f = har_timer_flops(&s->timer, c);
    const double b = har_timer_bytes(&s->timer, c);
    ck_assert_msg(f == flops, "tap %d: %.17g flop, expected %.17g",
                  (int)c->tap.kind, f, flops);
    ck_assert_msg(b == bytes, "tap %d: %.17g bytes, expected %.17g",
                  (int)c->tap.kind, b, bytes);
}

static void expect_attention(int family, int64_t n_kv, int layer, double flops,
                             double bytes)
{
    step *s = make_step(family, n_kv);
    expect(s, find(s, CORE_TAP_CONTEXT, layer, CORE_COST_ATTENTION, false),
           flops, bytes);
    free_step(s);
}

/* Heads of 10 (6 and 4 rotated), values of 9, latents of 11 and 4.
 *   scores and context of a head and key: 5 of softmax, 2 x 15, 2 x 11: 57 flop
 *   a row: 3 heads x 37 keys x 57; five rows: 31635
 *   the cache: 37 x 15 elements a row, once for all heads; queries and context
 *   3 x (15 + 11): 5 x (555 + 78) = 3165 elements */
START_TEST(latent_attention_reads_its_latents_once)
{
    expect_attention(FIX_LATENT, 37, 0, 31635, 2 * 3165);
    expect_attention(FIX_LATENT_Q, 37, 2, 31635, 2 * 3165);
    expect_attention(FIX_LATENT, 1, 0, 5 * 3 * 57, 2 * 5 * (15 + 78));
}
END_TEST

/* The absorbed halves of kv_b: 3 heads x (6 + 9) outputs, 11 inputs.
 *   2 x 5 x 45 x 11 = 4950 flop; weights 495 elements; queries 6 in, 11 out, of
 *   the context 11 in, 9 out: 5 x 3 x 37 = 555
 * What is cached: 15 elements a row, read and written. */
START_TEST(latents_are_not_expanded)
{
    step *s = make_step(FIX_LATENT, 37);
    expect(s, find(s, CORE_TAP_KV_B, 0, CORE_COST_GEMM, false), 4950,
           2 * (495 + 555));
    expect(s, find(s, CORE_TAP_K_ROPE, 0, CORE_COST_ELEMENTWISE, true), 0,
           2 * 2 * 5 * 15);
    /* prefill makes keys and values: 45 columns, and 30 of keys copied */
    s->timer.is_decode = false;
    expect(s, find(s, CORE_TAP_KV_B, 0, CORE_COST_GEMM, false), 4950,
           2 * (495 + 5 * 11 + 5 * 45));
    expect(s, find(s, CORE_TAP_K_ROPE, 0, CORE_COST_ELEMENTWISE, true), 0,
           2 * 2 * 5 * 30);
    free_step(s);
}
END_TEST

/* Twice the heads take no more bytes of the cache, and longer only where the
 * products bind; twice the keys take longer. */
START_TEST(latent_attention_takes_its_time)
{
    har_time time[3];
    for (int i = 0; i < 3; i++) {
        step *s = make_step(FIX_LATENT, i == 2 ? 8000000 : 4000000);
        core_cost c =
            *find(s, CORE_TAP_CONTEXT, 0, CORE_COST_ATTENTION, false);
        c.n_head = i == 1 ? 2 * c.n_head : c.n_head;
        time[i] = har_timer_ask(&s->timer, &c, 0);
        free_step(s);
    }
    ck_assert(time[0].seconds > 0 && time[1].seconds == time[0].seconds);
    ck_assert(time[2].seconds > 1.5 * time[0].seconds);
}
END_TEST

/* One timer, two models of the same shape: what is remembered of keys per head
 * is not said of latents. */
START_TEST(latents_are_not_taken_for_keys)
{
    step *s = make_step(FIX_LATENT, 200000);
    const core_cost *c =
        find(s, CORE_TAP_CONTEXT, 0, CORE_COST_ATTENTION, false);
    har_time latent, keys, again;
    core_spec plain = s->spec;
    plain.n_kv_rank = 0;
    latent = har_timer_ask(&s->timer, c, 0);
    s->timer.spec = &plain;
    keys = har_timer_ask(&s->timer, c, 0);
    s->timer.spec = &s->spec;
    again = har_timer_ask(&s->timer, c, 0);
    ck_assert(keys.seconds > latent.seconds);
    ck_assert(again.seconds == latent.seconds);
    free_step(s);
}
END_TEST

/* Heads of 8, one kv head on the rank, a window of 4 in layer 0, none in 2.
 *   of a head and key: 5 + 2 x 16 = 37 flop; of a key 16 elements
 *   queries and context: 5 x 3 x 16 = 240 */
START_TEST(a_window_ends_the_keys)
{
    expect_attention(FIX_NORM_HEAD, 37, 0, 5 * 3 * 4 * 37,
                     2 * (240 + 5 * 4 * 16));
    expect_attention(FIX_NORM_HEAD, 37, 2, 5 * 3 * 37 * 37,
                     2 * (240 + 5 * 37 * 16));
    expect_attention(FIX_NORM_HEAD, 3, 0, 5 * 3 * 3 * 37,
                     2 * (240 + 5 * 3 * 16));
}
END_TEST

/* Chunks of 4: with 37 tokens the newest is the first of its chunk, with 40 the
 * last.  Layer 1 sees all. */
START_TEST(a_chunk_ends_the_keys_where_it_began)
{
    expect_attention(FIX_CHUNK, 37, 0, 5 * 3 * 1 * 37, 2 * (240 + 5 * 16));
    expect_attention(FIX_CHUNK, 40, 0, 5 * 3 * 4 * 37, 2 * (240 + 5 * 4 * 16));
    expect_attention(FIX_CHUNK, 37, 1, 5 * 3 * 37 * 37,
                     2 * (240 + 5 * 37 * 16));
}
END_TEST

/* Latent heads as above that attend to 3 keys at most, in the layer that keeps
 * the choice, too.  Scores of 5 heads of 7 are of all 37 keys on every rank:
 *   5 x 37 x 5 x (2 x 7 + 3) = 15725 flop; queries and weights 5 x 8, keys
 *   37 x 7, the choice and its edge 3 + 2: 5 x 304 elements */
START_TEST(chosen_keys_end_attention_and_not_the_indexer)
{
    expect_attention(FIX_INDEXER, 37, 0, 5 * 3 * 3 * 57, 2 * 5 * (45 + 78));
    expect_attention(FIX_INDEXER, 37, 1, 5 * 3 * 3 * 57, 2 * 5 * (45 + 78));
    expect_attention(FIX_INDEXER, 2, 0, 5 * 3 * 2 * 57, 2 * 5 * (30 + 78));
    step *s = make_step(FIX_INDEXER, 37);
    expect(s, find(s, CORE_TAP_EDGE, 0, CORE_COST_GEMM, false), 15725,
           2 * 1520);
    free_step(s);
}
END_TEST

/* 19 of 38 channels, 5 states and 3 remembered inputs each.
 *   convolution: 4 taps (2 x 4), bias, silu: 10 flop a channel, 950; in, out 190
 *   elements, weights 19 x 5, the last three inputs in and out 5 x 19 x 6 = 570
 *   scan: 5 x 7 + 2 flop a channel, 3515; u, dt, B, C 2 x 5 x (19 + 5) = 240, out
 *   95, weights 19 x 6, the states in and out 5 x 19 x 10 = 950
 * The past is in the state: no key is seen, however many there are. */
START_TEST(mamba_reads_and_writes_its_state)
{
    static const int64_t n_kv[2] = {37, 5000};
    for (int i = 0; i < 2; i++) {
        step *s = make_step(FIX_MAMBA, n_kv[i]);
        expect(s,
               find(s, CORE_TAP_MAMBA_ACT, 0, CORE_COST_ELEMENTWISE, false),
               950, 2 * (190 + 95 + 570));
        expect(s, find(s, CORE_TAP_MAMBA_Y, 2, CORE_COST_ELEMENTWISE, false),
               3515, 2 * (240 + 95 + 114 + 950));
        for (int k = 0; k < s->n; k++)
            ck_assert(s->cost[k].kind != CORE_COST_ATTENTION ||
                      s->cost[k].tap.layer == 1);
        /* two layers of 19 x (5 + 3) */
        ck_assert_int_eq(har_cost_state(&s->spec, &s->lay), 2 * 19 * 8);
        free_step(s);
    }
}
END_TEST

/* 3 of 6 key heads of 5, 6 value heads of 19: 114 channels of values.
 *   convolution: 4 taps (2 x 4), silu: 9 flop a channel, 5130; in, out 1140,
 *   weights 456, three inputs before it read and written 3420
 *   scan: 7 x 5 + 1 flop an element, 20520; v, q, k, beta and dt 780, y 570,
 *   rates 6, the state read and written 5700                                 */
START_TEST(a_delta_net_reads_and_writes_its_state)
{
    static const int64_t n_kv[2] = {37, 5000};
    for (int i = 0; i < 2; i++) {
        step *s = make_step(FIX_DELTANET, n_kv[i]);
        expect(
            s,
            find(s, CORE_TAP_DELTANET_V_ACT, 0, CORE_COST_ELEMENTWISE, false),
            5130, 2 * (1140 + 456 + 3420));
        expect(s, find(s, CORE_TAP_DELTANET_Y, 2, CORE_COST_ELEMENTWISE, false),
               20520, 2 * (780 + 570 + 6 + 5700));
        /* two layers of 6 x 5 x 19, and 144 channels x 3 */
        ck_assert_int_eq(har_cost_state(&s->spec, &s->lay),
                         2 * (570 + 144 * 3));
        free_step(s);
    }
}
END_TEST

/* 6 of 12 heads of 4, 3 groups of 5 states: 24 channels.
 *   convolution of x: 4 taps (2 x 4), bias, silu: 10 flop, 1200; in, out 240
 *   elements, weights 24 x 5, three inputs before it read and written 720
 *   scan: 5 x 5 + 2 flop a channel, 3240; x, dt, B and C 5 x (24 + 6 + 30) = 300,
 *   y 120, rates 12, the state read and written 5 x 24 x 10 = 1200           */
START_TEST(a_state_space_reads_and_writes_its_state)
{
    step *s = make_step(FIX_SSD, 5000);
    expect(s, find(s, CORE_TAP_SSD_ACT, 0, CORE_COST_ELEMENTWISE, false), 1200,
           2 * (240 + 120 + 720));
    expect(s, find(s, CORE_TAP_SSD_Y, 2, CORE_COST_ELEMENTWISE, false), 3240,
           2 * (300 + 120 + 12 + 1200));
    /* two layers of 24 x 5, and 24 + 2 x 15 channels x 3 */
    ck_assert_int_eq(har_cost_state(&s->spec, &s->lay), 2 * (120 + 162));
    free_step(s);
}
END_TEST

/* Prefill of 5 million tokens, nothing but arithmetic: products at 400 Tflop/s,
 * the rest at 25.  Of a token and a column:
 *   Mamba-2: chunks of 256 with 5 states and heads of 4: 640 + 512 + 20 flop
 *   delta net: chunks of 64, keys of 5, values of 19: 64 x (30 / 19 + 4) + 30
 *   mamba: 37 of the recurrence, one by one                                  */
START_TEST(recurrences_take_the_time_of_their_arithmetic)
{
    static const struct {
        int family;
        core_tap_kind tap;
        double flop, rate;
    } of[] = {
        {FIX_SSD, CORE_TAP_SSD_Y, 24 * 1172.0, 400e12},
        {FIX_DELTANET, CORE_TAP_DELTANET_Y, 114 * (64 * (30.0 / 19 + 4) + 30),
         400e12},
        {FIX_MAMBA, CORE_TAP_MAMBA_Y, 19 * 37.0, 25e12},
    };
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        step *s = make_step(of[i].family, 1);
        core_cost c = *find(s, of[i].tap, 0, CORE_COST_ELEMENTWISE, false);
        har_time time, of_step;
        for (int k = 0; k < HAR_N_COEF; k++)
            s->machine.coef[k].value = 1;
        s->machine.memory_bw = 1e18;
        c.flops *= 1000000;
        c.m *= 1000000;
        of_step = har_timer_ask(&s->timer, &c, 0);
        s->timer.is_decode = false;
        time = har_timer_ask(&s->timer, &c, 0);
        const double expected = 2e-6 + 5e6 * of[i].flop / of[i].rate;
        ck_assert_msg(fabs(time.seconds / expected - 1) < 1e-3,
                      "tap %d: %g s, expected %g", (int)of[i].tap,
                      time.seconds, expected);
        ck_assert(of_step.seconds < 0.1 * time.seconds);
        free_step(s);
    }
}
END_TEST

/* Prefill of the indexer: of 64 cached keys a query scores those before it and
 * itself, 33 in the mean. */
START_TEST(an_indexer_does_not_score_what_comes_later)
{
    step *s = make_step(FIX_INDEXER, 37);
    har_time time[2];
    core_cost c = *find(s, CORE_TAP_EDGE, 0, CORE_COST_GEMM, false);
    s->timer.is_decode = false;
    c.m = 64000;
    c.k = 1 << 20;
    c.n = 64;
    c.n_pair = c.m * 65 / 2;
    s->machine.n_tile = 1;
    s->machine.tile[0][0] = s->machine.tile[0][1] = 1;
    s->machine.memory_bw = s->machine.unit_bytes_per_clock = 1e18;
    s->machine.coef[HAR_COEF_FILL].value = 1e-9;
    time[0] = har_timer_ask(&s->timer, &c, 0);
    c.n_pair = 0;
    c.n = 33;
    c.kv_read = 0;
    time[1] = har_timer_ask(&s->timer, &c, 0);
    ck_assert(fabs(time[0].seconds / time[1].seconds - 1) < 1e-3);
    free_step(s);
}
END_TEST

/* 18 of 36 channels, two remembered inputs each.
 *   gate: one product an element, 90; two operands and the result 270 elements
 *   convolution: 3 taps (2 x 3), bias: 7 flop a channel, 630; in, out 180
 *   elements, weights 18 x 4, the last two inputs in and out 5 x 18 x 4 = 360 */
START_TEST(a_short_convolution_remembers_its_last_inputs)
{
    static const int64_t n_kv[2] = {37, 5000};
    for (int i = 0; i < 2; i++) {
        step *s = make_step(FIX_SHORTCONV, n_kv[i]);
        expect(s,
               find(s, CORE_TAP_SHORTCONV_BX, 0, CORE_COST_ELEMENTWISE, false),
               90, 2 * 270);
        expect(
            s,
            find(s, CORE_TAP_SHORTCONV_CONV, 2, CORE_COST_ELEMENTWISE, false),
            630, 2 * (180 + 72 + 360));
        /* two layers of 18 x 2 */
        ck_assert_int_eq(har_cost_state(&s->spec, &s->lay), 2 * 36);
        free_step(s);
    }
}
END_TEST

/* Three choices a token, a quarter of the experts here: a token that reaches the
 * rank has (3 / 4) / (1 - (3 / 4)^3) = 48 / 37 of its choices there.  Ten rows are
 * of 7.7 tokens, for 8 experts a block of 16 rows each; eleven are of 8.5: 64.
 * With a ninth expert, which has no row, they go in blocks of 16 again. */
START_TEST(blocks_of_experts_go_by_tokens)
{
    step *s = make_step(FIX_LATENT, 1);
    har_time time[3];
    s->machine.memory_bw = s->machine.unit_bytes_per_clock = 1e18;
    s->machine.coef[HAR_COEF_FILL].value = 1e-9;
    s->timer.ep = 4;
    ck_assert_int_eq(s->spec.n_k, 3);
    for (int i = 0; i < 3; i++) {
        const core_cost c = {.kind = CORE_COST_GROUPED_GEMM,
                             .m = i == 0 ? 10 : 11,
                             .m_max = 3,
                             .n = 65536,
                             .k = 65536,
                             .n_expert = 8};
        s->timer.n_held = i == 2 ? 9 : 8;
        time[i] = har_timer_ask(&s->timer, &c, 0);
    }
    ck_assert(fabs(time[1].seconds / time[0].seconds - 4) < 1e-2);
    ck_assert(fabs(time[2].seconds / time[0].seconds - 1) < 1e-2);
    free_step(s);
}
END_TEST

/* A step of five rows, of which a prompt's tokens are none, three or all. */
START_TEST(tokens_of_prompts_are_attended_as_prefill)
{
    static const double share[] = {0, 0.6, 1};
    har_time time[3], alone;
    for (int i = 0; i < 3; i++) {
        step *s = make_step(FIX_NORM_HEAD, 4000);
        core_cost c =
            *find(s, CORE_TAP_CONTEXT, 2, CORE_COST_ATTENTION, false);
        s->timer.prompt_share = share[i];
        s->timer.n_run = 3;
        s->timer.n_past = 1000;
        time[i] = har_timer_ask(&s->timer, &c, 0);
        /* what is remembered of one is not said of the other */
        s->timer.prompt_share = 0;
        alone = har_timer_ask(&s->timer, &c, 0);
        ck_assert(alone.seconds == time[0].seconds);
        free_step(s);
    }
    const har_attention prompt = {.n_row = 1,
                                  .n_t = 3,
                                  .n_past = 1000,
                                  .n_h = 3,
                                  .n_g = 1,
                                  .n_dh = 8,
                                  .kv_share = 1};
    har_attention rows = prompt;
    rows.n_row = 2;
    rows.n_t = 4000;
    har_machine m;
    ck_assert_int_eq(har_machine_open(&m, "gpu-400t-64g"), CORE_OK);
    ck_assert(time[1].seconds ==
              har_time_prefill(&m, CORE_DTYPE_F16, &prompt).seconds +
                  har_time_decode(&m, CORE_DTYPE_F16, &rows).seconds);
    ck_assert(time[2].seconds < time[1].seconds);
}
END_TEST

/* Of twice as many keys each rank reads one head where two share the queries, two
 * where none does; of pairs of queries and keys there may be more in as wide a
 * product.                                                                   */
START_TEST(what_is_remembered_is_of_as_many_keys)
{
    step *s = make_step(FIX_NORM_HEAD, 4000);
    core_cost c = *find(s, CORE_TAP_CONTEXT, 2, CORE_COST_ATTENTION, false);
    core_cost scores = {
        .kind = CORE_COST_GEMM, .m = 64, .n = 65536, .k = 64, .n_pair = 64};
    c.kv_read *= 2;
    const har_time alone = har_timer_ask(&s->timer, &c, 0);
    s->timer.n_cut = 2;
    const har_time shared = har_timer_ask(&s->timer, &c, 0);
    ck_assert(shared.seconds < alone.seconds);
    const har_time few = har_timer_ask(&s->timer, &scores, 0);
    scores.n_pair *= scores.n;
    const har_time many = har_timer_ask(&s->timer, &scores, 0);
    ck_assert(few.seconds < many.seconds);
    free_step(s);
}
END_TEST

/* Of 64000 rows the logits of a tenth; a transfer that the host starts. */
START_TEST(few_logits_and_late_transfers)
{
    step *s = make_step(FIX_NORM_HEAD, 10);
    har_time all, few, tenth, transfer;
    core_cost c = {.kind = CORE_COST_COLLECTIVE};
    for (int i = 0; i < s->n; i++)
        if (s->cost[i].tap.kind == CORE_TAP_LOGITS)
            c = s->cost[i];
    ck_assert(c.kind == CORE_COST_GEMM && c.weights > 0);
    c.m = 64000;
    all = har_timer_ask(&s->timer, &c, 0);
    s->timer.logit_share = 0.1;
    few = har_timer_ask(&s->timer, &c, 0);
    s->timer.logit_share = 0;
    c.m = 6400;
    tenth = har_timer_ask(&s->timer, &c, 0);
    ck_assert(few.seconds == tenth.seconds && few.seconds < all.seconds);
    const core_cost sum = {.kind = CORE_COST_COLLECTIVE,
                           .collective = CORE_ALL_REDUCE,
                           .axis = CORE_AXIS_TP,
                           .group = 2,
                           .in = 8,
                           .out = 8};
    s->machine.coef[HAR_COEF_HOST].value = 1e4;
    transfer = har_timer_ask(&s->timer, &sum, 0);
    ck_assert(transfer.seconds < 1e-3);
    s->timer.is_eager = true;
    transfer = har_timer_ask(&s->timer, &sum, 0);
    ck_assert(fabs(transfer.seconds - 1e-2) < 1e-12);
    free_step(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("decode");
    TCase *t = tcase_create("all");
    tcase_add_test(t, latent_attention_reads_its_latents_once);
    tcase_add_test(t, latents_are_not_expanded);
    tcase_add_test(t, latent_attention_takes_its_time);
    tcase_add_test(t, latents_are_not_taken_for_keys);
    tcase_add_test(t, a_window_ends_the_keys);
    tcase_add_test(t, a_chunk_ends_the_keys_where_it_began);
    tcase_add_test(t, chosen_keys_end_attention_and_not_the_indexer);
    tcase_add_test(t, mamba_reads_and_writes_its_state);
    tcase_add_test(t, a_short_convolution_remembers_its_last_inputs);
    tcase_add_test(t, a_delta_net_reads_and_writes_its_state);
    tcase_add_test(t, a_state_space_reads_and_writes_its_state);
    tcase_add_test(t, recurrences_take_the_time_of_their_arithmetic);
    tcase_add_test(t, an_indexer_does_not_score_what_comes_later);
    tcase_add_test(t, blocks_of_experts_go_by_tokens);
    tcase_add_test(t, tokens_of_prompts_are_attended_as_prefill);
    tcase_add_test(t, what_is_remembered_is_of_as_many_keys);
    tcase_add_test(t, few_logits_and_late_transfers);
    suite_add_tcase(s, t);
    return check_main(s);
}
