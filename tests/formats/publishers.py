"""How the publishers' own packages write a weight: codes and scales, and what they mean.

A format is a function from a matrix to its tensors, by what follows the weight's name, and to its values in float64.
The values are the codes, as the package unpacks them, times the scales, in doubles; what the package itself makes of
them must be that but for the rounding of its type.
"""
from types import SimpleNamespace

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.compressors.mx_utils import decompress_mx_scale
from compressed_tensors.compressors.nvfp4 import unpack_fp4_from_uint8
from compressed_tensors.compressors.pack_quantized import unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from transformers.integrations.finegrained_fp8 import Fp8Dequantize, Fp8Quantize

Tensors = dict[str, torch.Tensor]
ROUNDINGS = 4  # that a package may make on its way


def _checked(values: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    error = (values - theirs.double()).abs() - ROUNDINGS * torch.finfo(theirs.dtype).eps * values.abs()
    if not (error <= 0).all():
        raise RuntimeError(f"the package's own values are off by {error.max().item():g}")
    return values


def _spread(scale: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """A scale for every element."""
    scale = scale.double().reshape(scale.shape if scale.dim() == 2 else (-1, 1))
    rows, columns = (-(-n // m) for n, m in zip(shape, scale.shape))
    return scale.repeat_interleave(rows, 0)[: shape[0]].repeat_interleave(columns, 1)[:, : shape[1]]


# --- compressed-tensors ------------------------------------------------------


def _qparams(weight: torch.Tensor, args: QuantizationArgs, of_all: torch.Tensor | None) -> torch.Tensor:
    if args.group_size and args.group_size > 0:
        parts = weight.unflatten(-1, (-1, args.group_size))
        low, high = parts.amin(-1), parts.amax(-1)
    elif args.strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    else:
        low, high = weight.amin().reshape(1), weight.amax().reshape(1)
    return calculate_qparams(low, high, args, global_scale=of_all)[0]


class CompressedTensors:
    """acts: how activations are quantised, None: not at all."""

    def __init__(self, form: str, acts: dict | None = None, **weights) -> None:
        self.form, self.args = form, QuantizationArgs(**weights)
        self.acts = QuantizationArgs(**acts) if acts is not None else None
        self.scheme = QuantizationScheme(targets=["Linear"], weights=self.args, input_activations=self.acts)
        self.compressor = BaseCompressor.get_value_from_registry(form)

    def config(self) -> dict:
        group = self.scheme.model_dump(mode="json") | {"format": self.form}
        return {"quant_method": "compressed-tensors", "format": self.form, "quantization_status": "compressed",
                "ignore": ["lm_head", "re:.*mlp\\.gate$"], "kv_cache_scheme": None, "config_groups": {"group_0": group}}

    def __call__(self, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
        weight = weight.float()
        state = {"weight": weight}
        of_all = None
        if self.form == "nvfp4-pack-quantized":
            of_all = generate_gparam(weight.amin(), weight.amax()).reshape(1)
            state["weight_global_scale"] = of_all
        state["weight_scale"] = _qparams(weight, self.args, of_all)
        written = self.compressor.compress(state, self.scheme)
        theirs = self.compressor.decompress(dict(written), self.scheme)["weight"]
        scale = written["weight_scale"]
        if scale.dtype == torch.uint8:
            scale = decompress_mx_scale(scale)
        scale = _spread(scale, weight.shape)
        if of_all is not None:
            scale = scale / of_all.double()
        values = self._codes(written, weight.shape).double() * scale
        return {"_" + name.removeprefix("weight_") if name != "weight" else "": value
                for name, value in written.items()}, _checked(values, theirs)

    def _codes(self, written: Tensors, shape: torch.Size) -> torch.Tensor:
        if "weight" in written:
            return written["weight"].float()
        packed = written["weight_packed"]
        if packed.dtype == torch.int32:
            return unpack_from_int32(packed, self.args.num_bits, shape)
        return unpack_fp4_from_uint8(packed, *shape)


# --- transformers ------------------------------------------------------------


class FineGrained:
    """fp8 in blocks; `exponents`: scales of powers of two, stored as such, and experts in FP4."""

    def __init__(self, block: tuple[int, int], code: torch.dtype = torch.float8_e4m3fn, exponents: bool = False) -> None:
        self.block, self.code, self.exponents = block, code, exponents
        quantizer = SimpleNamespace(quantization_config=SimpleNamespace(weight_block_size=block, scale_fmt="float"))
        self.quantize, self.dequantize = Fp8Quantize(quantizer), Fp8Dequantize(quantizer)

    def config(self) -> dict:
        more = {"scale_fmt": "ue8m0", "expert_dtype": "fp4"} if self.exponents else {}
        fmt = "e5m2" if self.code == torch.float8_e5m2 else "e4m3"
        return {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": fmt, "weight_block_size": list(self.block),
                "modules_to_not_convert": ["lm_head", "gate"]} | more

    def _blocks(self, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
        """As the package does it, for codes and scales that it does not write."""
        rows, columns = self.block
        parts = weight.unflatten(1, (-1, columns)).unflatten(0, (-1, rows))
        scale = parts.abs().amax((1, 3)) / torch.finfo(self.code).max
        if self.exponents:
            scale = torch.exp2(torch.ceil(torch.log2(scale)))
        codes = (weight.double() / _spread(scale, weight.shape)).float().to(self.code)
        if self.exponents:
            return {"": codes, ".scale": scale.to(torch.float8_e8m0fnu)}, scale
        return {"": codes, "_scale_inv": scale}, scale

    def __call__(self, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
        weight = weight.float()
        if self.code == torch.float8_e4m3fn and not self.exponents:
            made = self.quantize._quantize_one("w.weight", weight)
            written = {name.removeprefix("w.weight"): value for name, value in made.items()}
            scale = written["_scale_inv"]
        else:
            written, scale = self._blocks(weight)
        values = written[""].double() * _spread(scale, weight.shape)
        return written, _checked(values, self.dequantize._dequantize_one(written[""], scale, torch.float32))

    def expert(self, weight: torch.Tensor) -> tuple[Tensors, torch.Tensor]:
        if not self.exponents:
            return self(weight)
        written, values = MXFP4(weight)
        codes, scale = written["_packed"].view(torch.int8), written["_scale"].view(torch.float8_e8m0fnu)
        return {"": codes, ".scale": scale}, _checked(values, self.dequantize._dequantize_one(codes, scale, torch.float32))


MXFP4 = CompressedTensors("mxfp4-pack-quantized", num_bits=4, type="float", strategy="group", group_size=32,
                          scale_dtype=torch.uint8)
