"""Command line of scripts/engines --onnx: checkpoints through ONNX Runtime, held against goldens.

    [--oracle FOLDER]... [--page] [--dumps] ["CASE [OPTION]..."]...

OPTION: one of WORDS, for a model that is not quite the case's, and its golden with the words that say so.
"""
import argparse
import datetime
import os
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from runs import BATCH, HEAD, ROOT, Result, call, judge, keep_dump, last_line, make_golden, new_folder, write_table
from safetensors.numpy import load_file, save_file

DUMPS = ROOT / "tests/data/engines/onnx"
FAMILIES = ("gpt_oss", "lfm2_moe", "mixtral", "phimoe", "qwen2_moe", "qwen3_5_moe", "qwen3_moe")
COMMITTED = ("mixtral/tiny", "mixtral/tiny --quantised", "mixtral/tiny --quantised --unnormalised", "mixtral/tiny --gelu",
             "mixtral/tiny --tied", "phimoe/tiny")
TIED = "--tied"
WORDS = {"--quantised": ("--weights-bits", "8"), "--unnormalised": ("--set", "renormalise=false"),
         "--gelu": ("--set", "gated=false", "--set", "activation=gelu"), TIED: ()}
ROWS = [0, 1, 2, 2, 2, 1, 0, 0]  # of every router, where experts tie
TABLE = "<!-- scripts/engines --onnx -->"


def tied(source: Path, out: Path) -> Path:
    """The checkpoint with experts whose rows of the router are the same."""
    shutil.copytree(source, out)
    file = out / "model.safetensors"
    weights = load_file(file)
    save_file({name: x[ROWS] if name.endswith("gate.weight") else x for name, x in weights.items()}, file)
    return out


def run(source: Path, case: str, options: list[str]) -> Result:
    folder = new_folder(case)
    model, golden, dump = folder / "model", folder / "golden", folder / "dump"
    words = [word for option in options for word in WORDS[option]]
    if TIED in options:
        source = tied(source, folder / "checkpoint")
    made = make_golden(source, golden, *words)
    if made.returncode != 0:
        return Result(case, "ERROR", last_line(made.stderr))
    built = call(sys.executable, ROOT / "tests/engines/onnx_models.py", source, model, *(o for o in options if o != TIED))
    if built.returncode != 0:
        return Result(case, "NOT BUILT", last_line(built.stderr))
    driven = call(sys.executable, "-m", "moeparity_onnx", model / "model.onnx", golden, dump,
                  env=os.environ | {"PYTHONPATH": str(ROOT / "golden/capture")})
    if driven.returncode != 0:
        return Result(case, "NOT RUN", re.sub(r"^.* found .*Status Message: ", "", last_line(driven.stderr)))
    return judge("onnx", case, source, golden, dump, *words)


def find(oracles: list[Path], case: str) -> Path:
    return next((oracle / case for oracle in oracles if (oracle / case / "config.json").exists()), oracles[0] / case)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/engines --onnx")
    parser.add_argument("--oracle", type=Path, action="append")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--dumps", action="store_true")
    parser.add_argument("case", nargs="*")
    wanted = parser.parse_intermixed_args()
    oracles = wanted.oracle or [ROOT / "golden/data/oracle"]
    every = {f"{family}/{folder.name}" for oracle in oracles for family in FAMILIES for folder in (oracle / family).glob("*")
             if (folder / "config.json").exists()}
    results = []
    for whole in wanted.case or (COMMITTED if wanted.dumps else sorted(every | set(COMMITTED))):
        case, *options = whole.split()
        results.append(run(find(oracles, case), whole, options))
        print(f"{results[-1].row()} {results[-1].seconds:.0f} s", flush=True)
        if wanted.dumps:
            keep_dump(whole, DUMPS)
    if wanted.page:
        write_table(TABLE, [f"{datetime.date.today()}, onnxruntime {version('onnxruntime')} (CPU, one thread), onnxruntime-genai "
                            f"{version('onnxruntime-genai')}, transformers {version('transformers')}, Python "
                            f"{sys.version.split()[0]}, batch {BATCH}, F32; cases of shared/oracle and golden/data/oracle.", "",
                            *HEAD, *(result.row() for result in results)])
    return 0


sys.exit(main())
