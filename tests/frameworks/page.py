"""docs/frameworks.md: the results as tables, one of each release."""
import datetime
from pathlib import Path

from cells import CELLS, RUNS, Cell
from families import FAMILIES
from run import BATCH, Result

_HEAD = """# Real frameworks under the yardstick

Written by `scripts/frameworks`; do not edit. Each cell is a real run of a published release on CPU ranks with gloo, recorded by
[golden/capture](../golden/capture/moeparity_capture.py) and held by `moeparity compare` against a golden of the same model: all
taps, and the experts of every token.

Made {date}, Python {python}, torch {torch}, batch {batch}; models of two or three layers ([families.py](../tests/frameworks/families.py)), procedural
weights, fp32 unless bfloat16 is said.

- one: a single process. tp: `tp_plan="auto"`. ep: the same, and whole experts on each rank (transformers 5: `ep_size`; 4.57:
  `enable_expert_parallel`). ep+dp: experts and rows dealt over the ranks. dp: rows. dtensor: torch's own parallelize_module on models
  of transformers 5.24.0, logits left apart ([dtensor.py](../tests/frameworks/dtensor.py)). The number behind it: ranks.
- eager, batched_mm, grouped_mm: `experts_implementation`. block: fed the golden's inputs, block by block.
- layer: not a model but the framework's own layer with experts, fed the golden's input of every such layer ([Megatron-Core](../tests/frameworks/megatron_moe.py),
  [DeepSpeed](../tests/frameworks/deepspeed_moe.py), [maxtext](../tests/frameworks/maxtext_moe.py) over that many host devices of JAX in one process), recorded by the script; judged are router_logits, topk_idx, topk_weight and ffn_out. tp, ep, etp: sizes of the groups of the dense weights, of experts and inside an expert;
  rows are dealt over what is left, positions over tp. allgather, alltoall: the dispatcher; dense, ragged: maxtext's product with experts.
- model: Megatron-Core's whole GPTModel through its own pipeline schedule, a row a micro-batch ([megatron_model.py](../tests/frameworks/megatron_model.py)); all taps. pp: stages.
- PASS and FAIL are compare's words. ERROR: the framework did not run it; UNDIVIDED: it ran, but every rank held the whole model, so
  that the plan was not tried. Both are listed under the table. A dash: not run.
"""


# What is behind the words that are not PASS, found by reading the releases: kept by hand.
_FOUND = """
## What was found

- 4.57.6, qwen2_moe, tp: the plan gives each rank its heads, and the attention shapes what they gave as all heads. 5.24.0 runs it.
- 4.57.6, olmoe, tp: the release has no plan for it, and `tp_plan="auto"` divides nothing and says nothing. 5.24.0 has one.
- 4.57.6, ep: but for Llama-4 no family's plan deals experts by that name, and who asks for it loses the other plan, too, and is told nothing
  ([finding](../findings/transformers_expert_parallel_undivided.sh)). Such runs agree with the golden, which proves nothing. GPT-OSS's `tp_plan="auto"` deals whole experts by itself.
- 5.24.0, gpt_oss, ep, eager: its experts count the tokens of each expert without the number that stands for other ranks' experts, which
  those of all other families have; `batched_mm` and `grouped_mm` run.
- Megatron-Core 0.19.2, deepseek_v3: a group of experts counts by its best `topk / group_topk`, here one, where DeepSeek-V3 counts the best two. Both are the same only where a token has twice as many experts
  as chosen groups, as in the published model (8 and 4). With four experts of a token here, too, one rank passes.
- Megatron-Core 0.19.2, etp, alltoall: ranks gather unequal numbers of tokens, which gloo's all-gather refuses (`invalid tensor size`); the script gathers parts filled up to the longest.
- Megatron-Core 0.19.2 without a GPU: `RuntimeError: torch.cuda.Stream requires CUDA support` from the all-to-all dispatcher, and sizes of an all-to-all that stay tensors, which gloo does not take. The script answers with
  torch's CPU streams and plain numbers; layer, router, dispatchers, experts and groups are the package's. It asks for Python 3.12 and was run with 3.11.
- DeepSpeed 0.19.8: run without dropping (`drop_tokens=False`) and without drawing the second expert (`top2_2nd_expert_sampling=False`; drawing is the default, in evaluation, too). Its gate makes the weights of
  chosen experts add up to one and there is no shared expert, so that most families here are not what it computes. Its shared-memory reductions, which it would compile, are off.
- Megatron-Core 0.19.2, model, without a GPU: `AssertionError: Torch not compiled with CUDA enabled` from the schedule's counter of tokens, which the script puts on the CPU; torch's norms, which the package takes where Apex and
  Transformer Engine are missing, refuse sequence parallelism (`AssertionError: sequence parallel not supported by torch LayerNorm`), so that these runs are without. The package adds the residual into what a
  block returned: a hook that keeps the tensor and not a copy shows the sum.
- maxtext 0.2.5, ragged: with experts dealt over devices it wants `ragged-all-to-all`, which XLA has not for a CPU; dense is what runs there. Outside `logical_axis_rules` it divides nothing and says nothing: these runs set them as
  its trainer does, and the count of parameters tells. It asks for Python 3.12; gate and choice are its own functions, called once more, as a layer's devices give out none.
- mlx-lm 0.32.0 ([real-bugs.md](real-bugs.md)) on other cases: deepseek_v32/plain FAILs from `layers.0.attn_out` on because it reads `rope_theta` at the top of config.json alone and not in `rope_parameters` (put there, it
  PASSes); olmoe/clip_gqa_top8 because it has no `clip_qkv` (against a golden without, it PASSes). Both are [its own](../findings/mlx_config_not_read.sh). granitemoehybrid's `ffn_out` failed by our capture's fault, which
  left out the shared expert beside the block, and passes.
"""


def _table(release, results: dict[str, Result]) -> list[str]:
    lines = [f"\n## {release.name} {release.version}\n", "| | " + " | ".join(FAMILIES) + " |"]
    lines.append("|---" * (len(FAMILIES) + 1) + "|")
    for run in RUNS[release]:
        found = [results.get(Cell(release, family, run).name) for family in FAMILIES]
        lines.append(f"| {run.name} | " + " | ".join(result.verdict if result else "-" for result in found) + " |")
    told: dict[str, list[str]] = {}
    for cell in CELLS:
        result = results.get(cell.name)
        if cell.release == release and result and result.verdict not in ("PASS", "MARGINAL"):
            text = "" if result.verdict == "UNDIVIDED" else f": {result.says}"
            told.setdefault(result.verdict + text, []).append(f"{cell.family} {cell.run.name}")
    return lines + [""] * bool(told) + [f"- {', '.join(cells)}: {text}" for text, cells in told.items()]


def write(path: Path, results: dict[str, Result], python: str, torch: str) -> None:
    head = _HEAD.format(date=datetime.date.today(), python=python, torch=torch, batch=BATCH)
    lines = [line for release in RUNS for line in _table(release, results)]
    path.write_text(head + "\n".join(lines) + "\n" + _FOUND)
