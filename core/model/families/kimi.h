/* core/model/families/kimi.h -- what files call the tensors of Kimi's delta rule
 * by rows (KDA), and of a Kimi model around it: rows for a family's own list.
 *
 * Gate, time steps, A_log and output are called otherwise here and there, or
 * are kept otherwise; they stand in the families' own rows.
 */
#ifndef CORE_FAMILIES_KIMI_H
#define CORE_FAMILIES_KIMI_H

/* Of the delta rule, behind the name of its module.                          */
#define CORE_KDA_PLACES(at)                                                    \
    {CORE_W_DELTANET_Q, CORE_LAYOUT_MATRIX, at "q_proj.weight"},               \
    {CORE_W_DELTANET_K, CORE_LAYOUT_MATRIX, at "k_proj.weight"},               \
    {CORE_W_DELTANET_V, CORE_LAYOUT_MATRIX, at "v_proj.weight"},               \
    {CORE_W_DELTANET_BETA, CORE_LAYOUT_MATRIX, at "b_proj.weight"},            \
    {CORE_W_DELTANET_DT_BIAS, CORE_LAYOUT_VECTOR, at "dt_bias"},               \
    {CORE_W_DELTANET_Q_CONV, CORE_LAYOUT_CONV, at "q_conv1d.weight"},          \
    {CORE_W_DELTANET_K_CONV, CORE_LAYOUT_CONV, at "k_conv1d.weight"},          \
    {CORE_W_DELTANET_V_CONV, CORE_LAYOUT_CONV, at "v_conv1d.weight"},          \
    {CORE_W_DELTANET_NORM, CORE_LAYOUT_VECTOR, at "o_norm.weight"},

#define CORE_KIMI_ATTN "model.layers.%d.self_attn."
#define CORE_KIMI_MOE  "model.layers.%d.block_sparse_moe."

/* What Kimi Linear and Kimi-K3 have alike.                                   */
#define CORE_KIMI_PLACES                                                       \
    CORE_KDA_PLACES(CORE_KIMI_ATTN)                                            \
    {CORE_W_DELTANET_GATE_A, CORE_LAYOUT_MATRIX,                               \
     CORE_KIMI_ATTN "g_a_proj.weight"},                                        \
    {CORE_W_DELTANET_DT_A, CORE_LAYOUT_MATRIX,                                 \
     CORE_KIMI_ATTN "f_a_proj.weight"},                                        \
    {CORE_W_DELTANET_DT, CORE_LAYOUT_MATRIX, CORE_KIMI_ATTN "f_b_proj.weight"},\
    {CORE_W_DELTANET_OUT, CORE_LAYOUT_MATRIX, CORE_KIMI_ATTN "o_proj.weight"}, \
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, CORE_KIMI_MOE "gate.weight"},          \
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR,                                    \
     CORE_KIMI_MOE "gate.e_score_correction_bias"},                            \
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_MATRIX,                                   \
     CORE_KIMI_MOE "experts.%d.w1.weight"},                                    \
    {CORE_W_EXPERT_UP, CORE_LAYOUT_MATRIX,                                     \
     CORE_KIMI_MOE "experts.%d.w3.weight"},                                    \
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_MATRIX,                                   \
     CORE_KIMI_MOE "experts.%d.w2.weight"},

#endif
