"""Writes a case's folder: config, weights, what the model says, and a manifest with the fingerprints of all of it."""
import json
import math
import re
import tempfile
import zlib
from pathlib import Path

import torch
import transformers
import xxhash
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from build import State, make, narrow, says, wide
from case import Case, Family, Settings
from knobs import movements
from record import Recorder, Taps, check_residual, modules_of
from weights import as_stored, draw
from wide import Margins, Wide

LEAST_MARGIN = 2e-4  # that another order of summation cannot flip a choice
MOST_ATTEMPTS = 40
OF_IMAGES = ("visual", "vision", "audio", "multi_modal", "projector")  # weights of a wrapper that text does not meet
TYPES = {torch.float32: "F32", torch.float64: "F64", torch.bfloat16: "BF16", torch.int64: "I64"}


def _settings(model: torch.nn.Module, case: Case) -> Settings:
    """The config as the class writes it."""
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        settings = json.loads(Path(folder, "config.json").read_text())
    settings["architectures"] = [case.model]
    settings["dtype"] = "bfloat16" if case.stored == "bf16" else "float32"
    return settings


def _published(family: Family, name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
    for pattern, replacement in family.renamed:
        name = re.sub(pattern, replacement, name)
    return name, value.transpose(1, 2).contiguous() if name.endswith(family.transposed) else value


def _stack(family: Family, tensors: State) -> State:
    """Several tensors of a module in one, where it is published so."""
    for whole, parts in family.stacked:
        for name in [name for name in tensors if name.endswith(parts[0])]:
            prefix = name.removesuffix(parts[0])
            tensors[prefix + whole] = torch.cat([tensors.pop(prefix + part) for part in parts])
    return tensors


def _take_apart(family: Family, tensors: State) -> State:
    """One tensor of the class in several, with experts one by one, where it is published so."""
    for whole, parts in family.apart:
        for name in [name for name in tensors if name.endswith(whole)]:
            prefix, value = name.removesuffix(whole), tensors.pop(name)
            of_experts = {f"{prefix}{e}.": matrix for e, matrix in enumerate(value)} if value.dim() == 3 else {prefix: value}
            for place, matrix in of_experts.items():
                tensors |= {place + part: rows.contiguous() for part, rows in zip(parts, matrix.chunk(len(parts)))}
    return tensors


def _checkpoint(model: torch.nn.Module, family: Family) -> State:
    """The weights as they are published."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = load_file(Path(folder, "model.safetensors"))
    named = dict(_published(family, name, value) for name, value in saved.items())
    return _stack(family, _take_apart(family, named))


def _prompts(case: Case, vocabulary: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(vocabulary, shape, generator=generator) for shape in case.prompts]


def _same_choices(a: Taps, b: Taps) -> bool:
    chosen = [key for key in a if key.endswith("topk_idx")]
    return all(torch.equal(a[key].sort(-1).values, b[key].sort(-1).values) for key in chosen)


def _idle(case: Case, model: torch.nn.Module, state: State, ids: torch.Tensor) -> list[str]:
    """Weights and buffers that the logits do not depend on: by their slope, or, where they only choose, turned round."""
    logits = says(case, model, ids)
    (logits * torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))).sum().backward()
    sloped = {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.any()}
    idle = []
    for name in sorted(state.keys() - sloped):
        if any(part in name for part in OF_IMAGES):
            continue
        model.load_state_dict(state | {name: state[name].flip(0) * (-1.0 if state[name].is_floating_point() else 1)})
        with torch.no_grad():
            if torch.equal(says(case, model, ids), logits):
                idle.append(name)
    model.load_state_dict(state)
    return idle


class Attempt:
    """One seed: the model and what it says of every prompt."""

    def __init__(self, case: Case, family: Family, seed: int) -> None:
        self.case, self.family, self.seed = case, family, seed
        torch.manual_seed(seed)
        model = make(case, case.settings)
        self.state = draw(case, family, model, seed)
        model.load_state_dict(self.state)
        self.model, self.settings = model, _settings(model, case)
        text = model.config.get_text_config()
        self.prompts = _prompts(case, text.vocab_size, seed)
        self.least_margin, self.worst, self.same = math.inf, 0.0, True
        self.said: dict[str, torch.Tensor] = {}
        self._run(model, text.num_hidden_layers)

    def _run(self, model: torch.nn.Module, n_layer: int) -> None:
        double = wide(self.case, self.case.settings, self.state)
        narrow_recorder, wide_recorder = Recorder(model, self.family), Recorder(double, self.family)
        for i, ids in enumerate(self.prompts):
            taps = narrow_recorder.run(self.case, model, ids)
            margins = Margins()
            with Wide(), margins:
                truth = wide_recorder.run(self.case, double, ids)
            if self.family.residual is not None:
                check_residual(taps, n_layer, self.family.residual)
            self.least_margin = min(self.least_margin, margins.least)
            self.same &= _same_choices(taps, truth)
            self.worst = max(self.worst, (taps["logits"] - truth["logits"]).abs().max().item())
            self.said[f"p{i}.input_ids"] = ids
            self.said |= {f"p{i}.{name}": value.detach().contiguous() for name, value in taps.items()}
            self.said[f"p{i}.logits_f64"] = truth["logits"]

    def is_clear(self) -> bool:
        return self.same and self.least_margin > LEAST_MARGIN


def attempt(case: Case, family: Family) -> Attempt:
    """The first seed whose choices are clear."""
    first = zlib.crc32(f"{case.family}/{case.name}".encode())
    for i in range(MOST_ATTEMPTS):
        made = Attempt(case, family, first + i)
        if made.is_clear():
            return made
    raise RuntimeError(f"{case.family}/{case.name}: {MOST_ATTEMPTS} seeds, and none keeps its choices {LEAST_MARGIN} apart")


def _generator(made: Attempt) -> str:
    parts = [f"transformers {transformers.__version__}", f"torch {torch.__version__}", f"seed {made.seed}"]
    if made.case.called:
        parts.append(f"{made.case.called} of {made.case.model} alone")
    if made.family.stands_in:
        parts.append(f"{made.case.model}, which computes the same")
    if made.family.renamed or made.family.transposed:
        parts.append("weights as published, not as it saves them")
    return ", ".join(parts)


def _metadata(made: Attempt) -> dict[str, str]:
    return {
        "family": made.case.family,
        "case": made.case.name,
        "hf_version": transformers.__version__,
        "torch": torch.__version__,
        "weights_dtype": made.case.stored,
        "compute_dtype": "float32",
        "prompts": str(len(made.prompts)),
        "seed": str(made.seed),
        "router_margin_min": f"{made.least_margin:.3g}",
        "logits_fp32_vs_fp64_max_abs": f"{made.worst:.3g}",
    }


def _fingerprint(path: Path) -> dict:
    tensors = {}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            for name in sorted(file.keys()):
                value = file.get_tensor(name)
                raw = value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
                shape = list(value.shape)
                tensors[name] = {"dtype": TYPES[value.dtype], "shape": shape, "xxh3": xxhash.xxh3_64_hexdigest(raw)}
    raw = path.read_bytes()
    return {"bytes": len(raw), "tensors": tensors, "xxh3": xxhash.xxh3_64_hexdigest(raw)}


def _write_json(path: Path, value: dict, indent: int) -> None:
    path.write_text(json.dumps(value, indent=indent, sort_keys=True) + "\n")


def _read_back(made: Attempt, weights: Path) -> torch.Tensor:
    """What transformers says of the weights that were written."""
    with tempfile.TemporaryDirectory() as folder:
        _write_json(Path(folder, "config.json"), made.settings, 2)
        Path(folder, "model.safetensors").write_bytes(weights.read_bytes())
        model = getattr(transformers, made.case.model).from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager"
        )
    with torch.no_grad():
        return says(made.case, model.eval(), made.prompts[0])


def _write_configs(made: Attempt, out: Path) -> None:
    """One as published, one as the class writes it; only the first where that is of a class of its own."""
    case, written = made.case, made.settings
    if case.published is None:
        _write_json(out / "config.json", written, 2)
        return
    as_written = {"architectures": [case.model], "model_type": written["model_type"], "torch_dtype": written["dtype"]}
    _write_json(out / "config.json", as_written | case.published, 2)
    if "model_type" not in case.published:
        _write_json(out / "config_v5.json", written, 2)


def write(case: Case, family: Family, out: Path, with_modules: bool = False) -> Attempt:
    made = attempt(case, family)
    if idle := _idle(case, made.model, made.state, made.prompts[-1]):
        raise RuntimeError(f"{case.family}/{case.name}: weights that move nothing: {', '.join(idle)}")
    moved = movements(case, family, case.settings, made.state, made.prompts[-1])
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    _write_configs(made, out)
    stored = as_stored(case, family, _checkpoint(narrow(case, case.settings, made.state), family))
    save_file(stored, out / "model.safetensors", {"format": "pt"})
    save_file(made.said, out / "expected.safetensors", _metadata(made))
    for path in out.glob("*.safetensors"):
        path.chmod(0o644)
    if not family.stands_in and not torch.equal(_read_back(made, out / "model.safetensors"), made.said["p0.logits"]):
        raise RuntimeError(f"{case.family}/{case.name}: the folder, read back, says something else")
    _write_json(
        out / "manifest.json",
        {
            "schema": "moeparity.golden/3",
            "origin": "oracle",
            "generator": _generator(made),
            "moves": moved,
            "files": {path.name: _fingerprint(path) for path in sorted(out.iterdir()) if path.name != "manifest.json"},
        },
        1,
    )
    if with_modules:
        save_file(modules_of(case, case.settings, made.state, made.prompts[0]), out / "modules.safetensors")
    return made
