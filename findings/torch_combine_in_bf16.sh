#!/usr/bin/env bash
# The rows of a token's experts are added where they belong: index_add_, scatter_add_, index_put_(accumulate=True) are three ways that
# people write it.  In bf16 on a CPU torch 2.13.0 sums the first two, and every product and sum() beside, in fp32 and rounds once;
# index_put_ rounds after each addition and stops at 256, where one is half a unit (fp16: 2,048).  The documentation names no difference.
# What it means: two correct combines of one model differ by more than rounding explains if many rows meet in one, and a test that holds
# one against the other in bf16 must know which one was used.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

import torch

N = 4096


def sums(dtype):
    to, ones = torch.zeros(N, dtype=torch.long), torch.ones(N, 1, dtype=dtype)
    zero = lambda: torch.zeros(1, 1, dtype=dtype)
    return {"index_add_": zero().index_add_(0, to, ones),
            "scatter_add_": zero().scatter_add_(0, to[:, None], ones),
            "linear": torch.nn.functional.linear(ones.T, ones.T),
            "sum": ones.sum(),
            "index_put_(accumulate)": zero().index_put_((to,), ones, accumulate=True)}


as_seen = True
for dtype, stops_at in ((torch.bfloat16, 256), (torch.float16, 2048)):
    found = {name: float(y.reshape(())) for name, y in sums(dtype).items()}
    print(f"  torch {torch.__version__}, {N} ones in {dtype}:", ", ".join(f"{n} {y:.0f}" for n, y in found.items()))
    put = found.pop("index_put_(accumulate)")
    as_seen &= put == stops_at and all(y == N for y in found.values())
sys.exit(0 if as_seen else 1)
PY
echo "seen: index_put_ with accumulate rounds after every addition, the others once"
