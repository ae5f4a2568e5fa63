/* core/model/operators/moe.h -- router, dispatch, experts, combine. */
#ifndef CORE_OPERATORS_MOE_H
#define CORE_OPERATORS_MOE_H

#define CORE_MOE_HERE (core_spec_is_moe(s, l))
/* Routers whose scores are values of all experts.                            */
#define CORE_PROBS_HERE (CORE_MOE_HERE && core_router_scores_all(s->router))

/* Experts of another width than the stream's: into it before rows travel, out
 * of it when a token's rows are added up.                                    */
#define CORE_NARROW_HERE (CORE_MOE_HERE && s->n_de > 0)
#define CORE_WIDE_NORM_HERE (CORE_NARROW_HERE && s->norm_de)

/* Routed and shared experts as branches: norms of their own.                 */
#define CORE_BRANCHES_HERE (CORE_MOE_HERE && s->branch_norm)
#define CORE_ROUTER_NORM_HERE (CORE_MOE_HERE && s->router_norm)

#define CORE_MOE_TAPS(X)                                                       \
    X(ROUTER_IN, "layers.%d.moe.router_in", TOKEN, ACT, false,                 \
      CORE_ROUTER_NORM_HERE, s->n_d, 0, "norm before the router")              \
    X(ROUTER_LOGITS, "layers.%d.router_logits", TOKEN, ACT, true,              \
      CORE_MOE_HERE, s->n_e, 0, "router scores")                               \
    X(ROUTER_PROBS, "layers.%d.moe.probs", TOKEN, PROB, false,                 \
      CORE_PROBS_HERE, s->n_e, 0, "router probabilities")                      \
    X(TOPK_IDX, "layers.%d.topk_idx", TOKEN, INT, true,                        \
      CORE_MOE_HERE, s->n_k, 0, "choice of experts")                           \
    X(TOPK_WEIGHT, "layers.%d.topk_weight", TOKEN, PROB, true,                 \
      CORE_MOE_HERE, s->n_k, 0, "weights of the chosen experts")               \
    X(SLOT, "layers.%d.moe.slot", TOKEN, INT, false,                           \
      CORE_MOE_HERE, s->n_k, 0, "capacity")                                    \
    X(MOE_NORM, "layers.%d.moe.norm", TOKEN, ACT, false,                       \
      CORE_BRANCHES_HERE, s->n_d, 0, "norm before the experts")                \
    X(NARROW, "layers.%d.moe.narrow", TOKEN, ACT, false,                       \
      CORE_NARROW_HERE, s->n_de, 0, "projection to the experts' width")        \
    X(RECV, "layers.%d.moe.recv", CHOICE, ACT, false,                          \
      CORE_MOE_HERE, core_spec_n_de(s), 0, "arrival of tokens at the experts")            \
    X(EXPERT_GATE, "layers.%d.moe.gate", CHOICE, ACT, false,                   \
      CORE_MOE_HERE && s->gated, s->n_f, 0, "expert gate projection")          \
    X(EXPERT_UP, "layers.%d.moe.up", CHOICE, ACT, false,                       \
      CORE_MOE_HERE, s->n_f, 0, "expert up projection")                        \
    X(EXPERT_ACT, "layers.%d.moe.act", CHOICE, ACT, false,                     \
      CORE_MOE_HERE, s->n_f, 0, "expert activation")                           \
    X(EXPERT_OUT, "layers.%d.moe.expert_out", CHOICE, ACT, false,              \
      CORE_MOE_HERE, core_spec_n_de(s), 0, "expert down projection")                      \
    X(BACK, "layers.%d.moe.back", CHOICE, ACT, false,                          \
      CORE_MOE_HERE, core_spec_n_de(s), 0, "return of the experts' results")              \
    X(COMBINE, "layers.%d.moe.combine", TOKEN, ACT, false,                     \
      CORE_MOE_HERE, core_spec_n_de(s), 0, "weighted sum of the experts") \
    X(WIDE_NORM, "layers.%d.moe.wide_norm", TOKEN, ACT, false,                 \
      CORE_WIDE_NORM_HERE, s->n_de, 0, "norm of the experts' sum")             \
    X(WIDE, "layers.%d.moe.wide", TOKEN, ACT, false,                           \
      CORE_NARROW_HERE, s->n_d, 0, "projection from the experts' width")       \
    X(MOE_POST, "layers.%d.moe.post_norm", TOKEN, ACT, false,                  \
      CORE_BRANCHES_HERE, s->n_d, 0, "norm after the experts")

#define CORE_MOE_WEIGHTS(X)                                                    \
    X(ROUTER, LAYER, "layers.%d.router", CORE_MOE_HERE, s->n_e, s->n_d,        \
      MATRIX(2.5), ROUTER_BIAS, MATRIX, "model.layers.%d.mlp.gate.weight")     \
    X(ROUTER_BIAS, LAYER, "layers.%d.router_bias",                             \
      CORE_MOE_HERE && s->bias_router, 1, s->n_e, BIAS, NONE, VECTOR,          \
      "model.layers.%d.mlp.gate.bias")                                         \
    X(CORRECTION, LAYER, "layers.%d.router_correction",                        \
      CORE_MOE_HERE && s->correction && !core_spec_by_table(s, l), 1, s->n_e,  \
      SMALL, NONE, VECTOR,                                                     \
      "model.layers.%d.mlp.gate.e_score_correction_bias")                      \
    X(EXPERT_TABLE, LAYER, "layers.%d.router_table",                           \
      core_spec_by_table(s, l), s->n_v, s->n_k,                                \
      EXPERTS, NONE, MATRIX, "model.layers.%d.mlp.gate.tid2eid")               \
    X(ROUTER_NORM, LAYER, "layers.%d.router_norm",                             \
      CORE_ROUTER_NORM_HERE, 1, s->n_d, NORM, NONE, VECTOR,                    \
      "model.layers.%d.router.scale")                                          \
    X(EXPERT_SCALE, LAYER, "layers.%d.router_expert_scale",                    \
      CORE_MOE_HERE && s->expert_scale, 1, s->n_e, NORM, NONE, VECTOR,         \
      "model.layers.%d.router.per_expert_scale")                               \
    X(MOE_NORM, LAYER, "layers.%d.moe.norm",                                   \
      CORE_BRANCHES_HERE, 1, s->n_d, STREAM_NORM, NONE, VECTOR,                \
      "model.layers.%d.pre_feedforward_layernorm_2.weight")                    \
    X(MOE_POST, LAYER, "layers.%d.moe.post_norm",                              \
      CORE_BRANCHES_HERE, 1, s->n_d, STREAM_NORM, NONE, VECTOR,                \
      "model.layers.%d.post_feedforward_layernorm_2.weight")                   \
    X(NARROW, LAYER, "layers.%d.moe.narrow", CORE_NARROW_HERE, s->n_de, s->n_d,\
      MATRIX(1.0), NARROW_BIAS, MATRIX,                                        \
      "model.layers.%d.mlp.fc1_latent_proj.weight")                            \
    X(NARROW_BIAS, LAYER, "layers.%d.moe.narrow_bias",                         \
      CORE_NARROW_HERE && s->bias_mlp, 1, s->n_de, BIAS, NONE, VECTOR,         \
      "model.layers.%d.mlp.fc1_latent_proj.bias")                              \
    X(WIDE_NORM, LAYER, "layers.%d.moe.wide_norm", CORE_WIDE_NORM_HERE,        \
      1, s->n_de, NORM, NONE, VECTOR,                                          \
      "model.layers.%d.mlp.routed_expert_norm.weight")                         \
    X(WIDE, LAYER, "layers.%d.moe.wide", CORE_NARROW_HERE, s->n_d, s->n_de,    \
      MATRIX(1.5), WIDE_BIAS, MATRIX,                                          \
      "model.layers.%d.mlp.fc2_latent_proj.weight")                            \
    X(WIDE_BIAS, LAYER, "layers.%d.moe.wide_bias",                             \
      CORE_NARROW_HERE && s->bias_mlp, 1, s->n_d, BIAS, NONE, VECTOR,          \
      "model.layers.%d.mlp.fc2_latent_proj.bias")                              \
    X(EXPERT_GATE, EXPERT, "layers.%d.experts.%d.gate",                        \
      CORE_MOE_HERE && s->gated, s->n_f, core_spec_n_de(s),                               \
      MATRIX(1.0), EXPERT_GATE_BIAS, MATRIX,                                   \
      "model.layers.%d.mlp.experts.%d.gate_proj.weight")                       \
    X(EXPERT_UP, EXPERT, "layers.%d.experts.%d.up",                            \
      CORE_MOE_HERE, s->n_f, core_spec_n_de(s),                                \
      MATRIX(1.0), EXPERT_UP_BIAS, MATRIX,                                     \
      "model.layers.%d.mlp.experts.%d.up_proj.weight")                         \
    X(EXPERT_DOWN, EXPERT, "layers.%d.experts.%d.down",                        \
      CORE_MOE_HERE, core_spec_n_de(s), s->n_f,                                \
      MATRIX(2.0), EXPERT_DOWN_BIAS, MATRIX,                                   \
      "model.layers.%d.mlp.experts.%d.down_proj.weight")                       \
    X(EXPERT_GATE_BIAS, EXPERT, "layers.%d.experts.%d.gate_bias",              \
      CORE_MOE_HERE && s->gated && s->bias_ffn, 1, s->n_f,                     \
      BIAS, NONE, VECTOR, "model.layers.%d.mlp.experts.%d.gate_proj.bias")     \
    X(EXPERT_UP_BIAS, EXPERT, "layers.%d.experts.%d.up_bias",                  \
      CORE_MOE_HERE && s->bias_ffn, 1, s->n_f, BIAS, NONE, VECTOR,             \
      "model.layers.%d.mlp.experts.%d.up_proj.bias")                           \
    X(EXPERT_DOWN_BIAS, EXPERT, "layers.%d.experts.%d.down_bias",              \
      CORE_MOE_HERE && s->bias_ffn, 1, core_spec_n_de(s), BIAS, NONE, VECTOR,  \
      "model.layers.%d.mlp.experts.%d.down_proj.bias")

#endif
