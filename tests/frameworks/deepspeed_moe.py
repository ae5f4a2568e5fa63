"""DeepSpeed's own MoE layer with a checkpoint's weights, on a golden's inputs of every such layer.

    torchrun --nproc-per-node N tests/frameworks/deepspeed_moe.py CHECKPOINT GOLDEN DUMP [--ep E] [--capacity F]

Rows of the batch are dealt over the ranks.  No token is dropped, unless F says how many times an even share of the tokens an
expert takes; and the second expert is the second best: by default the layer draws it.
"""
import argparse

import deepspeed
import torch
import torch.nn.functional as F
from deepspeed.moe.layer import MoE
from deepspeed.utils import groups
from torch import nn

from ffn import Dump, Model
from moeparity_capture import deal


class Expert(nn.Module):
    """What DeepSpeed leaves to its user: one expert."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(hidden, inner, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def load(layer: MoE, block: dict[str, torch.Tensor], first: int) -> None:
    layer.deepspeed_moe.gate.wg.weight.copy_(block["gate.weight"])
    for at, expert in enumerate(layer.deepspeed_moe.experts.deepspeed_experts, first):
        for name, weight in expert.named_parameters():
            weight.copy_(block[f"experts.{at}.{name}"])


def watch(layer: MoE, seen: dict[str, torch.Tensor], chosen: int) -> None:
    """What the gate returns.  Its scores are a product with no module of its own: the same product, once more; and of
    more than two experts it returns weights alone, [tokens, experts, places], which are those of the best scores."""

    def keep(gate: nn.Module, args, output) -> None:
        seen["logits"] = F.linear(args[0], gate.wg.weight)
        if len(output) == 4:
            seen["ids"] = seen["logits"].topk(chosen).indices
            seen["weights"] = output[1].sum(2).gather(1, seen["ids"])
        else:
            seen["ids"], seen["weights"] = output[3].T.long(), output[5].T

    layer.deepspeed_moe.gate.register_forward_hook(keep)


def main() -> None:
    parser = argparse.ArgumentParser(prog="deepspeed_moe")
    for name in ("checkpoint", "golden", "dump"):
        parser.add_argument(name)
    parser.add_argument("--ep", type=int, default=1)
    parser.add_argument("--capacity", type=float)
    wanted = parser.parse_args()
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # would be compiled here; only all-reduces go by it
    deepspeed.init_distributed("gloo")
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    model = Model(wanted.checkpoint)
    dump = Dump(wanted.golden, "")
    dump.place = deal(dump.bundle.rows, rank, world)
    hidden, chosen, parameters = model.config["hidden_size"], model.config["num_experts_per_tok"], 0
    for at in model.layers:
        layer = MoE(hidden, Expert(hidden, model.inner), model.experts, wanted.ep, chosen,
                    eval_capacity_factor=wanted.capacity or 1.0, drop_tokens=wanted.capacity is not None, top2_2nd_expert_sampling=False).eval()
        layer.set_deepspeed_parallelism()
        seen: dict[str, torch.Tensor] = {}
        watch(layer, seen, chosen)
        ep = torch.distributed.get_rank(groups._get_expert_parallel_group(layer.expert_group_name))
        with torch.no_grad():
            load(layer, model.weights[at], ep * layer.num_local_experts)
            out = layer(dump.input(at))[0]
        taps = out, seen["logits"], seen["ids"], seen["weights"]
        dump.keep(at, *(x.reshape(*out.shape[:2], -1) for x in taps))
        parameters += sum(weight.numel() for weight in layer.parameters())
    dump.write(wanted.dump, f"deepspeed {deepspeed.__version__}, torch {torch.__version__}", parameters,
               {"ep": ep, "dp": rank})
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


main()
