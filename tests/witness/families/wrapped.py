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
    Family(**_INSIDE, inert=_TOKENS + ("mrope_interleaved", "norm_topk_prob")),
    Case("wrapped", "Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeConfig", QWEN3_VL, published=QWEN3_VL,
         prompts=((2, 7), (1, 17))),
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
    Family(**_INSIDE, kept_in_f32=_IN_F32, others=_YARN, renamed=((r"^language_model\.model\.blocks", "language_model.model.layers"),),
           inert=_TOKENS + _KIMI_K2_INERT + ("projection_hidden_size", "projection_layer_norm_eps",
                                             "text_config.tie_word_embeddings")),
    Case("wrapped", "Kimi_K25ForConditionalGeneration", "Kimi_K25Config", KIMI_K25, prompts=((2, 7), (1, 17))),
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
TABLE["llama4_wrapped"] = entry(
    Family(ffn=("feed_forward",), router="feed_forward.router", experts="feed_forward.experts",
           layers="language_model.model.layers", norm="language_model.model.norm", weights_inputs=True,
           inert=("boi_token_index", "eoi_token_index", "image_token_index", "tie_word_embeddings")),
    Case("published", "Llama4ForConditionalGeneration", "Llama4Config", LLAMA4, published=LLAMA4,
         prompts=((2, 7), (1, 17)), called="language_model"),  # 5.24's wrapper itself ends in an AttributeError
)
