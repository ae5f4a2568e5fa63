"""A model as mlx-lm defines it, on MLX's CPU; on more than one rank sharded by its own shard().

    [torchrun --nproc-per-node N] tests/frameworks/mlx_model.py CHECKPOINT GOLDEN DUMP

Its taps are what its modules return: of MLX's modules the class is called, so the classes are watched.
"""
import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
from mlx import nn
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model

from moeparity_capture import Bundle, write_file

MIXERS = ("self_attn", "attention", "linear_attn", "conv")
BLOCKS = ("mlp", "feed_forward", "block_sparse_moe")


def ring() -> mx.distributed.Group:
    """Of torchrun's ranks, over ports behind its own."""
    hosts = [[f"127.0.0.1:{int(os.environ['MASTER_PORT']) + 1 + rank}"] for rank in range(int(os.environ["WORLD_SIZE"]))]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(hosts, file)
        file.flush()
        os.environ |= {"MLX_HOSTFILE": file.name, "MLX_RANK": os.environ["RANK"]}
        return mx.distributed.init(strict=True, backend="ring")


def taps_of(model: nn.Module) -> dict[int, str]:
    """The tap that each watched module returns."""
    taps = {id(module): "embed" for name, module in model.named_modules() if name.endswith("embed_tokens")}
    for number, layer in enumerate(model.layers):
        taps[id(layer)] = f"layers.{number}.out"
        for name, module in layer.children().items():
            if name in MIXERS:
                taps[id(module)] = f"layers.{number}.attn_out"
            elif name in BLOCKS:
                taps[id(module)] = f"layers.{number}.ffn_out"
                if gate := module.children().get("gate"):
                    taps[id(gate)] = f"layers.{number}.router_logits"
    return taps


def watch(model: nn.Module, taps: dict[int, str], seen: dict[str, mx.array]) -> None:
    def watched(call):
        def watching(module, *args, **named):
            out = call(module, *args, **named)
            tap = taps.get(id(module))
            if tap and isinstance(out, tuple):  # a gate that chooses
                layer = tap.removesuffix("router_logits")
                seen[layer + "topk_idx"], seen[layer + "topk_weight"] = out[0].astype(mx.int32), out[1]
            elif tap:
                seen[tap] = out
            return out
        return watching

    for kind in {type(module) for module in model.modules() if id(module) in taps}:
        kind.__call__ = watched(kind.__call__)


def main(checkpoint: str, golden: str, dump: str) -> None:
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    bundle = Bundle(Path(golden), "fp32")
    model, _ = load_model(Path(checkpoint))
    model.set_dtype(mx.float32)
    if world > 1:
        model.shard(ring())
    seen: dict[str, mx.array] = {}
    watch(model, taps_of(model), seen)
    seen["logits"] = model(mx.array(bundle.inputs()["input_ids"].numpy()))
    tensors = {f"p0.{tap}": torch.from_numpy(np.array(x)).reshape(bundle.rows, bundle.tokens, -1) for tap, x in seen.items()}
    plan = {"plan": json.dumps({"tp": rank})} if world > 1 else {}
    Path(dump).mkdir(parents=True, exist_ok=True)
    write_file(Path(dump) / f"rank_{rank:05d}.safetensors", tensors, bundle.marks() | plan | {
        "rank": str(rank), "world": str(world), "framework": f"mlx-lm {version('mlx-lm')}, mlx {version('mlx')}",
        "parameters": str(sum(x.size for _, x in tree_flatten(model.parameters())))})


main(*sys.argv[1:])
