"""What the systems' modules share."""
import ast
import os
import sys

import torch


def path_of(file):
    """A file of an unpacked package, by its path there."""
    for folder in sys.path:
        if os.path.exists(os.path.join(folder, file)):
            return os.path.join(folder, file)
    raise FileNotFoundError(file)


def cut_out(file, names, **given):
    """Functions of a source, run without the rest of it, which wants a GPU: what they refer to is given."""
    with open(path_of(file)) as source:
        text = source.read()
    spaces = dict(given)
    for node in ast.parse(text).body:
        is_wanted = isinstance(node, ast.FunctionDef) and node.name in names
        is_wanted |= isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names
        is_wanted |= isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") in names
        if is_wanted:
            exec("from __future__ import annotations\n" + ast.get_source_segment(text, node), spaces)
    missing = [name for name in names if name not in spaces]
    assert not missing, f"{file} has no {missing}"
    return spaces


def cut_class(file, name, methods, base=object, **given):
    """A class of a source with these of its methods alone, on another base."""
    with open(path_of(file)) as source:
        node = ast.parse(source.read())
    for part in name.split("."):
        node = next(n for n in node.body if isinstance(n, ast.ClassDef) and n.name == part)
    node.body = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name in methods]
    assert {n.name for n in node.body} == set(methods), f"{file}: {name} has other methods"
    node.bases, node.keywords, node.decorator_list = [ast.Name("base_of_it", ast.Load())], [], []
    space = {"torch": torch, "base_of_it": base, **given}
    exec("from __future__ import annotations\n" + ast.unparse(node), space)
    return space[node.name]


class Base:
    """Stands for the base of a layer: it makes nothing."""

    def __init__(self, **_):
        pass

    def _initialize_partition(self, **_):
        pass


def run_of(numbers):
    """[first, end) of numbers that must be one run."""
    numbers = numbers.flatten().tolist()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"no run: {numbers[:20]}"
    return numbers[0], numbers[-1] + 1


def heads_of(make, n_rank, n_head, n_kv):
    """Heads and kv heads of each rank: a weight of numbered heads goes through the loader of make(rank), a layer for q, k and v."""
    heads, kv_heads = {}, {}
    for rank in range(n_rank):
        layer = make(rank)
        weight = torch.full((layer.num_heads + 2 * layer.num_kv_heads, 1), -1)
        weight.output_dim = 0
        for kind, n in (("q", n_head), ("k", n_kv), ("v", n_kv)):
            layer.weight_loader(weight, torch.arange(n).reshape(-1, 1), kind)
        q, k, v = weight.split((layer.num_heads, layer.num_kv_heads, layer.num_kv_heads))
        assert k.equal(v)
        heads[rank], kv_heads[rank] = run_of(q), run_of(k)
    return {"heads": heads, "kv_heads": kv_heads}


def columns_of(load_gate_up, load_down, n_rank, n):
    """Inner columns of each rank, of n numbered ones that go through load_gate_up(rank, weight, whole, 0 or 1) and load_down(rank, weight, whole)."""
    out, whole = {}, torch.arange(n).reshape(-1, 1)
    for rank in range(n_rank):
        gate_up, down = torch.full((2 * n // n_rank, 1), -1), torch.full((1, n // n_rank), -1)
        gate_up.output_dim, down.input_dim = 0, 1
        for i in range(2):
            load_gate_up(rank, gate_up, whole, i)
        load_down(rank, down, whole.T)
        gate, up = gate_up.chunk(2)
        assert gate.equal(up) and gate.equal(down.T)
        out[rank] = run_of(gate)
    return out


def inner(case, columns, experts=None):
    """Inner columns of dense layers and shared experts over tensor ranks, of experts over theirs, where the model has them."""
    sizes = (("dense_inner", "F", "tp", columns), ("shared_inner", "S", "tp", columns), ("inner", "I", "etp", experts or columns))
    return {key: of(case.degree[axis], case.size[size]) for key, size, axis, of in sizes if case.size[size] > 0}


def runs(lengths):
    out, first = {}, 0
    for i, n in enumerate(lengths):
        out[i] = (first, first + n)
        first += n
    return out
