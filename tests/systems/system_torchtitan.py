"""torchtitan: the emitted arguments as ParallelDims, whose meshes are built on a process group that sends nothing."""
import logging
import os
import random
import sys
import types

import torch
from torch.distributed.tensor import Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

import parts
from torchtitan.distributed import parallel_dims

logging.disable(logging.INFO)
parallel_dims.device_type = "cpu"
split = parts.cut_out("torchtitan/distributed/pipeline_parallel.py", ["_generate_llm_fqn_per_model_part"])


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
    values = dict(x.removeprefix("--").split() for x in case.line if x.startswith("--"))
    world = int(case.line[0].removeprefix("WORLD_SIZE="))
    of = lambda key: int(values[f"parallelism.{key}"])
    os.environ["WORLD_SIZE"] = str(world)
    degrees = {"dp_replicate": of("data_parallel_replicate_degree"), "dp_shard": of("data_parallel_shard_degree"), "cp": 1,
               "tp": of("tensor_parallel_degree"), "pp": of("pipeline_parallel_degree"), "ep": of("expert_parallel_degree")}
    check(case, degrees)
    groups = {}
    for rank in random.Random(case.plan).sample(range(world), min(world, 8)):
        for kind, ranks in groups_of(rank, world, degrees).items():
            if ranks not in groups.setdefault(kind, []):
                groups[kind].append(ranks)
    n_layer, pp = case.size["L"], degrees["pp"]
    ends = [of(f"pipeline_parallel_{end}_stage_less_layers") for end in ("first", "last")] if pp > 1 else [0, 0]
    names = split["_generate_llm_fqn_per_model_part"](pp, n_layer, *ends)
    lengths = [sum(name.startswith("layers.") for name in stage) for stage in names]
    tp, sizes = degrees["tp"], case.size
    owned = {"heads": shards(tp, sizes["H"]), "kv_heads": shards(tp, sizes["G"]), "experts": {
        i: range(*run) for i, run in shards(degrees["ep"], sizes["E"]).items()}, "vocabulary": shards(tp, sizes["V"])}
    owned |= parts.inner(case, shards)
    return owned | {"some_groups": groups, "layers": parts.runs(lengths)}
