/* core/model/spec_validate.c -- is this a model at all?
 *
 * Every parser ends here, so that the rest of the program never meets a size
 * that overflows, a head that cannot be halved for RoPE or an expert that is
 * its own twin.  Messages use the words of our own spec file.  Sizes are
 * bounded by 2^31 - 1: products of two then fit 64 bits, and BLAS takes them;
 * all parameters together by 2^50, so that their bytes can be counted.
 */
#include "core/model/spec_impl.h"

#include "core/model/elementary.h"
#include "core/model/weight_list.h"

#include <math.h>

/* Beyond these no fp32 computes: a file that holds such a number is damaged. */
static const double LEAST = 1e-30, MOST = 1e30;

static core_status check_positive(const core_spec *spec, const char *what,
                                  double value)
{
    CORE_FAIL_IF(!(value >= LEAST && value <= MOST), CORE_E_SPEC,
                 "%s: %s %g, expected a positive number from %g to %g",
                 spec->name, what, value, LEAST, MOST);
    return CORE_OK;
}

static core_status check_rope(const core_spec *spec, int kind)
{
    const core_heads heads = core_spec_heads_of(spec, kind);
    const core_rope *rope = &heads.rope;
    bool any = false;
    for (int l = 0; l < (int)spec->n_l; l++)
        any =
            any || (spec->head_kind[l] == kind && core_spec_has_rope(spec, l));
    if (!any)
        return CORE_OK;
    CORE_FAIL_IF(heads.n_rot % 2 != 0, CORE_E_SPEC,
                 "%s: %s %lld, expected an even number", spec->name,
                 heads.n_rot < heads.n_dh ? "rotated" : "head_size",
                 (long long)heads.n_rot);
    CORE_TRY(core__check_size(spec, kind == 0 ? "rope.turned" : "other.turned",
                              rope->n_turned, 0, heads.n_rot / 2));
    CORE_TRY(check_positive(spec, "rope.theta", rope->theta));
    if (rope->scaling == CORE_ROPE_PLAIN)
        return CORE_OK;
    CORE_TRY(check_positive(spec, "rope.factor", rope->factor));
    if (rope->scaling == CORE_ROPE_LINEAR)
        return CORE_OK;
    CORE_TRY(check_positive(spec, "rope.original_positions",
                            rope->original_positions));
    if (rope->scaling == CORE_ROPE_LLAMA3) {
        CORE_TRY(check_positive(spec, "rope.low_freq", rope->low_freq));
        CORE_FAIL_IF(
            !(rope->high_freq >= rope->low_freq && isfinite(rope->high_freq)),
            CORE_E_SPEC,
            "%s: rope.high_freq %g, expected at least rope.low_freq %g",
            spec->name, rope->high_freq, rope->low_freq);
        return CORE_OK;
    }
    CORE_FAIL_IF(rope->theta == 1.0, CORE_E_SPEC,
                 "%s: rope.theta 1 has no logarithm to divide by in yarn",
                 spec->name);
    CORE_TRY(check_positive(spec, "rope.beta_fast", rope->beta_fast));
    CORE_TRY(check_positive(spec, "rope.beta_slow", rope->beta_slow));
    return check_positive(spec, "rope.attention_factor",
                          rope->attention_factor);
}

static core_status check_not_negative(const core_spec *spec, const char *what,
                                      double value)
{
    CORE_FAIL_IF(!(value >= 0.0 && value <= MOST), CORE_E_SPEC,
                 "%s: %s %g, expected 0 or a positive number up to %g",
                 spec->name, what, value, MOST);
    return CORE_OK;
}

/* What acts on queries, keys and scores. */
static core_status check_scores(const core_spec *spec)
{
    CORE_TRY(check_not_negative(spec, "attention.clip", spec->clip_qkv));
    CORE_TRY(
        check_not_negative(spec, "attention.value_scale", spec->value_scale));
    CORE_TRY(
        check_not_negative(spec, "attention.temper_scale", spec->temper_scale));
    if (spec->temper_scale > 0.0)
        CORE_TRY(
            check_positive(spec, "attention.temper_floor", spec->temper_floor));
    CORE_TRY(core__check_size(spec, "sliding_window", spec->sliding_window, 0,
                              INT32_MAX));
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(spec->qk_norm == CORE_QK_NORM_AFTER &&
                         core_spec_has_attention(spec, l) &&
                         !core_spec_has_rope(spec, l),
                     CORE_E_SPEC,
                     "%s: attention.qk_norm after needs rope, layer %d has none",
                     spec->name, l);
    for (int l = 0; l < (int)spec->n_l; l++)
        if (spec->span[l] == CORE_SPAN_CHUNK)
            return core__check_size(spec, "chunk", spec->chunk, 1, INT32_MAX);
    return CORE_OK;
}

/* Fields of the second kind are called as those of the first, in `other`. */
static core_status check_size_of(const core_spec *spec, int kind,
                                 const char *what, int64_t value, int64_t least,
                                 int64_t most)
{
    char path[CORE_NAME_BYTES];
    snprintf(path, sizeof path, "%s%s", kind == 0 ? "" : "other.", what);
    return core__check_size(spec, path, value, least, most);
}

static core_status check_heads(const core_spec *spec, int kind)
{
    const core_heads h = core_spec_heads_of(spec, kind);
    const int64_t most = INT32_MAX;
    CORE_TRY(check_size_of(spec, kind, "heads", h.n_h, 1, most));
    CORE_TRY(check_size_of(spec, kind, "kv_heads", h.n_g, 1, h.n_h));
    CORE_TRY(check_size_of(spec, kind, "head_size", h.n_dh, 2, most / h.n_h));
    CORE_TRY(check_size_of(spec, kind, "value_size", h.n_dv, 1, most / h.n_h));
    CORE_TRY(check_size_of(spec, kind, "rotated", h.n_rot, 0, h.n_dh));
    CORE_FAIL_IF(h.n_h % h.n_g != 0, CORE_E_SPEC,
                 "%s: heads %lld, not a multiple of kv_heads %lld", spec->name,
                 (long long)h.n_h, (long long)h.n_g);
    CORE_TRY(check_not_negative(spec, "attention.scale", h.scale));
    CORE_FAIL_IF(h.v_is_k && (h.n_dv != h.n_dh || spec->clip_qkv > 0.0 ||
                              spec->n_kv_rank > 0),
                 CORE_E_SPEC,
                 "%s: %s goes with neither a value_size of its own nor "
                 "attention.clip nor latent keys",
                 spec->name,
                 kind == 0 ? "attention.values_are_keys"
                           : "other.values_are_keys");
    return check_rope(spec, kind);
}

/* A choice that is kept has been made. */
static core_status check_sight(const core_spec *spec)
{
    bool is_chosen = false;
    for (int l = 0; l < (int)spec->n_l; l++) {
        if (spec->sight[l] == CORE_SIGHT_SPAN)
            continue;
        CORE_FAIL_IF(!core_spec_has_attention(spec, l), CORE_E_SPEC,
                     "%s: sight of layer %d, which has no attention",
                     spec->name, l);
        is_chosen |= spec->sight[l] == CORE_SIGHT_CHOSEN;
        CORE_FAIL_IF(spec->sight[l] == CORE_SIGHT_CHOSEN &&
                         core_spec_chooser(spec, l) == CORE_N_CHOOSERS,
                     CORE_E_SPEC,
                     "%s: layer %d chooses keys, but the model has nothing to "
                     "choose by",
                     spec->name, l);
        CORE_FAIL_IF(!is_chosen, CORE_E_SPEC,
                     "%s: layer %d keeps a choice of keys that no layer before "
                     "it makes",
                     spec->name, l);
    }
    return is_chosen ? core__check_size(spec, "seen", spec->n_seen, 1, 1 << 20)
                     : core__check_size(spec, "seen", spec->n_seen, 0, 0);
}

static core_status check_attention(const core_spec *spec)
{
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++)
        CORE_TRY(check_heads(spec, kind));
    CORE_TRY(check_sight(spec));
    CORE_TRY(core__check_size(spec, "vocabulary", spec->n_v, 1, INT32_MAX));
    CORE_TRY(check_positive(spec, "scale.embedding", spec->embed_scale));
    CORE_TRY(check_positive(spec, "scale.residual", spec->residual_scale));
    CORE_TRY(
        check_positive(spec, "scale.logits_divisor", spec->logits_divisor));
    CORE_TRY(check_not_negative(spec, "scale.logits_cap", spec->logits_cap));
#define CHECK_OPERATOR(name) CORE_TRY(core__check_##name(spec));
    CORE_CHECK_LIST(CHECK_OPERATOR)
#undef CHECK_OPERATOR
    return check_scores(spec);
}

/* One Switch layer: the only model without attention. */
static core_status check_switch(const core_spec *spec)
{
    CORE_TRY(
        core__check_size(spec, "layers of a switch model", spec->n_l, 1, 1));
    CORE_TRY(
        core__check_size(spec, "heads of a switch model", spec->n_h, 0, 0));
    CORE_TRY(core__check_size(spec, "experts_per_token of a switch model",
                              spec->n_k, 1, 1));
    return core__check_size(spec, "switch_block", spec->switch_block, 0,
                            CORE_MAX_LAYERS - 1);
}

static core_status check_router(const core_spec *spec)
{
    CORE_TRY(check_positive(spec, "router.scale", spec->routed_scale));
    CORE_FAIL_IF(spec->correction && !core_router_scores_all(spec->router),
                 CORE_E_SPEC,
                 "%s: router.correction needs router.scores softmax, sigmoid "
                 "or sqrt_softplus",
                 spec->name);
    CORE_FAIL_IF(spec->expert_scale && spec->router != CORE_ROUTER_SIGMOID &&
                     spec->router != CORE_ROUTER_SOFTMAX,
                 CORE_E_SPEC,
                 "%s: router.expert_scale needs router.scores softmax or "
                 "sigmoid",
                 spec->name);
    CORE_TRY(check_not_negative(spec, "router.sum_floor", spec->sum_floor));
    CORE_TRY(check_not_negative(spec, "router.sum_eps", spec->sum_eps));
    if (spec->router == CORE_ROUTER_SPARSEMIXER) {
        CORE_TRY(core__check_size(spec, "experts_per_token of sparsemixer",
                                  spec->n_k, 2, 2));
        CORE_TRY(check_not_negative(spec, "router.jitter", spec->jitter));
    }
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(core_spec_by_table(spec, l) &&
                         (!core_router_scores_all(spec->router) ||
                          spec->n_h == 0),
                     CORE_E_SPEC,
                     "%s: layer %d: router.choice table needs tokens with ids, "
                     "and router.scores softmax, sigmoid or sqrt_softplus",
                     spec->name, l);
    CORE_TRY(
        core__check_size(spec, "router.groups", spec->n_group, 0, spec->n_e));
    if (spec->n_group == 0)
        return CORE_OK;
    CORE_FAIL_IF(!core_router_scores_all(spec->router), CORE_E_SPEC,
                 "%s: router.groups needs router.scores softmax, sigmoid or "
                 "sqrt_softplus",
                 spec->name);
    CORE_FAIL_IF(spec->n_e % spec->n_group != 0, CORE_E_SPEC,
                 "%s: experts %lld, not a multiple of router.groups %lld",
                 spec->name, (long long)spec->n_e, (long long)spec->n_group);
    CORE_TRY(core__check_size(spec, "router.groups_kept", spec->n_group_kept, 1,
                              spec->n_group));
    const int64_t of_group = spec->n_e / spec->n_group;
    CORE_FAIL_IF(spec->group_score == CORE_GROUP_SCORE_BEST_TWO && of_group < 2,
                 CORE_E_SPEC,
                 "%s: groups of one expert have no two best to add up",
                 spec->name);
    return core__check_size(spec, "experts_per_token of the kept groups",
                            spec->n_k, 1, spec->n_group_kept * of_group);
}

/* Of the product form, layer by layer. */
static core_status check_limits(const core_spec *spec, const char *field,
                                const double *limit)
{
    for (int l = 0; l < (int)spec->n_l; l++) {
        CORE_TRY(check_not_negative(spec, field, limit[l]));
        CORE_FAIL_IF(limit[l] > 0.0 &&
                         (!spec->gated || core_act_is_clamped(spec->act)),
                     CORE_E_SPEC,
                     "%s: %s: needs gated true, and an activation that is not "
                     "clamped",
                     spec->name, field);
    }
    return CORE_OK;
}

static core_status check_experts(const core_spec *spec)
{
    const int64_t most = INT32_MAX;
    CORE_TRY(core__check_size(spec, "experts", spec->n_e, 1, most));
    CORE_TRY(
        core__check_size(spec, "experts_per_token", spec->n_k, 1, spec->n_e));
    CORE_TRY(core__check_size(spec, "expert_inner", spec->n_f, 1, most));
    CORE_TRY(core__check_size(spec, "expert_width", spec->n_de, 0, most));
    CORE_TRY(core__check_size(spec, "shared_inner", spec->n_f_shared, 0, most));
    CORE_TRY(core__check_size(spec, "dense_inner", spec->n_f_dense, 0, most));
    CORE_FAIL_IF(core_act_is_clamped(spec->act) && !spec->gated, CORE_E_SPEC,
                 "%s: activation %s needs gated true", spec->name,
                 core_act_name((int)spec->act));
    CORE_FAIL_IF(spec->act == CORE_ACT_SITU &&
                     !(spec->act_alpha > 0.0 && spec->act_limit > 0.0),
                 CORE_E_SPEC,
                 "%s: activation situ needs activation_alpha and "
                 "activation_limit",
                 spec->name);
    CORE_TRY(check_not_negative(spec, "activation_alpha", spec->act_alpha));
    CORE_TRY(check_not_negative(spec, "activation_limit", spec->act_limit));
    CORE_TRY(check_limits(spec, "limits.experts", spec->expert_most));
    CORE_TRY(check_limits(spec, "limits.mlp", spec->mlp_most));
    CORE_FAIL_IF(spec->act == CORE_ACT_SIGMOID && !spec->gated, CORE_E_SPEC,
                 "%s: activation sigmoid needs gated true", spec->name);
    CORE_FAIL_IF(spec->act == CORE_ACT_RELU2 && spec->gated, CORE_E_SPEC,
                 "%s: activation relu2 needs gated false", spec->name);
    CORE_FAIL_IF(
        spec->weigh_input && spec->capacity.dropped == CORE_DROPPED_PASSTHROUGH,
        CORE_E_SPEC, "%s: router.weigh_input does not go with passthrough",
        spec->name);
    CORE_FAIL_IF(spec->n_de > 0 &&
                     spec->capacity.dropped == CORE_DROPPED_PASSTHROUGH,
                 CORE_E_SPEC, "%s: expert_width does not go with passthrough",
                 spec->name);
    CORE_TRY(check_router(spec));
    CORE_FAIL_IF(spec->twin_expert != -1 && (spec->twin_expert < 0 ||
                                             spec->twin_expert > spec->n_e - 2),
                 CORE_E_SPEC, "%s: twin_expert %d, expected -1 or 0 to %lld",
                 spec->name, spec->twin_expert, (long long)spec->n_e - 2);
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(spec->ffn[l] == CORE_FFN_DENSE && spec->n_f_dense == 0,
                     CORE_E_SPEC, "%s: layer %d is dense, but dense_inner is 0",
                     spec->name, l);
    return CORE_OK;
}

/* Norms beside the two of every layer. */
static core_status check_norms(const core_spec *spec)
{
    CORE_FAIL_IF(spec->norm == CORE_NORM_LAYER &&
                     (spec->post_norm || spec->branch_norm),
                 CORE_E_SPEC,
                 "%s: post_norm and branch_norm go with norm rms and "
                 "rms_plus_one alone",
                 spec->name);
    CORE_FAIL_IF(spec->branch_norm && spec->n_f_shared == 0, CORE_E_SPEC,
                 "%s: branch_norm needs a shared expert, shared_inner is 0",
                 spec->name);
    CORE_FAIL_IF(
        spec->branch_norm && spec->capacity.dropped == CORE_DROPPED_PASSTHROUGH,
        CORE_E_SPEC, "%s: branch_norm does not go with passthrough",
        spec->name);
    CORE_FAIL_IF(spec->value_norm && spec->n_kv_rank > 0, CORE_E_SPEC,
                 "%s: attention.value_norm does not go with latent keys",
                 spec->name);
    return CORE_OK;
}

static core_status check_parts(const core_spec *spec)
{
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(core_spec_mixer(spec, l) == CORE_N_MIXERS &&
                         !core_spec_has_ffn(spec, l),
                     CORE_E_SPEC,
                     "%s: layer %d has neither a mixer nor a feed-forward part",
                     spec->name, l);
    return CORE_OK;
}

static core_status check_capacity(const core_spec *spec)
{
    const core_capacity *c = &spec->capacity;
    if (c->rule == CORE_CAPACITY_FACTOR)
        return check_positive(spec, "capacity.factor", c->factor);
    if (c->rule == CORE_CAPACITY_ABSOLUTE)
        return core__check_size(spec, "capacity.slots", c->absolute, 1,
                                INT32_MAX);
    return CORE_OK;
}

static double parameters_of(const core_spec *spec, core_weight_kind kind, int l)
{
    const bool per_expert = core_weight_scope_of(kind) == CORE_SCOPE_EXPERT;
    const core_weight id = {kind, l, 0};
    int64_t n_row, n_col;
    if (!core_weight_exists(spec, id))
        return 0.0;
    core_weight_shape(spec, id, &n_row, &n_col);
    return (double)n_row * (double)n_col *
           (per_expert ? (double)spec->n_e : 1.0);
}

/* In double, where nothing overflows. */
static core_status check_total(const core_spec *spec)
{
    double n = 0.0;
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int kind = 0; kind < (int)CORE_N_WEIGHT_KINDS; kind++)
            n += parameters_of(spec, (core_weight_kind)kind, l);
    CORE_FAIL_IF(!(n <= 0x1p50), CORE_E_SPEC,
                 "%s: %.3g parameters, expected at most 2^50", spec->name, n);
    return CORE_OK;
}

core_status core_spec_validate(const core_spec *spec)
{
    CORE_TRY(core__check_size(spec, "layers", spec->n_l, 1, CORE_MAX_LAYERS));
    CORE_TRY(core__check_size(spec, "hidden", spec->n_d, 1, INT32_MAX));
    CORE_FAIL_IF(!(spec->norm_eps >= LEAST && spec->norm_eps <= 1.0),
                 CORE_E_SPEC, "%s: norm_eps %g, expected a number from %g to 1",
                 spec->name, spec->norm_eps, LEAST);
    CORE_TRY(spec->family == CORE_FAMILY_SWITCH ? check_switch(spec)
                                                : check_attention(spec));
    CORE_TRY(check_parts(spec));
    CORE_TRY(check_norms(spec));
    CORE_TRY(check_experts(spec));
    CORE_TRY(check_capacity(spec));
    return check_total(spec);
}
