"""What a case is: a family's classes and names, and the settings of one tiny model of it."""
from dataclasses import dataclass, field
from typing import Any

Settings = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """How the modules of one family are called; paths below a decoder layer that has them."""

    mixer: tuple[str, ...] = ("self_attn",)
    ffn: tuple[str, ...] = ("mlp",)
    router: str = "mlp.gate"
    experts: str = "mlp.experts"
    weights_inputs: bool = False  # the router scores every expert and weighs what the experts read
    sum_factor: str = ""  # the sublayer's number that multiplies the experts' sum; ours is in the weights
    layers: str = "model.layers"
    norm: str = "model.norm"
    residual: float | None = 1.0  # out = in + residual * (mixer + ffn); None: not so, and not checked
    draws: dict[str, tuple[float, float]] = field(default_factory=dict)  # pattern: mean and deviation
    kept_in_f32: tuple[str, ...] = ()  # parts of names that a bf16 checkpoint stores as F32
    renamed: tuple[tuple[str, str], ...] = ()  # where the class saves by other names than are published
    stacked: tuple[tuple[str, tuple[str, ...]], ...] = ()  # end of a published name: ends of those that it holds
    apart: tuple[tuple[str, tuple[str, ...]], ...] = ()  # and end of the class's name: ends of those that it becomes
    stands_in: bool = False  # the class is another family's that computes the same: it reads no file of this one
    transposed: tuple[str, ...] = ()  # ends of names of experts that are published the other way round
    others: Settings = field(default_factory=dict)  # setting: another value of it, where none can be guessed
    inert: tuple[str, ...] = ()  # settings that this family's code does not read, though its config has them


@dataclass(frozen=True)
class Case:
    """One committed folder: FAMILY/NAME."""

    name: str
    model: str  # class of transformers
    config: str  # class of its config
    settings: Settings
    published: Settings | None = None  # the same as published checkpoints spell it, often the very settings
    inert: tuple[str, ...] = ()  # settings that are idle in this case, and not in the family's other
    prompts: tuple[tuple[int, int], ...] = ((2, 9), (1, 23))
    stored: str = "bf16"
    called: str = ""  # path of the module that is run, if it is not the model
    family: str = ""  # the table's key


Entry = tuple[Family, tuple[Case, ...]]


def entry(family: Family, *cases: Case) -> Entry:
    return family, cases
