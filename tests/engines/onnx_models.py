"""A checkpoint as an ONNX model, by onnxruntime-genai's builder: of families that it does not know by its own parts.

    CHECKPOINT OUT [--quantised] [--unnormalised] [--gelu]

Such a family's class is the builder's of a dense model with the layer of experts of its Qwen-3.5.  `--quantised`: the
experts' weights in 8 bits, a scale for a row, as `moeparity golden make --weights-bits 8` has them.  `--unnormalised`: as
with `--set renormalise=false`.  `--gelu`: experts without gates, as with `--set gated=false --set activation=gelu`.  Tried
with onnxruntime-genai 0.18.0 and transformers 5.24.0.
"""
import argparse
import json
import shutil
import sys
from pathlib import Path

import onnxruntime_genai.models  # noqa: F401  (the modules that follow are found by it)
import builder
import torch
from builders import MistralModel, Qwen3Model, QwenModel
from builders.qwen import Qwen35MoETextModel

TOKENIZER = {"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}
STANDS_FOR = "MistralForCausalLM"  # the name under which the builder finds a class of ours


class Experts:
    """A layer of experts for the class of a dense model."""

    make_moe_preprocessing = Qwen35MoETextModel.make_moe_preprocessing
    make_moe_router = Qwen35MoETextModel.make_moe_router

    def __init__(self, config, *more):
        super().__init__(config, *more)
        self.moe_attrs["activation_type"] = "swiglu"
        self.moe_attrs["swiglu_fusion"] = 1
        self.moe_attrs["normalize_routing_weights"] = config.norm_topk_prob
        self.moe_intermediate_size = getattr(config, "moe_intermediate_size", config.intermediate_size)

    def get_moe_module(self, layer_id, layer):
        return layer.mlp

    def make_moe(self, layer_id, moe, root_input):
        make = super().make_moe if hasattr(moe, "experts") else self.make_mlp
        make(layer_id, moe, root_input)

    def make_moe_subgraph(self, layer_id, moe, root_input):
        base, names = f"/model/layers.{layer_id}/moe", self.make_moe_expert_names(layer_id)
        name = f"{base}/{self.moe_attrs['op_type']}"
        self.make_moe_op(name, root_input=root_input, router_probs=f"{base}/router/Reshape/output_0",
                         weight1=names["gate_up_weight"], scales1=names["gate_up_scales"], bias1=names["gate_up_bias"],
                         weight2=names["down_weight"], scales2=names["down_scales"], bias2=names["down_bias"])
        self.layernorm_attrs["skip_input"] = f"{name}/output_0"

    def make_qmoe_weights(self, weights, bits=None):
        """Of one expert's matrix [rows, columns]: numbers around 128, and the rows' scales."""
        self.moe_attrs.pop("block_size", None)
        scales = weights.abs().amax(1).float() / 127
        return (torch.round(weights / scales[:, None]) + 128).to(torch.uint8), scales


class Mixtral(Experts, MistralModel):
    pass


class Gelu(Mixtral):
    def __init__(self, config, *more):
        super().__init__(config, *more)
        self.moe_attrs["activation_type"] = "gelu"
        self.moe_attrs["swiglu_fusion"] = 0

    def make_moe_preprocessing(self, layer_id, moe, root_input):
        """Of the gates and what they multiply, which stand one after the other, the second alone."""
        up, down = moe.experts.gate_up_proj.chunk(2, 1)[1], moe.experts.down_proj
        self.make_moe_expert_initializers(layer_id, moe.experts, up, down)
        for name, like in (("gate_up_bias", up), ("down_bias", down)):
            self.make_initializer(torch.zeros(like.shape[:2]), self.make_moe_expert_names(layer_id)[name], to=self.io_dtype)


class Qwen3Moe(Experts, Qwen3Model):
    pass


class Qwen2Moe(Experts, QwenModel):
    make_moe_subgraph = Qwen35MoETextModel.make_moe_subgraph
    make_shared_expert = Qwen35MoETextModel.make_shared_expert

    def __init__(self, config, *more):
        super().__init__(config, *more)
        self.shared_expert_intermediate_size = config.shared_expert_intermediate_size


class Phimoe(Experts, MistralModel):
    def __init__(self, config, *more):
        super().__init__(config, *more)
        self.layernorm_attrs["simple"] = False
        self.moe_attrs["use_sparse_mixer"] = True

    def get_moe_module(self, layer_id, layer):
        layer.mlp.gate = layer.mlp.router
        return layer.mlp


FAMILIES = {"mixtral": Mixtral, "qwen2_moe": Qwen2Moe, "qwen3_moe": Qwen3Moe, "phimoe": Phimoe}


def with_tokenizer(source: Path, out: Path) -> Path:
    """The builder wants a tokenizer, which the cases have not."""
    shutil.copytree(source, out, dirs_exist_ok=True)
    (out / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    (out / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "a"}))
    return out


def build(source: Path, out: Path, wanted: argparse.Namespace) -> None:
    how = (None, str(source), str(out), "fp32", "cpu", str(out))
    options = ["windowed_kv_cache=false", "exclude_mtp=true"] + ["moe_quant_type=int8"] * wanted.quantised
    prepared = builder.parse_extra_options(*how, options)
    config = prepared["hf_details"]["hf_config"]
    if config.model_type in FAMILIES:
        config.architectures = [STANDS_FOR]
        config.norm_topk_prob = getattr(config, "norm_topk_prob", True) and not wanted.unnormalised
        builder.MistralModel = Gelu if wanted.gelu else FAMILIES[config.model_type]
    builder.create_model(*how, **prepared)


def make(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="onnx_models")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    for option in ("--quantised", "--unnormalised", "--gelu"):
        parser.add_argument(option, action="store_true")
    wanted = parser.parse_args(words)
    wanted.out.mkdir(parents=True, exist_ok=True)
    build(with_tokenizer(wanted.source, wanted.out / "checkpoint"), wanted.out, wanted)


if __name__ == "__main__":
    make(sys.argv[1:])
