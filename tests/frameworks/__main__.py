"""Command line of scripts/frameworks."""
import argparse
import fnmatch
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import bugs_page
import page
from bugs import BUGS, keep_dumps, run_bug
from cells import CELLS, DUMPS, Cell
from run import Result, command, make_golden, metadata, run

SOURCE = Path(__file__).resolve().parents[2]
WORK = SOURCE / "build/frameworks"
DATA = SOURCE / "tests/data/dumps"
MODULE = SOURCE / "golden/capture"
PINS = SOURCE / "tests/frameworks/pins"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/frameworks", description="real frameworks, compared with goldens")
    parser.add_argument("cells", nargs="*", metavar="CELL", help="RELEASE/FAMILY/RUN, * for any (none: all)")
    parser.add_argument("--bugs", action="store_true", help="run releases with known bugs, next to those that mended them; "
                        "CELL: the bug's name")
    parser.add_argument("--list", action="store_true", help="print the cells and run none")
    parser.add_argument("--page", action="store_true", help="write docs/frameworks.md from the last results")
    parser.add_argument("--dumps", action="store_true", help="make the dumps of tests/data/dumps (--bugs: tests/data/bugs) anew")
    return parser.parse_args()


def _python(cell: Cell) -> str:
    """The Python of a release: an environment that is made once, or one of MOEPARITY_FRAMEWORKS."""
    name = cell.release.environment
    folder = Path(os.environ.get("MOEPARITY_FRAMEWORKS", WORK / "environments")) / name
    pins = PINS / f"{name}.txt"
    if not folder.exists():
        print(f"making {folder}", file=sys.stderr)
        interpreter = f"python{cell.release.python}"
        if shutil.which(interpreter) is None or subprocess.run([interpreter, "-m", "venv", folder], check=False).returncode != 0:
            sys.exit(f"scripts/frameworks: {name} wants {interpreter}, which makes no environment here")
        subprocess.run([folder / "bin/pip", "install", "--quiet", "--requirement", pins], check=True)
        for more in PINS.glob(f"{name}.python*.txt"):  # without what they want: a later Python, or much that is not used here
            site = next(folder.glob("lib/python*/site-packages"))
            subprocess.run([folder / "bin/pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
                            "--ignore-requires-python", "--python-version",
                            more.stem.rpartition("python")[2], "--target", site, "--requirement", more], check=True)
    return str(folder / "bin/python")


def _moeparity() -> str:
    for preset in ("release", "ci", "dev"):
        if (program := SOURCE / f"build/{preset}/harness/moeparity").exists():
            return str(program)
    sys.exit("scripts/frameworks: expected build/release/harness/moeparity: scripts/build makes it")


def _results(record: Path) -> dict[str, Result]:
    """The last result of every cell."""
    known = json.loads(record.read_text()) if record.exists() else {}
    return {name: Result(**result) for name, result in known.items()}


def _torch() -> str:
    pins = (PINS / f"{CELLS[0].release.environment}.txt").read_text()
    return next(line.removeprefix("torch==") for line in pins.splitlines() if line.startswith("torch=="))


def _chosen(names: list[str]) -> list[Cell]:
    for name in names:
        if not any(fnmatch.fnmatch(cell.name, name) for cell in CELLS):
            sys.exit(f"scripts/frameworks: no cell is called {name}; --list names them")
    return [cell for cell in CELLS if not names or any(fnmatch.fnmatch(cell.name, name) for name in names)]


def _bugs(wanted: argparse.Namespace) -> int:
    for name in wanted.cells:
        if not any(fnmatch.fnmatch(bug.name, name) for bug in BUGS):
            sys.exit(f"scripts/frameworks: no bug is called {name}; --bugs --list names them")
    chosen = [bug for bug in BUGS if not wanted.cells or any(fnmatch.fnmatch(bug.name, name) for name in wanted.cells)]
    if wanted.list:
        print("\n".join(bug.name for bug in chosen))
    elif wanted.page:
        bugs_page.write(SOURCE / "docs/real-bugs.md", WORK / "bugs")
    else:
        moeparity = _moeparity()
        found = all([run_bug(bug, moeparity, _python, MODULE, WORK / "bugs") for bug in chosen])
        if found and wanted.dumps:
            keep_dumps(BUGS, WORK / "bugs", SOURCE / "tests/data/bugs")
        return 0 if found else 1
    return 0


def _keep_dump(cell: Cell, folder: Path) -> None:
    """The dump, the model and the golden it is held against, and a line of README.md: how it was made."""
    name = f"{cell.family}/{cell.release.environment}-{cell.run.name}"
    shutil.copytree(folder / "dump", DATA / name)
    shutil.copytree(folder.parent / "golden", DATA / cell.family / "golden", dirs_exist_ok=True)
    shutil.copy(folder.parent / f"{cell.family}.yaml", DATA / cell.family)
    if cell.run.PART:
        shutil.copy(folder.parent / "ffn.yaml", DATA / cell.family)
    said = metadata(DATA / name / "rank_00000.safetensors")
    typed = " ".join(["python3", *command(cell, "CHECKPOINT", "GOLDEN", "DUMP")])
    with open(DATA / "README.md", "a", encoding="utf-8") as readme:
        readme.write(f"| {name} | {said['framework']} | `{typed}` |\n")


def main() -> int:
    wanted = _arguments()
    if wanted.bugs:
        return _bugs(wanted)
    cells = _chosen(list(DUMPS) if wanted.dumps else wanted.cells)
    if wanted.list:
        print("\n".join(cell.name for cell in cells))
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    record = WORK / "results.json"
    results = _results(record)
    if wanted.page:
        page.write(SOURCE / "docs/frameworks.md", results, platform.python_version(), _torch())
        return 0
    moeparity, bad = _moeparity(), 0
    work = WORK / "dumps" if wanted.dumps else WORK
    for family in dict.fromkeys(cell.family for cell in cells):
        make_golden(family, moeparity, work / family)
    if wanted.dumps:
        shutil.rmtree(DATA, ignore_errors=True)
        DATA.mkdir(parents=True)
        (DATA / "README.md").write_text((SOURCE / "tests/frameworks/dumps.md").read_text())
    for cell in cells:
        folder = work / cell.family / f"{cell.release.environment}_{cell.run.name}"
        result = results[cell.name] = run(cell, moeparity, _python(cell), MODULE, folder)
        bad += result.verdict not in ("PASS", "MARGINAL")
        print(f"{cell.name}: {result.verdict}: {result.says}", flush=True)
        if wanted.dumps:
            _keep_dump(cell, folder)
        else:
            record.write_text(json.dumps({name: vars(result) for name, result in results.items()}, indent=1))
    return 1 if bad else 0


sys.exit(main())
