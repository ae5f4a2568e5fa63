/* tests/support/ref_families.c -- small models with every operator.
 *
 * Variations of fix_spec: what is not said here is as there.  Extents of one
 * model are pairwise different, and no norm, rank or head is as wide as
 * another.
 */
#include "tests/support/ref_fixture.h"

#include <check.h>

static void norm_head(core_spec *s)
{
    s->qk_norm = CORE_QK_NORM_HEAD;
    s->clip_qkv = 0.9;
    s->n_rot = 4;
    s->score_scale = 0.21;
    s->sliding_window = 4;
    s->span[2] = CORE_SPAN_FULL;
}

static void norm_all(core_spec *s)
{
    s->qk_norm = CORE_QK_NORM_ALL;
    s->clip_qkv = 1.1;
    s->sinks = true;
    s->sliding_window = 5;
    s->router = CORE_ROUTER_SOFTMAX_TOP;
    s->renormalise = false;
    s->routed_scale = 1.5;
    s->act = CORE_ACT_CLAMPED_SWIGLU;
    s->bias_head = true;
}

static void chunk(core_spec *s)
{
    s->rope.interleaved = true;
    s->qk_norm = CORE_QK_NORM_ROPED;
    s->clip_qkv = 0.8;
    s->no_rope[1] = 1;
    s->span[0] = s->span[2] = CORE_SPAN_CHUNK;
    s->chunk = 4;
    s->temper_scale = 0.3;
    s->temper_floor = 3.0;
    s->router = CORE_ROUTER_SIGMOID;
    s->renormalise = false;
    s->weigh_input = true;
}

static void latent_q(core_spec *s)
{
    s->n_g = s->n_h;
    s->n_dh = 10;
    s->n_rot = 4;
    s->n_dv = 9;
    s->n_kv_rank = 11;
    s->rope.interleaved = true;
    s->bias_qkv = false;
    s->n_e = 12;
    s->n_group = 4;
    s->n_group_kept = 2;
    s->group_score = CORE_GROUP_SCORE_MAX;
    s->renormalise = false;
    s->routed_scale = 2.5;
}

static void latent(core_spec *s)
{
    latent_q(s);
    s->n_q_rank = 13;
    s->bias_qkv = true;
    s->router = CORE_ROUTER_SIGMOID;
    s->group_score = CORE_GROUP_SCORE_BEST_TWO;
    s->correction = true;
    s->renormalise = true;
}

static void layernorm(core_spec *s)
{
    s->norm = CORE_NORM_LAYER;
    s->router = CORE_ROUTER_SPARSEMIXER;
    s->n_k = 2;
    s->jitter = 0.2;
    s->renormalise = false;
    s->bias_head = true;
}

static void mamba(core_spec *s)
{
    s->mixer[0] = s->mixer[2] = CORE_MIXER_MAMBA;
    s->no_rope[1] = 1;
    s->mamba = (core_mamba){.n_c = 38, /* 16 + 16 + 6 channels of a task */
                            .n_s = 5,
                            .n_conv = 4,
                            .n_r = 3,
                            .bias_conv = true,
                            .bias_proj = true};
}

static void deltanet(core_spec *s)
{
    s->norm = CORE_NORM_RMS_PLUS_ONE;
    s->qk_norm = CORE_QK_NORM_HEAD;
    s->n_rot = 4;
    s->context_gate = s->shared_gate = true;
    s->mixer[0] = s->mixer[2] = CORE_MIXER_DELTANET;
    s->deltanet = (core_deltanet){.n_kh = 6,
                                  .n_vh = 12,
                                  .n_dk = 5,
                                  .n_dv = 19, /* 16 + 3 columns of a task */
                                  .n_conv = 4};
}

static void kda(core_spec *s)
{
    latent(s);
    s->no_rope[1] = 1;
    s->mixer[0] = s->mixer[2] = CORE_MIXER_DELTANET;
    s->deltanet = (core_deltanet){.n_kh = 6,
                                  .n_vh = 12,
                                  .n_dk = 5,
                                  .n_dv = 19,
                                  .n_conv = 4,
                                  .n_dt_rank = 7,
                                  .n_gate_rank = 8,
                                  .by_row = true,
                                  .sigmoid_gate = true};
}

static void ssd(core_spec *s)
{
    s->mixer[0] = s->mixer[2] = CORE_MIXER_SSD;
    s->mixer[1] = CORE_N_MIXERS;
    s->ffn[2] = CORE_FFN_NONE;
    s->ssd = (core_ssd){.n_h = 12,
                        .n_p = 4,
                        .n_s = 5,
                        .n_g = 6, /* which 2 and 3 divide */
                        .n_conv = 4,
                        .least = 0.4,
                        .most = 1.1,
                        .bias_conv = true,
                        .bias_proj = true};
    s->gated = false;
    s->act = CORE_ACT_RELU2;
    s->n_de = 19;
    s->bias_ffn = false;
    s->bias_mlp = true;
}

static void scales(core_spec *s)
{
    s->embed_scale = 1.7;
    s->residual_scale = 0.22;
    s->logits_divisor = 6.0;
    s->score_scale = 0.3;
    s->router = CORE_ROUTER_SOFTMAX_TOP;
    s->renormalise = false;
    s->tied = true;
}

static void kinds(core_spec *s)
{
    s->head_kind[1] = 1;
    s->n_dv = 5;
    s->n_rot = 6;
    s->value_scale = 0.7;
    s->other = (core_heads){.n_h = 12,
                            .n_g = 3,
                            .n_dh = 10,
                            .n_dv = 9,
                            .n_rot = 4,
                            .scale = 0.2,
                            .sinks = true,
                            .rope = s->rope};
    s->other.rope.theta = 50.0;
    s->sliding_window = 4;
    s->span[0] = s->span[2] = CORE_SPAN_FULL;
}

static void looks_back(core_spec *s)
{
    s->attn_res.n_block = 2;
    s->act = CORE_ACT_SITU;
    s->act_alpha = 1.5;
    s->act_limit = 2.5;
    s->n_de = 13;
    s->norm_de = true;
    s->bias_ffn = s->bias_mlp = false;
}

static void streams(core_spec *s)
{
    s->hyper = (core_hyper){.n = 3, .n_round = 4, .eps = 1e-3};
}

static void table(core_spec *s)
{
    s->router = CORE_ROUTER_SQRT_SOFTPLUS;
    s->correction = true;
    s->by_table[2] = 1;
    s->routed_scale = 1.5;
    s->act = CORE_ACT_CLAMPED_SILU;
    s->act_limit = 0.3125; /* of an fp32 number: exact in every type */
    s->bias_router = s->bias_ffn = false;
}

static void digest(core_spec *s)
{
    s->one_kv = true;
    s->n_g = 1;
    s->n_q_rank = 13;
    s->n_rot = 4;
    s->rope.interleaved = true;
    s->sinks = true;
    s->bias_qkv = s->bias_o = false;
    s->o_groups = (core_o_groups){.n = 6, .n_r = 5};
    s->digests =
        (core_digests){.n_all = 4, .n_best = 2, .n_ph = 4, .n_pd = 10};
    s->digest[0] = s->digest[2] = CORE_DIGEST_BEST;
    s->digest[1] = CORE_DIGEST_ALL;
    s->sight[0] = s->sight[2] = CORE_SIGHT_CHOSEN;
    s->n_seen = 1;
    s->sliding_window = 3;
}

static void branches(core_spec *s)
{
    s->post_norm = s->branch_norm = s->layer_scale = true;
    s->router_norm = s->expert_scale = s->value_norm = true;
    s->qk_norm = CORE_QK_NORM_HEAD;
    s->head_kind[1] = 1;
    s->other = (core_heads){.n_h = 12,
                            .n_g = 3,
                            .n_dh = 10,
                            .v_is_k = true,
                            .rope = s->rope};
    s->other.rope.theta = 50.0;
    s->other.rope.n_turned = 2;
    s->residual_scale = 0.7;
    s->logits_cap = 2.5;
    s->act = CORE_ACT_GELU_TANH;
}

static void shortconv(core_spec *s)
{
    s->qk_norm = CORE_QK_NORM_HEAD;
    s->mixer[0] = s->mixer[2] = CORE_MIXER_SHORTCONV;
    s->shortconv = (core_shortconv){.n_conv = 3, .bias = true};
    s->router = CORE_ROUTER_SIGMOID;
    s->correction = s->renormalise = true;
    s->sum_eps = 0.3;
    s->expert_most[0] = 0.3;
    s->mlp_most[1] = 0.2;
    s->mlp_most[2] = 0.25;
}

static void indexer(core_spec *s)
{
    latent(s);
    s->sight[0] = s->sight[2] = CORE_SIGHT_CHOSEN;
    s->sight[1] = CORE_SIGHT_KEPT;
    s->n_seen = 3;
    s->indexer = (core_indexer){.n_h = 5, .n_dh = 7};
}

static void blocks(core_spec *s)
{
    s->norm = CORE_NORM_RMS_PLUS_ONE;
    s->qk_norm = CORE_QK_NORM_HEAD;
    s->n_rot = 4;
    s->sight[0] = s->sight[2] = CORE_SIGHT_CHOSEN;
    s->no_rope[2] = 1;
    s->n_seen = 2;
    s->block_index = (core_block_index){.n_dh = 9, .n_key = 2, .n_local = 1};
    s->act = CORE_ACT_CLAMPED_SWIGLU;
    s->act_alpha = 1.3;
    s->act_limit = 0.9;
    s->router = CORE_ROUTER_SIGMOID;
    s->correction = true;
}

core_spec fix_family(int i)
{
    core_spec spec = fix_spec();
    switch ((fix_family_kind)i) {
    case FIX_NORM_HEAD:
        norm_head(&spec);
        break;
    case FIX_NORM_ALL:
        norm_all(&spec);
        break;
    case FIX_CHUNK:
        chunk(&spec);
        break;
    case FIX_LATENT:
        latent(&spec);
        break;
    case FIX_LATENT_Q:
        latent_q(&spec);
        break;
    case FIX_LAYERNORM:
        layernorm(&spec);
        break;
    case FIX_MAMBA:
        mamba(&spec);
        break;
    case FIX_DELTANET:
        deltanet(&spec);
        break;
    case FIX_KDA:
        kda(&spec);
        break;
    case FIX_KDA_BOUNDED:
        kda(&spec);
        spec.deltanet.floor = -1.5;
        spec.deltanet.n_gate_rank = 0;
        spec.deltanet.sigmoid_gate = false;
        break;
    case FIX_SSD:
        ssd(&spec);
        break;
    case FIX_SCALES:
        scales(&spec);
        break;
    case FIX_KINDS:
        kinds(&spec);
        break;
    case FIX_LOOKS_BACK:
        looks_back(&spec);
        break;
    case FIX_STREAMS:
        streams(&spec);
        break;
    case FIX_TABLE:
        table(&spec);
        break;
    case FIX_DIGEST:
        digest(&spec);
        break;
    case FIX_BRANCHES:
        branches(&spec);
        break;
    case FIX_SHORTCONV:
        shortconv(&spec);
        break;
    case FIX_INDEXER:
        indexer(&spec);
        break;
    case FIX_BLOCKS:
        blocks(&spec);
        break;
    case FIX_SHARED_GATE:
        spec.shared_gate = true;
        break;
    case FIX_N_FAMILIES:
        ck_abort_msg("family %d", i);
    }
    ck_assert_msg(core_spec_validate(&spec) == CORE_OK, "%s", core_message());
    return spec;
}
