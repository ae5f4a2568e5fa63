"""torchtitan's own GPT-OSS layer, configured as the release configures the published model but for its sizes, with a
checkpoint's weights, on a golden's inputs of every layer.

    torchrun --nproc-per-node 1 tests/frameworks/torchtitan_moe.py CHECKPOINT GOLDEN DUMP
"""
import dataclasses
import sys
from importlib.metadata import version

import torch
import torch.distributed as dist

try:
    from torchtitan.models.gpt_oss import GptOssModelArgs, gptoss_configs
    from torchtitan.models.gpt_oss.model.moe import GptOssMoE
except ImportError:  # up to 0.2.1
    from torchtitan.experiments.gpt_oss import GptOssModelArgs, gptoss_configs
    from torchtitan.experiments.gpt_oss.model.moe import GptOssMoE

from ffn import Dump, Model, count_integers


def arguments(model: Model) -> GptOssModelArgs:
    published = gptoss_configs["20b"]
    sizes = dataclasses.replace(published.moe_args, num_experts=model.experts, use_grouped_mm=False,
                                top_k=model.config["num_experts_per_tok"])
    return dataclasses.replace(published, moe_args=sizes)


def load(layer: GptOssMoE, block: dict[str, torch.Tensor]) -> None:
    """What the checkpoint has; a bias that the release's router lacks finds no place."""
    for name, weight in layer.router.gate.named_parameters():
        weight.copy_(block[f"router.{name}"])
    for own, name in (("mlp1", "gate_up_proj"), ("mlp2", "down_proj")):
        getattr(layer.experts, own + "_weight").copy_(block[f"experts.{name}"].transpose(1, 2))
        getattr(layer.experts, own + "_bias").copy_(block[f"experts.{name}_bias"])


def main(checkpoint: str, golden: str, dump: str) -> None:
    dist.init_process_group("gloo")
    count_integers()
    model, kept, parameters = Model(checkpoint), Dump(golden, ""), 0
    for at in model.layers:
        layer = GptOssMoE(arguments(model), model.config["hidden_size"], model.inner).eval()
        layer.expert_bias.zero_()  # of the balance of loads; a checkpoint has none
        seen: dict[str, torch.Tensor] = {}
        layer.router.gate.register_forward_hook(lambda _, args, out: seen.update(logits=out))
        layer.router.register_forward_hook(lambda _, args, out: seen.update(weights=out[0], ids=out[1]))
        with torch.no_grad():
            load(layer, model.weights[at])
            out = layer(kept.input(at))
        taps = out, seen["logits"], seen["ids"], seen["weights"]
        kept.keep(at, *(x.reshape(*out.shape[:2], -1) for x in taps))
        parameters += sum(weight.numel() for weight in layer.parameters())
    kept.write(dump, f"torchtitan {version('torchtitan')}, torch {torch.__version__}", parameters, {"dp": 0})
    dist.destroy_process_group()


main(*sys.argv[1:])
