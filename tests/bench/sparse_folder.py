"""sparse_folder.py DIR [SHARDS [TENSORS]]: a checkpoint folder of the shape that large models have, its values holes in the files.

A Qwen3-MoE of 60 layers: 1,000 shards and 100,000 tensors take 15 MB on disk.
"""
import json
import os
import sys
from pathlib import Path

LAYERS, HIDDEN, INNER, HEADS, HEAD, VOCABULARY = 60, 64, 32, 2, 32, 128


def tensors(n_expert):
    yield "model.embed_tokens.weight", [VOCABULARY, HIDDEN]
    yield "lm_head.weight", [VOCABULARY, HIDDEN]
    yield "model.norm.weight", [HIDDEN]
    for layer in range(LAYERS):
        at = f"model.layers.{layer}."
        for what in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{what}.weight", [HIDDEN]
        for what in "qkvo":
            yield f"{at}self_attn.{what}_proj.weight", [HEADS * HEAD, HIDDEN]
        for what in "qk":
            yield f"{at}self_attn.{what}_norm.weight", [HEAD]
        yield f"{at}mlp.gate.weight", [n_expert, HIDDEN]
        for expert in range(n_expert):
            yield f"{at}mlp.experts.{expert}.gate_proj.weight", [INNER, HIDDEN]
            yield f"{at}mlp.experts.{expert}.up_proj.weight", [INNER, HIDDEN]
            yield f"{at}mlp.experts.{expert}.down_proj.weight", [HIDDEN, INNER]


def write(path, part):
    header, end = {}, 0
    for name, shape in part:
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def main():
    folder = Path(sys.argv[1])
    n_shard, n_tensor = (int(sys.argv[i]) if len(sys.argv) > i else n for i, n in ((2, 1000), (3, 100000)))
    n_expert = -(-n_tensor // (3 * LAYERS))
    everything = list(tensors(n_expert))
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for shard in range(n_shard):
        name = f"model-{shard + 1:05d}-of-{n_shard:05d}.safetensors"
        part = everything[len(everything) * shard // n_shard : len(everything) * (shard + 1) // n_shard]
        write(folder / name, part)
        index |= {tensor: name for tensor, _ in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": HIDDEN,
        "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "head_dim": HEAD, "num_hidden_layers": LAYERS,
        "vocab_size": VOCABULARY, "num_experts": n_expert, "num_experts_per_tok": 2, "moe_intermediate_size": INNER,
        "intermediate_size": 24, "rms_norm_eps": 1e-06, "hidden_act": "silu", "decoder_sparse_step": 1,
        "mlp_only_layers": [], "norm_topk_prob": True, "attention_bias": False, "rope_theta": 10000.0,
        "max_position_embeddings": 64, "tie_word_embeddings": False, "use_sliding_window": False,
        "sliding_window": None, "torch_dtype": "bfloat16"}))


main()
