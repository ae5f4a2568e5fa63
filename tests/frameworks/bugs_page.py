"""docs/real-bugs.md: what `compare` printed of each bug and of the release that mended it."""
import platform
from pathlib import Path

from bugs import BATCH, BUGS, Bug, folder_of
from cells import Cell
from run import command

_HEAD = """# Real bugs of real releases

Written by `scripts/frameworks --bugs --page`; do not edit. Each release below was published with a bug that its package's public
tracker knows and that a later release mends. Both were run on CPU as they are, in environments of their own
([pins](../tests/frameworks/pins)), recorded by [golden/capture](../golden/capture/moeparity_capture.py) and held by `moeparity
compare` against the golden of the same model: a tiny checkpoint of [golden/data/oracle](../golden/data/oracle), or a family of
[families.py](../tests/frameworks/families.py). None of the bugs was planted by us.

Python {python}, torch 2.13.0, fp32, batch {batch}. Of `compare`'s report the first failing tap is shown: what follows it was computed
from wrong values.

| bug | package | wrong | mended | found at |
|---|---|---|---|---|
"""


def _report(work: Path, bug: Bug, version: str) -> list[str]:
    return (folder_of(work, bug, version) / "compared").read_text().splitlines()


def _first_finding(report: list[str]) -> list[str]:
    """What was compared, the first failing tap with all that is said of it, and the verdict."""
    kept = [line for line in report if line.startswith(("routing ", "compared "))]
    taps = report[report.index("taps") + 1 : -1]
    first = next(i for i, line in enumerate(taps) if line.startswith("  FAIL"))
    end = next((i for i, line in enumerate(taps) if i > first and not line.startswith("    ")), len(taps))
    return [*kept, "taps", *taps[first:end], report[-1]]


def _place(report: list[str]) -> str:
    return report[-1].split("first at p0.")[1].split(",")[0]


def _section(work: Path, bug: Bug) -> list[str]:
    wrong, mended = _report(work, bug, bug.wrong), _report(work, bug, bug.mended)
    cell: Cell = bug.cell(bug.wrong)
    return [f"\n## {bug.name}\n", f"transformers {bug.wrong}, reported as {bug.report}; model {bug.model}. {bug.what}\n",
            "`python3 " + " ".join(command(cell, "CHECKPOINT", "GOLDEN", "DUMP")) + "`\n",
            "```", *_first_finding(wrong), "```\n", f"transformers {bug.mended}:\n", "```", mended[-1], "```"]


def write(path: Path, work: Path) -> None:
    rows = [f"| [{bug.name}](#{bug.name}) | transformers | {bug.wrong} | {bug.mended} | `{_place(_report(work, bug, bug.wrong))}` |"
            for bug in BUGS]
    sections = [line for bug in BUGS for line in _section(work, bug)]
    path.write_text(_HEAD.format(python=platform.python_version(), batch=BATCH) + "\n".join([*rows, *sections]) + "\n")
