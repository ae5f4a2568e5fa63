"""A bf16 run of PyTorch whose experts' rows are added in a way of its own.

    combine.py CHECKPOINT BUNDLE OUT index_put_|index_add_|bmm

Run by hand, never by tests: what it wrote lies beside it (README.md).  A Mixtral
in plain torch operators, on the batch of a golden bundle; taps are stored as
they are, in bf16.
"""
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../cli"))
import foreign

BF16 = torch.bfloat16


def norm(x, w, eps=1e-5):
    x = x.float()
    return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)).to(BF16)


def rope(x, theta=1e6, factor=3.0):
    """x [B, T, heads, Dh], split halves."""
    n_t, n = x.shape[1], x.shape[3]
    inverse = 1.0 / theta ** (torch.arange(0, n, 2).float() / n) / factor
    angle = torch.outer(torch.arange(n_t).float(), inverse)[None, :, None]
    cos, sin = torch.cat([angle.cos()] * 2, -1).to(BF16), torch.cat([angle.sin()] * 2, -1).to(BF16)
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def attention(w, at, x, n_h=4, n_g=2):
    n_b, n_t, n_d = x.shape
    heads = lambda name, n: (x @ w[at + name].T).view(n_b, n_t, n, -1)
    q, k, v = rope(heads("q_proj.weight", n_h)), rope(heads("k_proj.weight", n_g)), heads("v_proj.weight", n_g)
    k, v = (y.repeat_interleave(n_h // n_g, dim=2).transpose(1, 2) for y in (k, v))
    s = q.transpose(1, 2) @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    s = s.masked_fill(torch.ones(n_t, n_t, dtype=torch.bool).triu(1), float("-inf"))
    p = torch.softmax(s.float(), -1).to(BF16)
    return (p @ v).transpose(1, 2).reshape(n_b, n_t, n_d) @ w[at + "o_proj.weight"].T


def moe(w, at, x, how, taps, layer, n_e=9, n_k=8):
    logits = x @ w[at + "gate.weight"].T
    weight, chosen = torch.softmax(logits.float(), -1).topk(n_k, -1)
    weight = (weight / weight.sum(-1, keepdim=True)).to(BF16)
    taps[f"layers.{layer}.router_logits"] = logits
    taps[f"layers.{layer}.topk_idx"] = chosen
    taps[f"layers.{layer}.topk_weight"] = weight
    rows, token = [], []
    for e in range(n_e):
        t, k = torch.where(chosen == e)
        expert = f"{at}experts.{e}."
        gate, up = x[t] @ w[expert + "w1.weight"].T, x[t] @ w[expert + "w3.weight"].T
        y = (torch.nn.functional.silu(gate) * up) @ w[expert + "w2.weight"].T
        rows.append((y, weight[t, k]))
        token.append(t)
    y, by, token = torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows]), torch.cat(token)
    if how == "bmm":  # [N, 1, K] by [N, K, D]
        order = token.argsort(stable=True)
        return torch.bmm(by[order].view(len(x), 1, n_k), y[order].view(len(x), n_k, -1))[:, 0]
    out, y = torch.zeros_like(x), y * by[:, None]
    return out.index_put_((token,), y, accumulate=True) if how == "index_put_" else out.index_add_(0, token, y)


def main():
    checkpoint, bundle, path, how = sys.argv[1:]
    torch.set_num_threads(1)
    w = {k: torch.from_numpy(v.copy()).to(BF16) for k, v in foreign.load(checkpoint + "/model.safetensors")[0].items()}
    ids = torch.from_numpy(foreign.load(bundle + "/input.safetensors")[0]["p0.input_ids"].copy())
    x = w["model.embed_tokens.weight"][ids]
    taps = {"embed": x}
    for layer in range(3):
        at = f"model.layers.{layer}."
        y = attention(w, at + "self_attn.", norm(x, w[at + "input_layernorm.weight"]))
        x = x + y
        taps[f"layers.{layer}.attn_out"] = y
        y = norm(x, w[at + "post_attention_layernorm.weight"]).view(-1, x.shape[-1])
        y = moe(w, at + "block_sparse_moe.", y, how, taps, layer).view(x.shape)
        x = x + y
        taps[f"layers.{layer}.ffn_out"], taps[f"layers.{layer}.out"] = y, x
    taps["final_norm"] = norm(x, w["model.norm.weight"])
    taps["logits"] = taps["final_norm"] @ w["lm_head.weight"].T
    tensors = {"p0." + k: (v.float() if v.dtype == BF16 else v).numpy() for k, v in taps.items()}
    foreign.save(path, tensors, {"made_by": f"torch {torch.__version__}, combine by {how}"}, dtype="BF16")


if __name__ == "__main__":
    main()
