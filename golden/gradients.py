"""What torch's autograd makes of two tiny models, in float64: golden/data/gradients/*.safetensors.

    MOEPARITY=build/ci/harness/moeparity python golden/gradients.py            # writes them (torch 2.13.0; no part of the tests)
    MOEPARITY=build/ci/harness/moeparity python golden/gradients.py --check    # makes them and compares: 1e-12 of a tensor's largest

Weights and tokens are those of `moeparity golden make --export-weights`; everything else is written here, from the models' YAML:
routing, capacity, and the forward pass that torch differentiates.
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "gradients")
ROWS, TOKENS, PARTS, SEED = 4, 7, 2, 2
TYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = torch.frombuffer(bytearray(data[first:last]), dtype=TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def write(path, tensors, metadata):
    header, offset = {"__metadata__": metadata}, 0
    for name, tensor in tensors.items():
        size = tensor.numel() * 8
        header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().tobytes())


def philox(seed, stream, index):
    """The first of four words of Philox 4x32-10."""
    c = [index & 0xffffffff, index >> 32, stream & 0xffffffff, stream >> 32]
    k = [seed & 0xffffffff, seed >> 32]
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xffffffff, (a >> 32) ^ c[3] ^ k[1], a & 0xffffffff]
        k = [(k[0] + 0x9E3779B9) & 0xffffffff, (k[1] + 0xBB67AE85) & 0xffffffff]
    return c[0]


def loss_weights(n, vocabulary):
    stream = int.from_bytes(b"loss.w", "big")
    return torch.tensor([[(2 * (philox(SEED, stream, t * vocabulary + v) >> 21) - 2047) / 1024 for v in range(vocabulary)]
                         for t in range(n)], dtype=torch.float64)


def settings(path):
    """The flat YAML of a model: nested names are joined with dots."""
    found, outer = {}, ""
    for line in open(path, encoding="utf-8"):
        name, _, value = line.split("#")[0].rstrip().partition(":")
        if not name:
            continue
        if not value.strip():
            outer = name + "."
            continue
        if not name.startswith(" "):
            outer = ""
        value = value.strip()
        if value.startswith("["):
            found[outer + name.strip()] = [word.strip() for word in value[1:-1].split(",")]
            continue
        for kind in (int, float, {"true": True, "false": False}.__getitem__, str):
            try:
                found[outer + name.strip()] = kind(value)
                break
            except (ValueError, KeyError):
                pass
    return found


def ours(name):
    """The name of a weight outside of files."""
    for theirs, our in (("model.embed_tokens.weight", "embed"), ("model.norm.weight", "final_norm"), ("lm_head.weight", "head"),
                        ("model.", ""), ("input_layernorm.weight", "attn.norm"), ("post_attention_layernorm.weight", "ffn.norm"),
                        ("self_attn.", "attn."), ("mlp.experts.", "experts."), ("mlp.shared_expert.", "mlp."),
                        ("mlp.gate.", "router."), ("_proj", ""), (".weight", ""), (".bias", "_bias")):
        name = name.replace(theirs, our)
    return name


class Model:
    """A forward pass that keeps every value whose gradient is wanted."""

    def __init__(self, s, weights, ids):
        self.s, self.ids, self.values, self.rows = s, ids, {}, {}
        self.w = {name: value.to(torch.float64).requires_grad_() for name, value in weights.items()}

    def keep(self, name, value):
        value.retain_grad()
        self.values[name] = value
        return value

    def norm(self, x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.s["norm_eps"]) * self.w[name]

    def linear(self, x, name):
        return F.linear(x, self.w[name + ".weight"], self.w.get(name + ".bias"))

    def act(self, z):
        return F.silu(z) if self.s["activation"] == "silu" else F.gelu(z)

    def rope(self, x):
        size = x.shape[-1]
        inverse = self.s["rope.theta"] ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angle = torch.arange(TOKENS, dtype=torch.float64)[:, None] * inverse
        cos, sin = (table.repeat(ROWS, 1)[:, None, :] for table in (angle.cos(), angle.sin()))
        low, high = x[..., :size // 2], x[..., size // 2:]
        return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)

    def attention(self, x, layer):
        s, at = self.s, f"layers.{layer}."
        heads, size, n = s["heads"], s["head_size"], ROWS * TOKENS
        name = f"model.layers.{layer}.self_attn."
        q = self.keep(at + "attn.q", self.linear(x, name + "q_proj"))
        k = self.keep(at + "attn.k", self.linear(x, name + "k_proj"))
        v = self.keep(at + "attn.v", self.linear(x, name + "v_proj"))
        q = self.keep(at + "attn.q_rope", self.rope(q.view(n, heads, size)).reshape(n, -1))
        k = self.keep(at + "attn.k_rope", self.rope(k.view(n, s["kv_heads"], size)).reshape(n, -1))
        shape = lambda value, count: value.view(ROWS, TOKENS, count, size).transpose(1, 2)
        share = heads // s["kv_heads"]
        keys = shape(k, s["kv_heads"]).repeat_interleave(share, 1)
        values = shape(v, s["kv_heads"]).repeat_interleave(share, 1)
        scores = shape(q, heads) @ keys.transpose(-1, -2) / math.sqrt(size)
        scores = scores.masked_fill(torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1), -math.inf)
        context = (scores.softmax(-1) @ values).transpose(1, 2).reshape(n, -1)
        return self.linear(self.keep(at + "attn.context", context), name + "o_proj")

    def mlp(self, x, name, keep):
        up = keep("up", self.linear(x, name + "up_proj"))
        if self.s["gated"]:
            hidden = self.act(keep("gate", self.linear(x, name + "gate_proj"))) * up
        else:
            hidden = self.act(up)
        return self.linear(keep("act", hidden), name + "down_proj")

    def choose(self, probs):
        """Experts of every token, and whether a choice finds a slot: capacity in each part of the batch."""
        s, count = self.s, self.s["experts_per_token"]
        chosen = torch.argsort(probs, dim=-1, descending=True, stable=True)[:, :count]
        p = probs.gather(1, chosen)
        weight = p / p.sum(-1, keepdim=True) if s["renormalise"] else p
        kept = torch.zeros_like(chosen, dtype=torch.bool)
        step = ROWS * TOKENS // PARTS
        capacity = math.ceil(step * count / s["experts"] * s["capacity.factor"])
        for first in range(0, ROWS * TOKENS, step):
            for expert in range(s["experts"]):
                claims = [(t, j) for t in range(first, first + step) for j in range(count) if chosen[t, j] == expert]
                if s["capacity.priority"] == "prob":
                    claims.sort(key=lambda claim: -weight[claim].item())
                for claim in claims[:capacity]:
                    kept[claim] = True
        return chosen, weight, kept

    def experts(self, x, layer):
        s, at, count = self.s, f"layers.{layer}.", self.s["experts_per_token"]
        name = f"model.layers.{layer}.mlp."
        logits = self.keep(at + "router_logits", self.linear(x, name + "gate"))
        chosen, weight, kept = self.choose(logits.softmax(-1))
        weight = self.keep(at + "topk_weight", weight)
        self.dropped = getattr(self, "dropped", 0) + int((~kept).sum())
        out = torch.zeros_like(x)
        for expert in range(s["experts"]):
            token, j = torch.where((chosen == expert) & kept)
            if not len(token):
                continue
            def keep(word, value):
                value.retain_grad()
                self.rows.setdefault(at + "moe." + word, []).append((token * count + j, value))
                return value
            rows = keep("recv", x[token] + 0.0)
            result = keep("expert_out", self.mlp(rows, f"{name}experts.{expert}.", keep))
            out = out.index_add(0, token, weight[token, j][:, None] * result)
        if s["shared_inner"]:
            out = out + self.mlp(x, name + "shared_expert.", lambda word, value: self.keep(at + "mlp." + word, value))
        return out

    def run(self):
        s = self.s
        x = self.w["model.embed_tokens.weight"][self.ids.flatten()]
        kinds = s["ffn"] if isinstance(s["ffn"], list) else [s["ffn"]] * s["layers"]
        for layer, kind in enumerate(kinds):
            at, name = f"layers.{layer}.", f"model.layers.{layer}."
            x = self.keep(at + "in", x + 0.0)
            x = x + self.attention(self.keep(at + "attn.norm", self.norm(x, name + "input_layernorm.weight")), layer)
            x = self.keep(at + "mid", x)
            xn = self.keep(at + "ffn.norm", self.norm(x, name + "post_attention_layernorm.weight"))
            if kind == "moe":
                x = x + self.experts(xn, layer)
            else:
                x = x + self.mlp(xn, name + "mlp.", lambda word, value, at=at: self.keep(at + "mlp." + word, value))
            x = self.keep(at + "out", x)
        x = self.keep("final_norm", self.norm(x, "model.norm.weight"))
        return F.linear(x, self.w["model.embed_tokens.weight" if s["tied_head"] else "lm_head.weight"])


def gradients(model, folder):
    command = [os.environ["MOEPARITY"], "golden", "make", "--force", "--model", model, "--tokens", f"{ROWS}x{TOKENS}",
               "--parts", str(PARTS), "--seed", str(SEED), "--numerics", "fp64", "--taps", "all", "--export-weights", "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    s = settings(model)
    m = Model(s, read(folder + "/model.safetensors"), read(folder + "/input.safetensors")["p0.input_ids"])
    logits = m.run()
    taps = read(folder + "/fp64.safetensors")
    off = (logits - taps["p0.logits"].view_as(logits)).abs().max().item()
    assert off < 1e-12, f"{model}: forward passes differ by {off}"
    assert m.dropped > 0, f"{model}: nothing is dropped"
    (logits * loss_weights(ROWS * TOKENS, s["vocabulary"])).sum().backward()
    made = {"grad." + name: value.grad for name, value in m.values.items()}
    for name, pieces in m.rows.items():
        whole = torch.zeros(ROWS * TOKENS * s["experts_per_token"], pieces[0][1].shape[1], dtype=torch.float64)
        for choice, value in pieces:
            whole[choice] = value.grad
        made["grad." + name] = whole
    for name, value in m.w.items():
        made["grad.weight." + ours(name)] = value.grad if value.grad is not None else torch.zeros_like(value)
    return made


def main():
    worst = 0.0
    for name in ("gated", "tied"):
        path = f"{HERE}/{name}.safetensors"
        with tempfile.TemporaryDirectory() as folder:
            made = gradients(f"{HERE}/{name}.yaml", folder + "/bundle")
        if "--check" not in sys.argv:
            write(path, made, {"generator": f"golden/gradients.py, torch {torch.__version__}"})
            continue
        for tensor, value in read(path).items():
            worst = max(worst, ((value - made[tensor]).abs().max() / value.abs().max().clamp(min=1e-300)).item())
    print(f"largest difference {worst:.1e}" if "--check" in sys.argv else "written")
    sys.exit(worst > 1e-12)


main()
