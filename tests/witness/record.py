"""Runs a model on a prompt and keeps what passes its observation points."""
from typing import Any

import torch
from torch import nn

from build import State, says, wide
from case import Case, Family, Settings
from wide import Wide

Taps = dict[str, torch.Tensor]


def _first(value: Any) -> torch.Tensor:
    return value[0] if isinstance(value, tuple) else value


def _found(layer: nn.Module, paths: tuple[str, ...]) -> list[nn.Module]:
    """The submodules of these paths that the layer has."""
    modules = dict(layer.named_modules())
    return [modules[path] for path in paths if path in modules]


class Recorder:
    """Hooks on one model; taps holds what the last pass showed."""

    def __init__(self, model: nn.Module, family: Family) -> None:
        self.taps: Taps = {}
        self.family = family
        layers = model.get_submodule(family.layers)
        layers[0].register_forward_pre_hook(self._embed, with_kwargs=True)
        model.get_submodule(family.norm).register_forward_hook(self._keep("final_norm"))
        for i, layer in enumerate(layers):
            prefix = f"layers.{i}."
            layer.register_forward_hook(self._keep(prefix + "out"))
            for tap, paths in (("attn_out", self._mixers(layer)), ("ffn_out", self._ffns(layer))):
                for module in paths:
                    module.register_forward_hook(self._add(prefix + tap))
            for module in _found(layer, (family.router,)):
                module.register_forward_hook(self._router(prefix))
            for module in [] if family.weights_inputs else _found(layer, (family.experts,)):
                module.register_forward_pre_hook(self._choices(prefix, self._sum_factor(layer)))

    def _is_mixer(self, layer: nn.Module) -> bool:
        """Blocks of one sublayer call it `mixer`, whatever it is."""
        return getattr(layer, "block_type", None) in ("linear_attention", "full_attention")

    def _mixers(self, layer: nn.Module) -> list[nn.Module]:
        found = _found(layer, self.family.mixer)
        return found if self.family.mixer != self.family.ffn or self._is_mixer(layer) else []

    def _ffns(self, layer: nn.Module) -> list[nn.Module]:
        found = _found(layer, self.family.ffn)
        return found if self.family.mixer != self.family.ffn or not self._is_mixer(layer) else []

    def _embed(self, module, args, kwargs) -> None:
        x = args[0] if args else kwargs["hidden_states"]
        self.taps["embed"] = (x if x.dim() == 3 else x[:, :, 0]).clone()  # of equal streams, one

    def _keep(self, name: str):
        def hook(module, args, output):
            self.taps[name] = _first(output).clone()

        return hook

    def _add(self, name: str):
        def hook(module, args, output):
            value = _first(output)
            self.taps[name] = self.taps[name] + value if name in self.taps else value.clone()

        return hook

    def _router(self, prefix: str):
        def hook(module, args, output):
            """Raw scores: what the router gives, or, where that is something else, its product."""
            x = args[0].reshape(-1, args[0].shape[-1])
            product = nn.functional.linear(x, module.weight.to(x.dtype), getattr(module, "bias", None))
            given = _first(output)
            same = given.shape == product.shape and torch.allclose(given, product, rtol=1e-4, atol=1e-5)
            self.taps[prefix + "router_logits"] = (given if same else product).clone()
            if self.family.weights_inputs:  # one score per expert, 0 where it is not chosen
                n_chosen = int((given[0] != 0.0).sum())
                weight, chosen = given.topk(n_chosen, dim=-1)
                self.taps[prefix + "topk_idx"], self.taps[prefix + "topk_weight"] = chosen, weight

        return hook

    def _sum_factor(self, layer: nn.Module) -> float:
        return getattr(_found(layer, self.family.ffn)[0], self.family.sum_factor) if self.family.sum_factor else 1.0

    def _choices(self, prefix: str, factor: float):
        def hook(module, args):
            self.taps[prefix + "topk_idx"] = args[1].clone()
            self.taps[prefix + "topk_weight"] = args[2] * factor

        return hook

    def run(self, case: Case, model: nn.Module, ids: torch.Tensor) -> Taps:
        self.taps = {}
        with torch.no_grad():
            logits = says(case, model, ids)
        shape = self.taps["embed"].shape
        for name in self.taps:
            if name.endswith(("attn_out", "ffn_out")):  # some are given as rows of tokens
                self.taps[name] = self.taps[name].reshape(shape)
        return self.taps | {"logits": logits}


def check_residual(taps: Taps, n_layer: int, multiplier: float) -> None:
    """Each layer's output is its input plus what its two sublayers gave: else a hook is on the wrong module."""
    x = taps["embed"]
    for i in range(n_layer):
        added = sum(taps[key] for key in (f"layers.{i}.attn_out", f"layers.{i}.ffn_out") if key in taps)
        out = taps[f"layers.{i}.out"]
        error = (x + multiplier * added - out).abs().max().item()
        if not error < 1e-4:
            raise RuntimeError(f"layers.{i}.out: input and sublayers leave {error} unexplained")
        x = out


def modules_of(case: Case, settings: Settings, state: State, ids: torch.Tensor) -> Taps:
    """What every module gives for one prompt, in float64: for whoever looks where two texts part."""
    model = wide(case, settings, state)
    given: Taps = {}

    def hook_for(name: str):
        def hook(module, args, output):
            for i, value in enumerate(output if isinstance(output, tuple) else (output,)):
                if isinstance(value, torch.Tensor) and not value.is_complex():
                    given[name if i == 0 else f"{name}:{i}"] = value.detach().clone().contiguous()

        return hook

    for name, module in model.named_modules():
        if name:
            module.register_forward_hook(hook_for(name))
    with Wide(), torch.no_grad():
        says(case, model, ids)
    return given
