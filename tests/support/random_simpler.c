/* tests/support/random_simpler.c -- smaller cases: what does a failure need?
 *
 * One table of small steps; most of them set a field to what "none" is.  A step
 * that does nothing, or leaves no legal case, is skipped, so that a loop that
 * takes every step which still fails comes to an end.
 */
#include "core/model/elementary.h"
#include "tests/support/random_case.h"

#include <string.h>

typedef void (*simplify)(random_case *c);

static void gather_cp(random_case *c) { c->plan.cp_kind = PAR_CP_GATHER; }

static void no_cp(random_case *c)
{
    c->plan.cp = 1;
    c->plan.cp_kind = PAR_CP_GATHER;
    c->plan.ep = c->plan.etp = 1;
    c->plan.scope = PAR_SCOPE_STAGE;
}

static void no_sp(random_case *c)
{
    c->plan.sp = false;
}

static void no_virtual(random_case *c)
{
    c->plan.vpp = 1;
    c->plan.n_stage = 0;
}

static void no_overlap(random_case *c) { c->plan.overlap = 0; }

static void no_rounds(random_case *c) { c->plan.rounds = 1; }
static void no_sums(random_case *c) { c->plan.batch_reduce = 1; }
static void no_micro(random_case *c)
{
    c->plan.mb = c->plan.batch_reduce = 1;
}
static void no_dp(random_case *c) { c->plan.dp = c->plan.ep = 1; }
static void no_ep(random_case *c) { c->plan.ep = 1; }
static void no_etp(random_case *c) { c->plan.etp = 1; }
static void no_expert_mesh(random_case *c) { c->plan.ep = c->plan.etp = 1; }
static void by_stage(random_case *c) { c->plan.scope = PAR_SCOPE_STAGE; }

static void no_pp(random_case *c)
{
    c->plan.pp = c->plan.vpp = 1;
    c->plan.ep = c->plan.etp = 1;
    c->plan.scope = PAR_SCOPE_STAGE;
}

static void no_tp(random_case *c)
{
    c->plan.tp = 1;
    c->plan.ep = c->plan.etp = 1;
    c->plan.scope = PAR_SCOPE_STAGE;
}

static void two_tp(random_case *c)
{
    if (c->plan.tp > 2)
        c->plan.tp = 2;
    c->plan.ep = c->plan.etp = 1;
    c->plan.scope = PAR_SCOPE_STAGE;
}

static void no_stages(random_case *c) { c->plan.n_stage = 0; }
static void no_placement(random_case *c)
{
    c->plan.n_placed = c->plan.n_mapped = c->plan.n_physical = 0;
}
static void no_padding(random_case *c) { c->pads = false; }
static void half_rows(random_case *c) { c->n_b = (c->n_b + 1) / 2; }
static void half_tokens(random_case *c) { c->n_t = (c->n_t + 1) / 2; }

static void drop_layer(random_case *c, int l)
{
    core_spec *s = &c->spec;
    uint8_t *const of_layer[] = {s->ffn,   s->mixer,     s->no_rope,
                                 s->span,  s->sight,     s->head_kind,
                                 s->digest, s->by_table};
    for (size_t i = 0; i < sizeof of_layer / sizeof *of_layer; i++)
        memmove(of_layer[i] + l, of_layer[i] + l + 1,
                (size_t)(CORE_MAX_LAYERS - l - 1));
    s->n_l--;
}

static void drop_first(random_case *c) { drop_layer(c, 0); }
static void drop_last(random_case *c) { drop_layer(c, (int)c->spec.n_l - 1); }
static void drop_second(random_case *c)
{
    if (c->spec.n_l > 2)
        drop_layer(c, 1);
}

static void no_dense(random_case *c)
{
    memset(c->spec.ffn, CORE_FFN_MOE, sizeof c->spec.ffn);
    c->spec.n_f_dense = 0;
}

static void both_parts(random_case *c)
{
    for (int l = 0; l < (int)c->spec.n_l; l++) {
        if (c->spec.mixer[l] == CORE_N_MIXERS)
            c->spec.mixer[l] = CORE_MIXER_ATTENTION;
        if (c->spec.ffn[l] == CORE_FFN_NONE)
            c->spec.ffn[l] = CORE_FFN_MOE;
    }
}

/* Attention in place of another mixer. */
static void no_mixer(random_case *c, core_mixer mixer)
{
    for (int l = 0; l < CORE_MAX_LAYERS; l++)
        if (c->spec.mixer[l] == mixer)
            c->spec.mixer[l] = CORE_MIXER_ATTENTION;
}

static void no_ssd(random_case *c)
{
    no_mixer(c, CORE_MIXER_SSD);
    memset(&c->spec.ssd, 0, sizeof c->spec.ssd);
}

static void one_group(random_case *c)
{
    c->spec.ssd.n_h = c->spec.ssd.n_h > 0 ? 1 : 0;
    c->spec.ssd.n_g = c->spec.ssd.n_h;
}

static void no_limits(random_case *c)
{
    c->spec.ssd.least = c->spec.ssd.most = 0.0;
}

static void no_mamba(random_case *c)
{
    no_mixer(c, CORE_MIXER_MAMBA);
    memset(&c->spec.mamba, 0, sizeof c->spec.mamba);
}

static void no_rows(random_case *c)
{
    core_deltanet *s = &c->spec.deltanet;
    s->by_row = s->sigmoid_gate = false;
    s->n_dt_rank = s->n_gate_rank = 0;
    s->floor = 0.0;
}

static void no_look_back(random_case *c)
{
    c->spec.attn_res.n_block = 0;
    c->spec.norm_de = false;
}

static void no_deltanet(random_case *c)
{
    for (int l = 0; l < CORE_MAX_LAYERS; l++)
        if (c->spec.mixer[l] == CORE_MIXER_DELTANET)
            c->spec.mixer[l] = CORE_MIXER_ATTENTION;
    memset(&c->spec.deltanet, 0, sizeof c->spec.deltanet);
}

static void no_shortconv(random_case *c)
{
    for (int l = 0; l < CORE_MAX_LAYERS; l++)
        if (c->spec.mixer[l] == CORE_MIXER_SHORTCONV)
            c->spec.mixer[l] = CORE_MIXER_ATTENTION;
    c->spec.shortconv = (core_shortconv){0};
}

static void no_most(random_case *c)
{
    memset(c->spec.expert_most, 0, sizeof c->spec.expert_most);
    memset(c->spec.mlp_most, 0, sizeof c->spec.mlp_most);
}

static void no_sum_eps(random_case *c) { c->spec.sum_eps = 0.0; }
static void no_context_gate(random_case *c) { c->spec.context_gate = false; }

static void usual_clamp(random_case *c)
{
    c->spec.act_alpha = c->spec.act_limit = 0.0;
}

static void no_choice(random_case *c)
{
    memset(c->spec.sight, CORE_SIGHT_SPAN, sizeof c->spec.sight);
    memset(&c->spec.indexer, 0, sizeof c->spec.indexer);
    memset(&c->spec.block_index, 0, sizeof c->spec.block_index);
    c->spec.n_seen = 0;
}

static void no_latent(random_case *c)
{
    c->spec.n_kv_rank = c->spec.n_q_rank = c->spec.n_dv = c->spec.n_rot = 0;
}

static void no_spans(random_case *c)
{
    memset(c->spec.span, CORE_SPAN_WINDOW, sizeof c->spec.span);
    c->spec.sliding_window = c->spec.chunk = 0;
}

static void all_rope(random_case *c)
{
    memset(c->spec.no_rope, 0, sizeof c->spec.no_rope);
    c->spec.temper_scale = 0.0;
}

static void no_groups(random_case *c)
{
    c->spec.n_group = c->spec.n_group_kept = 0;
}

static void plain_router(random_case *c)
{
    no_groups(c);
    c->spec.router = CORE_ROUTER_SOFTMAX;
    c->spec.correction = false;
}

static void plain_experts(random_case *c)
{
    c->spec.gated = false;
    c->spec.act = CORE_ACT_GELU;
}

static void top_1(random_case *c)
{
    c->spec.n_k = 1;
    c->spec.renormalise = false;
}

static void no_narrow(random_case *c) { c->spec.n_de = 0; }

static void no_shared(random_case *c)
{
    c->spec.n_f_shared = 0;
    c->spec.shared_gate = c->spec.branch_norm = false;
}

static void no_clamp(random_case *c)
{
    if (core_act_is_clamped(c->spec.act))
        c->spec.act = CORE_ACT_SILU;
    c->spec.act_alpha = c->spec.act_limit = 0.0;
}

static void no_norm_kind(random_case *c) { c->spec.norm = CORE_NORM_RMS; }
static void no_rotated(random_case *c)
{
    c->spec.n_rot = c->spec.rope.n_turned = 0;
}

static void no_interleave(random_case *c) { c->spec.rope.interleaved = false; }
static void no_qk_norm(random_case *c) { c->spec.qk_norm = CORE_QK_NORM_NONE; }
static void no_clip(random_case *c) { c->spec.clip_qkv = 0.0; }
static void no_sinks(random_case *c) { c->spec.sinks = false; }
static void no_score_scale(random_case *c) { c->spec.score_scale = 0.0; }
static void no_temper(random_case *c) { c->spec.temper_scale = 0.0; }
static void no_correction(random_case *c) { c->spec.correction = false; }
static void no_routed_scale(random_case *c) { c->spec.routed_scale = 1.0; }
static void no_renormalise(random_case *c) { c->spec.renormalise = false; }
static void weigh_output(random_case *c) { c->spec.weigh_input = false; }
static void no_shared_gate(random_case *c) { c->spec.shared_gate = false; }
static void no_twins(random_case *c) { c->spec.twin_expert = -1; }
static void no_embed_scale(random_case *c) { c->spec.embed_scale = 1.0; }
static void no_residual(random_case *c) { c->spec.residual_scale = 1.0; }
static void no_divisor(random_case *c) { c->spec.logits_divisor = 1.0; }
static void no_tie(random_case *c) { c->spec.tied = false; }
static void no_qkv_bias(random_case *c) { c->spec.bias_qkv = false; }
static void no_o_bias(random_case *c) { c->spec.bias_o = false; }
static void no_router_bias(random_case *c) { c->spec.bias_router = false; }
static void no_ffn_bias(random_case *c) { c->spec.bias_ffn = false; }
static void no_mlp_bias(random_case *c) { c->spec.bias_mlp = false; }
static void no_head_bias(random_case *c) { c->spec.bias_head = false; }
static void no_conv_bias(random_case *c) { c->spec.mamba.bias_conv = false; }
static void no_proj_bias(random_case *c) { c->spec.mamba.bias_proj = false; }

static void no_post_norm(random_case *c) { c->spec.post_norm = false; }
static void no_branch_norm(random_case *c) { c->spec.branch_norm = false; }
static void no_layer_scale(random_case *c) { c->spec.layer_scale = false; }
static void no_router_norm(random_case *c) { c->spec.router_norm = false; }
static void no_expert_scale(random_case *c) { c->spec.expert_scale = false; }
static void no_cap(random_case *c) { c->spec.logits_cap = 0.0; }
static void no_value_norm(random_case *c) { c->spec.value_norm = false; }

static void own_values(random_case *c)
{
    c->spec.v_is_k = c->spec.other.v_is_k = false;
}

static void all_turn(random_case *c)
{
    c->spec.rope.n_turned = c->spec.other.rope.n_turned = 0;
}

static void no_streams(random_case *c) { c->spec.hyper = (core_hyper){0}; }

static void no_table(random_case *c)
{
    memset(c->spec.by_table, 0, sizeof c->spec.by_table);
}

static void no_digests(random_case *c)
{
    memset(c->spec.digest, CORE_DIGEST_NONE, sizeof c->spec.digest);
    memset(c->spec.sight, CORE_SIGHT_SPAN, sizeof c->spec.sight);
    memset(&c->spec.digests, 0, sizeof c->spec.digests);
    c->spec.n_seen = 0;
}

static void no_output_groups(random_case *c)
{
    c->spec.o_groups = (core_o_groups){0};
}

static void own_keys(random_case *c)
{
    if (!c->spec.one_kv)
        return;
    no_digests(c);
    no_output_groups(c);
    c->spec.one_kv = false;
    c->spec.n_q_rank = 0;
}

static void no_drops(random_case *c)
{
    c->spec.capacity.rule = CORE_CAPACITY_NONE;
    c->spec.capacity.domain = CORE_DOMAIN_GROUP;
    c->spec.capacity.priority = CORE_PRIORITY_POSITION;
}

static const simplify STEP[] = {
    no_stages,       no_placement,   no_padding,       no_expert_mesh,
    no_pp,           no_tp,          two_tp,           no_dp,
    no_ep,           no_etp,         by_stage,         no_rounds,
    no_virtual,      no_overlap,     no_sums,
    no_micro,        half_rows,      half_tokens,      drop_first,
    drop_last,       drop_second,    no_dense,         no_mamba,
    no_latent,       no_spans,       all_rope,         plain_router,
    no_groups,       no_correction,  no_routed_scale,  top_1,
    no_renormalise,  weigh_output,   no_shared,        no_shared_gate,
    plain_experts,   no_clamp,       no_norm_kind,     no_rotated,
    no_interleave,   no_qk_norm,     no_clip,          no_sinks,
    no_score_scale,  no_temper,      no_twins,         no_embed_scale,
    no_residual,     no_divisor,     no_tie,           no_qkv_bias,
    no_o_bias,       no_router_bias, no_ffn_bias,      no_rows,
    no_look_back,    no_deltanet,    no_context_gate,  no_head_bias,
    no_conv_bias,    no_proj_bias,   no_drops,         both_parts,
    no_narrow,       no_ssd,         one_group,        no_limits,
    no_mlp_bias,     no_shortconv,   no_sum_eps,       no_most,
    no_post_norm,    no_branch_norm, no_layer_scale,   no_router_norm,
    no_expert_scale, no_cap,         no_value_norm,    own_values,
    all_turn,        no_choice,      usual_clamp,      no_streams,
    no_table,        no_digests,     no_output_groups, own_keys,
    no_sp,           no_cp,          gather_cp,
};
enum { N_STEP = sizeof STEP / sizeof *STEP };

int random_case_simpler(random_case *out, const random_case *c, int i)
{
    if (i >= N_STEP)
        return -1;
    memcpy(out, c, sizeof *out); /* with its padding: compared below */
    STEP[i](out);
    if (memcmp(out, c, sizeof *out) == 0)
        return 0;
    par_plan_format(&out->plan, out->plan.text);
    core_status status = core_spec_validate(&out->spec);
    if (status == CORE_OK)
        status = par_plan_check(&out->plan, &out->spec);
    core_message_clear();
    return status == CORE_OK ? 1 : 0;
}
