"""Runs a GGUF file in llama.cpp on a bundle's tokens and writes the dump, for `compare --map llama`.

    python3 -m moeparity_llama MODEL.gguf BUNDLE DUMP [--cache f16] [--flash]

Tensors are seen by llama.cpp's evaluation callback and keep its own names.  The rows of the batch are decoded one after
the other, each from an empty cache.  Needs llama-cpp-python, numpy and safetensors; tried with llama-cpp-python 0.3.36.
"""
from __future__ import annotations

import argparse
import ctypes
import json
import re
import sys
from pathlib import Path

import llama_cpp
import numpy as np
from llama_cpp._ggml import libggml
from safetensors.numpy import load_file, save_file

# The router's logits once more where the softmax is of the chosen ones alone (gpt-oss): they are given this name, too.
PROBS = "ffn_moe_probs"
# Names that stand for one tap: the last of them that a layer computes is the tap.
SAME = (
    ("embd", "inp_embd", "inp_scaled"),
    ("attn_out",),
    ("ffn_moe_logits", "ffn_moe_logits_biased"),
    (PROBS,),
    ("ffn_moe_topk",),
    ("ffn_moe_weights", "ffn_moe_weights_softmax", "ffn_moe_weights_norm", "ffn_moe_weights_scaled"),
    ("ffn_moe_out", "ffn_moe_out_merged", "ffn_out"),
    ("l_out",),
    ("result_norm",),
    ("result_output",),
)
GROUP = {name: group for group, names in enumerate(SAME) for name in names}
TYPES = {0: np.float32, 26: np.int32}  # GGML_TYPE_F32, GGML_TYPE_I32
CACHE = {"f32": 0, "f16": 1}


class Tensor(ctypes.Structure):
    """The beginning of a ggml_tensor."""

    _fields_ = [("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4), ("nb", ctypes.c_size_t * 4)]


for function, result in (("ggml_get_name", ctypes.c_char_p), ("ggml_get_data", ctypes.c_void_p)):
    getattr(libggml, function).restype = result
    getattr(libggml, function).argtypes = [ctypes.c_void_p]


libggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
ERROR = 4  # GGML_LOG_LEVEL_ERROR


class DumpError(Exception):
    """One line for the user."""


def values(pointer: int, n_tokens: int) -> np.ndarray:
    """A copy of a tensor [columns, tokens], or [1, chosen, tokens], which may be a view, as [tokens, columns]."""
    tensor = ctypes.cast(pointer, ctypes.POINTER(Tensor)).contents
    if tensor.type not in TYPES:
        raise DumpError(f"expected a tensor of F32 or I32, found type {tensor.type}")
    kind = np.dtype(TYPES[tensor.type])
    shape, strides = tuple(tensor.ne)[::-1], tuple(tensor.nb)[::-1]
    extent = kind.itemsize + sum((n - 1) * step for n, step in zip(shape, strides))
    data = (ctypes.c_char * extent).from_address(libggml.ggml_get_data(pointer))
    whole = np.ndarray(shape, kind, data, strides=strides)
    if whole.size % n_tokens != 0:
        raise DumpError(f"expected {n_tokens} tokens, found {list(tensor.ne)}")
    return whole.reshape(n_tokens, -1).copy()


class Recorder:
    """What one decoding computes: the tensors of SAME by name."""

    def __init__(self) -> None:
        self.n_tokens = 0
        self.kept: dict[tuple[int, str], tuple[str, np.ndarray]] = {}
        self.error: DumpError | None = None
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self.see)

    def tensors(self) -> dict[str, np.ndarray]:
        """By name; of the logits and their other name, one."""
        found = dict(self.kept.values())
        layers = {layer for _, layer in self.kept}
        for layer in layers:
            is_softmax_of_chosen = "ffn_moe_weights_softmax" + layer in found
            for name in SAME[2] if is_softmax_of_chosen else (PROBS,):
                found.pop(name + layer, None)
        return found

    def see(self, pointer: int, ask: bool, _: object) -> bool:
        name = libggml.ggml_get_name(pointer).decode()
        found = re.fullmatch(r"(.*?)(-\d+)?", name)
        group = GROUP.get(found[1]) if found else None
        if ask:
            return group is not None
        if group is not None:
            try:
                self.kept[group, found[2] or ""] = (name, values(pointer, self.n_tokens))
            except DumpError as error:
                self.error = DumpError(f"{name}: {error}")
        return True


def decode(context: object, tokens: np.ndarray) -> None:
    """One row of the batch, an output for each of its tokens."""
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), i, 1, True
        batch.seq_id[i][0] = 0
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    status = llama_cpp.llama_decode(context, batch)
    llama_cpp.llama_batch_free(batch)
    if status != 0:
        raise DumpError(f"llama_decode: expected 0, found {status}")


@llama_cpp.llama_log_callback
def note(level: int, text: bytes, _: object) -> None:
    if level == ERROR:
        REASONS.append(text.decode(errors="replace").strip())


REASONS: list[str] = []  # what llama.cpp said of errors, the first of them tells most


def open_model(path: Path) -> object:
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise DumpError(f"{path}: expected a file that llama.cpp loads, found " + (REASONS or ["no reason"])[0])
    return model


def open_context(model: object, wanted: argparse.Namespace, n_tokens: int, callback: object) -> object:
    how = llama_cpp.llama_context_default_params()
    how.n_ctx = how.n_batch = how.n_ubatch = max(n_tokens, 32)
    how.n_threads = how.n_threads_batch = wanted.threads
    how.type_k = how.type_v = CACHE[wanted.cache]
    how.flash_attn_type = int(wanted.flash)
    how.cb_eval = callback
    context = llama_cpp.llama_init_from_model(model, how)
    if not context:
        raise DumpError("expected a context, found " + (REASONS or ["no reason"])[0])
    return context


def record(wanted: argparse.Namespace) -> dict[str, np.ndarray]:
    """All rows' tensors, [rows, positions, columns]; what a row has not, padding, is zero."""
    manifest = json.loads((wanted.bundle / "manifest.json").read_text())
    inputs = load_file(wanted.bundle / manifest["batch"]["file"])
    ids = inputs["p0.input_ids"]
    mask = inputs.get("p0.attention_mask", np.ones_like(ids)).astype(bool)
    recorder = Recorder()
    context = open_context(open_model(wanted.model), wanted, ids.shape[1], recorder.callback)
    out: dict[str, np.ndarray] = {}
    for row, (tokens, real) in enumerate(zip(ids, mask)):
        recorder.kept.clear()
        recorder.n_tokens = int(real.sum())
        decode(context, tokens[real])
        if recorder.error:
            raise recorder.error
        for name, x in recorder.tensors().items():
            whole = out.setdefault(name, np.zeros((*ids.shape, x.shape[1]), x.dtype))
            whole[row, real] = x
    if "result_output" not in out:
        raise DumpError("expected a tensor result_output, found " + (", ".join(out) or "none"))
    return out


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="moeparity_llama", description=(__doc__ or "").split("\n", 1)[0])
    for name, text in (("model", "GGUF file"), ("bundle", "of `moeparity golden make`"), ("dump", "folder to write")):
        parser.add_argument(name, type=Path, help=text)
    parser.add_argument("--cache", choices=CACHE, default="f32", help="type of keys and values; llama.cpp's default is f16")
    parser.add_argument("--flash", action="store_true", help="flash attention, llama.cpp's default")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    wanted = arguments()
    llama_cpp.llama_log_set(note, ctypes.c_void_p(0))
    libggml.ggml_backend_load_all_from_path(str(Path(llama_cpp.__file__).parent / "lib").encode())  # where they are apart;
    REASONS.clear()  # where they are not, that is an error to it
    llama_cpp.llama_backend_init()
    try:
        tensors = record(wanted)
        manifest = json.loads((wanted.bundle / "manifest.json").read_text())
        about = {"rank": "0", "world": "1", "framework": f"llama-cpp-python {llama_cpp.__version__}",
                 "input_xxh3": manifest["files"][manifest["batch"]["file"]]["xxh3"]}
        wanted.dump.mkdir(parents=True, exist_ok=True)
        save_file(tensors, wanted.dump / "rank_00000.safetensors", about)
    except (DumpError, OSError) as error:
        print(f"moeparity_llama: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
