"""Models for pictures and text, of which only the text part is run; their vision part is as small as it can be."""
from case import Case, Entry, Family, Settings, entry

from .plain import _IN_F32, _KIMI_K2_INERT, _YARN, KIMI_K2

TABLE: dict[str, Entry] = {}
_INSIDE = {"layers": "model.language_model.layers", "norm": "model.language_model.norm"}
_TOKENS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
_QWEN_VISION: Settings = {
    "depth": 1, "hidden_size": 8, "hidden_act": "gelu_pytorch_tanh", "intermediate_size": 6, "num_heads": 2,
    "in_channels": 1, "patch_size": 2, "spatial_merge_size": 1, "temporal_patch_size": 1, "num_position_embeddings": 4,
}

QWEN3_VL: Settings = {
    "image_token_id": 65, "video_token_id": 66, "vision_start_token_id": 67, "vision_end_token_id": 68,
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "qwen3_vl_moe_text", "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22,
        "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 12,
        "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-6, "attention_bias": False,
        "decoder_sparse_step": 1, "mlp_only_layers": [1], "moe_intermediate_size": 10, "num_experts": 9,
        "num_experts_per_tok": 3, "norm_topk_prob": True, "rope_theta": 1000.0,
        "rope_scaling": {"rope_type": "default", "mrope_section": [3, 2, 1], "mrope_interleaved": True},
    },
    "vision_config": _QWEN_VISION | {"model_type": "qwen3_vl_moe", "out_hidden_size": 30, "deepstack_visual_indexes": []},
}
TABLE["qwen3_vl_moe"] = entry(
    Family(**_INSIDE, transposed=("experts.gate_up_proj", "experts.down_proj"),
           inert=_TOKENS + ("mrope_interleaved", "norm_topk_prob")),
    Case("wrapped", "Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeConfig", QWEN3_VL, published=QWEN3_VL,
         prompts=((2, 7), (1, 17))),
    Case("tied", "Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeConfig",
         QWEN3_VL | {
             "tie_word_embeddings": True,
             "text_config": QWEN3_VL["text_config"] | {
                 "hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, "vocab_size": 47,
                 "num_experts": 7, "num_hidden_layers": 2, "mlp_only_layers": [], "attention_bias": True,
                 "num_experts_per_tok": 2,
             },
             "vision_config": QWEN3_VL["vision_config"] | {"out_hidden_size": 26},
         }, inert=("intermediate_size",)),
)

KIMI_K25: Settings = {
    "image_token_id": 65, "video_token_id": 66, "vision_start_token_id": 67, "vision_end_token_id": 68,
    "tie_word_embeddings": False, "projection_hidden_size": 8, "projection_layer_norm_eps": 1e-5,
    "text_config": KIMI_K2 | {"model_type": "deepseek_v3", "n_group": 2},
    "vision_config": {
        "patch_size": 2, "pos_emb_height": 2, "pos_emb_width": 2, "pos_emb_time": 1, "num_attention_heads": 2,
        "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 6, "merge_kernel_size": [1, 1],
    },
}
TABLE["kimi_k25"] = entry(
    Family(**_INSIDE, kept_in_f32=_IN_F32, others=_YARN,
           renamed=((r"^language_model\.model\.blocks", "language_model.model.layers"),),
           inert=_TOKENS + _KIMI_K2_INERT + ("projection_hidden_size", "projection_layer_norm_eps",
                                             "text_config.tie_word_embeddings")),
    Case("wrapped", "Kimi_K25ForConditionalGeneration", "Kimi_K25Config", KIMI_K25,
         published={
             "model_type": "kimi_k25", "ignore_index": -100, "media_placeholder_token_id": 65,
             "text_config": KIMI_K2 | {"model_type": "kimi_k2", "n_group": 2}, "tie_word_embeddings": False,
             "use_unified_vision_chunk": True, "video_placeholder": "<|kimi_k25_video_placeholder|>",
             "vision_config": {"mm_hidden_size": 8, "patch_size": 2, "text_hidden_size": 28, "vt_hidden_size": 8},
         }, prompts=((2, 7), (1, 17))),
    Case("plain", "Kimi_K25ForConditionalGeneration", "Kimi_K25Config",
         KIMI_K25 | {"text_config": KIMI_K25["text_config"] | {
             "hidden_size": 26, "num_attention_heads": 6, "num_key_value_heads": 6, "vocab_size": 47, "n_group": 1,
             "n_routed_experts": 7, "rope_scaling": None, "num_hidden_layers": 2, "q_lora_rank": 11}}),
)

GLM4V: Settings = {
    "image_token_id": 65, "video_token_id": 66, "image_start_token_id": 67, "image_end_token_id": 68,
    "video_start_token_id": 69, "video_end_token_id": 70, "tie_word_embeddings": False,
    "text_config": {
        "model_type": "glm4v_moe_text", "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22,
        "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 12,
        "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-5, "attention_bias": True,
        "moe_intermediate_size": 9, "num_experts_per_tok": 3, "n_shared_experts": 1, "n_routed_experts": 8,
        "routed_scaling_factor": 1.5, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1,
        "norm_topk_prob": True, "rope_theta": 1000.0, "partial_rotary_factor": 0.5,
        "rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 1]}, "use_qk_norm": False,
    },
    "vision_config": {
        "model_type": "glm4v_moe", "depth": 1, "hidden_size": 8, "num_heads": 2, "in_channels": 1, "image_size": 4,
        "patch_size": 2, "spatial_merge_size": 1, "temporal_patch_size": 1, "out_hidden_size": 30, "intermediate_size": 6,
    },
}
TABLE["glm4v_moe"] = entry(
    Family(**_INSIDE, kept_in_f32=_IN_F32,
           inert=_TOKENS + ("image_start_token_id", "image_end_token_id", "video_start_token_id", "video_end_token_id",
                            "use_qk_norm")),
    Case("wrapped", "Glm4vMoeForConditionalGeneration", "Glm4vMoeConfig", GLM4V, published=GLM4V,
         prompts=((2, 7), (1, 17))),
    Case("one_group", "Glm4vMoeForConditionalGeneration", "Glm4vMoeConfig",
         GLM4V | {
             "text_config": GLM4V["text_config"] | {
                 "hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 16, "vocab_size": 47,
                 "n_group": 1, "n_routed_experts": 7, "norm_topk_prob": False, "num_hidden_layers": 2,
                 "n_shared_experts": 2, "rope_scaling": {"rope_type": "default", "mrope_section": [2, 1, 1]},
             },
             "vision_config": GLM4V["vision_config"] | {"out_hidden_size": 26},
         }),
)

LLAMA4: Settings = {
    "boi_token_index": 65, "eoi_token_index": 66, "image_token_index": 67, "tie_word_embeddings": False,
    "text_config": {
        "model_type": "llama4_text", "vocab_size": 61, "hidden_size": 30, "intermediate_size": 9,
        "intermediate_size_mlp": 22, "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 2,
        "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        "attention_bias": False, "attention_chunk_size": 5, "use_qk_norm": True, "num_experts_per_tok": 1,
        "num_local_experts": 7, "interleave_moe_layer_step": 2, "rope_theta": 500.0, "attn_temperature_tuning": True,
        "floor_scale": 4, "attn_scale": 0.3, "no_rope_layers": [1, 1, 0, 1],
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                         "original_max_position_embeddings": 64},
    },
    "vision_config": {
        "model_type": "llama4_vision_model", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_channels": 1, "intermediate_size": 6, "vision_output_dim": 4, "image_size": 4, "patch_size": 2,
        "projector_input_dim": 4, "projector_output_dim": 4, "pixel_shuffle_ratio": 1.0,
    },
}
TABLE["llama4"] = entry(
    Family(ffn=("feed_forward",), router="feed_forward.router", experts="feed_forward.experts",
           layers="language_model.model.layers", norm="language_model.model.norm", weights_inputs=True,
           inert=("boi_token_index", "eoi_token_index", "image_token_index", "tie_word_embeddings")),
    Case("published", "Llama4ForConditionalGeneration", "Llama4Config", LLAMA4, published=LLAMA4,
         prompts=((2, 7), (1, 17)), called="language_model"),  # 5.24's wrapper itself ends in an AttributeError
    Case("every_layer", "Llama4ForConditionalGeneration", "Llama4Config",
         LLAMA4 | {"text_config": LLAMA4["text_config"] | {
             "hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, "vocab_size": 47,
             "num_local_experts": 5, "num_experts_per_tok": 2, "interleave_moe_layer_step": 1, "num_hidden_layers": 2,
             "use_qk_norm": False, "attn_temperature_tuning": False, "no_rope_layers": [1, 0], "rope_scaling": None}},
         called="language_model", inert=("intermediate_size_mlp", "floor_scale", "attn_scale")),
)

QWEN3_OMNI: Settings = {
    "position_id_per_seconds": 25, "audio_start_token_id": 65, "user_token_id": 66, "tie_word_embeddings": False,
    "audio_token_id": 67, "image_token_id": 68, "video_token_id": 69,
    "text_config": QWEN3_VL["text_config"] | {"model_type": "qwen3_omni_moe_text", "vocab_size": 59, "hidden_size": 28},
    "vision_config": QWEN3_VL["vision_config"] | {"model_type": "qwen3_omni_moe_vision_encoder", "out_hidden_size": 28},
    "audio_config": {
        "model_type": "qwen3_omni_moe_audio_encoder", "num_mel_bins": 8, "encoder_layers": 1,
        "encoder_attention_heads": 2, "encoder_ffn_dim": 4, "d_model": 8, "max_source_positions": 4, "n_window": 2,
        "output_dim": 28, "n_window_infer": 4, "conv_chunksize": 2, "downsample_hidden_size": 2,
    },
}
TABLE["qwen3_omni_moe_thinker"] = entry(
    Family(**_INSIDE,
           inert=("position_id_per_seconds", "audio_start_token_id", "user_token_id", "audio_token_id",
                  "image_token_id", "video_token_id", "mrope_interleaved", "text_config.tie_word_embeddings")),
    Case("wrapped", "Qwen3OmniMoeThinkerForConditionalGeneration", "Qwen3OmniMoeThinkerConfig", QWEN3_OMNI,
         published=QWEN3_OMNI),
    Case("one_expert", "Qwen3OmniMoeThinkerForConditionalGeneration", "Qwen3OmniMoeThinkerConfig",
         QWEN3_OMNI | {"text_config": QWEN3_OMNI["text_config"] | {
             "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 10, "vocab_size": 47, "num_experts": 7,
             "num_experts_per_tok": 1, "num_hidden_layers": 2, "mlp_only_layers": [], "attention_bias": True,
             "norm_topk_prob": False}},
         inert=("intermediate_size",)),
)

STEP3P7: Settings = {
    "image_token_id": 68, "projector_bias": False,
    "text_config": {
        "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22, "num_hidden_layers": 4, "num_attention_heads": 6,
        "num_sliding_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 12, "hidden_act": "silu",
        "max_position_embeddings": 96, "rms_norm_eps": 1e-5, "pad_token_id": 1, "tie_word_embeddings": False,
        "num_experts_per_tok": 3, "n_routed_experts": 8, "moe_intermediate_size": 9, "share_expert_dim": 13,
        "layer_types": ["full_attention", "sliding_attention", "full_attention", "sliding_attention"],
        "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"], "sliding_window": 5, "attention_bias": True,
        "mlp_bias": False, "moe_router_scaling_factor": 3.0, "swiglu_limits": [0.0, 0.0, 0.4, 0.0],
        "swiglu_limits_shared": [0.5, 0.0, 0.0, 0.3], "rope_theta": [500.0, 100.0, 500.0, 100.0],
        "partial_rotary_factors": [0.5, 1.0, 0.5, 1.0],
    },
    "vision_config": {
        "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2, "num_channels": 1,
        "image_size": 4, "patch_size": 2,
    },
}
TABLE["step3p7"] = entry(
    Family(**_INSIDE, kept_in_f32=("router_bias",), sum_factor="routed_scaling_factor",
           inert=("image_token_id", "projector_bias", "tie_word_embeddings")),
    Case("wrapped", "Step3p7ForConditionalGeneration", "Step3p7Config", STEP3P7, prompts=((2, 7), (1, 17))),
    Case("no_limits", "Step3p7ForConditionalGeneration", "Step3p7Config",
         STEP3P7 | {"text_config": STEP3P7["text_config"] | {
             "hidden_size": 26, "num_attention_heads": 4, "num_sliding_attention_heads": 6, "num_key_value_heads": 2,
             "head_dim": 10, "vocab_size": 47, "n_routed_experts": 7, "num_experts_per_tok": 2, "attention_bias": False,
             "num_hidden_layers": 3, "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
             "mlp_layer_types": ["dense", "sparse", "sparse"], "rope_theta": [500.0, 100.0, 100.0],
             "partial_rotary_factors": [0.4, 1.0, 1.0], "swiglu_limits": None, "swiglu_limits_shared": None}}),
)
