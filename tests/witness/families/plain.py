"""Families of ordinary attention, with other routers, norms and rotations."""
from case import Case, Entry, Family, Settings, entry

TABLE: dict[str, Entry] = {}
_YARN: Settings = {"original_max_position_embeddings": 16, "beta_fast": 8.0, "beta_slow": 8.0}
_IN_F32 = ("e_score_correction_bias",)

MINIMAX_M2: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 10, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 12, "rotary_dim": 8, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-6, "rope_theta": 1000.0, "num_experts_per_tok": 3, "num_local_experts": 9,
    "tie_word_embeddings": False, "use_qk_norm": True, "qk_norm_type": "per_layer", "use_routing_bias": True,
    "scoring_func": "sigmoid", "shared_intermediate_size": 0, "use_mtp": True, "mtp_transformer_layers": 1,
    "num_mtp_modules": 3,
}
TABLE["minimax_m2"] = entry(
    Family(kept_in_f32=_IN_F32,
           inert=("use_qk_norm", "use_routing_bias", "shared_intermediate_size", "use_mtp", "mtp_transformer_layers",
                  "num_mtp_modules")),
    Case("partial_rope", "MiniMaxM2ForCausalLM", "MiniMaxM2Config", MINIMAX_M2, published=MINIMAX_M2),
    Case("tied", "MiniMaxM2ForCausalLM", "MiniMaxM2Config",
         MINIMAX_M2 | {"hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 14,
                       "rotary_dim": 14, "vocab_size": 47, "num_experts_per_tok": 1, "num_local_experts": 7,
                       "tie_word_embeddings": True, "num_hidden_layers": 2}),
)

GLM4_MOE_LITE: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "n_shared_experts": 2, "n_routed_experts": 8,
    "routed_scaling_factor": 1.8, "kv_lora_rank": 13, "q_lora_rank": 15, "qk_rope_head_dim": 6, "v_head_dim": 5,
    "qk_nope_head_dim": 7, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 3, "norm_topk_prob": True,
    "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-5, "attention_bias": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}, "rope_interleave": True, "pretraining_tp": 1,
    "mlp_layer_types": ["dense", "sparse", "sparse"], "tie_word_embeddings": False,
}
TABLE["glm4_moe_lite"] = entry(
    Family(kept_in_f32=_IN_F32, inert=("pretraining_tp",)),
    Case("groups", "Glm4MoeLiteForCausalLM", "Glm4MoeLiteConfig", GLM4_MOE_LITE, prompts=((2, 7), (1, 17))),
    Case("half_split", "Glm4MoeLiteForCausalLM", "Glm4MoeLiteConfig",
         GLM4_MOE_LITE | {"hidden_size": 26, "num_attention_heads": 6, "num_key_value_heads": 6, "q_lora_rank": None,
                          "vocab_size": 47, "n_group": 1, "n_routed_experts": 7, "attention_bias": False,
                          "num_hidden_layers": 2, "mlp_layer_types": ["dense", "sparse"], "rope_interleave": False,
                          "norm_topk_prob": False, "n_shared_experts": 1}),
)

GLM4_MOE_AS_LING: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "n_shared_experts": 2, "n_routed_experts": 8,
    "routed_scaling_factor": 2.5, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 3, "norm_topk_prob": True,
    "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-6, "attention_bias": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0, "partial_rotary_factor": 0.5},
    "first_k_dense_replace": 1, "tie_word_embeddings": False, "use_qk_norm": True, "num_mtp_layers": 0,
}
LING: Settings = {
    "architectures": ["BailingMoeV2ForCausalLM"], "model_type": "bailing_moe", "vocab_size": 61, "hidden_size": 30,
    "intermediate_size": 22, "moe_intermediate_size": 9, "moe_shared_expert_intermediate_size": 9,
    "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16,
    "num_shared_experts": 2, "num_experts": 8, "routed_scaling_factor": 2.5, "n_group": 2, "topk_group": 1,
    "num_experts_per_tok": 3, "norm_topk_prob": True, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-6, "use_qkv_bias": True, "use_bias": False, "rope_theta": 1000.0, "rope_scaling": None,
    "partial_rotary_factor": 0.5, "first_k_dense_replace": 1, "tie_word_embeddings": False, "use_qk_norm": True,
    "use_rmsnorm": True, "score_function": "sigmoid", "router_dtype": "fp32", "embedding_dropout": 0.0,
    "output_dropout": 0.0, "moe_router_enable_expert_bias": True,
}
_LING_OTHER: Settings = {
    "vocab_size": 47, "hidden_size": 26, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 10, "n_group": 1,
    "num_experts_per_tok": 1, "routed_scaling_factor": 1.5, "tie_word_embeddings": True, "use_qk_norm": False,
    "rms_norm_eps": 1e-5,
}
_AS_LING = ((r"model\.embed_tokens", "model.word_embeddings"), (r"self_attn\.o_proj", "attention.dense"),
            (r"self_attn\.q_norm", "attention.query_layernorm"), (r"self_attn\.k_norm", "attention.key_layernorm"),
            ("self_attn", "attention"), ("gate.e_score_correction_bias", "gate.expert_bias"))
_ONE_TENSOR = tuple((f"query_key_value.{kind}", tuple(f"{part}_proj.{kind}" for part in "qkv"))
                    for kind in ("weight", "bias"))
TABLE["bailing_moe"] = entry(
    Family(kept_in_f32=("expert_bias",), stands_in=True, inert=("num_mtp_layers",), renamed=_AS_LING, stacked=_ONE_TENSOR),
    Case("as_glm4", "Glm4MoeForCausalLM", "Glm4MoeConfig", GLM4_MOE_AS_LING, published=LING, prompts=((2, 7), (1, 17))),
    Case("one_choice", "Glm4MoeForCausalLM", "Glm4MoeConfig",
         GLM4_MOE_AS_LING | _LING_OTHER | {
             "n_routed_experts": 7, "n_shared_experts": 1, "norm_topk_prob": False, "attention_bias": False,
             "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.6}},
         published={name: value for name, value in LING.items() if name != "partial_rotary_factor"} | _LING_OTHER | {
             "model_type": "bailing_moe_v2", "num_experts": 7, "num_shared_experts": 1, "use_qkv_bias": False,
             "rope_theta": 100.0, "rotary_dim": 6}),
)

GRANITE_AS_LING: Settings = {
    "vocab_size": 61, "hidden_size": 40, "intermediate_size": 9, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 96, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "rope_theta": 1000.0, "attention_bias": True, "embedding_multiplier": 1.0,
    "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 10**-0.5, "num_local_experts": 7,
    "num_experts_per_tok": 3, "shared_intermediate_size": 18, "position_embedding_type": "rope",
    "layer_types": ["attention", "attention", "attention"], "mamba_n_heads": 8,
}
LING_1: Settings = {
    "architectures": ["BailingMoeForCausalLM"], "model_type": "bailing_moe", "vocab_size": 61, "hidden_size": 40,
    "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 10, "num_shared_experts": 2, "num_experts": 7, "num_experts_per_tok": 3,
    "norm_topk_prob": True, "norm_head": False, "norm_softmax": False, "hidden_act": "silu",
    "max_position_embeddings": 96, "rms_norm_eps": 1e-5, "use_qkv_bias": True, "use_bias": True, "rope_theta": 1000.0,
    "rope_scaling": None, "tie_word_embeddings": False, "first_k_dense_replace": 0, "embedding_dropout": 0.0,
    "output_dropout": 0.0,
}
TABLE["bailing_moe_1"] = entry(
    Family(ffn=("block_sparse_moe", "shared_mlp"), router="block_sparse_moe.router", experts="block_sparse_moe.experts",
           stands_in=True, inert=("mamba_n_heads",), stacked=_ONE_TENSOR,
           renamed=_AS_LING + ((r"block_sparse_moe\.router\.layer", "mlp.gate"), ("block_sparse_moe", "mlp.experts"),
                               ("shared_mlp", "mlp.shared_experts")),
           apart=(("input_linear.weight", ("gate_proj.weight", "up_proj.weight")),
                  ("output_linear.weight", ("down_proj.weight",)))),
    Case("as_granite", "GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig", GRANITE_AS_LING, published=LING_1,
         prompts=((2, 11),)),
)

ERNIE4_5: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 10, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "rope_theta": 1000.0, "use_bias": True,
    "moe_intermediate_size": 9, "moe_k": 3, "moe_num_experts": 8, "moe_num_shared_experts": 2,
    "moe_layer_start_index": 1, "moe_layer_end_index": 2, "moe_layer_interval": 1, "moe_norm_min": 0.6,
    "pad_token_id": None,
}
TABLE["ernie4_5_moe"] = entry(
    Family(kept_in_f32=("e_score_correction_bias", "gate.weight")),
    Case("shared", "Ernie4_5_MoeForCausalLM", "Ernie4_5_MoeConfig", ERNIE4_5, published=ERNIE4_5,
         prompts=((2, 7), (1, 17))),
    Case("no_shared", "Ernie4_5_MoeForCausalLM", "Ernie4_5_MoeConfig",
         ERNIE4_5 | {"hidden_size": 26, "head_dim": 8, "num_attention_heads": 4, "num_key_value_heads": 1,
                     "vocab_size": 47, "use_bias": False, "moe_num_shared_experts": 0, "moe_norm_min": 1e-12,
                     "moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_layer_interval": 2,
                     "num_hidden_layers": 4, "tie_word_embeddings": False},
         inert=("moe_norm_min",)),
)

HUNYUAN_V1: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 10, "num_hidden_layers": 3, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": True, "attention_bias": True, "num_experts": 9, "moe_topk": 3,
    "pad_token_id": None, "pretraining_tp": 1, "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
}
TABLE["hunyuan_v1_moe"] = entry(
    Family(router="mlp.gate.wg", kept_in_f32=("gate.wg.weight",), inert=("pretraining_tp", "eod_token_id", "sep_token_id")),
    Case("biased", "HunYuanMoEV1ForCausalLM", "HunYuanMoEV1Config", HUNYUAN_V1),
    Case("dynamic", "HunYuanMoEV1ForCausalLM", "HunYuanMoEV1Config",
         HUNYUAN_V1 | {"hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 14,
                       "vocab_size": 47, "attention_bias": False, "num_experts": 7, "moe_topk": 1,
                       "num_hidden_layers": 2, "tie_word_embeddings": False,
                       "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1000.0, "alpha": 50.0, "factor": 1.0}},
         inert=("factor",)),
)

LFM2: Settings = {
    "vocab_size": 61, "hidden_size": 36, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 96, "norm_eps": 1e-5,
    "tie_embedding": True, "rope_theta": 1000.0, "conv_bias": True, "conv_L_cache": 3, "num_dense_layers": 1,
    "num_experts_per_tok": 3, "num_experts": 8, "use_expert_bias": True, "routed_scaling_factor": 1.5,
    "norm_topk_prob": True, "layer_types": ["conv", "full_attention", "conv", "full_attention"], "pad_token_id": None,
}
TABLE["lfm2_moe"] = entry(
    Family(mixer=("self_attn", "conv"), ffn=("feed_forward",), router="feed_forward.gate",
           experts="feed_forward.experts", norm="model.embedding_norm", kept_in_f32=("expert_bias",)),
    Case("short_conv", "Lfm2MoeForCausalLM", "Lfm2MoeConfig", LFM2, published=LFM2, prompts=((2, 7), (1, 17))),
    Case("no_bias", "Lfm2MoeForCausalLM", "Lfm2MoeConfig",
         LFM2 | {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 47,
                 "use_expert_bias": False, "conv_bias": False, "norm_topk_prob": False, "tie_embedding": False,
                 "num_hidden_layers": 3, "layer_types": ["conv", "conv", "full_attention"], "conv_L_cache": 4}),
)

EXAONE: Settings = {
    "vocab_size": 61, "hidden_size": 30, "intermediate_size": 22, "num_hidden_layers": 4, "num_attention_heads": 6,
    "num_key_value_heads": 2, "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 96,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "sliding_window": 5, "sliding_window_pattern": 3,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0}, "first_k_dense_replace": 1,
    "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
    "moe_intermediate_size": 9, "num_experts": 8, "num_experts_per_tok": 3, "num_shared_experts": 2,
    "norm_topk_prob": True, "routed_scaling_factor": 2.5, "n_group": 2, "topk_group": 1, "pad_token_id": None,
}
TABLE["exaone_moe"] = entry(
    Family(kept_in_f32=_IN_F32, inert=("sliding_window_pattern",)),
    Case("sliding_groups", "ExaoneMoeForCausalLM", "ExaoneMoeConfig", EXAONE, prompts=((2, 7), (1, 15))),
    Case("few", "ExaoneMoeForCausalLM", "ExaoneMoeConfig",
         EXAONE | {"hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 10,
                   "vocab_size": 47, "n_group": 1, "num_experts": 7, "norm_topk_prob": False, "num_shared_experts": 1,
                   "num_hidden_layers": 3, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
                   "tie_word_embeddings": True}),
)

SOLAR: Settings = {
    "vocab_size": 61, "hidden_size": 30, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2,
    "head_dim": 12, "hidden_act": "silu", "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "attention_bias": True, "moe_intermediate_size": 9, "num_experts_per_tok": 3,
    "n_shared_experts": 2, "n_routed_experts": 8, "routed_scaling_factor": 1.5, "n_group": 2, "topk_group": 1,
    "norm_topk_prob": True, "rope_theta": 100.0,
    "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
}
TABLE["solar_open"] = entry(
    Family(kept_in_f32=_IN_F32, others=_YARN),
    Case("yarn_groups", "SolarOpenForCausalLM", "SolarOpenConfig", SOLAR, published=SOLAR, prompts=((2, 7), (1, 17))),
    Case("plain", "SolarOpenForCausalLM", "SolarOpenConfig",
         SOLAR | {"hidden_size": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 14,
                  "vocab_size": 47, "n_group": 1, "n_routed_experts": 7, "norm_topk_prob": False,
                  "n_shared_experts": 1, "attention_bias": False, "rope_scaling": None, "num_hidden_layers": 2}),
)

KIMI_K2: Settings = {
    "vocab_size": 61, "hidden_size": 28, "intermediate_size": 22, "moe_intermediate_size": 9, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 4, "n_shared_experts": 1, "n_routed_experts": 10,
    "routed_scaling_factor": 2.827, "kv_lora_rank": 13, "q_lora_rank": 15, "qk_rope_head_dim": 8, "v_head_dim": 5,
    "qk_nope_head_dim": 7, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 3, "norm_topk_prob": True,
    "first_k_dense_replace": 1, "moe_layer_freq": 1, "hidden_act": "silu", "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-6, "rope_theta": 100.0, "attention_bias": False, "tie_word_embeddings": False,
    "aux_loss_alpha": 0.001, "seq_aux": True, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
    "num_nextn_predict_layers": 0, "pretraining_tp": 1,
    "rope_scaling": {"type": "yarn", "factor": 8.0, "beta_fast": 1.0, "beta_slow": 1.0, "mscale": 1.0,
                     "mscale_all_dim": 1.0, "original_max_position_embeddings": 128},
}
_KIMI_K2_INERT = ("moe_layer_freq", "aux_loss_alpha", "seq_aux", "pretraining_tp")
TABLE["kimi_k2"] = entry(
    Family(kept_in_f32=_IN_F32, inert=_KIMI_K2_INERT, others=_YARN),
    Case("equal_betas", "DeepseekV3ForCausalLM", "DeepseekV3Config", KIMI_K2, published=KIMI_K2 | {"model_type": "kimi_k2"}),
    Case("plain", "DeepseekV3ForCausalLM", "DeepseekV3Config",
         (plain := KIMI_K2 | {"hidden_size": 26, "num_attention_heads": 6, "num_key_value_heads": 6, "vocab_size": 47,
                              "n_routed_experts": 7, "n_shared_experts": 2, "rope_scaling": None,
                              "num_hidden_layers": 2, "attention_bias": True}),
         published=plain | {"model_type": "kimi_k2"}),
)
