/* core/model/operators/onekv.h -- one vector per token is the key and the value
 * of all heads.
 *
 * Queries come from a short vector and are normed head by head, without a
 * weight.  What is rotated are the last elements of a head, in the value, too:
 * so what attention gives is rotated back by the query's position.
 */
#ifndef CORE_OPERATORS_ONEKV_H
#define CORE_OPERATORS_ONEKV_H

#define CORE_ONEKV_CHOSEN (s->one_kv)
#define CORE_ONEKV_HERE (CORE_ATTENTION_HERE && CORE_ONEKV_CHOSEN)

#define CORE_ONEKV_TAPS(X)                                                     \
    X(CONTEXT_BACK, "layers.%d.attn.context_back", TOKEN, ACT, false,          \
      CORE_ONEKV_HERE, CORE_H * CORE_DV, CORE_H,                               \
      "rotation back of what attention gives")

#define CORE_ONEKV_FIELDS(X)                                                   \
    X(ONEKV, "onekv.key_is_value", FLAG, one_kv, true, true,                   \
      "a token has one vector, key and value of all heads (false)")            \
    X(ONEKV_QUERY_RANK, "onekv.query_rank", I64, n_q_rank,                     \
      CORE_ONEKV_CHOSEN, false,                                                \
      "columns of the compressed query")

#endif
