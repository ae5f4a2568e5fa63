"""Makes models of a case, narrow and wide, with given weights."""
import copy

import torch
import transformers

from case import Case, Settings
from wide import Wide

State = dict[str, torch.Tensor]


def make(case: Case, settings: Settings, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """A model with its class's own first weights, experts and attention as the plain code has them."""
    config = getattr(transformers, case.config).from_dict(copy.deepcopy(settings))  # which writes into it
    model = getattr(transformers, case.model)._from_config(
        config, dtype=dtype, attn_implementation="eager", experts_implementation="eager"
    )
    return model.eval()


def narrow(case: Case, settings: Settings, state: State) -> torch.nn.Module:
    model = make(case, settings)
    model.load_state_dict(state)
    return model


def wide(case: Case, settings: Settings, state: State) -> torch.nn.Module:
    """To be run under Wide() only."""
    with Wide():
        model = make(case, settings, torch.float64).double()
    model.load_state_dict({name: value.double() if value.is_floating_point() else value for name, value in state.items()})
    return model


def says(case: Case, model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The logits of a prompt."""
    return model.get_submodule(case.called)(input_ids=ids, attention_mask=mask, use_cache=False).logits


def logits_of(
    case: Case, settings: Settings, state: State, ids: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """What a model of these settings says in float64."""
    model = wide(case, settings, state)
    with Wide(), torch.no_grad():
        return says(case, model, ids, mask)
