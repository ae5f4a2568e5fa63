/* tests/unit/test_par_weights.c -- a rank materialises what it owns, no more.
 *
 * par_weight_bytes is the measure run of the real shards.  With two tensor
 * ranks instead of one, a rank's bytes fall by half of every tensor that is
 * sharded over tp, and by nothing else: the list below is that of
 * parallel/LAYOUTS.md, not the code's.  All extents are multiples of 16, so
 * that every half is whole pieces of 64 bytes.
 */
#include "parallel/forward.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static bool is_sharded(const core_spec *spec, core_weight_kind kind)
{
    switch (kind) {
    case CORE_W_EMBED:
    case CORE_W_HEAD:
    case CORE_W_HEAD_BIAS:
    case CORE_W_Q:
    case CORE_W_K:
    case CORE_W_V:
    case CORE_W_O:
    case CORE_W_Q_BIAS:
    case CORE_W_K_BIAS:
    case CORE_W_V_BIAS:
    case CORE_W_SINKS:
    case CORE_W_KV_B:
    case CORE_W_MAMBA_U:
    case CORE_W_MAMBA_GATE:
    case CORE_W_MAMBA_U_BIAS:
    case CORE_W_MAMBA_GATE_BIAS:
    case CORE_W_MAMBA_CONV:
    case CORE_W_MAMBA_CONV_BIAS:
    case CORE_W_MAMBA_X:
    case CORE_W_MAMBA_DT:
    case CORE_W_MAMBA_DT_BIAS:
    case CORE_W_MAMBA_A_LOG:
    case CORE_W_MAMBA_D:
    case CORE_W_MAMBA_OUT:
    case CORE_W_CONTEXT_GATE:
    case CORE_W_CONTEXT_GATE_BIAS:
    case CORE_W_DELTANET_Q:
    case CORE_W_DELTANET_K:
    case CORE_W_DELTANET_V:
    case CORE_W_DELTANET_GATE:
    case CORE_W_DELTANET_BETA:
    case CORE_W_DELTANET_DT:
    case CORE_W_DELTANET_DT_BIAS:
    case CORE_W_DELTANET_A_LOG:
    case CORE_W_DELTANET_Q_CONV:
    case CORE_W_DELTANET_K_CONV:
    case CORE_W_DELTANET_V_CONV:
    case CORE_W_DELTANET_OUT:
    case CORE_W_SSD_GATE:
    case CORE_W_SSD_XBC:
    case CORE_W_SSD_DT:
    case CORE_W_SSD_GATE_BIAS:
    case CORE_W_SSD_XBC_BIAS:
    case CORE_W_SSD_DT_BIAS:
    case CORE_W_SSD_CONV:
    case CORE_W_SSD_CONV_BIAS:
    case CORE_W_SSD_STEP:
    case CORE_W_SSD_A_LOG:
    case CORE_W_SSD_D:
    case CORE_W_SSD_NORM:
    case CORE_W_SSD_OUT:
    case CORE_W_SHORTCONV_B:
    case CORE_W_SHORTCONV_C:
    case CORE_W_SHORTCONV_X:
    case CORE_W_SHORTCONV_B_BIAS:
    case CORE_W_SHORTCONV_C_BIAS:
    case CORE_W_SHORTCONV_X_BIAS:
    case CORE_W_SHORTCONV_CONV:
    case CORE_W_SHORTCONV_CONV_BIAS:
    case CORE_W_SHORTCONV_OUT:
    case CORE_W_MLP_GATE:
    case CORE_W_MLP_UP:
    case CORE_W_MLP_DOWN:
    case CORE_W_MLP_GATE_BIAS:
    case CORE_W_MLP_UP_BIAS:
        return true;
    case CORE_W_Q_NORM:
    case CORE_W_K_NORM:
        return spec->qk_norm == CORE_QK_NORM_ALL;
    default:
        return false;
    }
}

static core_spec common(void)
{
    core_spec s;
    ck_assert(core_spec_open(&s, "shadow-a", NULL) == CORE_OK);
    s.n_l = 2;
    s.n_d = 32;
    s.n_h = s.n_g = 16;
    s.n_dh = 8;
    s.n_e = 4;
    s.n_k = 2;
    s.n_f = s.n_f_shared = s.n_f_dense = 16;
    s.n_v = 48;
    s.ffn[1] = CORE_FFN_DENSE;
    s.shared_gate = s.bias_head = true;
    s.norm = CORE_NORM_LAYER;
    s.twin_expert = -1;
    return s;
}

static core_spec with_norm_of_all(void)
{
    core_spec s = common();
    s.qk_norm = CORE_QK_NORM_ALL;
    s.sinks = true;
    return s;
}

static core_spec with_norm_of_head(void)
{
    core_spec s = common();
    s.qk_norm = CORE_QK_NORM_HEAD;
    s.router = CORE_ROUTER_SIGMOID;
    s.correction = true;
    return s;
}

static core_spec with_latent(void)
{
    core_spec s = common();
    s.n_kv_rank = 16;
    s.n_q_rank = 32;
    s.n_rot = 4;
    s.n_dv = 4;
    return s;
}

static core_spec with_mamba(void)
{
    core_spec s = common();
    s.mixer[0] = CORE_MIXER_MAMBA;
    s.mamba = (core_mamba){.n_c = 32,
                           .n_s = 16,
                           .n_conv = 16,
                           .n_r = 16,
                           .bias_conv = true,
                           .bias_proj = true};
    return s;
}

static core_spec with_deltanet(void)
{
    core_spec s = common();
    s.norm = CORE_NORM_RMS_PLUS_ONE;
    s.context_gate = true;
    s.mixer[0] = CORE_MIXER_DELTANET;
    s.deltanet = (core_deltanet){
        .n_kh = 16, .n_vh = 16, .n_dk = 2, .n_dv = 3, .n_conv = 4};
    return s;
}

static core_spec with_kda(void)
{
    core_spec s = with_deltanet();
    s.deltanet.by_row = true;
    s.deltanet.n_dt_rank = 5;
    s.deltanet.n_gate_rank = 7;
    return s;
}

static core_spec with_ssd(void)
{
    core_spec s = common();
    s.mixer[0] = CORE_MIXER_SSD;
    s.mixer[1] = CORE_N_MIXERS;
    s.n_de = 16;
    s.ssd = (core_ssd){.n_h = 16,
                       .n_p = 1,
                       .n_s = 8,
                       .n_g = 2,
                       .n_conv = 4,
                       .bias_conv = true,
                       .bias_proj = true};
    return s;
}

static core_spec with_shortconv(void)
{
    core_spec s = common();
    s.mixer[0] = CORE_MIXER_SHORTCONV;
    s.shortconv = (core_shortconv){.n_conv = 4, .bias = true};
    return s;
}

static size_t bytes_of(const core_spec *spec, const char *text, int rank)
{
    par_plan plan;
    ck_assert(par_plan_parse(&plan, text) == CORE_OK);
    ck_assert_msg(par_plan_check(&plan, spec) == CORE_OK, "%s",
                  core_message());
    core_arena arena = core_arena_measure();
    par_layout layout;
    ck_assert(par_layout_make(&layout, &arena, spec, &plan, rank) == CORE_OK);
    const size_t bytes = par_weight_bytes(spec, &layout, CORE_FP64);
    core_arena_free(&arena);
    return bytes;
}

static size_t sharded_bytes(const core_spec *spec)
{
    const int64_t n = core_weight_count(spec);
    core_weight *id = calloc((size_t)n, sizeof *id);
    ck_assert_ptr_nonnull(id);
    core_weight_list(spec, id);
    int64_t n_element = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_row, n_col;
        core_weight_shape(spec, id[i], &n_row, &n_col);
        n_element += is_sharded(spec, id[i].kind) ? n_row * n_col : 0;
    }
    free(id);
    return (size_t)n_element * sizeof(double);
}

static core_spec (*const model[])(void) = {with_norm_of_all, with_norm_of_head,
                                           with_latent, with_mamba,
                                           with_deltanet, with_kda, with_ssd,
                                           with_shortconv};
enum { N_MODEL = sizeof model / sizeof *model };

START_TEST(a_tensor_rank_holds_its_half)
{
    const core_spec spec = model[_i]();
    ck_assert_msg(core_spec_validate(&spec) == CORE_OK, "%s", core_message());
    const size_t whole = bytes_of(&spec, "tp=1", 0);
    const size_t half = sharded_bytes(&spec) / 2;
    ck_assert_uint_gt(half, 0);
    for (int t = 0; t < 2; t++)
        ck_assert_uint_eq(whole - bytes_of(&spec, "tp=2", t), half);
}
END_TEST

/* B and C of a group with heads on both ranks are whole on both. */
START_TEST(a_group_between_ranks_is_repeated)
{
    core_spec spec = with_ssd();
    spec.ssd.n_g = 1;
    ck_assert_msg(core_spec_validate(&spec) == CORE_OK, "%s", core_message());
    const int64_t n_row = 2 * spec.ssd.n_s; /* with two biases each */
    const int64_t n_repeated = n_row * (spec.n_d + spec.ssd.n_conv + 2);
    const size_t whole = bytes_of(&spec, "tp=1", 0);
    const size_t split =
        sharded_bytes(&spec) - (size_t)n_repeated * sizeof(double);
    for (int t = 0; t < 2; t++)
        ck_assert_uint_eq(whole - bytes_of(&spec, "tp=2", t), split / 2);
}
END_TEST

/* Each stage has its own mixers: together what one rank has, but for what one
 * rank has once (its tiles and tables).                                      */
START_TEST(stages_share_nothing)
{
    const core_spec spec = model[_i]();
    const size_t whole = bytes_of(&spec, "tp=1", 0);
    const size_t first = bytes_of(&spec, "pp=2", 0);
    const size_t last = bytes_of(&spec, "pp=2", 1);
    const size_t tile = 48 * 48 * 8 * sizeof(double); /* more than the tiles */
    ck_assert_uint_lt(first, whole);
    ck_assert_uint_lt(last, whole);
    ck_assert_uint_ge(first + last, whole);
    ck_assert_uint_lt(first + last, whole + tile);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_weights");
    TCase *tc = tcase_create("ownership");
    tcase_add_loop_test(tc, a_tensor_rank_holds_its_half, 0, N_MODEL);
    tcase_add_test(tc, a_group_between_ranks_is_repeated);
    tcase_add_loop_test(tc, stages_share_nothing, 0, N_MODEL);
    suite_add_tcase(suite, tc);
    return check_main(suite);
}
