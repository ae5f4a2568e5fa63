#!/usr/bin/env bash
# Mamba-2 layers of Nemotron-H: the step dt of the state is softplus(dt + dt_bias), kept within time_step_limit, which published configs set to
# [0, Infinity].  transformers 5.24 does not read that key: a whole prompt is computed with dt raised to time_step_min (0.001, a bound that the
# original uses to draw dt_bias), and a decoded token without any bound.  So the logits of a token depend on whether it came in the prompt.
# What it means: a head whose step falls below 0.001 differs between prompt and decoding, and from engines that read time_step_limit.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

import torch
import transformers

transformers.logging.set_verbosity_error()
print(f"  transformers {transformers.__version__}, torch {torch.__version__}")
ids = torch.arange(24).view(1, -1)


def difference(time_step_min):
    """Largest difference of the last token's logits: in the prompt, and decoded."""
    torch.manual_seed(3)
    config = transformers.NemotronHConfig(
        vocab_size=64, hidden_size=32, layers_block_type=["linear_attention", "moe", "linear_attention", "full_attention"],
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, ssm_state_size=8, mamba_num_heads=8, mamba_head_dim=8,
        n_groups=2, n_routed_experts=4, moe_intermediate_size=16, moe_shared_expert_intermediate_size=16,
        initializer_range=0.3, chunk_size=16, time_step_limit=(0.0, float("inf")), time_step_min=time_step_min)
    model = transformers.NemotronHForCausalLM(config).eval()
    for layer in model.model.layers:
        if layer.block_type == "linear_attention":
            layer.mixer.dt_bias.data.fill_(-7.0)  # steps about 0.0009
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits[0, -1]
        cache = model(input_ids=ids[:, :8], use_cache=True).cache
        for t in range(8, 24):
            decoded = model(input_ids=ids[:, t : t + 1], cache=cache, use_cache=True).logits[0, -1]
    return (whole - decoded).abs().max().item()


published, none = difference(0.001), difference(1e-9)
print(f"  time_step_min 0.001, as published: prompt and decoding differ by {published:.2g}; 1e-9: by {none:.2g}")
sys.exit(0 if published > 1e-3 and none < 1e-5 else 1)
PY
echo "seen: the smallest step holds in the prompt and not in decoding, and time_step_limit nowhere"
