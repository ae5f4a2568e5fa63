"""Goldens and foreign dumps for the tests of `moeparity compare`.

The safetensors format is read and written here with NumPy alone, as somebody
would who has neither this program nor the safetensors package: that is the test
that our files are what they say.

    foreign.py bundle TAPS.st DIR [--numerics N] [--relative R] [--heads H]
        a golden bundle of the taps; tolerance of a row = R * largest magnitude
    foreign.py shard DIR/N.safetensors OUT --tp 2 --dp 2 [--perturb TAP:TOKEN:RANK:DELTA]
        the taps as ranks of a dp x tp plan hold them, a file per rank
    foreign.py hf DIR/N.safetensors OUT.st [--dtype F32|BF16|F16|F64]
        one file under the names of Hugging Face's modules
    foreign.py megatron DIR/N.safetensors OUT --pp 2
        a folder under Megatron's names, [s, b, h], layers counted per stage
    foreign.py edit FILE.st TENSOR EXPRESSION
        x = EXPRESSION of the tensor's values (x, np), written back in place
    foreign.py copy FILE.st PATTERN REPLACEMENT
        tensors become equal to others, of names like their own
"""
import argparse
import json
import os
import re
import struct
import sys

import numpy as np

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64,
         "I32": np.int32, "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_}


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + n])
    meta = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = np.frombuffer(data[8 + n + begin:8 + n + end], dtype=TYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            raw = (raw.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = raw.reshape(entry["shape"])
    return tensors, meta


def to_bf16(x):
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def save(path, tensors, meta=None, dtype=None, kinds={}):
    """kinds: element types by name, where NumPy has none of them."""
    header, blobs, at = {}, [], 0
    if meta:
        header["__metadata__"] = meta
    for name, x in sorted(tensors.items(), key=lambda item: -item[1].itemsize):
        kind = kinds.get(name) or next(k for k, t in TYPES.items() if t == x.dtype and k != "BF16")
        if dtype and x.dtype.kind == "f":
            kind = dtype
            x = to_bf16(x) if dtype == "BF16" else x.astype(TYPES[dtype])
        blob = np.ascontiguousarray(x).tobytes()
        header[name] = {"dtype": kind, "shape": list(x.shape), "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def is_tap(name):
    return not name.endswith(("tolerance", ".routing_margin", "input_ids", "attention_mask"))


def bundle(args):
    taps, _ = load(args.taps)
    os.makedirs(args.dir, exist_ok=True)
    inputs = {"p0." + k: v for k, v in taps.items() if not is_tap(k)}
    out = {}
    for name, x in taps.items():
        if not is_tap(name):
            continue
        out["p0." + name] = x
        rows = x.reshape(-1, x.shape[-1])
        if x.dtype.kind == "f" and args.numerics != "exact":
            size = np.abs(rows).max(axis=1)
            out["p0." + name + ".tolerance"] = (args.relative * size).astype(np.float32)
        if name.endswith(".router_logits"):
            z = np.exp(rows.astype(np.float64) - rows.max(axis=1, keepdims=True))
            chosen = taps[name.replace("router_logits", "topk_idx")]
            p = -np.sort(-z / z.sum(axis=1, keepdims=True), axis=1)
            k = chosen.shape[-1]
            out["p0." + name.replace("router_logits", "routing_margin")] = p[:, k - 1] - p[:, k]
    save(os.path.join(args.dir, "input.safetensors"), inputs)
    save(os.path.join(args.dir, args.numerics + ".safetensors"), out, {"numerics": args.numerics})
    with open(os.path.join(args.dir, "manifest.json"), "w") as file:
        json.dump({"schema": "moeparity.golden/3", "origin": "self"}, file)


def split(n, parts, i):
    size, more = divmod(n, parts)
    first = i * size + min(i, more)
    return first, first + size + (i < more)


def shard(args):
    """dp splits the rows of the batch; tp splits the columns of the logits and of
    the embedding table's work, everything else is replicated over tp."""
    taps, _ = load(args.taps)
    ids, _ = load(os.path.join(os.path.dirname(args.taps), "input.safetensors"))
    n_b, n_t = ids["p0.input_ids"].shape
    os.makedirs(args.out, exist_ok=True)
    tap, token, who, delta = (args.perturb or ":-1:-1:0").split(":")
    for d in range(args.dp):
        for t in range(args.tp):
            rank = d * args.tp + t
            b0, b1 = split(n_b, args.dp, d)
            rows = np.arange(b0 * n_t, b1 * n_t)
            meta = {"rank": str(rank), "world": str(args.dp * args.tp), "plan": json.dumps({"tp": t, "dp": d})}
            out = {"rows": rows}
            for name, x in taps.items():
                if not is_tap(name):
                    continue
                c0, c1 = split(x.shape[-1], args.tp, t) if name.endswith(("logits", "attn_out")) else (0, x.shape[-1])
                if x.ndim == 3:
                    piece = x[b0:b1, :, c0:c1].copy()
                    meta["slice:" + name] = f"{b0}:{b1},0:{n_t},{c0}:{c1}"
                elif name.endswith("topk_weight"):
                    order = rows[::-1]
                    out["order"] = order
                    piece = x[order, c0:c1].copy()
                    meta["token_ids:" + name] = "order"
                else:
                    piece = x[rows, c0:c1].copy()
                    meta["slice:" + name] = f"{b0 * n_t}:{b1 * n_t},{c0}:{c1}"
                if name == tap and rank == int(who):
                    flat = piece.reshape(-1, piece.shape[-1])
                    at = int(token) - b0 * n_t
                    flat[len(flat) - 1 - at if name.endswith("topk_weight") else at] += float(delta)
                out[name] = piece
            del out["rows"]
            save(os.path.join(args.out, f"rank_{rank:05d}.safetensors"), out, meta)


HF = {"embed": "model.embed_tokens", "final_norm": "model.norm", "logits": "lm_head",
      "attn_out": "self_attn", "router_logits": "mlp.gate", "ffn_out": "mlp", "topk_idx": "mlp.topk_idx",
      "topk_weight": "mlp.topk_weight"}
MEGATRON = {"embed": "embedding", "final_norm": "decoder.final_layernorm", "logits": "output_layer",
            "attn_out": "self_attention", "router_logits": "mlp.router.logits", "ffn_out": "mlp",
            "topk_idx": "mlp.router.topk_idx", "topk_weight": "mlp.router.topk_weight"}


def rename(name, names, stem, first=0):
    parts = name[len("p0."):].split(".")
    if parts[0] != "layers":
        return names[parts[0]]
    layer = f"{stem}.layers.{int(parts[1]) - first}"
    return layer if parts[2] == "out" else f"{layer}.{names[parts[2]]}"


def has_name(name, names):
    """Of the taps of a bundle, those that other programs name: not the inputs to be fed."""
    parts = name[len("p0."):].split(".")
    return is_tap(name) and (parts[0] != "layers" or parts[2] == "out" or parts[2] in names)


def hf(args):
    taps, _ = load(args.taps)
    out = {rename(k, HF, "model"): v for k, v in taps.items() if has_name(k, HF)}
    save(args.out, out, dtype=args.dtype)


def megatron(args):
    taps, _ = load(args.taps)
    ids, _ = load(os.path.join(os.path.dirname(args.taps), "input.safetensors"))
    n_b, n_t = ids["p0.input_ids"].shape
    n_l = 1 + max(int(k.split(".")[2]) for k in taps if k.startswith("p0.layers."))
    os.makedirs(args.out, exist_ok=True)
    for stage in range(args.pp):
        l0, l1 = split(n_l, args.pp, stage)
        out = {}
        for name, x in taps.items():
            parts = name.split(".")
            if not has_name(name, MEGATRON):
                continue
            owner = 0 if parts[1] == "embed" else args.pp - 1
            if parts[1] == "layers":
                owner = next(s for s in range(args.pp) if int(parts[2]) < split(n_l, args.pp, s)[1])
            if owner != stage:
                continue
            flat = x.reshape(n_b, n_t, x.shape[-1]).transpose(1, 0, 2)
            if x.ndim == 2:
                flat = flat.reshape(-1, x.shape[-1])
            out["module." + rename(name, MEGATRON, "decoder", l0)] = flat
        save(os.path.join(args.out, f"rank_{stage:05d}.safetensors"), out,
             {"plan": json.dumps({"pp": stage}), "first_layer": str(l0)}, dtype=args.dtype)


def edit(args):
    with open(args.file, "r+b") as file:
        (n,) = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(n))[args.tensor]
        begin, end = entry["data_offsets"]
        file.seek(8 + n + begin)
        x = np.frombuffer(file.read(end - begin), dtype=TYPES[entry["dtype"]]).reshape(entry["shape"]).copy()
        scope = {"x": x, "np": np}
        exec(args.expression, scope)
        blob = np.ascontiguousarray(scope["x"].astype(x.dtype)).tobytes()
        assert len(blob) == end - begin
        file.seek(8 + n + begin)
        file.write(blob)


def copy(args):
    """Every tensor whose whole name fits the pattern becomes the one that the replacement names."""
    with open(args.file, "r+b") as file:
        (n,) = struct.unpack("<Q", file.read(8))
        entries = json.loads(file.read(n))
        names = [name for name in entries if re.fullmatch(args.pattern, name)]
        assert names, f"no tensor {args.pattern}"
        for name in names:
            begin, end = entries[re.sub(args.pattern, args.replacement, name)]["data_offsets"]
            file.seek(8 + n + begin)
            blob = file.read(end - begin)
            begin, end = entries[name]["data_offsets"]
            assert len(blob) == end - begin
            file.seek(8 + n + begin)
            file.write(blob)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, fields in (("bundle", bundle, ("taps", "dir")), ("shard", shard, ("taps", "out")),
                              ("hf", hf, ("taps", "out")), ("megatron", megatron, ("taps", "out")),
                              ("edit", edit, ("file", "tensor", "expression")),
                              ("copy", copy, ("file", "pattern", "replacement"))):
        sub = commands.add_parser(name)
        sub.set_defaults(run=run)
        for field in fields:
            sub.add_argument(field)
        sub.add_argument("--numerics", default="fp32")
        sub.add_argument("--relative", type=float, default=1e-3)
        sub.add_argument("--tp", type=int, default=1)
        sub.add_argument("--dp", type=int, default=1)
        sub.add_argument("--pp", type=int, default=1)
        sub.add_argument("--dtype")
        sub.add_argument("--perturb")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    sys.exit(main())
