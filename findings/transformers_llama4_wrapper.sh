#!/usr/bin/env bash
# Published Llama-4 checkpoints name Llama4ForConditionalGeneration.  In transformers 5.24 that class ends every pass, with or without generate(), in an
# AttributeError: it asks its text model's output for `image_outputs`, which that never has.  The text model inside, called alone, answers.
# What it means: the newest release is a witness for these checkpoints only through `model.language_model`; a failing peer is no word on the engine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder"
"$folder/bin/pip" install --quiet torch==2.13.0 transformers==5.24.0
"$folder/bin/python" - <<'PY' || { echo "the behaviour has changed" >&2; exit 1; }
import sys

import torch
import transformers

print(f"  transformers {transformers.__version__}, torch {torch.__version__}")
text = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 8, "intermediate_size_mlp": 12, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_local_experts": 4}
vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vision_output_dim": 4,
          "image_size": 8, "patch_size": 4, "projector_input_dim": 4, "projector_output_dim": 4}
config = transformers.Llama4Config(text_config=text, vision_config=vision)
model = transformers.Llama4ForConditionalGeneration(config).eval()
ids = torch.arange(5).view(1, -1)
refused = []
for name, call in (("a pass", lambda: model(input_ids=ids)), ("generate", lambda: model.generate(ids, max_new_tokens=1))):
    try:
        call()
    except AttributeError as error:
        refused.append(name)
        print(f"  {name}: AttributeError: {error}")
logits = model.language_model(input_ids=ids).logits
print(f"  the text model inside: logits {tuple(logits.shape)}")
sys.exit(0 if refused == ["a pass", "generate"] and logits.isfinite().all() else 1)
PY
echo "seen: the class that published Llama-4 checkpoints name cannot be run"
