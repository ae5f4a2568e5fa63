"""The table of families, and their cases."""
from case import Case, Family, Settings

FAMILIES: dict[str, Family] = {}
CASES: list[Case] = []


def _family(name: str, family: Family, *cases: Case) -> None:
    FAMILIES[name] = family
    CASES.extend(cases)


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
_family(
    "qwen3_next",
    Family(mixer=("self_attn", "linear_attn"), draws=_DECAY, inert=("intermediate_size",)),
    Case("qwen3_next", "mixed", "Qwen3NextForCausalLM", "Qwen3NextConfig", QWEN3_NEXT,
         prompts=((2, 7), (1, 11))),
    Case("qwen3_next", "beyond_a_chunk", "Qwen3NextForCausalLM", "Qwen3NextConfig", QWEN3_NEXT_LONG,
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
_family(
    "qwen3_5_moe_text",
    Family(mixer=("self_attn", "linear_attn"), draws=_DECAY, inert=_QWEN3_5_INERT),
    Case("qwen3_5_moe_text", "text", "Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextConfig", QWEN3_5, published=QWEN3_5,
         prompts=((2, 7), (1, 13))),
)
_family(
    "qwen3_5_moe",
    Family(mixer=("self_attn", "linear_attn"), layers="model.language_model.layers", norm="model.language_model.norm",
           draws=_DECAY, inert=_QWEN3_5_INERT + ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id",
                                   "text_config.tie_word_embeddings")),
    Case("qwen3_5_moe", "wrapped", "Qwen3_5MoeForConditionalGeneration", "Qwen3_5MoeConfig", QWEN3_5_WRAPPED,
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
_family(
    "nemotron_h",
    Family(mixer=("mixer",), ffn=("mixer",), router="mixer.gate", experts="mixer.experts", norm="model.norm_f",
           kept_in_f32=("e_score_correction_bias", "gate.weight"), draws=_DECAY, others={"hybrid_override_pattern": "ME*-EM"},
           inert=("attention_bias", "expand", "time_step_max", "time_step_floor", "time_step_limit", "mamba_proj_bias",
                  "chunk_size", "n_shared_experts", "moe_shared_expert_overlap", "norm_eps", "residual_in_fp32",
                  "rescale_prenorm_residual", "rope_theta", "partial_rotary_factor", "tie_word_embeddings",
                  "num_hidden_layers")),
    Case("nemotron_h", "latent_groups", "NemotronHForCausalLM", "NemotronHConfig", NEMOTRON_H, published=NEMOTRON_H,
         inert=("time_step_min",)),
    Case("nemotron_h", "slow_steps", "NemotronHForCausalLM", "NemotronHConfig",
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
_family(
    "granitemoehybrid",
    Family(mixer=("self_attn", "mamba"), ffn=("block_sparse_moe", "shared_mlp"), router="block_sparse_moe.router",
           experts="block_sparse_moe.experts", residual=0.7, draws=_DECAY,
           others={"position_embedding_type": "nope"}, inert=("mamba_chunk_size",)),
    Case("granitemoehybrid", "rope", "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig", GRANITE_HYBRID,
         published=GRANITE_HYBRID),
    Case("granitemoehybrid", "nope", "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig",
         GRANITE_HYBRID | {"position_embedding_type": "nope", "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 47,
                           "mamba_n_heads": 16, "mamba_d_head": 4, "mamba_n_groups": 1, "mamba_d_conv": 3,
                           "attention_bias": False, "mamba_proj_bias": False, "tie_word_embeddings": True,
                           "num_hidden_layers": 3, "layer_types": ["attention", "mamba", "mamba"]},
         inert=("rope_theta", "position_embedding_type")),
)

DEEPSEEK_V32: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "n_shared_experts": 2, "n_routed_experts": 8,
    "routed_scaling_factor": 2.5, "kv_lora_rank": 13, "q_lora_rank": 15, "qk_rope_head_dim": 8, "v_head_dim": 5,
    "qk_nope_head_dim": 7, "n_group": 4, "topk_group": 2, "num_experts_per_tok": 3, "norm_topk_prob": True,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-6, "rope_theta": 100.0, "attention_bias": True, "index_topk": 6, "index_head_dim": 10,
    "index_n_heads": 5, "tie_word_embeddings": False, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
    "ep_size": 1,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 4, "beta_slow": 1, "mscale": 1.0,
                     "mscale_all_dim": 0.7, "original_max_position_embeddings": 256},
}
_YARN: Settings = {"beta_fast": 8, "original_max_position_embeddings": 64}
_MLA_INERT = ("moe_layer_freq", "scoring_func", "topk_method", "ep_size")
_IN_F32 = ("e_score_correction_bias",)
_family(
    "deepseek_v32",
    Family(kept_in_f32=_IN_F32, others=_YARN, inert=_MLA_INERT),
    Case("deepseek_v32", "yarn_groups", "DeepseekV32ForCausalLM", "DeepseekV32Config", DEEPSEEK_V32,
         published=DEEPSEEK_V32, prompts=((2, 5), (1, 19))),
    Case("deepseek_v32", "plain", "DeepseekV32ForCausalLM", "DeepseekV32Config",
         DEEPSEEK_V32 | {"rope_scaling": None, "hidden_size": 26, "n_group": 1, "topk_group": 1, "vocab_size": 47,
                         "n_routed_experts": 7, "attention_bias": False, "num_hidden_layers": 2, "index_topk": 9,
                         "norm_topk_prob": False, "num_attention_heads": 6, "num_key_value_heads": 6},
         prompts=((1, 29),)),
)

GLM_DSA: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 4, "n_shared_experts": 1, "n_routed_experts": 7,
    "routed_scaling_factor": 2.5, "kv_lora_rank": 13, "q_lora_rank": 15, "qk_rope_head_dim": 6, "v_head_dim": 5,
    "qk_nope_head_dim": 7, "qk_head_dim": 13, "head_dim": 7, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 3,
    "norm_topk_prob": True, "first_k_dense_replace": 1, "moe_layer_freq": 1, "hidden_act": "silu",
    "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"], "max_position_embeddings": 96, "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}, "attention_bias": True, "index_topk": 5,
    "index_head_dim": 10, "index_n_heads": 5, "index_topk_freq": 2, "index_skip_topk_offset": 2,
    "index_topk_pattern": None, "index_share_for_mtp_iteration": True, "indexer_rope_interleave": True,
    "rope_interleave": True, "moe_router_dtype": "float32", "tie_word_embeddings": False, "scoring_func": "sigmoid",
    "topk_method": "noaux_tc", "ep_size": 1, "indexer_types": ["full", "shared", "full", "shared"],
}
_family(
    "glm_moe_dsa",
    Family(kept_in_f32=_IN_F32,
           inert=_MLA_INERT + ("head_dim", "qk_head_dim", "index_topk_freq", "index_skip_topk_offset",
                               "index_share_for_mtp_iteration", "indexer_rope_interleave", "rope_interleave",
                               "moe_router_dtype", "first_k_dense_replace")),
    Case("glm_moe_dsa", "shared_index", "GlmMoeDsaForCausalLM", "GlmMoeDsaConfig", GLM_DSA, published=GLM_DSA,
         prompts=((2, 5), (1, 19))),
    Case("glm_moe_dsa", "every_index", "GlmMoeDsaForCausalLM", "GlmMoeDsaConfig",
         {name: value for name, value in GLM_DSA.items() if name not in ("indexer_types", "mlp_layer_types")}
         | {"index_topk_freq": 1, "hidden_size": 26, "n_routed_experts": 8, "n_group": 2, "vocab_size": 47,
            "num_hidden_layers": 3, "attention_bias": False, "first_k_dense_replace": 2, "norm_topk_prob": False},
         prompts=((1, 23),)),
)

MIMO: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22, "num_hidden_layers": 5, "num_attention_heads": 6,
    "num_key_value_heads": 1, "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "attention_bias": True, "moe_intermediate_size": 9, "num_experts_per_tok": 3,
    "n_routed_experts": 8, "routed_scaling_factor": 1.7, "n_group": 2, "topk_group": 1, "norm_topk_prob": True,
    "head_dim": 12, "v_head_dim": 7, "sliding_window": 5, "attention_value_scale": 0.707,
    "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention"],
    "mlp_layer_types": ["dense", "sparse", "sparse", "sparse", "sparse"],
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.334},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.334},
    },
}
_MIMO_SWA = {"rope_theta": 100.0}
_family(
    "mimo_v2_flash",
    Family(kept_in_f32=("e_score_correction_bias", "mlp.gate.weight"), draws={"sinks": (0.0, 1.0)},
           others={"layer_types": ["sliding_attention"] * 5}),
    Case("mimo_v2_flash", "sinks", "MiMoV2FlashForCausalLM", "MiMoV2FlashConfig", MIMO, prompts=((2, 7), (1, 17))),
    Case("mimo_v2_flash", "two_groups", "MiMoV2FlashForCausalLM", "MiMoV2FlashConfig",
         MIMO | {"hidden_size": 26, "num_attention_heads": 8, "num_key_value_heads": 2, "attention_bias": False,
                 "vocab_size": 47, "num_hidden_layers": 3, "n_group": 1, "head_dim": 10, "v_head_dim": 6,
                 "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "norm_topk_prob": False,
                 "mlp_layer_types": ["dense", "sparse", "sparse"], "attention_value_scale": 1.3},
         prompts=((1, 23),)),
)

GEMMA4: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 18, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 3, "num_global_key_value_heads": 2, "head_dim": 8, "global_head_dim": 16,
    "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 96, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True, "attention_bias": False, "sliding_window": 5, "attention_k_eq_v": True,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    "final_logit_softcapping": 5.0, "use_bidirectional_attention": "vision", "vocab_size_per_layer_input": 61,
    "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0, "enable_moe_block": True, "use_double_wide_mlp": False,
    "num_experts": 7, "top_k_experts": 3, "moe_intermediate_size": 10,
    "rope_parameters": {
        "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": 1000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    },
}
_GEMMA4_DRAWS = {"layer_scalar": (0.8, 0.2)}
_GEMMA4_INERT = ("use_bidirectional_attention", "vocab_size_per_layer_input", "use_double_wide_mlp")
_GEMMA4_LAYER = {
    "mixer": ("post_attention_layernorm",), "ffn": ("post_feedforward_layernorm",), "router": "router.proj",
    "experts": "experts", "residual": None, "draws": _GEMMA4_DRAWS,
    "others": {"use_bidirectional_attention": None, "hidden_activation": "silu"},
}
_family(
    "gemma4_text",
    Family(**_GEMMA4_LAYER, inert=_GEMMA4_INERT),
    Case("gemma4_text", "text", "Gemma4ForCausalLM", "Gemma4TextConfig", GEMMA4, published=GEMMA4,
         prompts=((2, 7), (1, 19))),
)

MINIMAX_M3: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 9, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 3, "head_dim": 14, "hidden_act": "swigluoai", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": False, "num_experts_per_tok": 3, "num_local_experts": 8,
    "rope_theta": 1000.0, "rotary_dim": 8, "partial_rotary_factor": 0.6, "dense_intermediate_size": 22,
    "shared_intermediate_size": 13, "routed_scaling_factor": 2.0, "swiglu_alpha": 1.702, "swiglu_limit": 0.9,
    "moe_layer_freq": [0, 1, 1, 1],
    "sparse_attention_config": {
        "use_sparse_attention": True, "sparse_index_dim": 11, "sparse_num_index_heads": 3, "sparse_topk_blocks": 2,
        "sparse_block_size": 4, "sparse_local_block": 1, "sparse_init_block": 0, "sparse_score_type": "max",
        "sparse_attention_freq": [0, 1, 0, 1], "sparse_disable_index_value": [0, 1, 0, 1],
    },
}
_family(
    "minimax_m3_vl_text",
    Family(kept_in_f32=_IN_F32, inert=("rotary_dim", "use_sparse_attention", "sparse_init_block", "hidden_act")),
    Case("minimax_m3_vl_text", "text", "MiniMaxM3VLForCausalLM", "MiniMaxM3VLTextConfig", MINIMAX_M3,
         published=MINIMAX_M3, prompts=((2, 7), (1, 19))),
)

DEEPSEEK_V4: Settings = {
    "vocab_size": 59, "hidden_size": 26, "moe_intermediate_size": 9, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 1, "head_dim": 14, "q_lora_rank": 13, "qk_rope_head_dim": 8, "num_experts_per_tok": 3,
    "n_routed_experts": 7, "n_shared_experts": 1, "scoring_func": "sqrtsoftplus", "norm_topk_prob": True,
    "routed_scaling_factor": 1.5, "max_position_embeddings": 256, "rope_theta": 1000.0,
    "compress_rope_theta": 100.0, "hc_mult": 3, "hc_sinkhorn_iters": 5, "hc_eps": 1e-6, "swiglu_limit": 0.9,
    "sliding_window": 6, "o_groups": 2, "o_lora_rank": 11, "index_n_heads": 5, "index_head_dim": 12, "index_topk": 2,
    "num_hash_layers": 1, "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "compress_ratios": [4, 0, 128, 4], "compress_rate_csa": 3, "compress_rate_hca": 5, "topk_method": "noaux_tc",
    "attention_bias": False,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 4, "beta_slow": 1,
                     "original_max_position_embeddings": 256},
}
_V4_F32 = ("attn_hc", "ffn_hc", "hc_head", "sinks", "position_bias", "e_score_correction_bias", "norm")
_family(
    "deepseek_v4",
    Family(residual=None, kept_in_f32=_V4_F32, draws={"sinks": (0.0, 1.0), "position_bias": (0.0, 0.5)},
           others=_YARN | {"scoring_func": "sigmoid"},
           inert=("norm_topk_prob", "n_shared_experts", "topk_method", "num_key_value_heads", "attention_bias")),
    Case("deepseek_v4", "all_layers", "DeepseekV4ForCausalLM", "DeepseekV4Config", DEEPSEEK_V4, published=DEEPSEEK_V4,
         prompts=((2, 7), (1, 22))),
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
_family(
    "kimi_linear",
    Family(kept_in_f32=_IN_F32 + ("dt_bias",), draws=_DECAY,
           inert=("moe_layer_freq", "mla_use_nope", "use_grouped_topk", "moe_router_activation_func", "head_dim",
                  "rope_theta", "model_max_length", "tie_word_embeddings")),
    Case("kimi_linear", "mixed", "KimiLinearForCausalLM", "KimiLinearConfig", KIMI_LINEAR, published=KIMI_LINEAR,
         prompts=((2, 7), (1, 17))),
)
