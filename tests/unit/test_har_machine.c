/* tests/unit/test_har_machine.c -- times by hand, and machine files refused.
 *
 * The machine of the first half has round numbers, so that a time can be worked
 * out on paper: 1 Tflop/s over ten units, 100 GB/s, every fraction 1.  What a
 * search relies on is held on the real presets: more work never takes less.
 */
#include "core/files/yaml_list.h"
#include "harness/perf/machine/machine.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Everything stated, no arch. */
#define STATED TEST_DATA_DIR "/perf/stated.yaml"

static har_machine hand;

static void setup(void)
{
    hand = (har_machine){.name = "hand",
                         .memory_bytes = 1e9,
                         .memory_bw = 1e11,
                         .n_unit = 10,
                         .clock_hz = 1e9,
                         .unit_bytes_per_clock = 1e6, /* never the bound */
                         .l2_bytes = 1e3,
                         .n_tile = 1,
                         .tile = {{100, 100}},
                         .max_split = 1,
                         .n_link = 2,
                         .link = {{"near", 8, 1e10, 0, 0, HAR_ASSUMED},
                                  {"far", 64, 1e9, 5e-6, 0, HAR_ASSUMED}}};
    hand.peak[CORE_DTYPE_F32] = 1e12;
    for (int i = 0; i < HAR_N_COEF; i++)
        hand.coef[i] = (har_value){1, HAR_ASSUMED};
    for (int i = 0; i < HAR_N_KIND; i++)
        hand.sigma[i] = (har_value){0.1, HAR_ASSUMED};
}

static har_machine preset(const char *name)
{
    har_machine m;
    ck_assert_int_eq(har_machine_open(&m, name), CORE_OK);
    return m;
}

static void near(double found, double expected, double relative)
{
    ck_assert_msg(fabs(found - expected) <= relative * expected,
                  "found %.9g, expected %.9g", found, expected);
}

/* --- products ---------------------------------------------------------------
 */

START_TEST(gemm_goes_in_waves_of_whole_tiles)
{
    /* a tile of 100 x 100 x 32000 is 6.4e8 flop on a unit of 1e11: 6.4 ms.  Ten
     * tiles are one wave, eleven are two; the bytes are far below. */
    const double k = 32000, wave = 6.4e-3;
    const double one =
        har_time_gemm(&hand, CORE_DTYPE_F32, 1000, 100, k).seconds;
    const double two =
        har_time_gemm(&hand, CORE_DTYPE_F32, 1001, 100, k).seconds;
    near(one, wave, 2e-3);
    near(two, 2 * wave, 2e-3);
    ck_assert_int_eq(har_time_gemm(&hand, CORE_DTYPE_F32, 1000, 100, k).bound,
                     HAR_BOUND_COMPUTE);
}
END_TEST

START_TEST(a_thin_product_is_its_bytes)
{
    hand.peak[CORE_DTYPE_F32] = 1e18;
    const double bytes = 4 * (1e4 * 1e4 + 2e4);
    const har_time time = har_time_gemm(&hand, CORE_DTYPE_F32, 1, 1e4, 1e4);
    near(time.seconds, bytes / 1e11, 2e-3);
    ck_assert_int_eq(time.bound, HAR_BOUND_MEMORY);
    near(time.sigma, 0.1, 0);
}
END_TEST

START_TEST(an_empty_product_is_its_overhead)
{
    const har_time time = har_time_gemm(&hand, CORE_DTYPE_F32, 1, 1, 1);
    /* a launch, a fill, and a whole tile of the 32 that K is rounded to */
    near(time.seconds, 1e-6 + 1e-6 + 2 * 100 * 100 * 32 / 1e11, 1e-3);
}
END_TEST

START_TEST(split_k_fills_idle_units)
{
    const double whole =
        har_time_gemm(&hand, CORE_DTYPE_F32, 100, 100, 1 << 20).seconds;
    hand.max_split = 8;
    const double split =
        har_time_gemm(&hand, CORE_DTYPE_F32, 100, 100, 1 << 20).seconds;
    near(whole / split, 8, 0.01);
}
END_TEST

/* More rows on a padded tile cost nothing, and never less than nothing. */
START_TEST(gemm_is_monotone_in_every_size)
{
    static const char *const names[] = {"a100-sxm", "gpu-400t-64g",
                                        "h100-sxm", "b200-sxm"};
    const har_machine m = preset(names[_i]);
    static const double sizes[] = {1, 16, 100, 512, 1000, 4096, 20000};
    for (int a = 0; a < 7; a++)
        for (int b = 0; b < 7; b++)
            for (int c = 0; c + 1 < 7; c++) {
                const double x = sizes[a], y = sizes[b];
                const double lo = sizes[c], hi = sizes[c + 1];
                ck_assert(
                    har_time_gemm(&m, CORE_DTYPE_BF16, lo, x, y).seconds <=
                    har_time_gemm(&m, CORE_DTYPE_BF16, hi, x, y).seconds);
                ck_assert(
                    har_time_gemm(&m, CORE_DTYPE_BF16, x, lo, y).seconds <=
                    har_time_gemm(&m, CORE_DTYPE_BF16, x, hi, y).seconds);
                ck_assert(
                    har_time_gemm(&m, CORE_DTYPE_BF16, x, y, lo).seconds <=
                    har_time_gemm(&m, CORE_DTYPE_BF16, x, y, hi).seconds);
            }
}
END_TEST

START_TEST(elementwise_is_bytes_over_bandwidth)
{
    near(har_time_elementwise(&hand, 1e9).seconds, 1e-2 + 2e-6, 1e-9);
}
END_TEST

/* --- experts ----------------------------------------------------------------
 */

static har_moe moe_of(double n_token, bool is_power_law)
{
    return (har_moe){.n_token = n_token,
                     .n_d = 64,
                     .n_f = 32,
                     .n_expert = 16,
                     .n_k = 2,
                     .ep = 1,
                     .n_matrix = 3,
                     .popularity = {is_power_law, 1.2}};
}

START_TEST(counts_add_up_and_are_whole)
{
    static const double tokens[] = {1, 3, 8, 100, 4096};
    double count[16];
    const har_moe moe = moe_of(tokens[_i / 2], _i % 2 == 1);
    double sum = 0;
    har_moe_counts(&moe, count);
    for (int i = 0; i < 16; i++) {
        ck_assert(count[i] == floor(count[i]) && count[i] >= 0 &&
                  count[i] <= moe.n_token);
        sum += count[i];
    }
    if (_i % 2 == 0) /* a power law may spill to where a token has no choice */
        ck_assert_double_eq(sum, 2 * moe.n_token);
    else
        ck_assert(sum >= moe.n_token);
}
END_TEST

START_TEST(few_tokens_read_only_their_experts)
{
    /* one token, two choices: two of sixteen experts; forty tokens: all */
    hand.peak[CORE_DTYPE_F32] = 1e18;
    hand.coef[HAR_COEF_LAUNCH].value = hand.coef[HAR_COEF_FILL].value = 1e-6;
    har_moe moe = moe_of(1, false);
    moe.n_d = 4096;
    moe.n_f = 2048;
    const double one = har_time_moe(&hand, CORE_DTYPE_F32, &moe).seconds;
    moe.n_token = 40;
    const double all = har_time_moe(&hand, CORE_DTYPE_F32, &moe).seconds;
    const double expert = 4 * 3 * 4096.0 * 2048 / 1e11;
    near(one, 2 * expert, 0.01);
    near(all, 16 * expert, 0.05);
}
END_TEST

START_TEST(a_skewed_layer_reads_less_and_its_worst_rank_works_more)
{
    const har_machine m = preset("a100-sxm");
    har_moe moe = {.n_token = 32,
                   .n_d = 7168,
                   .n_f = 2048,
                   .n_expert = 256,
                   .n_k = 8,
                   .ep = 1,
                   .n_matrix = 3};
    const double even = har_time_moe(&m, CORE_DTYPE_BF16, &moe).seconds;
    moe.popularity = (har_popularity){true, 1.2};
    const double skewed = har_time_moe(&m, CORE_DTYPE_BF16, &moe).seconds;
    ck_assert(skewed < 0.7 * even);
    moe.n_token = 16384;
    moe.ep = 64;
    const double worst = har_time_moe(&m, CORE_DTYPE_BF16, &moe).seconds;
    moe.popularity.is_power_law = false;
    ck_assert(worst > 2 * har_time_moe(&m, CORE_DTYPE_BF16, &moe).seconds);
}
END_TEST

START_TEST(groups_are_padded_to_blocks_and_empty_ones_not_read)
{
    const double full[] = {64, 64, 64, 64}, padded[] = {65, 64, 64, 64};
    const double empty[] = {0, 0, 0, 256};
    hand.memory_bw = 1e18;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    const double k = 1e5, n = 640;
    const double a =
        har_time_grouped_gemm(&hand, CORE_DTYPE_F32, full, 4, 256, n, k).seconds;
    near(har_time_grouped_gemm(&hand, CORE_DTYPE_F32, padded, 4, 256, n, k).seconds,
         1.25 * a, 0.01);
    hand.memory_bw = 1e9;
    hand.peak[CORE_DTYPE_F32] = 1e18;
    const double b =
        har_time_grouped_gemm(&hand, CORE_DTYPE_F32, full, 4, 256, n, k).seconds;
    near(har_time_grouped_gemm(&hand, CORE_DTYPE_F32, empty, 4, 256, n, k).seconds,
         b * (n * k + 256 * (n + k)) / (4 * n * k + 256 * (n + k)), 0.01);
}
END_TEST

/* 64 experts of 8 choices: 64 tokens go in blocks of 16, 65 in blocks of 64,
 * in the layer as in its two products. */
START_TEST(a_layer_and_its_products_have_the_same_blocks)
{
    hand.memory_bw = 1e18;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    const double d = 64000, f = 32000;
    double seconds[2];
    for (int i = 0; i < 2; i++) {
        const har_moe moe = {.n_token = 64 + i,
                             .n_d = d,
                             .n_f = f,
                             .n_expert = 64,
                             .n_k = 8,
                             .ep = 1,
                             .n_matrix = 3};
        double row[64];
        har_moe_counts(&moe, row);
        seconds[i] = har_time_grouped_gemm(&hand, CORE_DTYPE_F32, row, 64,
                                           moe.n_token, 2 * f, d)
                         .seconds +
                     har_time_grouped_gemm(&hand, CORE_DTYPE_F32, row, 64,
                                           moe.n_token, d, f)
                         .seconds;
        near(har_time_moe(&hand, CORE_DTYPE_F32, &moe).seconds, seconds[i],
             1e-3);
    }
    near(seconds[1], 4 * seconds[0], 1e-3);
}
END_TEST

/* --- attention --------------------------------------------------------------
 */

/* Ten tiles of 128 queries see 5.5 tiles in the mean; behind 12800 cached keys
 * 100 more.  Of those, four kv heads of 64 columns are read, once. */
START_TEST(a_chunk_sees_and_reads_its_past)
{
    hand.memory_bw = 1e18;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    har_attention a = {.n_row = 8,
                       .n_t = 1280,
                       .n_h = 8,
                       .n_g = 4,
                       .n_dh = 64,
                       .kv_share = 1};
    hand.clock_hz = 1e15; /* no softmax, no mask */
    hand.peak[CORE_DTYPE_F32] = 1e9;
    const double first = har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds;
    a.n_past = 12800;
    const double later = har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds;
    near(later, first * 105.5 / 5.5, 1e-3);
    hand.peak[CORE_DTYPE_F32] = 1e18;
    hand.memory_bw = 1e6;
    const double read = har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds;
    a.n_past = 0;
    const double none = har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds;
    near(read - none, 2 * 4.0 * 8 * 12800 * 4 * 64 / 1e6, 1e-3);
}
END_TEST

START_TEST(prefill_is_causal_and_a_window_cuts_it)
{
    hand.memory_bw = 1e18;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    har_attention a = {.n_row = 4,
                       .n_t = 12800,
                       .n_h = 8,
                       .n_g = 8,
                       .n_dh = 64,
                       .kv_share = 1};
    /* 100 tiles of 128: 5050 of 10000 pairs of tiles.  A pair is 256 flop at
     * 1e12 a second, and a tenth of a clock of 1e10; on the diagonal two. */
    const double tile = 4 * 8 * 128.0 * 128, pair = 256e-12, clock = 0.1e-10;
    near(har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds,
         tile * (5050 * (pair + clock) + 100 * clock), 1e-3);
    a.window = 1280; /* twelve tiles of keys for each of queries, all masked */
    near(har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds,
         tile * 1200 * (pair + 2 * clock), 1e-3);
}
END_TEST

START_TEST(decode_reads_the_cache)
{
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    har_attention a = {.n_row = 64,
                       .n_t = 10000,
                       .n_h = 8,
                       .n_g = 8,
                       .n_dh = 128,
                       .kv_share = 1};
    const double bytes = 2 * 4 * 64 * 8 * 128 * 1e4;
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, bytes / 1e11,
         1e-3);
    a.kv_share = 0.5;
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, bytes / 2e11,
         1e-3);
    a.kv_share = 1;
    a.window = 1000;
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, bytes / 1e12,
         2e-3);
}
END_TEST

/* Few heads: the latents are read once, whatever the number of heads.  Many:
 * every head multiplies with every latent, 128 heads with 2 (2 x 512 + 64) flop
 * per key. */
START_TEST(latents_are_read_once_and_multiplied_by_all_heads)
{
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    har_attention a = {
        .n_row = 64, .n_t = 10000, .n_h = 1, .n_shared = 512, .n_rot = 64};
    const double bytes = 4 * 64 * 1e4 * 576;
    hand.peak[CORE_DTYPE_F32] = 1e18;
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, bytes / 1e11,
         1e-3);
    a.n_h = 16;
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, bytes / 1e11,
         1e-3);
    hand.peak[CORE_DTYPE_F32] = 1e12;
    hand.memory_bw = 1e18;
    a.n_h = 128;
    const double flop = 2 * 64 * 128 * 1e4 * (2 * 512 + 64);
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, flop / 1e12, 1e-3);
}
END_TEST

/* --- collectives ------------------------------------------------------------
 */

START_TEST(ring_by_hand)
{
    hand.memory_bw = 1e30;
    hand.coef[HAR_COEF_SMALL].value = 0.5;
    /* launch 1 us x 4, 6 hops of 1 us, rendezvous 1 us; 1.5 x 1 GB at 10 GB/s.
     * With flags it would be 1 GB at half of the link. */
    const double wait = 1e-6 * 0.2 / (0.2 + 1e-6);
    const double all =
        har_time_collective(&hand, HAR_ALL_REDUCE, HAR_LIBRARY, 1e9, 4, 0)
            .seconds;
    near(all, 4e-6 + 6e-6 + wait + 0.15, 1e-9);
    /* gather: half the wire and steps */
    near(har_time_collective(&hand, HAR_ALL_GATHER, HAR_LIBRARY, 1e9, 4, 0)
             .seconds,
         4e-6 + 3e-6 + wait + 0.075, 1e-9);
    near(har_time_collective(&hand, HAR_REDUCE_SCATTER, HAR_LIBRARY, 1e9, 4, 0)
             .seconds,
         4e-6 + 3e-6 + wait + 0.075, 1e-9);
    near(har_time_collective(&hand, HAR_SEND_RECV, HAR_LIBRARY, 1e9, 2, 0)
             .seconds,
         4e-6 + 1e-6 + 0.1, 1e-9);
    /* the far tier: a tenth of the bandwidth, 5 us more for every step */
    near(har_time_collective(&hand, HAR_ALL_REDUCE, HAR_LIBRARY, 1e9, 4, 1)
             .seconds,
         4e-6 + 36e-6 + wait + 1.5, 1e-9);
}
END_TEST

START_TEST(small_messages_do_not_wait_for_a_rendezvous)
{
    hand.memory_bw = 1e30;
    hand.coef[HAR_COEF_RENDEZVOUS].value = 100;
    /* 1 kB: 4 + 6 us, 1.5 kB at 10 GB/s, and flags: 0.1 us beside 100 us */
    const har_time time =
        har_time_collective(&hand, HAR_ALL_REDUCE, HAR_LIBRARY, 1e3, 4, 0);
    near(time.seconds, 10e-6 + 0.15e-6 + 0.1e-6 / 1.001, 1e-9);
    ck_assert_int_eq(time.bound, HAR_BOUND_OVERHEAD);
    ck_assert_int_eq(
        har_time_collective(&hand, HAR_ALL_REDUCE, HAR_LIBRARY, 1e9, 4, 0)
            .bound,
        HAR_BOUND_LINK);
}
END_TEST

START_TEST(one_shot_then_two_shots)
{
    /* 2 launches; one shot: 1 hop, 7 x bytes; two: 9 hops, 7/4 x bytes */
    near(
        har_time_collective(&hand, HAR_ALL_REDUCE, HAR_SHOT, 1e3, 8, 0).seconds,
        2e-6 + 1e-6 + 0.7e-6, 1e-9);
    near(
        har_time_collective(&hand, HAR_ALL_REDUCE, HAR_SHOT, 1e6, 8, 0).seconds,
        2e-6 + 9e-6 + 175e-6, 1e-9);
}
END_TEST

START_TEST(a_group_of_one_sends_nothing)
{
    ck_assert(har_time_collective(&hand, HAR_ALL_REDUCE, HAR_LIBRARY, 1e9, 1, 0)
                  .seconds <= 0);
    ck_assert_int_eq(har_tier(&hand, 8), 0);
    ck_assert_int_eq(har_tier(&hand, 9), 1);
    ck_assert_int_eq(har_tier(&hand, 1000), 1);
}
END_TEST

/* --- plans ------------------------------------------------------------------
 */

START_TEST(small_layers_wait_for_the_host_and_bubbles_cost)
{
    har_machine m = preset("a100-sxm");
    har_training s = {.n_gpu = 4,
                      .batch = 16,
                      .micro_batch = 1,
                      .n_d = 1024,
                      .n_h = 16,
                      .n_l = 16,
                      .n_t = 1024,
                      .tp = 1,
                      .dp = 1,
                      .pp = 4};
    const double base = har_time_training(&m, &s).seconds;
    m.coef[HAR_COEF_HOST].value *= 2;
    near(har_time_training(&m, &s).seconds, 2 * base, 0.15);
    m.coef[HAR_COEF_HOST].value /= 2;
    /* one micro-batch: the stages work one after the other, 4 of 4 ticks of
     * which each is busy in one; sixteen: 19 ticks for 16 */
    s.batch = 1;
    const double single = har_time_training(&m, &s).seconds;
    near((base - single) / single, 15.0 / 4, 0.25);
}
END_TEST

/* --- files ------------------------------------------------------------------
 */

START_TEST(presets_are_complete)
{
    const char *name = NULL, *text = NULL;
    int n = 0;
    for (; har_machine_preset(n, &name, &text); n++) {
        const har_machine m = preset(name);
        ck_assert_str_eq(m.name, name);
        const har_origin origin =
            strcmp(name, "a100-sxm") == 0 ? HAR_MEASURED : HAR_TRANSFERRED;
        for (int i = 0; i < HAR_N_COEF; i++)
            ck_assert_int_eq(m.coef[i].origin, origin);
    }
    ck_assert_int_eq(n, 9);
    ck_assert(HAR_N_COEF <= 12);
    const har_machine seed = preset("gpu-400t-64g");
    near(seed.peak[CORE_DTYPE_BF16], 400e12, 0);
    near(seed.memory_bw, 1.8e12, 0);
    near(seed.memory_bytes, 64e9, 0);
}
END_TEST

/* A file that states everything, with FROM replaced by TO: refused with MESSAGE, or accepted. */
static const struct {
    const char *from, *to, *message;
} EDITS[] = {
    {"  clock_mhz: 1830", "  clock_mhz: 1840", NULL},
    {"  clock_mhz: 1830", "  clock_mhz: fast",
     "t.yaml:23:14: units.clock_mhz: expected a number from 10 to 100000, "
     "found 'fast'"},
    {"  clock_mhz: 1830", "  clock_mhz: nan",
     "t.yaml:23:14: units.clock_mhz: expected a number from 10 to 100000, "
     "found 'nan'"},
    {"  clock_mhz: 1830", "  clock_ghz: 2",
     "t.yaml:23:14: units.clock_ghz: unknown key"},
    {"  clock_mhz: 1830     #", "  count: 132 #",
     "t.yaml:23:3: count: given twice, first in line 22"},
    {"machine: stated", "machine: other\nprice: 2.5", NULL},
    {"machine: stated", "machine: other\nprice: 0",
     "t.yaml:4:8: price: expected a number from 1e-06 to 1e+06, found '0'"},
    {"machine: stated", "machine: other\nprice: {usd: 2}",
     "price.usd: unknown key"},
    {"max_split: 16", "max_split: 16\nunits.clock_mhz: 1840",
     ": units.clock_mhz: unknown key"},
    {"max_split: 16", "tiles[0][0]: 16", ": tiles[0][0]: unknown key"},
    {"machine: stated", "machine: other\nmemory: {}",
     "t.yaml:4:1: memory: expected keys and values, found none"},
    {"machine: stated", "machine: [[[[[[[a]]]]]]]",
     "t.yaml:3:1: machine[0][0][0][0][0][0]: nested too deep"},
    {"machine: stated", "machine: *m", "t.yaml:3:"},
    {"  bf16: 989", "  bf17: 989",
     "t.yaml:12:9: peak_tflops.bf17: unknown "
     "dtype"},
    {"  f32: 67\n", "  f32: 67\n  float: 67\n",
     "peak_tflops.float: another word for a dtype already given"},
    {"  f32: 67\n", "  float32: 67\n", NULL},
    {"  f32: 67\n", "", "t.yaml: peak_tflops.f32: missing"},
    {"  - [64, 32]", "  - [64, 0]",
     "tiles[7][1]: expected a number from 1 to 4096, found '0'"},
    {"  - [64, 32]", "  - [64]", "t.yaml: tiles[7]: expected rows and columns"},
    {"  - [64, 32]", "  - [60, 30]", NULL},
    {"from: datasheet", "from: hearsay",
     "links[0].from: expected measured, transferred, assumed or datasheet, "
     "found 'hearsay'"},
    {"from: datasheet", "from: measured", NULL},
    {"    sigma: 0.5 ", "    #", NULL},
    {"    sigma: 0.5 ", "    sigma: 0 ",
     "links[1].sigma: expected a number from 0.0001 to 10, found '0'"},
    {"    sigma: 0.5 ", "    sigma: nan ", "links[1].sigma: expected a number"},
    {"    sigma: 0.5 ", "    sigma: 0.25 ", NULL},
    {"from: datasheet", "from: datasheet\n    sigma: 0.1", NULL},
    {"gpus: 1024", "gpus: 8",
     "links[1].gpus: expected more than the 8 of the link before, found 8"},
    {"    gpus: 8 ", "    # ",
     "links[0]: expected name, gpus, gbytes_per_s and "
     "from"},
    {"machine: stated", "machine: other\nsamples: [{kind: gemm}]", NULL},
    {"machine: stated", "machine: other\nsamples: 3",
     "t.yaml:4:1: samples: expected a list"},
    {"machine: stated", "machine: &m x", NULL},
    {"machine: stated", "machine:", "t.yaml:3:1: machine: expected a value"},
    {"machine: stated", "machine: \"\"", "t.yaml:3:1: machine: expected a v"},
    {"machine: stated", "machine: [", ": no valid YAML at '"},
    {"  hop_us:", "  hip_us:", "coefficients.hip_us.value: unknown key"},
    {"max_split: 16", "max_split: 1.5",
     "max_split: expected a whole number, found '1.5'"},
    {"max_split: 16", "max_split: 16\n---\na: 1", "a second document"},
};
enum { N_EDITS = sizeof EDITS / sizeof EDITS[0] };

static char *edited(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    ck_assert_msg(at != NULL, "'%s' is not in the file", from);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    ck_assert_ptr_nonnull(out);
    memcpy(out, text, (size_t)(at - text));
    strcpy(out + (at - text), to);
    strcat(out, at + strlen(from));
    return out;
}

START_TEST(files_are_read_strictly)
{
    char *text = NULL;
    ck_assert_int_eq(har_machine_text(&text, STATED), CORE_OK);
    char *changed = edited(text, EDITS[_i].from, EDITS[_i].to);
    har_machine m = {.n_unit = -1};
    core_message_clear();
    const core_status status = har_machine_parse(&m, changed, "t.yaml");
    if (EDITS[_i].message == NULL) {
        ck_assert_msg(status == CORE_OK, "%s", core_message());
    } else {
        ck_assert_int_eq(status, CORE_E_FORMAT);
        ck_assert_msg(strstr(core_message(), EDITS[_i].message) != NULL,
                      "found: %s", core_message());
        ck_assert(m.n_unit < 0); /* untouched */
    }
    free(changed);
    free(text);
}
END_TEST

START_TEST(a_price_is_read_and_written)
{
    char *text = NULL, *written = NULL;
    size_t n = 0;
    har_machine m, back;
    ck_assert_int_eq(har_machine_text(&text, STATED), CORE_OK);
    char *priced = edited(text, "machine: stated", "machine: x\nprice: 2.5");
    ck_assert_int_eq(har_machine_parse(&m, priced, "t.yaml"), CORE_OK);
    ck_assert_double_eq(m.price, 2.5);
    FILE *out = open_memstream(&written, &n);
    fputs("machine: y\n", out);
    har_machine_print(out, &m);
    fclose(out);
    ck_assert_int_eq(har_machine_parse(&back, written, "w"), CORE_OK);
    ck_assert_double_eq(back.price, 2.5);
    ck_assert_double_eq(preset(STATED).price, 0); /* the twin says none */
    free(written);
    free(priced);
    free(text);
}
END_TEST

START_TEST(a_file_without_a_coefficient_is_refused)
{
    char *text = NULL;
    ck_assert_int_eq(har_machine_text(&text, STATED), CORE_OK);
    char *at = strstr(text, "  hop_us:");
    const char *next = strchr(at, '\n') + 1;
    memmove(at, next, strlen(next) + 1);
    har_machine m;
    core_message_clear();
    ck_assert_int_eq(har_machine_parse(&m, text, "t.yaml"), CORE_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(core_message(), "coefficients.hop_us"));
    free(text);
}
END_TEST

START_TEST(no_such_machine)
{
    har_machine m;
    core_message_clear();
    ck_assert_int_eq(har_machine_open(&m, "/no/such.yaml"), CORE_E_FILE);
    ck_assert_ptr_nonnull(strstr(core_message(), "gpu-400t-64g"));
}
END_TEST

/* Writing keeps what a person wrote, and what is written reads the same. */
START_TEST(writing_replaces_two_sections)
{
    char *text = NULL, *written = NULL, *again = NULL;
    size_t n = 0;
    ck_assert_int_eq(har_machine_text(&text, STATED), CORE_OK);
    har_machine m = preset(STATED), back;
    m.coef[HAR_COEF_HOP] = (har_value){7.25, HAR_MEASURED};
    m.sigma[HAR_MOE] = (har_value){0.375, HAR_MEASURED};
    FILE *out = open_memstream(&written, &n);
    har_machine_write(out, text, &m);
    fclose(out);
    ck_assert_int_eq(har_machine_parse(&back, written, "w"), CORE_OK);
    ck_assert_double_eq(back.coef[HAR_COEF_HOP].value, 7.25);
    ck_assert_int_eq(back.coef[HAR_COEF_HOP].origin, HAR_MEASURED);
    ck_assert_double_eq(back.sigma[HAR_MOE].value, 0.375);
    ck_assert_int_eq(back.coef[HAR_COEF_HOST].origin, HAR_TRANSFERRED);
    const size_t head = (size_t)(strstr(text, "coefficients:") - text);
    ck_assert(strncmp(text, written, head) == 0);
    out = open_memstream(&again, &n);
    har_machine_write(out, written, &m);
    fclose(out);
    ck_assert_str_eq(again, written);
    free(again);
    free(written);
    free(text);
}
END_TEST

/* A judgement that is not there is the one that the document states. */
START_TEST(an_assumed_link_without_sigma_gets_the_documented_one)
{
    har_machine m;
    char *text = NULL, *at;
    ck_assert_int_eq(har_machine_text(&text, STATED), CORE_OK);
    at = strstr(text, "    sigma: 0.5 ");
    ck_assert_ptr_nonnull(at);
    memcpy(at, "    sigma: 0.2 ", 15);
    ck_assert_int_eq(har_machine_parse(&m, text, "t"), CORE_OK);
    near(m.link[1].sigma, 0.2, 0);
    memcpy(at, "    #           ", 15);
    ck_assert_int_eq(har_machine_parse(&m, text, "t"), CORE_OK);
    near(m.link[1].sigma, 0.5, 0);
    near(m.link[0].sigma, 0, 0); /* not assumed */
    free(text);
}
END_TEST

/* The row of the table that a key of a file belongs to. */
static void field_of(char out[CORE_YAML_PATH], const char *path)
{
    size_t n = 0;
    const bool has_parts = strncmp(path, "coefficients.", 13) == 0 ||
                           strncmp(path, "sigma.", 6) == 0;
    if (strncmp(path, "peak_tflops.", 12) == 0)
        path = "peak_tflops.DTYPE";
    else if (strncmp(path, "tiles[", 6) == 0)
        path = "tiles";
    for (; *path != '\0' &&
           !(has_parts && (strcmp(path, ".value") == 0 ||
                           strcmp(path, ".from") == 0));
         path++)
        if (path[0] < '0' || path[0] > '9' || n == 0 ||
            (out[n - 1] != '[' && strchr("0123456789", out[n - 1]) == NULL))
            out[n++] = *path;
    out[n] = '\0';
}

START_TEST(the_table_of_fields_has_every_key)
{
    char *table = NULL;
    const char *name, *text;
    size_t n = 0;
    FILE *out = open_memstream(&table, &n);
    har_machine_write_fields(out);
    ck_assert_int_eq(fclose(out), 0);
    for (int i = 0; har_machine_preset(i, &name, &text); i++) {
        core_yaml_list yaml;
        ck_assert_int_eq(
            core_yaml_list_read(&yaml, text, name, "a machine", "samples"),
            CORE_OK);
        for (size_t k = 0; k < yaml.n; k++) {
            char field[CORE_YAML_PATH], row[CORE_YAML_PATH + 8];
            field_of(field, yaml.at[k].path);
            snprintf(row, sizeof row, "\n| `%s` | ", field);
            ck_assert_msg(strstr(table, row) != NULL, "%s: %s has no row", name,
                          field);
        }
        core_yaml_list_free(&yaml);
    }
    free(table);
}
END_TEST

static Suite *machine_suite(void)
{
    Suite *suite = suite_create("har_machine");
    TCase *times = tcase_create("times");
    tcase_add_checked_fixture(times, setup, NULL);
    tcase_add_test(times, gemm_goes_in_waves_of_whole_tiles);
    tcase_add_test(times, a_thin_product_is_its_bytes);
    tcase_add_test(times, an_empty_product_is_its_overhead);
    tcase_add_test(times, split_k_fills_idle_units);
    tcase_add_loop_test(times, gemm_is_monotone_in_every_size, 0, 4);
    tcase_add_test(times, elementwise_is_bytes_over_bandwidth);
    tcase_add_loop_test(times, counts_add_up_and_are_whole, 0, 10);
    tcase_add_test(times, few_tokens_read_only_their_experts);
    tcase_add_test(times,
                   a_skewed_layer_reads_less_and_its_worst_rank_works_more);
    tcase_add_test(times, groups_are_padded_to_blocks_and_empty_ones_not_read);
    tcase_add_test(times, a_layer_and_its_products_have_the_same_blocks);
    tcase_add_test(times, a_chunk_sees_and_reads_its_past);
    tcase_add_test(times, prefill_is_causal_and_a_window_cuts_it);
    tcase_add_test(times, decode_reads_the_cache);
    tcase_add_test(times, latents_are_read_once_and_multiplied_by_all_heads);
    tcase_add_test(times, ring_by_hand);
    tcase_add_test(times, small_messages_do_not_wait_for_a_rendezvous);
    tcase_add_test(times, one_shot_then_two_shots);
    tcase_add_test(times, a_group_of_one_sends_nothing);
    tcase_add_test(times, small_layers_wait_for_the_host_and_bubbles_cost);
    suite_add_tcase(suite, times);
    TCase *files = tcase_create("files");
    tcase_add_test(files, presets_are_complete);
    tcase_add_test(files, the_table_of_fields_has_every_key);
    tcase_add_loop_test(files, files_are_read_strictly, 0, N_EDITS);
    tcase_add_test(files, a_price_is_read_and_written);
    tcase_add_test(files, a_file_without_a_coefficient_is_refused);
    tcase_add_test(files, no_such_machine);
    tcase_add_test(files, writing_replaces_two_sections);
    tcase_add_test(files, an_assumed_link_without_sigma_gets_the_documented_one);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return check_main(machine_suite());
}
