"""What a capture costs, at hidden 1024: python3 tests/cost.py (by hand; times are no test).

A Mixtral of four layers in float32; the best of five passes without hooks and with them, to the end of the file; by how
much the memory of the process grows over a captured pass, against the bytes of its taps.
"""
import json
import resource
import tempfile
import time
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from moeparity_capture import capture

ROWS, TOKENS, WIDTH, LAYERS, EXPERTS, CHOSEN, VOCABULARY = 4, 128, 1024, 4, 8, 2, 32000


def bundle(folder: Path) -> Path:
    """Shapes and tokens are all that a free capture reads."""
    batch, tokens = [ROWS, TOKENS], [ROWS * TOKENS]
    shapes = {"embed": [*batch, WIDTH], "final_norm": [*batch, WIDTH], "logits": [*batch, VOCABULARY]}
    for layer in range(LAYERS):
        at = f"layers.{layer}."
        shapes |= {at + tap: [*batch, WIDTH] for tap in ("attn_out", "ffn_out", "out")}
        shapes |= {at + tap: [*tokens, WIDTH] for tap in ("attn.norm", "ffn.norm")}
        shapes |= {at + "router_logits": [*tokens, EXPERTS]}
        shapes |= {at + tap: [*tokens, CHOSEN] for tap in ("topk_idx", "topk_weight")}
    save_file({"p0.input_ids": torch.arange(ROWS * TOKENS).reshape(batch)}, folder / "input.safetensors")
    about = {"p0." + tap: {"shape": shape} for tap, shape in shapes.items()}
    (folder / "manifest.json").write_text(json.dumps({
        "taps": "coarse", "numerics": {"fp32": {"file": "fp32.safetensors"}}, "weights": {"xxh3": "7"},
        "batch": {"file": "input.safetensors", "rows": ROWS, "tokens": TOKENS},
        "files": {"fp32.safetensors": {"xxh3": "5", "tensors": about}, "input.safetensors": {"xxh3": "6"}}}))
    return folder


def seconds(what) -> float:
    """Of the processor, in one thread: other work on the machine counts little."""
    start = time.process_time()
    what()
    return time.process_time() - start


@torch.no_grad()
def main() -> None:
    torch.manual_seed(1)
    torch.set_num_threads(1)
    config = transformers.MixtralConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=2048, num_hidden_layers=LAYERS,
        num_attention_heads=16, num_key_value_heads=4, num_local_experts=EXPERTS, num_experts_per_tok=CHOSEN)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with tempfile.TemporaryDirectory() as work:
        golden, out = bundle(Path(work)), Path(work) / "dump"
        ids = torch.arange(ROWS * TOKENS).reshape(ROWS, TOKENS)

        def captured() -> None:
            with capture(model, golden, out) as inputs:
                model(**inputs, use_cache=False)

        def plain() -> None:
            model(input_ids=ids, use_cache=False)

        plain()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        times = [(seconds(plain), seconds(captured)) for _ in range(5)]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
        size = (out / "rank_00000.safetensors").stat().st_size
    alone, watched = (min(column) for column in zip(*times))
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    print(f"a pass {alone:.2f} s, captured and written {watched:.2f} s: {watched / alone:.2f} times")
    print(f"taps {size / 1e6:.0f} MB, the peak of memory grows by {grown / 1e6:.0f} MB: {grown / size:.2f} times")


main()
