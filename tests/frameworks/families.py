"""Tiny models of the families that are run: config.json as the publishers spell it, every size divisible by 4 ranks."""
from typing import Any

Config = dict[str, Any]

_COMMON: Config = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4,
    "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "num_experts_per_tok": 2, "tie_word_embeddings": False, "sliding_window": None,
}


def _config(model_type: str, name: str, **own: Any) -> Config:
    return {"architectures": [name], "model_type": model_type} | _COMMON | own


FAMILIES: dict[str, Config] = {
    "mixtral": _config("mixtral", "MixtralForCausalLM", intermediate_size=16, num_local_experts=8),
    "qwen2_moe": _config(
        "qwen2_moe", "Qwen2MoeForCausalLM", intermediate_size=24, moe_intermediate_size=16, num_experts=8,
        shared_expert_intermediate_size=24, norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[],
        qkv_bias=True, use_sliding_window=False, tie_word_embeddings=True),
    "qwen3_moe": _config(
        "qwen3_moe", "Qwen3MoeForCausalLM", head_dim=8, intermediate_size=24, moe_intermediate_size=16, num_experts=8,
        norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[1], num_hidden_layers=3, attention_bias=False,
        use_sliding_window=False),
    "olmoe": _config(
        "olmoe", "OlmoeForCausalLM", intermediate_size=16, num_experts=8, norm_topk_prob=False, clip_qkv=None),
    "deepseek_v3": _config(
        "deepseek_v3", "DeepseekV3ForCausalLM", num_key_value_heads=8, intermediate_size=24, moe_intermediate_size=16,
        n_routed_experts=8, n_shared_experts=1, n_group=4, topk_group=2, routed_scaling_factor=2.5, norm_topk_prob=True,
        first_k_dense_replace=1, num_hidden_layers=3, q_lora_rank=16, kv_lora_rank=8, qk_nope_head_dim=8,
        qk_rope_head_dim=4, v_head_dim=8, rope_interleave=True, attention_bias=False),
    "gpt_oss": _config(
        "gpt_oss", "GptOssForCausalLM", head_dim=8, intermediate_size=32, num_local_experts=8, sliding_window=3,
        layer_types=["sliding_attention", "full_attention"], attention_bias=True,
        rope_scaling={"rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0,
                      "original_max_position_embeddings": 8, "truncate": False}),
    "glm4_moe": _config(
        "glm4_moe", "Glm4MoeForCausalLM", head_dim=8, intermediate_size=24, moe_intermediate_size=16,
        n_routed_experts=8, n_shared_experts=1, n_group=1, topk_group=1, routed_scaling_factor=1.5, norm_topk_prob=True,
        first_k_dense_replace=1, partial_rotary_factor=0.5, use_qk_norm=True, attention_bias=True),
}

# Of a bug each (bugs.py).
VARIANTS: dict[str, Config] = {
    "olmoe_one_choice": FAMILIES["olmoe"] | {"num_experts_per_tok": 1},
    "mixtral_three_choices": FAMILIES["mixtral"] | {"num_experts_per_tok": 3},
}
