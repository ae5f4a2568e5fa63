"""Megatron-Core: the emitted line through its own parser and checks, its parallel_state, layer, expert, vocabulary and row code."""
import contextlib
import copy
import io
import logging
import os
import sys
import types
import typing

import torch

import parts

typing.override = getattr(typing, "override", lambda method: method)  # Python 3.11

from megatron.core import parallel_state
from megatron.core.tensor_parallel.layers import _initialize_affine_weight_cpu
from megatron.core.tensor_parallel.utils import VocabUtility
from megatron.core.transformer import attention
from megatron.core.utils import divide
from megatron.core.transformer.transformer_block import get_num_layers_to_build
from megatron.core.transformer.transformer_layer import get_transformer_layer_offset
from megatron.training import arguments
from megatron.training.datasets.data_samplers import MegatronPretrainingSampler
from megatron.training.vocab_utils import calculate_padded_vocab_size

arguments.get_device_arch_version = lambda: 10
logging.disable(logging.INFO)

KINDS = {"TENSOR_MODEL_PARALLEL_GROUP": "tp", "PIPELINE_MODEL_PARALLEL_GROUP": "pp", "DATA_PARALLEL_GROUP": "dp",
         "EXPERT_MODEL_PARALLEL_GROUP": "ep", "EXPERT_TENSOR_PARALLEL_GROUP": "etp", "EXPERT_DATA_PARALLEL_GROUP": "edp"}


def parse(case):
    """Arguments as pretrain_gpt.py has them, and the configuration made of them."""
    words = [x for x in " ".join(case.line).split() if "=" not in x or x.startswith("-")]
    s = case.size
    words += f"--hidden-size 96 --ffn-hidden-size {s['F'] or 96} --moe-ffn-hidden-size {s['I']}".split()
    words += f"--num-attention-heads {s['H']} --kv-channels 8 --swiglu".split()
    words += f"--group-query-attention --num-query-groups {s['G']} --seq-length 64 --max-position-embeddings 64".split()
    words += "--tokenizer-type NullTokenizer --lr 1e-4 --train-iters 1 --transformer-impl local --mock-data".split()
    if s["S"] > 0:
        words += ["--moe-shared-expert-intermediate-size", str(s["S"])]
    os.environ.update(WORLD_SIZE=str(case.world), RANK="0")
    sys.argv = ["pretrain_gpt.py", *words]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said := io.StringIO()):
        try:
            args = arguments.parse_args()
        except SystemExit as error:
            raise ValueError(said.getvalue()[-200:]) from error
        arguments.validate_args(args)
        return args, arguments.core_transformer_config_from_args(args)


def groups(args, world):
    """What initialize_model_parallel makes, by kind."""
    made = {}

    def record(ranks=None, group_desc=None, **_):
        made.setdefault(KINDS.get(group_desc), []).append(list(ranks))
        return ranks

    before = {k: copy.copy(v) for k, v in vars(parallel_state).items() if k.startswith("_") and not k.startswith("__")}
    parallel_state.create_group = record
    dist = torch.distributed
    dist.is_initialized, dist.get_world_size, dist.get_rank = (lambda: True), (lambda *_: world), (lambda *_: 0)
    dist.get_backend = lambda *_: "gloo"
    with contextlib.redirect_stdout(io.StringIO()):
        parallel_state.initialize_model_parallel(
            args.tensor_model_parallel_size, args.pipeline_model_parallel_size,
            expert_model_parallel_size=args.expert_model_parallel_size,
            expert_tensor_parallel_size=args.expert_tensor_parallel_size, create_gloo_process_groups=False)
    vars(parallel_state).update(before)
    made.pop(None, None)
    return made


def layers(config, pp):
    """Layers of each stage; where a layout says them, the rank that asks is what counts."""
    out = {}
    for i in range(pp):
        parallel_state.get_pipeline_model_parallel_rank = lambda: i
        first = get_transformer_layer_offset(config, pp_rank=i)
        out[i] = (first, first + get_num_layers_to_build(config, pp_rank=i))
    return out


def rows_of(rank, n_rank, n, dim=0, stride=1):
    """Numbers of the rows or columns, of n numbered ones, that a parallel layer has on a rank."""
    own = divide(n, n_rank)
    weight = torch.empty((own, 1) if dim == 0 else (1, own))
    shape = (n, 1) if dim == 0 else (1, n)
    _initialize_affine_weight_cpu(weight, *shape, own, dim, lambda whole: whole.copy_(torch.arange(n).reshape(shape)),
                                  stride, rank=rank, world_size=n_rank, skip_set_tensor_parallel_attributes=True)
    return weight.flatten()


def columns(n_rank, n):
    """Of a gated MLP: gate and up are one matrix of 2 n rows, cut in strides of two."""
    out = {}
    for rank in range(n_rank):
        gate, up = rows_of(rank, n_rank, 2 * n, stride=2).chunk(2)
        assert gate.equal(up - n) and gate.equal(rows_of(rank, n_rank, n, dim=1))
        out[rank] = parts.run_of(gate.int())
    return out


def heads(tp, n_head, n_kv):
    """Its own split of numbered rows of q, k and v, group by group in the weight, as a rank computes with them."""
    out = {"heads": {}, "kv_heads": {}}
    size = 8  # rows of a head
    n_row = n_kv * (n_head // n_kv + 2) * size
    for rank in range(tp):
        own = attention.SelfAttention.__new__(attention.SelfAttention)
        few = n_kv < tp
        vars(own).update(world_size=tp, q_layernorm=None, k_layernorm=None, hidden_size_per_attention_head=size,
                         num_query_groups_per_partition=1 if few else n_kv // tp,
                         num_attention_heads_per_partition=n_head // (n_kv if few else tp),
                         pg_collection=types.SimpleNamespace(tp=rank), linear_qkv=None,
                         config=types.SimpleNamespace(num_query_groups=n_kv, test_mode=False))
        attention.apply_module = lambda _: lambda _: (rows_of(rank, tp, n_row).reshape(1, 1, -1), None)
        attention.all_gather_last_dim_from_tensor_parallel_region = lambda *_, **__: torch.arange(n_row).reshape(1, 1, -1)
        attention.get_pg_rank = lambda group: group
        q, k, v = (x.flatten()[::size].int() // size for x in own.get_query_key_value_tensors(None))
        width = n_head // n_kv + 2
        assert (k % width == width - 2).all() and k.equal(v - 1)
        out["heads"][rank] = parts.run_of(q // width * (n_head // n_kv) + q % width)
        out["kv_heads"][rank] = parts.run_of(k // width)
    return out


def built(case):
    args, config = parse(case)
    tp, pp, dp, ep = (case.degree[k] for k in ("tp", "pp", "dp", "ep"))
    padded = calculate_padded_vocab_size(args.vocab_size, args.make_vocab_size_divisible_by, tp, logging_enabled=False)
    n_local = config.num_moe_experts // ep
    mb = args.global_batch_size // (args.micro_batch_size * dp)
    rows = {d: [m[0] for m in MegatronPretrainingSampler(args.global_batch_size, 0, 1, d, dp)] for d in range(dp)}
    assert all(len(r) == mb == case.degree["mb"] for r in rows.values())
    owned = heads(tp, case.size["H"], case.size["G"]) | parts.inner(case, columns)
    return owned | {"groups": groups(args, case.world), "layers": layers(config, pp),
            "experts": {i: range(i * n_local, (i + 1) * n_local) for i in range(ep)},
            "vocabulary": {t: VocabUtility.vocab_range_from_global_vocab_size(padded, t, tp) for t in range(tp)}, "rows": rows}
