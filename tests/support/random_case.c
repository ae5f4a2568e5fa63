/* tests/support/random_case.c -- dice for models, plans and batches.
 *
 * Sizes are small and divide badly on purpose; so small that exact sums fit 53
 * bits whatever is combined.  Every feature that a family has is thrown by
 * itself, so that combinations come up which no published model has.  A plan is
 * thrown until par_plan_check takes it; the degrees are thrown from small
 * numbers, so that takes a few dozen throws.
 */
#include "tests/support/random_case.h"

#include "core/model/elementary.h"
#include "core/numbers/rng.h"

#include <stdio.h>
#include <string.h>

typedef struct dice {
    uint64_t seed, n_thrown;
} dice;

/* Uniform in [low, high]. */
static int64_t roll(dice *d, int64_t low, int64_t high)
{
    return low + (int64_t)core_rng_below(d->seed, 0x7e57, d->n_thrown++,
                                         (uint64_t)(high - low + 1));
}

static bool one_in(dice *d, int64_t n) { return roll(d, 1, n) == 1; }

static void roll_capacity(dice *d, core_capacity *c)
{
    c->rule = one_in(d, 3) ? CORE_CAPACITY_NONE : CORE_CAPACITY_FACTOR;
    c->domain = one_in(d, 3) ? CORE_DOMAIN_SEQUENCE : CORE_DOMAIN_GROUP;
    c->priority = one_in(d, 2) ? CORE_PRIORITY_PROB : CORE_PRIORITY_POSITION;
    c->dropped = CORE_DROPPED_ZERO;
    c->factor = 0.7 + 0.1 * (double)roll(d, 0, 9);
}

static void roll_sizes(dice *d, core_spec *spec)
{
    spec->n_l = roll(d, 1, 5);
    spec->n_d = 2 * roll(d, 8, 25);
    spec->n_g = roll(d, 1, 4);
    spec->n_h = spec->n_g * roll(d, 1, 3);
    spec->n_dh = 2 * roll(d, 2, 6);
    spec->n_f = roll(d, 7, 30);
    spec->n_v = roll(d, 19, 70);
    spec->n_de = one_in(d, 4) ? roll(d, 6, 33) : 0;
    spec->n_f_shared = one_in(d, 2) ? roll(d, 7, 20) : 0;
    spec->n_f_dense = 0;
    memset(spec->ffn, CORE_FFN_MOE, sizeof spec->ffn);
    for (int l = 0; l < spec->n_l && spec->n_l > 1; l++)
        if (one_in(d, 5)) {
            spec->ffn[l] = CORE_FFN_DENSE;
            if (spec->n_f_dense == 0)
                spec->n_f_dense = roll(d, 9, 25);
        }
}

/* Which earlier keys a layer sees. */
static void roll_spans(dice *d, core_spec *spec)
{
    spec->sliding_window = one_in(d, 3) ? roll(d, 2, 8) : 0;
    spec->chunk = roll(d, 2, 7);
    const bool mixed = one_in(d, 3);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->span[l] = mixed ? (uint8_t)roll(d, CORE_SPAN_WINDOW,
                                              CORE_SPAN_CHUNK)
                              : CORE_SPAN_WINDOW;
}

static void roll_latent(dice *d, core_spec *spec)
{
    spec->n_g = spec->n_h;
    spec->n_kv_rank = roll(d, 5, 17);
    spec->n_q_rank = one_in(d, 3) ? 0 : roll(d, 6, 19);
    spec->n_dv = roll(d, 3, 11);
    spec->n_rot = 2 * roll(d, 1, spec->n_dh / 2 - 1);
}

/* Layers of one part alone. */
static void roll_parts(dice *d, core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++)
        if (one_in(d, 3))
            spec->mixer[l] = CORE_N_MIXERS;
        else if (one_in(d, 3))
            spec->ffn[l] = CORE_FFN_NONE;
}

/* What latent attention does not have. */
static void roll_queries(dice *d, core_spec *spec)
{
    spec->n_rot = one_in(d, 3) ? 2 * roll(d, 1, spec->n_dh / 2) : 0;
    spec->qk_norm = one_in(d, 2) ? CORE_QK_NORM_NONE
                                 : (core_qk_norm)roll(d, CORE_QK_NORM_HEAD,
                                                      CORE_QK_NORM_ROPED);
    spec->clip_qkv = one_in(d, 4) ? 0.3 + 0.25 * (double)roll(d, 1, 6) : 0.0;
    spec->sinks = one_in(d, 4);
    const int64_t share = roll(d, 1, 4);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->no_rope[l] = share == 1 && one_in(d, 2);
    if (one_in(d, 2)) {
        spec->temper_scale = 0.1 * (double)roll(d, 1, 5);
        spec->temper_floor = (double)roll(d, 1, 4);
    }
}

/* A norm after rope may have weights, where every layer has rope; a gate one
 * score for a head.  Their own dice, as below. */
static void roll_norms(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6e6f726d73), 0};
    spec->gate_per_head = spec->context_gate && one_in(&d, 2);
    if (spec->qk_norm != CORE_QK_NORM_ROPED || one_in(&d, 2))
        return;
    spec->qk_norm = CORE_QK_NORM_AFTER;
    memset(spec->no_rope, 0, sizeof spec->no_rope);
}

/* Values of another size, and layers with heads of another kind.  These dice are
 * their own, so that a seed of before gives the model that it gave.           */
static void roll_kinds(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6b696e6473), 0};
    if (spec->n_kv_rank > 0 || !one_in(&d, 3))
        return;
    spec->n_dv = one_in(&d, 2) ? roll(&d, 3, 11) : 0;
    spec->value_scale = one_in(&d, 2) ? 0.25 * (double)roll(&d, 1, 7) : 0.0;
    core_heads *other = &spec->other;
    other->n_g = roll(&d, 1, 4);
    other->n_h = one_in(&d, 2) ? spec->n_h : spec->n_h * 2;
    while (other->n_h % other->n_g != 0)
        other->n_g--;
    other->n_dh = 2 * roll(&d, 2, 6);
    other->n_dv = one_in(&d, 2) ? roll(&d, 3, 11) : 0;
    other->n_rot = one_in(&d, 3) ? 2 * roll(&d, 1, other->n_dh / 2) : 0;
    other->rope.theta = 50.0 * (double)roll(&d, 1, 9);
    other->rope.attention_factor = 1.0;
    other->sinks = one_in(&d, 3);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->head_kind[l] = one_in(&d, 2);
}

/* Values that are the keys, pairs that do not turn. */
static void roll_values(dice *d, core_spec *spec)
{
    const core_heads first = core_spec_heads_of(spec, 0);
    const core_heads other = core_spec_heads_of(spec, 1);
    if (spec->n_kv_rank > 0)
        return;
    spec->value_norm = one_in(d, 2);
    spec->v_is_k =
        spec->clip_qkv == 0.0 && first.n_dv == first.n_dh && one_in(d, 2);
    if (first.n_rot > 2 && one_in(d, 2))
        spec->rope.n_turned = roll(d, 1, first.n_rot / 2 - 1);
    if (core_spec_head_kinds(spec) == 1)
        return;
    spec->other.v_is_k =
        spec->clip_qkv == 0.0 && other.n_dv == other.n_dh && one_in(d, 2);
    if (other.n_rot > 2 && one_in(d, 2))
        spec->other.rope.n_turned = roll(d, 1, other.n_rot / 2 - 1);
}

/* Norms behind the parts of a layer and around its branches, a router with a
 * norm of its own, scales of experts and layers, a cap.  Their own dice, too. */
static void roll_branches(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6272616e6368), 0};
    if (!one_in(&d, 3))
        return;
    roll_values(&d, spec);
    if (spec->norm != CORE_NORM_LAYER) {
        spec->post_norm = one_in(&d, 2);
        spec->branch_norm = spec->n_f_shared > 0 && !one_in(&d, 3);
    }
    spec->layer_scale = one_in(&d, 2);
    spec->router_norm = one_in(&d, 2);
    spec->expert_scale = one_in(&d, 2) && (spec->router == CORE_ROUTER_SOFTMAX ||
                                           spec->router == CORE_ROUTER_SIGMOID);
    spec->logits_cap = one_in(&d, 2) ? 0.5 * (double)roll(&d, 2, 12) : 0.0;
}

/* Queries of some layers see blocks of keys; the clamps of another model. */
static void roll_blocks(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x626c6f636b73), 0};
    if (spec->act == CORE_ACT_CLAMPED_SWIGLU && one_in(&d, 2)) {
        spec->act_alpha = 0.3 * (double)roll(&d, 2, 6);
        spec->act_limit = 0.4 * (double)roll(&d, 2, 6);
    }
    int64_t n_rot = core_spec_heads_of(spec, 0).n_rot;
    if (core_spec_head_kinds(spec) > 1 &&
        core_spec_heads_of(spec, 1).n_rot > n_rot)
        n_rot = core_spec_heads_of(spec, 1).n_rot;
    if (spec->n_kv_rank > 0 || n_rot + 5 > spec->n_d || !one_in(&d, 4))
        return;
    bool any = false;
    for (int l = 0; l < (int)spec->n_l; l++)
        if (core_spec_has_attention(spec, l) && one_in(&d, 2)) {
            spec->sight[l] = CORE_SIGHT_CHOSEN;
            any = true;
        }
    if (!any)
        return;
    spec->block_index =
        (core_block_index){.n_dh = n_rot + roll(&d, n_rot == 0 ? 2 : 0, 5),
                           .n_key = roll(&d, 1, 4),
                           .n_local = roll(&d, 1, 2)};
    spec->n_seen = spec->block_index.n_local + roll(&d, 1, 2);
}

static void roll_attention(dice *d, core_spec *spec)
{
    roll_spans(d, spec);
    if (one_in(d, 4))
        roll_latent(d, spec);
    else
        roll_queries(d, spec);
    spec->rope.interleaved = one_in(d, 3);
    spec->score_scale = one_in(d, 3) ? 0.05 * (double)roll(d, 1, 10) : 0.0;
    spec->bias_qkv = one_in(d, 2);
    spec->bias_o = one_in(d, 2);
    spec->context_gate = one_in(d, 4);
}

static void roll_mamba(dice *d, core_spec *spec)
{
    spec->mamba = (core_mamba){.n_c = roll(d, 4, 27),
                               .n_s = roll(d, 2, 6),
                               .n_conv = roll(d, 1, 5),
                               .n_r = roll(d, 2, 7),
                               .bias_conv = one_in(d, 2),
                               .bias_proj = one_in(d, 2)};
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->mixer[l] =
            one_in(d, 3) ? CORE_MIXER_ATTENTION : CORE_MIXER_MAMBA;
}

static void roll_deltanet(dice *d, core_spec *spec)
{
    const int64_t n_kh = roll(d, 1, 5);
    spec->deltanet = (core_deltanet){.n_kh = n_kh,
                                     .n_vh = n_kh * roll(d, 1, 3),
                                     .n_dk = roll(d, 2, 9),
                                     .n_dv = roll(d, 3, 19),
                                     .n_conv = roll(d, 1, 5)};
    for (int l = 0; l < (int)spec->n_l; l++)
        if (!one_in(d, 3))
            spec->mixer[l] = CORE_MIXER_DELTANET;
}

/* Latent attention may have layers without positions.  Their own dice, as above. */
static void roll_latent_positions(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6e6f7065), 0};
    for (int l = 0; spec->n_kv_rank > 0 && l < (int)spec->n_l; l++)
        spec->no_rope[l] = one_in(&d, 3);
}

/* An activation that is clamped has none. */
static void drop_limits(core_spec *spec)
{
    memset(spec->expert_most, 0, sizeof spec->expert_most);
    memset(spec->mlp_most, 0, sizeof spec->mlp_most);
}

/* Parts that read earlier sums, and what Kimi-K3 has with them.  Their own dice,
 * as above; every layer has both parts, and no other connection.             */
static void roll_look_back(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6c6f6f6b), 0};
    bool whole = spec->residual_scale == 1.0 && spec->hyper.n == 0 &&
                 !spec->post_norm && !spec->layer_scale &&
                 !spec->router_norm && !spec->branch_norm;
    for (int l = 0; l < (int)spec->n_l; l++)
        whole = whole && spec->mixer[l] != CORE_N_MIXERS &&
                spec->ffn[l] != CORE_FFN_NONE;
    if (!whole || !one_in(&d, 5))
        return;
    spec->attn_res.n_block = roll(&d, 1, 3);
    spec->norm_de = spec->n_de > 0 && one_in(&d, 2);
    if (spec->gated && one_in(&d, 2)) {
        spec->act = CORE_ACT_SITU;
        spec->act_alpha = 0.5 * (double)roll(&d, 2, 8);
        spec->act_limit = 0.5 * (double)roll(&d, 2, 20);
        drop_limits(spec);
    }
}

/* Rows of a state that decay one by one, and projections through short vectors.
 * Their own dice, as above.                                                  */
static void roll_rows(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x726f7773), 0};
    core_deltanet *s = &spec->deltanet;
    if (s->n_kh == 0 || one_in(&d, 2))
        return;
    s->by_row = true;
    s->sigmoid_gate = one_in(&d, 2);
    s->n_dt_rank = roll(&d, 0, 6);
    s->n_gate_rank = roll(&d, 0, 6);
    s->floor = one_in(&d, 2) ? -0.5 * (double)roll(&d, 1, 10) : 0.0;
}

static void roll_ssd(dice *d, core_spec *spec)
{
    const int64_t n_g = roll(d, 1, 4);
    spec->ssd = (core_ssd){.n_h = n_g * roll(d, 1, 3),
                           .n_p = roll(d, 1, 7),
                           .n_s = roll(d, 2, 6),
                           .n_g = n_g,
                           .n_conv = roll(d, 1, 5),
                           .least = 0.2 * (double)roll(d, 0, 2),
                           .most = 0.8 * (double)roll(d, 0, 2),
                           .bias_conv = one_in(d, 2),
                           .bias_proj = one_in(d, 2)};
    for (int l = 0; l < (int)spec->n_l; l++)
        if (!one_in(d, 3))
            spec->mixer[l] = CORE_MIXER_SSD;
}

/* Their own dice, as those of kinds; a sum of scores may have an eps, too. */
static void roll_shortconv(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x636f6e76), 0};
    if (one_in(&d, 4))
        spec->sum_eps = 0.1 * (double)roll(&d, 1, 5);
    if (!one_in(&d, 6))
        return;
    spec->shortconv = (core_shortconv){.n_conv = roll(&d, 1, 5),
                                       .bias = one_in(&d, 2)};
    for (int l = 0; l < (int)spec->n_l; l++)
        if (!one_in(&d, 3))
            spec->mixer[l] = CORE_MIXER_SHORTCONV;
}

/* An indexer, where queries are short; a layer may keep the choice of one before,
 * or see all keys.  Their own dice, too. */
static void roll_choice(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6b657973), 0};
    bool any = false;
    if (spec->n_kv_rank == 0 || spec->n_q_rank == 0 || one_in(&d, 4))
        return;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const bool sees_all = !core_spec_has_rope(spec, l) || one_in(&d, 8);
        if (!sees_all)
            spec->sight[l] = any && !one_in(&d, 3) ? CORE_SIGHT_KEPT
                                                   : CORE_SIGHT_CHOSEN;
        any = any || !sees_all;
    }
    if (!any)
        return;
    spec->sliding_window = 0;
    memset(spec->span, CORE_SPAN_WINDOW, sizeof spec->span);
    spec->n_seen = roll(&d, 1, 4);
    spec->indexer = (core_indexer){.n_h = roll(&d, 1, 4),
                                   .n_dh = spec->n_rot + roll(&d, 0, 5),
                                   .interleaved = one_in(&d, 2)};
}

static void roll_router(dice *d, core_spec *spec)
{
    spec->router = (core_router)roll(d, CORE_ROUTER_SOFTMAX,
                                     CORE_ROUTER_SPARSEMIXER);
    const bool has_scores = spec->router == CORE_ROUTER_SOFTMAX ||
                            spec->router == CORE_ROUTER_SIGMOID;
    spec->n_e = roll(d, 2, 13);
    int64_t most = spec->n_e < 4 ? spec->n_e : 4;
    if (has_scores && one_in(d, 2)) {
        const int64_t of_group = roll(d, 2, 4);
        spec->n_group = roll(d, 2, 4);
        spec->n_group_kept = roll(d, 1, spec->n_group - 1);
        spec->n_e = spec->n_group * of_group;
        spec->group_score = one_in(d, 2) ? CORE_GROUP_SCORE_MAX
                                         : CORE_GROUP_SCORE_BEST_TWO;
        most = spec->n_group_kept * of_group < 4 ? spec->n_group_kept * of_group
                                                 : 4;
    }
    spec->n_k = spec->router == CORE_ROUTER_SPARSEMIXER ? 2 : roll(d, 1, most);
    spec->jitter = 0.1 * (double)roll(d, 0, 6);
    spec->correction = spec->router == CORE_ROUTER_SIGMOID && one_in(d, 2);
    spec->routed_scale = one_in(d, 3) ? 0.5 * (double)roll(d, 3, 6) : 1.0;
    spec->renormalise = spec->n_k > 1 && one_in(d, 2);
    /* a small weight would leave nothing of the input on the grid */
    spec->weigh_input =
        one_in(d, 3) && (spec->router == CORE_ROUTER_SIGMOID ||
                         spec->router == CORE_ROUTER_SPARSEMIXER);
    spec->bias_router = one_in(d, 2);
    /* of two experts, twins would leave nothing to choose */
    spec->twin_expert =
        spec->n_e > 2 && one_in(d, 2) ? (int)roll(d, 0, spec->n_e - 2) : -1;
}

static void roll_experts(dice *d, core_spec *spec)
{
    spec->gated = one_in(d, 2);
    if (spec->gated)
        spec->act = one_in(d, 3) ? CORE_ACT_CLAMPED_SWIGLU : CORE_ACT_SILU;
    else
        spec->act = one_in(d, 3) ? CORE_ACT_RELU2 : CORE_ACT_GELU;
    spec->bias_ffn = one_in(d, 2);
    spec->bias_mlp = one_in(d, 3);
    spec->shared_gate = one_in(d, 2);
}

/* Limits of the product form, some layers' and either network's; dice of their
 * own, as above. */
static void roll_limits(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6d6f7374), 0};
    if (!spec->gated || core_act_is_clamped(spec->act) || !one_in(&d, 3))
        return;
    for (int l = 0; l < (int)spec->n_l; l++) {
        spec->expert_most[l] = 0.1 * (double)roll(&d, 0, 5);
        spec->mlp_most[l] = 0.1 * (double)roll(&d, 0, 5);
    }
}

static void roll_ends(dice *d, core_spec *spec)
{
    spec->norm = (core_norm)roll(d, CORE_NORM_RMS, CORE_NORM_RMS_PLUS_ONE);
    spec->tied = one_in(d, 2);
    spec->bias_head = one_in(d, 3);
    spec->embed_scale = one_in(d, 4) ? 0.5 * (double)roll(d, 1, 9) : 1.0;
    spec->residual_scale = one_in(d, 4) ? 0.1 * (double)roll(d, 3, 9) : 1.0;
    spec->logits_divisor = one_in(d, 4) ? 0.5 * (double)roll(d, 1, 9) : 1.0;
}

/* Several streams of a token.  Their own dice, as those of kinds. */
static void roll_streams(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x73747265616d), 0};
    if (core_spec_connection(spec) != CORE_N_CONNECTIONS ||
        spec->norm == CORE_NORM_LAYER || spec->layer_scale ||
        spec->router_norm || spec->branch_norm || !one_in(&d, 4))
        return;
    spec->residual_scale = 1.0;
    spec->hyper = (core_hyper){.n = roll(&d, 2, 4),
                               .n_round = roll(&d, 1, 5),
                               .eps = one_in(&d, 2) ? 1e-6 : 0.01};
}

/* Experts by a table, scores by another function, another clamp. */
static void roll_table(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x7461626c65), 0};
    if (!one_in(&d, 4))
        return;
    if ((spec->router == CORE_ROUTER_SOFTMAX ||
         spec->router == CORE_ROUTER_SIGMOID) &&
        !spec->expert_scale)
        spec->router = CORE_ROUTER_SQRT_SOFTPLUS;
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->by_table[l] = core_spec_is_moe(spec, l) &&
                            core_router_scores_all(spec->router) &&
                            one_in(&d, 2);
    if (spec->gated && spec->act != CORE_ACT_SITU && one_in(&d, 2)) {
        spec->act = CORE_ACT_CLAMPED_SILU;
        drop_limits(spec);
        spec->act_alpha = 0.0;
        spec->act_limit = 0.3 * (double)roll(&d, 1, 6);
    }
}

/* Digests of earlier tokens, in some layers picked. */
static void roll_digests(dice *d, core_spec *spec)
{
    core_digests *s = &spec->digests;
    int64_t n_rot = 1;
    bool any = false;
    *s = (core_digests){.n_all = roll(d, 1, 4), .n_best = roll(d, 1, 3)};
    spec->sinks = spec->other.sinks = true;
    spec->chunk = 0;
    memset(spec->span, CORE_SPAN_WINDOW, sizeof spec->span);
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++)
        if (core_spec_heads_of(spec, kind).n_rot > n_rot)
            n_rot = core_spec_heads_of(spec, kind).n_rot;
    for (int l = 0; l < (int)spec->n_l; l++) {
        if (!core_spec_has_attention(spec, l))
            continue;
        spec->digest[l] = (uint8_t)roll(d, CORE_DIGEST_NONE, CORE_DIGEST_BEST);
        if (spec->digest[l] == CORE_DIGEST_BEST)
            spec->sight[l] = CORE_SIGHT_CHOSEN;
        any = any || spec->digest[l] == CORE_DIGEST_BEST;
    }
    if (!any)
        return;
    s->n_ph = roll(d, 1, 4);
    s->n_pd = n_rot + roll(d, 0, 5);
    spec->n_seen = roll(d, 1, 3);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    return b == 0 ? a : common_divisor(b, a % b);
}

/* One vector of a token as key and value of all heads; an output projection by
 * groups of heads.                                                           */
static void roll_onekv(uint64_t seed, core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x6f6e656b76), 0};
    const bool other = core_spec_head_kinds(spec) > 1;
    if (spec->n_kv_rank > 0 || spec->n_seen > 0 || !one_in(&d, 4))
        return;
    spec->one_kv = true;
    spec->n_g = 1;
    spec->other.n_g = other ? 1 : 0;
    spec->n_dv = spec->other.n_dv = 0;
    spec->n_q_rank = roll(&d, 3, 9);
    spec->qk_norm = CORE_QK_NORM_NONE;
    spec->clip_qkv = spec->temper_scale = spec->value_scale = 0.0;
    spec->context_gate = spec->bias_qkv = spec->value_norm = false;
    spec->v_is_k = spec->other.v_is_k = false;
    memset(spec->no_rope, 0, sizeof spec->no_rope);
    if (one_in(&d, 2)) {
        const int64_t n =
            common_divisor(spec->n_h, other ? spec->other.n_h : 0);
        spec->o_groups =
            (core_o_groups){.n = one_in(&d, 4) ? 1 : n, .n_r = roll(&d, 2, 6)};
    }
    if (!one_in(&d, 3))
        roll_digests(&d, spec);
}

static void roll_spec(dice *d, core_spec *spec)
{
    const core_status opened = core_spec_open(spec, "shadow-a", NULL);
    core_assert(opened == CORE_OK);
    snprintf(spec->name, sizeof spec->name, "random-%llu",
             (unsigned long long)d->seed);
    roll_sizes(d, spec);
    roll_attention(d, spec);
    roll_norms(d->seed, spec);
    roll_kinds(d->seed, spec);
    roll_latent_positions(d->seed, spec);
    if (one_in(d, 6))
        roll_mamba(d, spec);
    if (one_in(d, 6))
        roll_deltanet(d, spec);
    roll_rows(d->seed, spec);
    if (one_in(d, 6))
        roll_ssd(d, spec);
    roll_shortconv(d->seed, spec);
    if (one_in(d, 5))
        roll_parts(d, spec);
    roll_choice(d->seed, spec);
    roll_router(d, spec);
    roll_experts(d, spec);
    roll_limits(d->seed, spec);
    roll_ends(d, spec);
    roll_capacity(d, &spec->capacity);
    roll_branches(d->seed, spec);
    roll_blocks(d->seed, spec);
    roll_look_back(d->seed, spec);
    roll_streams(d->seed, spec);
    roll_table(d->seed, spec);
    roll_onekv(d->seed, spec);
}

static void roll_plan(dice *d, par_plan *plan)
{
    *plan = (par_plan){.dp = (int)roll(d, 1, 3),
                       .cp = 1,
                       .pp = (int)roll(d, 1, 3),
                       .vpp = 1,
                       .tp = (int)roll(d, 1, 4),
                       .ep = (int)roll(d, 1, 6),
                       .etp = (int)roll(d, 1, 2),
                       .batch_reduce = 1,
                       .mb = (int)roll(d, 1, 3),
                       .rounds = one_in(d, 4) ? 2 : 1};
    plan->scope = one_in(d, 2) ? PAR_SCOPE_REPLICA : PAR_SCOPE_STAGE;
}

/* Tokens cut over tp.  Their own dice, as those of kinds. */
static void roll_stream(uint64_t seed, par_plan *plan)
{
    dice d = {seed ^ UINT64_C(0x746f6b656e73), 0};
    plan->sp = one_in(&d, 3);
}

/* Rows cut over cp ranks, where that is legal.  Their own dice, too. */
static void roll_context(uint64_t seed, random_case *c, int max_rank)
{
    dice d = {seed ^ UINT64_C(0x636f6e74657874), 0};
    par_plan cut = c->plan;
    if (!one_in(&d, 2))
        return;
    cut.cp = (int)roll(&d, 2, 3);
    if (cut.scope == PAR_SCOPE_REPLICA)
        cut.ep *= cut.cp;
    cut.cp_kind = (par_cp_kind)roll(&d, 0, PAR_N_CP_KINDS - 1);
    if (par_plan_check(&cut, &c->spec) != CORE_OK)
        cut.cp_kind = PAR_CP_GATHER; /* heads cannot be dealt out evenly */
    if (par_plan_world(&cut) <= max_rank &&
        par_plan_check(&cut, &c->spec) == CORE_OK)
        c->plan = cut;
    core_message_clear();
}

/* Several runs of layers for each stage, where that is legal: likewise. */
static void roll_virtual(uint64_t seed, random_case *c)
{
    dice d = {seed ^ UINT64_C(0x7669727475616c), 0};
    par_plan cut = c->plan;
    cut.vpp = (int)roll(&d, 2, 3);
    if (!one_in(&d, 3) && par_plan_check(&cut, &c->spec) == CORE_OK)
        c->plan = cut;
    core_message_clear();
}

/* What goes on beside other work: likewise. */
static void roll_overlap(uint64_t seed, par_plan *plan)
{
    dice d = {seed ^ UINT64_C(0x6f7665726c6170), 0};
    if (one_in(&d, 2))
        plan->overlap = (unsigned)roll(&d, 1, 7);
}

/* Sums over tp of several micro-batches at once: likewise. */
static void roll_sums(uint64_t seed, par_plan *plan)
{
    dice d = {seed ^ UINT64_C(0x72656475636573), 0};
    if (one_in(&d, 2))
        plan->batch_reduce = plan->mb;
}

/* Layers per stage, virtual ones counted, by dice, at least one each. */
static void roll_stages(dice *d, par_plan *plan, const core_spec *spec)
{
    plan->n_stage = par_plan_parts(plan);
    for (int s = 0; s < plan->n_stage; s++)
        plan->stage_layers[s] = 1;
    for (int64_t l = plan->n_stage; l < spec->n_l; l++)
        plan->stage_layers[roll(d, 0, plan->n_stage - 1)]++;
}

/* Every expert somewhere, some on two ranks; a rank may be left without. */
static void roll_placement(dice *d, par_plan *plan, const core_spec *spec)
{
    plan->n_placed = (int)spec->n_e;
    for (int64_t e = 0; e < spec->n_e; e++) {
        const int64_t home = roll(d, 0, plan->ep - 1);
        plan->n_replica[e] = plan->ep > 1 && one_in(d, 4) ? 2 : 1;
        plan->replica[e][0] = (uint16_t)home;
        plan->replica[e][1] = (uint16_t)((home + 1) % plan->ep);
    }
}

/* Physical experts of each layer, which begins with another: likewise. */
static void roll_physical(uint64_t seed, par_plan *plan, const core_spec *spec)
{
    dice d = {seed ^ UINT64_C(0x706879736963), 0};
    const int n_e = (int)spec->n_e;
    const int n_moe = core_spec_count_moe(spec, 0, (int)spec->n_l);
    if (plan->n_placed > 0 || n_moe == 0 || plan->ep == 1 || !one_in(&d, 3))
        return;
    int n_slot = (n_e + plan->ep - 1) / plan->ep + (int)roll(&d, 0, 2);
    n_slot = n_slot < n_e ? n_slot : n_e;
    plan->n_mapped = n_moe;
    plan->n_physical = plan->ep * n_slot;
    for (int i = 0; i < n_moe; i++) {
        const int first = (int)roll(&d, 0, n_e - 1);
        for (int p = 0; p < plan->n_physical; p++)
            plan->physical[i * plan->n_physical + p] =
                (uint16_t)(i % 2 == 0 ? (first + p) % n_e
                                      : n_e - 1 - (first + p) % n_e);
    }
}

/* A state knows no padding; a sink leaves nothing of padded queries, and zeros
 * prove nothing.                                                             */
static bool can_pad(const core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++) {
        const core_mixer mixer = core_spec_mixer(spec, l);
        const core_chooser chooser = core_spec_chooser(spec, l);
        if (mixer != CORE_N_MIXERS && !core_mixer_takes_padding(mixer))
            return false;
        if (chooser != CORE_N_CHOOSERS && !core_chooser_takes_padding(chooser))
            return false;
    }
    return !spec->sinks && !spec->other.sinks;
}

void random_case_make(random_case *out, uint64_t seed, int max_rank)
{
    dice d = {seed, 0};
    *out = (random_case){.seed = seed};
    roll_spec(&d, &out->spec);
    const core_status valid = core_spec_validate(&out->spec);
    if (valid != CORE_OK)
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed,
                core_message());
    core_assert(valid == CORE_OK);
    core_status status = CORE_E_PLAN;
    while (status != CORE_OK || par_plan_world(&out->plan) > max_rank) {
        roll_plan(&d, &out->plan);
        status = par_plan_check(&out->plan, &out->spec);
        core_message_clear();
    }
    roll_stream(seed, &out->plan);
    roll_context(seed, out, max_rank);
    roll_virtual(seed, out);
    roll_overlap(seed, &out->plan);
    roll_sums(seed, &out->plan);
    if (one_in(&d, 4))
        roll_stages(&d, &out->plan, &out->spec);
    if (one_in(&d, 4))
        roll_placement(&d, &out->plan, &out->spec);
    roll_physical(seed, &out->plan, &out->spec);
    par_plan_format(&out->plan, out->plan.text);
    const int n_part = out->plan.rounds * out->plan.dp * out->plan.mb;
    out->n_b = n_part + roll(&d, -1, 2); /* one less: an empty part */
    out->n_b = out->n_b < 1 ? 1 : out->n_b;
    out->n_t = roll(&d, 5, 13);
    out->pads = one_in(&d, 3) && can_pad(&out->spec);
}
