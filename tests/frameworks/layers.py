"""What the scripts of frameworks share, whatever a framework computes with: a checkpoint's expert layers, a golden's inputs, and
the dump of one rank, all of them NumPy arrays."""
import json
import re
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

_NAMES = {"w1": "gate_proj", "w3": "up_proj", "w2": "down_proj"}  # Mixtral's names of what others call so


class Model:
    """A checkpoint's expert layers: weights[l]["experts.0.up_proj.weight"] and so on."""

    def __init__(self, checkpoint: str) -> None:
        self.config = json.loads((Path(checkpoint) / "config.json").read_text())
        self.weights: dict[int, dict[str, np.ndarray]] = {}
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


class Bundle:
    """The fp32 numerics of a folder that `moeparity golden make` has written."""

    FILE = "fp32.safetensors"

    def __init__(self, path: str) -> None:
        self.path, manifest = Path(path), json.loads((Path(path) / "manifest.json").read_text())
        self.rows, self.tokens = manifest["batch"]["rows"], manifest["batch"]["tokens"]
        files, self.input_file = manifest["files"], manifest["batch"]["file"]
        self.marks = {"weights_xxh3": manifest["weights"]["xxh3"],
                      "input_xxh3": files[self.input_file]["xxh3"]}
        self.fingerprint = files[self.FILE]["xxh3"]

    def input_ids(self) -> np.ndarray:
        """[rows, positions]"""
        return load_file(self.path / self.input_file)["p0.input_ids"].reshape(self.rows, self.tokens)

    def read_by_experts(self, layer: int) -> np.ndarray:
        """[rows, positions, columns]"""
        with safe_open(self.path / self.FILE, framework="np") as tensors:
            return tensors.get_tensor(f"p0.layers.{layer}.ffn.norm").reshape(self.rows, self.tokens, -1)


class Dump:
    """The taps of one rank, what it was fed, and where each lies in the whole."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.tensors: dict[str, np.ndarray] = {}
        self.metadata = dict(bundle.marks)

    def feed(self, layer: int) -> np.ndarray:
        """What every rank's layer reads; the dump shows it."""
        self.metadata |= {"forced": "block", "forced_with": self.bundle.fingerprint}
        x = self.tensors[f"p0.fed/layers.{layer}.ffn.norm"] = self.bundle.read_by_experts(layer)
        return x

    def keep(self, tap: str, x: np.ndarray, rows: range, positions: range, first_column: int = 0) -> None:
        """[rows, positions, columns] of the whole batch's."""
        ranges = rows, positions, range(first_column, first_column + x.shape[-1])
        self.tensors["p0." + tap] = np.ascontiguousarray(x)
        self.metadata["slice:p0." + tap] = ",".join(f"{axis.start}:{axis.stop}" for axis in ranges)

    def write(self, folder: str, rank: int, world: int, framework: str, parameters: int, plan: dict[str, int]) -> None:
        self.metadata |= {"rank": str(rank), "world": str(world), "framework": framework, "plan": json.dumps(plan),
                          "parameters": str(parameters)}
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file(self.tensors, Path(folder) / f"rank_{rank:05d}.safetensors", self.metadata)
