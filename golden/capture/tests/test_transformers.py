"""Models of transformers 5, tiny and with weights at random: every registered way to run experts."""
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from moeparity_capture import CaptureError, capture

transformers = pytest.importorskip("transformers", minversion="5.0")


def small(implementation):
    torch.manual_seed(1)
    config = transformers.Qwen3MoeConfig(
        vocab_size=23, hidden_size=16, intermediate_size=24, moe_intermediate_size=8, num_hidden_layers=2, head_dim=8,
        num_attention_heads=2, num_key_value_heads=1, num_experts=6, num_experts_per_tok=2, mlp_only_layers=[1])
    return transformers.AutoModelForCausalLM.from_config(config, experts_implementation=implementation).eval()


@pytest.fixture
def golden(tmp_path):
    """Of the shapes only: what a bundle must have for a model of one layer with experts and one without."""
    shapes = {"embed": [2, 5, 16], "final_norm": [2, 5, 16], "logits": [2, 5, 23], "layers.0.router_logits": [10, 6],
              "layers.0.topk_idx": [10, 2], "layers.0.topk_weight": [10, 2]}
    shapes |= {f"layers.{i}.{tap}": [2, 5, 16] for i in range(2) for tap in ("attn_out", "ffn_out", "out")}
    folder = tmp_path / "bundle"
    folder.mkdir()
    save_file({"p0.input_ids": torch.arange(10).reshape(2, 5)}, folder / "input.safetensors")
    about = {"p0." + tap: {"shape": shape} for tap, shape in shapes.items()}
    (folder / "manifest.json").write_text(json.dumps({
        "taps": "coarse", "numerics": {"fp32": {"file": "fp32.safetensors"}}, "weights": {"xxh3": "7"},
        "batch": {"file": "input.safetensors", "rows": 2, "tokens": 5},
        "files": {"fp32.safetensors": {"xxh3": "5", "tensors": about}, "input.safetensors": {"xxh3": "6"}}}))
    return folder


def dump(model, golden, out):
    with torch.no_grad(), capture(model, golden, out) as inputs:
        logits = model(**inputs, use_cache=False).logits
    with safe_open(out / "rank_00000.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, logits


def own_way(self, x, ids, weights):
    """A way to run experts that somebody registers."""
    up = torch.einsum("nkij,nj->nki", self.gate_up_proj[ids], x)
    gate, up = up.chunk(2, dim=-1)
    return (torch.einsum("nkij,nkj->nki", self.down_proj[ids], self.act_fn(gate) * up) * weights[..., None]).sum(1)


@pytest.mark.parametrize("implementation", ["eager", "batched_mm", "grouped_mm", "own"])
def test_every_way_to_run_experts(golden, tmp_path, implementation):
    transformers.integrations.moe.ALL_EXPERTS_FUNCTIONS.register("own", own_way)
    model = small(implementation)
    given = []
    gate = model.model.layers[0].mlp.gate
    handle = gate.register_forward_hook(lambda module, args, output: given.append(output))
    taps, logits = dump(model, golden, tmp_path / "dump")
    handle.remove()
    assert model.config._experts_implementation == implementation
    for tap, x in zip(("router_logits", "topk_weight", "topk_idx"), given[0]):
        assert torch.equal(taps["p0.layers.0." + tap], x)
    assert torch.equal(taps["p0.logits"], logits)


def test_a_body_without_a_head(golden, tmp_path):
    with pytest.raises(CaptureError, match="^1 of 12 taps were not seen, nothing is written: logits$"):
        body = small("eager").model
        with torch.no_grad(), capture(body, golden, tmp_path / "dump") as inputs:
            body(**inputs)
