"""Command line of scripts/gguf: the GGUF files of tests/data/gguf and of the fuzz target.

    CONVERTER   the folder vendor/llama.cpp of the source package of llama-cpp-python
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import convert

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data/gguf"
ORACLE = ROOT / "golden/data/oracle"
CASES = {"mixtral/leftpad": "MOSTLY_BF16", "granitemoe/biased": "ALL_F32", "deepseek_v2/greedy": "ALL_F32",
         "jamba/biased": "ALL_F32", "glm4_moe/groups": "MOSTLY_BF16", "dots1/biased": "MOSTLY_BF16",
         "gpt_oss/plain": "MOSTLY_BF16", "llama4/every_layer": "ALL_F32", "minimax_m2/tied": "MOSTLY_BF16",
         "qwen3_vl_moe/tied": "MOSTLY_BF16", "ernie4_5_moe/no_shared": "MOSTLY_BF16", "exaone_moe/few": "MOSTLY_BF16",
         "bailing_moe/as_glm4": "MOSTLY_BF16", "glm4v_moe/one_group": "MOSTLY_BF16",
         "deepseek_v32/yarn_groups": "MOSTLY_BF16", "glm_moe_dsa/shared_index": "MOSTLY_BF16",
         "solar_open/yarn_groups": "MOSTLY_BF16", "qwen3_5_moe/wrapped": "MOSTLY_BF16",
         "kimi_linear/mixed": "MOSTLY_BF16"}
SPLIT = "olmoe/biased"
LLAMA3 = "llama4/every_layer"  # with the scaling of Llama 3


def blocks(gguf):
    """Each format, and what the gguf package makes of its bytes."""
    import quantised
    from safetensors.numpy import save_file
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(DATA / "blocks.gguf", "blocks")
    values = {}
    for name in "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K MXFP4".split():
        kind = gguf.GGMLQuantizationType[name]
        data, values[name] = quantised.tensor(rng, kind, (2, 512))
        writer.add_tensor(name, data, raw_dtype=kind)
    finish(writer)
    save_file(values, DATA / "blocks.safetensors")


def finish(writer):
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        write()


def old_form(gguf, source, out):
    """The same file with a tensor for each expert, as before 2024, over two files."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(out, reader.get_field("general.architecture").contents(), split_max_tensors=40)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            writer.add_key_value(key, field.contents(), field.types[0])
    for t in reader.tensors:
        if "_exps." in t.name:
            for e, part in enumerate(t.data):
                writer.add_tensor(t.name.replace("_exps.", f".{e}."), part)
        else:
            writer.add_tensor(t.name, t.data)
    finish(writer)


def seeds(gguf):
    """Small files for tests/fuzz: types of values, block formats, a model."""
    import quantised
    rng = np.random.default_rng(3)
    out = ROOT / "tests/fuzz/seeds"
    writer = gguf.GGUFWriter(out / "gguf_values", "qwen3moe")
    for name in "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32 float64".split():
        getattr(writer, "add_" + name)("k." + name, 3)
    writer.add_bool("k.bool", True)
    writer.add_array("k.texts", ["a", "bc"])
    writer.add_array("k.numbers", [1, 2, 3])
    writer.add_custom_alignment(64)
    for kind in gguf.GGMLQuantizationType:
        if kind.name in "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K MXFP4".split():
            writer.add_tensor(kind.name, quantised.tensor(rng, kind, (1, 256))[0], raw_dtype=kind)
    finish(writer)
    for arch, more in ARCHS.items():
        writer = gguf.GGUFWriter(out / f"gguf_{arch}", arch)
        for key, value in (COUNTS | more["keys"]).items():
            writer.add_array(f"{arch}.{key}", value) if isinstance(value, list) else writer.add_uint32(f"{arch}.{key}", value)
        writer.add_layer_norm_rms_eps(1e-5)
        for name, shape in (TENSORS | more["tensors"]).items():
            writer.add_tensor(name, np.full(shape, -1, np.float32))
        for name, shape in more.get("blocks", {}).items():
            writer.add_tensor(name, quantised.tensor(rng, quantised.T.Q8_0, shape)[0], raw_dtype=quantised.T.Q8_0)
        finish(writer)


# Of the seeds that are models.
COUNTS = {"block_count": 1, "embedding_length": 8, "attention.head_count": 2, "feed_forward_length": 4, "expert_count": 2,
          "expert_used_count": 1, "vocab_size": 6, "rope.dimension_count": 4, "context_length": 16}
TENSORS = {"token_embd.weight": (6, 8), "output_norm.weight": (8,), "blk.0.attn_norm.weight": (8,),
           "blk.0.ffn_norm.weight": (8,), "blk.0.attn_q.weight": (8, 8), "blk.0.attn_k.weight": (8, 8),
           "blk.0.attn_v.weight": (8, 8), "blk.0.attn_output.weight": (8, 8), "blk.0.ffn_gate_inp.weight": (2, 8),
           "blk.0.ffn_gate_exps.weight": (2, 4, 8), "blk.0.ffn_up_exps.weight": (2, 4, 8),
           "blk.0.ffn_down_exps.weight": (2, 8, 4)}
ARCHS = {"llama": {"keys": {}, "tensors": {}},
         "deepseek2": {"keys": {"attention.key_length_mla": 6, "attention.value_length_mla": 3, "attention.kv_lora_rank": 5,
                                "expert_shared_count": 1},
                       "tensors": {"blk.0.attn_k_b.weight": (2, 5, 2), "blk.0.attn_v_b.weight": (2, 3, 5)}},
         "jamba": {"keys": {"attention.head_count_kv": [1], "ssm.conv_kernel": 4, "ssm.state_size": 2,
                            "ssm.time_step_rank": 1, "ssm.inner_size": 16},
                   "tensors": {"blk.0.ssm_a": (16, 2), "blk.0.ssm_conv1d.weight": (16, 4)}},
         # a layer of attention, a delta net with four heads in a block of columns, a layer that looks ahead
         "qwen35moe": {"keys": {"block_count": 3, "nextn_predict_layers": 1, "attention.key_length": 4,
                                "attention.recurrent_layers": [False, True, False], "expert_shared_feed_forward_length": 4,
                                "expert_feed_forward_length": 4, "ssm.conv_kernel": 2, "ssm.state_size": 4, "ssm.group_count": 2,
                                "ssm.time_step_rank": 4, "ssm.inner_size": 32},
                       "tensors": {"blk.0.attn_q.weight": (16, 8), "blk.0.attn_q_norm.weight": (4,), "blk.0.attn_k_norm.weight": (4,),
                                   "blk.1.attn_norm.weight": (8,), "blk.1.ffn_norm.weight": (8,), "blk.1.attn_qkv.weight": (48, 8),
                                   "blk.1.attn_gate.weight": (32, 8), "blk.1.ssm_beta.weight": (4, 8),
                                   "blk.1.ssm_alpha.weight": (4, 8), "blk.1.ssm_dt.bias": (4,), "blk.1.ssm_a": (4,),
                                   "blk.1.ssm_conv1d.weight": (48, 2), "blk.1.ssm_norm.weight": (8,),
                                   "blk.1.ffn_gate_inp.weight": (2, 8), "blk.1.ffn_gate_exps.weight": (2, 4, 8),
                                   "blk.1.ffn_up_exps.weight": (2, 4, 8), "blk.1.ffn_down_exps.weight": (2, 8, 4),
                                   "blk.2.nextn.eh_proj.weight": (8, 16)} |
                                  {f"blk.{i}.ffn_{name}.weight": shape for i in range(2) for name, shape in {
                                      "gate_inp_shexp": (8,), "gate_shexp": (4, 8), "up_shexp": (4, 8), "down_shexp": (8, 4)}.items()},
                       "blocks": {"blk.1.ssm_out.weight": (8, 32)}}}


def main():
    converter = Path(sys.argv[1])
    _, gguf = convert.load(converter)
    import quantised
    DATA.mkdir(exist_ok=True)
    blocks(gguf)
    seeds(gguf)
    quantised.make(DATA)
    for case, kind in CASES.items():
        convert.convert(converter, ORACLE / case, DATA / f"{case.replace('/', '__')}.gguf", kind)
    with tempfile.TemporaryDirectory() as folder:
        scaled = Path(folder) / "scaled"
        shutil.copytree(ORACLE / LLAMA3, scaled)
        config = json.loads((scaled / "config.json").read_text())
        config["text_config"] |= {"rope_theta": 100000.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192}}
        (scaled / "config.json").write_text(json.dumps(config))
        convert.convert(converter, scaled, DATA / "llama3.gguf")
        source = Path(folder) / "whole.gguf"
        convert.convert(converter, ORACLE / SPLIT, source)
        old_form(gguf, source, DATA / f"{SPLIT.replace('/', '__')}.gguf")
    for file in DATA.iterdir():
        file.chmod(0o644)


main()
