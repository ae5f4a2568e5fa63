#!/usr/bin/env bash
# DeepSpeed's AutoTP cuts the rows of q, k and v by whole kv heads: where there are fewer of these than tensor ranks, the first ranks get one each, with
# all query heads that read it, and the others get none.  Megatron, vLLM and SGLang give every rank its query heads and copy the kv heads.
# What it means: a plan with tp = 4 for a model with one kv head is legal words, and three of its ranks compute no attention.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" download --quiet --no-deps --no-binary :all: --dest "$folder" deepspeed==0.19.8
tar -xf "$folder"/deepspeed-*.tar.gz -C "$folder" --strip-components=1
"$folder/bin/python" - "$folder/deepspeed/module_inject/tp_shard.py" <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

text = open(sys.argv[1]).read().replace("from deepspeed import comm as dist", "")  # only asked where no rank is given
spaces = {"__name__": "tp_shard"}
sys.modules["tp_shard"] = type(sys)("tp_shard")
exec(text, spaces)
size, heads = 8, 16
print("  deepspeed 0.19.8, 16 heads on 4 tensor ranks")
shares = {}
for kv in (4, 2, 1):
    meta = spaces["AutoTPMeta"](num_kv_heads=kv, num_attention_heads=heads)
    shares[kv] = [n // size for n in spaces["get_shard_size_list"](heads * size, 4, meta, "self_attn.q_proj")]
    print(f"  {kv} kv heads: query heads of each rank {shares[kv]}")
raise SystemExit(shares != {4: [4, 4, 4, 4], 2: [8, 8, 0, 0], 1: [16, 0, 0, 0]})
PY
