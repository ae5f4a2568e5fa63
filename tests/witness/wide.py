"""Everything that asks for float32 gets float64: one unmodified model runs in doubles throughout."""
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def _widened(value: Any) -> Any:
    if value is torch.float32:
        return torch.float64
    if isinstance(value, (tuple, list)):
        return type(value)(map(_widened, value))
    return value


MASKED = -1e30  # below: what a mask forbids anyway


class Wide(TorchFunctionMode):
    """While it is entered, x.float() is x.double() and dtype=torch.float32 means torch.float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func.__name__ == "float":
            func = torch.Tensor.double
        kwargs = {name: _widened(value) for name, value in (kwargs or {}).items()}
        return func(*(_widened(value) for value in args), **kwargs)


class Margins(TorchFunctionMode):
    """Notes the smallest gap between the last chosen and the first rejected value of every top-k."""

    def __init__(self) -> None:
        super().__init__()
        self.least = float("inf")

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func.__name__ == "topk":
            scores = args[0]
            k = args[1] if len(args) > 1 else kwargs["k"]
            if k < scores.shape[-1]:
                ranked = scores.sort(dim=-1, descending=True).values
                gap = ranked[..., k - 1] - ranked[..., k]
                gap = gap[gap.isfinite() & (ranked[..., k - 1] > MASKED)]
                if gap.numel() > 0:
                    self.least = min(self.least, gap.min().item())
        return func(*args, **kwargs)
