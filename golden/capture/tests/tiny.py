"""A small model with the modules' names of transformers, routers of every kind, and a bundle of what it computes."""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

ROWS, TOKENS, WIDTH, EXPERTS, CHOSEN, VOCABULARY = 4, 3, 8, 5, 2, 11


class Linear(nn.Linear):
    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out, bias=False)


class Router(nn.Module):
    """returns: names of what it gives, in order."""

    def __init__(self, returns):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(EXPERTS, WIDTH))
        self.returns = returns

    def forward(self, x):
        logits = nn.functional.linear(x, self.weight)
        probabilities = logits.softmax(-1)
        weights, ids = probabilities.topk(CHOSEN, dim=-1)
        weights /= weights.sum(-1, keepdim=True)
        wide = torch.zeros_like(logits).scatter_(1, ids, weights)
        given = {"logits": logits, "probabilities": probabilities, "weights": weights, "ids": ids, "wide": wide}
        return tuple(given[name] for name in self.returns)


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(EXPERTS, WIDTH, WIDTH))

    def forward(self, x, ids, weights):
        if weights.shape[-1] == EXPERTS:
            weights = weights.gather(-1, ids)
        return (torch.einsum("nkij,nj->nki", self.weight[ids], x) * weights[..., None]).sum(1)


class Block(nn.Module):
    """A router that returns a tuple, and experts that are one module."""

    def __init__(self, returns):
        super().__init__()
        self.gate, self.experts = Router(returns), Experts()

    def forward(self, x):
        given = dict(zip(self.gate.returns, self.gate(x.reshape(-1, WIDTH))))
        weights = given["wide"] if "wide" in given else given["weights"]
        return self.experts(x.reshape(-1, WIDTH), given["ids"], weights).view(x.shape)


class WideRouter(Router):
    """Names no experts; the weights get their size where they lie among those of all experts."""

    def forward(self, x):
        wide, logits = super().forward(x)
        return 2.0 * wide, logits


class WideBlock(Block):
    """Every expert works for every token, most with weight 0."""

    def __init__(self):
        super().__init__(())
        self.gate = WideRouter(("wide", "logits"))

    def forward(self, x):
        flat = x.reshape(-1, WIDTH)
        return torch.einsum("eij,nj,ne->ni", self.experts.weight, flat, self.gate(flat)[0]).view(x.shape)


class PlainBlock(nn.Module):
    """A router that is a linear layer, and a list of experts: the choice is the block's own."""

    def __init__(self):
        super().__init__()
        self.gate = Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(Linear(WIDTH, WIDTH) for _ in range(EXPERTS))

    def forward(self, x):
        flat = x.reshape(-1, WIDTH)
        weights, ids = torch.topk(self.gate(flat).softmax(-1), CHOSEN, dim=-1)
        weights = 2.0 * weights / weights.sum(-1, keepdim=True)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            token, k = torch.where(ids == e)
            out.index_add_(0, token, expert(flat[token]) * weights[token, k, None])
        return out.view(x.shape)


class Layer(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.self_attn, self.mlp = Linear(WIDTH, WIDTH), block

    def forward(self, hidden_states):
        x = hidden_states
        x = x + self.self_attn(x.tanh())
        return x + self.mlp(x.tanh())


class Beside(Layer):
    """A shared expert that the layer adds."""

    def __init__(self, block):
        super().__init__(block)
        self.shared_mlp = Linear(WIDTH, WIDTH)

    def forward(self, hidden_states):
        x = hidden_states + self.self_attn(hidden_states.tanh())
        return x + self.mlp(x.tanh()) + self.shared_mlp(x.tanh())


class Branches(Layer):
    """A dense branch and one of experts, which the layer calls; a norm reads their sum."""

    def __init__(self):
        super().__init__(Linear(WIDTH, WIDTH))
        self.router, self.experts, self.post_feedforward_layernorm = Router(TRIPLE), Experts(), nn.LayerNorm(WIDTH)

    def branches(self, x):
        _, weights, ids = self.router(x.reshape(-1, WIDTH))
        return self.mlp(x.tanh()) + self.experts(x.sin().reshape(-1, WIDTH), ids, weights).view(x.shape)

    def forward(self, hidden_states):
        x = hidden_states + self.self_attn(hidden_states.tanh())
        return x + self.post_feedforward_layernorm(self.branches(x))


class Body(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(Layer(block) for block in blocks)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, input_ids):
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(hidden_states=x)
        return self.norm(x)


class Model(nn.Module):
    def __init__(self, *blocks):
        super().__init__()
        self.model, self.lm_head = Body(blocks), Linear(WIDTH, VOCABULARY)

    def forward(self, input_ids):
        return self.lm_head(self.model(input_ids)) / 3.0


TRIPLE = ("logits", "weights", "ids")


def make(*blocks):
    torch.manual_seed(1)
    return Model(*(blocks or (Block(TRIPLE), PlainBlock())))


def prompt():
    return torch.arange(ROWS * TOKENS).reshape(ROWS, TOKENS) % VOCABULARY


def computed(model, ids):
    """The taps, computed from the model's parts without a hook."""
    body, taps = model.model, {}
    x = taps["embed"] = body.embed_tokens(ids)
    for i, layer in enumerate(body.layers):
        at = f"layers.{i}."
        taps[at + "attn.norm"] = x.tanh()
        taps[at + "attn_out"] = layer.self_attn(x.tanh())
        x = x + taps[at + "attn_out"]
        taps[at + "ffn.norm"] = x.tanh()
        flat = x.tanh().reshape(-1, WIDTH)
        taps[at + "router_logits"] = flat @ layer.mlp.gate.weight.T
        weights, taps[at + "topk_idx"] = taps[at + "router_logits"].softmax(-1).topk(CHOSEN, dim=-1)
        factor = 2.0 if isinstance(layer.mlp, (PlainBlock, WideBlock)) else 1.0
        taps[at + "topk_weight"] = factor * weights / weights.sum(-1, keepdim=True)
        taps[at + "ffn_out"] = layer.mlp(x.tanh())
        x = taps[at + "out"] = x + taps[at + "ffn_out"]
    taps["final_norm"] = body.norm(x)
    taps["logits"] = model.lm_head(taps["final_norm"]) / 3.0
    return taps


@torch.no_grad()
def bundle(folder: Path, model, mask=None):
    """A bundle as `moeparity golden make` lays it out, as far as a capture reads it."""
    taps = {"p0." + tap: x.contiguous() for tap, x in computed(model, prompt()).items()}
    taps["p0.embed.tolerance"] = torch.zeros(ROWS * TOKENS)
    inputs = {"p0.input_ids": prompt()} | ({"p0.attention_mask": mask} if mask is not None else {})
    folder.mkdir()
    save_file(taps, folder / "fp32.safetensors")
    save_file(inputs, folder / "input.safetensors")
    about = {name: {"shape": list(x.shape)} for name, x in taps.items()}
    manifest = {
        "taps": "coarse", "numerics": {"fp32": {"file": "fp32.safetensors"}}, "weights": {"xxh3": "77"},
        "batch": {"file": "input.safetensors", "rows": ROWS, "tokens": TOKENS},
        "files": {"fp32.safetensors": {"xxh3": "55", "tensors": about}, "input.safetensors": {"xxh3": "66"}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
