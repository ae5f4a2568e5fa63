"""Makes a golden and a checkpoint of a family, runs a cell on it, and has the dump compared."""
import json
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cells import MAXTEXT, Cell, Layer
from families import FAMILIES, VARIANTS

BATCH = "4x4"
SECONDS = 180
_THREADS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass
class Result:
    verdict: str  # PASS, MARGINAL, FAIL ...; ERROR: did not run; UNDIVIDED: every rank held the whole model
    says: str     # one line: of compare, or the error


def make_golden(family: str, moeparity: str, folder: Path, batch: str = BATCH, numerics: str = "fp32,bf16") -> Path:
    """The golden of a procedural model, FOLDER/golden; its config and weights are FOLDER/checkpoint."""
    checkpoint, golden = folder / "checkpoint", folder / "golden"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "config.json").write_text(json.dumps((FAMILIES | VARIANTS)[family], indent=1) + "\n")
    spec = subprocess.run([moeparity, "spec", "--yaml", checkpoint], check=True, capture_output=True, text=True).stdout
    (folder / f"{family}.yaml").write_text(spec)
    make = [moeparity, "golden", "make", "--force", "--tokens", batch, "--model", folder / f"{family}.yaml", "--numerics"]
    subprocess.run([*make, numerics, "--out", golden], check=True, capture_output=True)
    subprocess.run([*make, "fp32", "--export-weights", "--out", folder / "export"], check=True, capture_output=True)
    shutil.move(folder / "export/model.safetensors", checkpoint / "model.safetensors")
    shutil.rmtree(folder / "export")
    (folder / "ffn.yaml").write_text(_layer_map(golden))
    return golden


def _layer_map(golden: Path) -> str:
    """The map of dumps of the layers with experts alone: nothing else is judged."""
    taps = json.loads((golden / "manifest.json").read_text())["files"]["fp32.safetensors"]["tensors"]
    layers = [tap.removeprefix("p0.").removesuffix("router_logits") for tap in taps if tap.endswith(".router_logits")]
    names = [layer + tap for layer in layers for tap in ("router_logits", "topk_idx", "topk_weight", "ffn_out")]
    return "names:\n" + "".join(f"  {name}: {name}\n" for name in names)


def command(cell: Cell, checkpoint: str, golden: str, dump: str) -> list[str]:
    """What a user types, behind `python3`."""
    run = cell.run
    start = ["-m", "torch.distributed.run", "--nproc-per-node", str(run.ranks)] if run.ranks > 1 else []
    if isinstance(run, Layer):
        start = ["-m", "torch.distributed.run", "--nproc-per-node", str(run.ranks)]
        sizes = [word for axis, size in run.sizes.items() if size > 1 for word in (f"--{axis}", str(size))]
        way = ["--dispatcher", run.dispatcher] if run.dispatcher else []
        way += ["--capacity", str(run.capacity)] if run.capacity else []
        if cell.release == MAXTEXT:  # one process has all devices
            start, way = [], ["--devices", str(run.ranks), *way]
        script = f"tests/frameworks/{cell.release.name.split('-')[0]}_{run.SCRIPT}.py"
        return [*start, script, checkpoint, golden, dump, *sizes, *way]
    if run.plan in ("dtensor", "switch_layer", "mlx_model", "accelerate_dp"):
        return [*start, f"tests/frameworks/{run.plan}.py", checkpoint, golden, dump]
    words = [*start, "-m", "moeparity_transformers", checkpoint, golden, dump, "--dtype", run.dtype]
    for option in ("plan", "experts", "forced"):
        if (value := getattr(run, option)) not in ("", "one"):
            words += ["--" + option, value]
    return words


def header(file: Path) -> dict[str, Any]:
    with open(file, "rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        return json.loads(stream.read(size))


def metadata(file: Path) -> dict[str, str]:
    return header(file)["__metadata__"]


def _parameters(checkpoint: Path, names: str = "") -> int:
    """Of the whole model, or of what has such names: what the checkpoint holds."""
    count = 0
    for name, tensor in header(checkpoint / "model.safetensors").items():
        if name != "__metadata__" and not name.endswith("e_score_correction_bias") and re.search(names, name):
            size = 1
            for n in tensor["shape"]:
                size *= n
            count += size
    return count


def _error(text: str) -> str:
    """The line that says what went wrong, of the first rank that says so."""
    lines = [re.sub(r"^\[rank\d+\]:\s*", "", line).strip() for line in text.splitlines()]
    said = re.compile(r"moeparity_transformers: |[\w.]*(Error|Exception): .|terminate called")
    told = [line for line in lines if said.match(line)]
    return told[0] if told else (lines or ["nothing was said"])[-1]


def map_of(cell: Cell, folder: Path) -> Path | None:
    """The names of what is judged, where a dump is of less than the golden: a layer, what MLX's modules return, logits."""
    if cell.run.PART:
        return folder.parent / "ffn.yaml"
    if cell.run.plan not in ("mlx_model", "accelerate_dp"):
        return None
    taps = [name.removeprefix("p0.") for name in header(folder / "dump/rank_00000.safetensors") if name != "__metadata__"]
    (folder / "taps.yaml").write_text("names:\n" + "".join(f"  {tap}: {tap}\n" for tap in taps))
    return folder / "taps.yaml"


def _environment(cell: Cell, module: Path, folder: Path) -> dict[str, str]:
    environment = os.environ | _THREADS | {"PYTHONPATH": str(module)}
    if cell.release.name == "mlx-lm":  # takes any libmpi.so for Open MPI's, and dies of MPICH's
        (folder / "no_mpi").mkdir()
        (folder / "no_mpi/libmpi.so").touch()
        environment["LD_LIBRARY_PATH"] = str(folder / "no_mpi")
    return environment


def run(cell: Cell, moeparity: str, python: str, module: Path, folder: Path) -> Result:
    """Runs a cell; its dump is folder/dump."""
    golden, checkpoint, dump = folder.parent / "golden", folder.parent / "checkpoint", folder / "dump"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = [python, *command(cell, str(checkpoint), str(golden), str(dump))]
    environment = _environment(cell, module, folder)
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Result("ERROR", f"no end within {SECONDS} s")
    (folder / "log").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        return Result("ERROR", _error(done.stderr))
    names = map_of(cell, folder)
    maps = ["--map", names] if names else []
    compared = subprocess.run([moeparity, "compare", golden, dump, *maps], capture_output=True, text=True)
    (folder / "compared").write_text(compared.stdout + compared.stderr)
    last = (compared.stdout or compared.stderr).strip().splitlines()[-1]
    held = int(metadata(dump / "rank_00000.safetensors")["parameters"])
    if cell.run.divides and held >= _parameters(checkpoint, cell.run.PART):
        return Result("UNDIVIDED", f"every rank held all {held} parameters; {last}")
    return Result(last.split()[0] if compared.returncode in (0, 1) else "ERROR", last)
