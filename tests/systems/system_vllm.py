"""vLLM: the emitted arguments through its own parser; its groups, stages, shares of experts and vocabulary and loaders, cut out of the package: the rest wants a GPU."""
import contextlib
import logging
import sys
import types

import torch

import parts
import vllm.platforms
from vllm.platforms.cpu import CpuPlatform

vllm.platforms._current_platform = CpuPlatform()  # it looks for a device before it has a parser
logging.disable(logging.WARNING)
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = AsyncEngineArgs.add_cli_args(FlexibleArgumentParser())
state = "vllm/distributed/parallel_state.py"
log = types.SimpleNamespace(info=lambda *_, **__: None, info_once=lambda *_, **__: None, warning=lambda *_, **__: None)
stages = parts.cut_out("vllm/distributed/utils.py", ["get_pp_indices"], logger=log,
                       envs=types.SimpleNamespace(VLLM_PP_LAYER_PARTITION=None))
vocabulary = parts.cut_out("vllm/model_executor/layers/vocab_parallel_embedding.py",
                           ["DEFAULT_VOCAB_PADDING_SIZE", "pad_vocab_size", "vocab_range_from_per_partition_vocab_size",
                            "vocab_range_from_global_vocab_size"],
                           divide=lambda a, b: a // b if a % b == 0 else 1 // 0, Sequence=list)
linear = "vllm/model_executor/layers/linear.py"
now = {"tp": 1}  # of the layer being made
divide = lambda a, b: a // b if a % b == 0 else 1 // 0
given = dict(get_tensor_model_parallel_world_size=lambda: now["tp"], divide=divide, BlockQuantScaleParameter=parts.Base)
Qkv = parts.cut_class(linear, "QKVParallelLinear", ["__init__", "validate_shard_id", "weight_loader"], parts.Base, **given)
Merged = parts.cut_class(linear, "MergedColumnParallelLinear", ["validate_shard_id", "weight_loader"], **given)
Row = parts.cut_class(linear, "RowParallelLinear", ["weight_loader"], **given)
Experts = parts.cut_class("vllm/model_executor/layers/fused_moe/routed_experts.py", "RoutedExperts",
                          ["_load_w13", "_load_w2", "_get_hidden_dim", "_narrow_expert_data_for_padding"])
experts = parts.cut_out("vllm/model_executor/layers/fused_moe/expert_map_manager.py", ["determine_expert_map"], torch=torch, logger=log)


def layer(kind, rank, n_rank, **fields):
    now["tp"] = n_rank
    out = kind.__new__(kind)
    vars(out).update(tp_rank=rank, tp_size=n_rank, **fields)
    return out


def qkv(rank, n_rank, n_head, n_kv):
    now["tp"] = n_rank
    out = Qkv(1, 1, n_head, n_kv)
    out.tp_rank = rank
    return out


def columns(n_rank, n):
    return parts.columns_of(lambda rank, *loaded: layer(Merged, rank, n_rank, output_sizes=[n, n]).weight_loader(*loaded),
                            lambda rank, *loaded: layer(Row, rank, n_rank).weight_loader(*loaded), n_rank, n)


def expert_columns(n_rank, n):
    sizes = types.SimpleNamespace(tp_size=n_rank)
    own = layer(Experts, 0, n_rank, moe_config=types.SimpleNamespace(is_act_and_mul=True, moe_parallel_config=sizes))
    return parts.columns_of(lambda rank, weight, whole, i: own._load_w13(weight, 0, ("w1", "w3")[i], whole, rank),
                            lambda rank, weight, whole: own._load_w2(weight, 1, whole, rank), n_rank, n)


def groups_of(tp, pp, dp):
    """What initialize_model_parallel makes, by name."""
    made = {}
    world = types.SimpleNamespace(local_rank=0, rank=0, world_size=tp * pp * dp, device_group=None)

    def record(group_ranks, *_, group_name=None, **__):
        made[group_name] = group_ranks
        return types.SimpleNamespace(rank_in_group=0, ranks=group_ranks[0])

    parallel = types.SimpleNamespace(data_parallel_size=dp, enable_elastic_ep=False, use_all2all=True, enable_eplb=False)
    config = types.SimpleNamespace(parallel_config=parallel, engram_config=None,
                                   model_config=types.SimpleNamespace(is_moe=True, architecture=""))
    names = [f"_{x}" for x in ("TP", "ETP", "ENGRAM_DP", "DCP", "PCP", "PP", "DP", "EP", "EPLB")]
    dist = types.SimpleNamespace(is_initialized=lambda: True, get_world_size=lambda: world.world_size, get_rank=lambda: 0,
                                 get_backend=lambda *_: "gloo")
    shadow = types.SimpleNamespace(distributed=dist, arange=torch.arange)
    module = types.ModuleType("vllm.config")
    module.get_current_vllm_config = lambda: config
    sys.modules["vllm.config"] = module
    space = parts.cut_out(state, ["initialize_model_parallel"], torch=shadow, get_world_group=lambda: world, logger=log,
                          init_model_parallel_group=record, **dict.fromkeys(names))
    with contextlib.redirect_stdout(None):
        space["initialize_model_parallel"](tp, pp)
    return made


def built(case):
    args = parser.parse_args(" ".join(x for x in case.line if x.startswith("--")).split())
    tp, pp, dp, with_ep = args.tensor_parallel_size, args.pipeline_parallel_size, args.data_parallel_size, args.enable_expert_parallel
    lines = [x.split("=")[1] for x in case.line if x.startswith("VLLM_PP_LAYER_PARTITION=")]
    stages["envs"].VLLM_PP_LAYER_PARTITION = lines[0] if lines else None
    made = groups_of(tp, pp, dp)
    groups = {"tp": made["tp"], "pp": made["pp"], "dp": made["dp"], "ep" if with_ep else "etp": made["ep"]}
    n_ep = tp * dp if with_ep else 1
    share = {}
    for i in range(n_ep):
        _, mine, _ = (*experts["determine_expert_map"](n_ep, i, case.size["E"]), None)[:3]
        share[i] = range(case.size["E"]) if mine is None else [e for e, at in enumerate(mine.tolist()) if at >= 0]
    padded = vocabulary["pad_vocab_size"](case.size["V"])
    owned = parts.heads_of(lambda t: qkv(t, tp, case.size["H"], case.size["G"]), tp, case.size["H"], case.size["G"])
    owned |= parts.inner(case, columns, expert_columns)
    if "a shared expert is whole" in case.comments:
        del owned["shared_inner"]
    return owned | {"groups": groups, "experts": share, "layers": {i: stages["get_pp_indices"](case.size["L"], i, pp) for i in range(pp)},
            "vocabulary": {t: vocabulary["vocab_range_from_global_vocab_size"](padded, t, tp) for t in range(tp)}}
