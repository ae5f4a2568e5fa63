/* core/model/operators/shared_gate.h -- shared expert times sigmoid(xn . g). */
#ifndef CORE_OPERATORS_SHARED_GATE_H
#define CORE_OPERATORS_SHARED_GATE_H

#define CORE_SHARED_GATE_HERE                                                  \
    (s->shared_gate && core_spec_is_moe(s, l) && core_spec_n_mlp(s, l) > 0)

#define CORE_SHARED_GATE_TAPS(X)                                               \
    X(SHARED_LOGIT, "layers.%d.mlp.score_logit", TOKEN, ACT, false,            \
      CORE_SHARED_GATE_HERE, 1, 0, "logit of the shared expert")               \
    X(SHARED_SCORE, "layers.%d.mlp.score", TOKEN, PROB, false,                 \
      CORE_SHARED_GATE_HERE, 1, 0, "score of the shared expert")               \
    X(SHARED_WEIGHTED, "layers.%d.mlp.weighted", TOKEN, ACT, false,            \
      CORE_SHARED_GATE_HERE, s->n_d, 0, "weighted shared expert")

#define CORE_SHARED_GATE_WEIGHTS(X)                                            \
    X(SHARED_GATE, LAYER, "layers.%d.mlp.score",                               \
      CORE_SHARED_GATE_HERE, 1, s->n_d, MATRIX(1.0), NONE, MATRIX,             \
      "model.layers.%d.mlp.shared_expert_gate.weight")

#define CORE_SHARED_GATE_FIELDS(X)                                             \
    X(SHARED_GATE, "shared_gate", FLAG, shared_gate, true, true,               \
      "the shared expert times a sigmoid of the layer's input (false)")

#endif
