/* core/model/operators/digest.h -- digests: one key-value vector for m tokens.
 *
 * Beside the keys of its window a query attends to digests of whole runs of m
 * tokens before it: to all of them, or to those that a scorer of its own picks,
 * which has digests of its own, too.  A digest is a sum of its tokens' vectors,
 * weighed channel by channel.  Where they are picked it reaches over the run
 * before, too: every token has two vectors, one for its own run's digest and one
 * for the next.
 *
 * In a tap row t holds the digest that token t sees last, zeros if none.
 */
#ifndef CORE_OPERATORS_DIGEST_H
#define CORE_OPERATORS_DIGEST_H

typedef enum core_digest {
    CORE_DIGEST_NONE,
    CORE_DIGEST_ALL,  /* the layer's queries see all of them                  */
    CORE_DIGEST_BEST, /* those that are picked for them                       */
} core_digest;

typedef struct core_digests {
    int64_t n_all, n_best; /* tokens of a run, in layers of the two kinds     */
    int64_t n_ph, n_pd;    /* heads of the scorer, elements of one            */
} core_digests;

#define CORE_DIGEST_HERE                                                       \
    (CORE_ATTENTION_HERE && s->digest[l] != CORE_DIGEST_NONE)
#define CORE_PICK_HERE (CORE_ATTENTION_HERE && s->digest[l] == CORE_DIGEST_BEST)
#define CORE_PICKER_CHOSEN (s->digests.n_ph > 0)
#define CORE_PICKER_SETS 1
#define CORE_PICKER_WIDE 1
#define CORE_PICKER_TAKES_PADDING true
/* per pair of query and key                                                  */
#define CORE_PICKER_PAIR_FLOPS                                                 \
    (2.0 * (double)CORE_PICK_HEADS / (double)s->digests.n_best)
/* Vectors of a token, and of both: their columns.                            */
#define CORE_DIGEST_COLS (core_spec_digest_vectors(s, l) * CORE_DH)
#define CORE_PICK_COLS (2 * s->digests.n_pd)
#define CORE_PICK_HEADS (s->digests.n_ph * s->digests.n_pd)

#define CORE_DIGEST_TAPS(X)                                                    \
    X(DIGEST_KV, "layers.%d.attn.digest_kv", TOKEN, ACT, false,                \
      CORE_DIGEST_HERE, CORE_DIGEST_COLS, 0, "what digests are made of")       \
    X(DIGEST_GATE, "layers.%d.attn.digest_gate", TOKEN, ACT, false,            \
      CORE_DIGEST_HERE, CORE_DIGEST_COLS, 0, "scores within digests")          \
    X(DIGEST, "layers.%d.attn.digest", TOKEN, ACT, false,                      \
      CORE_DIGEST_HERE, CORE_DH, 0, "digests")                                 \
    X(DIGEST_NORM, "layers.%d.attn.digest_norm", TOKEN, ACT, false,            \
      CORE_DIGEST_HERE, CORE_DH, 0, "norm of the digests")                     \
    X(DIGEST_ROPE, "layers.%d.attn.digest_rope", TOKEN, ACT, false,            \
      CORE_DIGEST_HERE, CORE_DH, 0, "rotation of the digests")                 \
    X(PICK_Q, "layers.%d.attn.pick_q", TOKEN, ACT, false,                      \
      CORE_PICK_HERE, CORE_PICK_HEADS, s->digests.n_ph,                        \
      "the scorer's query projection")                                         \
    X(PICK_Q_ROPE, "layers.%d.attn.pick_q_rope", TOKEN, ACT, false,            \
      CORE_PICK_HERE, CORE_PICK_HEADS, s->digests.n_ph,                        \
      "rotation of the scorer's queries")                                      \
    X(PICK_KV, "layers.%d.attn.pick_kv", TOKEN, ACT, false,                    \
      CORE_PICK_HERE, CORE_PICK_COLS, 0,                                       \
      "what the scorer's digests are made of")                                 \
    X(PICK_GATE, "layers.%d.attn.pick_gate", TOKEN, ACT, false,                \
      CORE_PICK_HERE, CORE_PICK_COLS, 0, "scores within the scorer's digests") \
    X(PICK, "layers.%d.attn.pick", TOKEN, ACT, false,                          \
      CORE_PICK_HERE, s->digests.n_pd, 0, "the scorer's digests")              \
    X(PICK_NORM, "layers.%d.attn.pick_norm", TOKEN, ACT, false,                \
      CORE_PICK_HERE, s->digests.n_pd, 0, "norm of the scorer's digests")      \
    X(PICK_ROPE, "layers.%d.attn.pick_rope", TOKEN, ACT, false,                \
      CORE_PICK_HERE, s->digests.n_pd, 0, "rotation of the scorer's digests")  \
    X(PICK_WEIGHT, "layers.%d.attn.pick_weight", TOKEN, ACT, false,            \
      CORE_PICK_HERE, s->digests.n_ph, 0, "weights of the scorer's heads")

#define CORE_DIGEST_FILE "model.layers.%d.self_attn.compressor."
#define CORE_PICK_FILE CORE_DIGEST_FILE "indexer."

#define CORE_DIGEST_WEIGHTS(X)                                                 \
    X(DIGEST_KV, LAYER, "layers.%d.attn.digest_kv",                            \
      CORE_DIGEST_HERE, CORE_DIGEST_COLS, s->n_d,                              \
      MATRIX(1.0), NONE, MATRIX, CORE_DIGEST_FILE "kv_proj.weight")            \
    X(DIGEST_GATE, LAYER, "layers.%d.attn.digest_gate",                        \
      CORE_DIGEST_HERE, CORE_DIGEST_COLS, s->n_d,                              \
      MATRIX(1.5), NONE, MATRIX, CORE_DIGEST_FILE "gate_proj.weight")          \
    X(DIGEST_BIAS, LAYER, "layers.%d.attn.digest_bias",                        \
      CORE_DIGEST_HERE, core_spec_digest_run(s, l), CORE_DIGEST_COLS,          \
      BIAS, NONE, MATRIX, CORE_DIGEST_FILE "position_bias")                    \
    X(DIGEST_NORM, LAYER, "layers.%d.attn.digest_norm",                        \
      CORE_DIGEST_HERE, 1, CORE_DH,                                            \
      NORM, NONE, VECTOR, CORE_DIGEST_FILE "kv_norm.weight")                   \
    X(PICK_Q, LAYER, "layers.%d.attn.pick_q",                                  \
      CORE_PICK_HERE, CORE_PICK_HEADS, s->n_q_rank,                            \
      MATRIX(1.5), NONE, MATRIX, CORE_PICK_FILE "q_b_proj.weight")             \
    X(PICK_KV, LAYER, "layers.%d.attn.pick_kv",                                \
      CORE_PICK_HERE, CORE_PICK_COLS, s->n_d,                                  \
      MATRIX(1.0), NONE, MATRIX, CORE_PICK_FILE "kv_proj.weight")              \
    X(PICK_GATE, LAYER, "layers.%d.attn.pick_gate",                            \
      CORE_PICK_HERE, CORE_PICK_COLS, s->n_d,                                  \
      MATRIX(1.5), NONE, MATRIX, CORE_PICK_FILE "gate_proj.weight")            \
    X(PICK_BIAS, LAYER, "layers.%d.attn.pick_bias",                            \
      CORE_PICK_HERE, core_spec_digest_run(s, l), CORE_PICK_COLS,              \
      BIAS, NONE, MATRIX, CORE_PICK_FILE "position_bias")                      \
    X(PICK_NORM, LAYER, "layers.%d.attn.pick_norm",                            \
      CORE_PICK_HERE, 1, s->digests.n_pd,                                      \
      NORM, NONE, VECTOR, CORE_PICK_FILE "kv_norm.weight")                     \
    X(PICK_WEIGHT, LAYER, "layers.%d.attn.pick_weight",                        \
      CORE_PICK_HERE, s->digests.n_ph, s->n_d,                                 \
      MATRIX(1.0), NONE, MATRIX, CORE_PICK_FILE "scorer.weights_proj.weight")

#define CORE_DIGEST_FIELDS(X)                                                  \
    X(DIGEST_ALL, "digests.all", I64, digests.n_all, true, true,               \
      "tokens of a run where queries see all digests (0)")                     \
    X(DIGEST_BEST, "digests.best", I64, digests.n_best, true, true,            \
      "tokens of a run where digests are picked (0)")                          \
    X(DIGEST_HEADS, "digests.scorer_heads", I64, digests.n_ph, true, true,     \
      "heads of what picks them (0)")                                          \
    X(DIGEST_SIZE, "digests.scorer_size", I64, digests.n_pd, true, true,       \
      "elements of such a head (0)")

#endif
