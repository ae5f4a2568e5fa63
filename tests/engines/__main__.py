"""Command line of scripts/engines: checkpoints through llama.cpp, held against goldens.

    CONVERTER [--oracle FOLDER] [--page] [--dumps] [--defaults] [CASE]...
"""
import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/gguf"), str(ROOT / "golden/capture")]
import convert  # noqa: E402

WORK = ROOT / "build/engines-runs"
PAGE = ROOT / "docs/engines.md"
DUMPS = ROOT / "tests/data/engines"
FAMILIES = ("deepseek_v2", "deepseek_v3", "dots1", "glm4_moe", "gpt_oss", "granitemoe", "jamba", "llama4", "mixtral", "olmoe",
            "phimoe", "qwen2_moe", "qwen3_moe")
FIRST_LAYER = ("gpt_oss/mxfp4",)  # kept as a GGUF file of its first layer beside its dump: a golden of quantised activations is made of it
COMMITTED = ("glm4_moe/tiny", "mixtral/leftpad", "granitemoe/biased", "deepseek_v2/grouped_yarn", "deepseek_v3/yarn_bf16",
             "llama4/tiny", "mixtral/window_top1_yarn", "phimoe/tiny", *FIRST_LAYER)
BATCH = "2x12"
BEGIN, DEFAULTS, END = "<!-- scripts/engines -->", "<!-- scripts/engines --defaults -->", "<!-- end -->"
# What --defaults runs: converter's kind of file, the numerics that llama.cpp states by it.
STATED = {"MOSTLY_BF16": "llama-default", "MOSTLY_F16": "llama-f16", "ALL_F32": "w=fp32+kv=fp16"}
PROMPTS, LONG_BATCH = (1, 2, 3), "1x96"


@dataclass
class Result:
    case: str
    verdict: str        # PASS, FAIL ..; NOT CONVERTED, NOT LOADED
    says: str           # why, or the worst observed / bound
    explained: str = ""  # the line of compare --explain
    then: str = ""      # verdict against the model that it names
    seconds: float = 0

    def row(self) -> str:
        what = " ".join(filter(None, [self.explained, self.says if not self.explained else ""]))
        return f"| {self.case} | {self.verdict} | {what} | {self.then} |"


def moeparity() -> str:
    found = os.environ.get("MOEPARITY") or shutil.which("moeparity") or str(ROOT / "build/release/harness/moeparity")
    if not Path(found).exists():
        sys.exit(f"{found}: expected the program, found nothing: build it, or say MOEPARITY=FILE")
    return found


def call(*words: object, **more: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, **more)


def last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing was said"


def to_gguf(converter: Path, source: Path, out: Path, cut: bool) -> None:
    """The checkpoint, or its first layer, as a GGUF file. The config of Phi-MoE as its publisher has it, which the converter wants."""
    folder = out.with_suffix(".checkpoint")
    folder.mkdir(exist_ok=True)
    for file in source.iterdir():
        shutil.copy(file, folder)
    config = json.loads((folder / "config.json").read_text())
    if config["architectures"] == ["PhimoeForCausalLM"]:
        config["architectures"] = ["PhiMoEForCausalLM"]
        config.setdefault("original_max_position_embeddings", config["max_position_embeddings"])
    (folder / "config.json").write_text(json.dumps(config))
    if cut:
        cut_to_first_layer(folder)
    convert.convert(converter, folder, out)


def cut_to_first_layer(folder: Path) -> None:
    from safetensors.torch import load_file, save_file
    config = json.loads((folder / "config.json").read_text())
    config |= {"num_hidden_layers": 1, "layer_types": config["layer_types"][:1]}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    save_file({name: x for name, x in tensors.items() if not re.match(r"model\.layers\.[1-9]", name)}, folder / "model.safetensors")


def compare(golden: Path, dump: Path, *more: object) -> tuple[str, dict]:
    report = dump.parent / "report.json"
    done = call(moeparity(), "compare", golden, dump, "--map", "llama", "--json", report, *more)
    if done.returncode not in (0, 1):
        return "ERROR: " + last_line(done.stderr), {}
    return last_line(done.stdout).split()[0], json.loads(report.read_text())


def drive(model: Path, golden: Path, dump: Path, *flags: str) -> subprocess.CompletedProcess:
    return call(sys.executable, "-m", "moeparity_llama", model, golden, dump, *flags,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "golden/capture"), *sys.path])})


def at_defaults(converter: Path, source: Path) -> list[str]:
    """A table: an F16 cache, without flash attention and with it, held by the numerics that each kind of file states."""
    folder = WORK / "defaults"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = ["| weights | numerics | without flash attention | with it, the default |", "|---|---|---|---|"]
    for kind, numerics in STATED.items():
        model, seen = folder / f"{kind}.gguf", {(): [], ("--flash",): []}
        convert.convert(converter, source, model, kind)
        for seed in PROMPTS:
            golden = folder / f"{kind}-{seed}"
            call(moeparity(), "golden", "make", "--model", model, "--tokens", LONG_BATCH, "--seed", seed, "--numerics", numerics,
                 "--out", golden, check=True)
            for flags, told in seen.items():
                dump = folder / f"{kind}-{seed}-{len(flags)}"
                drive(model, golden, dump, "--cache", "f16", *flags).check_returncode()
                verdict, report = compare(golden, dump, "--numerics", numerics)
                told.append(f"{verdict} {ratio(report):.2f}")
        rows.append(f"| {kind.split('_')[1]} | `{numerics}` | " + " | ".join(", ".join(told) for told in seen.values()) + " |")
        print(rows[-1], flush=True)
    return rows


def with_quantised_activations(result: Result, model: Path, dump: Path) -> None:
    """What the file's blocks make of the activations beside them, if they do and it is emulated."""
    golden = dump.parent / "quantised"
    made = call(moeparity(), "golden", "make", "--model", model, "--act-quant", "--tokens", BATCH, "--numerics", "fp32", "--out", golden)
    if made.returncode == 0:
        then, again = compare(golden, dump)
        result.explained = "the GGUF file's, with `--act-quant`"
        result.then = f"{then}, {ratio(again):.2g} of the bound"


def run(converter: Path, source: Path, case: str, cut: bool) -> Result:
    folder = WORK / case.replace("/", "__")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model, golden, dump = folder / "model.gguf", folder / "golden", folder / "dump"
    try:
        to_gguf(converter, source, model, cut)
    except (ValueError, KeyError, NotImplementedError, AssertionError) as error:
        return Result(case, "NOT CONVERTED", f"{type(error).__name__}: {error}")
    made = call(moeparity(), "golden", "make", "--model", source, "--tokens", BATCH, "--numerics", "fp32", "--out", golden)
    if made.returncode != 0:
        return Result(case, "ERROR", last_line(made.stderr))
    driven = drive(model, golden, dump)
    if driven.returncode != 0:
        return Result(case, "NOT LOADED" if driven.returncode == 3 else "ABORTED",
                      re.sub(r"^.*?found (llama_model_load: )?(error loading model: )?", "", last_line(driven.stderr)))
    begin = time.monotonic()
    verdict, report = compare(golden, dump, "--explain", "--model", source)
    result = Result(case, verdict, f"{ratio(report):.2g} of the bound", seconds=time.monotonic() - begin)
    explanation = report.get("explanation") or {}
    for found in (explanation.get("found") or [])[:1]:
        result.explained = f"`{found['model']}`"
        fields = found["model"].split(" and ")
        if not all("=" in field for field in fields):  # an operator, which no --set says
            result.then = f"{float(found['ratio']):.2g} of the bound, told beside it"
            break
        words = [word for field in fields for word in ("--set", field)]
        call(moeparity(), "golden", "make", "--model", source, *words, "--tokens", BATCH, "--numerics", "fp32", "--out",
             folder / "other")
        then, again = compare(folder / "other", dump)
        result.then = f"{then}, {ratio(again):.2g} of the bound" if again else then
    if verdict == "FAIL" and not result.explained:
        with_quantised_activations(result, model, dump)
    return result


def ratio(report: dict) -> float:
    return max((float(row["ratio"]) for row in report.get("worst", [])), default=0.0)


def write_table(begin: str, lines: list[str]) -> None:
    before, rest = PAGE.read_text().split(begin)
    after = rest.split(END, 1)[1]
    PAGE.write_text("\n".join([before + begin, *lines, END + after]))


def write_page(results: list[Result], oracle: Path) -> None:
    import llama_cpp
    head = [f"{datetime.date.today()}, llama.cpp by llama-cpp-python {llama_cpp.__version__}, Python {sys.version.split()[0]}, "
            f"batch {BATCH}, F32 weights, F32 cache, no flash attention, one thread; cases of {oracle.name}.", "",
            "| case | against its golden | this dump is the model with | against the golden of that model |", "|---|---|---|---|"]
    write_table(BEGIN, [*head, *(result.row() for result in results)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/engines")
    parser.add_argument("converter", type=Path)
    parser.add_argument("--oracle", type=Path, default=ROOT / "golden/data/oracle")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--dumps", action="store_true")
    parser.add_argument("--defaults", action="store_true")
    parser.add_argument("case", nargs="*")
    wanted = parser.parse_intermixed_args()
    if wanted.defaults:
        write_table(DEFAULTS, at_defaults(wanted.converter, wanted.oracle / (wanted.case or ["qwen3_moe/tiny"])[0]))
        return 0
    cases = wanted.case or (list(COMMITTED) if wanted.dumps else [
        f"{family}/{folder.name}" for family in FAMILIES for folder in sorted((wanted.oracle / family).glob("*"))
        if (folder / "config.json").exists()])
    results = []
    for case in cases:
        cut = wanted.dumps and case in FIRST_LAYER
        results.append(run(wanted.converter, wanted.oracle / case, case, cut))
        print(f"{results[-1].row()} {results[-1].seconds:.0f} s", flush=True)
        if wanted.dumps:
            folder = case.replace("/", "__")
            shutil.rmtree(DUMPS / folder, ignore_errors=True)
            shutil.copytree(WORK / folder / "dump", DUMPS / folder)
            if cut:
                shutil.copy(WORK / folder / "model.gguf", DUMPS / f"{folder}.gguf")
    if wanted.page:
        write_page(results, wanted.oracle)
    return 0


sys.exit(main())
