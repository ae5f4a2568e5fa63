"""torchtitan: the emitted arguments through its own parser and as ParallelDims, whose meshes are built on a process group that sends nothing."""
import dataclasses
import logging
import os
import random
import sys
import types

import torch
import tyro
from torch.distributed.tensor import Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

import parts
from torchtitan.config import ParallelismConfig, TrainingConfig
from torchtitan.config.manager import custom_registry
from torchtitan.distributed import parallel_dims

logging.disable(logging.INFO)
parallel_dims.device_type = "cpu"
split = parts.cut_out("torchtitan/distributed/pipeline_parallel.py", ["_generate_llm_fqn_per_model_part"])


@dataclasses.dataclass
class Arguments:
    """Two sections of a trainer's configuration."""

    parallelism: ParallelismConfig = dataclasses.field(default_factory=ParallelismConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)


decoder = "torchtitan/models/common/decoder.py"
for name in ("torchtitan.config", "torchtitan.trainer"):  # what the checks of a decoder import
    sys.modules[name] = types.ModuleType(name)
sys.modules["torchtitan.config"].ParallelismConfig = types.SimpleNamespace
sys.modules["torchtitan.trainer"].Trainer = types.SimpleNamespace(Config=type(None))
Config = parts.cut_class(decoder, "Decoder.Config", ["update_from_config"], update_ep_token_dispatcher_config=lambda *_: None)


def shards(n_rank, n):
    """A DTensor's shards of n rows."""
    sizes = [Shard.local_shard_size_and_offset(n, n_rank, i) for i in range(n_rank)]
    return {i: (first, first + size) if size else (n, n) for i, (size, first) in enumerate(sizes)}


def groups_of(rank, world, degrees):
    """The groups of one rank, by kind."""
    torch.distributed.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
    try:
        dims = parallel_dims.ParallelDims(**degrees, world_size=world, spmd_backend="partial_dtensor")
        dims.build_mesh()
        kinds = {"tp": "tp", "pp": "pp", "ep": "ep", "edp": "efsdp", "dp": "fsdp"}
        meshes = {k: dims.get_optional_mesh(name) for k, name in kinds.items()}
        return {k: mesh.mesh.flatten().tolist() for k, mesh in meshes.items() if mesh is not None}
    finally:
        torch.distributed.destroy_process_group()


def check(case, degrees):
    """The checks of a decoder's configuration."""
    config = Config()
    config.layers, config.enable_weight_tying = [], case.is_tied
    config.first_attention = types.SimpleNamespace(n_heads=case.size["H"], n_kv_heads=case.size["G"])
    parallelism = types.SimpleNamespace(tensor_parallel_degree=degrees["tp"], pipeline_parallel_degree=degrees["pp"])
    config.update_from_config(config=types.SimpleNamespace(parallelism=parallelism))


def built(case):
    args = tyro.cli(Arguments, args=" ".join(x for x in case.line if x.startswith("--")).split(), registry=custom_registry)
    own, batch = args.parallelism, args.training
    assert batch.global_batch_size == case.degree["dp"] * case.degree["mb"]
    assert batch.local_batch_size == (case.degree["mb"] if case.degree["pp"] > 1 else 1)
    world = int(case.line[0].removeprefix("WORLD_SIZE="))
    os.environ["WORLD_SIZE"] = str(world)
    degrees = {"dp_replicate": own.data_parallel_replicate_degree, "dp_shard": own.data_parallel_shard_degree,
               "cp": own.context_parallel_degree, "tp": own.tensor_parallel_degree, "pp": own.pipeline_parallel_degree,
               "ep": own.expert_parallel_degree}
    check(case, degrees)
    groups = {}
    for rank in random.Random(case.plan).sample(range(world), min(world, 8)):
        for kind, ranks in groups_of(rank, world, degrees).items():
            if ranks not in groups.setdefault(kind, []):
                groups[kind].append(ranks)
    n_layer, pp = case.size["L"], degrees["pp"]
    ends = [own.pipeline_parallel_first_stage_less_layers, own.pipeline_parallel_last_stage_less_layers] if pp > 1 else [0, 0]
    names = split["_generate_llm_fqn_per_model_part"](pp, n_layer, *ends)
    lengths = [sum(name.startswith("layers.") for name in stage) for stage in names]
    tp, sizes = degrees["tp"], case.size
    owned = {"heads": shards(tp, sizes["H"]), "kv_heads": shards(tp, sizes["G"]), "experts": {
        i: range(*run) for i, run in shards(degrees["ep"], sizes["E"]).items()}, "vocabulary": shards(tp, sizes["V"])}
    owned |= parts.inner(case, shards)
    return owned | {"some_groups": groups, "layers": parts.runs(lengths)}
