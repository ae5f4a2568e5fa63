/* test_core_taps.c -- which taps a model has, how wide they are, and that a
 * name leads to one tap and back. */
#include "core/model/taps.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static core_spec preset(const char *name)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, name, NULL), CORE_OK);
    return spec;
}

static core_spec switch_layer(void)
{
    core_spec spec = {.family = CORE_FAMILY_SWITCH, .n_l = 1, .n_d = 48};
    spec.n_e = 6;
    spec.n_k = 1;
    spec.n_f = 40;
    return spec;
}

static bool has(const core_spec *spec, core_tap_kind kind, int layer)
{
    return core_tap_exists(spec, (core_tap){kind, layer});
}

START_TEST(counts_follow_the_layers)
{
    /* embed, final_norm, logits; 29 per layer less gate, mlp or router */
    core_spec spec = preset("shadow-a");
    ck_assert_int_eq(core_taps(&spec, NULL, 0), 3 + 7 * 29);
    spec = preset("seed-mini"); /* no moe.gate, no mlp.* */
    ck_assert_int_eq(core_taps(&spec, NULL, 0), 3 + 16 * (29 - 5));
    spec = preset("shadow-b"); /* its dense layer: no router, no mlp.gate */
    ck_assert_int_eq(core_taps(&spec, NULL, 0),
                     3 + 4 * (29 - 5) + (29 - 12 - 1));
    spec = switch_layer();
    ck_assert_int_eq(core_taps(&spec, NULL, 0), 29 - 9 - 1 - 4);
}
END_TEST

START_TEST(order_is_that_of_execution)
{
    const core_spec spec = preset("shadow-b");
    core_tap taps[200];
    const int64_t n = core_taps(&spec, taps, 200);
    ck_assert_int_lt(n, 200);
    ck_assert_int_eq(taps[0].kind, CORE_TAP_EMBED);
    ck_assert_int_eq(taps[n - 1].kind, CORE_TAP_LOGITS);
    for (int64_t i = 1; i < n - 1; i++) {
        const bool later =
            taps[i].layer > taps[i - 1].layer || taps[i].kind > taps[i - 1].kind;
        ck_assert(later);
    }
}
END_TEST

START_TEST(a_short_buffer_is_not_overrun)
{
    const core_spec spec = preset("shadow-b");
    core_tap taps[4] = {{CORE_TAP_LOGITS, 77}, {CORE_TAP_LOGITS, 77},
                        {CORE_TAP_LOGITS, 77}, {CORE_TAP_LOGITS, 77}};
    const int64_t n = core_taps(&spec, taps, 3);
    ck_assert_int_eq(n, core_taps(&spec, NULL, 0));
    ck_assert_int_eq(taps[2].kind, CORE_TAP_ATTN_NORM);
    ck_assert_int_eq(taps[3].layer, 77);
}
END_TEST

START_TEST(existence)
{
    const core_spec b = preset("shadow-b");
    ck_assert(!has(&b, CORE_TAP_ROUTER_LOGITS, 2)); /* dense */
    ck_assert(has(&b, CORE_TAP_ROUTER_LOGITS, 3));
    ck_assert(has(&b, CORE_TAP_MLP_OUT, 2));
    ck_assert(!has(&b, CORE_TAP_MLP_OUT, 3));
    ck_assert(!has(&b, CORE_TAP_OUT, 5));
    ck_assert(!has(&b, CORE_TAP_OUT, -1));
    ck_assert(!has(&b, CORE_TAP_EMBED, 1));
    core_spec p = preset("shadow-b");
    p.ffn[0] = CORE_FFN_NONE;
    p.mixer[1] = CORE_N_MIXERS;
    ck_assert(has(&p, CORE_TAP_ATTN_NORM, 0) && has(&p, CORE_TAP_ATTN_OUT, 0));
    ck_assert(!has(&p, CORE_TAP_MID, 0) && !has(&p, CORE_TAP_FFN_NORM, 0));
    ck_assert(!has(&p, CORE_TAP_FFN_OUT, 0) && has(&p, CORE_TAP_OUT, 0));
    ck_assert(!has(&p, CORE_TAP_ATTN_NORM, 1) && !has(&p, CORE_TAP_Q, 1));
    ck_assert(!has(&p, CORE_TAP_MID, 1) && has(&p, CORE_TAP_FFN_NORM, 1));
    ck_assert(has(&p, CORE_TAP_FFN_OUT, 1) && has(&p, CORE_TAP_OUT, 1));
    const core_spec s = switch_layer();
    ck_assert(has(&s, CORE_TAP_IN, 0) && has(&s, CORE_TAP_OUT, 0));
    ck_assert(!has(&s, CORE_TAP_EMBED, 0) && !has(&s, CORE_TAP_LOGITS, 0));
    ck_assert(!has(&s, CORE_TAP_MID, 0) && !has(&s, CORE_TAP_ATTN_NORM, 0));
}
END_TEST

static const struct {
    core_tap_kind kind;
    int64_t cols, rows; /* of shadow-a, 11 tokens */
} EXTENTS[] = {
    {CORE_TAP_EMBED, 60, 11},        {CORE_TAP_Q, 60, 11},
    {CORE_TAP_K, 30, 11},            {CORE_TAP_K_ROPE, 30, 11},
    {CORE_TAP_CONTEXT, 60, 11},      {CORE_TAP_ROUTER_PROBS, 20, 11},
    {CORE_TAP_TOPK_IDX, 3, 11},      {CORE_TAP_SLOT, 3, 11},
    {CORE_TAP_RECV, 60, 33},         {CORE_TAP_EXPERT_ACT, 28, 33},
    {CORE_TAP_EXPERT_OUT, 60, 33},   {CORE_TAP_COMBINE, 60, 11},
    {CORE_TAP_MLP_UP, 34, 11},       {CORE_TAP_LOGITS, 37, 11},
};

START_TEST(extents)
{
    const core_spec spec = preset("shadow-a");
    const core_tap tap = {EXTENTS[_i].kind, 0};
    ck_assert_int_eq(core_tap_cols(&spec, tap), EXTENTS[_i].cols);
    ck_assert_int_eq(core_tap_n_rows(&spec, tap, 11), EXTENTS[_i].rows);
}
END_TEST

START_TEST(extents_where_heads_are_not_the_width)
{
    const core_spec spec = preset("shadow-b");
    ck_assert_int_eq(core_tap_cols(&spec, (core_tap){CORE_TAP_Q, 0}), 168);
    ck_assert_int_eq(core_tap_cols(&spec, (core_tap){CORE_TAP_V, 0}), 42);
    ck_assert_int_eq(core_tap_cols(&spec, (core_tap){CORE_TAP_ATTN_OUT, 0}), 90);
    ck_assert_int_eq(core_tap_cols(&spec, (core_tap){CORE_TAP_MLP_UP, 2}), 77);
}
END_TEST

START_TEST(every_name_leads_back)
{
    const core_spec spec = preset("shadow-a");
    core_tap taps[300];
    const int64_t n = core_taps(&spec, taps, 300);
    for (int64_t i = 0; i < n; i++) {
        char name[CORE_NAME_BYTES];
        core_tap found;
        ck_assert(core_tap_parse(&found, core_tap_name(taps[i], name)));
        ck_assert_int_eq(found.kind, taps[i].kind);
        ck_assert_int_eq(found.layer, taps[i].layer);
    }
    char name[CORE_NAME_BYTES];
    ck_assert_str_eq(core_tap_name((core_tap){CORE_TAP_ATTN_OUT, 13}, name),
                     "layers.13.attn_out");
}
END_TEST

static const char *const NO_TAPS[] = {
    "",          "layers",          "layers.",     "layers.3",
    "layers.3.", "layers.03.in",    "layers.-1.in", "layers.3.in ",
    "layers.3.embed", "layers.x.in", "layers.%d.in", "logit",
    "layers.256.in", "layers.3.IN", "layers. 3.in"};

START_TEST(other_names_lead_nowhere)
{
    core_tap found = {CORE_TAP_LOGITS, 5};
    ck_assert_msg(!core_tap_parse(&found, NO_TAPS[_i]), "'%s'", NO_TAPS[_i]);
    ck_assert_int_eq(found.layer, 5);
}
END_TEST

START_TEST(coarse_taps_are_the_oracles_nine)
{
    static const char *const NINE[] = {
        "embed",      "layers.0.attn_out", "layers.0.ffn_out",
        "layers.0.out", "layers.0.router_logits", "layers.0.topk_idx",
        "layers.0.topk_weight", "final_norm", "logits"};
    int n_coarse = 0;
    for (int k = 0; k < CORE_N_TAP_KINDS; k++)
        n_coarse += core_tap_is_coarse((core_tap_kind)k) ? 1 : 0;
    ck_assert_int_eq(n_coarse, 9);
    for (int i = 0; i < 9; i++) {
        core_tap tap;
        ck_assert(core_tap_parse(&tap, NINE[i]));
        ck_assert(core_tap_is_coarse(tap.kind));
    }
    ck_assert_int_eq(core_tap_grid(CORE_TAP_SLOT), CORE_GRID_INT);
    ck_assert_int_eq(core_tap_grid(CORE_TAP_TOPK_WEIGHT), CORE_GRID_PROB);
    ck_assert_int_eq(core_tap_row_kind(CORE_TAP_BACK), CORE_ROWS_CHOICE);
    ck_assert_int_eq(core_tap_row_kind(CORE_TAP_COMBINE), CORE_ROWS_TOKEN);
}
END_TEST

/* A context's, in words of a numerics; other taps' are their own. */
static const struct {
    const char *words, *coarsest;
} COARSEST[] = {
    {"llama-no-flash", "fp16"}, {"llama-default", "fp32"},
    {"llama-short", "fp16"},    {"bf16+kv=fp16", "bf16"},
    {"fp32+ctx=bf16", "bf16"},  {"exact", "exact"},
};

START_TEST(a_context_is_as_coarse_as_what_its_sum_takes)
{
    core_numerics numerics, coarsest;
    ck_assert_int_eq(core_numerics_parse(&numerics, COARSEST[_i].words),
                     CORE_OK);
    ck_assert_int_eq(core_numerics_parse(&coarsest, COARSEST[_i].coarsest),
                     CORE_OK);
    ck_assert_int_eq(core_tap_coarsest(numerics, CORE_TAP_CONTEXT), coarsest);
    ck_assert_int_eq(core_tap_coarsest(numerics, CORE_TAP_ATTN_OUT),
                     core_tap_numerics(numerics, CORE_TAP_ATTN_OUT));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_taps");
    TCase *tcase = tcase_create("taps");
    tcase_add_test(tcase, counts_follow_the_layers);
    tcase_add_test(tcase, order_is_that_of_execution);
    tcase_add_test(tcase, a_short_buffer_is_not_overrun);
    tcase_add_test(tcase, existence);
    tcase_add_loop_test(tcase, extents, 0,
                        (int)(sizeof EXTENTS / sizeof EXTENTS[0]));
    tcase_add_test(tcase, extents_where_heads_are_not_the_width);
    tcase_add_test(tcase, every_name_leads_back);
    tcase_add_loop_test(tcase, other_names_lead_nowhere, 0,
                        (int)(sizeof NO_TAPS / sizeof NO_TAPS[0]));
    tcase_add_test(tcase, coarse_taps_are_the_oracles_nine);
    tcase_add_loop_test(tcase, a_context_is_as_coarse_as_what_its_sum_takes, 0,
                        (int)(sizeof COARSEST / sizeof COARSEST[0]));
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
