"""What runs of a framework's expert layer alone share: a checkpoint's weights, a golden's inputs, and the dump of it."""
import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from moeparity_capture import Bundle, Place, write_file

_NAMES = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}  # Mixtral's names of what others call so


def count_integers() -> None:
    """torch.histc of integers is a GPU's: on a CPU those of the same numbers as floats."""
    histc = torch.histc
    torch.histc = lambda x, *bins, **ends: histc(x.float(), *bins, **ends).to(x.dtype)


class Model:
    """A checkpoint's expert layers: block(l)["experts.0.up_proj.weight"] and so on."""

    def __init__(self, checkpoint: str) -> None:
        self.config = json.loads((Path(checkpoint) / "config.json").read_text())
        self.weights: dict[int, dict[str, Tensor]] = {}
        for name, weight in load_file(Path(checkpoint) / "model.safetensors").items():
            if match := re.fullmatch(r"model\.layers\.(\d+)\.(?:mlp|block_sparse_moe)\.(.*)", name):
                own = re.sub(r"\bw[123]\b", lambda word: _NAMES[word[0]], match[2])
                self.weights.setdefault(int(match[1]), {})[own.replace("shared_experts.", "shared_expert.")] = weight
        self.layers = sorted(layer for layer, block in self.weights.items() if {"gate.weight", "router.weight"} & block.keys())

    def get(self, *names: str, default=None):
        """What the config says under the first of these names that it has."""
        return next((self.config[name] for name in names if name in self.config), default)

    @property
    def experts(self) -> int:
        return self.get("num_experts", "num_local_experts", "n_routed_experts")

    @property
    def inner(self) -> int:
        return self.get("moe_intermediate_size", "intermediate_size")


class Dump:
    """The taps of one rank's tokens: rows and positions of the batch, as "b=0:2,t=2:4"."""

    def __init__(self, bundle: str, place: str) -> None:
        self.bundle, self.place = Bundle(Path(bundle), "fp32"), place
        self.taps: dict[str, Tensor] = {}

    def input(self, layer: int) -> Tensor:
        """[rows, positions, columns] of this rank, as the golden has them."""
        before = f"layers.{layer - 1}.out" if layer else "embed"  # and the mixer's: nothing here reads them
        for tap in (before, f"layers.{layer}.attn.norm", f"layers.{layer}.ffn.norm"):
            whole = self.taps[f"fed/{tap}"] = self.bundle.tensor(tap)
        return Place(self.place).of(whole.reshape(self.bundle.rows, self.bundle.tokens, -1)).contiguous()

    def keep(self, layer: int, out: Tensor, logits: Tensor, ids: Tensor, weights: Tensor) -> None:
        """[rows, positions, columns] each."""
        for tap, x in (("ffn_out", out), ("router_logits", logits), ("topk_idx", ids), ("topk_weight", weights)):
            self.taps[f"layers.{layer}.{tap}"] = x.detach().contiguous()

    def write(self, folder: str, framework: str, parameters: int, plan: dict[str, int]) -> None:
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        metadata = {"rank": str(rank), "world": str(world), "framework": framework, "plan": json.dumps(plan),
                    "parameters": str(parameters), "forced": "block", "forced_with": self.bundle.fingerprint()}
        metadata |= {f"slice:p0.{tap}": self._ranges(x) for tap, x in self.taps.items() if not tap.startswith("fed/")}
        write_file(Path(folder) / f"rank_{rank:05d}.safetensors",
                   {f"p0.{tap}": x for tap, x in self.taps.items()}, metadata | self.bundle.marks())

    def _ranges(self, x: Tensor) -> str:
        held = Place(self.place).ranges
        rows, positions = (held.get(axis, slice(0, size)) for axis, size in
                           (("b", self.bundle.rows), ("t", self.bundle.tokens)))
        return f"{rows.start}:{rows.stop},{positions.start}:{positions.stop},0:{x.shape[-1]}"
