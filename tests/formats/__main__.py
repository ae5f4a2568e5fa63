"""Command line of scripts/formats: one tiny model in every format that publishers have.

Writes golden/data/oracle/formats/CASE: the model as the publisher's own package writes it, what transformers makes of
the values that it means, and some of these values themselves.
"""
import json
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "witness"))

import torch
import transformers
from safetensors.torch import save_file

import folder as witness
import activations
import modelopt_export
from build import make
from case import Case, Family
from publishers import MXFP4, CompressedTensors, FineGrained, Tensors
from record import Recorder
from weights import draw
from wide import Margins, Wide

OUT = Path(__file__).resolve().parents[2] / "golden/data/oracle/formats"
SETTINGS = {
    "vocab_size": 53, "hidden_size": 96, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "hidden_act": "silu", "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
    "attention_bias": False, "tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
    "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 32, "num_experts": 4,
    "num_experts_per_tok": 3, "norm_topk_prob": True, "use_sliding_window": False, "sliding_window": None,
}
CASE = Case("", "Qwen3MoeForCausalLM", "Qwen3MoeConfig", SETTINGS, prompts=((2, 5), (1, 8)))
FAMILY = Family()
SHOWN = ("model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.experts.2.down_proj.weight")

MODELOPT = {"modelopt_nvfp4": "NVFP4_DEFAULT_CFG", "modelopt_fp8": "FP8_DEFAULT_CFG"}
TOKEN = {"num_bits": 8, "strategy": "token", "dynamic": True}
GROUPS = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "dynamic": "local",
          "scale_dtype": torch.float8_e4m3fn}
MX = {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32, "dynamic": True, "scale_dtype": torch.uint8}
FORMATS = {
    "fp8_blocks": FineGrained((16, 32)),
    "fp8_e5m2": FineGrained((16, 32), torch.float8_e5m2),
    "fp8_fp4_exponents": FineGrained((16, 32), exponents=True),
    "tensors_fp8": CompressedTensors("float-quantized", TOKEN | {"type": "float"}, num_bits=8, type="float", strategy="channel"),
    "tensors_int4": CompressedTensors("pack-quantized", num_bits=4, type="int", strategy="group", group_size=32),
    "tensors_int8": CompressedTensors("pack-quantized", num_bits=8, type="int", strategy="channel"),
    "tensors_w8a8": CompressedTensors("int-quantized", TOKEN | {"type": "int"}, num_bits=8, type="int", strategy="channel"),
    "tensors_nvfp4": CompressedTensors("nvfp4-pack-quantized", GROUPS, num_bits=4, type="float", strategy="tensor_group",
                                       group_size=16),
    "tensors_mxfp4": MXFP4,
    "tensors_mxfp8": CompressedTensors("mxfp8-quantized", MX, num_bits=8, type="float", strategy="group", group_size=32,
                                       scale_dtype=torch.uint8),
}
# How engines quantise activations, and what the files call their scale.
ACTIVATIONS = {
    "modelopt_nvfp4": (activations.modelopt_nvfp4, ".input_scale"),
    "modelopt_fp8": (activations.static, ".input_scale"),
    "fp8_blocks": (activations.fine_grained(32), ""),
    "fp8_e5m2": (activations.fine_grained(32), ""),
    "fp8_fp4_exponents": (activations.fine_grained(32, powers=True), ""),
    "tensors_fp8": (activations.by_token(448.0, activations.e4m3), ""),
    "tensors_w8a8": (activations.by_token(127.0, activations.int8), ""),
    "tensors_nvfp4": (activations.tensors(FORMATS["tensors_nvfp4"].acts, activations.e2m1), ".input_global_scale"),
    "tensors_mxfp8": (activations.tensors(FORMATS["tensors_mxfp8"].acts, activations.e4m3), ""),
}


def _fused(values: Tensors) -> Tensors:
    """The class keeps a layer's experts in two tensors."""
    state = {name: value for name, value in values.items() if ".experts." not in name}
    for layer in range(SETTINGS["num_hidden_layers"]):
        at = f"model.layers.{layer}.mlp.experts."
        of = lambda what: [values[f"{at}{e}.{what}.weight"] for e in range(SETTINGS["num_experts"])]
        state[at + "gate_up_proj"] = torch.stack([torch.cat(pair) for pair in zip(of("gate_proj"), of("up_proj"))])
        state[at + "down_proj"] = torch.stack(of("down_proj"))
    return state


def _quantised(name: str, weights: Tensors) -> tuple[Tensors, Tensors, dict]:
    """Tensors, their values, quantization_config."""
    form = FORMATS[name]
    stored, values = {}, {}
    for tensor, value in weights.items():
        if not re.search(r"self_attn\.\w_proj|experts", tensor):
            stored[tensor], values[tensor] = value.bfloat16(), value.double()
            continue
        write = getattr(form, "expert", form) if "experts" in tensor else form
        written, values[tensor] = write(value)
        if name == "tensors_nvfp4":
            written[".input_global_scale"] = torch.tensor([448.0 * 6.0 / (3.0 + len(stored) % 5)])
        for suffix, part in written.items():
            base = tensor.removesuffix(".weight") if suffix.startswith(".") else tensor
            stored[base + suffix] = part.contiguous()
    return stored, values, form.config()


def _said(name: str, stored: Tensors, values: Tensors, prompts: list[torch.Tensor]) -> tuple[Tensors, float, float]:
    """What transformers makes of the values, in float32, in float64, and there with activations as engines have them."""
    state = _fused(values)
    single = make(CASE, SETTINGS)
    single.load_state_dict({name: value.float() for name, value in state.items()})
    with Wide():
        double = make(CASE, SETTINGS, torch.float64).double()
    double.load_state_dict(state)
    recorders = Recorder(single, FAMILY), Recorder(double, FAMILY)
    said, least, worst = {}, float("inf"), 0.0
    for i, ids in enumerate(prompts):
        taps = recorders[0].run(CASE, single, ids)
        margins = Margins()
        with Wide(), margins:
            truth = recorders[1].run(CASE, double, ids)
        least = min(least, margins.least)
        worst = max(worst, (taps["logits"] - truth["logits"]).abs().max().item())
        said |= {f"p{i}.{tap}": value.contiguous() for tap, value in taps.items()}
        said |= {f"p{i}.input_ids": ids, f"p{i}.logits_f64": truth["logits"]}
        if name in ACTIVATIONS:
            with Wide(), activations.Quantised(double, stored, *ACTIVATIONS[name]), margins:
                quantised = recorders[1].run(CASE, double, ids)
            said[f"p{i}.logits_act_quant_f64"] = quantised["logits"]
            least = min(least, margins.least)
    said |= {"values." + name: values[name].float() for name in SHOWN}
    return said, least, worst


def _attempt(name: str, seed: int):
    torch.manual_seed(seed)
    model = make(CASE, SETTINGS)
    model.load_state_dict(draw(CASE, FAMILY, model, seed))
    prompts = witness._prompts(CASE, SETTINGS["vocab_size"], seed)
    settings = witness._settings(model, CASE)
    beside = None
    if name in MODELOPT:
        stored, beside = modelopt_export.export(model.bfloat16(), MODELOPT[name], prompts)
        values = modelopt_export.values_of(stored)
    else:
        stored, values, settings["quantization_config"] = _quantised(name, witness._checkpoint(model, FAMILY))
    return stored, settings, beside, *_said(name, stored, values, prompts)


def _write(name: str) -> None:
    for seed in range(1, 40):
        try:
            stored, settings, beside, said, least, worst = _attempt(name, seed)
        except ArithmeticError:
            continue
        if least > witness.LEAST_MARGIN:
            break
    out = OUT / name
    out.mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "config_v5.json"):
        witness._write_json(out / file, settings, 1)
    if beside is not None:
        witness._write_json(out / "hf_quant_config.json", beside, 1)
    versions = {of: version(of) for of in ("transformers", "torch", "compressed-tensors", "nvidia-modelopt")}
    metadata = {"case": name, "seed": str(seed), "prompts": "2", "router_margin_min": f"{least:.3g}",
                "logits_fp32_vs_fp64_max_abs": f"{worst:.3g}"}
    save_file(stored, out / "model.safetensors", {"format": "pt"})
    save_file(said, out / "expected.safetensors", metadata | versions)
    for path in out.glob("*.safetensors"):
        path.chmod(0o644)
    witness._write_json(out / "manifest.json", {
        "schema": "moeparity.golden/3", "origin": "oracle",
        "generator": ", ".join(f"{of} {number}" for of, number in versions.items()) + f", seed {seed}",
        "files": {path.name: witness._fingerprint(path) for path in sorted(out.iterdir()) if path.name != "manifest.json"},
    }, 1)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1000
    print(f"formats/{name}: {size:.0f} kB, seed {seed}, margin {least:.2g}, float32 off by {worst:.2g}", flush=True)


def main() -> None:
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    witness.TYPES |= {torch.uint8: "U8", torch.int8: "I8", torch.int32: "I32", torch.float8_e4m3fn: "F8_E4M3",
                      torch.float8_e5m2: "F8_E5M2", torch.float8_e8m0fnu: "F8_E8M0"}
    for name in sys.argv[1:] or [*MODELOPT, *FORMATS]:
        _write(name)


main()
