"""What a dump holds, what it says of itself, and when there is none."""
import os
import weakref

import pytest
import torch
from safetensors import safe_open
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import TorchDispatchMode

import tiny
from moeparity_capture import (
    DEEPSEEK_V4, GEMMA4, HF, NEMOTRON_H, CaptureError, Place, Routing, capture, deal, find_modules)


@pytest.fixture
def model():
    return tiny.make().eval()


@pytest.fixture
def golden(tmp_path, model):
    return tiny.bundle(tmp_path / "bundle", model)


def read(out, rank=0):
    """Tensors and metadata of a rank's file, which is the only file of its folder."""
    with safe_open(out / f"rank_{rank:05d}.safetensors", framework="pt") as file:
        return {name.removeprefix("p0."): file.get_tensor(name) for name in file.keys()}, file.metadata()


def taken(model, golden, out, **how):
    with torch.no_grad(), capture(model, golden, out, **how) as inputs:
        model(**inputs)
    assert os.listdir(out) == [f"rank_{how.get('rank', 0):05d}.safetensors"]
    return read(out, how.get("rank", 0))


def hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def refused(model, golden, out, match, call=None, **how):
    """One line, no file, no hook left behind."""
    before = hooks(model)
    with pytest.raises(CaptureError, match=match) as error, torch.no_grad():
        with capture(model, golden, out, **how) as inputs:
            (call or (lambda given: model(**given)))(inputs)
    assert "\n" not in str(error.value)
    assert not out.exists()
    assert hooks(model) == before


def equal(found, expected):
    assert set(found) == set(expected)
    for name, x in expected.items():
        torch.testing.assert_close(found[name].reshape(x.shape), x, rtol=1e-6, atol=1e-6, msg=lambda m: f"{name}: {m}")


@torch.no_grad()
def test_all_taps_and_what_the_file_says(model, golden, tmp_path):
    taps, said = taken(model, golden, tmp_path / "dump")
    equal(taps, tiny.computed(model, tiny.prompt()))
    assert said["rank"] == "0" and said["world"] == "1" and said["capture"] == "1.0"
    assert said["weights_xxh3"] == "77" and said["input_xxh3"] == "66" and "torch" in said["framework"]
    assert said["parameters"] == str(sum(p.numel() for p in model.parameters()))
    assert "forced" not in said and "slice" not in said


@torch.no_grad()
def test_the_model_says_the_same_under_hooks(model, golden, tmp_path):
    with capture(model, golden, tmp_path / "dump") as inputs:
        watched = model(**inputs)
    assert torch.equal(watched, model(tiny.prompt()))


@torch.no_grad()
@pytest.mark.parametrize("returns", [
    ("ids", "weights"), ("weights", "ids"), ("logits", "weights", "ids"), ("probabilities", "weights", "ids"),
    ("wide", "ids"), ("wide", "logits", "ids")], ids="-".join)
def test_routers_that_return_tuples(tmp_path, returns):
    model = tiny.make(tiny.Block(returns))
    taps, _ = taken(model, tiny.bundle(tmp_path / "bundle", model), tmp_path / "dump")
    equal(taps, tiny.computed(model, tiny.prompt()))


@torch.no_grad()
def test_experts_that_see_only_their_own(tmp_path):
    """An experts' function that renumbers what it is called with, as expert parallelism does, is behind the hook."""
    model = tiny.make(tiny.Block(tiny.TRIPLE))
    golden = tiny.bundle(tmp_path / "bundle", model)
    experts = model.model.layers[0].mlp.experts
    whole = experts.forward

    def mine(x, ids, weights):
        is_mine = ids < 2
        part = whole(x, ids.masked_fill(~is_mine, 0), weights.masked_fill(~is_mine, 0.0))
        return part + whole(x, ids.masked_fill(is_mine, 0), weights.masked_fill(is_mine, 0.0))

    experts.forward = mine
    equal(taken(model, golden, tmp_path / "dump")[0], tiny.computed(model, tiny.prompt()))


@pytest.mark.parametrize("returns, weights_of", [
    (("wide", "ids"), lambda wide, ids: wide[:, 2:]),
    (("weights", "ids"), lambda weights, ids: weights.masked_fill(ids < 2, 0.0)),
])
@torch.no_grad()
def test_routers_that_deal_experts(tmp_path, returns, weights_of):
    """A hook on the router, as of a plan that deals experts, gives each rank its own numbers, and the weights of its
    own experts, or of others 0; the experts compute what the router said first."""
    model = tiny.make(tiny.Block(returns))
    golden = tiny.bundle(tmp_path / "bundle", model)
    gate, experts = model.model.layers[0].mlp.gate, model.model.layers[0].mlp.experts
    given = []

    def deal(module, args, output):
        given[:] = output
        return weights_of(*output), (output[1] - 2).clamp(min=3)

    handle = gate.register_forward_hook(deal)
    whole = tiny.Experts.forward
    experts.forward = lambda x, ids, weights: whole(experts, x, *reversed(given))
    taps, _ = taken(model, golden, tmp_path / "dump")
    handle.remove()
    del experts.forward
    equal(taps, tiny.computed(model, tiny.prompt()))


@torch.no_grad()
def test_routers_that_name_no_experts(tmp_path):
    model = tiny.make(tiny.WideBlock())
    golden = tiny.bundle(tmp_path / "bundle", model)
    equal(taken(model, golden, tmp_path / "dump")[0], tiny.computed(model, tiny.prompt()))


@torch.no_grad()
def test_a_choice_that_no_top_k_shows(tmp_path, monkeypatch):
    """A router that sorts: what it returns is all there is."""
    def sorted_choice(x, k, dim):
        values, ids = x.sort(dim=dim, descending=True)
        return values[..., :k], ids[..., :k]

    model = tiny.make(tiny.Block(tiny.TRIPLE))
    golden = tiny.bundle(tmp_path / "bundle", model)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "topk", sorted_choice)
        taps, _ = taken(model, golden, tmp_path / "dump")
    equal(taps, tiny.computed(model, tiny.prompt()))


@torch.no_grad()
@pytest.mark.parametrize("forced", ["layer", "block"])
def test_forced_with_other_values(model, golden, tmp_path, forced):
    """Each block computes from the bundle's values, whatever came before it."""
    other = tiny.make()
    for parameter in other.parameters():
        parameter.mul_(1.25)
    taps, said = taken(other, golden, tmp_path / "dump", forced=forced)
    fed = {tap.removeprefix("fed/"): x for tap, x in taps.items() if tap.startswith("fed/")}
    expected = tiny.computed(model, tiny.prompt())
    parts = ["embed", "layers.0.out", "layers.1.out"]
    if forced == "block":
        parts += [f"layers.{i}.{part}.norm" for i in range(2) for part in ("attn", "ffn")] + ["final_norm"]
    equal(fed, {tap: expected[tap] for tap in parts})
    assert said["forced"] == forced and said["forced_with"] == "55"
    layer = other.model.layers[1]
    x = expected["layers.0.out"]
    torch.testing.assert_close(taps["layers.1.attn_out"], layer.self_attn(x.tanh()))
    y = expected["layers.1.ffn.norm"] if forced == "block" else (x + layer.self_attn(x.tanh())).tanh()
    torch.testing.assert_close(taps["layers.1.ffn_out"], layer.mlp(y))
    torch.testing.assert_close(taps["final_norm"], other.model.norm(expected["layers.1.out"]))
    assert not torch.equal(taps["embed"], fed["embed"])  # what the model computed stands beside what it was fed


@torch.no_grad()
def test_rows_of_a_rank(model, golden, tmp_path):
    assert [deal(5, part, 3) for part in range(3)] == ["b=0:2", "b=2:4", "b=4:5"]
    taps, said = taken(model, golden, tmp_path / "dump", slices={"*": deal(4, 1, 2)}, rank=1, world=2, plan={"dp": 1})
    equal(taps, tiny.computed(model, tiny.prompt()[2:4]))
    assert said["slice"] == "b=2:4" and said["plan"] == '{"dp": 1}' and said["world"] == "2"


@torch.no_grad()
def test_a_slice_of_one_tap(model, golden, tmp_path):
    model.lm_head.register_forward_hook(lambda module, args, output: output[..., 4:8])
    taps, said = taken(model, golden, tmp_path / "dump", slices={"logits": "c=4:8"})
    assert list(taps["logits"].shape) == [4, 3, 4] and said["slice:p0.logits"] == "c=4:8" and "slice" not in said


@torch.no_grad()
def test_another_stage_holds_the_other_layers(model, golden, tmp_path):
    model.model.layers[0] = torch.nn.Identity()
    model.model.layers[0].forward = lambda hidden_states: hidden_states
    taps, _ = taken(model, golden, tmp_path / "dump")
    assert "embed" not in taps and not any(tap.startswith("layers.0.") for tap in taps)
    assert {"layers.1.out", "final_norm", "logits"} <= set(taps)


class Placed:
    """Outputs as DTensors on rank 1 of 2, without a second process."""

    def __enter__(self):
        from torch.testing._internal.distributed.fake_pg import FakeStore
        torch.distributed.init_process_group("fake", rank=1, world_size=2, store=FakeStore())
        return torch.distributed.init_device_mesh("cpu", (2,))

    def __exit__(self, *_):
        torch.distributed.destroy_process_group()


def as_dtensor(model, mesh, placement, cut):
    from torch.distributed.tensor import DTensor
    model.register_forward_hook(
        lambda module, args, output: DTensor.from_local(cut(output), mesh, [placement], run_check=False))


@torch.no_grad()
def test_a_dtensor_says_its_place(model, golden, tmp_path):
    from torch.distributed.tensor import Replicate, Shard
    with Placed() as mesh:
        as_dtensor(model, mesh, Shard(0), lambda x: x[2:])
        taps, said = taken(model, golden, tmp_path / "rows", rank=1)
        assert said["slice:p0.logits"] == "2:4,0:3,0:11" and said["world"] == "2"
        assert torch.equal(taps["logits"], tiny.computed(model, tiny.prompt())["logits"][2:])
        model._forward_hooks.clear()
        as_dtensor(model, mesh, Replicate(), lambda x: x)
        taps, said = taken(model, golden, tmp_path / "whole", rank=1)
        assert "slice:p0.logits" not in said and list(taps["logits"].shape) == [4, 3, 11]


def test_partial_sums_are_no_tap(model, golden, tmp_path):
    from torch.distributed.tensor import Partial
    with Placed() as mesh:
        as_dtensor(model, mesh, Partial(), lambda x: x)
        with pytest.raises(CaptureError, match="^logits: expected whole values or slices of them, found .*Partial"):
            with torch.no_grad(), capture(model, golden, tmp_path / "dump") as inputs:
                model(**inputs)
    assert not (tmp_path / "dump").exists()


@torch.no_grad()
@pytest.mark.parametrize("forced", [None, "block"])
def test_a_shared_expert_beside_the_block(model, golden, tmp_path, forced):
    """Both add to the tap, and both are fed."""
    layer = model.model.layers[1] = tiny.Beside(model.model.layers[1].mlp)
    taps, _ = taken(model, golden, tmp_path / "dump", forced=forced)
    read = tiny.computed(tiny.make(), tiny.prompt())["layers.1.ffn.norm"] if forced else taps["layers.1.ffn.norm"]
    torch.testing.assert_close(taps["layers.1.ffn_out"], layer.mlp(read) + layer.shared_mlp(read))
    from torch.distributed.tensor import Replicate
    with Placed() as mesh:
        as_dtensor(layer.shared_mlp, mesh, Replicate(), lambda x: x)
        refused(model, golden, tmp_path / "none", r"^layers.1.ffn_out: expected whole .*, found \[4, 3, 8\], a DTensor$")
    layer.shared_mlp._forward_hooks.clear()
    layer.shared_mlp = torch.nn.Sequential(layer.shared_mlp, torch.nn.Flatten(1))
    refused(model, golden, tmp_path / "none", r"^layers.1.ffn_out: expected whole values to add, \[4, 3, 8\], found \[4, 24\]$")


@torch.no_grad()
def test_branches_whose_sum_no_module_gives(model, golden, tmp_path):
    layer = model.model.layers[1] = tiny.Branches()
    names = GEMMA4 | {"model.layers.0.mlp": "layers.0.ffn_out"}  # which is as it was
    taps, _ = taken(model, golden, tmp_path / "dump", names=names, forced="layer")
    x = tiny.computed(tiny.make(), tiny.prompt())["layers.0.out"]
    x = x + layer.self_attn(x.tanh())
    _, weights, ids = layer.router(x.reshape(-1, tiny.WIDTH))
    torch.testing.assert_close(taps["layers.1.ffn_out"], layer.branches(x))
    assert torch.equal(taps["layers.1.topk_idx"], ids) and torch.equal(taps["layers.1.topk_weight"], weights)
    refused(model, golden, tmp_path / "none", "read what is to be fed, found none for layers.1.ffn.norm$",
            names=names, forced="block")


@torch.no_grad()
def test_streams(model, golden, tmp_path):
    first, last = model.model.layers
    first.forward = lambda hidden_states: tiny.Layer.forward(first, hidden_states.mean(2))
    first.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {"hidden_states": kwargs["hidden_states"][:, :, None].expand(-1, -1, 2, -1)}),
        with_kwargs=True)
    last.register_forward_hook(lambda module, args, output: output.unflatten(-1, (2, -1)))
    model.model.norm.register_forward_pre_hook(lambda module, args: (args[0].flatten(2),))
    taps, _ = taken(model, golden, tmp_path / "dump", names=DEEPSEEK_V4)
    equal(taps, tiny.computed(tiny.make(), tiny.prompt()))
    assert list(taps["layers.1.out"].shape) == [4, 3, 8]
    refused(model, golden, tmp_path / "none", r"^embed: expected 96 values on this rank, found 192 in \[4, 3, 2, 8\]$")
    refused(model, golden, tmp_path / "none", "^embed: cannot be fed: expected a block that reads 96 values, found one that "
            r"reads 192, \[4, 3, 2, 8\]$", names=DEEPSEEK_V4, forced="layer")


def test_taps_that_are_not_seen(model, golden, tmp_path):
    model.model.layers[1].mlp.gate = model.model.layers[1].mlp.gate.weight  # no module any more
    model.model.layers[1].mlp.forward = lambda x: x
    refused(model, golden, tmp_path / "dump", "^3 of 15 taps were not seen, nothing is written: "
            "layers.1.router_logits, layers.1.topk_idx, layers.1.topk_weight$")


def test_an_unknown_name(model, golden, tmp_path):
    names = {name: tap for name, tap in HF.items() if tap != "final_norm"}
    refused(model, golden, tmp_path / "dump", "^1 of 15 taps .*: final_norm$", names=names)
    taken(model, golden, tmp_path / "dump", names=names | {"model.norm": "final_norm"})


def test_nothing_to_feed(model, golden, tmp_path):
    names = {name: tap for name, tap in HF.items() if tap != "logits"}
    refused(model, golden, tmp_path / "dump", "read what is to be fed, found none for final_norm$", names=names,
            forced="block")
    taken(model, golden, tmp_path / "dump", names=names, forced="layer")


def test_two_passes(model, golden, tmp_path):
    refused(model, golden, tmp_path / "dump", "^embed: seen twice", lambda given: (model(**given), model(**given)))


def test_no_pass(model, golden, tmp_path):
    refused(model, golden, tmp_path / "dump", "^15 of 15 taps were not seen", lambda given: None)


def test_an_error_in_the_pass(model, golden, tmp_path):
    with pytest.raises(ZeroDivisionError), capture(model, golden, tmp_path / "dump"):
        1 / 0
    assert not (tmp_path / "dump").exists()
    model.model.layers[0].mlp.experts.forward = lambda x, ids, weights: 1 / 0
    with pytest.raises(ZeroDivisionError), capture(model, golden, tmp_path / "dump") as inputs:
        model(**inputs)
    assert torch.topk(torch.tensor([1.0, 2.0]), 1)[1] == 1 and not (tmp_path / "dump").exists()
    assert _get_current_function_mode_stack() == []  # nothing is watched any longer


def test_a_block_that_fails_before_it_is_watched(model, golden, tmp_path):
    model.model.layers[0].mlp.register_forward_pre_hook(lambda module, args: (args[0][:2],))
    refused(model, golden, tmp_path / "dump", r"^layers.0.ffn.norm: expected 96 values on this rank, found 48")
    with Routing(5, 2, print) as outer:
        Routing(5, 2, print).stop()
        assert _get_current_function_mode_stack() == [outer]


@pytest.mark.parametrize("change, match", [
    (lambda ids: ids.index_fill(1, torch.tensor(2), 9), "row 0, position 2: expected token 2, found 9$"),
    (lambda ids: ids[:, :2], r"expected the bundle's, \[4, 3\], found \[4, 2\]$")])
def test_another_prompt(model, golden, tmp_path, change, match):
    refused(model, golden, tmp_path / "dump", match, lambda given: model(change(given["input_ids"])))


def test_no_mask(model, tmp_path):
    golden = tiny.bundle(tmp_path / "bundle", model, mask=torch.ones(4, 3, dtype=torch.int64))
    refused(model, golden, tmp_path / "dump", "^attention_mask: expected the bundle's, found none$",
            lambda given: model(given["input_ids"]))


def test_another_model(tmp_path, golden):
    wide = tiny.make()
    wide.model.layers[0].register_forward_hook(lambda module, args, output: output[..., :4])
    refused(wide, golden, tmp_path / "dump", r"^layers.0.out: expected 96 values on this rank, found 48 in \[4, 3, 4\]")


def test_words_that_are_none(model, golden, tmp_path):
    refused(model, golden, tmp_path / "dump", "^forced: expected layer or block, found head$", forced="head")
    refused(model, golden, tmp_path / "dump", "expected numerics bf16, found fp32$", numerics="bf16")
    refused(model, golden, tmp_path / "dump", "^slice 'rows': expected ranges", slices={"*": "rows"})
    refused(model, tmp_path, tmp_path / "dump", "expected a golden bundle: .*manifest.json")
    for text in ("b=0:2,", "b=0", "x=0:2", ",b=0:2"):
        with pytest.raises(CaptureError):
            Place(text)


def test_a_file_that_cannot_be_written(model, golden, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"), torch.no_grad(), capture(model, golden, tmp_path / "dump") as inputs:
        model(**inputs)
    assert os.listdir(tmp_path / "dump") == []


class Copies(TorchDispatchMode):
    """The bytes that are copied."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten.copy_, torch.ops.aten.clone, torch.ops.aten._to_copy):
            self.bytes += result.numel() * result.element_size()
        return result


@torch.no_grad()
def test_one_copy_of_each_tap(model, golden, tmp_path):
    with Copies() as plain:
        model(tiny.prompt())
    with Copies() as watched, capture(model, golden, tmp_path / "dump") as inputs:
        model(**inputs)
    taps, _ = read(tmp_path / "dump")
    assert watched.bytes - plain.bytes == sum(x.numel() * x.element_size() for x in taps.values())


@torch.no_grad()
def test_nothing_of_the_model_is_held(model, golden, tmp_path):
    """What a router gave is gone after the pass, as it is without hooks."""
    given = []
    gate = model.model.layers[0].mlp.gate
    gate.register_forward_hook(lambda module, args, output: given.extend(weakref.ref(x) for x in output))
    with capture(model, golden, tmp_path / "dump") as inputs:
        model(**inputs)
        assert len(given) == 3 and not any(reference() is not None for reference in given)


@torch.no_grad()
def test_bf16_is_kept_as_it_is(model, golden, tmp_path):
    taps, _ = taken(model.bfloat16(), golden, tmp_path / "dump", numerics="fp32")
    assert taps["layers.0.out"].dtype == torch.bfloat16 and taps["layers.0.topk_idx"].dtype == torch.int64


def test_a_mixer_is_attention_or_experts():
    mixer = torch.nn.Identity()
    layers = torch.nn.ModuleList([torch.nn.ModuleDict({"mixer": mixer})])
    found = find_modules(torch.nn.ModuleDict({"model": torch.nn.ModuleDict({"layers": layers})}), NEMOTRON_H)
    assert found["layers.0.attn_out"] == found["layers.0.ffn_out"] == [mixer]


def test_wrappers_are_overlooked(model):
    found = find_modules(torch.nn.ModuleDict({"module": model}), HF)
    assert found["layers.1.router_logits"] == [model.model.layers[1].mlp.gate]
    assert "layers.2.out" not in found and len(found["layers.0.out"]) == 1
