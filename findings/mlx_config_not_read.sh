#!/usr/bin/env bash
# mlx-lm 0.32.2 takes from a config.json the fields that a family's class declares and says nothing of the others, of which two change what is
# computed.  DeepSeek-V3.2: the base of the rotation where transformers 5 writes it, in rope_parameters; 10000 takes its place.  OLMoE: clip_qkv, which
# bounds queries, keys and values, is applied nowhere.
# What it means: a checkpoint that transformers 5 saved, or an OLMoE that clips, loads without a warning and computes another function.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet mlx-lm==0.32.2 "mlx[cpu]==0.32.0"
mkdir "$folder/no_mpi"
touch "$folder/no_mpi/libmpi.so" # mlx takes any for Open MPI's, and dies of MPICH's
LD_LIBRARY_PATH=$folder/no_mpi "$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys
from importlib.metadata import version

import mlx.core as mx
from mlx_lm.models import deepseek_v32, olmoe

print(f"  mlx-lm {version('mlx-lm')}, mlx {version('mlx')}")
rotation = {"model_type": "deepseek_v32"}
bases = [deepseek_v32.ModelArgs.from_dict(rotation | base).rope_theta
         for base in ({"rope_theta": 100.0}, {"rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}})]
print(f"  DeepSeek-V3.2, base 100 as rope_theta: {bases[0]}; in rope_parameters: {bases[1]}")

sizes = {"model_type": "olmoe", "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 16, "num_attention_heads": 4,
         "num_key_value_heads": 4, "rms_norm_eps": 1e-6, "vocab_size": 50, "num_experts": 8, "num_experts_per_tok": 2,
         "tie_word_embeddings": False}


def logits(clip):
    mx.random.seed(1)
    return olmoe.Model(olmoe.ModelArgs.from_dict(sizes | {"clip_qkv": clip}))(mx.arange(8)[None])


is_equal = mx.array_equal(logits(None), logits(1e-6)).item()
print(f"  OLMoE with clip_qkv 1e-6 computes what it computes without: {is_equal}")
sys.exit(0 if bases == [100.0, 10000.0] and is_equal else 1)
PY
echo "seen: fields of a config that change what is computed are not read"
