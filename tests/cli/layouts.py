"""A plain checkpoint as a publisher stores it, and the values that this means.

    layouts.py LAYOUT PLAIN.st CONFIG.json CASE TWIN
        CASE: codes and scales under the publisher's names; TWIN: the same names
        and the dequantised values as F64, and nothing is said to be quantised
    layouts.py same A.st B.st
        the taps of two runs are equal bit for bit

Written from the formats' descriptions, with NumPy alone.
"""
import json
import os
import re
import sys

import numpy as np

import foreign

# --- formats: a matrix gives {end of the name: (type, tensor)} and its values

E2M1 = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])
E4M3 = np.array([(-1.0) ** (i >> 7) * ((i & 7) / 8 + (i >> 3 & 15 > 0)) * 2.0 ** (max(i >> 3 & 15, 1) - 7)
                 for i in range(256)])
E4M3[[0x7F, 0xFF]] = np.nan


def nearest(x, table):
    distance = np.abs(x[..., None] - table)
    return np.nanargmin(distance, axis=-1).astype(np.uint8)


def pack(codes):
    """Two a byte, the first in the low half."""
    return codes[:, 0::2] | codes[:, 1::2] << 4


def largest(w, rows, cols):
    """Of every block; the last ones may be smaller."""
    return np.array([[np.abs(w[r:r + rows, c:c + cols]).max() for c in range(0, w.shape[1], cols)]
                     for r in range(0, w.shape[0], rows)])


def spread(scale, w, rows, cols):
    return scale.repeat(rows, 0)[:w.shape[0]].repeat(cols, 1)[:, :w.shape[1]]


def exponents(most):
    """Bytes of E8M0."""
    return (np.log2(most).round() + 127).astype(np.uint8)


def mxfp4(w):
    power = 2.0 ** (np.floor(np.log2(largest(w, 1, 32))) - 2)
    codes = nearest(w / spread(power, w, 1, 32), E2M1)
    return pack(codes), exponents(power), E2M1[codes] * spread(power, w, 1, 32)


def mxfp4_as_bytes(w):  # DeepSeek
    codes, scale, values = mxfp4(w)
    return {"weight": ("I8", codes.view(np.int8)), "scale": ("F8_E8M0", scale)}, values


def mxfp4_packed(w):  # compressed-tensors
    codes, scale, values = mxfp4(w)
    return {"weight_packed": ("U8", codes), "weight_scale": ("U8", scale)}, values


def nvfp4(w):  # modelopt
    second = np.float32(np.abs(w).max() / (6 * 448))
    scale = nearest(largest(w, 1, 16) / 6 / second, E4M3)
    factor = spread(E4M3[scale], w, 1, 16) * np.float64(second)
    codes = nearest(w / factor, E2M1)
    return {"weight": ("U8", pack(codes)), "weight_scale": ("F8_E4M3", scale), "weight_scale_2": ("F32", second),
            "input_scale": ("F32", np.float32(0.25))}, E2M1[codes] * factor


def fp8_blocks(w):  # DeepSeek
    power = 2.0 ** np.ceil(np.log2(largest(w, 128, 128) / 448))
    codes = nearest(w / spread(power, w, 128, 128), E4M3)
    return ({"weight": ("F8_E4M3", codes), "scale": ("F8_E8M0", exponents(power))},
            E4M3[codes] * spread(power, w, 128, 128))


# --- layouts: which weights have which format, how all are named, what else is there

V4_FP8 = (r"\.attn\.(wq_a|wq_b|wkv|wo_a|wo_b|indexer\.wq_b)\.weight|\.shared_experts\.", fp8_blocks)
LAYOUTS = {
    "deepseek_v4": {
        "formats": [(r"\.ffn\.experts\.", mxfp4_as_bytes), V4_FP8],
        "beside": {"mtp.0.ffn.experts.0.w1.weight": ("I8", (4, 16)), "mtp.0.ffn.experts.0.w1.scale": ("F8_E8M0", (4, 1)),
                   "mtp.0.norm.weight": ("F32", (32,))}},
    "deepseek_v4_nvfp4": {"formats": [(r"\.ffn\.experts\.", nvfp4), V4_FP8]},
    "gemma4_nvfp4": {
        "formats": [(r"\.experts\.", nvfp4)],
        "names": [(r"^model\.", "model.language_model.")],
        "beside": {"model.embed_vision.embedding_projection.weight": ("F32", (4, 4)),
                   "model.vision_tower.std_bias": ("F32", (4,))}},
    "kimi_k3": {
        "formats": [(r"\.block_sparse_moe\.(experts\.|routed_expert_\w+_proj)|_res_proj", mxfp4_packed)],
        "names": [(r"^", "language_model.")],
        "beside": {"vision_tower.patch_embed.proj.weight": ("F32", (4, 4)), "mm_projector.proj.0.weight": ("F32", (4, 4))}},
}


def one_by_one(tensors):
    """Experts that share a tensor, apart."""
    found = {}
    for name, x in tensors.items():
        module, _, part = name.rpartition(".")
        if not module.endswith(".experts"):
            found[name] = x
            continue
        half = x.shape[1] // 2
        parts = {"gate_proj": x[:, :half], "up_proj": x[:, half:]} if part == "gate_up_proj" else {part: x}
        for kind, of_all in parts.items():
            found.update({f"{module}.{e}.{kind}.weight": w for e, w in enumerate(of_all)})
    return found


def write(folder, tensors, config):
    os.makedirs(folder, exist_ok=True)
    foreign.save(os.path.join(folder, "model.safetensors"), {name: x for name, (_, x) in tensors.items()},
                 kinds={name: kind for name, (kind, _) in tensors.items()})
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1)


def lay_out(layout, plain, config, case, twin):
    layout = LAYOUTS[layout]
    stored, meant = {}, {}
    for name, x in one_by_one(foreign.load(plain)[0]).items():
        form = next((form for pattern, form in layout["formats"] if re.search(pattern, name)), None)
        for pattern, replacement in layout.get("names", []):
            name = re.sub(pattern, replacement, name)
        if name.endswith("tid2eid"):
            stored[name], meant[name] = ("I32", x.astype(np.int32)), ("I64", x.astype(np.int64))
            continue
        x = x.astype(np.float64)
        tensors = {"": ("F32", x.astype(np.float32))}
        if form is not None:
            tensors, x = form(x)
        for end, tensor in tensors.items():
            stored[name.removesuffix("weight") + end if end else name] = tensor
        meant[name] = ("F64", x)
    for name, (kind, shape) in layout.get("beside", {}).items():
        stored[name] = kind, np.zeros(shape, {"F32": np.float32, "I8": np.int8}.get(kind, np.uint8))
    with open(config) as file:
        said = json.load(file)
    write(case, stored, said)
    said.pop("quantization_config", None)
    said.get("text_config", {}).pop("quantization_config", None)
    write(twin, meant, said)


def same(a, b):
    a, b = foreign.load(a)[0], foreign.load(b)[0]
    if a.keys() != b.keys():
        sys.exit("other taps")
    for name in a:
        if a[name].tobytes() != b[name].tobytes():
            sys.exit(f"{name} differs")


if __name__ == "__main__":
    same(*sys.argv[2:]) if sys.argv[1] == "same" else lay_out(*sys.argv[1:])
