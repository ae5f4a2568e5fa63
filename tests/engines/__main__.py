"""Command line of scripts/frameworks --engines: checkpoints through llama.cpp, held against goldens.

    CONVERTER [--oracle FOLDER] [--page] [--dumps] [--defaults] [--go-on] [CASE]...
"""
import argparse
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from runs import (BATCH, HEAD, ROOT, Result, call, compare, folder_of, judge, keep_dump, last_line, make_golden, moeparity,
                  new_folder, ratio, run_all, told, write_table)

sys.path[:0] = [str(ROOT / "tests/gguf"), str(ROOT / "golden/capture"), str(ROOT / "tests/bench")]
import against_llama  # noqa: E402
import convert  # noqa: E402

DUMPS = ROOT / "tests/data/engines"
FAMILIES = ("deepseek_v2", "deepseek_v3", "dots1", "glm4_moe", "gpt_oss", "granitemoe", "jamba", "llama4", "mixtral", "olmoe",
            "phimoe", "qwen2_moe", "qwen3_moe")
FIRST_LAYER = ("gpt_oss/mxfp4",)  # kept as a GGUF file of its first layer beside its dump: a golden of quantised activations is made of it
COMMITTED = ("glm4_moe/tiny", "mixtral/leftpad", "granitemoe/biased", "deepseek_v2/grouped_yarn", "deepseek_v3/yarn_bf16",
             "llama4/tiny", "mixtral/window_top1_yarn", "phimoe/tiny", *FIRST_LAYER)
BEGIN, DEFAULTS = "<!-- scripts/frameworks --engines -->", "<!-- scripts/frameworks --engines --defaults -->"
# What --defaults runs: kinds of file of the converter's, and one of random blocks; batches and flags of the driver, each with
# the numerics that llama.cpp states so, by the type that the weights are read in.
READ_AS = {"MOSTLY_BF16": "bf16", "MOSTLY_F16": "fp16", "ALL_F32": "fp32", "MOSTLY_Q8_0": "fp32", "Q4_K": "fp32"}
QUANTISED = ("MOSTLY_Q8_0", "Q4_K")  # activations, too
WAYS = {"no flash attention, 1x96": ("llama-no-flash", ()), "the default, 1x96": ("llama-default", ("--flash",)),
        f"the default, {BATCH}": ("llama-short", ("--flash",))}
PROMPTS = (1, 2, 3)


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


def drive(model: Path, golden: Path, dump: Path, *flags: str) -> subprocess.CompletedProcess:
    return call(sys.executable, "-m", "moeparity_llama", model, golden, dump, *flags,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "golden/capture"), *sys.path])})


def write_model(converter: Path, source: Path, kind: str, out: Path) -> None:
    if kind == "Q4_K":  # no width of the cases has whole blocks
        against_llama.write(out, 2, False, against_llama.Sizes(256, 256, 8, 2, 4, 128))
    else:
        convert.convert(converter, source, out, kind)


def judge_at_defaults(kind: str, model: Path, way: str, seed: int) -> str:
    """Verdict and worst observed / bound of a run with an F16 cache."""
    numerics, flags = WAYS[way]
    numerics += f"+w={READ_AS[kind]}"
    golden, dump = new_folder("llama", "golden"), new_folder("llama", "dump")
    call(moeparity(), "golden", "make", "--model", model, "--tokens", way.split()[-1], "--seed", seed, "--numerics", numerics,
         *["--act-quant"] * (kind in QUANTISED), "--out", golden / "made", check=True)
    drive(model, golden / "made", dump / "dump", "--cache", "f16", *flags).check_returncode()
    verdict, report = compare("llama", golden / "made", dump / "dump", "--numerics", numerics)
    return f"{verdict} {ratio(report):.2f}"


def at_defaults(converter: Path, source: Path) -> list[str]:
    """A table: weights of each kind, in each of WAYS, one verdict for each prompt."""
    folder = new_folder("llama", "defaults")
    rows = ["| weights | " + " | ".join(f"{way}: `{numerics}`" for way, (numerics, _) in WAYS.items()) + " |",
            "|---" * (1 + len(WAYS)) + "|"]
    for kind, read_as in READ_AS.items():
        model = folder / f"{kind}.gguf"
        write_model(converter, source, kind, model)
        cells = (", ".join(judge_at_defaults(kind, model, way, seed) for seed in PROMPTS) for way in WAYS)
        rows.append(f"| {kind.removeprefix('MOSTLY_').removeprefix('ALL_')}, `w={read_as}` | " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return rows


def with_quantised_activations(result: Result, model: Path, dump: Path) -> None:
    """What the file's blocks make of the activations beside them, if they do and it is emulated."""
    golden = dump.parent / "quantised"
    if make_golden(model, golden, "--act-quant").returncode == 0:
        then, again = compare("llama", golden, dump)
        result.then = f"the GGUF file's with `--act-quant`: {then}, {ratio(again):.2g} of the bound"


def run(converter: Path, source: Path, case: str, cut: bool) -> Result:
    folder = new_folder("llama", case)
    model, golden, dump = folder / "model.gguf", folder / "golden", folder / "dump"
    try:
        to_gguf(converter, source, model, cut)
    except (ValueError, KeyError, NotImplementedError, AssertionError) as error:
        return Result(case, "NOT CONVERTED", f"{type(error).__name__}: {error}")
    made = make_golden(source, golden)
    if made.returncode != 0:
        return Result(case, "ERROR", last_line(made.stderr))
    driven = drive(model, golden, dump)
    if driven.returncode != 0:
        return Result(case, "NOT LOADED" if driven.returncode == 3 else "ABORTED",
                      re.sub(r"^.*?found (llama_model_load: )?(error loading model: )?", "", last_line(driven.stderr)))
    result = judge("llama", case, source, golden, dump)
    if result.verdict == "FAIL" and not result.then:
        with_quantised_activations(result, model, dump)
    return result


def main() -> int:
    import llama_cpp
    parser = argparse.ArgumentParser(prog="scripts/frameworks --engines")
    parser.add_argument("converter", type=Path)
    parser.add_argument("--oracle", type=Path, default=ROOT / "golden/data/oracle")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--dumps", action="store_true")
    parser.add_argument("--defaults", action="store_true")
    parser.add_argument("--go-on", action="store_true")
    parser.add_argument("case", nargs="*")
    wanted = parser.parse_intermixed_args()
    if wanted.defaults:
        write_table(DEFAULTS, at_defaults(wanted.converter, wanted.oracle / (wanted.case or ["qwen3_moe/tiny"])[0]))
        return 0
    cases = wanted.case or (list(COMMITTED) if wanted.dumps else [
        f"{family}/{folder.name}" for family in FAMILIES for folder in sorted((wanted.oracle / family).glob("*"))
        if (folder / "config.json").exists()])
    cut = FIRST_LAYER if wanted.dumps else ()
    about = f"llama.cpp by llama-cpp-python {llama_cpp.__version__}, Python {sys.version.split()[0]}"
    results = run_all("llama", (about, wanted.oracle, cut), cases,
                      lambda case: run(wanted.converter, wanted.oracle / case, case, case in cut), wanted.go_on)
    for case in cases if wanted.dumps else ():
        keep_dump("llama", case, DUMPS)
        if case in cut:
            folder = folder_of("llama", case)
            shutil.copy(folder / "model.gguf", DUMPS / f"{folder.name}.gguf")
    if wanted.page:
        write_table(BEGIN, [f"{datetime.date.today()}, {about}, batch {BATCH}, F32 weights, F32 cache, no flash attention, one thread; "
                            f"cases of {told(wanted.oracle)}.", "", *HEAD, *(result.row() for result in results)])
    return 0


sys.exit(main())
