#!/usr/bin/env bash
# In transformers 4.57 enable_expert_parallel=True makes a model without a plan for experts (all but Llama-4 and GPT-OSS) forget its tensor-parallel plan,
# too: with tp_plan="auto" on two ranks each then holds all weights and computes everything, without a warning.  The logits are right, so a test of
# agreement says nothing; alone, tp_plan="auto" divides.
# What it means: of a run "with expert parallelism" look at how much each rank holds before its memory, its speed or its agreement are believed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet torch==2.13.0 transformers==4.57.6 accelerate==1.15.0
cat >"$folder/held.py" <<'PY'
import sys

import torch
import transformers
from transformers.distributed import DistributedConfig

transformers.logging.set_verbosity_warning()
experts = {"distributed_config": DistributedConfig(enable_expert_parallel=True)} if sys.argv[2] == "experts" else {}
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], tp_plan="auto", **experts)
local = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in model.parameters())
if torch.distributed.get_rank() == 0:
    print(local)
torch.distributed.destroy_process_group()
PY
cat >"$folder/make.py" <<'PY'
import sys

import torch
import transformers

print(f"  transformers {transformers.__version__}, torch {torch.__version__}")
config = transformers.Qwen3MoeConfig(vocab_size=64, hidden_size=32, intermediate_size=24, moe_intermediate_size=16, num_hidden_layers=2,
                                     num_attention_heads=8, num_key_value_heads=4, head_dim=8, num_experts=8, num_experts_per_tok=2)
model = transformers.AutoModelForCausalLM.from_config(config)
model.save_pretrained(sys.argv[1])
print(f"  Qwen3-MoE of {sum(p.numel() for p in model.parameters())} parameters")
PY
export OMP_NUM_THREADS=1
"$folder/python/bin/python" "$folder/make.py" "$folder/model"
held()
{
    "$folder/python/bin/python" -m torch.distributed.run --nproc-per-node 2 "$folder/held.py" "$folder/model" "$1" 2>"$folder/told" | tail -1
    grep -i 'expert' "$folder/told" || true
}
plain=$(held plain)
both=$(held experts)
echo "  rank 0 of 2 holds $plain with tp_plan=\"auto\", $both with enable_expert_parallel=True beside it"
[ "$plain" -lt "$both" ] && [ "$both" = 41664 ] || { echo "the behaviour has changed" >&2; exit 1; }
echo "seen: what is called expert parallel divides nothing"
