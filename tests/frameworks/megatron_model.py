"""Megatron-Core's own GPTModel with a checkpoint's weights, on a golden's tokens, through the package's pipeline schedule.

    torchrun --nproc-per-node N tests/frameworks/megatron_model.py CHECKPOINT GOLDEN DUMP
             --pp P [--tp T] [--ep E] [--dispatcher allgather|alltoall]

Every row is a micro-batch; rows are dealt over the N/(P*T) data-parallel ranks, columns of the logits over the T ranks of
tensor parallelism, and nothing else: torch's norms, which the package takes for want of a GPU's, refuse sequence parallelism.
"""
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch.overrides import TorchFunctionMode

from ffn import Model
from layers import Bundle, Dump
from moeparity_capture import Place, deal
from megatron_moe import arguments, choice, config_of, load, on_cpu, watch

Seen = dict[str, list[torch.Tensor]]  # by tap, of every micro-batch: [positions, rows, columns]


class DeviceIsCpu(TorchFunctionMode):
    """The schedule makes tensors on the device "cuda"."""

    def __torch_function__(self, function, types, args=(), named=None):
        named = named or {}
        return function(*args, **(named | {"device": "cpu"} if named.get("device") == "cuda" else named))


def model_of(model: Model, wanted, positions: int):
    from megatron.core import parallel_state as state
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_decoder_block_spec

    config = config_of(
        model, wanted, sequence_parallel=False, pipeline_model_parallel_size=wanted.pp, pipeline_dtype=torch.float32,
        num_query_groups=model.config["num_key_value_heads"], normalization="RMSNorm",
        layernorm_epsilon=model.config["rms_norm_eps"], add_qkv_bias=model.get("qkv_bias", default=False),
        attention_dropout=0.0, hidden_dropout=0.0)
    return GPTModel(
        config, get_gpt_decoder_block_spec(config, use_transformer_engine=False, normalization="RMSNorm"),
        model.config["vocab_size"], positions, pre_process=state.is_pipeline_first_stage(),
        post_process=state.is_pipeline_last_stage(), position_embedding_type="rope",
        rotary_base=model.config["rope_theta"],
        share_embeddings_and_output_weights=model.config["tie_word_embeddings"]).eval()


def queries_keys_values(weights: dict[str, torch.Tensor], prefix: str, kind: str, groups: int) -> torch.Tensor:
    """Group by group: its queries, its key, its value."""
    parts = (weights[f"{prefix}.{name}_proj.{kind}"].chunk(groups) for name in "qkv")
    return torch.cat([x for group in zip(*parts) for x in group])


def load_model(gpt, model: Model, weights: dict[str, torch.Tensor], wanted, tp: int) -> None:
    """This stage's, of which this rank holds heads, rows of the vocabulary and experts."""
    if gpt.pre_process:
        gpt.embedding.word_embeddings.weight.copy_(weights["model.embed_tokens.weight"].chunk(wanted.tp)[tp])
    for layer in gpt.decoder.layers:
        at = f"model.layers.{layer.layer_number - 1}"
        for name, parameter in layer.self_attention.linear_qkv.named_parameters():
            whole = queries_keys_values(weights, at + ".self_attn", name, model.config["num_key_value_heads"])
            parameter.copy_(whole.chunk(wanted.tp)[tp])
        layer.self_attention.linear_proj.weight.copy_(weights[at + ".self_attn.o_proj.weight"].chunk(wanted.tp, 1)[tp])
        layer.input_layernorm.weight.copy_(weights[at + ".input_layernorm.weight"])
        layer.pre_mlp_layernorm.weight.copy_(weights[at + ".post_attention_layernorm.weight"])
        load(layer.mlp, model.weights[layer.layer_number - 1], wanted, 0)
    if gpt.post_process:
        head = "model.embed_tokens" if gpt.share_embeddings_and_output_weights else "lm_head"
        gpt.decoder.final_layernorm.weight.copy_(weights["model.norm.weight"])
        gpt.output_layer.weight.copy_(weights[head + ".weight"].chunk(wanted.tp)[tp])


def record(gpt, seen: Seen) -> None:
    """Hooks on this stage's modules.  Copies: the package adds the residual to what a block returns where it lies."""
    def keep(tap: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(
            lambda _, args, out: seen.setdefault(tap, []).append((out[0] if isinstance(out, tuple) else out).clone()))

    def keep_routing(at: str, routing: dict[str, torch.Tensor], mlp, args, out) -> None:
        chosen = choice(routing, mlp.config.moe_router_topk)
        for tap, x in zip(("router_logits", "topk_idx", "topk_weight"), (routing["logits"], *chosen)):
            seen.setdefault(at + tap, []).append(x.reshape(*args[0].shape[:2], -1))

    if gpt.pre_process:
        keep("embed", gpt.embedding)
    for layer in gpt.decoder.layers:
        at, routing = f"layers.{layer.layer_number - 1}.", {}
        for tap, module in (("attn_out", layer.self_attention), ("ffn_out", layer.mlp), ("out", layer)):
            keep(at + tap, module)
        watch(layer.mlp, routing)
        layer.mlp.register_forward_hook(partial(keep_routing, at, routing))
    if gpt.post_process:
        keep("final_norm", gpt.decoder.final_layernorm)
        keep("logits", gpt.output_layer)


def forward_step(rows: Iterator[torch.Tensor], gpt):
    """What the schedule calls for each micro-batch: the model's output, and what becomes of it."""
    ids = next(rows)
    positions = torch.arange(ids.shape[1])
    later = positions > positions[:, None]
    return gpt(ids, positions[None], later[None, None]), lambda logits, non_loss_data: None


def main() -> None:
    wanted = arguments("pp")
    dist.init_process_group("gloo")
    on_cpu()
    torch.cuda.synchronize, torch.Tensor.cuda = lambda: None, lambda x: x
    from megatron.core import parallel_state as state
    from megatron.core.pipeline_parallel import get_forward_backward_func

    state.initialize_model_parallel(tensor_model_parallel_size=wanted.tp, pipeline_model_parallel_size=wanted.pp,
                                    expert_model_parallel_size=wanted.ep, expert_tensor_parallel_size=wanted.etp)
    model, bundle, tp = Model(wanted.checkpoint), Bundle(wanted.golden), state.get_tensor_model_parallel_rank()
    dump, seen = Dump(bundle), {}
    rows = range(bundle.rows)[Place(deal(bundle.rows, state.get_data_parallel_rank(),
                                         state.get_data_parallel_world_size())).ranges["b"]]
    gpt = model_of(model, wanted, bundle.tokens)
    with torch.no_grad(), DeviceIsCpu():
        load_model(gpt, model, load_file(Path(wanted.checkpoint) / "model.safetensors"), wanted, tp)
        record(gpt, seen)
        get_forward_backward_func()(
            forward_step_func=forward_step, data_iterator=iter(torch.from_numpy(bundle.input_ids()[rows]).split(1)), model=gpt,
            num_microbatches=len(rows), seq_length=bundle.tokens, micro_batch_size=1, forward_only=True,
            collect_non_loss_data=True)
    for tap, parts in seen.items():
        x = torch.cat(parts, 1).detach().transpose(0, 1)
        dump.keep(tap, x.numpy(), rows, range(bundle.tokens), tp * x.shape[2] if tap == "logits" else 0)
    dump.write(wanted.dump, dist.get_rank(), dist.get_world_size(),
               f"megatron.core {version('megatron-core')}, torch {torch.__version__}",
               sum(weight.numel() for weight in gpt.parameters()),
               {"pp": state.get_pipeline_model_parallel_rank(), "tp": tp, "ep": state.get_expert_model_parallel_rank(),
                "dp": state.get_data_parallel_rank()})
    dist.barrier()
    dist.destroy_process_group()


main()
