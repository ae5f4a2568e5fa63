"""What modelopt's exporter writes: it takes a model, not a matrix, so its whole folder is taken."""
import json
import tempfile
from pathlib import Path

import modelopt.torch.quantization as mtq
import torch
from modelopt.torch.export import export_hf_checkpoint
from modelopt.torch.quantization.qtensor import FP8QTensor, NVFP4QTensor
from safetensors.torch import load_file

from publishers import Tensors, _checked, _spread

E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0],
                    dtype=torch.float64)


def export(model: torch.nn.Module, settings: str, prompts: list[torch.Tensor]) -> tuple[Tensors, dict]:
    """Tensors and hf_quant_config.json."""
    model.config.architectures = [type(model).__name__]
    mtq.quantize(model, getattr(mtq, settings), lambda model: [model(ids) for ids in prompts])
    with tempfile.TemporaryDirectory() as folder:
        export_hf_checkpoint(model, export_dir=folder)
        return load_file(Path(folder, "model.safetensors")), json.loads(Path(folder, "hf_quant_config.json").read_text())


def _nvfp4(codes: torch.Tensor, scale: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    numbers = torch.stack((E2M1[(codes & 15).long()], E2M1[(codes >> 4).long()]), -1).flatten(-2)
    values = numbers * _spread(scale, numbers.shape) * second.double()
    held = NVFP4QTensor(numbers.shape, torch.float32, codes)
    return _checked(values, held.dequantize(torch.float32, scale=scale, double_scale=second, block_sizes={-1: 16}))


def _fp8(codes: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    values = codes.double() * scale.double()
    held = FP8QTensor(codes.shape, torch.float32, codes)
    return _checked(values, held.dequantize(torch.float32, scale=scale, block_sizes=None))


def values_of(tensors: Tensors) -> Tensors:
    """The model's weights in float64."""
    values = {}
    for name, tensor in tensors.items():
        if name.endswith(("_scale", "_scale_2")):
            continue
        scale, second = tensors.get(name + "_scale"), tensors.get(name + "_scale_2")
        if second is not None:
            values[name] = _nvfp4(tensor, scale, second)
        else:
            values[name] = tensor.double() if scale is None else _fp8(tensor, scale)
    return values
