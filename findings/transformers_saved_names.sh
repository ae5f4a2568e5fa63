#!/usr/bin/env bash
# transformers 5 reads published tensor names into its own and turns them back in save_pretrained.  In 5.24 the way back is not the way there:
# Kimi-K2.5's text layers are saved as `blocks.N` (the rule for its vision encoder), Kimi-Linear's dense layer under `block_sparse_moe`, and
# DeepSeek-V4 half in the publisher's names, half in the library's.  from_pretrained reads them all, so no round trip within transformers shows it.
# What it means: a checkpoint that went through save_pretrained has names that no other engine knows; look at the index before the engine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 safetensors
"$folder/bin/python" - "$folder" <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

import transformers
from safetensors import safe_open

print(f"  transformers {transformers.__version__}")
mla = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 8, "moe_intermediate_size": 4, "num_hidden_layers": 2,
       "num_attention_heads": 2, "num_key_value_heads": 2, "kv_lora_rank": 4, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4,
       "v_head_dim": 4, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 1, "pad_token_id": None}
vision = {"num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "patch_size": 2,
          "pos_emb_height": 2, "pos_emb_width": 2, "pos_emb_time": 1}
models = [
    ("Kimi_K25ForConditionalGeneration", transformers.Kimi_K25Config(
        text_config=mla | {"model_type": "deepseek_v3", "q_lora_rank": 4, "n_routed_experts": 4, "first_k_dense_replace": 1},
        vision_config=vision, tie_word_embeddings=False, projection_hidden_size=8),
     "language_model.model.blocks.0.mlp.up_proj.weight", "language_model.model.layers.0.mlp.up_proj.weight"),
    ("KimiLinearForCausalLM", transformers.KimiLinearConfig(
        **mla, num_experts=4, linear_head_dim=4, linear_num_heads=2, layer_types=["linear_attention", "full_attention"]),
     "model.layers.0.block_sparse_moe.up_proj.weight", "model.layers.0.mlp.up_proj.weight"),
    ("DeepseekV4ForCausalLM", transformers.DeepseekV4Config(
        vocab_size=32, hidden_size=16, moe_intermediate_size=4, num_hidden_layers=2, num_attention_heads=2, head_dim=8,
        q_lora_rank=4, n_routed_experts=4, num_experts_per_tok=1, o_groups=2, o_lora_rank=4, index_n_heads=2, index_head_dim=8),
     "model.layers.0.attn.wq_a.weight", "layers.0.attn.wq_a.weight"),
]
as_seen = True
for name, config, found, published in models:
    path = f"{sys.argv[1]}/{name}"
    getattr(transformers, name)(config).save_pretrained(path)
    with safe_open(path + "/model.safetensors", "pt") as file:
        names = set(file.keys())
    print(f"  {name}: {found}, published {published}")
    as_seen &= found in names and published not in names
sys.exit(0 if as_seen else 1)
PY
echo "seen: three families are saved under names that are not the published ones"
