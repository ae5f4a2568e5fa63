"""torchtitan: the emitted arguments as ParallelDims, whose meshes are built on a process group that sends nothing."""
import logging
import os
import random

import torch
from torch.testing._internal.distributed.fake_pg import FakeStore

import parts
from torchtitan.distributed import parallel_dims

logging.disable(logging.INFO)
parallel_dims.device_type = "cpu"
split = parts.cut_out("torchtitan/distributed/pipeline_parallel.py", ["_generate_llm_fqn_per_model_part"])


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


def built(case):
    values = dict(x.removeprefix("--").split() for x in case.line if x.startswith("--"))
    world = int(case.line[0].removeprefix("WORLD_SIZE="))
    of = lambda key: int(values[f"parallelism.{key}"])
    os.environ["WORLD_SIZE"] = str(world)
    degrees = {"dp_replicate": of("data_parallel_replicate_degree"), "dp_shard": of("data_parallel_shard_degree"), "cp": 1,
               "tp": of("tensor_parallel_degree"), "pp": of("pipeline_parallel_degree"), "ep": of("expert_parallel_degree")}
    groups = {}
    for rank in random.Random(case.plan).sample(range(world), min(world, 8)):
        for kind, ranks in groups_of(rank, world, degrees).items():
            if ranks not in groups.setdefault(kind, []):
                groups[kind].append(ranks)
    n_layer, pp = case.size["L"], degrees["pp"]
    ends = [of(f"pipeline_parallel_{end}_stage_less_layers") for end in ("first", "last")] if pp > 1 else [0, 0]
    names = split["_generate_llm_fqn_per_model_part"](pp, n_layer, *ends)
    lengths = [sum(name.startswith("layers.") for name in stage) for stage in names]
    return {"some_groups": groups, "layers": parts.runs(lengths)}
