/* core/model/operators/context_gate.h -- what attention gives times a sigmoid of
 * the layer's input, element by element or head by head.
 */
#ifndef CORE_OPERATORS_CONTEXT_GATE_H
#define CORE_OPERATORS_CONTEXT_GATE_H

#define CORE_CONTEXT_GATE_HERE (CORE_ATTENTION_HERE && s->context_gate)
#define CORE_CONTEXT_COLS (CORE_H * CORE_DV)
/* A score for every element, or for every head.                              */
#define CORE_CONTEXT_SCORES (s->gate_per_head ? CORE_H : CORE_CONTEXT_COLS)

/* One for every element has the bias of the queries, whose file tensor it
 * shares; one for a head has none.                                           */
#define CORE_CONTEXT_GATE_BIAS_HERE                                            \
    (CORE_CONTEXT_GATE_HERE && s->bias_qkv && !s->gate_per_head)

#define CORE_CONTEXT_GATE_TAPS(X)                                              \
    X(CONTEXT_GATE, "layers.%d.attn.gate", TOKEN, ACT, false,                  \
      CORE_CONTEXT_GATE_HERE, CORE_CONTEXT_SCORES, CORE_H,                     \
      "attention gate projection")                                             \
    X(CONTEXT_SCORE, "layers.%d.attn.gate_score", TOKEN, PROB, false,          \
      CORE_CONTEXT_GATE_HERE, CORE_CONTEXT_SCORES, CORE_H,                     \
      "score of the attention gate")                                           \
    X(CONTEXT_GATED, "layers.%d.attn.gated", TOKEN, ACT, false,                \
      CORE_CONTEXT_GATE_HERE, CORE_CONTEXT_COLS, CORE_H, "attention gate")

#define CORE_CONTEXT_GATE_WEIGHTS(X)                                           \
    X(CONTEXT_GATE, LAYER, "layers.%d.attn.gate",                              \
      CORE_CONTEXT_GATE_HERE, CORE_CONTEXT_SCORES, s->n_d,                     \
      MATRIX(1.5), CONTEXT_GATE_BIAS, MATRIX,                                  \
      "model.layers.%d.self_attn.g_proj.weight")                               \
    X(CONTEXT_GATE_BIAS, LAYER, "layers.%d.attn.gate_bias",                    \
      CORE_CONTEXT_GATE_BIAS_HERE, 1, CORE_CONTEXT_SCORES,                     \
      BIAS, NONE, VECTOR, "model.layers.%d.self_attn.g_proj.bias")

#define CORE_CONTEXT_GATE_FIELDS(X)                                            \
    X(CONTEXT_GATE, "attention.gate", FLAG, context_gate, true, true,          \
      "what attention gives times a sigmoid of the layer's input (false)")     \
    X(GATE_PER_HEAD, "attention.gate_per_head", FLAG, gate_per_head,           \
      s->context_gate, true,                                                   \
      "one such score for a head, not for an element (false)")

#endif
