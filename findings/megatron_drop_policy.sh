#!/usr/bin/env bash
# Megatron-Core's --moe-token-drop-policy position reads as "the first tokens keep their places".  Its router marks the tokens of an expert with 1 and
# keeps a top-k of those equal marks; which of equal values a top-k takes is nobody's promise.  On a CPU, of 1,024 tokens that all want one expert, and
# 256 places, the kept ones are not the first 256, and they change with the number of tokens; a token can lose its place to a later one.
# What it means: a run with this policy does not drop what GShard, Switch or a queue by position drops, and two devices may drop different tokens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 numpy
"$folder/bin/pip" download --quiet --no-deps --only-binary :all: --python-version 3.12 --dest "$folder" megatron-core==0.19.2
(cd "$folder" && python3.11 -m zipfile -e megatron_core-*.whl package)
"$folder/bin/python" - "$folder/package/megatron/core/transformer/moe/moe_utils.py" <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import ast
import math
import sys
from typing import Optional, Tuple

import torch

text = open(sys.argv[1]).read()
spaces = {"torch": torch, "math": math, "Optional": Optional, "Tuple": Tuple}
for node in ast.parse(text).body:  # the module wants a GPU's packages, its two functions do not
    if isinstance(node, ast.FunctionDef) and node.name in ("get_capacity", "apply_router_token_dropping"):
        exec(ast.get_source_segment(text, node), spaces)
print(f"  torch {torch.__version__}, megatron-core 0.19.2")
as_seen = True
for n in (1024, 768):
    marks = torch.zeros(n, 4)
    marks[:, 0] = 1  # every token wants expert 0, top-1
    _, kept = spaces["apply_router_token_dropping"](marks * 0.5, marks.bool(), 1, 1.0, "position")
    rows = kept[:, 0].nonzero().flatten().tolist()
    first = sum(r < len(rows) for r in rows)
    print(f"  {n} tokens, {len(rows)} places: kept from {rows[0]} to {rows[-1]}, {first} of the first {len(rows)}")
    as_seen &= len(rows) == n // 4 and first < len(rows)
sys.exit(0 if as_seen else 1)
PY
echo "seen: by position, and the first tokens are dropped"
