"""Prompt tokens/s of `moeparity run --plan tp=1 --numerics fp32` beside llama.cpp's, in turn, on the same weights.

    python3 tests/bench/against_llama.py FOLDER PROGRAM [--layers 4] [--tokens 16,128,512] [--rounds 3]

Makes two GGUF files of OLMoE's widths in FOLDER, 4 of its 16 layers: random blocks of Q4_K, and what they stand for as F32
(7 GB).  Ours reads the Q4_K file; llama.cpp both.  Starting, reading files and making weights count for neither.
Needs numpy, gguf and llama-cpp-python; 16 GB of memory for 4 layers.  Not part of CI.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

BLOCK, BLOCK_BYTES = 256, 144  # of Q4_K


class Sizes(NamedTuple):
    """Of a model of OLMoE's kind; its own, unless said otherwise. Widths are whole blocks."""

    width: int = 2048
    inner: int = 1024
    experts: int = 64
    chosen: int = 8
    heads: int = 16
    vocabulary: int = 50304


def blocks(rng, *shape):
    """Random Q4_K blocks of mean 0 and deviation 0.02: d sc q - dmin m, sc and m of 6 bits, q of 4."""
    n = int(np.prod(shape)) // BLOCK
    out = rng.integers(0, 256, (n, BLOCK_BYTES), dtype=np.uint8)
    d = 0.02 / 259
    out[:, :4] = np.array([d, 7.5 * d], np.float16).view(np.uint8)
    return out.reshape(*shape[:-1], shape[-1] // BLOCK * BLOCK_BYTES)


def matrices(n_layers, sizes):
    """Names of llama.cpp and shapes [.., out, in]."""
    yield "token_embd", (sizes.vocabulary, sizes.width)
    yield "output", (sizes.vocabulary, sizes.width)
    for layer in range(n_layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}", (sizes.width, sizes.width)
        yield f"blk.{layer}.ffn_gate_exps", (sizes.experts, sizes.inner, sizes.width)
        yield f"blk.{layer}.ffn_up_exps", (sizes.experts, sizes.inner, sizes.width)
        yield f"blk.{layer}.ffn_down_exps", (sizes.experts, sizes.width, sizes.inner)


def write(path, n_layers, dequantise, sizes=Sizes()):
    import gguf
    kind = gguf.GGMLQuantizationType.Q4_K
    w = gguf.GGUFWriter(path, "olmoe", use_temp_file=False)
    w.add_block_count(n_layers)
    w.add_context_length(4096)
    w.add_embedding_length(sizes.width)
    w.add_feed_forward_length(sizes.inner)
    w.add_head_count(sizes.heads)
    w.add_head_count_kv(sizes.heads)
    w.add_rope_freq_base(10000.0)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_expert_count(sizes.experts)
    w.add_expert_used_count(sizes.chosen)
    w.add_tokenizer_model("no_vocab")
    w.add_vocab_size(sizes.vocabulary)
    rng = np.random.default_rng(1)
    floats = {f"{name}.weight": np.ones(sizes.width, np.float32) for name in ["output_norm"] + [
        f"blk.{layer}.{name}" for layer in range(n_layers) for name in ("attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm")]}
    for layer in range(n_layers):
        floats[f"blk.{layer}.ffn_gate_inp.weight"] = rng.normal(0, 0.02, (sizes.experts, sizes.width)).astype(np.float32)
    shapes = {f"{name}.weight": shape for name, shape in matrices(n_layers, sizes)}
    for name, x in floats.items():
        w.add_tensor_info(name, x.shape, x.dtype, x.nbytes)
    for name, shape in shapes.items():
        n = int(np.prod(shape))
        if dequantise:
            w.add_tensor_info(name, shape, np.dtype(np.float32), 4 * n)
        else:
            w.add_tensor_info(name, (*shape[:-1], shape[-1] // BLOCK * BLOCK_BYTES), np.dtype(np.uint8),
                              n // BLOCK * BLOCK_BYTES, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for x in floats.values():
        w.write_tensor_data(x)
    for shape in shapes.values():
        x = blocks(rng, *shape)
        w.write_tensor_data(gguf.quants.dequantize(x, kind) if dequantise else x)
    w.close()


def ours(program, model, n_tokens):
    """Tokens/s from the first operator to the last, by the trace of the rank; making weights does not count in."""
    with tempfile.TemporaryDirectory(dir=model.parent) as folder:
        trace = Path(folder) / "trace.json"
        subprocess.run([program, "run", "--model", model, "--plan", "tp=1", "--numerics", "fp32", "--batch", f"1x{n_tokens}",
                        "--out", f"{folder}/taps.safetensors", "--trace", trace], check=True, stdout=subprocess.DEVNULL)
        steps = [step for step in json.loads(trace.read_text())["traceEvents"] if step["ph"] == "X"]
    return n_tokens / (max(s["ts"] + s["dur"] for s in steps) - min(s["ts"] for s in steps)) * 1e6


def theirs(path, n_tokens):
    """Tokens/s of llama.cpp's second pass, from an empty F32 cache; runs in a process of its own."""
    import llama_cpp as lc
    from llama_cpp._ggml import libggml
    libggml.ggml_backend_load_all_from_path(str(Path(lc.__file__).parent / "lib").encode())
    lc.llama_backend_init()
    model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
    how = lc.llama_context_default_params()
    how.n_ctx = how.n_batch = how.n_ubatch = max(n_tokens, 32)
    how.n_threads = how.n_threads_batch = len(os.sched_getaffinity(0))
    how.type_k = how.type_v = how.flash_attn_type = 0
    context = lc.llama_init_from_model(model, how)
    batch = lc.llama_batch_init(n_tokens, 0, 1)
    batch.n_tokens = n_tokens
    for i in range(n_tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = (7 * i + 1) % Sizes().vocabulary, i, 1, True
        batch.seq_id[i][0] = 0
    for _ in range(2):
        lc.llama_memory_clear(lc.llama_get_memory(context), True)
        begin = time.monotonic()
        if lc.llama_decode(context, batch) != 0:
            sys.exit("llama_decode: expected 0")
    return n_tokens / (time.monotonic() - begin)


def by_llama(path, n_tokens):
    done = subprocess.run([sys.executable, __file__, "--pass", path, str(n_tokens)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def main():
    if sys.argv[1:2] == ["--pass"]:
        print(theirs(sys.argv[2], int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("program")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", default="16,128,512")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    files = {kind: wanted.folder / f"{wanted.layers}-{kind}.gguf" for kind in ("q4_k", "f32")}
    for kind, path in files.items():
        if not path.exists():
            write(path, wanted.layers, kind == "f32")
    print("| tokens | ours, tokens/s | llama.cpp F32 | of it | llama.cpp Q4_K | of it |\n|---|---|---|---|---|---|")
    for n_tokens in map(int, wanted.tokens.split(",")):
        seen = [(ours(wanted.program, files["q4_k"], n_tokens), by_llama(files["f32"], n_tokens), by_llama(files["q4_k"], n_tokens))
                for _ in range(wanted.rounds)]
        mine, floats, blocks_ = (statistics.median(column) for column in zip(*seen))
        print(f"| {n_tokens} | {mine:.0f} | {floats:.0f} | {mine / floats:.2f} | {blocks_:.0f} | {mine / blocks_:.2f} |", flush=True)


if __name__ == "__main__":
    main()
