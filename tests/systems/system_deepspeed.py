"""DeepSpeed: the emitted JSON through AutoEP's checks, its group builders, its share of experts, torch's sampler as its loader has it."""
import json

import torch
from torch.utils.data.distributed import DistributedSampler

import parts
from deepspeed.module_inject import auto_ep_config, auto_ep_folding, tp_shard
from deepspeed.moe.ep_repack import _local_expert_range
from deepspeed.utils import groups as builder


class Comm:
    """Stands for deepspeed.comm: one rank that records what it is asked to make."""

    def __init__(self, world):
        self.world, self.made = world, []

    def is_initialized(self):
        return True

    def get_world_size(self, group=None):
        return self.world

    def get_rank(self, group=None):
        return 0

    def new_group(self, ranks):
        self.made.append(list(ranks))
        return tuple(ranks)


def taken(comm):
    made, comm.made = comm.made, []
    return made


def heads(tp, n_head, n_kv, size=8):
    """AutoTP's shards of the rows of q, and of k and v."""
    meta = tp_shard.AutoTPMeta(num_kv_heads=n_kv, num_attention_heads=n_head)
    rows = lambda n: parts.runs(tp_shard.get_shard_size_list(n * size, tp, meta, "self_attn.q_proj"))
    return {key: {t: (first // size, end // size) for t, (first, end) in rows(n).items()}
            for key, n in (("heads", n_head), ("kv_heads", n_kv))}


def columns(n_rank, n):
    return parts.runs(tp_shard.get_shard_size_list(n, n_rank, tp_shard.AutoTPMeta(num_kv_heads=8), "mlp.up_proj"))


def built(case):
    config = json.loads("\n".join(case.line))
    tp = max(1, config["tensor_parallel"]["autotp_size"])
    experts = config.get("expert_parallel", {})
    ep = experts.get("autoep_size", 1)
    dp = config["train_batch_size"] // config["gradient_accumulation_steps"]
    assert config["train_micro_batch_size_per_gpu"] == 1
    world = dp * tp
    auto = auto_ep_config.parse_autoep_config(experts)
    auto_ep_config.validate_autoep_config(auto, world, 1, tp, 1)
    builder.dist, builder.log_dist = (comm := Comm(world)), (lambda *_, **__: None)
    builder._release_process_group_references()
    builder._init_tp_groups_with_new_group(tp)
    made = taken(comm)
    groups = {"dp": made[:tp], "tp": made[tp:]}
    spec = auto_ep_folding.build_folding_spec(world_size=world, pp_size=1, tp_size=tp, ep_size=ep)
    builder._create_expert_and_data_parallel(ep, mp_size=tp, pp_size=1, folding_spec=spec if tp > 1 else None)
    made = taken(comm)
    groups["ep"] = [g for g in made if len(g) == ep and g == list(range(g[0], g[0] + ep))] if ep > 1 else []
    groups["edp"] = [g for g in made if g not in groups["ep"]] if ep > 1 else made[:1]
    layer = auto_ep_config.MoELayerSpec.__new__(auto_ep_config.MoELayerSpec)
    object.__setattr__(layer, "num_experts", case.size["E"])
    share = {i: range(*_local_expert_range(layer, i, ep)) for i in range(ep)}
    rows = {d: list(DistributedSampler(torch.empty(config["train_batch_size"]), dp, d, shuffle=False)) for d in range(dp)}
    owned = heads(tp, case.size["H"], case.size["G"]) | parts.inner(case, columns)
    return owned | {"groups": groups, "experts": share, "rows": rows}
