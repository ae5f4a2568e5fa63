"""SGLang: the emitted arguments through its own parser; its groups, stages, padding and loaders, cut out of the package: the rest wants a GPU."""
import os
import sys
import types

import parts
from sglang.srt.server_args import prepare_server_args

state = "sglang/srt/distributed/parallel_state.py"
stages = parts.cut_out("sglang/srt/distributed/utils.py", ["get_pp_indices"], os=os, Tuple=tuple)
vocabulary = parts.cut_out("sglang/srt/layers/vocab_parallel_embedding.py", ["DEFAULT_VOCAB_PADDING_SIZE", "pad_vocab_size"])
widths = parts.cut_out("sglang/srt/runtime_context.py", ["derive_parallel_widths", "derive_attn_tp_size"])
linear = "sglang/srt/layers/linear.py"
off = types.SimpleNamespace(get=lambda: False)
group = {"_resolve_linear_group": lambda group: group, "get_group_rank_size": lambda group: group, "_is_cpu": False,
         "_disable_hip_linear_quant": False, "UninitializedParameter": parts.Base,
         "envs": types.SimpleNamespace(SGLANG_NPU_W4A4_NEW_PACKING=off), "divide": lambda a, b: a // b if a % b == 0 else 1 // 0}
Qkv = parts.cut_class(linear, "QKVParallelLinear", ["__init__", "weight_loader"], parts.Base, **group)
Merged = parts.cut_class(linear, "MergedColumnParallelLinear", ["weight_loader"], **group)
Row = parts.cut_class(linear, "RowParallelLinear", ["weight_loader"], **group)
Experts = parts.cut_class("sglang/srt/layers/moe/fused_moe_triton/layer.py", "FusedMoE",
                          ["_load_w13", "_load_w2", "_map_global_expert_id_to_local_expert_id"], _is_cpu=False,
                          _weight_layout_method=lambda _: None, _maybe_copy_weight_view_before_h2d=lambda weight: weight)


def layer(kind, **fields):
    out = kind.__new__(kind)
    vars(out).update(use_presharded_weights=False, quant_config=None, **fields)
    return out


def qkv(rank, n_rank, n_head, n_kv):
    out = Qkv(1, 1, n_head, n_kv, parallel_group=(rank, n_rank))
    out.tp_group = (rank, n_rank)
    return out


def columns(n_rank, n):
    return parts.columns_of(
        lambda rank, *loaded: layer(Merged, tp_group=(rank, n_rank), output_sizes=[n, n]).weight_loader(*loaded),
        lambda rank, *loaded: layer(Row, tp_group=(rank, n_rank)).weight_loader(*loaded), n_rank, n)


def expert_columns(n_rank, n):
    own = lambda rank: layer(Experts, moe_tp_rank=rank, moe_tp_size=n_rank, use_padded_loading=False, use_triton_kernels=False,
                             moe_runner_config=types.SimpleNamespace(is_gated=True))
    return parts.columns_of(lambda rank, weight, whole, i: own(rank)._load_w13(weight, 0, ("w1", "w3")[i], whole),
                            lambda rank, weight, whole: own(rank)._load_w2(weight, 1, "w2", whole), n_rank, n)


def experts_of(rank, n_rank, n):
    own = layer(Experts, _expert_storage_rank=rank, _num_local_routed=n // n_rank, _has_fused_shared=False, _num_global_routed=n)
    return [e for e in range(n) if own._map_global_expert_id_to_local_expert_id(e) >= 0]


def groups_of(args):
    """What initialize_model_parallel makes, by name; a group that is another one under a new name is made once."""
    made = {}
    tp, pp = args.tp_size, args.pp_size
    world = types.SimpleNamespace(local_rank=0, device_group=None)

    def record(group_ranks, *_, group_name=None, **__):
        made[group_name] = group_ranks
        return types.SimpleNamespace(rank_in_group=0, pynccl_comm=None, name=group_name)

    parallel = types.SimpleNamespace(tp_size=tp, pp_size=pp, moe_ep_size=args.ep_size, attn_dp_size=args.attn_dp_size,
                                     attn_cp_size=args.attn_cp_size, moe_dp_size=args.moe_dp_size,
                                     attn_dcp_size=args.dcp_size, shared_experts_tp_size=None,
                                     override_permanently=lambda **groups: made.update(
                                         {k: made[g.name] for k, g in groups.items()}))
    dist = types.SimpleNamespace(is_initialized=lambda: True, get_world_size=lambda: tp * pp, get_backend=lambda *_: "gloo")
    env = types.SimpleNamespace(SGLANG_USE_MESSAGE_QUEUE_BROADCASTER=types.SimpleNamespace(get=lambda: False))
    sampler = types.ModuleType("sglang.srt.layers.sampler")
    sampler.SYNC_TOKEN_IDS_ACROSS_TP = False
    for name in ("sglang", "sglang.srt", "sglang.srt.layers"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["sglang.srt.layers.sampler"] = sampler
    names = [f"_{x}" for x in ("TP", "DCP", "ATTN_CP", "ATTN_TP", "SHARED_EXPERTS_TP", "MOE_DP", "MOE_EP", "MOE_TP", "PP", "SELF_PP",
                               "PDMUX_PREFILL_TP_GROUP")]
    space = parts.cut_out(state, ["initialize_model_parallel"], torch=types.SimpleNamespace(distributed=dist), envs=env,
                          get_world_group=lambda: world, init_model_parallel_group=record, get_parallel=lambda: parallel,
                          derive_parallel_widths=widths["derive_parallel_widths"], _is_npu=False, _is_xpu=False,
                          is_hip=lambda: False, is_cuda=lambda: False, **dict.fromkeys(names))
    space["initialize_model_parallel"]()
    return made


def built(case):
    args = prepare_server_args(["--model-path", "m", *" ".join(x for x in case.line if x.startswith("--")).split()])
    lines = [x.split("=")[1] for x in case.line if x.startswith("SGLANG_PP_LAYER_PARTITION=")]
    os.environ.pop("SGLANG_PP_LAYER_PARTITION", None)
    os.environ.update({"SGLANG_PP_LAYER_PARTITION": x for x in lines})
    made = groups_of(args)
    tp, pp, n = case.degree["tp"], case.degree["pp"], case.size["V"]
    names = {"tp": "attn_tp_group", "pp": "pp_group", "ep": "moe_ep_group", "etp": "moe_tp_group"}
    server = args.tp_size * args.pp_size  # replicas are servers beside each other
    groups = {kind: [[rank + first for rank in group] for first in range(0, args.dp_size * server, server)
                     for group in made[name]] for kind, name in names.items()}
    pad = vocabulary["pad_vocab_size"]
    padded = pad(n) if pad(n) % tp == 0 else pad(n, 64 * tp)
    owned = parts.heads_of(lambda t: qkv(t, tp, case.size["H"], case.size["G"]), tp, case.size["H"], case.size["G"])
    owned |= parts.inner(case, columns, expert_columns)
    if "dense MLPs and shared experts are" in case.comments:
        owned = {key: value for key, value in owned.items() if key not in ("dense_inner", "shared_inner")}
    owned["experts"] = {i: experts_of(i, case.degree["ep"], case.size["E"]) for i in range(case.degree["ep"])}
    return owned | {"groups": groups, "layers": {i: stages["get_pp_indices"](case.size["L"], i, pp) for i in range(pp)},
            "vocabulary": {t: (t * padded // tp, (t + 1) * padded // tp) for t in range(tp)}}
