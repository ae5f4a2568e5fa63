#!/usr/bin/env bash
# A router chooses by torch.topk.  Scores tie often: bf16 logits have 8 bits, an empty prompt or a dead router gives equal rows.  Of 128 equal
# scores topk(8) on a CPU takes none of the first eight, in no order, and the same with sorted=False; a stable sort takes the first
# eight, argmax the first; the numbers change with how many scores there are.  Engines that say "the lowest index wins", as JAX does, take other experts.
# What it means: a tie is no fault of a router, whichever way it falls, but only a margin of zero tells a tie from a wrong expert.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

import torch

as_seen = True
print(f"  torch {torch.__version__}")
for n, k in ((16, 4), (64, 6), (128, 8), (256, 8)):
    equal, first = torch.zeros(n), list(range(k))
    chosen = torch.topk(equal, k).indices.tolist()
    stable = torch.sort(equal, descending=True, stable=True).indices[:k].tolist()
    print(f"  {n} equal scores: topk({k}) takes {chosen}, a stable sort {stable}, argmax {int(equal.argmax())}")
    as_seen &= not set(chosen) & set(first) and chosen != sorted(chosen)
    as_seen &= stable == first and int(equal.argmax()) == 0
sys.exit(0 if as_seen else 1)
PY
echo "seen: topk takes equal scores from the middle, in no order"
