#!/usr/bin/env bash
# mlx-lm 0.32.2, Jamba: a token's two experts get weights that add up to one (a softmax over the chosen scores).  Jamba's own weights come from
# a softmax over all experts and are not divided by their sum, as transformers, where its publisher's code lies, computes them.
# What it means: each such layer adds the right sum of experts, too large by one over the chosen share, and the text still reads well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0 mlx-lm==0.32.2 "mlx[cpu]==0.32.0"
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys
from importlib.metadata import version

import mlx.core as mx
import numpy as np
import torch
from mlx_lm.models import jamba
from transformers import JambaConfig
from transformers.models.jamba.modeling_jamba import JambaSparseMoeBlock

print(f"  mlx-lm {version('mlx-lm')}, mlx {version('mlx')}, transformers {version('transformers')}")
sizes = {"hidden_size": 16, "intermediate_size": 8, "num_experts": 8, "num_experts_per_tok": 2}
torch.manual_seed(0)
theirs = JambaSparseMoeBlock(JambaConfig(**sizes)).float()
for weight in theirs.parameters():
    torch.nn.init.normal_(weight, std=0.5)


class Sizes:
    hidden_size, intermediate_size, num_experts, num_experts_per_tok = sizes.values()


block = jamba.JambaSparseMoeBlock(Sizes)
gate, up = theirs.experts.gate_up_proj.data.chunk(2, 1)
weights = {"router.weight": theirs.router.weight.data, "switch_mlp.gate_proj.weight": gate,
           "switch_mlp.up_proj.weight": up, "switch_mlp.down_proj.weight": theirs.experts.down_proj.data}
block.load_weights([(name, mx.array(x.numpy())) for name, x in weights.items()])
x = torch.randn(1, 4, 16)
with torch.no_grad():
    expected = theirs(x).reshape(4, -1).numpy()
    share = torch.nn.functional.linear(x, theirs.router.weight).reshape(4, -1).softmax(-1).topk(2).values.sum(-1).numpy()
found = np.array(block(mx.array(x.numpy()))).reshape(4, -1)
ratio = (found * expected).sum(-1) / (expected * expected).sum(-1)
print("  found / expected of four tokens:", *(f"{r:.4f}" for r in ratio))
print("  1 / share of the chosen experts:", *(f"{1 / s:.4f}" for s in share))
sys.exit(0 if np.allclose(found, expected / share[:, None], rtol=1e-4, atol=1e-5) and max(ratio) > 1.05 else 1)
PY
echo "seen: Jamba's experts count too much"
