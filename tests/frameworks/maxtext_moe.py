"""maxtext's own layer with experts with a checkpoint's weights, on a golden's inputs of every such layer, over a mesh of
JAX's host devices.

    python3 tests/frameworks/maxtext_moe.py CHECKPOINT GOLDEN DUMP --devices N [--tp T] [--ep E]
            [--dispatcher dense|ragged]

One process stands for all devices: each has a file of its own, with what it held of every array.  Tokens are dealt over
the N/T devices of data and experts, as rows of a batch of that many; gate and choice are the layer's own, asked once
more, because what its devices compute apart does not come out.
"""
import argparse
import os
from pathlib import Path

os.environ |= {"DECOUPLE_GCLOUD": "TRUE", "JAX_PLATFORMS": "cpu"}  # no cloud, no accelerator


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="maxtext_moe")
    for name in ("checkpoint", "golden", "dump"):
        parser.add_argument(name)
    for name in ("devices", "tp", "ep"):
        parser.add_argument("--" + name, type=int, default=1)
    parser.add_argument("--dispatcher", default="dense", choices=("dense", "ragged"))
    return parser.parse_args()


WANTED = arguments()
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={WANTED.devices}"

import jax  # noqa: E402  (reads the flags)
import maxtext  # noqa: E402
import numpy as np  # noqa: E402
from flax import nnx  # noqa: E402
from flax.core.spmd import logical_axis_rules  # noqa: E402
from jax.sharding import Mesh, NamedSharding  # noqa: E402
from maxtext.configs import pyconfig  # noqa: E402
from maxtext.layers import moe  # noqa: E402
from maxtext.layers.initializers import nd_dense_init  # noqa: E402
from maxtext.utils import maxtext_utils  # noqa: E402

from layers import Bundle, Dump, Model  # noqa: E402

_DECODERS = {"mixtral": "mixtral", "qwen3_moe": "qwen3_moe", "deepseek_v3": "deepseek", "glm4_moe": "deepseek"}


def config_of(model: Model, rows: int, columns: int):
    """maxtext's names of what the checkpoint's config says."""
    kind = model.config["model_type"]
    decoder, groups = _DECODERS[kind], model.get("n_group", default=1)
    own: dict[str, object] = {}
    if decoder == "deepseek":  # its choice goes by the model's name
        own = {"model_name": "deepseek3-test", "routed_score_func": "sigmoid", "routed_bias": True,
               "routed_scaling_factor": model.config["routed_scaling_factor"],
               "shared_experts": model.config["n_shared_experts"],
               "n_routing_groups": groups if groups > 1 else -1,
               "topk_routing_group": model.config["topk_group"] if groups > 1 else -1}
    base = Path(maxtext.__file__).parent / "configs/base.yml"
    data = WANTED.devices // (WANTED.tp * WANTED.ep)
    return pyconfig.initialize(
        ["", str(base)], run_name="layer", hardware="cpu", enable_checkpointing=False, log_config=False,
        skip_jax_distributed_system=True, override_model_config=True, decoder_block=decoder,
        base_emb_dim=model.config["hidden_size"], base_mlp_dim=model.inner, base_moe_mlp_dim=model.inner,
        base_num_decoder_layers=model.config["num_hidden_layers"], base_num_query_heads=8, base_num_kv_heads=8,
        num_experts=model.experts, num_experts_per_tok=model.config["num_experts_per_tok"],
        norm_topk_prob=bool(model.get("norm_topk_prob", default=False)),
        max_target_length=columns, per_device_batch_size=rows / WANTED.devices, capacity_factor=-1.0,
        dtype="float32", weight_dtype="float32", matmul_precision="highest", float32_gate_logits=True,
        sparse_matmul=WANTED.dispatcher == "ragged", megablox=False, load_balance_loss_weight=0.0, attention="dot_product",
        ici_data_parallelism=data, ici_fsdp_parallelism=1, ici_tensor_parallelism=WANTED.tp,
        ici_expert_parallelism=WANTED.ep, **own)


def make_layer(config, mesh: Mesh):
    """The layer, and its routed part."""
    init, rngs = nd_dense_init(1.0, "fan_in", "truncated_normal"), nnx.Rngs(params=0)
    if config.decoder_block.value == "deepseek":
        layer = moe.RoutedAndSharedMoE(config, mesh, init, ("embed_router", None), rngs, dtype=config.dtype,
                                       weight_dtype=config.weight_dtype)
        return layer, layer.routed_moe
    layer = moe.RoutedMoE(config, config.num_experts, config.num_experts_per_tok, mesh, init, ("embed_router", None), rngs,
                          intermediate_dim=config.moe_mlp_dim, dtype=config.dtype, weight_dtype=config.weight_dtype)
    return layer, layer


def values_of(model: Model, at: int) -> dict[str, np.ndarray]:
    """The checkpoint's weights under the ends of the layer's names."""
    block = model.weights[at]
    values = {"gate.kernel": block["gate.weight"].T}
    if "gate.e_score_correction_bias" in block:
        values["gate.bias"] = block["gate.e_score_correction_bias"]
    for own, name in {"wi_0": "gate_proj.weight", "wi_1": "up_proj.weight", "wo": "down_proj.weight"}.items():
        values[own] = np.stack([block[f"experts.{e}.{name}"].T for e in range(model.experts)])
        if "shared_expert." + name in block:
            values[f"shared_experts.{own}.kernel"] = block["shared_expert." + name].T
    return values


def load(layer, routed, values: dict[str, np.ndarray]) -> None:
    """Gives the layer its weights, each where the layer's rules say."""
    state = nnx.state(layer)
    for path, variable in nnx.to_flat_state(state):
        name = ".".join(path).removeprefix("MoeBlock_0.")
        if path[0] != "rngs" and "rngs" not in path:
            place = NamedSharding(routed.mesh, routed._logical_to_mesh_axes(variable.get_metadata()["out_sharding"]))
            assert variable.shape == values[name].shape, f"{name}: {variable.shape}, {values[name].shape}"
            variable.set_value(jax.device_put(values.pop(name), place))
    assert not values, f"the layer has no {sorted(values)}"
    nnx.update(layer, state)


def place_of(index: tuple[slice, ...], shape: tuple[int, ...], tokens: int) -> tuple[range, range, int]:
    """Where a device's part of [rows, columns, ...] lies in [.., tokens, ...], of whose rows these are equal parts: its
    rows, positions and first column."""
    rows, columns, last = (range(n)[part] for n, part in zip(shape, index))
    assert len(columns) == shape[1], f"expected whole rows, found columns {columns}"
    first, end = rows.start * shape[1], rows.stop * shape[1]
    if end - first < tokens:
        row = first // tokens
        return range(row, row + 1), range(first % tokens, (end - 1) % tokens + 1), last.start
    return range(first // tokens, end // tokens), range(tokens), last.start


@nnx.jit
def taps_of(layer, routed, x):
    weights, ids = routed.get_topk(*routed.gate(x))  # of scores, where the product is no module's output
    return {"ffn_out": layer(x)[0], "router_logits": x @ routed.gate.kernel[...], "topk_idx": ids, "topk_weight": weights}


def main() -> None:
    model, bundle = Model(WANTED.checkpoint), Bundle(WANTED.golden)
    dumps, parameters = [Dump(bundle) for _ in range(WANTED.devices)], [0] * WANTED.devices
    rows = max(bundle.rows, WANTED.devices // WANTED.tp)
    config = config_of(model, rows, bundle.rows * bundle.tokens // rows)
    mesh = Mesh(maxtext_utils.create_device_mesh(config), config.mesh_axes)
    for at in model.layers:
        x = [dump.feed(at) for dump in dumps][0]
        with jax.set_mesh(mesh), logical_axis_rules(config.logical_axis_rules):  # as its trainer
            layer, routed = make_layer(config, mesh)
            load(layer, routed, values_of(model, at))
            for weight in jax.tree.leaves(nnx.state(layer, nnx.Param)):
                for part in weight.addressable_shards:
                    parameters[part.device.id] += part.data.size
            place = NamedSharding(mesh, routed._logical_to_mesh_axes(("activation_batch", "activation_norm_length", None)))
            taps = taps_of(layer, routed, jax.device_put(x.reshape(rows, -1, x.shape[-1]), place))
        for name, tap in taps.items():
            for part in tap.addressable_shards:
                b, t, column = place_of(part.index, tap.shape, bundle.tokens)
                values = np.array(part.data).reshape(len(b), len(t), -1)
                dumps[part.device.id].keep(f"layers.{at}.{name}", values, b, t, column)
    said = f"maxtext {maxtext.__version__}, jax {jax.__version__}"
    for place, device in np.ndenumerate(mesh.devices):
        at = dict(zip(mesh.axis_names, place))
        dumps[device.id].write(WANTED.dump, device.id, WANTED.devices, said, parameters[device.id],
                               {"tp": at["tensor"], "ep": at["expert"], "dp": at["data"]})


main()
