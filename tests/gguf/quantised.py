"""A Qwen3-MoE whose tensors have all block formats, and what transformers makes
of the values that the gguf package says they are.

Bytes are drawn, not quantised: so every bit of a block means something.
"""
import gguf
import numpy as np
import torch
from gguf.quants import dequantize
from safetensors.torch import save_file

T = gguf.GGMLQuantizationType
D, H, G, DH, E, K, F, V, LAYERS = 256, 2, 1, 32, 3, 2, 32, 24, 2
# Where the scales of a block stand (bytes), as halves of these sizes.
SCALES = {T.Q4_0: {0: 6e-3}, T.Q4_1: {0: 6e-3, 2: -0.05}, T.Q5_0: {0: 3e-3}, T.Q5_1: {0: 3e-3, 2: -0.05},
          T.Q8_0: {0: 5e-4}, T.Q4_K: {0: 1e-4, 2: 7e-4}, T.Q5_K: {0: 5e-5, 2: 7e-4}, T.Q6_K: {208: 2e-5}}


def blocks(rng, kind, shape):
    """Drawn bytes of that many values; a scale within a factor of 2 of its size."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (*shape[:-1], shape[-1] // values, size), dtype=np.uint8)
    for at, scale in SCALES.get(kind, {}).items():
        half = (scale * rng.uniform(0.5, 2.0, data.shape[:-1])).astype(np.float16)
        data[..., at:at + 2] = half[..., None].view(np.uint8)
    if kind == T.MXFP4:
        data[..., 0] = rng.integers(117, 122, data.shape[:-1])
    return data.reshape(*shape[:-1], -1)


def tensor(rng, kind, shape, spread=0.05, middle=0.0):
    """(bytes or values, the values that they mean)"""
    if kind == T.F32:
        x = (middle + spread * rng.standard_normal(shape)).astype(np.float32)
        return x, x
    if kind in (T.F16, T.BF16):
        data = gguf.quants.quantize((middle + spread * rng.standard_normal(shape)).astype(np.float32), kind)
    else:
        data = blocks(rng, kind, shape)
    return data, dequantize(data, kind)


def layer(i):
    """GGUF name, transformers' name, type, shape, middle"""
    p, m = f"blk.{i}.", f"model.layers.{i}."
    down = (T.MXFP4, T.Q4_1)[i]
    return [(p + "attn_norm.weight", m + "input_layernorm.weight", T.F32, (D,), 1.0),
            (p + "ffn_norm.weight", m + "post_attention_layernorm.weight", T.F32, (D,), 1.0),
            (p + "attn_q.weight", m + "self_attn.q_proj.weight", T.Q5_K, (H * DH, D), 0.0),
            (p + "attn_k.weight", m + "self_attn.k_proj.weight", T.Q4_0, (G * DH, D), 0.0),
            (p + "attn_v.weight", m + "self_attn.v_proj.weight", T.Q8_0, (G * DH, D), 0.0),
            (p + "attn_q_norm.weight", m + "self_attn.q_norm.weight", T.F32, (DH,), 1.0),
            (p + "attn_k_norm.weight", m + "self_attn.k_norm.weight", T.F32, (DH,), 1.0),
            (p + "attn_output.weight", m + "self_attn.o_proj.weight", (T.Q5_0, T.Q5_1)[i], (D, H * DH), 0.0),
            (p + "ffn_gate_inp.weight", m + "mlp.gate.weight", (T.F32, T.F16)[i], (E, D), 0.0),
            (p + "ffn_gate_exps.weight", m + "mlp.experts.%d.gate_proj.weight", T.Q4_K, (E, F, D), 0.0),
            (p + "ffn_up_exps.weight", m + "mlp.experts.%d.up_proj.weight", T.Q6_K, (E, F, D), 0.0),
            (p + "ffn_down_exps.weight", m + "mlp.experts.%d.down_proj.weight", down, (E, D, F), 0.0)]


def make(out, seed=11):
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(out / "quantised.gguf", "qwen3moe")
    for add, value in ((writer.add_block_count, LAYERS), (writer.add_context_length, 64),
                       (writer.add_embedding_length, D), (writer.add_head_count, H), (writer.add_head_count_kv, G),
                       (writer.add_key_length, DH), (writer.add_value_length, DH), (writer.add_rope_freq_base, 1e4),
                       (writer.add_layer_norm_rms_eps, 1e-6), (writer.add_expert_count, E),
                       (writer.add_expert_used_count, K), (writer.add_expert_feed_forward_length, F),
                       (writer.add_vocab_size, V)):
        add(value)
    rows = [("token_embd.weight", "model.embed_tokens.weight", T.Q6_K, (V, D), 0.0),
            ("output.weight", "lm_head.weight", T.BF16, (V, D), 0.0),
            ("output_norm.weight", "model.norm.weight", T.F32, (D,), 1.0)]
    state = {}
    for name, ours, kind, shape, middle in rows + [row for i in range(LAYERS) for row in layer(i)]:
        data, values = tensor(rng, kind, shape, middle=middle)
        writer.add_tensor(name, data, raw_dtype=kind)
        if "%d" in ours:
            state |= {ours % e: torch.tensor(values[e], dtype=torch.float64) for e in range(E)}
        else:
            state[ours] = torch.tensor(values, dtype=torch.float64)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        write()
    config = Qwen3MoeConfig(
        vocab_size=V, hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=H, num_key_value_heads=G,
        head_dim=DH, num_experts=E, num_experts_per_tok=K, moe_intermediate_size=F, norm_topk_prob=True,
        rms_norm_eps=1e-6, tie_word_embeddings=False, decoder_sparse_step=1, mlp_only_layers=[],
        max_position_embeddings=64, rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        attn_implementation="eager", experts_implementation="eager")
    model = Qwen3MoeForCausalLM(config).double().eval()
    fused = {k: v for k, v in state.items() if ".experts." not in k}
    for i in range(LAYERS):
        name = f"model.layers.{i}.mlp.experts."
        part = lambda w: torch.stack([state[f"{name}{e}.{w}_proj.weight"] for e in range(E)])
        fused[name + "gate_up_proj"] = torch.cat((part("gate"), part("up")), 1)
        fused[name + "down_proj"] = part("down")
    model.load_state_dict(fused, strict=True)
    ids = torch.tensor(rng.integers(0, V, (2, 7)))
    with torch.inference_mode():
        result = model(ids, output_hidden_states=True, output_router_logits=True)
    expected = {"p0.input_ids": ids, "p0.logits": result.logits, "p0.final_norm": result.hidden_states[-1]}
    for i in range(LAYERS):
        expected[f"p0.layers.{i}.router_logits"] = result.router_logits[i].reshape(2, 7, E)
    save_file({k: v.contiguous() for k, v in expected.items()}, out / "quantised.safetensors")
