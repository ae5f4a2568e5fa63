"""Families that 4.57.6 gave a case of each: one more, with what is off there on and what is on there off."""
from case import Case, Entry, Family, Settings, entry

TABLE: dict[str, Entry] = {}
_IN_F32 = ("e_score_correction_bias",)
_BASE: Settings = {"vocab_size": 47, "hidden_act": "silu", "max_position_embeddings": 96, "pad_token_id": None}
_PROMPTS = ((2, 11),)
_YARN: Settings = {"original_max_position_embeddings": 16, "beta_fast": 8.0, "beta_slow": 8.0}

QWEN2_MOE: Settings = _BASE | {
    "hidden_size": 32, "intermediate_size": 22, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 1000.0, "tie_word_embeddings": False,
    "use_sliding_window": False, "sliding_window": 5, "max_window_layers": 2, "decoder_sparse_step": 1,
    "mlp_only_layers": [1], "moe_intermediate_size": 9, "shared_expert_intermediate_size": 14, "num_experts": 7,
    "num_experts_per_tok": 2, "norm_topk_prob": False, "qkv_bias": False,
}
TABLE["qwen2_moe"] = entry(
    Family(others={"use_sliding_window": None}, inert=("sliding_window", "max_window_layers")),
    Case("unbiased", "Qwen2MoeForCausalLM", "Qwen2MoeConfig", QWEN2_MOE, published=QWEN2_MOE, prompts=_PROMPTS),
)

QWEN3_MOE: Settings = _BASE | {
    "hidden_size": 26, "intermediate_size": 22, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 14, "rms_norm_eps": 1e-5, "rope_theta": 100.0, "attention_bias": False,
    "tie_word_embeddings": False, "use_sliding_window": False, "sliding_window": None, "max_window_layers": 3,
    "decoder_sparse_step": 2, "mlp_only_layers": [], "moe_intermediate_size": 9, "num_experts": 7,
    "num_experts_per_tok": 3, "norm_topk_prob": True,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
}
TABLE["qwen3_moe"] = entry(
    Family(others=_YARN, inert=("max_window_layers", "use_sliding_window")),
    Case("yarn", "Qwen3MoeForCausalLM", "Qwen3MoeConfig", QWEN3_MOE, published=QWEN3_MOE, prompts=_PROMPTS),
)

OLMOE: Settings = _BASE | {
    "hidden_size": 30, "intermediate_size": 9, "num_hidden_layers": 2, "num_attention_heads": 3,
    "num_key_value_heads": 3, "rms_norm_eps": 1e-6, "rope_theta": 1000.0, "rope_scaling": None, "attention_bias": True,
    "clip_qkv": None, "tie_word_embeddings": True, "num_experts": 7, "num_experts_per_tok": 2, "norm_topk_prob": False,
}
TABLE["olmoe"] = entry(
    Family(),
    Case("biased", "OlmoeForCausalLM", "OlmoeConfig", OLMOE, published=OLMOE, prompts=_PROMPTS),
)

GPT_OSS: Settings = _BASE | {
    "hidden_size": 26, "intermediate_size": 9, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 10, "rms_norm_eps": 1e-6, "attention_bias": False, "sliding_window": 5,
    "layer_types": ["full_attention", "sliding_attention", "full_attention"], "tie_word_embeddings": True,
    "num_local_experts": 7, "num_experts_per_tok": 3, "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
}
TABLE["gpt_oss"] = entry(
    Family(router="mlp.router", draws={"sinks": (0.0, 1.0)}),
    Case("plain", "GptOssForCausalLM", "GptOssConfig", GPT_OSS, prompts=_PROMPTS),
)

_LATENT: Settings = _BASE | {
    "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 3, "kv_lora_rank": 13,
    "q_lora_rank": None, "qk_rope_head_dim": 6, "qk_nope_head_dim": 7, "v_head_dim": 5, "attention_bias": True,
    "rope_theta": 1000.0, "rope_scaling": None, "first_k_dense_replace": 1,
}
DEEPSEEK_V2: Settings = _LATENT | {
    "hidden_size": 28, "num_attention_heads": 4, "num_key_value_heads": 4, "rms_norm_eps": 1e-5, "kv_lora_rank": 12,
    "qk_nope_head_dim": 8,  # whole pairs a head: the class views them as complex numbers
    "n_shared_experts": 2, "n_routed_experts": 8, "num_experts_per_tok": 3, "routed_scaling_factor": 1.3,
    "topk_method": "greedy", "n_group": 1, "topk_group": 1, "norm_topk_prob": False, "scoring_func": "softmax",
    "moe_layer_freq": 1, "aux_loss_alpha": 0.001, "seq_aux": True, "tie_word_embeddings": True,
}
TABLE["deepseek_v2"] = entry(
    Family(inert=("n_group", "topk_group", "norm_topk_prob", "scoring_func", "moe_layer_freq", "aux_loss_alpha",
                  "seq_aux")),
    Case("greedy", "DeepseekV2ForCausalLM", "DeepseekV2Config", DEEPSEEK_V2, published=DEEPSEEK_V2, prompts=_PROMPTS),
)

DEEPSEEK_V3: Settings = _LATENT | {
    "hidden_size": 26, "num_attention_heads": 6, "num_key_value_heads": 6, "rms_norm_eps": 1e-5,
    "n_shared_experts": 1, "n_routed_experts": 7, "num_experts_per_tok": 2, "routed_scaling_factor": 1.5,
    "n_group": 1, "topk_group": 1, "norm_topk_prob": False, "rope_interleave": False, "tie_word_embeddings": True,
}
TABLE["deepseek_v3"] = entry(
    Family(kept_in_f32=_IN_F32),
    Case("half_split", "DeepseekV3ForCausalLM", "DeepseekV3Config", DEEPSEEK_V3, published=DEEPSEEK_V3, prompts=_PROMPTS),
)

GLM4_MOE: Settings = _BASE | {
    "hidden_size": 30, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 16, "n_shared_experts": 2, "n_routed_experts": 8,
    "routed_scaling_factor": 2.5, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 3, "norm_topk_prob": False,
    "rms_norm_eps": 1e-6, "attention_bias": False, "rope_theta": 1000.0, "partial_rotary_factor": 0.25,
    "first_k_dense_replace": 2, "tie_word_embeddings": True, "use_qk_norm": False,
}
TABLE["glm4_moe"] = entry(
    Family(kept_in_f32=_IN_F32),
    Case("groups", "Glm4MoeForCausalLM", "Glm4MoeConfig", GLM4_MOE, published=GLM4_MOE, prompts=_PROMPTS),
)

DOTS1: Settings = _BASE | {
    "hidden_size": 26, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, "n_shared_experts": 1, "n_routed_experts": 7,
    "routed_scaling_factor": 1.5, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2, "norm_topk_prob": False,
    "rms_norm_eps": 1e-5, "attention_bias": True, "rope_theta": 1000.0, "rope_scaling": None,
    "first_k_dense_replace": 1, "tie_word_embeddings": True, "sliding_window": 5, "max_window_layers": 1,
}
TABLE["dots1"] = entry(
    Family(kept_in_f32=_IN_F32),
    Case("biased", "Dots1ForCausalLM", "Dots1Config", DOTS1, published=DOTS1, prompts=_PROMPTS),
)

GRANITE_MOE: Settings = _BASE | {
    "hidden_size": 36, "intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 3, "rms_norm_eps": 1e-5, "rope_theta": 1000.0, "rope_scaling": None, "attention_bias": True,
    "embedding_multiplier": 1.7, "logits_scaling": 2.3, "residual_multiplier": 0.7, "attention_multiplier": 0.3,
    "num_local_experts": 7, "num_experts_per_tok": 2, "tie_word_embeddings": False,
}
TABLE["granitemoe"] = entry(
    Family(ffn=("block_sparse_moe",), router="block_sparse_moe.router", experts="block_sparse_moe.experts", residual=0.7),
    Case("biased", "GraniteMoeForCausalLM", "GraniteMoeConfig", GRANITE_MOE, published=GRANITE_MOE, prompts=_PROMPTS),
)

PHIMOE: Settings = _BASE | {
    "hidden_size": 40, "intermediate_size": 9, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 1000.0, "rope_scaling": None,
    "attention_bias": False, "lm_head_bias": False, "sliding_window": 5, "num_local_experts": 7,
    "num_experts_per_tok": 2, "router_jitter_noise": 0.2, "input_jitter_noise": 0.0, "tie_word_embeddings": True,
}
TABLE["phimoe"] = entry(
    Family(router="mlp.router", inert=("input_jitter_noise", "num_experts_per_tok")),
    Case("window", "PhimoeForCausalLM", "PhimoeConfig", PHIMOE, published=PHIMOE, prompts=_PROMPTS),
)

JAMBA: Settings = _BASE | {
    "hidden_size": 28, "intermediate_size": 10, "num_hidden_layers": 5, "num_attention_heads": 4,
    "num_key_value_heads": 1, "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "attn_layer_period": 3,
    "attn_layer_offset": 1, "expert_layer_period": 3, "expert_layer_offset": 0, "num_experts": 6,
    "num_experts_per_tok": 3, "mamba_conv_bias": False, "mamba_proj_bias": True, "mamba_d_conv": 3,
    "mamba_d_state": 5, "mamba_dt_rank": 2, "mamba_expand": 3, "use_mamba_kernels": False, "sliding_window": None,
    "num_logits_to_keep": 1,
}
TABLE["jamba"] = entry(
    Family(mixer=("self_attn", "mamba"), ffn=("feed_forward",), router="feed_forward.router",
           experts="feed_forward.experts", norm="model.final_layernorm", inert=("num_logits_to_keep", "use_mamba_kernels")),
    Case("biased", "JambaForCausalLM", "JambaConfig", JAMBA, published=JAMBA, prompts=_PROMPTS),
)
