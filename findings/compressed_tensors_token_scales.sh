#!/usr/bin/env bash
# compressed-tensors 0.20.1, dynamic scales of activations with strategy "token", the one that most FP8 and INT8 releases of MoE models state.
#   rows [tokens, hidden], as experts get them: one scale for all of them.  A token that is computed beside a large one becomes something else,
#   so a batch, a plan and the other tokens of an expert change its result; rows [batch, tokens, hidden] have a scale for each token
#   INT8: the scale is the largest magnitude over 127.5, so that it becomes 127 or -128; kernels divide by 127
#   FP8 in groups of 32 with scales of powers of two: the scale changes at 1.75, which is where FP4 would round up, not at 1.9375
# What it means: what the package's own Python makes of a quantised model is no yardstick for an engine; one must state whose scales it has.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 compressed-tensors==0.20.1 transformers==5.24.0 numpy
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys
from importlib.metadata import version

import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp

print(f"  compressed-tensors {version('compressed-tensors')}, torch {torch.__version__}")
as_seen = True


def scales(x: torch.Tensor, **args) -> torch.Tensor:
    return compute_dynamic_scales_and_zp(x, QuantizationArgs(dynamic=True, **args), None)[0]


x = torch.tensor([[1.0, -0.5], [4.0, 2.0], [32.0, 8.0]])
token = {"num_bits": 8, "type": "float", "strategy": "token"}
flat, deep = scales(x, **token), scales(x.unsqueeze(0), **token)
print(f"  three tokens with largest magnitudes 1, 4 and 32: [3, 2] has scales {[round(v, 6) for v in flat.flatten().tolist()]}, "
      f"[1, 3, 2] {[round(v, 6) for v in deep.flatten().tolist()]}")
as_seen &= flat.numel() == 1 and deep.numel() == 3

whole = scales(torch.tensor([[[127.5, 1.0]]]), num_bits=8, type="int", strategy="token").item()
print(f"  INT8, largest magnitude 127.5: scale {whole}")
as_seen &= whole == 1.0

mx = {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32, "scale_dtype": torch.uint8}
rows = torch.zeros(3, 32)
rows[:, 0] = torch.tensor([1.74, 1.76, 1.94])
powers = scales(rows, **mx).flatten().tolist()
print(f"  FP8 by 32, largest magnitudes 1.74, 1.76 and 1.94: scales times 256 {[v * 256 for v in powers]}")
as_seen &= [v * 256 for v in powers] == [1.0, 2.0, 2.0]
sys.exit(0 if as_seen else 1)
PY
echo "seen: a token's scale is its batch's where rows are flat"
