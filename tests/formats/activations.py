"""What engines do to what they multiply with quantised weights, in float64: scales in float32, as they keep them.

Scales and codes are the packages' own where they have a function for them.
"""
from collections.abc import Callable

import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.quant_args import FP4_E2M1_DATA
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp
from modelopt.torch.quantization.qtensor import NVFP4QTensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

Rounding = Callable[[torch.Tensor], torch.Tensor]
Quantise = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]
TIE = 1e-9  # so close to a tie, relatively, two correct texts may part


def e4m3(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(-448.0, 448.0).float().to(torch.float8_e4m3fn).double()


def int8(x: torch.Tensor) -> torch.Tensor:
    return x.round().clamp(-128.0, 127.0)


def e2m1(x: torch.Tensor) -> torch.Tensor:
    return FP4_E2M1_DATA.cast_to_fp4(x.float()).double()


def _rounded(x: torch.Tensor, scale: torch.Tensor, rounding: Rounding) -> torch.Tensor:
    codes = rounding(x / scale)
    for beside in (1.0 - TIE, 1.0 + TIE):
        if not torch.equal(codes, rounding(x * beside / scale)):
            raise ArithmeticError("an activation lies on a tie")
    return codes * scale


def _in_groups(x: torch.Tensor, group: int, scale_of: Callable[[torch.Tensor], torch.Tensor],
               rounding: Rounding) -> torch.Tensor:
    """scale_of: the groups' scales [.., 1] from their magnitudes."""
    parts = x.unflatten(-1, (-1, group))
    scale = scale_of(parts.abs().amax(-1, keepdim=True).float())
    return _rounded(parts, scale.double(), rounding).flatten(-2)


def fine_grained(group: int, powers: bool = False) -> Quantise:
    """By groups of columns: DeepSeek's fp8, whose kernels need a GPU."""

    def scale_of(largest: torch.Tensor) -> torch.Tensor:
        scale = largest / 448.0
        return torch.exp2(torch.ceil(torch.log2(scale))) if powers else scale

    return lambda x, fixed: _in_groups(x, group, scale_of, e4m3)


def by_token(most: float, rounding: Rounding) -> Quantise:
    """As kernels do it: compressed-tensors itself takes 127.5 for the most that INT8 can say."""
    return lambda x, fixed: _in_groups(x, x.shape[-1], lambda largest: largest / most, rounding)


def tensors(args: QuantizationArgs, rounding: Rounding) -> Quantise:
    """By groups, with compressed-tensors' scales."""

    def quantise(x: torch.Tensor, fixed: torch.Tensor | None) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scale, _ = compute_dynamic_scales_and_zp(rows.float(), args, None, fixed)
        scale = scale.double().unsqueeze(-1) / (1.0 if fixed is None else fixed.double())
        parts = rows.unflatten(-1, (-1, args.group_size))
        return _rounded(parts, scale, rounding).reshape(x.shape)

    return quantise


def static(x: torch.Tensor, fixed: torch.Tensor | None) -> torch.Tensor:
    return _rounded(x, fixed.double(), e4m3)


def modelopt_nvfp4(x: torch.Tensor, fixed: torch.Tensor | None) -> torch.Tensor:
    scale, _ = NVFP4QTensor.get_weights_scaling_factor(x.float(), 16, fixed)
    parts = x.unflatten(-1, (-1, 16))
    return _rounded(parts, (scale.double() * fixed.double()).unsqueeze(-1), e2m1).flatten(-2)


class Quantised(TorchFunctionMode):
    """While it is entered, products with the model's quantised weights read quantised operands."""

    def __init__(self, model: torch.nn.Module, stored: dict[str, torch.Tensor], quantise: Quantise, beside: str) -> None:
        super().__init__()
        self.stored, self.quantise, self.beside = stored, quantise, beside
        self.names = {value.untyped_storage().data_ptr(): (name, value) for name, value in model.named_parameters()}

    def _one(self, x: torch.Tensor, weight: torch.Tensor, module: str, bias: torch.Tensor | None) -> torch.Tensor:
        return linear(self.quantise(x, self.stored.get(module + self.beside)), weight, bias)

    def _product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor | None:
        """None: of a weight that is not quantised."""
        name, whole = self.names.get(weight.untyped_storage().data_ptr(), ("", weight))
        if "self_attn" in name:
            return self._one(x, weight, name.removesuffix(".weight"), bias)
        if ".experts." not in name:
            return None
        path, matrix = name.rsplit(".", 1)
        expert = (weight.data_ptr() - whole.data_ptr()) // whole[0].nbytes
        if matrix == "down_proj":
            return self._one(x, weight, f"{path}.{expert}.down_proj", bias)
        halves = zip(("gate_proj", "up_proj"), weight.chunk(2))
        return torch.cat([self._one(x, half, f"{path}.{expert}.{which}", bias) for which, half in halves], -1)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is linear:
            with torch._C.DisableTorchFunction():  # float32 means float32 here
                product = self._product(args[0], args[1], args[2] if len(args) > 2 else (kwargs or {}).get("bias"))
            if product is not None:
                return product
        return func(*args, **(kwargs or {}))
