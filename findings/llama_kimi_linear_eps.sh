#!/usr/bin/env bash
# Two norms of Kimi Linear have 1e-6 under their root in transformers 5.24, whatever the config's rms_norm_eps says: that of a delta net's queries and
# keys, x / sqrt(|x|^2 + 1e-6), and that of the latents of attention.  llama.cpp takes the one eps of the file
# (attention.layer_norm_rms_epsilon) for all norms, and in the published Kimi-Linear-48B this is 1e-5.
# What it means: where the squares' sum (of latents: their mean) is about 1, a part of 5e-6, near float32's rounding; where it comes near 1e-5, other logits.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 gguf==0.19.0 llama-cpp-python==0.3.36
"$folder/bin/python" - "$folder/model.gguf" <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import ctypes
import sys
from importlib.metadata import version

import gguf
import llama_cpp
import numpy as np
import torch
import transformers
from transformers.models.kimi_linear import modeling_kimi_linear

PATH = sys.argv[1]
IDS = list(range(1, 25))
HEADS, WIDTH = 2, 16
# A delta net and a layer of attention.
SIZES = {"vocab_size": 32, "hidden_size": 32, "intermediate_size": 32, "moe_intermediate_size": 16, "num_hidden_layers": 2,
         "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 16,
         "v_head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "linear_head_dim": WIDTH, "linear_num_heads": HEADS,
         "layer_types": ["linear_attention", "full_attention"], "mlp_layer_types": ["dense", "dense"], "pad_token_id": None}
KEYS = {"block_count": 2, "context_length": 64, "embedding_length": 32, "feed_forward_length": 32, "vocab_size": 32,
        "attention.head_count": HEADS, "attention.head_count_kv": [0, 1], "attention.key_length": 32, "attention.value_length": 16,
        "attention.key_length_mla": 32, "attention.value_length_mla": 16, "attention.kv_lora_rank": 16, "rope.dimension_count": 16,
        "ssm.conv_kernel": 4, "kda.head_dim": WIDTH, "expert_count": 4, "expert_used_count": 2, "expert_shared_count": 1,
        "expert_feed_forward_length": 16, "expert_gating_func": 2, "leading_dense_block_count": 2}
NAMES = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "self_attn.q_proj": "attn_q", "self_attn.o_proj": "attn_output"}
DELTA = {"self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.b_proj": "ssm_beta", "self_attn.g_a_proj": "ssm_g_a",
         "self_attn.g_b_proj": "ssm_g_b", "self_attn.o_norm": "ssm_norm", "self_attn.forget_gate.f_a_proj": "ssm_f_a",
         "self_attn.forget_gate.f_b_proj": "ssm_f_b"}
ATTENTION = {"self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm"}


def make(eps, place, small):
    """The same weights for each eps; rows before the norm of `place` times `small`, and the other layer adds zero."""
    torch.manual_seed(5)
    model = transformers.KimiLinearForCausalLM(transformers.KimiLinearConfig(**SIZES, rms_norm_eps=eps, initializer_range=0.3)).eval()
    delta, attention = (layer.self_attn for layer in model.model.layers)
    delta.forget_gate.A_log.data.zero_()
    other, scaled = (attention, (delta.q_proj, delta.k_proj)) if place == "delta net" else (delta, (attention.kv_a_proj_with_mqa,))
    other.o_proj.weight.data.zero_()
    for projection in scaled:
        projection.weight.data *= small
    return model


def write(model, eps):
    writer = gguf.GGUFWriter(PATH, "kimi-linear")
    for key, value in KEYS.items():
        writer.add_array(f"kimi-linear.{key}", value) if isinstance(value, list) else writer.add_uint32(f"kimi-linear.{key}", value)
    writer.add_layer_norm_rms_eps(eps)
    writer.add_tokenizer_model("no_vocab")
    weights = {name: x.detach().numpy() for name, x in model.named_parameters()}
    tensors = {"token_embd.weight": weights["model.embed_tokens.weight"], "output_norm.weight": weights["model.norm.weight"],
               "output.weight": weights["lm_head.weight"]}
    for layer, own in enumerate((DELTA, ATTENTION)):
        for theirs, name in (NAMES | own).items():
            tensors[f"blk.{layer}.{name}.weight"] = weights[f"model.layers.{layer}.{theirs}.weight"]
    for letter, part in zip("qkv", np.split(weights["model.layers.0.self_attn.conv1d.weight"], 3)):
        tensors[f"blk.0.ssm_conv1d_{letter}.weight"] = part.reshape(1, HEADS * WIDTH, 1, 4)
    tensors["blk.0.ssm_a"] = -np.exp(weights["model.layers.0.self_attn.forget_gate.A_log"])
    tensors["blk.0.ssm_dt.bias"] = weights["model.layers.0.self_attn.forget_gate.dt_bias"]
    keys, values = np.split(weights["model.layers.1.self_attn.kv_b_proj.weight"].reshape(HEADS, 32, 16), 2, 1)
    tensors["blk.1.attn_k_b.weight"], tensors["blk.1.attn_v_b.weight"] = keys.transpose(0, 2, 1), values
    for name, x in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(x, np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()


def engine():
    """llama.cpp's logits of all tokens."""
    model = llama_cpp.llama_model_load_from_file(PATH.encode(), llama_cpp.llama_model_default_params())
    how = llama_cpp.llama_context_default_params()
    how.n_ctx = how.n_batch = how.n_ubatch = 64
    how.n_threads = how.n_threads_batch = 1
    how.type_k = how.type_v = how.flash_attn_type = 0  # float32 throughout
    context = llama_cpp.llama_init_from_model(model, how) if model else None
    if not context:
        raise SystemExit("llama.cpp did not take the file")
    batch = llama_cpp.llama_batch_init(len(IDS), 0, 1)
    batch.n_tokens = len(IDS)
    for i, token in enumerate(IDS):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i], batch.seq_id[i][0] = token, i, 1, True, 0
    if llama_cpp.llama_decode(context, batch) != 0:
        raise SystemExit("llama_decode failed")
    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(context), (len(IDS), 32)).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return logits


def own(model, eps=None):
    """transformers' logits; with eps, where one is given, in the two norms."""
    original = modeling_kimi_linear.l2norm
    if eps is not None:
        modeling_kimi_linear.l2norm = lambda x, dim, eps, given=eps: original(x, dim=dim, eps=given)
        model.model.layers[1].self_attn.kv_a_layernorm.variance_epsilon = eps
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([IDS]), use_cache=False).logits[0].numpy()
    modeling_kimi_linear.l2norm = original
    return logits


@llama_cpp.llama_log_callback
def errors(level, text, _):
    if level == 4:  # GGML_LOG_LEVEL_ERROR
        print("  llama.cpp:", text.decode().strip(), file=sys.stderr)


llama_cpp.llama_log_set(errors, ctypes.c_void_p(0))
transformers.logging.set_verbosity_error()
print(f"  llama-cpp-python {llama_cpp.__version__}, gguf {version('gguf')}, transformers {version('transformers')}, torch {version('torch')}")
print("  llama.cpp's largest difference from transformers by the largest logit, and that from transformers with the file's eps in both norms:")
seen = True
for place in ("delta net", "latents"):
    for small in (1.0, 1e-3):
        for eps in (1e-6, 1e-5, 1e-4):
            model = make(eps, place, small)
            write(model, eps)
            found, expected = engine(), own(model)
            differs, follows = (np.abs(found - x).max() / np.abs(x).max() for x in (expected, own(model, eps)))
            print(f"  {place:9}, rows times {small:<5}, file's eps {eps:.0e}: {differs:.1e}, {follows:.1e}")
            seen &= bool(follows < 1e-4 and (differs > 1e-2) == (small < 1 and eps > 1e-6))
sys.exit(0 if seen else 1)
PY
echo "seen: llama.cpp has the file's eps in the norms of delta nets and of latents, where transformers has 1e-6"
