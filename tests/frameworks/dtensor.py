"""Tensor parallelism by PyTorch alone: parallelize_module on a model as transformers defines it, and logits that stay a
DTensor, so that each rank's dump holds its columns and says so.

    torchrun --nproc-per-node N tests/frameworks/dtensor.py CHECKPOINT GOLDEN DUMP
"""
import re
import sys

import torch
import torch.distributed as dist
import transformers
from torch.distributed.tensor import Shard
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from moeparity_capture import capture

COLUMNS = re.compile(r".*\.self_attn\.[qkv]_proj|.*\.(gate|up)_proj")
ROWS = re.compile(r".*\.self_attn\.o_proj|.*\.down_proj")


def plan_of(model):
    """Heads and inner columns dealt, the head's columns left apart; experts are whole on every rank."""
    plan = {name: ColwiseParallel() if COLUMNS.fullmatch(name) else RowwiseParallel()
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and (COLUMNS.fullmatch(name) or ROWS.fullmatch(name))}
    return plan | {"lm_head": ColwiseParallel(output_layouts=Shard(-1), use_local_output=False)}


def main():
    checkpoint, golden, dump = sys.argv[1:]
    transformers.utils.logging.disable_progress_bar()
    dist.init_process_group("gloo")
    mesh = dist.init_device_mesh("cpu", (dist.get_world_size(),), mesh_dim_names=("tp",))
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    parallelize_module(model, mesh, plan_of(model))
    with torch.no_grad(), capture(model, golden, dump, plan={"tp": dist.get_rank()}) as inputs:
        model(**inputs, use_cache=False)
    dist.barrier()
    dist.destroy_process_group()


main()
