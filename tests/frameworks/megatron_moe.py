"""Megatron-Core's own MoELayer with a checkpoint's weights, on a golden's inputs of every such layer.

    torchrun --nproc-per-node N tests/frameworks/megatron_moe.py CHECKPOINT GOLDEN DUMP
             [--tp T] [--ep E] [--etp X] [--dispatcher allgather|alltoall]

Rows of the batch are dealt over the N/T data-parallel ranks, positions over the T ranks of tensor parallelism: Megatron
wants sequence parallelism beside experts.  The layer, its router, dispatcher, experts and groups are the package's; what
it is told for want of a GPU is in on_cpu().
"""
import argparse
import contextlib
import inspect
from importlib.metadata import version

import torch
import torch.distributed as dist
import torch.nn.functional as F

from ffn import Dump, Model, count_integers
from moeparity_capture import deal


def arguments(*more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "golden", "dump"):
        parser.add_argument(name)
    for name in ("tp", "ep", "etp", *more):
        parser.add_argument("--" + name, type=int, default=1)
    parser.add_argument("--dispatcher", default="alltoall", choices=("allgather", "alltoall"))
    return parser.parse_args()


def all_gather(parts: list[torch.Tensor], own: torch.Tensor, group: dist.ProcessGroup) -> None:
    """Of unequal parts, which gloo's does not take."""
    parts[dist.get_rank(group)].copy_(own)
    for rank, part in enumerate(parts):
        dist.broadcast(part, group=group, group_src=rank)


def reduce_scatter(own: torch.Tensor, parts: list[torch.Tensor], group: dist.ProcessGroup) -> None:
    for rank, part in enumerate(parts):
        whole = part.clone()
        dist.reduce(whole, group=group, group_dst=rank)
        if rank == dist.get_rank(group):
            own.copy_(whole)


def on_cpu() -> None:
    """The package asks for the current GPU and its streams wherever it makes or awaits a tensor: the answer is the CPU.
    Sizes of an all-to-all it turns into numbers where they lie on a GPU only, and gloo takes nothing else."""
    torch.cuda.current_device = lambda: torch.device("cpu")
    torch.cuda.Stream, torch.cuda.stream, torch.cuda.current_stream = (
        torch.cpu.Stream, torch.cpu.stream, torch.cpu.current_stream)
    torch.cpu.Stream.record_event = lambda stream: torch.cpu.Event()
    torch.cpu.Stream.synchronize = lambda stream: None
    dist.all_gather, dist.reduce_scatter = all_gather, reduce_scatter
    count_integers()
    from megatron.core.tensor_parallel.random import CudaRNGStatesTracker
    from megatron.core.transformer.moe import token_dispatcher

    CudaRNGStatesTracker.fork = lambda tracker, name="": contextlib.nullcontext()  # up to 0.8; a checkpoint's weights follow
    token_dispatcher.maybe_move_tensor_to_cpu = (
        lambda tensor, as_numpy=False, record_stream=False: tensor.numpy() if as_numpy and torch.is_tensor(tensor)
        else tensor)


def call(function, **options):
    """Without options that this release does not have."""
    known = inspect.signature(function).parameters
    return function(**{name: value for name, value in options.items() if name in known})


def layer_of(config, number: int):
    """Of the package's own linear layers, as each release builds it."""
    try:
        from megatron.core.models.gpt.moe_module_specs import get_moe_module_spec
    except ImportError:  # up to 0.9
        from megatron.core.tensor_parallel.layers import ColumnParallelLinear, RowParallelLinear
        from megatron.core.transformer.mlp import MLPSubmodules
        from megatron.core.transformer.moe.moe_layer import MoELayer

        return call(MoELayer, config=config, layer_number=number,
                    submodules=MLPSubmodules(linear_fc1=ColumnParallelLinear, linear_fc2=RowParallelLinear))
    from megatron.core.transformer.spec_utils import build_module

    spec = get_moe_module_spec(use_te=False, num_experts=config.num_moe_experts)
    return spec(config=config, layer_number=number) if callable(spec) else build_module(spec, config=config)


def config_of(model: Model, wanted: argparse.Namespace, **more):
    from megatron.core.transformer.transformer_config import TransformerConfig

    kind = model.config["model_type"]
    sigmoid = kind in ("deepseek_v3", "glm4_moe")
    groups = model.get("n_group", default=1)
    shared = model.get("shared_expert_intermediate_size", default=model.get("n_shared_experts", default=0) * model.inner)
    return call(
        TransformerConfig, num_layers=len(model.layers), hidden_size=model.config["hidden_size"],
        num_attention_heads=model.config["num_attention_heads"], ffn_hidden_size=model.inner,
        moe_ffn_hidden_size=model.inner, num_moe_experts=model.experts,
        moe_router_topk=model.config["num_experts_per_tok"], moe_router_load_balancing_type="none",
        moe_router_score_function="sigmoid" if sigmoid else "softmax",
        moe_router_pre_softmax=not sigmoid and not model.get("norm_topk_prob", default=True),
        moe_router_enable_expert_bias=sigmoid,
        moe_router_num_groups=groups if groups > 1 else None,
        moe_router_group_topk=model.config["topk_group"] if groups > 1 else None,
        moe_router_topk_scaling_factor=model.get("routed_scaling_factor"),
        moe_shared_expert_intermediate_size=shared or None, moe_shared_expert_gate=kind == "qwen2_moe",
        moe_token_dispatcher_type=wanted.dispatcher, gated_linear_unit=True, activation_func=F.silu,
        add_bias_linear=False, bias_dropout_fusion=False, use_cpu_initialization=True,
        tensor_model_parallel_size=wanted.tp,
        expert_model_parallel_size=wanted.ep, expert_tensor_parallel_size=wanted.etp, **more)


def load_mlp(mlp, block: dict[str, torch.Tensor], prefix: str, part: int, parts: int) -> None:
    """A gated MLP, of which this rank holds inner columns: gate and up behind each other."""
    gate, up, down = (block[f"{prefix}.{name}_proj.weight"] for name in ("gate", "up", "down"))
    mlp.linear_fc1.weight.copy_(torch.cat([gate.chunk(parts)[part], up.chunk(parts)[part]]))
    mlp.linear_fc2.weight.copy_(down.chunk(parts, 1)[part])


def load(layer, block: dict[str, torch.Tensor], wanted: argparse.Namespace, etp: int) -> None:
    from megatron.core import parallel_state as state

    layer.router.weight.copy_(block["gate.weight"])
    if "gate.e_score_correction_bias" in block:
        layer.router.expert_bias.copy_(block["gate.e_score_correction_bias"])
    for expert, mlp in zip(layer.local_expert_indices, layer.experts.local_experts):
        load_mlp(mlp, block, f"experts.{expert}", etp, wanted.etp)
    if getattr(layer, "shared_experts", None) is not None:
        load_mlp(layer.shared_experts, block, "shared_expert", state.get_tensor_model_parallel_rank(), wanted.tp)
        if "shared_expert_gate.weight" in block:
            layer.shared_experts.gate_weight.copy_(block["shared_expert_gate.weight"])


def watch(layer, seen: dict[str, torch.Tensor]) -> None:
    """What the router's product and the router return."""
    gating = layer.router.gating

    def keep_logits(x):
        seen["logits"] = gating(x)
        return seen["logits"]

    def keep_choice(module, args, output):
        seen["weights"], seen["chosen"] = output

    layer.router.gating = keep_logits
    layer.router.register_forward_hook(keep_choice)


def choice(seen: dict[str, torch.Tensor], chosen: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The experts of every token, and their weights."""
    ids, weights = seen["chosen"], seen["weights"]
    if ids.dtype == torch.bool:  # later than 0.9: a map of tokens and experts
        ids = ids.nonzero()[:, 1].reshape(-1, chosen)
        weights = weights.gather(1, ids)
    return ids, weights


def main() -> None:
    wanted = arguments()
    dist.init_process_group("gloo")
    on_cpu()
    from megatron.core import parallel_state as state

    call(state.initialize_model_parallel, tensor_model_parallel_size=wanted.tp,
         expert_model_parallel_size=wanted.ep, expert_tensor_parallel_size=wanted.etp)
    model, tp = Model(wanted.checkpoint), state.get_tensor_model_parallel_rank()
    etp = state.get_expert_tensor_parallel_rank() if wanted.etp > 1 else 0
    dump = Dump(wanted.golden, "")
    size = dump.bundle.tokens // wanted.tp
    rows = deal(dump.bundle.rows, state.get_data_parallel_rank(), state.get_data_parallel_world_size())
    dump.place = f"{rows},t={tp * size}:{tp * size + size}"
    config, parameters = config_of(model, wanted, sequence_parallel=wanted.tp > 1), 0
    for number, at in enumerate(model.layers):
        layer = layer_of(config, number + 1)
        seen: dict[str, torch.Tensor] = {}
        watch(layer.eval(), seen)
        with torch.no_grad():
            load(layer, model.weights[at], wanted, etp)
            x = dump.input(at).transpose(0, 1).contiguous()  # Megatron's [positions, rows, columns]
            out, bias = layer(x)
        taps = out, seen["logits"], *choice(seen, config.moe_router_topk)
        dump.keep(at, *(x.reshape(*out.shape[:2], -1).transpose(0, 1) for x in taps))
        parameters += sum(weight.numel() for weight in layer.parameters())
    dump.write(wanted.dump, f"megatron.core {version('megatron-core')}, torch {torch.__version__}", parameters,
               {"tp": tp, "ep": state.get_expert_model_parallel_rank(), "etp": etp,
                "dp": state.get_data_parallel_rank()})
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
