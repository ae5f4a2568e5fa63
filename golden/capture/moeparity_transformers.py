"""Runs a checkpoint of Hugging Face transformers on a bundle's tokens and writes the dump.

    python3 -m moeparity_transformers CHECKPOINT BUNDLE DUMP [--forced block] [--dtype bfloat16]
    torchrun --nproc-per-node 4 -m moeparity_transformers CHECKPOINT BUNDLE DUMP --plan tp

Releases 4.57 and 5.  On several ranks the plan says how the model lies on them: tp is the model's own tp_plan="auto",
ep the same with whole experts on each rank, ep+dp (5) and dp give each rank its rows of the batch.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from moeparity_capture import DEEPSEEK_V4, GEMMA4, HF, NEMOTRON_H, CaptureError, capture, deal

# By model_type; all others: HF.
NAMES = {"deepseek_v4": DEEPSEEK_V4, "gemma4": GEMMA4, "gemma4_text": GEMMA4, "nemotron_h": NEMOTRON_H}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moeparity_transformers", description=(__doc__ or "").split("\n", 1)[0])
    for name, text in (("checkpoint", "folder"), ("bundle", "of `moeparity golden make`"), ("dump", "folder to write")):
        parser.add_argument(name, help=text)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32", "float64"))
    parser.add_argument("--forced", choices=("layer", "block"), help="feed the bundle's values to every layer or block")
    parser.add_argument("--plan", default="one", choices=("one", "tp", "ep", "ep+dp", "dp"),
                        help="how the model lies on the ranks of torchrun")
    parser.add_argument("--experts", choices=("eager", "batched_mm", "grouped_mm"), help="of transformers 5")
    parser.add_argument("--device", help="one process: where the model goes (device_map), as auto or cuda")
    return parser.parse_args()


def parallel(plan: str, world: int) -> dict[str, Any]:
    """What from_pretrained is told of a plan."""
    if plan in ("one", "dp"):
        return {}
    from transformers.distributed import DistributedConfig

    if "ep_size" not in DistributedConfig.__dataclass_fields__:  # up to 5.1x
        experts = {"distributed_config": DistributedConfig(enable_expert_parallel=True)} if plan == "ep" else {}
        return {"tp_plan": "auto"} | experts
    auto: dict[str, Any] = {"tp_plan": "auto", "tp_size": world}
    sizes = {"tp": auto, "ep": auto | {"ep_size": world}, "ep+dp": {"fsdp_size": world, "ep_size": world}}
    return {"distributed_config": DistributedConfig(**sizes[plan])}


def load(wanted: argparse.Namespace, world: int) -> torch.nn.Module:
    how = parallel(wanted.plan, world)
    if wanted.device:
        how["device_map"] = wanted.device
    if wanted.experts:
        how["experts_implementation"] = wanted.experts
    dtype = getattr(torch, wanted.dtype)
    return transformers.AutoModelForCausalLM.from_pretrained(wanted.checkpoint, dtype=dtype, **how).eval()


def rows_of(bundle: str) -> int:
    return json.loads((Path(bundle) / "manifest.json").read_text())["batch"]["rows"]


def main() -> int:
    wanted = arguments()
    transformers.utils.logging.disable_progress_bar()
    rank, world = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    try:
        if (world > 1) != (wanted.plan != "one"):
            raise CaptureError(f"--plan: expected {'tp, ep, ep+dp or dp' if world > 1 else 'one'} on {world} ranks, "
                               f"found {wanted.plan}")
        model = load(wanted, world)
        slices = {"*": deal(rows_of(wanted.bundle), rank, world)} if wanted.plan in ("dp", "ep+dp") else {}
        plan = {} if world == 1 else {axis: rank for axis in wanted.plan.split("+")}
        names = NAMES.get(model.config.model_type, HF)
        with torch.no_grad(), capture(model, wanted.bundle, wanted.dump, forced=wanted.forced, names=names,
                                      slices=slices, plan=plan, rank=rank, world=world) as inputs:
            model(**inputs, use_cache=False)
        if torch.distributed.is_initialized():  # gloo aborts a rank that leaves while others still speak to it
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
    except CaptureError as error:
        print(f"moeparity_transformers: rank {rank}: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
