"""A Switch layer as transformers 5 defines it, on the golden's input: its taps are what its modules give.

    python3 tests/frameworks/switch_layer.py CHECKPOINT GOLDEN DUMP

The golden holds two conventions for a token that is dropped; the release has one, and the taps of the other
(passthrough: it keeps its values, times its probability) and the number of the expert follow from what the release computed.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import SwitchTransformersConfig, __version__
from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersLayerFF

LAYER = "encoder.block.1.layer.1."


@torch.no_grad()
def main(checkpoint: Path, golden: Path, dump: Path) -> None:
    layer = SwitchTransformersLayerFF(SwitchTransformersConfig.from_pretrained(checkpoint), is_sparse=True).eval()
    weights = load_file(checkpoint / "model.safetensors")
    layer.load_state_dict({name.removeprefix(LAYER): x for name, x in weights.items()})
    seen: dict[str, Tensor | tuple[Tensor, ...]] = {}
    for name in ("layer_norm", "mlp.router.classifier", "mlp.router", "mlp"):
        layer.get_submodule(name).register_forward_hook(lambda _, args, x, name=name: seen.update({name: x}))
    x = load_file(golden / "input.safetensors")["p0.hidden_in"].float()
    out = layer(x)
    logits, mlp_in, mlp_out = seen["mlp.router.classifier"], seen["layer_norm"], seen["mlp"]
    dispatch = next(y for y in seen["mlp.router"] if not y.is_floating_point())
    dropped = dispatch.reshape(*x.shape[:2], -1).sum(-1, keepdim=True) == 0
    prob = next(y for y in seen["mlp.router"] if y.is_floating_point() and y.shape[-1] == 1).reshape(*x.shape[:2], 1)
    kept = torch.where(dropped, prob * mlp_in, mlp_out)
    taps = {"mlp_in": mlp_in, "router_logits": logits, "expert": logits.argmax(-1), "dispatch": dispatch,
            "router_prob": prob, "mlp_out": mlp_out, "out": out, "mlp_out_passthrough": kept, "out_passthrough": x + kept}
    shaped = {"p0." + tap: y.reshape(*x.shape[:2], -1) for tap, y in taps.items()}
    shaped["p0.expert"] = shaped["p0.expert"].squeeze(-1)
    dump.mkdir(parents=True)
    save_file({tap: y.contiguous() for tap, y in shaped.items()}, dump / "rank_00000.safetensors",
              {"rank": "0", "world": "1", "parameters": str(sum(p.numel() for p in layer.parameters())),
               "framework": f"transformers {__version__}, torch {torch.__version__}"})


main(*map(Path, sys.argv[1:]))
