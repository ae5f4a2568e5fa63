"""Writes what a PyTorch model computes as a dump that `moeparity compare` holds against a golden bundle.

    with torch.no_grad(), capture(model, "bundle", "dump") as inputs:
        model(**inputs)

One pass of the model; one file dump/rank_NNNNN.safetensors per rank, its tensors under the names of the taps
(docs/golden.md).  Hooks copy what passes and change nothing, unless the model is to be fed the golden's own values
(forced).  A dump that lacks a tap of the bundle is not written, and nothing is ever half written.

From the top: names of modules, the bundle, places of tensors, the routing of a block, hooks, the file, capture().
"""
from __future__ import annotations

import json
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__version__ = "1.0"
__all__ = ["DEEPSEEK_V4", "GEMMA4", "HF", "NEMOTRON_H", "CaptureError", "capture", "deal"]


class CaptureError(Exception):
    """One line: what was expected and what was found.  Nothing has been written."""


# --- names of modules ---

# Module -> the tap that it shows, {l} for a layer, as in `moeparity compare --map hf`; topk_idx: experts are called.
# MODULE.input: what it reads is the tap.  +TAP: what it gives is added to what others give.
HF: dict[str, str] = {
    "model.layers.{l}": "layers.{l}.out",
    "model.layers.{l}.self_attn": "layers.{l}.attn_out",
    "model.layers.{l}.linear_attn": "layers.{l}.attn_out",
    "model.layers.{l}.mamba": "layers.{l}.attn_out",
    "model.layers.{l}.conv": "layers.{l}.attn_out",
    "model.layers.{l}.mlp": "layers.{l}.ffn_out",
    "model.layers.{l}.block_sparse_moe": "layers.{l}.ffn_out",
    "model.layers.{l}.feed_forward": "layers.{l}.ffn_out",
    "model.layers.{l}.shared_mlp": "+layers.{l}.ffn_out",
    "model.layers.{l}.mlp.gate": "layers.{l}.router_logits",
    "model.layers.{l}.mlp.router": "layers.{l}.router_logits",
    "model.layers.{l}.block_sparse_moe.gate": "layers.{l}.router_logits",
    "model.layers.{l}.block_sparse_moe.router": "layers.{l}.router_logits",
    "model.layers.{l}.feed_forward.gate": "layers.{l}.router_logits",
    "model.layers.{l}.feed_forward.router": "layers.{l}.router_logits",
    "model.layers.{l}.mlp.experts": "layers.{l}.topk_idx",
    "model.layers.{l}.block_sparse_moe.experts": "layers.{l}.topk_idx",
    "model.layers.{l}.feed_forward.experts": "layers.{l}.topk_idx",
    "model.norm": "final_norm",
    "model.final_layernorm": "final_norm",
    "model.embedding_norm": "final_norm",
    "lm_head": "logits",
}
# A mixer is attention or experts; the bundle's taps say which.
NEMOTRON_H: dict[str, str] = HF | {
    "model.layers.{l}.mixer": "layers.{l}.attn_out|layers.{l}.ffn_out",
    "model.layers.{l}.mixer.gate": "layers.{l}.router_logits",
    "model.layers.{l}.mixer.experts": "layers.{l}.topk_idx",
    "model.norm_f": "final_norm",
}
# Its dense branch and its experts have norms of their own, and no module gives the sum.
GEMMA4: dict[str, str] = {name: tap for name, tap in HF.items() if name != "model.layers.{l}.mlp"} | {
    "model.layers.{l}.post_feedforward_layernorm.input": "layers.{l}.ffn_out",
    "model.layers.{l}.router": "layers.{l}.router_logits",
    "model.layers.{l}.experts": "layers.{l}.topk_idx",
}
# Layers read several streams: what the embedding gives no layer shows.
DEEPSEEK_V4: dict[str, str] = HF | {"model.embed_tokens": "embed"}
_WRAPPERS = re.compile(r"\b(model|module|_fsdp_wrapped_module|_orig_mod|language_model)\.")


def find_modules(model: nn.Module, names: Mapping[str, str]) -> dict[str, list[nn.Module]]:
    """The modules that show each tap, +TAP, or <TAP by their input; names of wrappers are overlooked."""
    rules = [(re.compile(re.escape(_WRAPPERS.sub("", name.removesuffix(".input"))).replace(r"\{l\}", r"(\d+)")),
              "<" * name.endswith(".input") + tap)
             for name, taps in names.items() for tap in taps.split("|")]
    found: dict[str, list[nn.Module]] = {}
    for name, module in model.named_modules():
        for rule, tap in rules:
            if match := rule.fullmatch(_WRAPPERS.sub("", name)):
                found.setdefault(tap.format(l=match[1] if match.groups() else ""), []).append(module)
    return found


def kind_of(tap: str) -> str:
    """attn_out, of layers.3.attn_out."""
    return tap.split(".", 2)[2] if tap.startswith("layers.") else tap


def layer_of(tap: str) -> int | None:
    return int(tap.split(".")[1]) if tap.startswith("layers.") else None


# --- the bundle ---

_TAPS = {"embed", "attn_out", "ffn_out", "out", "router_logits", "topk_idx", "topk_weight", "final_norm", "logits"}
_SPARE = {"attn.norm", "ffn.norm"}  # there to be fed; a dump need not hold them
_OF_TYPE = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}


class Bundle:
    """A folder that `moeparity golden make` has written, and one of its numerics."""

    def __init__(self, path: Path, numerics: str) -> None:
        try:
            self.manifest = json.loads((path / "manifest.json").read_text())
        except (OSError, ValueError) as error:
            raise CaptureError(f"{path}: expected a golden bundle: {error}") from None
        known = self.manifest.get("numerics", {})
        if numerics not in known:
            raise CaptureError(f"{path}: expected numerics {numerics}, found {', '.join(known) or 'none'}")
        if self.manifest["taps"] != "coarse":
            raise CaptureError(f"{path}: expected the coarse taps, found {self.manifest['taps']}")
        self.path, self.file = path, known[numerics]["file"]
        self.input_file = self.manifest["batch"]["file"]
        self.rows, self.tokens = self.manifest["batch"]["rows"], self.manifest["batch"]["tokens"]
        about = self._about(self.file)["tensors"]
        shapes = {name.removeprefix("p0."): tensor["shape"] for name, tensor in about.items()}
        self.taps = [tap for tap in shapes if kind_of(tap) in _TAPS]
        self.columns = {tap: shape[-1] for tap, shape in shapes.items() if kind_of(tap) in _TAPS | _SPARE}
        self.layers = 1 + max(layer for tap in self.taps if (layer := layer_of(tap)) is not None)

    def _about(self, file: str) -> dict[str, Any]:
        return self.manifest["files"][file]

    def tensor(self, tap: str) -> Tensor:
        with safe_open(self.path / self.file, framework="pt") as tensors:
            return tensors.get_tensor("p0." + tap)

    def inputs(self) -> dict[str, Tensor]:
        with safe_open(self.path / self.input_file, framework="pt") as tensors:
            return {name.removeprefix("p0."): tensors.get_tensor(name) for name in tensors.keys()}

    def fingerprint(self) -> str:
        return self._about(self.file)["xxh3"]

    def marks(self) -> dict[str, str]:
        """Metadata by which `compare` tells a dump of another model or prompt."""
        return {"weights_xxh3": self.manifest["weights"]["xxh3"], "input_xxh3": self._about(self.input_file)["xxh3"]}


# --- places of tensors ---

def deal(rows: int, part: int, parts: int) -> str:
    """The slice of data-parallel rank `part` of `parts`: rows in order, the first parts one longer."""
    begin = part * (rows // parts) + min(part, rows % parts)
    return f"b={begin}:{begin + rows // parts + (part < rows % parts)}"


class Place:
    """The rows, positions and columns of the whole that a tensor holds: "b=0:4,t=7:8"; what is left out is whole."""

    def __init__(self, text: str) -> None:
        if not re.fullmatch(r"([btc]=\d+:\d+(,(?=.)|$))*", text):
            raise CaptureError(f"slice '{text}': expected ranges such as b=0:4,t=7:8,c=0:16")
        self.ranges = {axis: slice(int(begin), int(end)) for axis, begin, end in re.findall(r"(.)=(\d+):(\d+)", text)}

    def of(self, whole: Tensor) -> Tensor:
        """The part of [rows, positions] or [rows, positions, columns]."""
        return whole[tuple(self.ranges.get(axis, slice(None)) for axis in "btc"[: whole.dim()])]

    def size(self, rows: int, positions: int, columns: int) -> int:
        return self.of(torch.empty(rows, positions, columns, device="meta")).numel()


def local(x: Any) -> Tensor:
    """What this rank holds of a DTensor; another tensor itself."""
    return x.to_local() if hasattr(x, "placements") else x


def shards_of(tap: str, x: Any) -> list[range] | None:
    """The range of each dimension of a DTensor that this rank holds; None if it holds all."""
    whole = [range(n) for n in x.shape]
    held = list(whole)
    for placement, size, at in zip(x.placements, x.device_mesh.shape, x.device_mesh.get_coordinate()):
        if placement.is_replicate():
            continue
        if type(placement).__name__ != "Shard":
            raise CaptureError(f"{tap}: expected whole values or slices of them, found a DTensor that is {placement!r}")
        dim = placement.dim % len(held)
        step = -(-len(held[dim]) // size)
        held[dim] = held[dim][at * step : (at + 1) * step]
    return None if held == whole else held


# --- the routing of a block ---

def tensors_in(values: Any) -> list[Tensor]:
    """The tensors that a module gives: itself one, or a tuple."""
    values = values if isinstance(values, (tuple, list)) else (values,)
    return [x for x in values if isinstance(x, Tensor)]


def same_choice(a: Tensor, b: Tensor) -> bool:
    """The same experts of every token, in any order."""
    return a.shape == b.shape and torch.equal(a.sort().values, b.to(a.dtype).sort().values)


class Routing(TorchFunctionMode):
    """Watches a block with experts at work: its router's scores, the experts of every token and their weights.

    Routers return one tensor, or two or three in any order, and what is called logits may be probabilities.  So the
    scores are the router's own product, whatever becomes of it.  The choice is the last top-k over all experts; its
    weights are what is computed from it in turn, and at last what the experts are called with, whichever of the
    registered functions then runs.  Only where no top-k is seen it is what the router returns or the experts are given:
    expert parallelism may have given each rank numbers of its own by then.
    """

    PRODUCTS = ("linear", "matmul", "__matmul__", "mm", "addmm", "einsum")

    def __init__(self, experts: int, chosen: int, keep_scores: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.experts, self.chosen, self.keep_scores = experts, chosen, keep_scores
        self.is_watching = self.in_router = self.is_settled = False
        self.ids: Tensor | None = None
        self.weights: Tensor | None = None
        self.scores: Tensor | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self.is_settled:
            self.see(getattr(func, "__name__", ""), (*args, *kwargs.values()), result)
        return result

    def see(self, name: str, operands: tuple[Any, ...], result: Any) -> None:
        if self.in_router and name in self.PRODUCTS and result.shape[-1:] == (self.experts,):
            self.scores = result
            self.keep_scores(result)
        elif name == "topk" and result[1].shape[-1:] == (self.chosen,) and operands[0].shape[-1:] == (self.experts,):
            self.weights, self.ids = result
        elif name == "masked_fill":
            return  # of what other ranks' experts are given: the token's choice stays as it was
        elif self.ids is not None and any(x is self.ids or x is self.weights for x in operands):
            if isinstance(result, Tensor) and result.is_floating_point() and result.shape == self.ids.shape:
                self.weights = result

    def take(self, values: Any) -> None:
        """Looks for experts and weights among tensors: one of integers, and one of floats of its shape or with a
        column for every expert."""
        tensors = tensors_in(values)
        ids = [x for x in tensors if not x.is_floating_point() and x.dim() > 1 and x.shape[-1] == self.chosen]
        if len(ids) != 1 or self.ids is not None and not same_choice(self.ids, ids[0]):
            return
        floats = [x for x in tensors if x.is_floating_point()]
        same = [x for x in floats if x.shape == ids[0].shape]
        wide = [x for x in floats if x.shape == (*ids[0].shape[:-1], self.experts)]
        self.ids = ids[0]
        self.weights = same[-1] if same else wide[-1].gather(-1, ids[0]) if wide else self.weights

    def take_wide(self, values: Any) -> None:
        """Weights of a router that names no experts: beside its scores, a tensor with a column for every expert."""
        tensors = tensors_in(values)
        if self.ids is None or not all(x.is_floating_point() for x in tensors):
            return
        shape = (*self.ids.shape[:-1], self.experts)
        wide = [x for x in tensors if x is not self.scores and x.shape == shape]
        self.weights = wide[0].gather(-1, self.ids) if len(wide) == 1 else self.weights

    # Hooks of the block, its router and its experts.

    def start(self, *_: Any) -> None:
        self.__enter__()
        self.is_watching = True

    def enter_router(self, *_: Any) -> None:
        self.in_router = True

    def leave_router(self, module: nn.Module, args: Any, output: Any) -> None:
        self.in_router = False
        self.take(output)
        self.take_wide(output)

    def enter_experts(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self.take((*args, *kwargs.values()))
        self.is_settled = True

    def stop(self) -> None:
        """Called also where the block failed before it was watched."""
        if self.is_watching:
            self.__exit__(None, None, None)
        self.is_watching = False


# --- hooks ---

def hidden(args: Any, kwargs: dict[str, Any]) -> Tensor:
    """What a block reads."""
    return args[0] if args else kwargs["hidden_states"]


class Recorder:
    """The hooks on a model, and a copy of each tap that it has shown."""

    def __init__(self, model: nn.Module, bundle: Bundle, names: Mapping[str, str], slices: Mapping[str, str]) -> None:
        self.model, self.bundle, self.modules = model, bundle, find_modules(model, names)
        self.places = {tap: Place(text) for tap, text in slices.items()}
        self.slices = {tap: text for tap, text in slices.items() if tap != "*"}
        self.taps: dict[str, Tensor] = {}
        self.seen: set[str] = set()
        self.fed: dict[str, bool] = {}  # by tap: has it been read?
        self.handles: list[Any] = []
        self.wanted = [tap for tap in bundle.taps if not self.is_elsewhere(tap)]

    def is_elsewhere(self, tap: str) -> bool:
        """Is it another pipeline stage's?  Then a module without weights stands for its layer."""
        layer = 0 if tap == "embed" else layer_of(tap)
        modules = self.modules.get(tap if layer is None else f"layers.{layer}.out", [])
        return tap != "logits" and bool(modules) and all(next(m.parameters(), None) is None for m in modules)

    def place_of(self, tap: str) -> Place:
        return self.places.get(tap) or self.places.get("*") or Place("")

    # Keeping.

    def keep(self, tap: str, x: Tensor) -> None:
        """Copies a tensor to the host: the only copy there is of it."""
        if tap in self.seen:
            raise CaptureError(f"{tap}: seen twice; expected one pass of the model")
        self.seen.add(tap)
        place = self.place_of(tap)
        shards = shards_of(tap, x) if hasattr(x, "placements") else None
        if shards is not None and place.ranges:
            raise CaptureError(f"{tap}: a slice is declared, but the tensor is a DTensor and says its own")
        x = local(x)
        if shards is not None:
            self.slices[tap] = ",".join(f"{r.start}:{r.stop}" for r in shards)
        size = place.size(self.bundle.rows, self.bundle.tokens, self.bundle.columns[tap])
        if shards is None and x.numel() != size:
            raise CaptureError(f"{tap}: expected {size} values on this rank, found {x.numel()} in {list(x.shape)}")
        if shards is None and x.dim() > 3:  # streams, one behind the other in the golden
            x = x.flatten(2)
        if x.numel() > 0:
            self.taps[tap] = torch.empty(x.shape, dtype=x.dtype).copy_(x.detach())

    def add(self, tap: str, x: Tensor) -> None:
        """Adds to what is kept: the tap is the sum of what several modules give."""
        if tap not in self.taps:
            self.keep(tap, x)
        elif x.shape != self.taps[tap].shape or hasattr(x, "placements"):
            raise CaptureError(f"{tap}: expected whole values to add, {list(self.taps[tap].shape)}, found {list(x.shape)}"
                               + ", a DTensor" * hasattr(x, "placements"))
        else:
            self.taps[tap] += x.detach().to(self.taps[tap].device)

    def keep_output(self, tap: str, is_sum: bool = False) -> Callable[..., None]:
        keep = self.add if is_sum else self.keep
        return lambda module, args, output: keep(tap, tensors_in(output)[0])

    def keep_input(self, tap: str) -> Callable[..., None]:
        return lambda module, args, kwargs: self.keep(tap, hidden(args, kwargs))

    def keep_logits(self, module: nn.Module, args: Any, output: Any) -> None:
        """What production returns, behind whatever follows the head."""
        for logits in tensors_in(getattr(output, "logits", output))[:1]:
            self.keep("logits", logits)

    def keep_routing(self, prefix: str, routing: Routing) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            routing.stop()
            for tap, x in (("topk_idx", routing.ids), ("topk_weight", routing.weights)):
                if x is not None:
                    self.keep(prefix + tap, x)
            routing.ids = routing.weights = routing.scores = None  # the model's own: they would live as long as the hooks

        return hook

    # Feeding.

    def feed(self, tap: str, modules: list[nn.Module]) -> None:
        """Gives the modules the golden's values of a tap in place of what they are called with."""

        def hook(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
            x = hidden(args, kwargs)
            whole = self.bundle.tensor(tap).reshape(self.bundle.rows, self.bundle.tokens, -1)
            part = self.place_of("*").of(whole)
            if part.numel() != x.numel():
                raise CaptureError(f"{tap}: cannot be fed: expected a block that reads {part.numel()} values, found one "
                                   f"that reads {x.numel()}, {list(x.shape)}")
            fed = part.reshape(x.shape).to(x)
            self.fed[tap] = True
            return ((fed, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": fed})

        self.fed.setdefault(tap, False)
        for module in modules:
            self.before(module, hook)

    def check_prompt(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        """The model must read the bundle's tokens."""
        inputs = self.bundle.inputs()
        expected = self.place_of("*").of(inputs["input_ids"])
        given = kwargs.get("input_ids", args[0] if args else None)
        if given is None or given.shape != expected.shape:
            found = "none" if given is None else list(given.shape)
            raise CaptureError(f"input_ids: expected the bundle's, {list(expected.shape)}, found {found}")
        for b, t in (given.cpu() != expected).nonzero()[:1].tolist():
            raise CaptureError(f"input_ids: expected the bundle's, row {b}, position {t}: expected token "
                               f"{expected[b, t]}, found {given[b, t]}")
        if "attention_mask" in inputs and kwargs.get("attention_mask") is None:
            raise CaptureError("attention_mask: expected the bundle's, found none")

    # Hooks.

    def before(self, module: nn.Module, hook: Callable[..., Any]) -> None:
        self.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(self, module: nn.Module, hook: Callable[..., Any], always: bool = False) -> None:
        self.handles.append(module.register_forward_hook(hook, always_call=always))

    def watch(self, forced: str | None) -> None:
        """Hooks on all that shows a tap; forced: "layer", "block" or None."""
        self.before(self.model, self.check_prompt)
        for tap in self.wanted:
            modules, more = self.modules.get(tap, []), self.modules.get("+" + tap, [])
            if kind_of(tap) in ("attn_out", "ffn_out", "out", "final_norm"):
                self.watch_input(tap, modules + more, forced)
                for module in modules + more:
                    self.after(module, self.keep_output(tap, is_sum=bool(more)))
                for module in self.modules.get("<" + tap, []):
                    self.before(module, self.keep_input(tap))
            elif tap == "embed":
                for module in modules:
                    self.after(module, self.keep_output(tap))
            elif kind_of(tap) == "topk_idx":
                self.watch_routing(tap.removesuffix("topk_idx"))
            elif tap == "logits":
                if forced == "block":
                    self.feed("final_norm", modules)
                self.after(self.model, self.keep_logits)

    def watch_input(self, tap: str, modules: list[nn.Module], forced: str | None) -> None:
        """What a block reads is kept where it is a tap that nothing else shows, and then replaced."""
        if kind_of(tap) in ("attn_out", "ffn_out"):
            read, is_fed = tap.replace("_out", ".norm"), forced == "block"
        else:
            layer = self.bundle.layers if tap == "final_norm" else layer_of(tap)
            read, is_fed = f"layers.{layer - 1}.out" if layer else "embed", forced is not None
        if read in self.bundle.columns:
            is_shown = kind_of(read) == "out" or read in self.modules
            for module in [] if is_shown else modules[:1]:
                self.before(module, self.keep_input(read))
            if is_fed:
                self.feed(read, modules)

    def watch_routing(self, prefix: str) -> None:
        columns = self.bundle.columns
        for block in self.modules.get(prefix + "ffn_out") or self.modules.get(prefix + "out", []):
            routing = Routing(columns[prefix + "router_logits"], columns[prefix + "topk_idx"],
                              lambda x: self.keep(prefix + "router_logits", x))
            self.before(block, routing.start)
            for router in self.modules.get(prefix + "router_logits", []):
                self.before(router, routing.enter_router)
                self.after(router, routing.leave_router)
            for experts in self.modules.get(prefix + "topk_idx", []):
                self.before(experts, routing.enter_experts)  # a list of experts is never called
            self.after(block, self.keep_routing(prefix, routing), always=True)

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()

    def check_complete(self) -> None:
        """All that the bundle needs has been seen, and what was to be fed has been read."""
        unseen = [tap for tap in self.wanted if tap not in self.seen]
        unread = [tap for tap, is_read in self.fed.items() if not is_read]
        if unseen:
            raise CaptureError(f"{len(unseen)} of {len(self.wanted)} taps were not seen, nothing is written: "
                               + ", ".join(unseen))
        if unread:
            raise CaptureError(f"expected blocks that read what is to be fed, found none for {', '.join(unread)}")


# --- the file ---

_CODES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.uint8: "U8", torch.int8: "I8"}


def write_file(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """safetensors, each tensor from where it lies: the library's writer would hold a second copy of all of them."""
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, x in tensors.items():
        begin, end = end, end + x.numel() * x.element_size()
        header[name] = {"dtype": _CODES[x.dtype], "shape": list(x.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for x in tensors.values():
                file.write(x.reshape(-1).view(torch.uint8).numpy().data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _parameters(model: nn.Module) -> int:
    """How many this rank holds: by that a plan which divided nothing is told."""
    return sum(local(parameter).numel() for parameter in model.parameters())


def _versions() -> str:
    names = ("transformers", "megatron.core", "deepspeed", "torch")
    return ", ".join(f"{name} {sys.modules[name].__version__}" for name in names if name in sys.modules)


def _here(rank: int | None, world: int | None) -> tuple[int, int]:
    """Rank and world as they are said, else torch.distributed's, else of one process."""
    group = torch.distributed
    is_group = group.is_available() and group.is_initialized()
    return (rank if rank is not None else group.get_rank() if is_group else 0,
            world if world is not None else group.get_world_size() if is_group else 1)


@contextmanager
def capture(
    model: nn.Module,
    bundle: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    forced: str | None = None,
    numerics: str | None = None,
    names: Mapping[str, str] = HF,
    slices: Mapping[str, str] | None = None,
    plan: Mapping[str, int] | None = None,
    rank: int | None = None,
    world: int | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Records one pass of the model and writes it to out/rank_NNNNN.safetensors.  Gives this rank's inputs.

    forced    "layer" or "block": feed every layer, or every block, what it reads in the bundle
    numerics  the bundle's file, as "bf16"; None: the model's type
    names     module -> tap, {l} for a layer; a|b: either
    slices    tap -> the part of it that this rank holds, "*" for all: {"*": "b=0:2"}, or {"*": deal(4, dp_rank, 2)}.
              DTensors say theirs themselves; what says nothing is whole
    plan      this rank's coordinates, {"tp": 1, "dp": 0}, for reports
    rank, world  where torch.distributed is not initialised, or is not the world of this dump

    Raises CaptureError, in the pass or after it, and then has written nothing.
    """
    if forced not in (None, "layer", "block"):
        raise CaptureError(f"forced: expected layer or block, found {forced}")
    first = next(model.parameters())
    golden = Bundle(Path(bundle), numerics or _OF_TYPE.get(first.dtype, str(first.dtype)))
    rank, world = _here(rank, world)
    recorder = Recorder(model, golden, names, slices or {})
    try:
        recorder.watch(forced)
        yield {name: recorder.place_of("*").of(x).to(first.device) for name, x in golden.inputs().items()}
    finally:
        recorder.close()
    recorder.check_complete()
    metadata = {"rank": str(rank), "world": str(world), "capture": __version__, "framework": _versions(),
                "parameters": str(_parameters(model))} | golden.marks()
    metadata |= {"plan": json.dumps(dict(plan))} if plan else {}
    metadata |= {"numerics": numerics} if numerics else {}
    metadata |= {"slice": text for tap, text in (slices or {}).items() if tap == "*"}
    metadata |= {f"slice:p0.{tap}": text for tap, text in recorder.slices.items() if tap in recorder.taps}
    metadata |= {"forced": forced, "forced_with": golden.fingerprint()} if forced else {}
    tensors = {"p0." + tap: x for tap, x in recorder.taps.items()}
    tensors |= {"p0.fed/" + tap: golden.tensor(tap) for tap in recorder.fed}
    write_file(Path(out) / f"rank_{rank:05d}.safetensors", tensors, metadata)
