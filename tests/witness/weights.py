"""Random weights under which no part of a model is idle."""
import re

import torch

from case import Case, Family


def _is_narrow(name: str, family: Family) -> bool:
    return not any(part in name for part in family.kept_in_f32)


def draw(case: Case, family: Family, model: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    """State of the model: matrices of norm 1, vectors about the value that the class gives them."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in sorted(model.state_dict().items()):
        if name.endswith("tid2eid"):  # the experts of a token's id, each another
            n_expert = model.state_dict()[name.replace("tid2eid", "weight")].shape[0]
            order = torch.rand(value.shape[0], n_expert, generator=generator).argsort(dim=-1)
            state[name] = order[:, : value.shape[1]].contiguous()
            continue
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float32)
        rule = next((rule for pattern, rule in family.draws.items() if re.search(pattern, name)), None)
        if rule is not None:
            drawn = rule[0] + rule[1] * noise
        elif value.dim() < 2:
            drawn = value.float() + 0.25 * noise
        else:
            fan_in = value[0].numel() if value.dim() == 3 and value.shape[1] == 1 else value.shape[-1]
            is_table = "embed" in name
            drawn = noise if is_table else noise / fan_in**0.5
        if case.stored == "bf16":  # also what is stored wider: names in a checkpoint may be others
            drawn = drawn.bfloat16().float()
        state[name] = drawn
    return state


def as_stored(case: Case, family: Family, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint in the types that it stores."""
    return {
        name: value.bfloat16() if case.stored == "bf16" and _is_narrow(name, family) and value.is_floating_point() else value
        for name, value in tensors.items()
    }
