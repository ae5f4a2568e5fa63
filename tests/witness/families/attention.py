"""Families that attend to some keys only, or in two ways, or carry several streams."""
from case import Case, Entry, Family, Settings, entry

TABLE: dict[str, Entry] = {}

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
TABLE["deepseek_v32"] = entry(
    Family(kept_in_f32=_IN_F32, others=_YARN, inert=_MLA_INERT),
    Case("yarn_groups", "DeepseekV32ForCausalLM", "DeepseekV32Config", DEEPSEEK_V32,
         published=DEEPSEEK_V32, prompts=((2, 5), (1, 19))),
    Case("plain", "DeepseekV32ForCausalLM", "DeepseekV32Config",
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
TABLE["glm_moe_dsa"] = entry(
    Family(kept_in_f32=_IN_F32,
           inert=_MLA_INERT + ("head_dim", "qk_head_dim", "index_topk_freq", "index_skip_topk_offset",
                               "index_share_for_mtp_iteration", "indexer_rope_interleave", "rope_interleave",
                               "moe_router_dtype", "first_k_dense_replace")),
    Case("shared_index", "GlmMoeDsaForCausalLM", "GlmMoeDsaConfig", GLM_DSA, published=GLM_DSA,
         prompts=((2, 5), (1, 19))),
    Case("every_index", "GlmMoeDsaForCausalLM", "GlmMoeDsaConfig",
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

def _published_mimo(settings: Settings) -> Settings:
    """The publisher says each of these; the class does not read them and takes what `settings` says."""
    own = ("rms_norm_eps", "layer_types", "mlp_layer_types", "rope_parameters", "sliding_window")
    window = settings["sliding_window"] - 1  # without the query itself
    return {name: value for name, value in settings.items() if name not in own} | {
        "layernorm_epsilon": settings["rms_norm_eps"], "n_shared_experts": None, "scoring_func": "sigmoid",
        "hybrid_layer_pattern": [int(kind == "sliding_attention") for kind in settings["layer_types"]],
        "moe_layer_freq": [int(kind == "sparse") for kind in settings["mlp_layer_types"]],
        "rope_theta": settings["rope_parameters"]["full_attention"]["rope_theta"],
        "swa_rope_theta": settings["rope_parameters"]["sliding_attention"]["rope_theta"],
        "partial_rotary_factor": 0.334, "sliding_window": window, "sliding_window_size": window,
        "attention_chunk_size": window, "swa_num_attention_heads": settings["num_attention_heads"],
        "swa_num_key_value_heads": 2 * settings["num_key_value_heads"], "swa_head_dim": settings["head_dim"],
        "swa_v_head_dim": settings["v_head_dim"], "topk_method": "noaux_tc", "add_swa_attention_sink_bias": True,
        "add_full_attention_sink_bias": False,
    }


MIMO_TWO: Settings = MIMO | {
    "hidden_size": 26, "num_attention_heads": 8, "num_key_value_heads": 2, "attention_bias": False, "vocab_size": 47,
    "num_hidden_layers": 3, "n_group": 1, "head_dim": 18, "v_head_dim": 5, "norm_topk_prob": False,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "mlp_layer_types": ["dense", "sparse", "sparse"], "attention_value_scale": 1.3,
}
TABLE["mimo_v2_flash"] = entry(
    Family(kept_in_f32=("e_score_correction_bias", "mlp.gate.weight"), draws={"sinks": (0.0, 1.0)},
           others={"layer_types": ["sliding_attention"] * 5}),
    Case("sinks", "MiMoV2FlashForCausalLM", "MiMoV2FlashConfig", MIMO, prompts=((2, 7), (1, 17))),
    Case("two_groups", "MiMoV2FlashForCausalLM", "MiMoV2FlashConfig", MIMO_TWO, published=_published_mimo(MIMO_TWO),
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
    "ffn": ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2"), "router": "router.proj",
    "experts": "experts", "residual": None, "draws": _GEMMA4_DRAWS,
    "others": {"use_bidirectional_attention": None, "hidden_activation": "silu"},
}
TABLE["gemma4_text"] = entry(
    Family(**_GEMMA4_LAYER, inert=_GEMMA4_INERT),
    Case("text", "Gemma4ForCausalLM", "Gemma4TextConfig", GEMMA4, published=GEMMA4, prompts=((2, 7), (1, 19))),
)
GEMMA4_WRAPPED: Settings = {
    "tie_word_embeddings": True, "boi_token_id": 50, "eoi_token_id": 51, "image_token_id": 52, "video_token_id": 53,
    "boa_token_id": 54, "eoa_token_index": 55, "audio_token_id": 56, "audio_config": None,
    "text_config": GEMMA4 | {
        "model_type": "gemma4_text", "vocab_size": 47, "vocab_size_per_layer_input": 47, "hidden_size": 26,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "num_global_key_value_heads": 1,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"], "num_experts": 5,
        "top_k_experts": 2, "final_logit_softcapping": None,
    },
    "vision_config": {
        "model_type": "gemma4_vision", "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4, "patch_size": 2, "pooling_kernel_size": 1,
        "position_embedding_size": 4,
    },
}
TABLE["gemma4"] = entry(
    Family(**_GEMMA4_LAYER, layers="model.language_model.layers", norm="model.language_model.norm",
           inert=_GEMMA4_INERT + ("boi_token_id", "eoi_token_id", "image_token_id", "video_token_id", "boa_token_id",
                                  "eoa_token_index", "audio_token_id", "text_config.tie_word_embeddings")),
    Case("wrapped", "Gemma4ForConditionalGeneration", "Gemma4Config", GEMMA4_WRAPPED, published=GEMMA4_WRAPPED,
         prompts=((2, 6), (1, 13))),
)

MINIMAX_M3: Settings = {
    "image_token_index": 59, "video_token_index": 60, "projector_hidden_size": 6, "tie_word_embeddings": False,
    "text_config": {
        "model_type": "minimax_m3", "vocab_size": 61, "hidden_size": 28, "intermediate_size": 9,
        "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 14,
        "hidden_act": "swigluoai", "max_position_embeddings": 96, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
        "num_experts_per_tok": 3, "num_local_experts": 8, "rope_theta": 1000.0, "rotary_dim": 8,
        "partial_rotary_factor": 0.6, "dense_intermediate_size": 22, "shared_intermediate_size": 13,
        "routed_scaling_factor": 2.0, "swiglu_alpha": 1.702, "swiglu_limit": 0.9, "moe_layer_freq": [0, 1, 1, 1],
        "n_shared_experts": 1, "scoring_func": "sigmoid", "use_gemma_norm": True, "use_qk_norm": True,
        "use_routing_bias": True, "qk_norm_type": "per_head", "attention_output_gate": False,
        "sparse_attention_config": {
            "use_sparse_attention": True, "sparse_index_dim": 11, "sparse_num_index_heads": 3,
            "sparse_topk_blocks": 2, "sparse_block_size": 4, "sparse_local_block": 1, "sparse_init_block": 0,
            "sparse_score_type": "max", "sparse_attention_freq": [0, 1, 0, 1],
            "sparse_disable_index_value": [0, 1, 0, 1],
        },
    },
    "vision_config": {
        "model_type": "minimax_m3_vl_vision", "hidden_size": 12, "intermediate_size": 4, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_channels": 1, "image_size": 4, "patch_size": 2, "temporal_patch_size": 1,
        "spatial_merge_size": 1,
    },
}
TABLE["minimax_m3_vl"] = entry(
    Family(layers="model.language_model.layers", norm="model.language_model.norm", kept_in_f32=_IN_F32,
           sum_factor="routed_scaling_factor",
           inert=("rotary_dim", "use_sparse_attention", "sparse_init_block", "n_shared_experts", "use_gemma_norm",
                  "use_qk_norm", "use_routing_bias", "attention_output_gate", "image_token_index",
                  "video_token_index", "projector_hidden_size")),
    Case("blocks", "MiniMaxM3SparseForConditionalGeneration", "MiniMaxM3VLConfig", MINIMAX_M3, published=MINIMAX_M3,
         prompts=((2, 7), (1, 19))),
    Case("two_local", "MiniMaxM3SparseForConditionalGeneration", "MiniMaxM3VLConfig",
         MINIMAX_M3 | {"text_config": MINIMAX_M3["text_config"] | {
             "hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 47,
             "num_local_experts": 7, "num_experts_per_tok": 2, "num_hidden_layers": 2, "moe_layer_freq": [0, 1],
             "partial_rotary_factor": 0.5, "swiglu_limit": 1.3, "swiglu_alpha": 1.3,
             "sparse_attention_config": MINIMAX_M3["text_config"]["sparse_attention_config"] | {
                 "sparse_num_index_heads": 2, "sparse_topk_blocks": 3, "sparse_block_size": 3, "sparse_local_block": 2,
                 "sparse_attention_freq": [1, 1], "sparse_disable_index_value": [1, 1],
             },
         }}, prompts=((1, 23),)),
)

DEEPSEEK_V4: Settings = {
    "vocab_size": 53, "hidden_size": 23, "moe_intermediate_size": 9, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 1, "head_dim": 14, "q_lora_rank": 13, "qk_rope_head_dim": 8, "num_experts_per_tok": 3,
    "n_routed_experts": 6, "n_shared_experts": 1, "scoring_func": "sqrtsoftplus", "norm_topk_prob": True,
    "routed_scaling_factor": 1.5, "max_position_embeddings": 256, "rope_theta": 1000.0,
    "compress_rope_theta": 100.0, "hc_mult": 3, "hc_sinkhorn_iters": 5, "hc_eps": 1e-6, "swiglu_limit": 0.9,
    "sliding_window": 6, "o_groups": 2, "o_lora_rank": 11, "index_n_heads": 5, "index_head_dim": 12, "index_topk": 2,
    "num_hash_layers": 1, "hidden_act": "silu", "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "compress_ratios": [4, 0, 128, 4], "compress_rate_csa": 3, "compress_rate_hca": 5, "topk_method": "noaux_tc",
    "attention_bias": False,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 4, "beta_slow": 1,
                     "original_max_position_embeddings": 256},
}
_V4_F32 = ("hc_", "attn_sink", ".ape", "gate.bias", "norm")
TABLE["deepseek_v4"] = entry(
    Family(residual=None, kept_in_f32=_V4_F32, draws={"sinks": (0.0, 1.0), "position_bias": (0.0, 0.5)},
           renamed=((r"^model\.hc_head\.hc_", "hc_head_"), (r"^model\.embed_tokens", "embed"), (r"^model\.", "")),
           others=_YARN | {"scoring_func": "sigmoid"},
           inert=("norm_topk_prob", "n_shared_experts", "topk_method", "num_key_value_heads", "attention_bias")),
    Case("all_layers", "DeepseekV4ForCausalLM", "DeepseekV4Config", DEEPSEEK_V4, published=DEEPSEEK_V4,
         prompts=((2, 5), (1, 19))),
    Case("no_yarn", "DeepseekV4ForCausalLM", "DeepseekV4Config",
         DEEPSEEK_V4 | {"rope_scaling": None, "hidden_size": 22, "vocab_size": 47, "num_hidden_layers": 2, "hc_mult": 2,
                        "compress_ratios": [128, 4], "num_hash_layers": 0, "o_groups": 3, "n_routed_experts": 6,
                        "hc_sinkhorn_iters": 3, "sliding_window": 4},
         prompts=((1, 23),), inert=("rope_theta",)),
)
