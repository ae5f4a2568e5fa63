/* core/model/operators/hyper.h -- hyper-connections: a token has n streams.
 *
 * What stands in the place of x + f(norm x): each part of a layer reads a sum
 * of the streams and adds to all of them, which mix at the same time; all three
 * by weights made from the streams themselves.  The head reads such a sum, too.
 */
#ifndef CORE_OPERATORS_HYPER_H
#define CORE_OPERATORS_HYPER_H

typedef struct core_hyper {
    int64_t n;       /* streams of a token, 0: one, and a plain sum           */
    int64_t n_round; /* of dividing by the sums of rows, then of columns      */
    double eps;      /* added to what is read and to every such sum           */
} core_hyper;

#define CORE_HYPER_CHOSEN (s->hyper.n > 0)
#define CORE_HYPER_STREAMS (s->hyper.n)
/* Columns of a token's weights: reads | adds | mixes, row by row.            */
#define CORE_HYPER_WIDTH (s->hyper.n * (2 + s->hyper.n))
#define CORE_HYPER_SCALES 3
enum { CORE_HYPER_MOST = 16 }; /* streams */

#define CORE_HYPER_MIXER_HERE (CORE_HYPER_CHOSEN && CORE_MIXES)
#define CORE_HYPER_FFN_HERE (CORE_HYPER_CHOSEN && CORE_FEEDS)
#define CORE_HYPER_HEAD_HERE (CORE_HYPER_CHOSEN && CORE_ENDS_HERE)

#define CORE_HYPER_MIXER_TAPS(X)                                               \
    X(ATTN_MIX, "layers.%d.attn.mix", TOKEN, ACT, false,                       \
      CORE_HYPER_MIXER_HERE, CORE_HYPER_WIDTH, 0,                              \
      "scores of the streams before attention")                                \
    X(ATTN_STREAMS, "layers.%d.attn.streams", TOKEN, PROB, false,              \
      CORE_HYPER_MIXER_HERE, CORE_HYPER_WIDTH, 0,                              \
      "weights of the streams around attention")                               \
    X(ATTN_IN, "layers.%d.attn.in", TOKEN, ACT, false,                         \
      CORE_HYPER_MIXER_HERE, s->n_d, 0, "sum of the streams before attention")

#define CORE_HYPER_FFN_TAPS(X)                                                 \
    X(FFN_MIX, "layers.%d.ffn.mix", TOKEN, ACT, false,                         \
      CORE_HYPER_FFN_HERE, CORE_HYPER_WIDTH, 0,                                \
      "scores of the streams before the feed-forward part")                    \
    X(FFN_STREAMS, "layers.%d.ffn.streams", TOKEN, PROB, false,                \
      CORE_HYPER_FFN_HERE, CORE_HYPER_WIDTH, 0,                                \
      "weights of the streams around the feed-forward part")                   \
    X(FFN_IN, "layers.%d.ffn.in", TOKEN, ACT, false,                           \
      CORE_HYPER_FFN_HERE, s->n_d, 0,                                          \
      "sum of the streams before the feed-forward part")

#define CORE_HYPER_HEAD_TAPS(X)                                                \
    X(HEAD_MIX, "head.mix", TOKEN, ACT, false,                                 \
      CORE_HYPER_HEAD_HERE, s->hyper.n, 0,                                     \
      "scores of the streams before the head")                                 \
    X(HEAD_STREAMS, "head.streams", TOKEN, PROB, false,                        \
      CORE_HYPER_HEAD_HERE, s->hyper.n, 0,                                     \
      "weights of the streams before the head")                                \
    X(HEAD_IN, "head.in", TOKEN, ACT, false,                                   \
      CORE_HYPER_HEAD_HERE, s->n_d, 0, "sum of the streams before the head")

#define CORE_HYPER_MIXER_WEIGHTS(X)                                            \
    X(ATTN_MIX, LAYER, "layers.%d.attn.mix",                                   \
      CORE_HYPER_MIXER_HERE, CORE_HYPER_WIDTH, core_spec_n_x(s),               \
      MATRIX(1.5), NONE, MATRIX, "model.layers.%d.attn_hc.fn")                 \
    X(ATTN_MIX_BASE, LAYER, "layers.%d.attn.mix_base",                         \
      CORE_HYPER_MIXER_HERE, 1, CORE_HYPER_WIDTH,                              \
      BIAS, NONE, VECTOR, "model.layers.%d.attn_hc.base")                      \
    X(ATTN_MIX_SCALE, LAYER, "layers.%d.attn.mix_scale",                       \
      CORE_HYPER_MIXER_HERE, 1, CORE_HYPER_SCALES,                             \
      NORM, NONE, VECTOR, "model.layers.%d.attn_hc.scale")

#define CORE_HYPER_FFN_WEIGHTS(X)                                              \
    X(FFN_MIX, LAYER, "layers.%d.ffn.mix",                                     \
      CORE_HYPER_FFN_HERE, CORE_HYPER_WIDTH, core_spec_n_x(s),                 \
      MATRIX(1.5), NONE, MATRIX, "model.layers.%d.ffn_hc.fn")                  \
    X(FFN_MIX_BASE, LAYER, "layers.%d.ffn.mix_base",                           \
      CORE_HYPER_FFN_HERE, 1, CORE_HYPER_WIDTH,                                \
      BIAS, NONE, VECTOR, "model.layers.%d.ffn_hc.base")                       \
    X(FFN_MIX_SCALE, LAYER, "layers.%d.ffn.mix_scale",                         \
      CORE_HYPER_FFN_HERE, 1, CORE_HYPER_SCALES,                               \
      NORM, NONE, VECTOR, "model.layers.%d.ffn_hc.scale")

#define CORE_HYPER_HEAD_WEIGHTS(X)                                             \
    X(HEAD_MIX, ONCE, "head.mix",                                              \
      CORE_HYPER_HEAD_HERE, s->hyper.n, core_spec_n_x(s),                      \
      MATRIX(1.5), NONE, MATRIX, "model.hc_head.hc_fn")                        \
    X(HEAD_MIX_BASE, ONCE, "head.mix_base",                                    \
      CORE_HYPER_HEAD_HERE, 1, s->hyper.n,                                     \
      BIAS, NONE, VECTOR, "model.hc_head.hc_base")                             \
    X(HEAD_MIX_SCALE, ONCE, "head.mix_scale",                                  \
      CORE_HYPER_HEAD_HERE, 1, 1,                                              \
      NORM, NONE, VECTOR, "model.hc_head.hc_scale")

#define CORE_HYPER_FIELDS(X)                                                   \
    X(HYPER_STREAMS, "hyper.streams", I64, hyper.n, true, true,                \
      "residual streams of a token (0: one, plainly added)")                   \
    X(HYPER_ROUNDS, "hyper.rounds", I64, hyper.n_round, CORE_HYPER_CHOSEN,     \
      false,                                                                   \
      "rounds of dividing by the sums of rows, then of columns")               \
    X(HYPER_EPS, "hyper.eps", REAL, hyper.eps, CORE_HYPER_CHOSEN, false,       \
      "added to each such sum")

#endif
