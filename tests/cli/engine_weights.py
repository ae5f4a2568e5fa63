"""A checkpoint folder under one set of names, whatever its family calls them.

Experts are separate matrices `model.layers.L.mlp.experts.E.{gate,up,down}_proj`,
the router is `mlp.gate`, a shared expert `mlp.shared_expert`.
"""
import numpy as np

from foreign import load

f32 = np.float32
FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], f32)


def scalar(text):
    if text.startswith("["):
        return [scalar(t.strip()) for t in text[1:-1].split(",")]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


def parse(yaml):
    """Our spec's YAML: `key: value`, and one level of it below a key."""
    spec, below = {}, None
    for line in yaml.splitlines():
        key, _, value = line.strip().partition(":")
        if line.startswith("  "):
            below[key] = scalar(value.strip())
        elif value.strip():
            spec[key] = scalar(value.strip())
        else:
            below = spec[key] = {}
    return spec


def mxfp4(blocks, scales):
    """Two codes a byte, the low one first; a scale 2^(s-127) for 32 of them."""
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1)
    values = np.where(codes & 8, -FP4[codes & 7], FP4[codes & 7])
    values = np.ldexp(values.reshape(*scales.shape, 32), scales[..., None].astype(int) - 127)
    return values.reshape(*scales.shape[:-1], -1).astype(f32)


def split_experts(w, at):
    """GPT-OSS keeps all experts of a layer in one tensor, gate and up in turn."""
    pairs = mxfp4(w.pop(at + "gate_up_proj_blocks"), w.pop(at + "gate_up_proj_scales"))
    down = mxfp4(w.pop(at + "down_proj_blocks"), w.pop(at + "down_proj_scales"))
    pairs_bias, down_bias = w.pop(at + "gate_up_proj_bias"), w.pop(at + "down_proj_bias")
    for e in range(len(down)):
        for name, x in (("gate_proj.weight", pairs[e, 0::2]), ("up_proj.weight", pairs[e, 1::2]),
                        ("gate_proj.bias", pairs_bias[e, 0::2]), ("up_proj.bias", pairs_bias[e, 1::2]),
                        ("down_proj.weight", down[e]), ("down_proj.bias", down_bias[e])):
            w[f"{at}{e}.{name}"] = x


def read(folder):
    w = {}
    for name, x in load(folder + "/model.safetensors")[0].items():
        w[name.replace(".shared_experts.", ".shared_expert.").replace(".mlp.router.", ".mlp.gate.")] = x
    for name in [n for n in w if n.endswith("experts.gate_up_proj_blocks")]:
        split_experts(w, name[:-len("gate_up_proj_blocks")])
    return {name: np.ascontiguousarray(x, f32) for name, x in w.items()}
