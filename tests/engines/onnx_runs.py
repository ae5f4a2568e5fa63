"""Command line of scripts/frameworks --engines --onnx: checkpoints through ONNX Runtime, held against goldens.

    [--oracle FOLDER]... [--page] [--dumps] [--go-on] ["CASE [OPTION]..."]...

OPTION: one of WORDS, for a model that is not quite the case's, and its golden with the words that say so.
"""
import argparse
import contextlib
import datetime
import io
import json
import multiprocessing
import os
import re
import shutil
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import onnx_models
from runs import BATCH, HEAD, ROOT, Result, call, judge, keep_dump, last_line, make_golden, new_folder, run_all, told, write_table
from safetensors.numpy import load_file, save_file

DUMPS = ROOT / "tests/data/engines/onnx"
FAMILIES = ("gpt_oss", "lfm2_moe", "mixtral", "phimoe", "qwen2_moe", "qwen3_5_moe", "qwen3_moe")
COMMITTED = ("mixtral/tiny", "mixtral/tiny --quantised", "mixtral/tiny --quantised --unnormalised", "mixtral/tiny --gelu",
             "mixtral/tiny --tied", "phimoe/tiny")
MORE = ("gpt_oss/tiny --truncated",)  # rows of the table beside those of the cases and of the committed dumps
WORDS = {"--quantised": ("--weights-bits", "8"), "--unnormalised": ("--set", "renormalise=false"),
         "--gelu": ("--set", "gated=false", "--set", "activation=gelu"), "--tied": (),
         "--truncated": ("--set", "rope.truncate=true")}
ROWS = [0, 1, 2, 2, 2, 1, 0, 0]  # of every router, where experts tie
TABLE = "<!-- scripts/frameworks --engines --onnx -->"


def tied(folder: Path) -> None:
    """Experts whose rows of the router are the same."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    save_file({name: x[ROWS] if name.endswith("gate.weight") else x for name, x in weights.items()}, file)


def truncated(folder: Path) -> None:
    """The range of YaRN's pairs is rounded, as it is where a config says nothing."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    del config["rope_scaling"]["truncate"]
    file.write_text(json.dumps(config))


CHANGES = {"--tied": tied, "--truncated": truncated}  # of a checkpoint, which the builder gets


def build(words: list[str]) -> str:
    """Makes the model of these words; why not, where it cannot: the exception, and of one without words the line that raised it."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            onnx_models.make(words)
        except Exception as error:
            line = traceback.extract_tb(error.__traceback__)[-1].line
            return f"{type(error).__name__}: {last_line(str(error)) if str(error) else line}"
    return ""


def build_apart(words: list[str]) -> str:
    """In a fork, since a class of ours for one family stays in the builder; PyTorch and transformers are loaded once, which takes
    most of a case's time."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as one:
        return one.submit(build, words).result()


def run(source: Path, case: str, options: list[str]) -> Result:
    folder = new_folder("onnx", case)
    model, golden, dump = folder / "model", folder / "golden", folder / "dump"
    words = [word for option in options for word in WORDS[option]]
    changes = [CHANGES[option] for option in options if option in CHANGES]
    if changes:
        source = Path(shutil.copytree(source, folder / "checkpoint", copy_function=shutil.copyfile))
    for change in changes:
        change(source)
    made = make_golden(source, golden, *words)
    if made.returncode != 0:
        return Result(case, "ERROR", last_line(made.stderr))
    why_not = build_apart([str(source), str(model), *(option for option in options if option not in CHANGES)])
    if why_not:
        return Result(case, "NOT BUILT", why_not)
    driven = call(sys.executable, "-m", "moeparity_onnx", model / "model.onnx", golden, dump,
                  env=os.environ | {"PYTHONPATH": str(ROOT / "golden/capture")})
    if driven.returncode != 0:
        return Result(case, "NOT RUN", re.sub(r"^.* found .*Status Message: ", "", last_line(driven.stderr)))
    return judge("onnx", case, source, golden, dump, *words)


def find(oracles: list[Path], case: str) -> Path:
    return next((oracle / case for oracle in oracles if (oracle / case / "config.json").exists()), oracles[0] / case)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/frameworks --engines --onnx")
    parser.add_argument("--oracle", type=Path, action="append")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--dumps", action="store_true")
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("case", nargs="*")
    wanted = parser.parse_intermixed_args()
    oracles = wanted.oracle or [ROOT / "golden/data/oracle"]
    every = {f"{family}/{folder.name}" for oracle in oracles for family in FAMILIES for folder in (oracle / family).glob("*")
             if (folder / "config.json").exists()}
    cases = wanted.case or (list(COMMITTED) if wanted.dumps else sorted(every | {*COMMITTED, *(case for case in MORE if case.split()[0] in every)}))
    about = (f"onnxruntime {version('onnxruntime')} (CPU, one thread), onnxruntime-genai {version('onnxruntime-genai')}, "
             f"transformers {version('transformers')}, Python {sys.version.split()[0]}")

    def run_case(whole: str) -> Result:
        case, *options = whole.split()
        return run(find(oracles, case), whole, options)

    results = run_all("onnx", (about, oracles), cases, run_case, wanted.go_on)
    for case in cases if wanted.dumps else ():
        keep_dump("onnx", case, DUMPS)
    if wanted.page:
        write_table(TABLE, [f"{datetime.date.today()}, {about}, batch {BATCH}, F32; cases of {' and '.join(map(told, oracles))}.", "",
                            *HEAD, *(result.row() for result in results)])
    return 0


sys.exit(main())
