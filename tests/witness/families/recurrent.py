"""Families with a state that is carried from token to token: delta rules and Mamba-2."""
from case import Case, Entry, Family, Settings, entry

TABLE: dict[str, Entry] = {}

# A state that remembers a dozen tokens: the classes' own values forget within one or two.
_DECAY = {"A_log": (-1.5, 0.8), "dt_bias": (0.5, 0.5)}

QWEN3_NEXT: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22, "num_hidden_layers": 5, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-6, "attention_bias": True, "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "partial_rotary_factor": 0.5},
    "linear_conv_kernel_dim": 3, "linear_key_head_dim": 7, "linear_value_head_dim": 5, "linear_num_key_heads": 4,
    "linear_num_value_heads": 8, "decoder_sparse_step": 1, "mlp_only_layers": [1], "moe_intermediate_size": 10,
    "shared_expert_intermediate_size": 14, "num_experts": 7, "num_experts_per_tok": 3, "norm_topk_prob": True,
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "linear_attention", "full_attention"],
}
QWEN3_NEXT_LONG: Settings = {
    "vocab_size": 47, "hidden_size": 24, "intermediate_size": 21, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu", "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5, "attention_bias": False, "tie_word_embeddings": True, "rope_theta": 10000.0,
    "rope_scaling": None, "partial_rotary_factor": 0.25, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 5,
    "linear_value_head_dim": 9, "linear_num_key_heads": 2, "linear_num_value_heads": 6, "decoder_sparse_step": 1,
    "full_attention_interval": 2, "mlp_only_layers": [], "moe_intermediate_size": 11,
    "shared_expert_intermediate_size": 13, "num_experts": 7, "num_experts_per_tok": 2, "norm_topk_prob": False,
}
TABLE["qwen3_next"] = entry(
    Family(mixer=("self_attn", "linear_attn"), draws=_DECAY, inert=("intermediate_size",)),
    Case("mixed", "Qwen3NextForCausalLM", "Qwen3NextConfig", QWEN3_NEXT,
         prompts=((2, 7), (1, 11))),
    Case("beyond_a_chunk", "Qwen3NextForCausalLM", "Qwen3NextConfig", QWEN3_NEXT_LONG,
         published=QWEN3_NEXT_LONG, prompts=((1, 67),)),
)

QWEN3_5: Settings = {
    "vocab_size": 59, "hidden_size": 30, "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 2,
    "head_dim": 20, "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-6,
    "attention_bias": False, "attn_output_gate": True, "tie_word_embeddings": False, "full_attention_interval": 4,
    "layer_types": ["linear_attention", "full_attention", "linear_attention", "linear_attention"],
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "partial_rotary_factor": 0.6,
                        "mrope_section": [3, 2, 1], "mrope_interleaved": True},
    "linear_conv_kernel_dim": 3, "linear_key_head_dim": 7, "linear_value_head_dim": 5, "linear_num_key_heads": 4,
    "linear_num_value_heads": 8, "mlp_only_layers": [], "moe_intermediate_size": 10,
    "shared_expert_intermediate_size": 14, "num_experts": 9, "num_experts_per_tok": 3,
    "mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False, "mamba_ssm_dtype": "float32",
}
QWEN3_5_WRAPPED: Settings = {
    "image_token_id": 55, "video_token_id": 56, "vision_start_token_id": 57, "vision_end_token_id": 58,
    "tie_word_embeddings": False,
    "text_config": QWEN3_5 | {
        "model_type": "qwen3_5_moe_text", "vocab_size": 53, "hidden_size": 28, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 1, "linear_num_key_heads": 2, "linear_num_value_heads": 6,
        "layer_types": ["linear_attention", "linear_attention", "full_attention"], "num_experts": 8,
    },
    "vision_config": {
        "model_type": "qwen3_5_moe", "depth": 1, "hidden_size": 8, "hidden_act": "gelu_pytorch_tanh",
        "intermediate_size": 6, "num_heads": 2, "in_channels": 1, "patch_size": 2, "spatial_merge_size": 1,
        "temporal_patch_size": 1, "out_hidden_size": 28, "num_position_embeddings": 4,
    },
}
_QWEN3_5_INERT = ("attn_output_gate", "mamba_ssm_dtype", "mrope_interleaved", "mtp_num_hidden_layers",
                  "mtp_use_dedicated_embeddings", "full_attention_interval")
TABLE["qwen3_5_moe_text"] = entry(
    Family(mixer=("self_attn", "linear_attn"), draws=_DECAY, inert=_QWEN3_5_INERT),
    Case("text", "Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextConfig", QWEN3_5, published=QWEN3_5,
         prompts=((2, 7), (1, 13))),
)
TABLE["qwen3_5_moe"] = entry(
    Family(mixer=("self_attn", "linear_attn"), layers="model.language_model.layers", norm="model.language_model.norm",
           draws=_DECAY, inert=_QWEN3_5_INERT + ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id",
                                   "text_config.tie_word_embeddings")),
    Case("wrapped", "Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeConfig", QWEN3_5_WRAPPED,
         published=QWEN3_5_WRAPPED),
)

NEMOTRON_H: Settings = {
    "vocab_size": 61, "hidden_size": 32, "hybrid_override_pattern": "ME*-ME", "num_hidden_layers": 6,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 11, "attention_bias": False,
    "max_position_embeddings": 96, "intermediate_size": 22, "mlp_hidden_act": "relu2", "mlp_bias": True,
    "ssm_state_size": 7, "mamba_num_heads": 6, "mamba_head_dim": 5, "mamba_hidden_act": "silu", "n_groups": 2,
    "conv_kernel": 3, "expand": 2, "time_step_min": 0.001, "time_step_max": 0.1, "time_step_floor": 1e-4,
    "time_step_limit": [0.0, float("inf")], "use_conv_bias": True, "use_bias": True, "mamba_proj_bias": True,
    "chunk_size": 8, "n_routed_experts": 10, "n_shared_experts": 1, "moe_intermediate_size": 9,
    "moe_shared_expert_intermediate_size": 17, "moe_latent_size": 13, "moe_shared_expert_overlap": False,
    "num_experts_per_tok": 3, "routed_scaling_factor": 2.5, "n_group": 2, "topk_group": 1, "norm_topk_prob": True,
    "layer_norm_epsilon": 1e-5, "norm_eps": 1e-5, "residual_in_fp32": False, "rescale_prenorm_residual": True,
    "sliding_window": None, "rope_theta": 10000, "partial_rotary_factor": 1.0, "tie_word_embeddings": False,
}
TABLE["nemotron_h"] = entry(
    Family(mixer=("mixer",), ffn=("mixer",), router="mixer.gate", experts="mixer.experts", norm="model.norm_f",
           kept_in_f32=("e_score_correction_bias", "gate.weight"), draws=_DECAY, others={"hybrid_override_pattern": "ME*-EM"},
           inert=("attention_bias", "expand", "time_step_max", "time_step_floor", "time_step_limit", "mamba_proj_bias",
                  "chunk_size", "n_shared_experts", "moe_shared_expert_overlap", "norm_eps", "residual_in_fp32",
                  "rescale_prenorm_residual", "rope_theta", "partial_rotary_factor", "tie_word_embeddings",
                  "num_hidden_layers")),
    Case("latent_groups", "NemotronHForCausalLM", "NemotronHConfig", NEMOTRON_H, published=NEMOTRON_H,
         inert=("time_step_min",)),
    Case("slow_steps", "NemotronHForCausalLM", "NemotronHConfig",
         NEMOTRON_H | {"hidden_size": 26, "vocab_size": 53, "hybrid_override_pattern": "M*EM", "num_hidden_layers": 4,
                       "moe_latent_size": None, "n_group": 1, "topk_group": 1, "time_step_min": 0.7, "mlp_bias": False,
                       "use_bias": False, "mamba_proj_bias": False, "norm_topk_prob": False, "n_routed_experts": 8,
                       "mamba_num_heads": 4, "mamba_head_dim": 9, "num_attention_heads": 6, "num_key_value_heads": 3,
                       "conv_kernel": 4},
         inert=("intermediate_size",)),
)

GRANITE_HYBRID: Settings = {
    "vocab_size": 61, "hidden_size": 36, "intermediate_size": 10, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "rope_theta": 1000.0, "attention_bias": True, "embedding_multiplier": 1.7,
    "logits_scaling": 2.3, "residual_multiplier": 0.7, "attention_multiplier": 0.3, "num_local_experts": 7,
    "num_experts_per_tok": 3, "shared_intermediate_size": 14, "position_embedding_type": "rope",
    "layer_types": ["mamba", "attention", "mamba", "attention"], "mamba_n_heads": 9, "mamba_n_groups": 3,
    "mamba_d_state": 5, "mamba_d_head": 8, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_chunk_size": 11,
    "mamba_conv_bias": True, "mamba_proj_bias": True,
}
TABLE["granitemoehybrid"] = entry(
    Family(mixer=("self_attn", "mamba"), ffn=("block_sparse_moe", "shared_mlp"), router="block_sparse_moe.router",
           experts="block_sparse_moe.experts", residual=0.7, draws=_DECAY,
           others={"position_embedding_type": "nope"}, inert=("mamba_chunk_size",)),
    Case("rope", "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig", GRANITE_HYBRID,
         published=GRANITE_HYBRID),
    Case("nope", "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig",
         GRANITE_HYBRID | {"position_embedding_type": "nope", "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 47,
                           "mamba_n_heads": 16, "mamba_d_head": 4, "mamba_n_groups": 1, "mamba_d_conv": 3,
                           "attention_bias": False, "mamba_proj_bias": False, "tie_word_embeddings": True,
                           "num_hidden_layers": 3, "layer_types": ["attention", "mamba", "mamba"]},
         inert=("rope_theta", "position_embedding_type")),
)

KIMI_LINEAR: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 4, "num_shared_experts": 2, "routed_scaling_factor": 2.446,
    "pad_token_id": None, "kv_lora_rank": 13, "q_lora_rank": None, "qk_rope_head_dim": 6, "v_head_dim": 5, "qk_nope_head_dim": 7,
    "num_expert_group": 2, "topk_group": 1, "num_experts_per_token": 3, "moe_renormalize": True, "hidden_act": "silu",
    "model_max_length": 96, "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "num_experts": 8,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "mla_use_nope": True, "use_grouped_topk": True,
    "moe_router_activation_func": "sigmoid", "head_dim": 18, "rope_theta": 10000.0,
    "linear_attn_config": {"full_attn_layers": [2], "kda_layers": [1, 3, 4], "head_dim": 8, "num_heads": 3,
                           "short_conv_kernel_size": 4},
}
BAILING_HYBRID: Settings = {
    "vocab_size": 59, "hidden_size": 30, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 4,
    "num_attention_heads": 3, "num_key_value_heads": 3, "num_shared_experts": 2, "routed_scaling_factor": 2.5,
    "pad_token_id": None, "eos_token_id": None, "kv_lora_rank": 13, "q_lora_rank": 11, "qk_rope_head_dim": 6,
    "v_head_dim": 5, "qk_nope_head_dim": 7, "num_expert_group": 2, "topk_group": 1, "num_experts_per_token": 3,
    "moe_renormalize": True, "hidden_act": "silu", "model_max_length": 96, "rms_norm_eps": 1e-5, "num_experts": 8,
    "tie_word_embeddings": False, "first_k_dense_replace": 1, "head_dim": 8, "short_conv_kernel_size": 3,
    "layer_group_size": 2, "kda_safe_gate": True, "kda_lower_bound": -2.5, "rope_theta": 500.0,
    "num_nextn_predict_layers": 0,
}
TABLE["bailing_hybrid"] = entry(
    Family(kept_in_f32=("e_score_correction_bias", "expert_bias", "dt_bias", "A_log", "conv1d"), draws=_DECAY,
           inert=("model_max_length", "tie_word_embeddings", "num_nextn_predict_layers")),
    Case("bounded", "BailingHybridForCausalLM", "BailingHybridConfig", BAILING_HYBRID, published=BAILING_HYBRID,
         prompts=((2, 7), (1, 17))),
    Case("unbounded", "BailingHybridForCausalLM", "BailingHybridConfig",
         BAILING_HYBRID | {"hidden_size": 26, "vocab_size": 47, "num_attention_heads": 4, "num_key_value_heads": 4,
                           "num_hidden_layers": 3, "num_experts": 7, "num_experts_per_token": 2, "num_expert_group": 1,
                           "num_shared_experts": 1, "moe_renormalize": False, "q_lora_rank": None, "head_dim": 6,
                           "qk_rope_head_dim": 8, "short_conv_kernel_size": 4, "layer_group_size": 3,
                           "kda_safe_gate": False, "attention_bias": True, "first_k_dense_replace": 2},
         prompts=((1, 21),), inert=("kda_lower_bound",)),
)

TABLE["kimi_linear"] = entry(
    Family(kept_in_f32=("e_score_correction_bias", "dt_bias"), draws=_DECAY,
           renamed=((r"block_sparse_moe\.((gate|up|down)_proj)", r"mlp.\1"),),  # of dense layers
           inert=("moe_layer_freq", "mla_use_nope", "use_grouped_topk", "moe_router_activation_func", "head_dim",
                  "rope_theta", "model_max_length", "tie_word_embeddings")),
    Case("mixed", "KimiLinearForCausalLM", "KimiLinearConfig", KIMI_LINEAR, published=KIMI_LINEAR,
         prompts=((2, 7), (1, 17))),
    Case("query_lora", "KimiLinearForCausalLM", "KimiLinearConfig",
         KIMI_LINEAR | {"q_lora_rank": 11, "hidden_size": 26, "vocab_size": 47, "num_hidden_layers": 3, "num_experts": 7,
                        "num_expert_group": 1, "moe_renormalize": False, "num_shared_experts": 1,
                        "linear_attn_config": {"full_attn_layers": [3], "kda_layers": [1, 2], "head_dim": 6,
                                               "num_heads": 5, "short_conv_kernel_size": 3}},
         prompts=((1, 21),)),
)
