/* tests/unit/test_har_generation.c -- rules of a generation, by hand.
 *
 * A machine with round numbers as in test_har_machine.c, once of a generation
 * and once of the next; and what a data sheet leaves to the rules.
 */
#include "harness/perf/machine/machine.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static har_machine hand;

static void setup(void)
{
    hand = (har_machine){.name = "hand",
                         .memory_bytes = 1e9,
                         .memory_bw = 1e30,
                         .n_unit = 10,
                         .clock_hz = 1e9,
                         .unit_bytes_per_clock = 100,
                         .l2_bytes = 1e3,
                         .n_tile = 1,
                         .tile = {{100, 100}},
                         .max_split = 1,
                         .n_link = 2,
                         .link = {{"near", 8, 1e10, 0, 0, HAR_MEASURED},
                                  {"far", 64, 1e9, 0, 0, HAR_MEASURED}}};
    hand.peak[CORE_DTYPE_F32] = 1e30;
    for (int i = 0; i < HAR_N_COEF; i++)
        hand.coef[i] = (har_value){1, HAR_MEASURED};
    for (int i = 0; i < HAR_N_KIND; i++)
        hand.sigma[i] = (har_value){0.1, HAR_MEASURED};
}

static har_machine preset(const char *name)
{
    har_machine m;
    ck_assert_msg(har_machine_open(&m, name) == CORE_OK, "%s", core_message());
    return m;
}

static void near(double found, double expected, double relative)
{
    ck_assert_msg(fabs(found - expected) <= relative * expected,
                  "found %.9g, expected %.9g", found, expected);
}

static double gemm(double m, double n, double k)
{
    return har_time_gemm(&hand, CORE_DTYPE_F32, m, n, k).seconds;
}

/* --- products ---------------------------------------------------------------
 */

/* A tile takes (100 + 100) x 4 bytes for each of K at 1e11 a second: 8 ns.  In
 * a cluster of 2 x 2, or 4 x 4, each operand comes once for two, or four. */
START_TEST(tiles_of_a_cluster_share_what_they_read)
{
    const double k = 32e5, all = 8e-9 * k;
    near(gemm(1000, 1000, k), 10 * all, 1e-3);
    hand.arch = HAR_ARCH_SM90;
    near(gemm(1000, 1000, k), 5 * all, 1e-3);
    hand.arch = HAR_ARCH_SM100;
    near(gemm(1000, 1000, k), 2.5 * all, 1e-3);
    hand.arch = HAR_ARCH_SM120;
    near(gemm(1000, 1000, k), 10 * all, 1e-3);
}
END_TEST

/* Eleven tiles on ten units. */
START_TEST(a_dealt_product_ends_without_whole_waves)
{
    hand.unit_bytes_per_clock = 1e9;
    hand.peak[CORE_DTYPE_F32] = 1e12;
    const double k = 32e5, wave = 2 * 1e4 * k / 1e11;
    near(gemm(1100, 100, k), 2 * wave, 1e-3);
    hand.arch = HAR_ARCH_SM90;
    near(gemm(1100, 100, k), 1.1 * wave, 1e-3);
}
END_TEST

/* A tile of 256 x 128 is alone on its unit, whose pipeline is filled for each.
 */
START_TEST(the_next_tile_is_filled_beside_the_one_before)
{
    hand.unit_bytes_per_clock = 1e9;
    hand.tile[0][0] = 256;
    hand.tile[0][1] = 128;
    near(gemm(2560, 1280, 32), 1e-6 + 10e-6, 1e-6);
    hand.arch = HAR_ARCH_SM90;
    near(gemm(2560, 1280, 32), 1e-6 + 5.5e-6, 1e-6);
}
END_TEST

/* --- attention --------------------------------------------------------------
 */

/* 256 flop of a pair at 1e12 a second and a tenth of a clock of ten units: in
 * turn, or beside each other. */
START_TEST(softmax_hides_behind_asynchronous_products)
{
    const har_attention a = {.n_row = 4,
                             .n_t = 12800,
                             .n_h = 8,
                             .n_g = 8,
                             .n_dh = 64,
                             .kv_share = 1};
    const double tile = 4 * 8 * 128.0 * 128, product = 256e-12, clock = 1e-11;
    hand.peak[CORE_DTYPE_F32] = 1e12;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    near(har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds,
         tile * (5050 * (product + clock) + 100 * clock), 1e-3);
    hand.arch = HAR_ARCH_SM90;
    near(har_time_prefill(&hand, CORE_DTYPE_F32, &a).seconds,
         tile * (5050 * product + 100 * clock), 1e-3);
}
END_TEST

/* Keys that a window hides: five parts of the row on four waves of units, each
 * of which starts; of a row no longer than the window one part and one wave. */
START_TEST(parts_are_cut_from_the_whole_row)
{
    har_attention a = {.n_row = 1,
                       .n_t = 8192,
                       .n_h = 16,
                       .n_g = 8,
                       .n_dh = 64,
                       .window = 128,
                       .kv_share = 1};
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds,
         4e-6 + 2e-6 + 4 * 3e-6, 1e-3);
    a.n_t = 128;
    near(har_time_decode(&hand, CORE_DTYPE_F32, &a).seconds, 4e-6 + 3e-6, 1e-3);
}
END_TEST

/* --- experts ----------------------------------------------------------------
 */

/* One expert: gate and up, down, and what goes through memory between them. */
START_TEST(a_fused_layer_moves_its_activations)
{
    const har_moe moe = {.n_token = 1e5,
                         .n_d = 32,
                         .n_f = 64,
                         .n_expert = 1,
                         .n_k = 1,
                         .ep = 1,
                         .n_matrix = 3};
    hand.unit_bytes_per_clock = 1e9;
    hand.memory_bw = 1e9;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    hand.coef[HAR_COEF_LAUNCH].value = 1e-6;
    const double weights = 3 * 32 * 64, products = 1e5 * (128 + 32 + 32 + 64);
    const double between = 1e5 * (3 * 64 + 32);
    near(har_time_moe(&hand, CORE_DTYPE_F32, &moe).seconds,
         4 * (weights + products + between) / 1e9, 1e-3);
}
END_TEST

/* A token's eight choices on four ranks: two on a mean rank, three on the
 * fullest. */
START_TEST(the_fullest_of_random_ranks_is_no_mean_one)
{
    const har_moe moe = {.n_token = 1,
                         .n_d = 1024,
                         .n_f = 1024,
                         .n_expert = 256,
                         .n_k = 8,
                         .ep = 4,
                         .n_matrix = 3,
                         .popularity = {true, 1.2}};
    const double expert = 4 * 3 * 1024.0 * 1024 / 1e12;
    hand.unit_bytes_per_clock = 1e9;
    hand.memory_bw = 1e12;
    hand.coef[HAR_COEF_FILL].value = 1e-6;
    hand.coef[HAR_COEF_LAUNCH].value = 1e-6;
    near(har_time_moe(&hand, CORE_DTYPE_F32, &moe).seconds, 3 * expert, 0.01);
}
END_TEST

/* --- links ------------------------------------------------------------------
 */

static double reduce(double bytes, int n)
{
    return har_time_collective(&hand, HAR_ALL_REDUCE, HAR_LIBRARY, bytes, n, 0)
        .seconds;
}

/* Of four: 1.5 times the buffer around the ring; through the switch 1.25 times
 * at 0.85 of the link.  Of two, or of few bytes, there is nothing to win. */
START_TEST(a_switch_adds_up)
{
    hand.coef[HAR_COEF_SMALL].value = 0.01;
    const double ring = reduce(1e10, 4), pair = reduce(1e10, 2);
    const double few = reduce(1e4, 4);
    hand.link[0].kind = HAR_LINK_SWITCH;
    near(ring - reduce(1e10, 4), 1.5 - 1.25 / 0.85, 1e-6);
    ck_assert(!(reduce(1e10, 2) < pair) && !(reduce(1e4, 4) < few));
    near(har_time_collective(&hand, HAR_ALL_GATHER, HAR_LIBRARY, 1e10, 4, 0)
             .seconds,
         0.75, 1e-4);
}
END_TEST

START_TEST(without_peers_every_byte_crosses_the_host)
{
    hand.coef[HAR_COEF_SMALL].value = 0.01;
    near(reduce(1e10, 4), 1.5, 1e-4);
    hand.link[0].kind = HAR_LINK_PCIE;
    near(reduce(1e10, 4), 1.5 / 0.75, 1e-4);
    hand.coef[HAR_COEF_RENDEZVOUS].value = 1e-6;
    hand.coef[HAR_COEF_SMALL].value = 1;
    near(reduce(1, 4), 4e-6 + 6 * 2e-6, 1e-3);
}
END_TEST

/* Sixteen ranks, eight in a node: 7/16 of the bytes near, 8/16 far. */
START_TEST(an_all_to_all_does_not_pay_the_slowest_link_for_all_bytes)
{
    hand.coef[HAR_COEF_SMALL].value = 0.01;
    hand.coef[HAR_COEF_RENDEZVOUS].value = 1e-6;
    near(har_time_all_to_all(&hand, 1.6e10, 16, 1, 1).seconds, 15, 1e-3);
    near(har_time_all_to_all(&hand, 1.6e10, 16, 8, 1).seconds, 8, 1e-3);
    hand.link[0].bw = 7.0 / 8 * 1e9; /* as long as the far ones take          */
    near(har_time_all_to_all(&hand, 1.6e10, 16, 8, 1).seconds, 8 * pow(2, 0.25),
         1e-3);
    near(har_time_all_to_all(&hand, 1.6e10, 8, 8, 0).seconds, 16, 1e-3);
}
END_TEST

/* 1e6 tokens of 1000 bytes, two choices on eight ranks: 1.875 ranks a token. */
START_TEST(experts_kernels_send_once_to_each_rank)
{
    har_exchange x = {
        .n_token = 1e6, .n_d = 1000, .value_bytes = 1, .n_k = 2, .n_gpu = 8};
    near(har_time_exchange(&hand, &x).seconds, 1.875e9 * 7 / 8 / 1e10, 0.01);
    x.n_token = 1e-6; /* four launches and seven hops: counts, then rows      */
    near(har_time_exchange(&hand, &x).seconds, 2 * 11e-6, 1e-6);
    x.is_combine = true; /* and waiting for the last row                      */
    near(har_time_exchange(&hand, &x).seconds, 3 * 11e-6, 1e-6);
    x.is_combine = false;
    x.n_token = 1e6;
    x.n_unit = 1; /* reads a token, and writes it: ten bytes in a clock       */
    near(har_time_exchange(&hand, &x).seconds, 2.875e9 / 1e10, 0.03);
    x.is_quick = true; /* once for each choice; memory is free here           */
    near(har_time_exchange(&hand, &x).seconds, 2e9 * 7 / 8 / 1e10, 0.01);
    hand.memory_bw = 1e10;
    near(har_time_exchange(&hand, &x).seconds, 2e9 * (7.0 / 8 + 3) / 1e10,
         0.01);
}
END_TEST

/* --- carrying ---------------------------------------------------------------
 */

START_TEST(what_nobody_measured_here_is_carried)
{
    const har_machine a100 = preset("a100-sxm"), h100 = preset("h100-sxm");
    const double slower = 1410.0 / 1830;
    near(h100.coef[HAR_COEF_LAUNCH].value,
         a100.coef[HAR_COEF_LAUNCH].value * slower, 1e-9);
    near(h100.coef[HAR_COEF_FILL].value,
         a100.coef[HAR_COEF_FILL].value * slower, 1e-9);
    near(h100.coef[HAR_COEF_HOP].value,
         a100.coef[HAR_COEF_HOP].value * slower * 0.85, 1e-9);
    near(h100.coef[HAR_COEF_MEMORY].value,
         a100.coef[HAR_COEF_MEMORY].value * 1.15, 1e-9);
    near(h100.coef[HAR_COEF_COMPUTE].value, a100.coef[HAR_COEF_COMPUTE].value,
         1e-9);
    ck_assert_int_eq(h100.coef[HAR_COEF_COMPUTE].origin, HAR_TRANSFERRED);
    ck_assert_int_eq(h100.link[0].kind, HAR_LINK_SWITCH);
    ck_assert_int_eq(h100.link[1].kind, HAR_LINK_PLAIN);
    ck_assert_int_eq(a100.link[0].kind, HAR_LINK_PLAIN);
    ck_assert_int_eq(preset("l40s").link[0].kind, HAR_LINK_PCIE);
    const har_machine seed = preset("gpu-400t-64g"); /* no arch: as stated */
    near(seed.coef[HAR_COEF_LAUNCH].value, a100.coef[HAR_COEF_LAUNCH].value,
         1e-9);
}
END_TEST

/* The template's text with a section more; free it. */
static char *template_text(const char *more)
{
    char *text = NULL, *longer;
    ck_assert_int_eq(har_machine_text(&text, "template"), CORE_OK);
    longer = malloc(strlen(text) + strlen(more) + 1);
    ck_assert_ptr_nonnull(longer);
    strcpy(longer, text);
    strcat(longer, more);
    free(text);
    return longer;
}

static har_machine template_with(const char *more, core_status expected)
{
    har_machine m = {.n_unit = -1};
    char *text = template_text(more);
    core_message_clear();
    const core_status status = har_machine_parse(&m, text, "/tmp/t.yaml");
    ck_assert_msg(status == expected, "%s", core_message());
    free(text);
    return m;
}

START_TEST(a_stated_number_wins)
{
    const har_machine m =
        template_with("coefficients:\n  launch_us: {value: 3, from: measured}\n"
                      "  fill_us: {value: 2, from: transferred}\n"
                      "tiles:\n  - [64, 32]\nmax_split: 2\n",
                      CORE_OK);
    near(m.coef[HAR_COEF_LAUNCH].value, 3, 0);
    near(m.coef[HAR_COEF_FILL].value, 2 * 1410.0 / 1830, 1e-9);
    ck_assert_int_eq(m.n_tile, 1);
    ck_assert_int_eq(m.max_split, 2);
    near(m.coef[HAR_COEF_HOP].value,
         preset("h100-sxm").coef[HAR_COEF_HOP].value, 0);
}
END_TEST

/* Measured on an H100, carried to an H200: no rule between them, half the
 * doubt. */
START_TEST(a_fitted_machine_carries_to_its_like)
{
    char path[64], more[96];
    sprintf(path, "/tmp/har-from-%d.yaml", (int)getpid());
    sprintf(more, "coefficients_from: %s\n", path + strlen("/tmp/"));
    FILE *file = fopen(path, "w");
    char *text = NULL;
    har_machine m = preset("template");
    const har_machine h100 = m;
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(har_machine_text(&text, "template"), CORE_OK);
    for (int i = 0; i < HAR_N_COEF; i++)
        m.coef[i] =
            (har_value){har_coef_kind(i) == HAR_GEMM ? 0.9 : 0.7, HAR_MEASURED};
    har_machine_write(file, text, &m);
    fclose(file);
    free(text);
    m = template_with(more, CORE_OK);
    near(m.coef[HAR_COEF_LAUNCH].value, 0.9, 1e-9);
    near(m.coef[HAR_COEF_MEMORY].value, 0.9, 1e-9);
    near(har_prior(&m, HAR_COEF_COMPUTE),
         har_prior(&h100, HAR_COEF_COMPUTE) / 2, 1e-9);
    /* what an H100 has from an A100 comes from there */
    m = template_with("coefficients_from: h100-sxm\n", CORE_OK);
    near(m.coef[HAR_COEF_LAUNCH].value, h100.coef[HAR_COEF_LAUNCH].value, 1e-9);
    near(har_prior(&m, HAR_COEF_COMPUTE), har_prior(&h100, HAR_COEF_COMPUTE),
         1e-9);
    /* a file that names itself */
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(har_machine_text(&text, "template"), CORE_OK);
    fprintf(file, "%s%s", text, more);
    fclose(file);
    free(text);
    core_message_clear();
    ck_assert_int_eq(har_machine_open(&m, path), CORE_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(core_message(), "at most 4 files"));
    remove(path);
    (void)template_with("coefficients_from: gpu-400t-64g\n", CORE_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(core_message(), "machine with an `arch`"));
    (void)template_with("coefficients_from: none.yaml\n", CORE_E_FILE);
}
END_TEST

/* The farther, the wider; what was measured here is as sure as its table. */
START_TEST(doubt_grows_with_the_distance)
{
    static const char *const names[] = {"a100-sxm", "a100-pcie", "h100-sxm",
                                        "b200-sxm"};
    double before[3] = {0};
    for (int i = 0; i < 4; i++) {
        const har_machine m = preset(names[i]);
        const har_moe moe = {.n_token = 64,
                             .n_d = 4096,
                             .n_f = 1024,
                             .n_expert = 64,
                             .n_k = 4,
                             .ep = 1,
                             .n_matrix = 3};
        const double sigma[3] = {
            har_time_gemm(&m, CORE_DTYPE_BF16, 4096, 4096, 4096).sigma,
            har_time_moe(&m, CORE_DTYPE_BF16, &moe).sigma,
            har_time_collective(&m, HAR_ALL_REDUCE, HAR_LIBRARY, 1e8, 8, 0)
                .sigma};
        static const har_kind kinds[] = {HAR_GEMM, HAR_MOE, HAR_COLLECTIVE};
        for (int k = 0; k < 3; k++) {
            if (i == 0)
                near(sigma[k], m.sigma[kinds[k]].value, 1e-9);
            ck_assert_msg(sigma[k] > before[k], "%s %d", names[i], k);
            before[k] = sigma[k];
        }
        ck_assert(har_sigma(&m, HAR_GEMM) >= m.sigma[HAR_GEMM].value);
    }
}
END_TEST

/* Each part by its coefficient: a large product by its arithmetic, a small one
 * by its launch and its filling. */
START_TEST(doubt_is_of_the_part_that_binds)
{
    const har_machine m = preset("h100-sxm");
    const double sigma = m.sigma[HAR_GEMM].value;
    near(har_time_gemm(&m, CORE_DTYPE_BF16, 32768, 32768, 32768).sigma,
         hypot(sigma, har_prior(&m, HAR_COEF_COMPUTE)), 0.01);
    const double small = har_time_gemm(&m, CORE_DTYPE_BF16, 1, 16, 16).sigma;
    ck_assert(small > hypot(sigma, 0.4 * har_prior(&m, HAR_COEF_FILL)));
    ck_assert(small < hypot(sigma, har_prior(&m, HAR_COEF_FILL)));
}
END_TEST

/* A fit of one kind keeps what is carried as it was before it was carried, from
 * wherever that was. */
START_TEST(writing_does_not_carry_twice)
{
    static const char *const more[] = {"", "coefficients_from: h100-sxm\n"};
    char *text = template_text(more[_i]), *written = NULL;
    size_t n = 0;
    har_machine m = template_with(more[_i], CORE_OK), back;
    m.coef[HAR_COEF_MOE] = (har_value){0.4, HAR_MEASURED};
    FILE *out = open_memstream(&written, &n);
    har_machine_write(out, text, &m);
    fclose(out);
    ck_assert_int_eq(har_machine_parse(&back, written, "w"), CORE_OK);
    for (int i = 0; i < HAR_N_COEF; i++) {
        near(back.coef[i].value, m.coef[i].value, 1e-3);
        near(har_prior(&back, i), har_prior(&m, i), 1e-9);
    }
    near(back.coef[HAR_COEF_MOE].value, 0.4, 0);
    free(written);
    free(text);
}
END_TEST

/* --- files ------------------------------------------------------------------
 */

static const struct {
    const char *from, *to, *message; /* no message: is read                   */
} EDITS[] = {
    {"arch: sm90 ", "arch: sm80 ", NULL},
    {"arch: sm90 ", "arch: sm120 ", NULL},
    {"arch: sm90 ", "arch: sm91 ",
     "arch: expected sm80, sm89, sm90, sm100 or sm120, found 'sm91'"},
    {"arch: sm90 ", "# ", "units.bytes_per_clock: missing"},
    {"arch: sm90 ", "coefficients_from: a100-sxm #",
     "coefficients_from: expected beside it an `arch`"},
    {"    from: datasheet", "    from: datasheet\n    kind: plain", NULL},
    {"    from: datasheet", "    from: datasheet\n    kind: pcie", NULL},
    {"    from: datasheet", "    from: datasheet\n    kind: cable",
     "links[0].kind: expected plain, switch or pcie, found 'cable'"},
};
enum { N_EDITS = sizeof EDITS / sizeof EDITS[0] };

START_TEST(an_arch_is_read_strictly)
{
    char *text = NULL, *changed, *at;
    har_machine m;
    ck_assert_int_eq(har_machine_text(&text, "template"), CORE_OK);
    changed = malloc(strlen(text) + 200);
    ck_assert_ptr_nonnull(changed);
    at = strstr(text, EDITS[_i].from);
    ck_assert_ptr_nonnull(at);
    sprintf(changed, "%.*s%s%s", (int)(at - text), text, EDITS[_i].to,
            at + strlen(EDITS[_i].from));
    core_message_clear();
    const core_status status = har_machine_parse(&m, changed, "t.yaml");
    if (EDITS[_i].message == NULL)
        ck_assert_msg(status == CORE_OK, "%s", core_message());
    else
        ck_assert_msg(status == CORE_E_FORMAT &&
                          strstr(core_message(), EDITS[_i].message) != NULL,
                      "found: %s", core_message());
    free(changed);
    free(text);
}
END_TEST

static int contradictions(const har_machine *m)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    const int found = har_machine_check(out, m);
    fclose(out);
    int said = 0;
    for (const char *at = text; (at = strstr(at, "WRONG")) != NULL; at++)
        said++;
    ck_assert_int_eq(said, found);
    /* so does what intervals are wider by */
    for (const char *at = text; (at = strstr(at, "wider by")) != NULL; at++)
        said++;
    for (int i = 0; i < HAR_N_COEF; i++)
        said -= har_prior(m, (har_coef)i) > 0;
    ck_assert_int_eq(said, found);
    free(text);
    return found;
}

START_TEST(contradictions_are_found)
{
    const char *name, *text;
    for (int i = 0; har_machine_preset(i, &name, &text); i++) {
        const har_machine m = preset(name);
        ck_assert_msg(contradictions(&m) == 0, "%s", name);
    }
    har_machine m = preset("h100-sxm");
    m.peak[CORE_DTYPE_BF16] *= 2; /* with sparsity */
    ck_assert_int_eq(contradictions(&m), 1);
    m = preset("h100-sxm");
    m.clock_hz *= 0.7; /* both halves */
    ck_assert_int_eq(contradictions(&m), 2);
    m = preset("h100-sxm");
    m.peak[CORE_DTYPE_I8] /= 2;
    ck_assert_int_eq(contradictions(&m), 1);
    m = preset("h100-sxm");
    m.link[0].bw *= 1.1; /* counted with another prefix */
    ck_assert_int_eq(contradictions(&m), 0);
    m.link[0].bw *= 2; /* both directions */
    ck_assert_int_eq(contradictions(&m), 1);
    m = preset("h100-sxm");
    m.link[1].bw = 460e9; /* an adapter faster than the links of the node */
    ck_assert_int_eq(contradictions(&m), 1);
    m = preset("h100-sxm");
    m.memory_bw = 400e9; /* slower than a link */
    ck_assert_int_eq(contradictions(&m), 1);
    m.memory_bw = 33500e9;
    ck_assert_int_eq(contradictions(&m), 1);
}
END_TEST

static Suite *generation_suite(void)
{
    Suite *suite = suite_create("har_generation");
    TCase *times = tcase_create("times");
    tcase_add_checked_fixture(times, setup, NULL);
    tcase_add_test(times, tiles_of_a_cluster_share_what_they_read);
    tcase_add_test(times, a_dealt_product_ends_without_whole_waves);
    tcase_add_test(times, the_next_tile_is_filled_beside_the_one_before);
    tcase_add_test(times, softmax_hides_behind_asynchronous_products);
    tcase_add_test(times, parts_are_cut_from_the_whole_row);
    tcase_add_test(times, a_fused_layer_moves_its_activations);
    tcase_add_test(times, the_fullest_of_random_ranks_is_no_mean_one);
    tcase_add_test(times, a_switch_adds_up);
    tcase_add_test(times, without_peers_every_byte_crosses_the_host);
    tcase_add_test(times,
                   an_all_to_all_does_not_pay_the_slowest_link_for_all_bytes);
    tcase_add_test(times, experts_kernels_send_once_to_each_rank);
    suite_add_tcase(suite, times);
    TCase *files = tcase_create("files");
    tcase_add_test(files, what_nobody_measured_here_is_carried);
    tcase_add_test(files, a_stated_number_wins);
    tcase_add_test(files, a_fitted_machine_carries_to_its_like);
    tcase_add_test(files, doubt_grows_with_the_distance);
    tcase_add_test(files, doubt_is_of_the_part_that_binds);
    tcase_add_loop_test(files, writing_does_not_carry_twice, 0, 2);
    tcase_add_loop_test(files, an_arch_is_read_strictly, 0, N_EDITS);
    tcase_add_test(files, contradictions_are_found);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return check_main(generation_suite());
}
