"""A case made again, held against the committed one."""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

EXACT = ("input_ids", "topk_idx")
ROUNDED = 1e-4  # of a tensor's rms: other processors, other orders of summation in float32
DOUBLE = 1e-11


def _is_near(name: str, a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if name.endswith(EXACT) or a.dtype is torch.bfloat16 or not name.startswith("p"):
        return torch.equal(a, b)
    allowed = (DOUBLE if a.dtype is torch.float64 else ROUNDED) * b.pow(2).mean().sqrt()
    return bool((a - b).abs().max() <= allowed)


def _of_tensors(committed: Path, made: Path) -> list[str]:
    a, b = load_file(committed), load_file(made)
    if a.keys() != b.keys():
        return [f"{made.name}: other tensors"]
    return [f"{made.name}: {name} differs" for name in a if not _is_near(name, a[name], b[name])][:1]


def differences(committed: Path, made: Path) -> list[str]:
    """What is another in the folder made, one line a file."""
    if not committed.is_dir():
        return ["is not committed"]
    names = {path.name for path in committed.iterdir()}, {path.name for path in made.iterdir()}
    found = [] if names[0] == names[1] else [f"files: {sorted(names[0] ^ names[1])}"]
    for name in sorted(names[0] & names[1] - {"manifest.json"}):
        a, b = committed / name, made / name
        if a.read_bytes() == b.read_bytes():
            continue
        if name.endswith(".safetensors"):
            found += _of_tensors(a, b)
        elif json.loads(a.read_text()) != json.loads(b.read_text()):
            found.append(f"{name} differs")
    return found
