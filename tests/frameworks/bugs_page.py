"""docs/real-bugs.md: what `compare` printed of each bug and of the release that mended it."""
import platform
from pathlib import Path

from bugs import BUGS, Bug, found_at, report
from cells import Cell
from run import command

_HEAD = """# Real bugs of real releases

Written by `scripts/frameworks --bugs --page`; do not edit. Each release below was published with a bug that its package's public
tracker knows and that a later release mends. Both were run on CPU as they are, in environments of their own
([pins](../tests/frameworks/pins)), recorded by [golden/capture](../golden/capture/moeparity_capture.py) or by the
script that is named, and held by `moeparity compare` against the golden of the same model: a tiny checkpoint of [golden/data/oracle](../golden/data/oracle), or a family of
[families.py](../tests/frameworks/families.py). None of the bugs was planted by us.
A layer's script feeds it the golden's input and answers what the package asks of a GPU, or of NCCL (parts of unequal sizes), and gloo has
not ([on_cpu](../tests/frameworks/megatron_moe.py)); the arithmetic and the exchange of tokens are the package's. The dumps are in tests/data/bugs, and CI compares them.

Python {python}, torch 2.13.0, fp32. Of `compare`'s report the first tap that FAILs is shown: what follows it was computed
from wrong values.

| bug | package | wrong | mended | found at |
|---|---|---|---|---|
"""

_LEFT = """
## Tried and not counted

- qwen3_5_moe, 5.6.1: experts that a checkpoint has one by one are not loaded; `compare` FAILs at `layers.0.ffn_out`, and 5.6.2 passes.
  We can name no report.
- exaone_moe, 5.1.0 to 5.5.4, FAILs at `layers.1.topk_idx` and passes in 5.8.0: glm4_moe-groups once more.
- nemotron_h, pull request 45591 (loading draws parameters anew): 5.7.0 and 5.8.0 compute the same from our checkpoint.
- dots1, pull request 41663, and ernie4_5_moe, pull request 39581 (the selection bias): no release that we ran has it; 4.54.0, 4.57.1
  and 5.0.0 pass.
- llama4, 4.51.0, issue 37351 (chunks of attention): does not run without an `attention_mask` (TypeError, RuntimeError).
- deepseek_v2, 5.0.0 to 5.8.0, chosen groups: AttributeError, no wrong value.
- transformers, tensor parallelism, two ranks: 5.0.0 and 5.1.0 give RuntimeErrors for glm4_moe, deepseek_v3 and gpt_oss and no wrong value; qwen2_moe
  passes there, and what we ran of 5.5.4 and 5.6.2 passes.
- transformers, expert parallelism, 5.5.4: qwen3_moe does not load (KeyError); in 5.6.2 no plan deals its experts.
- Megatron-Core, commit eec34ff3ae (sigmoid scores: the bias in the weights) and the groups of commit e85385a761: in no release on PyPI
  (0.11.0 and 0.12.0 are before and behind both); pull request 2214 (a capacity of more than all tokens): an error, no wrong value;
  commit b6ce193888 (gathered probabilities): gradients alone.
- DeepSpeed-MoE, pull request 7163 (more than two experts, none dropped): UnboundLocalError; pull request 8195: of Tutel, which PyPI lacks;
  pull request 5156 (capacity beside tensor parallelism): an assertion.
- mlx-lm, Kimi-Linear, pull request 853: 0.30.6 FAILs at `layers.0.attn_out`, and what is left in 0.30.7 is PRECISION. DeepSeek-V3.2,
  pull request 866: 0.30.6 does not load our checkpoints (ValueError). Nemotron-H, pull request 1026 (the time step): not run.
- mlx-lm, Jamba: 0.32.0 FAILs at `layers.1.ffn_out`, and no release mends it ([finding](../findings/mlx_jamba_weights.sh)).
- torchtitan, pull request 4245 (tensor parallelism multiplies the experts' bias): 0.3.0 still has the lines, and no later release is out.
- Data parallelism: no class of a model that we ran has wrong values by it alone, as each rank computes its rows as one process would; what can go wrong is
  who gets which rows, and what comes back of them. accelerate, issue 2750 (`split_between_processes` deals a row twice) and issue 2007
  (`drop_last`): the values that come back are right, or are of other rows than a golden of the whole batch has; read, not run.
- megablocks, pull request 87 (weights of one choice): needs its GPU extension. Of JAX packages maxtext 0.2.5 alone was run, which passes ([frameworks.md](frameworks.md)); vLLM, SGLang, fairscale, tutel: not tried.
"""


def _first_finding(lines: list[str]) -> list[str]:
    """What was compared, what is missing, the first failing tap with all that is said of it, and the verdict."""
    kept = [line for line in lines if line.startswith(("routing ", "compared ", "  missing "))]
    taps = lines[lines.index("taps") + 1 : -1]
    first = next(i for i, line in enumerate(taps) if line.startswith("  FAIL"))
    end = next((i for i, line in enumerate(taps) if i > first and not line.startswith("    ")), len(taps))
    return [*kept, "taps", *taps[first:end], lines[-1]]


def _section(work: Path, bug: Bug) -> list[str]:
    wrong, mended = report(work, bug, bug.wrong), report(work, bug, bug.mended)
    cell: Cell = bug.cell(bug.wrong)
    return [f"\n## {bug.name}\n", f"{bug.package} {bug.wrong}, reported as {bug.report}; model {bug.model}, batch {bug.batch}. {bug.what}\n",
            "`python3 " + " ".join(command(cell, "CHECKPOINT", "GOLDEN", "DUMP")) + "`\n",
            "```", *_first_finding(wrong), "```\n", f"{bug.package} {bug.mended}:\n", "```", mended[-1], "```"]


def write(path: Path, work: Path) -> None:
    rows = [f"| [{bug.name}](#{bug.name}) | {bug.package} | {bug.wrong} | {bug.mended} | `{found_at(work, bug)}` |"
            for bug in BUGS]
    sections = [line for bug in BUGS for line in _section(work, bug)]
    path.write_text(_HEAD.format(python=platform.python_version()) + "\n".join([*rows, *sections]) + "\n" + _LEFT)
