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
- PASS and FAIL are compare's words. ERROR: the framework did not run it; UNDIVIDED: it ran, but every rank held the whole model, so
  that the plan was not tried. Both are listed under the table.
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
