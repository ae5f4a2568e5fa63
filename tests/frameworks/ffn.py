"""layers.py for frameworks of PyTorch: tensors in place of arrays, and a rank of torch.distributed that holds rows and
positions of the batch."""
import torch
from torch import Tensor

import layers
from moeparity_capture import Place


def count_integers() -> None:
    """torch.histc of integers is a GPU's: on a CPU those of the same numbers as floats."""
    histc = torch.histc
    torch.histc = lambda x, *bins, **ends: histc(x.float(), *bins, **ends).to(x.dtype)


class Model(layers.Model):
    def __init__(self, checkpoint: str) -> None:
        super().__init__(checkpoint)
        self.weights = {layer: {name: torch.from_numpy(weight) for name, weight in block.items()}
                        for layer, block in self.weights.items()}


class Dump:
    """The taps of one rank's tokens, whose place is said as "b=0:2,t=2:4"."""

    def __init__(self, bundle: str, place: str) -> None:
        self.bundle, self.place = layers.Bundle(bundle), place
        self.dump = layers.Dump(self.bundle)

    def input(self, layer: int) -> Tensor:
        """[rows, positions, columns] of this rank, as the golden has them."""
        return Place(self.place).of(torch.from_numpy(self.dump.feed(layer))).contiguous()

    def keep(self, layer: int, out: Tensor, logits: Tensor, ids: Tensor, weights: Tensor) -> None:
        """[rows, positions, columns] each."""
        held = Place(self.place).ranges
        rows, positions = (range(size)[held.get(axis, slice(None))] for axis, size in
                           (("b", self.bundle.rows), ("t", self.bundle.tokens)))
        for tap, x in (("ffn_out", out), ("router_logits", logits), ("topk_idx", ids), ("topk_weight", weights)):
            self.dump.keep(f"layers.{layer}.{tap}", x.detach().numpy(), rows, positions)

    def write(self, folder: str, framework: str, parameters: int, plan: dict[str, int]) -> None:
        rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        self.dump.write(folder, rank, world, framework, parameters, plan)
