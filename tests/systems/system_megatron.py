"""Megatron-Core: the emitted line through its own parser and checks, its parallel_state, layer, expert, vocabulary and row code."""
import contextlib
import copy
import io
import logging
import os
import sys
import typing

import torch

typing.override = getattr(typing, "override", lambda method: method)  # Python 3.11

from megatron.core import parallel_state
from megatron.core.tensor_parallel.utils import VocabUtility
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
    words += f"--hidden-size 96 --ffn-hidden-size 96 --num-attention-heads {s['H']} --kv-channels 8 --swiglu".split()
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


def built(case):
    args, config = parse(case)
    tp, pp, dp, ep = (case.degree[k] for k in ("tp", "pp", "dp", "ep"))
    padded = calculate_padded_vocab_size(args.vocab_size, args.make_vocab_size_divisible_by, tp, logging_enabled=False)
    n_local = config.num_moe_experts // ep
    mb = args.global_batch_size // (args.micro_batch_size * dp)
    rows = {d: [m[0] for m in MegatronPretrainingSampler(args.global_batch_size, 0, 1, d, dp)] for d in range(dp)}
    assert all(len(r) == mb == case.degree["mb"] for r in rows.values())
    return {"groups": groups(args, case.world), "layers": layers(config, pp),
            "experts": {i: range(i * n_local, (i + 1) * n_local) for i in range(ep)},
            "vocabulary": {t: VocabUtility.vocab_range_from_global_vocab_size(padded, t, tp) for t in range(tp)}, "rows": rows}
