"""Committed cases of an earlier release, computed by the pinned one: config.json and weights as they lie there."""
import json
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file
from transformers.models.switch_transformers import modeling_switch_transformers as switch

from build import State, logits_of
from case import Case, Settings


def version_of(folder: Path) -> str:
    """The release that the committed numbers are of."""
    with safe_open(folder / "expected.safetensors", "pt") as file:
        return file.metadata()["hf_version"]


def _distance(found: torch.Tensor, committed: torch.Tensor) -> float:
    return ((found - committed).abs() / committed.pow(2).mean().sqrt()).max().item()


def _as_read(folder: Path, model_class: str) -> tuple[Settings, State]:
    """The settings and the weights as the class of today reads them."""
    is_quantized = "quantization_config" in json.loads((folder / "config.json").read_text())
    options = {"quantization_config": transformers.Mxfp4Config(dequantize=True)} if is_quantized else {}
    model = getattr(transformers, model_class).from_pretrained(folder, dtype=torch.float32, **options)
    settings = model.config.to_dict()
    settings.pop("quantization_config", None)
    return settings, model.state_dict()


def _of_model(folder: Path, config: transformers.PreTrainedConfig, committed: State) -> float:
    case = Case(folder.name, config.architectures[0], type(config).__name__, {}, family=folder.parent.name)
    settings, state = _as_read(folder, case.model)
    worst = 0.0
    for name in committed:
        prompt, _, tap = name.partition(".")
        if tap == "logits_f64":
            ids, mask = committed[f"{prompt}.input_ids"], committed.get(f"{prompt}.attention_mask")
            worst = max(worst, _distance(logits_of(case, settings, state, ids, mask), committed[name]))
    return worst


def _of_switch_layer(folder: Path, config: transformers.PreTrainedConfig, committed: State) -> float:
    """The layer alone, in float32 as it was committed."""
    layer = switch.SwitchTransformersLayerFF(config, is_sparse=True).eval()
    weights = load_file(folder / "model.safetensors")
    layer.load_state_dict({name.split(".layer.1.")[1]: value for name, value in weights.items()})
    prompts = [name.split(".")[0] for name in committed if name.endswith(".hidden_in")]
    with torch.no_grad():
        found = {prompt: layer(committed[f"{prompt}.hidden_in"]) for prompt in prompts}
    return max(_distance(found[prompt], committed[f"{prompt}.out"]) for prompt in prompts)


def distance(folder: Path) -> float:
    """How far today's numbers are from the committed ones, over their rms."""
    config = transformers.AutoConfig.from_pretrained(folder)
    compute = _of_switch_layer if config.model_type == "switch_transformers" else _of_model
    return compute(folder, config, load_file(folder / "expected.safetensors"))
